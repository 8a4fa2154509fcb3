//! Sessions: made, read, closed. Everything that opens or closes one also keeps the count of its source right.
//!
//! Knows nothing about Tocs beyond that they are removed when their session closes.

use super::{
    Store,
    engine::{Row, Tx, Value},
    error::StoreError,
    events, notices,
    rights::{self, Asking},
    rows::{
        ClosedAs, Digest, InsertOutcome, NewEvent, NewSession, Once, Purpose, SessionOverview, SessionRow, UnlessOpen,
    },
    tocs,
};

impl Store {
    /// The sessions for codes of a group that a source has asked for and that are open at `now`, newest first, each with its number.
    pub async fn sessions_of(
        &self,
        source: &Digest,
        group: &Digest,
        now: i64,
    ) -> Result<Vec<(i64, SessionOverview)>, StoreError> {
        self.read((*source, *group, now), |tx, (source, group, now)| {
            Box::pin(async move {
                let open = "SELECT number, id FROM sessions
                            WHERE source = $1 AND group_fp = $2 AND ends_at > $3 AND purpose = 0 AND closed_at IS NULL
                            ORDER BY number DESC";
                numbered(tx, open, &[source.into(), group.into(), (*now).into()]).await
            })
        })
        .await
    }
}

/// Makes a session with its first Toc and event, if its group, its proof and its source allow.
pub(super) async fn insert(tx: &mut dyn Tx, new: &NewSession) -> Result<InsertOutcome, StoreError> {
    if let Some(group) = &new.group_fp
        && group_refused(tx, group).await?
    {
        return Ok(InsertOutcome::GroupRefused);
    }
    if let Some(asking) = &new.applicant
        && !rights::still_asks(tx, asking).await?
    {
        return Ok(match asking {
            Asking::ByLogin(_) => InsertOutcome::NotApplicant,
            Asking::Player(_) => InsertOutcome::NotHolder,
        });
    }
    if let (Some(UnlessOpen { after, ends_after }), Some(group)) = (&new.unless, &new.group_fp) {
        let other = "SELECT 1 FROM sessions WHERE source = $1 AND group_fp = $2 AND number > $3 AND ends_at > $4
                     AND purpose = 0 AND closed_at IS NULL LIMIT 1";
        let values = [(&new.source).into(), group.into(), (*after).into(), (*ends_after).into()];
        if tx.first(other, &values).await?.is_some() {
            return Ok(InsertOutcome::Open);
        }
    }
    if let Some(once) = &new.once
        && !use_once(tx, once).await?
    {
        return Ok(InsertOutcome::Replayed);
    }
    if !count_source(tx, &new.source, new.source_cap).await? {
        if let Some(once) = &new.once {
            // Refused requests leave nothing behind: the same proof serves when there is room again.
            tx.defer("DELETE FROM used WHERE digest = $1", &[(&once.digest).into()]).await?;
        }
        return Ok(InsertOutcome::SourceFull);
    }
    let inserted = tx
        .first(
            "INSERT INTO sessions (id, purpose, created_at, expires_at, ends_at, ttl, source, group_fp, cancel_hash,
                               view_hash, max_codes, sealed)
         VALUES ($1, $2, $3, $4, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING number",
            &[
                new.id.as_str().into(),
                purpose_number(new.purpose).into(),
                new.created_at.into(),
                new.expires_at.into(),
                new.ttl.into(),
                (&new.source).into(),
                new.group_fp.as_ref().into(),
                (&new.cancel_hash).into(),
                (&new.view_hash).into(),
                new.max_codes.into(),
                new.sealed.as_slice().into(),
            ],
        )
        .await?;
    let number = inserted.ok_or(StoreError::Row { column: 0, expected: "a number" })?.int(0)?;
    if let Some(toc) = &new.first_toc {
        tocs::insert_first(tx, number, toc).await?;
    }
    events::first(tx, &new.id, number, new.created_at, &new.event).await?;
    notices::keep(tx, number, &new.on_expiry).await?;
    Ok(InsertOutcome::Inserted)
}

/// The session of that id.
pub(super) async fn read(tx: &mut dyn Tx, id: &str) -> Result<Option<SessionRow>, StoreError> {
    tx.first(
        "SELECT id, purpose, created_at, expires_at, ends_at, ttl, source, group_fp, cancel_hash, view_hash, max_codes,
                first_code_at, last_step, codes, failures, closed_at, closed_as, sealed
         FROM sessions WHERE id = $1",
        &[id.into()],
    )
    .await?
    .map(session_row)
    .transpose()
}

/// The session of that id with the number of its Tocs and denials.
pub(super) async fn overview(tx: &mut dyn Tx, id: &str) -> Result<Option<SessionOverview>, StoreError> {
    let Some(row) = read(tx, id).await? else { return Ok(None) };
    let counts = tx
        .first(
            "SELECT (SELECT COUNT(*) FROM tocs WHERE session = number AND proved = 1),
                    (SELECT COUNT(*) FROM tocs WHERE session = number AND proved = 0),
                    (SELECT COUNT(*) FROM denials WHERE session = number)
             FROM sessions WHERE id = $1",
            &[id.into()],
        )
        .await?
        .ok_or(StoreError::Row { column: 0, expected: "a count" })?;
    let (proved, provisional, denials) = (counts.int(0)?, counts.int(1)?, counts.int(2)?);
    Ok(Some(SessionOverview { row, proved, provisional, denials }))
}

/// Up to `limit` sessions that are not closed and have a smaller number than `before`, newest first, each with its number.
pub(super) async fn open(tx: &mut dyn Tx, before: i64, limit: i64) -> Result<Vec<(i64, SessionOverview)>, StoreError> {
    let open = "SELECT number, id FROM sessions WHERE closed_at IS NULL AND number < $1 ORDER BY number DESC LIMIT $2";
    numbered(tx, open, &[before.into(), limit.into()]).await
}

/// Sessions, each with its number, of a query that gives numbers and ids.
async fn numbered(
    tx: &mut dyn Tx,
    query: &'static str,
    values: &[Value],
) -> Result<Vec<(i64, SessionOverview)>, StoreError> {
    let found = tx.query(query, values).await?;
    let mut sessions = Vec::with_capacity(found.len());
    for row in found {
        if let Some(overview) = overview(tx, row.text(1)?).await? {
            sessions.push((row.int(0)?, overview));
        }
    }
    Ok(sessions)
}

/// Writes a session's row, without a change, for an act that otherwise writes only what belongs to it: of two acts at the
/// same time one comes after the other, or is run again.
pub(super) async fn claim(tx: &mut dyn Tx, number: i64) -> Result<(), StoreError> {
    tx.defer("UPDATE sessions SET failures = failures WHERE number = $1", &[number.into()]).await
}

/// Closes a session unless it is closed, and tells of it.
pub(super) async fn close(
    tx: &mut dyn Tx,
    id: &str,
    closed_as: ClosedAs,
    now: i64,
    event: &NewEvent,
) -> Result<bool, StoreError> {
    let Some(number) = shut(tx, id, closed_as, now).await? else { return Ok(false) };
    events::append(tx, id, number, now, event).await?;
    Ok(true)
}

/// Closes a session unless it is closed: only its stub is left. Writes no event, but has watchers told. Gives its
/// number, or `None` when there was nothing to close.
pub(super) async fn shut(tx: &mut dyn Tx, id: &str, closed_as: ClosedAs, now: i64) -> Result<Option<i64>, StoreError> {
    let closed = tx
        .first(
            "UPDATE sessions SET closed_at = $1, closed_as = $2, sealed = $3 WHERE id = $4 AND closed_at IS NULL
             RETURNING number, source",
            &[now.into(), closed_as.as_str().into(), Value::Blob(Vec::new()), id.into()],
        )
        .await?;
    let Some(closed) = closed else { return Ok(None) };
    let (number, source): (i64, Value) = (closed.int(0)?, (&closed.digest(1)?).into());
    tx.defer("DELETE FROM tocs WHERE session = $1", &[number.into()]).await?;
    notices::forget(tx, number).await?;
    let last = tx.execute("DELETE FROM sources WHERE source = $1 AND open <= 1", std::slice::from_ref(&source)).await?;
    if last == 0 {
        tx.defer("UPDATE sources SET open = open - 1 WHERE source = $1", &[source]).await?;
    }
    tx.notify(id).await?;
    Ok(Some(number))
}

/// How many sessions are open, those included whose time is up but which are not swept yet.
pub(super) async fn count_open(tx: &mut dyn Tx) -> Result<i64, StoreError> {
    tx.first("SELECT CAST(COALESCE(SUM(open), 0) AS BIGINT) FROM sources", &[])
        .await?
        .ok_or(StoreError::Row { column: 0, expected: "a count" })?
        .int(0)
}

/// Whether a redeal has replaced that group.
pub(super) async fn group_refused(tx: &mut dyn Tx, group: &Digest) -> Result<bool, StoreError> {
    Ok(tx.first("SELECT 1 FROM refused_groups WHERE group_fp = $1", &[group.into()]).await?.is_some())
}

/// Counts one more session of a source; false, and nothing is written, when it has as many as it may. A redeal that has
/// been done takes a place until every new player has signed receipt: its Tocs are kept for so long.
async fn count_source(tx: &mut dyn Tx, source: &Digest, cap: i64) -> Result<bool, StoreError> {
    let kept = tx
        .first(
            "SELECT COUNT(*) FROM sessions WHERE source = $1 AND closed_as = 'redealt' AND EXISTS (
                 SELECT 1 FROM redeal_tocs WHERE session = number AND received_at IS NULL)",
            &[source.into()],
        )
        .await?
        .ok_or(StoreError::Row { column: 0, expected: "a count" })?;
    let cap = cap.saturating_sub(kept.int(0)?);
    if cap < 1 {
        return Ok(false);
    }
    let counted = tx
        .execute(
            "INSERT INTO sources (source, open) VALUES ($1, 1)
             ON CONFLICT (source) DO UPDATE SET open = sources.open + 1 WHERE sources.open < $2",
            &[source.into(), cap.into()],
        )
        .await?;
    Ok(counted > 0)
}

/// Uses a once-only value; false when it was used before.
async fn use_once(tx: &mut dyn Tx, once: &Once) -> Result<bool, StoreError> {
    let used = tx
        .execute(
            "INSERT INTO used (digest, expires_at) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
            &[(&once.digest).into(), once.expires_at.into()],
        )
        .await?;
    Ok(used > 0)
}

fn purpose_number(purpose: Purpose) -> i64 {
    match purpose {
        Purpose::Code => 0,
        Purpose::Redeal => 1,
    }
}

fn session_row(mut row: Row) -> Result<SessionRow, StoreError> {
    let purpose = match row.int(1)? {
        0 => Purpose::Code,
        1 => Purpose::Redeal,
        _ => return Err(StoreError::Row { column: 1, expected: "a purpose" }),
    };
    let closed_as = match row.optional_text(16)? {
        None => None,
        Some("cancelled") => Some(ClosedAs::Cancelled),
        Some("exhausted") => Some(ClosedAs::Exhausted),
        Some("expired") => Some(ClosedAs::Expired),
        Some("redealt") => Some(ClosedAs::Redealt),
        Some(_) => return Err(StoreError::Row { column: 16, expected: "a reason to close" }),
    };
    Ok(SessionRow {
        id: row.text(0)?.to_owned(),
        purpose,
        created_at: row.int(2)?,
        expires_at: row.int(3)?,
        ends_at: row.int(4)?,
        ttl: row.int(5)?,
        source: row.digest(6)?,
        group_fp: row.optional_digest(7)?,
        cancel_hash: row.digest(8)?,
        view_hash: row.digest(9)?,
        max_codes: row.optional_int(10)?,
        first_code_at: row.optional_int(11)?,
        last_step: row.optional_int(12)?,
        codes: row.int(13)?,
        failures: row.int(14)?,
        closed_at: row.optional_int(15)?,
        closed_as,
        sealed: row.take_blob(17)?,
    })
}
