//! `quorate key pin`: change a token's PIN or PUK, or unblock its PIN. Codes come from the terminal or from the program in
//! `QUORATE_PIN_COMMAND`, never from an argument.

use super::{pin, puk};
use crate::cli::{CliError, Context};
use crate::token::PivToken;
use crate::token::soft_piv::SoftPivToken;
use crate::ui::shown;
use clap::Args;
use std::path::{Path, PathBuf};

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
}

pub(super) fn run(context: &Context, args: &PinArgs) -> Result<(), CliError> {
    let ui = context.ui;
    let mut token = SoftPivToken::open(path(context, args)?)?;
    let name = shown(&token.info().to_string());
    if args.unblock {
        let old = puk(&ui.pin(&format!("PUK of {name}"))?)?;
        token.unblock_pin(&old, &pin(&ui.new_pin("new PIN (6 to 8 characters)")?)?)?;
        ui.say(format_args!("the PIN of {name} is unblocked and new"));
    } else if args.puk {
        let old = puk(&ui.pin(&format!("PUK of {name}"))?)?;
        token.change_puk(&old, &puk(&ui.new_pin("new PUK (6 to 8 characters)")?)?)?;
        ui.say(format_args!("the PUK of {name} is changed"));
    } else {
        let old = pin(&ui.pin(&format!("PIN of {name}"))?)?;
        token.change_pin(&old, &pin(&ui.new_pin("new PIN (6 to 8 characters)")?)?)?;
        ui.say(format_args!("the PIN of {name} is changed"));
    }
    Ok(())
}

fn path<'a>(context: &'a Context, args: &'a PinArgs) -> Result<&'a Path, CliError> {
    match (&args.soft, context.identities.as_slice()) {
        (Some(path), _) | (None, [path]) => Ok(path),
        (None, several) => Err(CliError::NotOneToken(several.len())),
    }
}
