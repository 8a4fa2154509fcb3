//! Apps as the root secret opens them, without anybody's API secret: for what has to be done with an app that nobody can ask
//! for any more. It tells UUIDs and names of readers, and shows no code and no secret.

use super::WhichApp;
use super::error::AppError;
use super::sealed::{Record, Sealer, is_counted};
use crate::keys::RootSecret;
use crate::memory::pool::{CryptoPool, PoolError};
use crate::service::api_keys::ApiKeys;
use crate::service::audit::{Audit, Entry, Kind};
use crate::store::{AppReader, AppRow, Digest, GrantedRow, HolderRow, LastApp, OverseenApp, Store, StoreError};
use quorate_protocol::app_key::AppKey;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// What opens apps. Clones share it.
#[derive(Clone)]
pub struct Custody {
    store: Store,
    crypto: Arc<CryptoPool>,
    audit: Audit,
    api_keys: ApiKeys,
    sealer: Arc<Sealer>,
}

/// What becomes of apps when somebody is removed: their UUIDs, those first that were added first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppsLeft {
    /// Nobody else may read them: they go, with their secrets.
    pub ending: Vec<String>,
    /// They go on for others, of whom nobody in use may grant, revoke, remove or export them.
    pub unmanaged: Vec<String>,
}

impl fmt::Debug for Custody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Custody(…)")
    }
}

impl Custody {
    /// Puts it together from what everything is sealed under.
    pub fn new(store: Store, crypto: Arc<CryptoPool>, audit: Audit, api_keys: ApiKeys, root: &RootSecret) -> Self {
        Self { store, crypto, audit, api_keys, sealer: Arc::new(Sealer::new(root)) }
    }

    pub(super) fn sealer(&self) -> &Arc<Sealer> {
        &self.sealer
    }

    /// Whether a key pair is what it was made as, and that of the principal, the team or the API key of that id: an API key's lies
    /// under a data key that the root secret wraps for it. So no exchange of rows makes one's key pair another's.
    pub(super) fn is_theirs(&self, holder: &HolderRow, id: &Digest) -> bool {
        let theirs = match (&holder.principal, &holder.data_key) {
            (Some(principal), None) => principal == id,
            (None, Some(under)) => self.api_keys.owns(id, &under.id, &under.by_root),
            _ => false,
        };
        theirs && self.sealer.is_genuine(holder)
    }

    /// Whether a grant is as it was given, for the app as it is now, and for whom the database says.
    pub(super) fn is_genuine(&self, app: &AppRow, granted: &GrantedRow) -> bool {
        let GrantedRow { grant, holder, grantee, .. } = granted;
        self.is_theirs(holder, grantee.id()) && self.sealer.is_granted(&app.id, app.version, grant, holder)
    }

    /// The same for what is sealed anew. A version that was counted tells no former app of the UUID from this one, but the data key
    /// does.
    pub(super) fn is_current(&self, app: &AppRow, granted: &GrantedRow) -> bool {
        self.is_genuine(app, granted) && (!is_counted(app.version) || self.open_by(app, granted).is_some())
    }

    /// An app and the data key that it is sealed under, by any of its genuine grants.
    pub(super) fn open(&self, app: &AppRow, grants: &[GrantedRow]) -> Result<(Record, AppKey), AppError> {
        let mut genuine = grants.iter().filter(|granted| self.is_genuine(app, granted));
        genuine.find_map(|granted| self.open_by(app, granted)).ok_or(AppError::Damaged)
    }

    fn open_by(
        &self,
        app: &AppRow,
        GrantedRow { grant, holder, grantee, .. }: &GrantedRow,
    ) -> Option<(Record, AppKey)> {
        let key = match &holder.data_key {
            Some(under) => {
                let under = self.api_keys.sealing_of(grantee.id(), &under.id, &under.by_root)?;
                Sealer::open_key_under(holder, &under, &grant.sealed_key).ok()?
            }
            None => self.sealer.open_key(holder, None, &grant.sealed_key).ok()?,
        };
        Some((Record::open(&app.id, &key, &app.sealed).ok()?, key))
    }

    /// What the audit log calls an app.
    pub(super) fn called(&self, app: &OverseenApp) -> String {
        format!("app {}", self.named(app))
    }

    /// The UUID of an app, or where nothing of it opens its place in the database.
    fn named(&self, app: &OverseenApp) -> String {
        match self.open_overseen(app) {
            Ok(record) => record.uuid,
            Err(_) => WhichApp::Number(app.seen.number).to_string(),
        }
    }

    /// An app as its overseers find it, open.
    pub(super) fn open_overseen(&self, OverseenApp { app, grants, .. }: &OverseenApp) -> Result<Record, AppError> {
        let (record, _) = self.open(app.as_ref().ok_or(AppError::Damaged)?, grants)?;
        Ok(record)
    }

    /// The apps that go with somebody who is taken out of use, because nobody else may read them; each with the event that tells
    /// of it, beside that of the `act`.
    pub(in crate::service) async fn last_apps<E>(&self, of: AppReader, act: &Entry) -> Result<Vec<LastApp>, E>
    where
        E: From<StoreError> + From<PoolError>,
    {
        let apps = self.store.apps_only_of(of).await?;
        if apps.is_empty() {
            return Ok(Vec::new());
        }
        let (custody, act) = (self.clone(), act.clone());
        let job = move || {
            let last = apps.iter().map(|overseen| {
                let told = act.beside(Kind::AppRemoved, custody.called(overseen)).with("with", act.subject());
                LastApp { app: overseen.seen, told: custody.audit.seal(told) }
            });
            last.collect()
        };
        Ok(self.crypto.run(job).await?)
    }

    /// What becomes of apps when a principal or a team is removed.
    pub(in crate::service) async fn left_by<E>(&self, principal: Digest) -> Result<AppsLeft, E>
    where
        E: From<StoreError> + From<PoolError>,
    {
        let ending = self.store.apps_only_of(AppReader::Principal(principal)).await?;
        let mut unmanaged = self.store.apps_managed_only_by(&principal).await?;
        let ends: HashSet<i64> = ending.iter().map(|app| app.seen.number).collect();
        unmanaged.retain(|app| !ends.contains(&app.seen.number));
        let custody = self.clone();
        let job = move || {
            let called = |apps: &[OverseenApp]| apps.iter().map(|app| custody.named(app)).collect();
            AppsLeft { ending: called(&ending), unmanaged: called(&unmanaged) }
        };
        Ok(self.crypto.run(job).await?)
    }
}
