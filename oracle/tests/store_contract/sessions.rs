//! Sessions, events, notices, settings.

use std::collections::BTreeSet;

use quorate_oracle::store::{ClosedAs, InsertOutcome, NewSession, Once, Purpose, SessionOverview, Store};

use crate::rows::{HOUR, NOW, TTL, digest, event, kinds, proved, race, session, unproved};

pub async fn a_session_comes_back_as_it_was_put(store: Store) {
    let new = NewSession { max_codes: Some(3), first_toc: Some(unproved(9)), ..session("a") };
    assert_eq!(store.insert_session(new).await.unwrap(), InsertOutcome::Inserted);
    let bare = NewSession { purpose: Purpose::Redeal, group_fp: None, ..session("b") };
    assert_eq!(store.insert_session(bare).await.unwrap(), InsertOutcome::Inserted);

    let (row, tocs) = store.session_with_tocs("a").await.unwrap().unwrap();
    assert_eq!(store.session("a").await.unwrap().as_ref(), Some(&row));
    assert_eq!((row.id.as_str(), row.purpose, row.ttl), ("a", Purpose::Code, TTL));
    assert_eq!((row.created_at, row.expires_at, row.ends_at), (NOW, NOW + HOUR, NOW + HOUR));
    assert_eq!((row.source, row.group_fp), (digest(1), Some(digest(7))));
    assert_eq!((row.cancel_hash, row.view_hash), (digest(2), digest(3)));
    assert_eq!((row.max_codes, row.sealed.as_slice()), (Some(3), b"sealed session".as_slice()));
    assert_eq!((row.first_code_at, row.last_step, row.codes, row.failures), (None, None, 0, 0));
    assert_eq!((row.closed_at, row.closed_as), (None, None));
    assert_eq!(tocs.len(), 1);
    assert_eq!((tocs[0].digest, tocs[0].x, tocs[0].proved, tocs[0].at), (digest(9), None, false, NOW));
    assert_eq!(tocs[0].sealed, vec![9; 100]);

    let row = store.session("b").await.unwrap().unwrap();
    assert_eq!((row.purpose, row.group_fp, row.max_codes), (Purpose::Redeal, None, None));
    assert_eq!(store.open_sessions().await.unwrap(), 2);
    assert!(store.insert_session(session("a")).await.is_err(), "the same id twice");
    assert_eq!(store.open_sessions().await.unwrap(), 2, "what failed is not counted");
}

pub async fn open_sessions_come_newest_first_and_in_parts(store: Store) {
    for number in 0..5 {
        store.insert_session(session(&format!("s{number}"))).await.unwrap();
    }
    store.close("s3", ClosedAs::Cancelled, NOW, event("cancelled")).await.unwrap();
    let ids =
        |part: &[(i64, SessionOverview)]| part.iter().map(|(_, overview)| overview.row.id.clone()).collect::<Vec<_>>();
    let first = store.sessions_before(i64::MAX, 2).await.unwrap();
    assert_eq!(ids(&first), ["s4", "s2"], "what is closed is left out");
    let rest = store.sessions_before(first[1].0, 10).await.unwrap();
    assert_eq!(ids(&rest), ["s1", "s0"]);
    assert_eq!(ids(&store.sessions_before(rest[1].0, 10).await.unwrap()), [] as [&str; 0]);
    assert_eq!(ids(&store.sessions_before(i64::MIN, 10).await.unwrap()), [] as [&str; 0]);
    let overview = store.session_overview("s4").await.unwrap().unwrap();
    assert_eq!(first[0].1.row, overview.row);
    assert_eq!((first[0].1.proved, first[0].1.denials), (overview.proved, overview.denials));
}

pub async fn an_unknown_session_is_none(store: Store) {
    assert_eq!(store.session("none").await.unwrap(), None);
    assert_eq!(store.session_with_tocs("none").await.unwrap(), None);
    assert_eq!(store.session_overview("none").await.unwrap(), None);
    assert_eq!(store.redeal("none").await.unwrap(), None);
    assert_eq!(store.events_after("none", 0, 10).await.unwrap(), []);
    assert!(!store.close("none", ClosedAs::Cancelled, NOW, event("cancelled")).await.unwrap());
    assert_eq!(store.drop_tocs("none", vec![digest(1)], NOW, event("dropped")).await.unwrap(), 0);
    assert_eq!(store.record_failure("none", 16, NOW, event("failed")).await.unwrap(), 0);
}

pub async fn a_proof_of_creation_serves_once(store: Store) {
    let outcomes = race(&store, |store, number| async move {
        let once = Some(Once { digest: digest(5), expires_at: NOW + HOUR });
        store.insert_session(NewSession { once, ..session(&format!("s{number}")) }).await.unwrap()
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == InsertOutcome::Inserted).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == InsertOutcome::Replayed).count(), outcomes.len() - 1);
    assert_eq!(store.open_sessions().await.unwrap(), 1, "a replay leaves no trace");
}

pub async fn a_source_has_so_many_sessions_and_no_more(store: Store) {
    let outcomes = race(&store, |store, number| async move {
        store.insert_session(NewSession { source_cap: 10, ..session(&format!("s{number}")) }).await.unwrap()
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == InsertOutcome::Inserted).count(), 10);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == InsertOutcome::SourceFull).count(), outcomes.len() - 10);
    assert_eq!(store.open_sessions().await.unwrap(), 10);

    let other = NewSession { source: digest(99), source_cap: 10, ..session("other") };
    assert_eq!(store.insert_session(other).await.unwrap(), InsertOutcome::Inserted);
    let none = NewSession { source: digest(98), source_cap: 0, ..session("none") };
    assert_eq!(store.insert_session(none).await.unwrap(), InsertOutcome::SourceFull);
    assert_eq!(store.session("none").await.unwrap(), None);

    let open = outcomes.iter().position(|outcome| *outcome == InsertOutcome::Inserted).unwrap();
    assert!(store.close(&format!("s{open}"), ClosedAs::Cancelled, NOW, event("cancelled")).await.unwrap());
    let next = NewSession { source_cap: 10, ..session("next") };
    assert_eq!(store.insert_session(next).await.unwrap(), InsertOutcome::Inserted, "closing one makes room");
}

pub async fn a_full_source_does_not_use_up_the_proof(store: Store) {
    let once = || Some(Once { digest: digest(5), expires_at: NOW + HOUR });
    let full = NewSession { once: once(), source_cap: 0, ..session("a") };
    assert_eq!(store.insert_session(full).await.unwrap(), InsertOutcome::SourceFull);
    let again = NewSession { once: once(), ..session("a") };
    assert_eq!(store.insert_session(again).await.unwrap(), InsertOutcome::Inserted);
}

pub async fn closing_leaves_the_stub_alone(store: Store) {
    store.insert_session(NewSession { first_toc: Some(proved(9, 1)), ..session("a") }).await.unwrap();
    let outcomes = race(&store, |store, _| async move {
        store.close("a", ClosedAs::Cancelled, NOW + 5, event("cancelled")).await.unwrap()
    })
    .await;
    assert_eq!(outcomes.into_iter().filter(|closed| *closed).count(), 1);

    let (row, tocs) = store.session_with_tocs("a").await.unwrap().unwrap();
    assert_eq!((row.closed_at, row.closed_as), (Some(NOW + 5), Some(ClosedAs::Cancelled)));
    assert_eq!((row.sealed, tocs), (Vec::new(), Vec::new()));
    assert_eq!(kinds(&store, "a").await, ["asked", "cancelled"]);
    assert_eq!(store.open_sessions().await.unwrap(), 0);
}

pub async fn events_are_numbered_without_gaps(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    store.insert_session(session("b")).await.unwrap();
    race(&store, |store, number| async move {
        let x = u8::try_from(number + 1).unwrap();
        store.deny("a", x, NOW + 1, event("denied")).await.unwrap()
    })
    .await;
    let events = store.events_after("a", 0, 1_000).await.unwrap();
    assert_eq!(events.iter().map(|event| event.seq).collect::<Vec<_>>(), (1..=65).collect::<Vec<_>>());
    assert_eq!((events[0].kind.as_str(), events[0].at), ("asked", NOW));
    assert_eq!((events[64].kind.as_str(), events[64].at), ("denied", NOW + 1));
    assert_eq!(events[64].sealed, b"sealed denied");
    let page = store.events_after("a", 10, 5).await.unwrap();
    assert_eq!(page.iter().map(|event| event.seq).collect::<Vec<_>>(), [11, 12, 13, 14, 15]);
    assert_eq!(store.events_after("a", 65, 10).await.unwrap(), []);
    assert_eq!(store.events_after("b", 0, 10).await.unwrap().len(), 1, "each session counts for itself");
}

pub async fn watchers_hear_of_changes_after_the_commit(store: Store) {
    let mut notices = store.notices();
    store.insert_session(session("a")).await.unwrap();
    assert_eq!(&*notices.recv().await.unwrap(), "a");
    assert!(store.session("a").await.unwrap().is_some(), "whoever hears of it can see it");

    store.session("a").await.unwrap();
    store.drop_tocs("a", vec![digest(1)], NOW, event("dropped")).await.unwrap();
    assert!(store.insert_session(session("a")).await.is_err());
    store.put_toc("a", proved(1, 1), NOW, 8, event("joined")).await.unwrap();
    store.put_toc("a", proved(1, 1), NOW, 8, event("joined")).await.unwrap();
    store.sweep(NOW + HOUR, HOUR, HOUR, 10, None).await.unwrap();
    let mut heard = Vec::new();
    while let Ok(id) = notices.try_recv() {
        heard.push(id.to_string());
    }
    assert_eq!(heard, ["a", "a"], "a Toc and the end; not what was read, failed or changed nothing");
}

pub async fn a_setting_keeps_its_first_value(store: Store) {
    assert_eq!(store.setting("identity").await.unwrap(), None);
    let in_force: BTreeSet<_> = race(&store, |store, number| async move {
        store.put_setting_if_absent("identity", vec![u8::try_from(number).unwrap()]).await.unwrap()
    })
    .await
    .into_iter()
    .collect();
    assert_eq!(in_force.len(), 1, "everybody is told the same value");
    assert_eq!(store.setting("identity").await.unwrap(), in_force.first().cloned());
}

pub async fn the_store_answers_a_ping(store: Store) {
    store.ping().await.unwrap();
}
