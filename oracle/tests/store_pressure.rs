//! What keeps working of a store on a real server while a part of it does not: a session that is flooded, a server that
//! cannot commit, a schema that becomes too new.

#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

#[path = "support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that kill it")]
mod postgres;
#[path = "store_contract/rows.rs"]
#[expect(dead_code, reason = "the contract's rows")]
mod rows;

use futures_util::FutureExt as _;
use futures_util::future::join_all;
use postgres::Postgres;
use quorate_oracle::store::{InsertOutcome, NewSession, Store, StoreError, StoreOptions, TocOutcome};
use rows::{NOW, digest, event, proved, session};
use std::time::{Duration, Instant};

/// For the contract's rows.
const RACERS: usize = 8;
/// Operations of one lane: the one under way, and those that may wait.
const LANE: usize = 65;

async fn open(server: &Postgres, database: &str, operation: Duration) -> Store {
    let wait = Duration::from_millis(300);
    let options = StoreOptions { connections: 4, wait, statement: operation, operation, ..StoreOptions::default() };
    Store::open_with(&server.url(database), options).await.unwrap()
}

async fn insert(store: &Store, id: &str, source: u8) -> Result<InsertOutcome, StoreError> {
    store.insert_session(NewSession { source: digest(source), ..session(id) }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flooded_session_is_refused_and_no_other() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let store = open(server, &database, Duration::from_secs(60)).await;
    insert(&store, "flooded", 1).await.unwrap();
    insert(&store, "quiet", 2).await.unwrap();
    let other = server.client(&database).await;
    other.batch_execute("BEGIN; SELECT FROM sessions WHERE id = 'flooded' FOR UPDATE").await.unwrap();
    let put = |id: &'static str, x| store.put_toc(id, proved(x, x), NOW, 4, event("joined"));
    let mut flood: Vec<_> = (1..).take(LANE).map(|x| put("flooded", x).boxed()).collect();
    for put in &mut flood {
        assert!(put.now_or_never().is_none(), "it waits");
    }
    let begun = Instant::now();
    assert!(matches!(put("flooded", 100).await, Err(StoreError::Busy)));
    for x in 1..4 {
        assert_eq!(put("quiet", x).await.unwrap(), TocOutcome::Stored);
    }
    assert_eq!(insert(&store, "new", 3).await.unwrap(), InsertOutcome::Inserted);
    assert_eq!(store.session("flooded").await.unwrap().unwrap().id, "flooded");
    store.ping().await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(20), "nobody waits for those who wait");
    other.batch_execute("ROLLBACK").await.unwrap();
    for outcome in join_all(flood).await {
        assert_eq!(outcome.unwrap(), TocOutcome::Stored);
    }
    assert_eq!(put("flooded", 100).await.unwrap(), TocOutcome::Stored);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_cannot_commit_is_seen_and_not_filled_with_connections() {
    let Some(server) = Postgres::start(&[]) else { return };
    let database = server.database().await;
    let store = open(&server, &database, Duration::from_secs(2)).await;
    store.ping().await.unwrap();
    let admin = server.client(&database).await;
    let standby = async |name: &str| {
        admin.batch_execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'")).await.unwrap();
        admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
        while server
            .client(&database)
            .await
            .query_one("SHOW synchronous_standby_names", &[])
            .await
            .unwrap()
            .get::<_, &str>(0)
            != name
        {}
    };
    let backends = async |which: &str| {
        let count = format!(
            "SELECT COUNT(*) FROM pg_stat_activity
             WHERE application_name = 'quorate-oracle' AND datname = current_database() AND {which}"
        );
        admin.query_one(&count, &[]).await.unwrap().get::<_, i64>(0)
    };
    // Every commit waits for a standby that is not there.
    standby("nobody").await;
    assert!(store.look().await.is_ok(), "it can be read");
    let begun = Instant::now();
    let ids: Vec<_> = (0..24_u8).map(|number| (format!("s{number}"), number)).collect();
    for round in ids.chunks(8) {
        for outcome in join_all(round.iter().map(|(id, source)| insert(&store, id, *source))).await {
            // Whoever meets a commit that waits loses against it, again and again.
            let refused = matches!(outcome, Err(StoreError::Slow | StoreError::Busy | StoreError::Contended { .. }));
            assert!(refused, "{outcome:?}");
        }
        assert!(matches!(store.ping().await, Err(StoreError::Slow)));
    }
    // Three that write of four connections, unless one loses against another that waits, and the one that asks how the
    // server is.
    let waiting = backends("wait_event = 'SyncRep'").await;
    assert!((2..=4).contains(&waiting), "{waiting}");
    assert!(backends("true").await <= 6, "nor any others in their place");
    assert!(store.session("s0").await.is_ok(), "who reads has a connection left");
    assert!(begun.elapsed() < Duration::from_secs(25), "those that count are given up after half a minute");

    standby("").await;
    let begun = Instant::now();
    while store.ping().await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come back");
    }
    while insert(&store, "after", 200).await.is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come back");
    }
    assert!(backends("true").await <= 6, "those that were answered are used again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schema_that_becomes_too_new_is_written_to_no_more() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let store = open(server, &database, Duration::from_secs(8)).await;
    insert(&store, "before", 1).await.unwrap();
    let step = |version: i64, needs: i64| {
        format!("INSERT INTO schema_migrations VALUES ({version}, 'x', {needs}, decode(repeat('00', 32), 'hex'))")
    };
    server.run(&database, &step(90, 1)).await;
    store.ping().await.unwrap();
    insert(&store, "beside a step that adds", 2).await.unwrap();
    server.run(&database, &step(91, 91)).await;
    for outcome in [store.look().await.map(drop), store.ping().await, insert(&store, "late", 3).await.map(drop)] {
        assert!(matches!(outcome, Err(StoreError::NewerSchema { needed: 91, .. })), "{outcome:?}");
    }
    assert!(store.session("before").await.unwrap().is_some(), "it can be read");
    assert!(store.session("late").await.unwrap().is_none());
    server.run(&database, "DELETE FROM schema_migrations WHERE version = 91").await;
    store.ping().await.unwrap();
    insert(&store, "taken back", 4).await.unwrap();
}
