//! A security key at the other end of a line: CTAP2 where the key speaks it, U2F where it does not. U2F is ours, over a channel of our
//! own; CTAP2 is done by the module of that name. It knows whom to ask for a touch and when a PIN is wanted; it must not know
//! what the line is made of.

use super::channel::{Channel, MSG};
use super::ctap2::{self, Answer, Line, Status};
use super::ports::{Patience, Reports};
use super::u2f::{self, Outcome};
use super::{
    Assertion, Attestation, FidoError, FidoInfo, FidoPin, FidoToken, Hash, HmacSecrets, NewCredential, Wanted, hash,
};
use crate::token::{TokenInfo, TokenPrompts, TouchRequest};
use std::thread;
use std::time::{Duration, Instant};

/// How often a U2F key is asked whether it was touched: it has no way to say so by itself (FIDO U2F HID 1.2 §3.2).
const POLL: Duration = Duration::from_millis(100);
/// Tries for the PIN of which one may be spent to find out which PIN holds.
const SPARE_TRIES: u8 = 4;
/// What a key that speaks U2F names among its versions.
const U2F_VERSION: &str = "U2F_V2";
/// A challenge for questions that are not about it.
const NO_CHALLENGE: Hash = [0; 32];

/// A key behind a line of reports.
pub struct CtapKey {
    info: FidoInfo,
    channel: Channel,
    /// What is left of the patience with what needs no touch.
    quiet: Duration,
}

impl CtapKey {
    /// Asks what the key is. `place` is where the line leads to: the device that is opened once more for each message of CTAP2.
    pub fn open(reports: Box<dyn Reports>, token: TokenInfo, place: String) -> Result<Self, FidoError> {
        Self::open_with(reports, token, place, Patience::default())
    }

    /// The same, with a patience of one's own.
    pub fn open_with(
        reports: Box<dyn Reports>,
        mut token: TokenInfo,
        place: String,
        patience: Patience,
    ) -> Result<Self, FidoError> {
        if ctap2::is_abandoned(&place) {
            return Err(FidoError::Silent);
        }
        let channel = Channel::open(reports, patience)?;
        let [major, minor, build] = channel.version;
        token.firmware = Some(format!("{major}.{minor}.{build}"));
        let (speaks_u2f, speaks_ctap2) = (channel.speaks_u2f(), channel.speaks_ctap2());
        let info = FidoInfo { token, place, u2f: speaks_u2f, ctap2: None };
        let mut key = Self { info, channel, quiet: patience.quiet };
        if speaks_ctap2 {
            key.learn()?;
        }
        if speaks_u2f && !key.is_above_u2f() {
            let answer = key.call_quietly(&u2f::version())?;
            key.info.u2f = matches!(
                u2f::outcome("version", &answer),
                Ok(Outcome::Done(version)) if version == U2F_VERSION.as_bytes()
            );
        } else {
            key.info.u2f = false;
        }
        key.quiet = patience.quiet;
        Ok(key)
    }

    /// Whether it has given U2F up, which knows no users: a key that verifies them for whatever it does (CTAP 2.1 §7.2).
    fn is_above_u2f(&self) -> bool {
        let names_u2f = |versions: &[String]| versions.iter().any(|version| version == U2F_VERSION);
        self.info.ctap2.as_ref().is_some_and(|ctap2| ctap2.always_verifies && !names_u2f(&ctap2.versions))
    }

    fn learn(&mut self) -> Result<(), FidoError> {
        let command = "what it is";
        let info = self.ask(ctap2::info)?.map_err(|status| status.error(command))?;
        self.info.ctap2 = Some(info);
        Ok(())
    }

    /// Has something asked by CTAP2 that needs no touch.
    fn ask<T>(&mut self, ask: impl FnOnce(Line<'_>) -> Answer<T>) -> Answer<T> {
        self.quietly(|key, limit| key.on_line(Some(limit), None, |line, _| ask(line)))
    }

    /// Has something done by CTAP2 that people take part in: after it the key has all our patience again.
    fn act<T>(
        &mut self,
        prompts: Option<&dyn TokenPrompts>,
        act: impl FnOnce(Line<'_>, &mut dyn FnMut()) -> Answer<T>,
    ) -> Answer<T> {
        self.quiet = self.channel.patience.quiet;
        self.on_line(None, prompts, act)
    }

    /// Has something asked within what is left of the patience with such questions.
    fn quietly<T>(&mut self, ask: impl FnOnce(&mut Self, Duration) -> Result<T, FidoError>) -> Result<T, FidoError> {
        if self.quiet.is_zero() {
            return Err(FidoError::Silent);
        }
        let from = Instant::now();
        let answer = ask(self, self.quiet);
        self.quiet = self.quiet.saturating_sub(from.elapsed());
        answer
    }

    fn on_line<T>(
        &mut self,
        quiet: Option<Duration>,
        prompts: Option<&dyn TokenPrompts>,
        ask: impl FnOnce(Line<'_>, &mut dyn FnMut()) -> Answer<T>,
    ) -> Answer<T> {
        // What is asked without a PIN goes by the first as well as by any.
        let protocol = self.info.ctap2.as_ref().map_or(1, |ctap2| ctap2::protocol(ctap2).unwrap_or(1));
        let FidoInfo { token, place, .. } = &self.info;
        let mut touch = || {
            if let Some(prompts) = prompts {
                prompts.touch(&TouchRequest { token, key: "" });
            }
        };
        ask(Line { channel: &mut self.channel, place, protocol, quiet, lasting: false }, &mut touch)
    }

    /// Sends an APDU that needs no touch.
    fn call_quietly(&mut self, apdu: &[u8]) -> Result<Vec<u8>, FidoError> {
        self.quietly(|key, limit| key.call(apdu, limit))
    }

    /// Sends an APDU.
    fn call(&mut self, apdu: &[u8], limit: Duration) -> Result<Vec<u8>, FidoError> {
        if ctap2::is_abandoned(&self.info.place) {
            // Whatever the key says now is about the call that goes on, unless it is gone.
            self.channel.overhear()?;
            return Err(FidoError::Silent);
        }
        self.channel.call_within(limit, MSG, apdu, &mut || ())
    }

    /// Sends an APDU until somebody touches the key.
    fn until_touched(
        &mut self,
        name: &'static str,
        apdu: &[u8],
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError> {
        if !self.info.u2f {
            return Err(FidoError::NotSupported("U2F"));
        }
        let patience = self.channel.patience;
        self.quiet = patience.quiet;
        let deadline = Instant::now() + patience.touch;
        let mut asked = false;
        loop {
            let answer = self.call(apdu, patience.touch)?;
            match u2f::outcome(name, &answer)? {
                Outcome::Done(message) => return Ok(message),
                Outcome::NotHere => return Err(FidoError::WrongKey),
                Outcome::NotTouched if Instant::now() >= deadline => return Err(FidoError::Timeout),
                Outcome::NotTouched => {}
            }
            if !asked {
                asked = true;
                prompts.touch(&TouchRequest { token: &self.info.token, key: "" });
            }
            thread::sleep(POLL);
        }
    }

    /// That there are PINs, and in a way that we know.
    fn knows_pins(&self) -> Result<(), FidoError> {
        let ctap2 = self.info.ctap2.as_ref().filter(|ctap2| ctap2.pin_set.is_some());
        ctap2::protocol(ctap2.ok_or(FidoError::NotSupported("PINs"))?).map(drop)
    }

    /// That the PIN, or none, is enough for what is asked.
    fn check_pin(&self, pin: Option<&FidoPin>, verify: bool, registering: bool) -> Result<(), FidoError> {
        let wants_pin = self.info.wants_pin(verify, registering)?;
        match pin {
            Some(_) => self.knows_pins(),
            None if wants_pin => Err(FidoError::PinRequired),
            None => Ok(()),
        }
    }

    /// What came of a command that may have had a PIN: a wrong one is told with the tries that are left.
    fn told<T>(&mut self, command: &'static str, answer: Result<T, Status>) -> Result<T, FidoError> {
        match answer {
            Ok(answer) => Ok(answer),
            Err(Status::PinInvalid) => Err(match self.pin_tries()? {
                0 => FidoError::PinBlocked,
                tries_left => FidoError::WrongPin { tries_left },
            }),
            Err(status) => Err(status.error(command)),
        }
    }

    /// Another program's words came between while the PIN was set: asks the key whether the new one holds.
    fn settle(&mut self, new: &FidoPin) -> Result<(), FidoError> {
        // Where it does not, that costs a try, which the old one brings back.
        if !matches!(self.pin_tries(), Ok(SPARE_TRIES..)) {
            return Err(FidoError::InDoubt);
        }
        match self.ask(|line| ctap2::check_pin(line, new)) {
            Ok(Ok(()) | Err(Status::NotHere)) => Ok(()),
            Ok(Err(Status::PinInvalid)) => Err(FidoError::Busy),
            _ => Err(FidoError::InDoubt),
        }
    }

    /// By U2F alone.
    fn u2f_holds(&mut self, application: &Hash, credential: &[u8]) -> Result<bool, FidoError> {
        let Ok(apdu) = u2f::authenticate(&NO_CHALLENGE, application, credential, true) else { return Ok(false) };
        let answer = self.call_quietly(&apdu)?;
        Ok(u2f::outcome("whether it knows", &answer)? != Outcome::NotHere)
    }

    /// By U2F alone, in the words of `WebAuthn`.
    fn register_by_u2f(
        &mut self,
        new: &NewCredential<'_>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Attestation, FidoError> {
        new.fits_plain_keys()?;
        let application = hash(new.rp_id.as_bytes());
        for known in new.exclude {
            if self.u2f_holds(&application, known)? {
                return Err(FidoError::Excluded);
            }
        }
        let message = self.u2f_register(&new.client_data_hash(), &application, prompts)?;
        u2f::attestation(&application, &message)
    }
}

impl FidoToken for CtapKey {
    fn info(&self) -> &FidoInfo {
        &self.info
    }

    fn pin_tries(&mut self) -> Result<u8, FidoError> {
        self.knows_pins()?;
        self.ask(ctap2::pin_tries)?.map_err(|status| status.error("tries"))
    }

    fn set_pin(&mut self, old: Option<&FidoPin>, new: &FidoPin) -> Result<(), FidoError> {
        self.knows_pins()?;
        match self.act(None, |line, _| ctap2::set_pin(line, old, new)) {
            Err(FidoError::InDoubt) => self.settle(new)?,
            answer => self.told("PIN", answer?)?,
        }
        self.learn()
    }

    fn holds(&mut self, party: &str, application: &Hash, credential: &[u8]) -> Result<Option<bool>, FidoError> {
        if self.info.ctap2.is_some() {
            let wanted = Wanted { party, client_data: &NO_CHALLENGE, credential, verify: false };
            match self.ask(|line| ctap2::holds(line, &wanted))? {
                Ok(()) => return Ok(Some(true)),
                Err(Status::NotHere) => {}
                Err(_) => return Ok(None),
            }
        }
        if !self.info.u2f {
            return Ok(Some(false));
        }
        self.u2f_holds(application, credential).map(Some)
    }

    fn register(
        &mut self,
        new: &NewCredential<'_>,
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Attestation, FidoError> {
        self.check_pin(pin, new.verify, true)?;
        if new.hmac_secret && !self.info.gives_secrets() {
            return Err(FidoError::NO_SECRETS);
        }
        if self.info.ctap2.is_none() {
            return self.register_by_u2f(new, prompts);
        }
        let answer = self.act(Some(prompts), |line, touch| ctap2::make_credential(line, new, pin, touch))?;
        self.told("register", answer)
    }

    fn sign(
        &mut self,
        wanted: &Wanted<'_>,
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Assertion, FidoError> {
        self.check_pin(pin, wanted.verify, false)?;
        if self.info.ctap2.is_some() {
            let answer = self.act(Some(prompts), |line, touch| ctap2::get_assertion(line, wanted, pin, touch))?;
            // What it made as a U2F key, not every key finds here.
            if answer != Err(Status::NotHere) || !self.info.u2f || wanted.verify {
                return self.told("sign", answer);
            }
        }
        let application = hash(wanted.party.as_bytes());
        let message = self.u2f_sign(&wanted.client_data_hash(), &application, wanted.credential, prompts)?;
        u2f::assertion(&application, wanted, &message)
    }

    fn hmac_secret(
        &mut self,
        wanted: &Wanted<'_>,
        salts: [&[u8; 32]; 2],
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<HmacSecrets, FidoError> {
        self.check_pin(pin, wanted.verify, false)?;
        if !self.info.gives_secrets() {
            return Err(FidoError::NO_SECRETS);
        }
        let answer = self.act(Some(prompts), |line, touch| ctap2::hmac_secret(line, wanted, salts, pin, touch))?;
        self.told("secrets", answer)
    }

    fn u2f_register(
        &mut self,
        challenge: &Hash,
        application: &Hash,
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError> {
        self.until_touched("register", &u2f::register(challenge, application), prompts)
    }

    fn u2f_sign(
        &mut self,
        challenge: &Hash,
        application: &Hash,
        handle: &[u8],
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError> {
        self.until_touched("sign", &u2f::authenticate(challenge, application, handle, false)?, prompts)
    }
}
