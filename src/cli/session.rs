//! `quorate session`: look at, continue or end a session, and fetch what a redeal made. It must not know how a session is
//! started.

pub(crate) mod code;
mod fetch;
pub(crate) mod follow;
pub(crate) mod kept;
mod list;
mod show;
pub(crate) mod vouch;

use self::follow::Wait;
use self::kept::Kept;
use super::drawer::Drawer;
use super::error::SessionError;
use super::trust::TrustStore;
use super::{CliError, Context, NetworkArgs, redeal};
use crate::client::Client;
use clap::{Args, Subcommand};
use quorate_protocol::header::OraclePin;
use quorate_protocol::invite::Invite;
use quorate_protocol::session::is_session_id;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub(crate) struct SessionArgs {
    #[command(subcommand)]
    command: SessionCommand,
}

#[derive(Debug, Subcommand)]
enum SessionCommand {
    /// List the sessions that you started here and that may still be open
    List,
    /// Show a session once: counts for whoever has its id, names for whoever has the invite
    Show(LookArgs),
    /// Follow a session until it ends
    Watch(LookArgs),
    /// Show the code of a session that you started
    Code(CodeArgs),
    /// Run the approved plan of a redeal that you started
    Redeal(RedealArgs),
    /// End a session that you started
    Cancel(CancelArgs),
    /// Fetch your new Toc after a redeal, check and file it, and sign receipt
    Fetch(fetch::FetchArgs),
}

#[derive(Debug, Args)]
struct LookArgs {
    /// Session id, or invite (the whole link, in quotes)
    #[arg(value_name = "ID|INVITE")]
    session: String,
    /// The oracle, when only the id of somebody else's session is known; it must be trusted
    #[arg(long, value_name = "URL")]
    oracle: Option<String>,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Debug, Args)]
struct CodeArgs {
    /// Session id, or invite
    #[arg(value_name = "ID|INVITE")]
    session: String,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Debug, Args)]
struct RedealArgs {
    /// Session id, or invite
    #[arg(value_name = "ID|INVITE")]
    session: String,
    /// Where to write the new group's public file
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    wait: WaitArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Debug, Args)]
struct WaitArgs {
    /// Wait until the session is quorate
    #[arg(long)]
    wait: bool,
    /// Wait so many seconds at most
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    timeout: Option<u64>,
}

impl WaitArgs {
    /// Whether to wait, and for how long at most.
    fn wait(&self) -> Wait {
        match (self.wait, self.timeout) {
            (false, _) => Wait::No,
            (true, None) => Wait::Forever,
            (true, Some(seconds)) => Wait::AtMost(Duration::from_secs(seconds)),
        }
    }
}

#[derive(Debug, Args)]
struct CancelArgs {
    /// Session id, or invite
    #[arg(value_name = "ID|INVITE")]
    session: String,
    #[command(flatten)]
    network: NetworkArgs,
}

pub(crate) fn run(context: &Context, args: &SessionArgs) -> Result<(), CliError> {
    match &args.command {
        SessionCommand::List => list::run(context),
        SessionCommand::Show(args) => {
            let target = Target::of(context, &args.session, args.oracle.as_deref(), &args.network)?;
            show::once(context, &target)
        }
        SessionCommand::Watch(args) => {
            let target = Target::of(context, &args.session, args.oracle.as_deref(), &args.network)?;
            show::watch(context, &target)
        }
        SessionCommand::Code(args) => {
            let (kept, client) = own(context, &args.session, &args.network)?;
            let shown_code = code::fetch(context, &client, &kept, args.wait.wait())?;
            code::show(context, &kept, &shown_code)
        }
        SessionCommand::Redeal(args) => {
            let (kept, client) = own(context, &args.session, &args.network)?;
            redeal::run(context, &client, &kept, args.wait.wait(), args.output.as_deref())
        }
        SessionCommand::Cancel(args) => cancel(context, args),
        SessionCommand::Fetch(args) => fetch::run(context, args),
    }
}

fn cancel(context: &Context, args: &CancelArgs) -> Result<(), CliError> {
    let (kept, client) = own(context, &args.session, &args.network)?;
    let cancelled = client.cancel(kept.id(), &kept.kek);
    let over =
        cancelled.as_ref().err().and_then(|error| error.code()).is_some_and(|code| follow::ended(code).is_some());
    if cancelled.is_ok() || over {
        Kept::forget(&context.paths()?.sessions(), kept.id());
    }
    cancelled?;
    context.ui.say(format_args!("session {} is cancelled", kept.id()));
    Ok(())
}

/// A session of one's own, by its id or invite.
fn own(context: &Context, text: &str, network: &NetworkArgs) -> Result<(Kept, Client), CliError> {
    let id = match Named::parse(text)? {
        Named::Id(id) => id,
        Named::Invite(invite) => invite.fields().session.clone(),
    };
    let kept = Kept::load(&context.paths()?.sessions(), &id)?;
    let client = network.client(context, &kept.oracle)?;
    Ok((kept, client))
}

/// How people name a session.
enum Named {
    Id(String),
    Invite(Box<Invite>),
}

impl Named {
    fn parse(text: &str) -> Result<Self, CliError> {
        let text = text.trim();
        if is_session_id(text) {
            return Ok(Self::Id(text.to_owned()));
        }
        Ok(Self::Invite(Box::new(Invite::parse(text)?)))
    }
}

/// A session to look at, and the oracle that may be asked.
struct Target {
    client: Client,
    id: String,
    view: Option<String>,
}

impl Target {
    fn of(context: &Context, text: &str, oracle: Option<&str>, network: &NetworkArgs) -> Result<Self, CliError> {
        let (url, id, view) = match Named::parse(text)? {
            Named::Invite(invite) => {
                let vouched = vouch_by_group(context, &invite)?;
                (vouched.pin.url, invite.fields().session.clone(), Some(invite.view_token()))
            }
            Named::Id(id) => match (oracle, Kept::load(&context.paths()?.sessions(), &id)) {
                (Some(url), _) => (TrustStore::load(&context.paths()?)?.find(url)?.url.clone(), id, None),
                (None, Ok(kept)) => (kept.oracle, id, Some(kept.invite.view_token())),
                (None, Err(CliError::Session(SessionError::NotKept(_)))) => return Err(SessionError::OnlyId.into()),
                (None, Err(error)) => return Err(error),
            },
        };
        Ok(Self { client: network.client(context, &url)?, id, view })
    }
}

/// Verifies an invite, whose session may be over, by what is filed here of its group, or by the trust store.
fn vouch_by_group(context: &Context, invite: &Invite) -> Result<vouch::Vouched, CliError> {
    let filed = match invite.fields().group {
        Some(group) => Drawer::new(&context.paths()?).of_group(group)?,
        None => Vec::new(),
    };
    let pin: Option<&OraclePin> = filed.iter().find_map(|filed| filed.card.oracle.as_ref());
    vouch::vouch(context, invite, pin, redeal::verify_at(invite, context.now())?)
}
