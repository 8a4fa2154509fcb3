//! Encrypted Tocs and denials.

use quorate_oracle::store::{ClosedAs, DenyOutcome, Digest, NewSession, NewToc, Store, TocOutcome};

use crate::rows::{HOUR, NOW, digest, event, kinds, proved, race, session, unproved};

async fn put(store: &Store, toc: NewToc) -> TocOutcome {
    store.put_toc("a", toc, NOW + 1, 4, event("joined")).await.unwrap()
}

async fn digests(store: &Store) -> Vec<Digest> {
    store.session_with_tocs("a").await.unwrap().unwrap().1.into_iter().map(|toc| toc.digest).collect()
}

async fn counts(store: &Store) -> (i64, i64, i64) {
    let seen = store.session_overview("a").await.unwrap().unwrap();
    assert_eq!(Some(seen.row), store.session("a").await.unwrap());
    (seen.proved, seen.provisional, seen.denials)
}

pub async fn proved_tocs_have_one_slot_per_player(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    assert_eq!(put(&store, proved(10, 1)).await, TocOutcome::Stored);
    assert_eq!(put(&store, proved(20, 2)).await, TocOutcome::Stored);
    assert_eq!(put(&store, proved(11, 1)).await, TocOutcome::Replaced);
    assert_eq!(digests(&store).await, [digest(20), digest(11)], "in order of arrival");
    assert_eq!(counts(&store).await, (2, 0, 0));
    assert_eq!(kinds(&store, "a").await, ["asked", "joined", "joined", "joined"]);

    race(&store, |store, number| async move {
        let seed = 100 + u8::try_from(number).unwrap();
        store.put_toc("a", proved(seed, 3), NOW + 1, 4, event("joined")).await.unwrap()
    })
    .await;
    assert_eq!(counts(&store).await, (3, 0, 0), "one slot, whoever races for it");
}

pub async fn a_player_replaces_their_toc_so_often_and_no_more(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    assert_eq!(put(&store, proved(100, 1)).await, TocOutcome::Stored);
    for seed in 101..109 {
        assert_eq!(put(&store, proved(seed, 1)).await, TocOutcome::Replaced);
    }
    put(&store, unproved(200)).await;
    let before = (digests(&store).await, kinds(&store, "a").await);
    for seed in [109, 110, 200] {
        assert_eq!(put(&store, proved(seed, 1)).await, TocOutcome::PoolFull);
    }
    assert_eq!((digests(&store).await, kinds(&store, "a").await), before, "nothing was written");
    assert_eq!(put(&store, proved(108, 1)).await, TocOutcome::Repeated, "the last one stands");
    assert_eq!(put(&store, proved(20, 2)).await, TocOutcome::Stored, "others have their own count");
    store.drop_tocs("a", vec![digest(108)], NOW, event("dropped")).await.unwrap();
    assert_eq!(put(&store, proved(111, 1)).await, TocOutcome::Stored, "a false one makes room for a good one");
}

pub async fn who_has_answered_is_told_however_many_events_there_are(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    for _ in 0..250 {
        put(&store, unproved(9)).await;
        store.drop_tocs("a", vec![digest(9)], NOW, event("dropped")).await.unwrap();
    }
    put(&store, proved(3, 3)).await;
    put(&store, NewToc { x: Some(1), ..unproved(4) }).await;
    put(&store, proved(2, 2)).await;
    store.deny("a", 255, NOW + 1, event("denied")).await.unwrap();
    store.deny("a", 1, NOW + 2, event("denied")).await.unwrap();
    let answers = store.answers("a").await.unwrap();
    let joined: Vec<_> = answers.0.iter().map(|row| row.x).collect();
    assert_eq!((joined, answers.1), (vec![Some(3), None, Some(2)], vec![255, 1]), "without a proof nobody is named");
    assert!(answers.0.iter().all(|row| row.at == NOW && row.approval.is_none()));
    assert_eq!([answers.0[0].digest, answers.0[2].digest], [digest(3), digest(2)]);
    assert_eq!(store.answers("none").await.unwrap(), (vec![], vec![]));
}

pub async fn the_same_toc_again_changes_nothing(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    let outcomes = race(&store, |store, _| async move {
        store.put_toc("a", proved(10, 1), NOW + 1, 4, event("joined")).await.unwrap()
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == TocOutcome::Stored).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == TocOutcome::Repeated).count(), outcomes.len() - 1);
    let before = store.session_with_tocs("a").await.unwrap();
    assert_eq!(put(&store, unproved(10)).await, TocOutcome::Repeated, "a proof is not lost to a copy without");
    assert_eq!(put(&store, proved(10, 2)).await, TocOutcome::Repeated, "nor to another player's");
    assert_eq!(put(&store, unproved(30)).await, TocOutcome::Stored);
    assert_eq!(put(&store, unproved(30)).await, TocOutcome::Repeated);
    store.drop_tocs("a", vec![digest(30)], NOW, event("dropped")).await.unwrap();
    assert_eq!(store.session_with_tocs("a").await.unwrap(), before);
    assert_eq!(kinds(&store, "a").await, ["asked", "joined", "joined", "dropped"]);
}

pub async fn a_copy_without_proof_does_not_keep_its_player_out(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    assert_eq!(put(&store, unproved(10)).await, TocOutcome::Stored);
    assert_eq!(put(&store, proved(10, 1)).await, TocOutcome::Stored);
    assert_eq!(counts(&store).await, (1, 0, 0));
    assert_eq!(put(&store, unproved(11)).await, TocOutcome::Stored);
    assert_eq!(put(&store, proved(11, 1)).await, TocOutcome::Replaced);
    assert_eq!(digests(&store).await, [digest(11)]);
}

pub async fn the_pool_of_unproved_tocs_is_bounded_and_displaces_nobody(store: Store) {
    store.insert_session(NewSession { first_toc: Some(unproved(1)), ..session("a") }).await.unwrap();
    put(&store, proved(2, 1)).await;
    let outcomes = race(&store, |store, number| async move {
        let seed = 100 + u8::try_from(number).unwrap();
        // Claims a player's number without proof.
        let toc = NewToc { x: Some(1), ..unproved(seed) };
        store.put_toc("a", toc, NOW + 1, 4, event("joined")).await.unwrap()
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == TocOutcome::Stored).count(), 3);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == TocOutcome::PoolFull).count(), outcomes.len() - 3);
    assert_eq!(counts(&store).await, (1, 4, 0));
    assert_eq!(digests(&store).await[..2], [digest(1), digest(2)]);
    assert_eq!(put(&store, proved(3, 2)).await, TocOutcome::Stored, "a full pool keeps no proved player out");
    assert_eq!(put(&store, unproved(1)).await, TocOutcome::Repeated, "and is known to hold what it holds");
}

pub async fn a_closed_or_late_session_takes_no_tocs(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    let late = store.put_toc("a", proved(1, 1), NOW + HOUR, 4, event("joined")).await.unwrap();
    assert_eq!(late, TocOutcome::Closed);
    let just = store.put_toc("a", proved(1, 1), NOW + HOUR - 1, 4, event("joined")).await.unwrap();
    assert_eq!(just, TocOutcome::Stored);
    assert_eq!(store.deny("a", 1, NOW + HOUR, event("denied")).await.unwrap(), DenyOutcome::Closed);
    assert!(store.close("a", ClosedAs::Cancelled, NOW + 1, event("cancelled")).await.unwrap());
    assert_eq!(put(&store, proved(2, 2)).await, TocOutcome::Closed);
    assert_eq!(store.deny("a", 1, NOW + 2, event("denied")).await.unwrap(), DenyOutcome::Closed);
    let unknown = store.put_toc("none", proved(1, 1), NOW, 4, event("joined")).await.unwrap();
    assert_eq!(unknown, TocOutcome::Unknown);
    assert_eq!(store.deny("none", 1, NOW, event("denied")).await.unwrap(), DenyOutcome::Unknown);
    assert_eq!(kinds(&store, "a").await, ["asked", "joined", "cancelled"]);
}

pub async fn false_tocs_are_dropped(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    put(&store, proved(1, 1)).await;
    put(&store, proved(2, 2)).await;
    put(&store, unproved(3)).await;
    let dropped = store.drop_tocs("a", vec![digest(1), digest(3), digest(4)], NOW + 2, event("dropped")).await.unwrap();
    assert_eq!(dropped, 2);
    assert_eq!(digests(&store).await, [digest(2)]);
    let again = store.drop_tocs("a", vec![digest(1), digest(3)], NOW + 2, event("dropped")).await.unwrap();
    assert_eq!(again, 0);
    assert_eq!(kinds(&store, "a").await, ["asked", "joined", "joined", "joined", "dropped"]);
    assert_eq!(put(&store, proved(5, 1)).await, TocOutcome::Stored, "the slot is free again");
}

pub async fn a_player_says_no_once(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    let outcomes =
        race(&store, |store, _| async move { store.deny("a", 2, NOW + 1, event("denied")).await.unwrap() }).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == DenyOutcome::Denied).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == DenyOutcome::Already).count(), outcomes.len() - 1);
    assert_eq!(store.deny("a", 255, NOW + 1, event("denied")).await.unwrap(), DenyOutcome::Denied);
    assert_eq!(counts(&store).await, (0, 0, 2));
    assert_eq!(kinds(&store, "a").await, ["asked", "denied", "denied"]);
    assert!(store.deny("a", 0, NOW + 1, event("denied")).await.is_err(), "there is no player 0");
}
