//! The audit log: what happened, who did it, and how it ended, written with the act itself, numbered within a second, and
//! proved by signed checkpoints (SPEC, "Audit log"; `docs/audit.md`).
//!
//! A service that changes something makes an [`Entry`], has it sealed by [`Audit::seal`] and hands it to the store with the
//! change: both are written or neither is. What strangers can cause without end is recorded within a budget.

mod budget;
mod entry;
mod export;
mod number;
mod publish;
mod recent;
mod webhook;

pub use self::budget::Limits;
pub use self::entry::{Entry, Kind, Outcome, Who};
pub use self::export::MAX_PAGE;
pub use self::publish::CHECKPOINT;
pub use self::recent::{Filter, Recent};
pub use self::webhook::Webhook;

use self::budget::Budget;
use crate::clock::Clock;
use crate::keys::Keys;
use crate::keys::files::FileError;
use crate::outbound::OutboundError;
use crate::service::at_rest::{AtRest, Place};
use crate::service::notices::Notices;
use crate::state::StateRng;
use crate::store::{Digest, NewAudit, Store, StoreError};
use data_encoding::HEXLOWER;
use quorate_protocol::audit::checkpoint::{Origin, VerifierKey};
use quorate_protocol::audit::event::{Event, ID_BYTES};
use rand::Rng as _;
use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::AtomicI64;
use std::sync::{Arc, Mutex};

/// The service. Clones share it.
#[derive(Clone)]
pub struct Audit {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    rng: StateRng,
    at_rest: AtRest,
    budget: Budget,
    keys: Arc<Keys>,
    verifier: VerifierKey,
    /// Where checkpoints are published.
    folder: Option<PathBuf>,
    /// Size of the last checkpoint that this node has published.
    published: AtomicI64,
    /// The newest checkpoint that this node has met: the log goes on from there.
    met: Mutex<Option<number::Met>>,
    notices: Notices,
    webhook: Option<Webhook>,
}

/// Why the log cannot be written or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AuditError {
    /// The tables are not as an oracle left them.
    #[error("the audit log in the database was altered: {0}; nothing is numbered until it is put back")]
    Altered(&'static str),
    /// A checkpoint that this node has met, or that was published, knows of more, or of something else.
    #[error(
        "a checkpoint over {met} events was signed, and the database has another log of {kept}: it was set back or exchanged; \
         nothing is numbered until it is put back"
    )]
    Behind {
        /// Size of that one.
        met: u64,
        /// Size of the newest one in the database.
        kept: u64,
    },
    /// The folder of published checkpoints cannot be used.
    #[error("cannot publish the audit log's checkpoint: {0}")]
    Folder(#[from] Arc<FileError>),
    /// The webhook answered with another status than 2xx.
    #[error("cannot post the audit log's checkpoint: the webhook answered {0}")]
    NotTaken(u16),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The webhook gave no answer.
    #[error("cannot post the audit log's checkpoint: the webhook: {0}")]
    Unreachable(#[from] Arc<OutboundError>),
}

impl From<FileError> for AuditError {
    fn from(error: FileError) -> Self {
        Self::Folder(Arc::new(error))
    }
}

impl fmt::Debug for Audit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Audit(…)")
    }
}

/// What the service is made of.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub rng: StateRng,
    /// The oracle's keys.
    pub keys: Arc<Keys>,
    /// What the log is called.
    pub origin: Origin,
    /// Where checkpoints are published, if anywhere.
    pub folder: Option<PathBuf>,
    /// What strangers may cause.
    pub limits: Limits,
    /// Tells those who want to hear of some of it.
    pub notices: Notices,
    /// Where checkpoints are posted, if anywhere.
    pub webhook: Option<Webhook>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Audit {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, clock, rng, keys, origin, folder, limits, notices, webhook } = parts;
        let verifier = VerifierKey { origin, key: keys.audit_key().verifying_key() };
        let at_rest = AtRest::new(keys.root_secret().subkey("audit"));
        let (budget, published, met) = (Budget::new(limits), AtomicI64::new(0), Mutex::default());
        let inner =
            Inner { store, clock, rng, at_rest, budget, keys, verifier, folder, published, met, notices, webhook };
        Self { inner: Arc::new(inner) }
    }

    /// An event to be written with the act that it tells of.
    pub fn seal(&self, entry: Entry) -> NewAudit {
        let notices = self.inner.notices.of_record(&entry);
        let (id, event) = self.event(entry);
        let sealed = self.inner.at_rest.seal(waiting(&[&id]), event.to_leaf().as_bytes(), &mut self.inner.rng.clone());
        NewAudit { id, sealed, notices }
    }

    fn event(&self, entry: Entry) -> ([u8; ID_BYTES], Event) {
        let mut id = [0; ID_BYTES];
        self.inner.rng.clone().fill_bytes(&mut id);
        (id, entry.into_event(HEXLOWER.encode(&id), self.inner.clock.now_ms()))
    }

    /// What auditors check checkpoints with.
    pub fn verifier_key(&self) -> &VerifierKey {
        &self.inner.verifier
    }

    /// The same for what anybody can do without showing that they may: beyond the budget of `source` it is counted, and the
    /// counts are recorded each minute.
    pub fn seal_bounded(&self, entry: Entry, source: &Digest) -> Option<NewAudit> {
        if self.inner.budget.take(entry.kind(), source, self.inner.clock.now_ms()) {
            Some(self.seal(entry))
        } else {
            None
        }
    }

    /// The same for what somebody does who has logged in, and may do only as often as the log tells of it: `None` beyond the budget
    /// of `principal`, which nobody else's acts use up.
    pub fn seal_own(&self, entry: Entry, principal: &Digest) -> Option<NewAudit> {
        let within = self.inner.budget.take_own(principal, self.inner.clock.now_ms());
        within.then(|| self.seal(entry))
    }

    /// Takes back what [`Audit::seal_own`] took for an act of which nothing came.
    pub fn give_back(&self, principal: &Digest) {
        self.inner.budget.give_back(principal, self.inner.clock.now_ms());
    }

    /// Counts what was refused to somebody who showed nothing: the counts are recorded each minute.
    pub fn count(&self, kind: Kind) {
        self.inner.budget.count(kind);
    }

    /// Records an act that writes nothing else.
    pub async fn record(&self, entry: Entry) -> Result<(), StoreError> {
        self.inner.store.append_audit(vec![self.seal(entry)]).await
    }

    /// Records what was counted since the last time.
    pub async fn record_counts(&self) -> Result<(), StoreError> {
        match self.inner.budget.counted() {
            Some(entry) => self.record(entry).await,
            None => Ok(()),
        }
    }
}

impl Entry {
    fn into_event(self, id: String, time: i64) -> Event {
        let Self { kind, who, source, subject, outcome, details } = self;
        let source = source.map(|source| source.to_string()).unwrap_or_default();
        let (kind, who, result) = (kind.as_str().to_owned(), who.to_string(), outcome.as_str().to_owned());
        Event { v: 1, id, time, kind, who, source, subject, result, details }.bounded()
    }
}

/// Where an event is until it has its number.
fn waiting<'a>(id: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "audit_pending", row: id, column: "sealed" }
}
