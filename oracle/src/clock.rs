//! Time, as the oracle sees it: from the system, or from a test that sets it. It must not know what time is used for.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// Where the time comes from.
pub trait Clock: Send + Sync + 'static {
    /// Milliseconds since 1970-01-01 UTC.
    fn now_ms(&self) -> i64;

    /// Whole seconds since 1970-01-01 UTC.
    fn now(&self) -> i64 {
        self.now_ms().div_euclid(1000)
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

/// A clock that stands still until it is told otherwise.
#[derive(Debug)]
pub struct TestClock(AtomicI64);

impl TestClock {
    /// Stands at `now_ms`, milliseconds since 1970.
    pub fn at(now_ms: i64) -> Self {
        Self(AtomicI64::new(now_ms))
    }

    /// Jumps to `now_ms`.
    pub fn set(&self, now_ms: i64) {
        self.0.store(now_ms, Ordering::SeqCst);
    }

    /// Moves on by `ms`, or back when negative.
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// The least by which another clock, which showed `theirs` at some time between `before` and `after` of this one, is ahead;
/// negative when it is behind. All in milliseconds.
pub fn ahead(theirs: i64, before: i64, after: i64) -> i64 {
    if theirs < before { theirs - before } else { (theirs - after).max(0) }
}

impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now_ms(&self) -> i64 {
        (**self).now_ms()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_clock_moves_only_when_told() {
        let clock = TestClock::at(1_999);
        assert_eq!((clock.now_ms(), clock.now()), (1_999, 1));
        clock.advance(-3_000);
        assert_eq!((clock.now_ms(), clock.now()), (-1_001, -2));
        clock.set(7);
        assert_eq!(clock.now_ms(), 7);
    }

    #[test]
    fn how_far_a_clock_is_ahead_is_never_overstated() {
        assert_eq!(ahead(50, 10, 90), 0, "somewhere between asking and hearing");
        assert_eq!((ahead(10, 10, 90), ahead(90, 10, 90)), (0, 0));
        assert_eq!((ahead(-5, 10, 90), ahead(95, 10, 90)), (-15, 5));
    }

    #[test]
    fn the_system_clock_is_past_the_day_this_was_written() {
        assert!(SystemClock.now() > 1_750_000_000);
    }
}
