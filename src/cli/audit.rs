//! `quorate audit`: reads an oracle's audit log, from the oracle or from a file, and checks that it is what the oracle wrote.
//! It trusts the key and the older checkpoints that it is given, and nothing in the log.

mod source;

use self::source::{FromOracle, Source};
use super::network::LoggedInAt;
use super::{CliError, Context, files};
use crate::ui::{shown, time};
use clap::{Args, Subcommand};
use quorate_protocol::audit::checkpoint::{Checkpoint, MAX_NOTE, VerifierKey};
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::{Line, Report, Row, Verifier};
use quorate_protocol::encoding::base64;
use serde::Serialize;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Print the events of an audit log, without checking them
    Show(ShowArgs),
    /// Check an audit log: every row, every checkpoint, and that no row is missing
    ///
    /// What was cut off at the end shows only against an older checkpoint that was kept elsewhere. Of an oracle's own log, the
    /// checkpoint that it shows before the reading is one of them.
    Verify(VerifyArgs),
    /// Print an oracle's newest checkpoint, to be kept where its administrators cannot change it
    Checkpoint(CheckpointArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// Only events of this kind, such as session.code, or session for all that begin so
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// Begin behind the row with this number
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    after: i64,
    /// End after so many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..), conflicts_with = "export")]
    limit: Option<u64>,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// The key that signs its checkpoints, as `quorate-oracle audit key` prints it; may be given again
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// A checkpoint from before, which the log must go on from; may be given again
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    #[command(flatten)]
    source: Source,
}

#[derive(Debug, Args)]
struct CheckpointArgs {
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Serialize)]
struct Shown<'a> {
    number: i64,
    event: Option<&'a Event>,
}

#[derive(Serialize)]
struct Checked {
    sound: bool,
    rows: i64,
    /// Rows under the newest checkpoint that the key has signed.
    size: u64,
    /// Base64 of its root.
    root: Option<String>,
    findings: Vec<String>,
    /// Findings that are not listed.
    more: u64,
}

pub(crate) fn run(context: &Context, args: &AuditArgs) -> Result<(), CliError> {
    match &args.command {
        AuditCommand::Show(args) => show(context, args),
        AuditCommand::Verify(args) => verify(context, args),
        AuditCommand::Checkpoint(args) => {
            // As it is: its bytes are signed.
            Ok(context.ui.raw_data(args.at.client(context)?.audit_checkpoint()?.as_bytes())?)
        }
    }
}

fn show(context: &Context, args: &ShowArgs) -> Result<(), CliError> {
    let (mut number, mut left) = (0_u64, args.limit);
    args.source.each_line(context, args.after, |line| {
        number += 1;
        match serde_json::from_str(line) {
            _ if line.trim().is_empty() => {}
            Ok(Line::Row(row)) if row.number > args.after => {
                let shown = show_row(context, &row, args.kind.as_deref())?;
                left = left.map(|left| left - u64::from(shown));
            }
            Ok(_) => {}
            Err(_) => context.ui.warn(format_args!("line {number} belongs to no export")),
        }
        Ok(if left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
    })
}

/// Prints a row, if it is one of those that are wanted.
fn show_row(context: &Context, row: &Row, kind: Option<&str>) -> Result<bool, CliError> {
    let event = row.event.as_deref().and_then(Event::from_leaf);
    let wanted = |event: &Event| kind.is_none_or(|kind| is_kind(&event.kind, kind));
    if event.as_ref().is_some_and(|event| !wanted(event)) {
        return Ok(false);
    }
    let value = Shown { number: row.number, event: event.as_ref() };
    context.ui.print(&value, || match &event {
        Some(event) => line_of(row.number, event),
        None => format!("{}  cannot be read", row.number),
    })?;
    Ok(true)
}

fn is_kind(kind: &str, wanted: &str) -> bool {
    kind.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn line_of(number: i64, event: &Event) -> String {
    let Event { kind, who, source, subject, result, .. } = event;
    let mut line = format!("{number}  {}  {}", time(event.time.div_euclid(1000)), shown(kind));
    for part in [who, subject] {
        if !part.is_empty() {
            line = format!("{line}  {}", shown(part));
        }
    }
    if !source.is_empty() {
        line = format!("{line}  from {}", shown(source));
    }
    if result != "done" {
        line = format!("{line}  {}", shown(result));
    }
    for (name, value) in &event.details {
        line = format!("{line}  {}={}", shown(name), shown(&value.to_string()));
    }
    line
}

fn verify(context: &Context, args: &VerifyArgs) -> Result<(), CliError> {
    let keys = args.keys.iter().map(|key| key.trim().parse().map_err(CliError::AuditKey));
    let keys: Vec<VerifierKey> = keys.collect::<Result<_, _>>()?;
    let mut older = args.checkpoints.iter().map(|path| older(path, &keys)).collect::<Result<Vec<_>, _>>()?;
    if let Some(FromOracle { client, .. }) = args.source.asked(context)? {
        older.push(opened(Path::new(client.url()), &client.audit_checkpoint()?, &keys)?);
    }
    let mut verifier = Verifier::new(keys, older);
    let mut last = None;
    args.source.each_line(context, 0, |line| {
        if let Some(Line::Row(row)) = verifier.push(line) {
            last = row.event.as_deref().and_then(Event::from_leaf).map(|event| event.time);
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let report = verifier.finish();
    print(context, &report, last)?;
    if report.is_sound() { Ok(()) } else { Err(CliError::AuditAltered) }
}

fn older(path: &Path, keys: &[VerifierKey]) -> Result<Checkpoint, CliError> {
    opened(path, &files::read_text(path, MAX_NOTE as u64)?, keys)
}

/// The checkpoint in a note, signed by one of `keys`; `place` is where it came from.
fn opened(place: &Path, note: &str, keys: &[VerifierKey]) -> Result<Checkpoint, CliError> {
    let mut opened = keys.iter().map(|key| Checkpoint::open(note, key));
    let failed = |source| CliError::Checkpoint { path: place.to_owned(), source };
    let first = opened.next().expect("at least one key is required");
    match (first, opened.find_map(Result::ok)) {
        (Ok(checkpoint), _) | (Err(_), Some(checkpoint)) => Ok(checkpoint),
        (Err(error), None) => Err(failed(error)),
    }
}

fn print(context: &Context, report: &Report, last: Option<i64>) -> Result<(), CliError> {
    let newest = report.newest.as_ref();
    let checked = Checked {
        sound: report.is_sound(),
        rows: report.rows,
        size: newest.map_or(0, |newest| newest.size),
        root: newest.map(|newest| base64(&newest.root)),
        findings: report.findings.iter().map(ToString::to_string).collect(),
        more: report.more,
    };
    let lines = || {
        let mut lines = checked.findings.clone();
        if checked.more > 0 {
            lines.push(format!("and {} more", checked.more));
        }
        if checked.sound {
            lines.push(format!("{} rows are as the oracle wrote them", checked.rows));
        }
        if let Some(root) = &checked.root {
            lines.push(format!("checkpoint  {} rows, root {root}", checked.size));
        }
        if let Some(last) = last {
            lines.push(format!("last event  {}", time(last.div_euclid(1000))));
        }
        lines.join("\n")
    };
    Ok(context.ui.print(&checked, lines)?)
}
