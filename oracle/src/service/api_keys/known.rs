//! What other services may know of API keys whose secret they have not seen.

use super::record::Record;
use super::{ApiKeyError, ApiKeys, tenant, told};
use crate::service::at_rest::AtRest;
use crate::store::Digest;

impl ApiKeys {
    /// What names the API key of a value, if it is in use: within the store, and for good.
    pub(in crate::service) async fn named(&self, value: &str) -> Result<(i64, Digest), ApiKeyError> {
        let (row, _) = self.row(value).await?.ok_or(ApiKeyError::Unknown)?;
        let in_use = row.activated_at.is_some() && row.revoked_at.is_none() && !self.is_own(&row.id);
        if in_use { Ok((row.number, row.id)) } else { Err(ApiKeyError::Unknown) }
    }

    /// Whether a data key was made for the API key of that id, or handed over to it: what the root secret wraps says so,
    /// whatever API key its row names.
    pub(in crate::service) fn owns(&self, id: &Digest, data_key: &Digest, by_root: &[u8]) -> bool {
        tenant::opened_by_root(id, data_key, by_root, &self.inner.at_rest).is_some()
    }

    /// What a data key of that API key seals, opened by the root secret alone: for what is done on the oracle's own machine.
    pub(in crate::service) fn sealing_of(&self, id: &Digest, data_key: &Digest, by_root: &[u8]) -> Option<AtRest> {
        tenant::opened_by_root(id, data_key, by_root, &self.inner.at_rest).map(AtRest::new)
    }

    /// The value of an API key, from what its row holds.
    pub(in crate::service) fn value_of(&self, id: &Digest, sealed: &[u8]) -> Result<String, ApiKeyError> {
        Ok(Record::open_sealed(id, sealed, &self.inner.at_rest)?.value)
    }

    /// What the audit log calls the API key of a value.
    pub(in crate::service) fn told(&self, value: &str) -> String {
        told::name(&self.inner.hasher.id(value))
    }
}
