//! `quorate-oracle init`: makes what `serve` would make, and shows what players compare. It must not know files.

use super::{Outcome, SettingFlags, print, tell};
use crate::state::AppState;
use clap::Args;
use serde_json::json;

#[derive(Debug, Args)]
pub(super) struct Init {
    #[command(flatten)]
    settings: SettingFlags,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

impl Init {
    pub(super) fn run(&self) -> Outcome {
        crate::memory::harden();
        let config = self.settings.load()?;
        let scheme = if config.tls() { "https" } else { "http" };
        let url = format!("{scheme}://{}", config.listen);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let state = runtime.block_on(AppState::open(config, url))?;
        let (folder, fingerprint) = (state.keys.folder(), state.keys.fingerprint());
        if self.json {
            print(&format!("{}\n", json!({ "state": folder, "fingerprint": fingerprint, "url": state.url })))?;
        } else {
            print(&format!("{fingerprint}\n"))?;
            let root_key = folder.join(crate::keys::ROOT_KEY);
            tell(&format!("above: the fingerprint of this oracle's root key; state in {}", folder.display()));
            tell(&format!("to keep the root key offline, move {} away; `certify` needs it again", root_key.display()));
        }
        runtime.block_on(state.store.shutdown());
        Ok(())
    }
}
