//! Apps whoever reads them: as operators look after them, and those that end with somebody who is taken out of use. An app whose
//! row cannot be is among them, and stops nothing.

use super::rows::{AppReader, AppRow, AppSeen, GrantedRow, app_row, granted, whole};
use super::{holder_columns, select_granted};
use crate::store::{
    Store, api_keys,
    audit::{self, NewAudit},
    engine::{Row, Tx, Value},
    error::StoreError,
    rows::Digest,
};
use std::collections::HashMap;

/// An app as whoever looks after it finds it.
#[derive(Clone, Debug)]
pub struct OverseenApp {
    /// As what it was seen.
    pub seen: AppSeen,
    /// When it was added.
    pub added_at: i64,
    /// The app itself; none where its row cannot be.
    pub app: Option<AppRow>,
    /// Everybody's grants of it.
    pub grants: Vec<GrantedRow>,
}

/// An app that ends because nobody is left who may read it.
#[derive(Clone, Debug)]
pub struct LastApp {
    /// As what it was seen.
    pub app: AppSeen,
    /// What the audit log is told of that.
    pub told: NewAudit,
}

/// Where the apps are that a principal or a team may read, and nobody else. Who is disabled may be enabled again, and a team get
/// members: they count. A revoked API key does not, which is never used again.
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

/// Whether others than an API key may read an app.
macro_rules! others_than_api_key {
    ($app:literal) => {
        concat!(
            "EXISTS (
              SELECT 1 FROM app_grants AS other JOIN app_holders AS theirs ON theirs.number = other.holder
              LEFT JOIN data_keys AS d ON d.number = theirs.data_key LEFT JOIN api_keys AS k ON k.number = d.api_key
              WHERE other.app = ",
            $app,
            " AND (theirs.principal IS NOT NULL OR (k.number <> $1 AND k.revoked_at IS NULL))) "
        )
    };
}

/// Where the apps are that an API key may read, and nobody else.
macro_rules! only_of_api_key {
    () => {
        concat!(
            " FROM apps WHERE apps.number IN (
              SELECT g.app FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder
              JOIN data_keys AS d ON d.number = h.data_key WHERE d.api_key = $1)
          AND NOT ",
            others_than_api_key!("apps.number")
        )
    };
}

/// Where the apps are that a principal or a team may manage, by itself or as a member, and nobody else in use: who is disabled
/// manages nothing, nor does a team of which nobody else is an enabled member.
macro_rules! managed_only_by {
    () => {
        " FROM apps WHERE apps.number IN (
              SELECT g.app FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder
              WHERE g.level >= 2
                AND (h.principal = $1 OR h.principal IN (SELECT team FROM members WHERE member = $1)))
          AND NOT EXISTS (
              SELECT 1 FROM app_grants AS other JOIN app_holders AS theirs ON theirs.number = other.holder
              LEFT JOIN data_keys AS d ON d.number = theirs.data_key LEFT JOIN api_keys AS k ON k.number = d.api_key
              LEFT JOIN principals AS p ON p.id = theirs.principal AND p.disabled_at IS NULL
              WHERE other.app = apps.number AND other.level >= 2
                AND ((k.number IS NOT NULL AND k.revoked_at IS NULL)
                  OR (p.id <> $1 AND (p.kind <> 2 OR EXISTS (
                      SELECT 1 FROM members AS m JOIN principals AS mate ON mate.id = m.member
                      WHERE m.team = p.id AND m.member <> $1 AND mate.disabled_at IS NULL))))) "
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
                let grants = granted(tx.query(theirs, &[(*after).into(), last.seen.number.into()]).await?);
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
                let Some(app) = found.first() else { return Ok(None) };
                let all = select_granted!("WHERE o.app = $1 ORDER BY o.granted_at, o.holder");
                let grants = granted(tx.query(all, &[app.seen.number.into()]).await?);
                Ok(with_grants(found, grants).pop())
            })
        })
        .await
    }

    /// The apps that a principal or a team may manage, also as a member, and nobody else in use: those that end with it, and those
    /// that go on for readers who can neither grant nor remove them, if any of those is in use.
    pub async fn apps_managed_only_by(&self, principal: &Digest) -> Result<Vec<OverseenApp>, StoreError> {
        self.read(*principal, |tx, principal| {
            Box::pin(async move {
                let apps =
                    apps(tx, select_apps!(concat!(managed_only_by!(), "ORDER BY apps.number")), &[principal.into()])
                        .await?;
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

    /// The apps that somebody may read and nobody else, which [`Store::remove_principal`] and [`Store::end_apps_of`] remove with
    /// them.
    pub async fn apps_only_of(&self, of: AppReader) -> Result<Vec<OverseenApp>, StoreError> {
        self.read(of, |tx, of| {
            Box::pin(async move {
                let (own, theirs, value): (_, _, Value) = match of {
                    AppReader::Principal(id) => (
                        select_apps!(concat!(only_of_principal!(), "ORDER BY apps.number")),
                        select_granted!(concat!(
                            "WHERE o.app IN (SELECT apps.number",
                            only_of_principal!(),
                            ") ORDER BY o.granted_at, o.holder"
                        )),
                        id.into(),
                    ),
                    AppReader::ApiKey(number) => (
                        select_apps!(concat!(only_of_api_key!(), "ORDER BY apps.number")),
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

    /// Ends what an API key that was revoked could read: apps that `last` names go, each with its event, if nobody else may read
    /// them; where others may, its grants go, and the app is to be sealed anew. False when there is an app left that nobody else
    /// may read and `last` does not name; none comes to those.
    pub async fn end_apps_of(&self, api_key: i64, last: Vec<LastApp>) -> Result<bool, StoreError> {
        self.write(&api_key.to_be_bytes(), (api_key, last), |tx, (api_key, last)| {
            Box::pin(end_for_api_key(tx, *api_key, last))
        })
        .await
    }

    /// Removes an app that is as it was seen, whatever its row says it is. False when it is not.
    pub async fn remove_seen_app(&self, seen: AppSeen, told: Option<NewAudit>) -> Result<bool, StoreError> {
        self.write(&seen.number.to_be_bytes(), (seen, told), |tx, (seen, told)| {
            Box::pin(async move {
                let AppSeen { number, version, revision } = *seen;
                let remove = "DELETE FROM apps WHERE number = $1 AND version = $2 AND revision = $3";
                let removed = tx.execute(remove, &[number.into(), version.into(), revision.into()]).await? > 0;
                audit::tell(tx, told.as_ref().filter(|_| removed)).await?;
                Ok(removed)
            })
        })
        .await
    }
}

/// The apps that a query names by number and version, each with what is told of it, if anything is.
async fn ending<'a>(
    tx: &mut dyn Tx,
    query: &'static str,
    of: &Value,
    last: &'a [LastApp],
) -> Result<Vec<(i64, Option<&'a NewAudit>)>, StoreError> {
    let told: HashMap<(i64, i64), &NewAudit> =
        last.iter().map(|last| ((last.app.number, last.app.version), &last.told)).collect();
    let rows = tx.query(query, std::slice::from_ref(of)).await?;
    rows.iter().map(|row| Ok((row.int(0)?, told.get(&(row.int(0)?, row.int(1)?)).copied()))).collect()
}

async fn end(tx: &mut dyn Tx, app: i64, told: &NewAudit) -> Result<(), StoreError> {
    tx.defer("DELETE FROM apps WHERE number = $1", &[app.into()]).await?;
    audit::append(tx, told).await
}

/// Ends the grants of a principal or a team that is about to be removed: what nobody else may read goes, each app with its event,
/// and the rest is to be sealed anew. False when an app would go that `last` does not name; then nothing is written.
pub(in crate::store) async fn end_for_principal(
    tx: &mut dyn Tx,
    principal: &Digest,
    last: &[LastApp],
) -> Result<bool, StoreError> {
    let own = concat!("SELECT apps.number, apps.version", only_of_principal!(), "ORDER BY apps.number");
    let going = ending(tx, own, &principal.into(), last).await?;
    if going.iter().any(|(_, told)| told.is_none()) {
        return Ok(false);
    }
    for (number, told) in going {
        if let Some(told) = told {
            end(tx, number, told).await?;
        }
    }
    let owed = "UPDATE apps SET owed = 1, revision = revision + 1 WHERE number IN (
                    SELECT g.app FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder WHERE h.principal = $1)";
    tx.defer(owed, &[principal.into()]).await?;
    Ok(true)
}

/// The grants are deleted, so that the key reads nothing even if somebody who can write to the database has it used again. Those of
/// apps that are still to be told of stay until then: without any, nothing opens an app.
async fn end_for_api_key(tx: &mut dyn Tx, api_key: i64, last: &[LastApp]) -> Result<bool, StoreError> {
    if api_keys::is_in_use(tx, api_key).await? {
        return Ok(false);
    }
    let own = concat!("SELECT apps.number, apps.version", only_of_api_key!(), "ORDER BY apps.number");
    let mut all = true;
    for (number, told) in ending(tx, own, &api_key.into(), last).await? {
        match told {
            Some(told) => end(tx, number, told).await?,
            None => all = false,
        }
    }
    let owed = "UPDATE apps SET owed = 1, revision = revision + 1 WHERE number IN (
                    SELECT g.app FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder
                    JOIN data_keys AS d ON d.number = h.data_key WHERE d.api_key = $1)";
    tx.defer(owed, &[api_key.into()]).await?;
    let shared = concat!(
        "DELETE FROM app_grants WHERE holder IN (
             SELECT h.number FROM app_holders AS h JOIN data_keys AS mine ON mine.number = h.data_key
             WHERE mine.api_key = $1)
         AND ",
        others_than_api_key!("app_grants.app")
    );
    tx.defer(shared, &[api_key.into()]).await?;
    Ok(all)
}

async fn apps(tx: &mut dyn Tx, query: &'static str, values: &[Value]) -> Result<Vec<OverseenApp>, StoreError> {
    tx.query(query, values).await?.into_iter().map(overseen).collect()
}

fn overseen(mut row: Row) -> Result<OverseenApp, StoreError> {
    let seen = AppSeen { number: row.int(0)?, version: row.int(2)?, revision: row.int(3)? };
    Ok(OverseenApp { seen, added_at: row.int(5)?, app: whole(app_row(&mut row)), grants: Vec::new() })
}

/// Each app with its grants, which keep their order.
fn with_grants(mut apps: Vec<OverseenApp>, grants: Vec<GrantedRow>) -> Vec<OverseenApp> {
    let places: HashMap<i64, usize> = apps.iter().enumerate().map(|(place, app)| (app.seen.number, place)).collect();
    for granted in grants {
        if let Some(place) = places.get(&granted.app) {
            apps[*place].grants.push(granted);
        }
    }
    apps
}
