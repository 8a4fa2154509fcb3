//! Redeals and their receipts.

use quorate_oracle::store::{
    ClosedAs, CodeOutcome, InsertOutcome, NewRedeal, NewSession, ReceiveOutcome, RedealOutcome, Store,
};

use crate::rows::{HOUR, NOW, digest, event, kinds, proved, race, redeal, redeal_session, session};

fn sealed(players: u8) -> Vec<(u8, Vec<u8>)> {
    (1..=players).map(|x| (x, vec![x; 50])).collect()
}

async fn finish(store: &Store, id: &str, threshold: u8, players: u8) -> bool {
    done(store.finish_redeal(id, redeal(threshold), sealed(players), event("redealt")).await.unwrap())
}

/// Whether it is stored.
fn done(outcome: RedealOutcome) -> bool {
    assert!([RedealOutcome::Stored, RedealOutcome::Refused].contains(&outcome), "{outcome:?}");
    outcome == RedealOutcome::Stored
}

async fn receive(store: &Store, x: u8) -> ReceiveOutcome {
    store.receive("a", x, NOW + 2, event("received")).await.unwrap()
}

pub async fn a_redeal_happens_once(store: Store) {
    store.insert_session(NewSession { first_toc: Some(proved(1, 1)), ..redeal_session("a") }).await.unwrap();
    let outcomes = race(&store, |store, _| async move { finish(&store, "a", 2, 3).await }).await;
    assert_eq!(outcomes.into_iter().filter(|done| *done).count(), 1);

    let (session, old_tocs) = store.session_with_tocs("a").await.unwrap().unwrap();
    assert_eq!((session.closed_at, session.closed_as), (Some(NOW + 1), Some(ClosedAs::Redealt)));
    assert_eq!((session.sealed, old_tocs), (Vec::new(), Vec::new()));
    let (redeal, tocs) = store.redeal("a").await.unwrap().unwrap();
    assert_eq!((redeal.old_group, redeal.new_group), (Some(digest(7)), digest(8)));
    assert_eq!((redeal.threshold, redeal.at, redeal.completed_at), (2, NOW + 1, None));
    assert_eq!(redeal.sealed, b"sealed group");
    let tocs: Vec<_> = tocs.into_iter().map(|toc| (toc.x, toc.sealed, toc.received_at)).collect();
    assert_eq!(tocs, [(1, vec![1; 50], None), (2, vec![2; 50], None), (3, vec![3; 50], None)]);
    assert_eq!(kinds(&store, "a").await, ["asked", "redealt"]);
    assert_eq!(store.open_sessions().await.unwrap(), 0);
    assert!(!store.group_refused(&digest(7)).await.unwrap(), "the old group works until the new one is in hands");
}

pub async fn only_an_open_session_for_a_redeal_can_be_finished(store: Store) {
    store.insert_session(session("code")).await.unwrap();
    assert!(!finish(&store, "code", 2, 3).await, "approved for a code");
    assert!(!finish(&store, "none", 2, 3).await, "unknown");
    store.insert_session(redeal_session("late")).await.unwrap();
    let late = NewRedeal { at: NOW + HOUR, ..redeal(2) };
    assert!(!done(store.finish_redeal("late", late, sealed(3), event("redealt")).await.unwrap()), "past its time");
    store.insert_session(redeal_session("cancelled")).await.unwrap();
    store.close("cancelled", ClosedAs::Cancelled, NOW, event("cancelled")).await.unwrap();
    assert!(!finish(&store, "cancelled", 2, 3).await, "cancelled");
    for id in ["code", "late", "cancelled"] {
        assert_eq!(store.redeal(id).await.unwrap(), None);
        assert!(!kinds(&store, id).await.contains(&"redealt".to_owned()));
    }
    assert_eq!(store.session("code").await.unwrap().unwrap().closed_at, None);

    store.insert_session(redeal_session("twice")).await.unwrap();
    let twice = vec![(1, vec![1]), (1, vec![2])];
    assert!(store.finish_redeal("twice", redeal(2), twice, event("redealt")).await.is_err(), "two Tocs for a player");
    assert_eq!(store.session("twice").await.unwrap().unwrap().closed_at, None, "a failure undoes all of it");
}

pub async fn a_threshold_of_receipts_refuses_the_old_group(store: Store) {
    for id in ["a", "second"] {
        store.insert_session(redeal_session(id)).await.unwrap();
    }
    store.insert_session(session("running")).await.unwrap();
    store.take_code("running", 100, NOW, None, event("code")).await.unwrap();
    assert!(finish(&store, "a", 2, 3).await);

    assert_eq!(receive(&store, 3).await, ReceiveOutcome::Recorded { received: 1, completed: false });
    assert_eq!(receive(&store, 3).await, ReceiveOutcome::Already);
    assert_eq!(receive(&store, 4).await, ReceiveOutcome::Unknown);
    let unknown = store.receive("running", 1, NOW, event("received")).await.unwrap();
    assert_eq!(unknown, ReceiveOutcome::Unknown);
    assert!(!store.group_refused(&digest(7)).await.unwrap());
    let tocs = store.redeal("a").await.unwrap().unwrap().1;
    assert_eq!((tocs[2].sealed.as_slice(), tocs[2].received_at), ([].as_slice(), Some(NOW + 2)), "dropped");

    assert_eq!(receive(&store, 1).await, ReceiveOutcome::Recorded { received: 2, completed: true });
    assert!(store.group_refused(&digest(7)).await.unwrap());
    assert!(!store.group_refused(&digest(8)).await.unwrap());
    assert_eq!(store.redeal("a").await.unwrap().unwrap().0.completed_at, Some(NOW + 2));
    let more = store.receive("a", 2, NOW + 9, event("received")).await.unwrap();
    assert_eq!(more, ReceiveOutcome::Recorded { received: 3, completed: true });
    assert_eq!(store.redeal("a").await.unwrap().unwrap().0.completed_at, Some(NOW + 2), "completed once");
    assert_eq!(kinds(&store, "a").await, ["asked", "redealt", "received", "received", "received"]);

    let running = store.take_code("running", 101, NOW, None, event("code")).await.unwrap();
    assert_eq!(running, CodeOutcome::GroupRefused);
    let again = store.take_code("running", 100, NOW, None, event("code")).await.unwrap();
    assert_eq!(again, CodeOutcome::GroupRefused, "not even the code of before");
    assert_eq!(store.insert_session(session("new")).await.unwrap(), InsertOutcome::GroupRefused);
    assert!(!finish(&store, "second", 2, 3).await, "nor can it be dealt anew a second time");
    let other = NewSession { group_fp: Some(digest(8)), ..session("other") };
    assert_eq!(store.insert_session(other).await.unwrap(), InsertOutcome::Inserted);
}

pub async fn a_receipt_counts_once_whoever_races(store: Store) {
    store.insert_session(redeal_session("a")).await.unwrap();
    assert!(finish(&store, "a", 4, 4).await);
    let outcomes =
        race(&store, |store, number| async move { receive(&store, u8::try_from(number % 4 + 1).unwrap()).await }).await;
    let mut recorded: Vec<_> = outcomes
        .iter()
        .filter_map(|outcome| match outcome {
            ReceiveOutcome::Recorded { received, completed } => Some((*received, *completed)),
            _ => None,
        })
        .collect();
    recorded.sort_unstable();
    assert_eq!(recorded, [(1, false), (2, false), (3, false), (4, true)]);
    assert!(store.group_refused(&digest(7)).await.unwrap());
}

pub async fn a_farmfa_group_has_nothing_to_refuse(store: Store) {
    store.insert_session(NewSession { group_fp: None, ..redeal_session("a") }).await.unwrap();
    let farmfa = NewRedeal { old_group: None, ..redeal(2) };
    assert!(done(store.finish_redeal("a", farmfa, sealed(2), event("redealt")).await.unwrap()));
    receive(&store, 1).await;
    assert_eq!(receive(&store, 2).await, ReceiveOutcome::Recorded { received: 2, completed: true });
    assert_eq!(store.redeal("a").await.unwrap().unwrap().0.completed_at, Some(NOW + 2));
    assert_eq!(
        store.insert_session(NewSession { group_fp: None, ..session("b") }).await.unwrap(),
        InsertOutcome::Inserted
    );
    assert!(matches!(
        store.take_code("b", 1, NOW, None, event("code")).await.unwrap(),
        CodeOutcome::Taken { codes: 1, .. }
    ));
}
