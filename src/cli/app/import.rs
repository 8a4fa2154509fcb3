//! `quorate app import`: what other apps exported becomes apps here, row by row. Nothing is written anywhere but at the oracle.
//! It must not know formats.

mod fate;

use self::fate::{Fate, Status};
use super::AppsAt;
use crate::cli::password::PasswordArgs;
use crate::cli::{CliError, Context, files};
use crate::client::{Client, ClientError};
use crate::ui::{shown, shown_path};
use clap::Args;
use clap::builder::PossibleValuesParser;
use quorate_protocol::api::{App, KnownApp, NewApp, WantedApp};
use quorate_protocol::import::{self, Format, Found, Import, ImportError, LeftOut, MAX_EXPORT_BYTES, Place, Row};
use serde::Serialize;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a file that are read at most: those of a picture, which may be the largest.
const MAX_FILE: u64 = 2 * MAX_EXPORT_BYTES as u64;

#[derive(Debug, Args)]
pub(super) struct ImportArgs {
    /// Exports of Aegis, 2FAS, andOTP, Bitwarden, sharedmfa or quorate, lists of otpauth:// and otpauth-migration:// URIs,
    /// pictures of QR codes; - reads stdin. Parts of one export are named together
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// What all files are, where it cannot be told
    #[arg(long, value_name = "FORMAT", value_parser = PossibleValuesParser::new(Format::ALL.map(Format::word)))]
    format: Option<String>,
    /// Only list what would happen
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Add what you have already, too, and what has the name of an app of yours and another secret
    #[arg(long)]
    again: bool,
    /// Leave the UUIDs out that the rows had elsewhere: each gets a new one, so that apps of others can be taken over
    #[arg(long)]
    new_uuids: bool,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    at: AppsAt,
}

/// A row as it is reported.
#[derive(Serialize)]
struct Outcome<'a> {
    status: Status,
    #[serde(serialize_with = "as_text")]
    file: &'a Path,
    place: String,
    /// Safe to show, as in lists.
    name: String,
    /// As it stands in the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    issuer: Option<&'a str>,
    /// As it stands in the row.
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) fn run(context: &Context, args: &ImportArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    let Import { formats, rows } = read(context, args)?;
    for (file, format) in args.files.iter().zip(formats) {
        context.ui.say(format_args!("{}: {format}", shown_path(file)));
    }
    let there = client.apps()?;
    let known = known(args, &client, &rows)?;
    let (of, mut tally) = (rows.len(), Vec::new());
    for (row, known) in rows.iter().zip(&known) {
        let outcome = settle(args, &client, &there, row, known)?;
        context.ui.print(&outcome, || line_of(&outcome, args.files.len() > 1))?;
        tally.push(outcome.status);
    }
    let count = |status| tally.iter().filter(|each| **each == status).count();
    let counts = Status::ALL.map(|status| (count(status), status.word())).into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    context.ui.say(if counts.is_empty() {
        "there is no one-time password in it".to_owned()
    } else {
        counts.join(", ")
    });
    match tally.iter().filter(|status| status.failed()).count() {
        0 => Ok(()),
        failed => Err(CliError::Failed { failed, of, what: "entries" }),
    }
}

/// What the oracle knows of each row: nothing of those that are left out.
fn known(args: &ImportArgs, client: &Client, rows: &[Row]) -> Result<Vec<KnownApp>, CliError> {
    let usable = rows.iter().filter_map(|row| row.found.as_ref().ok());
    let wanted = usable.map(|found| WantedApp { otpauth: Some(found.secret.to_uri()), uuid: kept(args, found) });
    let mut known = client.known_apps(wanted.collect())?.into_iter();
    let of = |row: &Row| if row.found.is_ok() { known.next().unwrap_or_default() } else { KnownApp::default() };
    Ok(rows.iter().map(of).collect())
}

/// The UUID that the app of a row is to have.
fn kept(args: &ImportArgs, found: &Found) -> Option<String> {
    found.uuid.clone().filter(|_| !args.new_uuids)
}

fn read(context: &Context, args: &ImportArgs) -> Result<Import, CliError> {
    let from_stdin = |file: &&PathBuf| file.as_os_str() == "-";
    if args.files.iter().filter(from_stdin).count() > 1 {
        return Err(CliError::Usage("stdin can be read once".to_owned()));
    }
    let read = |file: &PathBuf| if from_stdin(&file) { stdin() } else { files::read(file, MAX_FILE) };
    let inputs = args.files.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let format = args.format.as_deref().and_then(Format::named);
    match import::read(&inputs, format, None) {
        Err(ImportError::PasswordNeeded(whose)) => {
            let what = format!("password of the export of {whose}");
            let taken = !args.password.is_in_file() && args.files.iter().any(|file| from_stdin(&file));
            let password = if taken { context.ui.ask_hidden(&what)? } else { args.password.read(context.ui, &what)? };
            import::read(&inputs, format, Some(&password))
                .map_err(|error| in_file(&args.files, &inputs, format, Some(&password), error))
        }
        result => result.map_err(|error| in_file(&args.files, &inputs, format, None, error)),
    }
}

/// Names the file that cannot be read, if it is one of them: the first that fails alike when it is alone.
fn in_file(
    files: &[PathBuf],
    inputs: &[Zeroizing<Vec<u8>>],
    format: Option<Format>,
    password: Option<&str>,
    error: ImportError,
) -> CliError {
    let alone = |input: &Zeroizing<Vec<u8>>| import::read(&[input], format, password).err();
    match inputs.iter().position(|input| alone(input).as_ref() == Some(&error)) {
        Some(input) => CliError::ImportFile { path: files[input].clone(), source: error },
        None => error.into(),
    }
}

fn stdin() -> Result<Zeroizing<Vec<u8>>, CliError> {
    // Reserved at once: a buffer that grows leaves copies behind. Of pages that are not written the system keeps none.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_EXPORT_BYTES + 1));
    let read = io::stdin().lock().take(MAX_EXPORT_BYTES as u64 + 1).read_to_end(&mut bytes);
    // The reason could repeat what was read.
    read.map_err(|error| CliError::read("stdin", error.kind().into()))?;
    Ok(bytes)
}

/// Adds the app of a row, unless there is a reason not to.
fn settle<'a>(
    args: &'a ImportArgs,
    client: &Client,
    there: &[App],
    row: &'a Row,
    known: &KnownApp,
) -> Result<Outcome<'a>, CliError> {
    let usable = row.found.as_ref().ok();
    let outcome = |status, uuid, reason| Outcome {
        status,
        file: &args.files[row.place.input],
        place: row.place.to_string(),
        name: name_of(row),
        issuer: usable.and_then(|found| found.secret.issuer()),
        label: usable.map(|found| found.secret.account()),
        uuid,
        reason,
    };
    let found = match &row.found {
        Ok(found) => found,
        Err(reason @ (LeftOut::Duplicate { of } | LeftOut::SameUuid { of })) => {
            let reason = format!("{reason}{}", elsewhere(&args.files, row.place, *of));
            return Ok(outcome(Status::Repeated, None, Some(reason)));
        }
        Err(reason) => return Ok(outcome(Status::LeftOut, None, Some(reason.to_string()))),
    };
    let uuid = kept(args, found);
    match fate::of(&found.secret, uuid.as_deref(), known, there, args.again) {
        Fate::Add => {}
        Fate::There(uuid) => return Ok(outcome(Status::There, Some(uuid), None)),
        Fate::Differs { uuid, reason } => {
            return Ok(outcome(Status::Differs, Some(uuid), Some(reason.to_owned())));
        }
        Fate::Taken(reason) => return Ok(outcome(Status::Refused, uuid, Some(reason.to_owned()))),
    }
    if args.dry_run {
        return Ok(outcome(Status::ToAdd, uuid, None));
    }
    let Found { secret, label, .. } = found;
    let new = NewApp { otpauth: Some(secret.to_uri()), group: None, name: label.clone(), uuid: uuid.clone() };
    match client.add_app(&new) {
        Ok(app) => Ok(outcome(Status::Added, Some(app.uuid), None)),
        // What is wrong with one row is not wrong with the next.
        Err(ClientError::Refused(refusal)) if matches!(refusal.status, 400 | 409 | 422 | 429) => {
            Ok(outcome(Status::Refused, uuid, Some(refusal.to_string())))
        }
        Err(error) => Err(error.into()),
    }
}

/// What a row is called, with what it is called besides.
fn name_of(row: &Row) -> String {
    match row.found.as_ref().ok().and_then(|found| found.label.as_deref()) {
        Some(label) => format!("{} ({})", row.name, shown(label)),
        None => row.name.clone(),
    }
}

/// ` of FILE`, when a row is like one in another file.
fn elsewhere(files: &[PathBuf], place: Place, of: Place) -> String {
    if place.input == of.input { String::new() } else { format!(" of {}", files[of.input].to_string_lossy()) }
}

fn line_of(outcome: &Outcome<'_>, several: bool) -> String {
    let Outcome { status, file, place, name, uuid, reason, .. } = outcome;
    let file = if several { shown_path(file) + ", " } else { String::new() };
    let behind = uuid.as_ref().or(reason.as_ref()).map(|text| format!("  {}", shown(text))).unwrap_or_default();
    let reason = reason.as_ref().filter(|_| uuid.is_some()).map(|text| format!("  {}", shown(text)));
    format!("{:<8}  {file}{place}  {name}{behind}{}", status.word(), reason.unwrap_or_default())
}

fn as_text<S: serde::Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&path.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_row_is_one_line_whatever_it_says() {
        let outcome = Outcome {
            status: Status::Refused,
            file: Path::new("a\nb"),
            place: "line 3".to_owned(),
            name: "AWS: root".to_owned(),
            issuer: None,
            label: None,
            uuid: Some("one".to_owned()),
            reason: Some("no\u{1b}".to_owned()),
        };
        assert_eq!(line_of(&outcome, true), "refused   a\\nb, line 3  AWS: root  one  no\\u{1b}");
        assert_eq!(line_of(&outcome, false), "refused   line 3  AWS: root  one  no\\u{1b}");
    }

    #[test]
    fn the_file_that_cannot_be_read_is_named() {
        let inputs = ["otpauth://totp/a?secret=JBSWY3DPEHPK3PXP", "hello, world"];
        let inputs = inputs.map(|text| Zeroizing::new(text.as_bytes().to_vec()));
        let files = ["a.txt", "b\u{1b}.txt"].map(PathBuf::from);
        let error = import::read(&inputs, None, None).expect_err("one is strange");
        let said = in_file(&files, &inputs, None, None, error).to_string();
        assert!(said.starts_with("b\u{1b}.txt: this is no export that is known"), "{said}");
        let of_none = in_file(&files, &inputs, None, None, ImportError::TooManyRows);
        assert!(matches!(of_none, CliError::Import(ImportError::TooManyRows)), "{of_none}");
    }
}
