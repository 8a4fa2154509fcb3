//! What exports are encrypted with: AES-256-GCM under a key that scrypt (RFC 7914) or PBKDF2 (RFC 8018) makes of a password.
//! What a file may ask for is bounded before any of it is done. It must not know formats.

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::ImportError;

/// Most memory for one derivation, in bytes: four times what Aegis writes (N = 2^15, r = 8).
const MAX_MEMORY: u64 = 128 * 1024 * 1024;
/// Most N · r · p of all derivations that a file asks for: sixteen times what Aegis writes for one.
const MAX_WORK: u64 = 1 << 22;
/// Longest salt, in bytes: 2FAS' has 256.
const MAX_SALT: usize = 1024;

/// One derivation by scrypt.
pub(super) struct Scrypt {
    params: scrypt::Params,
    work: u64,
    salt: Vec<u8>,
}

impl Scrypt {
    /// Refuses what costs too much, and what scrypt does not know.
    pub(super) fn new(n: u64, r: u64, p: u64, salt: Vec<u8>) -> Result<Self, ImportError> {
        let work = n.checked_mul(r).and_then(|block| block.checked_mul(p)).ok_or(ImportError::TooCostly)?;
        let memory =
            n.max(p).checked_mul(r).and_then(|blocks| blocks.checked_mul(128)).ok_or(ImportError::TooCostly)?;
        if work > MAX_WORK || memory > MAX_MEMORY || salt.len() > MAX_SALT || !n.is_power_of_two() || n < 2 {
            return Err(ImportError::TooCostly);
        }
        let small = |number: u64| u32::try_from(number).map_err(|_| ImportError::TooCostly);
        let log_n = u8::try_from(n.trailing_zeros()).map_err(|_| ImportError::TooCostly)?;
        let params = scrypt::Params::new(log_n, small(r)?, small(p)?).map_err(|_| ImportError::TooCostly)?;
        Ok(Self { params, work, salt })
    }

    /// The key for `password`.
    pub(super) fn key(&self, password: &str) -> Zeroizing<[u8; 32]> {
        let mut key = Zeroizing::new([0; 32]);
        scrypt::scrypt(password.as_bytes(), &self.salt, &self.params, &mut *key)
            .expect("32 bytes are a length that scrypt makes");
        key
    }
}

/// Refuses derivations that cost too much together.
pub(super) fn affordable<'a>(derivations: impl IntoIterator<Item = &'a Scrypt>) -> Result<(), ImportError> {
    let mut left = MAX_WORK;
    for derivation in derivations {
        left = left.checked_sub(derivation.work).ok_or(ImportError::TooCostly)?;
    }
    Ok(())
}

/// The key for `password` by PBKDF2 with HMAC-SHA-256.
pub(super) fn pbkdf2(password: &str, salt: &[u8], rounds: u32) -> Result<Zeroizing<[u8; 32]>, ImportError> {
    if salt.len() > MAX_SALT {
        return Err(ImportError::TooCostly);
    }
    let mut key = Zeroizing::new([0; 32]);
    pbkdf2::pbkdf2_hmac::<Sha256>(password.as_bytes(), salt, rounds, &mut *key);
    Ok(key)
}

/// What `key` opens, decrypted where it lies; `None` when it does not fit, or the bytes were changed.
pub(super) fn open(key: &[u8; 32], nonce: [u8; 12], tag: [u8; 16], sealed: Vec<u8>) -> Option<Zeroizing<Vec<u8>>> {
    let mut buffer = Zeroizing::new(sealed);
    let cipher = Aes256Gcm::new(key.into());
    let opened = cipher.decrypt_inout_detached(&nonce.into(), b"", buffer.as_mut_slice().into(), &tag.into());
    opened.is_ok().then_some(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_the_machine_is_refused_before_it_is_tried() {
        for (n, r, p) in [
            (1 << 40, 8, 1),
            (u64::MAX, u64::MAX, u64::MAX),
            (1 << 15, 1 << 40, 1),
            (1 << 15, 8, 1 << 40),
            (1 << 18, 8, 1),
            (2, 1, 1 << 21),
            (1 << 15, 8, 17),
            (0, 8, 1),
            (1, 8, 1),
            (3, 8, 1),
            (1 << 15, 0, 1),
            (1 << 15, 8, 0),
        ] {
            assert!(matches!(Scrypt::new(n, r, p, vec![0; 32]), Err(ImportError::TooCostly)), "{n} {r} {p}");
        }
        assert!(matches!(Scrypt::new(2, 1, 1, vec![0; 1025]), Err(ImportError::TooCostly)));
        assert!(matches!(pbkdf2("", &[0; 1025], 1), Err(ImportError::TooCostly)));
        let own = || Scrypt::new(1 << 15, 8, 1, vec![0; 32]).unwrap();
        assert_eq!(affordable(&[own(), own()]), Ok(()));
        let many: Vec<Scrypt> = (0..17).map(|_| own()).collect();
        assert_eq!(affordable(&many), Err(ImportError::TooCostly));
    }

    #[test]
    fn keys_are_those_of_the_standards() {
        // RFC 7914 §12, the first 32 bytes of its third vector.
        let scrypt = Scrypt::new(1024, 8, 16, b"NaCl".to_vec()).unwrap();
        let expected = "fdbabe1c9d3472007856e7190d01e9fe7c6ad7cbc8237830e77376634b373162";
        assert_eq!(data_encoding::HEXLOWER.encode(&*scrypt.key("password")), expected);
        // RFC 7914 §11, likewise of its first.
        let expected = "55ac046e56e3089fec1691c22544b605f94185216dde0465e68b9d57c20dacbc";
        assert_eq!(data_encoding::HEXLOWER.encode(&*pbkdf2("passwd", b"salt", 1).unwrap()), expected);
    }
}
