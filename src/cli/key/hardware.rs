//! The connected token that a command is about: finding the one that is meant, and having its owner unlock it, with the codes
//! that it came with replaced on the way. It must not know what kind of token it is.

use super::{pin, present_pin, puk};
use crate::cli::{CliError, Context};
use crate::token::identities::Identities;
use crate::token::readers::{Content, system_readers};
use crate::token::{FactoryCodes, Pin, PivToken, Puk, TokenError};
use crate::ui::shown;
use secrecy::SecretString;

/// What everybody knows: the codes of every key at first.
const FACTORY_PIN: &str = "123456";
const FACTORY_PUK: &str = "12345678";

/// Says of each connected token that cannot be used why; that there is no smart-card service is not worth a word.
pub(super) fn warn_of_faults(context: &Context, identities: &Identities) {
    use crate::token::identities::IdentityError;
    for fault in identities.look_for_tokens() {
        if !matches!(fault, IdentityError::Token { source: TokenError::Service(_), .. }) {
            context.ui.warn(shown(&fault.to_string()));
        }
    }
}

/// The connected token with this serial number, or the only one.
pub(super) fn find(serial: Option<u32>) -> Result<Box<dyn PivToken>, CliError> {
    let readers = system_readers().ok_or(CliError::NoHardware)?;
    if let Some(serial) = serial {
        return readers.open(serial)?.ok_or(CliError::NoSuchToken(serial));
    }
    let (mut tokens, mut faults) = (Vec::new(), Vec::new());
    for reader in readers.look()? {
        match reader.content {
            Content::Token(token) => tokens.push(token),
            Content::Unusable(error) => faults.push((reader.name, error)),
            Content::Empty | Content::Stranger => {}
        }
    }
    match (tokens.pop(), faults.pop()) {
        (Some(only), None) if tokens.is_empty() => Ok(only),
        // The one that does not answer may be the one that is meant.
        (Some(only), Some((reader, source))) if tokens.is_empty() => {
            Err(CliError::TokenInDoubt { found: shown(&only.info().to_string()), reader: shown(&reader), source })
        }
        (Some(_), _) => Err(CliError::NotOneToken(tokens.len() + 1)),
        (None, Some((_, error))) => Err(error.into()),
        (None, None) => Err(CliError::NoHardware),
    }
}

/// The same, with its PIN verified and of its owner's choice.
pub(super) fn unlocked(context: &Context, serial: Option<u32>) -> Result<Box<dyn PivToken>, CliError> {
    let ui = context.ui;
    let mut token = find(serial)?;
    let name = shown(&token.info().to_string());
    let codes = token.factory_codes()?;
    let entered = match codes.pin {
        Some(true) if token.pin_tries()? > 0 => factory_pin(),
        _ => present_pin(context, &mut *token)?,
    };
    token.verify_pin(&entered)?;
    if entered.check_new().is_err() {
        ui.say(format_args!("{name} still has the PIN that it came with: choose one of your own"));
        let chosen = pin(&ui.new_pin("new PIN (6 to 8 characters)")?)?;
        token.change_pin(&entered, &chosen)?;
        replace_puk(context, &mut *token, &chosen, codes)?;
        token.verify_pin(&chosen)?;
    } else if codes.puk == Some(true) {
        replace_puk(context, &mut *token, &entered, codes)?;
        token.verify_pin(&entered)?;
    }
    Ok(token)
}

/// Replaces a PUK that everybody knows: with it, whoever finds the key sets a PIN of theirs. A token that does not tell has its
/// owner asked.
fn replace_puk(context: &Context, token: &mut dyn PivToken, pin: &Pin, codes: FactoryCodes) -> Result<(), CliError> {
    let ui = context.ui;
    let name = shown(&token.info().to_string());
    let old = match codes.puk {
        Some(true) => factory_puk(),
        Some(false) => return Ok(()),
        None => puk(&ui.puk(&format!("PUK of {name} ({FACTORY_PUK}, unless you have changed it)"))?)?,
    };
    if old.check_new().is_ok() {
        return Ok(());
    }
    ui.say(format_args!("{name} still has the PUK that it came with: choose one of your own"));
    let chosen = puk(&ui.new_puk("new PUK, which unblocks the PIN (6 to 8 characters)")?)?;
    chosen.check_differs(pin)?;
    Ok(token.change_puk(&old, &chosen)?)
}

fn factory_pin() -> Pin {
    Pin::parse(SecretString::from(FACTORY_PIN)).expect("it is well-formed")
}

fn factory_puk() -> Puk {
    Puk::parse(SecretString::from(FACTORY_PUK)).expect("it is well-formed")
}
