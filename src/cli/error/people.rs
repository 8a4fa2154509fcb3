//! What can go wrong between a person and an oracle that knows them by name, with the cures: the part of `error` for logins,
//! principals and providers.

use crate::client::Refusal;
use crate::ui::shown;
use quorate_protocol::api::MIN_PASSWORD;
use std::path::PathBuf;

/// Why somebody is not let in, or an act of theirs is not done. Foreign text in it is escaped when it is reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum PeopleError {
    /// Not exactly one group of that name or id.
    #[error("{} called {wanted}", if *.found == 0 { "the oracle knows no group" } else { "the oracle knows more than one group" })]
    Group {
        /// What was looked for.
        wanted: String,
        /// How many there are.
        found: usize,
    },
    /// A security key has to answer. Holds the oracle's address.
    #[error("the password is right, and a security key has to answer, not a code")]
    KeyNeeded(String),
    /// Not a one-time link.
    #[error("this is no link to enrol with")]
    Link,
    /// Nobody gave the code that confirms an authenticator.
    #[error("the code that the authenticator shows is needed to confirm it")]
    NoCode,
    /// A login without a second factor is refused, whatever was wrong.
    #[error(
        "the oracle refuses: principal or password is wrong, or a second factor is needed, of which none was given"
    )]
    NoFactor,
    /// Nobody gave a password.
    #[error("no password was given")]
    NoPassword,
    /// No configuration of that name.
    #[error("there is no configuration of second factors called {0}")]
    NoProvider(String),
    /// No ticket for this oracle, or one that is over. Holds its address.
    #[error("you are not logged in at {0}")]
    NotLoggedIn(String),
    /// No oracle was named, and there is none that can be meant, or are several.
    #[error("{}", if *.0 == 0 { "you are not logged in" } else { "you are logged in at several oracles, so one must be named" })]
    NotNamed(usize),
    /// No group of that name or id for whose codes one may ask.
    #[error("you may ask for the codes of no group called {0}")]
    NotOwnGroup(String),
    /// More than one line where a password was expected. Holds the file, or stdin.
    #[error("{} has more than one line, and a password is one", .0.display())]
    PasswordLines(PathBuf),
    /// A file that does not describe a configuration of second factors. What is wrong with it may be a secret.
    #[error("{} describes no configuration: see line {line}, column {column}", path.display())]
    ProviderFile {
        /// The file.
        path: PathBuf,
        /// From 1; 0 when nothing was read.
        line: usize,
        /// Likewise.
        column: usize,
    },
    /// A new password that no oracle takes.
    #[error("a password has {MIN_PASSWORD} characters at least")]
    ShortPassword,
    /// The file with a ticket cannot be used.
    #[error("{} does not hold a ticket", .0.display())]
    TicketFile(PathBuf),
}

impl PeopleError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Link | Self::NoCode | Self::NoPassword | Self::PasswordLines(_) => 2,
            _ => 1,
        }
    }

    pub(super) fn hint(&self) -> String {
        let hint = match self {
            Self::Group { found: 0, .. } => {
                "`quorate group list` shows those it knows, `quorate group add FILE` adds one"
            }
            Self::NotOwnGroup(_) => {
                "an operator says who may: `quorate group applicants add GROUP PRINCIPAL`; with a Toc of it, leave --login out"
            }
            Self::Group { .. } => "give more of the name: `quorate group list` shows it",
            Self::KeyNeeded(url) => {
                return format!(
                    "`-m key` asks yours; a browser does too, at {}/login; or use a recovery code",
                    shown(url)
                );
            }
            Self::Link => "copy it whole: https://ORACLE/enroll/ and some forty letters and digits behind it",
            Self::NoCode => "`quorate enroll LINK --show` shows the authenticator's secret, -m CODE brings the code",
            Self::NoFactor => "-m CODE brings a code or a recovery code; too many failures lock the name for a while",
            Self::NoPassword => "it is typed on a terminal, or comes from --password-file FILE or stdin",
            Self::NoProvider(_) => "`quorate mfa get` shows them; names are compared letter by letter",
            Self::NotLoggedIn(url) => {
                return format!("`quorate login -u NAME --oracle {}` comes first", shown(url));
            }
            Self::NotNamed(0) => "`quorate login -u NAME` comes first",
            Self::NotNamed(_) => "name it with --oracle URL",
            Self::PasswordLines(_) => "leave the password alone in it, on its first line",
            Self::ProviderFile { .. } => {
                "it takes JSON with Type, Name and Options: {\"Type\": \"totp\", \"Name\": \"TotpDemoConfig\"}"
            }
            Self::ShortPassword => "the link still serves: choose another password, such as a sentence",
            Self::TicketFile(_) => "remove it, and log in again: `quorate login`",
        };
        hint.to_owned()
    }
}

/// What to do about what an oracle refuses to people.
pub(super) fn refusal_hint(refusal: &Refusal) -> Option<String> {
    let hint = match refusal.code.as_str() {
        "already_approved" => "an operator has changed who stands for whom: ask again, in a session of its own",
        "assertion_refused" => "try again, with the key that you registered",
        "second_factor_required" => "a security key has to answer, and what it is asked makes no sense",
        "factor_not_confirmed" => "the link still serves; every code counts once: wait for the next one",
        "factor_unavailable" => "try again in a moment; a recovery code works without it: -m CODE",
        "group_known" => {
            "`quorate group show GROUP` shows it, `quorate group members GROUP HOLDER=PRINCIPAL` changes it"
        }
        "group_not_added" => "an operator adds it: `quorate group add GROUP.json`, and says who stands for its holders",
        "holder_unknown" => "`quorate group show GROUP` shows the holders; names are compared letter by letter",
        "invalid_member" => "name a user or an application: a team holds nothing by itself",
        "link_unknown" => {
            "a link serves once and for a limited time, and a new one replaces it; whoever has enrolled with it logs in: `quorate login`; \
             operators make another with `quorate principal link NAME`"
        }
        "login_required" => "`quorate login -u NAME` comes first, then the same again",
        "login_locked" => {
            let seconds = refusal.retry_after.unwrap_or(30);
            return Some(format!("too many logins of this name failed: wait {seconds} s before you try again"));
        }
        "login_refused" => {
            "name, password or second factor is wrong, and which is told to nobody; every code counts once: wait for the next"
        }
        "login_stale" => "log in again with `quorate login -u NAME`, and do it within five minutes",
        "last_operator" => "somebody has to be left who can make others: make another operator first",
        "name_fixed" => {
            "write Type and Name into the file as `quorate mfa get` shows them, or make another configuration"
        }
        "name_taken" => "choose another name, or remove what has it",
        "no_security_key" => {
            "an operator assigns a provider of type webauthn and makes a link: `quorate principal link NAME`"
        }
        "may_not_ask" => {
            "`quorate whoami` shows who you are; an operator says who may: `quorate group applicants add GROUP PRINCIPAL`"
        }
        "not_the_applicant" => "whoever ran `quorate ask` gets the code, logged in as then: `quorate whoami`",
        "not_the_holder" => {
            "`quorate whoami` shows who you are; an operator says who stands for whom: `quorate group members GROUP`"
        }
        "no_provider" => "`quorate mfa assign-principal -p PRINCIPAL -c NAME` gives one",
        "principal_unknown" => {
            "`quorate principal list` shows all; who may not run it asks an operator; a short name is a user's, others have theirs \
             in full: principal/internal/application/NAME, principal/internal/group/NAME for a team"
        }
        "provider_assigned" => {
            "`quorate principal list` shows who has it; `quorate mfa remove-principal -p PRINCIPAL` takes it away, \
             `assign-principal` with another replaces it"
        }
        "provider_unknown" => "`quorate mfa get` shows them; names are compared letter by letter",
        "repeated_member" => "give each holder a principal of their own",
        "role_forbids" => "`quorate whoami` shows your role; operators give roles when they make a principal",
        "session_unnamed" => "ask again: `quorate ask`",
        "weak_password" => "the link still serves: choose another password, such as a sentence",
        "ticket_required" => {
            "the ticket is over: log in again with `quorate login -u NAME`; where that is refused, ask an operator"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
