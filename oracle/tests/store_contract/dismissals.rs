//! The shared engine, where several write at once: whoever takes a right away waits for the acts that rest on it and have begun, and
//! is passed by none that come later. Rivals stand still where a lock of the test's own holds them, so nothing here is by chance.

use quorate_oracle::store::{
    Applying, Approver, Asking, Basis, CodeOutcome, Ground, Login, MembersOutcome, Role, Store, StoreOptions,
};
use std::time::Duration;
use tokio::{task::JoinHandle, time::Instant};
use tokio_postgres::Client;

use crate::{
    applicants::{cast, change},
    groups::{acting, group, member},
    logins::logged_in,
    people::{named, user},
    postgres,
    rows::{NOW, digest, event, session},
};

/// Longer than anything here takes.
const LATE: Duration = Duration::from_secs(120);

/// What takes the right away.
#[derive(Clone, Copy, Debug)]
enum End {
    Applicants,
    Approver,
    Disabled,
    LoggedOut,
    LoggedOutHere,
    Members,
    Place,
    Removed,
}

impl End {
    const ALL: [Self; 8] = [
        Self::Applicants,
        Self::Approver,
        Self::Disabled,
        Self::LoggedOut,
        Self::LoggedOutHere,
        Self::Members,
        Self::Place,
        Self::Removed,
    ];

    /// What codes rest on: user 10, with 11, as players 1 and 2; or 11, who asks as one of team 20.
    fn basis(self) -> Basis {
        let approver = |x, seed| Approver { x, principal: digest(seed), version: 1, bound: named(x) };
        match self {
            Self::Applicants | Self::Members => {
                let login = Login { principal: digest(11), version: 1, ticket: digest(11) };
                let grounds = vec![Ground::Team { team: digest(20), bound: named(20), member: named(2) }];
                Basis { by: Asking::ByLogin(Applying { group: digest(7), login, grounds }), approved: Vec::new() }
            }
            _ => Basis { by: Asking::Player(acting(1, 10, 1)), approved: vec![approver(1, 10), approver(2, 11)] },
        }
    }

    async fn done(self, store: Store) {
        match self {
            Self::Applicants => drop(change(&store, &[], &[20]).await),
            Self::Approver => drop(store.set_disabled(&digest(11), Some(NOW), None).await.unwrap()),
            Self::Disabled => drop(store.set_disabled(&digest(10), Some(NOW), None).await.unwrap()),
            Self::LoggedOut => assert_eq!(store.end_tickets(&digest(10), None).await.unwrap(), 1),
            Self::LoggedOutHere => assert!(store.end_ticket(&digest(10), None).await.unwrap()),
            Self::Members => {
                let changed = store.change_members(&digest(20), vec![], vec![digest(11)], None).await.unwrap();
                assert_eq!(changed, MembersOutcome::Changed);
            }
            Self::Place => drop(store.set_group_members(&digest(7), vec![], None).await.unwrap()),
            Self::Removed => drop(store.remove_principal(&digest(11), Vec::new(), None).await.unwrap()),
        }
    }

    fn outcome(self) -> CodeOutcome {
        if matches!(self, Self::Approver | Self::Removed) { CodeOutcome::Withdrawn } else { CodeOutcome::Dismissed }
    }
}

/// A store in which codes of the sessions `a` and `b` rest on what `end` ends, and connections of the test's own.
async fn scene(server: &postgres::Postgres, end: End) -> (Store, [Client; 2]) {
    let database = server.database().await;
    let options = StoreOptions { wait: LATE, statement: LATE, operation: 2 * LATE, ..StoreOptions::default() };
    let store = Store::open_with(&server.url(&database), options).await.unwrap();
    cast(&store).await;
    change(&store, &[20], &[]).await;
    store.change_members(&digest(20), vec![(digest(11), named(2))], vec![], None).await.unwrap();
    store.set_group_members(&digest(7), vec![member(1, 10), member(2, 11)], None).await.unwrap();
    for seed in [10, 11] {
        logged_in(&store, seed).await;
    }
    for id in ["a", "b"] {
        store.insert_session(session(id)).await.unwrap();
        let taken = take(&store, id, 1, end).await.unwrap();
        assert_eq!(taken, CodeOutcome::Taken { first_code_at: NOW, codes: 1 }, "{end:?}");
    }
    (store, [server.client(&database).await, server.client(&database).await])
}

fn take(store: &Store, id: &'static str, step: i64, end: End) -> JoinHandle<CodeOutcome> {
    let store = store.clone();
    tokio::spawn(async move { store.take_code(id, step, NOW, Some(end.basis()), event("code")).await.unwrap() })
}

/// Until so many wait for a lock, or one who should is done.
async fn waiting<T>(client: &Client, count: i64, last: &JoinHandle<T>) {
    let begun = Instant::now();
    let asked = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    while client.query_one(asked, &[]).await.unwrap().get::<_, i64>(0) < count {
        assert!(!last.is_finished(), "it waits for nobody");
        assert!(begun.elapsed() < LATE, "nobody waits");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_takes_a_right_away_is_passed_by_nobody() {
    let Some(server) = postgres::shared() else { return };
    for end in End::ALL {
        let (store, [rival, watch]) = scene(server, end).await;
        rival.batch_execute("BEGIN; SELECT 1 FROM sessions WHERE id = 'a' FOR UPDATE").await.unwrap();
        let begun = take(&store, "a", 2, end);
        waiting(&watch, 1, &begun).await;
        let dismissal = tokio::spawn(end.done(store.clone()));
        waiting(&watch, 2, &dismissal).await;
        // It holds what the first one holds already, and must not be let in beside it.
        let later = take(&store, "b", 2, end);
        waiting(&watch, 3, &later).await;
        rival.batch_execute("ROLLBACK").await.unwrap();
        assert_eq!(begun.await.unwrap(), CodeOutcome::Taken { first_code_at: NOW, codes: 2 }, "{end:?}");
        dismissal.await.unwrap();
        assert_eq!(later.await.unwrap(), end.outcome(), "{end:?}");
        store.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_code_is_shown_again_beside_a_dismissal() {
    let Some(server) = postgres::shared() else { return };
    let (store, [rival, watch]) = scene(server, End::Disabled).await;
    let again = take(&store, "a", 1, End::Disabled).await.unwrap();
    assert_eq!(again, CodeOutcome::Again { first_code_at: NOW, codes: 1 });
    let disable = "BEGIN; UPDATE principals SET disabled_at = 1 WHERE id = decode(repeat('0a', 32), 'hex')";
    rival.batch_execute(disable).await.unwrap();
    let again = take(&store, "a", 1, End::Disabled);
    waiting(&watch, 1, &again).await;
    rival.batch_execute("COMMIT").await.unwrap();
    assert_eq!(again.await.unwrap(), CodeOutcome::Dismissed);
    store.shutdown().await;
}

/// What rests on one group waits for nobody who is taken out of another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn others_go_on_beside_a_dismissal() {
    let Some(server) = postgres::shared() else { return };
    let (store, [rival, watch]) = scene(server, End::Place).await;
    store.add_group(group(8)).await.unwrap();
    user(&store, 13, Role::Member).await;
    logged_in(&store, 13).await;
    store.set_group_members(&digest(8), vec![member(1, 13)], None).await.unwrap();
    rival.batch_execute("BEGIN; SELECT 1 FROM sessions WHERE id = 'a' FOR UPDATE").await.unwrap();
    let begun = take(&store, "a", 2, End::Place);
    waiting(&watch, 1, &begun).await;
    let dismissal = tokio::spawn(End::Place.done(store.clone()));
    waiting(&watch, 2, &dismissal).await;
    let mut acting = acting(1, 13, 1);
    acting.group = digest(8);
    let basis = Basis { by: Asking::Player(acting), approved: Vec::new() };
    let other = store.take_code("b", 2, NOW, Some(basis), event("code")).await.unwrap();
    assert_eq!(other, CodeOutcome::Taken { first_code_at: NOW, codes: 2 });
    rival.batch_execute("ROLLBACK").await.unwrap();
    begun.await.unwrap();
    dismissal.await.unwrap();
    store.shutdown().await;
}
