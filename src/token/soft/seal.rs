//! The sealing of soft tokens: Argon2id from a code to a key, XChaCha20-Poly1305 under a key. Knows no file format.

use argon2::{Algorithm, Argon2, Block, Params, Version};
use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, Zeroizing};

/// A symmetric key: wiped when dropped.
pub(in crate::token) type SealKey = Zeroizing<[u8; 32]>;

const NONCE_BYTES: usize = 24;

/// What Argon2id (RFC 9106) costs. A file names its own, within bounds: a stranger's file must not make its reader
/// spend gigabytes or minutes.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub(in crate::token) struct Cost {
    /// Memory, in KiB.
    pub(in crate::token) memory_kib: u32,
    /// Passes over the memory.
    pub(in crate::token) passes: u32,
    /// Degree of parallelism.
    pub(in crate::token) lanes: u32,
}

impl Cost {
    /// Two MiB and one pass take under a millisecond, so that opening a Toc is not felt. More would not save a PIN
    /// of six digits from whoever has the file.
    pub(in crate::token) const DEFAULT: Self = Self { memory_kib: 2048, passes: 1, lanes: 1 };

    /// The dearest that is accepted: 64 MiB and eight passes, well under a second.
    const MAX: Self = Self { memory_kib: 64 * 1024, passes: 8, lanes: 4 };

    /// `None` when Argon2 has no such parameters or they are beyond the bounds.
    fn params(self) -> Option<Params> {
        let bounded =
            self.memory_kib <= Self::MAX.memory_kib && self.passes <= Self::MAX.passes && self.lanes <= Self::MAX.lanes;
        bounded.then(|| Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).ok()).flatten()
    }

    /// Whether a file may ask for this.
    pub(in crate::token) fn acceptable(self) -> bool {
        self.params().is_some()
    }

    /// The key of a code. `None` when the cost is not [`Cost::acceptable`] or the salt too short.
    pub(in crate::token) fn stretch(self, code: &str, salt: &[u8]) -> Option<SealKey> {
        let params = self.params()?;
        let mut memory = vec![Block::default(); params.block_count()];
        let mut key = SealKey::default();
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        let stretched = argon2.hash_password_into_with_memory(code.as_bytes(), salt, &mut *key, &mut memory);
        memory.iter_mut().for_each(Block::zeroize);
        stretched.ok().map(|()| key)
    }
}

/// Nonce and ciphertext.
pub(in crate::token) fn seal(key: &SealKey, associated: &[u8], plain: &[u8]) -> Vec<u8> {
    let nonce: [u8; NONCE_BYTES] = rand::random();
    let payload = Payload { msg: plain, aad: associated };
    let sealed =
        cipher(key).encrypt(&XNonce::from(nonce), payload).expect("a short secret is within the cipher's limit");
    [nonce.as_slice(), &sealed].concat()
}

/// The 32 bytes that were sealed. `None` for another key or anything altered.
pub(in crate::token) fn open(key: &SealKey, associated: &[u8], sealed: &[u8]) -> Option<SealKey> {
    Some(Zeroizing::new(open_any(key, associated, sealed)?.as_slice().try_into().ok()?))
}

/// The same for a secret of whatever length.
pub(in crate::token) fn open_any(key: &SealKey, associated: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
    let payload = Payload { msg: sealed, aad: associated };
    cipher(key).decrypt(&XNonce::from(*nonce), payload).ok().map(Zeroizing::new)
}

fn cipher(key: &SealKey) -> XChaCha20Poly1305 {
    XChaCha20Poly1305::new(&Key::from(**key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_with_its_key_and_context_only() {
        let key = SealKey::new([1; 32]);
        let sealed = seal(&key, b"context", &[7; 32]);
        assert_eq!(*open(&key, b"context", &sealed).unwrap(), [7; 32]);
        assert!(open(&SealKey::new([2; 32]), b"context", &sealed).is_none());
        assert!(open(&key, b"other", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(open(&key, b"context", &altered).is_none(), "byte {at}");
        }
        assert!(open(&key, b"context", &sealed[..20]).is_none());
    }

    #[test]
    fn hostile_costs_are_refused_before_memory_is_taken() {
        for cost in [
            Cost { memory_kib: u32::MAX, ..Cost::DEFAULT },
            Cost { memory_kib: 64 * 1024 + 1, ..Cost::DEFAULT },
            Cost { memory_kib: 0, ..Cost::DEFAULT },
            Cost { passes: u32::MAX, ..Cost::DEFAULT },
            Cost { passes: 0, ..Cost::DEFAULT },
            Cost { lanes: 0, ..Cost::DEFAULT },
            Cost { lanes: 5, ..Cost::DEFAULT },
        ] {
            assert!(!cost.acceptable(), "{cost:?}");
            assert!(cost.stretch("471108", &[0; 16]).is_none());
        }
        assert!(Cost::MAX.acceptable() && Cost::DEFAULT.acceptable());
        assert!(Cost::DEFAULT.stretch("471108", &[0; 4]).is_none());
    }

    /// The expected key was computed with the reference implementation in C.
    #[test]
    fn stretching_is_argon2id() {
        let key = Cost::DEFAULT.stretch("471108", b"saltsaltsaltsalt").unwrap();
        assert_eq!(
            data_encoding::HEXLOWER.encode(&*key),
            "5da46166d3e517dbe42db48737d36de7109d2363fed1423360a2059b87922423"
        );
    }
}
