//! `quorate-oracle init`: makes what `serve` would make, shows what players compare, and lets the first operator in. It must
//! not know files.

use super::{Outcome, SettingFlags, print, tell, warn_of_address};
use crate::service::people::{Link, PrincipalName};
use crate::state::AppState;
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct Init {
    #[command(flatten)]
    settings: SettingFlags,
    /// Name of the first operator, who sets their password with the link that is printed
    #[arg(long, value_name = "NAME", default_value = "operator")]
    operator: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) fn run(&self) -> Outcome {
        crate::memory::harden();
        let config = self.settings.load()?;
        let operator = PrincipalName::parse(&self.operator)?;
        let url = config.own_url();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let state = runtime.block_on(AppState::open(config, url))?;
        let link = runtime.block_on(state.people.first_operator(&operator))?;
        let (folder, fingerprint) = (state.keys.folder(), state.keys.fingerprint());
        if self.json {
            let enroll = link.as_ref().map(|link| link.url.as_str());
            let told = json!({ "state": folder, "fingerprint": fingerprint, "url": state.url, "operator": operator.to_string(), "enroll": enroll });
            print(&format!("{told}\n"))?;
        } else {
            print(&format!("{fingerprint}\n"))?;
            let root_key = folder.join(crate::keys::ROOT_KEY);
            tell(&format!("above: the fingerprint of this oracle's root key; state in {}", folder.display()));
            tell(&format!("to keep the root key offline, move {} away; `certify` needs it again", root_key.display()));
            if link.is_some() {
                warn_of_address(&state.config);
            }
            tell(&first_operator(&operator, link));
        }
        runtime.block_on(state.store.shutdown());
        Ok(())
    }
}

/// What is said of the first operator. A link is as good as a password, and goes where the operator looks, not into a file
/// with the fingerprint.
fn first_operator(operator: &PrincipalName, link: Option<Link>) -> String {
    match link {
        Some(Link { url, .. }) => format!(
            "{operator} enrols once the oracle serves, within the time that links.seconds sets, with this link (`quorate enroll \
             LINK`, or a browser), which serves once and replaces any before:\n{}",
            *url
        ),
        None => "an operator has enrolled: operators make links for others (POST /principals/NAME/link); when none can, `quorate-oracle recover NAME` does".to_owned(),
    }
}
