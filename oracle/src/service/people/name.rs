//! What principals and providers are called. A name has one spelling: names are compared byte by byte, and what could be
//! taken for another name is none.
//!
//! A principal's full name is `principal/internal/user/bob`, `principal/internal/application/ci` or
//! `principal/internal/group/ops` (a team); the short name `bob` is a user's.

use crate::store::PrincipalKind;
use quorate_protocol::display::escape_controls;
use std::fmt;

/// Bytes of a principal's own name at most.
pub const MAX_PRINCIPAL: usize = 64;
/// Bytes of a provider's name at most.
pub const MAX_PROVIDER: usize = 128;

const PREFIX: &str = "principal/internal/";

/// What is no name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not a principal's.
    #[error(
        "a principal is named bob or principal/internal/KIND/bob, KIND being user, application or group, and bob 1 to 64 of the \
         characters a-z A-Z 0-9 . _ - @ +, the first a letter or a digit"
    )]
    Principal,
    /// Not a provider's.
    #[error("a provider's name is 1 to 128 bytes of text without slashes, invisible characters, or blanks at its ends")]
    Provider,
}

/// The name of a principal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PrincipalName {
    kind: PrincipalKind,
    own: String,
}

impl PrincipalName {
    /// Reads a full or a short name.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (kind, own) = match text.strip_prefix(PREFIX) {
            Some(rest) => rest.split_once('/').ok_or(NameError::Principal)?,
            None => (word(PrincipalKind::User), text),
        };
        let kind = [PrincipalKind::User, PrincipalKind::Application, PrincipalKind::Team]
            .into_iter()
            .find(|known| word(*known) == kind)
            .ok_or(NameError::Principal)?;
        let letter = |byte: &u8| byte.is_ascii_alphanumeric();
        let begins = own.as_bytes().first().is_some_and(letter);
        let plain = own.bytes().all(|byte| letter(&byte) || b"._-@+".contains(&byte));
        if begins && plain && own.len() <= MAX_PRINCIPAL {
            Ok(Self { kind, own: own.to_owned() })
        } else {
            Err(NameError::Principal)
        }
    }

    /// What bears it.
    pub fn kind(&self) -> PrincipalKind {
        self.kind
    }

    /// The last part alone.
    pub fn own(&self) -> &str {
        &self.own
    }
}

/// The full name.
impl fmt::Display for PrincipalName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}/{}", word(self.kind), self.own)
    }
}

/// The word of a kind in full names.
fn word(kind: PrincipalKind) -> &'static str {
    match kind {
        PrincipalKind::User => "user",
        PrincipalKind::Application => "application",
        PrincipalKind::Team => "group",
    }
}

/// The name of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderName(String);

impl ProviderName {
    /// Reads it as it stands.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let visible = escape_controls(text) == text && !text.contains('/') && text.trim() == text;
        // Clients of HTTP take these two out of paths.
        let reachable = !["", ".", ".."].contains(&text);
        if visible && reachable && text.len() <= MAX_PROVIDER {
            Ok(Self(text.to_owned()))
        } else {
            Err(NameError::Provider)
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_a_users_and_a_full_one_says_what_bears_it() {
        for (text, kind, full) in [
            ("bob", PrincipalKind::User, "principal/internal/user/bob"),
            ("principal/internal/user/bob", PrincipalKind::User, "principal/internal/user/bob"),
            ("principal/internal/application/ci", PrincipalKind::Application, "principal/internal/application/ci"),
            ("principal/internal/group/ops", PrincipalKind::Team, "principal/internal/group/ops"),
            ("b.o-b_7+x@example.com", PrincipalKind::User, "principal/internal/user/b.o-b_7+x@example.com"),
        ] {
            let name = PrincipalName::parse(text).unwrap();
            assert_eq!((name.kind(), name.to_string().as_str()), (kind, full));
        }
        assert_ne!(PrincipalName::parse("Bob"), PrincipalName::parse("bob"), "compared exactly");
    }

    #[test]
    fn what_could_deceive_is_no_principals_name() {
        let long = "a".repeat(MAX_PRINCIPAL + 1);
        for text in [
            "",
            " ",
            "bob ",
            " bob",
            "bo b",
            ".bob",
            "-bob",
            "@bob",
            "bob\n",
            "b\0b",
            "bob\u{202e}",
            "bob\u{200b}",
            "\u{3164}",
            "b\u{43e}b",
            "bøb",
            "bob/x",
            "/bob",
            "principal/internal/user/",
            "principal/internal/user/bob/x",
            "principal/internal/team/ops",
            "principal/internal/bob",
            "principal/external/user/bob",
            "Principal/internal/user/bob",
            "user/bob",
            "bob%2F",
            long.as_str(),
        ] {
            assert_eq!(PrincipalName::parse(text), Err(NameError::Principal), "{text:?}");
        }
        assert!(PrincipalName::parse(&long[1..]).is_ok());
    }

    #[test]
    fn a_providers_name_may_have_blanks_and_nothing_that_cannot_be_seen() {
        for text in ["TotpDemoConfig", "My company Duo application", "Ämter: zweiter Faktor", "a..b"] {
            assert_eq!(ProviderName::parse(text).unwrap().as_str(), text);
        }
        let long = "a".repeat(MAX_PROVIDER + 1);
        for text in ["", " ", "a ", " a", "a  b", ".", "..", "a/b", "a\tb", "a\u{202e}b", "a\u{a0}b", "\u{200b}", &long]
        {
            assert_eq!(ProviderName::parse(text), Err(NameError::Provider), "{text:?}");
        }
    }
}
