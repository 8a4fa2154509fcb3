//! `quorate toc`: file, list, show and check Tocs.

use super::{CliError, Context};
use clap::{Args, Subcommand};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct TocArgs {
    #[command(subcommand)]
    command: TocCommand,
}

#[derive(Debug, Subcommand)]
enum TocCommand {
    /// Open a Toc once, check it, and file it where `quorate join` finds it
    Add(AddArgs),
    /// List the filed Tocs; needs no key
    List,
    /// Show what a Toc says, without its share
    Show(ShowArgs),
    /// Open Tocs and check everything that can be checked
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// Toc file, as `quorate deal` wrote it
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Toc file, or the name (or the first characters of it) or id of a group whose Toc is filed
    #[arg(value_name = "FILE|G")]
    toc: String,
    /// Show the share too; who reads it has your part of the secret
    #[arg(long)]
    with_share: bool,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// Toc files or groups; every filed Toc when left out
    #[arg(value_name = "FILE|G")]
    tocs: Vec<String>,
}

pub(crate) fn run(_: &Context, _: TocArgs) -> Result<(), CliError> {
    Err(CliError::Usage("this command is not there yet".to_owned()))
}
