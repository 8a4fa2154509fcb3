//! The audit log: an event is written with its act or not at all, and has one number whoever numbers.

use quorate_oracle::store::{AuditHead, NewAudit, NumberedAudit, NumberedRow, PendingAudit, Store};

use crate::rows::{HOUR, NOW, event, race_among, session};

pub fn new(seed: u8) -> NewAudit {
    NewAudit { id: [seed; 16], sealed: vec![seed; 40], notices: Vec::new() }
}

async fn waiting(store: &Store) -> Vec<PendingAudit> {
    store.pending_audit(1_000).await.unwrap().1
}

pub async fn seeds(store: &Store) -> Vec<u8> {
    waiting(store).await.iter().map(|pending| pending.id[0]).collect()
}

/// What numbers `pending` on top of a head of so many rows.
fn numbered(previous: i64, pending: &[PendingAudit], by: u8) -> NumberedAudit {
    let rows: Vec<_> = (previous + 1..)
        .zip(pending)
        .map(|(number, pending)| (pending.place, NumberedRow { number, hash: [by; 32], sealed: pending.id.clone() }))
        .collect();
    let size = previous + i64::try_from(rows.len()).unwrap();
    let head = AuditHead { size, previous, frontier: vec![by; 32], note: format!("by {by}").into_bytes() };
    NumberedAudit { head, rows }
}

pub async fn events_wait_in_order_until_they_are_numbered(store: Store) {
    assert!(store.audit_head().await.unwrap().is_none());
    store.append_audit(Vec::new()).await.unwrap();
    store.append_audit(vec![new(1), new(2)]).await.unwrap();
    store.append_audit(vec![new(3)]).await.unwrap();
    assert_eq!(seeds(&store).await, [1, 2, 3]);
    let (head, two) = store.pending_audit(2).await.unwrap();
    assert!(head.is_none() && two.len() == 2);

    let first = numbered(0, &two, 1);
    assert!(store.number_audit(first.clone()).await.unwrap());
    assert_eq!(seeds(&store).await, [3]);
    assert_eq!(store.audit_head().await.unwrap(), Some(first.head.clone()));
    let second = numbered(2, &waiting(&store).await, 2);
    assert!(store.number_audit(second.clone()).await.unwrap());
    assert!(seeds(&store).await.is_empty());

    let (rows, heads) = store.audit_after(0, 100).await.unwrap();
    assert_eq!(rows.iter().map(|row| (row.number, row.sealed[0])).collect::<Vec<_>>(), [(1, 1), (2, 2), (3, 3)]);
    assert_eq!(heads, [AuditHead { frontier: Vec::new(), ..first.head }, second.head]);
}

pub async fn a_page_has_the_heads_of_its_rows(store: Store) {
    for size in 0..6 {
        store.append_audit(vec![new(7)]).await.unwrap();
        assert!(store.number_audit(numbered(size, &waiting(&store).await, 1)).await.unwrap());
    }
    let page = async |after, limit| {
        let (rows, heads) = store.audit_after(after, limit).await.unwrap();
        let rows: Vec<_> = rows.iter().map(|row| row.number).collect();
        (rows, heads.iter().map(|head| head.size).collect::<Vec<_>>())
    };
    assert_eq!(page(0, 2).await, (vec![1, 2], vec![1, 2]));
    assert_eq!(page(2, 3).await, (vec![3, 4, 5], vec![3, 4, 5]));
    assert_eq!(page(5, 3).await, (vec![6], vec![6]));
    assert_eq!(page(6, 3).await, (vec![], vec![]));
    let (rows, _) = store.audit_after(2, 2).await.unwrap();
    let hashes: Vec<_> = rows.iter().map(|row| (row.number, row.hash.clone())).collect();
    assert_eq!(store.audit_hashes(2, 2).await.unwrap(), hashes);
    assert_eq!(store.audit_hashes(6, 2).await.unwrap(), []);
}

pub async fn from_one_head_one_goes_on(store: Store) {
    one_numbering_wins(std::slice::from_ref(&store)).await;
}

/// On several nodes at once.
pub async fn one_numbering_wins(nodes: &[Store]) {
    nodes[0].append_audit((1..=9).map(new).collect()).await.unwrap();
    let outcomes = race_among(nodes, |node, number| async move {
        // Some see fewer of them.
        let (head, pending) = node.pending_audit(1 + i64::try_from(number % 9).unwrap()).await.unwrap();
        if head.is_some() {
            return false;
        }
        node.number_audit(numbered(0, &pending, 1)).await.unwrap()
    })
    .await;
    assert_eq!(outcomes.iter().filter(|won| **won).count(), 1);
    let (rows, heads) = nodes[0].audit_after(0, 100).await.unwrap();
    assert_eq!(heads.len(), 1);
    let left = waiting(&nodes[0]).await;
    assert_eq!(rows.len() + left.len(), 9, "none is lost, none is there twice");
    assert_eq!(rows.iter().map(|row| row.number).collect::<Vec<_>>(), (1..=heads[0].size).collect::<Vec<_>>());
}

pub async fn an_event_is_written_with_its_act_or_not_at_all(store: Store) {
    let told = |seed| event("x").recorded(new(seed));
    let asked = |id, seed, source_cap| {
        let mut new = session(id);
        (new.event, new.source_cap) = (told(seed), source_cap);
        new
    };
    store.insert_session(asked("a", 1, 1)).await.unwrap();
    // Refused: the source is full.
    store.insert_session(asked("b", 2, 1)).await.unwrap();
    assert_eq!(seeds(&store).await, [1]);
    // Fails in the middle: there is such a session.
    store.insert_session(asked("a", 3, 9)).await.unwrap_err();
    assert_eq!(seeds(&store).await, [1]);

    store.deny("a", 1, NOW, told(4)).await.unwrap();
    store.deny("a", 1, NOW, told(5)).await.unwrap();
    store.take_code("a", 7, NOW, None, told(6)).await.unwrap();
    store.take_code("a", 7, NOW, None, told(7)).await.unwrap();
    assert_eq!(seeds(&store).await, [1, 4, 6], "what changed nothing is no event");
}

pub async fn what_expires_is_told_once(store: Store) {
    for id in ["a", "b"] {
        store.insert_session(session(id)).await.unwrap();
    }
    let tell: quorate_oracle::store::Tell = std::sync::Arc::new(|id, source| {
        assert_eq!(source, &[1; 32]);
        (id == "a").then(|| new(8))
    });
    for _ in 0..2 {
        store.sweep(NOW + HOUR, HOUR, HOUR, 10, Some(tell.clone())).await.unwrap();
    }
    assert_eq!(seeds(&store).await, [8]);
}
