//! What is to be recorded, in words that stay the same. Knows nothing of how it is kept.

use serde_json::{Map, Value};
use std::fmt;
use std::net::IpAddr;

/// Names each kind once: the variant, its word, and what it means.
macro_rules! kinds {
    ($( $variant:ident $word:literal $meaning:literal; )*) => {
        /// What happened. A word is never given another meaning, and never taken back.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $( #[doc = $meaning] $variant, )*
        }

        impl Kind {
            /// All of them, in the order of their words.
            pub const ALL: &[Self] = &[ $( Self::$variant, )* ];

            /// The word in the log.
            pub fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $word, )* }
            }

            /// What it means.
            pub fn meaning(self) -> &'static str {
                match self { $( Self::$variant => $meaning, )* }
            }
        }
    };
}

kinds! {
    ApiKeyActivated "api_key.activated" "An API key was given its secret.";
    ApiKeyAllowed "api_key.allowed" "The origins that an API key may be used from were set.";
    ApiKeyCreated "api_key.created" "An API key was made.";
    ApiKeyRefused "api_key.refused" "Wrong API credentials, as a count.";
    ApiKeyRevoked "api_key.revoked" "An API key was taken out of use.";
    ApiKeyRotated "api_key.rotated" "An API key took over what another one owned.";
    ApiKeyWithdrawn "api_key.withdrawn" "An API key was removed because its mail was not taken.";
    AppAdded "app.added" "An app was added, whose codes its holders share.";
    AppChanged "app.changed" "An app was given other names, or another secret.";
    AppCode "app.code" "Somebody read a code of an app.";
    AppExported "app.exported" "The owner of an app took its secret out, encrypted to recipients.";
    AppGranted "app.granted" "Somebody was given a right to an app.";
    AppKnown "app.known" "Somebody asked for UUIDs that are others', and was told that they are taken.";
    AppRekeyed "app.rekeyed" "An app was sealed under another key, after somebody had lost their right.";
    AppRemoved "app.removed" "An app was removed.";
    AppRevoked "app.revoked" "Somebody's right to an app was taken away.";
    AuditCounted "audit.counted" "How often things happened that were not recorded one by one.";
    AuditDamaged "audit.damaged" "An event had been changed before it got its number, and is lost.";
    CredentialAdded "credential.added" "A user of an application registered a security key.";
    CredentialLocked "credential.locked" "Wrong answers locked a security key for a time.";
    CredentialRemoved "credential.removed" "Security keys of an application's user were removed.";
    DrillAnswered "drill.answered" "A player proved that their Toc opens.";
    DrillEnded "drill.ended" "A drill ended.";
    DrillRefused "drill.refused" "Wrong answers to drills, as a count.";
    DrillStarted "drill.started" "The players of a group were asked to prove that their Tocs open.";
    FactorAssigned "factor.assigned" "A principal was given a provider of second factors.";
    FactorRemoved "factor.removed" "A principal's provider of second factors was taken away.";
    GatewayRefused "gateway.refused" "Wrong gateway keys, as a count.";
    GroupAdded "group.added" "A group was made known to the oracle.";
    GroupApplicants "group.applicants" "It was changed who may ask for a group's codes without a Toc.";
    GroupMembers "group.members" "It was set which principals stand for a group's holders.";
    GroupRemoved "group.removed" "A group was removed from those that the oracle knows.";
    ImportBegun "import.begun" "An import of another service's data began.";
    ImportEnded "import.ended" "An import ended, with how many records were new.";
    LoginDone "login.done" "A principal logged in.";
    LoginEnded "login.ended" "A principal logged out.";
    LoginRefused "login.refused" "A login failed.";
    OracleStarted "oracle.started" "An oracle began to serve.";
    OracleStopped "oracle.stopped" "An oracle stopped as it was told.";
    PrincipalCreated "principal.created" "A principal was made.";
    PrincipalDisabled "principal.disabled" "A principal was disabled.";
    PrincipalEnabled "principal.enabled" "A principal was enabled again.";
    PrincipalEnrolled "principal.enrolled" "A user set a password with a link.";
    PrincipalInvited "principal.invited" "A user was given a new link.";
    PrincipalKeyAdded "principal.key_added" "A user registered a security key or a passkey.";
    PrincipalKeyRemoved "principal.key_removed" "A security key or a passkey of a user was removed.";
    PrincipalLinkOpened "principal.link_opened" "A user's link was opened, which shows what it confirms.";
    PrincipalLinkRefused "principal.link_refused" "A link that does not serve, or not any more, was opened or used.";
    PrincipalRemoved "principal.removed" "A principal was removed.";
    ProviderCreated "provider.created" "A provider of second factors was made.";
    ProviderRemoved "provider.removed" "A provider of second factors was removed.";
    ProviderUpdated "provider.updated" "A provider of second factors was changed.";
    SessionAsked "session.asked" "A session was started.";
    SessionCancelled "session.cancelled" "A session was ended by its applicant or an operator.";
    SessionCode "session.code" "A code was shown.";
    SessionDenied "session.denied" "A player said no to a session.";
    SessionDropped "session.dropped" "A false Toc was removed from a session.";
    SessionExhausted "session.exhausted" "A session ended after too many false Tocs.";
    SessionExpired "session.expired" "A session's time ran out.";
    SessionJoined "session.joined" "A Toc was added to a session.";
    SessionRedealt "session.redealt" "A secret was dealt anew.";
    SessionReceived "session.received" "A player of a new deal signed receipt.";
    TeamChanged "team.changed" "Members came into a team, or left it.";
    TotpEnrolled "totp.enrolled" "A user of an application was given a TOTP secret.";
    TotpLocked "totp.locked" "Wrong codes locked a TOTP secret for a time.";
    TotpRemoved "totp.removed" "A TOTP secret of an application's user was removed.";
}

/// Who did it, as far as that was proved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Who {
    /// An application with the value of its API key: it showed the API secret.
    ApiKey(String),
    /// A player: a signature of the share key, or the Toc itself, stands for the name.
    Holder(String),
    /// Nobody that was named.
    Nobody,
    /// Somebody at this machine who can read the oracle's keys, or who showed the gateway key.
    Operator,
    /// The oracle itself.
    Oracle,
    /// A principal who logged in, by the full name.
    Principal(String),
    /// A name that nothing stands for.
    Unverified(String),
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ApiKey(name) => write!(f, "api-key {name}"),
            Self::Holder(name) => write!(f, "holder {name}"),
            Self::Nobody => f.write_str("nobody"),
            Self::Operator => f.write_str("operator"),
            Self::Oracle => f.write_str("oracle"),
            Self::Principal(name) => write!(f, "principal {name}"),
            Self::Unverified(name) => write!(f, "unverified {name}"),
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// As it was asked for.
    Done,
    /// It went wrong for a reason that nobody decided.
    Failed,
    /// It was not allowed.
    Refused,
}

impl Outcome {
    /// The word in the log.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// An event to be recorded. What is too long in it is cut when it is sealed.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) kind: Kind,
    pub(super) who: Who,
    pub(super) source: Option<IpAddr>,
    pub(super) subject: String,
    pub(super) outcome: Outcome,
    pub(super) details: Map<String, Value>,
}

impl Entry {
    /// Something that was done.
    pub fn new(kind: Kind, who: Who) -> Self {
        Self { kind, who, source: None, subject: String::new(), outcome: Outcome::Done, details: Map::new() }
    }

    /// What happened beside it in the same act: by the same, from the same place.
    #[must_use]
    pub fn beside(&self, kind: Kind, subject: impl Into<String>) -> Self {
        Self { source: self.source, ..Self::new(kind, self.who.clone()) }.to(subject)
    }

    /// What happened.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Who did it.
    pub fn who(&self) -> &Who {
        &self.who
    }

    /// What it was done to, in words.
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// How it ended.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Where the request came from.
    #[must_use]
    pub fn from(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// What it was done to, in words such as `session ID`.
    #[must_use]
    pub fn to(mut self, subject: impl Into<String>) -> Self {
        self.subject = subject.into();
        self
    }

    /// How it ended, when it was not done.
    #[must_use]
    pub fn ended(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// Something more, by name. Never a secret.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.details.insert(name.to_owned(), value.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_are_plain_in_order_and_all_different() {
        let words: Vec<&str> = Kind::ALL.iter().map(|kind| kind.as_str()).collect();
        let plain = |word: &&str| word.bytes().all(|byte| byte.is_ascii_lowercase() || b"._".contains(&byte));
        assert!(words.iter().all(|word| plain(word) && word.contains('.')), "{words:?}");
        let before = |pair: &[&str]| pair[0].split('.').next() <= pair[1].split('.').next() && pair[0] != pair[1];
        assert!(words.windows(2).all(before), "{words:?}");
        let different: std::collections::BTreeSet<_> = words.iter().collect();
        assert_eq!(different.len(), words.len());
    }
}
