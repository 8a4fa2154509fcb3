//! Takes a database through the steps that it lacks, each in a transaction of its own under a lock that all nodes share:
//! an interrupted migration goes on where it stopped, and nodes that start at once apply a step once.

use tokio_postgres::Client;

use super::failure::Failure;
use crate::store::{
    error::StoreError,
    migrations::{self, Applied, Migration},
    rows::Digest,
};

/// Names the lock ("Quor"): nobody else may use it in this database.
const LOCK: i64 = 0x5175_6f72;
/// A step waits so long for tables that others use, and nodes for each other.
const TIMEOUTS: &str = "SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = '30s'";

/// Applies what of `known` is missing.
pub(super) async fn migrate(client: &Client, known: &[Migration]) -> Result<(), Failure> {
    while step(client, known).await? {}
    Ok(())
}

/// One step; false when there is none left.
async fn step(client: &Client, known: &[Migration]) -> Result<bool, Failure> {
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; {TIMEOUTS}; SELECT pg_advisory_xact_lock({LOCK});
         CREATE TABLE IF NOT EXISTS schema_migrations (
             version BIGINT PRIMARY KEY NOT NULL, name TEXT NOT NULL, needs BIGINT NOT NULL, checksum BYTEA NOT NULL
         )"
    );
    client.batch_execute(&begin).await.map_err(|cause| Failure::of(&cause, "starting a migration"))?;
    let outcome = apply_next(client, known).await;
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(|cause| Failure::of(&cause, "migrating the schema"));
    let applied = outcome?;
    ended.map(|()| applied)
}

async fn apply_next(client: &Client, known: &[Migration]) -> Result<bool, Failure> {
    let failed = |cause: tokio_postgres::Error| Failure::of(&cause, "migrating the schema");
    let applied = client
        .query("SELECT version, needs, checksum FROM schema_migrations ORDER BY version", &[])
        .await
        .map_err(failed)?
        .iter()
        .map(applied)
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::Final)?;
    let Some(next) = migrations::pending(known, &applied).map_err(Failure::Final)?.first() else { return Ok(false) };
    client.batch_execute(next.sql).await.map_err(failed)?;
    let checksum = next.checksum();
    client
        .execute(
            "INSERT INTO schema_migrations (version, name, needs, checksum) VALUES ($1, $2, $3, $4)",
            &[&next.version, &next.name, &next.needs, &checksum.as_slice()],
        )
        .await
        .map_err(failed)?;
    Ok(true)
}

fn applied(row: &tokio_postgres::Row) -> Result<Applied, StoreError> {
    let damaged = |column, expected| move |_| StoreError::Row { column, expected };
    let checksum: &[u8] = row.try_get(2).map_err(damaged(2, "bytes"))?;
    Ok(Applied {
        version: row.try_get(0).map_err(damaged(0, "an integer"))?,
        needs: row.try_get(1).map_err(damaged(1, "an integer"))?,
        checksum: Digest::try_from(checksum).map_err(|_| StoreError::Row { column: 2, expected: "32 bytes" })?,
    })
}
