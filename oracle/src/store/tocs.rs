//! The encrypted Tocs of a session and its denials. One slot per proved player; a bounded pool for Tocs without proof,
//! which never displace a proved one.

use super::{
    engine::{Row, Tx, Value},
    error::StoreError,
    events, notices, rights,
    rows::{
        DenyOutcome, Digest, JoinedRow, MAX_REPLACEMENTS, NewApproval, NewEvent, NewToc, Quorate, TocOutcome, TocRow,
    },
    sessions,
};

/// Puts a Toc into an open session.
pub(super) async fn put(
    tx: &mut dyn Tx,
    id: &str,
    toc: &NewToc,
    now: i64,
    provisional_cap: i64,
    event: &NewEvent,
) -> Result<TocOutcome, StoreError> {
    let Room { number, copy_without_proof, earlier } = match room(tx, id, toc, now, provisional_cap).await? {
        Ok(room) => room,
        Err(outcome) => return Ok(outcome),
    };
    sessions::claim(tx, number).await?;
    if copy_without_proof {
        remove(tx, number, &toc.digest).await?;
    }
    let mut outcome = TocOutcome::Stored;
    if earlier.is_some() {
        tx.defer("DELETE FROM tocs WHERE session = $1 AND x = $2 AND proved = 1", &[number.into(), toc.x.into()])
            .await?;
        outcome = TocOutcome::Replaced;
    }
    insert_after(tx, number, toc, earlier.map_or(0, |replaced| replaced + 1)).await?;
    events::append(tx, id, number, now, event).await?;
    if let (Some(quorate), TocOutcome::Stored) = (&event.quorate, outcome) {
        tell_when_quorate(tx, number, toc, quorate).await?;
    }
    Ok(outcome)
}

/// Tells of the Toc, just stored, that makes as many as are needed; of no later one.
async fn tell_when_quorate(tx: &mut dyn Tx, number: i64, toc: &NewToc, quorate: &Quorate) -> Result<(), StoreError> {
    if quorate.notices.is_empty() || (quorate.proved && !toc.proved) {
        return Ok(());
    }
    let counting = "SELECT COUNT(*) FROM tocs WHERE session = $1 AND proved >= $2";
    let counted = tx.first(counting, &[number.into(), quorate.proved.into()]).await?;
    let counted = counted.ok_or(StoreError::Row { column: 0, expected: "a count" })?.int(0)?;
    if counted == quorate.threshold { notices::append(tx, &quorate.notices).await } else { Ok(()) }
}

/// What would be answered without a write to a Toc on what is stored now; `None` when it would be taken.
pub(super) async fn refusal(
    tx: &mut dyn Tx,
    id: &str,
    toc: &NewToc,
    now: i64,
    provisional_cap: i64,
) -> Result<Option<TocOutcome>, StoreError> {
    Ok(room(tx, id, toc, now, provisional_cap).await?.err())
}

/// Where a Toc goes that is taken.
struct Room {
    /// The session's number.
    number: i64,
    /// Somebody has posted the same without a proof.
    copy_without_proof: bool,
    /// How often the player's Toc that it displaces has replaced an earlier one.
    earlier: Option<i64>,
}

async fn room(
    tx: &mut dyn Tx,
    id: &str,
    toc: &NewToc,
    now: i64,
    provisional_cap: i64,
) -> Result<Result<Room, TocOutcome>, StoreError> {
    let number = match standing(tx, id, now).await? {
        Standing::Unknown => return Ok(Err(TocOutcome::Unknown)),
        Standing::Closed => return Ok(Err(TocOutcome::Closed)),
        Standing::Open(number) => number,
    };
    let same = tx
        .first("SELECT proved FROM tocs WHERE session = $1 AND digest = $2", &[number.into(), (&toc.digest).into()])
        .await?;
    if let Some(approval) = &toc.approval
        && let Some(refused) = refused_approval(tx, number, toc.x, approval).await?
    {
        return Ok(Err(refused));
    }
    let copy_without_proof = match same.map(|row| row.flag(0)).transpose()? {
        None => false,
        // Someone posted a copy without proof first; that must not keep the player out.
        Some(false) if toc.proved => true,
        Some(_) => return Ok(Err(TocOutcome::Repeated)),
    };
    let earlier = if toc.proved { replacements(tx, number, toc.x).await? } else { None };
    let full = match earlier {
        Some(replaced) => replaced >= MAX_REPLACEMENTS,
        None => !toc.proved && count_provisional(tx, number).await? >= provisional_cap,
    };
    Ok(if full { Err(TocOutcome::PoolFull) } else { Ok(Room { number, copy_without_proof, earlier }) })
}

/// Why an approval is not taken: its principal stands for the player no more, or has approved for another one.
async fn refused_approval(
    tx: &mut dyn Tx,
    number: i64,
    x: Option<u8>,
    approval: &NewApproval,
) -> Result<Option<TocOutcome>, StoreError> {
    if Some(approval.acting.x) != x || !rights::still_stands(tx, &approval.acting).await? {
        return Ok(Some(TocOutcome::NotHolder));
    }
    let own = "SELECT x FROM tocs WHERE session = $1 AND approver = $2";
    let before = tx.first(own, &[number.into(), (&approval.approver).into()]).await?;
    let before = before.map(|row| row.optional_x(0)).transpose()?;
    Ok(before.is_some_and(|before| before != x).then_some(TocOutcome::Approved))
}

/// Writes the Toc with which its session is made; nothing else of that session can be there.
pub(super) async fn insert_first(tx: &mut dyn Tx, number: i64, toc: &NewToc) -> Result<(), StoreError> {
    tx.defer(
        "INSERT INTO tocs (session, digest, x, proved, at, arrival, sealed, approver, approval)
         VALUES ($1, $2, $3, $4, $5, 1, $6, $7, $8)",
        &columns(number, toc),
    )
    .await
}

/// What every new row says, in the order of its columns.
fn columns(number: i64, toc: &NewToc) -> [Value; 8] {
    let approval = toc.approval.as_ref();
    [
        number.into(),
        (&toc.digest).into(),
        toc.x.into(),
        toc.proved.into(),
        toc.at.into(),
        toc.sealed.as_slice().into(),
        approval.map(|approval| &approval.approver).into(),
        approval.map(|approval| approval.sealed.as_slice()).into(),
    ]
}

/// Writes a Toc as the last of its session to arrive, after so many replacements of the player's earlier ones.
async fn insert_after(tx: &mut dyn Tx, number: i64, toc: &NewToc, replaced: i64) -> Result<(), StoreError> {
    let [number, digest, x, proved, at, sealed, approver, approval] = columns(number, toc);
    tx.defer(
        "INSERT INTO tocs (session, digest, x, proved, at, arrival, sealed, approver, approval, replaced)
         VALUES ($1, $2, $3, $4, $5, (SELECT COALESCE(MAX(arrival), 0) + 1 FROM tocs WHERE session = $1), $6, $7, $8, $9)",
        &[number, digest, x, proved, at, sealed, approver, approval, replaced.into()],
    )
    .await
}

/// The Tocs of a session in order of arrival.
pub(super) async fn list(tx: &mut dyn Tx, id: &str) -> Result<Vec<TocRow>, StoreError> {
    tx.query(
        "SELECT digest, x, proved, at, tocs.sealed, approval FROM tocs JOIN sessions ON session = number
         WHERE id = $1 ORDER BY arrival",
        &[id.into()],
    )
    .await?
    .into_iter()
    .map(|mut row| {
        Ok(TocRow {
            digest: row.digest(0)?,
            x: row.optional_x(1)?,
            proved: row.flag(2)?,
            at: row.int(3)?,
            sealed: row.take_blob(4)?,
            approval: row.take_optional_blob(5)?,
        })
    })
    .collect()
}

/// Who has joined, in order of arrival; and those who said no, the first first.
pub(super) async fn answers(tx: &mut dyn Tx, id: &str) -> Result<(Vec<JoinedRow>, Vec<u8>), StoreError> {
    let joined = tx
        .query(
            "SELECT digest, CASE WHEN proved = 1 THEN x END, at, approval FROM tocs JOIN sessions ON session = number
             WHERE id = $1 ORDER BY arrival",
            &[id.into()],
        )
        .await?;
    let denied = tx
        .query("SELECT x FROM denials JOIN sessions ON session = number WHERE id = $1 ORDER BY at, x", &[id.into()])
        .await?;
    Ok((
        joined.into_iter().map(joined_row).collect::<Result<_, _>>()?,
        denied.iter().map(|row| row.x(0)).collect::<Result<_, _>>()?,
    ))
}

fn joined_row(mut row: Row) -> Result<JoinedRow, StoreError> {
    Ok(JoinedRow {
        digest: row.digest(0)?,
        x: row.optional_x(1)?,
        at: row.int(2)?,
        approval: row.take_optional_blob(3)?,
    })
}

/// Drops Tocs that turned out false; the event is written when at least one was there.
pub(super) async fn drop_false(
    tx: &mut dyn Tx,
    id: &str,
    digests: &[Digest],
    now: i64,
    event: &NewEvent,
) -> Result<u64, StoreError> {
    let session = tx.first("SELECT number FROM sessions WHERE id = $1", &[id.into()]).await?;
    let Some(session) = session else { return Ok(0) };
    let number = session.int(0)?;
    // First, like whoever closes the session: in the other order they would wait for each other.
    sessions::claim(tx, number).await?;
    let mut dropped = 0;
    for digest in digests {
        dropped += remove(tx, number, digest).await?;
    }
    if dropped > 0 {
        events::append(tx, id, number, now, event).await?;
    }
    Ok(dropped)
}

/// Records that a player said no.
pub(super) async fn deny(
    tx: &mut dyn Tx,
    id: &str,
    x: u8,
    now: i64,
    event: &NewEvent,
) -> Result<DenyOutcome, StoreError> {
    let number = match standing(tx, id, now).await? {
        Standing::Unknown => return Ok(DenyOutcome::Unknown),
        Standing::Closed => return Ok(DenyOutcome::Closed),
        Standing::Open(number) => number,
    };
    let denied = tx
        .execute(
            "INSERT INTO denials (session, x, at) VALUES ($1, $2, $3) ON CONFLICT (session, x) DO NOTHING",
            &[number.into(), x.into(), now.into()],
        )
        .await?;
    if denied == 0 {
        return Ok(DenyOutcome::Already);
    }
    sessions::claim(tx, number).await?;
    events::append(tx, id, number, now, event).await?;
    Ok(DenyOutcome::Denied)
}

/// Whether a session takes anything.
enum Standing {
    Unknown,
    Closed,
    /// With its number.
    Open(i64),
}

async fn standing(tx: &mut dyn Tx, id: &str, now: i64) -> Result<Standing, StoreError> {
    let session = tx.first("SELECT number, closed_at, ends_at FROM sessions WHERE id = $1", &[id.into()]).await?;
    let Some(session) = session else { return Ok(Standing::Unknown) };
    let open = session.optional_int(1)?.is_none() && now < session.int(2)?;
    Ok(if open { Standing::Open(session.int(0)?) } else { Standing::Closed })
}

/// How often the Toc in a player's slot has replaced an earlier one; `None` for an empty slot.
async fn replacements(tx: &mut dyn Tx, number: i64, x: Option<u8>) -> Result<Option<i64>, StoreError> {
    tx.first("SELECT replaced FROM tocs WHERE session = $1 AND x = $2 AND proved = 1", &[number.into(), x.into()])
        .await?
        .map(|row| row.int(0))
        .transpose()
}

async fn count_provisional(tx: &mut dyn Tx, number: i64) -> Result<i64, StoreError> {
    tx.first("SELECT COUNT(*) FROM tocs WHERE session = $1 AND proved = 0", &[number.into()])
        .await?
        .ok_or(StoreError::Row { column: 0, expected: "a count" })?
        .int(0)
}

async fn remove(tx: &mut dyn Tx, number: i64, digest: &Digest) -> Result<u64, StoreError> {
    tx.execute("DELETE FROM tocs WHERE session = $1 AND digest = $2", &[number.into(), digest.into()]).await
}
