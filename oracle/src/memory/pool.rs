//! Threads for cryptography. Each scrubs the stack that a job used before the job's answer leaves. It must not know what
//! the jobs compute.

use crate::memory::scrub_stack;
use std::any::Any;
use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// Stack of each thread.
const STACK: usize = 1024 * 1024;
/// Stack that is scrubbed after each job: several times what opening an age file or combining 255 shares uses.
const SCRUBBED: usize = 128 * 1024;

/// Why a job did not give an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// Too many jobs are waiting.
    #[error("too much cryptography is waiting")]
    Overloaded,
    /// The job panicked. Its message is not kept: it could hold a secret.
    #[error("a cryptographic job panicked")]
    Panicked,
}

/// A fixed set of threads with one bounded queue.
pub struct CryptoPool {
    queue: Arc<Queue>,
    threads: Vec<JoinHandle<()>>,
}

struct Queue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    bound: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Box<dyn Job>>,
    closed: bool,
}

/// Two steps with a scrubbing in between: nobody gets an answer while its traces are still on the stack.
trait Job: Send {
    fn work(&mut self);
    fn answer(self: Box<Self>);
}

struct Task<F, T> {
    work: Option<F>,
    result: Option<Result<Box<T>, Box<dyn Any + Send>>>,
    reply: oneshot::Sender<Result<Box<T>, PoolError>>,
}

impl CryptoPool {
    /// Starts `threads` threads (at least one) behind a queue of at most `bound` waiting jobs.
    pub fn start(threads: usize, bound: usize) -> std::io::Result<Self> {
        let queue = Arc::new(Queue { waiting: Mutex::default(), wake: Condvar::new(), bound });
        let threads = (0..threads.max(1))
            .map(|number| {
                let queue = Arc::clone(&queue);
                let builder = std::thread::Builder::new().name(format!("crypto-{number}")).stack_size(STACK);
                builder.spawn(move || queue.serve())
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { queue, threads })
    }

    /// Jobs that wait for a thread.
    pub fn waiting(&self) -> usize {
        self.queue.lock().jobs.len()
    }

    /// Runs `job` on one of the threads, scrubs its stack, then returns what it computed.
    ///
    /// `job` should own its secrets on the heap, and so should `T` (`Zeroizing<Vec<u8>>`, `Zeroizing<String>`, `Box<…>`):
    /// an array inside either is copied through the caller's stack. A job whose caller is gone is not begun.
    pub async fn run<T, F>(&self, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.queue.push(Box::new(Task { work: Some(job), result: None, reply }))?;
        let result = answer.await.expect("a queued job is always answered: threads end only with an empty queue")?;
        Ok(*result)
    }
}

impl<T, F> Job for Task<F, T>
where
    T: Send,
    F: FnOnce() -> T + Send,
{
    #[inline(never)]
    fn work(&mut self) {
        if self.reply.is_closed() {
            return;
        }
        if let Some(work) = self.work.take() {
            self.result = Some(catch_unwind(AssertUnwindSafe(|| Box::new(work()))));
        }
    }

    fn answer(self: Box<Self>) {
        let Self { result, reply, .. } = unboxed(self);
        // A caller that gave up is not told; its result is dropped here.
        let _gone = match result {
            Some(Ok(value)) => reply.send(Ok(value)),
            Some(Err(_panic)) => reply.send(Err(PoolError::Panicked)),
            None => Ok(()),
        };
    }
}

/// Frees, and so overwrites, the box before anything else happens: the job's captures were in it.
#[expect(clippy::boxed_local, reason = "freeing the box is what it is for")]
fn unboxed<T>(boxed: Box<T>) -> T {
    *boxed
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing that can panic runs under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, job: Box<dyn Job>) -> Result<(), PoolError> {
        let mut waiting = self.lock();
        if waiting.jobs.len() >= self.bound {
            return Err(PoolError::Overloaded);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.closed {
                return None;
            }
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn serve(&self) {
        while let Some(mut job) = self.next() {
            job.work();
            scrub();
            job.answer();
        }
    }
}

#[expect(clippy::inline_always, reason = "the scrubbed area has to begin where the job's frames began")]
#[inline(always)]
fn scrub() {
    scrub_stack::<SCRUBBED>();
}

impl fmt::Debug for CryptoPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CryptoPool").field("threads", &self.threads.len()).finish_non_exhaustive()
    }
}

impl Drop for CryptoPool {
    fn drop(&mut self) {
        self.queue.lock().closed = true;
        self.queue.wake.notify_all();
        for thread in self.threads.drain(..) {
            // Jobs cannot unwind a thread: their panics are caught.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn jobs_answer_on_threads_of_the_pool() {
        let pool = CryptoPool::start(2, 8).unwrap();
        let name = pool.run(|| std::thread::current().name().map(str::to_owned)).await.unwrap().unwrap();
        assert!(name.starts_with("crypto-"), "{name}");
    }

    #[tokio::test]
    async fn a_panic_is_an_error_and_the_thread_goes_on() {
        let pool = CryptoPool::start(1, 8).unwrap();
        assert_eq!(pool.run(|| panic!("on purpose")).await, Err(PoolError::Panicked));
        assert_eq!(pool.run(|| 7).await, Ok(7));
    }

    #[tokio::test]
    async fn a_full_queue_refuses_and_then_serves_again() {
        let pool = Arc::new(CryptoPool::start(1, 1).unwrap());
        let (started, begun) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let busy = tokio::spawn({
            let pool = Arc::clone(&pool);
            async move {
                pool.run(move || {
                    started.send(()).unwrap();
                    released.recv().unwrap();
                })
                .await
            }
        });
        tokio::task::spawn_blocking(move || begun.recv().unwrap()).await.unwrap();
        let mut waiting = Box::pin(pool.run(|| 1));
        assert!(futures_util::poll!(&mut waiting).is_pending());
        assert_eq!(pool.run(|| 2).await, Err(PoolError::Overloaded));
        release.send(()).unwrap();
        assert_eq!(waiting.await, Ok(1));
        assert_eq!(busy.await.unwrap(), Ok(()));
    }

    #[test]
    fn queued_jobs_are_finished_before_the_pool_ends() {
        let pool = CryptoPool::start(1, 64).unwrap();
        let (sender, receiver) = mpsc::channel();
        for number in 0..32 {
            let (reply, answer) = oneshot::channel();
            let sender = sender.clone();
            pool.queue
                .push(Box::new(Task { work: Some(move || sender.send(number).unwrap()), result: None, reply }))
                .unwrap();
            // Kept alive: a job without a caller would be skipped.
            std::mem::forget(answer);
        }
        drop(pool);
        drop(sender);
        assert_eq!(receiver.iter().collect::<Vec<_>>(), (0..32).collect::<Vec<_>>());
    }

    /// `cargo test -p quorate-oracle --lib -- --ignored --nocapture what_a_job_costs`
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    #[ignore = "a measurement"]
    async fn what_a_job_costs() {
        const JOBS: u32 = 20_000;
        let pool = Arc::new(CryptoPool::start(2, 1024).unwrap());
        let begun = std::time::Instant::now();
        let clients = (0..16).map(|_| {
            let pool = Arc::clone(&pool);
            tokio::spawn(async move {
                for number in 0..JOBS / 16 {
                    assert_eq!(pool.run(move || number).await, Ok(number));
                }
            })
        });
        futures_util::future::try_join_all(clients).await.unwrap();
        println!("{:.0} empty jobs a second", f64::from(JOBS) / begun.elapsed().as_secs_f64());
    }
}
