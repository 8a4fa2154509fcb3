//! Quorum sessions: one request, for a code or for a redeal, never both (SPEC, "sessions").
//!
//! What is secret is sealed in the store and only open in the crypto pool, for the time of one request.

pub mod approve;
mod by_login;
pub mod code;
pub mod create;
pub mod error;
mod known;
pub mod list;
pub mod named;
mod quorum;
mod record;
pub mod redeal;
pub mod show;
mod told;
mod watchers;

use self::error::SessionError;
use self::known::Known;
use self::record::Record;
pub use self::watchers::Place;
use self::watchers::Watchers;
use crate::clock::Clock;
use crate::config::{ApproveWith, Config};
use crate::keys::{KeyedHasher, Keys};
use crate::memory::pool::CryptoPool;
use crate::service::at_rest::AtRest;
use crate::service::audit::{Audit, Entry, Kind, Who};
use crate::service::notices::Notices;
use crate::service::people::People;
use crate::service::signer::{InviteSigner, Signers};
use crate::state::StateRng;
use crate::store::{ClosedAs, Digest, Login, SessionRow, Store, StoreError};
use quorate_protocol::session::is_session_id;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use tokio::sync::Semaphore;

/// Failures of opening that a session may see.
pub const MAX_FAILURES: i64 = 16;
/// Times that a code is made anew because an approval that was counted was withdrawn meanwhile.
const MAX_WITHDRAWN: u32 = 8;
/// Sessions whose Tocs are in memory at once.
const MAX_LOADS: usize = 64;
/// Rows of each kind that a round of sweeping takes on when the store keeps up.
const SWEEP_BATCH: i64 = 500;
/// Bytes of UTF-8 in a reason.
pub const MAX_REASON: usize = 1024;

/// What an operator may set.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Seconds until a session that nobody completes expires.
    pub open_for: i64,
    /// Distinct time steps that any session may serve; `None` for no bound but time.
    pub max_codes: Option<i64>,
    /// Sessions that one source may have open.
    pub per_source: i64,
    /// Sessions that one principal may have open which it started with its login alone.
    pub per_principal: i64,
    /// Sessions that may be open in all.
    pub in_all: i64,
    /// Milliseconds that a closed session is remembered, so that its id answers 'expired' and not 'unknown'.
    pub remember: i64,
    /// Milliseconds that a redeal waits for its new players to sign receipt.
    pub keep_redeals: i64,
    /// Whether sessions have names: only principals start and join them.
    pub require_login: bool,
    /// What an approval takes there.
    pub approve_with: ApproveWith,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            open_for: config.session_pending_seconds.into(),
            max_codes: config.session_max_codes.map(i64::from),
            per_source: config.session_open_per_source.into(),
            per_principal: config.session_open_per_principal.into(),
            in_all: config.session_open.into(),
            remember: i64::from(config.session_remember_seconds) * 1000,
            keep_redeals: i64::from(config.redeal_keep_days) * 24 * 60 * 60 * 1000,
            require_login: config.session_require_login,
            approve_with: config.session_approve_with,
        }
    }
}

/// The session service.
#[derive(Clone)]
pub struct Sessions {
    inner: Arc<Inner>,
}

struct Inner {
    audit: Audit,
    store: Store,
    clock: Arc<dyn Clock>,
    rng: StateRng,
    crypto: Arc<CryptoPool>,
    at_rest: AtRest,
    sources: KeyedHasher,
    url: String,
    keys: Arc<Keys>,
    signers: Signers,
    /// Headers that are sound, by the digest of their bytes.
    sound: Known,
    /// Groups whose deal is honest, by their names.
    honest: Known,
    limits: Limits,
    notices: Notices,
    people: People,
    open: AtomicI64,
    sweep_batch: AtomicI64,
    watchers: Arc<Watchers>,
    loads: Arc<Semaphore>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

/// What the service is made of.
pub struct Parts {
    /// The audit log.
    pub audit: Audit,
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub rng: StateRng,
    /// The threads that handle secrets.
    pub crypto: Arc<CryptoPool>,
    /// The oracle's public base URL, which invites name.
    pub url: String,
    /// The oracle's keys.
    pub keys: Arc<Keys>,
    /// Limits.
    pub limits: Limits,
    /// Tells those who want to hear of sessions.
    pub notices: Notices,
    /// Knows who stands for whom.
    pub people: People,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl Sessions {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Self {
        let Parts { audit, store, clock, rng, crypto, url, keys, limits, notices, people } = parts;
        let at_rest = AtRest::new(keys.root_secret().subkey("at rest"));
        let sources = keys.root_secret().hasher("sources");
        let (open, watchers) = (AtomicI64::new(0), Arc::new(Watchers::default()));
        let inner = Inner {
            audit,
            store,
            clock,
            rng,
            crypto,
            at_rest,
            sources,
            url,
            keys,
            signers: Signers::default(),
            sound: Known::default(),
            honest: Known::default(),
            limits,
            notices,
            people,
            open,
            sweep_batch: AtomicI64::new(SWEEP_BATCH),
            watchers,
            loads: Arc::new(Semaphore::new(MAX_LOADS)),
        };
        Self { inner: Arc::new(inner) }
    }

    /// A place among those who follow a session; `None` when there is none for `peer`.
    pub fn watch(&self, peer: IpAddr) -> Option<Place> {
        self.inner.watchers.take(self.source(peer))
    }

    /// Closes what has expired at `now` (Unix milliseconds) and forgets what is long over; `true` when there is more to do at
    /// once.
    pub async fn sweep(&self, now: i64) -> Result<bool, SessionError> {
        let Limits { remember, keep_redeals, .. } = self.inner.limits;
        let batch = self.inner.sweep_batch.load(Ordering::Relaxed);
        let audit = self.inner.audit.clone();
        let tell = Arc::new(move |id: &str, source: &Digest| {
            audit.seal_bounded(about(id, Kind::SessionExpired, Who::Oracle), source)
        });
        let swept = self.inner.store.sweep(now, remember, keep_redeals, batch, Some(tell)).await;
        let batch = match &swept {
            Err(StoreError::Slow | StoreError::Contended { .. } | StoreError::Busy) => (batch / 2).max(1),
            _ => (batch * 2).min(SWEEP_BATCH),
        };
        self.inner.sweep_batch.store(batch, Ordering::Relaxed);
        // The places that are taken count for everybody who asks, so they are counted however the sweep went.
        let open = self.inner.store.open_sessions().await?;
        self.inner.open.store(open, Ordering::Relaxed);
        metrics::gauge!("quorate_sessions_open").set(f64::from(i32::try_from(open).unwrap_or(i32::MAX)));
        let swept = swept?;
        metrics::counter!("quorate_sessions_expired_total").increment(swept.expired);
        Ok(swept.more)
    }

    fn now_ms(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    fn rng(&self) -> StateRng {
        self.inner.rng.clone()
    }

    fn signer(&self) -> Result<Arc<InviteSigner>, SessionError> {
        let signer = self.inner.signers.at(&self.inner.keys, &self.inner.url, self.now_ms().div_euclid(1000));
        signer.ok_or(SessionError::NoCertificate)
    }

    /// The peer's address as the store may see it.
    fn source(&self, peer: IpAddr) -> Digest {
        self.inner.sources.hash(&[peer.to_string().as_bytes()])
    }

    /// The same for a principal that asks with its login alone, from wherever it does. What was started before its logins were
    /// ended, with a key, a password or the principal itself, takes no place from what it starts now.
    fn asker_source(&self, login: &Login) -> Digest {
        self.inner.sources.hash(&[b"principal", &login.principal, &login.version.to_be_bytes()])
    }

    /// The principal as whose starts are told of one by one.
    fn asker_budget(&self, login: &Login) -> Digest {
        self.inner.sources.hash(&[b"asker", &login.principal])
    }

    /// The session `id`, when it can still do something.
    async fn open_session(&self, id: &str) -> Result<(SessionRow, Record), SessionError> {
        if !is_session_id(id) {
            return Err(SessionError::Unknown);
        }
        let row = self.inner.store.session(id).await?.ok_or(SessionError::Unknown)?;
        self.open_record(row)
    }

    fn open_record(&self, row: SessionRow) -> Result<(SessionRow, Record), SessionError> {
        if !row.is_open(self.now_ms()) {
            return Err(SessionError::Over(row.closed_as.unwrap_or(ClosedAs::Expired)));
        }
        let record = Record::open(&row, &self.inner.at_rest)?;
        Ok((row, record))
    }

    /// What a write that found the session closed has to say about it.
    async fn why_closed(&self, id: &str) -> SessionError {
        match self.inner.store.session(id).await {
            Ok(Some(row)) => SessionError::Over(row.closed_as.unwrap_or(ClosedAs::Expired)),
            Ok(None) => SessionError::Unknown,
            Err(error) => error.into(),
        }
    }
}

/// What the audit log says of session `id`.
fn about(id: &str, kind: Kind, who: Who) -> Entry {
    Entry::new(kind, who).to(format!("session {id}"))
}
