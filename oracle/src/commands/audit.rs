//! `quorate-oracle audit`: the audit log on the oracle's own machine, for auditors that check it elsewhere. It must not know how
//! it is kept.

use super::{Outcome, SettingFlags, beside_oracle, print};
use crate::service::audit::{Audit, MAX_PAGE};
use clap::{Args, Subcommand};
use quorate_protocol::audit::export::Line;

#[derive(Debug, Args)]
pub(super) struct AuditCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print the newest checkpoint, a signed note
    Checkpoint {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Print the whole log as JSON lines, for `quorate audit show` and `quorate audit verify`
    Export {
        #[command(flatten)]
        settings: SettingFlags,
        /// Only rows after this number; a check needs all of them
        #[arg(long, value_name = "NUMBER", default_value_t = 0)]
        after: i64,
    },
    /// Print the key that checkpoints are checked with
    Key {
        #[command(flatten)]
        settings: SettingFlags,
    },
    /// Print the kinds of events and what they mean
    Kinds,
}

impl AuditCommand {
    pub(super) fn run(&self) -> Outcome {
        let settings = match &self.action {
            Action::Checkpoint { settings } | Action::Export { settings, .. } | Action::Key { settings } => settings,
            Action::Kinds => return kinds(),
        };
        beside_oracle(settings, async |state| self.act(&state.audit).await)
    }

    async fn act(&self, audit: &Audit) -> Outcome {
        match &self.action {
            Action::Checkpoint { .. } => {
                // An oracle that is stopped numbers nothing.
                audit.number_all().await?;
                print(&audit.newest().await?.ok_or("the audit log is empty: nothing has happened yet")?)
            }
            Action::Export { after, .. } => {
                // What was altered is for the export to show.
                let numbered = audit.number_all().await;
                export(audit, *after).await?;
                Ok(numbered?)
            }
            Action::Key { .. } => print(&format!("{}\n", audit.verifier_key())),
            Action::Kinds => kinds(),
        }
    }
}

async fn export(audit: &Audit, mut after: i64) -> Outcome {
    loop {
        let lines = audit.export(after, MAX_PAGE).await?;
        let mut text = String::new();
        let before = after;
        for line in &lines {
            if let Line::Row(row) = line {
                after = row.number;
            }
            text += &serde_json::to_string(line)?;
            text += "\n";
        }
        print(&text)?;
        if after == before {
            return Ok(());
        }
    }
}

fn kinds() -> Outcome {
    let lines =
        crate::service::audit::Kind::ALL.iter().map(|kind| format!("{:<20}  {}\n", kind.as_str(), kind.meaning()));
    print(&lines.collect::<String>())
}
