//! Secrets that a security key makes for an application: wiped when dropped, never printed. Knows no key.

use std::fmt;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// What a key makes of two salts (CTAP 2.1 §12.5), 32 bytes of each.
#[derive(Clone, Eq, PartialEq, Zeroize, ZeroizeOnDrop)]
pub struct HmacSecrets([[u8; 32]; 2]);

impl HmacSecrets {
    /// Takes over the output for the first salt and that for the second.
    pub fn new(outputs: [[u8; 32]; 2]) -> Self {
        Self(outputs)
    }

    /// The output for the first salt and that for the second.
    pub fn expose(&self) -> &[[u8; 32]; 2] {
        &self.0
    }
}

impl fmt::Debug for HmacSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HmacSecrets")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_never_shown() {
        assert_eq!(format!("{:?}", Some(HmacSecrets::new([[7; 32]; 2]))), "Some(HmacSecrets)");
    }
}
