//! The PIV commands that quorate gives a card (NIST SP 800-73-4, with Yubico's extensions), and its answers as values.
//! It must not know certificates, people or management keys.

use p256::PublicKey;
use p256::elliptic_curve::sec1::ToSec1Point;
use zeroize::Zeroizing;

use super::apdu::{Command, Status, joined, object, tlv};
use super::certificate::{describe_attestation, pin_policy, policy_bytes, touch_policy};
use super::link::{Channel, Fault, Version};
use crate::token::{KeyOrigin, Pin, PinPolicy, Puk, SharedX, Slot, TokenError, TouchPolicy};

/// P-256 in commands (SP 800-78-4, table 6-2).
pub(super) const P256: u8 = 0x11;
/// References of the codes, as slots.
const PIN: u8 = 0x80;
const PUK: u8 = 0x81;
/// The management key, likewise.
const MANAGEMENT_KEY: u8 = 0x9b;
/// A code in a command, filled up (SP 800-73-4 part 2, §2.4.3).
const CODE_BYTES: usize = 8;

/// Data objects.
pub(super) const PRINTED: u32 = 0x5f_c109;
pub(super) const ADMIN: u32 = 0x5f_ff00;
const KEY_MANAGEMENT_CERTIFICATE: u32 = 0x5f_c10b;
const FIRST_RETIRED_CERTIFICATE: u32 = 0x5f_c10d;
pub(super) const ATTESTATION_CERTIFICATE: u32 = 0x5f_ff01;
/// Around every data object.
const DATA: u8 = 0x53;
/// Around dynamic authentication data, and within it: challenge or hash, answer, point.
const AUTHENTICATION: u8 = 0x7c;
const HASH: u8 = 0x81;
const ANSWER: u8 = 0x82;
const POINT: u8 = 0x85;
/// Around a public key.
const ECC_POINT: u8 = 0x86;
/// Around what a new key shall be, and within it: algorithm, and Yubico's policies.
const CONTROL: u8 = 0xac;
const ALGORITHM: u8 = 0x80;
const PIN_POLICY: u8 = 0xaa;
const TOUCH_POLICY: u8 = 0xab;
/// Around a new public key, as the second byte of the tag 7f49.
const NEW_KEY: u8 = 0x49;

/// What became of a code.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Verdict {
    Right,
    /// Tries left; 0 is blocked.
    Wrong(u8),
}

/// What a card says of a PIN or PUK.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct CodeState {
    pub(super) is_default: bool,
    pub(super) tries_left: u8,
}

/// What a card says of a key.
#[derive(Clone, Debug)]
pub(super) struct KeyState {
    /// `None` for a key of another kind.
    pub(super) public: Option<PublicKey>,
    pub(super) pin_policy: Option<PinPolicy>,
    pub(super) touch_policy: Option<TouchPolicy>,
    pub(super) origin: KeyOrigin,
}

/// The object with the certificate of a slot.
pub(super) fn certificate_object(slot: Slot) -> u32 {
    if slot == Slot::KEY_MANAGEMENT {
        return KEY_MANAGEMENT_CERTIFICATE;
    }
    let first = Slot::retired().next().expect("there are twenty");
    FIRST_RETIRED_CERTIFICATE + u32::from(slot.number() - first.number())
}

impl Channel<'_> {
    /// Tries left, or `None` while the PIN is verified: then the card does not tell (before firmware 5.3 nothing else does).
    pub(super) fn pin_state(&self) -> Result<Option<u8>, Fault> {
        let command = Command::new("PIN state", 0x20, 0, PIN);
        match self.try_send(&command)?.0 {
            Status::OK => Ok(None),
            status => status.tries_left().map(Some).ok_or(Fault::Status(command.name, status)),
        }
    }

    pub(super) fn verify(&self, pin: &Pin) -> Result<Verdict, Fault> {
        self.offer(&Command::new("verify PIN", 0x20, 0, PIN).with(&filled(&[pin.expose()])))
    }

    pub(super) fn change_pin(&self, old: &Pin, new: &Pin) -> Result<Verdict, Fault> {
        let codes = filled(&[old.expose(), new.expose()]);
        self.offer(&Command::new("change PIN", 0x24, 0, PIN).with(&codes))
    }

    pub(super) fn change_puk(&self, old: &Puk, new: &Puk) -> Result<Verdict, Fault> {
        let codes = filled(&[old.expose(), new.expose()]);
        self.offer(&Command::new("change PUK", 0x24, 0, PUK).with(&codes))
    }

    pub(super) fn unblock_pin(&self, puk: &Puk, new: &Pin) -> Result<Verdict, Fault> {
        let codes = filled(&[puk.expose(), new.expose()]);
        self.offer(&Command::new("unblock PIN", 0x2c, 0, PIN).with(&codes))
    }

    fn offer(&self, command: &Command) -> Result<Verdict, Fault> {
        match self.try_send(command)?.0 {
            Status::OK => Ok(Verdict::Right),
            status => status.tries_left().map(Verdict::Wrong).ok_or(Fault::Status(command.name, status)),
        }
    }

    /// From firmware 5.3.
    pub(super) fn pin_metadata(&self) -> Result<CodeState, Fault> {
        self.code_metadata(PIN)
    }

    /// From firmware 5.3.
    pub(super) fn puk_metadata(&self) -> Result<CodeState, Fault> {
        self.code_metadata(PUK)
    }

    /// Whether the management key is the factory's, where the card says so. From firmware 5.3.
    pub(super) fn management_key_is_default(&self) -> Result<Option<bool>, Fault> {
        let answer = self.metadata(MANAGEMENT_KEY)?;
        Ok(answer.and_then(|answer| object(&answer, 5).map(|is_default| is_default == [1])))
    }

    fn code_metadata(&self, reference: u8) -> Result<CodeState, Fault> {
        let malformed = || Fault::Malformed("code metadata");
        let answer = self.metadata(reference)?.ok_or_else(malformed)?;
        let is_default = object(&answer, 5).ok_or_else(malformed)? == [1];
        let [_, tries_left] = *object(&answer, 6).ok_or_else(malformed)? else { return Err(malformed()) };
        Ok(CodeState { is_default, tries_left })
    }

    /// What the card says is in a slot. `None` for nothing; on firmware before 5.3 also for a key that was put in, and on
    /// firmware before 4.3 always.
    pub(super) fn key_state(&self, slot: Slot, version: Version) -> Result<Option<KeyState>, Fault> {
        if version >= Version::METADATA {
            return self.key_metadata(slot);
        }
        if version < Version::ATTESTATION {
            return Ok(None);
        }
        // A card attests to what it has made, and to nothing else.
        Ok(self.attest(slot)?.map(|attestation| {
            let (public, pin_policy, touch_policy) = describe_attestation(&attestation);
            KeyState { public, pin_policy, touch_policy, origin: KeyOrigin::OnDevice }
        }))
    }

    /// From firmware 5.3.
    fn key_metadata(&self, slot: Slot) -> Result<Option<KeyState>, Fault> {
        let Some(answer) = self.metadata(slot.number())? else { return Ok(None) };
        let malformed = || Fault::Malformed("key metadata");
        let public = match object(&answer, 1).ok_or_else(malformed)? {
            [P256] => {
                let point = object(&answer, 4).and_then(|key| object(key, ECC_POINT)).ok_or_else(malformed)?;
                Some(PublicKey::from_sec1_bytes(point).map_err(|_| malformed())?)
            }
            _ => None,
        };
        let (pin, touch) = match object(&answer, 2) {
            Some([pin, touch]) => (pin_policy(*pin), touch_policy(*touch)),
            _ => (None, None),
        };
        let origin = match object(&answer, 3) {
            Some([1]) => KeyOrigin::OnDevice,
            Some([2]) => KeyOrigin::Imported,
            _ => KeyOrigin::Unknown,
        };
        Ok(Some(KeyState { public, pin_policy: pin, touch_policy: touch, origin }))
    }

    /// Raw metadata of a slot or code; `None` when there is nothing.
    pub(super) fn metadata(&self, reference: u8) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        self.optional(&Command::new("metadata", 0xf7, 0, reference))
    }

    /// The content of a data object; `None` when there is none, or nothing in it.
    pub(super) fn read(&self, id: u32) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let command = Command::new("read object", 0xcb, 0x3f, 0xff).with(&tlv(&[0x5c], &id_bytes(id)));
        let Some(answer) = self.optional(&command)? else { return Ok(None) };
        let content = object(&answer, DATA).ok_or(Fault::Malformed(command.name))?;
        Ok((!content.is_empty()).then(|| Zeroizing::new(content.to_vec())))
    }

    /// Replaces a data object. Needs the management key.
    pub(super) fn write(&self, id: u32, content: &[u8]) -> Result<(), Fault> {
        let data = joined(&[&tlv(&[0x5c], &id_bytes(id)), &tlv(&[DATA], content)]);
        self.send(&Command::new("write object", 0xdb, 0x3f, 0xff).with(&data)).map(drop)
    }

    /// Multiplies a point with a private key.
    pub(super) fn agree(&self, slot: Slot, peer: &PublicKey) -> Result<SharedX, Fault> {
        let shared = self.private("key agreement", slot, POINT, peer.to_sec1_point(false).as_bytes())?;
        let shared: &[u8; 32] = shared[..].try_into().map_err(|_| Fault::Malformed("key agreement"))?;
        Ok(SharedX::new(*shared))
    }

    /// Signs a SHA-256 hash; the signature is in DER.
    pub(super) fn sign(&self, slot: Slot, hash: &[u8; 32]) -> Result<Vec<u8>, Fault> {
        self.private("signature", slot, HASH, hash).map(|signature| signature.to_vec())
    }

    fn private(&self, name: &'static str, slot: Slot, tag: u8, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Fault> {
        let template = tlv(&[AUTHENTICATION], &joined(&[&tlv(&[ANSWER], &[]), &tlv(&[tag], data)]));
        let answer = self.send(&Command::new(name, 0x87, P256, slot.number()).with(&template))?;
        let value = object(&answer, AUTHENTICATION).and_then(|inner| object(inner, ANSWER));
        value.map(|value| Zeroizing::new(value.to_vec())).ok_or(Fault::Malformed(name))
    }

    /// The card's word that it made the key in a slot, as a certificate; `None` when it cannot say so.
    pub(super) fn attest(&self, slot: Slot) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        let command = Command::new("attestation", 0xf9, slot.number(), 0);
        match self.try_send(&command)? {
            (Status::OK, certificate) => Ok(Some(certificate)),
            // Imported, not there, or not supported: firmwares differ in how they say so.
            _ => Ok(None),
        }
    }

    /// Makes a key pair, over whatever is in the slot. Needs the management key.
    pub(super) fn generate(&self, slot: Slot, pin: PinPolicy, touch: TouchPolicy) -> Result<PublicKey, Fault> {
        let [pin, touch] = policy_bytes(pin, touch);
        let parts = [(ALGORITHM, P256), (PIN_POLICY, pin), (TOUCH_POLICY, touch)];
        let wanted = parts.map(|(tag, value)| [tag, 1, value]).concat();
        let command = Command::new("make a key", 0x47, 0, slot.number()).with(&tlv(&[CONTROL], &wanted));
        let answer = self.send(&command)?;
        let key = answer.strip_prefix(&[0x7f]).and_then(|rest| object(rest, NEW_KEY));
        let point = key.and_then(|key| object(key, ECC_POINT)).ok_or(Fault::Malformed(command.name))?;
        PublicKey::from_sec1_bytes(point).map_err(|_| TokenError::Point.into())
    }

    /// From firmware 5.7. Needs the management key.
    pub(super) fn delete_key(&self, slot: Slot) -> Result<(), Fault> {
        self.send(&Command::new("delete key", 0xf6, 0xff, slot.number())).map(drop)
    }

    /// `None` where the card says that there is nothing, or that it does not know the command.
    fn optional(&self, command: &Command) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        match self.try_send(command)? {
            (Status::OK, answer) => Ok(Some(answer)),
            (Status::NOT_FOUND | Status::NO_REFERENCE | Status::UNKNOWN_COMMAND, _) => Ok(None),
            (status, _) => Err(Fault::Status(command.name, status)),
        }
    }
}

/// Codes one after the other, each filled up with 0xff.
fn filled(codes: &[&str]) -> Zeroizing<Vec<u8>> {
    let mut bytes = Zeroizing::new(vec![0xff; codes.len() * CODE_BYTES]);
    for (place, code) in bytes.chunks_mut(CODE_BYTES).zip(codes) {
        place[..code.len()].copy_from_slice(code.as_bytes());
    }
    bytes
}

fn id_bytes(id: u32) -> [u8; 3] {
    let [_, bytes @ ..] = id.to_be_bytes();
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certificates_are_where_the_standard_has_them() {
        let slot = |text: &str| certificate_object(text.parse().unwrap());
        assert_eq!(slot("82"), 0x5f_c10d);
        assert_eq!(slot("95"), 0x5f_c120);
        assert_eq!(slot("9d"), 0x5f_c10b);
        assert_eq!(id_bytes(slot("9d")), [0x5f, 0xc1, 0x0b]);
    }

    #[test]
    fn codes_are_filled_up() {
        assert_eq!(*filled(&["123456", "12345678"]), *b"123456\xff\xff12345678");
    }
}
