//! A player's answer: a signature that only an opened Toc gives. Whoever sends it needs no login, so wrong ones are bounded by
//! the address that they come from.

use super::error::DrillError;
use super::told::{self, Ended};
use super::{Drills, about};
use crate::config::NoticeKind;
use crate::service::audit::{Kind, Who};
use crate::store::{AnswerOutcome, DrillEnd, NewDrillAnswer};
use quorate_protocol::api::DrillAnswer;
use quorate_protocol::drill;
use std::net::IpAddr;

impl Drills {
    /// Counts an answer from `peer`. The same player's again changes nothing and is no error.
    pub async fn answer(&self, id: &str, request: &DrillAnswer, peer: IpAddr) -> Result<(), DrillError> {
        let now = self.now();
        self.inner.sources.admit(&peer, now)?;
        let (row, call) = self.drill(id).await?;
        if let Some((_, end)) = row.ended {
            return Err(DrillError::Over(end));
        }
        let (x, known) = (request.x, self.group(&call).await?);
        let player = known.group.header.player(x).and_then(|player| Some((player, player.key().ok()?)));
        let (player, key) = player.ok_or_else(|| self.wrong(peer, now))?;
        match call.question().verify(&key, x, &request.signature.0, now.div_euclid(1000)) {
            Ok(()) => {}
            Err(drill::DrillError::Expired) => return Err(DrillError::Over(DrillEnd::Expired)),
            Err(_) => return Err(self.wrong(peer, now)),
        }
        let (sealer, mut rng) = (&self.inner.sealer, self.rng());
        let entry = about(&call, Kind::DrillAnswered, Who::Holder(player.holder.clone())).from(peer).with("x", x);
        // Should this be the last one that was missing.
        let complete = Ended::complete(&call);
        let ended = self.inner.audit.seal(complete.entry(about(&call, Kind::DrillEnded, Who::Oracle)));
        let notices = self.inner.notices.about(NoticeKind::DrillEnded, &complete.facts(&call));
        let answer = NewDrillAnswer {
            id: id.to_owned(),
            sealed: sealer.seal_answer(id, x, now, &request.signature.0, &mut rng),
            proof: sealer.proof(call.fields().group.0, x, now, &format!("drill {id}"), &mut rng),
            told: self.inner.audit.seal(entry),
            complete: told::besides(ended, notices),
        };
        match self.inner.store.answer_drill(answer).await? {
            AnswerOutcome::Already => Ok(()),
            AnswerOutcome::Recorded { .. } => {
                metrics::counter!("quorate_drill_answers_total").increment(1);
                Ok(())
            }
            AnswerOutcome::Over(end) => Err(DrillError::Over(end)),
            AnswerOutcome::Unknown => Err(DrillError::Unknown),
        }
    }

    fn wrong(&self, peer: IpAddr, now: i64) -> DrillError {
        self.inner.sources.record(peer, now);
        self.inner.audit.count(Kind::DrillRefused);
        DrillError::BadAnswer
    }
}
