//! Locking of what somebody guesses at: one conditional write counts a failure and locks, so that any number of nodes
//! admit no more guesses than one would. It must not know what a right answer is.

use super::{
    engine::{Tx, Value},
    error::StoreError,
};

/// What became of a wrong answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailOutcome {
    /// It was counted; the number of wrong answers since the last right one.
    Counted(i64),
    /// No answer was looked at until then.
    Locked(i64),
    /// There is nothing of that name.
    Unknown,
}

/// The statements of a table with the columns `failures` and `locked_until`.
pub(super) struct Lockout {
    /// Counts a failure of row `$1`, unless it is locked at `$2`; gives the count.
    pub(super) count: &'static str,
    /// Locks, until `$1`, row `$2`.
    pub(super) lock: &'static str,
    /// Until when row `$1` is locked.
    pub(super) read: &'static str,
}

impl Lockout {
    /// Counts a failure. Number n locks for `delays[n - 1]` milliseconds, further ones as the last.
    pub(super) async fn fail(
        &self,
        tx: &mut dyn Tx,
        row: Value,
        delays: &[i64],
        now: i64,
    ) -> Result<FailOutcome, StoreError> {
        let Some(counted) = tx.first(self.count, &[row.clone(), now.into()]).await? else {
            return Ok(self.locked_until(tx, row).await?.map_or(FailOutcome::Unknown, FailOutcome::Locked));
        };
        let failures = counted.int(0)?;
        let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(0).min(delays.len().saturating_sub(1));
        let delay = delays.get(place).copied().unwrap_or(0);
        if delay > 0 {
            tx.defer(self.lock, &[now.saturating_add(delay).into(), row]).await?;
        }
        Ok(FailOutcome::Counted(failures))
    }

    /// Until when it is locked; `None` when there is no such row.
    pub(super) async fn locked_until(&self, tx: &mut dyn Tx, row: Value) -> Result<Option<i64>, StoreError> {
        let row = tx.first(self.read, &[row]).await?;
        row.map(|row| row.int(0)).transpose()
    }
}
