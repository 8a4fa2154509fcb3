//! The keys in a YubiKey's slots: reading what is known of them, and making new ones. It must not know readers.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::YubiKeyToken;
use super::certificate::{AttestationFault, Draft, check_attestation, describe, signed};
use super::link::{Channel, Fault, Version};
use super::management::{Entered, Managed};
use super::piv::{ATTESTATION_CERTIFICATE, certificate_object};
use crate::token::{KeyOrigin, NewKey, PivKey, PivToken, Slot, TokenError, TokenPrompts};

/// In a certificate's object: the certificate, and how it is compressed (0 is not).
const CERTIFICATE: u8 = 0x70;
const COMPRESSION: u8 = 0x71;
const CHECKSUM: u8 = 0xfe;
/// What a key is called whose certificate is missing or cannot be read.
const NAMELESS: &str = "(no readable certificate)";

/// The P-256 keys in the retired slots and in 9d.
pub(super) fn list(channel: &Channel<'_>, has_metadata: bool) -> Result<Vec<PivKey>, Fault> {
    let mut keys = Vec::new();
    for slot in Slot::retired().chain([Slot::KEY_MANAGEMENT]) {
        keys.extend(read(channel, slot, has_metadata)?);
    }
    Ok(keys)
}

/// The key in one slot. What the card says of it is believed before what its certificate says; without metadata, a key is only
/// there for whom can read its certificate.
pub(super) fn read(channel: &Channel<'_>, slot: Slot, has_metadata: bool) -> Result<Option<PivKey>, Fault> {
    let state = if has_metadata { channel.key_metadata(slot)? } else { None };
    let public_of_state = state.as_ref().and_then(|state| state.public);
    if has_metadata && public_of_state.is_none() {
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
fn is_occupied(channel: &Channel<'_>, slot: Slot, has_metadata: bool) -> Result<bool, Fault> {
    Ok(channel.read(certificate_object(slot))?.is_some() || has_metadata && channel.metadata(slot.number())?.is_some())
}

fn choose(channel: &Channel<'_>, wanted: Option<Slot>, has_metadata: bool) -> Result<Slot, Fault> {
    if let Some(slot) = wanted {
        let occupied = is_occupied(channel, slot, has_metadata)?;
        return if occupied { Err(TokenError::SlotOccupied(slot).into()) } else { Ok(slot) };
    }
    for slot in Slot::retired() {
        if !is_occupied(channel, slot, has_metadata)? {
            return Ok(slot);
        }
    }
    Err(TokenError::NoFreeSlot.into())
}

/// Where a key was made, proved by the card's attestation where it can give one. [`TokenError::Attestation`] when the proof
/// says otherwise.
pub(super) fn origin(channel: &Channel<'_>, key: &PivKey, serial: u32) -> Result<KeyOrigin, Fault> {
    let attestation = channel.attest(key.slot)?;
    let issuer = channel.read(ATTESTATION_CERTIFICATE)?;
    let issuer = issuer.as_ref().and_then(|object| uncompressed(object));
    let (Some(attestation), Some(issuer)) = (attestation, issuer) else { return Ok(key.origin) };
    match check_attestation(&attestation, issuer, &key.public, serial) {
        Ok(_) => Ok(KeyOrigin::Attested),
        Err(AttestationFault::Unreadable) => Ok(key.origin),
        Err(AttestationFault::False(why)) => Err(TokenError::Attestation(why).into()),
    }
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
        let (wanted, has_metadata) = (new.slot, self.has_metadata());
        let slot = self.transact(self.patience.answer, move |channel| choose(channel, wanted, has_metadata))?;
        let made = match self.make_pair(slot, new, None) {
            Err(TokenError::ManagementKey) => {
                let entered = self.ask_for_management_key(prompts)?;
                self.make_pair(slot, new, Some(entered))
            }
            made => made,
        };
        let key = PivKey {
            slot,
            label: new.label.clone(),
            public: made?,
            pin_policy: Some(new.pin_policy),
            touch_policy: Some(new.touch_policy),
            // What a certificate can hold.
            created: Timestamp::from_second(Timestamp::now().as_second()).ok(),
            origin: if has_metadata { KeyOrigin::OnDevice } else { KeyOrigin::Unknown },
        };
        let finished = self.certify(&key, prompts).and_then(|()| self.proved(key));
        if finished.is_err() && self.version >= Version::DELETE {
            // A key without certificate would block its slot. It holds nothing yet; if it cannot be deleted, it stays.
            let _ = self.transact(self.patience.answer, move |channel| channel.delete_key(slot));
        }
        finished
    }

    /// The key with its origin, as far as the card can prove it.
    fn proved(&mut self, key: PivKey) -> Result<PivKey, TokenError> {
        let serial = self.info.serial;
        let asked = key.clone();
        let origin = self.transact(self.patience.touch, move |channel| origin(channel, &asked, serial))?;
        self.session.keys.remove(&key.slot);
        Ok(PivKey { origin, ..key })
    }

    fn make_pair(&mut self, slot: Slot, new: &NewKey, entered: Option<Entered>) -> Result<p256::PublicKey, TokenError> {
        let pin = self.session.pin.clone().ok_or(TokenError::PinRequired)?;
        let (pin_policy, touch_policy) = (new.pin_policy, new.touch_policy);
        let made = self.run(self.patience.touch, move |link, busy| {
            let mut managed = Managed::prove(link, busy, &pin, entered.as_ref())?;
            managed.generate(slot, pin_policy, touch_policy)
        })?;
        made.map_err(|fault| self.understand(fault))
    }

    /// Signs and writes the certificate of a new key. The card still holds the management key for proved.
    fn certify(&mut self, key: &PivKey, prompts: &dyn TokenPrompts) -> Result<(), TokenError> {
        let draft = Draft {
            public: &key.public,
            label: &key.label,
            pin_policy: key.pin_policy.unwrap_or(crate::token::PinPolicy::Once),
            touch_policy: key.touch_policy.unwrap_or(crate::token::TouchPolicy::Always),
            created: key.created.unwrap_or_default(),
            serial: rand::random(),
        };
        let to_be_signed = draft.to_be_signed();
        let hash: [u8; 32] = Sha256::digest(&to_be_signed).into();
        let (slot, pin) = (key.slot, self.session.pin.clone().ok_or(TokenError::PinRequired)?);
        self.use_key(key, prompts, move |channel| {
            // A key with PIN policy "always" wants it right before.
            channel.verify(&pin)?;
            let certificate = signed(&to_be_signed, &channel.sign(slot, &hash)?);
            let parts = [(CERTIFICATE, &certificate[..]), (COMPRESSION, &[0]), (CHECKSUM, &[])];
            let object: Vec<u8> = parts.iter().flat_map(|(tag, value)| super::apdu::tlv(&[*tag], value)).collect();
            channel.write(certificate_object(slot), &object)
        })
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
