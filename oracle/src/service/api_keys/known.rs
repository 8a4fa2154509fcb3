//! What other services may know of API keys whose secret they have not seen.

use super::record::Record;
use super::{ApiKeyError, ApiKeys, told};
use crate::store::Digest;

impl ApiKeys {
    /// What names the API key of a value within the store, if it is in use.
    pub(in crate::service) async fn number_of(&self, value: &str) -> Result<i64, ApiKeyError> {
        let (row, _) = self.row(value).await?.ok_or(ApiKeyError::Unknown)?;
        let in_use = row.activated_at.is_some() && row.revoked_at.is_none() && !self.is_own(&row.id);
        if in_use { Ok(row.number) } else { Err(ApiKeyError::Unknown) }
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
