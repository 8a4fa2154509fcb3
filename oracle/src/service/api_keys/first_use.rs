//! The first use of an imported API key: the one time that bcrypt says whether a secret is right. From then on the keyed
//! hash does, and what the key owns is wrapped under its secret like everybody's.
//!
//! bcrypt is slow by design, so a stranger who knows an imported key's value could have the oracle do nothing else. One
//! secret is hashed at a time, whoever asks; wrong ones count against the key and the address that they come from, and
//! against the key whoever tries.

use super::{ApiKeyError, ApiKeys, ApiSecret, Record, tenant};
use crate::memory::pool::PoolError;
use crate::service::api_keys::NotOwned;
use crate::service::failures::{Failures, Limits};
use crate::service::legacy::LegacyKey;
use crate::store::{ApiKeyRow, DataKeyRow, Digest, FirstUse, KnownDataKey};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{Semaphore, SemaphorePermit};

/// From one address for one key.
const BY_ADDRESS: Limits = Limits { free: 4, first_wait: 1_000, longest_wait: 64_000 };
/// For one key from everywhere: then one a second is looked at, so that nobody can keep its owner out for long.
const BY_KEY: Limits = Limits { free: 32, first_wait: 1_000, longest_wait: 1_000 };
/// Requests that wait for their turn; more are told that the oracle is busy. When the clients of a service move, each may
/// send many at once, and only the first of each costs anything.
const WAITING: usize = 256;

/// What bounds first uses.
pub(super) struct FirstUses {
    by_address: Failures<(Digest, IpAddr)>,
    by_key: Failures<Digest>,
    waiting: Semaphore,
    turns: Semaphore,
}

impl Default for FirstUses {
    fn default() -> Self {
        Self {
            by_address: Failures::new(BY_ADDRESS),
            by_key: Failures::new(BY_KEY),
            waiting: Semaphore::new(WAITING),
            turns: Semaphore::new(1),
        }
    }
}

impl FirstUses {
    fn admit(&self, id: Digest, source: IpAddr, now: i64) -> Result<(), ApiKeyError> {
        self.by_address.admit(&(id, source), now)?;
        Ok(self.by_key.admit(&id, now)?)
    }

    fn failed(&self, id: Digest, source: IpAddr, now: i64) {
        self.by_address.record((id, source), now);
        self.by_key.record(id, now);
    }

    /// Waits until nobody else's secret is hashed.
    async fn turn(&self) -> Result<[SemaphorePermit<'_>; 2], ApiKeyError> {
        let place = self.waiting.try_acquire().map_err(|_| PoolError::Overloaded)?;
        let turn = self.turns.acquire().await.expect("it is never closed");
        Ok([place, turn])
    }
}

/// An API key and its data keys.
type Found = (ApiKeyRow, Vec<DataKeyRow>);

impl ApiKeys {
    /// The API key with data keys that the secret wraps, if the secret is its own.
    pub(super) async fn known_secret(
        &self,
        value: &str,
        row: ApiKeyRow,
        data_keys: Vec<DataKeyRow>,
        secret: &ApiSecret,
        source: IpAddr,
    ) -> Result<Option<Found>, ApiKeyError> {
        if row.secret_hash.is_none() {
            return self.first_use(value, secret, source).await;
        }
        if !self.is_right(&row, secret) {
            return Ok(None);
        }
        if data_keys.iter().all(|data_key| !data_key.by_secret.is_empty()) {
            return Ok(Some((row, data_keys)));
        }
        // Something was imported for a key that is in use.
        self.adopt(&row, data_keys, secret, None).await?;
        self.row(value).await
    }

    async fn first_use(&self, value: &str, secret: &ApiSecret, source: IpAddr) -> Result<Option<Found>, ApiKeyError> {
        let uses = &self.inner.first_uses;
        let id = self.inner.hasher.id(value);
        uses.admit(id, source, self.now())?;
        let _turn = uses.turn().await?;
        // Meanwhile others may have used up the guesses, or used the key.
        uses.admit(id, source, self.now())?;
        let Some((row, data_keys)) = self.row(value).await? else { return Ok(None) };
        if row.secret_hash.is_some() {
            return Ok(self.is_right(&row, secret).then_some((row, data_keys)));
        }
        let mut record = Record::open(&row, &self.inner.at_rest)?;
        // The other service has given out no secret that is not the key to its data.
        let (Some(bcrypt), Some(_)) = (record.bcrypt.take(), LegacyKey::of_secret(secret.as_text())) else {
            return Ok(None);
        };
        let presented = secret.clone();
        if !self.inner.crypto.run(move || bcrypt.matches(presented.as_text())).await? {
            uses.failed(id, source, self.now());
            return Ok(None);
        }
        let secret_hash = self.inner.hasher.hash(&row.id, secret);
        let sealed = record.seal(&row.id, &self.inner.at_rest, &mut self.rng());
        let first_use = FirstUse { secret_hash, read: row.sealed.clone(), sealed };
        if !self.adopt(&row, data_keys, secret, Some(first_use)).await? {
            return Err(ApiKeyError::Changed);
        }
        self.row(value).await
    }

    /// Wraps under the secret what only the root secret wraps so far.
    async fn adopt(
        &self,
        row: &ApiKeyRow,
        data_keys: Vec<DataKeyRow>,
        secret: &ApiSecret,
        first_use: Option<FirstUse>,
    ) -> Result<bool, ApiKeyError> {
        let legacy_key = LegacyKey::of_secret(secret.as_text()).ok_or(ApiKeyError::Damaged)?;
        let (id, wrapping) = (row.id, secret.wrapping_key(&row.id));
        let by_root: HashMap<i64, Vec<u8>> =
            self.inner.store.data_keys_by_root(row.number).await?.into_iter().collect();
        let (at_rest, mut rng) = (Arc::clone(&self.inner.at_rest), self.rng());
        let job = move || {
            let unknown = data_keys.iter().filter(|data_key| data_key.by_secret.is_empty());
            // One that is not the API key's any more was wrapped, and moved, by somebody else meanwhile.
            let owned = unknown.filter_map(|data_key| Some((data_key, by_root.get(&data_key.number)?)));
            let adopted = owned.map(|(data_key, by_root)| {
                tenant::adopt(data_key, by_root, &id, &wrapping, &legacy_key, &at_rest, &mut rng)
            });
            adopted.collect::<Result<Vec<KnownDataKey>, NotOwned>>()
        };
        let adopted = self.inner.crypto.run(job).await?.map_err(|_| ApiKeyError::Damaged)?;
        Ok(self.inner.store.adopt_data_keys(&row.id, first_use, adopted).await?)
    }

    fn is_right(&self, row: &ApiKeyRow, secret: &ApiSecret) -> bool {
        row.secret_hash.is_some_and(|hash| self.inner.hasher.matches(&row.id, secret, &hash))
    }
}
