//! What U2F and `WebAuthn` share: how users, credentials and ceremonies are named in the store, sealed and opened, and
//! when a challenge is too old. It must not know what either protocol signs.
//!
//! A user is a UUID that an application chose or was given. What is sealed for one is bound to the application by its data
//! key, and to the user, the act and the challenge, or the credential, by its place.

use crate::clock::Clock;
use crate::keys::{KeyedHasher, RootSecret};
use crate::memory::pool::{CryptoPool, PoolError};
use crate::service::api_keys::{NotOwned, Sealed, Tenant};
use crate::service::at_rest::Place;
use crate::service::audit::{Audit, Entry, Kind, Who};
use crate::service::legacy_users;
use crate::state::StateRng;
use crate::store::{
    CeremonyAct, CeremonyName, CeremonyRow, CredentialName, CredentialRow, Digest, NewCeremony, Store, StoreError,
};
use quorate_protocol::encoding::sha256;
use rand::CryptoRng;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Milliseconds that a challenge may be answered for.
pub const CHALLENGE_MS: i64 = 5 * 60 * 1000;
/// Milliseconds for which a challenge that is too old is remembered, so that its answer is told from one to nothing.
const REMEMBER_MS: i64 = 15 * 60 * 1000;
/// Milliseconds that wrong signature number 1, 2, 3… after the last right one locks a key for; the last holds for all further
/// ones. Nobody guesses a signature: this keeps the noise down, and short, because it keeps the key's owner out as well.
const DELAYS: &[i64] = &[0, 0, 0, 0, 0, 0, 0, 0, 0, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000];
/// Bytes of a challenge.
pub(super) const CHALLENGE_BYTES: usize = 32;
/// Bytes of a user's UUID at most: `WebAuthn` has tokens keep no more of a user's handle.
pub const MAX_UUID: usize = 64;

/// What both services are made of. Clones share it.
#[derive(Clone)]
pub struct SecurityKeys {
    inner: Arc<Inner>,
}

struct Inner {
    audit: Audit,
    store: Store,
    clock: Arc<dyn Clock>,
    rng: StateRng,
    crypto: Arc<CryptoPool>,
    names: KeyedHasher,
}

impl fmt::Debug for SecurityKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecurityKeys(…)")
    }
}

/// What the audit log calls a user: never by the UUID, which is the application's.
fn named(owner: &Digest) -> String {
    format!("user {}", data_encoding::HEXLOWER.encode(&owner[..8]))
}

/// Why a user's credentials are not there to be looked at.
#[derive(Debug, thiserror::Error)]
pub(super) enum CredentialsError {
    /// What was imported for the user cannot be read.
    #[error(transparent)]
    Damaged(#[from] NotOwned),
    /// The threads that handle secrets are overloaded or gone.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A ceremony's names: whose, what for, and of which challenge.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ceremony {
    pub owner: Digest,
    pub act: CeremonyAct,
    pub challenge: Digest,
}

impl SecurityKeys {
    /// Puts them together.
    pub fn new(
        audit: Audit,
        store: Store,
        clock: Arc<dyn Clock>,
        rng: StateRng,
        crypto: Arc<CryptoPool>,
        root: &RootSecret,
    ) -> Self {
        Self { inner: Arc::new(Inner { audit, store, clock, rng, crypto, names: root.hasher("security keys") }) }
    }

    /// Forgets challenges that nobody answered, at `now` (Unix milliseconds); `true` when there is more to do at once.
    pub async fn sweep(&self, now: i64) -> Result<bool, StoreError> {
        const BATCH: i64 = 500;
        let forgotten = self.inner.store.forget_ceremonies(now - REMEMBER_MS, BATCH).await?;
        Ok(forgotten >= BATCH.unsigned_abs())
    }

    /// The store, which tells the audit log what `tenant` does to the security keys of its user `owner`, if it is done.
    pub(super) fn telling(&self, kind: Kind, tenant: &Tenant, owner: &Digest) -> Store {
        self.telling_of(tenant.entry(kind, named(owner)))
    }

    /// The same store, which tells the audit log of something else in place of that.
    pub(super) fn telling_of(&self, entry: Entry) -> Store {
        self.inner.store.telling(self.inner.audit.seal(entry))
    }

    /// The credentials of a user, oldest first. Those that were imported become ordinary ones before anybody looks at them.
    pub(super) async fn credentials(
        &self,
        tenant: &Tenant,
        owner: &Digest,
    ) -> Result<Vec<CredentialRow>, CredentialsError> {
        self.adopt(tenant, owner).await?;
        Ok(self.inner.store.credentials(tenant.number(), owner).await?)
    }

    /// Makes a user's imported security keys ordinary ones, if there are any.
    pub(super) async fn adopt(&self, tenant: &Tenant, owner: &Digest) -> Result<(), CredentialsError> {
        if !tenant.has_legacy() {
            return Ok(());
        }
        let Some(user) = self.inner.store.legacy_user(tenant.number(), owner).await? else { return Ok(()) };
        let (keys, owner, tenant, mut rng) = (self.clone(), *owner, tenant.clone(), self.rng());
        let job = move || legacy_users::credentials(&owner, &user, &tenant, &keys, &mut rng).map(|made| (user, made));
        let (user, credentials) = self.run(job).await??;
        // Whoever else did so first has written the same credentials.
        self.inner.store.adopt_legacy_user(&owner, user, credentials).await?;
        Ok(())
    }

    pub(super) fn store(&self) -> &Store {
        &self.inner.store
    }

    pub(super) fn now(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    pub(super) fn rng(&self) -> StateRng {
        self.inner.rng.clone()
    }

    pub(super) async fn run<T, F>(&self, job: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        self.inner.crypto.run(job).await
    }

    /// How the store names the user of a UUID.
    pub(super) fn owner(&self, uuid: &str) -> Digest {
        self.name(b"user", uuid.as_bytes())
    }

    /// How the store names the credential whose id has this hash.
    pub(super) fn credential(&self, key_handle_hash: &Digest) -> Digest {
        self.name(b"credential", key_handle_hash)
    }

    pub(super) fn ceremony(&self, uuid: &str, act: CeremonyAct, challenge: &[u8]) -> Ceremony {
        Ceremony { owner: self.owner(uuid), act, challenge: sha256(&[challenge]) }
    }

    /// Has the store keep a challenge that is about to be given out.
    pub(super) async fn begin(&self, ceremony: &Ceremony, sealed: Sealed) -> Result<(), StoreError> {
        let Ceremony { owner, act, challenge } = *ceremony;
        let Sealed { data_key, bytes: sealed } = sealed;
        let expires_at = self.now() + CHALLENGE_MS;
        let name = CeremonyName { owner, data_key, act, challenge };
        self.inner.store.begin_ceremony(NewCeremony { name, expires_at, sealed }).await
    }

    /// The ceremony, when its challenge may still be answered, and the user's credentials.
    pub(super) async fn begun(
        &self,
        tenant: &Tenant,
        ceremony: &Ceremony,
    ) -> Result<(Option<CeremonyRow>, Vec<CredentialRow>), CredentialsError> {
        self.adopt(tenant, &ceremony.owner).await?;
        let Ceremony { owner, act, challenge } = ceremony;
        let (row, credentials) = self.inner.store.ceremony(tenant.number(), owner, *act, challenge).await?;
        Ok((row.filter(|row| row.expires_at > self.now()), credentials))
    }

    /// Milliseconds for which no answer of that key is looked at, when there are any.
    pub(super) fn locked(&self, row: &CredentialRow) -> Option<i64> {
        Some(self.until(row.locked_until)).filter(|milliseconds| *milliseconds > 0)
    }

    /// Milliseconds until then.
    pub(super) fn until(&self, time: i64) -> i64 {
        time.saturating_sub(self.now())
    }

    /// Counts a wrong signature of a key.
    pub(super) async fn count_wrong(&self, credential: CredentialName) -> Result<(), StoreError> {
        let failed = self.inner.store.fail_credential(credential, DELAYS, self.now()).await?;
        if failed.locks_by(DELAYS) {
            let told = Entry::new(Kind::CredentialLocked, Who::Nobody).to(named(&credential.owner));
            self.inner.audit.record(told).await?;
        }
        Ok(())
    }

    /// Whether `tenant` knows the user at all: by a credential, or by a ceremony of that act.
    pub(super) async fn knows(
        &self,
        tenant: &Tenant,
        owner: &Digest,
        act: CeremonyAct,
    ) -> Result<bool, CredentialsError> {
        if !self.credentials(tenant, owner).await?.is_empty() {
            return Ok(true);
        }
        Ok(self.inner.store.has_ceremony(tenant.number(), owner, act).await?)
    }

    fn name(&self, kind: &[u8], value: &[u8]) -> Digest {
        self.inner.names.hash(&[kind, &[0], value])
    }
}

impl Ceremony {
    /// The same for one that is found only by whoever has that as well.
    pub fn begun_with(self, with: Option<Digest>) -> Self {
        let challenge = with.map_or(self.challenge, |with| sha256(&[&self.challenge, &with]));
        Self { challenge, ..self }
    }

    /// Seals what the answer must fit.
    pub fn seal(&self, state: &impl Serialize, tenant: &Tenant, rng: &mut impl CryptoRng) -> Result<Sealed, NotOwned> {
        let place = Place { table: "ceremonies", row: &self.row(), column: "sealed" };
        tenant.seal(place, &json(state), rng)
    }

    /// Opens what was sealed for this user, act and challenge.
    pub fn open<T: DeserializeOwned>(&self, row: &CeremonyRow, tenant: &Tenant) -> Result<T, NotOwned> {
        let place = Place { table: "ceremonies", row: &self.row(), column: "sealed" };
        let json = tenant.open(row.name.data_key, place, &row.sealed)?;
        serde_json::from_slice(&json).map_err(|_| NotOwned)
    }

    fn row(&self) -> [&[u8]; 3] {
        const NUMBERS: [u8; 4] = [0, 1, 2, 3];
        let number = usize::from(self.act.number());
        [&self.owner, &NUMBERS[number..=number], &self.challenge]
    }
}

/// Seals a credential for its row.
pub(super) fn seal_credential(
    owner: &Digest,
    id: &Digest,
    record: &impl Serialize,
    tenant: &Tenant,
    rng: &mut impl CryptoRng,
) -> Result<Sealed, NotOwned> {
    tenant.seal(Place { table: "credentials", row: &[owner, id], column: "sealed" }, &json(record), rng)
}

/// Seals a credential for its row under the data key that what it replaces was sealed under.
pub(super) fn reseal_credential(
    name: &CredentialName,
    record: &impl Serialize,
    tenant: &Tenant,
    rng: &mut impl CryptoRng,
) -> Result<Sealed, NotOwned> {
    let CredentialName { owner, data_key, id } = name;
    tenant.reseal(*data_key, Place { table: "credentials", row: &[owner, id], column: "sealed" }, &json(record), rng)
}

/// Opens the credential of a row.
pub(super) fn open_credential<T: DeserializeOwned>(
    owner: &Digest,
    row: &CredentialRow,
    tenant: &Tenant,
) -> Result<T, NotOwned> {
    let place = Place { table: "credentials", row: &[owner, &row.name.id], column: "sealed" };
    let json = tenant.open(row.name.data_key, place, &row.sealed)?;
    serde_json::from_slice(&json).map_err(|_| NotOwned)
}

/// A record as it is sealed.
pub(super) fn json(value: &impl Serialize) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(serde_json::to_vec(value).expect("plain data always serialises"))
}
