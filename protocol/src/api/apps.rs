//! Bodies of the routes of apps: shared authenticator entries whose codes a team may read. The same for the oracle and its
//! client. Times are RFC 3339, lives of codes milliseconds.

use super::Session;
use crate::header::GroupName;
use serde::{Deserialize, Serialize};
use std::fmt;
use zeroize::Zeroizing;

/// What a holder of a grant may do with an app, from the least. Each includes the ones before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum AppRight {
    /// Read codes.
    Code,
    /// Grant and revoke, and remove the app.
    Manage,
    /// Take the secret out. Of whoever added the app; it can be neither granted nor revoked.
    Owner,
}

impl AppRight {
    /// Every right, from the least.
    pub const ALL: [Self; 3] = [Self::Code, Self::Manage, Self::Owner];

    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Code => "code",
            Self::Manage => "manage",
            Self::Owner => "owner",
        }
    }
}

impl fmt::Display for AppRight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// An app as somebody sees it who may read it: an entry of `GET /api/apps`, and `GET /api/apps/{uuid}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct App {
    /// Names it.
    pub uuid: String,
    /// Whose account it is for; empty when that was not said.
    pub issuer: String,
    /// The account.
    pub label: String,
    /// What it is called besides, by whoever added it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The most that the caller may do.
    pub right: AppRight,
    /// Whose it is, as in [`AppGrant::grantee`]; absent when its owner is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// When it was added.
    pub added_at: String,
    /// The group whose quorum makes its codes; absent when the oracle makes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_quorum: Option<AppQuorum>,
}

/// The group behind an app that needs a quorum.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppQuorum {
    /// G.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub group: GroupName,
    /// The group's id for people.
    pub group_id: String,
    /// Number of Tocs that it takes.
    pub threshold: u32,
    /// Number of players.
    pub size: u32,
}

/// `POST /api/apps`: either `otpauth` or `group`.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewApp {
    /// The secret as an otpauth URI, with issuer and account.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub otpauth: Option<Zeroizing<String>>,
    /// G of a group that the oracle knows, 64 hexadecimal digits: codes take its quorum, and the oracle holds no secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// What it is called besides. At most 255 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The UUID that it had elsewhere, to be kept; otherwise it gets a new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}

impl fmt::Debug for NewApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewApp").field("group", &self.group).field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

/// `PATCH /api/apps/{uuid}`: what is left out stays as it is.
#[derive(Clone, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ChangedApp {
    /// Another secret as an otpauth URI, for the owner: codes are of it from then on. The app's names stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub otpauth: Option<Zeroizing<String>>,
    /// Whose account it is for; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// The account; empty for none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What it is called besides; empty for nothing. At most 255 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl fmt::Debug for ChangedApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChangedApp").field("otpauth", &self.otpauth.is_some()).finish_non_exhaustive()
    }
}

/// What somebody is about to add: an entry of `POST /api/apps/known`.
#[derive(Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WantedApp {
    /// The secret as an otpauth URI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub otpauth: Option<Zeroizing<String>>,
    /// The UUID to be kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
}

impl fmt::Debug for WantedApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WantedApp").field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

/// `POST /api/apps/known`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WantedApps {
    /// At most [`MAX_WANTED`].
    pub apps: Vec<WantedApp>,
}

/// Entries of `POST /api/apps/known` at most.
pub const MAX_WANTED: usize = 64;

/// What is known of an entry of `POST /api/apps/known`, in the order of the entries.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct KnownApp {
    /// UUIDs of the caller's own apps that make the same codes: of the same key, hash, length and period.
    pub same: Vec<String>,
    /// Whether there is an app of that UUID, whosever it is.
    pub taken: bool,
}

/// `POST /api/apps/{uuid}/code`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ReadCode {
    /// Why, for the audit log. At most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of an app by quorum: begin a session although one of the caller's is open.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// Answer 202 to `POST /api/apps/{uuid}/code` of an app by quorum: the session that its code comes from.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppSession {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// The session's age recipient.
    pub tek: String,
    /// Key encryption key, base64. Absent when the caller has begun the session before: it was shown then, and never again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub kek: Option<Zeroizing<String>>,
    /// The invite link.
    pub invite: String,
}

impl fmt::Debug for AppSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSession").field("session", &self.session.id).finish_non_exhaustive()
    }
}

/// A code of an app.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppCode {
    /// The digits.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub otp: Zeroizing<String>,
    /// Milliseconds until the next code holds.
    pub expires: u64,
    /// Seconds that a code holds in all.
    pub period: u32,
}

impl fmt::Debug for AppCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppCode").field("expires", &self.expires).field("period", &self.period).finish_non_exhaustive()
    }
}

/// An entry of `GET /api/apps/{uuid}/grants`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppGrant {
    /// Who: the full name of a principal or a team, or `api-key/VALUE`.
    pub grantee: String,
    /// What they may do.
    pub right: AppRight,
    /// Since when.
    pub granted_at: String,
}

/// `PUT /api/apps/{uuid}/grants/{grantee}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewAppGrant {
    /// `code` or `manage`.
    pub right: AppRight,
}

/// `POST /api/apps/export`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExportApps {
    /// age recipients that need no plugin, 1 to 16: all of them, and nobody else, can read the export.
    pub recipients: Vec<String>,
    /// Which apps; left out: all that the caller owns and that hold a secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuids: Option<Vec<String>>,
}

/// Answer to `POST /api/apps/export`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ExportedApps {
    /// UUIDs of what is in it, in its order.
    pub uuids: Vec<String>,
    /// An armored age file. In it, one [`AppRecord`] as JSON on each line.
    pub age: String,
}

/// One line of an export, and what an import reads: the body of `POST /api/apps` of an app with its secret.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AppRecord {
    /// Names the app.
    pub uuid: String,
    /// The secret as an otpauth URI.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub otpauth: Zeroizing<String>,
    /// What it is called besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl fmt::Debug for AppRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppRecord").field("uuid", &self.uuid).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_right_includes_those_before_and_reads_as_its_word() {
        assert!(AppRight::ALL.is_sorted());
        for right in AppRight::ALL {
            assert_eq!(serde_json::to_value(right).expect("plain data"), right.word());
        }
    }

    #[test]
    fn nothing_shows_a_secret_when_it_is_debugged() {
        let otpauth = || Zeroizing::new("otpauth://totp/a?secret=JBSWY3DPEHPK3PXP".to_owned());
        let new = NewApp { otpauth: Some(otpauth()), ..NewApp::default() };
        let record = AppRecord { uuid: "u".to_owned(), otpauth: otpauth(), name: None };
        let code = AppCode { otp: Zeroizing::new("123456".to_owned()), expires: 1, period: 30 };
        let changed = ChangedApp { otpauth: Some(otpauth()), ..ChangedApp::default() };
        let wanted = WantedApps { apps: vec![WantedApp { otpauth: Some(otpauth()), uuid: None }] };
        let shown = format!("{new:?} {record:?} {code:?} {changed:?} {wanted:?}");
        assert!(!shown.contains("JBSW") && !shown.contains("123456"), "{shown}");
    }
}
