//! The file of a soft token: TOML that a person can read, with every private key sealed. Knows no disk.
//!
//! A random key seals the private keys of policies "once" and "always"; it is itself sealed twice, under the PIN and
//! under the PUK. Keys of policy "never" are sealed under a key that lies open in the file, as the policy says. Slot,
//! label, policies, date and public key are the associated data of each private key: an altered one no longer opens.
//! The counters cannot be sealed, since they change before any code is known: whoever can write the file can also
//! put an older copy in its place.

use std::path::Path;

use jiff::Timestamp;
use p256::{PublicKey, SecretKey};
use quorate_protocol::encoding::Base64;
use quorate_protocol::p256_stanza::compressed;
use quorate_protocol::recipient::{KeyId, NativeRecipient};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use super::{PIN_LABEL, PUK_LABEL};
use crate::token::soft::seal::{self, Cost, SealKey};
use crate::token::soft::store::Kept;
use crate::token::soft::tries::Tries;
use crate::token::{KeyOrigin, NewKey, Pin, PinPolicy, PivKey, Puk, Slot, TokenError, TouchPolicy};

/// Names the format and its version; the first thing in the file after its comments.
const FORMAT: &str = "quorate-soft-piv/1";
/// How the first line that is no comment begins, in this version and in later ones.
const FORMAT_LINE: &str = "format = \"quorate-soft-piv/";
const SALT_BYTES: usize = 16;

const HEADER: &str = "\
# A soft token of quorate: keys for trying out, for tests and for low stakes.
# Its private keys are sealed with a PIN that is counted here, so keep one copy only and let no one else read it:
# guesses made on a copy are not counted. Show it with `quorate key list -i FILE`.

";

/// Whether a file claims to be a soft token, of this version or another.
pub fn is_soft_token(text: &str) -> bool {
    let first = text.lines().find(|line| !line.trim().is_empty() && !line.starts_with('#'));
    first.is_some_and(|line| line.starts_with(FORMAT_LINE))
}

#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Envelope {
    format: String,
    pub(super) serial: u32,
    pub(super) name: String,
    /// Opens the keys of PIN policy "never".
    open_key: Base64,
    pub(super) pin: Lock,
    pub(super) puk: Lock,
    #[serde(default, rename = "key", skip_serializing_if = "Vec::is_empty")]
    pub(super) keys: Vec<KeyEntry>,
}

/// The token's key under one of its codes.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lock {
    pub(super) tries_left: Tries,
    salt: Base64,
    argon2id: Cost,
    sealed: Base64,
}

/// A key: open, except for its private half.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct KeyEntry {
    #[serde(with = "as_text")]
    pub(super) slot: Slot,
    pub(super) label: String,
    #[serde(rename = "recipient", with = "as_recipient")]
    public: PublicKey,
    #[serde(with = "as_text")]
    pub(super) pin_policy: PinPolicy,
    #[serde(with = "as_text")]
    pub(super) touch_policy: TouchPolicy,
    #[serde(with = "as_text")]
    created: Timestamp,
    sealed: Base64,
}

impl Envelope {
    pub(super) fn new(name: &str, pin: &Pin, puk: &Puk) -> Self {
        let key = Zeroizing::new(rand::random::<[u8; 32]>());
        // Eight digits, as printed on real keys.
        let serial = rand::random_range(10_000_000..100_000_000);
        Self {
            format: FORMAT.to_owned(),
            serial,
            name: name.to_owned(),
            open_key: Base64(rand::random::<[u8; 32]>().to_vec()),
            pin: Lock::new(serial, PIN_LABEL, pin.expose(), &key),
            puk: Lock::new(serial, PUK_LABEL, puk.expose(), &key),
            keys: Vec::new(),
        }
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.format != FORMAT {
            return Err("the format is not named once");
        }
        if self.open_key.0.len() != 32 {
            return Err("open_key has not 32 bytes");
        }
        if ![&self.pin, &self.puk].iter().all(|lock| lock.argon2id.acceptable()) {
            return Err("argon2id asks for more than a token needs");
        }
        let repeated = |at: usize| self.keys[..at].iter().any(|entry| entry.slot == self.keys[at].slot);
        if (0..self.keys.len()).any(repeated) {
            return Err("two keys share a slot");
        }
        Ok(())
    }

    /// What seals the keys of PIN policy "never".
    pub(super) fn open_key(&self) -> SealKey {
        Zeroizing::new(self.open_key.0.as_slice().try_into().expect("the length was checked when the file was read"))
    }

    pub(super) fn set_pin(&mut self, pin: &Pin, key: &SealKey) {
        self.pin = Lock::new(self.serial, PIN_LABEL, pin.expose(), key);
    }

    pub(super) fn set_puk(&mut self, puk: &Puk, key: &SealKey) {
        self.puk = Lock::new(self.serial, PUK_LABEL, puk.expose(), key);
    }
}

impl Kept for Envelope {
    /// Nothing is trusted: versions, costs, counts, slots and lengths are checked.
    fn parse(path: &Path, text: &str) -> Result<Self, TokenError> {
        let malformed = |cause: String| TokenError::Malformed { path: path.to_owned(), cause };
        if !is_soft_token(text) {
            return Err(malformed("not a soft token".to_owned()));
        }
        if !text.lines().any(|line| line == format!("format = \"{FORMAT}\"")) {
            return Err(malformed("a soft token of a later version of quorate".to_owned()));
        }
        // The parser's message quotes the line, which may hold sealed bytes but no secret.
        let envelope: Self = toml::from_str(text).map_err(|error| malformed(error.message().to_owned()))?;
        envelope.check().map_err(|cause| malformed(cause.to_owned()))?;
        Ok(envelope)
    }

    fn to_text(&self) -> String {
        let body = toml::to_string(self).expect("strings, numbers and tables are TOML");
        format!("{HEADER}{body}")
    }
}

impl Lock {
    fn new(serial: u32, label: &str, code: &str, key: &SealKey) -> Self {
        let (salt, argon2id) = (rand::random::<[u8; SALT_BYTES]>(), Cost::DEFAULT);
        let stretched = argon2id.stretch(code, &salt).expect("the default cost and a salt of 16 bytes are acceptable");
        let sealed = seal::seal(&stretched, &lock_context(serial, label), &**key);
        Self { tries_left: Tries::ALL, salt: Base64(salt.to_vec()), argon2id, sealed: Base64(sealed) }
    }

    /// The token's key. `None` when the code is wrong, or the lock altered, which looks the same.
    pub(super) fn open(&self, serial: u32, label: &str, code: &str) -> Option<SealKey> {
        let stretched = self.argon2id.stretch(code, &self.salt.0)?;
        seal::open(&stretched, &lock_context(serial, label), &self.sealed.0)
    }
}

impl KeyEntry {
    pub(super) fn sealed(serial: u32, slot: Slot, new: &NewKey, secret: &SecretKey, seal_key: &SealKey) -> Self {
        let mut entry = Self {
            slot,
            label: new.label.clone(),
            public: secret.public_key(),
            pin_policy: new.pin_policy,
            touch_policy: new.touch_policy,
            created: now(),
            sealed: Base64(Vec::new()),
        };
        let mut scalar = secret.to_bytes();
        entry.sealed = Base64(seal::seal(seal_key, &entry.context(serial), &scalar));
        zeroize::Zeroize::zeroize(scalar.as_mut_slice());
        entry
    }

    /// The private key. `None` when it, or anything that is open about it, was altered.
    pub(super) fn open(&self, serial: u32, seal_key: &SealKey) -> Option<SecretKey> {
        let scalar = seal::open(seal_key, &self.context(serial), &self.sealed.0)?;
        SecretKey::from_slice(&*scalar).ok()
    }

    pub(super) fn public_part(&self) -> PivKey {
        PivKey {
            slot: self.slot,
            label: self.label.clone(),
            public: self.public,
            pin_policy: Some(self.pin_policy),
            touch_policy: Some(self.touch_policy),
            created: Some(self.created),
            origin: KeyOrigin::Software,
        }
    }

    /// Everything open about the key. Only the label has a length of its own, so it stands last.
    fn context(&self, serial: u32) -> Vec<u8> {
        let policies = [self.pin_policy.to_string(), self.touch_policy.to_string()].join("/");
        let fixed = format!("quorate/1 soft-piv key\0{serial}/{}/{policies}/{}/", self.slot, self.created);
        [fixed.as_bytes(), &compressed(&self.public), self.label.as_bytes()].concat()
    }
}

fn lock_context(serial: u32, label: &str) -> Vec<u8> {
    [label.as_bytes(), &serial.to_be_bytes()].concat()
}

/// Now, to the second: nobody needs a key's birth more precisely.
fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Values that TOML holds in their own spelling.
mod as_text {
    use super::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<T: ToString, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&value.to_string())
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Public keys, written as people hand them out: `age1yubikey1…`.
mod as_recipient {
    use super::{Deserialize, Deserializer, KeyId, NativeRecipient, PublicKey, Serializer, de};

    pub(super) fn serialize<S: Serializer>(public: &PublicKey, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&NativeRecipient::yubikey(public).to_string())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PublicKey, D::Error> {
        let recipient: NativeRecipient = String::deserialize(deserializer)?.parse().map_err(de::Error::custom)?;
        let KeyId::P256(point) = recipient.key_id() else { return Err(de::Error::custom("not a P-256 key")) };
        PublicKey::from_sec1_bytes(&point).map_err(de::Error::custom)
    }
}
