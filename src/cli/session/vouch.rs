//! Whether an invite may be believed: signed by the oracle that one's own Toc names, or that one has trusted before, and
//! for the group of that Toc. An invite never establishes trust by itself. It must not know commands.

use crate::cli::drawer::Card;
use crate::cli::error::SessionError;
use crate::cli::trust::TrustStore;
use crate::cli::{CliError, Context};
use quorate_protocol::header::OraclePin;
use quorate_protocol::invite::{Applicant, Invite, InvitePayload};
use quorate_protocol::plan::Replaced;
use quorate_protocol::toc::Toc;

/// The oracle that may be spoken to, and why.
#[derive(Debug, Clone)]
pub(crate) struct Vouched {
    /// Address and root key, from the Toc or from the trust store; never from the invite.
    pub(crate) pin: OraclePin,
    /// Whether the Toc itself names the oracle.
    pub(crate) by_toc: bool,
}

/// Verifies `invite` at `at` (Unix seconds) under the oracle that `pin` of a Toc names, or under the trust store when no
/// Toc names one.
pub(crate) fn vouch(context: &Context, invite: &Invite, pin: Option<&OraclePin>, at: i64) -> Result<Vouched, CliError> {
    let vouched = oracle_of(context, &invite.fields().oracle, pin)?;
    invite.verify(&vouched.pin.key()?, at)?;
    Ok(vouched)
}

/// The oracle that a link names as `named`, if it is the one of `pin`, or without one an oracle of the trust store. What the
/// link says is to be verified with its key.
pub(crate) fn oracle_of(context: &Context, named: &str, pin: Option<&OraclePin>) -> Result<Vouched, CliError> {
    match pin {
        Some(pin) if pin.url != named => {
            Err(SessionError::OtherOracle { link: named.to_owned(), pinned: pin.url.clone() }.into())
        }
        Some(pin) => Ok(Vouched { pin: pin.clone(), by_toc: true }),
        None => {
            let store = TrustStore::load(&context.paths()?)?;
            let trusted = store.find(named).map_err(|_| SessionError::Untrusted { url: named.to_owned() })?;
            Ok(Vouched { pin: trusted.pin(), by_toc: false })
        }
    }
}

/// Compares what an invite says of the group with what is known of one's own Toc.
pub(crate) fn same_group(fields: &InvitePayload, card: &Card) -> Result<(), SessionError> {
    if fields.group != card.group || (card.group.is_none() && fields.group_id != card.group_id) {
        return Err(SessionError::OtherGroup { invite: group_text(fields), toc: card_text(card) });
    }
    let farmfa = card.group.is_none();
    let checks = [
        ("group id", fields.group_id == card.group_id),
        ("number of players", fields.size == card.size),
        ("threshold", fields.threshold == card.threshold),
        // farMFA's notes are nobody's word but the applicant's.
        ("note", farmfa || fields.note == card.note),
        ("applicant", applicant_plays(&fields.applicant, card)),
    ];
    match checks.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(SessionError::Wrong(what)),
        None => Ok(()),
    }
}

/// Compares the plan of a redeal, if there is one, with the group that it must replace.
pub(crate) fn plan_replaces(invite: &Invite, card: &Card) -> Result<(), CliError> {
    let Some(plan) = invite.plan()? else { return Ok(()) };
    let same = match (&plan.fields().replaces, card.group) {
        (Replaced::Group(name), Some(group)) => *name == group,
        (Replaced::Farmfa(id), None) => *id == card.group_id,
        _ => false,
    };
    if same { Ok(()) } else { Err(SessionError::Wrong("plan").into()) }
}

/// Everything that can be checked once the Toc is open.
pub(crate) fn check_toc(context: &Context, invite: &Invite, toc: &Toc, now: i64) -> Result<Vouched, CliError> {
    let card = Card::of(toc).ok_or(SessionError::Wrong("Toc"))?;
    same_group(invite.fields(), &card)?;
    plan_replaces(invite, &card)?;
    vouch(context, invite, card.oracle.as_ref(), now)
}

fn applicant_plays(applicant: &Applicant, card: &Card) -> bool {
    match applicant {
        Applicant::Named { holder, x, .. } | Applicant::Proved { holder, x } => {
            usize::from(*x).checked_sub(1).and_then(|at| card.players.get(at)).is_some_and(|player| player == holder)
        }
        // Who has logged in is for the oracle to know; only a group of ours can be asked for so.
        Applicant::Login { .. } => card.group.is_some(),
        Applicant::Unverified => true,
    }
}

fn group_text(fields: &InvitePayload) -> String {
    fields.group.map_or_else(|| format!("{}, dealt by farMFA", fields.group_id), |group| group.to_string())
}

fn card_text(card: &Card) -> String {
    card.group.map_or_else(|| format!("{}, dealt by farMFA", card.group_id), |group| group.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use quorate_protocol::header::GroupName;
    use quorate_protocol::invite::Purpose;

    fn card() -> Card {
        Card {
            version: 1,
            group: Some(GroupName([1; 32])),
            group_id: "7GCUCI2Y".into(),
            size: 3,
            threshold: 2,
            note: "AWS root".into(),
            toc_id: "dG9j".into(),
            holder: Some("bob".into()),
            players: vec!["ann".into(), "bob".into(), "carol".into()],
            oracle: None,
            dealt_at: None,
            replaces: None,
        }
    }

    fn fields() -> InvitePayload {
        InvitePayload {
            version: 1,
            session: "A".repeat(32),
            oracle: "https://oracle.example".into(),
            tek: "age1x".into(),
            group: Some(GroupName([1; 32])),
            group_id: "7GCUCI2Y".into(),
            size: 3,
            threshold: 2,
            note: "AWS root".into(),
            purpose: Purpose::Code,
            plan_digest: None,
            plan: None,
            applicant: Applicant::Proved { holder: "ann".into(), x: 1 },
            reason: "r".into(),
            ttl: 60,
            max_codes: None,
            created: 1,
            expires: 2,
            certificates: Vec::new(),
        }
    }

    #[test]
    fn an_invite_of_the_same_group_passes() {
        assert!(same_group(&fields(), &card()).is_ok());
    }

    #[test]
    fn every_difference_is_refused() {
        let group = InvitePayload { group: Some(GroupName([2; 32])), ..fields() };
        assert!(matches!(same_group(&group, &card()), Err(SessionError::OtherGroup { .. })));
        let farmfa = InvitePayload { group: None, ..fields() };
        assert!(
            matches!(same_group(&farmfa, &card()), Err(SessionError::OtherGroup { .. })),
            "the same id is not the same group"
        );
        let changed = [
            ("group id", InvitePayload { group_id: "OTHER".into(), ..fields() }),
            ("number of players", InvitePayload { size: 4, ..fields() }),
            ("threshold", InvitePayload { threshold: 3, ..fields() }),
            ("note", InvitePayload { note: "petty cash".into(), ..fields() }),
            ("applicant", InvitePayload { applicant: Applicant::Proved { holder: "bob".into(), x: 1 }, ..fields() }),
            ("applicant", InvitePayload { applicant: Applicant::Proved { holder: "ann".into(), x: 0 }, ..fields() }),
            ("applicant", InvitePayload { applicant: Applicant::Proved { holder: "ann".into(), x: 9 }, ..fields() }),
        ];
        for (what, fields) in changed {
            assert!(matches!(same_group(&fields, &card()), Err(SessionError::Wrong(found)) if found == what), "{what}");
        }
    }
}
