//! Redeals: done once, received player by player; with a threshold of receipts the old group is refused.

use super::{
    engine::{Tx, Value},
    error::StoreError,
    events,
    rows::{ClosedAs, NewEvent, NewRedeal, ReceiveOutcome, RedealRow, RedealTocRow},
    sessions,
};

/// Stores a redeal with the new players' Tocs and closes its session; false, and nothing is written, unless the
/// session is an open one for a redeal whose group is not refused.
pub(super) async fn finish(
    tx: &mut dyn Tx,
    id: &str,
    redeal: &NewRedeal,
    tocs: &[(u8, Vec<u8>)],
    event: &NewEvent,
) -> Result<bool, StoreError> {
    let allowed = tx
        .first(
            "SELECT 1 FROM sessions WHERE id = $1 AND purpose = 1 AND closed_at IS NULL AND $2 < ends_at
               AND NOT EXISTS (SELECT 1 FROM refused_groups WHERE refused_groups.group_fp = sessions.group_fp)",
            &[id.into(), redeal.at.into()],
        )
        .await?;
    if allowed.is_none() || !sessions::shut(tx, id, ClosedAs::Redealt, redeal.at).await? {
        return Ok(false);
    }
    tx.execute(
        "INSERT INTO redeals (session_id, old_group, new_group, threshold, at, sealed)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            id.into(),
            redeal.old_group.as_ref().into(),
            (&redeal.new_group).into(),
            redeal.threshold.into(),
            redeal.at.into(),
            redeal.sealed.as_slice().into(),
        ],
    )
    .await?;
    for (x, sealed) in tocs {
        tx.execute(
            "INSERT INTO redeal_tocs (session_id, x, sealed) VALUES ($1, $2, $3)",
            &[id.into(), (*x).into(), sealed.as_slice().into()],
        )
        .await?;
    }
    events::append(tx, id, redeal.at, event).await?;
    Ok(true)
}

/// The redeal of a session with its Tocs in the order of players.
pub(super) async fn read(tx: &mut dyn Tx, id: &str) -> Result<Option<(RedealRow, Vec<RedealTocRow>)>, StoreError> {
    let Some(redeal) = head(tx, id).await? else { return Ok(None) };
    let tocs = tx
        .query("SELECT x, received_at, sealed FROM redeal_tocs WHERE session_id = $1 ORDER BY x", &[id.into()])
        .await?
        .into_iter()
        .map(|mut row| Ok(RedealTocRow { x: row.x(0)?, received_at: row.optional_int(1)?, sealed: row.take_blob(2)? }))
        .collect::<Result<_, StoreError>>()?;
    Ok(Some((redeal, tocs)))
}

/// Records a receipt and drops the Toc; the one that makes a threshold has the old group refused.
pub(super) async fn receive(
    tx: &mut dyn Tx,
    id: &str,
    x: u8,
    at: i64,
    event: &NewEvent,
) -> Result<ReceiveOutcome, StoreError> {
    let recorded = tx
        .execute(
            "UPDATE redeal_tocs SET received_at = $1, sealed = $2
             WHERE session_id = $3 AND x = $4 AND received_at IS NULL",
            &[at.into(), Value::Blob(Vec::new()), id.into(), x.into()],
        )
        .await?;
    if recorded == 0 {
        let known =
            tx.first("SELECT 1 FROM redeal_tocs WHERE session_id = $1 AND x = $2", &[id.into(), x.into()]).await?;
        return Ok(if known.is_some() { ReceiveOutcome::Already } else { ReceiveOutcome::Unknown });
    }
    events::append(tx, id, at, event).await?;
    let received = tx
        .first("SELECT COUNT(*) FROM redeal_tocs WHERE session_id = $1 AND received_at IS NOT NULL", &[id.into()])
        .await?
        .ok_or(StoreError::Row { column: 0, expected: "a count" })?
        .int(0)?;
    let redeal = head(tx, id).await?.ok_or(StoreError::Row { column: 0, expected: "the redeal of a Toc" })?;
    let completed = received >= i64::from(redeal.threshold);
    if completed && redeal.completed_at.is_none() {
        complete(tx, id, &redeal, at).await?;
    }
    Ok(ReceiveOutcome::Recorded { received, completed })
}

async fn complete(tx: &mut dyn Tx, id: &str, redeal: &RedealRow, at: i64) -> Result<(), StoreError> {
    tx.execute("UPDATE redeals SET completed_at = $1 WHERE session_id = $2", &[at.into(), id.into()]).await?;
    if let Some(old) = &redeal.old_group {
        tx.execute(
            "INSERT INTO refused_groups (group_fp, at, session_id) VALUES ($1, $2, $3)
             ON CONFLICT (group_fp) DO NOTHING",
            &[old.into(), at.into(), id.into()],
        )
        .await?;
    }
    Ok(())
}

async fn head(tx: &mut dyn Tx, id: &str) -> Result<Option<RedealRow>, StoreError> {
    let row = tx
        .first(
            "SELECT old_group, new_group, threshold, at, completed_at, sealed FROM redeals WHERE session_id = $1",
            &[id.into()],
        )
        .await?;
    row.map(|mut row| {
        Ok(RedealRow {
            old_group: row.optional_digest(0)?,
            new_group: row.digest(1)?,
            threshold: row.x(2)?,
            at: row.int(3)?,
            completed_at: row.optional_int(4)?,
            sealed: row.take_blob(5)?,
        })
    })
    .transpose()
}
