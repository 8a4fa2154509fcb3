//! `quorate group`: the groups that an oracle knows, and which principal stands for which holder. For operators; auditors look.
//! It must not know HTTP.

use super::error::PeopleError;
use super::network::LoggedInAt;
use super::{CliError, Context, files};
use crate::client::{ApplicantChanges, Client, GroupHolder, GroupMemberChanges, KnownGroup};
use crate::ui::{shown, time_of};
use clap::{Args, Subcommand};
use quorate_protocol::api::JsonText;
use quorate_protocol::header::GroupName;
use quorate_protocol::toc::Group;
use serde_json::value::RawValue;
use std::path::PathBuf;

/// Bytes of a group file that are read at most: an oracle takes no larger one.
const MAX_FILE: u64 = 128 * 1024;
/// Characters of a group's name that are taken for it.
const SHORTEST: usize = 4;

#[derive(Debug, Args)]
pub(crate) struct GroupArgs {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Debug, Subcommand)]
enum GroupCommand {
    /// Make a group known to the oracle, by the public file that `quorate deal` wrote
    Add(AddArgs),
    /// Say who may ask for a group's codes by login, without a Toc of it
    ///
    /// Whoever stands for a holder is let ask like everybody else. The Tocs come from the holders alone.
    #[command(subcommand)]
    Applicants(ApplicantsCommand),
    /// List the groups that the oracle knows
    List(AtArgs),
    /// Show a group, its holders and who stands for them
    Show(OneArgs),
    /// Say who stands for the holders of a group, or show it
    ///
    /// For holders who are not named it stays as it is.
    Members(MembersArgs),
    /// Have the oracle forget a group; its Tocs stay what they are
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The group file, such as group.json; there is no share in it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Who stands for a holder: ann=ann, or ann=principal/internal/user/ann; may be given again
    #[arg(short = 'm', long = "member", value_name = "HOLDER=PRINCIPAL", value_parser = stands)]
    members: Vec<Stands>,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct AtArgs {
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct OneArgs {
    /// The group: its name, the first characters of it, or its id
    #[arg(value_name = "GROUP")]
    group: String,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct MembersArgs {
    /// The group: its name, the first characters of it, or its id
    #[arg(value_name = "GROUP")]
    group: String,
    /// Who stands for a holder: ann=ann; ann= for nobody. Without any, who does is shown
    #[arg(value_name = "HOLDER=PRINCIPAL", value_parser = stands)]
    members: Vec<Stands>,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Subcommand)]
enum ApplicantsCommand {
    /// Let users, applications or the members of teams ask
    Add(ApplicantsArgs),
    /// List who may ask
    List(OneArgs),
    /// Let them ask no more
    Remove(ApplicantsArgs),
}

#[derive(Debug, Args)]
struct ApplicantsArgs {
    /// The group: its name, the first characters of it, or its id
    #[arg(value_name = "GROUP")]
    group: String,
    /// Names; a team is principal/internal/group/NAME
    #[arg(value_name = "PRINCIPAL", required = true)]
    principals: Vec<String>,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// The group: its name, the first characters of it, or its id
    #[arg(value_name = "GROUP")]
    group: String,
    /// Do not ask for a confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    at: LoggedInAt,
}

/// A holder and the principal that stands for them, or nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stands {
    holder: String,
    principal: Option<String>,
}

/// The last = parts the two: names of holders may have one, names of principals have none.
fn stands(text: &str) -> Result<Stands, &'static str> {
    let (holder, principal) = text.rsplit_once('=').ok_or("write HOLDER=PRINCIPAL, as in ann=ann")?;
    if holder.is_empty() {
        return Err("the holder's name is missing before =");
    }
    let principal = Some(principal.to_owned()).filter(|principal| !principal.is_empty());
    Ok(Stands { holder: holder.to_owned(), principal })
}

pub(crate) fn run(context: &Context, args: &GroupArgs) -> Result<(), CliError> {
    match &args.command {
        GroupCommand::Add(args) => add(context, args),
        GroupCommand::Applicants(command) => applicants(context, command),
        GroupCommand::List(args) => {
            for group in args.at.client(context)?.groups()? {
                context.ui.print(&group, || line_of(&group))?;
            }
            Ok(())
        }
        GroupCommand::Show(args) => {
            let client = args.at.client(context)?;
            show(context, &client.group(find(&client, &args.group)?)?)
        }
        GroupCommand::Members(args) => members(context, args),
        GroupCommand::Remove(args) => remove(context, args),
    }
}

fn add(context: &Context, args: &AddArgs) -> Result<(), CliError> {
    let text = files::read_text(&args.file, MAX_FILE)?;
    // Checked here first: what is wrong with a file is told best where it is.
    let failed = |source| CliError::Toc { path: args.file.clone(), source };
    let group = Group::parse(text.as_bytes()).map_err(failed)?;
    let client = args.at.client(context)?;
    let file = JsonText(RawValue::from_string(text.trim().to_owned()).expect("it was parsed as JSON"));
    let mut added = client.add_group(&file)?;
    if !args.members.is_empty() {
        added = client.change_group_members(group.name(), &changes(&args.members))?;
    }
    show(context, &added)?;
    if added.holders.iter().any(|holder| holder.principal.is_none()) {
        context.ui.say(format_args!(
            "say who stands for the others with `quorate group members {} HOLDER=PRINCIPAL`",
            shown(&added.group_id)
        ));
    }
    Ok(())
}

fn members(context: &Context, args: &MembersArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    let name = find(&client, &args.group)?;
    let group = match args.members.as_slice() {
        [] => client.group(name)?,
        members => client.change_group_members(name, &changes(members))?,
    };
    if context.ui.json() {
        return Ok(context.ui.json_data(&group)?);
    }
    group.holders.iter().try_for_each(|holder| Ok(context.ui.data(holder_line(holder))?))
}

fn remove(context: &Context, args: &RemoveArgs) -> Result<(), CliError> {
    let client = args.at.client(context)?;
    let name = find(&client, &args.group)?;
    if !args.yes && !context.ui.confirm(&format!("Have the oracle forget the group {name}?"))? {
        context.ui.say("nothing was changed");
        return Ok(());
    }
    client.remove_group(name)?;
    context.ui.say(format_args!("the oracle does not know the group {name} any more"));
    Ok(())
}

fn applicants(context: &Context, command: &ApplicantsCommand) -> Result<(), CliError> {
    let (group, at) = match command {
        ApplicantsCommand::Add(args) | ApplicantsCommand::Remove(args) => (&args.group, &args.at),
        ApplicantsCommand::List(args) => (&args.group, &args.at),
    };
    let client = at.client(context)?;
    let name = find(&client, group)?;
    let change = |changes| client.change_applicants(name, &changes);
    let group = match command {
        ApplicantsCommand::Add(args) => change(ApplicantChanges { add: args.principals.clone(), remove: vec![] })?,
        ApplicantsCommand::Remove(args) => change(ApplicantChanges { add: vec![], remove: args.principals.clone() })?,
        ApplicantsCommand::List(_) => client.group(name)?,
    };
    if context.ui.json() {
        return Ok(context.ui.json_data(&group.applicants)?);
    }
    group.applicants.iter().try_for_each(|principal| Ok(context.ui.data(shown(principal))?))
}

/// What the oracle is to change; what was named last counts.
fn changes(members: &[Stands]) -> GroupMemberChanges {
    let mut changes = GroupMemberChanges::default();
    for Stands { holder, principal } in members {
        changes.add.remove(holder);
        changes.remove.retain(|other| other != holder);
        match principal {
            Some(principal) => drop(changes.add.insert(holder.clone(), principal.clone())),
            None => changes.remove.push(holder.clone()),
        }
    }
    changes
}

/// The group that `wanted` means: by its whole name without asking, otherwise among those that the oracle knows.
pub(crate) fn find(client: &Client, wanted: &str) -> Result<GroupName, CliError> {
    if let Ok(name) = wanted.parse() {
        return Ok(name);
    }
    one_of(&client.groups()?, wanted)
}

/// The same among those for whose codes one may ask.
pub(crate) fn find_own(client: &Client, wanted: &str) -> Result<GroupName, CliError> {
    if let Ok(name) = wanted.parse() {
        return Ok(name);
    }
    one_of(&client.own_groups()?, wanted).map_err(|error| match error {
        CliError::People(PeopleError::Group { wanted, found: 0 }) => PeopleError::NotOwnGroup(wanted).into(),
        error => error,
    })
}

fn one_of(groups: &[KnownGroup], wanted: &str) -> Result<GroupName, CliError> {
    let meant = |group: &&KnownGroup| {
        group.group_id == wanted || (wanted.len() >= SHORTEST && group.group.to_string().starts_with(wanted))
    };
    let found: Vec<GroupName> = groups.iter().filter(meant).map(|group| group.group).collect();
    match found.as_slice() {
        [only] => Ok(*only),
        several => Err(PeopleError::Group { wanted: wanted.to_owned(), found: several.len() }.into()),
    }
}

fn show(context: &Context, group: &KnownGroup) -> Result<(), CliError> {
    Ok(context.ui.print(group, || lines_of(group))?)
}

fn line_of(group: &KnownGroup) -> String {
    let KnownGroup { group: name, group_id, note, size, threshold, replaced, .. } = group;
    let replaced = if *replaced { "  replaced" } else { "" };
    format!("{name}  {}  {threshold} of {size}  {}{replaced}", shown(group_id), shown(note))
}

fn lines_of(group: &KnownGroup) -> String {
    let KnownGroup { group: name, group_id, note, size, threshold, dealt_at, added_at, replaced, .. } = group;
    let mut lines = vec![
        ("group", name.to_string()),
        ("group id", shown(group_id)),
        ("note", shown(note)),
        ("needs", format!("{threshold} of {size} Tocs")),
        ("dealt at", time_of(dealt_at)),
        ("added at", time_of(added_at)),
    ];
    if *replaced {
        lines.push(("replaced", "by a redeal: the oracle serves it no more".to_owned()));
    }
    lines.extend(group.holders.iter().map(|holder| ("holder", holder_line(holder))));
    lines.extend(group.applicants.iter().map(|principal| ("may ask", shown(principal))));
    let damaged = |principal: &String| {
        format!("{}: not the oracle's word, and counts for nothing; it goes with the next change", shown(principal))
    };
    lines.extend(group.damaged.iter().map(|principal| ("damaged", damaged(principal))));
    lines.iter().map(|(name, value)| format!("{name:<8}  {value}")).collect::<Vec<_>>().join("\n")
}

fn holder_line(GroupHolder { x, holder, principal }: &GroupHolder) -> String {
    format!("{x}  {}  {}", shown(holder), principal.as_deref().map_or_else(|| "nobody".to_owned(), shown))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(first: u8, group_id: &str) -> KnownGroup {
        let holder = |x: u8, principal: Option<&str>| GroupHolder {
            x,
            holder: format!("holder {x}"),
            principal: principal.map(str::to_owned),
        };
        KnownGroup {
            group: GroupName([first; 32]),
            group_id: group_id.to_owned(),
            note: "\u{1b}[2J\u{202e}".to_owned(),
            size: 3,
            threshold: 2,
            dealt_at: "2026-01-01T00:00:00Z".to_owned(),
            added_at: "\u{1b}".to_owned(),
            replaced: true,
            holders: vec![
                holder(1, Some("principal/internal/user/ann")),
                holder(2, Some("\u{9b}31m")),
                holder(3, None),
            ],
            applicants: vec!["\u{9b}2J".to_owned()],
            damaged: vec!["\u{9b}3J".to_owned()],
        }
    }

    #[test]
    fn a_holder_and_a_principal_are_parted_at_the_last_sign() {
        let read = |text| stands(text).map(|it| (it.holder, it.principal));
        assert_eq!(read("ann=bob"), Ok(("ann".to_owned(), Some("bob".to_owned()))));
        assert_eq!(read("a=b=bob"), Ok(("a=b".to_owned(), Some("bob".to_owned()))));
        assert_eq!(read("ann="), Ok(("ann".to_owned(), None)));
        assert!(read("ann").is_err() && read("=bob").is_err() && read("").is_err());
    }

    #[test]
    fn what_is_named_last_counts_and_who_is_not_named_stays() {
        let named = ["holder 2=", "holder 3=carol", "holder 1=", "holder 1=dan", "holder 4=eve", "holder 4="];
        let changes = changes(&named.map(|text| stands(text).expect("readable")));
        let added: Vec<_> =
            changes.add.iter().map(|(holder, principal)| (holder.as_str(), principal.as_str())).collect();
        assert_eq!(added, [("holder 1", "dan"), ("holder 3", "carol")]);
        assert_eq!(changes.remove, ["holder 2", "holder 4"]);
    }

    #[test]
    fn a_group_is_found_by_its_id_or_the_beginning_of_its_name_and_never_guessed() {
        let groups = [group(0x11, "AAAA2222"), group(0x12, "BBBB2222"), group(0x12, "CCCC2222")];
        let found = |wanted: &str| one_of(&groups, wanted).map_err(|error| error.to_string());
        assert_eq!(found("AAAA2222"), Ok(GroupName([0x11; 32])));
        assert_eq!(found("1111"), Ok(GroupName([0x11; 32])));
        assert!(found("1212").is_err_and(|text| text.contains("more than one")), "two");
        assert!(found("111").is_err(), "too short");
        assert!(found("DDDD2222").is_err_and(|text| text.contains("no group")), "none");
    }

    #[test]
    fn what_an_oracle_says_cannot_steer_a_terminal() {
        let shown = line_of(&group(1, "\u{202e}")) + &lines_of(&group(1, "\u{7}"));
        assert!(!shown.contains(['\u{1b}', '\u{202e}', '\u{9b}', '\u{7}']), "{shown}");
        assert!(shown.contains("3  holder 3  nobody") && shown.contains("  replaced"), "{shown}");
    }
}
