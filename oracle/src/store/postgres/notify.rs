//! Notices between nodes: which sessions changed, told to the watchers of this node directly and to the other nodes by
//! `NOTIFY`, after the commit and only then.
//!
//! They are told on a connection of their own and in batches, because a `NOTIFY` inside the act's transaction would make
//! all commits of the database wait for each other. What is lost when a node dies between commit and notice, or while it
//! is cut off, watchers find when they look again; whoever listened through a gap is told to look at once.

use std::{
    future::poll_fn,
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{
    sync::{broadcast, mpsc},
    task::JoinHandle,
};
use tokio_postgres::{AsyncMessage, Client};

use super::{
    connect::Connector,
    failure::{Failure, said},
};
use crate::store::{EVERYTHING, error::StoreError};

const CHANNEL: &str = "quorate";
/// Notices that may wait to be sent; beyond them everybody is told to look for themselves.
const WAITING: usize = 4096;
/// Notices in one statement.
const BATCH: usize = 256;
/// Pauses between attempts to connect, the first and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Tells and listens, until dropped.
pub(super) struct Notifier {
    local: broadcast::Sender<Arc<str>>,
    others: mpsc::Sender<Arc<str>>,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Listens from now on.
    pub(super) async fn start(connector: Connector, local: broadcast::Sender<Arc<str>>) -> Result<Self, Failure> {
        let (others, waiting) = mpsc::channel(WAITING);
        let line = Line::open(&connector, &local).await?;
        let task = tokio::spawn(keep_up(connector, local.clone(), waiting, line));
        Ok(Self { local, others, task })
    }

    /// Tells of sessions in which something was committed.
    pub(super) fn tell(&self, sessions: Vec<Arc<str>>) {
        for session in sessions {
            // When too many wait, or the listener stops, watchers elsewhere look again by themselves.
            drop(self.others.try_send(Arc::clone(&session)));
            drop(self.local.send(session));
        }
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps a line open; after each gap everybody is told to look for themselves.
async fn keep_up(
    connector: Connector,
    local: broadcast::Sender<Arc<str>>,
    mut waiting: mpsc::Receiver<Arc<str>>,
    mut line: Line,
) {
    loop {
        let error = line.serve(&mut waiting).await;
        tracing::warn!(%error, "not listening to the other nodes");
        let mut pause = PAUSE.0;
        line = loop {
            match Line::open(&connector, &local).await {
                Ok(line) => break line,
                Err(failure) => tracing::debug!(?failure, "still not listening to the other nodes"),
            }
            tokio::time::sleep(pause).await;
            pause = PAUSE.1.min(pause * 2);
        };
        tracing::info!("listening to the other nodes again");
        drop(local.send(EVERYTHING.into()));
        // The others missed what this node could not send.
        while waiting.try_recv().is_ok() {}
        line.everything_changed = true;
    }
}

/// A connection that listens and tells.
struct Line {
    client: Client,
    driver: JoinHandle<Option<tokio_postgres::Error>>,
    everything_changed: bool,
}

impl Line {
    async fn open(connector: &Connector, local: &broadcast::Sender<Arc<str>>) -> Result<Self, Failure> {
        let (client, mut connection) = connector.dial().await?;
        let (local, own) = (local.clone(), Arc::new(OnceLock::new()));
        let known = Arc::clone(&own);
        let driver = tokio::spawn(async move {
            loop {
                match poll_fn(|context| connection.poll_message(context)).await {
                    // This node's watchers have been told already.
                    Some(Ok(AsyncMessage::Notification(notice))) if known.get() == Some(&notice.process_id()) => {}
                    Some(Ok(AsyncMessage::Notification(notice))) => drop(local.send(notice.payload().into())),
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Some(error),
                    None => return None,
                }
            }
        });
        let line = Self { client, driver, everything_changed: false };
        let failed = |cause: tokio_postgres::Error| Failure::of(&cause, "listening");
        connector.introduce(&line.client).await?;
        let process = line.client.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await.map_err(failed)?;
        let process: i32 = process.try_get(0).map_err(failed)?;
        own.get_or_init(|| process);
        line.client.batch_execute(&format!("LISTEN {CHANNEL}")).await.map_err(failed)?;
        Ok(line)
    }

    /// Tells what waits until the connection breaks.
    async fn serve(&mut self, waiting: &mut mpsc::Receiver<Arc<str>>) -> StoreError {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            if std::mem::take(&mut self.everything_changed) {
                batch.push(EVERYTHING.into());
            } else {
                tokio::select! {
                    ended = &mut self.driver => return ended.ok().flatten().map_or(StoreError::Stopped, |error| {
                        StoreError::Unreachable { source: said(&error) }
                    }),
                    received = waiting.recv_many(&mut batch, BATCH) => if received == 0 {
                        return StoreError::Stopped;
                    },
                }
            }
            batch.dedup();
            let sessions: Vec<&str> = batch.iter().map(|session| &**session).collect();
            let told = self
                .client
                .execute(
                    "SELECT pg_catalog.pg_notify($1, session) FROM pg_catalog.unnest($2::text[]) AS session",
                    &[&CHANNEL, &sessions],
                )
                .await;
            if let Err(error) = told {
                return StoreError::Unreachable { source: said(&error) };
            }
            batch.clear();
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.driver.abort();
    }
}
