//! How tokens and identities talk to a person. The command line implements it, tests script it; nothing here knows
//! terminals.

use secrecy::SecretString;

use super::{TokenError, TokenInfo};

/// A person, as seen by a token. Every method may block until they have answered.
pub trait TokenPrompts: Send + Sync {
    /// Asks for the PIN of a token. `None` when nobody answers or wants to: the next token is tried.
    fn pin(&self, request: &PinRequest<'_>) -> Option<SecretString>;

    /// Whether a wrong PIN may be asked for again at once. Only where a person types it: a program that gives the
    /// same wrong PIN three times blocks the token.
    fn may_ask_again(&self) -> bool {
        false
    }

    /// Says at once that a token has refused a PIN that is not asked for again, whatever else may open the file.
    fn refused(&self, _token: &TokenInfo, _why: &TokenError) {}

    /// Says that a token now waits for a touch. Returns at once; the token is touched, not the terminal.
    fn touch(&self, request: &TouchRequest<'_>);

    /// Asks to confirm what would be a touch, on a token that has nothing to touch.
    fn confirm_touch(&self, request: &TouchRequest<'_>) -> Touch;

    /// Shows a plugin's message.
    fn message(&self, text: &str);

    /// Asks a plugin's question. `None` when nobody can answer.
    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool>;

    /// Asks for text that is no secret. `None` when nobody can answer.
    fn text(&self, question: &str) -> Option<String>;

    /// Asks for a passphrase or another secret that is no token's PIN, and never of a program that knows PINs. `None` when
    /// nobody can answer.
    fn passphrase(&self, question: &str) -> Option<SecretString>;
}

/// What a person should know before they enter a PIN.
#[derive(Clone, Copy, Debug)]
pub struct PinRequest<'a> {
    /// Whose PIN.
    pub token: &'a TokenInfo,
    /// How many wrong PINs the token will still bear.
    pub tries_left: u8,
    /// Whether the PIN just entered was wrong.
    pub again: bool,
}

/// What a person should know before they touch a token.
#[derive(Clone, Copy, Debug)]
pub struct TouchRequest<'a> {
    /// Which token.
    pub token: &'a TokenInfo,
    /// The label of the key that will be used.
    pub key: &'a str,
}

/// What came of asking for a touch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Touch {
    /// Touched.
    Given,
    /// Refused.
    Refused,
    /// No answer.
    TimedOut,
}

/// Nobody is there: no question is answered.
#[derive(Clone, Copy, Debug)]
pub struct NoPrompts;

impl TokenPrompts for NoPrompts {
    fn pin(&self, _: &PinRequest<'_>) -> Option<SecretString> {
        None
    }

    fn touch(&self, _: &TouchRequest<'_>) {}

    fn confirm_touch(&self, _: &TouchRequest<'_>) -> Touch {
        Touch::TimedOut
    }

    fn message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn passphrase(&self, _: &str) -> Option<SecretString> {
        None
    }
}
