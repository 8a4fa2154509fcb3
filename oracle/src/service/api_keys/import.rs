//! API keys that come from another service: how they are sealed before their secret is known, and when what they came with
//! is forgotten. Knows no export.

use super::{ApiKeys, Record, tenant};
use crate::service::at_rest::AtRest;
use crate::service::legacy::BcryptHash;
use crate::store::{Digest, NewApiKey, NewDataKey, StoreError};

/// Milliseconds after which no import that made a data key can still be at work.
const IMPORT_MS: i64 = 24 * 60 * 60 * 1000;

impl ApiKeys {
    /// Names the API key of `value` in the store.
    pub(in crate::service) fn id(&self, value: &str) -> Digest {
        self.inner.hasher.id(value)
    }

    /// An API key as the store takes it.
    pub(in crate::service) fn seal_imported(
        &self,
        value: &str,
        email: &str,
        created_at: i64,
        bcrypt: Option<BcryptHash>,
    ) -> NewApiKey {
        let record = Record { value: value.to_owned(), email: email.to_owned(), origins: Vec::new(), bcrypt };
        let id = self.id(value);
        let sealed = record.seal(&id, &self.inner.at_rest, &mut self.rng());
        NewApiKey { id, created_at, sealed }
    }

    /// A data key for records that come before their API key's secret does, and the key itself.
    pub(in crate::service) fn data_key_without_secret(&self, value: &str) -> (NewDataKey, AtRest) {
        tenant::data_key_without_secret(&self.id(value), &self.inner.at_rest, &mut self.rng())
    }

    /// Forgets the secrets that imported records were encrypted with, once no record is.
    pub async fn sweep(&self, now: i64) -> Result<(), StoreError> {
        self.inner.store.forget_legacy_keys(now - IMPORT_MS).await.map(drop)
    }
}
