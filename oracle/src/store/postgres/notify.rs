//! Notices between nodes: which sessions changed, told to the watchers of this node directly and to the other nodes by
//! `NOTIFY`, after the commit and only then.
//!
//! They are told on a connection of their own and in batches, because a `NOTIFY` inside the act's transaction would make
//! all commits of the database wait for each other. What is lost when a node dies between commit and notice, or while it
//! is cut off, watchers find when they look again; whoever listened through a gap is told to look at once.
//!
//! Any user of the database may `NOTIFY`; that wakes nobody who does not know the channel, and what is no session's id is
//! dropped.

use std::{
    future::poll_fn,
    sync::{Arc, OnceLock},
    time::Duration,
};

use quorate_protocol::session::is_session_id;
use tokio::{
    sync::{broadcast, mpsc},
    task::JoinHandle,
    time::Instant,
};
use tokio_postgres::{AsyncMessage, Client};

use super::{
    connect::{Connector, Opened, Wire},
    failure::{Failure, said},
    fence::{Fence, Identity},
};
use crate::store::{Channel, EVERYTHING, StoreOptions, error::StoreError};

/// Notices that may wait to be sent; beyond them everybody is told to look for themselves.
const WAITING: usize = 4096;
/// Notices in one statement.
const BATCH: usize = 256;
/// Pauses between attempts to connect, the first and the longest.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));
/// A line that has lived for so long was not in vain: the next one is tried at once.
const LIVED: Duration = Duration::from_secs(5);

/// Tells and listens, until dropped.
pub(super) struct Notifier {
    local: broadcast::Sender<Arc<str>>,
    others: mpsc::Sender<Arc<str>>,
    task: JoinHandle<()>,
}

impl Notifier {
    /// Listens from now on.
    pub(super) async fn start(
        connector: Connector,
        options: &StoreOptions,
        local: broadcast::Sender<Arc<str>>,
    ) -> Result<Self, Failure> {
        let (others, waiting) = mpsc::channel(WAITING);
        let channel = options.channel.clone();
        let line = Line::open(&connector, &channel, &local).await?;
        let task = tokio::spawn(keep_up(connector, channel, local.clone(), waiting, line));
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
    channel: Channel,
    local: broadcast::Sender<Arc<str>>,
    mut waiting: mpsc::Receiver<Arc<str>>,
    mut line: Line,
) {
    let mut pauses = Pauses::default();
    loop {
        let begun = Instant::now();
        let error = line.serve(&mut waiting, connector.fence(), &channel).await;
        tracing::warn!(%error, "not listening to the other nodes");
        pauses.lived(begun.elapsed());
        line = loop {
            tokio::time::sleep(pauses.next()).await;
            match Line::open(&connector, &channel, &local).await {
                Ok(line) => break line,
                Err(failure) => tracing::debug!(?failure, "still not listening to the other nodes"),
            }
        };
        tracing::info!("listening to the other nodes again");
        drop(local.send(EVERYTHING.into()));
        // The others missed what this node could not send.
        while waiting.try_recv().is_ok() {}
        line.everything_changed = true;
    }
}

/// How long to wait before a line is tried: longer each time, until one has lived, for each that opens has everybody look.
#[derive(Default)]
struct Pauses(Duration);

impl Pauses {
    fn lived(&mut self, time: Duration) {
        if time >= LIVED {
            self.0 = Duration::ZERO;
        }
    }

    fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (pause * 2).clamp(PAUSE.0, PAUSE.1);
        pause
    }
}

/// A connection that listens and tells.
struct Line {
    client: Client,
    driver: JoinHandle<Option<tokio_postgres::Error>>,
    server: Identity,
    everything_changed: bool,
}

impl Line {
    async fn open(
        connector: &Connector,
        channel: &Channel,
        local: &broadcast::Sender<Arc<str>>,
    ) -> Result<Self, Failure> {
        let own = Arc::new(OnceLock::new());
        let driver = |connection| tokio::spawn(listen(connection, local.clone(), Arc::clone(&own)));
        let Opened { client, driver, server } = connector.connect(driver).await?;
        let line = Self { client, driver, server, everything_changed: false };
        let failed = |cause: tokio_postgres::Error| Failure::of(&cause, "listening");
        let process = line.client.query_one("SELECT pg_catalog.pg_backend_pid()", &[]).await.map_err(failed)?;
        let process: i32 = process.try_get(0).map_err(failed)?;
        own.get_or_init(|| process);
        line.client.batch_execute(&format!("LISTEN {}", channel.name())).await.map_err(failed)?;
        Ok(line)
    }

    /// Tells what waits until the connection breaks, or its server may no longer be used.
    async fn serve(&mut self, waiting: &mut mpsc::Receiver<Arc<str>>, fence: &Fence, channel: &Channel) -> StoreError {
        let mut batch = Vec::with_capacity(BATCH);
        loop {
            if std::mem::take(&mut self.everything_changed) {
                batch.push(EVERYTHING.into());
            } else {
                tokio::select! {
                    ended = &mut self.driver => return ended.ok().flatten().map_or(StoreError::Stopped, |error| {
                        StoreError::Unreachable { source: said(&error) }
                    }),
                    refused = fence.refusal(self.server) => return Failure::from(refused).into_error(),
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
                    &[&channel.name(), &sessions],
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

/// Passes on what the other nodes tell, until the connection ends; `own` is the process that this node speaks through.
async fn listen(
    mut connection: Wire,
    local: broadcast::Sender<Arc<str>>,
    own: Arc<OnceLock<i32>>,
) -> Option<tokio_postgres::Error> {
    loop {
        match poll_fn(|context| connection.poll_message(context)).await {
            // This node's watchers have been told already.
            Some(Ok(AsyncMessage::Notification(notice))) if own.get() == Some(&notice.process_id()) => {}
            Some(Ok(AsyncMessage::Notification(notice))) => {
                let session = notice.payload();
                if session == EVERYTHING || is_session_id(session) {
                    drop(local.send(session.into()));
                }
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Some(error),
            None => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_break_at_once_are_tried_ever_more_seldom() {
        let mut pauses = Pauses::default();
        let milliseconds: Vec<_> = (0..9).map(|_| pauses.next().as_millis()).collect();
        assert_eq!(milliseconds, [0, 50, 100, 200, 400, 800, 1600, 2000, 2000]);
        pauses.lived(Duration::from_millis(4_999));
        assert_eq!(pauses.next(), PAUSE.1);
        pauses.lived(LIVED);
        assert_eq!(pauses.next(), Duration::ZERO);
    }
}
