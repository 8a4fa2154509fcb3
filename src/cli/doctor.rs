//! `quorate doctor`: what is wrong on this machine, and the cure.

use super::{CliError, Context, NetworkArgs};
use clap::Args;

#[derive(Debug, Args)]
pub(crate) struct DoctorArgs {
    #[command(flatten)]
    network: NetworkArgs,
}

pub(crate) fn run(_: &Context, _: &DoctorArgs) -> Result<(), CliError> {
    Err(CliError::Usage("this command is not there yet".to_owned()))
}
