//! What was imported, from its first use on: an API key whose secret becomes known, and records that become ordinary ones.
//! Every step is one conditional write, so that it is done once, whichever node does it.
//!
//! Knows no plain secret: what it replaces is sealed before and after.

use super::{
    Store,
    api_keys::{self, RecordCounts, RecordKind},
    credentials::{self, NewCredential},
    engine::Tx,
    error::StoreError,
    rows::Digest,
};

/// An imported API key's first right secret.
#[derive(Clone, Debug)]
pub struct FirstUse {
    /// Its keyed hash.
    pub secret_hash: Digest,
    /// What was sealed in the API key when the secret was checked.
    pub read: Vec<u8>,
    /// What is sealed from now on.
    pub sealed: Vec<u8>,
}

/// A data key that the API secret wraps from now on.
#[derive(Clone, Debug)]
pub struct KnownDataKey {
    /// Which.
    pub number: i64,
    /// Wrapped under the API secret.
    pub by_secret: Vec<u8>,
    /// What imported records under it are encrypted with besides, sealed under it.
    pub legacy_key: Vec<u8>,
}

/// A user's security keys as they were imported.
#[derive(Clone, Debug)]
pub struct LegacyUserRow {
    /// The data key that they are sealed under. With their owner it names them, for good.
    pub data_key: i64,
    /// When they were imported.
    pub created_at: i64,
    /// The keys.
    pub sealed: Vec<u8>,
}

/// Of data keys: that no record under them is as it was imported.
macro_rules! unneeded {
    () => {
        " AND NOT EXISTS (SELECT 1 FROM totps WHERE totps.data_key = data_keys.number AND legacy = 1)
          AND NOT EXISTS (SELECT 1 FROM legacy_users WHERE legacy_users.data_key = data_keys.number)"
    };
}

impl Store {
    /// Has data keys wrapped under the API secret, now that it is known, and with the first use of an API key keeps the
    /// secret's hash. False when somebody else did so first, or changed or revoked the API key; then nothing was written.
    pub async fn adopt_data_keys(
        &self,
        api_key: &Digest,
        first_use: Option<FirstUse>,
        data_keys: Vec<KnownDataKey>,
    ) -> Result<bool, StoreError> {
        self.write(api_key, (*api_key, first_use, data_keys), |tx, (api_key, first_use, data_keys)| {
            Box::pin(adopt_data_keys(tx, api_key, first_use.as_ref(), data_keys))
        })
        .await
    }

    /// Replaces an imported TOTP secret by an ordinary one. False when somebody else did so first, or it is gone.
    pub async fn adopt_totp(&self, id: &Digest, read: Vec<u8>, sealed: Vec<u8>) -> Result<bool, StoreError> {
        self.write(id, (*id, read, sealed), |tx, (id, read, sealed)| {
            Box::pin(async move {
                let values = [sealed.as_slice().into(), id.into(), read.as_slice().into()];
                let adopt = "UPDATE totps SET sealed = $1, legacy = 0 WHERE id = $2 AND sealed = $3";
                Ok(tx.execute(adopt, &values).await? > 0)
            })
        })
        .await
    }

    /// The security keys of an API key's user that are still as they were imported.
    pub async fn legacy_user(&self, api_key: i64, owner: &Digest) -> Result<Option<LegacyUserRow>, StoreError> {
        self.read((api_key, *owner), |tx, (api_key, owner)| {
            Box::pin(async move {
                let user = "SELECT data_key, created_at, sealed FROM legacy_users
                            WHERE owner = $1 AND data_key IN (SELECT data_keys.number FROM data_keys WHERE api_key = $2)
                            ORDER BY data_key LIMIT 1";
                let row = tx.first(user, &[owner.into(), (*api_key).into()]).await?;
                row.map(|mut row| {
                    Ok(LegacyUserRow { data_key: row.int(0)?, created_at: row.int(1)?, sealed: row.take_blob(2)? })
                })
                .transpose()
            })
        })
        .await
    }

    /// Replaces a user's imported security keys by ordinary credentials under the same data key. False when somebody else
    /// did so first, or the user is gone.
    pub async fn adopt_legacy_user(
        &self,
        owner: &Digest,
        read: LegacyUserRow,
        credentials: Vec<NewCredential>,
    ) -> Result<bool, StoreError> {
        self.write(owner, (*owner, read, credentials), |tx, (owner, read, credentials)| {
            Box::pin(async move {
                let LegacyUserRow { data_key, sealed, .. } = read;
                let named = "DELETE FROM legacy_users WHERE owner = $1 AND data_key = $2 AND sealed = $3";
                if tx.execute(named, &[owner.into(), (*data_key).into(), sealed.as_slice().into()]).await? == 0 {
                    return Ok(false);
                }
                for new in credentials {
                    credentials::insert(tx, new).await?;
                }
                if credentials.is_empty() {
                    api_keys::count(tx, *data_key, RecordKind::Webauthn, owner, -1).await?;
                }
                Ok(true)
            })
        })
        .await
    }

    /// Forgets what imported records were encrypted with under data keys that were made before `before` and seal none any
    /// more. Gives how many. From then on no import adds any under them.
    pub async fn forget_legacy_keys(&self, before: i64) -> Result<u64, StoreError> {
        let due = self
            .read(before, |tx, before| {
                Box::pin(async move {
                    let due = concat!(
                        "SELECT number FROM data_keys WHERE legacy_key IS NOT NULL AND created_at < $1",
                        unneeded!()
                    );
                    tx.query(due, &[(*before).into()])
                        .await?
                        .iter()
                        .map(|row| row.int(0))
                        .collect::<Result<Vec<_>, _>>()
                })
            })
            .await?;
        let mut forgotten = 0;
        for number in due {
            let lane = number.to_be_bytes();
            let forget = self.write(&lane, number, |tx, number| {
                let forget = concat!("UPDATE data_keys SET legacy_key = NULL WHERE number = $1", unneeded!());
                Box::pin(async move { tx.execute(forget, &[(*number).into()]).await })
            });
            forgotten += forget.await?;
        }
        Ok(forgotten)
    }
}

async fn adopt_data_keys(
    tx: &mut dyn Tx,
    api_key: &Digest,
    first_use: Option<&FirstUse>,
    data_keys: &[KnownDataKey],
) -> Result<bool, StoreError> {
    if let Some(FirstUse { secret_hash, read, sealed }) = first_use {
        let used = tx
            .execute(
                "UPDATE api_keys SET secret_hash = $1, sealed = $2
                 WHERE id = $3 AND sealed = $4 AND secret_hash IS NULL AND revoked_at IS NULL",
                &[secret_hash.into(), sealed.as_slice().into(), api_key.into(), read.as_slice().into()],
            )
            .await?;
        if used == 0 {
            return Ok(false);
        }
    }
    for data_key in data_keys {
        tx.defer(
            "UPDATE data_keys SET by_secret = $1, legacy_key = $2 WHERE number = $3 AND LENGTH(by_secret) = 0
               AND api_key = (SELECT api_keys.number FROM api_keys WHERE api_keys.id = $4)",
            &[
                data_key.by_secret.as_slice().into(),
                data_key.legacy_key.as_slice().into(),
                data_key.number.into(),
                api_key.into(),
            ],
        )
        .await?;
    }
    Ok(true)
}

/// What an API key owns that is still as it was imported.
pub(super) async fn count(tx: &mut dyn Tx, api_key: i64) -> Result<RecordCounts, StoreError> {
    let totps = "SELECT COUNT(*) FROM totps
                 WHERE legacy = 1 AND data_key IN (SELECT data_keys.number FROM data_keys WHERE api_key = $1)";
    let users = "SELECT COUNT(*) FROM legacy_users
                 WHERE data_key IN (SELECT data_keys.number FROM data_keys WHERE api_key = $1)";
    let mut counts = [0; 2];
    for (count, sql) in counts.iter_mut().zip([totps, users]) {
        let row = tx.first(sql, &[api_key.into()]).await?;
        *count = row.ok_or(StoreError::Row { column: 0, expected: "a count" })?.int(0)?;
    }
    Ok(RecordCounts { totp: counts[0], webauthn: counts[1] })
}

/// Removes what was imported of an API key's user; gives the data keys that sealed it.
pub(super) async fn remove_user(tx: &mut dyn Tx, api_key: i64, owner: &Digest) -> Result<Vec<i64>, StoreError> {
    let remove = "DELETE FROM legacy_users
                  WHERE owner = $1 AND data_key IN (SELECT data_keys.number FROM data_keys WHERE api_key = $2)
                  RETURNING data_key";
    tx.query(remove, &[owner.into(), api_key.into()]).await?.iter().map(|row| row.int(0)).collect()
}
