//! Floods that anybody can send: what they cost the store, and that others go on.

use crate::support::{Asked, Court};
use futures_util::future::join_all;
use quorate_oracle::testing::TestSetup;
use reqwest::StatusCode;
use std::time::Instant;

/// Clients at once.
const CLIENTS: usize = 128;

/// A round of Tocs without a proof, each another one; how many were taken.
async fn flood(court: &Court, asked: &Asked) -> usize {
    let path = asked.path("tocs");
    let junk: Vec<_> = (0..CLIENTS).map(|_| Asked::unproved(asked.encrypt(b"junk"))).collect();
    let posts = junk.iter().map(|junk| court.post(&path, junk));
    let answers = join_all(posts).await;
    let taken = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    for answer in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        let refusal = answer.refusal();
        assert!([(429, "pool_full"), (503, "overloaded")].contains(&refusal), "{refusal:?}");
    }
    taken
}

pub async fn a_session_that_is_flooded_disturbs_no_other() {
    let court = Court::of(2, 3).await;
    let flooded = court.ask(1).await;
    let flooding = async {
        let mut taken = 0;
        for _ in 0..4 {
            taken += flood(&court, &flooded).await;
        }
        taken
    };
    let going_on = async {
        for _ in 0..4 {
            let asked = court.ask(1).await;
            court.join(&asked, 1).await;
            court.join(&asked, 3).await;
            court.assert_code(&asked).await;
        }
    };
    let (taken, ()) = tokio::join!(flooding, going_on);
    assert_eq!(taken, 6, "twice as many as players");
    // Whoever comes when there is no room is refused without a write.
    let writes = || court.oracle.state().store.counts().jobs;
    let before = writes();
    assert_eq!(flood(&court, &flooded).await, 0);
    assert_eq!(writes(), before);
    court.join(&flooded, 1).await;
    court.join(&flooded, 2).await;
    court.assert_code(&flooded).await;
}

/// In memory, one thread does all that is asked of the store, and counts it.
#[tokio::test]
async fn who_asks_for_readiness_does_not_ask_the_store() {
    let court = Court::with(TestSetup::default().set("database", "sqlite::memory:"), 2, 3).await;
    let asked_of_the_store = || court.oracle.state().store.counts().jobs;
    let (before, begun) = (asked_of_the_store(), Instant::now());
    for _ in 0..4 {
        let ready = join_all((0..CLIENTS).map(|_| court.get("/readyz"))).await;
        assert!(ready.iter().all(|answer| answer.status == StatusCode::OK));
    }
    // One look a second, with a sign of life at most.
    let most = 2 * (begun.elapsed().as_secs() + 2);
    let asked = asked_of_the_store() - before;
    assert!((1..=most).contains(&asked), "{asked} of {most} for {}", 4 * CLIENTS);
    assert!(most < 100, "this machine is too slow to tell");
}
