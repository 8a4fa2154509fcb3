//! A security key answers to a site: which key, whose PIN, and the touch. It must not know messages of keys or HTTP.

use super::{CliError, Context};
use crate::client::{Client, KeyAnswer, KeyChallenge};
use crate::token::fido::soft::SoftFidoToken;
use crate::token::fido::{FidoError, FidoPin, FidoToken, Hash, NewCredential, Wanted, hash, ports};
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
        let mut found = ports::connected()?;
        if let Some(device) = &self.device {
            found.retain(|found| found.place == *device);
            if found.is_empty() {
                return Err(FidoError::Unknown(device.clone()));
            }
        }
        let (mut keys, mut faults) = (Vec::new(), Vec::new());
        for found in found {
            match found.token {
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

/// Has the key make a credential for `site`.
pub(crate) fn create(
    context: &Context,
    which: &WhichKey,
    site: &Site,
    options: &CreationOptions,
) -> Result<Credential, CliError> {
    let asked = site.registration(options)?;
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
    let made = register(context, key.as_mut(), &asked, &untold)?;
    Ok(asked.answer(made))
}

/// Has a key of `site` that is connected sign.
pub(crate) fn get(
    context: &Context,
    which: &WhichKey,
    site: &Site,
    challenge: &KeyChallenge,
) -> Result<Credential, CliError> {
    sign(context, which, &site.request(&challenge.public_key)?)
}

/// The same for what was looked at already.
pub(crate) fn sign(context: &Context, which: &WhichKey, asked: &Request) -> Result<Credential, CliError> {
    if asked.allow.is_empty() {
        return Err(FidoError::NotSupported("credentials that are found by themselves").into());
    }
    for mut key in which.keys()? {
        if let Some((party, credential)) = held(key.as_mut(), asked)? {
            let client_data_hash = asked.client_data_hash();
            let signed = with_pin(context, key.as_mut(), asked.verification, false, |key, pin, verify| {
                let wanted = Wanted { party, client_data_hash: &client_data_hash, credential, verify };
                key.sign(&wanted, pin, &context.ui)
            })?;
            return Ok(asked.answer(&signed, party != asked.rp_id));
        }
    }
    Err(FidoError::WrongKey.into())
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
            let credential = get(context, which, &Site::of(client.url())?, challenge)?;
            let answer = KeyAnswer { state: &challenge.state, credential: &credential };
            Ok(client.add_toc_with_key(session, toc, &answer)?)
        }
        Ok(()) => Ok(()),
    }
}

/// Which of the credentials that are asked for the key has, and for which party; asked without a touch.
fn held<'a>(key: &mut dyn FidoToken, asked: &'a Request) -> Result<Option<(&'a str, &'a [u8])>, FidoError> {
    let parties = [Some(asked.rp_id.as_str()), asked.app_id.as_deref()];
    for party in parties.into_iter().flatten() {
        let application: Hash = hash(party.as_bytes());
        for credential in &asked.allow {
            // One that does not tell may have it, and says so when it is touched.
            if key.holds(party, &application, credential)? != Some(false) {
                return Ok(Some((party, credential)));
            }
        }
    }
    Ok(None)
}

fn register(
    context: &Context,
    key: &mut dyn FidoToken,
    asked: &Registration,
    exclude: &[Vec<u8>],
) -> Result<crate::token::fido::Attestation, CliError> {
    let client_data_hash = asked.client_data_hash();
    with_pin(context, key, asked.verification, true, |key, pin, verify| {
        let new = NewCredential {
            rp_id: &asked.rp_id,
            rp_name: &asked.rp_name,
            client_data_hash: &client_data_hash,
            user_id: &asked.user_id,
            user_name: &asked.user_name,
            user_display_name: &asked.user_display_name,
            algorithms: &asked.algorithms,
            exclude,
            resident: asked.resident,
            verify,
        };
        key.register(&new, pin, &context.ui)
    })
}

/// Does what may want a PIN. Whoever types it may mend it.
fn with_pin<T>(
    context: &Context,
    key: &mut dyn FidoToken,
    verification: Verification,
    registering: bool,
    mut act: impl FnMut(&mut dyn FidoToken, Option<&FidoPin>, bool) -> Result<T, FidoError>,
) -> Result<T, CliError> {
    let verify = match verification {
        Verification::Discouraged => false,
        Verification::Preferred => key.info().wants_pin(true, registering).is_ok(),
        Verification::Required => true,
    };
    if !key.info().wants_pin(verify, registering)? {
        return Ok(act(key, None, verify)?);
    }
    let mut again = false;
    loop {
        let pin = present_pin(context, key, again)?;
        match act(key, Some(&pin), verify) {
            Err(FidoError::WrongPin { .. }) if context.ui.may_ask_again() => again = true,
            result => return Ok(result?),
        }
    }
}

/// The PIN that a key has now, from whoever knows it: a program has all tries but the last.
pub(crate) fn present_pin(context: &Context, key: &mut dyn FidoToken, again: bool) -> Result<FidoPin, CliError> {
    let tries_left = key.pin_tries()?;
    if tries_left == 0 {
        return Err(FidoError::PinBlocked.into());
    }
    if tries_left == 1 && !context.ui.may_ask_again() {
        return Err(FidoError::LastTry.into());
    }
    let token = &key.info().token;
    let entered =
        TokenPrompts::pin(&context.ui, &PinRequest { token, tries_left, again }).ok_or(FidoError::PinDeclined)?;
    Ok(FidoPin::parse(entered)?)
}

fn make_soft(context: &Context, path: &Path) -> Result<SoftFidoToken, FidoError> {
    let name = path.file_stem().map_or_else(|| "soft".to_owned(), |stem| stem.to_string_lossy().into_owned());
    let made = SoftFidoToken::create(path, &name)?;
    context.ui.say(format_args!("{} is a new soft security key, without a PIN", shown_path(path)));
    Ok(made)
}
