//! Tidying: sessions whose time is up are closed, what is long over is removed, proofs that expired and challenges that
//! nobody answered are forgotten.
//!
//! What is due is read on one state of the database, which meets nobody; then it is dealt with in operations of their own.
//! A server gets many small ones, because a large one would lose against steady traffic for ever; the one embedded writer
//! gets one of each kind, because nobody else writes. Every operation looks again whether its rows are still due, so any
//! number of nodes may tidy at once.

use std::sync::Arc;

use futures_util::{StreamExt as _, future::BoxFuture, stream};
use rand::seq::SliceRandom as _;

use super::{
    Engine, Store,
    audit::{self, NewAudit},
    engine::{Act, Tx, Value},
    error::StoreError,
    notices,
    rows::{ClosedAs, Digest, Swept},
    sessions::shut,
};

/// Operations under way at once on a server: some connections are left to those who wait for an answer.
const AT_ONCE: usize = 4;
/// Rows that one operation removes on a server.
const REMOVED: usize = 50;

/// What the audit log is told of a session that expires, given its id and its source.
pub type Tell = Arc<dyn Fn(&str, &Digest) -> Option<NewAudit> + Send + Sync>;

/// A session that is due, with its source and what the audit log is told.
type Due = (String, Digest, Option<NewAudit>);

/// How many rows an operation has dealt with, when it is done.
type Part = BoxFuture<'static, Result<u64, StoreError>>;

/// What a round goes by; times in Unix milliseconds.
#[derive(Clone, Copy)]
pub(super) struct Round {
    pub(super) now: i64,
    /// What was closed no later is removed.
    pub(super) closed: i64,
    /// A redeal that was closed no later is removed even when somebody has not signed receipt.
    pub(super) redealt: i64,
    /// Rows of each kind at most.
    pub(super) batch: i64,
}

/// One round. What cannot be done now does not keep the rest from being done; the first failure is told in the end.
pub(super) async fn round(store: &Store, tell: Option<Tell>, round: Round) -> Result<Swept, StoreError> {
    let (expired, removed, forgotten) =
        (expire(store, tell, round).await, remove(store, round).await, forget(store, round).await);
    let ((expired, more_due), (deleted, more_old), more_used) = (expired?, removed?, forgotten?);
    Ok(Swept { expired, deleted, more: more_due || more_old || more_used })
}

/// Closes what is due; how many, and whether there may be more.
async fn expire(store: &Store, tell: Option<Tell>, round: Round) -> Result<(u64, bool), StoreError> {
    let due: Vec<(String, Digest)> = store
        .read(round, |tx, round| {
            Box::pin(async move {
                let due = "SELECT id, source FROM sessions WHERE closed_at IS NULL AND ends_at <= $1
                           ORDER BY ends_at LIMIT $2";
                let rows = tx.query(due, &[round.now.into(), round.batch.into()]).await?;
                rows.iter().map(|row| Ok((row.text(0)?.to_owned(), row.digest(1)?))).collect()
            })
        })
        .await?;
    let more = reached(&due, round);
    let told = |(id, source): (String, Digest)| {
        let event = tell.as_ref().and_then(|tell| tell(&id, &source));
        (id, source, event)
    };
    let mut due: Vec<Due> = due.into_iter().map(told).collect();
    if matches!(&*store.engine, Engine::Postgres(_)) {
        // Nodes that tidy at the same time begin elsewhere.
        due.shuffle(&mut rand::rng());
    }
    let expired = in_parts(
        store,
        due,
        1,
        |store, due, round| {
            Box::pin(async move {
                // Nobody asks much of a session that is over, but its source may be asking for new ones.
                let lane = due.first().map(|(_, source, _)| *source).unwrap_or_default();
                let act: Act<(Vec<Due>, i64), u64> = |tx, (due, now)| {
                    Box::pin(async move {
                        let mut expired = 0;
                        for (id, _, event) in due {
                            expired += u64::from(expire_one(tx, id, event.as_ref(), *now).await?);
                        }
                        Ok(expired)
                    })
                };
                store.write(&lane, (due, round.now), act).await
            })
        },
        round,
    );
    Ok((expired.await?, more))
}

/// Closes a session if its time is still up: its first code may have been shown meanwhile.
async fn expire_one(tx: &mut dyn Tx, id: &str, event: Option<&NewAudit>, now: i64) -> Result<bool, StoreError> {
    let due = "SELECT number, first_code_at FROM sessions WHERE id = $1 AND closed_at IS NULL AND ends_at <= $2";
    let Some(due) = tx.first(due, &[id.into(), now.into()]).await? else { return Ok(false) };
    // After a first code the time was simply used up.
    if due.optional_int(1)?.is_none() {
        notices::release(tx, due.int(0)?, now).await?;
    }
    let expired = shut(tx, id, ClosedAs::Expired, now).await?.is_some();
    if let (true, Some(event)) = (expired, event) {
        audit::append(tx, event).await?;
    }
    Ok(expired)
}

/// Removes sessions that are long over; how many, and whether there may be more. What may be removed once may be removed
/// for ever: a closed session stays closed, and a receipt stays signed.
async fn remove(store: &Store, round: Round) -> Result<(u64, bool), StoreError> {
    let old: Vec<i64> = store
        .read(round, |tx, round| {
            Box::pin(async move {
                let old =
                    "SELECT number FROM sessions AS old WHERE closed_at <= $1 AND (closed_at <= $2 OR NOT EXISTS (
                               SELECT 1 FROM redeal_tocs WHERE session = old.number AND received_at IS NULL))
                           ORDER BY closed_at LIMIT $3";
                let rows = tx.query(old, &[round.closed.into(), round.redealt.into(), round.batch.into()]).await?;
                rows.iter().map(|row| row.int(0)).collect()
            })
        })
        .await?;
    let more = reached(&old, round);
    let removed = in_parts(
        store,
        old,
        REMOVED,
        |store, old, _| {
            let act: Act<Vec<i64>, u64> = |tx, old| {
                Box::pin(async move {
                    let mut removed = 0;
                    // SQLite gives a number away again; what has it now may be open.
                    let remove = "DELETE FROM sessions WHERE number = $1 AND closed_at IS NOT NULL";
                    for number in old {
                        removed += tx.execute(remove, &[(*number).into()]).await?;
                    }
                    Ok(removed)
                })
            };
            Box::pin(async move { store.write(b"removal", old, act).await })
        },
        round,
    );
    Ok((removed.await?, more))
}

/// Forgets proofs that nobody could use again; whether there may be more.
async fn forget(store: &Store, round: Round) -> Result<bool, StoreError> {
    let used: Vec<Digest> = store
        .read(round, |tx, round| {
            Box::pin(async move {
                let used = "SELECT digest FROM used WHERE expires_at <= $1 LIMIT $2";
                let rows = tx.query(used, &[round.now.into(), round.batch.into()]).await?;
                rows.iter().map(|row| row.digest(0)).collect()
            })
        })
        .await?;
    let more = reached(&used, round);
    let forgotten = in_parts(
        store,
        used,
        REMOVED,
        |store, used, round| {
            let act: Act<(Vec<Digest>, i64), u64> = |tx, (used, now)| {
                Box::pin(async move {
                    for digest in used {
                        let values: [Value; 2] = [digest.into(), (*now).into()];
                        tx.defer("DELETE FROM used WHERE digest = $1 AND expires_at <= $2", &values).await?;
                    }
                    Ok(0)
                })
            };
            Box::pin(async move { store.write(b"forgetting", (used, round.now), act).await })
        },
        round,
    );
    forgotten.await.map(|_| more)
}

/// Forgets up to `batch` ceremonies whose time was up before `before`; how many. Nobody can answer one of them again.
pub(super) async fn forget_ceremonies(store: &Store, before: i64, batch: i64) -> Result<u64, StoreError> {
    let round = Round { now: before, closed: before, redealt: before, batch };
    let unanswered: Vec<i64> = store
        .read(round, |tx, round| {
            Box::pin(async move {
                let unanswered = "SELECT number FROM ceremonies WHERE expires_at < $1 ORDER BY expires_at LIMIT $2";
                let rows = tx.query(unanswered, &[round.now.into(), round.batch.into()]).await?;
                rows.iter().map(|row| row.int(0)).collect()
            })
        })
        .await?;
    let forget: fn(Store, Vec<i64>, Round) -> Part = |store, unanswered, round| {
        let act: Act<(Vec<i64>, i64), u64> = |tx, (unanswered, before)| {
            Box::pin(async move {
                let mut forgotten = 0;
                for number in unanswered {
                    // The number may be another ceremony's by now.
                    let still = "DELETE FROM ceremonies WHERE number = $1 AND expires_at < $2";
                    forgotten += tx.execute(still, &[(*number).into(), (*before).into()]).await?;
                }
                Ok(forgotten)
            })
        };
        Box::pin(async move { store.write(b"ceremonies", (unanswered, round.now), act).await })
    };
    in_parts(store, unanswered, REMOVED, forget, round).await
}

fn reached<T>(rows: &[T], round: Round) -> bool {
    i64::try_from(rows.len()).is_ok_and(|rows| rows >= round.batch) && !rows.is_empty()
}

/// Has rows dealt with, on a server in parts of so many and a few parts at once. Who meets others too often is left for the
/// next round; any other failure ends this one.
async fn in_parts<R: Clone>(
    store: &Store,
    rows: Vec<R>,
    part: usize,
    act: fn(Store, Vec<R>, Round) -> Part,
    round: Round,
) -> Result<u64, StoreError> {
    let part = match &*store.engine {
        Engine::Postgres(_) => part,
        Engine::Sqlite(_) => rows.len(),
    };
    let acts: Vec<_> = rows.chunks(part.max(1)).map(|rows| act(store.clone(), rows.to_vec(), round)).collect();
    let mut acts = stream::iter(acts).buffer_unordered(AT_ONCE);
    let (mut done, mut failed) = (0, None);
    while let Some(outcome) = acts.next().await {
        match outcome {
            Ok(rows) => done += rows,
            Err(error @ (StoreError::Busy | StoreError::Contended { .. })) => failed = failed.or(Some(error)),
            Err(error) => return Err(error),
        }
    }
    failed.map_or(Ok(done), Err)
}
