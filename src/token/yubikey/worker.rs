//! Calls that block in a library for as long as a card likes, with a limit on the waiting: they run on a thread of their own,
//! which is left behind when the limit has passed. It must not know what the calls do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// How long closing a connection may hold up whoever drops it.
const FAREWELL: Duration = Duration::from_secs(1);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum NoAnswer {
    /// The limit has passed before the call had the card for itself.
    Waiting,
    /// The limit has passed while the card was at work.
    Late,
    /// The call panicked.
    Panicked,
}

type Job<S> = Box<dyn FnOnce(&mut S) + Send>;

/// A thread that owns `S` and does one job after the other with it.
pub(super) struct Worker<S> {
    jobs: Option<Sender<Job<S>>>,
    ended: Receiver<()>,
    busy: Busy,
    /// Whether the thread is stuck in a call, so that nobody should wait for it.
    stuck: bool,
}

/// Set by a job once it has the card for itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Busy(Arc<AtomicBool>);

impl Busy {
    pub(super) fn set(&self, busy: bool) {
        self.0.store(busy, Ordering::Relaxed);
    }

    fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

impl<S: 'static> Worker<S> {
    /// Makes `S` on the new thread. `close` is its end.
    pub(super) fn start<E: Send + 'static>(
        limit: Duration,
        open: impl FnOnce(&Busy) -> Result<S, E> + Send + 'static,
        close: impl FnOnce(S) + Send + 'static,
    ) -> Result<Self, Result<E, NoAnswer>> {
        let (jobs, coming) = channel::<Job<S>>();
        let (opened, open_result) = channel();
        let (farewell, ended) = channel();
        let busy = Busy::default();
        let own_busy = busy.clone();
        thread::spawn(move || {
            let mut state = match open(&own_busy) {
                Ok(state) => state,
                // Who waits may have given up.
                Err(error) => return drop(opened.send(Err(error))),
            };
            own_busy.set(false);
            let _ = opened.send(Ok(()));
            while let Ok(job) = coming.recv() {
                job(&mut state);
            }
            close(state);
            let _ = farewell.send(());
        });
        match open_result.recv_timeout(limit) {
            Ok(Ok(())) => Ok(Self { jobs: Some(jobs), ended, busy, stuck: false }),
            Ok(Err(error)) => Err(Ok(error)),
            Err(error) => Err(Err(no_answer(error, &busy))),
        }
    }

    /// Does a job, and waits for it for as long as `limit`.
    pub(super) fn run<T: Send + 'static>(
        &mut self,
        limit: Duration,
        job: impl FnOnce(&mut S, &Busy) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        let (done, result) = channel();
        let busy = self.busy.clone();
        let job: Job<S> = Box::new(move |state| {
            let answer = job(state, &busy);
            busy.set(false);
            // Who waits may have given up.
            let _ = done.send(answer);
        });
        let jobs = self.jobs.as_ref().expect("jobs end with the worker");
        if jobs.send(job).is_err() {
            return Err(NoAnswer::Panicked);
        }
        result.recv_timeout(limit).map_err(|error| {
            self.stuck = true;
            no_answer(error, &self.busy)
        })
    }
}

fn no_answer(error: RecvTimeoutError, busy: &Busy) -> NoAnswer {
    match error {
        RecvTimeoutError::Disconnected => NoAnswer::Panicked,
        RecvTimeoutError::Timeout if busy.is_set() => NoAnswer::Late,
        RecvTimeoutError::Timeout => NoAnswer::Waiting,
    }
}

impl<S> Drop for Worker<S> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if !self.stuck {
            // A process that ends before the card is let go leaves the service to reset it.
            let _ = self.ended.recv_timeout(FAREWELL);
        }
    }
}

/// Does one thing on a thread of its own.
pub(super) fn bounded<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Result<T, NoAnswer> {
    let (done, result) = channel();
    thread::spawn(move || done.send(call()));
    result.recv_timeout(limit).map_err(|error| no_answer(error, &Busy::default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(20);

    fn counter() -> Worker<u32> {
        let opened = Worker::start(LONG, |_| Ok::<_, ()>(1), |_| {});
        opened.unwrap_or_else(|_| panic!("it opens"))
    }

    #[test]
    fn jobs_share_the_state() {
        let mut worker = counter();
        for expected in 2..5 {
            let count = worker.run(LONG, |state, _| {
                *state += 1;
                *state
            });
            assert_eq!(count, Ok(expected));
        }
    }

    #[test]
    fn a_call_that_hangs_is_left_behind_and_told_from_one_that_waits() {
        for (at_work, expected) in [(true, NoAnswer::Late), (false, NoAnswer::Waiting)] {
            let mut worker = counter();
            let (release, hold) = channel::<()>();
            let (started, starts) = channel();
            let answer = worker.run(SHORT, move |_, busy| {
                busy.set(at_work);
                started.send(()).unwrap();
                let _ = hold.recv();
            });
            starts.recv().unwrap();
            // Should the thread have started late, the flag is the only thing that the limit could have missed.
            assert!(answer == Err(expected) || answer == Err(NoAnswer::Waiting), "{answer:?}");
            drop(worker);
            drop(release);
        }
    }

    #[test]
    fn a_panic_is_an_answer_and_so_is_a_failure_to_open() {
        let mut worker = counter();
        assert_eq!(worker.run(LONG, |_, _| panic!("on purpose")), Err::<(), _>(NoAnswer::Panicked));
        assert_eq!(worker.run(LONG, |_, _| ()), Err(NoAnswer::Panicked));
        let failed = Worker::<u32>::start(LONG, |_| Err("no"), |_| {});
        assert!(matches!(failed, Err(Ok("no"))));
        let stuck = Worker::<u32>::start(
            SHORT,
            |_| {
                thread::park();
                Err(())
            },
            |_| {},
        );
        assert!(matches!(stuck, Err(Err(NoAnswer::Waiting))));
    }

    #[test]
    fn dropping_waits_for_the_end() {
        let (closed, was_closed) = channel();
        let opened = Worker::start(LONG, |_| Ok::<_, ()>(7), move |state: i32| closed.send(state).unwrap());
        drop(opened.unwrap_or_else(|_| panic!("it opens")));
        assert_eq!(was_closed.try_recv(), Ok(7));
    }
}
