//! Fail-over with real standbys: a primary that was given up and comes back is not used, wherever it stands in the list,
//! nor is one that went on by itself, nor a stranger.

#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

#[path = "support/forward.rs"]
#[expect(dead_code, reason = "shared with tests of whole oracles")]
mod forward;
#[path = "support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that kill it")]
mod postgres;
#[path = "store_contract/rows.rs"]
#[expect(dead_code, reason = "the contract's rows")]
mod rows;

use forward::{Forwarder, Target};
use postgres::Postgres;
use quorate_oracle::store::{InsertOutcome, NewSession, Store, StoreError, StoreOptions};
use rows::{digest, session};
use std::time::{Duration, Instant};

/// For the contract's rows.
const RACERS: usize = 8;
/// No fail-over takes as long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Addresses that stay while servers come and go behind them.
struct Ways([Forwarder; 2]);

impl Ways {
    async fn to(servers: [&Postgres; 2]) -> Self {
        let ways = [Forwarder::start().await, Forwarder::start().await];
        for (way, server) in ways.iter().zip(servers) {
            way.lead_to([Target::Unix(server.socket())]);
        }
        Self(ways)
    }

    /// A node that knows both.
    async fn node(&self, database: &str) -> Result<Store, StoreError> {
        let hosts = self.0.each_ref().map(|way| way.address().to_string()).join(",");
        open(&format!("postgres://postgres@{hosts}/{database}")).await
    }
}

async fn open(url: &str) -> Result<Store, StoreError> {
    let options = StoreOptions { connections: 4, operation: Duration::from_secs(5), ..StoreOptions::default() };
    Store::open_with(url, options).await
}

async fn insert(store: &Store, id: &str) -> Result<InsertOutcome, StoreError> {
    let new = NewSession { group_fp: None, source: digest(1), source_cap: i64::MAX, ..session(id) };
    store.insert_session(new).await
}

/// Whether that very server has a session.
async fn has(server: &Postgres, database: &str, id: &str) -> bool {
    let found = server.client(database).await.query("SELECT FROM sessions WHERE id = $1", &[&id]).await.unwrap();
    !found.is_empty()
}

/// Closes all connections to a server, as its restart would.
async fn cut(server: &Postgres) {
    let others = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                  WHERE application_name = 'quorate-oracle' AND pid <> pg_backend_pid()";
    server.run("postgres", others).await;
}

fn refused_as(outcome: &Result<InsertOutcome, StoreError>, word: &str) {
    let said = format!("{outcome:?}");
    assert!(matches!(outcome, Err(StoreError::Unreachable { .. })) && said.contains(word), "{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_former_primary_that_comes_back_is_not_used() {
    let Some(mut old) = Postgres::start(&[]) else { return };
    let database = old.database().await;
    let new = old.standby();
    let ways = Ways::to([&old, &new]).await;
    let store = ways.node(&database).await.unwrap();
    insert(&store, "before").await.unwrap();
    // Ended in order, it has sent everything to its standby.
    old.stop();
    new.promote();
    insert(&store, "after").await.unwrap();
    assert!(store.session("before").await.unwrap().is_some());

    // It comes back as if nothing had happened, and is the first in the list.
    old.start_again();
    old.run(&database, "CREATE TABLE it_takes_writes ()").await;
    cut(&new).await;
    insert(&store, "later").await.unwrap();
    let fresh = ways.node(&database).await.unwrap();
    insert(&fresh, "fresh").await.unwrap();
    for id in ["after", "later", "fresh"] {
        assert_eq!((has(&new, &database, id).await, has(&old, &database, id).await), (true, false), "{id}");
    }

    // Where it alone answers, nothing is done.
    ways.0[1].cut();
    refused_as(&insert(&store, "nowhere").await, "Former { theirs: 1, highest: 2 }");
    assert!(store.session("before").await.is_err(), "nothing is read from it either");
    assert!(!has(&old, &database, "nowhere").await);
    ways.0[1].open();
    insert(&store, "in the end").await.unwrap();
    assert!(has(&new, &database, "in the end").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_overtaken_while_it_runs_is_left() {
    let Some(old) = Postgres::start(&[]) else { return };
    let database = old.database().await;
    let new = old.standby();
    let ways = Ways::to([&old, &new]).await;
    let store = ways.node(&database).await.unwrap();
    insert(&store, "before").await.unwrap();
    while !has(&new, &database, "before").await {}
    // Its operator believes it gone; no connection to it breaks.
    new.promote();
    let begun = Instant::now();
    for number in 0.. {
        let id = format!("after {number}");
        insert(&store, &id).await.unwrap();
        if has(&new, &database, &id).await {
            break;
        }
        assert!(begun.elapsed() < PATIENCE, "nobody looks at the other server");
    }
    let left = "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = 'quorate-oracle'";
    let client = old.client("postgres").await;
    while client.query_one(left, &[]).await.unwrap().get::<_, i64>(0) > 0 {
        store.session("before").await.unwrap();
        assert!(begun.elapsed() < PATIENCE, "connections to the former primary are kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn strangers_and_branches_are_not_used() {
    let (Some(mut one), Some(stranger)) = (Postgres::start(&[]), Postgres::stranger()) else { return };
    let database = one.database().await;
    assert_eq!(stranger.database().await, database);
    one.stop();
    let branch = one.branch();
    one.start_again();
    let ways = Ways::to([&one, &branch]).await;
    let store = ways.node(&database).await.unwrap();
    insert(&store, "before").await.unwrap();
    ways.0[0].cut();
    refused_as(&insert(&store, "nowhere").await, "Branch");
    ways.0[1].lead_to([Target::Unix(stranger.socket())]);
    refused_as(&insert(&store, "nowhere").await, "Stranger");
    ways.0[0].open();
    insert(&store, "after").await.unwrap();
    assert!(has(&one, &database, "after").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_standby_behind_the_one_address_is_read_and_then_written_to_as_what_it_became() {
    let Some(mut old) = Postgres::start(&[]) else { return };
    let database = old.database().await;
    let (new, way) = (old.standby(), Forwarder::start().await);
    way.lead_to([Target::Unix(old.socket())]);
    let url = format!("postgres://postgres@{}/{database}", way.address());
    let store = open(&url).await.unwrap();
    insert(&store, "before").await.unwrap();
    old.stop();
    way.lead_to([Target::Unix(new.socket())]);
    assert!(store.session("before").await.unwrap().is_some());
    let outcome = insert(&store, "too early").await;
    assert!(matches!(outcome, Err(StoreError::ReadOnly)), "{outcome:?}");
    // Of this connection it is not known what its server becomes.
    assert!(store.session("before").await.unwrap().is_some());
    new.promote();
    insert(&store, "after").await.unwrap();
    old.start_again();
    way.lead_to([Target::Unix(old.socket())]);
    cut(&new).await;
    refused_as(&insert(&store, "nowhere").await, "Former { theirs: 1, highest: 2 }");
}
