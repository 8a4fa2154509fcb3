//! Wrong credentials, counted by whom they come from: the more, the longer that one has to wait. Kept in memory and bounded.
//!
//! A secret of 256 bits is not guessed within one process or several, so there this only keeps the noise down. It protects a
//! gateway key that an operator chose too short, and slows whoever tries one password on many principals; what is guessed at
//! one principal is counted in the store, for all nodes.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Failures are forgotten when none came for so long.
const FORGET: i64 = 15 * 60 * 1000;
/// How many are remembered at most.
const REMEMBERED: usize = 16 * 1024;

/// Too many failures came from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many wrong credentials came from there")]
pub struct TooMany {
    /// How long to wait.
    pub milliseconds: i64,
}

/// How long those who fail have to wait.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Failures that cost nothing.
    pub free: u32,
    /// The first wait, in milliseconds; each further failure doubles it.
    pub first_wait: i64,
    /// The longest wait, in milliseconds.
    pub longest_wait: i64,
}

/// For wrong credentials from one address: a deployment with an old secret makes some before anybody notices.
pub(super) const PER_SOURCE: Limits = Limits { free: 32, first_wait: 1_000, longest_wait: 64_000 };

/// Failures of each `K`.
pub(super) struct Failures<K> {
    limits: Limits,
    remembered: Mutex<Remembered<K>>,
}

/// The younger half is where failures are written. When it is full it becomes the elder, and that one is forgotten as a
/// whole: nothing is ever looked through, however many fail at once. Whoever can make others be forgotten by failing from
/// so many addresses has the free tries of each of them anyway.
struct Remembered<K> {
    young: HashMap<K, Failed>,
    old: HashMap<K, Failed>,
}

impl<K> Default for Remembered<K> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new() }
    }
}

impl<K: Eq + Hash> Remembered<K> {
    fn failed(&self, who: &K) -> Option<Failed> {
        self.young.get(who).or_else(|| self.old.get(who)).copied()
    }

    fn put(&mut self, who: K, failed: Failed) {
        if self.young.len() >= REMEMBERED / 2 && !self.young.contains_key(&who) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(who, failed);
    }
}

#[derive(Clone, Copy)]
struct Failed {
    times: u32,
    last: i64,
    wait_until: i64,
}

impl<K: Copy + Eq + Hash> Failures<K> {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, remembered: Mutex::default() }
    }

    /// Refuses whoever has to wait at `now`.
    pub(super) fn admit(&self, who: &K, now: i64) -> Result<(), TooMany> {
        match self.wait(who, now) {
            0 => Ok(()),
            milliseconds => Err(TooMany { milliseconds }),
        }
    }

    /// Milliseconds that `who` still has to wait at `now`; 0 when they need not.
    fn wait(&self, who: &K, now: i64) -> i64 {
        let longest = self.limits.longest_wait;
        self.lock().failed(who).map_or(0, |failed| failed.wait_until.saturating_sub(now).clamp(0, longest))
    }

    /// Counts a failure of `who`.
    pub(super) fn record(&self, who: K, now: i64) {
        let Limits { free, first_wait, longest_wait } = self.limits;
        let mut remembered = self.lock();
        let mut failed = remembered.failed(&who).unwrap_or(Failed { times: 0, last: now, wait_until: 0 });
        if now.saturating_sub(failed.last) > FORGET {
            failed.times = 0;
        }
        failed.times = failed.times.saturating_add(1);
        failed.last = now;
        if let Some(over) = failed.times.checked_sub(free + 1) {
            failed.wait_until = now.saturating_add(first_wait.saturating_mul(1 << over.min(16)).min(longest_wait));
        }
        remembered.put(who, failed);
    }

    /// Forgets the failures of `who`: they have shown right credentials.
    pub(super) fn forget(&self, who: &K) {
        let mut remembered = self.lock();
        remembered.young.remove(who);
        remembered.old.remove(who);
    }

    fn lock(&self) -> MutexGuard<'_, Remembered<K>> {
        self.remembered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_their_bound_and_end() {
        let failures = Failures::new(PER_SOURCE);
        for _ in 0..PER_SOURCE.free {
            failures.record(1, 0);
        }
        assert_eq!(failures.wait(&1, 0), 0);
        let waits: Vec<i64> = (0..9)
            .map(|_| {
                failures.record(1, 0);
                failures.wait(&1, 0)
            })
            .collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 64_000, 64_000]);
        assert_eq!(failures.wait(&1, 63_999), 1);
        assert_eq!(failures.wait(&1, 64_000), 0);
        assert_eq!(failures.wait(&2, 0), 0, "another one");
    }

    #[test]
    fn a_success_or_a_quiet_time_forgets() {
        let failures = Failures::new(PER_SOURCE);
        for _ in 0..=PER_SOURCE.free {
            failures.record(1, 0);
            failures.record(2, 0);
        }
        failures.forget(&1);
        assert_eq!(failures.wait(&1, 0), 0);
        failures.record(2, FORGET + 1);
        assert_eq!(failures.wait(&2, FORGET + 1), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let failures = Failures::new(PER_SOURCE);
        for number in 0..40_000 {
            failures.record(number, 0);
        }
        let remembered = failures.lock();
        assert!(remembered.young.len() + remembered.old.len() <= REMEMBERED);
    }

    #[test]
    fn whoever_comes_when_all_places_are_taken_by_some_who_wait_is_counted_too() {
        let failures = Failures::new(PER_SOURCE);
        for number in 0..2 * u32::try_from(REMEMBERED).unwrap() {
            for _ in 0..=PER_SOURCE.free {
                failures.record(number, 0);
            }
        }
        for _ in 0..=PER_SOURCE.free {
            failures.record(u32::MAX, 0);
        }
        assert_eq!(failures.wait(&u32::MAX, 0), PER_SOURCE.first_wait);
    }
}
