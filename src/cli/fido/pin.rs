//! `quorate fido pin`: a first PIN, or another. It must not know how it reaches the key.

use crate::cli::security_key::{self, WhichKey};
use crate::cli::{CliError, Context};
use crate::token::fido::{FidoError, FidoPin};
use crate::ui::shown;
use clap::Args;
use secrecy::SecretString;

#[derive(Debug, Args)]
pub(super) struct PinArgs {
    #[command(flatten)]
    key: WhichKey,
}

pub(super) fn run(context: &Context, args: &PinArgs) -> Result<(), CliError> {
    let mut key = args.key.only_or_new(context)?;
    let set = key.info().ctap2.as_ref().and_then(|ctap2| ctap2.pin_set).ok_or(FidoError::NotSupported("PINs"))?;
    let old = if set { Some(security_key::present_pin(context, key.as_mut(), false)?) } else { None };
    let entered = context.ui.new_security_key_pin("new PIN (at least 4 characters)")?;
    let new = FidoPin::parse(SecretString::from(entered.as_str()))?;
    key.set_pin(old.as_ref(), &new)?;
    context.ui.say(format_args!(
        "the PIN of {} is {}; nothing brings back what is on a key whose PIN is blocked: keep a second key",
        shown(&key.info().token.to_string()),
        if set { "changed" } else { "set" }
    ));
    Ok(())
}
