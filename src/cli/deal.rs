//! `quorate deal`: a secret in, one encrypted Toc per player out, all or nothing.

use super::{CliError, Context, NetworkArgs};
use clap::Args;
use std::path::PathBuf;

/// Split a secret into Tocs, one encrypted file per player
#[derive(Debug, Args)]
pub(crate) struct DealArgs {
    /// A player and the age recipients of their key and spare keys; once per player
    #[arg(short = 'p', long = "player", value_name = "NAME=RECIPIENT[,SPARE]")]
    players: Vec<String>,
    /// TOML file of players: [[player]] with name and recipients
    #[arg(short = 'P', long = "players", value_name = "FILE")]
    players_file: Option<PathBuf>,
    /// Number of Tocs that it takes
    #[arg(short = 't', long, value_name = "N", default_value_t = 3)]
    threshold: usize,
    /// Folder for the files; made when it is not there
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    output: PathBuf,
    /// The oracle that may rebuild the secret; `quorate oracle trust URL` comes first
    #[arg(long, value_name = "URL")]
    oracle: Option<String>,
    /// What the secret opens, for the people who are asked
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// `-` reads an otpauth URI from stdin
    #[arg(long, value_name = "-", allow_hyphen_values = true)]
    otpauth: Option<String>,
    /// Picture (PNG or JPEG) of the account's QR code
    #[arg(long, value_name = "IMAGE", conflicts_with = "otpauth")]
    qr: Option<PathBuf>,
    /// `-` reads the secret from stdin; without it, stdin is read unless it is a terminal, else you are asked
    #[arg(value_name = "-", allow_hyphen_values = true)]
    secret: Vec<String>,
}

pub(crate) fn run(_: &Context, _: DealArgs) -> Result<(), CliError> {
    Err(CliError::Usage("this command is not there yet".to_owned()))
}
