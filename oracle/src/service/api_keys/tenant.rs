//! An application that has proved who it is, and the only way to what belongs to it: its data keys, wrapped under its API
//! secret and again under the root secret.
//!
//! A stored record carries the number of the data key that it is sealed under. Whoever owns that data key owns the record;
//! for everybody else it does not exist.

use super::secret::WrappingKey;
use crate::service::at_rest::{AtRest, Place};
use crate::store::{ApiKeyRow, DataKeyRow, Digest, NewDataKey, Rewrapped};
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
        let newest = self.0.data_keys.last().ok_or(NotOwned)?;
        let bytes = self.unwrap(newest)?.seal(place, value, rng);
        Ok(Sealed { data_key: newest.number, bytes })
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
        let bytes = bytes.map_err(|_| NotOwned)?;
        let mut key = Zeroizing::new([0; 32]);
        if bytes.len() != key.len() {
            return Err(NotOwned);
        }
        key.copy_from_slice(&bytes);
        Ok(key)
    }

    /// This tenant's data keys, wrapped for `new` instead, and one that it never used to stay behind with.
    pub(super) fn hand_over(
        &self,
        new: &Self,
        root: &AtRest,
        rng: &mut impl CryptoRng,
    ) -> Result<(Vec<Rewrapped>, NewDataKey), NotOwned> {
        let moved = self.0.data_keys.iter().map(|data_key| {
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
