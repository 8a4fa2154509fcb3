//! `quorate oracle`: which oracles this person trusts.

use super::{CliError, Context, NetworkArgs};
use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(crate) struct OracleArgs {
    #[command(subcommand)]
    command: OracleCommand,
}

#[derive(Debug, Subcommand)]
enum OracleCommand {
    /// Read an oracle's root key, compare its fingerprint, and trust it from then on
    Trust(TrustArgs),
    /// Show one trusted oracle and whether it still answers with that key
    Show(ShowArgs),
    /// List the trusted oracles
    List,
}

#[derive(Debug, Args)]
struct TrustArgs {
    /// Address of the oracle
    #[arg(value_name = "URL")]
    url: String,
    /// Fingerprint that the operator published; asked for on the terminal when left out
    #[arg(long, value_name = "FINGERPRINT")]
    fingerprint: Option<String>,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Address of the oracle; may be left out when only one is trusted
    #[arg(value_name = "URL")]
    url: Option<String>,
    #[command(flatten)]
    network: NetworkArgs,
}

pub(crate) fn run(_: &Context, _: OracleArgs) -> Result<(), CliError> {
    Err(CliError::Usage("this command is not there yet".to_owned()))
}
