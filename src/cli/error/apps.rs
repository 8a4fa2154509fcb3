//! What can go wrong with apps, with the cures: the part of `error` for authenticator entries that several share.

use super::session;
use crate::client::{ClientError, Refusal};

/// Why an app is not found, or its code not read like this. Foreign text in it is escaped when it is reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AppError {
    /// Its codes take a quorum.
    #[error("codes of this app take a quorum: {threshold} of the {size} Tocs of the group {group_id}")]
    ByQuorum {
        /// The group's id for people.
        group_id: String,
        /// Tocs that it takes.
        threshold: u32,
        /// Tocs that there are.
        size: u32,
    },
    /// The session that is open was begun where its key is, which is not here.
    #[error("you have begun the session {0} for its codes already, elsewhere")]
    BegunElsewhere(String),
    /// The oracle gave a session for an app with a secret, or a code for one by quorum.
    #[error("another app has the UUID of this one now")]
    Exchanged,
    /// Somebody who gets or loses no right.
    #[error("{who}: {source}")]
    Grantee {
        /// As they were named.
        who: String,
        /// Why.
        source: Box<ClientError>,
    },
    /// Players are asked for a code, and not told why.
    #[error("codes of this app take {threshold} of the {size} players of the group {group_id}, who want to know why")]
    NoReason {
        /// The group's id for people.
        group_id: String,
        /// Tocs that it takes.
        threshold: u32,
        /// Tocs that there are.
        size: u32,
    },
    /// Not exactly one app of that name.
    #[error("{} called {wanted}", if .found.is_empty() { "you may read no app" } else { "you may read more than one app" })]
    Named {
        /// What was looked for.
        wanted: String,
        /// UUIDs of those that there are.
        found: Vec<String>,
    },
    /// One's own app makes the same codes. Holds its UUID.
    #[error("you have an app already that makes the same codes: {0}")]
    There(String),
}

impl AppError {
    pub(super) fn hint(&self) -> String {
        let hint = match self {
            Self::ByQuorum { group_id, .. } => {
                let group_id = crate::ui::shown(group_id);
                return format!(
                    "who holds a Toc of it runs `quorate ask {group_id} --reason …`, who may ask without one adds --login; \
                     the others join"
                );
            }
            Self::Grantee { source, .. } => {
                return session::client_hint(source).unwrap_or_else(|| "the grants before it are done".to_owned());
            }
            Self::There(_) => "`quorate app change` gives it other names; --again adds it once more",
            Self::Named { found, .. } if found.is_empty() => "`quorate app list` shows those that you may read",
            Self::Named { found, .. } => return format!("give its UUID: {}", crate::ui::shown(&found.join(", "))),
            Self::BegunElsewhere(id) => {
                let id = crate::ui::shown(id);
                return format!("`quorate session code --wait {id}` goes on there; --again begins another session");
            }
            Self::Exchanged => "`quorate app list` shows what there is",
            Self::NoReason { .. } => "say it with --why: the players read it before they say yes",
        };
        hint.to_owned()
    }
}

/// What to do about what an oracle refuses when it is asked for apps.
pub(super) fn refusal_hint(refusal: &Refusal) -> Option<String> {
    let hint = match refusal.code.as_str() {
        "app_unknown" => "`quorate app list` shows those that you may read; one of its managers grants more",
        "by_quorum" => "`quorate app show APP` names the group: who holds a Toc of it runs `quorate ask GROUP`",
        "changed" => "nothing was changed: try again",
        "invalid_otpauth" => "only time-based secrets of 80 bits and more are shared; export the account again",
        "invalid_recipient" => {
            "give recipients of age that need no plugin of their own: `quorate key list` shows yours"
        }
        "no_grant" => {
            "`quorate app show APP` shows who has one, to its managers; names are compared letter by letter, and what a team has is the team's"
        }
        "no_key_pair" => "whoever has that API key runs `quorate app list --api-key FILE` once, then grant again",
        "not_a_manager" | "not_the_owner" => "`quorate app show APP` shows whose it is: ask them",
        "owner_stays" => {
            "remove the app; or export it, and have somebody else import it as their own: `quorate app import --new-uuids`"
        }
        "too_many" => "remove what nobody needs: `quorate app list`",
        "uuid_taken" => "leave the UUID out; or remove the app that has it, if it is yours",
        _ => return None,
    };
    Some(hint.to_owned())
}
