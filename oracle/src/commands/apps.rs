//! `quorate-oracle apps`: what operators do with shared codes on the oracle's own machine, when nobody else can. It must not
//! know how apps are kept.

use super::{Outcome, SettingFlags, beside_oracle, print, tell};
use crate::service::apps::{AppError, Grantee, Overseen, OverseenGrant, WhichApp};
use crate::state::AppState;
use clap::{Args, Subcommand};
use quorate_protocol::display::escape_controls;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::{self, IsTerminal as _};

#[derive(Debug, Args)]
pub(super) struct AppsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Print every app: UUID, state, who may read it; never a code, a secret or what it is called
    ///
    /// States: owned (its owner is in use), left (its owner is gone, disabled or revoked), damaged (nothing of it opens, and it has a
    /// number instead of a UUID).
    List {
        #[command(flatten)]
        settings: SettingFlags,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Take somebody's right to an app away, as one of its managers would
    ///
    /// At once, and the app is sealed under another key for those who are left. When nobody is left, it is removed.
    Revoke {
        #[command(flatten)]
        settings: SettingFlags,
        /// The app's UUID, or its number if it has none in the list
        app: WhichApp,
        /// Who, as the list shows them
        who: Grantee,
    },
    /// Remove an app for everybody, its owner included, and free its UUID
    Remove {
        #[command(flatten)]
        settings: SettingFlags,
        /// Remove it without a question
        #[arg(long)]
        yes: bool,
        /// The app's UUID, or its number if it has none in the list
        app: WhichApp,
    },
}

impl AppsCommand {
    pub(super) fn run(&self) -> Outcome {
        let (Action::List { settings, .. } | Action::Revoke { settings, .. } | Action::Remove { settings, .. }) =
            &self.action;
        beside_oracle(settings, async |state| self.act(state).await)
    }

    async fn act(&self, state: &AppState) -> Outcome {
        match &self.action {
            Action::List { json, .. } => {
                let apps = state.apps.overseen().await?;
                let damaged = apps.iter().filter(|app| app.uuid.is_none()).count();
                if damaged > 0 {
                    tell(&format!("{damaged} of them cannot be read: their rows in the database were altered"));
                }
                print(&if *json { as_json(&apps) } else { as_table(&apps) })
            }
            Action::Revoke { app, who, .. } => {
                state.apps.revoke_overseen(*app, who).await.map_err(|error| named(*app, error))?;
                tell(&format!("{} has no grant of {app} any more", escape_controls(&who.to_string())));
                Ok(())
            }
            Action::Remove { app, yes, .. } => {
                if !yes {
                    agree(*app)?;
                }
                state.apps.remove_overseen(*app).await.map_err(|error| named(*app, error))?;
                tell(&format!("{app} is removed"));
                Ok(())
            }
        }
    }
}

/// Has the operator agree that an app is removed.
fn agree(app: WhichApp) -> Outcome {
    let loss = format!("{app} is removed with its secret, for everybody who may read it");
    if !io::stdin().is_terminal() {
        return Err(format!("{loss}: remove it with --yes").into());
    }
    tell(&loss);
    tell("type yes to remove it:");
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    if answer.trim() == "yes" { Ok(()) } else { Err("you did not agree, so nothing was removed".into()) }
}

fn named(app: WhichApp, error: AppError) -> Box<dyn std::error::Error> {
    match error {
        AppError::Unknown => format!("there is no app {app}: `quorate-oracle apps list` shows them").into(),
        AppError::Ungranted => format!("nobody of that name has a grant of {app}").into(),
        AppError::OwnerStays => format!("{app} stays its owner's as long as it is there: remove it").into(),
        AppError::Damaged => format!("{app} cannot be read, and so not changed: remove it").into(),
        AppError::Named(uuid) => format!("{app} can be read: name it by its UUID, {}", escape_controls(&uuid)).into(),
        error => error.into(),
    }
}

fn state_of(app: &Overseen) -> &'static str {
    match (&app.uuid, app.owner()) {
        (None, _) => "damaged",
        (Some(_), Some(OverseenGrant { in_use: true, .. })) => "owned",
        (Some(_), _) => "left",
    }
}

fn as_json(apps: &[Overseen]) -> String {
    let app = |app: &Overseen| {
        let grant = |grant: &OverseenGrant| {
            let OverseenGrant { grantee, right, granted_at, in_use } = grant;
            json!({ "grantee": grantee, "right": right, "granted_at": granted_at, "in_use": in_use })
        };
        let Overseen { number, uuid, by_quorum, added_at, grants } = app;
        let grants: Vec<Value> = grants.iter().map(grant).collect();
        json!({
            "number": number, "uuid": uuid, "state": state_of(app), "added_at": added_at, "by_quorum": by_quorum,
            "owner": app.owner().map(|owner| &owner.grantee), "grants": grants,
        })
    };
    format!("{}\n", Value::from(apps.iter().map(app).collect::<Vec<_>>()))
}

fn as_table(apps: &[Overseen]) -> String {
    let mut text = String::new();
    for app in apps {
        let name = app.uuid.clone().unwrap_or_else(|| format!("(row {})", app.number));
        let by_quorum = if app.by_quorum { "  by quorum" } else { "" };
        writeln!(text, "{}  {}{by_quorum}", escape_controls(&name), state_of(app))
            .expect("writing to a string succeeds");
        for OverseenGrant { grantee, right, in_use, .. } in &app.grants {
            let out = if *in_use { "" } else { "  out of use" };
            writeln!(text, "  {:<6}  {}{out}", right.word(), escape_controls(grantee))
                .expect("writing to a string succeeds");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::api::AppRight;

    fn grant(grantee: &str, right: AppRight, in_use: bool) -> OverseenGrant {
        OverseenGrant { grantee: grantee.to_owned(), right, granted_at: "2027-01-15T08:00:00Z".to_owned(), in_use }
    }

    fn app(uuid: Option<&str>, grants: Vec<OverseenGrant>) -> Overseen {
        let added_at = "2027-01-15T08:00:00Z".to_owned();
        Overseen { number: 7, uuid: uuid.map(str::to_owned), by_quorum: false, added_at, grants }
    }

    #[test]
    fn an_app_is_told_with_its_readers_and_whether_an_owner_in_use_is_left() {
        let (owner, gone) = (grant("api-key/ab", AppRight::Owner, true), grant("api-key/ab", AppRight::Owner, false));
        let reader = grant("b\u{202e}", AppRight::Code, true);
        let apps = [
            app(Some("one"), vec![owner, reader.clone()]),
            Overseen { by_quorum: true, ..app(Some("two"), vec![gone]) },
            app(Some("three"), vec![reader]),
            app(None, Vec::new()),
        ];
        assert_eq!(
            as_table(&apps),
            "one  owned\n  owner   api-key/ab\n  code    b\\u{202e}\ntwo  left  by quorum\n  owner   api-key/ab  out of use\n\
             three  left\n  code    b\\u{202e}\n(row 7)  damaged\n"
        );
        let json: Value = serde_json::from_str(&as_json(&apps)).unwrap();
        assert_eq!((&json[0]["owner"], &json[0]["state"]), (&"api-key/ab".into(), &"owned".into()));
        assert_eq!((&json[3]["uuid"], &json[3]["number"]), (&Value::Null, &7.into()));
        assert_eq!(json[1]["grants"][0]["in_use"], false);
    }

    #[test]
    fn an_app_is_named_by_its_uuid_or_its_number_and_by_nothing_else() {
        let uuid = "5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1";
        assert_eq!(uuid.parse::<WhichApp>().unwrap().to_string(), uuid);
        assert_eq!("12".parse::<WhichApp>().unwrap(), WhichApp::Number(12));
        for text in ["", "0", "-1", "x", "5f0c8d101f0e4a358d210c2e4ad3c1a1", "AWS"] {
            assert!(text.parse::<WhichApp>().is_err(), "{text}");
        }
    }
}
