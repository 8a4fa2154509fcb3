//! What is imported from another service: written once, however often its export is read.
//!
//! A batch is looked at before anything of it is written: it goes in as a whole, or one record that differs from what is
//! here keeps all of it out. Its records are looked for some at a time, so that a store far away is not asked for each.
//! Knows no plain secret and no export.

use super::{
    Store,
    api_keys::{self, MAX_DATA_KEYS, NewApiKey, NewDataKey, RecordKind},
    engine::{Row, Tx, Value},
    error::StoreError,
    migrations,
    rows::Digest,
    totps::NewTotp,
};
use std::collections::{HashMap, HashSet};
use std::iter::repeat_n;

/// Data keys that an API key may own when an import gives it one more. One place is left for what the key that takes them
/// over has made by then.
pub const MAX_IMPORTED_DATA_KEYS: usize = MAX_DATA_KEYS - 1;

/// Names that one statement looks for.
const TOGETHER: usize = 25;

/// A list of so many.
macro_rules! together {
    () => {
        "($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
          $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25)"
    };
}

/// What remembers a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImportMark {
    /// Keyed hash of what names it.
    pub id: Digest,
    /// Keyed hash of all of it.
    pub digest: Digest,
}

/// What a record would become here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ImportTarget {
    /// The API key of that hashed value.
    ApiKey(Digest),
    /// A TOTP secret of an API key.
    Totp {
        /// Keyed hash of its UUID.
        id: Digest,
        /// Keyed hash of the API key's value.
        api_key: Digest,
    },
    /// The security keys of an API key's user.
    User {
        /// Keyed hash of the user's UUID.
        owner: Digest,
        /// Keyed hash of the API key's value.
        api_key: Digest,
    },
}

impl ImportTarget {
    fn api_key(&self) -> &Digest {
        match self {
            Self::ApiKey(api_key) | Self::Totp { api_key, .. } | Self::User { api_key, .. } => api_key,
        }
    }
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

impl ImportedRow {
    fn data_key(&self) -> i64 {
        match self {
            Self::Totp(totp, _) => totp.data_key,
            Self::User(user) => user.data_key,
        }
    }
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
    /// The data key of the record of that place in the batch takes no more: its API key handed it over, or the old secret is
    /// forgotten, without which nobody could ever read the record. Nothing was written.
    Closed(usize),
    /// It is in: so many records are new, the others were there.
    Imported(u64),
    /// The record of that place in the batch is at odds with what is here; nothing was written.
    Conflict(usize),
}

impl Store {
    /// What the store knows of each record.
    pub async fn known_imports(&self, records: Vec<(ImportMark, ImportTarget)>) -> Result<Vec<Known>, StoreError> {
        self.read(records, |tx, records| Box::pin(look_up(tx, records))).await
    }

    /// Imports an API key; gives what the store knew of it before, and the number of its data key when it is new.
    pub async fn import_api_key(&self, new: ImportedApiKey) -> Result<(Known, Option<i64>), StoreError> {
        self.write(&new.key.id.clone(), new, |tx, new| Box::pin(import_api_key(tx, new))).await
    }

    /// Gives an API key one more data key, which its secret does not wrap yet. `None` when there is no such API key, or it
    /// owns [`MAX_IMPORTED_DATA_KEYS`] already.
    pub async fn add_data_key(&self, api_key: &Digest, new: NewDataKey, now: i64) -> Result<Option<i64>, StoreError> {
        self.write(api_key, (*api_key, new, now), |tx, (api_key, new, now)| {
            Box::pin(async move {
                let row = tx.first("SELECT number FROM api_keys WHERE id = $1", &[api_key.into()]).await?;
                let Some(row) = row else { return Ok(None) };
                let number = row.int(0)?;
                if api_keys::owned(tx, number).await?.len() >= MAX_IMPORTED_DATA_KEYS {
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

/// What is known of each record.
async fn look_up(tx: &mut dyn Tx, records: &[(ImportMark, ImportTarget)]) -> Result<Vec<Known>, StoreError> {
    let mut known = Vec::with_capacity(records.len());
    for records in records.chunks(TOGETHER) {
        let imports = concat!("SELECT id, digest FROM imports WHERE id IN ", together!());
        let imports = among(tx, imports, records.iter().map(|(mark, _)| mark.id)).await?;
        let imports = imports.iter().map(|row| Ok((row.digest(0)?, row.digest(1)?)));
        let imports = imports.collect::<Result<HashMap<Digest, Digest>, StoreError>>()?;
        let unmarked = records.iter().filter(|(mark, _)| !imports.contains_key(&mark.id));
        let there = there(tx, &unmarked.map(|(_, target)| *target).collect::<Vec<_>>()).await?;
        known.extend(records.iter().map(|(mark, target)| match imports.get(&mark.id) {
            Some(digest) if *digest == mark.digest => Known::Same,
            None if !there.contains(target) => Known::New,
            _ => Known::Other,
        }));
    }
    Ok(known)
}

/// Which of some targets, [`TOGETHER`] at most, are here.
async fn there(tx: &mut dyn Tx, targets: &[ImportTarget]) -> Result<HashSet<ImportTarget>, StoreError> {
    let api_keys = targets.iter().filter_map(|target| match target {
        ImportTarget::ApiKey(id) => Some(*id),
        _ => None,
    });
    let sql = concat!("SELECT id FROM api_keys WHERE id IN ", together!());
    let api_keys = digests(&among(tx, sql, api_keys).await?)?;
    let totps = targets.iter().filter_map(|target| match target {
        ImportTarget::Totp { id, .. } => Some(*id),
        _ => None,
    });
    let totps = digests(&among(tx, concat!("SELECT id FROM totps WHERE id IN ", together!()), totps).await?)?;
    let owners = targets.iter().filter_map(|target| match target {
        ImportTarget::User { owner, .. } => Some(*owner),
        _ => None,
    });
    let users = concat!(
        "SELECT DISTINCT owner, api_keys.id FROM credentials
         JOIN data_keys ON data_keys.number = credentials.data_key
         JOIN api_keys ON api_keys.number = data_keys.api_key WHERE owner IN ",
        together!()
    );
    let users = among(tx, users, owners).await?;
    let users = users.iter().map(|row| Ok((row.digest(0)?, row.digest(1)?)));
    let users = users.collect::<Result<HashSet<(Digest, Digest)>, StoreError>>()?;
    let is_there = |target: &ImportTarget| match target {
        ImportTarget::ApiKey(id) => api_keys.contains(id),
        ImportTarget::Totp { id, .. } => totps.contains(id),
        ImportTarget::User { owner, api_key } => users.contains(&(*owner, *api_key)),
    };
    Ok(targets.iter().copied().filter(is_there).collect())
}

/// The rows of a query for those of so many names, [`TOGETHER`] at most.
async fn among(
    tx: &mut dyn Tx,
    sql: &'static str,
    names: impl Iterator<Item = Digest>,
) -> Result<Vec<Row>, StoreError> {
    let mut names: Vec<Value> = names.map(|name| (&name).into()).collect();
    let Some(last) = names.last().cloned() else { return Ok(Vec::new()) };
    names.extend(repeat_n(last, TOGETHER - names.len()));
    tx.query(sql, &names).await
}

fn digests(rows: &[Row]) -> Result<HashSet<Digest>, StoreError> {
    rows.iter().map(|row| row.digest(0)).collect()
}

async fn import_api_key(tx: &mut dyn Tx, new: &ImportedApiKey) -> Result<(Known, Option<i64>), StoreError> {
    let known = look_up(tx, &[(new.mark, ImportTarget::ApiKey(new.key.id))]).await?[0];
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
    let named: Vec<_> = batch.iter().map(|record| (record.mark, record.target)).collect();
    let (mut new, mut open) = (Vec::with_capacity(batch.len()), HashSet::new());
    for (place, (record, known)) in batch.iter().zip(look_up(tx, &named).await?).enumerate() {
        match known {
            Known::New => {}
            Known::Other => return Ok(ImportOutcome::Conflict(place)),
            Known::Same => continue,
        }
        let (data_key, api_key) = (record.row.data_key(), record.target.api_key());
        if open.insert((data_key, api_key)) && !is_open(tx, data_key, api_key).await? {
            return Ok(ImportOutcome::Closed(place));
        }
        new.push(record);
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

/// Whether a data key is still that API key's, and the old secret, which reads what is imported, can still become known or
/// has not been forgotten.
async fn is_open(tx: &mut dyn Tx, data_key: i64, api_key: &Digest) -> Result<bool, StoreError> {
    let open = "SELECT 1 FROM data_keys JOIN api_keys ON api_keys.number = data_keys.api_key
                WHERE data_keys.number = $1 AND api_keys.id = $2
                  AND (LENGTH(by_secret) = 0 OR legacy_key IS NOT NULL)";
    Ok(tx.first(open, &[data_key.into(), api_key.into()]).await?.is_some())
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
    use crate::store::migrations::{IMPORTS, needed, program_before};
    use futures_util::future::BoxFuture;

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
        program_before(IMPORTS, needs)
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

    /// A transaction that counts how often something waits for its answer.
    struct Counted<'a> {
        tx: &'a mut dyn Tx,
        asked: usize,
    }

    impl Tx for Counted<'_> {
        fn execute<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>> {
            self.asked += 1;
            self.tx.execute(sql, values)
        }

        fn query<'a>(
            &'a mut self,
            sql: &'static str,
            values: &'a [Value],
        ) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
            self.asked += 1;
            self.tx.query(sql, values)
        }

        fn defer<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<(), StoreError>> {
            self.tx.defer(sql, values)
        }

        fn notify<'a>(&'a mut self, session_id: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
            self.tx.notify(session_id)
        }
    }

    #[tokio::test]
    async fn a_batch_waits_for_few_answers() {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let data_key = store.import_api_key(api_key(1, Some(new(1)))).await.unwrap().1.unwrap();
        let record = |number: u16| {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&number.to_be_bytes());
            let totp = NewTotp { id, data_key, created_at: 2, sealed: vec![1; 40] };
            ImportedRecord {
                mark: ImportMark { id, digest: id },
                target: ImportTarget::Totp { id, api_key: [1; 32] },
                row: ImportedRow::Totp(totp, 7),
            }
        };
        let batch: Vec<_> = (0..500).map(record).collect();
        let asked = store.write(&[1; 32], batch, |tx, batch| {
            Box::pin(async move {
                let mut counted = Counted { tx, asked: 0 };
                assert_eq!(import_records(&mut counted, batch).await?, ImportOutcome::Imported(500));
                Ok(counted.asked)
            })
        });
        assert_eq!(asked.await.unwrap(), 2 * 500 / TOGETHER + 1);
    }
}
