//! `quorate key`: keys in tokens. It must not know how a token keeps them.

use super::{CliError, Context};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// List the keys of tokens, with their recipients
    List,
    /// Make a key in a token, and print its recipients
    Generate(GenerateArgs),
    /// Show the key in one slot
    Show(ShowArgs),
    /// Change a token's PIN, or unblock it with the PUK
    Pin(PinArgs),
}

#[derive(Debug, Args)]
struct GenerateArgs {
    /// Slot of the key: a retired slot 82 to 95, or 9d; the first free one when left out
    #[arg(long, value_name = "SLOT")]
    slot: Option<String>,
    /// When the PIN is asked for: once, always or never
    #[arg(long, value_name = "POLICY", default_value = "once")]
    pin_policy: String,
    /// When a touch is asked for: always, cached or never
    #[arg(long, value_name = "POLICY", default_value = "always")]
    touch_policy: String,
    /// Name of the key, for people
    #[arg(long, value_name = "TEXT", default_value = "quorate")]
    label: String,
    /// Soft token file, made when it is not there; for trying out and for tests
    #[arg(long, value_name = "FILE")]
    soft: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Slot of the key; every key when left out
    #[arg(value_name = "SLOT")]
    slot: Option<String>,
}

#[derive(Debug, Args)]
struct PinArgs {
    /// Unblock the PIN with the PUK
    #[arg(long)]
    unblock: bool,
    /// Soft token file
    #[arg(long, value_name = "FILE")]
    soft: Option<PathBuf>,
}

pub(crate) fn run(_: &Context, _: KeyArgs) -> Result<(), CliError> {
    Err(CliError::Usage("this command is not there yet".to_owned()))
}
