//! A security key at the other end of a line: CTAP2 where the key speaks it, U2F where it does not. It knows messages and whom to
//! ask for a touch; it must not know what the line is made of.

use super::cbor::Value;
use super::channel::{CBOR, Channel, MSG, Patience};
use super::ctap2::{self, Permission, PinCommand, Status};
use super::pin_protocol::{PinToken, Protocol, Shared};
use super::ports::Reports;
use super::u2f::{self, Outcome};
use super::{
    Assertion, Attestation, Ctap2Info, ES256, FidoError, FidoInfo, FidoPin, FidoToken, Hash, HmacSecrets,
    NewCredential, Wanted, hash,
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
    /// Asks what the key is. `place` is where the line leads to.
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
        let channel = Channel::open(reports, patience)?;
        let [major, minor, build] = channel.version;
        token.firmware = Some(format!("{major}.{minor}.{build}"));
        let (speaks_u2f, speaks_ctap2) = (channel.speaks_u2f(), channel.speaks_ctap2());
        let mut key = Self { info: FidoInfo { token, place, u2f: speaks_u2f, ctap2: None }, channel };
        if speaks_ctap2 {
            key.learn()?;
        }
        if speaks_u2f {
            let answer = key.channel.call(MSG, &u2f::version(), &mut || ())?;
            key.info.u2f =
                matches!(u2f::outcome("version", &answer), Ok(Outcome::Done(version)) if version == b"U2F_V2");
        }
        Ok(key)
    }

    fn learn(&mut self) -> Result<(), FidoError> {
        let answer = self.command("what it is", &ctap2::get_info(), None)?;
        self.info.ctap2 = Some(ctap2::info(&answer)?);
        Ok(())
    }

    fn ctap2(&self) -> Option<&Ctap2Info> {
        self.info.ctap2.as_ref()
    }

    /// Sends a message of CTAP2; refusals are errors.
    fn command(
        &mut self,
        name: &'static str,
        message: &[u8],
        prompts: Option<&dyn TokenPrompts>,
    ) -> Result<Value, FidoError> {
        self.ask(name, message, prompts)?.map_err(|status| status.error(name))
    }

    fn ask(
        &mut self,
        name: &'static str,
        message: &[u8],
        prompts: Option<&dyn TokenPrompts>,
    ) -> Result<Result<Value, Status>, FidoError> {
        let token = &self.info.token;
        let mut touch = || {
            if let Some(prompts) = prompts {
                prompts.touch(&TouchRequest { token, key: "" });
            }
        };
        let answer = self.channel.call(CBOR, message, &mut touch)?;
        ctap2::answer(name, &answer)
    }

    /// Sends an APDU until somebody touches the key.
    fn until_touched(
        &mut self,
        name: &'static str,
        apdu: &[u8],
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError> {
        let deadline = Instant::now() + self.channel.patience.touch;
        let mut asked = false;
        loop {
            let answer = self.channel.call(MSG, apdu, &mut || ())?;
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

    fn protocol(&self) -> Result<Protocol, FidoError> {
        let ctap2 = self.ctap2().filter(|ctap2| ctap2.pin_set.is_some()).ok_or(FidoError::NotSupported("PINs"))?;
        Protocol::of(&ctap2.pin_protocols)
    }

    fn agree(&mut self, protocol: Protocol) -> Result<Shared, FidoError> {
        let message = ctap2::client_pin(protocol, PinCommand::KeyAgreement, Vec::new());
        let answer = self.command("key agreement", &message, None)?;
        Shared::agree(protocol, answer.at(1).unwrap_or(&Value::Null))
    }

    /// Trades the PIN for a token that serves for one relying party and purpose, where the key knows such.
    fn pin_token(&mut self, pin: &FidoPin, purpose: Permission, rp_id: &str) -> Result<PinToken, FidoError> {
        let protocol = self.protocol()?;
        let shared = self.agree(protocol)?;
        let mut parts = vec![(3, shared.platform_key.clone()), (6, Value::Bytes(shared.pin_hash(pin)))];
        let permissions = self.ctap2().is_some_and(|ctap2| ctap2.permissions);
        let command = if permissions {
            parts.extend([(9, Value::Int(purpose as i64)), (10, Value::Text(rp_id.to_owned()))]);
            PinCommand::TokenFor
        } else {
            PinCommand::Token
        };
        let answer = self.with_pin("PIN", &ctap2::client_pin(protocol, command, parts))?;
        let encrypted = answer.at(2).and_then(Value::bytes).ok_or_else(|| ctap2::strange("PIN"))?;
        shared.token(encrypted)
    }

    /// Sends what holds a PIN: a wrong one is told with the tries that are left.
    fn with_pin(&mut self, name: &'static str, message: &[u8]) -> Result<Value, FidoError> {
        match self.ask(name, message, None)? {
            Ok(answer) => Ok(answer),
            Err(Status::PinInvalid) => Err(match self.pin_tries()? {
                0 => FidoError::PinBlocked,
                tries_left => FidoError::WrongPin { tries_left },
            }),
            Err(status) => Err(status.error(name)),
        }
    }
}

impl FidoToken for CtapKey {
    fn info(&self) -> &FidoInfo {
        &self.info
    }

    fn pin_tries(&mut self) -> Result<u8, FidoError> {
        let message = ctap2::client_pin(self.protocol()?, PinCommand::Tries, Vec::new());
        let tries = self.command("tries", &message, None)?.at(3).and_then(Value::int);
        tries.and_then(|tries| u8::try_from(tries).ok()).ok_or_else(|| ctap2::strange("tries"))
    }

    fn set_pin(&mut self, old: Option<&FidoPin>, new: &FidoPin) -> Result<(), FidoError> {
        let protocol = self.protocol()?;
        let shared = self.agree(protocol)?;
        let new = shared.new_pin(new);
        let mut parts = vec![(3, shared.platform_key.clone())];
        let command = if let Some(old) = old.map(|old| shared.pin_hash(old)) {
            parts.push((4, Value::Bytes(shared.authenticate(&[&new[..], &old].concat()))));
            parts.extend([(5, Value::Bytes(new)), (6, Value::Bytes(old))]);
            PinCommand::Change
        } else {
            parts.extend([(4, Value::Bytes(shared.authenticate(&new))), (5, Value::Bytes(new))]);
            PinCommand::Set
        };
        self.with_pin("PIN", &ctap2::client_pin(protocol, command, parts))?;
        self.learn()
    }

    fn holds(&mut self, party: &str, application: &Hash, credential: &[u8]) -> Result<Option<bool>, FidoError> {
        if self.info.ctap2.is_some() {
            let wanted = Wanted { party, client_data: &NO_CHALLENGE, credential, verify: false };
            let asked = self.ask("whether it knows", &ctap2::get_assertion(&wanted, None, false, false, None), None)?;
            match asked {
                Ok(_) => return Ok(Some(true)),
                Err(Status::NotHere) => {}
                Err(_) => return Ok(None),
            }
        }
        if !self.info.u2f {
            return Ok(Some(false));
        }
        let Ok(apdu) = u2f::authenticate(&NO_CHALLENGE, application, credential, true) else { return Ok(Some(false)) };
        let answer = self.channel.call(MSG, &apdu, &mut || ())?;
        Ok(Some(u2f::outcome("whether it knows", &answer)? != Outcome::NotHere))
    }

    fn register(
        &mut self,
        new: &NewCredential<'_>,
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Attestation, FidoError> {
        let wants_pin = self.info.wants_pin(new.verify, true)?;
        if new.hmac_secret && !self.info.gives_secrets() {
            return Err(FidoError::NotSupported("secrets for applications"));
        }
        if self.info.ctap2.is_none() {
            if new.resident {
                return Err(FidoError::NotSupported("credentials that are found by themselves"));
            }
            if !new.algorithms.contains(&ES256) {
                return Err(FidoError::NotSupported("the kinds of signatures that are asked for"));
            }
            let application = hash(new.rp_id.as_bytes());
            let message = self.u2f_register(&new.client_data_hash(), &application, prompts)?;
            return u2f::attestation(&application, &message);
        }
        let token = match pin {
            Some(pin) => Some(self.pin_token(pin, Permission::Register, new.rp_id)?),
            None if wants_pin => return Err(FidoError::PinRequired),
            None => None,
        };
        let message = ctap2::make_credential(new, token.as_ref(), new.verify);
        let answer = self.command("register", &message, Some(prompts))?;
        ctap2::attestation(&answer, new.rp_id)
    }

    fn sign(
        &mut self,
        wanted: &Wanted<'_>,
        pin: Option<&FidoPin>,
        prompts: &dyn TokenPrompts,
    ) -> Result<Assertion, FidoError> {
        let wants_pin = self.info.wants_pin(wanted.verify, false)?;
        if self.info.ctap2.is_some() {
            let token = match pin {
                Some(pin) => Some(self.pin_token(pin, Permission::Sign, wanted.party)?),
                None if wants_pin => return Err(FidoError::PinRequired),
                None => None,
            };
            let message = ctap2::get_assertion(wanted, token.as_ref(), wanted.verify, true, None);
            match self.ask("sign", &message, Some(prompts))? {
                Ok(answer) => return ctap2::assertion(&answer, wanted),
                // What it made as a U2F key, not every key finds here.
                Err(Status::NotHere) if self.info.u2f && !wanted.verify => {}
                Err(status) => return Err(status.error("sign")),
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
        let wants_pin = self.info.wants_pin(wanted.verify, false)?;
        if !self.info.gives_secrets() {
            return Err(FidoError::NotSupported("secrets for applications"));
        }
        let token = match pin {
            Some(pin) => Some(self.pin_token(pin, Permission::Sign, wanted.party)?),
            None if wants_pin => return Err(FidoError::PinRequired),
            None => None,
        };
        let shared = self.agree(self.protocol()?)?;
        let salts = shared.salts(salts);
        let message = ctap2::get_assertion(wanted, token.as_ref(), wanted.verify, true, Some(salts));
        let answer = self.command("secrets", &message, Some(prompts))?;
        let encrypted = ctap2::secrets(&ctap2::assertion(&answer, wanted)?);
        let encrypted = encrypted.ok_or(FidoError::NotSupported("secrets of this credential"))?;
        shared.secrets(&encrypted).ok_or_else(|| ctap2::strange("secrets"))
    }

    fn u2f_register(
        &mut self,
        challenge: &Hash,
        application: &Hash,
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError> {
        if !self.info.u2f {
            return Err(FidoError::NotSupported("U2F"));
        }
        self.until_touched("register", &u2f::register(challenge, application), prompts)
    }

    fn u2f_sign(
        &mut self,
        challenge: &Hash,
        application: &Hash,
        handle: &[u8],
        prompts: &dyn TokenPrompts,
    ) -> Result<Vec<u8>, FidoError> {
        if !self.info.u2f {
            return Err(FidoError::NotSupported("U2F"));
        }
        self.until_touched("sign", &u2f::authenticate(challenge, application, handle, false)?, prompts)
    }
}
