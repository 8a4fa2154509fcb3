//! The allowance of codes. One conditional update decides whether a code may be shown; what follows only says why not.

use super::{
    engine::Tx,
    error::StoreError,
    events,
    rights::{self, Basis, Fallen},
    rows::{ClosedAs, CodeOutcome, NewEvent, Purpose},
    sessions,
};

/// Consumes the allowance for the code of a time step, or says that it was consumed by an earlier request. What the
/// `basis` says must still stand when this is written.
pub(super) async fn take(
    tx: &mut dyn Tx,
    id: &str,
    step: i64,
    now: i64,
    basis: Option<&Basis>,
    event: &NewEvent,
) -> Result<CodeOutcome, StoreError> {
    if let Some(refused) = refusal(tx, basis).await? {
        return Ok(refused);
    }
    let taken = tx
        .first(
            "UPDATE sessions SET
                 codes = codes + 1,
                 last_step = $1,
                 first_code_at = COALESCE(first_code_at, $2),
                 ends_at = CASE WHEN first_code_at IS NULL THEN $2 + ttl * 1000 ELSE ends_at END
             WHERE id = $3 AND purpose = 0 AND closed_at IS NULL AND $2 < ends_at
               AND (max_codes IS NULL OR codes < max_codes)
               AND (last_step IS NULL OR last_step < $1)
               AND NOT EXISTS (SELECT 1 FROM refused_groups WHERE refused_groups.group_fp = sessions.group_fp)
             RETURNING number, first_code_at, codes",
            &[step.into(), now.into(), id.into()],
        )
        .await?;
    if let Some(row) = taken {
        events::append(tx, id, row.int(0)?, now, event).await?;
        return Ok(CodeOutcome::Taken { first_code_at: row.int(1)?, codes: row.int(2)? });
    }
    let outcome = judge(tx, id, step, now).await?;
    if outcome == CodeOutcome::Exhausted {
        sessions::shut(tx, id, ClosedAs::Exhausted, now).await?;
    }
    Ok(outcome)
}

/// The answer, without a write, when the code of this step was taken last and may be read again, of a session in which that rests
/// on nobody: where it does, that has to be held until the answer.
pub(super) async fn again(tx: &mut dyn Tx, id: &str, step: i64, now: i64) -> Result<Option<CodeOutcome>, StoreError> {
    Ok(Some(judge(tx, id, step, now).await?).filter(|outcome| matches!(outcome, CodeOutcome::Again { .. })))
}

/// Counts a failed attempt to open Tocs; the one that reaches `cap` closes the session and tells of it.
pub(super) async fn fail(tx: &mut dyn Tx, id: &str, cap: i64, now: i64, event: &NewEvent) -> Result<i64, StoreError> {
    let counted = tx
        .first(
            "UPDATE sessions SET failures = failures + 1 WHERE id = $1 AND closed_at IS NULL
             RETURNING number, failures",
            &[id.into()],
        )
        .await?;
    let Some(row) = counted else {
        return Ok(sessions::read(tx, id).await?.map_or(0, |session| session.failures));
    };
    let failures = row.int(1)?;
    if failures >= cap {
        events::append(tx, id, row.int(0)?, now, event).await?;
        sessions::shut(tx, id, ClosedAs::Exhausted, now).await?;
    }
    Ok(failures)
}

async fn refusal(tx: &mut dyn Tx, basis: Option<&Basis>) -> Result<Option<CodeOutcome>, StoreError> {
    Ok(rights::fallen(tx, basis).await?.map(|fallen| match fallen {
        Fallen::Asker => CodeOutcome::Dismissed,
        Fallen::Approval => CodeOutcome::Withdrawn,
    }))
}

/// What a code of this step would be, given that it cannot be taken.
async fn judge(tx: &mut dyn Tx, id: &str, step: i64, now: i64) -> Result<CodeOutcome, StoreError> {
    let Some(session) = sessions::read(tx, id).await? else { return Ok(CodeOutcome::Unknown) };
    if session.purpose != Purpose::Code {
        return Ok(CodeOutcome::Unknown);
    }
    if session.closed_as == Some(ClosedAs::Exhausted) {
        return Ok(CodeOutcome::Exhausted);
    }
    if !session.is_open(now) {
        return Ok(CodeOutcome::Closed);
    }
    if let Some(group) = &session.group_fp
        && sessions::group_refused(tx, group).await?
    {
        return Ok(CodeOutcome::GroupRefused);
    }
    Ok(match (session.last_step, session.first_code_at) {
        (Some(last), Some(first_code_at)) if last == step => CodeOutcome::Again { first_code_at, codes: session.codes },
        (Some(last), _) if last > step => CodeOutcome::Stale,
        _ => CodeOutcome::Exhausted,
    })
}
