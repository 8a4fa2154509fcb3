//! The embedded engine: `SQLite` in WAL mode with `synchronous=FULL`, one writer thread that commits what is waiting
//! together, and a few read-only connections on threads of their own.
//!
//! Knows no table but its own `schema_migrations`.

mod job;
mod queue;
mod readers;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, ready};
use rusqlite::{
    Connection, ErrorCode, OpenFlags, ToSql,
    config::DbConfig,
    params, params_from_iter,
    types::{ToSqlOutput, ValueRef},
};
use rustix::{fs::Access, io::Errno};
use tokio::sync::{broadcast, oneshot};

use self::{
    queue::{For, Queue},
    readers::Readers,
    writer::Writer,
};
use super::{
    StoreOptions, WriterCounts,
    engine::{Act, Row, Tx, Value},
    error::{EngineError, StoreError},
    lanes::Place,
    migrations::{self, Applied},
    settings,
};

/// Marks a file as ours ("Quor"), see `PRAGMA application_id`.
const APPLICATION_ID: i64 = 0x5175_6f72;
/// How long to wait for another process that holds the database, say for a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Statements kept prepared on each connection: more than there are.
const STATEMENTS: usize = 128;

/// An open database.
pub(super) struct Sqlite {
    writer: Writer,
    /// None for a database in memory, which no second connection can see: the writer reads, too.
    readers: Option<Readers>,
}

impl Sqlite {
    /// Opens a database file, making it when it is not there, and brings its schema up to date.
    pub(super) fn open(
        path: &Path,
        options: &StoreOptions,
        notices: broadcast::Sender<Arc<str>>,
    ) -> Result<Self, StoreError> {
        // Absolute, because SQLite takes a name that starts with `file:` for a URL.
        let path = std::path::absolute(path).map_err(|cause| cannot_open(path, cause))?;
        create(&path)?;
        let mut connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        check_ours(&connection, &path)?;
        prepare_writer(&connection, &path, "wal")?;
        migrate(&mut connection)?;
        let readers = (0..options.readers.max(1))
            .map(|_| connect(&path, OpenFlags::SQLITE_OPEN_READ_ONLY))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            writer: Writer::start(connection, options, notices)?,
            readers: Some(Readers::start(readers, options.queue)?),
        })
    }

    /// A database that is gone when it is closed.
    pub(super) fn open_in_memory(
        options: &StoreOptions,
        notices: broadcast::Sender<Arc<str>>,
    ) -> Result<Self, StoreError> {
        let path = Path::new(":memory:");
        let mut connection =
            Connection::open_in_memory().and_then(prepare).map_err(|cause| cannot_open(path, cause))?;
        prepare_writer(&connection, path, "memory")?;
        migrate(&mut connection)?;
        Ok(Self { writer: Writer::start(connection, options, notices)?, readers: None })
    }

    /// Has an operation done in the next commit. It is done even when the caller does not wait for it. Its place in its lane
    /// is free again when its turn has come.
    pub(super) async fn write<I, T>(&self, lane: Place, input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        wait(self.writer.queue().submit(For::Writes(lane), input, act)?).await
    }

    /// Has an operation that only reads done on one state of the database.
    pub(super) async fn read<I, T>(&self, input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        wait(self.reading().submit(For::Reads, input, act)?).await
    }

    /// The schema that a program must know at least.
    pub(super) async fn look(&self) -> Result<i64, StoreError> {
        wait(self.reading().submit(For::Health, (), |tx, ()| Box::pin(migrations::needed(tx)))?).await
    }

    /// Commits a sign of life of number `count` in place of the last one in `slot`.
    pub(super) async fn beat(&self, slot: u8, count: i64) -> Result<(), StoreError> {
        let beat = self
            .writer
            .queue()
            .submit(For::Health, (slot, count), |tx, (slot, count)| Box::pin(settings::beat(tx, *slot, *count)));
        wait(beat?).await
    }

    fn reading(&self) -> &Queue {
        self.readers.as_ref().map_or_else(|| self.writer.queue(), Readers::queue)
    }

    pub(super) fn counts(&self) -> WriterCounts {
        self.writer.counts()
    }

    /// Finishes what is waiting, writes the log back into the database file and closes it. Blocks.
    pub(super) fn shut_down(&self) {
        if let Some(readers) = &self.readers {
            readers.stop();
        }
        self.writer.stop();
    }
}

async fn wait<T>(answer: oneshot::Receiver<Result<T, StoreError>>) -> Result<T, StoreError> {
    answer.await.unwrap_or(Err(StoreError::Stopped))
}

/// A connection as an operation sees it.
struct SqliteTx<'a> {
    connection: &'a mut Connection,
    touched: &'a mut Vec<Arc<str>>,
}

impl SqliteTx<'_> {
    fn run(&mut self, sql: &str, values: &[Value]) -> Result<u64, StoreError> {
        let changed = self.connection.prepare_cached(sql).and_then(|mut it| it.execute(params_from_iter(values)));
        changed.map(|rows| rows as u64).map_err(|cause| failed("running a statement", cause))
    }
}

impl Tx for SqliteTx<'_> {
    fn execute<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>> {
        ready(self.run(sql, values)).boxed()
    }

    fn query<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        ready(query(self.connection, sql, values)).boxed()
    }

    fn defer<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<(), StoreError>> {
        // Nothing is nearer than here.
        ready(self.run(sql, values).map(drop)).boxed()
    }

    fn notify<'a>(&'a mut self, session_id: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        if self.touched.last().is_none_or(|last| **last != *session_id) {
            self.touched.push(session_id.into());
        }
        ready(Ok(())).boxed()
    }
}

fn query(connection: &Connection, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
    const DOING: &str = "running a query";
    let mut statement = connection.prepare_cached(sql).map_err(|cause| failed(DOING, cause))?;
    let columns = statement.column_count();
    let mut found = statement.query(params_from_iter(values)).map_err(|cause| failed(DOING, cause))?;
    let mut rows = Vec::new();
    while let Some(row) = found.next().map_err(|cause| failed(DOING, cause))? {
        let values = (0..columns)
            .map(|column| value(column, row.get_ref(column).map_err(|cause| failed(DOING, cause))?))
            .collect::<Result<_, _>>()?;
        rows.push(Row::new(values));
    }
    Ok(rows)
}

fn value(column: usize, stored: ValueRef<'_>) -> Result<Value, StoreError> {
    match stored {
        ValueRef::Null => Ok(Value::Null),
        ValueRef::Integer(value) => Ok(Value::Int(value)),
        ValueRef::Text(text) => match std::str::from_utf8(text) {
            Ok(text) => Ok(Value::from(text)),
            Err(_) => Err(StoreError::Row { column, expected: "UTF-8" }),
        },
        ValueRef::Blob(bytes) => Ok(Value::from(bytes)),
        ValueRef::Real(_) => Err(StoreError::Row { column, expected: "an integer, text or bytes" }),
    }
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Integer(*value),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Blob(bytes) => ValueRef::Blob(bytes),
        }))
    }
}

/// Makes the file, readable by its owner only, unless it is there. The engine gives its side files the same mode.
fn create(path: &Path) -> Result<(), StoreError> {
    if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
        return Err(StoreError::NoFolder { folder: folder.to_owned() });
    }
    check_writable(path)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
        Err(cause) => Err(cannot_open(path, cause)),
    }
}

/// Refuses what this account cannot write before the engine sees it: it would go on for reading, and leave side files that
/// stay read-only when the cause is mended.
fn check_writable(path: &Path) -> Result<(), StoreError> {
    let side_files = ["-wal", "-shm"].map(|suffix| beside(path, suffix));
    let places = path.parent().into_iter().chain([path]).chain(side_files.iter().map(PathBuf::as_path));
    for place in places {
        match rustix::fs::access(place, Access::WRITE_OK) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(cause) => {
                let (path, user) = (place.to_owned(), rustix::process::geteuid().as_raw());
                return Err(StoreError::NotWritable { path, user, source: EngineError::new(cause) });
            }
        }
    }
    Ok(())
}

/// A file that stands beside the database, as the engine names its own.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    PathBuf::from(name)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .and_then(prepare)
        .map_err(|cause| cannot_open(path, cause))
}

fn prepare(connection: Connection) -> rusqlite::Result<Connection> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // Otherwise binding a value that might change the plan has the statement prepared again: a fifth of an insert.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    Ok(connection)
}

/// Refuses a file that is no database or another program's, before anything is written to it.
fn check_ours(connection: &Connection, path: &Path) -> Result<(), StoreError> {
    let marks = connection.query_row(
        "SELECT (SELECT application_id FROM pragma_application_id), (SELECT COUNT(*) FROM sqlite_schema)",
        [],
        |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?)),
    );
    match marks {
        // An empty file, or one that we were about to fill when the power went.
        Ok((APPLICATION_ID, _) | (0, 0)) => Ok(()),
        Ok(_) => Err(StoreError::NotOurs { path: path.to_owned() }),
        Err(cause) if cause.sqlite_error_code() == Some(ErrorCode::NotADatabase) => {
            Err(StoreError::NotADatabase { path: path.to_owned() })
        }
        Err(cause) => Err(cannot_open(path, cause)),
    }
}

fn prepare_writer(connection: &Connection, path: &Path, journal: &str) -> Result<(), StoreError> {
    let mode: String = connection
        .query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))
        .map_err(|cause| cannot_open(path, cause))?;
    if mode != journal {
        // A file system without shared memory: going on would lose the promise of readers beside the writer.
        return Err(cannot_open(path, std::io::Error::other("this file system cannot hold a write-ahead log")));
    }
    connection
        .execute_batch(
            "PRAGMA synchronous = FULL;
             PRAGMA foreign_keys = ON;
             PRAGMA secure_delete = FAST;
             PRAGMA temp_store = MEMORY;
             PRAGMA cache_size = -8000;
             PRAGMA wal_autocheckpoint = 4000;
             PRAGMA journal_size_limit = 67108864;",
        )
        .map_err(|cause| cannot_open(path, cause))
}

/// Takes the database through the steps that it lacks, each in a transaction of its own, so that an interrupted
/// migration goes on where it stopped and two programs that start at once do not both apply a step.
fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    loop {
        let tx = connection
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)
            .map_err(|cause| failed("starting a migration", cause))?;
        let applied = applied(&tx).map_err(|cause| failed("reading the schema's version", cause))?;
        let pending = migrations::pending(migrations::SQLITE, &applied)?;
        let Some(next) = pending.first() else { return Ok(()) };
        tx.execute_batch(next.sql)
            .and_then(|()| {
                tx.execute(
                    "INSERT INTO schema_migrations (version, name, needs, checksum) VALUES ($1, $2, $3, $4)",
                    params![next.version, next.name, next.needs, next.checksum()],
                )
            })
            .and_then(|_| tx.commit())
            .map_err(|cause| failed("migrating the schema", cause))?;
    }
}

fn applied(connection: &Connection) -> rusqlite::Result<Vec<Applied>> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS schema_migrations (
             version INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL, needs INTEGER NOT NULL, checksum BLOB NOT NULL
         ) STRICT",
    )?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection
        .prepare("SELECT version, needs, checksum FROM schema_migrations ORDER BY version")?
        .query_map([], |row| Ok(Applied { version: row.get(0)?, needs: row.get(1)?, checksum: row.get(2)? }))?
        .collect()
}

fn cannot_open(path: &Path, cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Open { path: PathBuf::from(path), source: EngineError::new(cause) }
}

fn failed(doing: &'static str, cause: rusqlite::Error) -> StoreError {
    match cause.sqlite_error_code() {
        Some(ErrorCode::DiskFull) => StoreError::Full,
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Locked,
        _ => StoreError::Engine { doing, source: EngineError::new(cause) },
    }
}
