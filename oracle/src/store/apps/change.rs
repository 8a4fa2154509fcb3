//! What changes apps and grants: each in one transaction that looks again at whether it may.

use super::held;
use super::rows::{AppReader, AppSeen};
use crate::store::{
    api_keys,
    audit::{self, NewAudit},
    engine::{Tx, Value},
    error::StoreError,
    migrations,
    rows::Digest,
};

/// Apps of one owner at most, grants of one app, and of one key pair to what is others'.
pub const MAX_APPS: usize = 1_000;

/// An app to be added.
#[derive(Clone, Debug)]
pub struct NewAppRow {
    /// Keyed hash of its UUID.
    pub id: Digest,
    /// Its first version.
    pub version: i64,
    /// When.
    pub added_at: i64,
    /// What it is.
    pub sealed: Vec<u8>,
    /// Whose it is.
    pub owner: AppReader,
    /// The owner's grant.
    pub grant: WrittenGrant,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
}

/// A grant to be written.
#[derive(Clone, Debug)]
pub struct WrittenGrant {
    /// Number of the key pair that it is for.
    pub holder: i64,
    /// 1 code, 2 manage, 3 owner.
    pub level: u8,
    /// When it was given.
    pub granted_at: i64,
    /// The app's data key, for the holder.
    pub sealed_key: Vec<u8>,
    /// Keyed hash of the grant and the app's version.
    pub mac: Digest,
}

/// Who changes an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppBy {
    /// A reader with a grant that lets them, or which is one of those that end with the change.
    Holder {
        /// Who.
        reader: AppReader,
        /// Number of the key pair that the grant is for.
        holder: i64,
        /// What the grant must be at least: 2 manage, 3 owner.
        level: u8,
    },
    /// The oracle itself: for an operator on its own machine, or because it is owed.
    Oracle,
}

/// A change of an app and its grants.
#[derive(Clone, Debug)]
pub struct AppChange {
    /// Keyed hash of its UUID.
    pub app: Digest,
    /// As what it was read.
    pub seen: AppSeen,
    /// Who changes it.
    pub by: AppBy,
    /// The new version.
    pub version: i64,
    /// Whether it must be sealed under another data key.
    pub owed: bool,
    /// What it is, if it is sealed anew.
    pub sealed: Option<Vec<u8>>,
    /// Grants to be put in place of those of the same key pair.
    pub grants: Vec<WrittenGrant>,
    /// Numbers of the key pairs whose grants end.
    pub ended: Vec<i64>,
    /// What the audit log is told when it is done.
    pub told: Option<NewAudit>,
    /// What it is told besides when nobody is left who may read the app, which then goes.
    pub last: Option<NewAudit>,
}

/// What became of a new app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertAppOutcome {
    /// It is there now.
    Added,
    /// Its owner has as many as they may; nothing was written.
    Full,
    /// Its owner was taken out of use; nothing was written.
    Gone,
    /// The key pair is not its owner's any more; nothing was written.
    Moved,
    /// There is one of that UUID; nothing was written.
    Taken,
}

/// What became of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeAppOutcome {
    /// It is done.
    Changed,
    /// The app has as many grants as it may, or somebody a grant was for has; nothing was written.
    Full,
    /// Somebody a grant was for is gone; nothing was written.
    HolderGone,
    /// The app was changed since it was read; nothing was written.
    Stale,
    /// Who changes it may not, or there is none; nothing was written.
    Unknown,
}

pub(super) async fn insert(tx: &mut dyn Tx, new: &NewAppRow) -> Result<InsertAppOutcome, StoreError> {
    // However long the request took to come: who is out of use adds nothing any more.
    let in_use = match &new.owner {
        AppReader::ApiKey(number) => api_keys::is_in_use(tx, *number).await?,
        AppReader::Principal(id) => {
            let enabled = "SELECT 1 FROM principals WHERE id = $1 AND disabled_at IS NULL";
            tx.first(enabled, &[id.into()]).await?.is_some()
        }
    };
    if !in_use {
        return Ok(InsertAppOutcome::Gone);
    }
    let theirs = super::holders(tx, new.owner).await?;
    if !theirs.iter().any(|holder| holder.number == new.grant.holder) {
        return Ok(InsertAppOutcome::Moved);
    }
    // An API key that took over another one's has several key pairs.
    let mut owned = 0;
    for holder in &theirs {
        let with = "SELECT COUNT(*) FROM app_grants WHERE holder = $1 AND level = 3";
        owned += count(tx, with, holder.number).await?;
    }
    if owned >= MAX_APPS {
        return Ok(InsertAppOutcome::Full);
    }
    migrations::require(tx, migrations::APPS).await?;
    let added = tx
        .first(
            "INSERT INTO apps (id, version, revision, owed, added_at, sealed) VALUES ($1, $2, 1, 0, $3, $4)
             ON CONFLICT (id) DO NOTHING RETURNING number",
            &[(&new.id).into(), new.version.into(), new.added_at.into(), new.sealed.as_slice().into()],
        )
        .await?;
    let Some(added) = added else { return Ok(InsertAppOutcome::Taken) };
    write_grant(tx, added.int(0)?, &new.grant).await?;
    audit::tell(tx, new.told.as_ref()).await?;
    Ok(InsertAppOutcome::Added)
}

pub(super) async fn change(tx: &mut dyn Tx, change: &AppChange) -> Result<ChangeAppOutcome, StoreError> {
    let AppChange { app, seen, by, version, owed, sealed, grants, ended, told, last } = change;
    let Some(found) = changeable(tx, by, app, ended).await? else { return Ok(ChangeAppOutcome::Unknown) };
    if found != *seen {
        return Ok(ChangeAppOutcome::Stale);
    }
    let number = found.number;
    let had = tx.query("SELECT holder FROM app_grants WHERE app = $1", &[number.into()]).await?;
    let had = had.iter().map(|row| row.int(0)).collect::<Result<Vec<_>, _>>()?;
    let new: Vec<i64> = grants.iter().map(|grant| grant.holder).filter(|holder| !had.contains(holder)).collect();
    let staying = had.iter().filter(|holder| !ended.contains(holder)).count();
    if staying + new.len() > MAX_APPS {
        return Ok(ChangeAppOutcome::Full);
    }
    if staying + new.len() == 0 {
        tx.defer("DELETE FROM apps WHERE number = $1", &[number.into()]).await?;
        audit::tell(tx, told.as_ref()).await?;
        audit::tell(tx, last.as_ref()).await?;
        return Ok(ChangeAppOutcome::Changed);
    }
    for holder in &new {
        if !is_in_use(tx, *holder).await? {
            return Ok(ChangeAppOutcome::HolderGone);
        }
        // Nobody is asked before they are granted something: what they read must stay a list that can be shown.
        let granted = "SELECT COUNT(*) FROM app_grants WHERE holder = $1 AND level < 3";
        if count(tx, granted, *holder).await? >= MAX_APPS {
            return Ok(ChangeAppOutcome::Full);
        }
    }
    tx.execute(
        "UPDATE apps SET version = $1, revision = revision + 1, owed = $2 WHERE number = $3",
        &[(*version).into(), (*owed).into(), number.into()],
    )
    .await?;
    if let Some(sealed) = sealed {
        let values: [Value; 2] = [sealed.as_slice().into(), number.into()];
        tx.defer("UPDATE apps SET sealed = $1 WHERE number = $2", &values).await?;
    }
    for holder in ended {
        let values: [Value; 2] = [number.into(), (*holder).into()];
        tx.defer("DELETE FROM app_grants WHERE app = $1 AND holder = $2", &values).await?;
    }
    for grant in grants {
        write_grant(tx, number, grant).await?;
    }
    audit::tell(tx, told.as_ref()).await?;
    Ok(ChangeAppOutcome::Changed)
}

/// The app of that hashed UUID, if who changes it still may: with a grant of theirs that lets them, or with `ended` among whose
/// key pairs is their own.
pub(super) async fn changeable(
    tx: &mut dyn Tx,
    by: &AppBy,
    app: &Digest,
    ended: &[i64],
) -> Result<Option<AppSeen>, StoreError> {
    match by {
        AppBy::Holder { reader, holder, level } => {
            let held = held(tx, *reader, app).await?;
            let held = held.filter(|held| held.is_by(*holder, *level) || (ended.contains(holder) && held.has(*holder)));
            Ok(held.map(|held| held.app.seen()))
        }
        AppBy::Oracle => {
            let row = tx.first("SELECT number, version, revision FROM apps WHERE id = $1", &[app.into()]).await?;
            row.map(|row| Ok(AppSeen { number: row.int(0)?, version: row.int(1)?, revision: row.int(2)? })).transpose()
        }
    }
}

/// Whether a key pair is there, and not that of an API key which an operator has taken out of use.
async fn is_in_use(tx: &mut dyn Tx, holder: i64) -> Result<bool, StoreError> {
    let in_use = "SELECT 1 FROM app_holders AS h LEFT JOIN data_keys AS d ON d.number = h.data_key
                  LEFT JOIN api_keys AS k ON k.number = d.api_key WHERE h.number = $1 AND k.revoked_at IS NULL";
    Ok(tx.first(in_use, &[holder.into()]).await?.is_some())
}

/// How many grants of a key pair a query counts.
async fn count(tx: &mut dyn Tx, grants: &'static str, holder: i64) -> Result<usize, StoreError> {
    let counted = tx.first(grants, &[holder.into()]).await?;
    let counted = counted.ok_or(StoreError::Row { column: 0, expected: "a count" })?.int(0)?;
    usize::try_from(counted).map_err(|_| StoreError::Row { column: 0, expected: "a count" })
}

async fn write_grant(tx: &mut dyn Tx, app: i64, grant: &WrittenGrant) -> Result<(), StoreError> {
    tx.defer(
        "INSERT INTO app_grants (app, holder, level, granted_at, sealed_key, mac) VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (app, holder) DO UPDATE SET level = $3, granted_at = $4, sealed_key = $5, mac = $6",
        &[
            app.into(),
            grant.holder.into(),
            grant.level.into(),
            grant.granted_at.into(),
            grant.sealed_key.as_slice().into(),
            (&grant.mac).into(),
        ],
    )
    .await
}
