//! An operation on its way through a queue: what to do, and whom to answer. Knows no SQL.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, Waker},
};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::store::{
    engine::{Act, Tx},
    error::StoreError,
    lanes::Place,
};

/// What waits in a queue.
pub(super) enum Message {
    /// An operation.
    Job(Box<dyn Job>),
    /// Stop after what came before.
    Stop,
}

/// An operation whose types a queue need not know.
pub(super) trait Job: Send {
    /// Does it, and remembers what came out. An error means that its part of the transaction must be undone.
    fn run(&mut self, tx: &mut dyn Tx) -> Result<(), StoreError>;

    /// Tells the caller: what came out if the commit went well, otherwise why nothing did.
    fn answer(self: Box<Self>, committed: Result<(), StoreError>);
}

/// What an operation takes of the room for those who wait; given back when it is run.
pub(super) struct Waiting {
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) _lane: Option<Place>,
}

struct Work<I, T> {
    waiting: Option<Waiting>,
    input: I,
    act: Act<I, T>,
    outcome: Option<Result<T, StoreError>>,
    caller: oneshot::Sender<Result<T, StoreError>>,
}

/// A job and where its answer will come.
pub(super) fn new<I, T>(
    input: I,
    act: Act<I, T>,
    waiting: Waiting,
) -> (Box<dyn Job>, oneshot::Receiver<Result<T, StoreError>>)
where
    I: Send + Sync + 'static,
    T: Send + 'static,
{
    let (caller, answer) = oneshot::channel();
    (Box::new(Work { waiting: Some(waiting), input, act, outcome: None, caller }), answer)
}

impl<I: Send + Sync, T: Send> Job for Work<I, T> {
    fn run(&mut self, tx: &mut dyn Tx) -> Result<(), StoreError> {
        drop(self.waiting.take());
        let (act, input) = (self.act, &self.input);
        // A panic must not take the thread, and with it every later write, down. What it left half-done is undone.
        let outcome = catch_unwind(AssertUnwindSafe(|| drive(act, tx, input))).unwrap_or(Err(StoreError::Panicked));
        let result = outcome.as_ref().map(|_| ()).map_err(Clone::clone);
        self.outcome = Some(outcome);
        result
    }

    fn answer(self: Box<Self>, committed: Result<(), StoreError>) {
        let answer = match (self.outcome, committed) {
            (Some(Err(own)), _) => Err(own),
            (_, Err(shared)) => Err(shared),
            (Some(Ok(value)), Ok(())) => Ok(value),
            (None, Ok(())) => Err(StoreError::Stopped),
        };
        // A caller that went away does not want to know.
        drop(self.caller.send(answer));
    }
}

/// Drives an operation without a runtime: the embedded engine's futures are ready when made, so one poll is enough.
fn drive<I, T>(act: Act<I, T>, tx: &mut dyn Tx, input: &I) -> Result<T, StoreError> {
    match act(tx, input).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(outcome) => outcome,
        Poll::Pending => unreachable!("an operation waits for nothing but its transaction"),
    }
}
