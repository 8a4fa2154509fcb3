//! `quorate key pin`: change a token's PIN or PUK, or unblock its PIN. Codes come from the terminal or from the program in
//! `QUORATE_PIN_COMMAND`, never from an argument.

use super::{hardware, pin, present_pin, puk};
use crate::cli::{CliError, Context};
use crate::token::soft_piv::SoftPivToken;
use crate::token::{PivToken, TokenError};
use crate::ui::{shown, tries};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// Set a new PIN with the PUK, after three wrong PINs
    #[arg(long)]
    unblock: bool,
    /// Change the PUK instead of the PIN
    #[arg(long, conflicts_with = "unblock")]
    puk: bool,
    /// Soft token; may be left out when -i names one
    #[arg(long, value_name = "FILE")]
    soft: Option<PathBuf>,
    /// Serial number of the connected key to use, when there are several
    #[arg(long, value_name = "NUMBER", conflicts_with = "soft")]
    serial: Option<u32>,
}

pub(super) fn run(context: &Context, args: &PinArgs) -> Result<(), CliError> {
    let ui = context.ui;
    let mut token = token(context, args)?;
    let name = shown(&token.info().to_string());
    if args.unblock {
        let old = puk(&ui.pin(&puk_question(&mut *token, &name)?)?)?;
        token.unblock_pin(&old, &pin(&ui.new_pin("new PIN (6 to 8 characters)")?)?)?;
        ui.say(format_args!("the PIN of {name} is unblocked and new"));
    } else if args.puk {
        let old = puk(&ui.pin(&puk_question(&mut *token, &name)?)?)?;
        token.change_puk(&old, &puk(&ui.new_pin("new PUK (6 to 8 characters)")?)?)?;
        ui.say(format_args!("the PUK of {name} is changed"));
    } else {
        let old = present_pin(context, &mut *token)?;
        token.change_pin(&old, &pin(&ui.new_pin("new PIN (6 to 8 characters)")?)?)?;
        ui.say(format_args!("the PIN of {name} is changed"));
    }
    Ok(())
}

/// Fails when no PUK can help any more.
fn puk_question(token: &mut dyn PivToken, name: &str) -> Result<String, CliError> {
    match token.puk_tries()? {
        Some(0) => Err(TokenError::PukBlocked.into()),
        Some(left) => Ok(format!("PUK of {name} ({})", tries(left))),
        None => Ok(format!("PUK of {name}")),
    }
}

fn token(context: &Context, args: &PinArgs) -> Result<Box<dyn PivToken>, CliError> {
    match (&args.soft, args.serial, context.identities.as_slice()) {
        (Some(path), ..) | (None, None, [path]) => Ok(Box::new(SoftPivToken::open(path)?)),
        (None, serial @ Some(_), _) | (None, serial, []) => hardware::find(serial),
        (None, None, several) => Err(CliError::NotOneToken(several.len())),
    }
}
