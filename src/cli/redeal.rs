//! A redeal from the applicant's side: the plan as people write it, what it changes, and running it once it is approved. It
//! must not know how the new Tocs reach their players.

use super::drawer::Card;
use super::error::SessionError;
use super::session::follow::{Wait, until_quorate};
use super::session::kept::Kept;
use super::{CliError, Context, files};
use crate::client::Client;
use crate::token::identities::Identities;
use crate::ui::shown;
use quorate_protocol::api::Redeal;
use quorate_protocol::invite::{Invite, Purpose};
use quorate_protocol::plan::{Plan, PlanFields, PlannedPlayer, Replaced};
use quorate_protocol::toc::Group;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt::Write as _;
use std::path::Path;

/// Bytes of a plan file that are read at most.
const MAX_FILE: u64 = 1024 * 1024;
/// How long after its end an invite is still believed, in seconds: as long as an oracle keeps a redeal that nobody fetches.
const LOOK_BACK: i64 = 30 * 24 * 3600;

/// A plan as people write it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PlanFile {
    threshold: Option<u8>,
    note: Option<String>,
    player: Vec<Player>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Player {
    name: String,
    recipients: Vec<String>,
}

#[derive(Serialize)]
struct Redealt<'a> {
    session: &'a str,
    group: String,
    group_id: &'a str,
    threshold: u8,
    players: Vec<&'a str>,
    receipts_needed: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<&'a Path>,
}

/// Reads a plan file.
pub(crate) fn read(path: &Path) -> Result<PlanFile, CliError> {
    let text = files::read_text(path, MAX_FILE)?;
    let refused =
        |error: toml::de::Error| SessionError::PlanFile { path: path.to_owned(), cause: error.message().to_owned() };
    Ok(toml::from_str(&text).map_err(refused)?)
}

/// The plan of `file` for the group of `card`: threshold and note stay where the file says nothing.
pub(crate) fn plan(file: PlanFile, card: &Card) -> Result<Plan, CliError> {
    let players =
        file.player.into_iter().map(|player| PlannedPlayer { holder: player.name, recipients: player.recipients });
    Ok(Plan::new(PlanFields {
        version: 1,
        replaces: card.group.map_or_else(|| Replaced::Farmfa(card.group_id.clone()), Replaced::Group),
        threshold: file.threshold.unwrap_or(card.threshold),
        note: file.note.unwrap_or_else(|| card.note.clone()),
        players: players.collect(),
    })?)
}

/// The recipients that are known to be one's own. Those of plugins and of files that are still locked are not among them.
#[derive(Debug, Default)]
pub(crate) struct OwnKeys(HashSet<String>);

impl OwnKeys {
    /// What `identities` can say without asking anybody for anything.
    pub(crate) fn of(identities: &Identities) -> Self {
        identities.recipients().into_iter().map(|own| own.recipient).collect()
    }

    /// Whether one of the recipients of `player` is one's own.
    pub(crate) fn include_one_of(&self, player: &PlannedPlayer) -> bool {
        player.recipients.iter().any(|recipient| self.include(recipient))
    }

    fn include(&self, recipient: &str) -> bool {
        self.0.contains(&recipient.to_lowercase())
    }
}

impl FromIterator<String> for OwnKeys {
    fn from_iter<I: IntoIterator<Item = String>>(recipients: I) -> Self {
        Self(recipients.into_iter().collect())
    }
}

/// The holder of `card`, when `plan` keeps that name and gives it no key of `own`: somebody may be taking the place.
pub(crate) fn lost_place<'a>(plan: &Plan, card: &'a Card, own: &OwnKeys) -> Option<&'a str> {
    let holder = card.holder.as_deref()?;
    let player = plan.fields().players.iter().find(|player| player.holder == holder)?;
    (!own.include_one_of(player)).then_some(holder)
}

/// The plan, and what it changes against the group of `card` when that is known. With `own`, says which keys are one's
/// own, and which key of one's own name is not. Recipients are shown whole: the start of a key proves nothing.
pub(crate) fn in_words(plan: &Plan, card: Option<&Card>, own: Option<&OwnKeys>) -> String {
    let fields = plan.fields();
    let mut text = format!("redeal     {} of {} players", fields.threshold, fields.players.len());
    if let Some(card) = card {
        let _ = write!(text, " (now {} of {})", card.threshold, card.size);
        if fields.players.len() < usize::from(card.size) {
            text.push_str(": FEWER PLAYERS");
        }
    }
    if card.is_none_or(|card| fields.note != card.note) {
        let _ = write!(text, "\n  note     {}", shown(&fields.note));
    }
    let present = card.map_or(&[][..], |card| card.players.as_slice());
    let myself = card.and_then(|card| card.holder.as_deref());
    for player in &fields.players {
        let new = if !present.is_empty() && !present.contains(&player.holder) { "  NEW" } else { "" };
        let _ = write!(text, "\n  player   {}{new}", shown(&player.holder));
        for recipient in &player.recipients {
            let whose = match own {
                Some(own) if own.include(recipient) => "  your key",
                Some(_) if myself == Some(player.holder.as_str()) => "  NOT YOUR KEY",
                _ => "",
            };
            let _ = write!(text, "\n    key    {}{whose}", shown(recipient));
        }
    }
    let stays = |name: &String| fields.players.iter().any(|player| player.holder == *name);
    for name in present.iter().filter(|name| !stays(name)) {
        let _ = write!(text, "\n  removed  {}", shown(name));
    }
    text
}

/// Runs the approved plan, waiting for the quorum as `wait` says, and says what comes next.
pub(crate) fn run(
    context: &Context,
    client: &Client,
    kept: &Kept,
    wait: Wait,
    output: Option<&Path>,
) -> Result<(), CliError> {
    if kept.invite.fields().purpose != Purpose::Redeal {
        return Err(SessionError::Purpose("is for a code, not for a redeal").into());
    }
    let view = kept.invite.view_token();
    let attempt = || match client.redeal(kept.id(), &kept.kek) {
        // The plan runs once; an answer that was lost on the way is read again.
        Err(error) if error.code() == Some("session_redealt") => client.redealt(kept.id(), Some(&view)),
        result => result,
    };
    let redeal = until_quorate(context, client, &kept.invite, wait, attempt)?;
    let group = group(&kept.invite, &redeal, context.now())?;
    if let Some(path) = output {
        files::write_new(path, group.to_json().as_bytes())?;
    }
    report(context, kept, &group, &redeal, output)
}

fn report(
    context: &Context,
    kept: &Kept,
    group: &Group,
    redeal: &Redeal,
    output: Option<&Path>,
) -> Result<(), CliError> {
    let fields = group.header.fields();
    let name = group.name().to_string();
    let value = Redealt {
        session: kept.id(),
        group: name.clone(),
        group_id: &fields.group_id,
        threshold: fields.threshold,
        players: fields.players.iter().map(|player| player.holder.as_str()).collect(),
        receipts_needed: redeal.receipts_needed,
        file: output,
    };
    context.ui.print(&value, || name.as_str())?;
    let players: Vec<String> = fields.players.iter().map(|player| shown(&player.holder)).collect();
    context.ui.say(format_args!(
        "the secret is dealt anew as {} to {}\n\
         each of them fetches their Toc with the same invite: quorate session fetch INVITE\n\
         after {} receipts the oracle refuses the old group",
        shown(&fields.group_id),
        players.join(", "),
        redeal.receipts_needed,
    ));
    context.ui.warn(
        "the old Tocs can still rebuild the secret without the oracle: have them destroyed, and if somebody left, change \
         the secret at the account and deal the new one",
    );
    Ok(())
}

/// Reads the new group and checks that it is what the plan in `invite` says.
pub(crate) fn group(invite: &Invite, redeal: &Redeal, now: i64) -> Result<Group, CliError> {
    let group =
        Group::parse(redeal.group.0.get().as_bytes()).map_err(|_| SessionError::RedealMismatch("group file"))?;
    let plan = invite.plan()?.ok_or(SessionError::Purpose("is for a code, not for a redeal"))?;
    let (fields, planned) = (group.header.fields(), plan.fields());
    let replaces = match planned.replaces {
        Replaced::Group(name) => Some(name),
        Replaced::Farmfa(_) => None,
    };
    let holders = fields.players.iter().map(|player| &player.holder);
    let checks = [
        ("threshold", fields.threshold == planned.threshold),
        ("note", fields.note == planned.note),
        ("players", holders.eq(planned.players.iter().map(|player| &player.holder))),
        ("replaced group", fields.replaces == replaces),
        ("oracle", names_this_oracle(invite, &group, now)),
    ];
    match checks.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(SessionError::RedealMismatch(what).into()),
        None => Ok(group),
    }
}

/// Whether the new group pins no oracle, or the one that signed the invite.
fn names_this_oracle(invite: &Invite, group: &Group, now: i64) -> bool {
    group.header.fields().oracle.as_ref().is_none_or(|pin| {
        let verified = |key, at| invite.verify(&key, at).is_ok();
        let signed = verify_at(invite, now).is_ok_and(|at| pin.key().is_ok_and(|key| verified(key, at)));
        pin.url == invite.fields().oracle && signed
    })
}

/// The time at which an invite is verified whose session may be over: while it lasted, when it has ended since, but not
/// longer ago than [`LOOK_BACK`]. A signer chooses the time in an invite, so a key that has been taken out of use must not
/// sign for ever.
pub(crate) fn verify_at(invite: &Invite, now: i64) -> Result<i64, SessionError> {
    believed_at(invite.fields().expires, now).ok_or(SessionError::LongOver)
}

fn believed_at(expires: i64, now: i64) -> Option<i64> {
    let last = expires.saturating_sub(1);
    (now.saturating_sub(last) <= LOOK_BACK).then_some(now.min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invite_is_believed_for_thirty_days_after_its_end() {
        let end = 1_700_003_600;
        assert_eq!(believed_at(end, end - 10), Some(end - 10));
        assert_eq!(believed_at(end, end), Some(end - 1));
        assert_eq!(believed_at(end, end - 1 + LOOK_BACK), Some(end - 1));
        assert_eq!(believed_at(end, end + LOOK_BACK), None);
        assert_eq!((believed_at(i64::MIN, end), believed_at(0, i64::MAX)), (None, None));
    }
}
