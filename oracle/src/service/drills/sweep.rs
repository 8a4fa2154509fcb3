//! What happens to drills by time: reminders, their end, and that they are forgotten.

use super::error::DrillError;
use super::told::{self, Ended};
use super::{Drills, about};
use crate::config::NoticeKind;
use crate::service::audit::{Kind, Who};
use crate::service::people::PeopleError;
use crate::store::{DrillEnd, DrillRow};

/// Drills of each kind that a round takes on.
const BATCH: i64 = 100;

impl Drills {
    /// Reminds of drills and ends those whose time is up at `now` (Unix milliseconds), and forgets those that are long over;
    /// `true` when there is more to do at once.
    pub async fn sweep(&self, now: i64) -> Result<bool, DrillError> {
        let due = self.inner.store.due_drills(now, BATCH).await?;
        let reached = |done: u64| done >= BATCH.unsigned_abs();
        let mut done = 0;
        for row in due {
            let id = row.id.clone();
            match self.due(row, now).await {
                // With `Unknown` its group has been removed meanwhile, and the drill with it.
                Ok(()) | Err(DrillError::Unknown) => done += 1,
                // It stays due, and keeps nothing else from being done.
                Err(DrillError::Damaged | DrillError::People(PeopleError::Damaged)) => {
                    tracing::error!(drill = id, "a stored drill or its group cannot be read");
                }
                Err(error) => return Err(error),
            }
        }
        let forgotten = self.inner.store.forget_drills(now.saturating_sub(self.inner.limits.keep), BATCH).await?;
        Ok(reached(done) || reached(forgotten))
    }

    async fn due(&self, row: DrillRow, now: i64) -> Result<(), DrillError> {
        let (call, report) = (self.inner.sealer.open_call(&row)?, self.report(&row.id).await?);
        if row.expires_at > now {
            let notices = self.inner.notices.about(NoticeKind::DrillReminder, &told::reminder(&call, &report));
            let next = self.inner.limits.reminder(row.expires_at, now);
            // Who finds none due any more has been told by another node.
            let due = row.remind_at.unwrap_or(now);
            self.inner.store.remind_of_drill(&row.id, due, next, notices).await?;
            return Ok(());
        }
        let ended = Ended::of(DrillEnd::Expired, &report);
        let told = self.inner.audit.seal(ended.entry(about(&call, Kind::DrillEnded, Who::Oracle)));
        let told = told::besides(told, self.inner.notices.about(NoticeKind::DrillEnded, &ended.facts(&call)));
        self.inner.store.end_drill(&row.id, DrillEnd::Expired, now, told).await?;
        Ok(())
    }
}
