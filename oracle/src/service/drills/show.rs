//! What may be seen of drills: counts by whoever has the id, names by whoever has the call or stands for a holder, everything by
//! those who read reports.

use super::error::DrillError;
use super::{Drills, known_shape, rfc3339};
use crate::service::people::{Caller, KnownGroup};
use crate::store::{DrillReport, DrillRow};
use quorate_protocol::api::{Drill, DrillDetails, DrillPlayer, LastProof, Standing};
use quorate_protocol::drill::Call;
use std::collections::BTreeMap;
use subtle::ConstantTimeEq as _;

/// Drills in a page of the list that is read from the store.
const PAGE: i64 = 100;
/// Drills in the list at most: the newest.
const LISTED: usize = 1_000;

/// Who looks.
#[derive(Debug, Clone, Copy)]
pub enum Viewer<'a> {
    /// Whoever shows this as the call's view token.
    Holder(&'a str),
    /// A principal, who may stand for a holder.
    Principal(&'a Caller),
    /// Somebody who may read reports.
    Reader,
    /// Whoever has the id.
    Stranger,
}

/// How much is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sees {
    Counts,
    Names,
    Everything,
}

impl Drills {
    /// The drill `id`, as far as `viewer` may see it.
    pub async fn show(&self, id: &str, viewer: Viewer<'_>) -> Result<Drill, DrillError> {
        let (report, call, known) = self.read(id).await?;
        self.describe(&report, &call, &known, sees(viewer, &call, &known))
    }

    /// Everything that is known of a drill.
    pub(super) async fn report(&self, id: &str) -> Result<Drill, DrillError> {
        self.show(id, Viewer::Reader).await
    }

    /// The newest drills, counts alone.
    pub async fn list(&self) -> Result<Vec<Drill>, DrillError> {
        let (mut all, mut before) = (Vec::new(), i64::MAX);
        while all.len() < LISTED {
            let page = self.inner.store.drills_before(before, PAGE).await?;
            let Some(last) = page.last() else { break };
            before = last.number;
            for row in page {
                all.push(counts(&row, &self.inner.sealer.open_call(&row)?));
            }
        }
        Ok(all)
    }

    async fn read(&self, id: &str) -> Result<(DrillReport, Call, KnownGroup), DrillError> {
        let id = known_shape(id)?;
        let report = self.inner.store.drill_report(id).await?.ok_or(DrillError::Unknown)?;
        let call = self.inner.sealer.open_call(&report.0)?;
        let known = self.group(&call).await?;
        Ok((report, call, known))
    }

    fn describe(&self, report: &DrillReport, call: &Call, known: &KnownGroup, sees: Sees) -> Result<Drill, DrillError> {
        let details = match sees {
            Sees::Counts => None,
            Sees::Names | Sees::Everything => Some(self.details(report, call, known, sees)?),
        };
        Ok(Drill { details, ..counts(&report.0, call) })
    }

    fn details(
        &self,
        (row, answers, proofs): &DrillReport,
        call: &Call,
        known: &KnownGroup,
        sees: Sees,
    ) -> Result<DrillDetails, DrillError> {
        let (fields, sealer) = (call.fields(), &self.inner.sealer);
        let mut answered = BTreeMap::new();
        for answer in answers {
            // A row that somebody wrote into the database is nobody's answer.
            sealer.check_answer(&row.id, answer)?;
            answered.insert(answer.x, rfc3339(answer.at));
        }
        let mut last = BTreeMap::new();
        for proof in proofs {
            last.insert(proof.x, LastProof { at: rfc3339(proof.at), by: sealer.open_proof(&row.group, proof)? });
        }
        let (threshold, living) = (u32::from(fields.threshold), row.answered);
        let everything = sees == Sees::Everything;
        let players = known.holders.iter().map(|holder| DrillPlayer {
            x: holder.x,
            holder: holder.holder.clone(),
            answered_at: answered.remove(&holder.x),
            principal: holder.principal.as_ref().filter(|_| everything).map(ToString::to_string),
            last_proof: last.remove(&holder.x).filter(|_| everything),
        });
        Ok(DrillDetails {
            note: fields.note.clone(),
            asker: fields.asker.clone(),
            reason: fields.reason.clone(),
            call: call.to_url(),
            threshold,
            standing: Standing::of(living, threshold),
            players: players.collect(),
        })
    }
}

/// What everybody with the id may know.
fn counts(row: &DrillRow, call: &Call) -> Drill {
    Drill {
        id: row.id.clone(),
        state: row.ended.map_or("open", |(_, end)| end.as_str()).to_owned(),
        group: call.fields().group.to_string(),
        group_id: call.fields().group_id.clone(),
        size: row.size.into(),
        answered: row.answered,
        created_at: rfc3339(row.created_at),
        expires_at: rfc3339(row.expires_at),
        closed_at: row.ended.map(|(at, _)| rfc3339(at)),
        details: None,
    }
}

fn sees(viewer: Viewer<'_>, call: &Call, known: &KnownGroup) -> Sees {
    let may = match viewer {
        Viewer::Reader => return Sees::Everything,
        Viewer::Principal(caller) => known.holders.iter().any(|holder| holder.principal.as_ref() == Some(&caller.name)),
        Viewer::Holder(token) => token.as_bytes().ct_eq(call.view_token().as_bytes()).into(),
        Viewer::Stranger => false,
    };
    if may { Sees::Names } else { Sees::Counts }
}
