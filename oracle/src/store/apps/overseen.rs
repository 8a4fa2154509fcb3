//! Apps whoever reads them: as operators look after them, and those that end with somebody who is taken out of use.

use super::rows::{AppReader, AppRow, GrantedRow, app_row, granted};
use super::{holder_columns, select_granted};
use crate::store::{
    Store,
    audit::{self, NewAudit},
    engine::{Tx, Value},
    error::StoreError,
    rows::Digest,
};
use std::collections::HashMap;

/// An app with everybody's grants of it.
pub type OverseenApp = (AppRow, Vec<GrantedRow>);

/// An app that ends because nobody in use is left who may read it.
#[derive(Clone, Debug)]
pub struct LastApp {
    /// Keyed hash of its UUID.
    pub app: Digest,
    /// What the audit log is told of that.
    pub told: NewAudit,
}

/// Where the apps are that a principal or a team may read, and nobody else in use.
macro_rules! only_of_principal {
    () => {
        " FROM apps WHERE apps.number IN (
              SELECT g.app FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder WHERE h.principal = $1)
          AND NOT EXISTS (
              SELECT 1 FROM app_grants AS other JOIN app_holders AS theirs ON theirs.number = other.holder
              LEFT JOIN data_keys AS d ON d.number = theirs.data_key LEFT JOIN api_keys AS k ON k.number = d.api_key
              WHERE other.app = apps.number
                AND (theirs.principal <> $1 OR (k.number IS NOT NULL AND k.revoked_at IS NULL))) "
    };
}

/// The same of an API key.
macro_rules! only_of_api_key {
    () => {
        " FROM apps WHERE apps.number IN (
              SELECT g.app FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder
              JOIN data_keys AS d ON d.number = h.data_key WHERE d.api_key = $1)
          AND NOT EXISTS (
              SELECT 1 FROM app_grants AS other JOIN app_holders AS theirs ON theirs.number = other.holder
              LEFT JOIN data_keys AS d ON d.number = theirs.data_key LEFT JOIN api_keys AS k ON k.number = d.api_key
              WHERE other.app = apps.number
                AND (theirs.principal IS NOT NULL OR (k.number <> $1 AND k.revoked_at IS NULL))) "
    };
}

/// Where the apps are that a principal or a team may manage, and nobody else in use.
macro_rules! managed_only_by {
    () => {
        " FROM apps WHERE apps.number IN (
              SELECT g.app FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder
              WHERE h.principal = $1 AND g.level >= 2)
          AND NOT EXISTS (
              SELECT 1 FROM app_grants AS other JOIN app_holders AS theirs ON theirs.number = other.holder
              LEFT JOIN data_keys AS d ON d.number = theirs.data_key LEFT JOIN api_keys AS k ON k.number = d.api_key
              WHERE other.app = apps.number AND other.level >= 2
                AND (theirs.principal <> $1 OR (k.number IS NOT NULL AND k.revoked_at IS NULL))) "
    };
}

/// A query of apps: the columns that [`app_row`] reads.
macro_rules! select_apps {
    ($from:expr) => {
        concat!(
            "SELECT apps.number, apps.id, apps.version, apps.revision, apps.owed, apps.added_at, apps.sealed",
            $from
        )
    };
}

impl Store {
    /// Up to `limit` apps after number `after`, oldest first, with everybody's grants, all of the same moment.
    pub async fn apps_after(&self, after: i64, limit: i64) -> Result<Vec<OverseenApp>, StoreError> {
        self.read((after, limit), |tx, (after, limit)| {
            Box::pin(async move {
                let page = select_apps!(" FROM apps WHERE number > $1 ORDER BY number LIMIT $2");
                let apps = apps(tx, page, &[(*after).into(), (*limit).into()]).await?;
                let Some(last) = apps.last() else { return Ok(Vec::new()) };
                let theirs = select_granted!("WHERE o.app > $1 AND o.app <= $2 ORDER BY o.granted_at, o.holder");
                let grants = granted(tx.query(theirs, &[(*after).into(), last.number.into()]).await?);
                Ok(with_grants(apps, grants))
            })
        })
        .await
    }

    /// The app of that hashed UUID with everybody's grants, whoever they are.
    pub async fn overseen_app(&self, app: &Digest) -> Result<Option<OverseenApp>, StoreError> {
        self.read(*app, |tx, app| {
            Box::pin(async move {
                let found = apps(tx, select_apps!(" FROM apps WHERE id = $1"), &[app.into()]).await?;
                let Some(app) = found.into_iter().next() else { return Ok(None) };
                let all = select_granted!("WHERE o.app = $1 ORDER BY o.granted_at, o.holder");
                let grants = granted(tx.query(all, &[app.number.into()]).await?);
                Ok(Some((app, grants)))
            })
        })
        .await
    }

    /// The apps that a principal or a team may manage and nobody else in use: those that end with it, and those that go on for
    /// readers who can neither grant nor remove them.
    pub async fn apps_managed_only_by(&self, principal: &Digest) -> Result<Vec<OverseenApp>, StoreError> {
        self.read(*principal, |tx, principal| {
            Box::pin(async move {
                let apps = apps(tx, select_apps!(managed_only_by!()), &[principal.into()]).await?;
                let theirs = select_granted!(concat!(
                    "WHERE o.app IN (SELECT apps.number",
                    managed_only_by!(),
                    ") ORDER BY o.granted_at, o.holder"
                ));
                let grants = granted(tx.query(theirs, &[principal.into()]).await?);
                Ok(with_grants(apps, grants))
            })
        })
        .await
    }

    /// The apps that somebody may read and nobody else in use, which [`Store::remove_principal`] and [`Store::revoke_api_key`]
    /// remove with them.
    pub async fn apps_only_of(&self, of: AppReader) -> Result<Vec<OverseenApp>, StoreError> {
        self.read(of, |tx, of| {
            Box::pin(async move {
                let (own, theirs, value): (_, _, Value) = match of {
                    AppReader::Principal(id) => (
                        select_apps!(only_of_principal!()),
                        select_granted!(concat!(
                            "WHERE o.app IN (SELECT apps.number",
                            only_of_principal!(),
                            ") ORDER BY o.granted_at, o.holder"
                        )),
                        id.into(),
                    ),
                    AppReader::ApiKey(number) => (
                        select_apps!(only_of_api_key!()),
                        select_granted!(concat!(
                            "WHERE o.app IN (SELECT apps.number",
                            only_of_api_key!(),
                            ") ORDER BY o.granted_at, o.holder"
                        )),
                        (*number).into(),
                    ),
                };
                let apps = apps(tx, own, std::slice::from_ref(&value)).await?;
                let grants = granted(tx.query(theirs, &[value]).await?);
                Ok(with_grants(apps, grants))
            })
        })
        .await
    }
}

/// Ends the grants of somebody who is about to be taken out of use: what nobody else in use may read goes, each app with its
/// event, and the rest is to be sealed anew. False when an app would go that `last` does not name; then nothing is written.
///
/// An API key's grants are deleted here, so that it reads nothing even if somebody who can write to the database has it used
/// again; a principal's go with the principal.
pub(in crate::store) async fn end_for(tx: &mut dyn Tx, of: AppReader, last: &[LastApp]) -> Result<bool, StoreError> {
    let (own, value): (_, Value) = match &of {
        AppReader::Principal(id) => (concat!("SELECT apps.number, apps.id", only_of_principal!()), id.into()),
        AppReader::ApiKey(number) => (concat!("SELECT apps.number, apps.id", only_of_api_key!()), (*number).into()),
    };
    let told: HashMap<&Digest, &NewAudit> = last.iter().map(|last| (&last.app, &last.told)).collect();
    let mut going = Vec::new();
    for row in tx.query(own, std::slice::from_ref(&value)).await? {
        let Some(told) = told.get(&row.digest(1)?) else { return Ok(false) };
        going.push((row.int(0)?, *told));
    }
    for (number, told) in going {
        tx.defer("DELETE FROM apps WHERE number = $1", &[number.into()]).await?;
        audit::append(tx, told).await?;
    }
    let owed = match &of {
        AppReader::Principal(_) => {
            "UPDATE apps SET owed = 1, revision = revision + 1 WHERE number IN (
                 SELECT g.app FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder WHERE h.principal = $1)"
        }
        AppReader::ApiKey(_) => {
            "UPDATE apps SET owed = 1, revision = revision + 1 WHERE number IN (
                 SELECT g.app FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder
                 JOIN data_keys AS d ON d.number = h.data_key WHERE d.api_key = $1)"
        }
    };
    tx.defer(owed, std::slice::from_ref(&value)).await?;
    if let AppReader::ApiKey(_) = of {
        let grants = "DELETE FROM app_grants WHERE holder IN (
                          SELECT h.number FROM app_holders AS h JOIN data_keys AS d ON d.number = h.data_key
                          WHERE d.api_key = $1)";
        tx.defer(grants, &[value]).await?;
    }
    Ok(true)
}

async fn apps(tx: &mut dyn Tx, query: &'static str, values: &[Value]) -> Result<Vec<AppRow>, StoreError> {
    tx.query(query, values).await?.into_iter().map(|mut row| app_row(&mut row)).collect()
}

/// Each app with its grants, which keep their order.
fn with_grants(apps: Vec<AppRow>, grants: Vec<GrantedRow>) -> Vec<OverseenApp> {
    let mut theirs: HashMap<i64, Vec<GrantedRow>> = HashMap::new();
    for granted in grants {
        theirs.entry(granted.app).or_default().push(granted);
    }
    apps.into_iter()
        .map(|app| {
            let grants = theirs.remove(&app.number).unwrap_or_default();
            (app, grants)
        })
        .collect()
}
