//! Work that one caller has done one after the other, however many requests they send: others' comes in between.

use crate::memory::pool::PoolError;
use crate::store::Digest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Mutex as Line, OwnedMutexGuard};

/// Requests of one caller that have their turn or wait for it.
const IN_LINE: usize = 4;

/// A line for each caller who has something under way.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Digest, Arc<Line<()>>>>);

impl Turns {
    /// Waits for a caller's turn, which lasts until what is given is dropped; [`PoolError::Overloaded`] when too many of the same
    /// caller's requests wait already.
    pub async fn turn(&self, who: Digest) -> Result<OwnedMutexGuard<()>, PoolError> {
        let line = {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Where nobody waits and nothing is under way there is no line.
            lines.retain(|_, line| Arc::strong_count(line) > 1);
            let line = lines.entry(who).or_default();
            // The map's own is one of them.
            if Arc::strong_count(line) > IN_LINE {
                return Err(PoolError::Overloaded);
            }
            Arc::clone(line)
        };
        Ok(line.lock_owned().await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn one_caller_has_one_turn_at_a_time_and_leaves_no_line_behind() {
        let turns = Turns::default();
        let first = turns.turn([1; 32]).await.unwrap();
        let mut second = Box::pin(turns.turn([1; 32]));
        assert!(second.as_mut().now_or_never().is_none(), "it waits");
        let other = turns.turn([2; 32]).await.unwrap();
        drop(first);
        let second = second.await.unwrap();
        assert_eq!(turns.0.lock().unwrap().len(), 2);
        drop((second, other));
        drop(turns.turn([3; 32]).await.unwrap());
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn only_so_many_of_one_caller_wait() {
        let turns = Turns::default();
        let first = turns.turn([1; 32]).await.unwrap();
        let mut waiting: Vec<_> = (1..IN_LINE).map(|_| Box::pin(turns.turn([1; 32]))).collect();
        for one in &mut waiting {
            assert!(one.as_mut().now_or_never().is_none(), "it waits");
        }
        assert!(matches!(turns.turn([1; 32]).await, Err(PoolError::Overloaded)));
        drop(turns.turn([2; 32]).await.unwrap());
        drop((first, waiting));
        drop(turns.turn([1; 32]).await.unwrap());
    }
}
