//! Places for those who follow sessions: bounded in all and per source, so that a stranger cannot take every connection.

use crate::store::Digest;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Connections that may follow sessions at once.
const IN_ALL: usize = 2048;
/// Of one source.
const PER_SOURCE: usize = 128;

/// Who follows, by the keyed hash of their address.
#[derive(Default)]
pub(super) struct Watchers(Mutex<HashMap<Digest, usize>>);

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

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, usize>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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
