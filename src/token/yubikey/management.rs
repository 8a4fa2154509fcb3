//! What it takes to write to a card: proving its management key, keeping that key under the PIN, and letting go of it.
//! Uses the `yubikey` crate, which knows the management keys of every firmware (3DES, and AES since 5.7).
//! It must not know people.

use yubikey::{MgmAlgorithmId, MgmKey, YubiKey};
use zeroize::Zeroizing;

use super::apdu::{Command, Status, joined, object, objects, tlv};
use super::link::{Channel, Fault, Link};
use super::pin_verdict;
use super::piv::{ADMIN, PRINTED};
use super::worker::Turn;
use crate::token::{Pin, TokenError};

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

/// How often it is tried again when another program has reset the card between the proof and what needs it.
const ATTEMPTS: u8 = 3;

/// A management key that somebody entered.
pub(super) type Entered = Zeroizing<Vec<u8>>;

/// Does something that needs the management key, in one transaction. In the end the card is reset, whatever came of it:
/// otherwise every program that shares the card could go on writing to it. That costs the PIN too, which is verified again.
pub(super) fn managed<T>(
    link: &mut Link,
    turn: &Turn,
    pin: &Pin,
    entered: Option<&Entered>,
    work: impl Fn(&Channel<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut attempts = 1..=ATTEMPTS;
    loop {
        let result = managed_once(link, turn, pin, entered, &work);
        let was_disturbed =
            matches!(result, Err(Fault::Status(_, Status::SECURITY) | Fault::Reader(pcsc::Error::ResetCard)));
        if attempts.next() == Some(ATTEMPTS) || !was_disturbed {
            return result;
        }
    }
}

fn managed_once<T>(
    link: &mut Link,
    turn: &Turn,
    pin: &Pin,
    entered: Option<&Entered>,
    work: impl FnOnce(&Channel<'_>) -> Result<T, Fault>,
) -> Result<T, Fault> {
    let other = Prover::open(link)?;
    let known = link.transact(turn, |channel| {
        // Opening has cost the PIN on firmware 4.
        if channel.pin_state()?.is_some() {
            pin_verdict(channel.verify(pin)?)?;
        }
        Ok((algorithm(channel)?, protected_key(channel)?))
    })?;
    let proved = prove(link, turn, other, known, entered);
    let result = link.transact_and_reset(turn, |channel| proved.and_then(|()| work(channel)));
    if matches!(result, Err(Fault::Token(TokenError::WrongPin { .. } | TokenError::PinBlocked))) {
        // A PIN that was refused is not offered again.
        return result;
    }
    let verified = link.transact(turn, |channel| Ok(pin_verdict(channel.verify(pin)?)?));
    result.and_then(|value| verified.map(|()| value))
}

/// Proves the management key: the one under the PIN, else the one that was entered, else the factory's. The factory's is
/// replaced by a random one under the PIN, so that whoever finds the key cannot write to it. [`TokenError::ManagementKey`] when
/// none fits.
fn prove(
    link: &mut Link,
    turn: &Turn,
    mut prover: Prover,
    (algorithm, protected): (MgmAlgorithmId, Option<Entered>),
    entered: Option<&Entered>,
) -> Result<(), Fault> {
    turn.begin()?;
    let factory = Zeroizing::new(FACTORY_KEY.to_vec());
    for (key, is_factory) in [(protected.as_ref(), false), (entered, false), (Some(&factory), true)] {
        let Some(key) = key.and_then(|key| MgmKey::from_bytes(key, Some(algorithm)).ok()) else { continue };
        if prover.authenticate(&key)? {
            return if is_factory { link.transact(turn, |channel| protect(channel, algorithm)) } else { Ok(()) };
        }
    }
    Err(TokenError::ManagementKey.into())
}

/// The other library's connection. What is proved on it holds for the card, on every connection.
struct Prover {
    card: Option<YubiKey>,
}

impl Prover {
    fn open(link: &Link) -> Result<Self, Fault> {
        let explain = |error| explain("connect", error);
        let mut context = yubikey::reader::Context::open().map_err(explain)?;
        let mut readers = context.iter().map_err(explain)?;
        let wanted = link.reader.to_string_lossy();
        let reader = readers.find(|reader| reader.name() == wanted).ok_or(TokenError::Removed)?;
        let card = reader.open().map_err(explain)?;
        let serial = card.serial().0;
        let opened = Self { card: Some(card) };
        if serial == link.serial { Ok(opened) } else { Err(TokenError::Removed.into()) }
    }

    fn authenticate(&mut self, key: &MgmKey) -> Result<bool, Fault> {
        match self.card.as_mut().expect("it is taken when dropped").authenticate(key) {
            Ok(()) => Ok(true),
            Err(yubikey::Error::PcscError { inner: Some(error) }) => Err(error.into()),
            Err(_) => Ok(false),
        }
    }
}

impl Drop for Prover {
    fn drop(&mut self) {
        if let Some(card) = self.card.take() {
            // Dropping it would reset the card too early. Nothing is left to be done about one that is gone.
            let _ = card.disconnect(pcsc::Disposition::LeaveCard);
        }
    }
}

fn explain(command: &'static str, error: yubikey::Error) -> Fault {
    match error {
        yubikey::Error::PcscError { inner: Some(error) } => error.into(),
        other => TokenError::Unexpected { command, answer: other.to_string() }.into(),
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
    let data = joined(&[&[u8::from(algorithm)], &tlv(&[MANAGEMENT], &key)]);
    channel.send(&Command::new("set management key", 0xff, 0xff, 0xff).with(&data))?;
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
        content.extend_from_slice(&tlv(&[tag], value));
    }
    channel.write(id, &tlv(&[wrapper], &content))
}
