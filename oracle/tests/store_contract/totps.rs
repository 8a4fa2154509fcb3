//! TOTP secrets: a time step counts once, wrong codes lock, counts are kept.

use quorate_oracle::store::{AcceptOutcome, FailOutcome, Store};

use crate::{
    RACERS,
    api_keys::{active, totp},
    rows::{HOUR, NOW, race_among},
};

const ID: [u8; 32] = [1; 32];
const DELAYS: &[i64] = &[0, 0, 1_000, 5_000];

/// A store with one secret; the number of its API key.
async fn enrolled(store: &Store) -> i64 {
    let (row, data_keys) = active(store, 1).await;
    assert!(store.insert_totp(row.number, totp(1, data_keys[0].number)).await.unwrap());
    row.number
}

pub async fn a_secret_comes_back_as_it_was_put(store: Store) {
    assert!(store.totp(&ID).await.unwrap().is_none());
    let api_key = enrolled(&store).await;
    let row = store.totp(&ID).await.unwrap().unwrap();
    assert_eq!((row.last_step, row.locked_until, row.sealed), (-1, 0, vec![1; 60]));
    assert!(!store.insert_totp(api_key, totp(1, row.data_key)).await.unwrap(), "the same id again");
    assert!(!store.insert_totp(api_key + 1, totp(2, row.data_key)).await.unwrap(), "under somebody else's data key");
    assert!(store.totp(&[2; 32]).await.unwrap().is_none());
    assert_eq!(store.count_records(api_key).await.unwrap().totp, 1);
    assert!(!store.remove_totp(&ID, api_key + 1).await.unwrap(), "somebody else's");
    assert!(store.remove_totp(&ID, api_key).await.unwrap());
    assert!(!store.remove_totp(&ID, api_key).await.unwrap());
    assert_eq!(store.count_records(api_key).await.unwrap().totp, 0);
}

pub async fn only_later_steps_count(store: Store) {
    assert_eq!(store.accept_totp(&ID, 5, NOW).await.unwrap(), AcceptOutcome::Unknown);
    enrolled(&store).await;
    for (step, outcome) in [
        (5, AcceptOutcome::Accepted),
        (5, AcceptOutcome::Used),
        (4, AcceptOutcome::Used),
        (6, AcceptOutcome::Accepted),
        (5, AcceptOutcome::Used),
    ] {
        assert_eq!(store.accept_totp(&ID, step, NOW).await.unwrap(), outcome, "step {step}");
    }
    assert_eq!(store.totp(&ID).await.unwrap().unwrap().last_step, 6);
}

pub async fn a_step_counts_once_whoever_races(store: Store) {
    one_copy_of_a_code_counts(&[store]).await;
}

pub async fn one_copy_of_a_code_counts(nodes: &[Store]) {
    enrolled(&nodes[0]).await;
    let outcomes = race_among(nodes, async |store, _| store.accept_totp(&ID, 7, NOW).await.unwrap()).await;
    assert_eq!(outcomes.iter().filter(|it| **it == AcceptOutcome::Accepted).count(), 1);
    assert_eq!(outcomes.iter().filter(|it| **it == AcceptOutcome::Used).count(), RACERS - 1);
}

pub async fn wrong_codes_lock_by_the_schedule(store: Store) {
    assert_eq!(store.fail_totp(&ID, DELAYS, NOW).await.unwrap(), FailOutcome::Unknown);
    enrolled(&store).await;
    let fail = async |now| store.fail_totp(&ID, DELAYS, now).await.unwrap();
    assert_eq!(fail(NOW).await, FailOutcome::Counted(1));
    assert_eq!(fail(NOW).await, FailOutcome::Counted(2));
    assert_eq!(fail(NOW).await, FailOutcome::Counted(3));
    assert_eq!(fail(NOW + 999).await, FailOutcome::Locked(NOW + 1_000));
    assert_eq!(store.accept_totp(&ID, 5, NOW + 999).await.unwrap(), AcceptOutcome::Locked(NOW + 1_000));
    assert_eq!(store.totp(&ID).await.unwrap().unwrap().locked_until, NOW + 1_000);
    assert_eq!(fail(NOW + 1_000).await, FailOutcome::Counted(4));
    assert_eq!(fail(NOW + 6_000).await, FailOutcome::Counted(5));
    assert_eq!(fail(NOW + 6_001).await, FailOutcome::Locked(NOW + 11_000), "the last delay holds on");
    assert_eq!(store.accept_totp(&ID, 5, NOW + 11_000).await.unwrap(), AcceptOutcome::Accepted);
    assert_eq!(fail(NOW + 11_000).await, FailOutcome::Counted(1), "a right code begins anew");
}

pub async fn guesses_are_bounded_whoever_races(store: Store) {
    guesses_are_bounded(&[store]).await;
}

pub async fn guesses_are_bounded(nodes: &[Store]) {
    enrolled(&nodes[0]).await;
    let outcomes = race_among(nodes, async |store, _| store.fail_totp(&ID, DELAYS, NOW).await.unwrap()).await;
    let mut counted: Vec<i64> = outcomes
        .iter()
        .filter_map(|outcome| if let FailOutcome::Counted(failures) = outcome { Some(*failures) } else { None })
        .collect();
    counted.sort_unstable();
    assert_eq!(counted, [1, 2, 3]);
}

pub async fn wrong_codes_are_forgotten_by_half_in_a_quiet_hour(store: Store) {
    enrolled(&store).await;
    let fail = async |now| store.fail_totp(&ID, &[0], now).await.unwrap();
    for expected in 1..=8 {
        assert_eq!(fail(NOW).await, FailOutcome::Counted(expected));
    }
    assert_eq!(fail(NOW + HOUR - 1).await, FailOutcome::Counted(9), "not a whole hour");
    assert_eq!(fail(NOW + 2 * HOUR).await, FailOutcome::Counted(5), "half of nine are four");
    assert_eq!(fail(NOW + 5 * HOUR).await, FailOutcome::Counted(1));
}
