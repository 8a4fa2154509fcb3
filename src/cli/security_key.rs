//! A security key answers to a site: which key, for what, whose PIN, and the touch. It must not know messages of keys or HTTP.

mod passkey;

pub(crate) use passkey::{NewPasskey, OwnSecurityKeys, make_passkey};

use super::{CliError, Context};
use crate::client::{Client, KeyAnswer, KeyChallenge};
use crate::token::fido::ports::{self, Found};
use crate::token::fido::soft::SoftFidoToken;
use crate::token::fido::{FidoError, FidoPin, FidoToken, Hash, NewCredential, Wanted, hash};
use crate::token::{PinRequest, TokenPrompts};
use crate::ui::shown_path;
use crate::webauthn::{CreationOptions, Credential, Registration, Request, Site, Verification};
use clap::Args;
use quorate_protocol::api::AddToc;
use std::path::{Path, PathBuf};

/// Which security key.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Security key")]
pub(crate) struct WhichKey {
    /// Connected security key to use, by its device as `quorate fido list` shows it, when there are several
    #[arg(long = "key", value_name = "DEVICE")]
    device: Option<String>,
    /// Soft security key, in the place of a connected one; for trying out, tests and low stakes
    #[arg(long = "soft", value_name = "FILE", conflicts_with = "device")]
    soft: Option<PathBuf>,
}

impl WhichKey {
    /// The keys that are meant; at least one.
    pub(crate) fn keys(&self) -> Result<Vec<Box<dyn FidoToken>>, FidoError> {
        if let Some(path) = &self.soft {
            return Ok(vec![Box::new(SoftFidoToken::open(path)?)]);
        }
        opened(ports::connected()?, self.device.as_deref())
    }

    /// Whether somebody said which key it is.
    fn is_named(&self) -> bool {
        self.device.is_some() || self.soft.is_some()
    }

    /// The one key that is meant.
    pub(crate) fn only(&self) -> Result<Box<dyn FidoToken>, FidoError> {
        let mut keys = self.keys()?;
        match (keys.pop(), keys.len()) {
            (Some(only), 0) => Ok(only),
            (_, others) => Err(FidoError::Several(others + 1)),
        }
    }

    /// The same; a soft key is made when nothing is there.
    pub(crate) fn only_or_new(&self, context: &Context) -> Result<Box<dyn FidoToken>, FidoError> {
        match &self.soft {
            Some(path) if path.symlink_metadata().is_err() => Ok(Box::new(make_soft(context, path)?)),
            _ => self.only(),
        }
    }
}

/// Says in whose name a key is about to be asked, and what for: the key itself shows neither.
pub(crate) fn announce(context: &Context, party: &str, purpose: &str) {
    context.ui.message(&format!("security key for {party}: {purpose}"));
}

/// Has the key make a credential for `site`. `purpose` is what people are told.
pub(crate) fn create(
    context: &Context,
    which: &WhichKey,
    site: &Site,
    options: &CreationOptions,
    purpose: &str,
) -> Result<Credential, CliError> {
    make(context, which, &site.registration(options)?, purpose)
}

/// The same for what was looked at already.
pub(crate) fn make(
    context: &Context,
    which: &WhichKey,
    asked: &Registration,
    purpose: &str,
) -> Result<Credential, CliError> {
    let mut key = which.only_or_new(context)?;
    let application = hash(asked.rp_id.as_bytes());
    let mut untold = Vec::new();
    for credential in &asked.exclude {
        match key.holds(&asked.rp_id, &application, credential)? {
            Some(true) => return Err(FidoError::Excluded.into()),
            Some(false) => {}
            None => untold.push(credential.clone()),
        }
    }
    announce(context, &asked.rp_id, purpose);
    let made = register(context, key.as_mut(), asked, &untold)?;
    Ok(asked.answer(made))
}

/// Has a key of `site` that is connected sign.
pub(crate) fn get(
    context: &Context,
    which: &WhichKey,
    site: &Site,
    challenge: &KeyChallenge,
    purpose: &str,
) -> Result<Credential, CliError> {
    sign(context, which, &site.request(&challenge.public_key)?, purpose)
}

/// The same for what was looked at already.
pub(crate) fn sign(
    context: &Context,
    which: &WhichKey,
    asked: &Request,
    purpose: &str,
) -> Result<Credential, CliError> {
    if asked.allow.is_empty() {
        return Err(FidoError::NO_RESIDENT.into());
    }
    let parties = [Some(asked.rp_id.as_str()), asked.app_id.as_deref()];
    let parties: Vec<&str> = parties.into_iter().flatten().collect();
    let (mut key, Held { party, credential, .. }) =
        chosen(which.keys()?, &parties, &asked.allow, asked.verification, |_| which.is_named())?;
    announce(context, party, purpose);
    let signed = with_pin(context, key.as_mut(), asked.verification, false, |key, pin, verify| {
        let wanted = Wanted { party, client_data: asked.client_data(), credential, verify };
        key.sign(&wanted, pin, &context.ui)
    })?;
    Ok(asked.answer(&signed, party != asked.rp_id))
}

/// Sends a Toc; has a security key approve it where the oracle asks for one.
pub(crate) fn add_toc(
    context: &Context,
    which: &WhichKey,
    client: &Client,
    session: &str,
    toc: &AddToc,
) -> Result<(), CliError> {
    match client.add_toc(session, toc) {
        Err(refused) => {
            let Some(challenge) = refused.challenge() else { return Err(refused.into()) };
            let purpose = format!("the approval of session {session} at {}", client.url());
            let credential = get(context, which, &Site::of(client.url())?, challenge, &purpose)?;
            let answer = KeyAnswer { state: &challenge.state, credential: &credential };
            Ok(client.add_toc_with_key(session, toc, &answer)?)
        }
        Ok(()) => Ok(()),
    }
}

/// The key to ask. `named` tells whether somebody said that it is this one.
fn chosen<'a>(
    keys: Vec<Box<dyn FidoToken>>,
    parties: &[&'a str],
    allow: &'a [Vec<u8>],
    verification: Verification,
    named: impl FnOnce(&dyn FidoToken) -> bool,
) -> Result<Holder<'a>, FidoError> {
    let connected = keys.len();
    let (key, held) = holder(keys, parties, allow)?.ok_or(FidoError::WrongKey)?;
    if !named(key.as_ref()) {
        may_want_pin(key.as_ref(), &held, verification, connected)?;
    }
    Ok((key, held))
}

/// Fails when a key that nobody named would be given a PIN, although it does not say that it has the credential, or there are
/// others: any device may say nothing, or yes, and whoever is told a PIN, were it as a hash, soon knows it.
fn may_want_pin(
    key: &dyn FidoToken,
    held: &Held<'_>,
    verification: Verification,
    connected: usize,
) -> Result<(), FidoError> {
    if !key.info().wants_pin(verifies(key, verification, false), false)? {
        return Ok(());
    }
    match connected {
        _ if !held.sure => Err(FidoError::Unsaid(key.info().place.clone())),
        1 => Ok(()),
        _ => Err(FidoError::Several(connected)),
    }
}

/// What a key has, or may have.
struct Held<'a> {
    party: &'a str,
    credential: &'a [u8],
    /// Whether the key says so.
    sure: bool,
}

/// A key, and what it has.
type Holder<'a> = (Box<dyn FidoToken>, Held<'a>);

/// The keys among `found` that can be used. Where one was named the others are not even opened.
fn opened(mut found: Vec<Found>, device: Option<&str>) -> Result<Vec<Box<dyn FidoToken>>, FidoError> {
    if let Some(device) = device {
        found.retain(|found| found.place == device);
        if found.is_empty() {
            return Err(FidoError::Unknown(device.to_owned()));
        }
    }
    let (mut keys, mut faults) = (Vec::new(), Vec::new());
    for found in found {
        match found.open() {
            Ok(key) => keys.push(key),
            Err(fault) => faults.push(fault),
        }
    }
    match faults.into_iter().next() {
        Some(fault) if keys.is_empty() => Err(fault),
        None if keys.is_empty() => Err(FidoError::NoKey),
        _ => Ok(keys),
    }
}

/// The key that says it has a credential that is asked for; if none does, the first that may have one. One that fails to answer
/// does not stand in the way of the others.
fn holder<'a>(
    keys: Vec<Box<dyn FidoToken>>,
    parties: &[&'a str],
    allow: &'a [Vec<u8>],
) -> Result<Option<Holder<'a>>, FidoError> {
    let (mut unsure, mut fault) = (None, None);
    for mut key in keys {
        match held(key.as_mut(), parties, allow) {
            Ok(Some(held)) if held.sure => return Ok(Some((key, held))),
            Ok(Some(held)) if unsure.is_none() => unsure = Some((key, held)),
            Ok(_) => {}
            Err(failed) => fault = fault.or(Some(failed)),
        }
    }
    match fault {
        Some(fault) if unsure.is_none() => Err(fault),
        _ => Ok(unsure),
    }
}

/// Which of the credentials that are asked for the key has, and for which party; asked without a touch.
fn held<'a>(key: &mut dyn FidoToken, parties: &[&'a str], allow: &'a [Vec<u8>]) -> Result<Option<Held<'a>>, FidoError> {
    let mut unsure = None;
    for &party in parties {
        let application: Hash = hash(party.as_bytes());
        for credential in allow {
            match key.holds(party, &application, credential)? {
                Some(true) => return Ok(Some(Held { party, credential, sure: true })),
                // It says so when it is touched.
                None if unsure.is_none() => unsure = Some(Held { party, credential, sure: false }),
                Some(false) | None => {}
            }
        }
    }
    Ok(unsure)
}

fn register(
    context: &Context,
    key: &mut dyn FidoToken,
    asked: &Registration,
    exclude: &[Vec<u8>],
) -> Result<crate::token::fido::Attestation, CliError> {
    let made = with_pin(context, key, asked.verification, true, |key, pin, verify| {
        let new = NewCredential {
            rp_id: &asked.rp_id,
            rp_name: &asked.rp_name,
            client_data: asked.client_data(),
            user_id: &asked.user_id,
            user_name: &asked.user_name,
            user_display_name: &asked.user_display_name,
            algorithms: &asked.algorithms,
            exclude,
            resident: asked.resident,
            verify,
            hmac_secret: false,
        };
        key.register(&new, pin, &context.ui)
    });
    Ok(made?)
}

/// Does what may want a PIN. Whoever types it may mend it.
fn with_pin<T>(
    context: &Context,
    key: &mut dyn FidoToken,
    verification: Verification,
    registering: bool,
    mut act: impl FnMut(&mut dyn FidoToken, Option<&FidoPin>, bool) -> Result<T, FidoError>,
) -> Result<T, FidoError> {
    let verify = verifies(key, verification, registering);
    if !key.info().wants_pin(verify, registering)? {
        return act(key, None, verify);
    }
    let mut again = false;
    loop {
        let pin = present_pin(context, key, again)?;
        match act(key, Some(&pin), verify) {
            Err(FidoError::WrongPin { .. }) if context.ui.security_key_pin_is_typed() => again = true,
            result => return result,
        }
    }
}

/// Whether the key is to verify its user.
fn verifies(key: &dyn FidoToken, verification: Verification, registering: bool) -> bool {
    match verification {
        Verification::Discouraged => false,
        Verification::Preferred => key.info().wants_pin(true, registering).is_ok(),
        Verification::Required => true,
    }
}

/// The PIN that a key has now, from whoever knows it: a program has all tries but the last.
pub(crate) fn present_pin(context: &Context, key: &mut dyn FidoToken, again: bool) -> Result<FidoPin, FidoError> {
    let tries_left = key.pin_tries()?;
    if tries_left == 0 {
        return Err(FidoError::PinBlocked);
    }
    if tries_left == 1 && !context.ui.security_key_pin_is_typed() {
        return Err(FidoError::LastTry);
    }
    let token = &key.info().token;
    let entered = context.ui.security_key_pin(&PinRequest { token, tries_left, again });
    FidoPin::parse(entered.ok_or(FidoError::PinDeclined)?)
}

fn make_soft(context: &Context, path: &Path) -> Result<SoftFidoToken, FidoError> {
    let name = path.file_stem().map_or_else(|| "soft".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let made = SoftFidoToken::create(path, &name)?;
    context.ui.say(format_args!("{} is a new soft security key, without a PIN", shown_path(path)));
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::fido::{Assertion, Attestation, Ctap2Info, FidoInfo, HmacSecrets};
    use crate::token::{TokenInfo, TokenKind};

    /// Says of each credential what it is told to, and wants its PIN.
    struct Says(FidoInfo, Result<Option<bool>, ()>);

    impl Says {
        fn that(place: &str, answer: Option<bool>) -> Box<dyn FidoToken> {
            Self::or_fails(place, Ok(answer))
        }

        fn or_fails(place: &str, answer: Result<Option<bool>, ()>) -> Box<dyn FidoToken> {
            let token = TokenInfo { kind: TokenKind::SecurityKey, name: "key".to_owned(), serial: 0, firmware: None };
            let ctap2 = Some(Ctap2Info { pin_set: Some(true), always_verifies: true, ..Ctap2Info::default() });
            Box::new(Self(FidoInfo { token, place: place.to_owned(), u2f: false, ctap2 }, answer))
        }
    }

    impl FidoToken for Says {
        fn info(&self) -> &FidoInfo {
            &self.0
        }

        fn pin_tries(&mut self) -> Result<u8, FidoError> {
            panic!("it is not asked for a PIN")
        }

        fn set_pin(&mut self, _: Option<&FidoPin>, _: &FidoPin) -> Result<(), FidoError> {
            panic!("it gets no PIN")
        }

        fn holds(&mut self, _: &str, _: &Hash, _: &[u8]) -> Result<Option<bool>, FidoError> {
            self.1.map_err(|()| FidoError::Silent)
        }

        fn register(
            &mut self,
            _: &NewCredential<'_>,
            _: Option<&FidoPin>,
            _: &dyn TokenPrompts,
        ) -> Result<Attestation, FidoError> {
            Err(FidoError::Refused)
        }

        fn sign(&mut self, _: &Wanted<'_>, _: Option<&FidoPin>, _: &dyn TokenPrompts) -> Result<Assertion, FidoError> {
            Err(FidoError::Refused)
        }

        fn hmac_secret(
            &mut self,
            _: &Wanted<'_>,
            _: [&[u8; 32]; 2],
            _: Option<&FidoPin>,
            _: &dyn TokenPrompts,
        ) -> Result<HmacSecrets, FidoError> {
            Err(FidoError::Refused)
        }

        fn u2f_register(&mut self, _: &Hash, _: &Hash, _: &dyn TokenPrompts) -> Result<Vec<u8>, FidoError> {
            Err(FidoError::Refused)
        }

        fn u2f_sign(&mut self, _: &Hash, _: &Hash, _: &[u8], _: &dyn TokenPrompts) -> Result<Vec<u8>, FidoError> {
            Err(FidoError::Refused)
        }
    }

    fn asked() -> Request {
        let options = serde_json::json!({
            "challenge": "AAAA",
            "allowCredentials": [{ "type": "public-key", "id": "aWQ" }],
        });
        Site::of("https://example.com").unwrap().request(&serde_json::from_value(options).unwrap()).unwrap()
    }

    #[test]
    fn a_key_that_was_not_named_is_not_even_opened() {
        let found = |place: &str, opener: fn() -> Result<Box<dyn FidoToken>, FidoError>| {
            Found::new(place.to_owned(), "key".to_owned(), opener)
        };
        let both = || {
            vec![
                found("/dev/hidraw1", || panic!("this one hangs for ever")),
                found("/dev/hidraw2", || Ok(Says::that("/dev/hidraw2", Some(true)))),
            ]
        };
        let keys = opened(both(), Some("/dev/hidraw2")).expect("one is left");
        assert_eq!(keys.iter().map(|key| key.info().place.as_str()).collect::<Vec<_>>(), ["/dev/hidraw2"]);
        let unknown = opened(both(), Some("/dev/hidraw9")).map(|keys| keys.len());
        assert!(matches!(unknown, Err(FidoError::Unknown(_))), "{unknown:?}");
    }

    #[test]
    fn a_key_that_says_yes_comes_before_one_that_says_nothing() {
        let asked = asked();
        let held = |answers: &[Option<bool>]| {
            let keys = answers.iter().zip(0..).map(|(answer, place): (_, u32)| Says::that(&place.to_string(), *answer));
            let held = holder(keys.collect(), &[&asked.rp_id], &asked.allow).expect("they answer");
            held.map(|(key, held)| (key.info().place.clone(), held.sure))
        };
        assert_eq!(held(&[None, Some(false), Some(true)]), Some(("2".to_owned(), true)));
        assert_eq!(held(&[Some(false), None, None]), Some(("1".to_owned(), false)));
        assert_eq!(held(&[Some(false)]), None);
    }

    #[test]
    fn a_key_that_fails_to_answer_does_not_stand_in_the_way_of_the_others() {
        let asked = asked();
        let held = |answers: &[Result<Option<bool>, ()>]| {
            let keys = answers.iter().map(|answer| Says::or_fails("here", *answer)).collect();
            holder(keys, &[&asked.rp_id], &asked.allow).map(|held| held.map(|(_, held)| held.sure))
        };
        assert!(matches!(held(&[Err(()), Ok(Some(true))]), Ok(Some(true))));
        assert!(matches!(held(&[Err(()), Ok(None)]), Ok(Some(false))));
        assert!(matches!(held(&[Ok(Some(false)), Err(())]), Err(FidoError::Silent)));
    }

    #[test]
    fn only_a_key_that_was_named_or_is_alone_and_says_yes_gets_a_pin() {
        let asked = asked();
        let pin_for = |answers: &[Option<bool>], named: bool| {
            let keys = answers.iter().map(|answer| Says::that("here", *answer)).collect();
            chosen(keys, &[&asked.rp_id], &asked.allow, asked.verification, |_| named).map(drop)
        };
        assert!(matches!(pin_for(&[None], false), Err(FidoError::Unsaid(place)) if place == "here"));
        assert!(matches!(pin_for(&[Some(true), None], false), Err(FidoError::Several(2))));
        assert!(matches!(pin_for(&[Some(false), Some(true)], false), Err(FidoError::Several(2))));
        pin_for(&[Some(true)], false).expect("there is no other, and it says so itself");
        pin_for(&[None], true).expect("its owner says that it is theirs");
    }
}
