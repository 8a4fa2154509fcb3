//! `quorate-oracle config`: the settings checked, or shown with their meaning as a file that can be used. It must not
//! know any setting by name.

use super::{Outcome, SettingFlags, print, tell};
use crate::config::{Config, KEYS, Key};
use crate::state::AppState;
use clap::{Args, Subcommand};
use std::fmt::Write as _;

#[derive(Debug, Args)]
pub(super) struct ConfigCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Read settings, keys and passwords as `serve` would, and say what is wrong; makes nothing and connects to nobody
    Check(SettingFlags),
    /// Print every setting with its meaning, default and environment variable, as a TOML file
    Show {
        #[command(flatten)]
        settings: SettingFlags,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

impl ConfigCommand {
    pub(super) fn run(&self) -> Outcome {
        match &self.action {
            Action::Check(settings) => {
                let config = settings.load()?;
                if let (Some(certificate), Some(key)) = (&config.tls_certificate, &config.tls_key) {
                    crate::tls::Tls::load(certificate, key)?;
                }
                AppState::check(&config)?;
                tell("the settings are valid");
                Ok(())
            }
            Action::Show { settings, json } => {
                let config = settings.load()?;
                print(&if *json { as_json(&config) } else { as_toml(&config) })
            }
        }
    }
}

fn as_json(config: &Config) -> String {
    let key = |key: &Key| {
        let value = key.show(config);
        serde_json::json!({
            "path": key.path, "env": key.env(), "default": key.default, "value": value, "doc": key.doc,
        })
    };
    format!("{}\n", serde_json::Value::from(KEYS.iter().map(key).collect::<Vec<_>>()))
}

fn as_toml(config: &Config) -> String {
    let mut text = String::new();
    for key in KEYS {
        let value = key.show(config);
        let default = if key.default.is_empty() { "unset" } else { key.default };
        let unset = if value.is_empty() { "# " } else { "" };
        let bare = matches!(value.as_str(), "true" | "false") || value.parse::<u32>().is_ok();
        let shown = if bare { value } else { toml::Value::from(value).to_string() };
        let written = writeln!(
            text,
            "# {}\n# Default: {default}. Environment: {}.\n{unset}{} = {shown}\n",
            key.doc,
            key.env(),
            key.path
        );
        written.expect("writing to a string succeeds");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_can_be_read_again() {
        let flags = [("name", "a \"quoted\" name".to_owned()), ("sessions.max_codes", "3".to_owned())];
        let config = Config::load(None, |_| None, &flags).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("oracle.toml");
        std::fs::write(&path, as_toml(&config)).unwrap();
        let again = Config::load(Some(&path), |_| None, &[]).unwrap();
        assert_eq!(as_json(&again), as_json(&config));
        assert_ne!(as_json(&again), as_json(&Config::default()));
    }
}
