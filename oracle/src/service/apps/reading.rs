//! Reading: what somebody may read, and codes. A grant counts only as it was given, for the app as it is now; a membership only
//! as an operator made it.

use super::error::AppError;
use super::sealed::{CodeSource, Record, Sealer, right};
use super::{AppCaller, Apps, Page, rfc3339};
use crate::service::audit::{Kind, Outcome};
use crate::store::{AppReader, AppRow, GrantedRow, HeldApp, HeldApps, HeldGrant};
use quorate_protocol::api::{App, AppCode, AppRight};
use quorate_protocol::app_key::AppKey;
use quorate_protocol::otp::OtpSecret;
use std::collections::HashMap;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Bytes of a reason at most.
const MAX_WHY: usize = 1_024;
/// Apps that are read at once at least for a page of a list.
const READ_TOGETHER: usize = 64;

/// An app with the best grant that a caller has of it.
pub(super) struct Readable {
    pub app: AppRow,
    pub right: AppRight,
    pub held: HeldGrant,
}

/// A code, and what it was read from.
struct Read {
    code: AppCode,
    /// When, Unix milliseconds.
    at: i64,
    /// The app's number, version and revision.
    state: (i64, i64, i64),
    /// Whether the app is to be sealed anew by who has read it.
    rekey: bool,
}

fn state(app: &AppRow) -> (i64, i64, i64) {
    (app.number, app.version, app.revision)
}

impl Apps {
    /// A code. The audit log is told who reads it and why, before it is shown.
    pub async fn code(&self, caller: &AppCaller, uuid: &str, why: Option<&str>) -> Result<AppCode, AppError> {
        if why.is_some_and(|why| why.len() > MAX_WHY) {
            return Err(AppError::Request("why is longer than 1,024 bytes"));
        }
        let (uuid, id) = self.named(uuid)?;
        let told = caller.entry(Kind::AppCode, uuid);
        let told = if let Some(why) = why { told.with("why", why) } else { told };
        let looked = self.inner.store.app(caller.reader(), &id).await?.ok_or(AppError::Unknown)?;
        let read = match self.code_of(caller, looked).await {
            // Nobody reads a code here; a session that begins is told of as one.
            Err(by_quorum @ AppError::ByQuorum(_)) => return Err(by_quorum),
            Ok(read) => {
                let store = self.inner.store.telling(self.seal(told.clone()));
                let held = store.read_app(caller.reader(), &id).await?.ok_or(AppError::Unknown)?;
                self.code_still(caller, held, read).await
            }
            failed => failed,
        };
        if let Err(error) = &read {
            // That somebody read it may have been told before: nobody did.
            self.inner.audit.record(told.ended(Outcome::Failed).with("because", error.to_string())).await?;
        }
        let Read { code, rekey, .. } = read?;
        if rekey {
            self.pay(caller, uuid).await;
        }
        Ok(code)
    }

    /// The code of an app as it was read.
    async fn code_of(&self, caller: &AppCaller, held: HeldApp) -> Result<Read, AppError> {
        let readable = self.readable(caller, held)?;
        let rekey = readable.app.owed;
        let (state, at) = (state(&readable.app), self.now());
        let (sealer, tenant) = (Arc::clone(&self.inner.sealer), caller.tenant().cloned());
        let job = move || {
            let (record, _) = readable.open(&sealer, tenant.as_ref())?;
            match record.code {
                CodeSource::Otpauth(uri) => code_at(&uri, at),
                CodeSource::Quorum { group, .. } => Err(AppError::ByQuorum(Box::new(group))),
            }
        };
        Ok(Read { code: self.inner.crypto.run(job).await??, at, state, rekey })
    }

    /// A code that was read before, if the app as it is now is the same and the code still holds; or else the one of now.
    async fn code_still(&self, caller: &AppCaller, held: HeldApp, read: Read) -> Result<Read, AppError> {
        let passed = u64::try_from(self.now().saturating_sub(read.at)).unwrap_or(0);
        if state(&held.app) != read.state || passed >= read.code.expires {
            return self.code_of(caller, held).await;
        }
        self.readable(caller, held)?;
        let expires = read.code.expires - passed;
        Ok(Read { code: AppCode { expires, ..read.code }, ..read })
    }

    /// What the caller may read, in the order in which it was added. What is damaged keeps nothing else from being listed.
    pub async fn list(&self, caller: &AppCaller, page: &Page) -> Result<Vec<App>, AppError> {
        if page.limit == Some(0) {
            return Err(AppError::Request("limit is 1 or more"));
        }
        if caller.tenant().is_some() {
            self.ensure_key_pair(caller).await?;
        }
        let mut after = match &page.after {
            Some(after) => {
                let (_, id) = self.named(after)?;
                self.inner.store.app(caller.reader(), &id).await?.ok_or(AppError::Unknown)?.app.number
            }
            None => 0,
        };
        let limit = page.limit.unwrap_or(usize::MAX);
        let mut listed = Vec::new();
        loop {
            // Those that do not open take no place, so whoever sees fewer than they wanted has seen the last one.
            // Some at a time, or each that does not open would be a query.
            let wanted = i64::try_from((limit - listed.len()).max(READ_TOGETHER)).unwrap_or(i64::MAX);
            let HeldApps { apps, owners, more } = self.inner.store.apps(caller.reader(), after, wanted).await?;
            listed.extend(self.shown(caller, apps, &owners).await?);
            match more {
                Some(last) if listed.len() < limit => after = last,
                _ => {
                    listed.truncate(limit);
                    return Ok(listed);
                }
            }
        }
    }

    /// Those of some apps that open.
    async fn shown(&self, caller: &AppCaller, apps: Vec<HeldApp>, owners: &[GrantedRow]) -> Result<Vec<App>, AppError> {
        let owners = self.owners(apps.iter().map(|held| &held.app), owners);
        let readable: Vec<Readable> =
            apps.into_iter().filter_map(|held| self.readable(caller, held).inspect_err(told_damaged).ok()).collect();
        let (sealer, tenant) = (Arc::clone(&self.inner.sealer), caller.tenant().cloned());
        let job = move || {
            let shown = readable.iter().map(|app| app.shown(&sealer, tenant.as_ref(), &owners));
            shown.filter_map(|app| app.inspect_err(told_damaged).ok()).collect()
        };
        Ok(self.inner.crypto.run(job).await?)
    }

    /// One app.
    pub async fn show(&self, caller: &AppCaller, uuid: &str) -> Result<App, AppError> {
        let (uuid, id) = self.named(uuid)?;
        let (held, grants) = self.inner.store.app_with_grants(caller.reader(), &id).await?.ok_or(AppError::Unknown)?;
        let owners = self.owners([&held.app], &grants);
        let readable = self.readable(caller, held)?;
        let rekey = readable.app.owed;
        let (sealer, tenant) = (Arc::clone(&self.inner.sealer), caller.tenant().cloned());
        let shown = self.inner.crypto.run(move || readable.shown(&sealer, tenant.as_ref(), &owners)).await??;
        if rekey {
            self.pay(caller, uuid).await;
        }
        Ok(shown)
    }

    /// Seals an app anew that somebody could read who may not any more. What the caller asked for is done whether that can be
    /// done now or later.
    pub(super) async fn pay(&self, caller: &AppCaller, uuid: uuid::Uuid) {
        if let Err(error) = self.rekey(caller, uuid).await {
            tracing::warn!(%error, "an app is still to be sealed anew");
        }
    }

    /// The best grant that the caller has, of those that are genuine.
    pub(super) fn readable(&self, caller: &AppCaller, held: HeldApp) -> Result<Readable, AppError> {
        let HeldApp { app, held } = held;
        let genuine = held.into_iter().filter(|held| self.counts(caller, &app, held));
        let best = genuine.filter_map(|held| Some((right(held.grant.level)?, held))).max_by_key(|(right, _)| *right);
        let (right, held) = best.ok_or(AppError::Damaged)?;
        Ok(Readable { app, right, held })
    }

    fn counts(&self, caller: &AppCaller, app: &AppRow, held: &HeldGrant) -> bool {
        let HeldGrant { grant, holder, member } = held;
        let own = caller.whose().id;
        let id = match (caller.reader(), &holder.principal, member) {
            (AppReader::Principal(id), Some(team), Some(bound)) if *team != id => {
                if !self.inner.people.is_member(team, &id, bound) {
                    return false;
                }
                team
            }
            _ => &own,
        };
        self.inner.custody.is_theirs(holder, id) && self.inner.sealer.is_granted(&app.id, app.version, grant, holder)
    }

    /// Names of owners by the numbers of their apps: of those whose grants are genuine.
    fn owners<'a>(&self, apps: impl IntoIterator<Item = &'a AppRow>, grants: &[GrantedRow]) -> HashMap<i64, String> {
        let apps: HashMap<i64, &AppRow> = apps.into_iter().map(|app| (app.number, app)).collect();
        let owners = grants.iter().filter(|granted| {
            right(granted.grant.level) == Some(AppRight::Owner)
                && apps.get(&granted.app).is_some_and(|app| self.inner.custody.is_genuine(app, granted))
        });
        owners.filter_map(|granted| Some((granted.app, self.name(&granted.grantee).ok()?.to_string()))).collect()
    }
}

impl Readable {
    /// The app, and the data key that it is sealed under.
    pub fn open(
        &self,
        sealer: &Sealer,
        tenant: Option<&crate::service::api_keys::Tenant>,
    ) -> Result<(Record, AppKey), AppError> {
        let key = sealer.open_key(&self.held.holder, tenant, &self.held.grant.sealed_key)?;
        Ok((Record::open(&self.app.id, &key, &self.app.sealed)?, key))
    }

    fn shown(
        &self,
        sealer: &Sealer,
        tenant: Option<&crate::service::api_keys::Tenant>,
        owners: &HashMap<i64, String>,
    ) -> Result<App, AppError> {
        let (record, _) = self.open(sealer, tenant)?;
        record.shown(self.right, owners.get(&self.app.number).cloned(), self.app.added_at)
    }
}

impl Record {
    /// The app as its holders see it.
    pub fn shown(self, right: AppRight, owner: Option<String>, added_at: i64) -> Result<App, AppError> {
        let Self { uuid, name, code } = self;
        let (issuer, label, by_quorum) = match code {
            CodeSource::Otpauth(uri) => {
                let secret = OtpSecret::from_uri(&uri).map_err(|_| AppError::Damaged)?;
                (secret.issuer().unwrap_or_default().to_owned(), secret.account().to_owned(), None)
            }
            CodeSource::Quorum { group, note } => (String::new(), note, Some(group)),
        };
        Ok(App { uuid, issuer, label, name, right, owner, added_at: rfc3339(added_at), by_quorum })
    }
}

fn told_damaged(error: &AppError) {
    tracing::warn!(%error, "an app is left out of a list");
}

fn code_at(uri: &Zeroizing<String>, milliseconds: i64) -> Result<AppCode, AppError> {
    let secret = OtpSecret::from_uri(uri).map_err(|_| AppError::Damaged)?;
    let milliseconds = u64::try_from(milliseconds).unwrap_or(0);
    let code = secret.code_at(milliseconds / 1000);
    let expires = code.expires_at.saturating_mul(1000).saturating_sub(milliseconds);
    Ok(AppCode { otp: code.digits, expires, period: secret.parameters().period })
}
