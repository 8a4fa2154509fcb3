//! A bounded queue in front of threads. Whoever finds it full is told so at once; who asks how the store is has places of
//! their own. Knows no SQL.

use std::sync::{
    Arc,
    mpsc::{Receiver, Sender, channel},
};

use tokio::sync::{Semaphore, oneshot};

use super::job::{self, Message, Waiting};
use crate::store::{engine::Act, error::StoreError, lanes::Place};

/// Places for those who ask how the store is.
const HEALTH: usize = 8;

/// The queue.
pub(super) struct Queue {
    sender: Sender<Message>,
    places: Arc<Semaphore>,
    health: Arc<Semaphore>,
}

/// Whose place an operation takes while it waits.
pub(super) enum For {
    Health,
    Reads,
    Writes(Place),
}

impl Queue {
    /// With so many places, and where those who wait come out.
    pub(super) fn new(places: usize) -> (Self, Receiver<Message>) {
        let (sender, waiting) = channel();
        let places = Arc::new(Semaphore::new(places.clamp(1, Semaphore::MAX_PERMITS)));
        (Self { sender, places, health: Arc::new(Semaphore::new(HEALTH)) }, waiting)
    }

    /// Puts an operation in, without waiting for room; gives where its answer will come.
    pub(super) fn submit<I, T>(
        &self,
        whose: For,
        input: I,
        act: Act<I, T>,
    ) -> Result<oneshot::Receiver<Result<T, StoreError>>, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let (places, lane) = match whose {
            For::Health => (&self.health, None),
            For::Reads => (&self.places, None),
            For::Writes(lane) => (&self.places, Some(lane)),
        };
        let place = Arc::clone(places).try_acquire_owned().map_err(|_full| StoreError::Busy)?;
        let (job, answer) = job::new(input, act, Waiting { _place: place, _lane: lane });
        self.sender.send(Message::Job(job)).map_err(|_ended| StoreError::Stopped)?;
        Ok(answer)
    }

    /// Has one thread end after what is waiting.
    pub(super) fn stop(&self) {
        // An error means that it has ended already.
        drop(self.sender.send(Message::Stop));
    }
}
