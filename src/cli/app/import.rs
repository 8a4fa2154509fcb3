//! `quorate app import`: what other apps exported becomes apps here, row by row. Nothing is written anywhere but at the oracle.
//! It must not know formats.

use super::AppsAt;
use crate::cli::password::PasswordArgs;
use crate::cli::{CliError, Context, files};
use crate::client::{Client, ClientError};
use crate::ui::{shown, shown_path};
use clap::Args;
use clap::builder::PossibleValuesParser;
use quorate_protocol::api::{App, NewApp};
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
    /// Add what is there already under the same name, too
    #[arg(long)]
    again: bool,
    #[command(flatten)]
    password: PasswordArgs,
    #[command(flatten)]
    at: AppsAt,
}

/// What became of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    /// It is an app now.
    Added,
    /// It cannot be used.
    LeftOut,
    /// The oracle does not take it.
    Refused,
    /// It says the same as a row before it.
    Repeated,
    /// There is such an app.
    There,
    /// It would be added.
    ToAdd,
}

impl Status {
    fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::LeftOut => "left out",
            Self::Refused => "refused",
            Self::Repeated => "repeated",
            Self::There => "there",
            Self::ToAdd => "to add",
        }
    }
}

/// A row as it is reported.
#[derive(Serialize)]
struct Outcome<'a> {
    status: Status,
    #[serde(serialize_with = "as_text")]
    file: &'a Path,
    place: String,
    name: &'a str,
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
    let (of, mut tally) = (rows.len(), Vec::new());
    for row in rows {
        let outcome = settle(args, &client, &there, &row)?;
        context.ui.print(&outcome, || line_of(&outcome, args.files.len() > 1))?;
        tally.push(outcome.status);
    }
    let count = |status| tally.iter().filter(|each| **each == status).count();
    let all = [Status::Added, Status::ToAdd, Status::There, Status::Repeated, Status::LeftOut, Status::Refused];
    let counts = all.map(|status| (count(status), status.word())).into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    context.ui.say(if counts.is_empty() {
        "there is no one-time password in it".to_owned()
    } else {
        counts.join(", ")
    });
    match count(Status::LeftOut) + count(Status::Refused) {
        0 => Ok(()),
        failed => Err(CliError::Failed { failed, of, what: "entries" }),
    }
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
            Ok(import::read(&inputs, format, Some(&password))?)
        }
        result => Ok(result?),
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
fn settle<'a>(args: &'a ImportArgs, client: &Client, there: &[App], row: &'a Row) -> Result<Outcome<'a>, CliError> {
    let outcome = |status, uuid, reason| Outcome {
        status,
        file: &args.files[row.place.input],
        place: row.place.to_string(),
        name: &row.name,
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
    if let Some(app) = there.iter().find(|app| is_there(app, found, args.again)) {
        return Ok(outcome(Status::There, Some(app.uuid.clone()), None));
    }
    if args.dry_run {
        return Ok(outcome(Status::ToAdd, found.uuid.clone(), None));
    }
    let Found { secret, label, uuid } = found;
    let new = NewApp { otpauth: Some(secret.to_uri()), group: None, name: label.clone(), uuid: uuid.clone() };
    match client.add_app(&new) {
        Ok(app) => Ok(outcome(Status::Added, Some(app.uuid), None)),
        // What is wrong with one row is not wrong with the next.
        Err(ClientError::Refused(refusal)) if matches!(refusal.status, 400 | 409 | 422) => {
            Ok(outcome(Status::Refused, uuid.clone(), Some(refusal.to_string())))
        }
        Err(error) => Err(error.into()),
    }
}

/// Whether `app` is what a row would become: by the UUID, or by the names of the account, since nobody shows the secret.
fn is_there(app: &App, found: &Found, again: bool) -> bool {
    if let Some(uuid) = &found.uuid {
        return app.uuid == *uuid;
    }
    let (issuer, label) = (found.secret.issuer().unwrap_or_default(), found.secret.account());
    !again
        && app.by_quorum.is_none()
        && (app.issuer.as_str(), app.label.as_str()) == (issuer, label)
        && !(issuer.is_empty() && label.is_empty())
}

/// ` of FILE`, when a row is like one in another file.
fn elsewhere(files: &[PathBuf], place: Place, of: Place) -> String {
    if place.input == of.input { String::new() } else { format!(" of {}", files[of.input].to_string_lossy()) }
}

fn line_of(outcome: &Outcome<'_>, several: bool) -> String {
    let Outcome { status, file, place, name, uuid, reason } = outcome;
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
    use quorate_protocol::api::AppRight;
    use quorate_protocol::otp::OtpSecret;

    fn found(uuid: Option<&str>) -> Found {
        let secret = OtpSecret::from_uri("otpauth://totp/AWS:root?secret=JBSWY3DPEHPK3PXP").expect("a URI");
        Found { secret, label: None, uuid: uuid.map(str::to_owned) }
    }

    #[test]
    fn what_is_there_is_known_by_its_uuid_or_else_by_the_names_of_the_account() {
        let mut app = App {
            uuid: "one".to_owned(),
            issuer: "AWS".to_owned(),
            label: "root".to_owned(),
            name: None,
            right: AppRight::Owner,
            owner: None,
            added_at: String::new(),
            by_quorum: None,
        };
        assert!(is_there(&app, &found(Some("one")), true));
        assert!(!is_there(&app, &found(Some("two")), false), "another UUID is another app");
        assert!(is_there(&app, &found(None), false) && !is_there(&app, &found(None), true));
        app.label = "dev".to_owned();
        assert!(!is_there(&app, &found(None), false));
        let secret = OtpSecret::from_base32("JBSWY3DPEHPK3PXP").expect("a key");
        (app.issuer, app.label) = (String::new(), String::new());
        assert!(!is_there(&app, &secret.into(), false), "nothing is no name");
    }

    #[test]
    fn a_row_is_one_line_whatever_it_says() {
        let outcome = Outcome {
            status: Status::Refused,
            file: Path::new("a\nb"),
            place: "line 3".to_owned(),
            name: "AWS: root",
            uuid: Some("one".to_owned()),
            reason: Some("no\u{1b}".to_owned()),
        };
        assert_eq!(line_of(&outcome, true), "refused   a\\nb, line 3  AWS: root  one  no\\u{1b}");
        assert_eq!(line_of(&outcome, false), "refused   line 3  AWS: root  one  no\\u{1b}");
    }
}
