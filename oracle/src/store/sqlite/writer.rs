//! The one writer. It takes whatever is waiting into one transaction, each operation in a savepoint of its own, commits
//! once, and only then answers. So concurrent requests share the wait for the disk, and no answer precedes its commit.
//!
//! See `docs/store.md` for the picture.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::Receiver,
    },
    thread::{self, JoinHandle},
};

use rusqlite::Connection;
use tokio::sync::broadcast;

use super::{
    SqliteTx, failed,
    job::{Job, Message},
    queue::Queue,
};
use crate::store::{
    StoreOptions, WriterCounts,
    error::{EngineError, StoreError},
};

/// The queue in front of the writer's thread.
pub(super) struct Writer {
    queue: Queue,
    thread: Mutex<Option<JoinHandle<()>>>,
    counters: Arc<Counters>,
}

#[derive(Default)]
struct Counters {
    commits: AtomicU64,
    jobs: AtomicU64,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        options: &StoreOptions,
        notices: broadcast::Sender<Arc<str>>,
    ) -> Result<Self, StoreError> {
        let (queue, waiting) = Queue::new(options.queue);
        let counters = Arc::new(Counters::default());
        let worker = Worker {
            connection,
            waiting,
            max_batch: options.max_batch.max(1),
            notices,
            counters: Arc::clone(&counters),
            touched: Vec::new(),
        };
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || worker.serve())
            .map_err(|cause| StoreError::Engine { doing: "starting the writer", source: EngineError::new(cause) })?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)), counters })
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    pub(super) fn counts(&self) -> WriterCounts {
        WriterCounts {
            commits: self.counters.commits.load(Ordering::Relaxed),
            jobs: self.counters.jobs.load(Ordering::Relaxed),
        }
    }

    /// Ends the thread after what is waiting. Blocks.
    pub(super) fn stop(&self) {
        self.queue.stop();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(thread.map(JoinHandle::join));
    }
}

struct Worker {
    connection: Connection,
    waiting: Receiver<Message>,
    max_batch: usize,
    notices: broadcast::Sender<Arc<str>>,
    counters: Arc<Counters>,
    /// Sessions to tell of after the commit.
    touched: Vec<Arc<str>>,
}

impl Worker {
    fn serve(mut self) {
        while let Ok(Message::Job(first)) = self.waiting.recv() {
            if !self.round(first) {
                break;
            }
        }
        // Dropping the queue answers late callers with `Stopped`. An unfinished checkpoint costs the next start a
        // moment and loses nothing.
        drop(self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())));
    }

    /// One transaction. False when it was asked to stop.
    fn round(&mut self, first: Box<dyn Job>) -> bool {
        let mut batch = Vec::with_capacity(self.max_batch.min(64));
        let mut next = Some(first);
        let mut go_on = true;
        let mut done = self.step("BEGIN IMMEDIATE");
        while let Some(mut job) = next.take() {
            if done.is_ok() {
                done = self.one(&mut *job);
            }
            batch.push(job);
            if batch.len() < self.max_batch {
                match self.waiting.try_recv() {
                    Ok(Message::Job(job)) => next = Some(job),
                    Ok(Message::Stop) => go_on = false,
                    Err(_) => {}
                }
            }
        }
        let committed = done.and_then(|()| self.step("COMMIT"));
        if !self.connection.is_autocommit() {
            drop(self.step("ROLLBACK"));
        }
        self.conclude(batch, &committed);
        go_on
    }

    /// One operation in its savepoint. An error means that the whole transaction is lost; an operation that merely
    /// failed is undone alone.
    fn one(&mut self, job: &mut dyn Job) -> Result<(), StoreError> {
        self.step("SAVEPOINT job")?;
        let told = self.touched.len();
        let outcome = job.run(&mut SqliteTx { connection: &mut self.connection, touched: &mut self.touched });
        if self.connection.is_autocommit() {
            // SQLite gave the transaction up, as it may when the disk is full: the operations before are gone, too.
            return outcome.and(Err(StoreError::Full));
        }
        if outcome.is_err() {
            self.touched.truncate(told);
            self.step("ROLLBACK TO job")?;
        }
        self.step("RELEASE job")
    }

    fn conclude(&mut self, batch: Vec<Box<dyn Job>>, committed: &Result<(), StoreError>) {
        self.counters.jobs.fetch_add(batch.len() as u64, Ordering::Relaxed);
        metrics::counter!("quorate_store_jobs_total").increment(batch.len() as u64);
        if committed.is_ok() {
            self.counters.commits.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("quorate_store_commits_total").increment(1);
            for id in self.touched.drain(..) {
                // An error means that nobody watches.
                drop(self.notices.send(id));
            }
        } else {
            metrics::counter!("quorate_store_failed_commits_total").increment(1);
            self.touched.clear();
        }
        for job in batch {
            job.answer(committed.clone());
        }
    }

    fn step(&self, sql: &'static str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(sql)
            .and_then(|mut statement| statement.execute([]))
            .map(drop)
            .map_err(|cause| failed("committing", cause))
    }
}
