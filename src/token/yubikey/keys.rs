//! The keys in a YubiKey's slots: reading what is known of them, and making new ones. It must not know readers.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::apdu::{Status, joined, tlv};
use super::certificate::{AttestationFault, Draft, check_attestation, describe, signed};
use super::link::{Channel, Fault, Version};
use super::management::{Entered, managed};
use super::piv::{ATTESTATION_CERTIFICATE, certificate_object};
use super::{Finger, YubiKeyToken, pin_verdict};
use crate::token::{KeyOrigin, NewKey, Pin, PivKey, PivToken, Slot, TokenError, TokenPrompts, TouchPolicy};

/// In a certificate's object: the certificate, and how it is compressed (0 is not).
const CERTIFICATE: u8 = 0x70;
const COMPRESSION: u8 = 0x71;
const CHECKSUM: u8 = 0xfe;
/// What a key is called whose certificate is missing or cannot be read.
const NAMELESS: &str = "(no readable certificate)";

/// The P-256 keys in the retired slots and in 9d.
pub(super) fn list(channel: &Channel<'_>, version: Version) -> Result<Vec<PivKey>, Fault> {
    let mut keys = Vec::new();
    for slot in Slot::retired().chain([Slot::KEY_MANAGEMENT]) {
        keys.extend(read(channel, slot, version)?);
    }
    Ok(keys)
}

/// The key in one slot. What the card says of it is believed before what its certificate says: anybody who once could write to
/// the card may have written that. Where the card says nothing (firmware before 4.3, and of a key put in before 5.3), a key is
/// only there for whom can read its certificate, and its origin is unknown.
pub(super) fn read(channel: &Channel<'_>, slot: Slot, version: Version) -> Result<Option<PivKey>, Fault> {
    let state = channel.key_state(slot, version)?;
    let public_of_state = state.as_ref().and_then(|state| state.public);
    // Empty, or a key of another kind.
    if public_of_state.is_none() && (state.is_some() || version >= Version::METADATA) {
        return Ok(None);
    }
    let object = channel.read(certificate_object(slot))?;
    let certificate = object.as_ref().and_then(|object| uncompressed(object));
    let described = certificate.and_then(describe);
    let described = described.filter(|it| public_of_state.is_none_or(|public| public == it.public));
    let Some(public) = public_of_state.or_else(|| Some(described.as_ref()?.public)) else { return Ok(None) };
    let described = described.as_ref();
    Ok(Some(PivKey {
        slot,
        label: described.map_or_else(|| NAMELESS.to_owned(), |it| it.label.clone()),
        public,
        pin_policy: state.as_ref().and_then(|state| state.pin_policy).or_else(|| described?.pin_policy),
        touch_policy: state.as_ref().and_then(|state| state.touch_policy).or_else(|| described?.touch_policy),
        created: described.and_then(|it| it.created),
        origin: state.map_or(KeyOrigin::Unknown, |state| state.origin),
    }))
}

/// The certificate in a certificate's object, in DER; none of ours is compressed.
fn uncompressed(object: &[u8]) -> Option<&[u8]> {
    let parts = super::apdu::objects(object)?;
    let part = |tag| parts.iter().find(|(found, _)| *found == tag).map(|(_, value)| *value);
    let compression = part(COMPRESSION).and_then(|value| value.first()).copied().unwrap_or_default();
    (compression == 0).then(|| part(CERTIFICATE)).flatten()
}

/// Whether anything is in a slot that a new key would replace.
fn is_occupied(channel: &Channel<'_>, slot: Slot, version: Version) -> Result<bool, Fault> {
    Ok(channel.read(certificate_object(slot))?.is_some() || channel.key_state(slot, version)?.is_some())
}

fn choose(channel: &Channel<'_>, wanted: Option<Slot>, version: Version) -> Result<Slot, Fault> {
    if let Some(slot) = wanted {
        let occupied = is_occupied(channel, slot, version)?;
        return if occupied { Err(TokenError::SlotOccupied(slot).into()) } else { Ok(slot) };
    }
    for slot in Slot::retired() {
        if !is_occupied(channel, slot, version)? {
            return Ok(slot);
        }
    }
    Err(TokenError::NoFreeSlot.into())
}

/// Where a key was made, with the card's attestation where it can give one. [`TokenError::Attestation`] when that says
/// otherwise.
pub(super) fn origin(channel: &Channel<'_>, key: &PivKey, serial: u32) -> Result<KeyOrigin, Fault> {
    let attestation = channel.attest(key.slot)?;
    let issuer = channel.read(ATTESTATION_CERTIFICATE)?;
    let issuer = issuer.as_ref().and_then(|object| uncompressed(object));
    let (Some(attestation), Some(issuer)) = (attestation, issuer) else { return Ok(key.origin) };
    match check_attestation(&attestation, issuer, key, serial) {
        Ok(()) => Ok(KeyOrigin::Attested),
        Err(AttestationFault::Unreadable) => Ok(key.origin),
        Err(AttestationFault::False(why)) => Err(TokenError::Attestation(why).into()),
    }
}

/// Makes a key where nothing is, and its certificate; `channel` must have been proved the management key. All in one
/// transaction: no other program can put anything into the slot between the look and the making, nor before what is undone.
fn make(channel: &Channel<'_>, new: &NewKey, pin: &Pin, version: Version, serial: u32) -> Result<PivKey, Fault> {
    let slot = choose(channel, new.slot, version)?;
    let key = PivKey {
        slot,
        label: new.label.clone(),
        public: channel.generate(slot, new.pin_policy, new.touch_policy)?,
        pin_policy: Some(new.pin_policy),
        touch_policy: Some(new.touch_policy),
        // What a certificate can hold.
        created: Timestamp::from_second(Timestamp::now().as_second()).ok(),
        origin: if version >= Version::METADATA { KeyOrigin::OnDevice } else { KeyOrigin::Unknown },
    };
    let finished = certify(channel, &key, new, pin).and_then(|()| origin(channel, &key, serial));
    if finished.is_err() {
        undo(channel, slot, version);
    }
    Ok(PivKey { origin: finished?, ..key })
}

/// Takes back a key that holds nothing yet and would block its slot. What the card will not take back stays.
fn undo(channel: &Channel<'_>, slot: Slot, version: Version) {
    let _ = channel.write(certificate_object(slot), &[]);
    if version >= Version::DELETE {
        let _ = channel.delete_key(slot);
    }
}

/// Signs the certificate of a new key with it, and writes it.
fn certify(channel: &Channel<'_>, key: &PivKey, new: &NewKey, pin: &Pin) -> Result<(), Fault> {
    let draft = Draft {
        public: &key.public,
        label: &key.label,
        pin_policy: new.pin_policy,
        touch_policy: new.touch_policy,
        created: key.created.unwrap_or_default(),
        serial: rand::random(),
    };
    let to_be_signed = draft.to_be_signed();
    let hash: [u8; 32] = Sha256::digest(&to_be_signed).into();
    // A key with PIN policy "always" wants it right before.
    pin_verdict(channel.verify(pin)?)?;
    channel.announce_touch();
    let signature = channel.sign(key.slot, &hash).map_err(|fault| match fault {
        // The PIN is right, so it can only be the touch.
        Fault::Status(_, Status::SECURITY) if new.touch_policy != TouchPolicy::Never => TokenError::TouchTimeout.into(),
        other => other,
    })?;
    let certificate = signed(&to_be_signed, &signature);
    let parts = [(CERTIFICATE, &certificate[..]), (COMPRESSION, &[0]), (CHECKSUM, &[])];
    let [certificate, compression, checksum] = parts.map(|(tag, value)| tlv(&[tag], value));
    channel.write(certificate_object(key.slot), &joined(&[&certificate, &compression, &checksum]))
}

impl YubiKeyToken {
    /// Makes a key, signs its certificate with it, and checks where it was made. The signature wants the touch that the key
    /// will want.
    pub(super) fn make_key(&mut self, new: &NewKey, prompts: &dyn TokenPrompts) -> Result<PivKey, TokenError> {
        new.check_label()?;
        let pin = self.session.pin.clone().ok_or(TokenError::PinRequired)?;
        if !self.pin_verified()? {
            return Err(TokenError::PinRequired);
        }
        pin.check_new().map_err(|_| TokenError::FactoryPin)?;
        match self.make_managed(new, &pin, None, prompts) {
            Err(TokenError::ManagementKey) => {
                let entered = self.ask_for_management_key(prompts)?;
                self.make_managed(new, &pin, Some(entered), prompts)
            }
            made => made,
        }
    }

    fn make_managed(
        &mut self,
        new: &NewKey,
        pin: &Pin,
        entered: Option<Entered>,
        prompts: &dyn TokenPrompts,
    ) -> Result<PivKey, TokenError> {
        let touch = Finger { slot: None, policy: Some(new.touch_policy), label: &new.label, prompts };
        let (wanted, known, version, serial) = (new.clone(), pin.clone(), self.version, self.info.serial);
        let made = self.run(self.patience.touch, Some(touch), move |link, turn| {
            managed(link, turn, &known, entered.as_ref(), |channel| make(channel, &wanted, &known, version, serial))
        })?;
        let made = made.map_err(|fault| self.understand(fault));
        // The reset in the end has emptied the session, and the PIN was verified again.
        if !matches!(made, Err(TokenError::WrongPin { .. } | TokenError::PinBlocked)) && self.worker.is_some() {
            self.session.pin = Some(pin.clone());
        }
        made
    }

    /// A management key that its owner keeps, in hexadecimal.
    fn ask_for_management_key(&self, prompts: &dyn TokenPrompts) -> Result<Entered, TokenError> {
        let question = format!("management key of {}, in hexadecimal", self.info);
        let entered = prompts.passphrase(&question).ok_or(TokenError::ManagementKey)?;
        let text = zeroize::Zeroizing::new(secrecy::ExposeSecret::expose_secret(&entered).trim().to_ascii_lowercase());
        let bytes = data_encoding::HEXLOWER.decode(text.as_bytes()).map_err(|_| TokenError::ManagementKey)?;
        Ok(Entered::new(bytes))
    }
}
