//! Joining a session and saying no to it.

use super::Sessions;
use super::error::SessionError;
use super::named::{Admitted, KeyAnswer, who};
use super::record::{EventText, Record, TocRowName, group_digest, toc_place};
use crate::service::audit::Kind;
use crate::service::drills::record::toc_proof;
use crate::service::people::{Caller, Challenge};
use crate::store::{DenyOutcome, NewToc, TocOutcome};
use quorate_protocol::api::{AddToc, Denial};
use quorate_protocol::encoding::sha256;
use quorate_protocol::proof::{approve_message, deny_message, verify_player};
use quorate_protocol::sealing::is_armored;
use std::net::IpAddr;

/// How far an approval has come.
#[derive(Debug)]
pub enum Progress {
    /// A security key has to answer.
    Challenge(Box<Challenge>),
    /// The Toc is in.
    Taken,
}

impl Sessions {
    /// Takes an encrypted Toc. With a proof it holds the slot of its x; without one it counts provisionally, in a pool of
    /// its own, and never displaces a proved one. The same Toc again changes nothing. In a session with names it comes from the
    /// caller that stands for the player, with the answer of a security key where one is asked for.
    pub async fn approve(
        &self,
        id: &str,
        request: AddToc,
        answer: Option<KeyAnswer>,
        caller: Option<&Caller>,
        peer: IpAddr,
    ) -> Result<Progress, SessionError> {
        if !is_armored(&request.encrypted_toc) {
            return Err(SessionError::NotEncrypted);
        }
        let (_, record) = self.open_session(id).await?;
        if request.encrypted_toc.len() > toc_limit(&record) {
            return Err(SessionError::Request("this is larger than any Toc of this group"));
        }
        let x = check_approval(&record, &request)?;
        let digest = sha256(&[request.encrypted_toc.as_bytes()]);
        let (approval, player) = match self.admit(&record, caller, x, &digest, answer).await? {
            Admitted::Challenge(challenge) => return Ok(Progress::Challenge(challenge)),
            Admitted::Yes(named) => named.map(|named| *named).unzip(),
        };
        let mut rng = self.rng();
        let toc = NewToc {
            digest,
            x,
            proved: x.is_some(),
            at: self.now_ms(),
            sealed: self.inner.at_rest.seal(
                toc_place(&TocRowName::new(id, &digest, x).parts()),
                request.encrypted_toc.as_bytes(),
                &mut rng,
            ),
            approval,
        };
        let told = record.entry(Kind::SessionJoined, who(&record, x, player.as_ref())).from(peer);
        let told = match &player {
            Some(_) => told.with("holder", record.holder(x)).with("approved_with", self.approval_word()),
            None => told,
        };
        let audit = match x {
            Some(x) => Some(self.inner.audit.seal(told.with("x", x))),
            None => self.inner.audit.seal_bounded(told, &self.source(peer)),
        };
        let text = EventText::by(record.holder(x)).of(player.map(|player| player.name.to_string()));
        let mut event = text.seal(id, "joined", &self.inner.at_rest, &mut rng).recorded(audit);
        event.quorate = self.told_of_quorum(&record);
        let pool = 2 * i64::from(record.fields().size);
        match self.inner.store.put_toc(id, toc, self.now_ms(), pool, event).await? {
            TocOutcome::Stored | TocOutcome::Replaced | TocOutcome::Repeated => {
                self.note_proof(&record, x).await;
                Ok(Progress::Taken)
            }
            TocOutcome::Approved => Err(SessionError::AlreadyApproved),
            TocOutcome::NotHolder => Err(SessionError::NotHolder),
            TocOutcome::PoolFull => Err(SessionError::PoolFull),
            TocOutcome::Closed => Err(self.why_closed(id).await),
            TocOutcome::Unknown => Err(SessionError::Unknown),
        }
    }

    /// Notes for reports of drills that this player's Toc opened. The session does not depend on it.
    async fn note_proof(&self, record: &Record, x: Option<u8>) {
        let Some((x, group)) = x.zip(record.group.as_ref().map(group_digest)) else { return };
        let by = format!("session {}", record.id());
        let proof = toc_proof(&self.inner.at_rest, group, x, self.now_ms(), &by, &mut self.rng());
        if let Err(error) = self.inner.store.note_toc_proof(proof).await {
            tracing::warn!(%error, "cannot note when a Toc was last shown to open");
        }
    }

    /// Records a player's signed no, and tells everyone. The Tocs of others stay.
    pub async fn deny(
        &self,
        id: &str,
        request: Denial,
        caller: Option<&Caller>,
        peer: IpAddr,
    ) -> Result<(), SessionError> {
        if request.reason.len() > super::MAX_REASON {
            return Err(SessionError::Request("the reason is longer than 1,024 bytes"));
        }
        let (_, record) = self.open_session(id).await?;
        let group = record.group.as_ref().ok_or(SessionError::Request("Tocs dealt by farMFA cannot sign a denial"))?;
        let message = deny_message(&record.invite.digest(), group.name(), request.x, &request.reason);
        verify_player(&group.header, request.x, &message, &request.proof.0).map_err(|_| SessionError::BadProof)?;
        let player = self.acting(&record, caller, Some(request.x)).await?;
        let by = who(&record, Some(request.x), player.as_ref());
        let told = record.entry(Kind::SessionDenied, by).from(peer).with("x", request.x);
        let told = if player.is_some() { told.with("holder", record.holder(Some(request.x))) } else { told };
        let audit = self.inner.audit.seal(told.with("reason", request.reason.as_str()));
        let text = EventText {
            who: Some(record.holder(Some(request.x))),
            principal: player.map(|player| player.name.to_string()),
            reason: Some(request.reason),
        };
        let notices = self.told_of_denial(&record, &text);
        let event = text.seal(id, "denied", &self.inner.at_rest, &mut self.rng()).recorded(audit).told(notices);
        match self.inner.store.deny(id, request.x, self.now_ms(), event).await? {
            DenyOutcome::Denied | DenyOutcome::Already => Ok(()),
            DenyOutcome::Closed => Err(self.why_closed(id).await),
            DenyOutcome::Unknown => Err(SessionError::Unknown),
        }
    }
}

/// Bytes of the largest encrypted Toc of this group: a whole one carries the header, in base64 and then in armor.
fn toc_limit(record: &Record) -> usize {
    8 * 1024 + record.group.as_ref().map_or(0, |group| 2 * (group.header.bytes().len() + group.sealed.len()))
}

/// The x that a verified proof stands for; `None` without a proof.
fn check_approval(record: &Record, request: &AddToc) -> Result<Option<u8>, SessionError> {
    match (request.x, &request.proof, &record.group) {
        (None, None, _) => Ok(None),
        (Some(x), Some(proof), Some(group)) => {
            let message = approve_message(&record.invite.digest(), group.name(), x, &request.encrypted_toc);
            verify_player(&group.header, x, &message, &proof.0).map_err(|_| SessionError::BadProof)?;
            Ok(Some(x))
        }
        (Some(_), Some(_), None) => {
            Err(SessionError::Request("Tocs dealt by farMFA carry no proof: leave out x and proof"))
        }
        (_, _, _) => Err(SessionError::Request("send x and proof together, or neither")),
    }
}
