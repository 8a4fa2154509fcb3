//! What is imported from another service: written once, however often its export is read.
//!
//! A batch is looked at before anything of it is written: it goes in as a whole, or one record that differs from what is
//! here keeps all of it out. Knows no plain secret and no export.

use super::{
    Store,
    api_keys::{self, MAX_DATA_KEYS, NewApiKey, NewDataKey, RecordKind},
    engine::Tx,
    error::StoreError,
    migrations,
    rows::Digest,
    totps::NewTotp,
};

/// What remembers a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportMark {
    /// Keyed hash of what names it.
    pub id: Digest,
    /// Keyed hash of all of it.
    pub digest: Digest,
}

/// What a record would become here.
#[derive(Clone, Copy, Debug)]
pub enum ImportTarget {
    /// The API key of that hashed value.
    ApiKey(Digest),
    /// The TOTP secret of that hashed UUID.
    Totp(Digest),
    /// The security keys of an API key's user.
    User {
        /// Keyed hash of the user's UUID.
        owner: Digest,
        /// Keyed hash of the API key's value.
        api_key: Digest,
    },
}

/// What the store knows of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// Nothing.
    New,
    /// There is something of that name that was not imported, or not as it is now.
    Other,
    /// It was imported as it is.
    Same,
}

/// An API key to be imported.
#[derive(Clone, Debug)]
pub struct ImportedApiKey {
    /// What remembers it.
    pub mark: ImportMark,
    /// The key.
    pub key: NewApiKey,
    /// When its secret was given out, by the other service.
    pub activated_at: Option<i64>,
    /// When it is imported.
    pub imported_at: i64,
    /// What its records are sealed under; an API key without a secret needs none.
    pub data_key: Option<NewDataKey>,
}

/// A record to be imported, sealed as it came.
#[derive(Clone, Debug)]
pub struct ImportedRecord {
    /// What remembers it.
    pub mark: ImportMark,
    /// Where it could meet something that is here.
    pub target: ImportTarget,
    /// What it becomes.
    pub row: ImportedRow,
}

/// What a record becomes.
#[derive(Clone, Debug)]
pub enum ImportedRow {
    /// A TOTP secret of which only codes of later time steps count.
    Totp(NewTotp, i64),
    /// A user's security keys.
    User(NewLegacyUser),
}

/// A user's security keys as the other service kept them.
#[derive(Clone, Debug)]
pub struct NewLegacyUser {
    /// Keyed hash of the user's UUID.
    pub owner: Digest,
    /// The data key that they are sealed under.
    pub data_key: i64,
    /// When they were imported.
    pub created_at: i64,
    /// The keys.
    pub sealed: Vec<u8>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportOutcome {
    /// It is in: so many records are new, the others were there.
    Imported(u64),
    /// The record of that place in the batch is at odds with what is here; nothing was written.
    Conflict(usize),
}

impl Store {
    /// What the store knows of each record.
    pub async fn known_imports(&self, records: Vec<(ImportMark, ImportTarget)>) -> Result<Vec<Known>, StoreError> {
        self.read(records, |tx, records| {
            Box::pin(async move {
                let mut known = Vec::with_capacity(records.len());
                for (mark, target) in records {
                    known.push(look_up(tx, mark, *target).await?);
                }
                Ok(known)
            })
        })
        .await
    }

    /// Imports an API key; gives what the store knew of it before, and the number of its data key when it is new.
    pub async fn import_api_key(&self, new: ImportedApiKey) -> Result<(Known, Option<i64>), StoreError> {
        self.write(&new.key.id.clone(), new, |tx, new| Box::pin(import_api_key(tx, new))).await
    }

    /// Gives an API key one more data key, which its secret does not wrap yet. `None` when there is no such API key, or it
    /// owns [`MAX_DATA_KEYS`] already.
    pub async fn add_data_key(&self, api_key: &Digest, new: NewDataKey, now: i64) -> Result<Option<i64>, StoreError> {
        self.write(api_key, (*api_key, new, now), |tx, (api_key, new, now)| {
            Box::pin(async move {
                let row = tx.first("SELECT number FROM api_keys WHERE id = $1", &[api_key.into()]).await?;
                let Some(row) = row else { return Ok(None) };
                let number = row.int(0)?;
                if api_keys::owned(tx, number).await?.len() >= MAX_DATA_KEYS {
                    return Ok(None);
                }
                insert_unwrapped(tx, number, new, *now).await.map(Some)
            })
        })
        .await
    }

    /// Imports a batch of records.
    pub async fn import_records(&self, batch: Vec<ImportedRecord>) -> Result<ImportOutcome, StoreError> {
        let lane = batch.first().map(|record| record.mark.id).unwrap_or_default();
        self.write(&lane, batch, |tx, batch| Box::pin(import_records(tx, batch))).await
    }
}

async fn look_up(tx: &mut dyn Tx, mark: &ImportMark, target: ImportTarget) -> Result<Known, StoreError> {
    if let Some(row) = tx.first("SELECT digest FROM imports WHERE id = $1", &[(&mark.id).into()]).await? {
        return Ok(if row.digest(0)? == mark.digest { Known::Same } else { Known::Other });
    }
    let there = match target {
        ImportTarget::ApiKey(id) => tx.first("SELECT 1 FROM api_keys WHERE id = $1", &[(&id).into()]).await?,
        ImportTarget::Totp(id) => tx.first("SELECT 1 FROM totps WHERE id = $1", &[(&id).into()]).await?,
        ImportTarget::User { owner, api_key } => {
            let credential = "SELECT 1 FROM credentials WHERE owner = $1 AND data_key IN (
                                  SELECT data_keys.number FROM data_keys
                                  JOIN api_keys ON api_keys.number = data_keys.api_key WHERE api_keys.id = $2) LIMIT 1";
            tx.first(credential, &[(&owner).into(), (&api_key).into()]).await?
        }
    };
    Ok(if there.is_some() { Known::Other } else { Known::New })
}

async fn import_api_key(tx: &mut dyn Tx, new: &ImportedApiKey) -> Result<(Known, Option<i64>), StoreError> {
    let known = look_up(tx, &new.mark, ImportTarget::ApiKey(new.key.id)).await?;
    if known != Known::New {
        return Ok((known, None));
    }
    remember(tx, &new.mark).await?;
    let row = tx
        .first(
            "INSERT INTO api_keys (id, created_at, activated_at, sealed) VALUES ($1, $2, $3, $4) RETURNING number",
            &[
                (&new.key.id).into(),
                new.key.created_at.into(),
                new.activated_at.into(),
                new.key.sealed.as_slice().into(),
            ],
        )
        .await?;
    let number = row.ok_or(StoreError::Row { column: 0, expected: "the number of a new row" })?.int(0)?;
    match &new.data_key {
        Some(data_key) => Ok((known, Some(insert_unwrapped(tx, number, data_key, new.imported_at).await?))),
        None => Ok((known, None)),
    }
}

async fn import_records(tx: &mut dyn Tx, batch: &[ImportedRecord]) -> Result<ImportOutcome, StoreError> {
    let mut new = Vec::with_capacity(batch.len());
    for (place, record) in batch.iter().enumerate() {
        match look_up(tx, &record.mark, record.target).await? {
            Known::New => new.push(record),
            Known::Same => {}
            Known::Other => return Ok(ImportOutcome::Conflict(place)),
        }
    }
    let mut counts: Vec<(i64, RecordKind, i64)> = Vec::new();
    for record in &new {
        remember(tx, &record.mark).await?;
        let counted = insert(tx, &record.row).await?;
        match counts.iter_mut().find(|(data_key, kind, _)| (*data_key, *kind) == counted) {
            Some((_, _, records)) => *records += 1,
            None => counts.push((counted.0, counted.1, 1)),
        }
    }
    for (data_key, kind, records) in counts {
        api_keys::count(tx, data_key, kind, &[], records).await?;
    }
    Ok(ImportOutcome::Imported(new.len() as u64))
}

async fn insert(tx: &mut dyn Tx, row: &ImportedRow) -> Result<(i64, RecordKind), StoreError> {
    match row {
        ImportedRow::Totp(totp, last_step) => {
            tx.defer(
                "INSERT INTO totps (id, data_key, created_at, last_step, legacy, sealed) VALUES ($1, $2, $3, $4, 1, $5)",
                &[
                    (&totp.id).into(),
                    totp.data_key.into(),
                    totp.created_at.into(),
                    (*last_step).into(),
                    totp.sealed.as_slice().into(),
                ],
            )
            .await?;
            Ok((totp.data_key, RecordKind::Totp))
        }
        ImportedRow::User(user) => {
            tx.defer(
                "INSERT INTO legacy_users (owner, data_key, created_at, sealed) VALUES ($1, $2, $3, $4)",
                &[(&user.owner).into(), user.data_key.into(), user.created_at.into(), user.sealed.as_slice().into()],
            )
            .await?;
            Ok((user.data_key, RecordKind::Webauthn))
        }
    }
}

async fn remember(tx: &mut dyn Tx, mark: &ImportMark) -> Result<(), StoreError> {
    let values = [(&mark.id).into(), (&mark.digest).into()];
    tx.defer("INSERT INTO imports (id, digest) VALUES ($1, $2)", &values).await
}

/// Adds a data key that its API key's secret does not wrap yet: all that is imported is sealed under one. Gives its number.
async fn insert_unwrapped(tx: &mut dyn Tx, api_key: i64, new: &NewDataKey, now: i64) -> Result<i64, StoreError> {
    migrations::require(tx, migrations::IMPORTS).await?;
    api_keys::insert_data_key(tx, api_key, new, now).await?;
    let row = tx.first("SELECT number FROM data_keys WHERE id = $1", &[(&new.id).into()]).await?;
    row.ok_or(StoreError::Row { column: 0, expected: "the number of a new row" })?.int(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrations::{Applied, IMPORTS, SQLITE, needed, pending};

    fn new(seed: u8) -> NewDataKey {
        NewDataKey { id: [seed; 32], by_secret: Vec::new(), by_root: vec![seed; 72] }
    }

    fn api_key(seed: u8, data_key: Option<NewDataKey>) -> ImportedApiKey {
        ImportedApiKey {
            mark: ImportMark { id: [seed; 32], digest: [seed; 32] },
            key: NewApiKey { id: [seed; 32], created_at: 1, sealed: vec![seed; 40] },
            activated_at: data_key.is_some().then_some(1),
            imported_at: 2,
            data_key,
        }
    }

    /// What a program that knows the steps before the imports makes of the database.
    async fn previous_program(store: &Store) -> Result<(), StoreError> {
        let needs = store.read((), |tx, ()| Box::pin(needed(tx))).await.unwrap();
        let before = &SQLITE[..usize::try_from(IMPORTS).unwrap() - 1];
        pending(before, &[Applied { version: IMPORTS, needs, checksum: [0; 32] }]).map(drop)
    }

    #[tokio::test]
    async fn programs_that_know_nothing_of_imports_stop_at_the_first_one() {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("quorate.db").display());
        let store = Store::open(&url).await.unwrap();
        previous_program(&store).await.expect("the step itself only adds");
        store.import_api_key(api_key(1, None)).await.unwrap();
        previous_program(&store).await.expect("a key that is not activated is like any other");
        store.import_api_key(api_key(2, Some(new(2)))).await.unwrap();
        let refused = previous_program(&store).await.unwrap_err();
        assert!(matches!(refused, StoreError::NewerSchema { needed: IMPORTS, .. }), "{refused:?}");
        store.look().await.unwrap();
        store.add_data_key(&[2; 32], new(3), 3).await.unwrap().unwrap();
        store.shutdown().await;
        let again = Store::open(&url).await.unwrap();
        again.beat().await.unwrap();
        again.shutdown().await;
    }
}
