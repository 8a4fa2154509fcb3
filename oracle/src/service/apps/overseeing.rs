//! What operators do with apps on the oracle's own machine: see who may read which, and end what nobody else can. They see
//! neither codes nor secrets, nor what an app is called.

use super::error::AppError;
use super::granting::By;
use super::sealed::{CodeSource, right};
use super::{Apps, Grantee, hyphenated, rfc3339};
use crate::service::api_keys::ApiKeyError;
use crate::service::audit::Kind;
use crate::store::{AppBy, AppSeen, GrantedRow, OverseenApp};
use quorate_protocol::api::AppRight;
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Apps in a page of a list that is read from the store.
const PAGE: i64 = 100;

/// An app as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overseen {
    /// Names it within the store.
    pub number: i64,
    /// Names it; absent when nothing of it opens.
    pub uuid: Option<String>,
    /// Whether its codes take a quorum.
    pub by_quorum: bool,
    /// When it was added, RFC 3339.
    pub added_at: String,
    /// Who may read it, its owner among them, those first who could first.
    pub grants: Vec<OverseenGrant>,
}

/// A grant as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverseenGrant {
    /// The full name of a principal or a team, or `api-key/VALUE`.
    pub grantee: String,
    /// What they may do.
    pub right: AppRight,
    /// Since when, RFC 3339.
    pub granted_at: String,
    /// Whether they are neither disabled nor revoked.
    pub in_use: bool,
}

impl Overseen {
    /// Whose it is, if they are there.
    pub fn owner(&self) -> Option<&OverseenGrant> {
        self.grants.iter().find(|grant| grant.right == AppRight::Owner)
    }
}

/// How an operator names an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichApp {
    /// By its number in the list: one of which nothing opens has no other name.
    Number(i64),
    /// By its UUID.
    Uuid(Uuid),
}

impl FromStr for WhichApp {
    type Err = AppError;

    fn from_str(text: &str) -> Result<Self, AppError> {
        let number = || text.parse().ok().filter(|number| *number > 0).map(Self::Number);
        let which = hyphenated(text).map(Self::Uuid).or_else(number);
        which.ok_or(AppError::Request("an app is named by its UUID, or by the number that the list shows"))
    }
}

impl fmt::Display for WhichApp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "(row {number})"),
            Self::Uuid(uuid) => uuid.fmt(f),
        }
    }
}

impl Apps {
    /// Every app, oldest first, those that are damaged included: one of them hides no other.
    pub async fn overseen(&self) -> Result<Vec<Overseen>, AppError> {
        let (mut all, mut after) = (Vec::new(), 0);
        loop {
            let page = self.inner.store.apps_after(after, PAGE).await?;
            let Some(last) = page.last() else { return Ok(all) };
            after = last.seen.number;
            let service = self.clone();
            let job = move || page.iter().map(|app| service.as_overseen(app)).collect::<Vec<_>>();
            all.extend(self.inner.crypto.run(job).await?);
        }
    }

    /// Takes somebody's right to an app away, as a manager would. Of one that does not open nobody's can be.
    pub async fn revoke_overseen(&self, which: WhichApp, grantee: &Grantee) -> Result<(), AppError> {
        match which {
            WhichApp::Uuid(uuid) => self.revoke_by(By::Operator, uuid, &self.inner.sealer.id(uuid), grantee).await,
            WhichApp::Number(number) => {
                Err(self.damaged(number).await.map_or_else(|error| error, |_| AppError::Damaged))
            }
        }
    }

    /// Removes an app, whosever it is; its UUID is free again.
    pub async fn remove_overseen(&self, which: WhichApp) -> Result<(), AppError> {
        let told = Some(self.seal(By::Operator.entry(Kind::AppRemoved, which)));
        let store = &self.inner.store;
        let (removed, otherwise) = match which {
            WhichApp::Uuid(uuid) => {
                (store.remove_app(AppBy::Oracle, &self.inner.sealer.id(uuid), told).await?, AppError::Unknown)
            }
            WhichApp::Number(number) => {
                (store.remove_seen_app(self.damaged(number).await?, told).await?, AppError::Changed)
            }
        };
        if removed { Ok(()) } else { Err(otherwise) }
    }

    /// Takes an API key out of use, and the apps with it that nobody else may read.
    pub async fn revoke_api_key(&self, value: &str) -> Result<(), ApiKeyError> {
        self.inner.api_keys.revoke(value, &self.inner.custody).await
    }

    /// The app of that number as it is now, if nothing of it opens. One that opens is named, and told of, by its UUID: a number says
    /// nothing to who reads the log.
    async fn damaged(&self, number: i64) -> Result<AppSeen, AppError> {
        let found = self.inner.store.apps_after(number - 1, 1).await?;
        let found = found.into_iter().find(|app| app.seen.number == number).ok_or(AppError::Unknown)?;
        let (seen, custody) = (found.seen, self.inner.custody.clone());
        match self.inner.crypto.run(move || custody.open_overseen(&found)).await? {
            Ok(record) => Err(AppError::Named(record.uuid)),
            Err(_) => Ok(seen),
        }
    }

    fn as_overseen(&self, overseen: &OverseenApp) -> Overseen {
        let custody = &self.inner.custody;
        let (uuid, by_quorum) = match custody.open_overseen(overseen) {
            Ok(record) => (Some(record.uuid), matches!(record.code, CodeSource::Quorum { .. })),
            Err(_) => (None, false),
        };
        let OverseenApp { seen, added_at, app, grants } = overseen;
        let genuine = grants.iter().filter(|granted| app.as_ref().is_some_and(|app| custody.is_genuine(app, granted)));
        let grants = genuine.filter_map(|GrantedRow { grant, grantee, .. }| {
            let named = self.name(grantee).inspect_err(|error| tracing::warn!(%error, "a grant is not shown"));
            let (right, granted_at) = (right(grant.level)?, rfc3339(grant.granted_at));
            Some(OverseenGrant { grantee: named.ok()?.to_string(), right, granted_at, in_use: grantee.in_use() })
        });
        let (number, added_at, grants) = (seen.number, rfc3339(*added_at), grants.collect());
        Overseen { number, uuid, by_quorum, added_at, grants }
    }
}
