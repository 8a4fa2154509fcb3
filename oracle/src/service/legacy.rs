//! What serverless-mfa-api encrypted and hashed: AES-256 in counter mode under the API secret itself, without anything that
//! would tell an altered ciphertext, and bcrypt of the secret. Read here, and never written.

use aes::Aes256;
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use ctr::Ctr128BE;
use quorate_protocol::encoding::from_base64;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr as _;
use zeroize::Zeroizing;

/// Bytes of the initial counter in front of a ciphertext.
const COUNTER: usize = 16;
/// Bytes of an API secret, and so of the key that it is.
const KEY: usize = 32;
/// The highest cost of a hash that is admitted; the other service's is 10, and each step doubles it.
const MAX_COST: u32 = 12;

/// An initial counter and what was encrypted from there on. Whether it was altered cannot be told.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ciphertext(quorate_protocol::encoding::Base64);

impl Ciphertext {
    /// Reads `BASE64:BASE64`, counter and ciphertext.
    pub fn parse(text: &str) -> Option<Self> {
        let (counter, encrypted) = text.split_once(':')?;
        let (counter, encrypted) = (from_base64(counter)?, from_base64(encrypted)?);
        (counter.len() == COUNTER).then(|| Self::from_bytes([counter.as_slice(), &encrypted].concat()))?
    }

    /// Takes counter and ciphertext in a row.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Self> {
        (bytes.len() > COUNTER).then(|| Self(bytes.into()))
    }

    /// Both in a row.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0.0
    }

    /// Bytes that were encrypted.
    pub fn plain_len(&self) -> usize {
        self.as_bytes().len().saturating_sub(COUNTER)
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ciphertext({} bytes)", self.plain_len())
    }
}

/// What one API key's records were encrypted under.
#[derive(Clone)]
pub struct LegacyKey(Box<Zeroizing<[u8; KEY]>>);

impl LegacyKey {
    /// The key that an API secret is, if it is one of the other service: 32 bytes in standard base64.
    pub fn of_secret(secret: &str) -> Option<Self> {
        Self::from_bytes(&from_base64(secret)?)
    }

    /// Takes its bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut key = Box::new(Zeroizing::new([0; KEY]));
        if bytes.len() != KEY {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    /// Its bytes, to be sealed.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    /// Decrypts. The result is nonsense when the key is another's or the ciphertext was altered: look at it before it is used.
    pub fn decrypt(&self, ciphertext: &Ciphertext) -> Zeroizing<Vec<u8>> {
        let (counter, encrypted) = ciphertext.as_bytes().split_at(COUNTER);
        let mut plain = Zeroizing::new(encrypted.to_vec());
        Ctr128BE::<Aes256>::new_from_slices(self.as_bytes(), counter)
            .expect("key and counter have their lengths")
            .apply_keystream(&mut plain);
        plain
    }
}

impl fmt::Debug for LegacyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LegacyKey([redacted])")
    }
}

/// A bcrypt hash of an API secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BcryptHash(String);

impl BcryptHash {
    /// Reads `$2a$10$…`; `None` for what is no such hash, or costs more than this oracle is willing to spend.
    pub fn parse(text: &str) -> Option<Self> {
        let cost = bcrypt::HashParts::from_str(text).ok()?.get_cost();
        (4..=MAX_COST).contains(&cost).then(|| Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is of that secret. Takes some 60 milliseconds: call it on a thread for cryptography.
    pub fn matches(&self, secret: &str) -> bool {
        bcrypt::verify(secret, &self.0).unwrap_or(false)
    }
}

impl fmt::Debug for BcryptHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BcryptHash([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::encoding::base64;

    /// NIST SP 800-38A, F.5.5: CTR-AES256.
    #[test]
    fn the_published_vector_decrypts() {
        let hex = |text: &str| data_encoding::HEXLOWER.decode(text.as_bytes()).unwrap();
        let key = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
        let counter = hex("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
        let encrypted = hex("601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5");
        let text = format!("{}:{}", base64(&counter), base64(&encrypted));
        let plain = LegacyKey::of_secret(&base64(&key)).unwrap().decrypt(&Ciphertext::parse(&text).unwrap());
        assert_eq!(plain.as_slice(), hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"));
    }

    #[test]
    fn what_is_no_ciphertext_key_or_hash_is_told() {
        let counter = base64(&[0; 16]);
        for text in
            ["", ":", &counter, &format!("{counter}:"), &format!("{counter}:*"), &format!("{}:QQ==", base64(&[0; 15]))]
        {
            assert_eq!(Ciphertext::parse(text), None, "{text}");
        }
        assert_eq!(Ciphertext::from_bytes(vec![0; 16]), None);
        assert!(LegacyKey::of_secret(&base64(&[0; 31])).is_none());
        assert!(LegacyKey::of_secret("E086600E-3DBF-4C23-A0DA-9C55D448").is_none());
        let good = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
        assert!(BcryptHash::parse(good).is_some());
        for text in
            ["", &good[1..], &good.replace("$10$", "$31$"), &good.replace("$2a$", "$1$"), &good.replace('y', "é")]
        {
            assert_eq!(BcryptHash::parse(text), None, "{text}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let key = LegacyKey::from_bytes(&[7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), "LegacyKey([redacted])");
        let text = Ciphertext::from_bytes(vec![7; 20]).unwrap();
        assert_eq!((format!("{text:?}").as_str(), text.plain_len()), ("Ciphertext(4 bytes)", 4));
    }
}
