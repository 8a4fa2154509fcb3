//! What needs a look inside: a program that knows fewer steps than its database has been through.

use tokio::sync::broadcast;

use super::{
    Postgres,
    failure::Failure,
    fence,
    tx::{PostgresTx, WRITE_WITH_ROW},
};
use crate::store::{
    ClosedAs, EngineError, NewEvent, NewSession, NewToc, Purpose, StoreError, StoreOptions, TocOutcome, codes,
    engine::{Act, Tx as _},
    events,
    lanes::{Lanes, Place},
    migrations::{IMPORTS, Migration, POSTGRES, require},
    sessions, settings, tocs,
};

#[path = "../../../tests/support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that kill it")]
mod postgres;

fn lane() -> Place {
    Lanes::default().place(b"").ok().unwrap()
}

/// The previous program: the same statements, without the last step.
#[tokio::test]
async fn the_previous_program_works_on_the_new_schema() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let (notices, _) = broadcast::channel(16);
    let options = StoreOptions::default();
    let new = Postgres::open(&url, &options, notices.clone()).await.unwrap();
    let (last, before) = POSTGRES.split_last().unwrap();
    assert!(last.needs < last.version, "this step changes what is there: name the release that prepared it, here");
    let old = Postgres::open_knowing(before, &url, &options, notices.clone()).await.unwrap();
    for (node, value) in [(&old, 1_u8), (&new, 2)] {
        let put = node.write(lane(), value, |tx, value| {
            Box::pin(settings::put_if_absent(tx, "name", std::slice::from_ref(value)))
        });
        assert_eq!(put.await.unwrap(), [1]);
    }
    let read = old.read((), |tx, ()| Box::pin(settings::read(tx, "name")));
    assert_eq!(read.await.unwrap(), Some(vec![1]));
    old.shut_down().await;
    new.shut_down().await;
}

/// What a program must know for what is stored is told to those that run, and to those that start.
#[tokio::test]
async fn a_program_that_must_know_more_stops() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let (notices, _) = broadcast::channel(16);
    let options = StoreOptions::default();
    let before = &POSTGRES[..usize::try_from(IMPORTS).unwrap() - 1];
    let old = Postgres::open_knowing(before, &url, &options, notices.clone()).await.unwrap();
    let new = Postgres::open(&url, &options, notices.clone()).await.unwrap();
    assert_eq!(old.look().await.unwrap().1, 1);
    for _ in 0..2 {
        new.write(lane(), (), |tx, ()| Box::pin(require(tx, IMPORTS))).await.unwrap();
    }
    assert_eq!(old.look().await.unwrap().1, IMPORTS, "which it compares with what it knows, before it writes");
    let error = Postgres::open_knowing(before, &url, &options, notices.clone()).await.err().unwrap();
    assert!(matches!(error, StoreError::NewerSchema { needed: IMPORTS, .. }), "{error:?}");
    let again = Postgres::open(&url, &options, notices).await.unwrap();
    for node in [old, new, again] {
        node.shut_down().await;
    }
}

/// An act that goes on after the server refused one of its statements has not been done, whatever it says.
#[tokio::test]
async fn an_act_that_swallows_an_error_is_not_done() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let (notices, _) = broadcast::channel(16);
    let store = Postgres::open(&url, &StoreOptions::default(), notices).await.unwrap();
    let outcome = store.write(lane(), (), |tx, ()| {
        Box::pin(async move {
            settings::put_if_absent(tx, "name", &[1]).await?;
            drop(tx.execute("INSERT INTO settings (name) VALUES ($1)", &["half".into()]).await);
            Ok(())
        })
    });
    let outcome = outcome.await;
    assert!(matches!(outcome, Err(StoreError::Engine { .. })), "{outcome:?}");
    let panicked = store.write(lane(), (), |tx, ()| {
        Box::pin(async move {
            let in_force = settings::put_if_absent(tx, "name", &[2]).await?;
            assert!(in_force.is_empty(), "on purpose");
            Ok(())
        })
    });
    assert!(matches!(panicked.await, Err(StoreError::Panicked)));
    let written = store.read((), |tx, ()| Box::pin(settings::put_if_absent(tx, "name", &[3])));
    assert!(matches!(written.await, Err(StoreError::ReadOnly)), "what reads cannot write");
    assert_eq!(store.read((), |tx, ()| Box::pin(settings::read(tx, "name"))).await.unwrap(), None);
}

/// Deferred statements never run alone, whatever becomes of the `BEGIN`.
#[tokio::test]
async fn what_is_deferred_is_not_done_outside_a_transaction() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let (notices, _) = broadcast::channel(16);
    let store = Postgres::open(&url, &StoreOptions::default(), notices).await.unwrap();
    let held = store.0.pool.get().await.unwrap();
    for travels in [false, true] {
        let mut tx = PostgresTx::new(&held, "BEGIN IN NO WAY");
        let values = ["name".into(), [1].as_slice().into()];
        tx.defer("INSERT INTO settings (name, value) VALUES ($1, $2)", &values).await.unwrap();
        if travels {
            assert!(tx.query("SELECT 1", &[]).await.is_err());
        }
        assert!(tx.commit().await.is_err());
    }
    drop(held);
    assert_eq!(store.read((), |tx, ()| Box::pin(settings::read(tx, "name"))).await.unwrap(), None);
}

/// Idle connections are closed when the server is gone, and not because it is full or told once more that it is a standby.
#[tokio::test]
async fn good_connections_are_kept() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let (notices, _) = broadcast::channel(16);
    let store = Postgres::open(&url, &StoreOptions::default(), notices).await.unwrap();
    let gone = StoreError::Unreachable { source: EngineError::new(std::io::Error::other("gone")) };
    let odd = StoreError::Engine { doing: "testing", source: EngineError::new(std::io::Error::other("plan")) };
    for (error, left) in [
        (&StoreError::Busy, 1),
        (&StoreError::Slow, 1),
        (&odd, 1),
        (&gone, 0),
        (&StoreError::ReadOnly, 0),
        (&StoreError::ReadOnly, 1),
        (&gone, 0),
    ] {
        store.read((), |tx, ()| Box::pin(settings::read(tx, "name"))).await.unwrap();
        assert_eq!(store.0.pool.status().size, 1);
        store.0.doubt_idle(error);
        assert_eq!(store.0.pool.status().size, left, "{error:?}");
    }
}

/// A step that waits behind somebody's long look lets those by who wait behind it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_that_waits_stops_nobody() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let url = server.url(&database);
    let (notices, _) = broadcast::channel(16);
    let options = StoreOptions::default();
    let old = Postgres::open(&url, &options, notices.clone()).await.unwrap();
    let reader = server.client(&database).await;
    reader.batch_execute("BEGIN; SELECT FROM settings").await.unwrap();
    let next = POSTGRES.last().unwrap().version + 1;
    let opening = tokio::spawn(async move {
        let step =
            Migration { version: next, name: "more", needs: 1, sql: "ALTER TABLE settings ADD COLUMN more BIGINT" };
        let copy = |known: &Migration| Migration { sql: known.sql, name: known.name, ..*known };
        let known: Vec<_> = POSTGRES.iter().map(copy).chain([step]).collect();
        Postgres::open_knowing(&known, &url, &options, notices).await
    });
    let watcher = server.client(&database).await;
    let waits = "SELECT COUNT(*) FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock'
                 AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    while watcher.query_one(waits, &[]).await.unwrap().get::<_, i64>(0) == 0 {}
    assert_eq!(old.read((), |tx, ()| Box::pin(settings::read(tx, "name"))).await.unwrap(), None);
    reader.batch_execute("ROLLBACK").await.unwrap();
    opening.await.unwrap().unwrap();
}

/// The fence asks nothing that an ordinary role may not know, and a server that may not say is used without it.
#[tokio::test]
async fn an_ordinary_role_is_told_which_server_it_is_unless_that_was_revoked() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    server.run(&database, &format!("CREATE ROLE plain LOGIN; ALTER DATABASE {database} OWNER TO plain")).await;
    server.run(&database, "ALTER SCHEMA public OWNER TO plain").await;
    let url = server.url(&database).replace("postgres@", "plain@");
    for (revoked, silent) in [("SELECT", false), ("REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC", true)] {
        server.run(&database, revoked).await;
        let (notices, _) = broadcast::channel(16);
        let store = Postgres::open(&url, &StoreOptions::default(), notices).await.unwrap();
        store.look().await.unwrap();
        assert_eq!(store.0.pool.get().await.unwrap().server().is_silent(), silent, "{revoked}");
        store.write(lane(), (), |tx, ()| Box::pin(settings::beat(tx, 0, 0))).await.unwrap();
    }
}

/// Whether a fail-over may lose what was acknowledged is known at the start.
#[tokio::test]
async fn a_server_that_waits_for_no_standby_is_noticed() {
    for (setting, waits) in [("synchronous_standby_names=", false), ("synchronous_standby_names=*", true)] {
        let Some(server) = postgres::Postgres::start(&[setting]) else { return };
        assert_eq!(fence::has_standby(&server.client("postgres").await).await.unwrap(), waits, "{setting}");
    }
}

fn asked(id: &str) -> NewSession {
    NewSession {
        id: id.to_owned(),
        purpose: Purpose::Code,
        created_at: 0,
        expires_at: 10,
        ttl: 60,
        source: [1; 32],
        group_fp: None,
        cancel_hash: [2; 32],
        view_hash: [3; 32],
        max_codes: None,
        sealed: b"sealed".to_vec(),
        first_toc: None,
        event: happened("asked"),
        once: None,
        applicant: None,
        on_expiry: Vec::new(),
        source_cap: 10,
        unless: None,
    }
}

fn happened(kind: &str) -> NewEvent {
    NewEvent::new(kind, Vec::new())
}

fn toc(x: u8) -> NewToc {
    NewToc { digest: [x; 32], x: Some(x), proved: true, at: 0, sealed: Vec::new(), approval: None }
}

/// Acts on sessions that are neighbours in every index are both done; of two on one session the later is run again.
#[tokio::test]
async fn acts_lose_against_others_on_the_same_session_and_nobody_else() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let (notices, _) = broadcast::channel(16);
    let store = Postgres::open(&url, &StoreOptions::default(), notices).await.unwrap();
    for id in ["a", "b"] {
        store.write(lane(), asked(id), |tx, new| Box::pin(sessions::insert(tx, new))).await.unwrap();
    }
    let [one, two] = [store.0.pool.get().await.unwrap(), store.0.pool.get().await.unwrap()];
    let begin = || [&one, &two].map(|held| PostgresTx::new(held, WRITE_WITH_ROW));
    for (x, other, both) in [(1, "b", true), (2, "a", false)] {
        let [mut first, mut second] = begin();
        for (tx, id, x) in [(&mut first, "a", x), (&mut second, other, x + 10)] {
            assert_eq!(tocs::put(tx, id, &toc(x), 0, 9, &happened("joined")).await.unwrap(), TocOutcome::Stored);
        }
        first.commit().await.unwrap();
        let second = second.commit().await;
        assert!(if both { second.is_ok() } else { matches!(second, Err(Failure::Lost)) }, "{other}: {second:?}");
        two.batch_execute("ROLLBACK").await.unwrap();
    }
    let events = store.read((), |tx, ()| Box::pin(events::after(tx, "a", 0, 9))).await.unwrap();
    let numbered: Vec<_> = events.iter().map(|event| (event.seq, event.kind.as_str())).collect();
    assert_eq!(numbered, [(1, "asked"), (2, "joined"), (3, "joined")]);
}

/// Whatever acts on a session that was open when it looked is run again when the session has been closed since.
#[tokio::test]
async fn nothing_is_done_to_a_session_that_was_closed_meanwhile() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let (notices, _) = broadcast::channel(16);
    let store = Postgres::open(&url, &StoreOptions::default(), notices).await.unwrap();
    let acts: [(&str, Act<String, ()>); 5] = [
        ("put", |tx, id| {
            Box::pin(async move { tocs::put(tx, id, &toc(2), 0, 9, &happened("joined")).await.map(drop) })
        }),
        ("drop", |tx, id| {
            Box::pin(async move { tocs::drop_false(tx, id, &[[1; 32]], 0, &happened("false")).await.map(drop) })
        }),
        ("deny", |tx, id| Box::pin(async move { tocs::deny(tx, id, 2, 0, &happened("no")).await.map(drop) })),
        ("take", |tx, id| Box::pin(async move { codes::take(tx, id, 7, 0, None, &happened("code")).await.map(drop) })),
        ("fail", |tx, id| Box::pin(async move { codes::fail(tx, id, 1, 0, &happened("failed")).await.map(drop) })),
    ];
    for (name, act) in acts {
        let new = NewSession { first_toc: Some(toc(1)), ..asked(name) };
        store.write(lane(), new, |tx, new| Box::pin(sessions::insert(tx, new))).await.unwrap();
        let held = store.0.pool.get().await.unwrap();
        let mut tx = PostgresTx::new(&held, WRITE_WITH_ROW);
        tx.query("SELECT 1", &[]).await.unwrap();
        let closed = store.write(lane(), name.to_owned(), |tx, id| {
            Box::pin(async move { sessions::shut(tx, id, ClosedAs::Expired, 10).await })
        });
        assert!(closed.await.unwrap().is_some());
        drop(act(&mut tx, &name.to_owned()).await);
        let lost = match tx.failure() {
            Some(failure) => failure,
            None => tx.commit().await.expect_err(name),
        };
        assert!(matches!(lost, Failure::Lost), "{name}: {lost:?}");
        held.batch_execute("ROLLBACK").await.unwrap();
        store.write(lane(), name.to_owned(), act).await.unwrap();
        let left = store.read(name.to_owned(), |tx, id| {
            Box::pin(async move { Ok((tocs::list(tx, id).await?.len(), events::after(tx, id, 0, 9).await?.len())) })
        });
        assert_eq!(left.await.unwrap(), (0, 1), "{name}");
    }
}
