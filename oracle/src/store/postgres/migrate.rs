//! Takes a database through the steps that it lacks, each in a transaction of its own under a lock that all nodes share:
//! an interrupted migration goes on where it stopped, and nodes that start at once apply a step once.

use std::time::Duration;

use tokio::time::Instant;
use tokio_postgres::Client;

use super::failure::Failure;
use crate::store::{
    error::{EngineError, StoreError},
    migrations::{self, Applied, Migration},
    rows::Digest,
};

/// Names the lock ("Quor"): nobody else may use it in this database.
const LOCK: i64 = 0x5175_6f72;
const HISTORY: &str = "CREATE TABLE schema_migrations (
    version BIGINT PRIMARY KEY NOT NULL, name TEXT NOT NULL, needs BIGINT NOT NULL, checksum BYTEA NOT NULL
)";
/// One try waits so long for tables that others use, and for other nodes; whoever comes later waits behind it.
const TRY: &str = "1s";
/// Pauses between tries, in which others go on, at most.
const PAUSE: Duration = Duration::from_millis(500);
/// All tries of one step together.
const TRIES: Duration = Duration::from_secs(30);
/// What one step may take once it has what it waits for; and when the server is given up that does not even say so.
const STEP: (Duration, Duration) = (Duration::from_secs(15 * 60), Duration::from_secs(16 * 60));

/// Lets the statements beside the steps take as long as all tries: a server that has just started reads its own tables from
/// the disk, and no client waits yet.
pub(super) async fn be_patient(client: &Client) -> Result<(), Failure> {
    let most = TRIES.as_millis();
    let told = client.batch_execute(&format!("SET statement_timeout = {most}")).await;
    told.map_err(|cause| Failure::of(&cause, "starting a migration"))
}

/// Applies what of `known` is missing.
pub(super) async fn migrate(client: &Client, known: &[Migration]) -> Result<(), Failure> {
    let mut begun = Instant::now();
    loop {
        let step = tokio::time::timeout(STEP.1, step(client, known)).await;
        match step.unwrap_or(Err(Failure::Cut(StoreError::Slow))) {
            Ok(false) => return Ok(()),
            Ok(true) => begun = Instant::now(),
            Err(Failure::Final(StoreError::Slow)) if begun.elapsed() < TRIES => {
                tracing::info!("a migration waits for tables that are in use");
                tokio::time::sleep(PAUSE.mul_f64(0.5 + rand::random::<f64>() / 2.0)).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// Refuses a schema in which somebody else may make what a statement of this program could mean by accident.
pub(super) async fn check_owner(client: &Client) -> Result<(), Failure> {
    let others = "SELECT 1 FROM pg_catalog.pg_namespace AS schema, pg_catalog.aclexplode(schema.nspacl) AS granted
                  WHERE schema.nspname = pg_catalog.current_schema() AND granted.privilege_type = 'CREATE'
                  AND granted.grantee NOT IN (
                      SELECT oid FROM pg_catalog.pg_roles WHERE oid = schema.nspowner OR rolname = CURRENT_USER OR rolsuper
                  )
                  UNION ALL
                  SELECT 1 FROM pg_catalog.pg_class AS made JOIN pg_catalog.pg_roles AS owner ON owner.oid = made.relowner
                  WHERE made.oid = pg_catalog.to_regclass('schema_migrations')
                  AND NOT (owner.rolsuper OR owner.rolname = CURRENT_USER
                           OR pg_catalog.pg_has_role(CURRENT_USER, owner.oid, 'MEMBER'))";
    let found = client.query(others, &[]).await.map_err(|cause| Failure::of(&cause, "reading who owns the schema"))?;
    if found.is_empty() {
        return Ok(());
    }
    let source = EngineError::new(Shared);
    Err(Failure::Final(StoreError::Engine { doing: "checking that its schema is the oracle's alone", source }))
}

/// Others could have the oracle run their code.
#[derive(Debug, thiserror::Error)]
#[error(
    "others may make objects in the schema, or own its tables: give the oracle a database and role of its own, and run \
     REVOKE CREATE ON SCHEMA public FROM PUBLIC"
)]
struct Shared;

/// One step; false when there is none left.
async fn step(client: &Client, known: &[Migration]) -> Result<bool, Failure> {
    let most = STEP.0.as_millis();
    let begin = format!(
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
         SET LOCAL statement_timeout = {most}; SET LOCAL lock_timeout = '{TRY}';
         SET LOCAL idle_in_transaction_session_timeout = '10s';
         SELECT pg_catalog.pg_advisory_xact_lock({LOCK})"
    );
    let outcome = match client.batch_execute(&begin).await {
        Ok(()) => apply_next(client, known).await,
        Err(cause) => Err(Failure::of(&cause, "starting a migration")),
    };
    let end = if outcome.is_ok() { "COMMIT" } else { "ROLLBACK" };
    let ended = client.batch_execute(end).await.map_err(|cause| Failure::of(&cause, "migrating the schema"));
    let applied = outcome?;
    ended.map(|()| applied)
}

async fn apply_next(client: &Client, known: &[Migration]) -> Result<bool, Failure> {
    let failed = |cause: tokio_postgres::Error| Failure::of(&cause, "migrating the schema");
    // Only made when missing: a role that may not make tables can still serve.
    let there = client.query_one("SELECT pg_catalog.to_regclass('schema_migrations') IS NOT NULL", &[]).await;
    let there: bool = there.and_then(|row| row.try_get(0)).map_err(failed)?;
    if !there {
        client.batch_execute(HISTORY).await.map_err(failed)?;
    }
    let applied = client
        .query("SELECT version, needs, checksum FROM schema_migrations ORDER BY version", &[])
        .await
        .map_err(failed)?
        .iter()
        .map(applied)
        .collect::<Result<Vec<_>, _>>()
        .map_err(Failure::Final)?;
    let pending = migrations::pending(known, &applied).map_err(Failure::Final)?;
    let Some(next) = pending.first() else { return Ok(false) };
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
