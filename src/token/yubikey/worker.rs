//! Calls that block in a library for as long as a card likes, with a limit on the waiting: they run on a thread of their own,
//! which is left behind when the limit has passed. It must not know what the calls do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

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
    reset: Reset,
    /// Whether the thread is stuck in a call, so that nobody should wait for it.
    stuck: bool,
}

/// Whether the card was reset since somebody asked: what it had in memory is gone.
#[derive(Clone, Debug, Default)]
pub(super) struct Reset(Arc<AtomicBool>);

impl Reset {
    pub(super) fn is_set(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// States of a [`Turn`].
const WAITING: u8 = 0;
const AT_WORK: u8 = 1;
const ABANDONED: u8 = 2;

/// Nobody waits for the job any more.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Abandoned;

/// What a job and whoever waits for it tell each other. Who gives up waiting before the job has begun is sure that it never
/// will.
pub(super) struct Turn {
    state: Arc<AtomicU8>,
    reset: Reset,
    announce: Box<dyn Fn() + Send>,
}

impl Turn {
    fn new(reset: &Reset, announce: impl Fn() + Send + 'static) -> Self {
        Self { state: Arc::default(), reset: reset.clone(), announce: Box::new(announce) }
    }

    /// Said by a job that has the card for itself, before it does anything.
    pub(super) fn begin(&self) -> Result<(), Abandoned> {
        match self.state.compare_exchange(WAITING, AT_WORK, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) | Err(AT_WORK) => Ok(()),
            Err(_) => Err(Abandoned),
        }
    }

    /// Said by a job that has let the card go.
    pub(super) fn end(&self) {
        // One that was abandoned stays so.
        let _ = self.state.compare_exchange(AT_WORK, WAITING, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Said by a job whose next command waits for a finger.
    pub(super) fn announce_touch(&self) {
        (self.announce)();
    }

    /// Said by a job that finds the card reset.
    pub(super) fn note_reset(&self) {
        self.reset.0.store(true, Ordering::Release);
    }
}

/// What comes from a job.
enum News<T> {
    Done(T),
    Touch,
}

impl<S: 'static> Worker<S> {
    /// Makes `S` on the new thread. `close` is its end.
    pub(super) fn start<E: Send + 'static>(
        limit: Duration,
        open: impl FnOnce(&Turn) -> Result<S, E> + Send + 'static,
        close: impl FnOnce(S) + Send + 'static,
    ) -> Result<Self, Result<E, NoAnswer>> {
        let (jobs, coming) = channel::<Job<S>>();
        let (opened, open_result) = channel();
        let (farewell, ended) = channel();
        let reset = Reset::default();
        let turn = Turn::new(&reset, || ());
        let at = Arc::clone(&turn.state);
        thread::spawn(move || {
            let mut state = match open(&turn) {
                Ok(state) => state,
                // Who waits may have given up.
                Err(error) => return drop(opened.send(Err(error))),
            };
            let _ = opened.send(Ok(()));
            while let Ok(job) = coming.recv() {
                job(&mut state);
            }
            close(state);
            let _ = farewell.send(());
        });
        match open_result.recv_timeout(limit) {
            Ok(Ok(())) => Ok(Self { jobs: Some(jobs), ended, reset, stuck: false }),
            Ok(Err(error)) => Err(Ok(error)),
            Err(error) => Err(Err(no_answer(error, &at))),
        }
    }

    /// Does a job, and waits for it for as long as `limit`.
    pub(super) fn run<T: Send + 'static>(
        &mut self,
        limit: Duration,
        job: impl FnOnce(&mut S, &Turn) -> T + Send + 'static,
    ) -> Result<T, NoAnswer> {
        self.run_with_touch(limit, job, &mut || ())
    }

    /// The same; `on_touch` is called here, when the job says that it waits for a finger.
    pub(super) fn run_with_touch<T: Send + 'static>(
        &mut self,
        limit: Duration,
        job: impl FnOnce(&mut S, &Turn) -> T + Send + 'static,
        on_touch: &mut dyn FnMut(),
    ) -> Result<T, NoAnswer> {
        let (teller, news) = channel();
        let announcer = teller.clone();
        // Who waits may have given up.
        let turn = Turn::new(&self.reset, move || drop(announcer.send(News::Touch)));
        let at = Arc::clone(&turn.state);
        let job: Job<S> = Box::new(move |state| {
            let answer = job(state, &turn);
            let _ = teller.send(News::Done(answer));
        });
        let jobs = self.jobs.as_ref().expect("jobs end with the worker");
        if jobs.send(job).is_err() {
            return Err(NoAnswer::Panicked);
        }
        let deadline = Instant::now() + limit;
        loop {
            match news.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(News::Done(answer)) => return Ok(answer),
                Ok(News::Touch) => on_touch(),
                Err(error) => {
                    self.stuck = true;
                    return Err(no_answer(error, &at));
                }
            }
        }
    }

    /// Tells of resets of the card.
    pub(super) fn reset(&self) -> Reset {
        self.reset.clone()
    }
}

/// Gives up waiting.
fn no_answer(error: RecvTimeoutError, at: &AtomicU8) -> NoAnswer {
    match (error, at.swap(ABANDONED, Ordering::AcqRel)) {
        (RecvTimeoutError::Disconnected, _) => NoAnswer::Panicked,
        (RecvTimeoutError::Timeout, AT_WORK) => NoAnswer::Late,
        (RecvTimeoutError::Timeout, _) => NoAnswer::Waiting,
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
    result.recv_timeout(limit).map_err(|error| no_answer(error, &AtomicU8::new(WAITING)))
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
            let answer = worker.run(SHORT, move |_, turn| {
                if at_work {
                    turn.begin().unwrap();
                }
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
    fn what_was_given_up_before_it_began_never_begins() {
        let mut worker = counter();
        let (release, hold) = channel::<()>();
        let (tell, told) = channel();
        let answer = worker.run(SHORT, move |_, turn| {
            let _ = hold.recv();
            tell.send((turn.begin(), turn.begin())).unwrap();
        });
        assert_eq!(answer, Err(NoAnswer::Waiting));
        drop(release);
        assert_eq!(told.recv(), Ok((Err(Abandoned), Err(Abandoned))));
    }

    #[test]
    fn a_touch_is_announced_when_the_job_has_come_to_it_and_resets_are_told_once() {
        let mut worker = counter();
        let (seen, at_work) = channel();
        let mut announced = 0;
        let job = move |_: &mut u32, turn: &Turn| {
            turn.begin().unwrap();
            turn.announce_touch();
            // Whoever announces it does so while the job is at work.
            at_work.recv().unwrap();
            turn.note_reset();
            turn.end();
        };
        let answer = worker.run_with_touch(LONG, job, &mut || {
            announced += 1;
            seen.send(()).unwrap();
        });
        assert_eq!((answer, announced), (Ok(()), 1));
        assert!(worker.reset().is_set() && worker.reset().take() && !worker.reset().take());
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
