//! Bytes that clients send in base64 of either alphabet, padded or not: browsers' libraries do not agree. It must not know
//! what the bytes mean.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Deserializer, de};
use std::fmt;

/// Bytes in one field at most: several times a packed attestation with a chain of certificates.
pub const MAX_BYTES: usize = 16 * 1024;

const CONFIG: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, CONFIG);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, CONFIG);

/// Bytes that came as base64 or base64url.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct EitherBase64(pub Vec<u8>);

/// The bytes of `text`; `None` when it is neither, mixes both, or is longer than any field may be.
pub fn decode(text: &str) -> Option<Vec<u8>> {
    if text.len() > MAX_BYTES.div_ceil(3) * 4 {
        return None;
    }
    let engine = if text.contains(['+', '/']) { STANDARD } else { URL_SAFE };
    engine.decode(text).ok()
}

impl<'de> Deserialize<'de> for EitherBase64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode(&text).map(Self).ok_or_else(|| de::Error::custom("not base64, or too long"))
    }
}

impl fmt::Debug for EitherBase64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EitherBase64({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_alphabets_are_read_with_and_without_padding() {
        for text in ["-_8", "-_8=", "+/8", "+/8="] {
            assert_eq!(decode(text).unwrap(), [0xfb, 0xff], "{text}");
        }
        assert_eq!(decode("").unwrap(), b"");
    }

    #[test]
    fn anything_else_is_refused() {
        for text in ["-/8", "+_8", "a", "a b=", "ab==c", "é", "aaa=="] {
            assert_eq!(decode(text), None, "{text}");
        }
        assert!(decode(&"A".repeat(MAX_BYTES / 3 * 4)).is_some());
        assert_eq!(decode(&"A".repeat(MAX_BYTES / 3 * 4 + 8)), None);
    }
}
