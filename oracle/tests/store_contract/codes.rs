//! The allowance of codes, and failures.

use proptest::{
    prelude::{Strategy, any, prop},
    strategy::ValueTree,
    test_runner::TestRunner,
};
use quorate_oracle::store::{ClosedAs, CodeOutcome, NewSession, Store};

use crate::rows::{HOUR, NOW, TTL, event, kinds, proved, race, redeal_session, session};

async fn take(store: &Store, step: i64, now: i64) -> CodeOutcome {
    store.take_code("a", step, now, None, event("code")).await.unwrap()
}

pub async fn the_first_code_sets_the_end(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    let first = NOW + HOUR - 1;
    let end = first + TTL * 1_000;
    assert_eq!(take(&store, 100, first).await, CodeOutcome::Taken { first_code_at: first, codes: 1 });
    assert_eq!(take(&store, 101, end - 1).await, CodeOutcome::Taken { first_code_at: first, codes: 2 });
    assert_eq!(take(&store, 101, end).await, CodeOutcome::Closed, "not even the same code again");
    assert_eq!(take(&store, 102, end).await, CodeOutcome::Closed);
    let row = store.session("a").await.unwrap().unwrap();
    assert_eq!((row.first_code_at, row.last_step, row.codes, row.ends_at), (Some(first), Some(101), 2, end));
    assert_eq!(row.expires_at, NOW + HOUR);

    store.insert_session(session("b")).await.unwrap();
    let late = store.take_code("b", 100, NOW + HOUR, None, event("code")).await.unwrap();
    assert_eq!(late, CodeOutcome::Closed);
    assert!(store.close("b", ClosedAs::Cancelled, NOW, event("cancelled")).await.unwrap());
    assert_eq!(store.take_code("b", 100, NOW, None, event("code")).await.unwrap(), CodeOutcome::Closed);
    assert_eq!(store.take_code("none", 100, NOW, None, event("code")).await.unwrap(), CodeOutcome::Unknown);
}

pub async fn the_same_step_is_read_again_without_a_write(store: Store) {
    store.insert_session(NewSession { max_codes: Some(1), ..session("a") }).await.unwrap();
    assert_eq!(take(&store, 100, NOW).await, CodeOutcome::Taken { first_code_at: NOW, codes: 1 });
    let before = store.counts();
    assert_eq!(take(&store, 100, NOW + 5).await, CodeOutcome::Again { first_code_at: NOW, codes: 1 });
    assert_eq!(store.counts(), before, "the writer was not asked");
    assert_eq!(kinds(&store, "a").await, ["asked", "code"]);
}

pub async fn an_earlier_step_is_stale(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    take(&store, 100, NOW).await;
    assert_eq!(take(&store, 99, NOW).await, CodeOutcome::Stale);
    assert_eq!(take(&store, i64::MIN, NOW).await, CodeOutcome::Stale);
    assert_eq!(take(&store, 100, NOW).await, CodeOutcome::Again { first_code_at: NOW, codes: 1 });
}

pub async fn the_allowance_ends_the_session(store: Store) {
    let new = NewSession { max_codes: Some(2), first_toc: Some(proved(1, 1)), ..session("a") };
    store.insert_session(new).await.unwrap();
    take(&store, 100, NOW).await;
    assert_eq!(take(&store, 101, NOW).await, CodeOutcome::Taken { first_code_at: NOW, codes: 2 });
    assert_eq!(take(&store, 101, NOW).await, CodeOutcome::Again { first_code_at: NOW, codes: 2 });
    assert_eq!(take(&store, 99, NOW).await, CodeOutcome::Stale, "which ends nothing");
    assert_eq!(take(&store, 102, NOW + 9).await, CodeOutcome::Exhausted);
    assert_eq!(take(&store, 102, NOW + 9).await, CodeOutcome::Exhausted);
    let (row, tocs) = store.session_with_tocs("a").await.unwrap().unwrap();
    assert_eq!((row.closed_at, row.closed_as), (Some(NOW + 9), Some(ClosedAs::Exhausted)));
    assert_eq!((row.codes, tocs.len()), (2, 0));
    assert_eq!(kinds(&store, "a").await, ["asked", "code", "code"]);
}

pub async fn one_code_per_step_whoever_races(store: Store) {
    store.insert_session(NewSession { max_codes: Some(1), ..session("a") }).await.unwrap();
    let outcomes = race(&store, |store, _| async move { take(&store, 100, NOW).await }).await;
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == CodeOutcome::Taken { first_code_at: NOW, codes: 1 }).count(),
        1
    );
    assert_eq!(
        outcomes.iter().filter(|outcome| **outcome == CodeOutcome::Again { first_code_at: NOW, codes: 1 }).count(),
        outcomes.len() - 1
    );
    assert_eq!(kinds(&store, "a").await, ["asked", "code"]);
}

pub async fn the_allowance_holds_whoever_races(store: Store) {
    store.insert_session(NewSession { max_codes: Some(3), ..session("a") }).await.unwrap();
    let outcomes =
        race(&store, |store, number| async move { take(&store, 100 + i64::try_from(number).unwrap(), NOW).await })
            .await;
    let mut taken: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            CodeOutcome::Taken { codes, .. } => Some(*codes),
            _ => None,
        })
        .collect();
    taken.sort_unstable();
    assert!((1..=3).contains(&taken.len()), "{outcomes:?}");
    assert_eq!(taken, (1..=i64::try_from(taken.len()).unwrap()).collect::<Vec<_>>());
    assert_eq!(store.session("a").await.unwrap().unwrap().codes, taken.last().copied().unwrap());
}

pub async fn a_session_for_a_redeal_gives_no_code(store: Store) {
    store.insert_session(redeal_session("a")).await.unwrap();
    assert_eq!(take(&store, 100, NOW).await, CodeOutcome::Unknown);
    assert_eq!(store.session("a").await.unwrap().unwrap().codes, 0);
}

pub async fn so_many_failures_end_the_session(store: Store) {
    store.insert_session(NewSession { first_toc: Some(proved(1, 1)), ..session("a") }).await.unwrap();
    let mut counts =
        race(&store, |store, _| async move { store.record_failure("a", 16, NOW + 3, event("failed")).await.unwrap() })
            .await;
    counts.sort_unstable();
    assert_eq!(counts[..16], (1..=16).collect::<Vec<_>>());
    assert!(counts[16..].iter().all(|count| *count == 16), "a closed session's count does not grow");
    let (row, tocs) = store.session_with_tocs("a").await.unwrap().unwrap();
    assert_eq!((row.failures, row.closed_as, tocs.len()), (16, Some(ClosedAs::Exhausted), 0));
    assert_eq!(kinds(&store, "a").await.len(), 2, "only the end is told, not each failure");
    assert_eq!(take(&store, 100, NOW).await, CodeOutcome::Exhausted);
}

/// Against a model: whatever is asked in whatever order, codes come for rising steps, before the end, as many as allowed.
pub async fn random_requests_never_exceed_the_allowance(store: Store) {
    let requests = prop::collection::vec((95_i64..110, 0_i64..(TTL * 1_000 + 20_000)), 1..25);
    let cases = (prop::option::of(1_i64..5), requests, any::<bool>());
    let mut runner = TestRunner::deterministic();
    for case in 0..48 {
        let (max_codes, requests, in_order) = cases.new_tree(&mut runner).unwrap().current();
        let id = format!("case {case}");
        store.insert_session(NewSession { max_codes, ..session(&id) }).await.unwrap();
        let mut requests = requests;
        if in_order {
            requests.sort_unstable_by_key(|(_, after)| *after);
        }
        let (mut first, mut last, mut codes, mut over) = (None, None, 0, false);
        for (step, after) in requests {
            let now = NOW + after;
            let expected = if over {
                CodeOutcome::Exhausted
            } else if first.is_some_and(|first| now >= first + TTL * 1_000) {
                CodeOutcome::Closed
            } else if last.is_some_and(|last| step < last) {
                CodeOutcome::Stale
            } else if last == Some(step) {
                CodeOutcome::Again { first_code_at: first.unwrap(), codes }
            } else if max_codes.is_some_and(|most| codes >= most) {
                over = true;
                CodeOutcome::Exhausted
            } else {
                codes += 1;
                last = Some(step);
                CodeOutcome::Taken { first_code_at: *first.get_or_insert(now), codes }
            };
            let outcome = store.take_code(&id, step, now, None, event("code")).await.unwrap();
            assert_eq!(outcome, expected, "{id}: step {step} after {after} ms");
        }
        let taken = kinds(&store, &id).await.len() - 1;
        assert_eq!(i64::try_from(taken).unwrap(), codes, "one event per code");
    }
}
