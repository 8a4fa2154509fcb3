//! API secrets: given out once, kept only as a keyed hash, and the root of what wraps an application's data keys.
//!
//! They are 256 random bits, so a keyed hash checked in constant time protects them as well as any slow one would.

use crate::keys::{KeyedHasher, RootSecret};
use crate::store::Digest;
use hkdf::Hkdf;
use quorate_protocol::encoding::base64;
use rand::CryptoRng;
use sha2::Sha256;
use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Characters of a secret that are looked at; a longer one is wrong.
const MAX_SECRET: usize = 256;

/// An API secret in the clear.
#[derive(Clone)]
pub struct ApiSecret(Zeroizing<String>);

impl ApiSecret {
    /// A new one: 32 random bytes in standard base64.
    pub(super) fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut bytes = Zeroizing::new([0; 32]);
        rng.fill_bytes(bytes.as_mut_slice());
        Self(Zeroizing::new(base64(bytes.as_slice())))
    }

    /// As a client presents it; `None` when it cannot be one.
    pub fn presented(text: &str) -> Option<Self> {
        (!text.is_empty() && text.len() <= MAX_SECRET).then(|| Self(Zeroizing::new(text.to_owned())))
    }

    /// The text, for the one answer that gives it out.
    pub fn into_text(self) -> Zeroizing<String> {
        self.0
    }

    /// The text, to be compared with what an imported key came with.
    pub(super) fn as_text(&self) -> &str {
        &self.0
    }

    /// What wraps the data keys of API key `id`: HKDF-SHA256 (RFC 5869) with salt `id` and info "quorate/1 api secret".
    pub(super) fn wrapping_key(&self, id: &Digest) -> WrappingKey {
        let mut key = Box::new(Zeroizing::new([0; 32]));
        Hkdf::<Sha256>::new(Some(id), self.0.as_bytes())
            .expand(b"quorate/1 api secret", key.as_mut_slice())
            .expect("32 bytes are within HKDF-SHA256's 8,160");
        WrappingKey(key)
    }
}

impl fmt::Debug for ApiSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiSecret(…)")
    }
}

/// Wraps the data keys of one API key.
pub(super) struct WrappingKey(Box<Zeroizing<[u8; 32]>>);

impl WrappingKey {
    pub(super) fn bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(**self.0)
    }
}

/// Makes and checks the stored forms of values and secrets, under keys of their own.
pub(super) struct SecretHasher {
    values: KeyedHasher,
    secrets: KeyedHasher,
}

impl SecretHasher {
    pub(super) fn new(root: &RootSecret) -> Self {
        Self { values: root.hasher("api keys"), secrets: root.hasher("api secrets") }
    }

    /// Names the API key of `value` in the store.
    pub(super) fn id(&self, value: &str) -> Digest {
        self.values.hash(&[value.as_bytes()])
    }

    /// The stored form of a secret, bound to its API key: a copy in another row is worth nothing.
    pub(super) fn hash(&self, id: &Digest, secret: &ApiSecret) -> Digest {
        self.secrets.hash(&[id, secret.0.as_bytes()])
    }

    /// Compares in constant time.
    pub(super) fn matches(&self, id: &Digest, secret: &ApiSecret, hash: &Digest) -> bool {
        self.hash(id, secret).ct_eq(hash).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn hasher(seed: u8) -> SecretHasher {
        SecretHasher::new(&RootSecret::parse(&base64(&[seed; 32]), "test").expect("32 bytes"))
    }

    #[test]
    fn a_secret_matches_its_own_api_key_only() {
        let secret = ApiSecret::generate(&mut StdRng::seed_from_u64(0));
        let other = ApiSecret::generate(&mut StdRng::seed_from_u64(1));
        let hasher = hasher(1);
        let (one, two) = (hasher.id("one"), hasher.id("two"));
        let hash = hasher.hash(&one, &secret);
        assert!(hasher.matches(&one, &secret, &hash));
        assert!(!hasher.matches(&two, &secret, &hash), "the hash in the row of another key");
        assert!(!hasher.matches(&one, &other, &hash));
        assert_ne!(hash, self::hasher(2).hash(&one, &secret), "another root secret");
    }

    #[test]
    fn wrapping_keys_differ_by_secret_and_by_api_key() {
        let secret = ApiSecret::generate(&mut StdRng::seed_from_u64(0));
        let other = ApiSecret::generate(&mut StdRng::seed_from_u64(1));
        let key = secret.wrapping_key(&[1; 32]).bytes();
        assert_ne!(*key, *secret.wrapping_key(&[2; 32]).bytes());
        assert_ne!(*key, *other.wrapping_key(&[1; 32]).bytes());
    }

    #[test]
    fn a_secret_is_44_characters_and_never_shown() {
        let secret = ApiSecret::generate(&mut StdRng::seed_from_u64(0));
        assert_eq!(format!("{secret:?}"), "ApiSecret(…)");
        assert_eq!(secret.into_text().len(), 44);
        assert!(ApiSecret::presented("").is_none());
        assert!(ApiSecret::presented(&"a".repeat(MAX_SECRET + 1)).is_none());
    }
}
