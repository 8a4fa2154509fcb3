//! `quorate join`: the constituent's answer to an invite.

use super::{CliError, Context, NetworkArgs};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// The invite, the whole link, in quotes
    #[arg(value_name = "INVITE")]
    invite: String,
    /// Your Toc: a file; the filed one when left out
    #[arg(value_name = "TOC")]
    toc: Option<String>,
    /// Say no, for everyone to see
    #[arg(long)]
    deny: bool,
    /// Do not ask for a confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    network: NetworkArgs,
}

pub(crate) fn run(_: &Context, _: JoinArgs) -> Result<(), CliError> {
    Err(CliError::Usage("this command is not there yet".to_owned()))
}
