//! Sessions that a login starts: of a group that the oracle knows, for a principal that may ask for its codes and shows no Toc. All
//! Tocs come from others; whose they are is asked for as in every other session here.

use super::Sessions;
use super::create::{Applying, Asked};
use super::error::SessionError;
use super::named::By;
use super::show::summary;
use crate::service::people::{Asker, Caller, PeopleError};
use crate::service::signer::InviteSigner;
use quorate_protocol::api::{AppSession, NewSession, SessionCredentials};
use quorate_protocol::header::GroupName;
use quorate_protocol::invite::{Applicant, Purpose};
use quorate_protocol::toc::Group;
use std::net::IpAddr;

/// Milliseconds before its end from which on a session is not given to whoever asks once more: nothing would come of it.
pub(super) const ENDING: i64 = 10_000;

fn request(group: GroupName, reason: String) -> NewSession {
    NewSession { group: Some(group), reason: Some(reason), ..NewSession::default() }
}

impl Sessions {
    /// Starts a session for codes of a known group, for whoever has logged in and may ask for them: the same as [`Sessions::create`]
    /// with a group and a reason alone. The credentials hold the KEK, with which the same principal gets the codes.
    pub async fn create_by_login(
        &self,
        group: GroupName,
        reason: String,
        caller: &Caller,
        peer: IpAddr,
    ) -> Result<SessionCredentials, SessionError> {
        self.create(request(group, reason), Some(caller), peer).await
    }

    /// The session that gives whoever has logged in and may ask for them codes of a known group: the one of theirs that is open,
    /// whose KEK they were given when they began it, or else, or when they want another, a new one.
    pub async fn ask_by_login(
        &self,
        group: GroupName,
        reason: String,
        again: bool,
        caller: &Caller,
        peer: IpAddr,
    ) -> Result<AppSession, SessionError> {
        let mut after = None;
        if !again {
            match self.open_by(group, caller).await? {
                Ok(open) => return Ok(open),
                Err(last) => after = Some(last),
            }
        }
        loop {
            let made = self.create_unless(request(group, reason.clone()), Some(caller), peer, after).await?;
            if let Some(SessionCredentials { session, tek, kek, invite }) = made {
                return Ok(AppSession { session, tek, kek: Some(kek), invite });
            }
            // The same press of the button, at the same instant or elsewhere, was faster.
            match self.open_by(group, caller).await? {
                Ok(open) => return Ok(open),
                // Over already; or it can be read no more than those before, and keeps nobody from a new one.
                Err(last) => after = after.max(Some(last)),
            }
        }
    }

    /// The open session for codes of a group that a caller has begun by a login, who may still ask for them; or the number of the last
    /// one that is none, 0 for none.
    async fn open_by(&self, group: GroupName, caller: &Caller) -> Result<Result<AppSession, i64>, SessionError> {
        self.asker(Some(caller), group).await?;
        let (source, GroupName(digest)) = (self.asker_source(&caller.login()), group);
        let found = self.inner.store.sessions_of(&source, &digest, self.now_ms().saturating_add(ENDING)).await?;
        let last = found.first().map_or(0, |(number, _)| *number);
        for (_, overview) in found {
            match self.open_record(overview.row.clone()) {
                Ok((_, record)) if record.asker == Some(caller.id()) => {
                    let (session, tek) = (summary(&overview, &record), record.fields().tek.clone());
                    return Ok(Ok(AppSession { session, tek, kek: None, invite: record.invite.to_url() }));
                }
                // Somebody else's by a row that was written, or one that cannot be read.
                Ok(_) | Err(SessionError::Damaged | SessionError::Over(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Err(last))
    }

    /// What a caller asks for who shows no Toc of `group`, and the group.
    pub(super) async fn by_login(
        &self,
        request: &NewSession,
        group: GroupName,
        caller: Option<&Caller>,
        signer: &InviteSigner,
    ) -> Result<(Asked, Applying), SessionError> {
        if request.purpose == Some(Purpose::Redeal) {
            return Err(SessionError::Request("a login alone asks for codes: a redeal takes a Toc of the group"));
        }
        let toc = [request.toc_zero.is_some(), request.header.is_some(), request.sealed.is_some()];
        if toc.contains(&true) || request.applicant.is_some() {
            return Err(SessionError::Request("send group alone, or what proves a Toc, and not both"));
        }
        let asked = Asked::read(request, self.inner.limits.max_codes)?;
        let (group, principal) = self.asker(caller, group).await?;
        let applicant = Applicant::Login { principal: principal.name.to_string() };
        let applying = Applying::of_group(group, applicant, None).by(By::Login(principal));
        applying.check_oracle(signer, self.now_ms().div_euclid(1000))?;
        Ok((asked, applying))
    }

    /// A known group, and `caller` as one who may ask for its codes.
    pub(super) async fn asker(
        &self,
        caller: Option<&Caller>,
        group: GroupName,
    ) -> Result<(Group, Asker), SessionError> {
        let caller = caller.ok_or(SessionError::LoginRequired)?;
        match self.inner.people.asker(caller, group).await {
            Ok((group, Some(asker))) => Ok((group, asker)),
            Ok((_, None)) => Err(SessionError::MayNotAsk),
            Err(PeopleError::GroupUnknown) => Err(SessionError::GroupNotAdded),
            Err(error) => Err(error.into()),
        }
    }
}
