//! YubiKeys: PIV tokens behind the smart-card service of the system. Everything that PC/SC and the `yubikey` crate know stays
//! in this module. It must not know people, age files or the command line.
//!
//! Everyday commands go through `pcsc` directly: that keeps exact status words (how many tries, which refusal), leaves no PIN
//! in memory, and does not reset the card when done, so that its cached PIN and touch serve the next program. The `yubikey`
//! crate does what needs the management key. Every call runs on a thread with a deadline, because a card that hangs would
//! hang the service's client for ever.

mod apdu;
mod certificate;
mod keys;
mod link;
mod management;
mod piv;
mod readers;
mod service;
mod worker;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use p256::PublicKey;

use self::apdu::Status;
use self::link::{Channel, Fault, Link, Version};
use self::piv::Verdict;
use self::worker::{NoAnswer, Turn, Worker};
use super::{
    FactoryCodes, KeyOrigin, NewKey, Pin, PinPolicy, PivKey, PivToken, Puk, SharedX, Slot, TokenError, TokenInfo,
    TokenKind, TokenPrompts, TouchPolicy, TouchRequest,
};

pub use self::readers::YubiKeys;

/// How long one touch serves a key with touch policy "cached".
const TOUCH_LASTS: Duration = Duration::from_secs(15);
/// Tries that every code has unless its owner wanted others; firmware before 5.3 does not say more of a verified PIN.
const FACTORY_TRIES: u8 = 3;

/// How long a card may take before it counts as frozen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// For what needs no person.
    pub answer: Duration,
    /// For what may wait for a touch. A key itself gives up after about 15 seconds.
    pub touch: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(10), touch: Duration::from_secs(30) }
    }
}

/// A YubiKey. Works on after it was taken out and put in again, into whichever port.
pub struct YubiKeyToken {
    info: TokenInfo,
    version: Version,
    worker: Option<Worker<Link>>,
    patience: Patience,
    session: Session,
}

/// What is known until the card is taken out.
#[derive(Default)]
struct Session {
    /// The PIN that this program has verified, for what needs it again.
    pin: Option<Pin>,
    /// Whether no private key was used since.
    fresh: bool,
    touched: HashMap<Slot, Instant>,
    keys: HashMap<Slot, PivKey>,
}

/// The touch that a command may wait for.
#[derive(Clone, Copy)]
struct Finger<'a> {
    /// Of a key that is there already.
    slot: Option<Slot>,
    policy: Option<TouchPolicy>,
    label: &'a str,
    prompts: &'a dyn TokenPrompts,
}

impl Finger<'_> {
    /// Whether a finger is needed, when the last touches were these.
    fn is_needed(&self, touched: &HashMap<Slot, Instant>) -> bool {
        let last = self.slot.and_then(|slot| touched.get(&slot));
        match self.policy {
            Some(TouchPolicy::Never) => false,
            Some(TouchPolicy::Cached) => last.is_none_or(|at| at.elapsed() >= TOUCH_LASTS),
            Some(TouchPolicy::Always) | None => true,
        }
    }
}

impl YubiKeyToken {
    fn new(mut worker: Worker<Link>, patience: Patience) -> Result<Self, TokenError> {
        let facts = worker.run(patience.answer, |link, _| (link.version, link.serial));
        let (version, serial) = facts.map_err(|cause| unanswered(cause, patience.answer))?;
        let info = TokenInfo {
            kind: TokenKind::YubiKey,
            name: format!("YubiKey {}", version.0[0]),
            serial,
            firmware: Some(version.to_string()),
        };
        Ok(Self { info, version, worker: Some(worker), patience, session: Session::default() })
    }

    /// Does something with the card that no other program may interrupt.
    fn transact<T: Send + 'static>(
        &mut self,
        limit: Duration,
        work: impl FnOnce(&Channel<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, TokenError> {
        self.run(limit, None, move |link, turn| link.transact(turn, work))?.map_err(|fault| self.understand(fault))
    }

    /// Does something on the connection; finds the card again first if it was taken out and put back.
    fn run<T: Send + 'static>(
        &mut self,
        limit: Duration,
        finger: Option<Finger<'_>>,
        job: impl FnOnce(&mut Link, &Turn) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Result<T, Fault>, TokenError> {
        self.be_connected()?;
        self.on_worker(limit, finger, job)
    }

    fn be_connected(&mut self) -> Result<(), TokenError> {
        if self.worker.is_some() {
            // Nothing is lost by asking first, whereas a command that fails half-way may have been carried out.
            if self.on_worker(self.patience.answer, None, |link, turn| link.transact(turn, |_| Ok(())))?.is_ok() {
                return Ok(());
            }
            self.forget();
        }
        let found = readers::find(self.info.serial, self.patience)?;
        self.worker = Some(found.ok_or(TokenError::Removed)?);
        Ok(())
    }

    fn on_worker<T: Send + 'static>(
        &mut self,
        limit: Duration,
        finger: Option<Finger<'_>>,
        job: impl FnOnce(&mut Link, &Turn) -> Result<T, Fault> + Send + 'static,
    ) -> Result<Result<T, Fault>, TokenError> {
        let worker = self.worker.as_mut().ok_or(TokenError::Removed)?;
        let (reset, untouched) = (worker.reset(), HashMap::new());
        // Called once the card is ours: who is asked to touch it before may be waiting for another program.
        let mut announce = || {
            let touched = if reset.is_set() { &untouched } else { &self.session.touched };
            if let Some(finger) = finger.filter(|finger| finger.is_needed(touched)) {
                finger.prompts.touch(&TouchRequest { token: &self.info, key: finger.label });
            }
        };
        let answer = worker.run_with_touch(limit, job, &mut announce);
        if reset.take() {
            self.session = Session::default();
        }
        answer.map_err(|cause| {
            self.forget();
            unanswered(cause, limit)
        })
    }

    /// An error in words for a person; whatever was known of a card that is gone is forgotten, and a PIN that it refused.
    fn understand(&mut self, fault: Fault) -> TokenError {
        let error = fault.into();
        match error {
            TokenError::Removed | TokenError::Service(_) => self.forget(),
            TokenError::WrongPin { .. } | TokenError::PinBlocked => self.session.pin = None,
            _ => {}
        }
        error
    }

    fn forget(&mut self) {
        self.worker = None;
        self.session = Session::default();
    }

    /// Whether the card says what slots hold and how codes fare.
    fn has_metadata(&self) -> bool {
        self.version >= Version::METADATA
    }

    /// The key in a slot, as it was when first asked for.
    fn key(&mut self, slot: Slot) -> Result<PivKey, TokenError> {
        if let Some(key) = self.session.keys.get(&slot) {
            return Ok(key.clone());
        }
        let version = self.version;
        let key = self.transact(self.patience.answer, move |channel| keys::read(channel, slot, version))?;
        let key = key.ok_or(TokenError::NoKey(slot))?;
        self.session.keys.insert(slot, key.clone());
        Ok(key)
    }

    /// Fails unless the card will take the PIN for given.
    fn require_pin(&mut self, policy: Option<PinPolicy>) -> Result<(), TokenError> {
        let satisfied = match policy {
            Some(PinPolicy::Never) => true,
            Some(PinPolicy::Always) => self.session.fresh && self.pin_verified()?,
            Some(PinPolicy::Once) | None => self.pin_verified()?,
        };
        if satisfied { Ok(()) } else { Err(TokenError::PinRequired) }
    }

    /// Uses a private key: its PIN must have been verified, and refusals are told apart.
    fn use_key<T: Send + 'static>(
        &mut self,
        key: &PivKey,
        prompts: &dyn TokenPrompts,
        work: impl FnOnce(&Channel<'_>) -> Result<T, Fault> + Send + 'static,
    ) -> Result<T, TokenError> {
        self.session.fresh = false;
        let finger = Finger { slot: Some(key.slot), policy: key.touch_policy, label: &key.label, prompts };
        let used = self.run(self.patience.touch, Some(finger), move |link, turn| link.transact(turn, work))?;
        match used {
            Ok(value) => {
                self.session.touched.insert(key.slot, Instant::now());
                Ok(value)
            }
            // The card has one word for a missing PIN and a missing touch.
            Err(Fault::Status(_, Status::SECURITY)) => {
                let pin_is_enough = key.pin_policy == Some(PinPolicy::Never) || self.pin_verified()?;
                let touch_is_wanted = key.touch_policy != Some(TouchPolicy::Never);
                Err(if pin_is_enough && touch_is_wanted { TokenError::TouchTimeout } else { TokenError::PinRequired })
            }
            Err(fault) => Err(self.understand(fault)),
        }
    }
}

fn unanswered(cause: NoAnswer, limit: Duration) -> TokenError {
    match cause {
        NoAnswer::Late => TokenError::Frozen(limit),
        NoAnswer::Panicked => Fault::Malformed("card").into(),
        // Another program has a transaction of its own, or the card hangs under it.
        NoAnswer::Waiting => match service::holder() {
            Some(holder) => TokenError::Busy(Some(holder)),
            None => TokenError::Frozen(limit),
        },
    }
}

fn pin_verdict(verdict: Verdict) -> Result<(), TokenError> {
    match verdict {
        Verdict::Right => Ok(()),
        Verdict::Wrong(0) => Err(TokenError::PinBlocked),
        Verdict::Wrong(tries_left) => Err(TokenError::WrongPin { tries_left }),
    }
}

fn puk_verdict(verdict: Verdict) -> Result<(), TokenError> {
    match verdict {
        Verdict::Right => Ok(()),
        Verdict::Wrong(0) => Err(TokenError::PukBlocked),
        Verdict::Wrong(tries_left) => Err(TokenError::WrongPuk { tries_left }),
    }
}

impl PivToken for YubiKeyToken {
    fn info(&self) -> &TokenInfo {
        &self.info
    }

    fn keys(&mut self) -> Result<Vec<PivKey>, TokenError> {
        let version = self.version;
        // An older card signs for each key that it has, which takes it a second or so.
        let limit = if self.has_metadata() { self.patience.answer } else { self.patience.touch };
        let keys = self.transact(limit, move |channel| keys::list(channel, version))?;
        self.session.keys = keys.iter().map(|key| (key.slot, key.clone())).collect();
        Ok(keys)
    }

    fn generate(&mut self, new: &NewKey, prompts: &dyn TokenPrompts) -> Result<PivKey, TokenError> {
        self.make_key(new, prompts)
    }

    fn pin_tries(&mut self) -> Result<u8, TokenError> {
        let has_metadata = self.has_metadata();
        self.transact(self.patience.answer, move |channel| {
            if has_metadata {
                return Ok(channel.pin_metadata()?.tries_left);
            }
            Ok(channel.pin_state()?.unwrap_or(FACTORY_TRIES))
        })
    }

    fn puk_tries(&mut self) -> Result<Option<u8>, TokenError> {
        if !self.has_metadata() {
            self.be_connected()?;
            return Ok(None);
        }
        self.transact(self.patience.answer, |channel| Ok(Some(channel.puk_metadata()?.tries_left)))
    }

    fn factory_codes(&mut self) -> Result<FactoryCodes, TokenError> {
        if !self.has_metadata() {
            self.be_connected()?;
            return Ok(FactoryCodes { pin: None, puk: None, management_key: None });
        }
        self.transact(self.patience.answer, |channel| {
            let (pin, puk) = (channel.pin_metadata()?, channel.puk_metadata()?);
            let management_key = channel.management_key_is_default()?;
            Ok(FactoryCodes { pin: Some(pin.is_default), puk: Some(puk.is_default), management_key })
        })
    }

    fn pin_verified(&mut self) -> Result<bool, TokenError> {
        self.transact(self.patience.answer, |channel| Ok(channel.pin_state()?.is_none()))
    }

    fn verify_pin(&mut self, pin: &Pin) -> Result<(), TokenError> {
        let offered = pin.clone();
        let verdict = self.transact(self.patience.answer, move |channel| channel.verify(&offered))?;
        self.session.pin = (verdict == Verdict::Right).then(|| pin.clone());
        self.session.fresh = verdict == Verdict::Right;
        pin_verdict(verdict)
    }

    fn change_pin(&mut self, old: &Pin, new: &Pin) -> Result<(), TokenError> {
        new.check_new()?;
        let (old, new) = (old.clone(), new.clone());
        self.session.pin = None;
        let verdict = self.transact(self.patience.answer, move |channel| channel.change_pin(&old, &new))?;
        pin_verdict(verdict)
    }

    fn change_puk(&mut self, old: &Puk, new: &Puk) -> Result<(), TokenError> {
        new.check_new()?;
        let (old, new) = (old.clone(), new.clone());
        let verdict = self.transact(self.patience.answer, move |channel| channel.change_puk(&old, &new))?;
        puk_verdict(verdict)
    }

    fn unblock_pin(&mut self, puk: &Puk, new: &Pin) -> Result<(), TokenError> {
        new.check_new()?;
        let (puk, new) = (puk.clone(), new.clone());
        self.session.pin = None;
        let verdict = self.transact(self.patience.answer, move |channel| channel.unblock_pin(&puk, &new))?;
        puk_verdict(verdict)
    }

    fn ecdh(&mut self, slot: Slot, peer: &PublicKey, prompts: &dyn TokenPrompts) -> Result<SharedX, TokenError> {
        let key = self.key(slot)?;
        self.require_pin(key.pin_policy)?;
        let peer = *peer;
        // A key that wants the PIN every time wants it right before, with not one command in between.
        let pin = self.session.pin.clone().filter(|_| key.pin_policy == Some(PinPolicy::Always));
        self.use_key(&key, prompts, move |channel| {
            if let Some(pin) = pin {
                pin_verdict(channel.verify(&pin)?)?;
            }
            channel.announce_touch();
            channel.agree(slot, &peer)
        })
    }

    fn origin(&mut self, slot: Slot) -> Result<KeyOrigin, TokenError> {
        let key = self.key(slot)?;
        let serial = self.info.serial;
        self.transact(self.patience.answer, move |channel| keys::origin(channel, &key, serial))
    }
}
