//! What is recorded one by one of that which anybody can do without showing that they may: so much an hour for a source, and for
//! all of them together. Beyond that it is counted by kind. A principal that does what only as much is let be done of as is recorded
//! has as much for itself. Kept by this node, and forgotten by it.

use super::entry::{Entry, Kind, Who};
use crate::config::Config;
use crate::store::Digest;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

const HOUR: i64 = 60 * 60 * 1000;
/// Sources that are remembered at once. When there are more, those that have used little are forgotten.
const SOURCES: usize = 16 * 1024;

/// Events an hour.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// That one source may cause.
    pub per_source: u32,
    /// That all sources may cause together.
    pub in_all: u32,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self { per_source: config.audit_per_source, in_all: config.audit_in_all }
    }
}

/// The budget of one node.
pub(super) struct Budget {
    limits: Limits,
    used: Mutex<Used>,
}

#[derive(Default)]
struct Used {
    in_all: Bucket,
    sources: HashMap<Digest, Bucket>,
    counts: BTreeMap<Kind, u64>,
}

/// Milliseconds of its hour that a source has used up, as of a time.
#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    used: i64,
    at: i64,
}

impl Bucket {
    fn left(self, now: i64) -> i64 {
        HOUR - self.used_at(now)
    }

    fn used_at(self, now: i64) -> i64 {
        self.used.saturating_sub(now.saturating_sub(self.at).max(0)).max(0)
    }

    fn use_up(&mut self, cost: i64, now: i64) {
        *self = Self { used: self.used_at(now) + cost, at: self.at.max(now) };
    }
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, used: Mutex::default() }
    }

    /// Whether one more event of `source` is recorded; it is counted otherwise.
    pub(super) fn take(&self, kind: Kind, source: &Digest, now: i64) -> bool {
        let Limits { per_source, in_all } = self.limits;
        let mut used = self.lock();
        let (own, all) = (cost(per_source), cost(in_all));
        let mut bucket = used.sources.get(source).copied().unwrap_or_default();
        if bucket.left(now) < own || used.in_all.left(now) < all {
            *used.counts.entry(kind).or_default() += 1;
            return false;
        }
        used.in_all.use_up(all, now);
        bucket.use_up(own, now);
        used.remember(*source, bucket, now);
        true
    }

    /// Whether one more event of a principal is recorded, which is to do nothing otherwise. What others cause leaves it alone, and at
    /// least one an hour there always is.
    pub(super) fn take_own(&self, principal: &Digest, now: i64) -> bool {
        let (mut used, own) = (self.lock(), self.own());
        let mut bucket = used.sources.get(principal).copied().unwrap_or_default();
        if bucket.left(now) < own {
            return false;
        }
        bucket.use_up(own, now);
        used.remember(*principal, bucket, now);
        true
    }

    /// Takes back one event of a principal, of which nothing came.
    pub(super) fn give_back(&self, principal: &Digest, now: i64) {
        let own = self.own();
        if let Some(bucket) = self.lock().sources.get_mut(principal) {
            *bucket = Bucket { used: (bucket.used_at(now) - own).max(0), at: bucket.at.max(now) };
        }
    }

    fn own(&self) -> i64 {
        cost(self.limits.per_source.max(1))
    }

    /// Counts something that is never recorded by itself.
    pub(super) fn count(&self, kind: Kind) {
        *self.lock().counts.entry(kind).or_default() += 1;
    }

    /// What was counted since the last time, if anything.
    pub(super) fn counted(&self) -> Option<Entry> {
        let counts = std::mem::take(&mut self.lock().counts);
        let entry = Entry::new(Kind::AuditCounted, Who::Oracle);
        (!counts.is_empty())
            .then(|| counts.into_iter().fold(entry, |entry, (kind, count)| entry.with(kind.as_str(), count)))
    }

    fn lock(&self) -> MutexGuard<'_, Used> {
        // Nothing that can panic runs under the lock.
        self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Used {
    fn remember(&mut self, source: Digest, bucket: Bucket, now: i64) {
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            self.sources.retain(|_, bucket| bucket.used_at(now) > HOUR / 16);
            if self.sources.len() >= SOURCES {
                self.sources.clear();
            }
        }
        self.sources.insert(source, bucket);
    }
}

/// Milliseconds of an hour that one event of so many takes.
fn cost(events: u32) -> i64 {
    HOUR.checked_div(events.into()).unwrap_or(HOUR + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(budget: &Budget, source: u8, now: i64, times: usize) -> usize {
        (0..times).filter(|_| budget.take(Kind::SessionAsked, &[source; 32], now)).count()
    }

    #[test]
    fn a_source_has_its_own_and_time_gives_it_back() {
        let budget = Budget::new(Limits { per_source: 60, in_all: 1000 });
        assert_eq!(takes(&budget, 1, 0, 100), 60);
        assert_eq!(takes(&budget, 2, 0, 100), 60, "another one's");
        assert_eq!(takes(&budget, 1, 59_999, 100), 0);
        assert_eq!(takes(&budget, 1, 60_000, 100), 1);
        assert_eq!(takes(&budget, 1, 0, 100), 0, "a clock that goes back gives nothing");
        assert_eq!(takes(&budget, 1, 10 * HOUR, 100), 60);
    }

    #[test]
    fn all_sources_have_one_together_and_what_is_beyond_is_counted() {
        let budget = Budget::new(Limits { per_source: 60, in_all: 100 });
        assert_eq!(takes(&budget, 1, 0, 60) + takes(&budget, 2, 0, 60), 100);
        budget.count(Kind::ApiKeyRefused);
        let counted = budget.counted().expect("something");
        assert_eq!(counted.details["session.asked"], 20);
        assert_eq!(counted.details["api_key.refused"], 1);
        assert!(budget.counted().is_none(), "told once");
    }

    #[test]
    fn a_principal_has_its_own_whatever_others_do_and_gets_back_what_came_to_nothing() {
        let budget = Budget::new(Limits { per_source: 60, in_all: 10 });
        assert_eq!(takes(&budget, 1, 0, 100), 10, "all that others have together");
        let own = |times: usize| (0..times).filter(|_| budget.take_own(&[7; 32], 0)).count();
        assert_eq!(own(100), 60);
        budget.give_back(&[7; 32], 0);
        budget.give_back(&[8; 32], 0);
        assert_eq!(own(100), 1);
        assert!(budget.take_own(&[7; 32], 60_000), "time gives it back");
        assert!(budget.counted().expect("those of others").details.keys().all(|kind| kind == "session.asked"));
        let nothing = Budget::new(Limits { per_source: 0, in_all: 0 });
        assert!(nothing.take_own(&[7; 32], 0) && !nothing.take_own(&[7; 32], 0));
    }

    #[test]
    fn nothing_may_be_allowed() {
        assert_eq!(takes(&Budget::new(Limits { per_source: 0, in_all: 10 }), 1, 0, 10), 0);
        assert_eq!(takes(&Budget::new(Limits { per_source: 10, in_all: 0 }), 1, 0, 10), 0);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let budget = Budget::new(Limits { per_source: 10, in_all: u32::MAX });
        for number in 0..3 * u32::try_from(SOURCES).unwrap() {
            let mut source = [0; 32];
            source[..4].copy_from_slice(&number.to_be_bytes());
            assert!(budget.take(Kind::SessionAsked, &source, 0));
        }
        assert!(budget.lock().sources.len() <= SOURCES);
    }
}
