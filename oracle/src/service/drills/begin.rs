//! Beginning a drill, and ending it before its time: what operators do.

use super::error::DrillError;
use super::show::Viewer;
use super::told::{self, Ended};
use super::{Drills, about, rfc3339};
use crate::config::NoticeKind;
use crate::service::audit::{Kind, Who};
use crate::service::people::{Caller, KnownGroup, PeopleError};
use crate::service::signer::InviteSigner;
use crate::state::StateRng;
use crate::store::{BeginOutcome, DrillEnd, NewDrill as NewRow};
use quorate_protocol::api::{Drill, NewDrill};
use quorate_protocol::drill::{Call, CallPayload, MAX_REASON};
use quorate_protocol::session::new_session_id;
use rand::Rng as _;

/// Seconds that a drill lasts at least.
const SHORTEST: i64 = 60;

/// What an operator asks.
struct Asked {
    asker: String,
    reason: String,
    created: i64,
    expires: i64,
}

impl Drills {
    /// Asks the players of a group.
    pub async fn begin(&self, request: &NewDrill, by: &Caller) -> Result<Drill, DrillError> {
        let group = request.group.parse().map_err(|_| PeopleError::GroupUnknown)?;
        let known = self.inner.people.group(group).await?;
        if known.replaced {
            return Err(DrillError::GroupReplaced);
        }
        let created = self.now().div_euclid(1000);
        let signer = self.inner.signers.at(&self.inner.keys, &self.inner.url, created);
        let signer = signer.ok_or(DrillError::NoCertificate)?;
        let expires = self.end_of(request, created, &signer)?;
        let reason = request.reason.clone().unwrap_or_default();
        if reason.len() > MAX_REASON {
            return Err(DrillError::Request("the reason is longer than 1,024 bytes"));
        }
        let (asked, mut rng) = (Asked { asker: by.name.to_string(), reason, created, expires }, self.rng());
        let sign = move || issue(&known, &signer, asked, &mut rng);
        let call = self.inner.crypto.run(sign).await??;
        match self.inner.store.begin_drill(self.row(&call, by)).await? {
            BeginOutcome::Begun => {}
            BeginOutcome::GroupGone => return Err(PeopleError::GroupUnknown.into()),
            BeginOutcome::Running => return Err(DrillError::Running),
        }
        metrics::counter!("quorate_drills_started_total").increment(1);
        self.show(&call.fields().drill, Viewer::Reader).await
    }

    /// Ends a drill before its time.
    pub async fn close(&self, id: &str, by: &Caller) -> Result<(), DrillError> {
        let (row, call) = self.drill(id).await?;
        if let Some((_, end)) = row.ended {
            return Err(DrillError::Over(end));
        }
        let ended = Ended::of(DrillEnd::Closed, &self.report(id).await?);
        let entry = about(&call, Kind::DrillEnded, Who::Principal(by.name.to_string())).from(by.source);
        let told = self.inner.audit.seal(ended.entry(entry));
        let told = told::besides(told, self.inner.notices.about(NoticeKind::DrillEnded, &ended.facts(&call)));
        if self.inner.store.end_drill(id, DrillEnd::Closed, self.now(), told).await? {
            return Ok(());
        }
        let (row, _) = self.drill(id).await?;
        Err(row.ended.map_or(DrillError::Unknown, |(_, end)| DrillError::Over(end)))
    }

    /// When the drill is to end, Unix seconds.
    fn end_of(&self, request: &NewDrill, now: i64, signer: &InviteSigner) -> Result<i64, DrillError> {
        const TIME: DrillError = DrillError::Request("expires_at is a time such as 2027-01-15T08:00:00Z");
        let expires = match &request.expires_at {
            None => now.saturating_add(self.inner.limits.lasts),
            Some(text) => text.parse::<jiff::Timestamp>().map_err(|_| TIME)?.as_second(),
        };
        if expires < now + SHORTEST {
            return Err(DrillError::Request("a drill lasts for a minute at least: choose a later end"));
        }
        // Whoever looks at the call on the last day must be able to verify it.
        if expires > signer.ends() { Err(DrillError::CertificateEnds) } else { Ok(expires) }
    }

    fn row(&self, call: &Call, by: &Caller) -> NewRow {
        let fields = call.fields();
        let expires_at = fields.expires * 1000;
        let entry = about(call, Kind::DrillStarted, Who::Principal(by.name.to_string())).from(by.source);
        let entry = entry.with("until", rfc3339(expires_at)).with("reason", fields.reason.as_str());
        let notices = self.inner.notices.about(NoticeKind::DrillStarted, &told::facts(call));
        NewRow {
            id: fields.drill.clone(),
            group: fields.group.0,
            size: fields.size,
            created_at: fields.created * 1000,
            expires_at,
            remind_at: self.inner.limits.reminder(expires_at, self.now()),
            sealed: self.inner.sealer.seal_call(call, &mut self.rng()),
            told: told::besides(self.inner.audit.seal(entry), notices),
        }
    }
}

fn issue(known: &KnownGroup, signer: &InviteSigner, asked: Asked, rng: &mut StateRng) -> Result<Call, DrillError> {
    let fields = known.group.header.fields();
    let root_key = match &fields.oracle {
        Some(pin) if !signer.satisfies(pin, asked.created).map_err(|_| DrillError::Damaged)? => {
            return Err(DrillError::WrongOracle);
        }
        // The very key that the players' Tocs name, even if it has a successor.
        Some(pin) => pin.root_key.clone(),
        None => signer.root.to_bytes().to_vec().into(),
    };
    let mut challenge = vec![0; 32];
    rng.fill_bytes(&mut challenge);
    let payload = CallPayload {
        version: 1,
        drill: new_session_id(rng),
        oracle: signer.url.clone(),
        root_key,
        group: known.group.name(),
        group_id: fields.group_id.clone(),
        size: fields.size,
        threshold: fields.threshold,
        note: fields.note.clone(),
        asker: asked.asker,
        reason: asked.reason,
        challenge: challenge.into(),
        created: asked.created,
        expires: asked.expires,
        certificates: signer.certificates.clone(),
    };
    Call::issue(&payload, &signer.key).map_err(|_| DrillError::Request("such a drill cannot be"))
}
