//! What only the shared engine promises: many nodes on one database, and a bound on everything that can go wrong with a
//! server: slow, gone, back, read-only, out of connections, killed, migrated half-way.

#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

#[path = "support/forward.rs"]
#[expect(dead_code, reason = "shared with tests of whole oracles")]
mod forward;
#[path = "support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests of fail-over")]
mod postgres;
#[path = "store_contract/rows.rs"]
#[expect(dead_code, reason = "the contract's rows")]
mod rows;

use forward::{Forwarder, Target};
use postgres::Postgres;
use quorate_oracle::store::{
    Channel, CodeOutcome, EVERYTHING, InsertOutcome, NewSession, Store, StoreError, StoreOptions,
};
use rows::{HOUR, NOW, digest, event, kinds, session};
use std::time::{Duration, Instant};

/// Tasks that race for the same thing.
const RACERS: usize = 32;

/// Nothing here takes as long, unless it waits for what will not come.
const LATE: Duration = Duration::from_secs(30);

/// Bounds that no test meets, on however busy a machine.
fn patient() -> StoreOptions {
    let (wait, statement, operation) = (Duration::from_secs(20), Duration::from_secs(20), Duration::from_secs(40));
    StoreOptions {
        connections: 4,
        connect: Duration::from_secs(5),
        wait,
        statement,
        operation,
        ..StoreOptions::default()
    }
}

/// Bounds that a test can wait for.
fn short() -> StoreOptions {
    StoreOptions { statement: Duration::from_secs(1), operation: Duration::from_secs(4), ..patient() }
}

async fn open(server: &Postgres, database: &str) -> Store {
    Store::open_with(&server.url(database), patient()).await.unwrap()
}

async fn insert(store: &Store, id: &str) -> Result<InsertOutcome, StoreError> {
    // A source for each, so that strangers do not meet.
    let source = digest(u8::try_from(id.len() * 7 + usize::from(*id.as_bytes().last().unwrap())).unwrap_or(0));
    store.insert_session(NewSession { source, group_fp: None, source_cap: i64::MAX, ..session(id) }).await
}

/// Until the store works again; each refusal on the way is one that a client can be told to come back from.
async fn until_back(store: &Store, id: &str) {
    let begun = Instant::now();
    loop {
        match insert(store, id).await {
            Ok(outcome) => return assert_eq!(outcome, InsertOutcome::Inserted),
            Err(error) => assert!(
                matches!(
                    error,
                    StoreError::Unreachable { .. } | StoreError::Slow | StoreError::Busy | StoreError::ReadOnly
                ),
                "{error:?}"
            ),
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not come back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_taken_once_whichever_nodes_are_asked() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let nodes = [open(server, &database).await, open(server, &database).await, open(server, &database).await];
    for round in 0..5 {
        let id = format!("round {round}");
        nodes[0].insert_session(NewSession { max_codes: Some(1), ..session(&id) }).await.unwrap();
        let racers: Vec<_> = (0..RACERS)
            .map(|number| {
                let (node, id) = (nodes[number % 3].clone(), id.clone());
                // The last permitted code, of the same step or of the next.
                let step = 100 + i64::try_from(number % 2).unwrap();
                tokio::spawn(async move { node.take_code(&id, step, NOW, None, event("code")).await.unwrap() })
            })
            .collect();
        let mut taken = 0;
        for racer in racers {
            taken += usize::from(matches!(racer.await.unwrap(), CodeOutcome::Taken { .. }));
        }
        assert_eq!(taken, 1);
        assert_eq!(kinds(&nodes[2], &id).await, ["asked", "code"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_hear_of_each_others_changes_and_of_gaps() {
    let Some(mut server) = Postgres::start(&[]) else { return };
    let database = server.database().await;
    let (one, two) = (open(&server, &database).await, open(&server, &database).await);
    let mut heard = two.notices();
    let [a, b] = ["A", "B"].map(|letter| letter.repeat(32));
    insert(&one, &a).await.unwrap();
    assert_eq!(*heard.recv().await.unwrap(), a);
    assert!(two.session(&a).await.unwrap().is_some(), "whoever hears of it can see it");
    // What is no session is nobody's news.
    server.run(&database, "NOTIFY quorate, 'news'; NOTIFY quorate, 'AAAA'").await;
    server.run(&database, &format!("NOTIFY quorate, '{b}'")).await;
    assert_eq!(*heard.recv().await.unwrap(), b);
    server.stop();
    server.start_again();
    while *heard.recv().await.unwrap() != *EVERYTHING {}
    until_back(&one, &b).await;
    // The other node may itself be cut off still; then it tells of everything as soon as it can.
    let told = heard.recv().await.unwrap();
    assert!([b.as_str(), EVERYTHING].contains(&&*told), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_is_woken_by_those_who_do_not_know_the_channel() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let node = async |key| {
        let options = StoreOptions { channel: Channel::of(&[key; 32]), ..patient() };
        Store::open_with(&server.url(&database), options).await.unwrap()
    };
    let (one, two, other) = (node(1).await, node(1).await, node(2).await);
    let mut heard = two.notices();
    server.run(&database, "NOTIFY quorate, ''").await;
    insert(&other, &"A".repeat(32)).await.unwrap();
    let id = "B".repeat(32);
    // The same connection carries all of them, in their order.
    insert(&one, &id).await.unwrap();
    assert_eq!(*heard.recv().await.unwrap(), id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_slower_than_its_timeout_is_said_and_waited_for_no_longer() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let patient = open(server, &database).await;
    insert(&patient, "before").await.unwrap();
    let store = Store::open_with(&server.url(&database), short()).await.unwrap();
    let other = server.client(&database).await;
    other.batch_execute("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE").await.unwrap();
    let begun = Instant::now();
    let (written, read) = tokio::join!(insert(&store, "slow"), store.session("before"));
    assert!(matches!(written, Err(StoreError::Slow)), "{written:?}");
    assert!(matches!(read, Err(StoreError::Slow)), "{read:?}");
    assert!(begun.elapsed() < LATE);
    other.batch_execute("ROLLBACK").await.unwrap();
    until_back(&store, "after").await;
    assert_eq!(patient.session("slow").await.unwrap(), None);

    // A network that swallows everything.
    let forwarder = Forwarder::start().await;
    forwarder.lead_to([Target::Unix(server.socket())]);
    let url = format!("postgres://postgres@{}/{database}", forwarder.address());
    let store = Store::open_with(&url, short()).await.unwrap();
    until_back(&store, "through").await;
    forwarder.block();
    let begun = Instant::now();
    let outcome = insert(&store, "swallowed").await;
    assert!(matches!(outcome, Err(StoreError::Slow | StoreError::Unreachable { .. })), "{outcome:?}");
    assert!(begun.elapsed() < LATE);
    forwarder.open();
    until_back(&store, "through again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_gone_is_said_at_once_and_used_again_when_it_is_back() {
    let Some(mut server) = Postgres::start(&[]) else { return };
    let database = server.database().await;
    let store = open(&server, &database).await;
    insert(&store, "before").await.unwrap();
    server.stop();
    let begun = Instant::now();
    assert!(matches!(insert(&store, "gone").await, Err(StoreError::Unreachable { .. })));
    assert!(matches!(store.ping().await, Err(StoreError::Unreachable { .. })));
    assert!(begun.elapsed() < LATE);
    assert!(matches!(Store::open_with(&server.url(&database), short()).await, Err(StoreError::Unreachable { .. })));
    server.start_again();
    until_back(&store, "after").await;
    assert!(store.session("before").await.unwrap().is_some());
    store.shutdown().await;
    assert!(matches!(insert(&store, "late").await, Err(StoreError::Stopped)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_breaks_between_operations_is_nobodys_error() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let store = open(server, &database).await;
    for round in 0..5 {
        insert(&store, &format!("round {round}")).await.unwrap();
        let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                   WHERE datname = current_database() AND pid <> pg_backend_pid()";
        server.run(&database, cut).await;
        assert!(store.session(&format!("round {round}")).await.unwrap().is_some());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fail_over_is_followed() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let ways = [Forwarder::start().await, Forwarder::start().await];
    for way in &ways {
        way.lead_to([Target::Unix(server.socket())]);
    }
    let hosts = ways.each_ref().map(|way| way.address().to_string()).join(",");
    let url = format!("postgres://postgres@{hosts}/{database}");
    let store = Store::open_with(&url, patient()).await.unwrap();
    for (round, (gone, left)) in [(0, 1), (1, 0), (0, 1)].into_iter().enumerate() {
        ways[left].open();
        insert(&store, &format!("before {round}")).await.unwrap();
        ways[gone].cut();
        // What was not under way is run again on the other server, and nobody is told.
        insert(&store, &format!("after {round}")).await.unwrap();
        assert!(store.session(&format!("before {round}")).await.unwrap().is_some());
    }
    // One that takes no writes is passed over, and a connection to it is left when that changes.
    let standby = format!("ALTER DATABASE {database} SET default_transaction_read_only = on");
    server.run("postgres", &standby).await;
    let refused = Store::open_with(&url, short()).await;
    assert!(
        matches!(refused, Err(StoreError::Unreachable { .. } | StoreError::ReadOnly | StoreError::Slow)),
        "{refused:?}"
    );
    server.run("postgres", &format!("ALTER DATABASE {database} RESET ALL")).await;
    until_back(&store, "in the end").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_store_is_read_and_says_so() {
    let Some(server) = Postgres::start(&[]) else { return };
    let database = server.database().await;
    let store = open(&server, &database).await;
    insert(&store, "before").await.unwrap();
    let switch = async |to| {
        server.run(&database, &format!("ALTER SYSTEM SET default_transaction_read_only = {to}")).await;
        server.run(&database, "SELECT pg_reload_conf()").await;
        // A server reads its settings when it is asked something, and not in the same instant.
        let client = server.client(&database).await;
        while client.query_one("SHOW default_transaction_read_only", &[]).await.unwrap().get::<_, &str>(0) != to {}
    };
    switch("on").await;
    // Each connection learns it when the server's process for it next looks.
    let begun = Instant::now();
    while !matches!(insert(&store, "x").await.err(), Some(StoreError::ReadOnly)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody notices");
    }
    while !matches!(store.ping().await, Err(StoreError::ReadOnly)) {
        assert!(begun.elapsed() < Duration::from_secs(60), "who asks how it is does not notice");
    }
    assert!(store.session("before").await.unwrap().is_some());
    let client = server.client("postgres").await;
    client.batch_execute("SET default_transaction_read_only = off").await.unwrap();
    client.batch_execute("ALTER SYSTEM RESET default_transaction_read_only").await.unwrap();
    client.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    until_back(&store, "after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_connections_are_taken_the_next_is_told_to_come_back() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let options = StoreOptions { wait: Duration::from_secs(1), operation: Duration::from_secs(120), ..patient() };
    let options = StoreOptions { statement: Duration::from_secs(60), ..options };
    let store = Store::open_with(&server.url(&database), options.clone()).await.unwrap();
    let other = server.client(&database).await;
    other.batch_execute("BEGIN; LOCK TABLE sessions IN ACCESS EXCLUSIVE MODE").await.unwrap();
    // One of the four connections is left to those who read.
    let most = options.connections - 1;
    let held: Vec<_> = (0..most)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { insert(&store, &format!("held {number}")).await })
        })
        .collect();
    let waiting =
        "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    let observer = server.client(&database).await;
    let all = i64::try_from(most).unwrap();
    while observer.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) < all {}
    let begun = Instant::now();
    assert!(matches!(insert(&store, "one more").await, Err(StoreError::Busy)));
    assert!(begun.elapsed() < LATE);
    assert_eq!(store.setting("name").await.unwrap(), None, "who writes does not keep others from reading");
    store.ping().await.unwrap();
    other.batch_execute("ROLLBACK").await.unwrap();
    for held in held {
        assert_eq!(held.await.unwrap().unwrap(), InsertOutcome::Inserted);
    }
    assert_eq!(insert(&store, "one more").await.unwrap(), InsertOutcome::Inserted);

    let tiny = StoreOptions { queue: 0, ..patient() };
    let store = Store::open_with(&server.url(&database), tiny).await.unwrap();
    let put = |name| store.put_setting_if_absent(name, vec![1]);
    let (one, two, read) = tokio::join!(put("one"), put("two"), store.setting("one"));
    assert!(one.is_ok() != two.is_ok(), "one place: {one:?} {two:?}");
    read.unwrap();
    store.ping().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_server_forgets_nothing_that_was_acknowledged() {
    ended_under_load(Postgres::kill).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_forgets_nothing_that_was_acknowledged() {
    ended_under_load(Postgres::stop).await;
}

/// Ended three times while four tasks write, and started again; the store is never opened again.
async fn ended_under_load(end: fn(&mut Postgres)) {
    let Some(mut server) = Postgres::start(&[]) else { return };
    let database = server.database().await;
    let store = open(&server, &database).await;
    let mut kept = Vec::new();
    for round in 0..3 {
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let store = store.clone();
                tokio::spawn(async move {
                    let mut kept = Vec::new();
                    for number in 0.. {
                        let id = format!("{round} {writer} {number}");
                        match insert(&store, &id).await {
                            Ok(_) => kept.push(id),
                            Err(_) => break,
                        }
                    }
                    kept
                })
            })
            .collect();
        let client = server.client(&database).await;
        let enough = i64::try_from(kept.len() + 50).unwrap();
        while client.query_one("SELECT COUNT(*) FROM sessions", &[]).await.unwrap().get::<_, i64>(0) < enough {}
        end(&mut server);
        for writer in writers {
            kept.extend(writer.await.unwrap());
        }
        server.start_again();
        until_back(&store, &format!("after {round}")).await;
    }
    assert!(kept.len() >= 100, "{}", kept.len());
    for id in kept {
        assert!(store.session(&id).await.unwrap().is_some(), "{id}");
        assert_eq!(kinds(&store, &id).await, ["asked"], "an act and its event stay together");
    }
    assert_eq!(store.sweep(NOW + HOUR, HOUR, HOUR, 10, None).await.unwrap().expired, 10, "it goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_nodes_may_migrate_at_once() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let url = server.url(&database);
    let nodes: Vec<_> = (0..6)
        .map(|_| {
            let url = url.clone();
            tokio::spawn(async move { Store::open(&url).await?.ping().await })
        })
        .collect();
    for node in nodes {
        node.await.unwrap().unwrap();
    }
    let steps = "SELECT COUNT(*), COUNT(DISTINCT version), MAX(version) FROM schema_migrations";
    let row = server.client(&database).await.query_one(steps, &[]).await.unwrap();
    let [all, distinct, last] = [0, 1, 2].map(|column| row.get::<_, i64>(column));
    assert!(all >= 2 && all == distinct && all == last, "{all} {distinct} {last}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_was_interrupted_goes_on_where_it_stopped() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let url = server.url(&database);
    // The second step adds a column and then an index whose name is taken: it fails half-way.
    server.run(&database, "CREATE TABLE sessions_redealt ()").await;
    let refused = Store::open(&url).await;
    assert!(matches!(refused, Err(StoreError::Engine { doing: "migrating the schema", .. })), "{refused:?}");
    let client = server.client(&database).await;
    let row = client.query_one("SELECT MAX(version) FROM schema_migrations", &[]).await.unwrap();
    assert_eq!(row.get::<_, i64>(0), 1);
    let column =
        "SELECT COUNT(*) FROM information_schema.columns WHERE table_name = 'tocs' AND column_name = 'replaced'";
    assert_eq!(client.query_one(column, &[]).await.unwrap().get::<_, i64>(0), 0, "half a step is none");

    // A node that dies while it migrates: its connection breaks, with the lock that it held.
    let mut dying = client;
    let tx = dying.transaction().await.unwrap();
    tx.batch_execute("SELECT pg_advisory_xact_lock(1366650738); ALTER TABLE tocs ADD COLUMN replaced BIGINT")
        .await
        .unwrap();
    let other = server.client(&database).await;
    other.batch_execute("DROP TABLE sessions_redealt").await.unwrap();
    let opening = tokio::spawn(async move { Store::open(&url).await });
    let waiting = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    while other.query_one(waiting, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
                AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    other.batch_execute(kill).await.unwrap();
    let store = opening.await.unwrap().unwrap();
    insert(&store, "a").await.unwrap();
    assert_eq!(other.query_one(column, &[]).await.unwrap().get::<_, i64>(0), 1);
}

#[tokio::test]
async fn another_history_is_refused() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    open(server, &database).await.shutdown().await;
    let needed = "INSERT INTO schema_migrations VALUES (91, 'changes a table', 91, decode(repeat('00', 32), 'hex'))";
    server.run(&database, needed).await;
    let error = Store::open(&server.url(&database)).await.err().unwrap();
    assert!(matches!(error, StoreError::NewerSchema { needed: 91, .. }), "{error:?}");
    let changed = "DELETE FROM schema_migrations WHERE version > 1;
                   UPDATE schema_migrations SET checksum = decode(repeat('00', 32), 'hex')";
    server.run(&database, changed).await;
    let error = Store::open(&server.url(&database)).await.err().unwrap();
    assert!(matches!(error, StoreError::MigrationChanged { version: 1 }), "{error:?}");
}

#[tokio::test]
async fn a_step_that_a_database_was_never_taken_through_is_made_up_for_or_refused() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    open(server, &database).await.shutdown().await;
    let missed = "DROP TABLE app_grants; DROP TABLE apps; DROP TABLE app_holders;
                  DELETE FROM schema_migrations WHERE version = 11";
    server.run(&database, missed).await;
    open(server, &database).await.shutdown().await;
    let made = "DELETE FROM app_grants; DELETE FROM apps; DELETE FROM app_holders;
                DELETE FROM schema_migrations WHERE version = 1";
    server.run(&database, made).await;
    let error = Store::open(&server.url(&database)).await.err().unwrap();
    assert!(matches!(error, StoreError::MigrationMissed { version: 1, newest: 12.. }), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_made_in_the_database_is_not_run() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let traps = "CREATE FUNCTION unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS 'BEGIN RAISE ''trap''; END';
                 CREATE FUNCTION trap(numeric, integer) RETURNS numeric LANGUAGE plpgsql AS 'BEGIN RAISE ''trap''; END';
                 CREATE OPERATOR * (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = trap)";
    server.run(&database, traps).await;
    let (one, two) = (open(server, &database).await, open(server, &database).await);
    assert!(one.look().await.unwrap().is_some_and(|now| now > 1_700_000_000_000));
    let mut heard = two.notices();
    let id = "A".repeat(32);
    insert(&one, &id).await.unwrap();
    assert_eq!(*heard.recv().await.unwrap(), id);
}

#[tokio::test]
async fn a_schema_in_which_others_may_make_things_is_refused() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    server.run(&database, "GRANT CREATE ON SCHEMA public TO PUBLIC").await;
    let refused = Store::open(&server.url(&database)).await;
    let text = format!("{refused:?}");
    assert!(matches!(refused, Err(StoreError::Engine { .. })) && text.contains("Shared"), "{text}");
    server.run(&database, "REVOKE CREATE ON SCHEMA public FROM PUBLIC").await;
    Store::open(&server.url(&database)).await.unwrap();
}

#[tokio::test]
async fn errors_keep_rows_and_passwords_to_themselves() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let store = open(server, &database).await;
    insert(&store, "the name of a session").await.unwrap();
    let error = insert(&store, "the name of a session").await.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(shown.contains("23505") && !shown.contains("the name of"), "{shown}");
    let error = Store::open("postgres://u:hunter2@127.0.0.1:1/x").await.err().unwrap();
    assert!(matches!(error, StoreError::Unreachable { .. }), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_is_spoken_with_the_server_that_was_meant_and_nobody_else() {
    // Free a moment ago; the socket of the file system is there in any case.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let Some(server) = Postgres::start(&["listen_addresses=127.0.0.1", &format!("port={port}")]) else { return };
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let certificate = server.put("server.pem", &made.cert.pem());
    let key = server.put("server.key", &made.signing_key.serialize_pem());
    let mut config = tokio_postgres::Config::new();
    config.host_path(server.socket().parent().unwrap()).port(port).user("postgres").dbname("postgres");
    let (admin, connection) = config.connect(tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    admin.batch_execute(&format!("ALTER SYSTEM SET ssl_cert_file = '{}'", certificate.display())).await.unwrap();
    admin.batch_execute(&format!("ALTER SYSTEM SET ssl_key_file = '{}'", key.display())).await.unwrap();
    admin.batch_execute("ALTER SYSTEM SET ssl = on").await.unwrap();
    admin.batch_execute("ALTER SYSTEM SET password_encryption = 'scram-sha-256'").await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, made.cert.pem()).unwrap();
    let open = async |host: &str, ca: Option<&std::path::Path>| {
        let options = StoreOptions { ca: ca.map(Into::into), ..patient() };
        Store::open_with(&format!("postgres://postgres@{host}:{port}/postgres?sslmode=require"), options).await
    };
    let begun = Instant::now();
    let store = loop {
        // The server reads its settings in its own time.
        match open("localhost", Some(&ca)).await {
            Ok(store) => break store,
            Err(error) => assert!(begun.elapsed() < Duration::from_secs(60), "{error:?}"),
        }
    };
    insert(&store, "through").await.unwrap();
    let clear = "SELECT COUNT(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
                 WHERE NOT ssl AND client_addr IS NOT NULL AND application_name = 'quorate-oracle'";
    assert_eq!(admin.query_one(clear, &[]).await.unwrap().get::<_, i64>(0), 0);
    for (what, refused) in [
        ("a name that the certificate does not have", open("127.0.0.1", Some(&ca)).await),
        ("a certificate that nobody vouches for", open("localhost", None).await),
    ] {
        assert!(
            matches!(refused, Err(StoreError::Unreachable { .. } | StoreError::Engine { .. })),
            "{what}: {refused:?}"
        );
    }
}
