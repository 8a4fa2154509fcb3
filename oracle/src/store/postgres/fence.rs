//! The fence: which servers may be used. A primary that was given up can come back and still take writes; whatever it took
//! would be lost, and decided a second time. So each connection asks its server for the cluster's identifier and for the
//! timeline, which rises with every promotion, and a server of another cluster or of a lower timeline is refused.
//!
//! Two servers that were promoted from the same point have the same timeline. The first connection to take writes on one
//! leaves a mark in the settings, drawn by the server; whoever has another mark, or none, is another branch.
//!
//! What nobody has seen cannot be known: see "Fail-over" in `docs/cluster.md`.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_postgres::{Client, Error, SimpleQueryMessage};

use super::failure::Failure;
use crate::store::error::{EngineError, StoreError};

/// Asks for the cluster. Anybody may, unless an operator has revoked it.
pub(super) const CLUSTER: &str = "SELECT system_identifier FROM pg_catalog.pg_control_system()";
/// Asks for the timeline: the first eight digits; nothing from a server that follows another one.
pub(super) const TIMELINE: &str = "SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN ''
    ELSE pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()) END";
const DOING: &str = "asking the server which it is";

/// Which server a connection leads to, as that server says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    cluster: Option<u64>,
    timeline: Timeline,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Timeline {
    /// A standby's. It takes no writes, so it decides nothing.
    Followed,
    Own(u32),
    /// It does not say.
    Unknown,
}

/// Why a server is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error(
        "the server has the same timeline as the one in use, but went on from it by itself: stop one of them for good"
    )]
    Branch,
    #[error("the server was the primary once: its timeline is {theirs}, and the database has come to {highest}")]
    Former { theirs: u32, highest: u32 },
    #[error("the server does not say which it is, as it or another one did before")]
    Silent,
    #[error("the server belongs to another cluster than the one in use")]
    Stranger,
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        Self::Cut(StoreError::Unreachable { source: EngineError::new(refused) })
    }
}

impl Identity {
    /// From the answers to [`CLUSTER`] and [`TIMELINE`].
    pub(super) fn read(
        cluster: Result<Vec<SimpleQueryMessage>, Error>,
        timeline: Result<Vec<SimpleQueryMessage>, Error>,
    ) -> Result<Self, Failure> {
        let cluster = if_told(cluster)?.and_then(|text| text.parse().ok());
        let timeline = match if_told(timeline)?.as_deref() {
            Some("") => Timeline::Followed,
            Some(file) => file
                .get(..8)
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .map_or(Timeline::Unknown, Timeline::Own),
            None => Timeline::Unknown,
        };
        Ok(Self { cluster, timeline })
    }

    /// Whether it cannot be told from others that matter.
    pub(super) fn is_silent(self) -> bool {
        self.cluster.is_none() || self.timeline == Timeline::Unknown
    }

    /// Whether the server followed another one when it was asked. Promoted, it would be another one than was asked.
    pub(super) fn follows(self) -> bool {
        self.timeline == Timeline::Followed
    }
}

/// What is known of the servers; clones share it.
#[derive(Clone, Default)]
pub(super) struct Fence(Arc<watch::Sender<Known>>);

#[derive(Default)]
struct Known {
    cluster: Option<u64>,
    /// The highest that was seen.
    timeline: u32,
    /// Whether there is a table for marks.
    marks: bool,
    /// The mark of that timeline.
    mark: Option<String>,
}

impl Fence {
    /// Whether a server may still be used.
    pub(super) fn check(&self, server: Identity) -> Result<(), Refused> {
        self.0.borrow().judge(server)
    }

    /// Lets a server through, or says why not. What it says of itself is remembered.
    pub(super) fn admit(&self, server: Identity) -> Result<(), Refused> {
        let mut outcome = Ok(());
        self.0.send_if_modified(|known| {
            outcome = known.judge(server);
            outcome.is_ok() && known.learn(server)
        });
        outcome
    }

    /// Waits until a server may no longer be used.
    pub(super) async fn refusal(&self, server: Identity) -> Refused {
        let mut known = self.0.subscribe();
        loop {
            if let Err(refused) = known.borrow_and_update().judge(server) {
                return refused;
            }
            if known.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// From now on servers are told apart by their marks, too: the settings are there.
    pub(super) fn use_marks(&self) {
        self.0.send_if_modified(|known| {
            known.marks = true;
            false
        });
    }

    /// Compares the mark of a server that was admitted, and leaves one where there is none yet.
    pub(super) async fn compare_marks(&self, client: &Client, server: Identity) -> Result<(), Failure> {
        let Timeline::Own(timeline) = server.timeline else { return Ok(()) };
        let (marks, mark) = {
            let known = self.0.borrow();
            (known.marks, known.mark.clone())
        };
        if !marks {
            return Ok(());
        }
        let name = format!("timeline {} {timeline}", server.cluster.unwrap_or_default());
        if mark.is_none() {
            match client.batch_execute(&leave_mark(&name)).await.map_err(|cause| Failure::of(&cause, DOING)) {
                // One that takes no writes just now gets its mark from a later connection.
                Ok(()) | Err(Failure::Cut(StoreError::ReadOnly)) => {}
                Err(failure) => return Err(failure),
            }
        }
        // A database without the settings has no mark.
        let theirs = if_told(client.simple_query(&read_mark(&name)).await)?;
        let mut same = true;
        self.0.send_if_modified(|known| {
            if known.timeline == timeline {
                known.mark = known.mark.take().or_else(|| theirs.clone());
                same = known.mark == theirs;
            }
            false
        });
        if same { Ok(()) } else { Err(Refused::Branch.into()) }
    }
}

impl Known {
    fn judge(&self, server: Identity) -> Result<(), Refused> {
        match (self.cluster, server.cluster) {
            (Some(_), None) => return Err(Refused::Silent),
            (Some(known), Some(theirs)) if known != theirs => return Err(Refused::Stranger),
            _ => {}
        }
        match server.timeline {
            Timeline::Own(theirs) if theirs < self.timeline => Err(Refused::Former { theirs, highest: self.timeline }),
            Timeline::Unknown if self.timeline > 0 => Err(Refused::Silent),
            _ => Ok(()),
        }
    }

    /// Remembers what an admitted server says of itself; true when others may be refused because of it.
    fn learn(&mut self, server: Identity) -> bool {
        let before = (self.cluster, self.timeline);
        self.cluster = self.cluster.or(server.cluster);
        if let Timeline::Own(timeline) = server.timeline
            && timeline > self.timeline
        {
            (self.timeline, self.mark) = (timeline, None);
        }
        before != (self.cluster, self.timeline)
    }
}

/// Whether the server waits for any standby before it acknowledges a commit.
pub(super) async fn has_standby(client: &Client) -> Result<bool, Failure> {
    let names = client.simple_query("SELECT pg_catalog.current_setting('synchronous_standby_names', true)").await;
    Ok(if_told(names)?.is_none_or(|names| !names.is_empty()))
}

/// The name is made of digits.
fn leave_mark(name: &str) -> String {
    format!(
        "INSERT INTO settings (name, value) VALUES ('{name}', pg_catalog.uuid_send(pg_catalog.gen_random_uuid()))
         ON CONFLICT (name) DO NOTHING"
    )
}

fn read_mark(name: &str) -> String {
    format!("SELECT pg_catalog.encode(value, 'hex') FROM settings WHERE name = '{name}'")
}

/// What was answered, unless the server cannot or may not say.
fn if_told(answer: Result<Vec<SimpleQueryMessage>, Error>) -> Result<Option<String>, Failure> {
    match answer.map_err(|cause| Failure::of(&cause, DOING)) {
        Ok(messages) => Ok(first(&messages)),
        Err(Failure::Cut(StoreError::Engine { .. }) | Failure::Final(StoreError::Engine { .. })) => Ok(None),
        Err(failure) => Err(failure),
    }
}

fn first(messages: &[SimpleQueryMessage]) -> Option<String> {
    messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(cluster: u64, timeline: u32) -> Identity {
        Identity { cluster: Some(cluster), timeline: Timeline::Own(timeline) }
    }

    #[test]
    fn a_lower_timeline_and_another_cluster_are_refused() {
        let fence = Fence::default();
        for (server, outcome) in [
            (on(7, 2), Ok(())),
            (on(7, 1), Err(Refused::Former { theirs: 1, highest: 2 })),
            (on(8, 9), Err(Refused::Stranger)),
            (on(7, 2), Ok(())),
            (Identity { cluster: Some(7), timeline: Timeline::Followed }, Ok(())),
            (Identity { cluster: Some(8), timeline: Timeline::Followed }, Err(Refused::Stranger)),
            (Identity { cluster: Some(7), timeline: Timeline::Unknown }, Err(Refused::Silent)),
            (Identity { cluster: None, timeline: Timeline::Own(3) }, Err(Refused::Silent)),
            (on(7, 4), Ok(())),
            (on(7, 2), Err(Refused::Former { theirs: 2, highest: 4 })),
        ] {
            assert_eq!(fence.admit(server), outcome, "{server:?}");
        }
    }

    #[test]
    fn servers_that_never_say_are_all_alike() {
        let (fence, silent) = (Fence::default(), Identity { cluster: None, timeline: Timeline::Unknown });
        assert_eq!((fence.admit(silent), fence.admit(silent)), (Ok(()), Ok(())));
        assert!(silent.is_silent() && !on(7, 1).is_silent());
    }

    #[tokio::test]
    async fn whoever_uses_a_server_hears_that_it_is_overtaken() {
        let fence = Fence::default();
        fence.admit(on(7, 1)).unwrap();
        let (refusal, ()) = tokio::join!(fence.refusal(on(7, 1)), async { fence.admit(on(7, 2)).unwrap() });
        assert_eq!(refusal, Refused::Former { theirs: 1, highest: 2 });
    }
}
