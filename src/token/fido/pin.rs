//! The PIN of a security key: parsed once, wiped when dropped, never printed. Knows no key.

use super::FidoError;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;

/// A PIN of at least 4 characters and at most 63 bytes (CTAP 2.1 §6.5.1).
#[derive(Clone)]
pub struct FidoPin(SecretString);

impl FidoPin {
    /// [`FidoError::PinFormat`] for what no key takes: such an entry costs no try.
    pub fn parse(text: SecretString) -> Result<Self, FidoError> {
        let exposed = text.expose_secret();
        let good = exposed.len() <= 63 && exposed.chars().count() >= 4 && !exposed.chars().any(char::is_control);
        if good { Ok(Self(text)) } else { Err(FidoError::PinFormat) }
    }

    /// The characters, for the key.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for FidoPin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FidoPin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_characters_to_sixty_three_bytes_and_never_shown() {
        for (text, good) in [
            ("1234", true),
            ("123", false),
            ("äöüß", true),
            (&*"x".repeat(63), true),
            (&*"x".repeat(64), false),
            ("12\n45", false),
        ] {
            assert_eq!(FidoPin::parse(text.into()).is_ok(), good, "{text}");
        }
        assert_eq!(format!("{:?}", FidoPin::parse("4711".into())), "Ok(FidoPin)");
    }
}
