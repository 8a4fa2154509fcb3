//! `quorate drill`: asks the players of a group to prove that their Tocs still open, answers such a question, and reports. No
//! code is made. It must not know how a link is verified.

mod answer;
mod report;

use super::error::AnswerError;
use super::network::LoggedInAt;
use super::{CliError, Context, files, group};
use crate::client::Client;
use clap::{Args, Subcommand};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};
use quorate_protocol::api::NewDrill;
use quorate_protocol::drill::Call;
use quorate_protocol::header::GroupName;
use quorate_protocol::session::is_session_id;
use quorate_protocol::toc::Group;
use std::path::Path;

/// Bytes of a group file that are read at most.
const MAX_GROUP_FILE: u64 = 256 * 1024;

#[derive(Debug, Args)]
pub(crate) struct DrillArgs {
    #[command(subcommand)]
    command: DrillCommand,
}

#[derive(Debug, Subcommand)]
enum DrillCommand {
    /// Ask the players of a group, and print the link to send them
    Start(StartArgs),
    /// Prove that your Toc still opens
    ///
    /// What is asked is shown and verified first. Your Toc is opened here, with your key, and stays here: what is sent is a
    /// signature. No code is made.
    Answer(answer::AnswerArgs),
    /// Show who has answered, whose Toc was last seen to open when, and whether the group can lose another one
    Report(ReportArgs),
    /// List drills, the newest first
    List(ListArgs),
    /// End a drill before its time
    End(EndArgs),
}

#[derive(Debug, Args)]
struct StartArgs {
    /// The group: its name, the first characters of it, its id, or its group file
    #[arg(value_name = "GROUP")]
    group: String,
    /// When it ends: a time such as 2027-01-15T08:00:00Z or '2027-01-15 09:00', or how long it lasts, such as 12h or 7d
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    /// Why, for the players
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct ReportArgs {
    /// Id, for operators and auditors; or the drill's link (the whole one, in quotes), for its players
    #[arg(value_name = "ID|LINK")]
    drill: String,
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    at: LoggedInAt,
}

#[derive(Debug, Args)]
struct EndArgs {
    /// Its id
    #[arg(value_name = "ID")]
    drill: String,
    #[command(flatten)]
    at: LoggedInAt,
}

pub(crate) fn run(context: &Context, args: &DrillArgs) -> Result<(), CliError> {
    match &args.command {
        DrillCommand::Start(args) => start(context, args),
        DrillCommand::Answer(args) => answer::run(context, args),
        DrillCommand::Report(args) => report(context, args),
        DrillCommand::List(args) => {
            for drill in args.at.client(context)?.drills()? {
                context.ui.print(&drill, || report::line(&drill))?;
            }
            Ok(())
        }
        DrillCommand::End(args) => {
            let client = args.at.client(context)?;
            client.end_drill(id_of(&args.drill)?)?;
            report::show(context, &client.drill(&args.drill, None)?)
        }
    }
}

fn start(context: &Context, args: &StartArgs) -> Result<(), CliError> {
    let zone = TimeZone::system();
    let expires_at = args.until.as_deref().map(|until| time_of(until, context.now(), &zone)).transpose()?;
    let client = args.at.client(context)?;
    let group = group_of(&client, &args.group)?.to_string();
    let drill = client.begin_drill(&NewDrill { group, expires_at, reason: args.reason.clone() })?;
    let details = drill.details.as_ref().ok_or_else(|| AnswerError::NoLink(drill.id.clone()))?;
    context.ui.say(report::begun(&drill));
    Ok(context.ui.print(&drill, || crate::ui::shown(&details.call))?)
}

fn report(context: &Context, args: &ReportArgs) -> Result<(), CliError> {
    let drill = match Named::parse(&args.drill)? {
        Named::Id(id) => args.at.client(context)?.drill(&id, None)?,
        Named::Link(call) => {
            let vouched = answer::vouch_by_group(context, &call)?;
            let client = Client::new(&vouched.pin.url, &args.at.network().options())?;
            client.drill(&call.fields().drill, Some(&call.view_token()))?
        }
    };
    report::show(context, &drill)
}

/// How people name a drill.
enum Named {
    Id(String),
    Link(Box<Call>),
}

impl Named {
    fn parse(text: &str) -> Result<Self, CliError> {
        let text = text.trim();
        if is_session_id(text) {
            return Ok(Self::Id(text.to_owned()));
        }
        if !text.contains(['#', '.']) {
            return Err(AnswerError::Neither.into());
        }
        Ok(Self::Link(Box::new(Call::parse(text)?)))
    }
}

fn id_of(text: &str) -> Result<&str, CliError> {
    if is_session_id(text.trim()) { Ok(text.trim()) } else { Err(AnswerError::Neither.into()) }
}

/// The group that `wanted` means: of a file, or one that the oracle knows.
fn group_of(client: &Client, wanted: &str) -> Result<GroupName, CliError> {
    let path = Path::new(wanted);
    if !path.is_file() {
        return group::find(client, wanted);
    }
    let text = files::read(path, MAX_GROUP_FILE)?;
    let group = Group::parse(&text).map_err(|source| CliError::Toc { path: path.to_owned(), source })?;
    Ok(group.name())
}

/// RFC 3339, of a time, of a day and time in `zone` as times are shown here, or of a length from `now` (Unix seconds) on.
fn time_of(until: &str, now: i64, zone: &TimeZone) -> Result<String, CliError> {
    let wrong = || {
        CliError::Usage(format!(
            "`{until}` is neither a time such as 2027-01-15T08:00:00Z or '2027-01-15 09:00' nor a length such as 7d"
        ))
    };
    if let Ok(at) = until.parse::<Timestamp>() {
        return Ok(at.to_string());
    }
    if until.contains(':') {
        let utc = until.strip_suffix(" UTC").map(|local| (local, TimeZone::UTC));
        let (local, zone) = utc.unwrap_or_else(|| (until, zone.clone()));
        let at = local.parse::<DateTime>().and_then(|at| at.to_zoned(zone)).map_err(|_| wrong())?;
        return Ok(at.timestamp().to_string());
    }
    let span: Span = until.parse().map_err(|_| wrong())?;
    let now = Timestamp::from_second(now).map_err(|_| wrong())?.to_zoned(TimeZone::UTC);
    now.checked_add(span).map(|end| end.timestamp().to_string()).map_err(|_| wrong())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_a_time_or_a_length() {
        let (now, zone) = (1_800_000_000, TimeZone::fixed(jiff::tz::offset(1)));
        for (until, expected) in [
            ("2027-01-16T08:00:00Z", "2027-01-16T08:00:00Z"),
            ("2027-01-16T10:00:00+02:00", "2027-01-16T08:00:00Z"),
            ("2027-01-16 09:00", "2027-01-16T08:00:00Z"),
            ("2027-01-16T09:00:30", "2027-01-16T08:00:30Z"),
            ("2027-01-16 08:00:00 UTC", "2027-01-16T08:00:00Z"),
            ("7d", "2027-01-22T08:00:00Z"),
            ("12h", "2027-01-15T20:00:00Z"),
            ("1d 30m", "2027-01-16T08:30:00Z"),
        ] {
            assert_eq!(time_of(until, now, &zone).expect(until), expected);
        }
        // The day alone could mean its beginning or its end.
        for wrong in ["", "tomorrow", "7", "d", "99999999999d", "2027-01-16", "2027-01-16 09:00 CET", "25:00", ":"] {
            assert!(matches!(time_of(wrong, now, &zone), Err(CliError::Usage(_))), "{wrong}");
        }
    }

    #[test]
    fn a_drill_is_named_by_its_id_or_its_link() {
        assert!(matches!(Named::parse(&"A".repeat(32)), Ok(Named::Id(_))));
        for text in ["", "abc", "../admin", "https://oracle.example/drill/x"] {
            let refused = Named::parse(text);
            assert!(matches!(refused, Err(CliError::Answer(AnswerError::Neither) | CliError::Drill(_))), "{text}");
        }
    }
}
