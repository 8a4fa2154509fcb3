//! PIN protocols one and two (CTAP 2.1 §6.5.6 and §6.5.7): how a PIN reaches a key unseen, and how what is asked is signed with the
//! token that the key gives for it. It must not know messages.

use super::cbor::Value;
use super::{FidoError, FidoPin, HmacSecrets, hash};
use aes::Aes256;
use cbc::cipher::block_padding::NoPadding;
use cbc::cipher::{BlockModeDecrypt as _, BlockModeEncrypt as _, KeyIvInit as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use p256::elliptic_curve::Generate as _;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey};
use sha2::Sha256;
use zeroize::Zeroizing;

type Key = Zeroizing<[u8; 32]>;

const BLOCK: usize = 16;
/// What a new PIN is padded to.
const PADDED_PIN: usize = 64;

/// Which protocol.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    One,
    Two,
}

/// A secret that was agreed upon with a key, for one exchange.
pub(super) struct Shared {
    protocol: Protocol,
    sign: Key,
    encrypt: Key,
    /// Our half, as the key needs it.
    pub(super) platform_key: Value,
}

/// What a key gives for the right PIN. Signs requests.
pub(super) struct PinToken {
    protocol: Protocol,
    key: Zeroizing<Vec<u8>>,
}

impl Protocol {
    /// The one that we like best of those that the key has. Keys that name none have the first.
    pub(super) fn of(named: &[i64]) -> Result<Self, FidoError> {
        match named {
            [] => Ok(Self::One),
            named if named.contains(&2) => Ok(Self::Two),
            named if named.contains(&1) => Ok(Self::One),
            _ => Err(FidoError::NotSupported("the PIN protocols 1 and 2")),
        }
    }

    pub(super) fn number(self) -> i64 {
        match self {
            Self::One => 1,
            Self::Two => 2,
        }
    }

    fn authenticate(self, key: &[u8], message: &[u8]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
        mac.update(message);
        let mut tag = mac.finalize().into_bytes().to_vec();
        if self == Self::One {
            tag.truncate(16);
        }
        tag
    }
}

impl Shared {
    /// Agrees with the key whose half is `theirs`, a `COSE_Key`.
    pub(super) fn agree(protocol: Protocol, theirs: &Value) -> Result<Self, FidoError> {
        let strange = || FidoError::Unexpected { command: "key agreement", answer: "no point of P-256".to_owned() };
        let coordinate = |at| theirs.at(at).and_then(Value::bytes).filter(|bytes| bytes.len() == 32);
        let (x, y) = coordinate(-2).zip(coordinate(-3)).ok_or_else(strange)?;
        let point = PublicKey::from_sec1_bytes(&[&[4], x, y].concat()).map_err(|_| strange())?;
        let own = SecretKey::generate();
        let secret = own.diffie_hellman(&point);
        let shared_x: Key = Zeroizing::new((*secret.raw_secret_bytes()).into());
        let (sign, encrypt) = match protocol {
            Protocol::One => {
                let key = Zeroizing::new(hash(&*shared_x));
                (key.clone(), key)
            }
            Protocol::Two => (derive(&shared_x, b"CTAP2 HMAC key"), derive(&shared_x, b"CTAP2 AES key")),
        };
        let public = own.public_key().to_sec1_point(false);
        let bytes = public.as_bytes();
        let int = Value::Int;
        // COSE_Key with algorithm ECDH-ES + HKDF-256, as the standard asks, though neither protocol does that.
        let platform_key = Value::Map(vec![
            (int(1), int(2)),
            (int(3), int(-25)),
            (int(-1), int(1)),
            (int(-2), Value::Bytes(bytes[1..33].to_vec())),
            (int(-3), Value::Bytes(bytes[33..].to_vec())),
        ]);
        Ok(Self { protocol, sign, encrypt, platform_key })
    }

    /// What proves that we know the PIN.
    pub(super) fn pin_hash(&self, pin: &FidoPin) -> Vec<u8> {
        let digest = Zeroizing::new(hash(pin.expose().as_bytes()));
        self.encrypted(&digest[..16])
    }

    /// A new PIN, with its length hidden.
    pub(super) fn new_pin(&self, pin: &FidoPin) -> Vec<u8> {
        let mut padded = Zeroizing::new([0; PADDED_PIN]);
        padded[..pin.expose().len()].copy_from_slice(pin.expose().as_bytes());
        self.encrypted(&*padded)
    }

    /// What a key wants to know before it makes secrets of salts (CTAP 2.1 §12.5).
    pub(super) fn salts(&self, salts: [&[u8; 32]; 2]) -> Value {
        let encrypted = self.encrypted(&salts.map(|salt| *salt).concat());
        let tag = self.authenticate(&encrypted);
        let mut parts = vec![
            (Value::Int(1), self.platform_key.clone()),
            (Value::Int(2), Value::Bytes(encrypted)),
            (Value::Int(3), Value::Bytes(tag)),
        ];
        if self.protocol != Protocol::One {
            parts.push((Value::Int(4), Value::Int(self.protocol.number())));
        }
        Value::Map(parts)
    }

    /// What the key made of them.
    pub(super) fn secrets(&self, encrypted: &[u8]) -> Option<HmacSecrets> {
        let plain = self.decrypted(encrypted)?;
        let (first, second) = plain.split_first_chunk::<32>()?;
        Some(HmacSecrets::new([*first, second.try_into().ok()?]))
    }

    /// Signs a change of PIN.
    pub(super) fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        self.protocol.authenticate(&*self.sign, message)
    }

    /// The token that the key gave, decrypted.
    pub(super) fn token(&self, encrypted: &[u8]) -> Result<PinToken, FidoError> {
        let key = self.decrypted(encrypted).filter(|key| matches!(key.len(), 16 | 32));
        let strange = || FidoError::Unexpected { command: "PIN token", answer: "of no possible length".to_owned() };
        Ok(PinToken { protocol: self.protocol, key: key.ok_or_else(strange)? })
    }

    /// `plain` is of whole blocks.
    fn encrypted(&self, plain: &[u8]) -> Vec<u8> {
        let iv = self.protocol.fresh_iv();
        let cipher = cbc::Encryptor::<Aes256>::new(&(*self.encrypt).into(), &iv.into());
        let encrypted = cipher.encrypt_padded_vec::<NoPadding>(plain);
        match self.protocol {
            Protocol::One => encrypted,
            Protocol::Two => [&iv[..], &encrypted].concat(),
        }
    }

    fn decrypted(&self, encrypted: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let (iv, encrypted) = match self.protocol {
            Protocol::One => (&[0; BLOCK], encrypted),
            Protocol::Two => encrypted.split_first_chunk::<BLOCK>()?,
        };
        let cipher = cbc::Decryptor::<Aes256>::new(&(*self.encrypt).into(), &(*iv).into());
        cipher.decrypt_padded_vec::<NoPadding>(encrypted).ok().map(Zeroizing::new)
    }
}

impl Protocol {
    fn fresh_iv(self) -> [u8; BLOCK] {
        match self {
            Self::One => [0; BLOCK],
            Self::Two => rand::random(),
        }
    }
}

impl PinToken {
    pub(super) fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Signs what is asked.
    pub(super) fn authenticate(&self, message: &[u8]) -> Vec<u8> {
        self.protocol.authenticate(&self.key, message)
    }
}

fn derive(secret: &Key, info: &[u8]) -> Key {
    let mut key = Key::default();
    let hkdf = hkdf::Hkdf::<Sha256>::new(Some(&[0; 32]), &**secret);
    hkdf.expand(info, &mut *key).expect("32 bytes are within the limit of HKDF");
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both ends of an agreement, the key's made of ours: its secret is what we would have had.
    fn shared(protocol: Protocol) -> Shared {
        let theirs = SecretKey::generate().public_key().to_sec1_point(false);
        let bytes = theirs.as_bytes();
        let point = Value::Map(vec![
            (Value::Int(-2), Value::Bytes(bytes[1..33].to_vec())),
            (Value::Int(-3), Value::Bytes(bytes[33..].to_vec())),
        ]);
        Shared::agree(protocol, &point).unwrap()
    }

    #[test]
    fn what_is_encrypted_is_decrypted_and_hides_its_length() {
        for (protocol, overhead, tag) in [(Protocol::One, 0, 16), (Protocol::Two, BLOCK, 32)] {
            let shared = shared(protocol);
            let short = shared.new_pin(&FidoPin::parse("4711".into()).unwrap());
            let long = shared.new_pin(&FidoPin::parse("x".repeat(63).into()).unwrap());
            assert_eq!((short.len(), long.len()), (PADDED_PIN + overhead, PADDED_PIN + overhead));
            assert_eq!(shared.decrypted(&short).unwrap()[..5], *b"4711\0");
            let proof = shared.pin_hash(&FidoPin::parse("4711".into()).unwrap());
            assert_eq!(*shared.decrypted(&proof).unwrap(), hash(b"4711")[..16]);
            let token = shared.token(&shared.encrypted(&[7; 32])).unwrap();
            assert_eq!((token.authenticate(b"x").len(), shared.authenticate(b"x").len()), (tag, tag));
            assert!(shared.token(&[0; 17]).is_err() && shared.token(&[]).is_err() && shared.token(&[0; 128]).is_err());
        }
    }

    #[test]
    fn a_point_off_the_curve_gets_nothing() {
        let bytes = |byte| Value::Bytes(vec![byte; 32]);
        for point in [
            Value::Null,
            Value::Map(vec![(Value::Int(-2), bytes(1))]),
            Value::Map(vec![(Value::Int(-2), bytes(1)), (Value::Int(-3), bytes(2))]),
            Value::Map(vec![(Value::Int(-2), Value::Bytes(vec![1; 31])), (Value::Int(-3), bytes(2))]),
        ] {
            assert!(Shared::agree(Protocol::Two, &point).is_err());
        }
    }

    #[test]
    fn the_later_protocol_is_preferred() {
        for (named, wanted) in
            [(&[][..], Protocol::One), (&[1], Protocol::One), (&[1, 2], Protocol::Two), (&[2], Protocol::Two)]
        {
            assert_eq!(Protocol::of(named).unwrap(), wanted);
        }
        assert!(Protocol::of(&[3]).is_err());
    }
}
