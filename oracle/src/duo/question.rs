//! What Duo is asked: about whom, by which factor, and what the person sees of it. Everything that others wrote is bounded
//! and escaped before it reaches a telephone.

use super::{DuoError, Parameters};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use quorate_protocol::display::escape_controls;
use std::fmt;
use std::net::IpAddr;
use zeroize::Zeroizing;

/// Characters of a text on a telephone at most.
const MAX_TEXT: usize = 120;
/// Lines of context at most.
const MAX_LINES: usize = 8;
/// Bytes of a user's name at most.
const MAX_USER: usize = 64;
/// Characters of a user's id.
const ID: usize = 20;
/// Digits of a passcode: those of an app have 6 or 7, bypass codes up to 10, tokens of others up to 16.
const PASSCODE: std::ops::RangeInclusive<usize> = 4..=16;

/// How somebody proves who they are.
pub enum Factor {
    /// As Duo thinks best: a push, or else a call.
    Auto,
    /// A code: of an app, of a token, or one that lets a person in without either.
    Passcode(Zeroizing<String>),
    /// A call.
    Phone,
    /// A push to the app.
    Push,
}

impl fmt::Debug for Factor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl Factor {
    /// What somebody gave as second factor: `auto`, `phone`, `push`, or digits.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        match text {
            "auto" => Some(Self::Auto),
            "phone" => Some(Self::Phone),
            "push" => Some(Self::Push),
            digits if PASSCODE.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                Some(Self::Passcode(Zeroizing::new(digits.to_owned())))
            }
            _ => None,
        }
    }

    /// Duo's word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Passcode(_) => "passcode",
            Self::Phone => "phone",
            Self::Push => "push",
        }
    }
}

/// Whom Duo asks, and what they are told.
#[derive(Debug, Clone)]
pub struct Question {
    user: String,
    from: Option<IpAddr>,
    kind: String,
    name: String,
    lines: Vec<(String, String)>,
}

impl Question {
    /// About the user of that id at Duo, such as `DUXXXXXXXXXXXXXXXXXX`, or of that name. Of a name that it does not know, Duo may
    /// say that it lets it pass; that does not count (see `Question::by_name`).
    pub fn new(user: &str) -> Result<Self, DuoError> {
        if !(1..=MAX_USER).contains(&user.len()) || user.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(DuoError::Question);
        }
        let (user, kind) = (user.to_owned(), "Login".to_owned());
        Ok(Self { user, from: None, kind, name: String::new(), lines: Vec::new() })
    }

    /// Where the person seems to be.
    #[must_use]
    pub fn seen_at(mut self, address: Option<IpAddr>) -> Self {
        self.from = address.map(|address| address.to_canonical());
        self
    }

    /// What kind of thing they are to allow; a telephone shows it before the word "request".
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Self {
        self.kind = bounded(kind);
        self
    }

    /// What they are called here.
    #[must_use]
    pub fn name(mut self, name: &str) -> Self {
        self.name = bounded(name);
        self
    }

    /// One line more of what they see: why they are asked, and by whom.
    #[must_use]
    pub fn line(mut self, label: &str, text: &str) -> Self {
        if self.lines.len() < MAX_LINES && !text.is_empty() {
            self.lines.push((bounded(label), bounded(text)));
        }
        self
    }

    /// Whether the user is given by name, and so may be nobody.
    pub(super) fn by_name(&self) -> bool {
        let id = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        !(self.user.len() == ID && self.user.starts_with("DU") && self.user.bytes().all(id))
    }

    pub(super) fn user(&self) -> &str {
        &self.user
    }

    pub(super) fn to_preauth(&self) -> Parameters {
        let mut parameters = Parameters::from([(
            if self.by_name() { "username" } else { "user_id" },
            Zeroizing::new(self.user.clone()),
        )]);
        if let Some(from) = self.from {
            parameters.insert("ipaddr", Zeroizing::new(from.to_string()));
        }
        parameters
    }

    pub(super) fn to_auth(&self, factor: &Factor) -> Parameters {
        let mut parameters = self.to_preauth();
        let mut put = |name, value: &str| parameters.insert(name, Zeroizing::new(value.to_owned()));
        // Waits for the person, so that there is no transaction that somebody else could ask after.
        put("async", "0");
        put("factor", factor.word());
        match factor {
            Factor::Passcode(digits) => {
                put("passcode", digits);
            }
            Factor::Phone => {
                put("device", "auto");
            }
            Factor::Auto | Factor::Push => {
                put("device", "auto");
                put("type", &self.kind);
                if !self.name.is_empty() {
                    put("display_username", &self.name);
                }
                if !self.lines.is_empty() {
                    put("pushinfo", &self.pushinfo());
                }
            }
        }
        parameters
    }

    /// The lines as Duo takes them: a query of its own.
    fn pushinfo(&self) -> String {
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let pair = |(label, text): &(String, String)| format!("{}={}", escaped(label), escaped(text));
        self.lines.iter().map(pair).collect::<Vec<_>>().join("&")
    }
}

fn bounded(text: &str) -> String {
    let shown = escape_controls(&text.chars().take(MAX_TEXT).collect::<String>());
    shown.chars().take(MAX_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_a_word_or_digits() {
        let words = ["auto", "phone", "push", " push ", "123456", "1234567", "0000000000", "1234"];
        assert!(words.iter().all(|text| Factor::parse(text).is_some()));
        for text in ["", "Push", "sms", "pushy", "12 34 56", "123", "12345678901234567", "１２３４５６", "123456\0"]
        {
            assert!(Factor::parse(text).is_none(), "{text:?}");
        }
        assert_eq!(format!("{:?}", Factor::parse("123456").unwrap()), "passcode");
    }

    #[test]
    fn what_a_telephone_shows_is_bounded_and_escaped() {
        let question = Question::new("DU1").unwrap().name("bob\u{202e}\n").kind(&"k".repeat(1_000));
        let question = question.line("why", &"\u{202e}".repeat(1_000)).line("a&b=", "ü ~+&=%").line("empty", "");
        let push = question.to_auth(&Factor::Push);
        assert_eq!(push["display_username"].as_str(), "bob\\u{202e}\\n");
        assert_eq!(push["type"].len(), MAX_TEXT);
        let (why, rest) = push["pushinfo"].split_once('&').unwrap();
        assert_eq!(rest, "a%26b%3D=%C3%BC%20%7E%2B%26%3D%25");
        assert!(why.starts_with("why=%5Cu%7B202e%7D") && why.len() < 4 * MAX_TEXT, "{why}");
        let mut many = Question::new("DU1").unwrap();
        for number in 0..100 {
            many = many.line(&format!("line {number}"), &"ü".repeat(200));
        }
        assert!(many.to_auth(&Factor::Push)["pushinfo"].len() < 20_000, "Duo's bound");
        let passcode = question.to_auth(&Factor::parse("123456").unwrap());
        assert!(!passcode.contains_key("pushinfo") && !passcode.contains_key("device"));
    }

    #[test]
    fn a_user_is_an_id_or_a_name() {
        for user in ["", "bob smith", "DU1\n", "bob\u{2028}", &"D".repeat(MAX_USER + 1)] {
            assert!(matches!(Question::new(user), Err(DuoError::Question)), "{user:?}");
        }
        for (user, by_name) in [("DUXXXXXXXXXXXXXXXXX7", false), ("duxxxxxxxxxxxxxxxxx7", true), ("bob@dss", true)] {
            assert_eq!(Question::new(user).unwrap().by_name(), by_name, "{user}");
        }
        let from = Question::new("DU1").unwrap().seen_at(Some("::ffff:192.0.2.7".parse().unwrap()));
        assert_eq!(from.to_preauth()["ipaddr"].as_str(), "192.0.2.7");
    }
}
