//! People: principals and their roles, providers of second factors, logins and tickets (see `docs/people.md`).
//!
//! Whoever logs in gets a ticket; whoever shows one becomes a [`Caller`], whose role says what they may do ([`rights`]).

pub mod rights;

mod applicants;
mod duo;
mod enrolment;
mod error;
mod factor;
mod groups;
mod hashes;
mod known;
mod login;
mod name;
mod own_keys;
mod password;
mod principal;
mod provider;
mod record;
mod remote;
mod standing;
mod ticket;

pub use self::applicants::Asker;
pub use self::duo::DuoFactor;
pub use self::enrolment::{Enrolling, Invitation, Made};
pub use self::error::PeopleError;
pub use self::factor::{Assigned, Assignment, GeneratedKey};
pub use self::groups::{Damaged, GroupHolder, GroupSummary, KnownGroup};
pub use self::hashes::Token;
pub use self::login::{Asked, Attempt, Challenge, Progress};
pub use self::name::{NameError, PrincipalName, ProviderName};
pub use self::password::Cost;
pub use self::principal::{Link, NewcomerOutcome, Shown};
pub use self::provider::{Options, Provider, ProviderKind, REDACTED};
pub use self::remote::{Question, RemoteFactor, Unavailable, Verdict};
pub use self::standing::{Approved, Player};
pub use self::ticket::{Caller, LoggedIn};

use self::hashes::Hashes;
use self::password::Passwords;
use self::record::Sealer;
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::RootSecret;
use crate::memory::pool::CryptoPool;
use crate::service::api_keys::{ApiKeys, Tenant};
use crate::service::apps::Custody;
use crate::service::at_rest::AtRest;
use crate::service::audit::{Audit, Entry, Kind, Who};
use crate::service::failures::{Failures, PER_SOURCE};
use crate::service::webauthn::Webauthn;
use crate::state::StateRng;
use crate::store::{Digest, NewAudit, Store};
use rand::CryptoRng;
use serde_json::Value;
use std::fmt;
use std::future::Future;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// Milliseconds after which a name that did not fail again is forgotten: by then its failures have halved to none.
const QUIET: i64 = 24 * 60 * 60 * 1000;

/// The service. Clones share it.
#[derive(Clone)]
pub struct People {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    rng: StateRng,
    crypto: Arc<CryptoPool>,
    sealer: Sealer,
    hashes: Hashes,
    passwords: Passwords,
    limits: Limits,
    name: String,
    url: String,
    webauthn: Webauthn,
    api_keys: ApiKeys,
    custody: Custody,
    own: OnceCell<Tenant>,
    remote: Arc<dyn RemoteFactor>,
    audit: Audit,
    /// Failed logins by address.
    sources: Failures<IpAddr>,
    /// Links that nobody has, by address: whoever tries some keeps no neighbour from logging in.
    guessed_links: Failures<IpAddr>,
    /// Links that were opened, each by its user: what the audit log is told of them.
    opened_links: Failures<Digest>,
}

impl fmt::Debug for People {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("People").field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

/// What the service is made of.
pub struct Parts<'a> {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub rng: StateRng,
    /// The threads that handle secrets.
    pub crypto: Arc<CryptoPool>,
    /// What everything is sealed and hashed under.
    pub root: &'a RootSecret,
    /// What the oracle calls itself.
    pub name: String,
    /// The oracle's public address.
    pub url: String,
    /// Holds the principals' security keys, as an application's.
    pub webauthn: Webauthn,
    /// Knows the oracle as an application.
    pub api_keys: ApiKeys,
    /// Opens the apps that go with a principal.
    pub custody: Custody,
    /// Decides about second factors elsewhere.
    pub remote: Arc<dyn RemoteFactor>,
    /// The audit log.
    pub audit: Audit,
    /// Limits.
    pub limits: Limits,
}

impl fmt::Debug for Parts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// Bounds that operators set.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Milliseconds that a ticket lasts without being used.
    pub ticket_idle: i64,
    /// Milliseconds that a ticket lasts at most.
    pub ticket: i64,
    /// Milliseconds that a link lasts.
    pub link: i64,
    /// What checking a password costs.
    pub cost: Cost,
    /// Passwords that are checked at once.
    pub at_once: usize,
    /// Passwords that may wait to be checked.
    pub waiting: usize,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        let milliseconds = |seconds: u32| i64::from(seconds) * 1000;
        Self {
            ticket_idle: milliseconds(config.ticket_idle_seconds),
            ticket: milliseconds(config.ticket_seconds),
            link: milliseconds(config.link_seconds),
            cost: Cost {
                memory_kib: config.password_memory_kib,
                passes: config.password_passes,
                lanes: config.password_lanes,
            },
            at_once: config.password_at_once as usize,
            waiting: config.password_waiting as usize,
        }
    }
}

impl People {
    /// Puts the service together; fails when the system gives no threads.
    pub fn new(parts: Parts<'_>) -> std::io::Result<Self> {
        let Parts { store, clock, rng, crypto, root, name, url, webauthn, api_keys, custody, remote, audit, limits } =
            parts;
        let inner = Inner {
            store,
            clock,
            rng,
            crypto,
            sealer: Sealer::new(AtRest::new(root.subkey("at rest"))),
            hashes: Hashes::new(root),
            passwords: Passwords::start(limits.cost, limits.at_once, limits.waiting)?,
            limits,
            name,
            url,
            webauthn,
            api_keys,
            custody,
            own: OnceCell::new(),
            remote,
            audit,
            sources: Failures::new(PER_SOURCE),
            guessed_links: Failures::new(PER_SOURCE),
            opened_links: Failures::new(PER_SOURCE),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// How often a password was hashed or checked, by the work of it.
    pub fn evaluations(&self) -> u64 {
        self.inner.passwords.evaluations()
    }

    /// Forgets tickets, links and failures that are over at `now` (Unix milliseconds); `true` when there is more to do at once.
    pub async fn sweep(&self, now: i64) -> Result<bool, PeopleError> {
        const BATCH: i64 = 500;
        let forgotten = self.inner.store.forget_logins(now, now.saturating_sub(QUIET), BATCH).await?;
        Ok(forgotten >= BATCH.unsigned_abs())
    }

    /// The oracle as the application whose users the principals are.
    async fn own(&self) -> Result<&Tenant, PeopleError> {
        let own = async || Ok::<_, PeopleError>(self.inner.api_keys.own().await?);
        self.inner.own.get_or_try_init(own).await
    }

    /// What the audit log is told of something that a caller did to a principal, a team or a provider.
    fn told(&self, kind: Kind, by: &Caller, subject: impl fmt::Display, more: &[(&str, &str)]) -> NewAudit {
        self.told_more(kind, by, subject, more.iter().map(|(name, value)| (*name, Value::from(*value))))
    }

    /// The same with values of any kind: lists are not cut where texts are.
    fn told_more<'a>(
        &self,
        kind: Kind,
        by: &Caller,
        subject: impl fmt::Display,
        more: impl IntoIterator<Item = (&'a str, Value)>,
    ) -> NewAudit {
        let entry = entry(kind, by, subject);
        let entry = more.into_iter().fold(entry, |entry, (name, value)| entry.with(name, value));
        self.inner.audit.seal(entry)
    }

    fn now(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    fn rng(&self) -> StateRng {
        self.inner.rng.clone()
    }
}

/// Something that a caller did to a principal, a team or a provider.
fn entry(kind: Kind, by: &Caller, subject: impl fmt::Display) -> Entry {
    Entry::new(kind, Who::Principal(by.name.to_string())).from(by.source).to(subject.to_string())
}

/// Does something to its end, also when nobody waits for it any more.
async fn whole<T: Send + 'static>(
    work: impl Future<Output = Result<T, PeopleError>> + Send + 'static,
) -> Result<T, PeopleError> {
    match tokio::spawn(work).await {
        Ok(outcome) => outcome,
        Err(ended) => match ended.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is shutting down, and nobody is answered any more.
            Err(_cancelled) => Err(PeopleError::Changed),
        },
    }
}

fn random_id(rng: &mut impl CryptoRng) -> Digest {
    let mut id = [0; 32];
    rng.fill_bytes(&mut id);
    id
}
