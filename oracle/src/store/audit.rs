//! The audit log. An event is written with the act that it tells of and has no number yet; whoever numbers takes what is
//! there, and writes rows and the signed head of their tree at once. A transaction that commits late is taken then.
//!
//! Knows no plain event, no tree and no signature: it keeps what it is given, and one batch for each head that it goes on from.

use super::{
    Store,
    api_keys::{RevokeOutcome, RotateOutcome},
    credentials::{AddOutcome, Removed},
    engine::{Row, Tx},
    error::StoreError,
    notices::{self, NewNotice},
    rows::Digest,
};

/// An event on its way into the log.
#[derive(Clone, Debug)]
pub struct NewAudit {
    /// Random name, which the sealed form is bound to.
    pub id: [u8; 16],
    /// The leaf, sealed.
    pub sealed: Vec<u8>,
    /// Who is told of it besides.
    pub notices: Vec<NewNotice>,
}

/// An event that has no number yet.
#[derive(Clone, Debug)]
pub struct PendingAudit {
    /// Its place among those that wait.
    pub place: i64,
    /// Random name.
    pub id: Vec<u8>,
    /// The leaf, sealed.
    pub sealed: Vec<u8>,
}

/// An event that has its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// 1, 2, 3 without gaps.
    pub number: i64,
    /// Hash of the leaf. A damaged one may have another length.
    pub hash: Vec<u8>,
    /// The leaf, sealed for this number.
    pub sealed: Vec<u8>,
}

/// A signed head of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Rows under it.
    pub size: i64,
    /// Size of the one that it goes on from; 0 for the first.
    pub previous: i64,
    /// What the tree grows on from; empty in all but the newest.
    pub frontier: Vec<u8>,
    /// The checkpoint's text.
    pub note: Vec<u8>,
}

/// What numbering changes.
#[derive(Clone, Debug)]
pub struct NumberedAudit {
    /// The new head.
    pub head: AuditHead,
    /// The events in order, each with the place among those that wait that it had.
    pub rows: Vec<(i64, NumberedRow)>,
}

/// An event with its number.
#[derive(Clone, Debug)]
pub struct NumberedRow {
    /// The number.
    pub number: i64,
    /// Hash of the leaf.
    pub hash: Digest,
    /// The leaf, sealed for this number.
    pub sealed: Vec<u8>,
}

/// What came of an act, and whether it did anything that is worth an event.
pub(super) trait Done {
    fn is_done(&self) -> bool;
}

impl Done for bool {
    fn is_done(&self) -> bool {
        *self
    }
}

impl Done for RotateOutcome {
    fn is_done(&self) -> bool {
        matches!(self, Self::Moved(_))
    }
}

impl Done for RevokeOutcome {
    fn is_done(&self) -> bool {
        *self == Self::Revoked
    }
}

impl Done for AddOutcome {
    fn is_done(&self) -> bool {
        matches!(self, Self::Added)
    }
}

impl Done for Removed {
    fn is_done(&self) -> bool {
        self.credentials > 0
    }
}

impl Store {
    /// Writes events of acts that write nothing else.
    pub async fn append_audit(&self, events: Vec<NewAudit>) -> Result<(), StoreError> {
        let lane = events.first().map(|event| event.id).unwrap_or_default();
        self.write(&lane, events, |tx, events| {
            Box::pin(async move {
                for event in events {
                    append(tx, event).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// The newest head, and up to `limit` events that wait for their number in order, both of the same moment.
    pub async fn pending_audit(&self, limit: i64) -> Result<(Option<AuditHead>, Vec<PendingAudit>), StoreError> {
        self.read(limit, |tx, limit| Box::pin(async move { Ok((newest(tx).await?, pending(tx, *limit).await?)) })).await
    }

    /// Numbers events, if nobody has gone on from the same head; false, and nothing is written, when somebody has.
    pub async fn number_audit(&self, numbered: NumberedAudit) -> Result<bool, StoreError> {
        self.write(b"audit", numbered, |tx, numbered| Box::pin(number(tx, numbered))).await
    }

    /// The newest head.
    pub async fn audit_head(&self) -> Result<Option<AuditHead>, StoreError> {
        self.read((), |tx, ()| Box::pin(newest(tx))).await
    }

    /// Numbers and hashes of up to `limit` rows after number `after`, in order.
    pub async fn audit_hashes(&self, after: i64, limit: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
        self.read((after, limit), |tx, (after, limit)| Box::pin(hashes(tx, *after, *limit))).await
    }

    /// Up to `limit` rows after number `after`, and the heads of as many rows and fewer, both of the same moment and in order.
    /// With the last rows come all heads that there are.
    pub async fn audit_after(&self, after: i64, limit: i64) -> Result<(Vec<AuditRow>, Vec<AuditHead>), StoreError> {
        self.read((after, limit), |tx, (after, limit)| Box::pin(page(tx, *after, *limit))).await
    }
}

/// Writes the event of an act, if there is one.
pub(super) async fn tell(tx: &mut dyn Tx, told: Option<&NewAudit>) -> Result<(), StoreError> {
    match told {
        Some(event) => append(tx, event).await,
        None => Ok(()),
    }
}

/// Writes an event with the act that it tells of.
pub(super) async fn append(tx: &mut dyn Tx, event: &NewAudit) -> Result<(), StoreError> {
    notices::append(tx, &event.notices).await?;
    tx.defer(
        "INSERT INTO audit_pending (id, sealed) VALUES ($1, $2)",
        &[event.id.as_slice().into(), event.sealed.as_slice().into()],
    )
    .await
}

async fn newest(tx: &mut dyn Tx) -> Result<Option<AuditHead>, StoreError> {
    tx.first("SELECT size, previous, frontier, note FROM audit_checkpoints ORDER BY size DESC LIMIT 1", &[])
        .await?
        .map(head)
        .transpose()
}

async fn pending(tx: &mut dyn Tx, limit: i64) -> Result<Vec<PendingAudit>, StoreError> {
    tx.query("SELECT number, id, sealed FROM audit_pending ORDER BY number LIMIT $1", &[limit.into()])
        .await?
        .into_iter()
        .map(|mut row| Ok(PendingAudit { place: row.int(0)?, id: row.take_blob(1)?, sealed: row.take_blob(2)? }))
        .collect()
}

async fn number(tx: &mut dyn Tx, numbered: &NumberedAudit) -> Result<bool, StoreError> {
    let head = &numbered.head;
    let first = tx
        .execute(
            "INSERT INTO audit_checkpoints (size, previous, frontier, note) VALUES ($1, $2, $3, $4)
             ON CONFLICT DO NOTHING",
            &[head.size.into(), head.previous.into(), head.frontier.as_slice().into(), head.note.as_slice().into()],
        )
        .await?;
    if first == 0 {
        return Ok(false);
    }
    let nothing: &[u8] = &[];
    tx.defer("UPDATE audit_checkpoints SET frontier = $1 WHERE size = $2", &[nothing.into(), head.previous.into()])
        .await?;
    for (place, row) in &numbered.rows {
        tx.defer(
            "INSERT INTO audit_log (number, hash, sealed) VALUES ($1, $2, $3)",
            &[row.number.into(), (&row.hash).into(), row.sealed.as_slice().into()],
        )
        .await?;
        tx.defer("DELETE FROM audit_pending WHERE number = $1", &[(*place).into()]).await?;
    }
    Ok(true)
}

async fn hashes(tx: &mut dyn Tx, after: i64, limit: i64) -> Result<Vec<(i64, Vec<u8>)>, StoreError> {
    let rows = "SELECT number, hash FROM audit_log WHERE number > $1 ORDER BY number LIMIT $2";
    let rows = tx.query(rows, &[after.into(), limit.into()]).await?;
    rows.into_iter().map(|mut row| Ok((row.int(0)?, row.take_blob(1)?))).collect()
}

async fn page(tx: &mut dyn Tx, after: i64, limit: i64) -> Result<(Vec<AuditRow>, Vec<AuditHead>), StoreError> {
    let rows: Vec<AuditRow> = tx
        .query(
            "SELECT number, hash, sealed FROM audit_log WHERE number > $1 ORDER BY number LIMIT $2",
            &[after.into(), limit.into()],
        )
        .await?
        .into_iter()
        .map(|mut row| Ok(AuditRow { number: row.int(0)?, hash: row.take_blob(1)?, sealed: row.take_blob(2)? }))
        .collect::<Result<_, StoreError>>()?;
    let last = match rows.last() {
        Some(last) if i64::try_from(rows.len()) == Ok(limit) => last.number,
        _ => i64::MAX,
    };
    let heads = tx
        .query(
            "SELECT size, previous, frontier, note FROM audit_checkpoints WHERE size > $1 AND size <= $2 ORDER BY size",
            &[after.into(), last.into()],
        )
        .await?
        .into_iter()
        .map(head)
        .collect::<Result<_, _>>()?;
    Ok((rows, heads))
}

fn head(mut row: Row) -> Result<AuditHead, StoreError> {
    Ok(AuditHead { size: row.int(0)?, previous: row.int(1)?, frontier: row.take_blob(2)?, note: row.take_blob(3)? })
}
