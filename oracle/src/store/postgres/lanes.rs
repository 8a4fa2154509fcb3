//! Lanes: operations of one node that would meet in the same rows go one after the other, so that they do not make each
//! other lose. What other nodes do is not known here; against them the database decides, and who lost runs again.

use std::hash::{BuildHasher, Hasher as _, RandomState};

use tokio::sync::{Mutex, MutexGuard};

/// More than there are connections, so that strangers seldom share one.
const LANES: usize = 1024;

/// The lanes.
pub(super) struct Lanes {
    names: RandomState,
    lanes: Vec<Mutex<()>>,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { names: RandomState::new(), lanes: (0..LANES).map(|_| Mutex::new(())).collect() }
    }

    /// Waits until the lane of that name is free; it is taken until the guard is dropped. Whoever came first goes first.
    pub(super) async fn enter(&self, name: &[u8]) -> MutexGuard<'_, ()> {
        let mut hasher = self.names.build_hasher();
        hasher.write(name);
        let place = hasher.finish() % LANES as u64;
        self.lanes[usize::try_from(place).expect("below the number of lanes")].lock().await
    }
}
