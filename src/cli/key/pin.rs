//! `quorate key pin`: change a token's PIN or PUK, or unblock its PIN. Codes come from the terminal, or from the programs in
//! `QUORATE_PIN_COMMAND` and `QUORATE_PUK_COMMAND`, never from an argument.

use super::{hardware, pin, present_pin, puk};
use crate::cli::{CliError, Context};
use crate::token::soft_piv::SoftPivToken;
use crate::token::{PivToken, Puk, TokenError};
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
        let old = present_puk(context, &mut *token)?;
        let chosen = pin(&ui.new_pin("new PIN (6 to 8 characters)")?)?;
        old.check_differs(&chosen)?;
        token.unblock_pin(&old, &chosen)?;
        ui.say(format_args!("the PIN of {name} is unblocked and new"));
    } else if args.puk {
        let old = present_puk(context, &mut *token)?;
        token.change_puk(&old, &puk(&ui.new_puk("new PUK (6 to 8 characters)")?)?)?;
        ui.say(format_args!("the PUK of {name} is changed"));
    } else {
        let old = present_pin(context, &mut *token)?;
        token.change_pin(&old, &pin(&ui.new_pin("new PIN (6 to 8 characters)")?)?)?;
        ui.say(format_args!("the PIN of {name} is changed"));
    }
    Ok(())
}

/// The PUK that a token has now. A program has all tries but the last, where the token says how many there are.
fn present_puk(context: &Context, token: &mut dyn PivToken) -> Result<Puk, CliError> {
    let ui = context.ui;
    let name = shown(&token.info().to_string());
    let question = match token.puk_tries()? {
        Some(0) => return Err(TokenError::PukBlocked.into()),
        Some(1) if !ui.puk_is_typed() => return Err(TokenError::LastTry("PUK").into()),
        Some(left) => format!("PUK of {name} ({})", tries(left)),
        None => format!("PUK of {name}"),
    };
    puk(&ui.puk(&question)?)
}

fn token(context: &Context, args: &PinArgs) -> Result<Box<dyn PivToken>, CliError> {
    match (&args.soft, args.serial, context.identities.as_slice()) {
        (Some(path), ..) | (None, None, [path]) => Ok(Box::new(SoftPivToken::open(path)?)),
        (None, serial @ Some(_), _) | (None, serial, []) => hardware::find(serial),
        (None, None, several) => Err(CliError::NotOneToken(several.len())),
    }
}
