//! Drills: one of a group at a time, each player's answer once, an end that comes once, and proofs that outlive them.

use quorate_oracle::store::{
    AnswerOutcome, BeginOutcome, DrillEnd, NewDrill, NewDrillAnswer, NewNotice, NewTocProof, Store,
};

use crate::{
    RACERS,
    audit::{new as told, seeds},
    groups::group,
    rows::{HOUR, NOW, digest, race},
};

const END: i64 = NOW + 24 * HOUR;

/// A drill of the group of that seed.
fn drill(id: &str, seed: u8, size: u8) -> NewDrill {
    NewDrill {
        id: id.to_owned(),
        group: digest(seed),
        size,
        created_at: NOW,
        expires_at: END,
        remind_at: Some(END - HOUR),
        sealed: vec![seed; 70],
        told: told(seed),
    }
}

fn proof(seed: u8, x: u8, at: i64) -> NewTocProof {
    NewTocProof { group: digest(seed), x, at, sealed: format!("at {at}").into_bytes() }
}

/// Player `x`'s answer in the group of seed 1.
fn answer(id: &str, x: u8, at: i64) -> NewDrillAnswer {
    let (told, complete) = (told(x.wrapping_add(100)), told(200));
    NewDrillAnswer { id: id.to_owned(), sealed: vec![x; 64], proof: proof(1, x, at), told, complete }
}

async fn begin(store: &Store, id: &str, size: u8) {
    store.add_group(group(1)).await.unwrap();
    assert_eq!(store.begin_drill(drill(id, 1, size)).await.unwrap(), BeginOutcome::Begun);
}

pub async fn a_drill_comes_back_as_it_was_begun(store: Store) {
    assert_eq!(store.begin_drill(drill("a", 1, 3)).await.unwrap(), BeginOutcome::GroupGone);
    begin(&store, "a", 3).await;
    let read = store.drill("a").await.unwrap().unwrap();
    assert_eq!((read.id.as_str(), read.group, read.size, read.answered), ("a", digest(1), 3, 0));
    assert_eq!((read.created_at, read.expires_at, read.remind_at), (NOW, END, Some(END - HOUR)));
    assert_eq!((read.ended, read.sealed), (None, vec![1; 70]));
    assert_eq!(store.begin_drill(drill("b", 1, 3)).await.unwrap(), BeginOutcome::Running, "one at a time");
    assert!(store.drill("b").await.unwrap().is_none() && store.drill_report("b").await.unwrap().is_none());
    store.add_group(group(2)).await.unwrap();
    assert_eq!(store.begin_drill(drill("b", 2, 2)).await.unwrap(), BeginOutcome::Begun, "of another group");
    let ids = async |before, limit| {
        let page = store.drills_before(before, limit).await.unwrap();
        (page.iter().map(|row| row.id.clone()).collect::<Vec<_>>(), page.last().map_or(0, |row| row.number))
    };
    let (first, last) = ids(i64::MAX, 1).await;
    assert_eq!((first, ids(last, 9).await.0), (vec!["b".to_owned()], vec!["a".to_owned()]));
    assert_eq!(seeds(&store).await, [1, 2], "what was not begun is not told");
}

pub async fn a_group_has_one_drill_whoever_races(store: Store) {
    store.add_group(group(1)).await.unwrap();
    let outcomes =
        race(&store, async |store, number| store.begin_drill(drill(&number.to_string(), 1, 3)).await.unwrap()).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == BeginOutcome::Begun).count(), 1);
    assert_eq!(store.drills_before(i64::MAX, 100).await.unwrap().len(), 1);
}

pub async fn an_answer_counts_once_whoever_races(store: Store) {
    begin(&store, "a", 3).await;
    let outcomes = race(&store, async |store, _| store.answer_drill(answer("a", 2, NOW + 1)).await.unwrap()).await;
    let counted = |wanted| outcomes.iter().filter(|outcome| **outcome == wanted).count();
    assert_eq!(counted(AnswerOutcome::Recorded { complete: false }), 1);
    assert_eq!(counted(AnswerOutcome::Already), RACERS - 1);
    let (row, answers, proofs) = store.drill_report("a").await.unwrap().unwrap();
    assert_eq!((row.answered, row.ended), (1, None));
    assert_eq!(
        answers.iter().map(|row| (row.x, row.at, row.sealed.clone())).collect::<Vec<_>>(),
        [(2, NOW + 1, vec![2; 64])]
    );
    assert_eq!(proofs.iter().map(|row| (row.x, row.at)).collect::<Vec<_>>(), [(2, NOW + 1)]);
    assert_eq!(seeds(&store).await, [1, 102]);
    assert_eq!(store.answer_drill(answer("b", 2, NOW)).await.unwrap(), AnswerOutcome::Unknown);
}

pub async fn the_last_answer_ends_the_drill_whoever_races(store: Store) {
    begin(&store, "a", u8::try_from(RACERS).unwrap()).await;
    let outcomes = race(&store, async |store, number| {
        store.answer_drill(answer("a", u8::try_from(number + 1).unwrap(), NOW + 1)).await.unwrap()
    })
    .await;
    let last = outcomes.iter().filter(|outcome| **outcome == AnswerOutcome::Recorded { complete: true }).count();
    assert_eq!(last, 1, "{outcomes:?}");
    let row = store.drill("a").await.unwrap().unwrap();
    assert_eq!((row.ended, row.remind_at), (Some((NOW + 1, DrillEnd::Complete)), None));
    let mut told = seeds(&store).await;
    told.retain(|seed| *seed == 200);
    assert_eq!(told, [200]);
    let over = store.answer_drill(answer("a", 200, NOW + 2)).await.unwrap();
    assert_eq!(over, AnswerOutcome::Over(DrillEnd::Complete));
    assert_eq!(store.begin_drill(drill("b", 1, 3)).await.unwrap(), BeginOutcome::Begun, "there may be the next one");
}

pub async fn nobody_answers_what_is_over(store: Store) {
    begin(&store, "a", 3).await;
    assert_eq!(store.answer_drill(answer("a", 1, END)).await.unwrap(), AnswerOutcome::Over(DrillEnd::Expired));
    assert_eq!(store.answer_drill(answer("a", 1, END - 1)).await.unwrap(), AnswerOutcome::Recorded { complete: false });
    assert!(!store.end_drill("a", DrillEnd::Expired, END - 1, told(50)).await.unwrap(), "not before its time");
    assert!(store.end_drill("a", DrillEnd::Closed, END - 1, told(51)).await.unwrap());
    assert!(!store.end_drill("a", DrillEnd::Closed, END - 1, told(52)).await.unwrap(), "once");
    assert!(!store.end_drill("a", DrillEnd::Expired, END, told(53)).await.unwrap());
    assert!(!store.end_drill("b", DrillEnd::Closed, END, told(54)).await.unwrap(), "there is none");
    assert_eq!(store.answer_drill(answer("a", 2, END - 1)).await.unwrap(), AnswerOutcome::Over(DrillEnd::Closed));
    assert_eq!(store.drill("a").await.unwrap().unwrap().ended, Some((END - 1, DrillEnd::Closed)));
    assert_eq!(seeds(&store).await, [1, 101, 51]);
}

pub async fn what_is_due_is_reminded_of_and_ended_once(store: Store) {
    begin(&store, "a", 3).await;
    let due = async |now| {
        let due = store.due_drills(now, 9).await.unwrap();
        due.into_iter().map(|row| row.id).collect::<Vec<_>>()
    };
    let none: [&str; 0] = [];
    assert_eq!(due(END - HOUR - 1).await, none);
    assert_eq!(due(END - HOUR).await, ["a"]);
    let outcomes = race(&store, async |store, number| {
        let notice = NewNotice { id: [1; 16], target: digest(9), at: NOW, sealed: vec![u8::try_from(number).unwrap()] };
        store.remind_of_drill("a", END - HOUR, Some(END - 60_000), vec![notice]).await.unwrap()
    })
    .await;
    assert_eq!(outcomes.iter().filter(|moved| **moved).count(), 1);
    assert_eq!(store.waiting_notices().await.unwrap().values().sum::<i64>(), 1);
    assert_eq!((due(END - HOUR).await, due(END - 60_000).await), (Vec::new(), vec!["a".to_owned()]));
    assert!(store.remind_of_drill("a", END - 60_000, None, Vec::new()).await.unwrap());
    assert_eq!((due(END - 1).await, due(END).await), (Vec::new(), vec!["a".to_owned()]));
    let ended = race(&store, async |store, _| store.end_drill("a", DrillEnd::Expired, END, told(50)).await.unwrap());
    assert_eq!(ended.await.into_iter().filter(|ended| *ended).count(), 1);
    assert_eq!(due(END).await, none);
    assert!(!store.remind_of_drill("a", END, None, Vec::new()).await.unwrap(), "it is over");
}

pub async fn proofs_outlive_drills_and_go_with_their_group(store: Store) {
    begin(&store, "a", 2).await;
    store.answer_drill(answer("a", 1, NOW + 5)).await.unwrap();
    store.end_drill("a", DrillEnd::Closed, NOW + 6, told(50)).await.unwrap();
    assert_eq!(store.forget_drills(NOW + 6, 9).await.unwrap(), 0);
    assert_eq!(store.forget_drills(NOW + 7, 9).await.unwrap(), 1);
    assert!(store.drill("a").await.unwrap().is_none());

    for (x, at) in [(1, NOW + 4), (2, NOW + 8), (2, NOW + 9), (2, NOW + 7)] {
        store.note_toc_proof(proof(1, x, at)).await.unwrap();
    }
    store.note_toc_proof(proof(3, 1, NOW)).await.unwrap();
    begin(&store, "b", 2).await;
    let proofs = async |id: &str| {
        let (.., proofs) = store.drill_report(id).await.unwrap().unwrap();
        proofs.into_iter().map(|row| (row.x, row.at, String::from_utf8(row.sealed).unwrap())).collect::<Vec<_>>()
    };
    let expected = [(1, NOW + 5), (2, NOW + 9)].map(|(x, at)| (x, at, format!("at {at}")));
    assert_eq!(proofs("b").await, expected, "an older proof changes nothing");
    store.add_group(group(3)).await.unwrap();
    store.begin_drill(drill("c", 3, 2)).await.unwrap();
    assert!(proofs("c").await.is_empty(), "of a group that was not known nothing was noted");

    assert!(store.remove_group(&digest(1), None).await.unwrap());
    assert!(store.drill("b").await.unwrap().is_none());
    begin(&store, "d", 2).await;
    assert!(proofs("d").await.is_empty(), "a group that is added again begins anew");
}
