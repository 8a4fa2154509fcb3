//! PINs and PUKs: parsed once, wiped when dropped, never printed. Knows no token.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};

use super::TokenError;

/// What tokens come with from the factory, as PIN or as PUK.
const DEFAULTS: [&str; 2] = ["123456", "12345678"];

/// A PIN of 6 to 8 printable ASCII characters (NIST SP 800-73-4 §2.4.3 has digits only; tokens take more).
#[derive(Clone)]
pub struct Pin(SecretString);

/// The code that unblocks a PIN; same form as a [`Pin`].
#[derive(Clone)]
pub struct Puk(SecretString);

impl Pin {
    /// [`TokenError::CodeFormat`] for what no token takes: such an entry costs no try.
    pub fn parse(text: SecretString) -> Result<Self, TokenError> {
        well_formed(&text).then_some(Self(text)).ok_or(TokenError::CodeFormat("PIN"))
    }

    /// [`TokenError::DefaultCode`] when everybody knows this PIN.
    pub fn check_new(&self) -> Result<(), TokenError> {
        if is_default(&self.0) { Err(TokenError::DefaultCode("PIN")) } else { Ok(()) }
    }

    /// The characters, for the token.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl Puk {
    /// [`TokenError::CodeFormat`] for what no token takes: such an entry costs no try.
    pub fn parse(text: SecretString) -> Result<Self, TokenError> {
        well_formed(&text).then_some(Self(text)).ok_or(TokenError::CodeFormat("PUK"))
    }

    /// [`TokenError::DefaultCode`] when everybody knows this PUK.
    pub fn check_new(&self) -> Result<(), TokenError> {
        if is_default(&self.0) { Err(TokenError::DefaultCode("PUK")) } else { Ok(()) }
    }

    /// [`TokenError::SameCode`] when it is the PIN too: then whoever has seen the one has both.
    pub fn check_differs(&self, pin: &Pin) -> Result<(), TokenError> {
        if self.expose() == pin.expose() { Err(TokenError::SameCode) } else { Ok(()) }
    }

    /// The characters, for the token.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin")
    }
}

impl fmt::Debug for Puk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Puk")
    }
}

fn well_formed(text: &SecretString) -> bool {
    let text = text.expose_secret();
    (6..=8).contains(&text.len()) && text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

fn is_default(text: &SecretString) -> bool {
    DEFAULTS.contains(&text.expose_secret())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_to_eight_printable_characters() {
        for (text, good) in [
            ("47110815", true),
            ("4711ab", true),
            ("12345", false),
            ("123456789", false),
            ("12\n4567", false),
            ("äöüß", false),
        ] {
            assert_eq!(Pin::parse(text.into()).is_ok(), good, "{text}");
            assert_eq!(Puk::parse(text.into()).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn defaults_may_be_entered_but_not_chosen() {
        for text in DEFAULTS {
            assert!(matches!(Pin::parse(text.into()).unwrap().check_new(), Err(TokenError::DefaultCode("PIN"))));
            assert!(matches!(Puk::parse(text.into()).unwrap().check_new(), Err(TokenError::DefaultCode("PUK"))));
        }
        assert!(Pin::parse("654321".into()).unwrap().check_new().is_ok());
    }

    #[test]
    fn a_puk_is_another_code_than_the_pin() {
        let pin = Pin::parse("471108".into()).unwrap();
        assert!(matches!(Puk::parse("471108".into()).unwrap().check_differs(&pin), Err(TokenError::SameCode)));
        assert!(Puk::parse("4711089".into()).unwrap().check_differs(&pin).is_ok());
    }

    #[test]
    fn debug_says_nothing() {
        assert_eq!(format!("{:?} {:?}", Pin::parse("471108".into()), Puk::parse("471108".into())), "Ok(Pin) Ok(Puk)");
    }
}
