//! What only the embedded engine promises: operations that wait share a commit, each stands or falls alone, a commit
//! that fails is nobody's success, and a full disk is an error, not an end.
//!
//! A gate holds the writer inside an operation, so that what the tests queue meets in one transaction, every time.

use std::sync::{
    Mutex,
    mpsc::{Receiver, Sender, channel},
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, join_all},
};
use tempfile::TempDir;

use crate::store::{
    ClosedAs, CodeOutcome, InsertOutcome, NewEvent, NewSession, Purpose, Store, StoreError, StoreOptions,
    engine::{Tx, Value},
    sessions,
};

const NOW: i64 = 1_800_000_000_000;

struct Ground {
    folder: TempDir,
    store: Store,
}

impl Ground {
    async fn new(options: StoreOptions) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open_with(&url(&folder), options).await.unwrap();
        Self { folder, store }
    }

    /// The store as the next start finds it.
    async fn reopened(&self) -> Store {
        self.store.shutdown().await;
        Store::open(&url(&self.folder)).await.unwrap()
    }
}

fn url(folder: &TempDir) -> String {
    format!("sqlite:{}", folder.path().join("quorate.db").display())
}

fn event() -> NewEvent {
    NewEvent::new("kind", Vec::new())
}

fn session(id: &str) -> NewSession {
    NewSession {
        id: id.to_owned(),
        purpose: Purpose::Code,
        created_at: NOW,
        expires_at: NOW + 1_000,
        ttl: 60,
        source: [1; 32],
        group_fp: None,
        cancel_hash: [2; 32],
        view_hash: [3; 32],
        max_codes: None,
        sealed: vec![7; 2_000],
        first_toc: None,
        event: event(),
        once: None,
        applicant: None,
        on_expiry: Vec::new(),
        source_cap: i64::MAX,
        unless: None,
    }
}

/// Holds the writer until it is opened.
struct Gate {
    open: Sender<()>,
    held: tokio::task::JoinHandle<Result<(), StoreError>>,
}

impl Gate {
    async fn hold(store: &Store) -> Self {
        let (open, opened) = channel();
        let (inside, reached) = tokio::sync::oneshot::channel();
        let store = store.clone();
        let held = tokio::spawn(async move {
            type Doors = (Mutex<Receiver<()>>, Mutex<Option<tokio::sync::oneshot::Sender<()>>>);
            let doors: Doors = (Mutex::new(opened), Mutex::new(Some(inside)));
            store
                .write(b"", doors, |_, (opened, inside)| {
                    Box::pin(async move {
                        inside.lock().unwrap().take().unwrap().send(()).unwrap();
                        opened.lock().unwrap().recv().unwrap();
                        Ok(())
                    })
                })
                .await
        });
        reached.await.unwrap();
        Self { open, held }
    }

    async fn open(self) -> Result<(), StoreError> {
        self.open.send(()).unwrap();
        self.held.await.unwrap()
    }
}

/// Puts operations into the queue, in this order, without waiting for them.
fn queue<T>(mut operations: Vec<BoxFuture<'_, T>>) -> Vec<BoxFuture<'_, T>> {
    for operation in &mut operations {
        assert!(operation.now_or_never().is_none(), "the gate holds it");
    }
    operations
}

fn inserts(store: &Store, many: usize) -> Vec<BoxFuture<'_, Result<InsertOutcome, StoreError>>> {
    (0..many).map(|number| store.insert_session(session(&format!("s{number}"))).boxed()).collect()
}

async fn boundless() -> Ground {
    Ground::new(StoreOptions::default()).await
}

#[tokio::test]
async fn what_waits_shares_a_commit() {
    let ground = boundless().await;
    let before = ground.store.counts();
    let gate = Gate::hold(&ground.store).await;
    let waiting = queue(inserts(&ground.store, 64));
    gate.open().await.unwrap();
    for outcome in join_all(waiting).await {
        assert_eq!(outcome.unwrap(), InsertOutcome::Inserted);
    }
    let after = ground.store.counts();
    assert_eq!((after.jobs - before.jobs, after.commits - before.commits), (65, 1));
    assert_eq!(ground.reopened().await.open_sessions().await.unwrap(), 64);
}

#[tokio::test]
async fn a_transaction_takes_no_more_than_it_may() {
    let ground = Ground::new(StoreOptions { max_batch: 10, ..StoreOptions::default() }).await;
    let before = ground.store.counts();
    let gate = Gate::hold(&ground.store).await;
    let waiting = queue(inserts(&ground.store, 64));
    gate.open().await.unwrap();
    join_all(waiting).await;
    assert_eq!(ground.store.counts().commits - before.commits, 7, "65 operations by tens");
}

#[tokio::test]
async fn an_operation_that_fails_does_not_undo_its_neighbours() {
    async fn write_and_fail(tx: &mut dyn Tx) -> Result<InsertOutcome, StoreError> {
        sessions::insert(tx, &session("half")).await?;
        tx.execute("INSERT INTO sessions (id) VALUES ($1)", &[Value::Null]).await?;
        Ok(InsertOutcome::Inserted)
    }
    async fn write_and_panic(tx: &mut dyn Tx) -> Result<InsertOutcome, StoreError> {
        sessions::insert(tx, &session("broken")).await?;
        panic!("on purpose")
    }
    let ground = boundless().await;
    let store = &ground.store;
    let mut notices = store.notices();
    let gate = Gate::hold(store).await;
    let waiting = queue(vec![
        store.insert_session(session("before")).boxed(),
        store.write(b"", (), |tx, ()| Box::pin(write_and_fail(tx))).boxed(),
        store.insert_session(session("between")).boxed(),
        store.write(b"", (), |tx, ()| Box::pin(write_and_panic(tx))).boxed(),
        store.insert_session(session("after")).boxed(),
    ]);
    gate.open().await.unwrap();
    let outcomes = join_all(waiting).await;
    assert!(matches!(
        outcomes.as_slice(),
        [Ok(_), Err(StoreError::Engine { .. }), Ok(_), Err(StoreError::Panicked), Ok(_)]
    ));
    for (id, there) in [("before", true), ("half", false), ("between", true), ("broken", false), ("after", true)] {
        assert_eq!(store.session(id).await.unwrap().is_some(), there, "{id}");
    }
    assert_eq!(store.open_sessions().await.unwrap(), 3);
    let heard: Vec<_> = std::iter::from_fn(|| notices.try_recv().ok()).map(|id| id.to_string()).collect();
    assert_eq!(heard, ["before", "between", "after"]);
}

#[tokio::test]
async fn a_commit_that_fails_is_nobodys_success() {
    /// Breaks a rule that the engine checks at the commit and not before.
    async fn orphan(tx: &mut dyn Tx) -> Result<InsertOutcome, StoreError> {
        tx.query("PRAGMA defer_foreign_keys = ON", &[]).await?;
        tx.execute("INSERT INTO denials (session, x, at) VALUES (-1, 1, 1)", &[]).await?;
        Ok(InsertOutcome::Inserted)
    }
    let ground = boundless().await;
    let store = &ground.store;
    let mut notices = store.notices();
    let gate = Gate::hold(store).await;
    let mut operations = inserts(store, 10);
    operations.insert(5, store.write(b"", (), |tx, ()| Box::pin(orphan(tx))).boxed());
    let waiting = queue(operations);
    assert!(gate.open().await.is_err(), "the gate's own operation was in that transaction, too");
    for outcome in join_all(waiting).await {
        assert!(matches!(outcome, Err(StoreError::Engine { doing: "committing", .. })), "{outcome:?}");
    }
    assert!(notices.try_recv().is_err());
    assert_eq!(store.open_sessions().await.unwrap(), 0);
    assert_eq!(store.insert_session(session("s0")).await.unwrap(), InsertOutcome::Inserted, "it goes on");
}

#[tokio::test]
async fn a_full_disk_is_an_error_and_not_an_end() {
    /// The engine's own bound answers like a disk without room.
    async fn room(store: &Store, pragma: &'static str) {
        store
            .write(b"", pragma, |tx, pragma| Box::pin(async move { tx.query(pragma, &[]).await.map(drop) }))
            .await
            .unwrap();
    }
    let ground = boundless().await;
    let store = &ground.store;
    room(store, "PRAGMA max_page_count = 160").await;
    let mut notices = store.notices();
    let mut acknowledged = Vec::new();
    // Alone and in company, until there is no room and after.
    for number in 0..200 {
        let id = format!("alone {number}");
        match store.insert_session(session(&id)).await {
            Ok(outcome) => {
                assert_eq!(outcome, InsertOutcome::Inserted);
                acknowledged.push(id);
            }
            Err(error) => assert!(matches!(error, StoreError::Full), "{error:?}"),
        }
    }
    assert!((20..200).contains(&acknowledged.len()), "{}", acknowledged.len());
    let gate = Gate::hold(store).await;
    let waiting = queue(inserts(store, 64));
    drop(gate.open().await);
    for (number, outcome) in join_all(waiting).await.into_iter().enumerate() {
        match outcome {
            Ok(_) => acknowledged.push(format!("s{number}")),
            Err(error) => assert!(matches!(error, StoreError::Full), "{error:?}"),
        }
    }
    assert!(store.session("alone 0").await.unwrap().is_some(), "what is there can be read");
    let heard: Vec<_> = std::iter::from_fn(|| notices.try_recv().ok()).map(|id| id.to_string()).collect();
    assert_eq!(heard, acknowledged, "told of what is stored and of nothing else");

    room(store, "PRAGMA max_page_count = 1000000").await;
    assert_eq!(store.insert_session(session("room again")).await.unwrap(), InsertOutcome::Inserted);
    acknowledged.push("room again".to_owned());
    let reopened = ground.reopened().await;
    assert_eq!(reopened.open_sessions().await.unwrap(), i64::try_from(acknowledged.len()).unwrap());
    for id in acknowledged {
        assert!(reopened.session(&id).await.unwrap().is_some(), "{id}");
    }
}

#[tokio::test]
async fn a_full_queue_is_said_at_once() {
    let ground = Ground::new(StoreOptions { queue: 3, ..StoreOptions::default() }).await;
    let gate = Gate::hold(&ground.store).await;
    let waiting = queue(inserts(&ground.store, 3));
    assert!(matches!(ground.store.insert_session(session("one more")).await, Err(StoreError::Busy)));
    gate.open().await.unwrap();
    assert!(join_all(waiting).await.iter().all(Result::is_ok));
    assert_eq!(ground.store.insert_session(session("one more")).await.unwrap(), InsertOutcome::Inserted);
}

#[tokio::test]
async fn a_full_lane_is_said_at_once_and_keeps_nobody_else_out() {
    let ground = boundless().await;
    let store = &ground.store;
    store.insert_session(session("other")).await.unwrap();
    let gate = Gate::hold(store).await;
    let waiting = queue(inserts(store, crate::store::lanes::WAITING + 1));
    assert!(matches!(store.insert_session(session("one more")).await, Err(StoreError::Busy)));
    let others = store.close("other", ClosedAs::Cancelled, NOW, event()).boxed();
    let others = queue(vec![others]);
    gate.open().await.unwrap();
    assert!(join_all(waiting).await.iter().all(Result::is_ok));
    assert!(join_all(others).await.iter().all(Result::is_ok));
    assert_eq!(store.insert_session(session("one more")).await.unwrap(), InsertOutcome::Inserted);
}

#[tokio::test]
async fn a_full_queue_does_not_keep_anybody_from_asking_how_the_store_is() {
    let ground = Ground::new(StoreOptions { queue: 1, ..StoreOptions::default() }).await;
    let store = &ground.store;
    let gate = Gate::hold(store).await;
    let waiting = queue(inserts(store, 1));
    assert!(matches!(store.insert_session(session("one more")).await, Err(StoreError::Busy)));
    store.look().await.unwrap();
    let beats = queue(vec![store.beat().boxed()]);
    gate.open().await.unwrap();
    assert!(join_all(waiting).await.iter().all(Result::is_ok));
    assert!(join_all(beats).await.iter().all(Result::is_ok));
}

#[tokio::test]
async fn every_sign_of_life_is_written_and_takes_no_more_room() {
    let ground = boundless().await;
    let count = async || {
        let rows = ground.store.read((), |tx, ()| {
            Box::pin(async move { tx.query("SELECT value FROM settings WHERE name LIKE 'heartbeat %'", &[]).await })
        });
        rows.await.unwrap().into_iter().map(|mut row| row.take_blob(0).unwrap()).collect::<Vec<_>>()
    };
    let mut seen = Vec::new();
    for _ in 0..3 {
        ground.store.beat().await.unwrap();
        let mut rows = count().await;
        assert_eq!(rows.len(), 1);
        seen.append(&mut rows);
    }
    seen.dedup();
    assert_eq!(seen.len(), 3, "each differs from the last, so that the engine has something to write");
}

#[tokio::test]
async fn reading_waits_for_no_write() {
    let ground = boundless().await;
    let store = &ground.store;
    store.insert_session(session("a")).await.unwrap();
    store.take_code("a", 100, NOW, None, event()).await.unwrap();
    let gate = Gate::hold(store).await;
    let again = store.take_code("a", 100, NOW, None, event()).await.unwrap();
    assert_eq!(again, CodeOutcome::Again { first_code_at: NOW, codes: 1 });
    assert!(store.session_with_tocs("a").await.unwrap().is_some());
    assert_eq!(store.open_sessions().await.unwrap(), 1);
    gate.open().await.unwrap();
}

#[tokio::test]
async fn what_its_caller_abandoned_is_done_all_the_same() {
    let ground = boundless().await;
    let store = &ground.store;
    let gate = Gate::hold(store).await;
    drop(queue(inserts(store, 1)));
    gate.open().await.unwrap();
    store.ping().await.unwrap();
    assert!(store.session("s0").await.unwrap().is_some());
}

#[tokio::test]
async fn shutting_down_finishes_what_waits_and_leaves_one_file() {
    let ground = boundless().await;
    let store = ground.store.clone();
    let gate = Gate::hold(&store).await;
    let waiting = queue(inserts(&store, 10));
    let other = store.clone();
    let shutdown = tokio::spawn(async move { other.shutdown().await });
    gate.open().await.unwrap();
    shutdown.await.unwrap();
    for outcome in join_all(waiting).await {
        assert_eq!(outcome.unwrap(), InsertOutcome::Inserted);
    }
    assert!(matches!(store.insert_session(session("late")).await, Err(StoreError::Stopped)));
    assert!(matches!(store.session("s0").await, Err(StoreError::Stopped)));
    let files: Vec<_> = ground.folder.path().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(files, ["quorate.db"], "the log is written back");
    store.shutdown().await;
    assert_eq!(ground.reopened().await.open_sessions().await.unwrap(), 10);
}

#[tokio::test]
async fn a_reader_cannot_write() {
    let ground = boundless().await;
    let store = &ground.store;
    store.insert_session(session("a")).await.unwrap();
    let written = store.read((), |tx, ()| Box::pin(sessions::shut(tx, "a", ClosedAs::Cancelled, NOW))).await;
    assert!(matches!(written, Err(StoreError::Engine { .. })), "{written:?}");
    assert_eq!(store.open_sessions().await.unwrap(), 1);
}
