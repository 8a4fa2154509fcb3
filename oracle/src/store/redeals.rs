//! Redeals: done once, received player by player; with a threshold of receipts the old group is refused.

use super::{
    engine::{Tx, Value},
    error::StoreError,
    events,
    rights::{self, Fallen},
    rows::{ClosedAs, NewEvent, NewRedeal, ReceiveOutcome, RedealOutcome, RedealRow, RedealTocRow},
    sessions,
};

/// Stores a redeal with the new players' Tocs and closes its session, if that is an open one for a redeal whose group is not
/// refused, and what the redeal rests on still stands.
pub(super) async fn finish(
    tx: &mut dyn Tx,
    id: &str,
    redeal: &NewRedeal,
    tocs: &[(u8, Vec<u8>)],
    event: &NewEvent,
) -> Result<RedealOutcome, StoreError> {
    if let Some(fallen) = rights::fallen(tx, redeal.basis.as_ref()).await? {
        return Ok(match fallen {
            Fallen::Asker => RedealOutcome::Dismissed,
            Fallen::Approval => RedealOutcome::Withdrawn,
        });
    }
    let allowed = tx
        .first(
            "SELECT 1 FROM sessions WHERE id = $1 AND purpose = 1 AND closed_at IS NULL AND $2 < ends_at
               AND NOT EXISTS (SELECT 1 FROM refused_groups WHERE refused_groups.group_fp = sessions.group_fp)",
            &[id.into(), redeal.at.into()],
        )
        .await?;
    if allowed.is_none() {
        return Ok(RedealOutcome::Refused);
    }
    let shut = sessions::shut(tx, id, ClosedAs::Redealt, redeal.at).await?;
    let Some(number) = shut else { return Ok(RedealOutcome::Refused) };
    tx.defer(
        "INSERT INTO redeals (session, old_group, new_group, threshold, at, sealed)
         VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            number.into(),
            redeal.old_group.as_ref().into(),
            (&redeal.new_group).into(),
            redeal.threshold.into(),
            redeal.at.into(),
            redeal.sealed.as_slice().into(),
        ],
    )
    .await?;
    for (x, sealed) in tocs {
        tx.defer(
            "INSERT INTO redeal_tocs (session, x, sealed) VALUES ($1, $2, $3)",
            &[number.into(), (*x).into(), sealed.as_slice().into()],
        )
        .await?;
    }
    events::append(tx, id, number, redeal.at, event).await?;
    Ok(RedealOutcome::Stored)
}

/// The redeal of a session with its Tocs in the order of players.
pub(super) async fn read(tx: &mut dyn Tx, id: &str) -> Result<Option<(RedealRow, Vec<RedealTocRow>)>, StoreError> {
    let Some((number, redeal)) = head(tx, id).await? else { return Ok(None) };
    let tocs = tx
        .query("SELECT x, received_at, sealed FROM redeal_tocs WHERE session = $1 ORDER BY x", &[number.into()])
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
    let Some((number, redeal)) = head(tx, id).await? else { return Ok(ReceiveOutcome::Unknown) };
    let recorded = tx
        .execute(
            "UPDATE redeal_tocs SET received_at = $1, sealed = $2
             WHERE session = $3 AND x = $4 AND received_at IS NULL",
            &[at.into(), Value::Blob(Vec::new()), number.into(), x.into()],
        )
        .await?;
    if recorded == 0 {
        let known =
            tx.first("SELECT 1 FROM redeal_tocs WHERE session = $1 AND x = $2", &[number.into(), x.into()]).await?;
        return Ok(if known.is_some() { ReceiveOutcome::Already } else { ReceiveOutcome::Unknown });
    }
    events::append(tx, id, number, at, event).await?;
    let received = tx
        .first("SELECT COUNT(*) FROM redeal_tocs WHERE session = $1 AND received_at IS NOT NULL", &[number.into()])
        .await?
        .ok_or(StoreError::Row { column: 0, expected: "a count" })?
        .int(0)?;
    let completed = received >= i64::from(redeal.threshold);
    if completed && redeal.completed_at.is_none() {
        complete(tx, id, number, &redeal, at).await?;
    }
    Ok(ReceiveOutcome::Recorded { received, completed })
}

async fn complete(tx: &mut dyn Tx, id: &str, number: i64, redeal: &RedealRow, at: i64) -> Result<(), StoreError> {
    tx.defer("UPDATE redeals SET completed_at = $1 WHERE session = $2", &[at.into(), number.into()]).await?;
    if let Some(old) = &redeal.old_group {
        tx.defer(
            "INSERT INTO refused_groups (group_fp, at, session_id) VALUES ($1, $2, $3)
             ON CONFLICT (group_fp) DO NOTHING",
            &[old.into(), at.into(), id.into()],
        )
        .await?;
    }
    Ok(())
}

/// A redeal with its session's number.
async fn head(tx: &mut dyn Tx, id: &str) -> Result<Option<(i64, RedealRow)>, StoreError> {
    let row = tx
        .first(
            "SELECT old_group, new_group, threshold, at, completed_at, redeals.sealed, number
             FROM redeals JOIN sessions ON session = number WHERE id = $1",
            &[id.into()],
        )
        .await?;
    row.map(|mut row| {
        let redeal = RedealRow {
            old_group: row.optional_digest(0)?,
            new_group: row.digest(1)?,
            threshold: row.x(2)?,
            at: row.int(3)?,
            completed_at: row.optional_int(4)?,
            sealed: row.take_blob(5)?,
        };
        Ok((row.int(6)?, redeal))
    })
    .transpose()
}
