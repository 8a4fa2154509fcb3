//! What each kind of operation may take of the server's connections and of the room to wait for one, so that a flood of one
//! kind does not refuse the others; and connections whose commit was never answered.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use deadpool::managed::Timeouts;
use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError},
};

use super::{
    failure::Failure,
    pool::{Object, Pool, Session},
};
use crate::store::error::StoreError;

/// How long a connection counts whose commit is not answered. The server goes on with it and does not hear that nobody
/// waits any more: whoever made another one in its place would in the end have taken all that there are.
const UNANSWERED: Duration = Duration::from_secs(30);

/// One kind's.
pub(super) struct Budget {
    pool: Pool,
    /// A place for each operation that is under way or waits for a connection.
    places: Arc<Semaphore>,
    all_places: u32,
    /// Connections of the pool that they may hold at once.
    share: Arc<Semaphore>,
    wait: Duration,
    /// How long an operation may take with all that it waits for.
    pub(super) most: Duration,
}

impl Budget {
    /// With so many places, and so many connections at once.
    pub(super) fn new(pool: &Pool, places: usize, share: usize, wait: Duration, most: Duration) -> Self {
        let all_places = u32::try_from(places.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX >> 4);
        Self {
            pool: pool.clone(),
            places: Arc::new(Semaphore::new(all_places as usize)),
            all_places,
            share: Arc::new(Semaphore::new(share.max(1))),
            wait,
            most,
        }
    }

    /// The share of a kind that leaves some of so many connections to others.
    pub(super) fn share_of(connections: usize) -> usize {
        connections.saturating_sub((connections / 4).max(1)).max(1)
    }

    /// A place, free again when dropped.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, StoreError> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|refused| match refused {
            TryAcquireError::NoPermits => StoreError::Busy,
            TryAcquireError::Closed => StoreError::Stopped,
        })
    }

    /// A connection, waited for no longer than it may be.
    pub(super) async fn connection(&self) -> Result<Held, Failure> {
        let begun = Instant::now();
        let share = tokio::time::timeout(self.wait, Arc::clone(&self.share).acquire_owned()).await;
        let share = share.map_err(|_late| Failure::Final(StoreError::Busy))?;
        let share = share.map_err(|_closed| Failure::Final(StoreError::Stopped))?;
        let wait = Some(self.wait.saturating_sub(begun.elapsed()));
        let connection = self.pool.timeout_get(&Timeouts { wait, ..self.pool.timeouts() }).await?;
        Ok(Held { taken: Some(Taken { connection, _share: share }), committing: AtomicBool::new(false) })
    }

    /// Lets nobody in any more, and waits for those who are.
    pub(super) async fn close(&self) {
        drop(tokio::time::timeout(self.most, self.places.acquire_many(self.all_places)).await);
        self.places.close();
        self.share.close();
    }
}

struct Taken {
    connection: Object,
    _share: OwnedSemaphorePermit,
}

/// A connection that is thrown away, and its transaction with it, unless it is given back.
pub(super) struct Held {
    taken: Option<Taken>,
    committing: AtomicBool,
}

impl Held {
    pub(super) fn connection(&self) -> &Session {
        &self.taken.as_ref().expect("held until given back").connection
    }

    /// From now on the server may be busy with it although nobody waits.
    pub(super) fn committing(&self) {
        self.committing.store(true, Ordering::Relaxed);
    }

    pub(super) fn give_back(mut self) {
        drop(self.taken.take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Some(taken) = self.taken.take() else { return };
        let unanswered = *self.committing.get_mut() && !taken.connection.is_closed();
        match Handle::try_current() {
            Ok(runtime) if unanswered => drop(runtime.spawn(taken.settle())),
            _ => taken.throw_away(),
        }
    }
}

impl Taken {
    /// Keeps its place until the server has answered. What is asked now is answered after the commit, and finds nothing to
    /// undo.
    async fn settle(self) {
        metrics::counter!("quorate_store_unanswered_total").increment(1);
        let answered = tokio::time::timeout(UNANSWERED, self.connection.batch_execute("ROLLBACK")).await;
        if !matches!(answered, Ok(Ok(()))) {
            self.throw_away();
        }
    }

    fn throw_away(self) {
        drop(Object::take(self.connection));
    }
}
