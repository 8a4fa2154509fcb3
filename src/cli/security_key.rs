//! A security key answers to a site: which key, for what, whose PIN, and the touch. It must not know messages of keys or HTTP.

mod choice;
mod passkey;

pub(crate) use passkey::{NewPasskey, OwnSecurityKeys, make_passkey};

use super::{CliError, Context};
use crate::client::{Client, KeyAnswer, KeyChallenge};
use crate::token::fido::ports;
use crate::token::fido::soft::SoftFidoToken;
use crate::token::fido::{FidoError, FidoPin, FidoToken, NewCredential, Wanted, hash};
use crate::token::{PinRequest, TokenPrompts as _};
use crate::ui::shown_path;
use crate::webauthn::{CreationOptions, Credential, Registration, Request, Site, Verification};
use choice::{Held, Keys, verifies};
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
    fn keys(&self, context: &Context) -> Result<Keys, FidoError> {
        match &self.soft {
            Some(path) => Ok(Keys::named(Box::new(SoftFidoToken::open(path)?))),
            None => Ok(Keys::of(ports::connected()?, self.device.as_deref())?.told(context)),
        }
    }

    /// Whether somebody said which key it is.
    fn is_named(&self) -> bool {
        self.device.is_some() || self.soft.is_some()
    }

    /// Whether that is the key at this path.
    fn names(&self, path: &Path) -> bool {
        let named = self.soft.as_deref().or_else(|| self.device.as_deref().map(Path::new));
        named.is_some_and(|named| {
            named == path || named.canonicalize().is_ok_and(|own| path.canonicalize().is_ok_and(|path| path == own))
        })
    }

    /// The one key that is meant.
    pub(crate) fn only(&self) -> Result<Box<dyn FidoToken>, FidoError> {
        match &self.soft {
            Some(path) => Ok(Box::new(SoftFidoToken::open(path)?)),
            None => choice::only(ports::connected()?, self.device.as_deref()),
        }
    }

    /// The one that has this credential of U2F, or may have it.
    pub(crate) fn holder(
        &self,
        context: &Context,
        app_id: &str,
        handle: &[u8],
    ) -> Result<Box<dyn FidoToken>, FidoError> {
        Ok(self.keys(context)?.holder(&[app_id], &[handle.to_vec()])?.0)
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
        which.keys(context)?.chosen(&parties, &asked.allow, asked.verification)?;
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
