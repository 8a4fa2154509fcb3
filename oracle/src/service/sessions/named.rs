//! Sessions with names: where an oracle asks for a login, whoever acts must be the principal that stands for the player. What
//! the signed invite says decides, not the setting, so that a session keeps its rule for as long as it lasts.

use super::Sessions;
use super::error::SessionError;
use super::record::{ApprovalText, Record};
use crate::config::ApproveWith;
use crate::service::audit::Who;
use crate::service::people::{Approved, Caller, Challenge, PeopleError, Player};
use crate::service::webauthn::LoginAnswer;
use crate::store::{Digest, NewApproval, TocRow};
use quorate_protocol::header::GroupName;
use quorate_protocol::invite::Applicant;
use std::collections::HashSet;

/// What a security key answered, and the state that was given out with its challenge.
#[derive(Debug)]
pub struct KeyAnswer {
    /// As it was given out.
    pub state: String,
    /// The answer.
    pub credential: LoginAnswer,
}

/// Whether an approval may be written.
pub(super) enum Admitted {
    /// With this, and as this principal; `None` in a session without names.
    Yes(Option<Box<(NewApproval, Player)>>),
    /// A security key has to answer first.
    Challenge(Box<Challenge>),
}

/// Stands with an approval for which a security key has answered.
const WITH_KEY: &str = "webauthn";

impl Sessions {
    /// The player of `group` that `caller` must be to act as number `x`.
    pub(super) async fn player(
        &self,
        caller: Option<&Caller>,
        group: Option<GroupName>,
        x: Option<u8>,
    ) -> Result<Player, SessionError> {
        let caller = caller.ok_or(SessionError::LoginRequired)?;
        let group = group.ok_or(SessionError::GroupNotAdded)?;
        let player = match self.inner.people.player(caller, group).await {
            Err(PeopleError::GroupUnknown) => return Err(SessionError::GroupNotAdded),
            player => player?,
        };
        let x = x.ok_or(SessionError::Request("this session has names: send x and proof with the Toc"))?;
        player.filter(|player| player.acting.x == x).ok_or(SessionError::NotHolder)
    }

    /// As what principal somebody acts for player `x` in a session with names; `None` in one without.
    pub(super) async fn acting(
        &self,
        record: &Record,
        caller: Option<&Caller>,
        x: Option<u8>,
    ) -> Result<Option<Player>, SessionError> {
        match record.applicant_principal() {
            Some(_) => self.player(caller, record.fields().group, x).await.map(Some),
            None if self.inner.limits.require_login => Err(SessionError::Unnamed),
            None => Ok(None),
        }
    }

    /// Lets player `x` approve with the Toc of that digest, or asks for what is still missing.
    pub(super) async fn admit(
        &self,
        record: &Record,
        caller: Option<&Caller>,
        x: Option<u8>,
        toc: &Digest,
        answer: Option<KeyAnswer>,
    ) -> Result<Admitted, SessionError> {
        let Some(player) = self.acting(record, caller, x).await? else { return Ok(Admitted::Yes(None)) };
        if let Applicant::Named { x, principal, .. } = &record.fields().applicant
            && *principal == player.name.to_string()
            && *x != player.acting.x
        {
            return Err(SessionError::AlreadyApproved);
        }
        if self.inner.limits.approve_with == ApproveWith::Webauthn {
            let approved = Approved { session: record.id(), invite: &record.invite.digest(), toc };
            let Some(KeyAnswer { state, credential }) = answer else {
                let challenge = self.inner.people.ask_key(&player, approved).await?;
                return Ok(Admitted::Challenge(Box::new(challenge)));
            };
            self.inner.people.check_key(&player, approved, &state, credential).await?;
        }
        let approval = self.approval(record.id(), toc, &player);
        Ok(Admitted::Yes(Some(Box::new((approval, player)))))
    }

    /// What an approval here rests on, besides the Toc.
    pub(super) fn approval_word(&self) -> &'static str {
        match self.inner.limits.approve_with {
            ApproveWith::Login => "login",
            ApproveWith::Webauthn => WITH_KEY,
        }
    }

    /// The approval of a player that has shown all that it takes.
    pub(super) fn approval(&self, id: &str, toc: &Digest, player: &Player) -> NewApproval {
        let with = self.approval_word().to_owned();
        let text = ApprovalText { principal: player.name.to_string(), with };
        NewApproval {
            acting: player.acting,
            approver: self.inner.people.approver(player, id),
            sealed: text.seal(id, toc, player.acting.x, &self.inner.at_rest, &mut self.rng()),
        }
    }

    /// Refuses whoever asks for the code of a session with names and is not its applicant.
    pub(super) async fn check_applicant(&self, record: &Record, caller: Option<&Caller>) -> Result<(), SessionError> {
        let Applicant::Named { x, principal, .. } = &record.fields().applicant else {
            return if self.inner.limits.require_login { Err(SessionError::Unnamed) } else { Ok(()) };
        };
        let caller = caller.ok_or(SessionError::LoginRequired)?;
        if caller.name.to_string() != *principal {
            return Err(SessionError::NotApplicant);
        }
        self.player(Some(caller), record.fields().group, Some(*x)).await.map(drop)
    }

    /// Of the Tocs of a session those that count, with the principals that approved. In one with names, an approval counts for
    /// as long as who gave it stands for the player, and once for each principal.
    pub(super) async fn counted(
        &self,
        record: &Record,
        tocs: Vec<TocRow>,
    ) -> Result<(Vec<TocRow>, Vec<String>), SessionError> {
        let Some(group) = record.fields().group.filter(|_| record.applicant_principal().is_some()) else {
            return Ok((tocs, Vec::new()));
        };
        let players = self.inner.people.players(group).await?;
        let (mut counted, mut approvers, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for toc in tocs {
            let (Some(x), Some(sealed)) = (toc.x.filter(|_| toc.proved), &toc.approval) else { continue };
            let text = ApprovalText::open(record.id(), &toc.digest, x, sealed, &self.inner.at_rest)?;
            let stands = players.get(&x).is_some_and(|player| player.to_string() == text.principal);
            // One that another node took without a key, or that is older than this rule, is none here.
            let stands = stands && (self.inner.limits.approve_with == ApproveWith::Login || text.with == WITH_KEY);
            if stands && seen.insert(text.principal.clone()) {
                counted.push(toc);
                approvers.push(text.principal);
            }
        }
        Ok((counted, approvers))
    }
}

/// A player for the audit log: a principal where one was asked for.
pub(super) fn who(record: &Record, x: Option<u8>, player: Option<&Player>) -> Who {
    player.map_or_else(|| record.who(x), |player| Who::Principal(player.name.to_string()))
}
