//! Key material as types: made, read from text, derived. It must not know files.

use super::{KeyError, decode_32};
use crate::state::Entropy;
use ed25519_dalek::{SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit as _, Mac as _};
use quorate_protocol::encoding::{base64, base64url};
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// 32 bytes from which every key for data at rest is derived.
pub struct RootSecret(Box<Zeroizing<[u8; 32]>>);

impl RootSecret {
    /// Reads standard base64 of 32 bytes, as found at `place`.
    pub fn parse(text: &str, place: &str) -> Result<Self, KeyError> {
        let bytes = decode_32(text);
        bytes.map(|bytes| Self(Box::new(bytes))).ok_or_else(|| KeyError::Malformed {
            place: place.to_owned(),
            expected: "standard base64 of 32 bytes; `head -c 32 /dev/urandom | base64` makes one",
        })
    }

    /// A key for one purpose: HKDF-SHA256 (RFC 5869) of the secret with info "quorate/1 oracle\0" ‖ `label`.
    pub fn subkey(&self, label: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.0.as_slice())
            .expand_multi_info(&[b"quorate/1 oracle\0", label.as_bytes()], key.as_mut_slice())
            .expect("32 bytes are within HKDF-SHA256's 8,160");
        key
    }

    /// What makes the keyed hashes of one purpose, under the key of that label.
    pub fn hasher(&self, label: &str) -> KeyedHasher {
        KeyedHasher(self.subkey(label))
    }
}

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret(…)")
    }
}

/// Makes what stands in the store for a name or a secret: whoever has the database alone can neither read nor guess it.
pub struct KeyedHasher(Zeroizing<[u8; 32]>);

impl KeyedHasher {
    /// HMAC-SHA256 of `parts`, one behind the other: of those that differ from call to call only the last may vary in length.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_slice()).expect("HMAC takes any key length");
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for KeyedHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedHasher(…)")
    }
}

/// Characters of a gateway key at least.
const MIN_GATEWAY_KEY: usize = 16;

/// What opens the gateway; only its hash is kept.
pub struct GatewayKey([u8; 32]);

impl GatewayKey {
    /// From its text, as found at `place`; white space around it does not count. What is left of a file that was not written
    /// to its end opens nothing.
    pub fn parse(text: &str, place: &str) -> Result<Self, KeyError> {
        let text = text.trim();
        if text.chars().count() < MIN_GATEWAY_KEY || text.chars().any(char::is_control) {
            let expected =
                "a gateway key: one line of at least 16 characters; `head -c 32 /dev/urandom | base64` makes one";
            return Err(KeyError::Malformed { place: place.to_owned(), expected });
        }
        Ok(Self(Sha256::digest(text.as_bytes()).into()))
    }

    /// Compares in constant time.
    pub fn matches(&self, presented: &[u8]) -> bool {
        self.0.ct_eq(&Sha256::digest(presented)).into()
    }
}

impl fmt::Debug for GatewayKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatewayKey(…)")
    }
}

/// A new 32-byte secret as the text of its file.
pub(super) fn fresh(entropy: &dyn Entropy) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill(bytes.as_mut_slice());
    let mut text = base64(bytes.as_slice());
    text.reserve_exact(1);
    text.push('\n');
    Zeroizing::new(text)
}

/// A new token that can stand in a header or a URL.
pub(super) fn fresh_token(entropy: &dyn Entropy) -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    entropy.fill(bytes.as_mut_slice());
    Zeroizing::new(format!("{}\n", base64url(bytes.as_slice())))
}

/// Reads a private Ed25519 key.
pub(super) fn signing_key(text: &str, place: &str) -> Result<SigningKey, KeyError> {
    let expected = "standard base64 of an Ed25519 key's 32 bytes";
    let bytes = decode_32(text).ok_or_else(|| KeyError::Malformed { place: place.to_owned(), expected })?;
    Ok(SigningKey::from_bytes(&bytes))
}

/// Reads a public Ed25519 key.
pub(super) fn verifying_key(text: &str, place: &str) -> Result<VerifyingKey, KeyError> {
    let bytes = decode_32(text);
    bytes.and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok()).filter(|key| !key.is_weak()).ok_or_else(|| {
        KeyError::Malformed { place: place.to_owned(), expected: "standard base64 of an Ed25519 public key" }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::SeededEntropy;

    #[test]
    fn subkeys_differ_by_label_and_by_secret() {
        let entropy = SeededEntropy::new(1);
        let [one, two] = [(); 2].map(|()| RootSecret::parse(&fresh(&entropy), "test").unwrap());
        assert_eq!(*one.subkey("sessions"), *one.subkey("sessions"));
        assert_ne!(*one.subkey("sessions"), *one.subkey("audit"));
        assert_ne!(*one.subkey("sessions"), *two.subkey("sessions"));
        assert_eq!(format!("{one:?}"), "RootSecret(…)");
    }

    #[test]
    fn a_keyed_hash_is_of_its_purpose_its_secret_and_all_parts() {
        let entropy = SeededEntropy::new(1);
        let [one, two] = [(); 2].map(|()| RootSecret::parse(&fresh(&entropy), "test").unwrap());
        let hash = |root: &RootSecret, label: &str, parts: &[&[u8]]| root.hasher(label).hash(parts);
        let expected = hash(&one, "totps", &[b"uuid"]);
        assert_eq!(hash(&one, "totps", &[b"uu", b"id"]), expected);
        assert_ne!(hash(&one, "totps", &[b"uuid", b"2"]), expected);
        assert_ne!(hash(&one, "imports", &[b"uuid"]), expected);
        assert_ne!(hash(&two, "totps", &[b"uuid"]), expected);
        assert_eq!(format!("{:?}", one.hasher("totps")), "KeyedHasher(…)");
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_repeated() {
        for text in ["", "hunter2", "aHVudGVyMg==", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            let error = RootSecret::parse(text, "QUORATE_ROOT_SECRET").unwrap_err().to_string();
            assert!(error.starts_with("QUORATE_ROOT_SECRET is not") && !error.contains("hunter2"), "{error}");
        }
        let weak = base64(&[0; 32]);
        assert!(verifying_key(&weak, "test").is_err(), "a key of small order signs anything");
    }

    #[test]
    fn the_gateway_key_matches_itself_only() {
        let key = GatewayKey::parse("open sesame, please\n", "test").unwrap();
        assert!(key.matches(b"open sesame, please"));
        assert!(!key.matches(b"open sesame, please\n") && !key.matches(b"") && !key.matches(b"Open sesame, please"));
    }

    #[test]
    fn what_can_be_guessed_is_no_gateway_key() {
        for text in ["", "\n", " \t \n", "hunter2", "fifteen letters", "two lines\nof a file that is none"] {
            let error = GatewayKey::parse(text, "gateway.key").unwrap_err().to_string();
            assert!(error.starts_with("gateway.key is not a gateway key") && !error.contains("hunter2"), "{error}");
        }
        assert!(GatewayKey::parse("sixteen letters!", "test").is_ok());
    }
}
