//! A security key guards sealed identities: making the passkey, and having its key give the secret that opens a file. It must not know
//! what is in the file.

use super::{WhichKey, announce, chosen, opened, with_pin};
use crate::cli::Context;
use crate::token::fido::ports;
use crate::token::fido::soft::SoftFidoToken;
use crate::token::fido::{ES256, FidoError, FidoToken, HmacSecrets, NewCredential, Wanted};
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
        let Asked { passkey, salts: [first, second], file, named } = asked;
        let keys = self.candidates(named)?;
        let credential = std::slice::from_ref(&passkey.credential);
        let is_named = |key: &dyn FidoToken| self.which.is_named() || named.iter().any(|path| is_at(key, path));
        let (mut key, _) = chosen(keys, &[&passkey.rp_id], credential, Verification::Required, is_named)?;
        let (context, party) = (&self.context, passkey.rp_id.as_str());
        announce(context, party, &format!("opening {file}"));
        with_pin(context, key.as_mut(), Verification::Required, false, |key, pin, verify| {
            let wanted = Wanted { party, client_data: CLIENT_DATA, credential: &passkey.credential, verify };
            key.hmac_secret(&wanted, [first, second], pin, &context.ui)
        })
    }
}

impl OwnSecurityKeys {
    /// The keys that were named first; a key stands there once.
    fn candidates(&self, named: &[PathBuf]) -> Result<Vec<Box<dyn FidoToken>>, FidoError> {
        let mut keys = named.iter().map(|path| at(path)).collect::<Result<Vec<_>, _>>()?;
        let is_new = |key: &dyn FidoToken| !named.iter().any(|path| is_at(key, path));
        match self.which.keys() {
            Ok(others) => keys.extend(others.into_iter().filter(|key| is_new(key.as_ref()))),
            // Those that were named are enough.
            Err(_) if !keys.is_empty() && !self.which.is_named() => {}
            Err(error) => return Err(error),
        }
        Ok(keys)
    }
}

/// The key that a path names: a connected one by its device, or a soft one by its file.
fn at(path: &Path) -> Result<Box<dyn FidoToken>, FidoError> {
    if !is_device(path) {
        return Ok(Box::new(SoftFidoToken::open(path)?));
    }
    let device = path.to_string_lossy();
    opened(ports::connected()?, Some(&device))?.pop().ok_or_else(|| FidoError::Unknown(device.into_owned()))
}

fn is_device(path: &Path) -> bool {
    path.metadata().is_ok_and(|metadata| metadata.file_type().is_char_device())
}

fn is_at(key: &dyn FidoToken, path: &Path) -> bool {
    key.info().place == path.to_string_lossy()
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
/// passkey where it can, so that browsers find it without its id.
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
    // Another user each time: a key replaces the passkey that it keeps of the same one.
    let user_id: [u8; 16] = rand::random();
    announce(context, new.rp_id, purpose);
    let resident = key.info().ctap2.as_ref().is_some_and(|ctap2| ctap2.resident);
    let [first, second] = salts(new.nonce);
    with_pin(context, key.as_mut(), Verification::Required, true, |key, pin, verify| {
        let made = key.register(
            &NewCredential {
                rp_id: new.rp_id,
                rp_name: "quorate",
                client_data: CLIENT_DATA,
                user_id: &user_id,
                user_name: new.name,
                user_display_name: new.name,
                algorithms: &[ES256],
                exclude: &[],
                resident,
                verify,
                hmac_secret: true,
            },
            pin,
            &context.ui,
        )?;
        let id =
            made.credential_id().ok_or(FidoError::Unexpected { command: "make", answer: "no credential".into() })?;
        let wanted = Wanted { party: new.rp_id, client_data: CLIENT_DATA, credential: id, verify };
        let secrets = key.hmac_secret(&wanted, [&first, &second], pin, &context.ui)?;
        let passkey =
            Passkey { credential: id.to_vec(), rp_id: new.rp_id.to_owned(), transports: vec!["usb".to_owned()] };
        Ok((passkey, secrets))
    })
}
