//! `quorate app`: authenticator entries that several share. Members read codes, managers say who may, and nobody but the owner
//! takes a secret out. It must not know HTTP or formats of other apps.

mod add;
mod change;
mod code;
mod export;
mod import;
mod quorum;

use super::error::{AppError, PeopleError};
use super::network::LoggedInAt;
use super::tickets::Held;
use super::{CliError, Context, api_key};
use crate::client::{Client, ClientError};
use crate::ui::{shown, time_of};
use clap::{Args, Subcommand};
use quorate_protocol::api::{App, AppGrant, AppQuorum, AppRight};
use serde::Serialize;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(crate) struct AppArgs {
    #[command(subcommand)]
    command: AppCommand,
}

#[derive(Debug, Subcommand)]
enum AppCommand {
    /// List the apps whose codes you may read
    List(ListArgs),
    /// Show an app; to its managers also who may read it
    Show(OneArgs),
    /// Show a code, and how long it lives
    Code(code::CodeArgs),
    /// Add an app: from a prompt, stdin or a picture
    Add(add::AddArgs),
    /// Give an app other names, or the account's new secret; its readers stay
    Change(change::ChangeArgs),
    /// Let somebody read an app's codes, or manage it
    Grant(GrantArgs),
    /// Take somebody's right to an app away, at once
    Revoke(RevokeArgs),
    /// Give your own right to an app up, at once
    Leave(RemoveArgs),
    /// Remove an app: nobody reads codes of it any more
    Remove(RemoveArgs),
    /// Add what another authenticator app or password manager exported
    Import(import::ImportArgs),
    /// Take the secrets of your own apps out, encrypted with age
    Export(export::ExportArgs),
}

/// Which oracle, and as whom.
#[derive(Debug, Args)]
struct AppsAt {
    /// File with an API key to act as, one line KEY:SECRET; without it, you act as who you are logged in as
    #[arg(long, value_name = "FILE")]
    api_key: Option<PathBuf>,
    #[command(flatten)]
    at: LoggedInAt,
}

impl AppsAt {
    /// Whether an application acts, and nobody who has logged in.
    fn is_by_api_key(&self) -> bool {
        self.api_key.is_some()
    }

    /// How a grant names who acts.
    fn own_name(&self, context: &Context, client: &Client) -> Result<String, CliError> {
        if let Some(file) = &self.api_key {
            return Ok(format!("api-key/{}", api_key::read_key(file)?.value));
        }
        let held = Held::load(&context.paths()?.tickets(), client.url(), context.now())?;
        Ok(held.ok_or_else(|| PeopleError::NotLoggedIn(client.url().to_owned()))?.bearer.principal)
    }

    fn client(&self, context: &Context) -> Result<Client, CliError> {
        match &self.api_key {
            Some(file) => {
                let key = api_key::read_key(file)?;
                Ok(self.at.stranger(context)?.with_api_key(&key))
            }
            None => self.at.client(context),
        }
    }
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Only those with all of these words in their names
    #[arg(value_name = "WORD")]
    words: Vec<String>,
    #[command(flatten)]
    at: AppsAt,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The app: its UUID, or a name that no other has
    #[arg(value_name = "APP")]
    app: String,
    #[command(flatten)]
    at: AppsAt,
}

#[derive(Debug, Args)]
struct GrantArgs {
    /// The app: its UUID, or a name that no other has
    #[arg(value_name = "APP")]
    app: String,
    /// Who: bob, principal/internal/group/ops, or api-key/ and the value of an API key
    #[arg(value_name = "WHO", required = true)]
    who: Vec<String>,
    /// Let them say who may read it, and remove it, too
    #[arg(long)]
    manage: bool,
    #[command(flatten)]
    at: AppsAt,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    /// The app: its UUID, or a name that no other has
    #[arg(value_name = "APP")]
    app: String,
    /// Who, as `quorate app show` names them
    #[arg(value_name = "WHO", required = true)]
    who: Vec<String>,
    #[command(flatten)]
    at: AppsAt,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// The app: its UUID, or a name that no other has
    #[arg(value_name = "APP")]
    app: String,
    /// Do not ask for a confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    at: AppsAt,
}

/// An app and, for whoever may see them, its grants.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    app: &'a App,
    #[serde(skip_serializing_if = "Option::is_none")]
    grants: Option<&'a [AppGrant]>,
}

pub(crate) fn run(context: &Context, args: &AppArgs) -> Result<(), CliError> {
    match &args.command {
        AppCommand::List(args) => list(context, args),
        AppCommand::Show(args) => {
            let client = args.at.client(context)?;
            let app = find(&client, &args.app)?;
            show(context, &client, &app)
        }
        AppCommand::Code(args) => code::run(context, args),
        AppCommand::Add(args) => add::run(context, args),
        AppCommand::Change(args) => change::run(context, args),
        AppCommand::Grant(args) => grant(context, args),
        AppCommand::Revoke(args) => revoke(context, args),
        AppCommand::Leave(args) => leave(context, args),
        AppCommand::Remove(args) => remove(context, args),
        AppCommand::Import(args) => import::run(context, args),
        AppCommand::Export(args) => export::run(context, args),
    }
}

fn list(context: &Context, args: &ListArgs) -> Result<(), CliError> {
    let words: Vec<String> = args.words.iter().map(|word| word.to_lowercase()).collect();
    let (apps, mut listed) = (args.at.client(context)?.apps()?, 0);
    for app in &apps {
        let names = title(app).to_lowercase();
        if words.iter().all(|word| names.contains(word)) {
            context.ui.print(app, || line_of(app))?;
            listed += 1;
        }
    }
    match (apps.len(), listed) {
        (0, _) => context.ui.say("there is no app that you may read yet: `quorate app add` adds one"),
        (several, 0) => context.ui.say(format_args!("none of {several} has all of these words in its names")),
        _ => {}
    }
    Ok(())
}

fn show(context: &Context, client: &Client, app: &App) -> Result<(), CliError> {
    let grants = if app.right >= AppRight::Manage { Some(client.app_grants(&app.uuid)?) } else { None };
    let value = Shown { app, grants: grants.as_deref() };
    Ok(context.ui.print(&value, || lines_of(&value))?)
}

fn grant(context: &Context, args: &GrantArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    let app = find(&client, &args.app)?;
    let right = if args.manage { AppRight::Manage } else { AppRight::Code };
    let before = client.app_grants(&app.uuid)?;
    for who in &args.who {
        client.grant_app(&app.uuid, who, right).map_err(of_grantee(who))?;
        let lowered = right == AppRight::Code && before.iter().any(|grant| is_manager(grant, who));
        let may = match right {
            AppRight::Manage | AppRight::Owner => "may manage",
            AppRight::Code if lowered => "may only read codes now, and manage no more, of",
            AppRight::Code => "may read codes of",
        };
        let changed = Changed { uuid: &app.uuid, grantee: Some(who), right: Some(right) };
        tell(context, &changed, &format!("{} {may} {}", shown(who), title(&app)))?;
    }
    if let Some(quorum) = &app.by_quorum {
        let group_id = shown(&quorum.group_id);
        context.ui.say(format_args!(
            "its codes take a quorum: to ask for one without a Toc they need `quorate group applicants add {group_id} WHO`; an API \
             key never reads one"
        ));
    }
    Ok(())
}

/// Whether it is the grant of a manager whom `who` names, in full or short.
fn is_manager(grant: &AppGrant, who: &str) -> bool {
    let short = grant.grantee.strip_prefix("principal/internal/user/");
    grant.right == AppRight::Manage && (grant.grantee == who || short == Some(who))
}

/// Says of whom an oracle refuses something.
fn of_grantee(who: &str) -> impl Fn(ClientError) -> CliError {
    move |source| match source {
        ClientError::Refused(_) => AppError::Grantee { who: who.to_owned(), source: Box::new(source) }.into(),
        source => source.into(),
    }
}

/// What was changed, for programs.
#[derive(Serialize)]
struct Changed<'a> {
    uuid: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    grantee: Option<&'a str>,
    /// What they may do now; absent for nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    right: Option<AppRight>,
}

/// Tells people on stderr, or programs on stdout, that something was changed.
fn tell(context: &Context, changed: &Changed<'_>, said: &str) -> Result<(), CliError> {
    if context.ui.json() {
        return Ok(context.ui.json_data(changed)?);
    }
    context.ui.say(said);
    Ok(())
}

fn revoke(context: &Context, args: &RevokeArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    let app = find(&client, &args.app)?;
    for who in &args.who {
        client.revoke_app(&app.uuid, who).map_err(of_grantee(who))?;
        let changed = Changed { uuid: &app.uuid, grantee: Some(who), right: None };
        tell(context, &changed, &format!("{} has no grant of {} any more", shown(who), title(&app)))?;
    }
    let teams = match client.app_grants(&app.uuid) {
        Ok(left) => left.iter().any(|grant| grant.grantee.starts_with("principal/internal/group/")),
        // Whoever took their own right away is not shown who has one, nor is anybody where the last reader has gone.
        Err(_) => false,
    };
    let still = if teams { "who is in a team that has one still reads codes; " } else { "" };
    context.ui.say(format_args!("{still}who wrote a secret down elsewhere still has it"));
    Ok(())
}

fn leave(context: &Context, args: &RemoveArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    let app = find(&client, &args.app)?;
    let question = format!(
        "Give up your right to {} ({})? One of its managers can grant it again.",
        title(&app),
        shown(&app.uuid)
    );
    if !args.yes && !context.ui.confirm(&question)? {
        context.ui.say("nothing was changed");
        return Ok(());
    }
    let own = args.at.own_name(context, &client)?;
    client.revoke_app(&app.uuid, &own)?;
    let changed = Changed { uuid: &app.uuid, grantee: Some(&own), right: None };
    tell(
        context,
        &changed,
        &format!("you have no grant of {} any more; what a team has, its members still have", title(&app)),
    )
}

fn remove(context: &Context, args: &RemoveArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    let app = find(&client, &args.app)?;
    let question = format!("Remove {} ({}), for everybody?", title(&app), shown(&app.uuid));
    if !args.yes && !context.ui.confirm(&question)? {
        context.ui.say("nothing was changed");
        return Ok(());
    }
    client.remove_app(&app.uuid)?;
    let removed = Changed { uuid: &app.uuid, grantee: None, right: None };
    tell(context, &removed, &format!("{} is removed", title(&app)))
}

/// The app that `wanted` means: by its UUID, otherwise by a name among those that one may read.
fn find(client: &Client, wanted: &str) -> Result<App, CliError> {
    let like_a_uuid = wanted.len() == 36 && wanted.chars().all(|c| c.is_ascii_hexdigit() || c == '-');
    if like_a_uuid {
        return Ok(client.app(&wanted.to_ascii_lowercase())?);
    }
    one_of(client.apps()?, wanted)
}

fn one_of(mut apps: Vec<App>, wanted: &str) -> Result<App, CliError> {
    let wanted_in_lower_case = wanted.to_lowercase();
    apps.retain(|app| names(app).any(|name| name.to_lowercase() == wanted_in_lower_case));
    // What others grant does not take a name away from what is one's own.
    if apps.iter().filter(|app| app.right == AppRight::Owner).count() == 1 {
        apps.retain(|app| app.right == AppRight::Owner);
    }
    match <[App; 1]>::try_from(apps) {
        Ok([only]) => Ok(only),
        Err(several) => {
            let found = several.into_iter().map(|app| app.uuid).collect();
            Err(AppError::Named { wanted: wanted.to_owned(), found }.into())
        }
    }
}

/// What an app may be called by.
fn names(app: &App) -> impl Iterator<Item = String> {
    let App { issuer, label, name, .. } = app;
    // As lists show it, and as otpauth URIs write it.
    let of_account = match (issuer.as_str(), label.as_str()) {
        ("", _) | (_, "") => Vec::new(),
        (issuer, label) => vec![format!("{issuer}: {label}"), format!("{issuer}:{label}")],
    };
    let single = [Some(issuer), Some(label), name.as_ref()].into_iter().flatten().cloned();
    single.chain(of_account).chain([title(app)]).filter(|name| !name.is_empty())
}

/// An app's name on one line, safe to show.
fn title(app: &App) -> String {
    let App { issuer, label, name, .. } = app;
    let account = match (issuer.as_str(), label.as_str()) {
        ("", "") => String::new(),
        ("", one) | (one, "") => one.to_owned(),
        (issuer, label) => format!("{issuer}: {label}"),
    };
    shown(&match (account.as_str(), name) {
        ("", None) => "unnamed".to_owned(),
        ("", Some(name)) => name.clone(),
        (account, None) => account.to_owned(),
        (account, Some(name)) => format!("{account} ({name})"),
    })
}

fn line_of(app: &App) -> String {
    let by_quorum = if app.by_quorum.is_some() { "  by quorum" } else { "" };
    format!("{}  {:<6}  {}{by_quorum}", shown(&app.uuid), app.right.word(), title(app))
}

fn lines_of(Shown { app, grants }: &Shown<'_>) -> String {
    let mut lines = vec![
        ("app", title(app)),
        ("uuid", shown(&app.uuid)),
        ("you", app.right.to_string()),
        ("owner", app.owner.as_deref().map_or_else(|| "gone".to_owned(), shown)),
        ("added at", time_of(&app.added_at)),
    ];
    if let Some(AppQuorum { group_id, threshold, size, .. }) = &app.by_quorum {
        lines.push(("quorum", format!("{threshold} of {size} Tocs of {}", shown(group_id))));
    }
    let grants = grants.unwrap_or_default().iter();
    lines.extend(grants.map(|grant| ("grant", format!("{:<6}  {}", grant.right.word(), shown(&grant.grantee)))));
    lines.iter().map(|(name, value)| format!("{name:<8}  {value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(issuer: &str, label: &str, name: Option<&str>) -> App {
        App {
            uuid: "5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1".to_owned(),
            issuer: issuer.to_owned(),
            label: label.to_owned(),
            name: name.map(str::to_owned),
            right: AppRight::Manage,
            owner: None,
            added_at: "\u{1b}".to_owned(),
            by_quorum: None,
        }
    }

    #[test]
    fn an_app_is_found_by_any_of_its_names_and_never_guessed() {
        let all = || vec![app("AWS", "root", Some("prod")), app("AWS", "dev", None), app("Mail", "root", None)];
        let found = |wanted: &str| one_of(all(), wanted).map(|app| title(&app)).map_err(|error| error.to_string());
        for wanted in ["prod", "aws: ROOT"] {
            assert_eq!(found(wanted), Ok("AWS: root (prod)".to_owned()));
        }
        assert_eq!(found("dev"), Ok("AWS: dev".to_owned()));
        assert!(found("aws").is_err_and(|text| text.contains("more than one")));
        assert!(found("ro").is_err_and(|text| text.contains("no app")));
        // As a list shows it, and as a URI says it.
        for wanted in ["AWS: root (prod)", "aws:root"] {
            assert_eq!(found(wanted), Ok("AWS: root (prod)".to_owned()));
        }
        assert!(one_of(vec![app("", "", None)], "unnamed").is_ok());
        assert!(one_of(vec![app("", "", None)], "").is_err(), "nothing is no name");
    }

    #[test]
    fn what_others_grant_takes_no_name_from_what_is_ones_own() {
        let own = App { right: AppRight::Owner, uuid: "own".to_owned(), ..app("AWS", "root", None) };
        let theirs = || app("AWS", "root", None);
        let found = |apps| one_of(apps, "AWS").map(|app| app.uuid).map_err(|error| error.hint());
        assert_eq!(found(vec![theirs(), own.clone(), theirs()]), Ok("own".to_owned()));
        let hint = found(vec![theirs(), theirs()]).expect_err("which?").expect("a hint");
        assert!(hint.contains(&theirs().uuid), "{hint}");
        assert!(found(vec![own.clone(), own]).is_err());
    }

    #[test]
    fn what_an_oracle_says_cannot_steer_a_terminal() {
        let app = app("\u{1b}[2J", "\u{202e}", Some("\u{9b}31m"));
        let grant = AppGrant { grantee: "\u{7}".to_owned(), right: AppRight::Code, granted_at: String::new() };
        let grants = [grant];
        let shown = line_of(&app) + &lines_of(&Shown { app: &app, grants: Some(&grants) });
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\u{7}']), "{shown}");
        assert!(shown.contains("owner     gone\n") && shown.contains("grant     code    \\u{7}"), "{shown}");
    }
}
