//! Notices: written with their act or not at all, taken by one at a time, never lost.

use std::collections::HashMap;

use quorate_oracle::store::{
    ClosedAs, Digest, NewEvent, NewNotice, NewSession, Quorate, Store, TakenNotice, TocOutcome,
};

use crate::rows::{HOUR, NOW, TTL, digest, event, proved, race, session, unproved};

const TARGET: Digest = [40; 32];
const OTHER: Digest = [41; 32];
const LEASE: i64 = 30_000;

fn notice(seed: u8, target: Digest) -> NewNotice {
    NewNotice { id: [seed; 16], target, at: NOW, sealed: vec![seed; 50] }
}

/// Makes a session whose start is told.
async fn tell(store: &Store, id: &str, notices: Vec<NewNotice>) {
    store.insert_session(NewSession { event: event("asked").told(notices), ..session(id) }).await.unwrap();
}

async fn take(store: &Store, target: &Digest, now: i64) -> Vec<TakenNotice> {
    let mut taken = Vec::new();
    for number in store.due_notices(target, now, 100).await.unwrap() {
        taken.extend(store.take_notice(number, target, now, now + LEASE).await.unwrap());
    }
    taken
}

/// The first bytes of what is due.
async fn due(store: &Store, target: &Digest, now: i64) -> Vec<u8> {
    let mut due: Vec<u8> = take(store, target, now).await.iter().map(|taken| taken.id[0]).collect();
    due.sort_unstable();
    due
}

pub async fn an_act_brings_its_notices_or_none(store: Store) {
    tell(&store, "a", vec![notice(1, TARGET), notice(1, OTHER)]).await;
    let refused = NewSession { source_cap: 0, source: digest(9), ..session("b") };
    store.insert_session(NewSession { event: event("asked").told(vec![notice(2, TARGET)]), ..refused }).await.unwrap();
    let denied = |seed| event("denied").told(vec![notice(seed, TARGET)]);
    store.deny("a", 1, NOW, denied(3)).await.unwrap();
    store.deny("a", 1, NOW, denied(4)).await.unwrap();
    store.deny("nowhere", 1, NOW, denied(5)).await.unwrap();
    assert_eq!(store.waiting_notices().await.unwrap(), HashMap::from([(TARGET, 2), (OTHER, 1)]));
    assert_eq!(take(&store, &TARGET, NOW - 1).await, [], "not before it happened");
    let taken = take(&store, &TARGET, NOW).await;
    assert_eq!(
        taken.iter().map(|taken| (taken.id, taken.at, taken.attempts)).collect::<Vec<_>>(),
        [([1; 16], NOW, 1), ([3; 16], NOW, 1),]
    );
    assert_eq!(taken[0].sealed, [1; 50]);
    assert_eq!(due(&store, &OTHER, NOW).await, [1]);
}

pub async fn a_notice_is_taken_once_whoever_races(store: Store) {
    tell(&store, "a", vec![notice(1, TARGET)]).await;
    let number = store.due_notices(&TARGET, NOW, 1).await.unwrap()[0];
    let take = |store: Store, _| async move { store.take_notice(number, &TARGET, NOW, NOW + LEASE).await.unwrap() };
    let taken: Vec<_> = race(&store, take).await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 1);
    assert_eq!(
        store.take_notice(number, &OTHER, NOW + LEASE, NOW + 2 * LEASE).await.unwrap(),
        None,
        "another target's"
    );
}

pub async fn who_dies_leaves_the_notice_to_others(store: Store) {
    tell(&store, "a", vec![notice(1, TARGET)]).await;
    let first = take(&store, &TARGET, NOW).await.remove(0);
    assert_eq!(due(&store, &TARGET, NOW + LEASE - 1).await, [] as [u8; 0]);
    let second = take(&store, &TARGET, NOW + LEASE).await.remove(0);
    assert_eq!((second.id, second.attempts), (first.id, 2));
    // The first one was only slow: it has no say any more in when it is tried again.
    store.put_off_notice(first, NOW).await.unwrap();
    assert_eq!(due(&store, &TARGET, NOW + LEASE).await, [] as [u8; 0]);
    store.put_off_notice(second, NOW + 7).await.unwrap();
    let third = take(&store, &TARGET, NOW + 7).await.remove(0);
    store.remove_notice(third).await.unwrap();
    assert_eq!(store.waiting_notices().await.unwrap(), HashMap::new());
}

pub async fn the_toc_that_makes_a_quorum_tells_of_it_alone(store: Store) {
    let joined = |seed, proved| NewEvent {
        quorate: Some(Quorate { threshold: 2, proved, notices: vec![notice(seed, TARGET)] }),
        ..event("joined")
    };
    for (id, strict) in [("strict", true), ("lax", false)] {
        store.insert_session(session(id)).await.unwrap();
        let put = async |toc, seed| store.put_toc(id, toc, NOW, 10, joined(seed, strict)).await.unwrap();
        assert_eq!(put(proved(1, 1), 1).await, TocOutcome::Stored);
        assert_eq!(put(proved(2, 1), 2).await, TocOutcome::Replaced, "the same player");
        assert_eq!(put(unproved(3), 3).await, TocOutcome::Stored);
        assert_eq!(due(&store, &TARGET, NOW).await, if strict { vec![] } else { vec![3] }, "{id}");
        assert_eq!(put(proved(4, 2), 4).await, TocOutcome::Stored);
        assert_eq!(due(&store, &TARGET, NOW).await, if strict { vec![4] } else { vec![] }, "{id}");
        assert_eq!(put(unproved(5), 5).await, TocOutcome::Stored);
        assert_eq!(put(proved(6, 3), 6).await, TocOutcome::Stored);
        assert_eq!(due(&store, &TARGET, NOW).await, [] as [u8; 0], "{id}");
    }
}

pub async fn what_is_kept_for_expiry_comes_with_it_alone(store: Store) {
    for (seed, id) in [(1, "expires"), (2, "cancelled"), (3, "used")] {
        store.insert_session(NewSession { on_expiry: vec![notice(seed, TARGET)], ..session(id) }).await.unwrap();
    }
    assert_eq!(store.waiting_notices().await.unwrap(), HashMap::new());
    store.close("cancelled", ClosedAs::Cancelled, NOW, event("cancelled")).await.unwrap();
    store.take_code("used", 1, NOW, None, event("code")).await.unwrap();
    assert_eq!(
        store.sweep(NOW + TTL * 1_000, HOUR, HOUR, 100, None).await.unwrap().expired,
        1,
        "its codes were used up"
    );
    assert_eq!(store.waiting_notices().await.unwrap(), HashMap::new());
    assert_eq!(store.sweep(NOW + HOUR, 10 * HOUR, HOUR, 100, None).await.unwrap().expired, 1);
    let taken = take(&store, &TARGET, NOW + HOUR).await;
    assert_eq!(taken.iter().map(|taken| (taken.id[0], taken.at)).collect::<Vec<_>>(), [(1, NOW + HOUR)]);
    assert_eq!(store.sweep(NOW + HOUR, 0, 0, 100, None).await.unwrap().deleted, 3, "nothing of them is left");
}

pub async fn what_nobody_takes_is_given_up(store: Store) {
    for seed in 1..=3 {
        tell(&store, &format!("s{seed}"), vec![NewNotice { at: NOW + i64::from(seed), ..notice(seed, TARGET) }]).await;
    }
    assert_eq!(store.give_up_notices(NOW + 1, 10).await.unwrap(), 0);
    assert_eq!(store.give_up_notices(NOW + HOUR, 1).await.unwrap(), 1);
    assert_eq!(due(&store, &TARGET, NOW + HOUR).await, [2, 3]);
    assert_eq!(store.give_up_notices(NOW + HOUR, 10).await.unwrap(), 2);
}
