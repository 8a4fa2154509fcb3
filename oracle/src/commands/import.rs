//! `quorate-oracle import`: taking over what another service keeps. It must not know how anything is imported.

use super::{Outcome, SettingFlags, beside_oracle, print, tell};
use crate::service::audit::{Entry, Kind, Outcome as Ending, Who};
use crate::service::import::{Import, Summary, Tally};
use crate::state::AppState;
use clap::{Args, Subcommand};
use serde_json::json;
use std::error::Error;
use std::fmt::Write as _;
use std::path::PathBuf;

const ABOUT: &str = "From serverless-mfa-api or serverless-mfa-api-go: exports of their DynamoDB tables";
const LONG: &str = "Give the files of all three tables (API keys, TOTP, U2F or WebAuthn) at once, in any order: JSON lines as \
    DynamoDB exports them, compressed or not. Everything is checked before anything is written; wrong lines are named and \
    change nothing. To import the same again changes nothing either. API keys keep their values and secrets.";

#[derive(Debug, Args)]
pub(super) struct ImportCommand {
    #[command(subcommand)]
    source: Source,
}

#[derive(Debug, Subcommand)]
enum Source {
    #[command(about = ABOUT, long_about = format!("{ABOUT}\n\n{LONG}"))]
    ServerlessMfaApi {
        #[command(flatten)]
        settings: SettingFlags,
        /// Check everything, say what would be imported, and write nothing
        #[arg(long)]
        dry_run: bool,
        /// Leave out records that are wrong, or here already and not the same; say which, and import the others
        #[arg(long)]
        skip_refused: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Files of the exports
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
}

impl ImportCommand {
    pub(super) fn run(&self) -> Outcome {
        let Source::ServerlessMfaApi { settings, dry_run, skip_refused, json, files } = &self.source;
        beside_oracle(settings, async |state| {
            let import = Import::new(state, files.clone()).leaving_out(*skip_refused);
            import.check_clocks().await?;
            let summary = if *dry_run { import.check().await? } else { recorded(state, &import).await? };
            print(&if *json { as_json(&summary) } else { as_table(&summary) })?;
            if summary.refused.records() > 0 {
                tell(&summary.refused.to_string());
            }
            if *dry_run {
                tell("this was a dry run: nothing was written");
            }
            Ok(())
        })
    }
}

/// Imports. The audit log tells of it before anything is written, and how it ended.
async fn recorded(state: &AppState, import: &Import) -> Result<Summary, Box<dyn Error>> {
    let entry = |kind| Entry::new(kind, Who::Operator).to("serverless-mfa-api");
    state.audit.record(entry(Kind::ImportBegun)).await?;
    let outcome = import.run().await;
    let told = entry(Kind::ImportEnded);
    let told = match &outcome {
        Ok(Summary { api_keys, totp, webauthn, .. }) => {
            [("api_keys", api_keys), ("totp", totp), ("webauthn", webauthn)]
                .into_iter()
                .fold(told, |told, (name, tally)| told.with(name, tally.new))
        }
        Err(_) => told.ended(Ending::Failed),
    };
    state.audit.record(told).await?;
    Ok(outcome?)
}

fn as_json(summary: &Summary) -> String {
    let tally = |tally: Tally| json!({ "new": tally.new, "known": tally.known });
    let Summary { api_keys, totp, webauthn, unfinished, refused } = summary;
    let json = json!({
        "api_keys": tally(*api_keys), "totp": tally(*totp), "webauthn": tally(*webauthn), "unfinished": unfinished,
        "refused": refused.records(),
    });
    format!("{json}\n")
}

fn as_table(summary: &Summary) -> String {
    let mut text = String::new();
    let rows = [("API keys", summary.api_keys), ("TOTP", summary.totp), ("WebAuthn", summary.webauthn)];
    for (name, Tally { new, known }) in rows {
        writeln!(text, "{name:<8}  {new} new, {known} imported before").expect("writing to a string succeeds");
    }
    for (left_out, why) in [
        (summary.unfinished, "that never finished registering"),
        (summary.refused.records(), "that cannot be imported"),
    ] {
        if left_out > 0 {
            writeln!(text, "left out  {left_out} {why}").expect("writing to a string succeeds");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_imported_is_told() {
        let mut summary =
            Summary { api_keys: Tally { new: 2, known: 0 }, totp: Tally { new: 100, known: 1 }, ..Summary::default() };
        let table = "API keys  2 new, 0 imported before\nTOTP      100 new, 1 imported before\n\
                     WebAuthn  0 new, 0 imported before\n";
        assert_eq!(as_table(&summary), table);
        summary.unfinished = 3;
        assert_eq!(as_table(&summary), format!("{table}left out  3 that never finished registering\n"));
        let json: serde_json::Value = serde_json::from_str(&as_json(&summary)).unwrap();
        assert_eq!((&json["totp"]["new"], &json["unfinished"]), (&100.into(), &3.into()));
    }
}
