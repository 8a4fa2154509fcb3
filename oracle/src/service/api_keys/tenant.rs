//! An application that has proved who it is, and the only way to what belongs to it: its data keys, wrapped under its API
//! secret and again under the root secret.
//!
//! A stored record carries the number of the data key that it is sealed under. Whoever owns that data key owns the record;
//! for everybody else it does not exist.

use super::secret::WrappingKey;
use crate::service::at_rest::{AtRest, Place};
use crate::service::legacy::LegacyKey;
use crate::store::{ApiKeyRow, DataKeyRow, Digest, KnownDataKey, NewDataKey, Rewrapped};
use rand::CryptoRng;
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The record is under a data key that is not this tenant's, is not in its place, or was altered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the record does not open")]
pub struct NotOwned;

/// What was sealed, and under which data key: both belong into the record's row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Number of the data key.
    pub data_key: i64,
    /// Nonce, ciphertext and tag.
    pub bytes: Vec<u8>,
}

/// An authenticated application. Clones are cheap and may move into jobs of the crypto pool, where sealing and opening
/// belong.
#[derive(Clone)]
pub struct Tenant(Arc<Shared>);

struct Shared {
    number: i64,
    id: Digest,
    origins: Vec<String>,
    wrapping: WrappingKey,
    data_keys: Vec<DataKeyRow>,
}

impl Tenant {
    pub(super) fn new(
        row: &ApiKeyRow,
        origins: Vec<String>,
        wrapping: WrappingKey,
        data_keys: Vec<DataKeyRow>,
    ) -> Self {
        Self(Arc::new(Shared { number: row.number, id: row.id, origins, wrapping, data_keys }))
    }

    /// Names the API key in the store.
    pub fn number(&self) -> i64 {
        self.0.number
    }

    /// Names the API key everywhere, and for good: what is bound to a tenant beyond the store is bound to this.
    pub fn id(&self) -> &Digest {
        &self.0.id
    }

    /// Where the browsers of its users may be; empty when its operator has set no list.
    pub fn origins(&self) -> &[String] {
        &self.0.origins
    }

    /// Whether the data key, and with it every record under it, is this tenant's.
    pub fn owns(&self, data_key: i64) -> bool {
        self.data_key(data_key).is_some()
    }

    /// Seals `value` for `place` under the tenant's newest data key.
    pub fn seal(&self, place: Place<'_>, value: &[u8], rng: &mut impl CryptoRng) -> Result<Sealed, NotOwned> {
        // One that an import has made this instant is not wrapped under the secret yet.
        let newest = self.0.data_keys.iter().rfind(|data_key| !data_key.by_secret.is_empty()).ok_or(NotOwned)?;
        self.reseal(newest.number, place, value, rng)
    }

    /// Seals `value` for `place` under that data key, which what it replaces was sealed under.
    pub fn reseal(
        &self,
        data_key: i64,
        place: Place<'_>,
        value: &[u8],
        rng: &mut impl CryptoRng,
    ) -> Result<Sealed, NotOwned> {
        let bytes = self.unwrap(self.data_key(data_key).ok_or(NotOwned)?)?.seal(place, value, rng);
        Ok(Sealed { data_key, bytes })
    }

    /// Names a data key of this tenant's for good.
    pub fn data_key_id(&self, number: i64) -> Result<&Digest, NotOwned> {
        self.data_key(number).map(|data_key| &data_key.id).ok_or(NotOwned)
    }

    /// Whether some of its records may still be as they were imported.
    pub fn has_legacy(&self) -> bool {
        self.0.data_keys.iter().any(|data_key| data_key.legacy_key.is_some())
    }

    /// What imported records under that data key are encrypted with besides.
    pub fn legacy_key(&self, data_key: i64) -> Result<LegacyKey, NotOwned> {
        let data_key = self.data_key(data_key).ok_or(NotOwned)?;
        let sealed = data_key.legacy_key.as_deref().ok_or(NotOwned)?;
        let key = self.unwrap(data_key)?.open(place(&[&data_key.id], "legacy_key"), sealed);
        LegacyKey::from_bytes(&key.map_err(|_| NotOwned)?).ok_or(NotOwned)
    }

    /// Opens what this tenant sealed for `place` under `data_key`.
    pub fn open(&self, data_key: i64, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, NotOwned> {
        let data_key = self.data_key(data_key).ok_or(NotOwned)?;
        self.unwrap(data_key)?.open(place, sealed).map_err(|_| NotOwned)
    }

    fn data_key(&self, number: i64) -> Option<&DataKeyRow> {
        self.0.data_keys.iter().find(|data_key| data_key.number == number)
    }

    fn unwrap(&self, data_key: &DataKeyRow) -> Result<AtRest, NotOwned> {
        self.unwrapped(data_key).map(AtRest::new)
    }

    fn unwrapped(&self, data_key: &DataKeyRow) -> Result<Zeroizing<[u8; 32]>, NotOwned> {
        let row: [&[u8]; 2] = [&data_key.id, &self.0.id];
        let bytes = AtRest::new(self.0.wrapping.bytes()).open(place(&row, "by_secret"), &data_key.by_secret);
        key(&bytes.map_err(|_| NotOwned)?)
    }

    /// This tenant's data keys, wrapped for `new` instead, and one that it never used to stay behind with. One that an import
    /// has made this instant stays as well.
    pub(super) fn hand_over(
        &self,
        new: &Self,
        root: &AtRest,
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<Rewrapped>, NewDataKey), NotOwned> {
        let wrapped = self.0.data_keys.iter().filter(|data_key| !data_key.by_secret.is_empty());
        let moved = wrapped.map(|data_key| {
            let key = self.unwrapped(data_key)?;
            let wrapped = wrap(key.as_slice(), &data_key.id, &new.0.id, &new.0.wrapping, root, rng);
            Ok(Rewrapped { number: data_key.number, by_secret: wrapped.by_secret, by_root: wrapped.by_root })
        });
        let moved = moved.collect::<Result<_, _>>()?;
        Ok((moved, new_data_key(&self.0.id, &self.0.wrapping, root, rng)))
    }
}

impl fmt::Debug for Tenant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenant").field("number", &self.0.number).finish_non_exhaustive()
    }
}

/// A fresh data key for records of API key `owner` that come before its secret does, and the key itself.
pub(super) fn data_key_without_secret(owner: &Digest, root: &AtRest, rng: &mut impl CryptoRng) -> (NewDataKey, AtRest) {
    let (mut id, mut key) = ([0; 32], Zeroizing::new([0; 32]));
    rng.fill_bytes(&mut id);
    rng.fill_bytes(key.as_mut_slice());
    let by_root = root.seal(place(&[&id, owner], "by_root"), key.as_slice(), rng);
    (NewDataKey { id, by_secret: Vec::new(), by_root }, AtRest::new(key))
}

/// Wraps such a data key under the API secret, now that it is known, and keeps under it what its records are encrypted with.
pub(super) fn adopt(
    data_key: &DataKeyRow,
    by_root: &[u8],
    owner: &Digest,
    wrapping: &WrappingKey,
    legacy_key: &LegacyKey,
    root: &AtRest,
    rng: &mut impl CryptoRng,
) -> Result<KnownDataKey, NotOwned> {
    let row: [&[u8]; 2] = [&data_key.id, owner];
    let key = opened_by_root(owner, &data_key.id, by_root, root).ok_or(NotOwned)?;
    let by_secret = AtRest::new(wrapping.bytes()).seal(place(&row, "by_secret"), key.as_slice(), rng);
    let legacy_key = AtRest::new(key).seal(place(&[&data_key.id], "legacy_key"), legacy_key.as_bytes(), rng);
    Ok(KnownDataKey { number: data_key.number, by_secret, legacy_key })
}

/// A data key that is wrapped under the root secret as one of API key `owner`.
pub(super) fn opened_by_root(
    owner: &Digest,
    data_key: &Digest,
    by_root: &[u8],
    root: &AtRest,
) -> Option<Zeroizing<[u8; 32]>> {
    key(&root.open(place(&[data_key, owner], "by_root"), by_root).ok()?).ok()
}

fn key(bytes: &[u8]) -> Result<Zeroizing<[u8; 32]>, NotOwned> {
    let mut key = Zeroizing::new([0; 32]);
    if bytes.len() != key.len() {
        return Err(NotOwned);
    }
    key.copy_from_slice(bytes);
    Ok(key)
}

/// A fresh data key for API key `owner`.
pub(super) fn new_data_key(
    owner: &Digest,
    wrapping: &WrappingKey,
    root: &AtRest,
    rng: &mut impl CryptoRng,
) -> NewDataKey {
    let (mut id, mut key) = ([0; 32], Zeroizing::new([0; 32]));
    rng.fill_bytes(&mut id);
    rng.fill_bytes(key.as_mut_slice());
    wrap(key.as_slice(), &id, owner, wrapping, root, rng)
}

fn wrap(
    key: &[u8],
    id: &Digest,
    owner: &Digest,
    wrapping: &WrappingKey,
    root: &AtRest,
    rng: &mut impl CryptoRng,
) -> NewDataKey {
    let row: [&[u8]; 2] = [id, owner];
    let by_secret = AtRest::new(wrapping.bytes()).seal(place(&row, "by_secret"), key, rng);
    let by_root = root.seal(place(&row, "by_root"), key, rng);
    NewDataKey { id: *id, by_secret, by_root }
}

fn place<'a>(row: &'a [&'a [u8]], column: &'a str) -> Place<'a> {
    Place { table: "data_keys", row, column }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::api_keys::ApiSecret;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    /// An API key whose data keys are `data_keys`.
    fn tenant(id: u8, secret: &str, data_keys: Vec<DataKeyRow>) -> Tenant {
        let (created_at, sealed) = (0, Vec::new());
        let row = ApiKeyRow {
            number: id.into(),
            id: [id; 32],
            created_at,
            activated_at: None,
            revoked_at: None,
            secret_hash: None,
            sealed,
        };
        let secret = ApiSecret::presented(secret).expect("a secret");
        Tenant::new(&row, Vec::new(), secret.wrapping_key(&row.id), data_keys)
    }

    /// What the root secret alone makes of a data key's other wrapped form.
    fn opened(root: &AtRest, key: &Digest, owner: &Tenant, by_root: &[u8]) -> Option<Vec<u8>> {
        opened_by_root(owner.id(), key, by_root, root).map(|key| key.to_vec())
    }

    #[test]
    fn the_root_secret_opens_the_same_data_key_as_the_api_secret_before_and_after_a_rotation() {
        let (root, mut rng) = (AtRest::new(Zeroizing::new([7; 32])), StdRng::seed_from_u64(0));
        let old = tenant(1, "old secret", Vec::new());
        let NewDataKey { id, by_secret, by_root } = new_data_key(old.id(), &old.0.wrapping, &root, &mut rng);
        let old = tenant(1, "old secret", vec![DataKeyRow { number: 5, id, by_secret, legacy_key: None }]);
        let key = old.unwrapped(&old.0.data_keys[0]).expect("its own").to_vec();
        assert_eq!(opened(&root, &id, &old, &by_root).as_ref(), Some(&key));

        let new = tenant(2, "new secret", Vec::new());
        let (moved, fresh) = old.hand_over(&new, &root, &mut rng).expect("its own");
        let Rewrapped { number, by_secret, by_root: rewrapped } = moved.into_iter().next().expect("one");
        assert_eq!(number, 5);
        let new = tenant(2, "new secret", vec![DataKeyRow { number, id, by_secret, legacy_key: None }]);
        assert_eq!(new.unwrapped(&new.0.data_keys[0]).expect("its own now").to_vec(), key);
        assert_eq!(opened(&root, &id, &new, &rewrapped), Some(key.clone()));
        assert_eq!(opened(&root, &id, &old, &rewrapped), None, "bound to its owner");
        assert_eq!(opened(&root, &id, &new, &by_root), None);

        let NewDataKey { id, by_secret, by_root } = fresh;
        let old = tenant(1, "old secret", vec![DataKeyRow { number: 6, id, by_secret, legacy_key: None }]);
        let left = old.unwrapped(&old.0.data_keys[0]).expect("its own").to_vec();
        assert_eq!(opened(&root, &id, &old, &by_root).as_ref(), Some(&left));
        assert_ne!(left, key, "who hands over cannot open what it handed over");
    }
}
