//! Rows to put, with as little said as a test needs, and races.

use std::{future::Future, sync::Arc};

use quorate_oracle::store::{Digest, NewEvent, NewRedeal, NewSession, NewToc, Purpose, Store};
use tokio::sync::Barrier;

use crate::RACERS;

/// When the tests begin, in Unix milliseconds.
pub const NOW: i64 = 1_800_000_000_000;
/// How long a session waits for its quorum.
pub const HOUR: i64 = 3_600_000;
/// Seconds for which codes flow.
pub const TTL: i64 = 60;

pub fn digest(seed: u8) -> Digest {
    [seed; 32]
}

pub fn event(kind: &str) -> NewEvent {
    NewEvent::new(kind, format!("sealed {kind}").into_bytes())
}

pub fn session(id: &str) -> NewSession {
    NewSession {
        id: id.to_owned(),
        purpose: Purpose::Code,
        created_at: NOW,
        expires_at: NOW + HOUR,
        ttl: TTL,
        source: digest(1),
        group_fp: Some(digest(7)),
        cancel_hash: digest(2),
        view_hash: digest(3),
        max_codes: None,
        sealed: b"sealed session".to_vec(),
        first_toc: None,
        event: event("asked"),
        once: None,
        applicant: None,
        on_expiry: Vec::new(),
        source_cap: 1_000,
        unless: None,
    }
}

pub fn redeal_session(id: &str) -> NewSession {
    NewSession { purpose: Purpose::Redeal, ..session(id) }
}

pub fn proved(seed: u8, x: u8) -> NewToc {
    NewToc { digest: digest(seed), x: Some(x), proved: true, at: NOW, sealed: vec![seed; 100], approval: None }
}

pub fn unproved(seed: u8) -> NewToc {
    NewToc { digest: digest(seed), x: None, proved: false, at: NOW, sealed: vec![seed; 100], approval: None }
}

pub fn redeal(threshold: u8) -> NewRedeal {
    NewRedeal {
        old_group: Some(digest(7)),
        new_group: digest(8),
        threshold,
        at: NOW + 1,
        sealed: b"sealed group".to_vec(),
        basis: None,
    }
}

/// The kinds of a session's events, in order.
pub async fn kinds(store: &Store, id: &str) -> Vec<String> {
    store.events_after(id, 0, 1_000).await.unwrap().into_iter().map(|event| event.kind).collect()
}

/// Lets many tasks do the same at once; gives what came out of each.
pub async fn race<T, F>(store: &Store, act: impl Fn(Store, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    race_among(std::slice::from_ref(store), act).await
}

/// The same on several stores of one database, in turn.
pub async fn race_among<T, F>(nodes: &[Store], act: impl Fn(Store, usize) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(RACERS));
    let racers: Vec<_> = (0..RACERS)
        .map(|number| {
            let (start, run) = (Arc::clone(&start), act(nodes[number % nodes.len()].clone(), number));
            tokio::spawn(async move {
                start.wait().await;
                run.await
            })
        })
        .collect();
    let mut outcomes = Vec::new();
    for racer in racers {
        outcomes.push(racer.await.unwrap());
    }
    outcomes
}
