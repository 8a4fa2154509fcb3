//! What a rotation does to apps. The key pair of the old API key comes over with its data keys, and whoever has the old secret and
//! an old copy of the database can open its private half for ever. So each app goes over to the new key's own pair, sealed under
//! another data key, and the old pair is removed.

use super::error::AppError;
use super::granting::{By, Edit};
use super::{AppCaller, Apps};
use crate::service::api_keys::{ApiKeyError, Rotation};
use crate::service::audit::Kind;
use crate::store::{AppReader, Digest, HolderRow, RecordCounts};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// How long the answer to a rotation waits for apps to be sealed anew, which goes on behind it.
const PATIENCE: Duration = Duration::from_secs(5);

impl Apps {
    /// Has the new API key take over what the old one owns; gives how many records that was. Apps go over to its own key pair one
    /// by one, to the end even when the client goes away; what cannot go over stays with the old pair, and can be read as well.
    pub async fn rotate_api_key(&self, rotation: Rotation<'_>, source: IpAddr) -> Result<RecordCounts, ApiKeyError> {
        let value = rotation.new_value.to_owned();
        let old = match self.inner.api_keys.named(rotation.old_value).await {
            Ok((number, _)) => self.inner.store.app_holders(AppReader::ApiKey(number)).await?,
            // Whether it is one is for the rotation to say.
            Err(ApiKeyError::Unknown) => Vec::new(),
            Err(error) => return Err(error),
        };
        let (moved, tenant) = self.inner.api_keys.rotate(rotation, source).await?;
        let (apps, caller) = (self.clone(), AppCaller::ApiKey { tenant, value, source });
        let old: Vec<i64> = old.iter().map(|holder| holder.number).collect();
        let task = tokio::spawn(async move {
            if let Err(error) = apps.leave_pairs(&caller, &old).await {
                tracing::warn!(%error, "apps stay with the key pair of before a rotation");
            }
        });
        // The rotation is done, and is answered; what panicked has said so.
        let _ = tokio::time::timeout(PATIENCE, task).await;
        Ok(moved)
    }

    async fn leave_pairs(&self, caller: &AppCaller, old: &[i64]) -> Result<(), AppError> {
        let pairs = self.inner.store.app_holders(caller.reader()).await?;
        let (came, own): (Vec<HolderRow>, Vec<HolderRow>) =
            pairs.into_iter().partition(|pair| old.contains(&pair.number));
        if came.is_empty() {
            return Ok(());
        }
        // The latest pair is the one that things are sealed to: one that came over must not be it.
        let latest = came.iter().map(|pair| pair.number).max();
        let later =
            |pair: &HolderRow| Some(pair.number) > latest && self.inner.custody.is_theirs(pair, &caller.whose().id);
        let own = match own.into_iter().rfind(later) {
            Some(own) => own,
            None => self.own_pair(caller, old).await?,
        };
        let came: Vec<i64> = came.iter().map(|pair| pair.number).collect();
        let apps = self.inner.store.apps(caller.reader(), 0, i64::MAX).await?.apps;
        let held = apps.iter().filter(|app| app.held.iter().any(|held| came.contains(&held.holder.number)));
        for id in held.map(|app| app.app.id).collect::<Vec<Digest>>() {
            let (edit, told) =
                (Edit::Move(came.clone(), Box::new(own.clone())), caller.acted(Kind::AppRekeyed, String::new()));
            // One that is damaged keeps no other from going over.
            if let Err(error) = self.change(By::Operator, &id, &edit, &told).await {
                tracing::warn!(%error, "an app stays with the key pair of before a rotation");
            }
        }
        Ok(self.inner.store.drop_app_holders(caller.reader(), came).await?)
    }

    /// A key pair of its own for an API key that has none but those that came over.
    async fn own_pair(&self, caller: &AppCaller, old: &[i64]) -> Result<HolderRow, AppError> {
        let (sealer, tenant, mut rng) = (Arc::clone(&self.inner.sealer), caller.tenant().cloned(), self.rng());
        let new = self.inner.crypto.run(move || sealer.new_holder(None, tenant.as_ref(), &mut rng)).await??;
        self.inner.store.insert_app_holder(caller.reader(), new).await?;
        let pairs = self.inner.store.app_holders(caller.reader()).await?;
        let mut own = pairs.into_iter().filter(|pair| !old.contains(&pair.number));
        own.rfind(|pair| self.inner.custody.is_theirs(pair, &caller.whose().id)).ok_or(AppError::Changed)
    }
}
