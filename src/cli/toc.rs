//! `quorate toc`: file, list, show and check Tocs.

mod report;
mod verify;

use self::report::Report;
use super::drawer::{Card, Drawer, DrawerError};
use super::opening::open;
use super::security_key::WhichKey;
use super::{CliError, Context};
use crate::ui::{shown, shown_path};
use clap::{Args, Subcommand};
use quorate_protocol::api::fingerprint;
use serde::Serialize;
use std::path::{Path, PathBuf};

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
    /// Toc file, or a group whose Toc is filed: its name, the first characters of it, or its id
    #[arg(value_name = "FILE|G")]
    toc: String,
    /// Show the share too; whoever sees it has this player's part of the secret
    #[arg(long)]
    with_share: bool,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// Toc files, or groups whose Tocs are filed; every filed Toc when left out
    #[arg(value_name = "FILE|G")]
    tocs: Vec<String>,
}

#[derive(Serialize)]
struct Listed<'a> {
    file: &'a Path,
    #[serde(flatten)]
    card: &'a Card,
}

pub(crate) fn run(context: &Context, args: &TocArgs) -> Result<(), CliError> {
    match &args.command {
        TocCommand::Add(args) => add(context, &args.file),
        TocCommand::List => list(context),
        TocCommand::Show(args) => show(context, args),
        TocCommand::Verify(args) => verify::run(context, &args.tocs),
    }
}

fn add(context: &Context, file: &Path) -> Result<(), CliError> {
    let opened = open(context, &context.load_identities()?, file)?;
    let filed = Drawer::new(&context.paths()?).file(&opened.toc, &opened.encrypted, file)?;
    let card = &filed.card;
    let holder = card.holder.as_deref().unwrap_or("a player of farMFA");
    context.ui.say(format_args!("filed the Toc of {}: {}", shown(holder), in_words(card)));
    match &card.oracle {
        Some(pin) => context.ui.say(format_args!(
            "its invites are believed only from {} with the root key {}: compare that with what the operator says",
            shown(&pin.url),
            fingerprint(&pin.root_key.0)
        )),
        None => context.ui.say("it names no oracle: trust the right one with `quorate oracle trust URL`"),
    }
    context.ui.print(&Listed { file: &filed.path, card: &filed.card }, || shown_path(&filed.path))?;
    Ok(())
}

/// What it opens, and how many it takes.
fn in_words(card: &Card) -> String {
    let note = if card.note.is_empty() { String::new() } else { format!("\"{}\", ", shown(&card.note)) };
    format!("{note}{} of {} Tocs needed", card.threshold, card.size)
}

fn list(context: &Context) -> Result<(), CliError> {
    let filed = Drawer::new(&context.paths()?).list()?;
    if filed.is_empty() {
        context.ui.say("no Toc is filed yet: `quorate toc add FILE`");
    }
    for filed in &filed {
        let card = &filed.card;
        context.ui.print(&Listed { file: &filed.path, card }, || {
            let group = card.group.map_or_else(|| "farMFA".to_owned(), |group| group.to_string()[..8].to_owned());
            let holder = card.holder.as_deref().unwrap_or(&card.toc_id);
            format!(
                "{group:8}  {:8}  {} of {}  {}  {}",
                shown(&card.group_id),
                card.threshold,
                card.size,
                shown(holder),
                shown(&card.note)
            )
        })?;
    }
    Ok(())
}

fn show(context: &Context, args: &ShowArgs) -> Result<(), CliError> {
    let (opened, _) = context.open_toc(&args.toc, &WhichKey::default())?;
    let report = Report::of(&opened, args.with_share).ok_or_else(|| DrawerError::Short(opened.path.clone()))?;
    if args.with_share {
        context
            .ui
            .warn("the share is shown: enough of them together are the secret, so keep it out of sight and of logs");
    }
    if context.ui.json() {
        context.ui.json_data(&report)?;
    } else {
        context.ui.data(report.lines().as_str())?;
    }
    Ok(())
}
