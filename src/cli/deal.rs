//! `quorate deal`: a secret in, one encrypted Toc per player out, all or nothing. Everything is checked before the secret is
//! asked for, and everything is encrypted before a file is written.

use super::files::{Batch, safe_name};
use super::players::{self, Player};
use super::secret::SecretArgs;
use super::trust::TrustStore;
use super::{CliError, Context};
use crate::ui::{shown, shown_path};
use clap::Args;
use quorate_protocol::api::fingerprint;
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::header::{GroupName, HeaderError, MAX_NOTE, OraclePin};
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::sealing::age_seal;
use serde::Serialize;
use std::collections::HashSet;
use std::path::{Path, PathBuf};

const GROUP_FILE: &str = "group.json";

#[derive(Debug, Args)]
pub(crate) struct DealArgs {
    /// A player: a name, and the age recipients of their key and its spares; once per player
    #[arg(short = 'p', long = "player", value_name = "NAME=RECIPIENT[,SPARE]")]
    players: Vec<String>,
    /// TOML file of players: a `[[player]]` with `name` and `recipients` for each
    #[arg(short = 'P', long = "players", value_name = "FILE")]
    players_file: Option<PathBuf>,
    /// Number of Tocs that it takes to make a code
    #[arg(short = 't', long, value_name = "N", default_value_t = 3)]
    threshold: usize,
    /// Folder for the files; made when it is not there
    #[arg(short = 'o', long = "output", value_name = "DIR")]
    output: PathBuf,
    /// The oracle that may make the codes; you must trust it already (`quorate oracle trust URL`)
    #[arg(long, value_name = "URL")]
    oracle: Option<String>,
    /// What the secret opens, for the people who are asked
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    note: String,
    #[command(flatten)]
    secret: SecretArgs,
}

/// A player and everything that was found out before the secret is asked for.
struct Seat {
    player: Player,
    recipients: Vec<Box<dyn age::Recipient>>,
    file: String,
}

#[derive(Serialize)]
struct Summary<'a> {
    group: GroupName,
    group_id: &'a str,
    size: u8,
    threshold: u8,
    note: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    oracle: Option<OracleSummary<'a>>,
    group_file: &'a Path,
    tocs: Vec<TocSummary<'a>>,
}

#[derive(Serialize)]
struct OracleSummary<'a> {
    url: &'a str,
    fingerprint: String,
}

#[derive(Serialize)]
struct TocSummary<'a> {
    holder: &'a str,
    file: &'a Path,
}

pub(crate) fn run(context: &Context, args: &DealArgs) -> Result<(), CliError> {
    args.secret.check()?;
    if args.note.len() > MAX_NOTE {
        return Err(HeaderError::Note.into());
    }
    let players = players::read(&args.players, args.players_file.as_deref(), args.threshold)?;
    let oracle = match &args.oracle {
        Some(url) => Some(TrustStore::load(&context.paths()?)?.find(url)?.pin()),
        None => None,
    };
    let seats = seat(context, players)?;
    check_output(&args.output, &seats)?;
    // The folder first: a place where nothing can be written is found before the secret is asked for.
    let batch = Batch::new(&args.output)?;
    warn(context, args, &seats);

    let secret = args.secret.read(context.ui)?;
    context.ui.say(format_args!("dealing {}", describe(&secret)));
    let holders: Vec<String> = seats.iter().map(|seat| seat.player.holder.clone()).collect();
    let request = DealRequest {
        secret: &secret,
        threshold: args.threshold,
        holders: &holders,
        note: &args.note,
        dealt_at: context.now(),
        oracle,
        replaces: None,
    };
    let dealt = deal(&request, &mut rand::rng())?;
    drop(secret);
    let paths = write(batch, &dealt, &seats)?;
    print(context, &dealt, &paths)?;
    advise(context, &dealt);
    Ok(())
}

/// Finds each player's plugins and a file name of their own.
fn seat(context: &Context, players: Vec<Player>) -> Result<Vec<Seat>, CliError> {
    let mut names = HashSet::new();
    let mut seats = Vec::new();
    for player in players {
        let recipients = player.age_recipients(context.ui)?;
        let stem = safe_name(&player.holder);
        let numbered = (2..).map(|n| format!("{stem}-{n}"));
        // Letter case is no difference on every file system.
        let name = std::iter::once(stem.clone()).chain(numbered).find(|name| names.insert(name.to_lowercase()));
        let file = name.expect("there are more numbers than players") + ".toc.age";
        seats.push(Seat { player, recipients, file });
    }
    Ok(seats)
}

/// Refuses, before anything is asked, a place where the files cannot go.
fn check_output(folder: &Path, seats: &[Seat]) -> Result<(), CliError> {
    let names = seats.iter().map(|seat| seat.file.as_str()).chain([GROUP_FILE]);
    match names.map(|name| folder.join(name)).find(|path| path.symlink_metadata().is_ok()) {
        Some(path) => Err(CliError::Exists(path)),
        None if folder.symlink_metadata().is_ok() && !folder.is_dir() => Err(CliError::Exists(folder.to_owned())),
        None => Ok(()),
    }
}

fn warn(context: &Context, args: &DealArgs, seats: &[Seat]) {
    let ui = context.ui;
    let without_spare = seats.iter().filter(|seat| seat.player.recipients.len() == 1).count();
    if args.threshold == seats.len() && without_spare > 0 {
        ui.warn(format_args!(
            "every one of the {} Tocs will be needed: whoever loses a key without a spare loses the account for everyone",
            seats.len()
        ));
    }
    if args.oracle.is_none() {
        ui.say("no oracle is named: every player will have to trust one with `quorate oracle trust URL`");
    }
}

fn describe(secret: &OtpSecret) -> String {
    let parameters = secret.parameters();
    format!(
        "{} ({}, {} digits, {} s)",
        secret.display_name(),
        parameters.algorithm,
        parameters.digits,
        parameters.period
    )
}

/// Encrypts every Toc, then writes all files.
fn write(mut batch: Batch, dealt: &Deal, seats: &[Seat]) -> Result<Vec<PathBuf>, CliError> {
    let mut encrypted = Vec::new();
    for (toc, seat) in dealt.tocs.iter().zip(seats) {
        let recipients = seat.recipients.iter().map(|recipient| &**recipient);
        let armored = age_seal(&toc.to_json(), recipients)
            .map_err(|source| CliError::Encrypt { holder: seat.player.holder.clone(), source: Box::new(source) })?;
        encrypted.push(armored);
    }
    for (armored, seat) in encrypted.iter().zip(seats) {
        batch.stage(&seat.file, armored.as_bytes())?;
    }
    batch.stage(GROUP_FILE, (dealt.group.to_json() + "\n").as_bytes())?;
    batch.commit()
}

fn print(context: &Context, dealt: &Deal, paths: &[PathBuf]) -> Result<(), CliError> {
    let fields = dealt.group.header.fields();
    let (group_file, toc_files) = paths.split_last().expect("a deal writes its group file last");
    let tocs = fields.players.iter().zip(toc_files);
    let summary = Summary {
        group: dealt.group.name(),
        group_id: &fields.group_id,
        size: fields.size,
        threshold: fields.threshold,
        note: &fields.note,
        oracle: fields.oracle.as_ref().map(summarise),
        group_file,
        tocs: tocs.map(|(player, file)| TocSummary { holder: &player.holder, file }).collect(),
    };
    Ok(context.ui.print(&summary, || lines(&summary))?)
}

fn summarise(pin: &OraclePin) -> OracleSummary<'_> {
    OracleSummary { url: &pin.url, fingerprint: fingerprint(&pin.root_key.0) }
}

fn lines(summary: &Summary<'_>) -> String {
    let mut lines = vec![
        format!("group       {}", summary.group),
        format!("group id    {}", summary.group_id),
        format!("threshold   {} of {}", summary.threshold, summary.size),
    ];
    if !summary.note.is_empty() {
        lines.push(format!("note        {}", shown(summary.note)));
    }
    if let Some(oracle) = &summary.oracle {
        lines.push(format!("oracle      {} ({})", shown(oracle.url), oracle.fingerprint));
    }
    lines.push(format!("group file  {}", shown_path(summary.group_file)));
    lines.extend(
        summary.tocs.iter().map(|toc| format!("Toc         {}  for {}", shown_path(toc.file), shown(toc.holder))),
    );
    lines.join("\n")
}

fn advise(context: &Context, dealt: &Deal) {
    let threshold = dealt.group.header.fields().threshold;
    context.ui.say(format_args!(
        "\nNow:\n\
         1. hand each player their file; they check it with `quorate toc verify FILE` and file it with `quorate toc add FILE`\n\
         2. make one code with {threshold} of them, and compare it with what your authenticator shows\n\
         3. then remove the secret from phones and password managers: while it is there, one person still suffices"
    ));
}
