//! One transaction on a connection, in as few round trips as it allows: the first query travels with its `BEGIN`, deferred
//! statements with the next one once it has begun, the last ones with the `COMMIT`.

use std::sync::Arc;

use deadpool_postgres::ClientWrapper;
use futures_util::future::{BoxFuture, FutureExt, join_all, join3};
use tokio_postgres::{Error, Statement, types::ToSql};

use super::failure::Failure;
use crate::store::{
    engine::{Row, Turn, Tx, Value},
    error::StoreError,
};

/// How a transaction that writes begins: as if it were alone, or not at all.
pub(super) const WRITE: &str = "BEGIN ISOLATION LEVEL SERIALIZABLE";
/// How one begins that writes the row for which all its rivals write: on one state, or not at all when that row has been
/// written since. Unlike the first way it does not lose against neighbours on the same page of an index.
pub(super) const WRITE_WITH_ROW: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ";
/// How one that only reads begins: all of it sees one state, and it never loses against others.
pub(super) const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
/// Statements deferred at most: they and their values wait in memory.
const DEFERRED: usize = 16;

/// A transaction, begun by its first statement.
pub(super) struct PostgresTx<'a> {
    client: &'a ClientWrapper,
    begin: Option<&'static str>,
    /// Whether it may write, and so hold rows.
    writes: bool,
    deferred: Vec<(Statement, Vec<Value>)>,
    touched: Vec<Arc<str>>,
    /// The first failure. The server undoes all of a transaction in which a statement failed.
    failure: Option<Failure>,
}

impl<'a> PostgresTx<'a> {
    pub(super) fn new(client: &'a ClientWrapper, begin: &'static str) -> Self {
        let writes = begin != READ;
        Self { client, begin: Some(begin), writes, deferred: Vec::new(), touched: Vec::new(), failure: None }
    }

    /// What went wrong in it, if the server said so.
    pub(super) fn failure(&mut self) -> Option<Failure> {
        self.failure.take()
    }

    /// Ends it; gives the sessions to tell of.
    pub(super) async fn commit(mut self) -> Result<Vec<Arc<str>>, Failure> {
        if let Some(failure) = self.failure.take() {
            // Asked to commit, the server would undo it and call that a success.
            return Err(failure);
        }
        if self.begin.is_some() && self.deferred.is_empty() {
            return Ok(self.touched);
        }
        if self.begin.is_some() && self.flush().await.is_err() {
            return Err(self.failure.take().expect("a statement that failed is remembered"));
        }
        let client = self.client;
        let deferred = std::mem::take(&mut self.deferred);
        let (deferred, committed) = futures_util::join!(all(client, &deferred), client.batch_execute("COMMIT"));
        deferred.and(committed).map_err(|cause| Failure::at_commit(&cause))?;
        Ok(self.touched)
    }

    /// Ends one that need not be waited for: a reading one, or one to be undone. What comes next on the connection comes
    /// after it.
    pub(super) fn leave(self) {
        if self.begin.is_none() {
            drop(self.client.batch_execute("ROLLBACK").now_or_never());
        }
    }

    async fn prepare(&mut self, sql: &str) -> Result<Statement, StoreError> {
        let client = self.client;
        let prepared = client.prepare_cached(sql).await;
        self.remember(prepared, "preparing a statement")
    }

    /// Begins, if nothing has yet, and runs what was deferred.
    async fn flush(&mut self) -> Result<(), StoreError> {
        self.after_deferred(async { Ok(()) }).await
    }

    /// Runs `last` after everything before it, and sends all of it at once.
    async fn after_deferred<T>(&mut self, last: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        let client = self.client;
        let deferred = std::mem::take(&mut self.deferred);
        if !deferred.is_empty() && self.begin.is_some() {
            // Deferred statements write: should the BEGIN fail, they would run alone and be committed.
            let started = begin_with(client, self.begin.take()).await;
            self.remember(started, "beginning a transaction")?;
        }
        let begin = self.begin.take();
        // The first poll of each sends it, and they are polled in this order.
        let (started, before, last) = join3(begin_with(client, begin), all(client, &deferred), last).await;
        self.remember(started.and(before).and(last), "running a statement")
    }

    fn remember<T>(&mut self, outcome: Result<T, Error>, doing: &'static str) -> Result<T, StoreError> {
        outcome.map_err(|cause| {
            let failure = Failure::of(&cause, doing);
            let error = match &failure {
                Failure::Cut(error) | Failure::Final(error) => error.clone(),
                Failure::Lost => StoreError::Contended { tries: 1 },
            };
            self.failure.get_or_insert(failure);
            error
        })
    }

    async fn rows(&mut self, sql: &str, values: &[Value]) -> Result<Vec<Row>, StoreError> {
        let statement = self.prepare(sql).await?;
        let (client, parameters) = (self.client, parameters(values));
        let rows = self.after_deferred(client.query(&statement, &parameters)).await?;
        rows.iter().map(row).collect()
    }

    /// A statement that writes must not travel with the `BEGIN`: should that fail, it would run alone and be committed. A
    /// `SELECT` of the store's calls no function that writes; what begins otherwise, `WITH` included, may write.
    async fn begin_before(&mut self, sql: &str) -> Result<(), StoreError> {
        if self.begin.is_some() && !sql.starts_with("SELECT") { self.flush().await } else { Ok(()) }
    }
}

async fn begin_with(client: &ClientWrapper, begin: Option<&str>) -> Result<(), Error> {
    match begin {
        Some(sql) => client.batch_execute(sql).await,
        None => Ok(()),
    }
}

/// Runs statements in order; they are sent with the first poll.
async fn all(client: &ClientWrapper, statements: &[(Statement, Vec<Value>)]) -> Result<(), Error> {
    let sent = statements.iter().map(|(statement, values)| client.execute_raw(statement, values));
    join_all(sent).await.into_iter().find_map(Result::err).map_or(Ok(()), Err)
}

fn parameters(values: &[Value]) -> Vec<&(dyn ToSql + Sync)> {
    values.iter().map(|value| value as _).collect()
}

impl Tx for PostgresTx<'_> {
    fn execute<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(async move {
            self.begin_before(sql).await?;
            let statement = self.prepare(sql).await?;
            let client = self.client;
            self.after_deferred(client.execute_raw(&statement, values)).await
        })
    }

    fn query<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(async move {
            self.begin_before(sql).await?;
            self.rows(sql, values).await
        })
    }

    fn held<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<Vec<Row>, StoreError>> {
        Box::pin(async move {
            if !self.writes {
                return self.rows(sql, values).await;
            }
            // It waits for whoever is changing such a row, and loses against whoever has since this transaction began.
            self.rows(&format!("{sql} FOR SHARE"), values).await
        })
    }

    fn line_up<'a>(&'a mut self, lines: &'a [i64], turn: Turn) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            if !self.writes || lines.is_empty() {
                return Ok(());
            }
            // The server lets further ones share a row while somebody waits to change it, however long that takes; those who wait
            // for such a lock it serves in turn.
            let statement = self
                .prepare(match turn {
                    Turn::Alone => "SELECT pg_catalog.pg_advisory_xact_lock($1)",
                    Turn::Together => "SELECT pg_catalog.pg_advisory_xact_lock_shared($1)",
                })
                .await?;
            let locks: Vec<_> = lines.iter().map(|line| (statement.clone(), vec![Value::Int(*line)])).collect();
            let client = self.client;
            self.after_deferred(all(client, &locks)).await
        })
    }

    fn defer<'a>(&'a mut self, sql: &'static str, values: &'a [Value]) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let statement = self.prepare(sql).await?;
            self.deferred.push((statement, values.to_vec()));
            if self.deferred.len() < DEFERRED { Ok(()) } else { self.flush().await }
        })
    }

    fn notify<'a>(&'a mut self, session_id: &'a str) -> BoxFuture<'a, Result<(), StoreError>> {
        if self.touched.last().is_none_or(|last| **last != *session_id) {
            self.touched.push(session_id.into());
        }
        std::future::ready(Ok(())).boxed()
    }
}

fn row(row: &tokio_postgres::Row) -> Result<Row, StoreError> {
    (0..row.len())
        .map(|column| {
            row.try_get(column).map_err(|_| StoreError::Row { column, expected: "an integer, text or bytes" })
        })
        .collect::<Result<_, _>>()
        .map(Row::new)
}
