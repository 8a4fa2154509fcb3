//! What a store keeps doing while much is asked of it, on a real server: it tidies.

#![expect(clippy::unwrap_used, reason = "in a test a surprise is a failure")]

#[path = "support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that kill it")]
mod postgres;
#[path = "store_contract/rows.rs"]
#[expect(dead_code, reason = "the contract's rows")]
mod rows;

use quorate_oracle::store::{InsertOutcome, NewSession, Once, Store};
use rows::{HOUR, NOW, digest, session};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

/// For the contract's rows.
const RACERS: usize = 8;
/// As many as a round of sweeping takes on.
const DUE: usize = 500;

fn new(id: &str, source: u8) -> NewSession {
    let used = quorate_protocol::encoding::sha256(&[id.as_bytes()]);
    NewSession {
        source: digest(source),
        on_expiry: Vec::new(),
        source_cap: i64::MAX,
        group_fp: None,
        once: Some(Once { digest: used, expires_at: NOW + 1 }),
        applicant: None,
        ..session(id)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sweeping_gets_on_while_sessions_are_made() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let nodes = [Store::open(&url).await.unwrap(), Store::open(&url).await.unwrap()];
    let mut making = Vec::new();
    for source in 0..4 {
        let node = nodes[0].clone();
        making.push(tokio::spawn(async move {
            for number in 0..DUE / 4 {
                let made = node.insert_session(new(&format!("due {source} {number}"), source)).await.unwrap();
                assert_eq!(made, InsertOutcome::Inserted);
            }
        }));
    }
    for made in making {
        made.await.unwrap();
    }
    let (over, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let late = NOW + HOUR;
    // New ones of the same sources, at both nodes, without a pause.
    let traffic: Vec<_> = (0..4_u8)
        .map(|source| {
            let (node, over) = (nodes[usize::from(source) % 2].clone(), Arc::clone(&over));
            let made = Arc::clone(&made);
            tokio::spawn(async move {
                for number in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let id = format!("new {source} {number}");
                    node.insert_session(NewSession { expires_at: late + HOUR, ..new(&id, source) }).await.unwrap();
                    made.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let batch = i64::try_from(DUE).unwrap();
    // Both nodes sweep, and what one of them does not do the other does.
    let (one, two) = tokio::join!(nodes[0].sweep(late, 0, 0, batch, None), nodes[1].sweep(late, 0, 0, batch, None));
    assert_eq!(one.unwrap().expired + two.unwrap().expired, DUE as u64);
    let (one, two) = tokio::join!(nodes[0].sweep(late, 0, 0, batch, None), nodes[1].sweep(late, 0, 0, batch, None));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert!(one.expired + two.expired == 0 && one.deleted + two.deleted <= DUE as u64);
    over.store(true, Ordering::Relaxed);
    for client in traffic {
        client.await.unwrap();
    }
    let made = made.load(Ordering::Relaxed);
    assert!(made > 0, "there was traffic");
    assert_eq!(nodes[1].open_sessions().await.unwrap(), i64::try_from(made).unwrap(), "sources count right");
    assert!(nodes[0].session("due 0").await.unwrap().is_none(), "closed, and then removed");
}
