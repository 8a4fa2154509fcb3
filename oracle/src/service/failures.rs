//! Wrong credentials, counted by whom they come from: the more, the longer that one has to wait. Kept in memory and bounded.
//!
//! A secret of 256 bits is not guessed within one process or several, so there this only keeps the noise down. It protects a
//! gateway key that an operator chose too short, and slows whoever tries one password on many principals; what is guessed at
//! one principal is counted in the store, for all nodes.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Failures are forgotten when none came for so long.
const FORGET: i64 = 15 * 60 * 1000;
/// The longest wait for what was tried at once: short enough that nothing is forgotten meanwhile.
const LONGEST_AT_ONCE: i64 = 10 * 60 * 1000;
/// What somebody waits in milliseconds who tries more at once than may fail: what is under way has ended then.
const BESIDE: i64 = 1_000;
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
        over.map(|over| first_wait.saturating_mul(1 << over.min(16)).min(longest_wait))
            .fold(0, i64::saturating_add)
            .min(LONGEST_AT_ONCE)
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
    /// Places of those who have some: as many entries as there are requests at most.
    under_way: HashMap<K, u32>,
}

impl<K> Default for Remembered<K> {
    fn default() -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), under_way: HashMap::new() }
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

/// Places of somebody who tries something, which has not ended yet. Only so many may be tried beside each other as may all fail.
#[must_use = "the places are free again when it is dropped"]
pub(super) struct Places<'a, K: Copy + Eq + Hash> {
    failures: &'a Failures<K>,
    who: K,
    count: u32,
    now: i64,
}

impl<K: Copy + Eq + Hash> Places<'_, K> {
    /// Counts so many of them as failures.
    pub(super) fn keep(self, failures: u32) {
        let failures = failures.min(self.count);
        if failures > 0 {
            self.failures.count(self.who, failures, self.now);
        }
    }
}

impl<K: Copy + Eq + Hash> Drop for Places<'_, K> {
    fn drop(&mut self) {
        let mut remembered = self.failures.lock();
        if let Entry::Occupied(mut under_way) = remembered.under_way.entry(self.who) {
            *under_way.get_mut() = under_way.get().saturating_sub(self.count);
            if *under_way.get() == 0 {
                under_way.remove();
            }
        }
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
    /// each of them that fails.
    pub(super) fn take(&self, who: K, count: u32, now: i64) -> Result<Places<'_, K>, TooMany> {
        if count == 0 {
            // Who tries nothing need not wait.
            return Ok(Places { failures: self, who, count, now });
        }
        let mut remembered = self.lock();
        let failed = remembered.failed(&who);
        let left = failed.map_or(0, |failed| failed.left(now));
        let times = failed.map_or(0, |failed| failed.at(now).times);
        let under_way = remembered.under_way.get(&who).copied().unwrap_or(0);
        let at_once = under_way.saturating_add(count);
        let waits =
            if left == 0 && under_way > 0 && times.saturating_add(at_once) > self.limits.free { BESIDE } else { left };
        if waits > 0 {
            return Err(TooMany { milliseconds: waits });
        }
        remembered.under_way.insert(who, at_once);
        Ok(Places { failures: self, who, count, now })
    }

    /// Counts a failure of `who`.
    pub(super) fn record(&self, who: K, now: i64) {
        self.count(who, 1, now);
    }

    fn count(&self, who: K, more: u32, now: i64) {
        let mut remembered = self.lock();
        let before = remembered.failed(&who).unwrap_or(Failed { times: 0, last: now, from: now, wait: 0 }).at(now);
        let wait = self.limits.waits(before.times, more);
        let (from, wait) = if wait > 0 { (now, wait) } else { (before.from, before.wait) };
        remembered.put(who, Failed { times: before.times.saturating_add(more), last: now, from, wait });
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
    fn no_more_is_under_way_at_once_than_may_fail() {
        let failures = Failures::new(PER_SOURCE);
        let mut places: Vec<_> = (0..PER_SOURCE.free).map(|_| failures.take(1, 1, 0).unwrap()).collect();
        let beside = failures.take(1, 1, 0).err().expect("more at once than may fail");
        assert_eq!(beside.milliseconds, BESIDE);
        assert!(failures.take(2, 1, 0).is_ok(), "another one");
        // What has gone well makes room at once; what has failed does not.
        places.pop().unwrap().keep(0);
        let last = failures.take(1, 1, 0).unwrap();
        places.pop().unwrap().keep(1);
        assert!(failures.take(1, 1, 0).is_err());
        places.drain(..).for_each(drop);
        last.keep(1);
        assert_eq!((failures.wait(&1, 0), failures.lock().failed(&1).unwrap().times), (0, 2));
        assert!(failures.lock().under_way.is_empty());
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
    fn right_ones_beside_each_other_cost_nothing() {
        let failures = Failures::new(PER_SOURCE);
        for _ in 0..100 {
            let first = failures.take(1, PER_SOURCE.free, 0).unwrap();
            assert_eq!(failures.take(1, PER_SOURCE.free, 0).err().map(|beside| beside.milliseconds), Some(BESIDE));
            first.keep(0);
        }
        assert_eq!(failures.wait(&1, 0), 0);
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
        assert_eq!(failures.wait(&1, 7_000), LONGEST_AT_ONCE);
        assert_eq!(failures.wait(&1, 7_000 + FORGET), 0);
        failures.record(1, 7_000 + LONGEST_AT_ONCE);
        assert_eq!(failures.wait(&1, 7_000 + LONGEST_AT_ONCE), 64_000, "whoever has waited is remembered");
        // Somebody else's failure beside it stays.
        failures.take(2, PER_SOURCE.free, 0).unwrap().keep(PER_SOURCE.free);
        let under_way = failures.take(2, 1, 0).unwrap();
        failures.record(2, 500);
        under_way.keep(0);
        assert_eq!(failures.wait(&2, 500), PER_SOURCE.first_wait);
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
