//! A security key guards sealed identities: making the passkey, and having its key give the secret that opens a file. It must not know
//! what is in the file.

use super::choice::{self, Keys};
use super::{WhichKey, announce, with_pin};
use crate::cli::Context;
use crate::token::TokenPrompts;
use crate::token::fido::ports;
use crate::token::fido::soft::SoftFidoToken;
use crate::token::fido::{FidoError, FidoPin, FidoToken, HmacSecrets, NewCredential, Wanted};
use crate::token::identities::{Asked, SecurityKeys};
use crate::token::passkey::Passkey;
use crate::webauthn::Verification;
use quorate_protocol::fido2prf::{NONCE_BYTES, salts};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};

/// What a key signs besides giving secrets. Nobody looks at that signature.
const CLIENT_DATA: &[u8] = b"{}";

/// The security keys that may be asked to open sealed identities: those of `which`, and those named among the identities.
pub(crate) struct OwnSecurityKeys {
    pub(crate) context: Context,
    pub(crate) which: WhichKey,
}

impl SecurityKeys for OwnSecurityKeys {
    fn secrets(&self, asked: &Asked<'_>) -> Result<HmacSecrets, FidoError> {
        let Asked { passkey, salts: [first, second], file, .. } = asked;
        let mut key = self.key_for(asked)?;
        let (context, party) = (&self.context, passkey.rp_id.as_str());
        announce(context, party, &format!("opening {file}"));
        with_pin(context, key.as_mut(), Verification::Required, false, |key, pin, verify| {
            let wanted = Wanted { party, client_data: CLIENT_DATA, credential: &passkey.credential, verify };
            key.hmac_secret(&wanted, [first, second], pin, &context.ui)
        })
    }
}

impl OwnSecurityKeys {
    /// The key to ask. Those that were named come first; where a device was named, nothing else that is plugged in has a say.
    fn key_for(&self, asked: &Asked<'_>) -> Result<Box<dyn FidoToken>, FidoError> {
        let Asked { passkey, named, .. } = asked;
        let (parties, allow) = ([passkey.rp_id.as_str()], std::slice::from_ref(&passkey.credential));
        let mut keys = Keys::default();
        for path in named.iter().filter(|path| !self.which.names(path)) {
            keys = keys.and(at(path)?);
        }
        if self.which.is_named() {
            keys = keys.and(self.which.keys(&self.context)?);
        }
        let others = || self.which.keys(&self.context);
        let others = others_have_a_say(&self.which, named).then_some(others);
        Ok(keys.first_or(others, &parties, allow, Verification::Required)?.0)
    }
}

/// Whether keys that nobody named are asked as well: not where somebody named a device, but a soft key may lie among the identities for
/// good.
fn others_have_a_say(which: &WhichKey, named: &[PathBuf]) -> bool {
    !which.is_named() && !named.iter().any(|path| is_device(path))
}

/// The key that a path names: a connected one by its device, or a soft one by its file.
fn at(path: &Path) -> Result<Keys, FidoError> {
    if is_device(path) {
        return Ok(Keys::named(choice::only(ports::connected()?, Some(&path.to_string_lossy()))?));
    }
    Ok(Keys::named(Box::new(SoftFidoToken::open(path)?)))
}

fn is_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_char_device())
}

/// A passkey that is wanted.
pub(crate) struct NewPasskey<'a> {
    /// The relying party that it is bound to.
    pub(crate) rp_id: &'a str,
    /// What the key, or the browser, shows of it.
    pub(crate) name: &'a str,
    /// Of what is sealed with it at once.
    pub(crate) nonce: &'a [u8; NONCE_BYTES],
}

/// Has the one key that is meant make a passkey, and give the secret that seals the first file: two touches. The key keeps the
/// passkey where it can, so that browsers find it without its id. A third touch shows that the PIN guards the secret, of a key
/// whose standard does not promise it.
pub(crate) fn make_passkey(
    context: &Context,
    which: &WhichKey,
    new: &NewPasskey<'_>,
    purpose: &str,
) -> Result<(Passkey, HmacSecrets), FidoError> {
    let mut key = which.only()?;
    if !key.info().gives_secrets() {
        return Err(FidoError::NotSupported("sealing identities (its extension hmac-secret)"));
    }
    announce(context, new.rp_id, purpose);
    let (passkey, secrets) = with_pin(context, key.as_mut(), Verification::Required, true, |key, pin, verify| {
        make(key, new, pin, verify, &context.ui)
    })?;
    if !key.info().tells_users_apart() {
        announce(context, new.rp_id, "the same without its PIN, which must give another secret");
        check_guarded(key.as_mut(), new, &passkey, &secrets, &context.ui)?;
    }
    Ok((passkey, secrets))
}

fn make(
    key: &mut dyn FidoToken,
    new: &NewPasskey<'_>,
    pin: Option<&FidoPin>,
    verify: bool,
    prompts: &dyn TokenPrompts,
) -> Result<(Passkey, HmacSecrets), FidoError> {
    // Another user each time: a key replaces the passkey that it keeps of the same one.
    let user_id: [u8; 16] = rand::random();
    let resident = key.info().ctap2.as_ref().is_some_and(|ctap2| ctap2.resident);
    let wanted = NewCredential {
        rp_name: "quorate",
        user_id: &user_id,
        resident,
        verify,
        hmac_secret: true,
        ..NewCredential::plain(new.rp_id, CLIENT_DATA, new.name)
    };
    let made = key.register(&wanted, pin, prompts)?;
    let id = made.credential_id().ok_or(FidoError::Unexpected { command: "make", answer: "no credential".into() })?;
    let passkey = Passkey { credential: id.to_vec(), rp_id: new.rp_id.to_owned(), transports: vec!["usb".to_owned()] };
    let secrets = secrets_of(key, new, &passkey, verify, pin, prompts)?;
    Ok((passkey, secrets))
}

fn secrets_of(
    key: &mut dyn FidoToken,
    new: &NewPasskey<'_>,
    passkey: &Passkey,
    verify: bool,
    pin: Option<&FidoPin>,
    prompts: &dyn TokenPrompts,
) -> Result<HmacSecrets, FidoError> {
    let [first, second] = salts(new.nonce);
    let wanted = Wanted { party: new.rp_id, client_data: CLIENT_DATA, credential: &passkey.credential, verify };
    key.hmac_secret(&wanted, [&first, &second], pin, prompts)
}

/// Fails when whoever has the key, and not its PIN, has the secret as well: CTAP 2.0 knows one for all (§5.7.1 there).
fn check_guarded(
    key: &mut dyn FidoToken,
    new: &NewPasskey<'_>,
    passkey: &Passkey,
    secrets: &HmacSecrets,
    prompts: &dyn TokenPrompts,
) -> Result<(), FidoError> {
    match secrets_of(key, new, passkey, false, None, prompts) {
        Ok(unguarded) if unguarded == *secrets => Err(FidoError::Unguarded),
        // It gives none at all without.
        Ok(_) | Err(FidoError::PinRequired) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_names_a_device_keeps_the_others_out() {
        let (none, soft) = (WhichKey::default(), PathBuf::from("Cargo.toml"));
        let device = PathBuf::from("/dev/null");
        assert!(others_have_a_say(&none, &[]));
        assert!(others_have_a_say(&none, std::slice::from_ref(&soft)));
        assert!(!others_have_a_say(&none, &[soft.clone(), device.clone()]));
        let by_device = WhichKey { device: Some("/dev/null".to_owned()), soft: None };
        let by_file = WhichKey { device: None, soft: Some(soft.clone()) };
        assert!(!others_have_a_say(&by_device, &[]) && !others_have_a_say(&by_file, &[]));
        // Nor is the key that stands there twice opened twice.
        assert!(by_device.names(&device) && !by_device.names(&soft));
        assert!(by_file.names(&soft) && !by_file.names(&device) && !none.names(&soft));
    }
}
