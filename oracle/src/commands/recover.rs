//! `quorate-oracle recover`: lets a user in again from the oracle's own machine, when no operator can. It must not know how
//! links are kept.

use super::{Outcome, SettingFlags, beside_oracle, print, tell, warn_of_address};
use crate::service::people::PrincipalName;
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct Recover {
    #[command(flatten)]
    settings: SettingFlags,
    /// Take the second factor, its recovery codes and the password away, too; assign a factor again afterwards
    #[arg(long)]
    remove_factor: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Name of the user
    name: String,
}

impl Recover {
    pub(super) fn run(&self) -> Outcome {
        let name = PrincipalName::parse(&self.name)?;
        beside_oracle(&self.settings, async |state| {
            let link = state.people.recover(&name, self.remove_factor).await?;
            warn_of_address(&state.config);
            if self.json {
                let told = json!({ "principal": name.to_string(), "enroll": link.url.as_str() });
                return print(&format!("{told}\n"));
            }
            tell(&format!(
                "{name} sets a new password with this link (`quorate enroll LINK`, or a browser), which serves once and replaces \
                 any before:"
            ));
            print(&format!("{}\n", *link.url))
        })
    }
}
