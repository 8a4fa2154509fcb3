//! `quorate session fetch`: the new player's part of a redeal. The new Toc is opened, compared with the plan that was
//! approved, filed, and only then receipted: a threshold of receipts ends the old group.

use super::vouch_by_group;
use crate::cli::drawer::Drawer;
use crate::cli::error::SessionError;
use crate::cli::redeal::OwnKeys;
use crate::cli::{CliError, Context, NetworkArgs, files, redeal};
use crate::client::Client;
use crate::token::identities::{Identities, IdentityError};
use crate::ui::{shown, shown_path};
use clap::Args;
use quorate_protocol::api::{Receipt, Redeal, RedealToc};
use quorate_protocol::invite::Invite;
use quorate_protocol::proof::{receipt_message, sign};
use quorate_protocol::toc::{Group, Toc, WholeToc};
use serde::Serialize;
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(crate) struct FetchArgs {
    /// The invite of the redeal, the whole link, in quotes
    #[arg(value_name = "INVITE")]
    invite: String,
    /// Your name in the plan, when your keys open more than one Toc
    #[arg(long, value_name = "NAME")]
    holder: Option<String>,
    /// Write the encrypted Toc here too
    #[arg(short = 'o', long = "output", value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    network: NetworkArgs,
}

#[derive(Serialize)]
struct Fetched<'a> {
    group: String,
    group_id: &'a str,
    holder: &'a str,
    file: &'a Path,
}

pub(super) fn run(context: &Context, args: &FetchArgs) -> Result<(), CliError> {
    let invite = Invite::parse(&args.invite)?;
    let vouched = vouch_by_group(context, &invite)?;
    let client = Client::new(&vouched.pin.url, &args.network.options())?;
    let redeal = client.redealt(&invite.fields().session, Some(&invite.view_token()))?;
    let group = redeal::group(&invite, &redeal, context.now())?;
    let (encrypted, toc) = find(context, &invite, &redeal, &group, args.holder.as_deref())?;
    if let Some(path) = &args.output {
        files::write_new(path, encrypted.as_bytes())?;
    }
    let filed = file(context, &toc, &encrypted)?;
    let x = toc.share().x();
    let message = receipt_message(&invite.digest(), group.name(), x, &group.header);
    let receipt = Receipt { x, proof: sign(&toc.signing_key(), &message).into() };
    client.receive(&invite.fields().session, &receipt)?;

    let fields = group.header.fields();
    context.ui.say(format_args!(
        "{} has the Toc of {}, and the oracle has the receipt",
        shown(toc.holder()),
        shown(&fields.group_id)
    ));
    let value =
        Fetched { group: group.name().to_string(), group_id: &fields.group_id, holder: toc.holder(), file: &filed };
    Ok(context.ui.print(&value, || shown_path(&filed))?)
}

fn file(context: &Context, toc: &WholeToc, encrypted: &str) -> Result<PathBuf, CliError> {
    let from = PathBuf::from("the redeal");
    let filed = Drawer::new(&context.paths()?).file(&Toc::Whole(toc.clone()), encrypted.as_bytes(), &from)?;
    Ok(filed.path)
}

/// The Toc that opens with our keys: among those whose recipients are ours, if any are known to be. A key that the Toc
/// does not name is never asked for anything.
fn find(
    context: &Context,
    invite: &Invite,
    redeal: &Redeal,
    group: &Group,
    holder: Option<&str>,
) -> Result<(String, WholeToc), CliError> {
    let identities = context.load_identities()?;
    let mine = holders(invite, &identities)?;
    let wanted = |entry: &&RedealToc| match holder {
        Some(holder) => holder == entry.holder,
        None => mine.is_empty() || mine.contains(&entry.holder),
    };
    for entry in redeal.tocs.iter().filter(wanted) {
        let Some(encrypted) = &entry.encrypted_toc else { continue };
        match open(&identities, entry, encrypted, group) {
            Ok(toc) => return Ok((encrypted.clone(), toc)),
            Err(CliError::Open { source: IdentityError::NoneMatches(_), .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Err(SessionError::NothingToFetch.into())
}

/// The players of the plan that have one of our recipients.
fn holders(invite: &Invite, identities: &Identities) -> Result<Vec<String>, CliError> {
    let own = OwnKeys::of(identities);
    let plan = invite.plan()?;
    let players = plan.iter().flat_map(|plan| &plan.fields().players);
    let ours = players.filter(|player| own.include_one_of(player));
    Ok(ours.map(|player| player.holder.clone()).collect())
}

fn open(identities: &Identities, entry: &RedealToc, encrypted: &str, group: &Group) -> Result<WholeToc, CliError> {
    let path = PathBuf::from(format!("the new Toc of {}", shown(&entry.holder)));
    let json =
        identities.decrypt(encrypted.as_bytes()).map_err(|source| CliError::Open { path: path.clone(), source })?;
    match Toc::parse(&json).map_err(|source| CliError::Toc { path, source })? {
        Toc::Whole(toc) if is_of(&toc, entry, group) => Ok(toc),
        _ => Err(SessionError::RedealMismatch("Toc").into()),
    }
}

/// Whether `toc` is the one of `entry` in `group`: the same header and sealed secret, and the right player's share.
fn is_of(toc: &WholeToc, entry: &RedealToc, group: &Group) -> bool {
    toc.header().bytes() == group.header.bytes()
        && toc.sealed() == group.sealed
        && toc.share().x() == entry.x
        && toc.holder() == entry.holder
}
