//! Apps, who may read them, and the key pairs of those who may.
//!
//! Knows no secret, no name and no UUID: an app is sealed under a data key of its own, which comes sealed to each holder of a
//! grant. Who may read is looked up in the transaction that does what they may: a membership, a grant or a principal that
//! ended a moment ago has ended. What binds these rows to each other are keyed hashes, for the service to check.

mod change;
mod overseen;
mod owned;
mod rows;

pub use self::change::{AppBy, AppChange, ChangeAppOutcome, InsertAppOutcome, MAX_APPS, NewAppRow, WrittenGrant};
pub(super) use self::overseen::end_for_principal;
pub use self::overseen::{LastApp, OverseenApp};
pub use self::owned::OwnedApp;
pub use self::rows::{
    AppReader, AppRow, AppSeen, GrantRow, GrantedRow, GranteeRow, HeldApp, HeldApps, HeldGrant, HeldUnder, HolderRow,
    NewHolder,
};

use self::rows::{granted, held_apps, holder};
use super::{
    Store, api_keys,
    audit::{self, NewAudit},
    engine::{Tx, Value},
    error::StoreError,
    rows::Digest,
};

/// Where the grants are that an API key has, unless it is revoked.
macro_rules! held_by_api_key {
    () => {
        " FROM data_keys AS d
          JOIN api_keys AS k ON k.number = d.api_key AND k.revoked_at IS NULL
          JOIN app_holders AS h ON h.data_key = d.number
          JOIN app_grants AS g ON g.holder = h.number
          JOIN apps ON apps.number = g.app
          WHERE d.api_key = $1 "
    };
}

/// Where the grants are that a principal has by itself or as a member of a team, unless either is disabled.
macro_rules! held_by_principal {
    () => {
        " FROM (SELECT id FROM principals WHERE id = $1 UNION SELECT team FROM members WHERE member = $1) AS mine
          JOIN principals AS p ON p.id = mine.id AND p.disabled_at IS NULL
          JOIN app_holders AS h ON h.principal = p.id
          LEFT JOIN data_keys AS d ON d.number = h.data_key
          JOIN app_grants AS g ON g.holder = h.number
          JOIN apps ON apps.number = g.app
          LEFT JOIN members AS m ON m.team = h.principal AND m.member = $1
          WHERE EXISTS (SELECT 1 FROM principals AS reader WHERE reader.id = $1 AND reader.disabled_at IS NULL) "
    };
}

/// The columns that [`holder`] reads, of a key pair and of the data key that its private half is sealed under.
macro_rules! holder_columns {
    ($holder:literal, $data_key:literal) => {
        concat!(
            $holder,
            ".number, ",
            $holder,
            ".id, ",
            $holder,
            ".principal, ",
            $holder,
            ".public, ",
            $holder,
            ".mac, ",
            $holder,
            ".sealed, ",
            $data_key,
            ".number, ",
            $data_key,
            ".id, ",
            $data_key,
            ".by_root "
        )
    };
}

/// A query of grants with their apps and holders: the columns that [`held_apps`] reads.
macro_rules! select_held {
    ($bound:literal, $from:expr, $rest:literal) => {
        concat!(
            "SELECT apps.number, apps.id, apps.version, apps.revision, apps.owed, apps.added_at, apps.sealed,
                    g.level, g.granted_at, g.sealed_key, g.mac, ",
            holder_columns!("h", "d"),
            ", ",
            $bound,
            $from,
            $rest
        )
    };
}

/// A query of grants with whom they are for: the columns that [`granted`] reads.
macro_rules! select_granted {
    ($rest:expr) => {
        concat!(
            "SELECT o.app, o.level, o.granted_at, o.sealed_key, o.mac, ",
            holder_columns!("oh", "od"),
            ", op.id, op.kind, op.role, op.sealed, ok.id, ok.sealed, ok.revoked_at, op.disabled_at
             FROM app_grants AS o
             JOIN app_holders AS oh ON oh.number = o.holder
             LEFT JOIN principals AS op ON op.id = oh.principal
             LEFT JOIN data_keys AS od ON od.number = oh.data_key
             LEFT JOIN api_keys AS ok ON ok.number = od.api_key ",
            $rest
        )
    };
}

/// The numbers of a page of the apps of which somebody has grants.
macro_rules! page {
    ($held:expr) => {
        concat!("SELECT DISTINCT apps.number", $held, "AND apps.number > $2 ORDER BY apps.number LIMIT $3")
    };
}

/// Who owns the apps of which somebody has grants, from a number to another one.
macro_rules! owners {
    ($held:expr) => {
        select_granted!(concat!(
            "WHERE o.level = 3 AND o.app IN (SELECT g.app",
            $held,
            "AND apps.number > $2 AND apps.number <= $3)"
        ))
    };
}

pub(super) use {held_by_api_key, held_by_principal, holder_columns, select_granted, select_held};

impl Store {
    /// The app of that hashed UUID, if the reader may read it. The event that this store was given is written with that.
    pub async fn read_app(&self, reader: AppReader, app: &Digest) -> Result<Option<HeldApp>, StoreError> {
        // Reads meet nobody: the lane is the event's own.
        let lane = self.told.as_ref().map_or_else(|| app.to_vec(), |told| told.id.to_vec());
        self.write_told(&lane, (reader, *app), |tx, (reader, app)| Box::pin(held(tx, *reader, app))).await
    }

    /// The same without an event.
    pub async fn app(&self, reader: AppReader, app: &Digest) -> Result<Option<HeldApp>, StoreError> {
        self.read((reader, *app), |tx, (reader, app)| Box::pin(held(tx, *reader, app))).await
    }

    /// Up to `limit` apps behind number `after` that the reader may read, those first that were added first, and who owns which, all
    /// of the same moment.
    pub async fn apps(&self, reader: AppReader, after: i64, limit: i64) -> Result<HeldApps, StoreError> {
        self.read((reader, after, limit), |tx, (reader, after, limit)| Box::pin(list(tx, *reader, *after, *limit)))
            .await
    }

    /// The app of that hashed UUID, if the reader may read it, with everybody's grants, all of the same moment.
    pub async fn app_with_grants(
        &self,
        reader: AppReader,
        app: &Digest,
    ) -> Result<Option<(HeldApp, Vec<GrantedRow>)>, StoreError> {
        self.read((reader, *app), |tx, (reader, app)| {
            Box::pin(async move {
                let Some(app) = held(tx, *reader, app).await? else { return Ok(None) };
                let all = select_granted!("WHERE o.app = $1 ORDER BY o.granted_at, o.holder");
                let grants = granted(tx.query(all, &[app.app.number.into()]).await?);
                Ok(Some((app, grants)))
            })
        })
        .await
    }

    /// How many apps an API key owns.
    pub async fn count_apps(&self, api_key: i64) -> Result<i64, StoreError> {
        self.read(api_key, |tx, api_key| {
            Box::pin(async move {
                let owned = "SELECT COUNT(*) FROM app_grants AS g JOIN app_holders AS h ON h.number = g.holder
                             JOIN data_keys AS d ON d.number = h.data_key WHERE d.api_key = $1 AND g.level = 3";
                let count = tx.first(owned, &[(*api_key).into()]).await?;
                count.ok_or(StoreError::Row { column: 0, expected: "a count" })?.int(0)
            })
        })
        .await
    }

    /// The key pairs of an API key, a principal or a team, oldest first.
    pub async fn app_holders(&self, of: AppReader) -> Result<Vec<HolderRow>, StoreError> {
        self.read(of, |tx, of| Box::pin(holders(tx, *of))).await
    }

    /// Keeps a key pair. False when there is one for that principal or under that data key, when the principal is gone, or
    /// when the data key is not that API key's any more.
    pub async fn insert_app_holder(&self, of: AppReader, new: NewHolder) -> Result<bool, StoreError> {
        let lane = new.id;
        self.write(&lane, (of, new), |tx, (of, new)| Box::pin(insert_holder(tx, *of, new))).await
    }

    /// Removes those key pairs of somebody's that have no grant.
    pub async fn drop_app_holders(&self, of: AppReader, numbers: Vec<i64>) -> Result<(), StoreError> {
        let lane = match of {
            AppReader::ApiKey(number) => number.to_be_bytes().to_vec(),
            AppReader::Principal(id) => id.to_vec(),
        };
        self.write(&lane, (of, numbers), |tx, (of, numbers)| {
            Box::pin(async move {
                let theirs = holders(tx, *of).await?;
                for holder in theirs.iter().filter(|holder| numbers.contains(&holder.number)) {
                    let unused = "DELETE FROM app_holders WHERE number = $1
                                  AND NOT EXISTS (SELECT 1 FROM app_grants WHERE holder = $1)";
                    tx.defer(unused, &[holder.number.into()]).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// Adds an app, which its owner holds.
    pub async fn insert_app(&self, new: NewAppRow) -> Result<InsertAppOutcome, StoreError> {
        let lane = new.id;
        self.write(&lane, new, |tx, new| Box::pin(change::insert(tx, new))).await
    }

    /// Changes an app and its grants, if it is as it was read and who changes it still holds the grant that lets them.
    pub async fn change_app(&self, change: AppChange) -> Result<ChangeAppOutcome, StoreError> {
        let lane = change.app;
        self.write(&lane, change, |tx, change| Box::pin(change::change(tx, change))).await
    }

    /// Removes an app, if who removes it still may.
    pub async fn remove_app(&self, by: AppBy, app: &Digest, told: Option<NewAudit>) -> Result<bool, StoreError> {
        self.write(app, (by, *app, told), |tx, (by, app, told)| {
            Box::pin(async move {
                let Some(found) = change::changeable(tx, by, app, &[]).await? else { return Ok(false) };
                tx.execute("DELETE FROM apps WHERE number = $1", &[found.number.into()]).await?;
                audit::tell(tx, told.as_ref()).await?;
                Ok(true)
            })
        })
        .await
    }
}

impl audit::Done for Option<HeldApp> {
    fn is_done(&self) -> bool {
        self.is_some()
    }
}

async fn held(tx: &mut dyn Tx, reader: AppReader, app: &Digest) -> Result<Option<HeldApp>, StoreError> {
    let rows = match reader {
        AppReader::ApiKey(number) => {
            let held = select_held!("NULL", held_by_api_key!(), "AND apps.id = $2");
            tx.query(held, &[number.into(), app.into()]).await?
        }
        AppReader::Principal(id) => {
            let held = select_held!("m.bound", held_by_principal!(), "AND apps.id = $2");
            tx.query(held, &[(&id).into(), app.into()]).await?
        }
    };
    Ok(held_apps(rows).pop())
}

async fn list(tx: &mut dyn Tx, reader: AppReader, after: i64, limit: i64) -> Result<HeldApps, StoreError> {
    // Numbers first: an app has as many rows as the reader has grants of it.
    let (numbers, apps, owners, reader): (_, _, _, Value) = match reader {
        AppReader::ApiKey(number) => (
            page!(held_by_api_key!()),
            select_held!("NULL", held_by_api_key!(), "AND apps.number > $2 AND apps.number <= $3 ORDER BY apps.number"),
            owners!(held_by_api_key!()),
            number.into(),
        ),
        AppReader::Principal(id) => (
            page!(held_by_principal!()),
            select_held!(
                "m.bound",
                held_by_principal!(),
                "AND apps.number > $2 AND apps.number <= $3 ORDER BY apps.number"
            ),
            owners!(held_by_principal!()),
            (&id).into(),
        ),
    };
    let numbers = tx.query(numbers, &[reader.clone(), after.into(), limit.into()]).await?;
    let Some(last) = numbers.last() else { return Ok(HeldApps::default()) };
    let last = last.int(0)?;
    let more = (i64::try_from(numbers.len()).unwrap_or(i64::MAX) >= limit).then_some(last);
    let values = [reader, after.into(), last.into()];
    let apps = held_apps(tx.query(apps, &values).await?);
    Ok(HeldApps { apps, owners: granted(tx.query(owners, &values).await?), more })
}

async fn holders(tx: &mut dyn Tx, of: AppReader) -> Result<Vec<HolderRow>, StoreError> {
    let rows = match of {
        AppReader::ApiKey(number) => {
            let theirs = concat!(
                "SELECT ",
                holder_columns!("h", "d"),
                "FROM app_holders AS h JOIN data_keys AS d ON d.number = h.data_key
                 WHERE d.api_key = $1 ORDER BY h.number"
            );
            tx.query(theirs, &[number.into()]).await?
        }
        AppReader::Principal(id) => {
            let theirs = concat!(
                "SELECT ",
                holder_columns!("h", "d"),
                "FROM app_holders AS h LEFT JOIN data_keys AS d ON d.number = h.data_key WHERE h.principal = $1"
            );
            tx.query(theirs, &[(&id).into()]).await?
        }
    };
    rows.into_iter().map(|mut row| holder(&mut row, 0)).collect()
}

async fn insert_holder(tx: &mut dyn Tx, of: AppReader, new: &NewHolder) -> Result<bool, StoreError> {
    let is_theirs = match (of, new.data_key) {
        (AppReader::ApiKey(number), Some(data_key)) => api_keys::owns(tx, number, data_key).await?,
        (AppReader::Principal(id), None) => {
            tx.first("SELECT 1 FROM principals WHERE id = $1", &[(&id).into()]).await?.is_some()
        }
        _ => false,
    };
    if !is_theirs {
        return Ok(false);
    }
    let principal = match of {
        AppReader::Principal(id) => Some(id),
        AppReader::ApiKey(_) => None,
    };
    let inserted = tx
        .execute(
            "INSERT INTO app_holders (id, data_key, principal, public, mac, sealed) VALUES ($1, $2, $3, $4, $5, $6)
             ON CONFLICT DO NOTHING",
            &[
                (&new.id).into(),
                new.data_key.into(),
                principal.as_ref().into(),
                (&new.public).into(),
                (&new.mac).into(),
                new.sealed.as_slice().into(),
            ],
        )
        .await?;
    Ok(inserted > 0)
}

/// Whether somebody can read apps with the key pair that is kept under a data key.
pub(super) async fn holds_any(tx: &mut dyn Tx, data_key: i64) -> Result<bool, StoreError> {
    let any =
        "SELECT 1 FROM app_holders AS h JOIN app_grants AS g ON g.holder = h.number WHERE h.data_key = $1 LIMIT 1";
    Ok(tx.first(any, &[data_key.into()]).await?.is_some())
}
