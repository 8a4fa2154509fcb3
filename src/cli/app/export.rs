//! `quorate app export`: the secrets of one's own apps, encrypted at the oracle, so that they are nowhere in the clear.

use super::{AppsAt, find};
use crate::cli::{CliError, Context, files};
use crate::ui::shown_path;
use clap::Args;
use quorate_protocol::api::{ExportApps, ExportedApps};
use quorate_protocol::recipient::NativeRecipient;
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct ExportArgs {
    /// Which apps; all that are yours without any
    #[arg(value_name = "APP")]
    apps: Vec<String>,
    /// age recipient that can read the export; may be given again
    #[arg(short, long = "recipient", value_name = "RECIPIENT", required = true)]
    recipients: Vec<String>,
    /// File for the export; without it, it is printed
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    at: AppsAt,
}

#[derive(Serialize)]
struct Summary<'a> {
    uuids: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Path>,
    #[serde(skip_serializing_if = "Option::is_none")]
    age: Option<&'a str>,
}

pub(super) fn run(context: &Context, args: &ExportArgs) -> Result<(), CliError> {
    for recipient in &args.recipients {
        recipient
            .parse::<NativeRecipient>()
            .map_err(|reason| CliError::Recipient { holder: "the export".to_owned(), reason })?;
    }
    if let Some(path) = args.output.as_ref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(CliError::Exists(path.clone()));
    }
    let client = args.at.client(context)?;
    let uuids = args.apps.iter().map(|wanted| Ok(find(&client, wanted)?.uuid)).collect::<Result<Vec<_>, CliError>>()?;
    let wanted = ExportApps { recipients: args.recipients.clone(), uuids: Some(uuids).filter(|it| !it.is_empty()) };
    let ExportedApps { uuids, age } = client.export_apps(&wanted)?;
    if let Some(path) = &args.output {
        files::write_new(path, age.as_bytes())?;
        let summary = Summary { uuids: &uuids, file: Some(path), age: None };
        context.ui.print(&summary, || format!("export  {}", shown_path(path)))?;
    } else if context.ui.json() {
        context.ui.json_data(&Summary { uuids: &uuids, file: None, age: Some(&age) })?;
    } else {
        context.ui.raw_data(age.as_bytes())?;
    }
    let apps = if uuids.len() == 1 { "app" } else { "apps" };
    context.ui.say(format_args!(
        "{} {apps} exported, which the audit log keeps; `age -d` opens it, and `quorate app import` reads what is in it",
        uuids.len()
    ));
    Ok(())
}
