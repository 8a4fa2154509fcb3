//! Key pairs: a principal or a team gets one when it is first needed, an API key when it is activated or first asks for apps,
//! because only then its secret is at hand.

use super::error::AppError;
use super::{AppCaller, Apps, Whose};
use crate::service::api_keys::{ApiSecret, Tenant};
use crate::store::{AppReader, HolderRow};
use std::net::IpAddr;
use std::sync::Arc;

impl Apps {
    /// Gives an API key its key pair that was just activated, so that others can grant it something. When that cannot be done
    /// now, it is done when the API key first asks for apps: its secret, shown this once, must not be lost for it.
    pub async fn welcome(&self, value: &str, secret: ApiSecret, source: IpAddr) {
        let welcomed = async {
            let tenant = self.inner.api_keys.authenticate(Some(value), Some(secret), source).await?;
            self.ensure_key_pair(&AppCaller::ApiKey { tenant, value: value.to_owned(), source }).await
        };
        if let Err(error) = welcomed.await {
            tracing::warn!(%error, "an API key was activated without a key pair for apps");
        }
    }

    /// The caller's own key pair, made if there is none.
    pub async fn ensure_key_pair(&self, caller: &AppCaller) -> Result<(), AppError> {
        self.own_holder(caller).await.map(drop)
    }

    pub(super) async fn own_holder(&self, caller: &AppCaller) -> Result<HolderRow, AppError> {
        self.holder(caller.whose(), caller.tenant()).await
    }

    /// The key pair of whoever is to be granted something.
    pub(super) async fn holder_of(&self, of: Whose) -> Result<HolderRow, AppError> {
        self.holder(of, None).await
    }

    async fn holder(&self, of: Whose, tenant: Option<&Tenant>) -> Result<HolderRow, AppError> {
        if let Some(holder) = self.known_holder(of).await? {
            return Ok(holder);
        }
        let principal = match of.reader {
            AppReader::Principal(id) => Some(id),
            AppReader::ApiKey(_) if tenant.is_none() => return Err(AppError::NoKeyPair),
            AppReader::ApiKey(_) => None,
        };
        let (sealer, tenant, mut rng) = (Arc::clone(&self.inner.sealer), tenant.cloned(), self.rng());
        let job = move || sealer.new_holder(principal.as_ref(), tenant.as_ref(), &mut rng);
        let new = self.inner.crypto.run(job).await??;
        // Another node may be faster: then what it made is there. What was removed or rotated meanwhile has none.
        self.inner.store.insert_app_holder(of.reader, new).await?;
        self.known_holder(of).await?.ok_or(AppError::Changed)
    }

    async fn known_holder(&self, of: Whose) -> Result<Option<HolderRow>, AppError> {
        let holders = self.inner.store.app_holders(of.reader).await?;
        let none = holders.is_empty();
        // One that somebody wrote into the database is nobody's, and nothing is sealed to it; nor is anything more to one that came
        // over with a rotation, beside which there is a later one.
        match holders.into_iter().rfind(|holder| self.inner.custody.is_theirs(holder, &of.id)) {
            None if !none => Err(AppError::Damaged),
            holder => Ok(holder),
        }
    }
}
