//! `quorate-oracle api-keys`: what operators do with API keys on the oracle's own machine. It must not know how they are
//! kept.

use super::{Outcome, SettingFlags, beside_oracle, print, tell};
use crate::service::api_keys::{ApiKeyError, Listed};
use crate::service::relying_party::Origin;
use crate::state::AppState;
use crate::store::RecordCounts;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

#[derive(Debug, Args)]
pub(super) struct ApiKeysCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print every API key: value, state, email, what it owns, allowed origins
    ///
    /// States: new (not activated), active, unused (imported, and its secret has not been seen here yet), revoked.
    List {
        #[command(flatten)]
        settings: SettingFlags,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take an API key out of use, for good
    ///
    /// What it owns can be used by nobody from then on, and taken over by no other key: rotate before. If it owns anything,
    /// you are asked.
    Revoke {
        #[command(flatten)]
        settings: SettingFlags,
        /// Revoke it without a question, whatever it owns
        #[arg(long)]
        yes: bool,
        /// The API key's value
        value: String,
    },
    /// Say at which origins the users of an API key may register and log in with security keys
    ///
    /// Without a list, an origin must be https and equal to or under the relying party's id, or http at localhost. The list given here replaces the
    /// one before; none at all restores the rule.
    Allow {
        #[command(flatten)]
        settings: SettingFlags,
        /// The API key's value
        value: String,
        #[arg(help = "Origins such as https://login.example.com")]
        origins: Vec<String>,
    },
}

impl ApiKeysCommand {
    pub(super) fn run(&self) -> Outcome {
        let (Action::List { settings, .. } | Action::Revoke { settings, .. } | Action::Allow { settings, .. }) =
            &self.action;
        beside_oracle(settings, async |state| self.act(state).await)
    }

    async fn act(&self, state: &AppState) -> Outcome {
        match &self.action {
            Action::List { json, .. } => {
                let listed = state.api_keys.list().await?;
                let damaged = listed.iter().filter(|key| key.damaged).count();
                if damaged > 0 {
                    tell(&format!("{damaged} of them cannot be read: their rows in the database were altered"));
                }
                print(&if *json { as_json(&listed) } else { as_table(&listed) })
            }
            Action::Revoke { value, yes, .. } => {
                let (owned, apps) = state.api_keys.owned(value).await.map_err(|error| named(value, error))?;
                if (owned != RecordCounts::default() || apps > 0) && !yes {
                    agree(value, owned, apps)?;
                }
                state.apps.revoke_api_key(value).await.map_err(|error| named(value, error))?;
                tell(&format!("{value} is revoked: requests with it are refused from now on"));
                Ok(())
            }
            Action::Allow { value, origins, .. } => {
                let origins = origins.iter().map(|text| origin(text)).collect::<Result<Vec<_>, _>>()?;
                let count = origins.len();
                state.api_keys.allow(value, origins).await.map_err(|error| named(value, error))?;
                tell(&match count {
                    0 => format!("{value} has no list: origins must be https and equal to or under the relying party"),
                    1 => format!("{value} may be used at 1 origin and no other"),
                    count => format!("{value} may be used at {count} origins and no others"),
                });
                Ok(())
            }
        }
    }
}

/// Has the operator agree that an API key is revoked with all that it owns.
fn agree(value: &str, owned: RecordCounts, apps: i64) -> Outcome {
    let apps = if apps > 0 { format!(", {apps} apps") } else { String::new() };
    let loss = format!(
        "{value} owns {}{apps}: once it is revoked nobody can use them, and no other key can take them over; have one take over \
         before (quorate api-key rotate)",
        owns(owned)
    );
    if !io::stdin().is_terminal() {
        return Err(format!("{loss}, or revoke it all the same with --yes").into());
    }
    tell(&loss);
    tell("type yes to revoke it all the same:");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err("you did not agree, so nothing was revoked".into()) }
}

fn owns(records: RecordCounts) -> String {
    format!("{} TOTP, {} WebAuthn", records.totp, records.webauthn)
}

/// The origin that `text` names, as browsers write it, if security keys can be used there at all.
fn origin(text: &str) -> Result<String, String> {
    Origin::parse(text).map(|origin| origin.to_string()).map_err(|error| format!("{text:?}: {error}"))
}

fn named(value: &str, error: ApiKeyError) -> Box<dyn std::error::Error> {
    match error {
        ApiKeyError::Unknown => {
            format!("there is no API key {value}: `quorate-oracle api-keys list` shows them").into()
        }
        error => error.into(),
    }
}

fn state_of(key: &Listed) -> &'static str {
    match (key.damaged, key.revoked_at, key.activated_at) {
        (true, ..) => "damaged",
        (false, Some(_), _) => "revoked",
        (false, None, Some(_)) if key.unused => "unused",
        (false, None, Some(_)) => "active",
        (false, None, None) => "new",
    }
}

fn time(milliseconds: Option<i64>) -> Value {
    let timestamp = milliseconds.and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
    timestamp.map_or(Value::Null, |at| Value::String(at.to_string()))
}

fn as_json(listed: &[Listed]) -> String {
    let key = |key: &Listed| {
        let read = |text: &str| (!key.damaged).then(|| text.to_owned());
        json!({
            "value": read(&key.value), "email": read(&key.email), "state": state_of(key), "origins": key.origins,
            "created_at": time(Some(key.created_at)), "activated_at": time(key.activated_at),
            "revoked_at": time(key.revoked_at), "totp": key.records.totp, "webauthn": key.records.webauthn,
            "imported": { "totp": key.legacy.totp, "webauthn": key.legacy.webauthn },
        })
    };
    format!("{}\n", Value::from(listed.iter().map(key).collect::<Vec<_>>()))
}

fn as_table(listed: &[Listed]) -> String {
    let mut text = String::new();
    for key in listed {
        let email = quorate_protocol::display::escape_controls(&key.email);
        let mut owns = owns(key.records);
        if key.legacy != RecordCounts::default() {
            let RecordCounts { totp, webauthn } = key.legacy;
            write!(owns, " ({totp} and {webauthn} as imported)").expect("writing to a string succeeds");
        }
        let value = if key.damaged { format!("(row {})", key.number) } else { key.value.clone() };
        let line = format!("{value}  {:<7}  {email}  {owns}  {}", state_of(key), key.origins.join(" "));
        writeln!(text, "{}", line.trim_end()).expect("writing to a string succeeds");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_written_as_browsers_do() {
        for (text, written) in [
            ("https://Login.Example.com", "https://login.example.com"),
            ("https://example.com:443/", "https://example.com"),
            ("https://example.com:8443", "https://example.com:8443"),
            ("http://localhost:3000", "http://localhost:3000"),
        ] {
            assert_eq!(origin(text).as_deref(), Ok(written));
        }
        for text in [
            "example.com",
            "http://example.com",
            "https://example.com/login",
            "https://a@example.com",
            "ftp://x",
            // Listed, they would allow nothing: no browser has security keys for an address.
            "http://127.0.0.1:3000",
            "http://[::1]",
            "https://192.0.2.1",
        ] {
            assert!(origin(text).is_err_and(|error| error.starts_with(&format!("{text:?}: "))), "{text}");
        }
    }

    #[test]
    fn a_listed_key_says_all_that_an_operator_needs() {
        let key = Listed {
            number: 3,
            damaged: false,
            value: "0123".to_owned(),
            email: "a@b\u{202e}".to_owned(),
            origins: vec!["https://example.com".to_owned()],
            created_at: 1_800_000_000_000,
            activated_at: None,
            revoked_at: None,
            unused: false,
            records: RecordCounts { totp: 2, webauthn: 1 },
            legacy: RecordCounts::default(),
        };
        let table = as_table(std::slice::from_ref(&key));
        assert_eq!(table, "0123  new      a@b\\u{202e}  2 TOTP, 1 WebAuthn  https://example.com\n");
        let damaged = Listed { damaged: true, value: String::new(), email: String::new(), ..key.clone() };
        let table = as_table(std::slice::from_ref(&damaged));
        assert_eq!(table, "(row 3)  damaged    2 TOTP, 1 WebAuthn  https://example.com\n");
        let json: Value = serde_json::from_str(&as_json(&[damaged])).unwrap();
        assert_eq!((&json[0]["value"], &json[0]["state"]), (&Value::Null, &"damaged".into()));
        let active = Listed { activated_at: Some(1_800_000_001_000), ..key };
        let json: Value = serde_json::from_str(&as_json(std::slice::from_ref(&active))).unwrap();
        assert_eq!((&json[0]["state"], &json[0]["activated_at"]), (&"active".into(), &"2027-01-15T08:00:01Z".into()));
        let imported = Listed { unused: true, legacy: RecordCounts { totp: 2, webauthn: 0 }, ..active.clone() };
        let table = as_table(std::slice::from_ref(&imported));
        assert!(
            table.starts_with("0123  unused   a@b\\u{202e}  2 TOTP, 1 WebAuthn (2 and 0 as imported)  "),
            "{table}"
        );
        assert_eq!(state_of(&Listed { revoked_at: Some(0), ..active }), "revoked");
    }
}
