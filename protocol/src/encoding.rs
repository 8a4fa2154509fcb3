//! How bytes travel: base64 in JSON, base64url in links, hexadecimal for names, and length-prefixed fields under
//! signatures. Decoding is strict: one text for one value.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// Bytes that are written as standard, padded base64 (RFC 4648 §4) in JSON.
#[derive(Clone, PartialEq, Eq, Hash, Default)]
pub struct Base64(pub Vec<u8>);

impl Base64 {
    /// The text form.
    pub fn encode(&self) -> String {
        STANDARD.encode(&self.0)
    }
}

impl fmt::Debug for Base64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Base64({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for Base64 {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }
}

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        // The text itself never enters the message: it may be a secret.
        STANDARD.decode(text.as_bytes()).map(Self).map_err(|_| de::Error::custom("not standard padded base64"))
    }
}

/// Standard base64 of `bytes`.
pub fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// Bytes of standard, padded base64; `None` when `text` is anything else.
pub fn from_base64(text: &str) -> Option<Zeroizing<Vec<u8>>> {
    STANDARD.decode(text).ok().map(Zeroizing::new)
}

/// Unpadded base64url of `bytes` (RFC 4648 §5).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Bytes of unpadded base64url; `None` when `text` is anything else.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// SHA-256 over the concatenation of `parts`.
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

/// Each part behind its length as four bytes, big-endian, so that no two lists of parts read the same.
pub fn length_prefixed(parts: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::with_capacity(parts.iter().map(|p| p.len() + 4).sum());
    for part in parts {
        let length = u32::try_from(part.len()).expect("no part comes near 4 GiB: inputs are bounded");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(part);
    }
    out
}

/// HKDF-SHA256 (RFC 5869) of `ikm` with `salt` (absent when `None`) and `info`, 32 bytes.
pub(crate) fn hkdf(salt: Option<&[u8]>, ikm: &[u8], info: &[u8]) -> Zeroizing<[u8; 32]> {
    let mut okm = Zeroizing::new([0; 32]);
    hkdf::Hkdf::<Sha256>::new(salt, ikm)
        .expand(info, okm.as_mut_slice())
        .expect("32 bytes are within HKDF-SHA256's 8,160");
    okm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_parts_do_not_collide() {
        assert_ne!(length_prefixed(&[b"ab", b"c"]), length_prefixed(&[b"a", b"bc"]));
        assert_eq!(length_prefixed(&[b"a"]), [0, 0, 0, 1, b'a']);
    }

    #[test]
    fn base64_has_one_spelling() {
        assert_eq!(from_base64("AQ==").as_deref(), Some(&vec![1]));
        for other in ["AQ", "AR==", "AQ==\n", "A_==", " AQ=="] {
            assert!(from_base64(other).is_none(), "{other:?}");
        }
        assert!(from_base64url("AQ==").is_none());
    }

    #[test]
    fn a_refused_text_is_not_repeated() {
        let error = serde_json::from_str::<Base64>("\"hunter2!\"").expect_err("not base64");
        assert!(!error.to_string().contains("hunter2"));
    }
}
