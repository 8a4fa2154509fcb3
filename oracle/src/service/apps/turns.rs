//! Work that one caller has done one after the other, however many requests they send: others' comes in between.

use crate::store::Digest;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Mutex as Line, OwnedMutexGuard};

/// A line for each caller who has something under way.
#[derive(Default)]
pub(super) struct Turns(Mutex<HashMap<Digest, Arc<Line<()>>>>);

impl Turns {
    /// Waits for a caller's turn, which lasts until what is given is dropped.
    pub async fn turn(&self, who: Digest) -> OwnedMutexGuard<()> {
        let line = {
            let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            // Where nobody waits and nothing is under way there is no line.
            lines.retain(|_, line| Arc::strong_count(line) > 1);
            Arc::clone(lines.entry(who).or_default())
        };
        line.lock_owned().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn one_caller_has_one_turn_at_a_time_and_leaves_no_line_behind() {
        let turns = Turns::default();
        let first = turns.turn([1; 32]).await;
        let mut second = Box::pin(turns.turn([1; 32]));
        assert!(second.as_mut().now_or_never().is_none(), "it waits");
        let other = turns.turn([2; 32]).await;
        drop(first);
        let second = second.await;
        assert_eq!(turns.0.lock().unwrap().len(), 2);
        drop((second, other));
        drop(turns.turn([3; 32]).await);
        assert_eq!(turns.0.lock().unwrap().len(), 1);
    }
}
