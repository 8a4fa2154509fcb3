//! Events: what happened in a session, numbered in the act's own transaction. Knows no kind of event by name.

use super::{
    audit,
    engine::Tx,
    error::StoreError,
    notices,
    rows::{EventRow, NewEvent},
};

/// Appends an event with the next number of its session and has watchers told.
pub(super) async fn append(
    tx: &mut dyn Tx,
    id: &str,
    number: i64,
    at: i64,
    event: &NewEvent,
) -> Result<(), StoreError> {
    tx.defer(
        "INSERT INTO events (session, seq, at, kind, sealed)
         VALUES ($1, (SELECT COALESCE(MAX(seq), 0) + 1 FROM events WHERE session = $1), $2, $3, $4)",
        &[number.into(), at.into(), event.kind.as_str().into(), event.sealed.as_slice().into()],
    )
    .await?;
    record(tx, event).await?;
    tx.notify(id).await
}

/// The first event of a session that was made in this transaction. It looks for no other, so that sessions made at the same
/// time by different nodes have nothing in common.
pub(super) async fn first(tx: &mut dyn Tx, id: &str, number: i64, at: i64, event: &NewEvent) -> Result<(), StoreError> {
    tx.defer(
        "INSERT INTO events (session, seq, at, kind, sealed) VALUES ($1, 1, $2, $3, $4)",
        &[number.into(), at.into(), event.kind.as_str().into(), event.sealed.as_slice().into()],
    )
    .await?;
    record(tx, event).await?;
    tx.notify(id).await
}

async fn record(tx: &mut dyn Tx, event: &NewEvent) -> Result<(), StoreError> {
    notices::append(tx, &event.notices).await?;
    match &event.audit {
        Some(event) => audit::append(tx, event).await,
        None => Ok(()),
    }
}

/// Up to `limit` events after number `seq`, in order.
pub(super) async fn after(tx: &mut dyn Tx, id: &str, seq: i64, limit: i64) -> Result<Vec<EventRow>, StoreError> {
    tx.query(
        "SELECT seq, at, kind, events.sealed FROM events JOIN sessions ON session = number
         WHERE id = $1 AND seq > $2 ORDER BY seq LIMIT $3",
        &[id.into(), seq.into(), limit.into()],
    )
    .await?
    .into_iter()
    .map(|mut row| {
        Ok(EventRow { seq: row.int(0)?, at: row.int(1)?, kind: row.text(2)?.to_owned(), sealed: row.take_blob(3)? })
    })
    .collect()
}
