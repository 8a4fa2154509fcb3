//! `quorate join`: the constituent's answer to an invite. What is asked is verified and shown before anybody touches a key,
//! and verified again under the Toc's own word before anything is sent.

mod show;

use super::ask::start::{approval, seal_to_tek};
use super::drawer::{Card, Drawer};
use super::error::SessionError;
use super::opening::{self, OpenedToc};
use super::redeal::{self, OwnKeys};
use super::security_key::{self, WhichKey};
use super::session::{follow, vouch};
use super::{CliError, Context, NetworkArgs};
use crate::client::Client;
use clap::Args;
use quorate_protocol::api::{AddToc, Denial, Session};
use quorate_protocol::invite::{Invite, Purpose};
use quorate_protocol::proof::{deny_message, sign};
use quorate_protocol::toc::{Toc, WholeToc, approve_farmfa};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct JoinArgs {
    /// The invite, the whole link, in quotes
    #[arg(value_name = "INVITE")]
    invite: String,
    /// Your Toc: a file, or a group whose Toc is filed; found by the invite when left out
    #[arg(value_name = "TOC")]
    toc: Option<String>,
    /// Say no, for everyone to see; your Toc is not sent
    #[arg(long)]
    deny: bool,
    /// Why not
    #[arg(long, value_name = "TEXT", requires = "deny", default_value = "")]
    reason: String,
    /// Do not ask for a confirmation
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    key: WhichKey,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Serialize)]
struct Joined<'a> {
    session: &'a str,
    answer: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    tocs_provided: Option<u32>,
    tocs_threshold: u32,
}

pub(crate) fn run(context: &Context, args: &JoinArgs) -> Result<(), CliError> {
    let invite = Invite::parse(&args.invite)?;
    let (path, card) = own_toc(context, &invite, args.toc.as_deref())?;
    // First by what is known without a key: nobody is asked to touch one for an invite that fails.
    if let Some(card) = &card {
        vouch::same_group(invite.fields(), card)?;
        vouch::plan_replaces(&invite, card)?;
    }
    let pin = card.as_ref().and_then(|card| card.oracle.as_ref());
    let vouched = vouch::vouch(context, &invite, pin, context.now())?;
    // Then whether an answer can arrive, and be made: a PIN and a touch for nothing are worse than an error.
    still_open(&args.network.client(context, &vouched.pin.url)?, &invite)?;
    let identities = context.load_identities_with(&args.key)?;
    opening::check(&identities, &path)?;
    let own_keys = OwnKeys::of(&identities);
    let noted = card.as_ref().map(|card| lost_place(args, &invite, card, &own_keys)).transpose()?.flatten();
    let by_toc = card.is_some().then_some(vouched.by_toc);
    confirm(context, args, &invite, &show::request(&invite, card.as_ref(), &own_keys, by_toc)?)?;

    let own = opening::open(context, &identities, &path)?;
    // Then by the Toc itself, which a card only notes down.
    let vouched = vouch::check_toc(context, &invite, &own.toc, context.now())?;
    let true_card = Card::of(&own.toc).ok_or_else(|| short(&own.path))?;
    match lost_place(args, &invite, &true_card, &own_keys)? {
        Some(holder) if noted.as_ref() != Some(&holder) => {
            confirm(context, args, &invite, &show::lost_place(&holder))?;
        }
        _ => {}
    }
    let client = args.network.client(context, &vouched.pin.url)?;
    let id = &invite.fields().session;
    if args.deny {
        client.deny(id, &denial(&own.toc, &invite, &args.reason)?)?;
    } else {
        security_key::add_toc(context, &args.key, &client, id, &answer(&own, &invite)?)?;
    }
    drop(own);
    report(context, args, &invite, &client)
}

/// Fails when the session takes no answers any more.
fn still_open(client: &Client, invite: &Invite) -> Result<(), CliError> {
    let over = |code: &str| follow::ended(code).map(|how| CliError::from(SessionError::Over(how)));
    let looked = client.session(&invite.fields().session, Some(&invite.view_token()));
    match looked {
        Ok(session) => over(&format!("session_{}", session.state)).map_or(Ok(()), Err),
        Err(error) => Err(error.code().and_then(over).unwrap_or_else(|| error.into())),
    }
}

/// The file of the Toc, and what is known of it without opening it.
fn own_toc(context: &Context, invite: &Invite, wanted: Option<&str>) -> Result<(PathBuf, Option<Card>), CliError> {
    let drawer = Drawer::new(&context.paths()?);
    if let Some(wanted) = wanted {
        return drawer.path_of(wanted);
    }
    let fields = invite.fields();
    let mut filed = match fields.group {
        Some(group) => drawer.of_group(group)?,
        None => drawer
            .list()?
            .into_iter()
            .filter(|toc| toc.card.group.is_none() && toc.card.group_id == fields.group_id)
            .collect(),
    };
    match (filed.pop(), filed.len()) {
        (Some(only), 0) => Ok((only.path, Some(only.card))),
        (None, _) => Err(SessionError::NotFiled { group_id: fields.group_id.clone() }.into()),
        (Some(_), _) => Err(SessionError::Ambiguous(fields.group_id.clone()).into()),
    }
}

/// The holder of `card` whose place the plan gives to unknown keys, for a person to decide; without one it is refused.
fn lost_place(args: &JoinArgs, invite: &Invite, card: &Card, own_keys: &OwnKeys) -> Result<Option<String>, CliError> {
    let plan = invite.plan()?;
    let holder = plan.and_then(|plan| redeal::lost_place(&plan, card, own_keys).map(str::to_owned));
    match holder {
        Some(_) if args.deny => Ok(None),
        Some(holder) if args.yes => Err(SessionError::LostPlace(holder).into()),
        holder => Ok(holder),
    }
}

fn confirm(context: &Context, args: &JoinArgs, invite: &Invite, request: &str) -> Result<(), CliError> {
    if args.yes {
        context.ui.say(request);
        return Ok(());
    }
    let question = match (args.deny, invite.fields().purpose) {
        (true, _) => "Say no to this?",
        (false, Purpose::Code) => "Send your Toc for this?",
        (false, Purpose::Redeal) => "Send your Toc for this redeal?",
    };
    // On the terminal itself, with the question: neither a pipe nor --quiet can part the two.
    let agreed = context.ui.confirm(&format!("{request}\n\n{question}"))?;
    if agreed { Ok(()) } else { Err(SessionError::Declined.into()) }
}

fn answer(own: &OpenedToc, invite: &Invite) -> Result<AddToc, CliError> {
    match &own.toc {
        Toc::Whole(whole) => approval(whole, invite),
        Toc::Farmfa(_) => {
            let failed = |source| CliError::Toc { path: own.path.clone(), source };
            let encrypted_toc = match invite.fields().purpose {
                Purpose::Code => seal_to_tek(&own.json, invite)?,
                // No key to sign with: the approval travels inside what is encrypted.
                Purpose::Redeal => seal_to_tek(&approve_farmfa(&own.json, &invite.digest()).map_err(failed)?, invite)?,
            };
            Ok(AddToc { encrypted_toc, x: None, proof: None })
        }
        Toc::Short(_) => Err(short(&own.path)),
    }
}

fn denial(toc: &Toc, invite: &Invite, reason: &str) -> Result<Denial, CliError> {
    match toc {
        Toc::Whole(whole) => Ok(denial_of(whole, invite, reason)),
        Toc::Farmfa(_) | Toc::Short(_) => Err(SessionError::DenyFarmfa.into()),
    }
}

fn denial_of(toc: &WholeToc, invite: &Invite, reason: &str) -> Denial {
    let x = toc.share().x();
    let message = deny_message(&invite.digest(), toc.group(), x, reason);
    Denial { x, proof: sign(&toc.signing_key(), &message).into(), reason: reason.to_owned() }
}

fn short(path: &Path) -> CliError {
    super::drawer::DrawerError::Short(path.to_owned()).into()
}

fn report(context: &Context, args: &JoinArgs, invite: &Invite, client: &Client) -> Result<(), CliError> {
    let fields = invite.fields();
    // The answer has arrived; that the counts cannot be read, or that the session has ended by now, is no failure of it.
    let session: Option<Session> = client.session(&fields.session, Some(&invite.view_token())).ok();
    let (answer, said) =
        if args.deny { ("denied", "your no has been sent") } else { ("joined", "your Toc has been sent") };
    match &session {
        Some(session) => context.ui.say(format_args!("{said}: {}", follow::counts(session))),
        None => context.ui.say(said),
    }
    if context.ui.json() {
        context.ui.json_data(&Joined {
            session: &fields.session,
            answer,
            tocs_provided: session.map(|session| session.tocs_provided),
            tocs_threshold: u32::from(fields.threshold),
        })?;
    }
    Ok(())
}
