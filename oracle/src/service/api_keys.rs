//! API keys: how an application becomes known, proves who it is, and changes its key (see `docs/mfa.md`).
//!
//! Whoever authenticates becomes a [`Tenant`], and only a tenant can seal and open what belongs to it.

mod delivery;
mod error;
mod first_use;
mod import;
mod known;
mod own;
mod record;
mod rotate;
mod secret;
mod tenant;
mod told;

pub use self::error::ApiKeyError;
pub use self::rotate::Rotation;
pub use self::secret::ApiSecret;
pub use self::tenant::{NotOwned, Sealed, Tenant};

use self::first_use::FirstUses;
use self::record::Record;
use self::secret::SecretHasher;
use crate::clock::Clock;
use crate::keys::Keys;
use crate::mail::{self, Mailer};
use crate::memory::pool::CryptoPool;
use crate::service::apps::Custody;
use crate::service::at_rest::AtRest;
use crate::service::audit::{Audit, Entry, Kind, Who};
use crate::service::failures::{Failures, PER_SOURCE};
use crate::state::StateRng;
use crate::store::{ApiKeyRow, AppReader, DataKeyRow, NewApiKey, OwningApiKey, RecordCounts, Store};
use data_encoding::HEXLOWER;
use rand::Rng as _;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// Random bytes of an API key's value.
const VALUE_BYTES: usize = 20;
/// Bytes of a value that are looked at; a longer one is unknown.
const MAX_VALUE: usize = 256;
/// Origins that an API key may list.
const MAX_ORIGINS: usize = 64;
/// How often a revocation looks again at the apps that go with it when one was added just before it.
const TRIES: usize = 32;

/// The service. Clones share it.
#[derive(Clone)]
pub struct ApiKeys {
    inner: Arc<Inner>,
}

struct Inner {
    audit: Audit,
    store: Store,
    clock: Arc<dyn Clock>,
    rng: StateRng,
    crypto: Arc<CryptoPool>,
    keys: Arc<Keys>,
    at_rest: Arc<AtRest>,
    hasher: SecretHasher,
    name: String,
    url: String,
    mailer: Option<Mailer>,
    /// Wrong gateway keys by address.
    gateway_failures: Failures<IpAddr>,
    /// Wrong API keys and secrets by address.
    key_failures: Failures<IpAddr>,
    first_uses: FirstUses,
}

impl fmt::Debug for ApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKeys(…)")
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
    /// The oracle's keys.
    pub keys: Arc<Keys>,
    /// What the oracle calls itself.
    pub name: String,
    /// The oracle's public address.
    pub url: String,
    /// Mails the values of new API keys; without it operators pass them on.
    pub mailer: Option<Mailer>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// An API key as its operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Names it within the store.
    pub number: i64,
    /// What is sealed in it does not open: value, email and origins are empty.
    pub damaged: bool,
    /// What clients send as `X-MFA-ApiKey`.
    pub value: String,
    /// Whose it is.
    pub email: String,
    /// Where its users' browsers may be; empty for the rule that needs no list.
    pub origins: Vec<String>,
    /// When it was asked for, Unix milliseconds.
    pub created_at: i64,
    /// When its secret was given out, Unix milliseconds.
    pub activated_at: Option<i64>,
    /// When it was taken out of use, Unix milliseconds.
    pub revoked_at: Option<i64>,
    /// Whether it was imported and its secret has not been seen yet.
    pub unused: bool,
    /// How much it owns.
    pub records: RecordCounts,
    /// How much of it is still as it was imported.
    pub legacy: RecordCounts,
}

impl ApiKeys {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Self {
        let Parts { audit, store, clock, rng, crypto, keys, name, url, mailer } = parts;
        let at_rest = Arc::new(AtRest::new(keys.root_secret().subkey("at rest")));
        let hasher = SecretHasher::new(keys.root_secret());
        Self {
            inner: Arc::new(Inner {
                audit,
                store,
                clock,
                rng,
                crypto,
                keys,
                at_rest,
                hasher,
                name,
                url,
                mailer,
                gateway_failures: Failures::new(PER_SOURCE),
                key_failures: Failures::new(PER_SOURCE),
                first_uses: FirstUses::default(),
            }),
        }
    }

    /// Refuses whoever does not present the gateway key. An operator may have chosen one that can be guessed, so who has to
    /// wait waits with the right one, too: otherwise guessing would go on meanwhile.
    pub fn check_gateway(&self, presented: Option<&[u8]>, source: IpAddr) -> Result<(), ApiKeyError> {
        let failures = &self.inner.gateway_failures;
        failures.admit(&source, self.now())?;
        if presented.is_some_and(|key| self.inner.keys.gateway().matches(key)) {
            failures.forget(&source);
            return Ok(());
        }
        failures.record(source, self.now());
        self.inner.audit.count(Kind::GatewayRefused);
        Err(ApiKeyError::Gateway)
    }

    /// Makes an API key for `email` and mails its value there. Without a mailer its operator passes it on. When the mail
    /// server does not take the mail, there is no API key.
    pub async fn create(&self, email: &str, source: IpAddr) -> Result<(), ApiKeyError> {
        let to = mail::address(email).ok_or(ApiKeyError::Email)?;
        let service = self.clone();
        // To the end even when the client goes away, so that no API key is left of which nobody was told.
        let task = tokio::spawn(async move {
            let value = service.insert(to.as_ref(), source).await?;
            service.deliver(value, to).await
        });
        task.await.unwrap_or(Err(ApiKeyError::Damaged))
    }

    async fn insert(&self, email: &str, source: IpAddr) -> Result<String, ApiKeyError> {
        let mut random = [0; VALUE_BYTES];
        self.rng().fill_bytes(&mut random);
        let value = HEXLOWER.encode(&random);
        let record = Record { value: value.clone(), email: email.to_owned(), origins: Vec::new(), bcrypt: None };
        let id = self.inner.hasher.id(&value);
        let sealed = record.seal(&id, &self.inner.at_rest, &mut self.rng());
        let new = NewApiKey { id, created_at: self.now(), sealed };
        let store = self.by_operator(Kind::ApiKeyCreated, &id, Some(source), Some(email));
        if store.insert_api_key(new).await? {
            Ok(value)
        } else {
            // Random values of 160 bits do not meet.
            Err(ApiKeyError::Damaged)
        }
    }

    /// Gives the secret of an API key, once.
    pub async fn activate(&self, value: &str, email: &str, source: IpAddr) -> Result<ApiSecret, ApiKeyError> {
        let (row, record) = self.known(value).await?.ok_or(ApiKeyError::Unknown)?;
        if record.email != email || row.revoked_at.is_some() {
            return Err(ApiKeyError::Unknown);
        }
        let secret = ApiSecret::generate(&mut self.rng());
        let hash = self.inner.hasher.hash(&row.id, &secret);
        let data_key = {
            let (id, wrapping, at_rest, mut rng) =
                (row.id, secret.wrapping_key(&row.id), Arc::clone(&self.inner.at_rest), self.rng());
            self.inner.crypto.run(move || tenant::new_data_key(&id, &wrapping, &at_rest, &mut rng)).await?
        };
        let store = self.by_operator(Kind::ApiKeyActivated, &row.id, Some(source), Some(email));
        if store.activate_api_key(&row.id, &hash, data_key, self.now()).await? {
            Ok(secret)
        } else {
            Err(ApiKeyError::AlreadyActive)
        }
    }

    /// Who a request comes from. Missing, wrong, not activated and revoked credentials get the same answer. Right ones always
    /// pass, whatever else came from their address: nobody guesses 256 random bits, and many share an address. Only the first
    /// use of an imported key may have to wait (see `first_use.rs`): to tell whether its secret is right costs too much.
    pub async fn authenticate(
        &self,
        value: Option<&str>,
        secret: Option<ApiSecret>,
        source: IpAddr,
    ) -> Result<Tenant, ApiKeyError> {
        let (Some(value), Some(secret)) = (value, secret) else { return Err(ApiKeyError::Unauthorized) };
        if let Some(tenant) = self.check(value, &secret, source).await? {
            return Ok(tenant);
        }
        let (failures, now) = (&self.inner.key_failures, self.now());
        failures.record(source, now);
        self.inner.audit.count(Kind::ApiKeyRefused);
        failures.admit(&source, now)?;
        Err(ApiKeyError::Unauthorized)
    }

    /// Every API key, oldest first, those that are damaged included: one of them hides no other.
    pub async fn list(&self) -> Result<Vec<Listed>, ApiKeyError> {
        const PAGE: i64 = 500;
        let (mut listed, mut after) = (Vec::new(), 0);
        loop {
            let page = self.inner.store.api_keys_after(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(listed) };
            after = last.row.number;
            for OwningApiKey { row, records, legacy } in page {
                if self.is_own(&row.id) {
                    continue;
                }
                let record = Record::open(&row, &self.inner.at_rest);
                let damaged = record.is_err();
                let Record { value, email, origins, bcrypt } = record.unwrap_or_default();
                let ApiKeyRow { number, created_at, activated_at, revoked_at, .. } = row;
                listed.push(Listed {
                    number,
                    damaged,
                    value,
                    email,
                    origins,
                    created_at,
                    activated_at,
                    revoked_at,
                    unused: bcrypt.is_some(),
                    records,
                    legacy,
                });
            }
        }
    }

    /// How much an API key owns: records, and apps.
    pub async fn owned(&self, value: &str) -> Result<(RecordCounts, i64), ApiKeyError> {
        let (row, _) = self.row(value).await?.ok_or(ApiKeyError::Unknown)?;
        let store = &self.inner.store;
        Ok((store.count_records(row.number).await?, store.count_apps(row.number).await?))
    }

    /// Takes an API key out of use. What it owns stays in the store, where nobody can use it any more: another key takes it
    /// over before, or never. Apps that nobody else may read go with it. Done again it ends what is left after a failure.
    pub(in crate::service) async fn revoke(&self, value: &str, custody: &Custody) -> Result<(), ApiKeyError> {
        // Nothing of it has to open: one that somebody has altered is revoked like any other.
        let (row, _) = self.row(value).await?.ok_or(ApiKeyError::Unknown)?;
        let told = Entry::new(Kind::ApiKeyRevoked, Who::Operator).to(told::name(&row.id));
        // First of all, because whoever has the key may go on adding apps as long as it is in use.
        self.telling(told.clone()).revoke_api_key(&row.id, self.now()).await?;
        for _ in 0..TRIES {
            let last = custody.last_apps::<ApiKeyError>(AppReader::ApiKey(row.number), &told).await?;
            if self.inner.store.end_apps_of(row.number, last).await? {
                return Ok(());
            }
        }
        Err(ApiKeyError::Changed)
    }

    /// Sets where the browsers of an API key's users may be; an empty list restores the rule that needs none.
    pub async fn allow(&self, value: &str, origins: Vec<String>) -> Result<(), ApiKeyError> {
        if origins.len() > MAX_ORIGINS {
            return Err(ApiKeyError::Origins);
        }
        let (row, mut record) = self.known(value).await?.ok_or(ApiKeyError::Unknown)?;
        record.origins = origins;
        let sealed = record.seal(&row.id, &self.inner.at_rest, &mut self.rng());
        let told = Entry::new(Kind::ApiKeyAllowed, Who::Operator).to(told::name(&row.id));
        let store = self.telling(told.with("origins", record.origins));
        let replaced = store.reseal_api_key(&row.id, row.sealed, sealed).await?;
        if replaced { Ok(()) } else { Err(ApiKeyError::Changed) }
    }

    async fn known(&self, value: &str) -> Result<Option<(ApiKeyRow, Record)>, ApiKeyError> {
        match self.row(value).await? {
            Some((row, _)) => {
                let record = Record::open(&row, &self.inner.at_rest)?;
                Ok(Some((row, record)))
            }
            None => Ok(None),
        }
    }

    async fn row(&self, value: &str) -> Result<Option<(ApiKeyRow, Vec<DataKeyRow>)>, ApiKeyError> {
        if value.len() > MAX_VALUE {
            return Ok(None);
        }
        Ok(self.inner.store.api_key(&self.inner.hasher.id(value)).await?)
    }

    /// The tenant, if the API key is in use and the secret is its own.
    async fn check(&self, value: &str, secret: &ApiSecret, source: IpAddr) -> Result<Option<Tenant>, ApiKeyError> {
        let Some((row, data_keys)) = self.row(value).await? else { return Ok(None) };
        if row.activated_at.is_none() || row.revoked_at.is_some() {
            return Ok(None);
        }
        let Some((row, data_keys)) = self.known_secret(value, row, data_keys, secret, source).await? else {
            return Ok(None);
        };
        // An operator may have revoked it while the secret waited to be looked at.
        if row.revoked_at.is_some() {
            return Ok(None);
        }
        let record = Record::open(&row, &self.inner.at_rest)?;
        Ok(Some(Tenant::new(&row, record.origins, secret.wrapping_key(&row.id), data_keys)))
    }

    fn now(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    fn rng(&self) -> StateRng {
        self.inner.rng.clone()
    }
}
