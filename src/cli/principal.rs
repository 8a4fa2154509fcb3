//! `quorate principal`: users, applications and teams, for operators. Links and secrets are printed once. It must not know
//! HTTP.

use super::network::LoggedInAt;
use super::{CliError, Context};
use crate::client::{AppsLeft, MemberChanges, Members, Newcomer, Principal, PrincipalKey};
use crate::ui::{shown, time_of};
use clap::{Args, Subcommand, ValueEnum};
use zeroize::Zeroizing;

/// How full names begin.
const PREFIX: &str = "principal/";

#[derive(Debug, Args)]
pub(crate) struct PrincipalArgs {
    #[command(subcommand)]
    command: PrincipalCommand,
}

#[derive(Debug, Subcommand)]
enum PrincipalCommand {
    /// List everybody, oldest first
    List(AtArgs),
    /// Show one of them
    Show(OneArgs),
    /// Make one, and print a user's one-time link or an application's secret
    #[command(visible_alias = "create")]
    Add(AddArgs),
    /// Remove one for good: whoever gets its name later gets nothing else of it
    Remove(AgreedArgs),
    /// Keep one out until it is enabled; what it is logged in with ends at once
    Disable(AgreedArgs),
    /// Let one in again
    Enable(OneArgs),
    /// Print a new one-time link for a user, in the place of the one before
    Link(LinkArgs),
    /// List and change the members of a team
    Member(MemberArgs),
}

#[derive(Debug, Args)]
struct AtArgs {
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct OneArgs {
    #[command(flatten)]
    name: NameArgs,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct AddArgs {
    #[command(flatten)]
    name: NameArgs,
    /// What it may do; a team has no role
    #[arg(long, value_enum)]
    role: Option<Role>,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct AgreedArgs {
    #[command(flatten)]
    name: NameArgs,
    /// Do not ask for a confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct LinkArgs {
    /// The user: bob, or principal/internal/user/bob
    #[arg(value_name = "NAME")]
    name: String,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct NameArgs {
    /// Full name, such as principal/internal/application/ci, or its last part
    #[arg(value_name = "NAME")]
    name: String,
    /// What a last part alone is the name of
    #[arg(long, value_enum, default_value_t = Kind::User)]
    kind: Kind,
}

#[derive(Debug, Args)]
struct MemberArgs {
    #[command(subcommand)]
    command: MemberCommand,
}

#[derive(Debug, Subcommand)]
enum MemberCommand {
    /// List the members of a team, oldest first
    List(TeamArgs),
    /// Have principals come into a team
    Add(MembersArgs),
    /// Have principals leave a team
    Remove(MembersArgs),
}

#[derive(Debug, Args)]
struct TeamArgs {
    /// The team: ops, or principal/internal/group/ops
    #[arg(value_name = "TEAM")]
    team: String,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct MembersArgs {
    /// The team: ops, or principal/internal/group/ops
    #[arg(value_name = "TEAM")]
    team: String,
    /// Who: bob, or a full name such as principal/internal/application/ci
    #[arg(value_name = "NAME", required = true)]
    names: Vec<String>,
    #[command(flatten)]
    at: LoggedInAt,
}

/// What a name is the name of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// A program
    Application,
    /// A team
    Group,
    /// A person
    User,
}

/// What a principal may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Role {
    /// See everything, change nothing
    Auditor,
    /// What concerns them alone
    Member,
    /// Everything
    Operator,
}

pub(crate) fn run(context: &Context, args: &PrincipalArgs) -> Result<(), CliError> {
    match &args.command {
        PrincipalCommand::List(args) => {
            for principal in args.at.client(context)?.principals()? {
                context.ui.print(&principal, || line_of(&principal))?;
            }
            Ok(())
        }
        PrincipalCommand::Show(args) => {
            let principal = args.at.client(context)?.principal(&args.name.full())?;
            Ok(context.ui.print(&principal, || lines_of(&principal))?)
        }
        PrincipalCommand::Add(args) => {
            let role = args.role.as_ref().map(word);
            let newcomer = args.at.client(context)?.create_principal(&args.name.full(), role.as_deref())?;
            introduce(context, &newcomer)
        }
        PrincipalCommand::Remove(args) => remove(context, args),
        PrincipalCommand::Disable(args) => disable(context, args),
        PrincipalCommand::Enable(args) => {
            let name = args.name.full();
            args.at.client(context)?.set_disabled(&name, false)?;
            context.ui.say(format_args!("{} is enabled", shown(&name)));
            Ok(())
        }
        PrincipalCommand::Link(args) => introduce(context, &args.at.client(context)?.renew_link(&args.name)?),
        PrincipalCommand::Member(args) => member(context, &args.command),
    }
}

fn remove(context: &Context, args: &AgreedArgs) -> Result<(), CliError> {
    let (name, client) = (args.name.full(), args.at.client(context)?);
    let left = client.principal(&name)?.apps.unwrap_or_default();
    for line in losses(&left) {
        context.ui.warn(line);
    }
    if !args.yes && !context.ui.confirm(&format!("Remove {} for good?", shown(&name)))? {
        context.ui.say("nothing was changed");
        return Ok(());
    }
    client.remove_principal(&name)?;
    context.ui.say(format_args!("{} is removed", shown(&name)));
    Ok(())
}

/// What a removal does to shared codes, a line each.
fn losses(left: &AppsLeft) -> Vec<String> {
    let AppsLeft { ending, unmanaged } = left;
    let ends = "with it, since nobody else may read it, goes for good the app";
    let stays = "nobody will grant, remove or export any more, unless somebody gets `quorate app grant --manage` before, the app";
    let of = |what: &'static str, uuids: &[String]| -> Vec<String> {
        uuids.iter().map(|uuid| format!("{what} {}", shown(uuid))).collect()
    };
    [of(ends, ending), of(stays, unmanaged)].concat()
}

fn disable(context: &Context, args: &AgreedArgs) -> Result<(), CliError> {
    let (name, client) = (args.name.full(), args.at.client(context)?);
    let question = "This is you, and only another operator could let you in again. Disable yourself?";
    let is_oneself = || Ok::<_, CliError>(client.whoami()?.principal == client.principal(&name)?.principal);
    if !args.yes && is_oneself()? && !context.ui.confirm(question)? {
        context.ui.say("nothing was changed");
        return Ok(());
    }
    client.set_disabled(&name, true)?;
    context.ui.say(format_args!("{} is disabled", shown(&name)));
    Ok(())
}

fn member(context: &Context, command: &MemberCommand) -> Result<(), CliError> {
    let members = match command {
        MemberCommand::List(args) => args.at.client(context)?.members(&team(&args.team))?,
        MemberCommand::Add(args) => {
            let changes = MemberChanges { add: &args.names, ..MemberChanges::default() };
            args.at.client(context)?.change_members(&team(&args.team), changes)?
        }
        MemberCommand::Remove(args) => {
            let changes = MemberChanges { remove: &args.names, ..MemberChanges::default() };
            args.at.client(context)?.change_members(&team(&args.team), changes)?
        }
    };
    print_members(context, &members)
}

/// One a line; nothing for a team without members.
fn print_members(context: &Context, members: &Members) -> Result<(), CliError> {
    if context.ui.json() {
        return Ok(context.ui.json_data(members)?);
    }
    members.members.iter().try_for_each(|name| Ok(context.ui.data(shown(name))?))
}

/// Prints what a newcomer starts with, alone, so that it can be piped on.
fn introduce(context: &Context, newcomer: &Newcomer) -> Result<(), CliError> {
    let Newcomer { principal, link, link_expires_at, secret } = newcomer;
    let (data, told) = match (link, secret) {
        (Some(link), _) => {
            let until = link_expires_at.as_deref().map(|at| format!(" until {}", time_of(at))).unwrap_or_default();
            let told = format!(
                "{} enrols with this link, which serves once{until} and is shown this once: send it as you would a password; \
                 it is opened with `quorate enroll LINK` or a browser",
                shown(principal)
            );
            (link, told)
        }
        (None, Some(secret)) => {
            let told = format!(
                "{} logs in with this secret, which is shown this once: keep it where only the application can read it \
                 (`quorate login -u {} --password-file FILE`)",
                shown(principal),
                shown(principal)
            );
            (secret, told)
        }
        (None, None) => return Ok(context.ui.print(newcomer, || shown(principal))?),
    };
    context.ui.print(newcomer, || Zeroizing::new(shown(data)).as_str().to_owned())?;
    context.ui.say(told);
    Ok(())
}

fn line_of(principal: &Principal) -> String {
    let Principal { principal, role, enrolled_at, disabled_at, provider, kind, .. } = principal;
    let mut line = format!("{}  {}", shown(principal), role.as_deref().map_or_else(|| "team".to_owned(), shown));
    if let Some(provider) = provider {
        line = format!("{line}  {}", shown(provider));
    }
    if kind == "user" && enrolled_at.is_none() {
        line.push_str("  not enrolled");
    }
    if disabled_at.is_some() {
        line.push_str("  disabled");
    }
    line
}

fn lines_of(principal: &Principal) -> String {
    let Principal { principal, kind, role, created_at, enrolled_at, disabled_at, provider, apps, keys } = principal;
    let mut lines = vec![("principal", shown(principal)), ("kind", shown(kind))];
    lines.extend(role.iter().map(|role| ("role", shown(role))));
    lines.extend(provider.iter().map(|provider| ("provider", shown(provider))));
    lines.push(("made at", time_of(created_at)));
    lines.extend(enrolled_at.iter().map(|at| ("enrolled", time_of(at))));
    lines.extend(disabled_at.iter().map(|at| ("disabled", time_of(at))));
    if let Some(keys) = keys {
        lines.push(("keys", keys.len().to_string()));
        lines.extend(keys.iter().map(line_of_key));
    }
    // Where there is something to lose.
    let AppsLeft { ending, unmanaged } = apps.clone().unwrap_or_default();
    lines.extend(ending.iter().map(|uuid| ("only its", format!("app {}", shown(uuid)))));
    lines.extend(unmanaged.iter().map(|uuid| ("only it", format!("manages app {}", shown(uuid)))));
    lines.iter().map(|(name, value)| format!("{name:<9}  {value}")).collect::<Vec<_>>().join("\n")
}

fn line_of_key(key: &PrincipalKey) -> (&'static str, String) {
    let PrincipalKey { name, key_hash, passkey, usable, added_at, used_at } = key;
    let used = used_at.as_deref().map_or_else(|| "not used yet".to_owned(), |at| format!("last used {}", time_of(at)));
    let added = added_at.as_deref().map(|at| format!(", added {}", time_of(at))).unwrap_or_default();
    let elsewhere = if *usable { "" } else { ", for another address" };
    let line = format!("{}{added}, {used}{elsewhere}, in the audit log {}", shown(name), shown(key_hash));
    (if *passkey { "passkey" } else { "key" }, line)
}

impl NameArgs {
    /// A full name, or a user's short one.
    fn full(&self) -> String {
        if self.name.starts_with(PREFIX) || self.kind == Kind::User {
            return self.name.clone();
        }
        format!("{PREFIX}internal/{}/{}", word(&self.kind), self.name)
    }
}

/// A team may be named by its last part alone, since nothing else has members.
fn team(name: &str) -> String {
    NameArgs { name: name.to_owned(), kind: Kind::Group }.full()
}

fn word(value: &impl ValueEnum) -> String {
    let word = value.to_possible_value().expect("no variant is skipped");
    word.get_name().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_last_part_is_a_users_unless_said_otherwise() {
        let full = |name: &str, kind| NameArgs { name: name.to_owned(), kind }.full();
        assert_eq!(full("bob", Kind::User), "bob");
        assert_eq!(full("ci", Kind::Application), "principal/internal/application/ci");
        assert_eq!(full("principal/internal/user/bob", Kind::Application), "principal/internal/user/bob");
        assert_eq!((team("ops"), team("principal/internal/group/ops")), {
            let ops = "principal/internal/group/ops".to_owned();
            (ops.clone(), ops)
        });
    }

    #[test]
    fn what_an_oracle_says_cannot_steer_a_terminal() {
        let principal = Principal {
            principal: "principal/internal/user/\u{1b}[2J".to_owned(),
            kind: "user".to_owned(),
            role: Some("\u{202e}rebmem".to_owned()),
            created_at: "\u{1b}".to_owned(),
            enrolled_at: None,
            disabled_at: Some("2026-01-01T00:00:00Z".to_owned()),
            provider: Some("\u{9b}31m".to_owned()),
            apps: Some(AppsLeft { ending: vec!["\u{1b}[3m".to_owned()], unmanaged: vec!["\u{7}".to_owned()] }),
            keys: Some(vec![PrincipalKey {
                name: "\u{1b}[4m".to_owned(),
                key_hash: "\u{202e}".to_owned(),
                passkey: true,
                usable: false,
                added_at: Some("\u{1b}[5m".to_owned()),
                used_at: Some("\u{9b}6m".to_owned()),
            }]),
        };
        let left = losses(principal.apps.as_ref().expect("some"));
        assert_eq!(left.len(), 2);
        let shown = line_of(&principal) + &lines_of(&principal) + &left.concat();
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}']), "{shown}");
        assert!(line_of(&principal).ends_with("  not enrolled  disabled"), "{shown}");
    }
}
