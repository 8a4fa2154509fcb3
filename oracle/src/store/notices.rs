//! Notices on their way out of the oracle: written with the act that they tell of, taken by one node at a time, kept until
//! they are delivered or given up.
//!
//! Knows no target by name and no notice's text: where one goes is a keyed hash, what it says is sealed. Whoever takes a
//! notice has it for a time; if it dies, the notice is due again after that. So a notice may be delivered twice, and is
//! never lost.

use std::collections::HashMap;

use super::{
    Store,
    engine::{Row, Tx},
    error::StoreError,
    rows::Digest,
};

/// Bytes of a notice's name.
pub const NOTICE_ID: usize = 16;

/// A notice to one target, to be written with the act that it tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewNotice {
    /// Names it to those who receive it twice.
    pub id: [u8; NOTICE_ID],
    /// Keyed hash of where it goes.
    pub target: Digest,
    /// When it happened.
    pub at: i64,
    /// What it says, sealed.
    pub sealed: Vec<u8>,
}

/// A notice that somebody has taken to deliver it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TakenNotice {
    /// Its row.
    pub number: i64,
    /// Names it to those who receive it twice.
    pub id: [u8; NOTICE_ID],
    /// When it happened.
    pub at: i64,
    /// How often it has been taken, this time included.
    pub attempts: i64,
    /// What it says, sealed.
    pub sealed: Vec<u8>,
}

impl Store {
    /// The rows of up to `limit` notices to a target that are due at `now`, those first that have been due for longest.
    pub async fn due_notices(&self, target: &Digest, now: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
        self.read((*target, now, limit), |tx, (target, now, limit)| Box::pin(due(tx, target, *now, *limit))).await
    }

    /// Takes a notice to a target until `until`, if it is due at `now`; nobody else gets it before that.
    pub async fn take_notice(
        &self,
        number: i64,
        target: &Digest,
        now: i64,
        until: i64,
    ) -> Result<Option<TakenNotice>, StoreError> {
        self.write(&number.to_be_bytes(), (number, *target, now, until), |tx, (number, target, now, until)| {
            Box::pin(take(tx, *number, target, *now, *until))
        })
        .await
    }

    /// Has a notice that was taken tried again at `due_at`, unless somebody has taken it since.
    pub async fn put_off_notice(&self, notice: TakenNotice, due_at: i64) -> Result<(), StoreError> {
        self.write(&notice.number.to_be_bytes(), (notice, due_at), |tx, (notice, due_at)| {
            Box::pin(put_off(tx, notice, *due_at))
        })
        .await
    }

    /// Removes a notice that was delivered or given up.
    pub async fn remove_notice(&self, notice: TakenNotice) -> Result<(), StoreError> {
        self.write(&notice.number.to_be_bytes(), notice, |tx, notice| Box::pin(remove(tx, notice))).await
    }

    /// Removes up to `limit` notices, to whatever target, of what happened before `before`. Gives how many.
    pub async fn give_up_notices(&self, before: i64, limit: i64) -> Result<u64, StoreError> {
        self.write(b"notices", (before, limit), |tx, (before, limit)| Box::pin(give_up(tx, *before, *limit))).await
    }

    /// How many notices wait to be delivered, for each target that some wait for.
    pub async fn waiting_notices(&self) -> Result<HashMap<Digest, i64>, StoreError> {
        self.read((), |tx, ()| Box::pin(count(tx))).await
    }
}

/// Writes notices that are due at once.
pub(super) async fn append(tx: &mut dyn Tx, notices: &[NewNotice]) -> Result<(), StoreError> {
    for notice in notices {
        tx.defer(
            "INSERT INTO notices (id, target, at, due_at, sealed) VALUES ($1, $2, $3, $3, $4)",
            &[notice.id.as_slice().into(), (&notice.target).into(), notice.at.into(), notice.sealed.as_slice().into()],
        )
        .await?;
    }
    Ok(())
}

/// Keeps notices with a new session, for the case that it expires before anything came of it.
pub(super) async fn keep(tx: &mut dyn Tx, session: i64, notices: &[NewNotice]) -> Result<(), StoreError> {
    for notice in notices {
        tx.defer(
            "INSERT INTO expiry_notices (session, target, id, sealed) VALUES ($1, $2, $3, $4)",
            &[session.into(), (&notice.target).into(), notice.id.as_slice().into(), notice.sealed.as_slice().into()],
        )
        .await?;
    }
    Ok(())
}

/// The session has expired with nothing come of it: what was kept for that is due.
pub(super) async fn release(tx: &mut dyn Tx, session: i64, now: i64) -> Result<(), StoreError> {
    tx.defer(
        "INSERT INTO notices (id, target, at, due_at, sealed)
         SELECT id, target, CAST($1 AS BIGINT), CAST($1 AS BIGINT), sealed FROM expiry_notices WHERE session = $2",
        &[now.into(), session.into()],
    )
    .await
}

/// The session is closed: what was kept for its expiry is of no use any more.
pub(super) async fn forget(tx: &mut dyn Tx, session: i64) -> Result<(), StoreError> {
    tx.defer("DELETE FROM expiry_notices WHERE session = $1", &[session.into()]).await
}

/// The rows of up to `limit` notices to a target that are due, those first that have been due for longest.
pub(super) async fn due(tx: &mut dyn Tx, target: &Digest, now: i64, limit: i64) -> Result<Vec<i64>, StoreError> {
    tx.query(
        "SELECT number FROM notices WHERE target = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3",
        &[target.into(), now.into(), limit.into()],
    )
    .await?
    .iter()
    .map(|row| row.int(0))
    .collect()
}

/// Takes a notice until `until`, if it is still due.
pub(super) async fn take(
    tx: &mut dyn Tx,
    number: i64,
    target: &Digest,
    now: i64,
    until: i64,
) -> Result<Option<TakenNotice>, StoreError> {
    tx.first(
        "UPDATE notices SET due_at = $1, attempts = attempts + 1 WHERE number = $2 AND target = $3 AND due_at <= $4
         RETURNING number, id, at, attempts, sealed",
        &[until.into(), number.into(), target.into(), now.into()],
    )
    .await?
    .map(taken)
    .transpose()
}

/// Has a notice that was taken tried again at `due_at`, unless somebody has taken it since.
pub(super) async fn put_off(tx: &mut dyn Tx, notice: &TakenNotice, due_at: i64) -> Result<(), StoreError> {
    tx.defer(
        "UPDATE notices SET due_at = $1 WHERE number = $2 AND id = $3 AND attempts = $4",
        &[due_at.into(), notice.number.into(), notice.id.as_slice().into(), notice.attempts.into()],
    )
    .await
}

/// Removes a notice that was delivered or given up. The number alone may be another's by now.
pub(super) async fn remove(tx: &mut dyn Tx, notice: &TakenNotice) -> Result<(), StoreError> {
    let values = [notice.number.into(), notice.id.as_slice().into()];
    tx.defer("DELETE FROM notices WHERE number = $1 AND id = $2", &values).await
}

/// Removes up to `limit` notices, to whatever target, of what happened before `before`. Gives how many.
pub(super) async fn give_up(tx: &mut dyn Tx, before: i64, limit: i64) -> Result<u64, StoreError> {
    tx.execute(
        "DELETE FROM notices WHERE number IN (SELECT number FROM notices WHERE at < $1 ORDER BY at LIMIT $2)",
        &[before.into(), limit.into()],
    )
    .await
}

/// How many notices wait.
pub(super) async fn count(tx: &mut dyn Tx) -> Result<HashMap<Digest, i64>, StoreError> {
    let counts = tx.query("SELECT target, COUNT(*) FROM notices GROUP BY target", &[]).await?;
    counts.into_iter().map(|row| Ok((row.digest(0)?, row.int(1)?))).collect()
}

fn taken(mut row: Row) -> Result<TakenNotice, StoreError> {
    let id = row.take_blob(1)?;
    Ok(TakenNotice {
        number: row.int(0)?,
        id: id.try_into().map_err(|_| StoreError::Row { column: 1, expected: "16 bytes" })?,
        at: row.int(2)?,
        attempts: row.int(3)?,
        sealed: row.take_blob(4)?,
    })
}
