//! `quorate audit`: reads what an oracle exports of its audit log, and checks that it is what the oracle wrote. It trusts the key
//! and the older checkpoints that it is given, and nothing in the export.

use super::{CliError, Context, files};
use crate::ui::{shown, time};
use clap::{Args, Subcommand};
use quorate_protocol::audit::checkpoint::{Checkpoint, MAX_NOTE, VerifierKey};
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::{Line, MAX_LINE, Report, Row, Verifier};
use quorate_protocol::encoding::base64;
use serde::Serialize;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Print the events of an export, without checking them
    Show(ShowArgs),
    /// Check an export: every row, every checkpoint, and that no row is missing
    ///
    /// What was cut off at the end shows only against an older checkpoint that was kept elsewhere.
    Verify(VerifyArgs),
}

#[derive(Debug, Args)]
struct ShowArgs {
    /// What `quorate-oracle audit export` wrote; - for standard input
    #[arg(value_name = "EXPORT", default_value = "-")]
    export: PathBuf,
    /// Only events of this kind, such as session.code, or session for all that begin so
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    /// What `quorate-oracle audit export` wrote; - for standard input
    #[arg(value_name = "EXPORT", default_value = "-")]
    export: PathBuf,
    /// The key that signs its checkpoints, as `quorate-oracle audit key` prints it; may be given again
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// A checkpoint from before, which the log must go on from; may be given again
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
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
    }
}

fn show(context: &Context, args: &ShowArgs) -> Result<(), CliError> {
    let mut number = 0;
    each_line(&args.export, |line| {
        number += 1;
        if line.trim().is_empty() {
            return Ok(());
        }
        match serde_json::from_str(line) {
            Ok(Line::Row(row)) => show_row(context, &row, args.kind.as_deref()),
            Ok(Line::Head(_)) => Ok(()),
            Err(_) => {
                context.ui.warn(format_args!("line {number} belongs to no export"));
                Ok(())
            }
        }
    })
}

fn show_row(context: &Context, row: &Row, kind: Option<&str>) -> Result<(), CliError> {
    let event = row.event.as_deref().and_then(Event::from_leaf);
    let wanted = |event: &Event| kind.is_none_or(|kind| is_kind(&event.kind, kind));
    if event.as_ref().is_some_and(|event| !wanted(event)) {
        return Ok(());
    }
    let value = Shown { number: row.number, event: event.as_ref() };
    Ok(context.ui.print(&value, || match &event {
        Some(event) => line_of(row.number, event),
        None => format!("{}  cannot be read", row.number),
    })?)
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
    let older = args.checkpoints.iter().map(|path| older(path, &keys)).collect::<Result<_, _>>()?;
    let mut verifier = Verifier::new(keys, older);
    let mut last = None;
    each_line(&args.export, |line| {
        if let Some(Line::Row(row)) = verifier.push(line) {
            last = row.event.as_deref().and_then(Event::from_leaf).map(|event| event.time);
        }
        Ok(())
    })?;
    let report = verifier.finish();
    print(context, &report, last)?;
    if report.is_sound() { Ok(()) } else { Err(CliError::AuditAltered) }
}

fn older(path: &Path, keys: &[VerifierKey]) -> Result<Checkpoint, CliError> {
    let note = files::read_text(path, MAX_NOTE as u64)?;
    let mut opened = keys.iter().map(|key| Checkpoint::open(&note, key));
    let failed = |source| CliError::Checkpoint { path: path.to_owned(), source };
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

/// Hands over each line of a file, or of standard input for `-`, and never one that is longer than any of an export.
fn each_line(path: &Path, mut act: impl FnMut(&str) -> Result<(), CliError>) -> Result<(), CliError> {
    let failed = |error| CliError::read(path, error);
    let mut input: Box<dyn BufRead> = if path == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(path).map_err(failed)?))
    };
    let mut line = Vec::new();
    loop {
        line.clear();
        if input.by_ref().take(MAX_LINE as u64).read_until(b'\n', &mut line).map_err(failed)? == 0 {
            return Ok(());
        }
        // What is not UTF-8 is no line of an export, and is told as such.
        act(&String::from_utf8_lossy(&line))?;
    }
}
