//! API keys and the data keys that they own: made, activated once, revoked, rotated. A record belongs to the owner of the
//! data key that it is sealed under, so a rotation moves data keys and no record.
//!
//! Knows no plain secret: values and API secrets come as keyed hashes, data keys come wrapped.

use super::{
    Store, apps,
    engine::{Row, Tx},
    error::StoreError,
    legacy,
    rows::Digest,
};

/// Data keys that seal anything of which an API key may own so many. Each request of an application reads all of its, and a
/// rotation rewrites them.
pub const MAX_DATA_KEYS: usize = 64;

/// Slots that the count of a data key's records is spread over.
const SLOTS: u8 = 16;

/// An API key to be made.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Keyed hash of its value.
    pub id: Digest,
    /// When it was asked for.
    pub created_at: i64,
    /// Value, email and what else the service keeps.
    pub sealed: Vec<u8>,
}

/// An API key as stored.
#[derive(Clone, Debug)]
pub struct ApiKeyRow {
    /// Names it within the store.
    pub number: i64,
    /// Keyed hash of its value.
    pub id: Digest,
    /// When it was asked for.
    pub created_at: i64,
    /// When its secret was given out.
    pub activated_at: Option<i64>,
    /// When an operator took it out of use.
    pub revoked_at: Option<i64>,
    /// Keyed hash of its secret; absent before activation, and in an imported key before its first use.
    pub secret_hash: Option<Digest>,
    /// Value, email and what else the service keeps.
    pub sealed: Vec<u8>,
}

/// A data key to be made.
#[derive(Clone, Debug)]
pub struct NewDataKey {
    /// Random name, which the wrapped forms are bound to.
    pub id: Digest,
    /// Wrapped under the API secret; empty when that is not known yet.
    pub by_secret: Vec<u8>,
    /// Wrapped under the root secret.
    pub by_root: Vec<u8>,
}

/// A data key as stored.
#[derive(Clone, Debug)]
pub struct DataKeyRow {
    /// Names it within the store; records carry it.
    pub number: i64,
    /// Random name.
    pub id: Digest,
    /// Wrapped under the API secret; empty when that is not known yet.
    pub by_secret: Vec<u8>,
    /// What imported records under it are encrypted with besides, sealed under it; absent when there are none, or the API
    /// secret is not known yet.
    pub legacy_key: Option<Vec<u8>>,
}

/// A data key wrapped anew for another API key, or for the same one once its secret is known.
#[derive(Clone, Debug)]
pub struct Rewrapped {
    /// Which data key.
    pub number: i64,
    /// Wrapped under the new owner's API secret.
    pub by_secret: Vec<u8>,
    /// Wrapped under the root secret, bound to the new owner.
    pub by_root: Vec<u8>,
}

/// What became of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotateOutcome {
    /// The new API key owns what the old one did; how much that was.
    Moved(RecordCounts),
    /// The API key that takes over is revoked, or was never activated; nothing was written.
    NewNotInUse,
    /// The API key that hands over is revoked, or was never activated; nothing was written.
    OldNotInUse,
    /// A user with security keys of the one has the UUID of a user of the other, and they would become one; nothing was
    /// written.
    SharedUsers,
    /// The new API key would own more than [`MAX_DATA_KEYS`] that seal anything; nothing was written.
    TooManyDataKeys,
}

/// What is counted of a data key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// A TOTP secret.
    Totp,
    /// A user with U2F or `WebAuthn` credentials.
    Webauthn,
}

impl RecordKind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Totp => "totp",
            Self::Webauthn => "webauthn",
        }
    }
}

/// An API key with what it owns.
#[derive(Clone, Debug)]
pub struct OwningApiKey {
    /// The key.
    pub row: ApiKeyRow,
    /// How much it owns.
    pub records: RecordCounts,
    /// How much of it is still as it was imported.
    pub legacy: RecordCounts,
}

/// How many records there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordCounts {
    /// TOTP secrets.
    pub totp: i64,
    /// Users with U2F or `WebAuthn` credentials.
    pub webauthn: i64,
}

/// What became of a revocation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// It was out of use already, or is unknown; nothing was written.
    NotInUse,
    /// It is out of use now.
    Revoked,
}

impl Store {
    /// Makes an API key. False when there is one of that value.
    pub async fn insert_api_key(&self, new: NewApiKey) -> Result<bool, StoreError> {
        self.write_told(&new.id.clone(), new, |tx, new| Box::pin(insert(tx, new))).await
    }

    /// The API key of that hashed value with its data keys, oldest first, both of the same moment.
    pub async fn api_key(&self, id: &Digest) -> Result<Option<(ApiKeyRow, Vec<DataKeyRow>)>, StoreError> {
        self.read(*id, |tx, id| Box::pin(read(tx, id))).await
    }

    /// The data keys of an API key as they are wrapped under the root secret, oldest first: number and wrapped form. For
    /// whoever has the root secret and no API secret.
    pub async fn data_keys_by_root(&self, api_key: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        self.read(api_key, |tx, api_key| Box::pin(read_by_root(tx, *api_key))).await
    }

    /// Up to `limit` API keys after number `after`, oldest first, with what they own.
    pub async fn api_keys_after(&self, after: i64, limit: i64) -> Result<Vec<OwningApiKey>, StoreError> {
        self.read((after, limit), |tx, (after, limit)| Box::pin(list(tx, *after, *limit))).await
    }

    /// Gives an API key its secret and its first data key. True exactly once, and never for a revoked key.
    pub async fn activate_api_key(
        &self,
        id: &Digest,
        secret_hash: &Digest,
        data_key: NewDataKey,
        now: i64,
    ) -> Result<bool, StoreError> {
        self.write_told(id, (*id, *secret_hash, data_key, now), |tx, (id, hash, data_key, now)| {
            Box::pin(activate(tx, id, hash, data_key, *now))
        })
        .await
    }

    /// Takes an API key out of use, whatever else happens with it. What it could read of apps is ended by
    /// [`Store::end_apps_of`], afterwards.
    pub async fn revoke_api_key(&self, id: &Digest, now: i64) -> Result<RevokeOutcome, StoreError> {
        self.write_told(id, (*id, now), |tx, (id, now)| Box::pin(revoke(tx, id, *now))).await
    }

    /// Removes an API key that was never activated. False when it was, or is unknown.
    pub async fn forget_api_key(&self, id: &Digest) -> Result<bool, StoreError> {
        self.write_told(id, *id, |tx, id| Box::pin(forget(tx, id))).await
    }

    /// Replaces what is sealed in an API key, if it still is what the caller read.
    pub async fn reseal_api_key(&self, id: &Digest, read: Vec<u8>, sealed: Vec<u8>) -> Result<bool, StoreError> {
        self.write_told(id, (*id, read, sealed), |tx, (id, read, sealed)| Box::pin(reseal(tx, id, read, sealed))).await
    }

    /// Moves the data keys that seal anything from one API key to another, as they were wrapped for it, and leaves `fresh`
    /// to the old one when it would have none, if both are in use. Its cost does not depend on the number of records.
    pub async fn rotate_api_key(
        &self,
        old: i64,
        new: i64,
        data_keys: Vec<Rewrapped>,
        fresh: NewDataKey,
        now: i64,
    ) -> Result<RotateOutcome, StoreError> {
        self.write_told(
            &old.to_be_bytes(),
            (old, new, data_keys, fresh, now),
            |tx, (old, new, data_keys, fresh, now)| Box::pin(rotate(tx, *old, *new, data_keys, fresh, *now)),
        )
        .await
    }

    /// What an API key owns.
    pub async fn count_records(&self, api_key: i64) -> Result<RecordCounts, StoreError> {
        self.read(api_key, |tx, api_key| Box::pin(count_owned(tx, *api_key))).await
    }
}

/// Counts `by` more (or fewer) records of a kind under a data key. `id` is the record's random id: it chooses the slot.
pub(super) async fn count(
    tx: &mut dyn Tx,
    data_key: i64,
    kind: RecordKind,
    id: &[u8],
    by: i64,
) -> Result<(), StoreError> {
    let slot = slot(id);
    tx.defer(
        "INSERT INTO record_counts (data_key, kind, slot, records) VALUES ($1, $2, $3, $4)
         ON CONFLICT (data_key, kind, slot) DO UPDATE SET records = record_counts.records + $4",
        &[data_key.into(), kind.as_str().into(), slot.into(), by.into()],
    )
    .await
}

/// What writes that count a record in the same slot meet in.
pub(super) fn lane(data_key: i64, id: &[u8]) -> [u8; 9] {
    let mut lane = [slot(id); 9];
    lane[1..].copy_from_slice(&data_key.to_be_bytes());
    lane
}

fn slot(id: &[u8]) -> u8 {
    id.first().copied().unwrap_or(0) % SLOTS
}

/// Whether a data key is that API key's, now: a rotation may have taken it since its owner was read.
pub(super) async fn owns(tx: &mut dyn Tx, api_key: i64, data_key: i64) -> Result<bool, StoreError> {
    let row = tx
        .first("SELECT 1 FROM data_keys WHERE number = $1 AND api_key = $2", &[data_key.into(), api_key.into()])
        .await?;
    Ok(row.is_some())
}

async fn insert(tx: &mut dyn Tx, new: &NewApiKey) -> Result<bool, StoreError> {
    let inserted = tx
        .execute(
            "INSERT INTO api_keys (id, created_at, sealed) VALUES ($1, $2, $3) ON CONFLICT (id) DO NOTHING",
            &[(&new.id).into(), new.created_at.into(), new.sealed.as_slice().into()],
        )
        .await?;
    Ok(inserted > 0)
}

async fn read(tx: &mut dyn Tx, id: &Digest) -> Result<Option<(ApiKeyRow, Vec<DataKeyRow>)>, StoreError> {
    let rows = tx
        .query(
            "SELECT api_keys.number, api_keys.id, api_keys.created_at, activated_at, revoked_at, secret_hash, sealed,
                    data_keys.number, data_keys.id, by_secret, legacy_key
             FROM api_keys LEFT JOIN data_keys ON data_keys.api_key = api_keys.number
             WHERE api_keys.id = $1 ORDER BY data_keys.number",
            &[id.into()],
        )
        .await?;
    let mut found = None;
    let mut data_keys = Vec::with_capacity(rows.len());
    for mut row in rows {
        if let Some(number) = row.optional_int(7)? {
            let (id, by_secret, legacy_key) = (row.digest(8)?, row.take_blob(9)?, row.take_optional_blob(10)?);
            data_keys.push(DataKeyRow { number, id, by_secret, legacy_key });
        }
        if found.is_none() {
            found = Some(api_key_row(&mut row)?);
        }
    }
    Ok(found.map(|api_key| (api_key, data_keys)))
}

async fn read_by_root(tx: &mut dyn Tx, api_key: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let rows =
        tx.query("SELECT number, by_root FROM data_keys WHERE api_key = $1 ORDER BY number", &[api_key.into()]).await?;
    rows.into_iter().map(|mut row| Ok((row.int(0)?, row.take_blob(1)?))).collect()
}

async fn list(tx: &mut dyn Tx, after: i64, limit: i64) -> Result<Vec<OwningApiKey>, StoreError> {
    let rows = tx
        .query(
            "SELECT number, id, created_at, activated_at, revoked_at, secret_hash, sealed
             FROM api_keys WHERE number > $1 ORDER BY number LIMIT $2",
            &[after.into(), limit.into()],
        )
        .await?;
    let mut listed = Vec::with_capacity(rows.len());
    for mut row in rows {
        let row = api_key_row(&mut row)?;
        let records = count_owned(tx, row.number).await?;
        let legacy = legacy::count(tx, row.number).await?;
        listed.push(OwningApiKey { row, records, legacy });
    }
    Ok(listed)
}

async fn activate(
    tx: &mut dyn Tx,
    id: &Digest,
    secret_hash: &Digest,
    data_key: &NewDataKey,
    now: i64,
) -> Result<bool, StoreError> {
    let activated = tx
        .first(
            "UPDATE api_keys SET activated_at = $1, secret_hash = $2
             WHERE id = $3 AND activated_at IS NULL AND revoked_at IS NULL RETURNING number",
            &[now.into(), secret_hash.into(), id.into()],
        )
        .await?;
    let Some(row) = activated else { return Ok(false) };
    insert_data_key(tx, row.int(0)?, data_key, now).await?;
    Ok(true)
}

/// Looks at nothing that whoever has the key could change meanwhile, so that nothing they do holds it up.
async fn revoke(tx: &mut dyn Tx, id: &Digest, now: i64) -> Result<RevokeOutcome, StoreError> {
    // What its secret is checked with goes, so that no other value of `revoked_at` brings it back.
    let revoke = "UPDATE api_keys SET revoked_at = $1, secret_hash = NULL WHERE id = $2 AND revoked_at IS NULL";
    let revoked = tx.execute(revoke, &[now.into(), id.into()]).await?;
    Ok(if revoked > 0 { RevokeOutcome::Revoked } else { RevokeOutcome::NotInUse })
}

async fn forget(tx: &mut dyn Tx, id: &Digest) -> Result<bool, StoreError> {
    let forgotten = tx.execute("DELETE FROM api_keys WHERE id = $1 AND activated_at IS NULL", &[id.into()]).await?;
    Ok(forgotten > 0)
}

async fn reseal(tx: &mut dyn Tx, id: &Digest, read: &[u8], sealed: &[u8]) -> Result<bool, StoreError> {
    let replaced = tx
        .execute(
            "UPDATE api_keys SET sealed = $1 WHERE id = $2 AND sealed = $3",
            &[sealed.into(), id.into(), read.into()],
        )
        .await?;
    Ok(replaced > 0)
}

async fn rotate(
    tx: &mut dyn Tx,
    old: i64,
    new: i64,
    data_keys: &[Rewrapped],
    fresh: &NewDataKey,
    now: i64,
) -> Result<RotateOutcome, StoreError> {
    // Whatever the caller saw of them is over: an operator may have revoked one since.
    if !is_in_use(tx, old).await? {
        return Ok(RotateOutcome::OldNotInUse);
    }
    if !is_in_use(tx, new).await? {
        return Ok(RotateOutcome::NewNotInUse);
    }
    let (owned, taken) = (owned(tx, old).await?, owned(tx, new).await?.len());
    let (mut moving, mut moved) = (Vec::new(), RecordCounts::default());
    for data_key in data_keys.iter().filter(|data_key| owned.contains(&data_key.number)) {
        let counts = count_under(tx, data_key.number).await?;
        // An empty one has nothing to move; and a record may just be on its way under it, which then stays with the old key.
        if counts != RecordCounts::default() || apps::holds_any(tx, data_key.number).await? {
            moving.push(data_key);
            moved.totp += counts.totp;
            moved.webauthn += counts.webauthn;
        }
    }
    // Its own, which may be empty, keeps nothing out: whatever one API key owns can move into a fresh one.
    if taken + moving.len() > MAX_DATA_KEYS && count_sealing(tx, new).await? + moving.len() > MAX_DATA_KEYS {
        return Ok(RotateOutcome::TooManyDataKeys);
    }
    if moved.webauthn > 0 && share_users(tx, old, new).await? {
        return Ok(RotateOutcome::SharedUsers);
    }
    for data_key in &moving {
        tx.defer(
            "UPDATE data_keys SET api_key = $1, by_secret = $2, by_root = $3 WHERE number = $4",
            &[
                new.into(),
                data_key.by_secret.as_slice().into(),
                data_key.by_root.as_slice().into(),
                data_key.number.into(),
            ],
        )
        .await?;
    }
    if moving.len() == owned.len() {
        insert_data_key(tx, old, fresh, now).await?;
    }
    Ok(RotateOutcome::Moved(moved))
}

/// Whether a user of the one, imported or not, has the UUID of a user of the other. Looks at no user when the new API key
/// has none, as after its activation.
async fn share_users(tx: &mut dyn Tx, old: i64, new: i64) -> Result<bool, StoreError> {
    if count_owned(tx, new).await?.webauthn == 0 {
        return Ok(false);
    }
    let shared = tx
        .first(
            "SELECT 1 FROM (
                 SELECT owner FROM credentials
                 JOIN data_keys ON data_keys.number = credentials.data_key WHERE api_key = $1
                 UNION ALL SELECT owner FROM legacy_users
                 JOIN data_keys ON data_keys.number = legacy_users.data_key WHERE api_key = $1) theirs
             WHERE EXISTS (
                 SELECT 1 FROM credentials JOIN data_keys ON data_keys.number = credentials.data_key
                 WHERE credentials.owner = theirs.owner AND api_key = $2)
               OR EXISTS (
                 SELECT 1 FROM legacy_users JOIN data_keys ON data_keys.number = legacy_users.data_key
                 WHERE legacy_users.owner = theirs.owner AND api_key = $2) LIMIT 1",
            &[old.into(), new.into()],
        )
        .await?;
    Ok(shared.is_some())
}

/// Whether requests with an API key are answered.
pub(super) async fn is_in_use(tx: &mut dyn Tx, api_key: i64) -> Result<bool, StoreError> {
    let in_use = "SELECT 1 FROM api_keys WHERE number = $1 AND activated_at IS NOT NULL AND revoked_at IS NULL";
    Ok(tx.first(in_use, &[api_key.into()]).await?.is_some())
}

/// The numbers of an API key's data keys.
pub(super) async fn owned(tx: &mut dyn Tx, api_key: i64) -> Result<Vec<i64>, StoreError> {
    let rows = tx.query("SELECT number FROM data_keys WHERE api_key = $1", &[api_key.into()]).await?;
    rows.iter().map(|row| row.int(0)).collect()
}

pub(super) async fn insert_data_key(
    tx: &mut dyn Tx,
    api_key: i64,
    new: &NewDataKey,
    now: i64,
) -> Result<(), StoreError> {
    tx.defer(
        "INSERT INTO data_keys (id, api_key, created_at, by_secret, by_root) VALUES ($1, $2, $3, $4, $5)",
        &[(&new.id).into(), api_key.into(), now.into(), new.by_secret.as_slice().into(), new.by_root.as_slice().into()],
    )
    .await
}

async fn count_under(tx: &mut dyn Tx, data_key: i64) -> Result<RecordCounts, StoreError> {
    let sums = tx
        .query(
            "SELECT kind, CAST(SUM(records) AS BIGINT) FROM record_counts WHERE data_key = $1 GROUP BY kind",
            &[data_key.into()],
        )
        .await?;
    sum(&sums)
}

/// How many of an API key's data keys seal anything.
async fn count_sealing(tx: &mut dyn Tx, api_key: i64) -> Result<usize, StoreError> {
    let sealing = "SELECT data_key FROM record_counts
                   WHERE data_key IN (SELECT number FROM data_keys WHERE api_key = $1)
                   GROUP BY data_key, kind HAVING SUM(records) > 0
                   UNION SELECT data_key FROM app_holders JOIN app_grants ON holder = app_holders.number
                   WHERE data_key IN (SELECT number FROM data_keys WHERE api_key = $1)";
    Ok(tx.query(sealing, &[api_key.into()]).await?.len())
}

async fn count_owned(tx: &mut dyn Tx, api_key: i64) -> Result<RecordCounts, StoreError> {
    let sums = tx
        .query(
            "SELECT kind, CAST(SUM(records) AS BIGINT) FROM record_counts
             WHERE data_key IN (SELECT number FROM data_keys WHERE api_key = $1) GROUP BY kind",
            &[api_key.into()],
        )
        .await?;
    sum(&sums)
}

fn sum(rows: &[Row]) -> Result<RecordCounts, StoreError> {
    let mut counts = RecordCounts::default();
    for row in rows {
        match row.text(0)? {
            "totp" => counts.totp = row.int(1)?,
            "webauthn" => counts.webauthn = row.int(1)?,
            _ => return Err(StoreError::Row { column: 0, expected: "a kind of record" }),
        }
    }
    Ok(counts)
}

fn api_key_row(row: &mut Row) -> Result<ApiKeyRow, StoreError> {
    Ok(ApiKeyRow {
        number: row.int(0)?,
        id: row.digest(1)?,
        created_at: row.int(2)?,
        activated_at: row.optional_int(3)?,
        revoked_at: row.optional_int(4)?,
        secret_hash: row.optional_digest(5)?,
        sealed: row.take_blob(6)?,
    })
}
