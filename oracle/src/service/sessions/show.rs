//! What may be seen of a session: counts for whoever has the id, names for whoever has the invite, events as they happen.

use super::Sessions;
use super::error::SessionError;
use super::record::{ApprovalText, EventText, Record};
use super::redeal::may_view;
use crate::service::audit::{Kind, Who};
use crate::service::people::Caller;
use crate::store::{ClosedAs, EventRow, JoinedRow, NewAudit, SessionOverview, SessionRow};
use quorate_protocol::api::{Approval, Event, Session, SessionDetails};
use quorate_protocol::invite::Applicant;
use quorate_protocol::session::{cancel_hash, is_session_id};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::ConstantTimeEq as _;
use tokio::sync::broadcast;

/// Events that one look returns at most.
const EVENT_BATCH: i64 = 200;

/// What an invite's holder sees of a session's page.
#[derive(Debug)]
pub struct InviteView {
    /// The whole link.
    pub url: String,
}

impl Sessions {
    /// The session `id`; with names when `view_token` is the one of its invite.
    pub async fn show(&self, id: &str, view_token: Option<&str>) -> Result<Session, SessionError> {
        let overview = self.overview(id).await?;
        let (_, record) = self.open_record(overview.row.clone())?;
        let mut session = summary(&overview, &record);
        if may_view(&overview.row, view_token) {
            session.details = Some(self.details(id, &record).await?);
        }
        Ok(session)
    }

    /// The invite of session `id`, for whoever has its view token.
    pub async fn invite(&self, id: &str, view_token: Option<&str>) -> Result<InviteView, SessionError> {
        let (row, record) = self.open_session(id).await?;
        if may_view(&row, view_token) {
            Ok(InviteView { url: record.invite.to_url() })
        } else {
            Err(SessionError::InviteNeeded)
        }
    }

    /// Ends session `id` for whoever has the token derived from its KEK, or has logged in as the principal that asks for it.
    pub async fn cancel(
        &self,
        id: &str,
        token: &str,
        caller: Option<&Caller>,
        peer: IpAddr,
    ) -> Result<(), SessionError> {
        let row = self.known(id).await?;
        let (known, source) = (bool::from(cancel_hash(token).ct_eq(&row.cancel_hash)), row.source);
        if !known && caller.is_none() {
            return Err(SessionError::CancelRefused);
        }
        // Opened to see that the hash, and who asks, are those that the session was made with.
        let (_, record) = self.open_record(row)?;
        if !known && caller.map(Caller::id) != record.asker {
            return Err(SessionError::CancelRefused);
        }
        let told = record.asked(Kind::SessionCancelled).from(peer);
        let told = match record.fields().applicant {
            // There are no more of these than starts, each of which is told of.
            Applicant::Login { .. } => Some(self.inner.audit.seal(told)),
            _ => self.inner.audit.seal_bounded(told, &source),
        };
        self.close_cancelled(id, told).await
    }

    /// Ends session `id` for the operator of that full name.
    pub async fn cancel_by_operator(&self, id: &str, operator: String, peer: IpAddr) -> Result<(), SessionError> {
        let who = Who::Principal(operator);
        let told = match self.open_session(id).await {
            Ok((_, record)) => record.entry(Kind::SessionCancelled, who),
            // What cannot be read can still be ended.
            Err(SessionError::Damaged) => super::about(id, Kind::SessionCancelled, who),
            Err(error) => return Err(error),
        };
        self.close_cancelled(id, Some(self.inner.audit.seal(told.from(peer)))).await
    }

    async fn close_cancelled(&self, id: &str, told: Option<NewAudit>) -> Result<(), SessionError> {
        let event = EventText::default().seal(id, "cancelled", &self.inner.at_rest, &mut self.rng());
        let event = event.recorded(told);
        if self.inner.store.close(id, ClosedAs::Cancelled, self.now_ms(), event).await? {
            self.inner.open.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
            Ok(())
        } else {
            Err(self.why_closed(id).await)
        }
    }

    /// Events of session `id` after `seq`, and whether the session is over, so that none will follow.
    pub async fn events(
        &self,
        id: &str,
        seq: i64,
        view_token: Option<&str>,
    ) -> Result<(Vec<Event>, bool), SessionError> {
        check_id(id)?;
        // What has happened is read before what stands, so that no event comes with counts from before it: whoever is told of
        // the last Toc and of too few would wait for an event that never comes.
        let happened = self.inner.store.events_after(id, seq, EVENT_BATCH).await?;
        let overview = self.overview(id).await?;
        let named = may_view(&overview.row, view_token);
        let session = match self.open_record(overview.row.clone()) {
            Ok((_, record)) => Some(summary(&overview, &record)),
            Err(SessionError::Over(_)) => None,
            Err(error) => return Err(error),
        };
        // It may have ended in between, and not without events before its end.
        let rows = match &session {
            Some(_) => happened,
            None => self.inner.store.events_after(id, seq, EVENT_BATCH).await?,
        };
        let over = session.is_none() && rows.len() < usize::try_from(EVENT_BATCH).expect("a small constant");
        let end = if over { self.unwritten_end(&overview.row, seq, rows.last()).await? } else { None };
        let events = rows
            .into_iter()
            .map(|row| {
                let text = EventText::open(id, &row.kind, &row.sealed, &self.inner.at_rest);
                let text = if named { text } else { EventText::default() };
                Event {
                    seq: row.seq,
                    at: rfc3339(row.at),
                    kind: row.kind,
                    who: text.who,
                    principal: text.principal,
                    reason: text.reason,
                    session: session.clone(),
                }
            })
            .chain(end)
            .collect();
        Ok((events, over))
    }

    /// As [`Sessions::events`] for those who follow, of whom only so many look at once, whatever woke them.
    pub async fn look_again(
        &self,
        id: &str,
        seq: i64,
        view_token: Option<&str>,
    ) -> Result<(Vec<Event>, bool), SessionError> {
        let _turn = self.inner.watchers.turn().await;
        self.events(id, seq, view_token).await
    }

    /// The event of an end that nobody caused: time and used-up codes end a session without writing one.
    async fn unwritten_end(
        &self,
        row: &SessionRow,
        seq: i64,
        last: Option<&EventRow>,
    ) -> Result<Option<Event>, SessionError> {
        let before = match last {
            Some(last) => Some(last.clone()),
            None => self.inner.store.events_after(&row.id, seq - 1, 1).await?.into_iter().next(),
        };
        // Without an event of that number the caller has had the end already.
        let Some(before) = before else { return Ok(None) };
        let kind = row.closed_as.unwrap_or(ClosedAs::Expired).as_str();
        if row.closed_as == Some(ClosedAs::Redealt) || before.kind == kind {
            return Ok(None);
        }
        let at = rfc3339(row.closed_at.unwrap_or(row.ends_at).min(row.ends_at));
        Ok(Some(Event {
            seq: before.seq + 1,
            at,
            kind: kind.to_owned(),
            who: None,
            principal: None,
            reason: None,
            session: None,
        }))
    }

    /// Ids of sessions in which something has just happened.
    pub fn notices(&self) -> broadcast::Receiver<Arc<str>> {
        self.inner.store.notices()
    }

    async fn overview(&self, id: &str) -> Result<SessionOverview, SessionError> {
        check_id(id)?;
        self.inner.store.session_overview(id).await?.ok_or(SessionError::Unknown)
    }

    async fn details(&self, id: &str, record: &Record) -> Result<SessionDetails, SessionError> {
        // From what stands, not from the events: there may be more of those than anybody reads.
        let (joined, denied) = self.inner.store.answers(id).await?;
        let mut approvals = Vec::new();
        for JoinedRow { digest, x, at, approval } in &joined {
            let (Some(x), Some(sealed)) = (*x, approval) else { continue };
            let ApprovalText { principal, with, .. } = ApprovalText::open(id, digest, x, sealed, &self.inner.at_rest)?;
            approvals.push(Approval { x, holder: record.holder(Some(x)), principal, with, at: rfc3339(*at) });
        }
        let joined = joined.into_iter().map(|row| record.holder(row.x)).collect();
        let denied = denied.into_iter().map(|x| record.holder(Some(x))).collect();
        let fields = record.fields();
        Ok(SessionDetails {
            reason: fields.reason.clone(),
            note: fields.note.clone(),
            applicant: record.applicant(),
            applicant_status: Some(fields.applicant.status().to_owned()),
            applicant_principal: record.applicant_principal().map(str::to_owned),
            joined,
            // Whoever is to approve is told of the login before they touch anything.
            approvals: record.has_names().then_some(approvals),
            denied,
            players: record.players(),
            invite: record.invite.to_url(),
        })
    }
}

/// What cannot be an id is nobody's, and the store is not asked.
fn check_id(id: &str) -> Result<(), SessionError> {
    if is_session_id(id) { Ok(()) } else { Err(SessionError::Unknown) }
}

/// An open session with its counts.
pub(super) fn summary(overview: &SessionOverview, record: &Record) -> Session {
    let SessionRow { created_at, ends_at, ttl, .. } = overview.row;
    let provided = u32::try_from(overview.proved + overview.provisional).unwrap_or(u32::MAX);
    let denials = u32::try_from(overview.denials).unwrap_or(u32::MAX);
    describe(record, created_at, ends_at, ttl, provided, denials)
}

/// A session that is open, in farMFA's words and ours.
pub(super) fn describe(
    record: &Record,
    created_at: i64,
    ends_at: i64,
    ttl: i64,
    provided: u32,
    denials: u32,
) -> Session {
    let fields = record.fields();
    let (size, threshold) = (u32::from(fields.size), u32::from(fields.threshold));
    Session {
        id: fields.session.clone(),
        toc_group_id: fields.group_id.clone(),
        created_at: rfc3339(created_at),
        expires_at: rfc3339(ends_at),
        ttl,
        complete: provided >= threshold,
        tocs_in_group: size,
        tocs_threshold: threshold,
        tocs_provided: provided,
        denials,
        purpose: fields.purpose,
        state: "open".to_owned(),
        group: fields.group,
        details: None,
    }
}

/// `ms` since 1970 as RFC 3339, to the millisecond.
pub(super) fn rfc3339(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).unwrap_or(jiff::Timestamp::MAX).to_string()
}
