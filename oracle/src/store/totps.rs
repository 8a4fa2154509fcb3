//! TOTP secrets of applications' users. One conditional write decides whether the code of a time step counts; another
//! counts a wrong code and locks.
//!
//! Knows no code, no UUID and no plain secret: a time step is a number, a secret is sealed, its UUID comes as a keyed hash.

use super::{
    Store,
    api_keys::{self, RecordKind},
    engine::Tx,
    error::StoreError,
    lockout::{FailOutcome, Lockout},
    rows::Digest,
};

/// The last time step of a secret of which no code has counted yet.
const BEFORE_ANY: i64 = -1;

/// A TOTP secret to be kept.
#[derive(Clone, Debug)]
pub struct NewTotp {
    /// Keyed hash of its UUID.
    pub id: Digest,
    /// The data key that it is sealed under.
    pub data_key: i64,
    /// When it was made.
    pub created_at: i64,
    /// The secret.
    pub sealed: Vec<u8>,
}

/// A TOTP secret as stored.
#[derive(Clone, Debug)]
pub struct TotpRow {
    /// The data key that it is sealed under.
    pub data_key: i64,
    /// The last time step whose code has counted.
    pub last_step: i64,
    /// Until when no code is looked at.
    pub locked_until: i64,
    /// The secret.
    pub sealed: Vec<u8>,
}

/// What became of a right code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AcceptOutcome {
    /// It counts, and never again.
    Accepted,
    /// Its time step, or a later one, has counted before.
    Used,
    /// No code is looked at until then.
    Locked(i64),
    /// There is no such secret.
    Unknown,
}

const LOCKOUT: Lockout = Lockout {
    read: "SELECT failures, failed_at, locked_until FROM totps WHERE id = $1",
    write: "UPDATE totps SET failures = $1, failed_at = $2, locked_until = $3 WHERE id = $4",
};

impl Store {
    /// Keeps a TOTP secret for an API key. False when there is one of that id, or when the data key is not that API key's
    /// any more.
    pub async fn insert_totp(&self, api_key: i64, new: NewTotp) -> Result<bool, StoreError> {
        let lane = api_keys::lane(new.data_key, &new.id);
        self.write_told(&lane, (api_key, new), |tx, (api_key, new)| Box::pin(insert(tx, *api_key, new))).await
    }

    /// The TOTP secret of that hashed UUID.
    pub async fn totp(&self, id: &Digest) -> Result<Option<TotpRow>, StoreError> {
        self.read(*id, |tx, id| Box::pin(read(tx, id))).await
    }

    /// Lets the code of a time step count: once, only after every earlier one, and not while it is locked.
    pub async fn accept_totp(&self, id: &Digest, step: i64, now: i64) -> Result<AcceptOutcome, StoreError> {
        self.write(id, (*id, step, now), |tx, (id, step, now)| Box::pin(accept(tx, id, *step, *now))).await
    }

    /// Counts a wrong code. Wrong code number n locks for `delays[n - 1]` milliseconds, further ones as the last.
    pub async fn fail_totp(&self, id: &Digest, delays: &'static [i64], now: i64) -> Result<FailOutcome, StoreError> {
        self.write(id, (*id, delays, now), |tx, (id, delays, now)| Box::pin(LOCKOUT.fail(tx, id.into(), delays, *now)))
            .await
    }

    /// Removes a TOTP secret of an API key. False when there is none.
    pub async fn remove_totp(&self, id: &Digest, api_key: i64) -> Result<bool, StoreError> {
        self.write_told(id, (*id, api_key), |tx, (id, api_key)| Box::pin(remove(tx, id, *api_key))).await
    }
}

async fn insert(tx: &mut dyn Tx, api_key: i64, new: &NewTotp) -> Result<bool, StoreError> {
    if !api_keys::owns(tx, api_key, new.data_key).await? {
        return Ok(false);
    }
    let inserted = tx
        .execute(
            "INSERT INTO totps (id, data_key, created_at, last_step, sealed) VALUES ($1, $2, $3, $4, $5)
             ON CONFLICT (id) DO NOTHING",
            &[
                (&new.id).into(),
                new.data_key.into(),
                new.created_at.into(),
                BEFORE_ANY.into(),
                new.sealed.as_slice().into(),
            ],
        )
        .await?;
    if inserted > 0 {
        api_keys::count(tx, new.data_key, RecordKind::Totp, &new.id, 1).await?;
    }
    Ok(inserted > 0)
}

async fn read(tx: &mut dyn Tx, id: &Digest) -> Result<Option<TotpRow>, StoreError> {
    let row =
        tx.first("SELECT data_key, last_step, locked_until, sealed FROM totps WHERE id = $1", &[id.into()]).await?;
    row.map(|mut row| {
        let (data_key, last_step, locked_until) = (row.int(0)?, row.int(1)?, row.int(2)?);
        Ok(TotpRow { data_key, last_step, locked_until, sealed: row.take_blob(3)? })
    })
    .transpose()
}

async fn accept(tx: &mut dyn Tx, id: &Digest, step: i64, now: i64) -> Result<AcceptOutcome, StoreError> {
    let accepted = tx
        .execute(
            "UPDATE totps SET last_step = $1, failures = 0, locked_until = 0
             WHERE id = $2 AND last_step < $1 AND locked_until <= $3",
            &[step.into(), id.into(), now.into()],
        )
        .await?;
    if accepted > 0 {
        return Ok(AcceptOutcome::Accepted);
    }
    Ok(match LOCKOUT.locked_until(tx, id.into()).await? {
        None => AcceptOutcome::Unknown,
        Some(until) if until > now => AcceptOutcome::Locked(until),
        Some(_) => AcceptOutcome::Used,
    })
}

async fn remove(tx: &mut dyn Tx, id: &Digest, api_key: i64) -> Result<bool, StoreError> {
    let removed = tx
        .first(
            "DELETE FROM totps
             WHERE id = $1 AND data_key IN (SELECT number FROM data_keys WHERE api_key = $2) RETURNING data_key",
            &[id.into(), api_key.into()],
        )
        .await?;
    let Some(row) = removed else { return Ok(false) };
    api_keys::count(tx, row.int(0)?, RecordKind::Totp, id, -1).await?;
    Ok(true)
}
