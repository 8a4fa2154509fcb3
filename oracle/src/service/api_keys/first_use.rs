//! The first use of an imported API key: the one time that bcrypt says whether a secret is right. From then on the keyed
//! hash does, and what the key owns is wrapped under its secret like everybody's.
//!
//! bcrypt is slow by design, so a stranger who knows an imported key's value could have the oracle do nothing else. One
//! secret is hashed at a time, whoever asks; wrong ones count against the key and the address that they come from, and
//! against the key whoever tries. What has begun goes on to its end, so that hanging up is no way around either.

use super::{ApiKeyError, ApiKeys, ApiSecret, Record, tenant};
use crate::memory::pool::PoolError;
use crate::service::api_keys::NotOwned;
use crate::service::failures::{Failures, Limits};
use crate::service::legacy::LegacyKey;
use crate::store::{ApiKeyRow, DataKeyRow, Digest, FirstUse, KnownDataKey};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// From one address for one key.
const BY_ADDRESS: Limits = Limits { free: 4, first_wait: 1_000, longest_wait: 64_000 };
/// For one key from everywhere: then one a second is looked at, so that nobody can keep its owner out for long.
const BY_KEY: Limits = Limits { free: 32, first_wait: 1_000, longest_wait: 1_000 };
/// Requests that wait for their turn; more are told that the oracle is busy. When the clients of a service move, each may
/// send many at once, and only the first of each costs anything.
const WAITING: usize = 256;
/// How often a right secret looks at its API key before it is told that others keep changing it.
const LOOKS: usize = 8;

/// What bounds first uses.
pub(super) struct FirstUses {
    by_address: Failures<(Digest, IpAddr)>,
    by_key: Failures<Digest>,
    waiting: Arc<Semaphore>,
    turns: Arc<Semaphore>,
}

impl Default for FirstUses {
    fn default() -> Self {
        Self {
            by_address: Failures::new(BY_ADDRESS),
            by_key: Failures::new(BY_KEY),
            waiting: Arc::new(Semaphore::new(WAITING)),
            turns: Arc::new(Semaphore::new(1)),
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

    /// Waits until nobody else's secret is hashed, or looked at to be hashed.
    async fn turn(&self) -> Result<[OwnedSemaphorePermit; 2], ApiKeyError> {
        let place = Arc::clone(&self.waiting).try_acquire_owned().map_err(|_| PoolError::Overloaded)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await.expect("it is never closed");
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
        // The other service has given out no secret that is not the key to its data. Others take no place from anybody.
        if LegacyKey::of_secret(secret.as_text()).is_none() {
            return Ok(None);
        }
        let (uses, id) = (&self.inner.first_uses, self.inner.hasher.id(value));
        uses.admit(id, source, self.now())?;
        let turn = uses.turn().await?;
        // Meanwhile others may have used up the guesses.
        uses.admit(id, source, self.now())?;
        let (service, value, secret) = (self.clone(), value.to_owned(), secret.clone());
        // To the end even when the client goes away: a wrong secret counts, and no other is hashed beside it.
        let task = tokio::spawn(async move {
            let _turn = turn;
            service.judge(&value, &secret, source).await
        });
        task.await.unwrap_or(Err(ApiKeyError::Damaged))
    }

    /// Hashes the secret, and has the API key known by it from now on if it is right.
    async fn judge(&self, value: &str, secret: &ApiSecret, source: IpAddr) -> Result<Option<Found>, ApiKeyError> {
        let mut right = None;
        for _ in 0..LOOKS {
            let Some((row, data_keys)) = self.row(value).await? else { return Ok(None) };
            // Whoever had the turn before, or another node, may have used it, or an operator revoked it.
            if row.secret_hash.is_some() || row.revoked_at.is_some() {
                return Ok(self.is_right(&row, secret).then_some((row, data_keys)));
            }
            let mut record = Record::open(&row, &self.inner.at_rest)?;
            let Some(bcrypt) = record.bcrypt.take() else { return Ok(None) };
            if right.as_ref() != Some(&bcrypt) {
                let (hash, presented) = (bcrypt.clone(), secret.clone());
                if !self.inner.crypto.run(move || hash.matches(presented.as_text())).await? {
                    self.inner.first_uses.failed(row.id, source, self.now());
                    return Ok(None);
                }
                right = Some(bcrypt);
            }
            let secret_hash = self.inner.hasher.hash(&row.id, secret);
            let sealed = record.seal(&row.id, &self.inner.at_rest, &mut self.rng());
            let first_use = FirstUse { secret_hash, read: row.sealed.clone(), sealed };
            if self.adopt(&row, data_keys, secret, Some(first_use)).await? {
                return self.row(value).await;
            }
        }
        Err(ApiKeyError::Changed)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use crate::config::Config;
    use crate::keys::Sources;
    use crate::service::api_keys::Parts;
    use crate::service::legacy::BcryptHash;
    use crate::state::{AppState, SystemEntropy};
    use crate::store::{ImportMark, ImportedApiKey};
    use futures_util::{FutureExt as _, poll};
    use quorate_protocol::encoding::base64;

    const VALUE: &str = "an imported key";
    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    /// Services of two nodes with one store, to which a key was imported; and its secret.
    async fn nodes(folder: &std::path::Path) -> ([ApiKeys; 2], ApiSecret) {
        let flags = [("state", folder.display().to_string())];
        let config = Config::load(None, |_| None, &flags).unwrap();
        let (clock, url) = (Arc::new(TestClock::at(1_800_000_000_000)), "http://localhost".to_owned());
        let entropy = Arc::new(SystemEntropy);
        let state = AppState::open_with(config, url.clone(), Sources::default(), clock.clone(), entropy).await.unwrap();
        let other = ApiKeys::new(Parts {
            audit: state.audit.clone(),
            store: state.store.clone(),
            clock,
            rng: state.rng(),
            crypto: Arc::clone(&state.crypto),
            keys: Arc::clone(&state.keys),
            name: String::new(),
            url,
            mailer: None,
        });
        let (secret, one) = (base64(&[7; 32]), state.api_keys.clone());
        // The least cost that bcrypt has.
        let hash = BcryptHash::parse(&bcrypt::hash(&secret, 4).unwrap()).unwrap();
        let imported = ImportedApiKey {
            mark: ImportMark { id: [1; 32], digest: [1; 32] },
            key: one.seal_imported(VALUE, "a@example.com", 0, Some(hash)),
            activated_at: Some(0),
            imported_at: 0,
            data_key: Some(one.data_key_without_secret(VALUE).0),
        };
        one.inner.store.import_api_key(imported).await.unwrap();
        ([one, other], ApiSecret::presented(&secret).unwrap())
    }

    fn other_secret() -> ApiSecret {
        ApiSecret::presented(&base64(&[8; 32])).unwrap()
    }

    async fn authenticate(node: &ApiKeys, secret: &ApiSecret) -> Result<i64, ApiKeyError> {
        let tenant = node.authenticate(Some(VALUE), Some(secret.clone()), SOURCE).await?;
        Ok(tenant.number())
    }

    #[tokio::test]
    async fn who_hangs_up_is_counted_and_the_next_one_waits() {
        let folder = tempfile::tempdir().unwrap();
        let ([node, _], secret) = nodes(folder.path()).await;
        let turns = &node.inner.first_uses.turns;
        for _ in 0..=BY_ADDRESS.free {
            let wrong = other_secret();
            let mut request = Box::pin(authenticate(&node, &wrong));
            loop {
                assert!(poll!(&mut request).is_pending());
                if turns.available_permits() == 0 {
                    break;
                }
                tokio::task::yield_now().await;
            }
            drop(request);
            assert!(turns.try_acquire().is_err(), "its hash goes on, and no other begins");
            drop(turns.acquire().await.unwrap());
        }
        let refused = authenticate(&node, &secret).await.unwrap_err();
        assert!(matches!(refused, ApiKeyError::TooMany { .. }), "{refused:?}");
    }

    #[tokio::test]
    async fn what_the_other_service_cannot_have_given_out_takes_nobodys_place() {
        let folder = tempfile::tempdir().unwrap();
        let ([node, _], secret) = nodes(folder.path()).await;
        let all = u32::try_from(WAITING).unwrap();
        let places = node.inner.first_uses.waiting.try_acquire_many(all).unwrap();
        for secret in ["x", &base64(&[7; 31]), &base64(&[7; 33])] {
            let refused = authenticate(&node, &ApiSecret::presented(secret).unwrap()).await.unwrap_err();
            assert!(matches!(refused, ApiKeyError::Unauthorized), "{refused:?}");
        }
        let busy = authenticate(&node, &secret).await.unwrap_err();
        assert!(matches!(busy, ApiKeyError::Pool(PoolError::Overloaded)), "{busy:?}");
        drop(places);
        authenticate(&node, &secret).await.unwrap();
    }

    #[tokio::test]
    async fn a_key_that_is_revoked_while_its_secret_waits_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let ([node, _], secret) = nodes(folder.path()).await;
        let uses = &node.inner.first_uses;
        let turn = uses.turns.acquire().await.unwrap();
        let mut request = Box::pin(authenticate(&node, &secret));
        while uses.waiting.available_permits() == WAITING {
            assert!(poll!(&mut request).is_pending());
            tokio::task::yield_now().await;
        }
        let id = node.row(VALUE).await.unwrap().unwrap().0.id;
        node.inner.store.revoke_api_key(&id, 1).await.unwrap();
        assert!((&mut request).now_or_never().is_none(), "it waits");
        drop(turn);
        let refused = request.await.unwrap_err();
        assert!(matches!(refused, ApiKeyError::Unauthorized), "{refused:?}");
        let (row, _) = node.row(VALUE).await.unwrap().unwrap();
        assert_eq!(row.secret_hash, None, "it was not adopted either");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_right_secret_counts_on_every_node_at_once() {
        for _ in 0..16 {
            let folder = tempfile::tempdir().unwrap();
            let ([one, other], secret) = nodes(folder.path()).await;
            let requests = [one, other].map(|node| {
                let secret = secret.clone();
                tokio::spawn(async move { authenticate(&node, &secret).await })
            });
            for request in requests {
                request.await.unwrap().unwrap();
            }
        }
    }
}
