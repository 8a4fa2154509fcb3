//! Places for those who follow sessions: bounded in all and per source, so that a stranger cannot take every connection.

use crate::store::Digest;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Connections that may follow sessions at once.
const IN_ALL: usize = 2048;
/// Of one source.
const PER_SOURCE: usize = 128;

/// Looks at the store at once: far fewer than it has connections, so that those who ask are served while many follow.
const LOOKS: usize = 4;

/// Who follows.
pub(super) struct Watchers {
    /// How many of each source, by the keyed hash of their address.
    sources: Mutex<HashMap<Digest, usize>>,
    looks: Semaphore,
}

impl Default for Watchers {
    fn default() -> Self {
        Self { sources: Mutex::default(), looks: Semaphore::new(LOOKS) }
    }
}

/// A place, free again when dropped.
pub struct Place {
    watchers: Arc<Watchers>,
    source: Digest,
}

impl Watchers {
    /// A place for `source`; `None` when it has as many as it may, or all are taken.
    pub fn take(self: &Arc<Self>, source: Digest) -> Option<Place> {
        let mut sources = self.lock();
        let taken: usize = sources.values().sum();
        let own = sources.get(&source).copied().unwrap_or(0);
        if taken >= IN_ALL || own >= PER_SOURCE {
            return None;
        }
        sources.insert(source, own + 1);
        Some(Place { watchers: Arc::clone(self), source })
    }

    /// A turn to look at the store, over when dropped.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        self.looks.acquire().await.expect("it is never closed")
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        // Nothing that can panic runs under the lock.
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut own) = self.watchers.lock().entry(self.source) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[test]
    fn one_source_leaves_room_for_others() {
        let watchers = Arc::new(Watchers::default());
        let mut mine: Vec<Place> = (0..PER_SOURCE).map(|_| watchers.take([1; 32]).expect("room")).collect();
        assert!(watchers.take([1; 32]).is_none());
        let theirs = watchers.take([2; 32]);
        assert!(theirs.is_some());
        mine.pop();
        assert!(watchers.take([1; 32]).is_some());
        drop((mine, theirs));
        assert!(watchers.lock().is_empty(), "nobody is remembered who has left");
    }

    #[tokio::test]
    async fn only_so_many_look_at_once() {
        let watchers = Watchers::default();
        let mut turns = Vec::new();
        for _ in 0..LOOKS {
            turns.push(watchers.turn().await);
        }
        assert!(watchers.turn().now_or_never().is_none());
        turns.pop();
        assert!(watchers.turn().now_or_never().is_some());
    }

    #[test]
    fn many_sources_have_an_end() {
        let watchers = Arc::new(Watchers::default());
        let source = |i: usize| [u8::try_from(i % 251).expect("small"), u8::try_from(i / 251).expect("small")];
        let places: Vec<Place> = (0..IN_ALL)
            .map(|i| watchers.take(quorate_protocol::encoding::sha256(&[&source(i)])).expect("room"))
            .collect();
        assert!(watchers.take([9; 32]).is_none());
        drop(places);
        assert!(watchers.take([9; 32]).is_some());
    }
}
