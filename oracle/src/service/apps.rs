//! Apps: authenticator entries that several share. Who may, reads codes; nobody but the owner takes the secret out (see
//! `docs/apps.md`).
//!
//! An app is sealed under a data key of its own, and that is sealed to the key pair of each who holds a grant. So granting
//! takes no secret of whoever is granted something, and what an application may read opens with its API secret alone.

mod adding;
mod amending;
mod custody;
mod error;
mod exporting;
mod grantee;
mod granting;
mod holders;
mod knowing;
mod overseeing;
mod reading;
mod refused;
mod rotating;
mod sealed;
mod turns;

pub use self::adding::New;
pub use self::custody::{AppsLeft, Custody};
pub use self::error::AppError;
pub use self::grantee::Grantee;
pub use self::overseeing::{Overseen, OverseenGrant, WhichApp};

use self::sealed::Sealer;
use self::turns::Turns;
use crate::clock::Clock;
use crate::memory::pool::CryptoPool;
use crate::service::api_keys::{ApiKeys, Tenant};
use crate::service::audit::{Audit, Entry, Kind, Who};
use crate::service::failures::{Failures, Limits, PER_SOURCE};
use crate::service::people::{Caller, People};
use crate::state::StateRng;
use crate::store::{AppReader, Digest, NewAudit, Store};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use uuid::Uuid;

/// For UUIDs that are taken: a whole table may have been moved here by somebody else already.
const TAKEN_UUIDS: Limits = Limits { free: 256, ..PER_SOURCE };

/// The service. Clones share it.
#[derive(Clone)]
pub struct Apps {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    rng: StateRng,
    crypto: Arc<CryptoPool>,
    sealer: Arc<Sealer>,
    custody: Custody,
    audit: Audit,
    people: People,
    api_keys: ApiKeys,
    /// Names that nobody has, by caller: whoever tries some learns who there is.
    tried_names: Failures<Digest>,
    /// UUIDs that are others', by caller.
    tried_uuids: Failures<Digest>,
    /// Who compares what they are about to add with what they have.
    comparing: Turns,
}

impl fmt::Debug for Apps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Apps(…)")
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
    /// The threads that handle secrets.
    pub crypto: Arc<CryptoPool>,
    /// What principals' key pairs are sealed under, and what binds grants.
    pub custody: Custody,
    /// The audit log.
    pub audit: Audit,
    /// Who has a ticket, and who is in which team.
    pub people: People,
    /// Who has an API key.
    pub api_keys: ApiKeys,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub enum AppCaller {
    /// An application that has shown its API secret.
    ApiKey {
        /// The application.
        tenant: Tenant,
        /// The value of its API key.
        value: String,
        /// From where the request came.
        source: IpAddr,
    },
    /// A principal that has shown a ticket.
    Principal(Caller),
}

/// Which part of a list is wanted.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Behind the app of that UUID; from the first one on otherwise.
    pub after: Option<String>,
    /// So many at most.
    pub limit: Option<usize>,
}

/// Whom a key pair is looked for: by what the store finds it, and what it is bound to.
#[derive(Debug, Clone, Copy)]
struct Whose {
    reader: AppReader,
    /// Names an API key, a principal or a team for good.
    id: Digest,
}

impl AppCaller {
    fn reader(&self) -> AppReader {
        self.whose().reader
    }

    fn whose(&self) -> Whose {
        match self {
            Self::ApiKey { tenant, .. } => Whose { reader: AppReader::ApiKey(tenant.number()), id: *tenant.id() },
            Self::Principal(caller) => Whose { reader: AppReader::Principal(caller.id()), id: caller.id() },
        }
    }

    fn tenant(&self) -> Option<&Tenant> {
        match self {
            Self::ApiKey { tenant, .. } => Some(tenant),
            Self::Principal(_) => None,
        }
    }

    /// How a grant names this caller.
    fn name(&self) -> String {
        match self {
            Self::ApiKey { value, .. } => Grantee::ApiKey(value.clone()).to_string(),
            Self::Principal(caller) => caller.name.to_string(),
        }
    }

    /// What this caller did to an app, for the audit log.
    fn entry(&self, kind: Kind, uuid: Uuid) -> Entry {
        self.acted(kind, format!("app {uuid}"))
    }

    fn acted(&self, kind: Kind, subject: String) -> Entry {
        match self {
            Self::ApiKey { tenant, source, .. } => tenant.entry(kind, subject).from(*source),
            Self::Principal(caller) => {
                Entry::new(kind, Who::Principal(caller.name.to_string())).from(caller.source).to(subject)
            }
        }
    }
}

impl Apps {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Self {
        let Parts { store, clock, rng, crypto, custody, audit, people, api_keys } = parts;
        let sealer = Arc::clone(custody.sealer());
        let (tried_names, tried_uuids) = (Failures::new(PER_SOURCE), Failures::new(TAKEN_UUIDS));
        let comparing = Turns::default();
        let inner = Inner {
            store,
            clock,
            rng,
            crypto,
            sealer,
            custody,
            audit,
            people,
            api_keys,
            tried_names,
            tried_uuids,
            comparing,
        };
        Self { inner: Arc::new(inner) }
    }

    /// The UUID that a text names, in the spelling that was given out, in either case: other spellings name nothing.
    fn named(&self, uuid: &str) -> Result<(Uuid, Digest), AppError> {
        let uuid = hyphenated(uuid).ok_or(AppError::Unknown)?;
        Ok((uuid, self.inner.sealer.id(uuid)))
    }

    fn seal(&self, told: Entry) -> NewAudit {
        self.inner.audit.seal(told)
    }

    fn now(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    fn rng(&self) -> StateRng {
        self.inner.rng.clone()
    }
}

fn hyphenated(uuid: &str) -> Option<Uuid> {
    (uuid.len() == uuid::fmt::Hyphenated::LENGTH).then(|| Uuid::try_parse(uuid).ok()).flatten()
}

fn rfc3339(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}
