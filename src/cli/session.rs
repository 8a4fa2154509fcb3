//! `quorate session`: look at, continue or end a session.

use super::{CliError, Context, NetworkArgs};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// Show a session once
    Show(IdArgs),
    /// Follow a session until it ends
    Watch(IdArgs),
    /// Show the code of a session of yours
    Code(IdArgs),
    /// End a session of yours
    Cancel(IdArgs),
    /// Fetch and file your new Toc after a redeal
    Fetch(IdArgs),
}

#[derive(Debug, Args)]
struct IdArgs {
    /// Session id, or invite
    #[arg(value_name = "ID|INVITE")]
    session: String,
}

pub(crate) fn run(_: &Context, _: SessionArgs) -> Result<(), CliError> {
    Err(CliError::Usage("this command is not there yet".to_owned()))
}
