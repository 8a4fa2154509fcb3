//! Unwrapping age's X25519 stanza (c2sp.org/age, "The X25519 recipient type") with a key whose public half is at hand.
//! `age` itself finds that half again for each file, a fifth of what opening a Toc costs. It must not know sessions.

use crate::encoding::hkdf;
use age::DecryptError;
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::primitives::{aead_decrypt, aead_encrypt};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use x25519_dalek::{PublicKey, StaticSecret};
use zeroize::Zeroizing;

const LABEL: &[u8] = b"age-encryption.org/v1/X25519";
/// Bytes of an authentication tag.
const TAG: usize = 16;

/// A key pair.
pub(crate) struct KeyPair {
    secret: StaticSecret,
    public: PublicKey,
}

impl KeyPair {
    /// Of a secret and the public half that belongs to it.
    pub fn new(secret: &Zeroizing<[u8; 32]>, public: [u8; 32]) -> Self {
        Self { secret: StaticSecret::from(**secret), public: PublicKey::from(public) }
    }

    /// The file key in `stanza`, if it is of this kind and for this key.
    pub fn unwrap(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        if stanza.tag != "X25519" {
            return None;
        }
        // Whatever is not exactly as the format says condemns the file.
        let [share] = stanza.args.as_slice() else { return Some(Err(DecryptError::InvalidHeader)) };
        let share = STANDARD_NO_PAD.decode(share).ok().and_then(|share| <[u8; 32]>::try_from(share).ok());
        let Some(share) = share.filter(|_| stanza.body.len() == FILE_KEY_BYTES + TAG) else {
            return Some(Err(DecryptError::InvalidHeader));
        };
        self.open(share, &stanza.body)
    }

    /// The file key that a stanza of this share and body holds, if it is for this key.
    pub fn open(&self, share: [u8; 32], body: &[u8]) -> Option<Result<FileKey, DecryptError>> {
        let shared = self.secret.diffie_hellman(&PublicKey::from(share));
        if !shared.was_contributory() {
            return Some(Err(DecryptError::InvalidHeader));
        }
        let key = wrapping_key(&share, self.public.as_bytes(), shared.as_bytes());
        // Of another key: others may fit.
        let file_key = Zeroizing::new(aead_decrypt(&key, FILE_KEY_BYTES, body).ok()?);
        Some(Ok(FileKey::init_with_mut(|bytes| bytes.copy_from_slice(&file_key))))
    }
}

/// Share and body of a stanza that holds `file_key` for the key `public`; `None` for a key that makes every secret the same.
/// `ephemeral` is used once, for this.
pub(crate) fn seal(
    file_key: &[u8; FILE_KEY_BYTES],
    public: [u8; 32],
    ephemeral: &Zeroizing<[u8; 32]>,
) -> Option<([u8; 32], Vec<u8>)> {
    let ephemeral = StaticSecret::from(**ephemeral);
    let share = PublicKey::from(&ephemeral).to_bytes();
    let shared = ephemeral.diffie_hellman(&PublicKey::from(public));
    let key = wrapping_key(&share, &public, shared.as_bytes());
    shared.was_contributory().then(|| (share, aead_encrypt(&key, file_key)))
}

fn wrapping_key(share: &[u8; 32], public: &[u8; 32], shared: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    hkdf(Some(&[*share, *public].concat()), shared, LABEL)
}

#[cfg(test)]
mod tests {
    use crate::session::Tek;
    use age::{DecryptError, Identity, Recipient};
    use age_core::format::{FileKey, Stanza};
    use age_core::secrecy::ExposeSecret as _;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    /// What an identity makes of a stanza, comparably.
    fn outcome(identity: &dyn Identity, stanza: &Stanza) -> Option<Result<[u8; 16], bool>> {
        identity.unwrap_stanza(stanza).map(|result| match result {
            Ok(key) => Ok(*key.expose_secret()),
            Err(error) => Err(matches!(error, DecryptError::InvalidHeader)),
        })
    }

    fn wrapped(tek: &Tek) -> Stanza {
        let (mut stanzas, _) = tek.to_public().wrap_file_key(&FileKey::new(Box::new([7; 16]))).expect("wrapped");
        stanzas.remove(0)
    }

    proptest! {
        /// Whatever is done to a stanza, age's own identity and ours say the same of it.
        #[test]
        fn it_is_ages_own(seed: u64, part in 0usize..6, at in 0usize..48, with: u8) {
            let tek = Tek::generate(&mut StdRng::seed_from_u64(seed));
            let mut stanza = wrapped(&tek);
            match part {
                0 => {}
                1 => { let at = at % stanza.body.len(); stanza.body[at] ^= with; }
                2 => stanza.body.truncate(at),
                3 => { let at = at % 43; stanza.args[0].replace_range(at..=at, &char::from(with % 128).to_string()); }
                4 => stanza.args.push(String::new()),
                _ => stanza.tag.push('x'),
            }
            prop_assert_eq!(outcome(&tek, &stanza), outcome(tek.identity(), &stanza));
        }
    }

    #[test]
    fn points_that_make_every_secret_the_same_are_refused() {
        let tek = Tek::generate(&mut StdRng::seed_from_u64(1));
        let mut stanza = wrapped(&tek);
        assert_eq!(outcome(&tek, &stanza), Some(Ok([7; 16])));
        // Zero is of small order.
        stanza.args[0] = "A".repeat(43);
        assert_eq!(outcome(&tek, &stanza), Some(Err(true)));
        assert_eq!(outcome(tek.identity(), &stanza), Some(Err(true)));
        let other = Tek::generate(&mut StdRng::seed_from_u64(2));
        assert_eq!(outcome(&other, &wrapped(&tek)), None);
    }
}
