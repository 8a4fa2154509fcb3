//! `quorate ask`: the applicant's part of a session, from the request to the code.

use super::{CliError, Context, NetworkArgs};
use clap::Args;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct AskArgs {
    /// Your Toc: a file, or a group whose Toc is filed
    #[arg(value_name = "TOC")]
    toc: String,
    /// Why, for the people who are asked
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Seconds that codes flow after the first, 60 to 86400
    #[arg(long, value_name = "SECONDS")]
    ttl: Option<u32>,
    /// Number of different codes that will be shown at most
    #[arg(long, value_name = "N")]
    max_codes: Option<u32>,
    /// Ask for a redeal after the plan in -P instead of a code
    #[arg(long, requires = "plan")]
    redeal: bool,
    /// TOML file: threshold, note and the next players
    #[arg(short = 'P', long = "plan", value_name = "FILE", requires = "redeal")]
    plan: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
}

pub(crate) fn run(_: &Context, _: AskArgs) -> Result<(), CliError> {
    Err(CliError::Usage("this command is not there yet".to_owned()))
}
