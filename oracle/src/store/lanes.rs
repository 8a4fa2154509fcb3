//! Lanes: operations of one node that would meet in the same rows, such as a session's, are of one lane. Where there is more
//! than one writer they go one after the other there, so that they do not make each other lose. What other nodes do is not
//! known here; against them the database decides, and who lost runs again.
//!
//! So many may wait in a lane and no more: whoever floods one session is refused there, and nobody else is.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::error::StoreError;

/// Operations that may wait in a lane behind the one under way: as many clients of one source as may start sessions at
/// once without an error.
pub(super) const WAITING: usize = 64;

/// The lanes in which there is somebody. Clones share them.
#[derive(Clone, Default)]
pub(super) struct Lanes(Arc<Mutex<HashMap<Box<[u8]>, Lane>>>);

#[derive(Default)]
struct Lane {
    inside: usize,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// A place in a lane, free again when dropped.
pub(super) struct Place {
    lanes: Lanes,
    name: Box<[u8]>,
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// The lane is the holder's until this is dropped.
pub(super) type Turn<'a> = tokio::sync::MutexGuard<'a, ()>;

impl Lanes {
    /// A place in the lane of that name; [`StoreError::Busy`] when too many wait in it.
    pub(super) fn place(&self, name: &[u8]) -> Result<Place, StoreError> {
        let mut lanes = self.lock();
        let lane = lanes.entry(name.into()).or_default();
        if lane.inside > WAITING {
            return Err(StoreError::Busy);
        }
        lane.inside += 1;
        Ok(Place { lanes: self.clone(), name: name.into(), turn: Arc::clone(&lane.turn) })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<[u8]>, Lane>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Waits until the lane is free. Whoever came first goes first.
    pub(super) async fn turn(&self) -> Turn<'_> {
        self.turn.lock().await
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Entry::Occupied(mut lane) = self.lanes.lock().entry(std::mem::take(&mut self.name)) {
            lane.get_mut().inside -= 1;
            if lane.get().inside == 0 {
                lane.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Lanes, WAITING};
    use crate::store::StoreError;

    #[test]
    fn a_full_lane_refuses_and_is_nobody_elses() {
        let lanes = Lanes::default();
        let mut one: Vec<_> = (0..=WAITING).map(|_| lanes.place(b"one").ok().unwrap()).collect();
        assert!(matches!(lanes.place(b"one"), Err(StoreError::Busy)));
        let two = lanes.place(b"two").ok().unwrap();
        one.pop();
        one.push(lanes.place(b"one").ok().unwrap());
        assert!(matches!(lanes.place(b"one"), Err(StoreError::Busy)));
        drop((one, two));
        assert!(lanes.lock().is_empty(), "nobody is remembered who has left");
    }

    #[tokio::test]
    async fn one_of_a_lane_goes_at_a_time() {
        let lanes = Lanes::default();
        let [one, two, other] = [b"one", b"one", b"two"].map(|name| lanes.place(name).ok().unwrap());
        let turn = one.turn().await;
        assert!(futures_util::FutureExt::now_or_never(two.turn()).is_none());
        let _free = other.turn().await;
        drop(turn);
        let _next = two.turn().await;
    }
}
