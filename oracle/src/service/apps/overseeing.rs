//! What operators do with apps on the oracle's own machine: see who may read which, and end what nobody else can. They see
//! neither codes nor secrets, nor what an app is called.

use super::error::AppError;
use super::granting::By;
use super::sealed::{CodeSource, right};
use super::{Apps, Grantee, hyphenated, rfc3339};
use crate::service::api_keys::ApiKeyError;
use crate::service::audit::Kind;
use crate::store::{AppBy, Digest, GrantedRow, OverseenApp};
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
            let Some((last, _)) = page.last() else { return Ok(all) };
            after = last.number;
            let service = self.clone();
            let job = move || page.iter().map(|app| service.as_overseen(app)).collect::<Vec<_>>();
            all.extend(self.inner.crypto.run(job).await?);
        }
    }

    /// Takes somebody's right to an app away, as a manager would.
    pub async fn revoke_overseen(&self, which: WhichApp, grantee: &Grantee) -> Result<(), AppError> {
        let id = self.overseen_id(which).await?;
        self.revoke_by(By::Operator, which, &id, grantee).await
    }

    /// Removes an app, whosever it is; its UUID is free again.
    pub async fn remove_overseen(&self, which: WhichApp) -> Result<(), AppError> {
        let id = self.overseen_id(which).await?;
        let told = Some(self.seal(By::Operator.entry(Kind::AppRemoved, which)));
        let removed = self.inner.store.remove_app(AppBy::Operator, &id, told).await?;
        if removed { Ok(()) } else { Err(AppError::Unknown) }
    }

    /// Takes an API key out of use, and the apps with it that nobody else in use may read.
    pub async fn revoke_api_key(&self, value: &str) -> Result<(), ApiKeyError> {
        self.inner.api_keys.revoke(value, &self.inner.custody).await
    }

    async fn overseen_id(&self, which: WhichApp) -> Result<Digest, AppError> {
        match which {
            WhichApp::Uuid(uuid) => Ok(self.inner.sealer.id(uuid)),
            WhichApp::Number(number) => {
                let found = self.inner.store.apps_after(number - 1, 1).await?;
                let found = found.into_iter().find(|(app, _)| app.number == number);
                found.map(|(app, _)| app.id).ok_or(AppError::Unknown)
            }
        }
    }

    fn as_overseen(&self, (app, grants): &OverseenApp) -> Overseen {
        let custody = &self.inner.custody;
        let (uuid, by_quorum) = match custody.open(app, grants) {
            Ok((record, _)) => (Some(record.uuid), matches!(record.code, CodeSource::Quorum { .. })),
            Err(_) => (None, false),
        };
        let genuine = grants.iter().filter(|granted| custody.is_genuine(app, granted));
        let grants = genuine.filter_map(|GrantedRow { grant, grantee, .. }| {
            let named = self.name(grantee).inspect_err(|error| tracing::warn!(%error, "a grant is not shown"));
            let (right, granted_at) = (right(grant.level)?, rfc3339(grant.granted_at));
            Some(OverseenGrant { grantee: named.ok()?.to_string(), right, granted_at, in_use: grantee.in_use() })
        });
        let (number, added_at, grants) = (app.number, rfc3339(app.added_at), grants.collect());
        Overseen { number, uuid, by_quorum, added_at, grants }
    }
}
