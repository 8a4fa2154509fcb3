//! Read-only connections, each on a thread of its own, that share one bounded queue. Every job sees one state of the
//! database from beginning to end, and no job waits for the writer.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc::Receiver},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;

use super::{SqliteTx, failed, job::Message, queue::Queue};
use crate::store::error::{EngineError, StoreError};

/// The pool.
pub(super) struct Readers {
    queue: Queue,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Readers {
    pub(super) fn start(connections: Vec<Connection>, room: usize) -> Result<Self, StoreError> {
        let (queue, waiting) = Queue::new(room);
        let waiting = Arc::new(Mutex::new(waiting));
        let threads = connections
            .into_iter()
            .map(|connection| {
                let waiting = Arc::clone(&waiting);
                thread::Builder::new().name("store-reader".to_owned()).spawn(move || serve(connection, &waiting))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|cause| StoreError::Engine { doing: "starting a reader", source: EngineError::new(cause) })?;
        Ok(Self { queue, threads: Mutex::new(threads) })
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// Ends the threads after what is waiting. Blocks.
    pub(super) fn stop(&self) {
        let threads = std::mem::take(&mut *self.threads.lock().unwrap_or_else(PoisonError::into_inner));
        for _ in &threads {
            self.queue.stop();
        }
        for thread in threads {
            drop(thread.join());
        }
    }
}

fn serve(mut connection: Connection, waiting: &Mutex<Receiver<Message>>) {
    loop {
        // The lock is given back before the job runs: one thread listens, the others work.
        let message = waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(Message::Job(mut job)) = message else { return };
        let begun = step(&connection, "BEGIN");
        if begun.is_ok() {
            // What it found is with the job; a reader has nothing to undo.
            drop(job.run(&mut SqliteTx { connection: &mut connection, touched: &mut Vec::new() }));
        }
        job.answer(begun);
        if !connection.is_autocommit() {
            drop(step(&connection, "ROLLBACK"));
        }
    }
}

fn step(connection: &Connection, sql: &str) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(|cause| failed("reading", cause))
}
