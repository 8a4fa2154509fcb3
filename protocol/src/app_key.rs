//! The data key of an app, and the key pairs of those who may read it: what oracles that share a database agree on.
//!
//! A data key has 16 bytes and is sealed to a holder exactly as age's X25519 stanza seals a file key (c2sp.org/age, "The
//! X25519 recipient type"): share, then body. Whoever grants needs nothing but the holder's public half.

use crate::encoding::hkdf;
use crate::session::x25519::{self, KeyPair};
use age::secrecy::ExposeSecret as _;
use rand::CryptoRng;
use std::fmt;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

/// Bytes of a data key.
const KEY: usize = 16;
/// Bytes of a share, of a public and of a private half.
const HALF: usize = 32;

/// The data key of one app.
pub struct AppKey(Box<Zeroizing<[u8; KEY]>>);

impl fmt::Debug for AppKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AppKey([redacted])")
    }
}

impl AppKey {
    /// Draws one.
    pub fn generate(rng: &mut impl CryptoRng) -> Self {
        let mut key = Box::new(Zeroizing::new([0; KEY]));
        rng.fill_bytes(key.as_mut_slice());
        Self(key)
    }

    /// What the app is sealed under: HKDF-SHA256 of the data key with info "quorate/1 app".
    pub fn sealing_key(&self) -> Zeroizing<[u8; 32]> {
        hkdf(None, self.0.as_slice(), b"quorate/1 app")
    }

    /// Seals it to the holder of a public half; `None` for a half that no key pair has.
    pub fn seal_to(&self, public: &[u8; HALF], rng: &mut impl CryptoRng) -> Option<Vec<u8>> {
        let mut ephemeral = Zeroizing::new([0; HALF]);
        rng.fill_bytes(ephemeral.as_mut_slice());
        let (share, body) = x25519::seal(&self.0, *public, &ephemeral)?;
        Some([share.as_slice(), &body].concat())
    }
}

/// The key pair of whoever may read apps.
pub struct HolderKey(KeyPair);

impl fmt::Debug for HolderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HolderKey([redacted])")
    }
}

impl HolderKey {
    /// Draws a pair: the private half, to be sealed, and the public one.
    pub fn generate(rng: &mut impl CryptoRng) -> (Box<Zeroizing<[u8; HALF]>>, [u8; HALF]) {
        let mut secret = Box::new(Zeroizing::new([0; HALF]));
        rng.fill_bytes(secret.as_mut_slice());
        let public = PublicKey::from(&StaticSecret::from(**secret.as_ref())).to_bytes();
        (secret, public)
    }

    /// The pair of both halves; `None` when the private one has another length.
    pub fn of(secret: &[u8], public: &[u8; HALF]) -> Option<Self> {
        let mut half = Zeroizing::new([0; HALF]);
        if secret.len() != HALF {
            return None;
        }
        half.copy_from_slice(secret);
        Some(Self(KeyPair::new(&half, *public)))
    }

    /// The data key that was sealed to this pair.
    pub fn open(&self, sealed: &[u8]) -> Option<AppKey> {
        let (share, body) = sealed.split_first_chunk::<HALF>()?;
        let file_key = self.0.open(*share, body)?.ok()?;
        Some(AppKey(Box::new(Zeroizing::new(*file_key.expose_secret()))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use age::Identity as _;
    use age_core::format::Stanza;
    use age_core::primitives::bech32_encode;
    use base64::Engine as _;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn what_is_sealed_to_a_holder_opens_for_that_holder_alone_and_is_ages_own() {
        let mut rng = StdRng::seed_from_u64(1);
        let (secret, public) = HolderKey::generate(&mut rng);
        let (other, other_public) = HolderKey::generate(&mut rng);
        let key = AppKey::generate(&mut rng);
        let sealed = key.seal_to(&public, &mut rng).expect("a good key");
        let holder = HolderKey::of(secret.as_slice(), &public).expect("32 bytes");
        assert_eq!(*holder.open(&sealed).expect("its own").0, *key.0);
        assert_ne!(*holder.open(&sealed).expect("its own").sealing_key(), [0; 32]);
        let other = HolderKey::of(other.as_slice(), &other_public).expect("32 bytes");
        assert!(other.open(&sealed).is_none());
        for at in [0, 31, 32, sealed.len() - 1] {
            let mut bad = sealed.clone();
            bad[at] ^= 1;
            assert!(holder.open(&bad).is_none(), "byte {at}");
        }
        assert!(holder.open(&sealed[..31]).is_none());

        let identity = bech32_encode(bech32::Hrp::parse_unchecked("age-secret-key-"), secret.as_slice());
        let identity: age::x25519::Identity = identity.to_uppercase().parse().expect("an identity");
        let share = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&sealed[..32]);
        let stanza = Stanza { tag: "X25519".to_owned(), args: vec![share], body: sealed[32..].to_vec() };
        let theirs = identity.unwrap_stanza(&stanza).expect("for it").expect("well-formed");
        assert_eq!(theirs.expose_secret(), key.0.as_slice());
    }

    #[test]
    fn a_half_of_small_order_is_refused() {
        let mut rng = StdRng::seed_from_u64(1);
        assert!(AppKey::generate(&mut rng).seal_to(&[0; 32], &mut rng).is_none());
        assert!(HolderKey::of(&[1; 31], &[2; 32]).is_none());
    }
}
