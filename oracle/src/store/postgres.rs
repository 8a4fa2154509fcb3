//! The shared engine: `PostgreSQL`, or whatever speaks its protocol. Every operation is one transaction on a connection of
//! a bounded pool, isolated as if it were alone (`SERIALIZABLE`, or by the one row that all its rivals write, too), and run
//! again when it lost against others or when its connection broke before the commit was asked for. Everything has a bound:
//! see `docs/cluster.md`.
//!
//! Knows no table but `schema_migrations`.

mod budget;
mod connect;
mod failure;
mod fence;
mod migrate;
mod notify;
mod pool;
mod tx;
mod url;
mod values;

#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::broadcast, task::JoinHandle};

pub(super) use self::url::ServerUrl;
use self::{
    budget::Budget,
    connect::{Connector, Opened, drive},
    failure::Failure,
    fence::Fence,
    notify::Notifier,
    pool::Pool,
    tx::PostgresTx,
};
use super::{
    StoreOptions, WriterCounts,
    engine::{Act, Tx},
    error::StoreError,
    lanes::Place,
    migrations::{self, Migration},
    settings,
};

/// Times that an operation is run again on another connection.
const RECONNECTIONS: u32 = 4;
/// Times that it is run again because it lost.
const DEFEATS: u32 = 100;
/// How long a server that takes no writes is not doubted again.
const READ_ONLY_AGAIN: Duration = Duration::from_secs(5);
/// The longest pause before it is run again.
const PAUSE: Duration = Duration::from_millis(200);
/// How long the answer may take to how the server is, with all that it waits for.
const HEALTH: Duration = Duration::from_secs(4);
/// Places for those who ask.
const ASKING: usize = 8;

/// An open database.
pub(super) struct Postgres(Arc<Shared>);

struct Shared {
    pool: Pool,
    reads: Budget,
    writes: Budget,
    /// On a connection beside the pool, which is there when all others are taken.
    health: Budget,
    health_pool: Pool,
    fence: Fence,
    /// Looks at the servers, where there are several.
    survey: Option<JoinHandle<()>>,
    notifier: Notifier,
    /// When the idle connections were last closed because the server takes no writes.
    read_only: Mutex<Option<Instant>>,
    commits: AtomicU64,
    jobs: AtomicU64,
}

/// What an operation does to the database.
enum Kind {
    /// Writes a sign of life.
    Beats,
    /// Reads how the server is.
    Looks,
    Reads,
    Writes {
        /// In the lane that it takes.
        lane: Place,
        /// How its transaction begins.
        begin: &'static str,
    },
}

impl Kind {
    fn begin(&self) -> &'static str {
        match self {
            Self::Beats => tx::WRITE,
            Self::Looks | Self::Reads => tx::READ,
            Self::Writes { begin, .. } => begin,
        }
    }

    fn writes(&self) -> bool {
        matches!(self, Self::Beats | Self::Writes { .. })
    }
}

impl Postgres {
    /// Connects, brings the schema up to date and listens to the other nodes.
    pub(super) async fn open(
        url: &str,
        options: &StoreOptions,
        notices: broadcast::Sender<Arc<str>>,
    ) -> Result<Self, StoreError> {
        Self::open_knowing(migrations::POSTGRES, url, options, notices).await
    }

    /// The same for a program that knows another history.
    async fn open_knowing(
        known: &[Migration],
        url: &str,
        options: &StoreOptions,
        notices: broadcast::Sender<Arc<str>>,
    ) -> Result<Self, StoreError> {
        let connector = Connector::new(url, options)?;
        let notifier = prepare(&connector, known, options, notices).await.map_err(Failure::into_error)?;
        let StoreOptions { queue, connections, wait, operation, .. } = *options;
        let pools = [connections, 1].map(|most| pool::pool(connector.clone(), options, most));
        let [pool, health_pool] = pools;
        let most = || Budget::new(&pool, queue, Budget::share_of(connections), wait, operation);
        Ok(Self(Arc::new(Shared {
            reads: most(),
            writes: most(),
            health: Budget::new(&health_pool, ASKING, 1, wait, operation.min(HEALTH)),
            pool,
            health_pool,
            fence: connector.fence().clone(),
            survey: connector.has_several().then(|| tokio::spawn(connector.keep_surveying())),
            notifier,
            read_only: Mutex::new(None),
            commits: AtomicU64::new(0),
            jobs: AtomicU64::new(0),
        })))
    }

    /// Has an operation done, after others of the same lane. It is done even when the caller does not wait for it.
    pub(super) async fn write<I, T>(&self, lane: Place, input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(Kind::Writes { lane, begin: tx::WRITE }, input, act).await
    }

    /// The same for an operation that writes a row which everything writes that it could meet. See
    /// [`Store::write_session`](crate::store::Store).
    pub(super) async fn write_with_row<I, T>(&self, lane: Place, input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(Kind::Writes { lane, begin: tx::WRITE_WITH_ROW }, input, act).await
    }

    /// Has an operation that only reads done on one state of the database.
    pub(super) async fn read<I, T>(&self, input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        self.run(Kind::Reads, input, act).await
    }

    /// The server's clock, in Unix milliseconds, and the schema that a program must know at least.
    pub(super) async fn look(&self) -> Result<(i64, i64), StoreError> {
        let seen = self.run(Kind::Looks, (), |tx, ()| {
            Box::pin(async move { Ok((now(tx).await?, migrations::needed(tx).await?)) })
        });
        seen.await.map_err(unanswered)
    }

    /// Commits a sign of life of number `count` in place of the last one in `slot`.
    pub(super) async fn beat(&self, slot: u8, count: i64) -> Result<(), StoreError> {
        let beaten =
            self.run(Kind::Beats, (slot, count), |tx, (slot, count)| Box::pin(settings::beat(tx, *slot, *count)));
        beaten.await.map_err(unanswered)
    }

    pub(super) fn counts(&self) -> WriterCounts {
        WriterCounts { commits: self.0.commits.load(Ordering::Relaxed), jobs: self.0.jobs.load(Ordering::Relaxed) }
    }

    /// Finishes what is under way and closes the connections.
    pub(super) async fn shut_down(&self) {
        let shared = &self.0;
        tokio::join!(shared.reads.close(), shared.writes.close(), shared.health.close());
        shared.health_pool.close();
        shared.pool.close();
    }

    async fn run<I, T>(&self, kind: Kind, input: I, act: Act<I, T>) -> Result<T, StoreError>
    where
        I: Send + Sync + 'static,
        T: Send + 'static,
    {
        let shared = Arc::clone(&self.0);
        // A task of its own, so that a caller who goes away leaves neither half an operation nor a connection in the middle
        // of one behind.
        let task = tokio::spawn(async move {
            let most = shared.budget(&kind).most;
            tokio::time::timeout(most, shared.persist(&kind, &input, act)).await.unwrap_or(Err(StoreError::Slow))
        });
        task.await.unwrap_or(Err(StoreError::Panicked))
    }
}

async fn prepare(
    connector: &Connector,
    known: &[Migration],
    options: &StoreOptions,
    notices: broadcast::Sender<Arc<str>>,
) -> Result<Notifier, Failure> {
    if connector.has_several() {
        connector.survey().await;
    }
    let Opened { client, driver, server } = connector.connect(drive).await?;
    let migrated = async {
        migrate::be_patient(&client).await?;
        migrate::migrate(&client, known).await?;
        migrate::check_owner(&client).await?;
        connector.fence().use_marks();
        connector.fence().compare_marks(&client, server).await?;
        if server.is_silent() {
            tracing::warn!("the database does not say which server it is: one that was given up is not noticed");
        }
        if connector.has_several() && !fence::has_standby(&client).await? {
            tracing::warn!(
                "the database waits for no standby (synchronous_standby_names): a fail-over may lose what was acknowledged"
            );
        }
        Ok::<_, Failure>(())
    }
    .await;
    drop(client);
    driver.abort();
    migrated?;
    Notifier::start(connector.clone(), options, notices).await
}

impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(survey) = &self.survey {
            survey.abort();
        }
    }
}

impl Shared {
    fn budget(&self, kind: &Kind) -> &Budget {
        match kind {
            Kind::Beats | Kind::Looks => &self.health,
            Kind::Reads => &self.reads,
            Kind::Writes { .. } => &self.writes,
        }
    }

    /// Runs an operation until it is done, or may not be run again.
    async fn persist<I, T>(&self, kind: &Kind, input: &I, act: Act<I, T>) -> Result<T, StoreError> {
        if kind.writes() {
            self.jobs.fetch_add(1, Ordering::Relaxed);
            metrics::counter!("quorate_store_jobs_total").increment(1);
        }
        let _turn = match kind {
            Kind::Writes { lane, .. } => Some(lane.turn().await),
            _ => None,
        };
        // After the lane: who waits there takes nobody's place elsewhere.
        let _place = self.budget(kind).place()?;
        let (mut defeats, mut cuts) = (0, 0);
        loop {
            match self.attempt(kind, input, act).await {
                Ok(value) => return Ok(value),
                Err(Failure::Final(error)) => return Err(error),
                Err(Failure::Lost) if defeats == DEFEATS => return Err(StoreError::Contended { tries: DEFEATS }),
                Err(Failure::Lost) => {
                    metrics::counter!("quorate_store_lost_total").increment(1);
                    defeats += 1;
                    // The first time whoever won is most likely done.
                    pause(Duration::from_micros(500) * defeats).await;
                }
                Err(Failure::Cut(error)) if cuts == RECONNECTIONS => return Err(error),
                Err(Failure::Cut(error)) => {
                    tracing::debug!(%error, "trying another connection to the database");
                    metrics::counter!("quorate_store_reconnections_total").increment(1);
                    self.doubt_idle(&error);
                    pause(Duration::from_millis(20) * (1 << cuts)).await;
                    cuts += 1;
                }
            }
        }
    }

    /// Closes the idle connections when what broke one has most likely broken them, too: the server is gone, or has become
    /// a standby. That one is said by each of its connections, so it counts once in a while. A server that is full, or
    /// a plan that a new schema has overtaken, says nothing about the others.
    fn doubt_idle(&self, error: &StoreError) {
        let broken = match error {
            StoreError::Unreachable { .. } => true,
            StoreError::ReadOnly => {
                let mut last = self.read_only.lock().unwrap_or_else(PoisonError::into_inner);
                let again = last.is_some_and(|last| last.elapsed() < READ_ONLY_AGAIN);
                if !again {
                    *last = Some(Instant::now());
                }
                !again
            }
            _ => false,
        };
        if broken {
            self.pool.retain(|_, _| false);
            self.health_pool.retain(|_, _| false);
        }
    }

    async fn attempt<I, T>(&self, kind: &Kind, input: &I, act: Act<I, T>) -> Result<T, Failure> {
        let held = self.budget(kind).connection().await?;
        let server = held.connection().server();
        if kind.writes() && server.follows() {
            // Should it have been promoted meanwhile, another connection learns to what.
            return Err(Failure::Cut(StoreError::ReadOnly));
        }
        let mut tx = PostgresTx::new(held.connection(), kind.begin());
        let outcome = act(&mut tx, input).await;
        let value = match (outcome, tx.failure()) {
            (_, Some(Failure::Cut(error))) => return Err(Failure::Cut(error)),
            (_, Some(failure)) => {
                tx.leave();
                held.give_back();
                return Err(failure);
            }
            (Err(error), None) => {
                tx.leave();
                held.give_back();
                return Err(Failure::Final(error));
            }
            (Ok(value), None) => value,
        };
        if kind.writes() {
            // The server may have been overtaken since it was asked; then this would be lost.
            self.fence.check(server)?;
            held.committing();
            match tx.commit().await {
                Ok(told) => {
                    self.commits.fetch_add(1, Ordering::Relaxed);
                    metrics::counter!("quorate_store_commits_total").increment(1);
                    self.notifier.tell(told);
                }
                Err(failure) => {
                    metrics::counter!("quorate_store_failed_commits_total").increment(1);
                    // Whoever lost was told so by a server that goes on.
                    if matches!(failure, Failure::Lost) {
                        held.give_back();
                    }
                    return Err(failure);
                }
            }
        } else {
            tx.leave();
        }
        held.give_back();
        Ok(value)
    }
}

/// The server's clock, in Unix milliseconds.
async fn now(tx: &mut dyn Tx) -> Result<i64, StoreError> {
    // Computed here: an operator that somebody made in the database must not run as the oracle.
    let now = tx.first("SELECT CAST(EXTRACT(EPOCH FROM pg_catalog.clock_timestamp()) AS TEXT)", &[]).await?;
    let damaged = StoreError::Row { column: 0, expected: "a time" };
    let Some(row) = now else { return Err(damaged) };
    row.text(0)?.parse().ok().and_then(milliseconds).ok_or(damaged)
}

/// The one connection that asks how the server is waits for an answer still.
fn unanswered(error: StoreError) -> StoreError {
    if matches!(error, StoreError::Busy) { StoreError::Slow } else { error }
}

/// Unix seconds as Unix milliseconds.
fn milliseconds(seconds: f64) -> Option<i64> {
    i64::try_from(Duration::try_from_secs_f64(seconds).ok()?.as_millis()).ok()
}

/// Waits for a random part of `most`, so that those who met once do not meet again.
async fn pause(most: Duration) {
    tokio::time::sleep(most.min(PAUSE).mul_f64(rand::random())).await;
}
