//! API keys: activated once, rotated whatever races, counted right.

use quorate_oracle::store::{
    ApiKeyRow, DataKeyRow, MAX_DATA_KEYS, NewApiKey, NewDataKey, NewTotp, RecordCounts, RevokeOutcome, Rewrapped,
    RotateOutcome, Store,
};

use crate::{
    RACERS,
    rows::{NOW, digest, race_among},
};

pub fn data_key(seed: u8) -> NewDataKey {
    NewDataKey { id: digest(seed), by_secret: vec![seed; 72], by_root: vec![seed; 72] }
}

/// An API key that is active, with the data key of the same seed.
pub async fn active(store: &Store, seed: u8) -> (ApiKeyRow, Vec<DataKeyRow>) {
    let new = NewApiKey { id: digest(seed), created_at: NOW, sealed: vec![seed; 40] };
    assert!(store.insert_api_key(new).await.unwrap());
    assert!(store.activate_api_key(&digest(seed), &digest(99), data_key(seed), NOW + 1).await.unwrap());
    store.api_key(&digest(seed)).await.unwrap().unwrap()
}

pub fn totp(seed: u8, data_key: i64) -> NewTotp {
    NewTotp { id: [seed; 32], data_key, created_at: NOW, sealed: vec![seed; 60] }
}

fn rewrapped(data_keys: &[DataKeyRow]) -> Vec<Rewrapped> {
    let again = |it: &DataKeyRow| Rewrapped { number: it.number, by_secret: vec![7; 72], by_root: vec![8; 72] };
    data_keys.iter().map(again).collect()
}

pub async fn a_key_comes_back_as_it_was_put(store: Store) {
    assert!(store.api_key(&digest(1)).await.unwrap().is_none());
    let new = || NewApiKey { id: digest(1), created_at: NOW, sealed: b"sealed".to_vec() };
    assert!(store.insert_api_key(new()).await.unwrap());
    assert!(!store.insert_api_key(new()).await.unwrap(), "the same value again");
    let (row, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    assert_eq!((row.created_at, row.activated_at, row.revoked_at, row.secret_hash), (NOW, None, None, None));
    assert_eq!((row.sealed.as_slice(), data_keys.len()), (&b"sealed"[..], 0));
    assert!(store.reseal_api_key(&digest(1), b"sealed".to_vec(), b"anew".to_vec()).await.unwrap());
    assert!(!store.reseal_api_key(&digest(1), b"sealed".to_vec(), b"late".to_vec()).await.unwrap());
    assert_eq!(store.api_key(&digest(1)).await.unwrap().unwrap().0.sealed, b"anew");
}

pub async fn a_key_is_activated_once_whoever_races(store: Store) {
    one_activation_wins(&[store]).await;
}

pub async fn one_activation_wins(nodes: &[Store]) {
    let new = NewApiKey { id: digest(1), created_at: NOW, sealed: vec![1] };
    assert!(nodes[0].insert_api_key(new).await.unwrap());
    let outcomes = race_among(nodes, async |store, number| {
        let seed = u8::try_from(number).unwrap();
        store.activate_api_key(&digest(1), &digest(seed), data_key(seed), NOW).await.unwrap()
    })
    .await;
    assert_eq!(outcomes.iter().filter(|won| **won).count(), 1);
    let (row, data_keys) = nodes[0].api_key(&digest(1)).await.unwrap().unwrap();
    assert_eq!(row.secret_hash, Some(data_keys[0].id), "secret and data key are of the same winner");
    assert_eq!(data_keys.len(), 1);
}

pub async fn a_revoked_key_is_not_activated_and_an_active_one_not_forgotten(store: Store) {
    let new = NewApiKey { id: digest(1), created_at: NOW, sealed: vec![1] };
    assert!(store.insert_api_key(new).await.unwrap());
    assert_eq!(store.revoke_api_key(&digest(1), NOW).await.unwrap(), RevokeOutcome::Revoked);
    assert_eq!(store.revoke_api_key(&digest(1), NOW + 1).await.unwrap(), RevokeOutcome::NotInUse);
    assert!(!store.activate_api_key(&digest(1), &digest(9), data_key(1), NOW).await.unwrap());
    assert!(store.forget_api_key(&digest(1)).await.unwrap());
    active(&store, 2).await;
    assert!(!store.forget_api_key(&digest(2)).await.unwrap());
    assert!(!store.forget_api_key(&digest(3)).await.unwrap());
}

pub async fn keys_are_listed_in_pages_with_what_they_own(store: Store) {
    for seed in 1..=5 {
        let (api_key, data_keys) = active(&store, seed).await;
        for number in 0..seed {
            assert!(store.insert_totp(api_key.number, totp(seed * 16 + number, data_keys[0].number)).await.unwrap());
        }
    }
    let first = store.api_keys_after(0, 3).await.unwrap();
    let rest = store.api_keys_after(first[2].row.number, 3).await.unwrap();
    let owned: Vec<i64> = first.iter().chain(&rest).map(|key| key.records.totp).collect();
    assert_eq!(owned, [1, 2, 3, 4, 5]);
    assert!(store.api_keys_after(rest[1].row.number, 3).await.unwrap().is_empty());
}

/// Rotates; gives what has moved.
async fn rotated(store: &Store, old: i64, new: i64, data_keys: &[DataKeyRow], fresh: u8) -> RecordCounts {
    match store.rotate_api_key(old, new, rewrapped(data_keys), data_key(fresh), NOW).await.unwrap() {
        RotateOutcome::Moved(moved) => moved,
        refused => panic!("{refused:?}"),
    }
}

pub async fn a_rotation_moves_what_is_sealed_and_leaves_a_fresh_key(store: Store) {
    let (old, old_keys) = active(&store, 1).await;
    let (new, _) = active(&store, 2).await;
    let moved = rotated(&store, old.number, new.number, &old_keys, 50).await;
    assert_eq!(moved, RecordCounts::default());
    assert_eq!(store.api_key(&old.id).await.unwrap().unwrap().1.len(), 1, "nothing was sealed: nothing moves");

    assert!(store.insert_totp(old.number, totp(1, old_keys[0].number)).await.unwrap());
    let moved = rotated(&store, old.number, new.number, &old_keys, 51).await;
    assert_eq!(moved, RecordCounts { totp: 1, webauthn: 0 });
    let (_, left) = store.api_key(&old.id).await.unwrap().unwrap();
    assert_eq!(left.iter().map(|key| key.id).collect::<Vec<_>>(), [digest(51)]);
    let (_, taken) = store.api_key(&new.id).await.unwrap().unwrap();
    let wrapped = taken.iter().find(|key| key.number == old_keys[0].number).unwrap();
    assert_eq!(wrapped.by_secret, [7; 72]);
    assert!(store.data_keys_by_root(new.number).await.unwrap().contains(&(wrapped.number, vec![8; 72])));
    assert_eq!(store.data_keys_by_root(old.number).await.unwrap(), [(left[0].number, vec![51; 72])]);
    assert_eq!(store.count_records(new.number).await.unwrap().totp, 1);
    assert_eq!(store.count_records(old.number).await.unwrap().totp, 0);
    assert!(!store.remove_totp(&[1; 32], old.number).await.unwrap());
    assert!(store.remove_totp(&[1; 32], new.number).await.unwrap());
}

pub async fn a_key_that_is_not_in_use_takes_no_part_in_a_rotation(store: Store) {
    let (old, old_keys) = active(&store, 1).await;
    assert!(store.insert_totp(old.number, totp(1, old_keys[0].number)).await.unwrap());
    let (new, _) = active(&store, 2).await;
    assert!(store.insert_api_key(NewApiKey { id: digest(3), created_at: NOW, sealed: vec![3] }).await.unwrap());
    let never_active = store.api_key(&digest(3)).await.unwrap().unwrap().0;
    let rotate = async |old: i64, new: i64| {
        store.rotate_api_key(old, new, rewrapped(&old_keys), data_key(50), NOW).await.unwrap()
    };
    // Both were in use when their secrets were looked at; the operator was quicker.
    assert_eq!(rotate(old.number, never_active.number).await, RotateOutcome::NewNotInUse);
    assert_eq!(rotate(never_active.number, new.number).await, RotateOutcome::OldNotInUse);
    assert_eq!(store.revoke_api_key(&new.id, NOW).await.unwrap(), RevokeOutcome::Revoked);
    assert_eq!(rotate(old.number, new.number).await, RotateOutcome::NewNotInUse);
    let (thief, _) = active(&store, 4).await;
    assert_eq!(store.revoke_api_key(&old.id, NOW).await.unwrap(), RevokeOutcome::Revoked);
    assert_eq!(rotate(old.number, thief.number).await, RotateOutcome::OldNotInUse);
    assert_eq!(store.count_records(old.number).await.unwrap().totp, 1, "everything stays where it was");
    assert_eq!(store.api_key(&thief.id).await.unwrap().unwrap().1.len(), 1);
}

pub async fn a_key_owns_so_many_data_keys_and_no_more(store: Store) {
    let (old, _) = active(&store, 1).await;
    let (new, _) = active(&store, 2).await;
    let most = u8::try_from(MAX_DATA_KEYS).unwrap();
    for round in 1..=most + 1 {
        let (_, data_keys) = store.api_key(&old.id).await.unwrap().unwrap();
        assert!(store.insert_totp(old.number, totp(round, data_keys[0].number)).await.unwrap());
        let outcome = store
            .rotate_api_key(old.number, new.number, rewrapped(&data_keys), data_key(100 + round), NOW)
            .await
            .unwrap();
        if round <= most {
            assert_eq!(outcome, RotateOutcome::Moved(RecordCounts { totp: 1, webauthn: 0 }), "round {round}");
        } else {
            assert_eq!(outcome, RotateOutcome::TooManyDataKeys);
        }
    }
    // Its own, which seals nothing, is not counted.
    assert_eq!(store.api_key(&new.id).await.unwrap().unwrap().1.len(), MAX_DATA_KEYS + 1);
    assert_eq!(store.count_records(old.number).await.unwrap().totp, 1, "nothing of the last was written");
    let (_, data_keys) = store.api_key(&new.id).await.unwrap().unwrap();
    assert_eq!(rotated(&store, new.number, active(&store, 3).await.0.number, &data_keys, 200).await.totp, 64);
}

pub async fn one_rotation_takes_the_records_whoever_races(store: Store) {
    one_rotation_wins(&[store]).await;
}

pub async fn one_rotation_wins(nodes: &[Store]) {
    let store = &nodes[0];
    let (old, old_keys) = active(store, 1).await;
    assert!(store.insert_totp(old.number, totp(1, old_keys[0].number)).await.unwrap());
    let (two, three) = (active(store, 2).await.0.number, active(store, 3).await.0.number);
    let old = old.number;
    let moved = race_among(nodes, move |store, number| {
        let (to, keys) = (if number % 2 == 0 { two } else { three }, old_keys.clone());
        async move { rotated(&store, old, to, &keys, u8::try_from(100 + number).unwrap()).await.totp }
    })
    .await;
    assert_eq!(moved.iter().sum::<i64>(), 1);
    let owned = [old, two, three].map(|number| store.count_records(number));
    let owned = futures_util::future::join_all(owned).await;
    assert_eq!(owned.into_iter().map(|counts| counts.unwrap().totp).sum::<i64>(), 1);
}

pub async fn what_is_enrolled_during_a_rotation_is_where_its_maker_looks(store: Store) {
    enrolments_meet_a_rotation(&[store]).await;
}

/// Half of the racers enrol under the data key that they saw, the others rotate it away and revoke. Whatever was kept was
/// counted, and belongs to whom it was kept for at that moment.
pub async fn enrolments_meet_a_rotation(nodes: &[Store]) {
    let store = &nodes[0];
    let (old, old_keys) = active(store, 1).await;
    let (new, _) = active(store, 2).await;
    // So that there is something to move.
    assert!(store.insert_totp(old.number, totp(200, old_keys[0].number)).await.unwrap());
    let (from, to, data_key_seen) = (old.number, new.number, old_keys[0].number);
    let outcomes = race_among(nodes, move |store, number| {
        let (keys, seed) = (old_keys.clone(), u8::try_from(number).unwrap());
        async move {
            match number {
                0 => {
                    let moved = store.rotate_api_key(from, to, rewrapped(&keys), data_key(150), NOW).await.unwrap();
                    assert!(matches!(moved, RotateOutcome::Moved(_) | RotateOutcome::OldNotInUse), "{moved:?}");
                    false
                }
                1 => store.revoke_api_key(&digest(1), NOW).await.unwrap() == RevokeOutcome::NotInUse,
                _ => store.insert_totp(from, totp(seed, data_key_seen)).await.unwrap(),
            }
        }
    })
    .await;
    let kept = outcomes.iter().filter(|kept| **kept).count();
    let owned = [store.count_records(from).await.unwrap().totp, store.count_records(to).await.unwrap().totp];
    let all = i64::try_from(1 + kept).unwrap();
    assert!(owned == [all, 0] || owned == [0, all], "{owned:?}, and {all} were kept");
    let refused = RACERS - 2 - kept;
    assert!(owned[0] == 0 || refused == 0, "only a rotation refuses an enrolment");
    // Every racer that comes later is too late.
    if owned[1] == all {
        assert!(!store.insert_totp(from, totp(201, data_key_seen)).await.unwrap());
        assert!(store.totp(&[201; 32]).await.unwrap().is_none());
        assert!(store.insert_totp(to, totp(201, data_key_seen)).await.unwrap());
    }
}
