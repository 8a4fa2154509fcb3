//! Apps as their owners have them, for what only an owner may.

use super::{
    held_apps, held_by_api_key, held_by_principal, holder_columns,
    rows::{AppReader, HeldApp},
    select_held,
};
use crate::store::{
    Store,
    audit::{self, NewAudit},
    engine::{Tx, Value},
    error::StoreError,
    rows::Digest,
};
use std::collections::HashSet;

/// An app as its owner has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct OwnedApp {
    /// Number of the app.
    pub app: i64,
    /// Its version as it was read.
    pub version: i64,
    /// Number of the key pair that the owner's grant is for.
    pub holder: i64,
}

impl Store {
    /// Every app that the reader owns, those first that were added first.
    pub async fn owned_apps(&self, reader: AppReader) -> Result<Vec<HeldApp>, StoreError> {
        self.read(reader, |tx, reader| Box::pin(owned(tx, *reader))).await
    }

    /// Those of the hashed UUIDs of which there is an app, whosever it is.
    pub async fn taken_apps(&self, ids: Vec<Digest>) -> Result<Vec<Digest>, StoreError> {
        self.read(ids, |tx, ids| {
            Box::pin(async move {
                let mut taken = Vec::new();
                for id in ids {
                    if tx.first("SELECT 1 FROM apps WHERE id = $1", &[id.into()]).await?.is_some() {
                        taken.push(*id);
                    }
                }
                Ok(taken)
            })
        })
        .await
    }

    /// Tells the audit log that the reader takes apps out, if they all are theirs still, as they were read. False when one is
    /// not; then nothing is written.
    pub async fn export_apps(
        &self,
        reader: AppReader,
        apps: Vec<OwnedApp>,
        told: Vec<NewAudit>,
    ) -> Result<bool, StoreError> {
        // Reads meet nobody: the lane is the events' own.
        let lane = told.first().map(|event| event.id).unwrap_or_default();
        self.write(&lane, (reader, apps, told), |tx, (reader, apps, told)| {
            Box::pin(async move {
                let owned: HashSet<OwnedApp> = still_owned(tx, *reader).await?;
                if !apps.iter().all(|app| owned.contains(app)) {
                    return Ok(false);
                }
                for event in told {
                    audit::append(tx, event).await?;
                }
                Ok(true)
            })
        })
        .await
    }
}

async fn owned(tx: &mut dyn Tx, reader: AppReader) -> Result<Vec<HeldApp>, StoreError> {
    let (owned, reader): (_, Value) = match reader {
        AppReader::ApiKey(number) => {
            (select_held!("NULL", held_by_api_key!(), "AND g.level = 3 ORDER BY apps.number"), number.into())
        }
        AppReader::Principal(id) => {
            (select_held!("m.bound", held_by_principal!(), "AND g.level = 3 ORDER BY apps.number"), (&id).into())
        }
    };
    Ok(held_apps(tx.query(owned, &[reader]).await?))
}

async fn still_owned(tx: &mut dyn Tx, reader: AppReader) -> Result<HashSet<OwnedApp>, StoreError> {
    let (owned, reader): (_, Value) = match reader {
        AppReader::ApiKey(number) => (
            concat!("SELECT apps.number, apps.version, g.holder", held_by_api_key!(), "AND g.level = 3"),
            number.into(),
        ),
        AppReader::Principal(id) => (
            concat!("SELECT apps.number, apps.version, g.holder", held_by_principal!(), "AND g.level = 3"),
            (&id).into(),
        ),
    };
    let rows = tx.query(owned, &[reader]).await?;
    rows.iter().map(|row| Ok(OwnedApp { app: row.int(0)?, version: row.int(1)?, holder: row.int(2)? })).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::migrations::{APPS, needed, program_before};
    use crate::store::{InsertAppOutcome, NewApiKey, NewAppRow, NewDataKey, NewHolder, WrittenGrant};

    /// What a program that knows the steps before apps makes of the database.
    async fn previous_program(store: &Store) -> Result<(), StoreError> {
        let needs = store.read((), |tx, ()| Box::pin(needed(tx))).await.unwrap();
        program_before(APPS, needs)
    }

    #[tokio::test]
    async fn programs_that_know_nothing_of_apps_stop_at_the_first_one() {
        let store = Store::open("sqlite::memory:").await.unwrap();
        let id = [1; 32];
        assert!(store.insert_api_key(NewApiKey { id, created_at: 1, sealed: vec![1; 40] }).await.unwrap());
        let data_key = NewDataKey { id, by_secret: vec![1; 72], by_root: vec![1; 72] };
        assert!(store.activate_api_key(&id, &id, data_key, 1).await.unwrap());
        let (row, data_keys) = store.api_key(&id).await.unwrap().unwrap();
        let owner = AppReader::ApiKey(row.number);
        let holder = NewHolder { id, data_key: Some(data_keys[0].number), public: id, mac: id, sealed: vec![1; 72] };
        assert!(store.insert_app_holder(owner, holder).await.unwrap());
        previous_program(&store).await.expect("a key pair alone reads nothing");
        let holder = store.app_holders(owner).await.unwrap().remove(0).number;
        let grant = WrittenGrant { holder, level: 3, granted_at: 1, sealed_key: vec![1; 64], mac: id };
        let new = NewAppRow { id, version: 1, added_at: 1, sealed: vec![1; 90], owner, grant, told: None };
        assert_eq!(store.insert_app(new).await.unwrap(), InsertAppOutcome::Added);
        let refused = previous_program(&store).await.unwrap_err();
        assert!(matches!(refused, StoreError::NewerSchema { needed: APPS, .. }), "{refused:?}");
        store.look().await.unwrap();
    }
}
