//! Locking of what somebody guesses at: each failure is counted and locks in one transaction, so that any number of nodes
//! admit no more guesses than one would. It must not know what a right answer is.
//!
//! Failures are forgotten by half in each hour without one, so that whoever guesses at somebody else's keeps them out for as
//! long as that goes on, and not much longer.

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

impl FailOutcome {
    /// Whether it locked, when the store was given these delays.
    pub fn locks_by(self, delays: &[i64]) -> bool {
        matches!(self, Self::Counted(failures) if delay(delays, failures) > 0)
    }
}

/// What failure number `failures` locks for.
fn delay(delays: &[i64], failures: i64) -> i64 {
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or(0).min(delays.len().saturating_sub(1));
    delays.get(place).copied().unwrap_or(0)
}

/// Failures halve in so many quiet milliseconds.
const HALF_LIFE: i64 = 60 * 60 * 1000;

/// The statements of a table with the columns `failures`, `failed_at` and `locked_until`.
pub(super) struct Lockout {
    /// These three of row `$1`.
    pub(super) read: &'static str,
    /// Sets them, `$1`, `$2` and `$3`, in row `$4`.
    pub(super) write: &'static str,
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
        let Some(read) = tx.first(self.read, std::slice::from_ref(&row)).await? else {
            return Ok(FailOutcome::Unknown);
        };
        let (before, failed_at, locked_until) = (read.int(0)?, read.int(1)?, read.int(2)?);
        if locked_until > now {
            return Ok(FailOutcome::Locked(locked_until));
        }
        let failures = left(before, failed_at, now).saturating_add(1);
        let locked_until = match delay(delays, failures) {
            0 => locked_until,
            delay => now.saturating_add(delay),
        };
        tx.defer(self.write, &[failures.into(), now.into(), locked_until.into(), row]).await?;
        Ok(FailOutcome::Counted(failures))
    }

    /// Until when it is locked; `None` when there is no such row.
    pub(super) async fn locked_until(&self, tx: &mut dyn Tx, row: Value) -> Result<Option<i64>, StoreError> {
        let row = tx.first(self.read, &[row]).await?;
        row.map(|row| row.int(2)).transpose()
    }
}

/// What is left at `now` of failures of which the last came at `failed_at`.
fn left(failures: i64, failed_at: i64, now: i64) -> i64 {
    let halved = now.saturating_sub(failed_at).div_euclid(HALF_LIFE).clamp(0, 62);
    failures >> halved
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_halve_with_each_quiet_hour() {
        for (quiet, expected) in [
            (-HALF_LIFE, 12),
            (0, 12),
            (HALF_LIFE - 1, 12),
            (HALF_LIFE, 6),
            (3 * HALF_LIFE, 1),
            (4 * HALF_LIFE, 0),
            (i64::MAX, 0),
        ] {
            assert_eq!(left(12, 0, quiet), expected, "after {quiet} ms");
        }
        assert_eq!(left(i64::MAX, i64::MIN, i64::MAX), 1);
    }
}
