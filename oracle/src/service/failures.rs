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

impl Limits {
    /// How long somebody waits in all who has failed so often, and does so many times more.
    fn waits(self, times: u32, more: u32) -> i64 {
        let Self { free, first_wait, longest_wait } = self;
        let over = (1..=more).filter_map(|more| times.saturating_add(more).checked_sub(free + 1));
        over.map(|over| first_wait.saturating_mul(1 << over.min(16)).min(longest_wait)).fold(0, i64::saturating_add)
    }
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
    /// From when on they wait, and for how long.
    from: i64,
    wait: i64,
}

impl Failed {
    /// Milliseconds that are left at `now`; never more than there were, whatever became of the clock.
    fn left(self, now: i64) -> i64 {
        self.from.saturating_add(self.wait).saturating_sub(now).clamp(0, self.wait)
    }

    /// Failures that were long ago are forgotten.
    fn at(self, now: i64) -> Self {
        if now.saturating_sub(self.last) > FORGET { Self { times: 0, ..self } } else { self }
    }
}

/// Places of somebody who tries something, counted as failures until they are given back: what has not ended yet must not be tried
/// beside it as if it had gone well.
#[must_use = "the places are given back when it is dropped"]
pub(super) struct Places<'a, K: Copy + Eq + Hash> {
    failures: &'a Failures<K>,
    who: K,
    count: u32,
    before: Failed,
    taken: Failed,
}

impl<K: Copy + Eq + Hash> Places<'_, K> {
    /// Keeps so many of them, which were failures, and gives the others back.
    pub(super) fn keep(mut self, failures: u32) {
        self.give_back(self.count.saturating_sub(failures));
        self.count = 0;
    }

    fn give_back(&mut self, count: u32) {
        if self.count == 0 {
            return;
        }
        let kept = self.count.saturating_sub(count);
        let mut remembered = self.failures.lock();
        let Some(mut failed) = remembered.failed(&self.who) else { return };
        failed.times = failed.times.saturating_sub(count);
        // Others may have failed since.
        if (failed.from, failed.wait) == (self.taken.from, self.taken.wait) {
            let wait = self.failures.limits.waits(failed.times.saturating_sub(kept), kept);
            (failed.from, failed.wait) =
                if wait > 0 { (self.taken.last, wait) } else { (self.before.from, self.before.wait) };
        }
        if kept == 0 && failed.last == self.taken.last {
            failed.last = self.before.last;
        }
        remembered.put(self.who, failed);
    }
}

impl<K: Copy + Eq + Hash> Drop for Places<'_, K> {
    fn drop(&mut self) {
        self.give_back(self.count);
    }
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
        self.lock().failed(who).map_or(0, |failed| failed.left(now))
    }

    /// Takes places for what is about to be tried, so many at once, unless `who` has to wait at `now`. Whoever takes several waits for
    /// each of them.
    pub(super) fn take(&self, who: K, count: u32, now: i64) -> Result<Places<'_, K>, TooMany> {
        let mut remembered = self.lock();
        let before = remembered.failed(&who).unwrap_or(Failed { times: 0, last: now, from: now, wait: 0 });
        if count == 0 {
            // Who tries nothing need not wait.
            return Ok(Places { failures: self, who, count, before, taken: before });
        }
        match before.left(now) {
            0 => {}
            milliseconds => return Err(TooMany { milliseconds }),
        }
        let before = before.at(now);
        let taken = self.failed(before, count, now);
        remembered.put(who, taken);
        Ok(Places { failures: self, who, count, before, taken })
    }

    /// Who has failed so many times more.
    fn failed(&self, before: Failed, count: u32, now: i64) -> Failed {
        let wait = self.limits.waits(before.times, count);
        let (from, wait) = if wait > 0 { (now, wait) } else { (before.from, before.wait) };
        Failed { times: before.times.saturating_add(count), last: now, from, wait }
    }

    /// Counts a failure of `who`.
    pub(super) fn record(&self, who: K, now: i64) {
        let mut remembered = self.lock();
        let before = remembered.failed(&who).unwrap_or(Failed { times: 0, last: now, from: now, wait: 0 });
        let failed = self.failed(before.at(now), 1, now);
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
    fn what_is_under_way_is_counted_until_it_has_gone_well() {
        let failures = Failures::new(PER_SOURCE);
        let mut places: Vec<_> = (0..=PER_SOURCE.free).map(|_| failures.take(1, 1, 0).unwrap()).collect();
        assert!(failures.take(1, 1, 0).is_err(), "more at once than may fail");
        places.pop().unwrap().keep(0);
        let last = failures.take(1, 1, 0).unwrap();
        places.drain(1..).for_each(drop);
        places.pop().unwrap().keep(1);
        last.keep(1);
        assert_eq!((failures.wait(&1, 0), failures.lock().failed(&1).unwrap().times), (0, 2));
        for _ in 2..=PER_SOURCE.free {
            failures.take(1, 1, 0).unwrap().keep(1);
        }
        assert_eq!(failures.wait(&1, 0), PER_SOURCE.first_wait);
        // Whoever has waited and does right has not to wait longer, and whoever does wrong twice as long.
        failures.take(1, 1, 1_000).unwrap().keep(0);
        failures.take(1, 1, 1_000).unwrap().keep(1);
        assert_eq!(failures.wait(&1, 1_000), 2 * PER_SOURCE.first_wait);
    }

    #[test]
    fn several_at_once_cost_what_they_would_one_by_one() {
        let failures = Failures::new(PER_SOURCE);
        failures.take(1, PER_SOURCE.free, 0).unwrap().keep(PER_SOURCE.free);
        failures.take(1, 9, 0).unwrap().keep(3);
        assert_eq!(failures.wait(&1, 0), 1_000 + 2_000 + 4_000);
        assert_eq!(failures.wait(&1, -1_000), 7_000, "the clock was set back");
        assert!(failures.take(1, 1, 6_999).is_err());
        failures.take(1, 0, 6_999).unwrap().keep(0);
        failures.take(1, 64, 7_000).unwrap().keep(64);
        assert_eq!(failures.wait(&1, 7_000), 8_000 + 16_000 + 32_000 + 61 * 64_000);
        // Somebody else's failure beside it stays.
        failures.take(2, PER_SOURCE.free, 0).unwrap().keep(PER_SOURCE.free);
        let under_way = failures.take(2, 1, 0).unwrap();
        failures.record(2, 500);
        under_way.keep(0);
        assert_eq!(failures.wait(&2, 500), 2 * PER_SOURCE.first_wait);
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
