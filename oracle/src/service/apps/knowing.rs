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
use uuid::Uuid;

/// An entry, read.
struct Wanted {
    secret: Option<OtpSecret>,
    uuid: Option<Uuid>,
    /// How the store would name the app.
    id: Option<Digest>,
}

/// Apps that are opened by one job.
const OPENED_TOGETHER: usize = 32;

impl Apps {
    /// What is known of what the caller is about to add, in its order. Nothing is changed, and nothing is promised: others may add
    /// an app of a UUID in the meantime.
    pub async fn known(&self, caller: &AppCaller, wanted: Vec<WantedApp>) -> Result<Vec<KnownApp>, AppError> {
        if wanted.len() > MAX_WANTED {
            return Err(AppError::Request("these are more than 64 apps: ask again for the rest"));
        }
        let wanted = wanted.into_iter().map(|wanted| self.wanted(wanted)).collect::<Result<Vec<_>, _>>()?;
        let ids: Vec<Digest> = wanted.iter().filter_map(|wanted| wanted.id).collect();
        // Who asks for many learns which UUIDs others have, as whoever tries to add them does.
        let places = self.admit(caller, Tried::Uuid, ids.len())?;
        let compares = wanted.iter().any(|wanted| wanted.secret.is_some());
        let _turn = if compares { Some(self.inner.comparing.turn(caller.whose().id).await?) } else { None };
        let taken: HashSet<Digest> = self.inner.store.taken_apps(ids).await?.into_iter().collect();
        let owned = if compares || !taken.is_empty() { self.owned(caller).await? } else { Vec::new() };
        let mut theirs = taken.clone();
        theirs.retain(|id| owned.iter().all(|app| app.app.id != *id));
        places.keep(u32::try_from(theirs.len()).unwrap_or(u32::MAX));
        if !theirs.is_empty() {
            let named = wanted.iter().filter(|wanted| wanted.id.is_some_and(|id| theirs.remove(&id)));
            let uuids: Vec<String> = named.filter_map(|wanted| wanted.uuid).map(|uuid| uuid.to_string()).collect();
            let subject = match uuids.as_slice() {
                [uuid] => format!("app {uuid}"),
                several => format!("{} apps", several.len()),
            };
            self.tell_bounded(caller, caller.acted(Kind::AppKnown, subject).with("apps", uuids)).await?;
        }
        let mut known: Vec<KnownApp> = wanted
            .iter()
            .map(|wanted| KnownApp { same: Vec::new(), taken: wanted.id.is_some_and(|id| taken.contains(&id)) })
            .collect();
        if compares {
            self.compare(caller, wanted, owned, &mut known).await?;
        }
        Ok(known)
    }

    /// The apps that the caller owns.
    async fn owned(&self, caller: &AppCaller) -> Result<Vec<Readable>, AppError> {
        let owned = self.inner.store.owned_apps(caller.reader()).await?;
        let owned = owned.into_iter().filter_map(|held| self.readable(caller, held).ok());
        Ok(owned.filter(|app| app.right == AppRight::Owner).collect())
    }

    /// Says of each which of the caller's apps makes the same codes: some at a time, so that others' secrets are opened in between.
    async fn compare(
        &self,
        caller: &AppCaller,
        wanted: Vec<Wanted>,
        owned: Vec<Readable>,
        known: &mut [KnownApp],
    ) -> Result<(), AppError> {
        let (wanted, mut owned) = (Arc::new(wanted), owned.into_iter());
        while owned.len() > 0 {
            let part: Vec<Readable> = owned.by_ref().take(OPENED_TOGETHER).collect();
            let (sealer, tenant, wanted) =
                (Arc::clone(&self.inner.sealer), caller.tenant().cloned(), Arc::clone(&wanted));
            let job = move || {
                let part: Vec<_> = part.iter().filter_map(|app| secret_of(app, &sealer, tenant.as_ref())).collect();
                let same = wanted.iter().map(|wanted| wanted.secret.as_ref().map(|secret| like(secret, &part)));
                same.map(Option::unwrap_or_default).collect::<Vec<Vec<String>>>()
            };
            for (known, same) in known.iter_mut().zip(self.inner.crypto.run(job).await?) {
                known.same.extend(same);
            }
        }
        Ok(())
    }

    fn wanted(&self, wanted: WantedApp) -> Result<Wanted, AppError> {
        let WantedApp { otpauth, uuid } = wanted;
        let uuid =
            uuid.map(|uuid| hyphenated(&uuid).ok_or(AppError::Request("uuid is not a UUID in its usual spelling")));
        let uuid = uuid.transpose()?;
        Ok(Wanted {
            secret: otpauth.map(|uri| OtpSecret::from_uri(&uri)).transpose()?,
            uuid,
            id: uuid.map(|uuid| self.inner.sealer.id(uuid)),
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
