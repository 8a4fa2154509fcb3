//! A security key at the other end of a line: CTAP2 where the key speaks it, U2F where it does not. U2F is ours, over a channel of our
//! own; CTAP2 is done by the module of that name. It knows whom to ask for a touch and when a PIN is wanted; it must not know
//! what the line is made of.

use super::channel::{Channel, MSG};
use super::ctap2::{self, Answer, Line, Status};
use super::ports::{Patience, Reports};
use super::u2f::{self, Outcome};
use super::{
    Assertion, Attestation, ES256, FidoError, FidoInfo, FidoPin, FidoToken, Hash, HmacSecrets, NewCredential, Wanted,
    hash,
};
use crate::token::{TokenInfo, TokenPrompts, TouchRequest};
use std::thread;
use std::time::{Duration, Instant};

/// How often a U2F key is asked whether it was touched: it has no way to say so by itself (FIDO U2F HID 1.2 §3.2).
const POLL: Duration = Duration::from_millis(100);
/// A challenge for questions that are not about it.
const NO_CHALLENGE: Hash = [0; 32];

/// A key behind a line of reports.
pub struct CtapKey {
    info: FidoInfo,
    channel: Channel,
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
        let mut key = Self { info: FidoInfo { token, place, u2f: speaks_u2f, ctap2: None }, channel };
        if speaks_ctap2 {
            key.learn()?;
        }
        if speaks_u2f {
            let answer = key.call(&u2f::version())?;
            key.info.u2f =
                matches!(u2f::outcome("version", &answer), Ok(Outcome::Done(version)) if version == b"U2F_V2");
        }
        Ok(key)
    }

    fn learn(&mut self) -> Result<(), FidoError> {
        let command = "what it is";
        let info = self.ask(ctap2::info)?.map_err(|status| status.error(command))?;
        self.info.ctap2 = Some(info);
        Ok(())
    }

    /// Has something asked by CTAP2 that needs no touch.
    fn ask<T>(&mut self, ask: impl FnOnce(Line<'_>) -> Answer<T>) -> Answer<T> {
        self.ask_for_touch(None, |line, _| ask(line))
    }

    fn ask_for_touch<T>(
        &mut self,
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
        ask(Line { channel: &mut self.channel, place, protocol }, &mut touch)
    }

    /// Sends an APDU.
    fn call(&mut self, apdu: &[u8]) -> Result<Vec<u8>, FidoError> {
        if ctap2::is_abandoned(&self.info.place) {
            // Whatever the key says now is about the call that goes on, unless it is gone.
            self.channel.overhear()?;
            return Err(FidoError::Silent);
        }
        self.channel.call(MSG, apdu, &mut || ())
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
        let deadline = Instant::now() + self.channel.patience.touch;
        let mut asked = false;
        loop {
            let answer = self.call(apdu)?;
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

    /// By U2F alone.
    fn u2f_holds(&mut self, application: &Hash, credential: &[u8]) -> Result<bool, FidoError> {
        let Ok(apdu) = u2f::authenticate(&NO_CHALLENGE, application, credential, true) else { return Ok(false) };
        let answer = self.call(&apdu)?;
        Ok(u2f::outcome("whether it knows", &answer)? != Outcome::NotHere)
    }

    /// By U2F alone, in the words of `WebAuthn`.
    fn register_by_u2f(
        &mut self,
        new: &NewCredential<'_>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Attestation, FidoError> {
        if new.resident {
            return Err(FidoError::NO_RESIDENT);
        }
        if !new.algorithms.contains(&ES256) {
            return Err(FidoError::NO_SUCH_SIGNATURES);
        }
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
        let answer = self.ask(|line| ctap2::set_pin(line, old, new))?;
        self.told("PIN", answer)?;
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
        let answer = self.ask_for_touch(Some(prompts), |line, touch| ctap2::make_credential(line, new, pin, touch))?;
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
            let answer =
                self.ask_for_touch(Some(prompts), |line, touch| ctap2::get_assertion(line, wanted, pin, touch))?;
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
        let answer =
            self.ask_for_touch(Some(prompts), |line, touch| ctap2::hmac_secret(line, wanted, salts, pin, touch))?;
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
