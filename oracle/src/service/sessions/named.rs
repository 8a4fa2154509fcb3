//! Sessions with names: where an oracle asks for a login, whoever acts must be the principal that stands for the player. What
//! the signed invite says decides, not the setting, so that a session keeps its rule for as long as it lasts.

use super::Sessions;
use super::error::SessionError;
use super::record::{ApprovalText, Record};
use crate::config::ApproveWith;
use crate::service::audit::{Entry, Who};
use crate::service::people::{Approved, Asker, Caller, Challenge, PeopleError, Player};
use crate::service::webauthn::LoginAnswer;
use crate::store::{Approver, Asking, Basis, Digest, Login, NewApproval, TocRow};
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

/// The principal that starts a session.
pub(super) enum By {
    /// With its login alone.
    Login(Asker),
    /// For the player whose Toc proves it as well.
    Player(Player),
}

impl By {
    pub fn id(&self) -> Digest {
        match self {
            Self::Login(asker) => asker.applying.login.principal,
            Self::Player(player) => player.acting.login.principal,
        }
    }

    /// The same for the store.
    pub fn asking(self) -> Asking {
        match self {
            Self::Login(asker) => Asking::ByLogin(asker.applying),
            Self::Player(player) => Asking::Player(player.acting),
        }
    }
}

/// Who has approved with the Tocs that count.
#[derive(Debug, Default)]
pub(super) struct Approvals {
    /// Full names.
    pub names: Vec<String>,
    /// The same for the store to look at again.
    pub by: Vec<Approver>,
}

impl Approvals {
    /// Tells the audit log who has approved, where anybody did with a name.
    pub fn tell(&self, told: Entry) -> Entry {
        if self.names.is_empty() { told } else { told.with("approved_by", self.names.clone()) }
    }

    /// What a code or a redeal rests on that this principal asks for.
    pub fn basis(self, by: Option<Asking>) -> Option<Basis> {
        by.map(|by| Basis { by, approved: self.by })
    }
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
        self.check_rule(record)?;
        if !record.has_names() {
            return Ok(None);
        }
        self.player(caller, record.fields().group, x).await.map(Some)
    }

    /// Refuses a session without names where this oracle asks for a login.
    fn check_rule(&self, record: &Record) -> Result<(), SessionError> {
        let served = record.has_names() || !self.inner.limits.require_login;
        if served { Ok(()) } else { Err(SessionError::Unnamed) }
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
        if let Applicant::Named { x, .. } = &record.fields().applicant
            && record.asker == Some(player.acting.login.principal)
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
        let Login { principal, version, .. } = player.acting.login;
        let text =
            ApprovalText { principal: player.name.to_string(), id: Some(principal.to_vec().into()), version, with };
        NewApproval {
            acting: player.acting,
            approver: self.inner.people.approver(player, id),
            sealed: text.seal(id, toc, player.acting.x, &self.inner.at_rest, &mut self.rng()),
        }
    }

    /// Refuses whoever asks for the code and is not the principal that asked for the session, where one did; and that one, too, when it
    /// may not any more. Gives that principal, as it was looked at, for the store to look at again.
    pub(super) async fn check_applicant(
        &self,
        record: &Record,
        caller: Option<&Caller>,
    ) -> Result<Option<Asking>, SessionError> {
        self.check_rule(record)?;
        let player = match &record.fields().applicant {
            Applicant::Named { x, .. } => Some(*x),
            Applicant::Login { .. } => None,
            Applicant::Proved { .. } | Applicant::Unverified => return Ok(None),
        };
        let caller = caller.ok_or(SessionError::LoginRequired)?;
        // By what names it for good: whoever has its name later is somebody else.
        if record.asker != Some(caller.id()) {
            return Err(SessionError::NotApplicant);
        }
        let by = match (player, record.fields().group) {
            (None, Some(group)) => By::Login(self.asker(Some(caller), group).await?.1),
            (x, group) => By::Player(self.player(Some(caller), group, x).await?),
        };
        Ok(Some(by.asking()))
    }

    /// Of the Tocs of a session those that count, with who approved. In one with names, an approval counts for as long as who gave
    /// it stands for the player, and once for each principal.
    pub(super) async fn counted(
        &self,
        record: &Record,
        tocs: Vec<TocRow>,
    ) -> Result<(Vec<TocRow>, Approvals), SessionError> {
        let Some(group) = record.fields().group.filter(|_| record.has_names()) else {
            return Ok((tocs, Approvals::default()));
        };
        let players = self.inner.people.players(group).await?;
        let (mut counted, mut approvals, mut seen) = (Vec::new(), Approvals::default(), HashSet::new());
        for toc in tocs {
            let (Some(x), Some(sealed)) = (toc.x.filter(|_| toc.proved), &toc.approval) else { continue };
            let text = ApprovalText::open(record.id(), &toc.digest, x, sealed, &self.inner.at_rest)?;
            let Some(approver) = players.get(&x).filter(|approver| text.is_of(approver)) else { continue };
            // One that another node took without a key, or that is older than this rule, is none here.
            let taken = self.inner.limits.approve_with == ApproveWith::Login || text.with == WITH_KEY;
            if taken && seen.insert(text.principal.clone()) {
                counted.push(toc);
                approvals.names.push(text.principal);
                approvals.by.push(*approver);
            }
        }
        Ok((counted, approvals))
    }
}

/// A player for the audit log: a principal where one was asked for.
pub(super) fn who(record: &Record, x: Option<u8>, player: Option<&Player>) -> Who {
    player.map_or_else(|| record.who(x), |player| Who::Principal(player.name.to_string()))
}
