//! Expiry that really happens, and what is removed when.

use proptest::{
    prelude::prop,
    strategy::{Strategy, ValueTree},
    test_runner::TestRunner,
};
use quorate_oracle::store::{ClosedAs, InsertOutcome, NewSession, Once, RedealOutcome, Store, Swept};

use crate::rows::{HOUR, NOW, TTL, digest, event, kinds, proved, redeal, redeal_session, session};

const GRACE: i64 = 10_000;
const KEEP: i64 = 5_000 * HOUR;

async fn sweep(store: &Store, now: i64) -> (u64, u64) {
    let swept = store.sweep(now, GRACE, KEEP, 100, None).await.unwrap();
    assert!(!swept.more);
    (swept.expired, swept.deleted)
}

pub async fn what_is_past_its_time_expires(store: Store) {
    store.insert_session(NewSession { first_toc: Some(proved(1, 1)), ..session("a") }).await.unwrap();
    assert_eq!(sweep(&store, NOW + HOUR - 1).await, (0, 0));
    assert_eq!(sweep(&store, NOW + HOUR).await, (1, 0));
    assert_eq!(sweep(&store, NOW + HOUR).await, (0, 0));
    let (row, tocs) = store.session_with_tocs("a").await.unwrap().unwrap();
    assert_eq!((row.closed_at, row.closed_as), (Some(NOW + HOUR), Some(ClosedAs::Expired)));
    assert_eq!((row.sealed, tocs), (Vec::new(), Vec::new()));
    assert_eq!(kinds(&store, "a").await, ["asked"]);
    assert_eq!(store.open_sessions().await.unwrap(), 0);
}

pub async fn a_first_code_moves_the_end(store: Store) {
    for id in ["early", "late"] {
        store.insert_session(session(id)).await.unwrap();
    }
    store.take_code("early", 1, NOW, None, event("code")).await.unwrap();
    store.take_code("late", 1, NOW + HOUR - 1, None, event("code")).await.unwrap();
    assert_eq!(sweep(&store, NOW + TTL * 1_000 - 1).await, (0, 0));
    assert_eq!(sweep(&store, NOW + TTL * 1_000).await, (1, 0));
    assert_eq!(store.session("early").await.unwrap().unwrap().closed_as, Some(ClosedAs::Expired));
    assert_eq!(sweep(&store, NOW + HOUR).await, (0, 1), "the early one is removed, the late one has time left");
    assert_eq!(sweep(&store, NOW + HOUR - 1 + TTL * 1_000).await, (1, 0));
}

pub async fn what_is_closed_is_removed_after_its_grace(store: Store) {
    store.insert_session(session("a")).await.unwrap();
    store.deny("a", 1, NOW, event("denied")).await.unwrap();
    store.close("a", ClosedAs::Cancelled, NOW, event("cancelled")).await.unwrap();
    assert_eq!(sweep(&store, NOW + GRACE - 1).await, (0, 0));
    assert!(store.session("a").await.unwrap().is_some());
    assert_eq!(sweep(&store, NOW + GRACE).await, (0, 1));
    assert_eq!(store.session("a").await.unwrap(), None);
    assert_eq!(store.events_after("a", 0, 10).await.unwrap(), []);
    assert_eq!(store.insert_session(session("a")).await.unwrap(), InsertOutcome::Inserted, "nothing of it is left");
    assert_eq!(store.session_overview("a").await.unwrap().unwrap().denials, 0);
}

pub async fn a_redeal_stays_until_everybody_has_received(store: Store) {
    store.insert_session(redeal_session("a")).await.unwrap();
    let tocs = vec![(1, vec![1]), (2, vec![2]), (3, vec![3])];
    assert_eq!(store.finish_redeal("a", redeal(2), tocs, event("redealt")).await.unwrap(), RedealOutcome::Stored);
    for x in [1, 2] {
        store.receive("a", x, NOW + 1, event("received")).await.unwrap();
        assert_eq!(sweep(&store, NOW + 1_000 * HOUR).await, (0, 0));
    }
    store.receive("a", 3, NOW + 2, event("received")).await.unwrap();
    assert_eq!(sweep(&store, NOW + 1_000 * HOUR).await, (0, 1));
    assert_eq!(store.redeal("a").await.unwrap(), None);
    assert!(store.group_refused(&digest(7)).await.unwrap(), "a refusal outlives its session");
}

pub async fn a_redeal_that_nobody_fetches_takes_a_place_of_its_source_until_it_is_gone(store: Store) {
    let new = |id| NewSession { source_cap: 1, ..redeal_session(id) };
    store.insert_session(new("a")).await.unwrap();
    let tocs = vec![(1, vec![1]), (2, vec![2]), (3, vec![3])];
    assert_eq!(store.finish_redeal("a", redeal(3), tocs, event("redealt")).await.unwrap(), RedealOutcome::Stored);
    store.receive("a", 1, NOW + 2, event("received")).await.unwrap();
    assert_eq!(store.insert_session(new("b")).await.unwrap(), InsertOutcome::SourceFull);
    assert_eq!(sweep(&store, NOW + KEEP).await, (0, 0));
    assert_eq!(sweep(&store, NOW + 1 + KEEP).await, (0, 1), "done at NOW + 1");
    assert_eq!(store.redeal("a").await.unwrap(), None);
    assert!(!store.group_refused(&digest(7)).await.unwrap(), "the old group stays");
    assert_eq!(store.insert_session(new("b")).await.unwrap(), InsertOutcome::Inserted);

    assert_eq!(
        store.finish_redeal("b", redeal(1), vec![(1, vec![1])], event("redealt")).await.unwrap(),
        RedealOutcome::Stored
    );
    store.receive("b", 1, NOW + 2, event("received")).await.unwrap();
    let other_group = NewSession { group_fp: Some(digest(9)), ..new("c") };
    assert_eq!(store.insert_session(other_group).await.unwrap(), InsertOutcome::Inserted, "all received");
}

pub async fn proofs_are_forgotten_when_they_have_expired(store: Store) {
    let new = |id| NewSession { once: Some(Once { digest: digest(5), expires_at: NOW + 5 }), ..session(id) };
    store.insert_session(new("a")).await.unwrap();
    sweep(&store, NOW + 4).await;
    assert_eq!(store.insert_session(new("b")).await.unwrap(), InsertOutcome::Replayed);
    sweep(&store, NOW + 5).await;
    assert_eq!(store.insert_session(new("b")).await.unwrap(), InsertOutcome::Inserted);
}

pub async fn a_round_is_bounded_and_says_that_there_is_more(store: Store) {
    for number in 0..5 {
        store.insert_session(session(&format!("s{number}"))).await.unwrap();
    }
    let late = NOW + HOUR;
    for (expired, more) in [(2, true), (2, true), (1, false)] {
        assert_eq!(store.sweep(late, GRACE, KEEP, 2, None).await.unwrap(), Swept { expired, deleted: 0, more });
    }
    for (deleted, more) in [(2, true), (2, true), (1, false)] {
        assert_eq!(store.sweep(late + GRACE, GRACE, KEEP, 2, None).await.unwrap(), Swept { expired: 0, deleted, more });
    }
}

/// Whatever opens and closes sessions in whatever order, a source can open as many more as its cap leaves.
pub async fn sources_count_right_whatever_happens(store: Store) {
    const CAP: i64 = 4;
    let acts = prop::collection::vec((0_u8..6, 0_u8..2, 0_usize..8), 60..61);
    let acts = acts.new_tree(&mut TestRunner::deterministic()).unwrap().current();
    let mut open: [Vec<String>; 2] = [Vec::new(), Vec::new()];
    let mut now = NOW;
    for (number, (act, source, which)) in acts.into_iter().enumerate() {
        now += 1;
        let mine = &mut open[usize::from(source)];
        let id = format!("s{number}");
        if act < 3 {
            let new = NewSession {
                source: digest(source),
                source_cap: CAP,
                max_codes: Some(1),
                expires_at: now + HOUR,
                ..session(&id)
            };
            let room = mine.len() < usize::try_from(CAP).unwrap();
            let outcome = store.insert_session(new).await.unwrap();
            assert_eq!(outcome, if room { InsertOutcome::Inserted } else { InsertOutcome::SourceFull });
            if room {
                mine.push(id);
            }
        } else if !mine.is_empty() {
            let id = mine.remove(which % mine.len());
            match act {
                3 => assert!(store.close(&id, ClosedAs::Cancelled, now, event("cancelled")).await.unwrap()),
                4 => assert_eq!(store.record_failure(&id, 1, now, event("failed")).await.unwrap(), 1),
                _ => {
                    store.take_code(&id, 1, now, None, event("code")).await.unwrap();
                    store.take_code(&id, 2, now, None, event("code")).await.unwrap();
                }
            }
            assert!(store.session(&id).await.unwrap().unwrap().closed_at.is_some());
        }
        let all = open.iter().map(Vec::len).sum::<usize>();
        assert_eq!(store.open_sessions().await.unwrap(), i64::try_from(all).unwrap());
    }
    store.sweep(now + 2 * HOUR, GRACE, KEEP, 1_000, None).await.unwrap();
    assert_eq!(store.open_sessions().await.unwrap(), 0);
}
