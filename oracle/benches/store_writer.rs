//! How much concurrent requests gain by sharing a commit: session inserts per second from 64 tasks, with shared commits
//! and with a commit for each, and from one task alone. Prints ratios made in one run.
//!
//! `cargo bench -p quorate-oracle --bench store_writer`; `QUORATE_BENCH_SECONDS` sets how long each row runs.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use quorate_oracle::store::{InsertOutcome, NewEvent, NewSession, NewToc, Once, Purpose, Store, StoreOptions};

const NOW: i64 = 1_800_000_000_000;
const WRITERS: usize = 64;

struct Figures {
    rate: f64,
    jobs_per_commit: f64,
    p99: Duration,
}

fn main() {
    let seconds = std::env::var("QUORATE_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3.0);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("threads can be started");
    // Beside the build, because /tmp may be memory, where a commit costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder can be written to");
    let run = |name: &str, tasks, max_batch| {
        let figures = runtime.block_on(measure(&folder.path().join(name), tasks, max_batch, seconds));
        println!(
            "{name:<28} {:>8.0} inserts/s   {:>5.1} to a commit   p99 {:>6.2} ms",
            figures.rate,
            figures.jobs_per_commit,
            figures.p99.as_secs_f64() * 1e3
        );
        figures.rate
    };
    let shared = run("64 tasks, shared commits", WRITERS, StoreOptions::default().max_batch);
    let alone = run("64 tasks, a commit for each", WRITERS, 1);
    let single = run("1 task", 1, StoreOptions::default().max_batch);
    println!("shared commits are {:.1} times a commit for each, {:.1} times one task", shared / alone, shared / single);
}

async fn measure(path: &Path, tasks: usize, max_batch: usize, seconds: f64) -> Figures {
    let options = StoreOptions { max_batch, ..StoreOptions::default() };
    let store = Store::open_with(&format!("sqlite:{}", path.display()), options).await.expect("a new database opens");
    let stop = Arc::new(AtomicBool::new(false));
    let number = Arc::new(AtomicU64::new(0));
    let before = store.counts();
    let start = Instant::now();
    let writers: Vec<_> = (0..tasks)
        .map(|_| {
            let (store, stop, number) = (store.clone(), Arc::clone(&stop), Arc::clone(&number));
            tokio::spawn(async move {
                let mut waits = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let new = session(number.fetch_add(1, Ordering::Relaxed));
                    let asked = Instant::now();
                    let outcome = store.insert_session(new).await.expect("never an error under this load");
                    assert_eq!(outcome, InsertOutcome::Inserted);
                    waits.push(asked.elapsed());
                }
                waits
            })
        })
        .collect();
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    stop.store(true, Ordering::Relaxed);
    let mut waits = Vec::new();
    for writer in writers {
        waits.extend(writer.await.expect("a writer does not panic"));
    }
    let took = start.elapsed().as_secs_f64();
    let after = store.counts();
    store.shutdown().await;
    waits.sort_unstable();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    Figures {
        rate: waits.len() as f64 / took,
        jobs_per_commit: (after.jobs - before.jobs) as f64 / (after.commits - before.commits).max(1) as f64,
        p99: waits.get(waits.len() * 99 / 100).copied().unwrap_or_default(),
    }
}

/// A session as the service makes one: a first Toc of 1.2 kB, a proof that serves once, its own random-looking names.
fn session(number: u64) -> NewSession {
    // Spreads the keys over the index as random ones are.
    let name = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
    let digest = |kind: u8| {
        let mut digest = [kind; 32];
        digest[..8].copy_from_slice(&name);
        digest
    };
    let id = format!("{:016x}00000000000000ff", u64::from_be_bytes(name));
    NewSession {
        id,
        purpose: Purpose::Code,
        created_at: NOW,
        expires_at: NOW + 3_600_000,
        ttl: 60,
        source: [u8::try_from(number % 16).expect("below 16"); 32],
        group_fp: Some([7; 32]),
        cancel_hash: digest(2),
        view_hash: digest(3),
        max_codes: None,
        sealed: vec![7; 600],
        first_toc: Some(NewToc {
            digest: digest(4),
            x: Some(1),
            proved: true,
            at: NOW,
            sealed: vec![9; 1_200],
            approval: None,
        }),
        event: NewEvent::new("created", vec![5; 80]),
        once: Some(Once { digest: digest(6), expires_at: NOW + 300_000 }),
        applicant: None,
        on_expiry: Vec::new(),
        source_cap: i64::MAX,
        unless: None,
    }
}
