//! What may be done to a card only with its management key: proving that key, keeping it under the PIN, making a key pair.
//! Uses the `yubikey` crate, which knows the management keys of every firmware (3DES, and AES since 5.7).
//! It must not know people.

use p256::PublicKey;
use yubikey::piv::{AlgorithmId, RetiredSlotId, SlotId};
use yubikey::{MgmAlgorithmId, MgmKey, PinPolicy as CardPinPolicy, TouchPolicy as CardTouchPolicy, YubiKey};
use zeroize::Zeroizing;

use super::apdu::{Command, object, objects, tlv};
use super::link::{Channel, Fault, Link};
use super::piv::{ADMIN, PRINTED};
use super::worker::Busy;
use crate::token::{Pin, PinPolicy, Slot, TokenError, TouchPolicy};

/// The management key's reference, as a slot.
const MANAGEMENT: u8 = 0x9b;
/// What every key comes with, for 3DES and for AES-192.
const FACTORY_KEY: [u8; 24] = [1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 6, 7, 8];
/// In the printed-information object, which is read with the PIN only: Yubico's wrapper, and in it the management key.
const PROTECTED: u8 = 0x88;
const PROTECTED_KEY: u8 = 0x89;
/// In Yubico's administrative object: its wrapper, and in it flags and the salt of a key derived from the PIN.
const ADMINISTRATIVE: u8 = 0x80;
const FLAGS: u8 = 0x81;
const SALT: u8 = 0x82;
/// The flag that says that the management key is under the PIN.
const KEY_IS_PROTECTED: u8 = 2;

/// A management key that somebody entered.
pub(super) type Entered = Zeroizing<Vec<u8>>;

/// A card to which the management key has been proved, until it is reset or another application is selected.
pub(super) struct Managed {
    card: Option<YubiKey>,
}

impl Managed {
    /// Proves the management key: the one under the PIN, else the one that was entered, else the factory's. The factory's is
    /// replaced by a random one under the PIN, so that whoever finds the key cannot write to it. [`TokenError::ManagementKey`]
    /// when none fits.
    pub(super) fn prove(link: &mut Link, busy: &Busy, pin: &Pin, entered: Option<&Entered>) -> Result<Self, Fault> {
        let mut managed = Self { card: Some(open(link)?) };
        let (algorithm, protected) = link.transact(busy, |channel| {
            // Opening has cost the PIN on firmware 4.
            if channel.pin_state()?.is_some() {
                channel.verify(pin)?;
            }
            Ok((algorithm(channel)?, protected_key(channel)?))
        })?;
        busy.set(true);
        let factory = Zeroizing::new(FACTORY_KEY.to_vec());
        for (key, is_factory) in [(protected.as_ref(), false), (entered, false), (Some(&factory), true)] {
            let Some(key) = key.and_then(|key| MgmKey::from_bytes(key, Some(algorithm)).ok()) else { continue };
            if managed.authenticate(&key)? {
                if is_factory {
                    link.transact(busy, |channel| protect(channel, algorithm))?;
                }
                return Ok(managed);
            }
        }
        Err(TokenError::ManagementKey.into())
    }

    fn authenticate(&mut self, key: &MgmKey) -> Result<bool, Fault> {
        match self.card().authenticate(key) {
            Ok(()) => Ok(true),
            Err(yubikey::Error::PcscError { inner: Some(error) }) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }

    /// Makes a key pair, over whatever is in the slot.
    pub(super) fn generate(&mut self, slot: Slot, pin: PinPolicy, touch: TouchPolicy) -> Result<PublicKey, Fault> {
        let pin = match pin {
            PinPolicy::Always => CardPinPolicy::Always,
            PinPolicy::Never => CardPinPolicy::Never,
            PinPolicy::Once => CardPinPolicy::Once,
        };
        let touch = match touch {
            TouchPolicy::Always => CardTouchPolicy::Always,
            TouchPolicy::Cached => CardTouchPolicy::Cached,
            TouchPolicy::Never => CardTouchPolicy::Never,
        };
        let made = yubikey::piv::generate(self.card(), card_slot(slot), AlgorithmId::EccP256, pin, touch);
        let info = made.map_err(|error| explain("make a key", error))?;
        PublicKey::from_sec1_bytes(info.subject_public_key.raw_bytes()).map_err(|_| TokenError::Point.into())
    }

    fn card(&mut self) -> &mut YubiKey {
        self.card.as_mut().expect("it is taken when dropped")
    }
}

impl Drop for Managed {
    fn drop(&mut self) {
        if let Some(card) = self.card.take() {
            // Dropping it would reset the card, and cost the PIN. Nothing is left to be done about one that is gone.
            let _ = card.disconnect(pcsc::Disposition::LeaveCard);
        }
    }
}

/// A second connection to the card, of the other library.
fn open(link: &Link) -> Result<YubiKey, Fault> {
    let explain = |error| explain("connect", error);
    let mut context = yubikey::reader::Context::open().map_err(explain)?;
    let mut readers = context.iter().map_err(explain)?;
    let wanted = link.reader.to_string_lossy();
    let reader = readers.find(|reader| reader.name() == wanted).ok_or(TokenError::Removed)?;
    let card = reader.open().map_err(explain)?;
    if card.serial().0 == link.serial {
        return Ok(card);
    }
    let _ = card.disconnect(pcsc::Disposition::LeaveCard);
    Err(TokenError::Removed.into())
}

fn explain(command: &'static str, error: yubikey::Error) -> Fault {
    match error {
        yubikey::Error::PcscError { inner: Some(error) } => error.into(),
        other => TokenError::Unexpected { command, answer: other.to_string() }.into(),
    }
}

fn card_slot(slot: Slot) -> SlotId {
    match RetiredSlotId::try_from(slot.number()) {
        Ok(retired) => SlotId::Retired(retired),
        Err(_) => SlotId::KeyManagement,
    }
}

/// Firmware that cannot say knows 3DES only.
fn algorithm(channel: &Channel<'_>) -> Result<MgmAlgorithmId, Fault> {
    let Some(metadata) = channel.metadata(MANAGEMENT)? else { return Ok(MgmAlgorithmId::ThreeDes) };
    let algorithm = object(&metadata, 1).and_then(|value| value.first()).copied();
    let known = algorithm.and_then(|algorithm| MgmAlgorithmId::try_from(algorithm).ok());
    known.ok_or(Fault::Malformed("management key metadata"))
}

fn protected_key(channel: &Channel<'_>) -> Result<Option<Entered>, Fault> {
    let printed = channel.read(PRINTED)?;
    let key = printed.as_ref().and_then(|printed| object(object(printed, PROTECTED)?, PROTECTED_KEY));
    Ok(key.map(|key| Zeroizing::new(key.to_vec())))
}

/// Puts a random management key under the PIN. It is written down first: should the power go in between, the factory key
/// still works, and the next attempt finds it.
fn protect(channel: &Channel<'_>, algorithm: MgmAlgorithmId) -> Result<(), Fault> {
    let bytes = match algorithm {
        MgmAlgorithmId::Aes128 => 16,
        MgmAlgorithmId::Aes192 | MgmAlgorithmId::ThreeDes => 24,
        MgmAlgorithmId::Aes256 => 32,
    };
    let mut key = Zeroizing::new(vec![0; bytes]);
    rand::fill(&mut key[..]);
    change(channel, PRINTED, PROTECTED, &[(PROTECTED_KEY, Some(&key))])?;
    let data = [&[u8::from(algorithm)][..], &tlv(&[MANAGEMENT], &key)].concat();
    channel.send(&Command::new("set management key", 0xff, 0xff, 0xff).with(data))?;
    let administrative = channel.read(ADMIN)?;
    let flags = administrative.as_ref().and_then(|content| object(object(content, ADMINISTRATIVE)?, FLAGS));
    let flags = flags.and_then(<[u8]>::first).copied().unwrap_or_default() | KEY_IS_PROTECTED;
    change(channel, ADMIN, ADMINISTRATIVE, &[(FLAGS, Some(&[flags])), (SALT, None)])
}

/// Replaces, or removes, parts of what is in `wrapper` in a data object, and leaves the rest.
fn change(channel: &Channel<'_>, id: u32, wrapper: u8, changes: &[(u8, Option<&[u8]>)]) -> Result<(), Fault> {
    let before = channel.read(id)?;
    let kept = before.as_ref().and_then(|content| objects(object(content, wrapper)?)).unwrap_or_default();
    let kept = kept.into_iter().filter(|(tag, _)| changes.iter().all(|(changed, _)| changed != tag));
    let new = changes.iter().filter_map(|(tag, value)| value.map(|value| (*tag, value)));
    let mut content = Zeroizing::new(Vec::with_capacity(3 * 1024));
    for (tag, value) in kept.chain(new) {
        content.extend(Zeroizing::new(tlv(&[tag], value)).iter());
    }
    channel.write(id, &Zeroizing::new(tlv(&[wrapper], &content)))
}
