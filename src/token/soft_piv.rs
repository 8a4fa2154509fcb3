//! A PIV token in a file, for trying out, for tests and for low stakes: whoever can read the file can guess at its
//! PIN without being counted, so a PIN of six digits is no protection against a thief of the file.
//!
//! In everything that people and programs see it behaves as a card: three tries for the PIN and for the PUK,
//! counted across processes and written down before a try is made; policies for PIN and touch; removal. It is a
//! card for as long as its file is there. Knows files; knows no terminal and no age file.
//!
//! A touch is confirmed through [`TokenPrompts`]. Where nobody can answer, the environment variable
//! [`TOUCH_VARIABLE`] does: `yes`, `no` or `timeout`. It works on soft tokens only: no variable touches a real key.

mod envelope;

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, Instant};

use p256::elliptic_curve::Generate;
use p256::{PublicKey, SecretKey};
use zeroize::Zeroizing;

use self::envelope::{Envelope, KeyEntry};
use super::soft::seal::SealKey;
use super::soft::store::{Held, Store};
use super::soft::tries::Tries;
use super::soft::{PATIENCE, touch_from_environment};
use super::{
    NewKey, Pin, PinPolicy, PivKey, PivToken, Puk, SharedX, Slot, TokenError, TokenInfo, TokenKind, TokenPrompts,
    Touch, TouchPolicy, TouchRequest,
};

pub use self::envelope::is_soft_token;
pub use super::soft::TOUCH_VARIABLE;

/// Separates what is sealed under the PIN from what is sealed under the PUK.
const PIN_LABEL: &str = "quorate/1 soft-piv pin\0";
/// See [`PIN_LABEL`].
const PUK_LABEL: &str = "quorate/1 soft-piv puk\0";

/// How long one touch serves a key with touch policy "cached", as on a `YubiKey`.
const TOUCH_LASTS: Duration = Duration::from_secs(15);

/// An open soft token.
pub struct SoftPivToken {
    store: Store<Envelope>,
    info: TokenInfo,
    session: Session,
    touch: Option<Touch>,
    patience: Duration,
}

/// What a card forgets when it is pulled out.
#[derive(Default)]
struct Session {
    unlocked: Option<Unlocked>,
    touched: HashMap<Slot, Instant>,
}

struct Unlocked {
    key: SealKey,
    /// Whether no operation has been done since the PIN was verified.
    fresh: bool,
}

impl SoftPivToken {
    /// Makes a token without keys, never over an existing file; readable by its owner only. Factory defaults are
    /// refused for both codes, which must differ; the name has the limits of a label.
    pub fn create(path: &Path, name: &str, pin: &Pin, puk: &Puk) -> Result<Self, TokenError> {
        pin.check_new()?;
        puk.check_new()?;
        puk.check_differs(pin)?;
        NewKey::recommended(name).check_label()?;
        let envelope = Envelope::new(name, pin, puk);
        let store = Store::create(path, &envelope)?;
        Ok(Self::with(store, &envelope))
    }

    /// Opens a token's file. Asks for nothing: public keys lie open.
    pub fn open(path: &Path) -> Result<Self, TokenError> {
        let (store, envelope) = Store::open(path)?;
        Ok(Self::with(store, &envelope))
    }

    /// Answers every touch itself, as [`TOUCH_VARIABLE`] does. For tests and demonstrations.
    #[must_use]
    pub fn with_touch(mut self, touch: Touch) -> Self {
        self.touch = Some(touch);
        self
    }

    fn with(store: Store<Envelope>, envelope: &Envelope) -> Self {
        let info =
            TokenInfo { kind: TokenKind::Soft, name: envelope.name.clone(), serial: envelope.serial, firmware: None };
        Self { store, info, session: Session::default(), touch: touch_from_environment(), patience: PATIENCE }
    }

    /// The token as it is now. A file that went away, or became another token, is a removed card.
    fn read(&mut self) -> Result<Envelope, TokenError> {
        let read = self.store.read().and_then(|envelope| self.same(envelope));
        self.forget_if_removed(read)
    }

    /// The same, with every other process kept out until the answer is dropped.
    fn hold(&mut self) -> Result<(Held, Envelope), TokenError> {
        let held = self.store.hold(self.patience).and_then(|(held, envelope)| Ok((held, self.same(envelope)?)));
        self.forget_if_removed(held)
    }

    fn same(&self, envelope: Envelope) -> Result<Envelope, TokenError> {
        if envelope.serial == self.info.serial { Ok(envelope) } else { Err(TokenError::Removed) }
    }

    fn forget_if_removed<T>(&mut self, result: Result<T, TokenError>) -> Result<T, TokenError> {
        if matches!(result, Err(TokenError::Removed)) {
            self.session = Session::default();
        }
        result
    }

    /// Spends a try, durably, then makes it. All tries come back with the right code.
    fn attempt(&self, held: &Held, envelope: &mut Envelope, code: Code<'_>) -> Result<SealKey, TokenError> {
        let serial = envelope.serial;
        let lock = code.lock(envelope);
        lock.tries_left = lock.tries_left.take().ok_or_else(|| code.blocked())?;
        self.store.replace(held, envelope)?;
        let lock = code.lock(envelope);
        match lock.open(serial, code.label(), code.text()) {
            Some(key) => {
                lock.tries_left = Tries::ALL;
                // Losing this write would cost the owner a try, which the next right code gives back.
                self.store.replace_soon(held, envelope)?;
                Ok(key)
            }
            None if lock.tries_left == Tries::NONE => Err(code.blocked()),
            None => Err(code.wrong(lock.tries_left.count())),
        }
    }

    fn entry(envelope: &Envelope, slot: Slot) -> Result<&KeyEntry, TokenError> {
        envelope.keys.iter().find(|entry| entry.slot == slot).ok_or(TokenError::NoKey(slot))
    }

    /// The key that opens a private key of this policy now; spends the PIN of an "always" key.
    fn seal_key(&mut self, envelope: &Envelope, policy: PinPolicy) -> Result<SealKey, TokenError> {
        if policy == PinPolicy::Never {
            return Ok(envelope.open_key());
        }
        let unlocked = self.session.unlocked.as_mut().ok_or(TokenError::PinRequired)?;
        if policy == PinPolicy::Always && !unlocked.fresh {
            return Err(TokenError::PinRequired);
        }
        unlocked.fresh = false;
        Ok(unlocked.key.clone())
    }

    fn ask_for_touch(&mut self, entry: &KeyEntry, prompts: &dyn TokenPrompts) -> Result<(), TokenError> {
        let still_served = || self.session.touched.get(&entry.slot).is_some_and(|at| at.elapsed() < TOUCH_LASTS);
        match entry.touch_policy {
            TouchPolicy::Never => return Ok(()),
            TouchPolicy::Cached if still_served() => return Ok(()),
            TouchPolicy::Always | TouchPolicy::Cached => {}
        }
        let request = TouchRequest { token: &self.info, key: &entry.label };
        match self.touch.unwrap_or_else(|| prompts.confirm_touch(&request)) {
            Touch::Given => {
                self.session.touched.insert(entry.slot, Instant::now());
                Ok(())
            }
            Touch::Refused => Err(TokenError::TouchRefused),
            Touch::TimedOut => Err(TokenError::TouchTimeout),
        }
    }

    fn malformed(&self, cause: &str) -> TokenError {
        self.store.malformed(cause)
    }
}

impl PivToken for SoftPivToken {
    fn info(&self) -> &TokenInfo {
        &self.info
    }

    fn keys(&mut self) -> Result<Vec<PivKey>, TokenError> {
        let mut keys: Vec<PivKey> = self.read()?.keys.iter().map(KeyEntry::public_part).collect();
        keys.sort_by_key(|key| key.slot);
        Ok(keys)
    }

    fn generate(&mut self, new: &NewKey, _: &dyn TokenPrompts) -> Result<PivKey, TokenError> {
        new.check_label()?;
        let (held, mut envelope) = self.hold()?;
        let taken = |slot: &Slot| envelope.keys.iter().any(|entry| entry.slot == *slot);
        let slot = match new.slot {
            Some(slot) if taken(&slot) => return Err(TokenError::SlotOccupied(slot)),
            Some(slot) => slot,
            None => Slot::retired().find(|slot| !taken(slot)).ok_or(TokenError::NoFreeSlot)?,
        };
        // Even a key that will never want the PIN is only made by someone who has it.
        let unlocked = self.session.unlocked.as_ref().ok_or(TokenError::PinRequired)?;
        let seal_key = if new.pin_policy == PinPolicy::Never { envelope.open_key() } else { unlocked.key.clone() };
        let entry = KeyEntry::sealed(envelope.serial, slot, new, &SecretKey::generate(), &seal_key);
        let key = entry.public_part();
        envelope.keys.push(entry);
        self.store.replace(&held, &envelope)?;
        Ok(key)
    }

    fn pin_tries(&mut self) -> Result<u8, TokenError> {
        Ok(self.read()?.pin.tries_left.count())
    }

    fn puk_tries(&mut self) -> Result<Option<u8>, TokenError> {
        Ok(Some(self.read()?.puk.tries_left.count()))
    }

    fn pin_verified(&mut self) -> Result<bool, TokenError> {
        self.read()?;
        Ok(self.session.unlocked.is_some())
    }

    fn verify_pin(&mut self, pin: &Pin) -> Result<(), TokenError> {
        let (held, mut envelope) = self.hold()?;
        self.session.unlocked = None;
        let key = self.attempt(&held, &mut envelope, Code::Pin(pin))?;
        self.session.unlocked = Some(Unlocked { key, fresh: true });
        Ok(())
    }

    fn change_pin(&mut self, old: &Pin, new: &Pin) -> Result<(), TokenError> {
        new.check_new()?;
        let (held, mut envelope) = self.hold()?;
        let key = self.attempt(&held, &mut envelope, Code::Pin(old))?;
        envelope.set_pin(new, &key);
        self.store.replace(&held, &envelope)
    }

    fn change_puk(&mut self, old: &Puk, new: &Puk) -> Result<(), TokenError> {
        new.check_new()?;
        let (held, mut envelope) = self.hold()?;
        let key = self.attempt(&held, &mut envelope, Code::Puk(old))?;
        envelope.set_puk(new, &key);
        self.store.replace(&held, &envelope)
    }

    fn unblock_pin(&mut self, puk: &Puk, new: &Pin) -> Result<(), TokenError> {
        new.check_new()?;
        let (held, mut envelope) = self.hold()?;
        let key = self.attempt(&held, &mut envelope, Code::Puk(puk))?;
        envelope.set_pin(new, &key);
        self.store.replace(&held, &envelope)
    }

    fn ecdh(&mut self, slot: Slot, peer: &PublicKey, prompts: &dyn TokenPrompts) -> Result<SharedX, TokenError> {
        let envelope = self.read()?;
        let entry = Self::entry(&envelope, slot)?;
        let seal_key = self.seal_key(&envelope, entry.pin_policy)?;
        self.ask_for_touch(entry, prompts)?;
        // The person may have pulled the token instead of touching it.
        self.read()?;
        let secret = entry
            .open(envelope.serial, &seal_key)
            .ok_or_else(|| self.malformed("a private key does not open: the file was altered"))?;
        Ok(Zeroizing::new((*secret.diffie_hellman(peer).raw_secret_bytes()).into()))
    }
}

/// A code that someone entered, and which of the two it is.
#[derive(Clone, Copy)]
enum Code<'a> {
    Pin(&'a Pin),
    Puk(&'a Puk),
}

impl Code<'_> {
    fn lock(self, envelope: &mut Envelope) -> &mut envelope::Lock {
        match self {
            Self::Pin(_) => &mut envelope.pin,
            Self::Puk(_) => &mut envelope.puk,
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Pin(_) => PIN_LABEL,
            Self::Puk(_) => PUK_LABEL,
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Pin(pin) => pin.expose(),
            Self::Puk(puk) => puk.expose(),
        }
    }

    fn blocked(self) -> TokenError {
        match self {
            Self::Pin(_) => TokenError::PinBlocked,
            Self::Puk(_) => TokenError::PukBlocked,
        }
    }

    fn wrong(self, tries_left: u8) -> TokenError {
        match self {
            Self::Pin(_) => TokenError::WrongPin { tries_left },
            Self::Puk(_) => TokenError::WrongPuk { tries_left },
        }
    }
}

#[cfg(test)]
mod tests;
