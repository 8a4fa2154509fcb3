//! What this node knows of its store: whether it answers, takes commits, has a schema that this program knows, and a clock
//! that agrees with the node's. Looked at once for everybody who asks at the same time, so that whoever asks often costs
//! the store nothing. It must not know who asks, or what is made of it.

use crate::clock::{self, Clock};
use crate::store::{Store, StoreError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Milliseconds that the clocks of an oracle and of its store may differ.
pub const MAX_SKEW: i64 = 2_000;
/// How long a comparison of the clocks is gone by.
pub const COMPARED_FOR: Duration = Duration::from_secs(30);
/// How often the store is made to commit something, while it is looked at.
const BEAT: Duration = Duration::from_secs(4);

/// One node's.
pub struct Pulse {
    store: Store,
    clock: Arc<dyn Clock>,
    /// Held by whoever looks.
    turn: Arc<tokio::sync::Mutex<()>>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    looked: Option<(Instant, Result<Comparison, StoreError>)>,
    compared: Option<Comparison>,
    beaten: Option<Instant>,
}

/// The two clocks, side by side.
#[derive(Debug, Clone, Copy)]
pub struct Comparison {
    /// When the store was asked.
    at: Instant,
    /// The store's, in Unix milliseconds; `None` when it has no other than this machine's.
    pub theirs: Option<i64>,
    /// The least by which the store's is ahead of this oracle's, in milliseconds; negative when it is behind.
    pub ahead: i64,
}

/// What is known of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The clocks agree.
    Right,
    /// The store's is ahead by so many milliseconds, which is too many, or behind when negative.
    Wrong(i64),
    /// They have not been compared for too long.
    Forgotten,
    /// They have never been compared.
    Unknown,
}

impl Comparison {
    /// By how much the store's clock is ahead, if that is too much to go by this one.
    pub fn skew(&self) -> Option<i64> {
        Some(self.ahead).filter(|ahead| ahead.abs() > MAX_SKEW)
    }

    fn standing(&self, now: Instant) -> Standing {
        // Without another clock there is nothing to forget.
        if self.theirs.is_some() && now.duration_since(self.at) > COMPARED_FOR {
            return Standing::Forgotten;
        }
        self.skew().map_or(Standing::Right, Standing::Wrong)
    }
}

impl Pulse {
    /// Of a node with that store and clock, which knows nothing yet.
    pub fn new(store: Store, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Self { store, clock, turn: Arc::default(), known: Mutex::default() })
    }

    /// What the last look found, good or bad, if it is younger than `fresh`; otherwise what a new one finds, for all who wait
    /// for it.
    pub async fn look(self: &Arc<Self>, fresh: Duration) -> Result<Comparison, StoreError> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        if let Some((at, outcome)) = &self.lock().looked
            && at.elapsed() < fresh
        {
            return outcome.clone();
        }
        let pulse = Arc::clone(self);
        // A task of its own: when whoever asks goes away, the next one does not begin another look beside this one.
        let task = tokio::spawn(async move {
            let outcome = pulse.ask().await;
            pulse.lock().looked = Some((Instant::now(), outcome.clone()));
            drop(turn);
            outcome
        });
        task.await.unwrap_or(Err(StoreError::Panicked))
    }

    /// What is known of the time, without asking.
    pub fn standing(&self) -> Standing {
        self.lock().compared.map_or(Standing::Unknown, |compared| compared.standing(Instant::now()))
    }

    async fn ask(&self) -> Result<Comparison, StoreError> {
        let (at, before) = (Instant::now(), self.clock.now_ms());
        let theirs = self.store.look().await?;
        let ahead = theirs.map_or(0, |theirs| clock::ahead(theirs, before, self.clock.now_ms()));
        let compared = Comparison { at, theirs, ahead };
        let due = {
            let mut known = self.lock();
            known.compared = Some(compared);
            known.beaten.is_none_or(|at| at.elapsed() >= BEAT)
        };
        if due {
            self.store.beat().await?;
            self.lock().beaten = Some(Instant::now());
        }
        Ok(compared)
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Nothing that can panic runs under the lock.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Pulse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pulse").field("standing", &self.standing()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use futures_util::future::join_all;

    async fn pulse() -> Arc<Pulse> {
        let store = Store::open("sqlite::memory:").await.unwrap();
        Pulse::new(store, Arc::new(TestClock::at(1_800_000_000_000)))
    }

    #[tokio::test]
    async fn many_who_ask_at_once_have_the_store_asked_once() {
        let pulse = pulse().await;
        let jobs = || pulse.store.counts().jobs;
        let before = jobs();
        for outcome in join_all((0..200).map(|_| pulse.look(Duration::from_secs(3600)))).await {
            outcome.unwrap();
        }
        assert_eq!(jobs() - before, 2, "one look, and a sign of life");
        pulse.look(Duration::ZERO).await.unwrap();
        assert_eq!(jobs() - before, 3, "and another look without one");
    }

    #[tokio::test]
    async fn who_goes_away_leaves_the_look_to_the_next() {
        let pulse = pulse().await;
        let before = pulse.store.counts().jobs;
        for _ in 0..200 {
            // Polled once: it has begun, or waits for the one that has.
            drop(futures_util::FutureExt::now_or_never(pulse.look(Duration::from_secs(3600))));
        }
        pulse.look(Duration::from_secs(3600)).await.unwrap();
        assert_eq!(pulse.store.counts().jobs - before, 2);
    }

    #[tokio::test]
    async fn what_went_wrong_is_told_until_the_next_look() {
        let pulse = pulse().await;
        pulse.look(Duration::ZERO).await.unwrap();
        pulse.store.shutdown().await;
        pulse.look(Duration::from_secs(3600)).await.unwrap();
        for fresh in [Duration::ZERO, Duration::from_secs(3600)] {
            assert!(matches!(pulse.look(fresh).await, Err(StoreError::Stopped)));
        }
    }

    #[test]
    fn a_comparison_is_forgotten_in_time() {
        let at = Instant::now();
        let compared = |theirs, ahead| Comparison { at, theirs, ahead };
        let (agree, alone) = (compared(Some(1), MAX_SKEW), compared(None, 0));
        for ahead in [MAX_SKEW + 1, -MAX_SKEW - 1] {
            assert_eq!(compared(Some(1), ahead).standing(at), Standing::Wrong(ahead));
        }
        assert_eq!(agree.standing(at + COMPARED_FOR), Standing::Right);
        let late = at + COMPARED_FOR + Duration::from_millis(1);
        assert_eq!((agree.standing(late), alone.standing(late)), (Standing::Forgotten, Standing::Right));
    }
}
