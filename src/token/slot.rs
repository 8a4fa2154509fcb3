//! The PIV slots that quorate uses. Knows their numbers, not what lies in them.

use std::fmt;
use std::str::FromStr;

use super::TokenError;

const FIRST_RETIRED: u8 = 0x82;
const LAST_RETIRED: u8 = 0x95;
const KEY_MANAGEMENT: u8 = 0x9d;

/// A slot for key agreement: one of the twenty retired ones (82 to 95), or the key management slot 9d
/// (NIST SP 800-73-4 part 1, table 4b). Written in hexadecimal, as every PIV program does.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Slot(u8);

impl Slot {
    /// Key management, 9d: often used by other programs, so only taken when a person names it.
    pub const KEY_MANAGEMENT: Self = Self(KEY_MANAGEMENT);

    /// The retired slots, first to last.
    pub fn retired() -> impl Iterator<Item = Self> {
        (FIRST_RETIRED..=LAST_RETIRED).map(Self)
    }

    /// The slot's number in commands to a card.
    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Slot {
    type Error = TokenError;

    fn try_from(number: u8) -> Result<Self, TokenError> {
        match number {
            FIRST_RETIRED..=LAST_RETIRED | KEY_MANAGEMENT => Ok(Self(number)),
            _ => Err(TokenError::NoSuchSlot(format!("{number:02x}"))),
        }
    }
}

impl FromStr for Slot {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = two_digits.then(|| u8::from_str_radix(text, 16).ok()).flatten();
        number
            .and_then(|number| Self::try_from(number).ok())
            .ok_or_else(|| TokenError::NoSuchSlot(text.escape_default().to_string()))
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twenty_retired_slots_and_9d() {
        assert_eq!(Slot::retired().count(), 20);
        for slot in Slot::retired().chain([Slot::KEY_MANAGEMENT]) {
            assert_eq!(slot.to_string().parse::<Slot>().unwrap(), slot);
        }
        assert_eq!("9D".parse::<Slot>().unwrap(), Slot::KEY_MANAGEMENT);
    }

    #[test]
    fn other_slots_do_not_exist() {
        for text in ["81", "96", "9a", "9c", "9e", "f9", "", "+82", "082", "8", "R1", "é"] {
            assert!(matches!(text.parse::<Slot>(), Err(TokenError::NoSuchSlot(_))), "{text}");
        }
    }
}
