//! Rotation: a new API key takes over everything that an old one owns, in one transaction that does not look at a record.

use super::{ApiKeyError, ApiKeys, ApiSecret, Tenant, told};
use crate::service::audit::Kind;
use crate::store::{RecordCounts, RotateOutcome};
use std::net::IpAddr;
use std::sync::Arc;

/// Who hands over to whom.
#[derive(Debug)]
pub struct Rotation<'a> {
    /// Value of the key that hands over.
    pub old_value: &'a str,
    /// Its secret; `None` when what was sent cannot be one.
    pub old_secret: Option<ApiSecret>,
    /// Value of the key that takes over.
    pub new_value: &'a str,
    /// Its secret.
    pub new_secret: Option<ApiSecret>,
}

impl ApiKeys {
    /// Has the new API key take over what the old one owns; gives how much that was, and the new key as it was before. Both must be
    /// activated, and two. The old key stays in use, and owns nothing.
    pub(in crate::service) async fn rotate(
        &self,
        rotation: Rotation<'_>,
        source: IpAddr,
    ) -> Result<(RecordCounts, Tenant), ApiKeyError> {
        let Rotation { old_value, old_secret, new_value, new_secret } = rotation;
        let old = self.one_of_two(old_value, old_secret, source, "old").await?;
        let new = self.one_of_two(new_value, new_secret, source, "new").await?;
        let (old_number, new_number) = (old.number(), new.number());
        if old_number == new_number {
            return Err(ApiKeyError::SameKey);
        }
        let told = old.entry(Kind::ApiKeyRotated, told::name(new.id())).from(source);
        let (at_rest, mut rng) = (Arc::clone(&self.inner.at_rest), self.rng());
        let to = new.clone();
        let handed_over = self.inner.crypto.run(move || old.hand_over(&to, &at_rest, &mut rng)).await?;
        let (data_keys, fresh) = handed_over.map_err(|_| ApiKeyError::Damaged)?;
        match self.telling(told).rotate_api_key(old_number, new_number, data_keys, fresh, self.now()).await? {
            RotateOutcome::Moved(moved) => Ok((moved, new)),
            RotateOutcome::NewNotInUse => Err(ApiKeyError::NotRotatable("new")),
            RotateOutcome::OldNotInUse => Err(ApiKeyError::NotRotatable("old")),
            RotateOutcome::SharedUsers => Err(ApiKeyError::SharedUsers),
            RotateOutcome::TooManyDataKeys => Err(ApiKeyError::DataKeys),
        }
    }

    async fn one_of_two(
        &self,
        value: &str,
        secret: Option<ApiSecret>,
        source: IpAddr,
        which: &'static str,
    ) -> Result<Tenant, ApiKeyError> {
        self.authenticate(Some(value), secret, source).await.map_err(|error| match error {
            ApiKeyError::Unauthorized => ApiKeyError::NotRotatable(which),
            error => error,
        })
    }
}
