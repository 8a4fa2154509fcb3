//! What somebody is about to add, compared with what there is: their own apps that make the same codes, and UUIDs that are
//! taken. Only owners learn what makes the same codes: they could take the secret out.

use super::error::AppError;
use super::reading::Readable;
use super::refused::Tried;
use super::sealed::{CodeSource, Sealer};
use super::{AppCaller, Apps, hyphenated};
use crate::service::api_keys::Tenant;
use crate::service::audit::Kind;
use crate::store::Digest;
use quorate_protocol::api::{AppRight, KnownApp, MAX_WANTED, WantedApp};
use quorate_protocol::otp::OtpSecret;
use std::collections::HashSet;
use std::sync::Arc;

/// An entry, read.
struct Wanted {
    secret: Option<OtpSecret>,
    /// How the store would name the app.
    id: Option<Digest>,
}

impl Apps {
    /// What is known of what the caller is about to add, in its order. Nothing is changed, and nothing is promised: others may add
    /// an app of a UUID in the meantime.
    pub async fn known(&self, caller: &AppCaller, wanted: Vec<WantedApp>) -> Result<Vec<KnownApp>, AppError> {
        if wanted.len() > MAX_WANTED {
            return Err(AppError::Request("these are more than 64 apps: ask again for the rest"));
        }
        let wanted = wanted.into_iter().map(|wanted| self.wanted(wanted)).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<Digest> = wanted.iter().filter_map(|wanted| wanted.id).collect();
        if !ids.is_empty() {
            self.admit(caller, Tried::Uuid)?;
        }
        let taken: HashSet<Digest> = self.inner.store.taken_apps(ids).await?.into_iter().collect();
        let owned = self.inner.store.owned_apps(caller.reader()).await?;
        let owned = owned.into_iter().filter_map(|held| self.readable(caller, held).ok());
        let owned: Vec<Readable> = owned.filter(|app| app.right == AppRight::Owner).collect();
        let theirs = taken.iter().filter(|id| !owned.iter().any(|app| app.app.id == **id)).count();
        if theirs > 0 {
            // Who asks for many learns which UUIDs others have, as whoever tries to add them does.
            let told = caller.acted(Kind::AppAdded, format!("{theirs} apps"));
            match self.refused(caller, Tried::Uuid, told, AppError::Taken).await {
                AppError::Taken => {}
                failed => return Err(failed),
            }
        }
        let (sealer, tenant) = (Arc::clone(&self.inner.sealer), caller.tenant().cloned());
        let job = move || {
            let owned: Vec<_> = owned.iter().filter_map(|app| secret_of(app, &sealer, tenant.as_ref())).collect();
            let known = wanted.iter().map(|Wanted { secret, id }| KnownApp {
                same: secret.as_ref().map(|secret| like(secret, &owned)).unwrap_or_default(),
                taken: id.is_some_and(|id| taken.contains(&id)),
            });
            known.collect()
        };
        Ok(self.inner.crypto.run(job).await?)
    }

    fn wanted(&self, wanted: WantedApp) -> Result<Wanted, AppError> {
        let WantedApp { otpauth, uuid } = wanted;
        let uuid =
            uuid.map(|uuid| hyphenated(&uuid).ok_or(AppError::Request("uuid is not a UUID in its usual spelling")));
        Ok(Wanted {
            secret: otpauth.map(|uri| OtpSecret::from_uri(&uri)).transpose()?,
            id: uuid.transpose()?.map(|uuid| self.inner.sealer.id(uuid)),
        })
    }
}

/// The UUID and the secret of an app that has one and can be read.
fn secret_of(app: &Readable, sealer: &Sealer, tenant: Option<&Tenant>) -> Option<(String, OtpSecret)> {
    let (record, _) = app.open(sealer, tenant).ok()?;
    match record.code {
        CodeSource::Otpauth(uri) => Some((record.uuid, OtpSecret::from_uri(&uri).ok()?)),
        CodeSource::Quorum { .. } => None,
    }
}

fn like(secret: &OtpSecret, owned: &[(String, OtpSecret)]) -> Vec<String> {
    let same = owned.iter().filter(|(_, own)| own.makes_codes_of(secret));
    same.map(|(uuid, _)| uuid.clone()).collect()
}
