//! Groups that operators have added, and who stands for their holders: each group once, each holder one principal and each
//! principal one holder, all at once or not at all.

use quorate_oracle::store::{
    Acting, AddGroupOutcome, Asking, ChangeOutcome, DamagedRow, GroupMembersOutcome, InsertOutcome, Login, NewApproval,
    NewGroup, NewGroupMember, NewRedeal, NewSession, NewToc, Once, RedealOutcome, Role, Standing, Store, TocOutcome,
};

use crate::{
    RACERS,
    logins::logged_in,
    people::{named, user},
    rows::{HOUR, NOW, digest, event, proved, race, race_among, redeal, redeal_session, session},
};

/// A group whose G is the digest of that seed.
pub fn group(seed: u8) -> NewGroup {
    NewGroup { group: digest(seed), added_at: NOW, sealed: vec![seed; 80], told: None }
}

/// The user of seed `principal` as the holder of number `x`.
pub fn member(x: u8, principal: u8) -> NewGroupMember {
    NewGroupMember { x, principal: digest(principal), bound: named(x) }
}

async fn members(store: &Store, seed: u8) -> Vec<(u8, u8)> {
    let members = store.group_members(&digest(seed)).await.unwrap().whole;
    assert!(members.iter().all(|row| row.bound == named(row.x)));
    members.iter().map(|row| (row.x, row.principal.id[0])).collect()
}

pub async fn a_group_comes_back_as_it_was_added(store: Store) {
    assert!(store.group(&digest(1)).await.unwrap().is_none());
    for seed in [2, 1, 3] {
        assert_eq!(store.add_group(group(seed)).await.unwrap(), AddGroupOutcome::Added);
    }
    let again = NewGroup { sealed: Vec::new(), ..group(1) };
    assert_eq!(store.add_group(again).await.unwrap(), AddGroupOutcome::Known);
    let read = store.group(&digest(1)).await.unwrap().unwrap();
    assert_eq!((read.group, read.added_at, read.sealed, read.replaced), (digest(1), NOW, vec![1; 80], false));
    let seeds = async |after, limit| {
        let page = store.groups_after(after, limit).await.unwrap();
        (page.iter().map(|row| row.group[0]).collect::<Vec<_>>(), page.last().map_or(0, |row| row.number))
    };
    let (first, last) = seeds(0, 2).await;
    assert_eq!((first, seeds(last, 2).await.0), (vec![2, 1], vec![3]));
    assert!(store.remove_group(&digest(2), None).await.unwrap());
    assert!(!store.remove_group(&digest(2), None).await.unwrap());
    assert_eq!(seeds(0, 9).await.0, [1, 3]);
}

pub async fn a_group_is_added_once_whoever_races(store: Store) {
    let outcomes = race(&store, async |store, _| store.add_group(group(1)).await.unwrap()).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == AddGroupOutcome::Added).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == AddGroupOutcome::Known).count(), RACERS - 1);
}

pub async fn who_stands_for_whom_is_set_at_once_or_not_at_all(store: Store) {
    store.add_group(group(1)).await.unwrap();
    store.add_group(group(2)).await.unwrap();
    for seed in 10..14 {
        user(&store, seed, Role::Member).await;
    }
    let set = async |seed, members: Vec<_>| store.set_group_members(&digest(seed), members, None).await.unwrap();
    assert_eq!(set(1, vec![member(2, 11), member(1, 10)]).await, GroupMembersOutcome::Changed);
    assert_eq!(members(&store, 1).await, [(1, 10), (2, 11)]);
    assert_eq!(set(1, vec![member(1, 12), member(3, 99)]).await, GroupMembersOutcome::PrincipalGone);
    assert_eq!(set(9, vec![member(1, 10)]).await, GroupMembersOutcome::GroupGone);
    assert_eq!(members(&store, 1).await, [(1, 10), (2, 11)], "nothing of a refused change is written");
    assert_eq!(set(1, vec![member(1, 11), member(2, 10)]).await, GroupMembersOutcome::Changed, "they change places");
    assert_eq!(set(2, vec![member(9, 10)]).await, GroupMembersOutcome::Changed, "in another group");
    let standing = async |seed, principal| store.standing(&digest(seed), &digest(principal)).await.unwrap();
    assert_eq!(standing(1, 10).await, Standing::Holder { x: 2, bound: named(2) });
    assert_eq!(standing(2, 10).await, Standing::Holder { x: 9, bound: named(9) });
    assert_eq!(standing(1, 12).await, Standing::Stranger);
    assert_eq!(standing(3, 10).await, Standing::UnknownGroup);

    assert_eq!(store.remove_principal(&digest(10), Vec::new(), None).await.unwrap(), ChangeOutcome::Changed);
    assert_eq!((members(&store, 1).await, members(&store, 2).await), (vec![(1, 11)], vec![]));
    assert!(store.remove_group(&digest(1), None).await.unwrap());
    assert_eq!(standing(1, 11).await, Standing::UnknownGroup);
    store.add_group(group(1)).await.unwrap();
    assert!(members(&store, 1).await.is_empty(), "a group that is added again begins anew");
}

pub async fn one_of_many_changes_stands_whoever_races(store: Store) {
    store.add_group(group(1)).await.unwrap();
    let racers = u8::try_from(RACERS).unwrap();
    for seed in 0..racers {
        user(&store, seed + 100, Role::Member).await;
    }
    let outcomes = race(&store, async |store, number| {
        let own = u8::try_from(number).unwrap() + 100;
        let other = 100 + (own - 99) % u8::try_from(RACERS).unwrap();
        store.set_group_members(&digest(1), vec![member(1, own), member(2, other)], None).await.unwrap()
    });
    assert!(outcomes.await.iter().all(|outcome| *outcome == GroupMembersOutcome::Changed));
    let members = members(&store, 1).await;
    let [(1, own), (2, other)] = members[..] else { panic!("{members:?}") };
    assert_eq!(other, 100 + (own - 99) % racers, "both of one change");
}

pub async fn a_group_that_a_redeal_has_replaced_is_said_to_be(store: Store) {
    store.add_group(group(7)).await.unwrap();
    store.insert_session(redeal_session("s")).await.unwrap();
    let redeal = NewRedeal { threshold: 1, ..redeal(1) };
    assert_eq!(
        store.finish_redeal("s", redeal, vec![(1, vec![1])], event("redealt")).await.unwrap(),
        RedealOutcome::Stored
    );
    assert!(!store.group(&digest(7)).await.unwrap().unwrap().replaced, "nobody has received");
    store.receive("s", 1, NOW + 2, event("received")).await.unwrap();
    assert!(store.group(&digest(7)).await.unwrap().unwrap().replaced);
    assert!(store.groups_after(0, 9).await.unwrap()[0].replaced);
}

pub async fn what_is_changed_is_told_with_it_or_not_at_all(store: Store) {
    let told = |seed| Some(crate::audit::new(seed));
    store.add_group(NewGroup { told: told(1), ..group(1) }).await.unwrap();
    store.add_group(NewGroup { told: told(2), ..group(1) }).await.unwrap();
    store.set_group_members(&digest(1), Vec::new(), told(3)).await.unwrap();
    store.set_group_members(&digest(1), vec![member(1, 99)], told(4)).await.unwrap();
    store.remove_group(&digest(1), told(5)).await.unwrap();
    store.remove_group(&digest(1), told(6)).await.unwrap();
    assert_eq!(crate::audit::seeds(&store).await, [1, 3, 5]);
}

fn once() -> Once {
    Once { digest: digest(99), expires_at: NOW + HOUR }
}

/// The user of seed `principal`, who has logged in with the ticket of that seed, as player `x`.
pub fn acting(x: u8, principal: u8, version: i64) -> Acting {
    let login = Login { principal: digest(principal), version, ticket: digest(principal) };
    Acting { group: digest(7), x, bound: named(x), login }
}

/// The Toc of seed `seed` for player `x`, approved by the user of seed `principal`.
fn approved(seed: u8, x: u8, principal: u8) -> NewToc {
    let acting = acting(x, principal, 1);
    let approval = NewApproval { acting, approver: named(principal), sealed: vec![seed; 30] };
    NewToc { approval: Some(approval), ..proved(seed, x) }
}

pub async fn an_approval_is_of_who_stands_for_the_player_and_of_one_player(store: Store) {
    store.add_group(group(7)).await.unwrap();
    for seed in 10..13 {
        user(&store, seed, Role::Member).await;
        logged_in(&store, seed).await;
    }
    let stand = async |members: Vec<_>| store.set_group_members(&digest(7), members, None).await.unwrap();
    stand(vec![member(1, 10), member(2, 11)]).await;
    let applicant = |x| Some(Asking::Player(acting(x, 10, 1)));
    let wrong = NewSession { applicant: applicant(2), once: Some(once()), ..session("s") };
    assert_eq!(store.insert_session(wrong.clone()).await.unwrap(), InsertOutcome::NotHolder);
    let right = NewSession { applicant: applicant(1), first_toc: Some(approved(1, 1, 10)), ..wrong };
    assert_eq!(store.insert_session(right).await.unwrap(), InsertOutcome::Inserted, "the proof was not used up");

    let put = async |toc| store.put_toc("s", toc, NOW, 6, event("joined")).await.unwrap();
    assert_eq!(put(approved(2, 2, 10)).await, TocOutcome::NotHolder);
    assert_eq!(put(approved(3, 3, 12)).await, TocOutcome::NotHolder);
    assert_eq!(put(approved(2, 2, 11)).await, TocOutcome::Stored);
    assert_eq!(put(approved(4, 2, 11)).await, TocOutcome::Replaced);
    stand(vec![member(1, 11), member(2, 10), member(3, 12)]).await;
    assert_eq!(put(approved(5, 1, 11)).await, TocOutcome::Approved);
    assert_eq!(put(approved(6, 2, 10)).await, TocOutcome::Approved, "nor the applicant");
    assert_eq!(put(approved(7, 3, 12)).await, TocOutcome::Stored);
    let (joined, _) = store.answers("s").await.unwrap();
    let joined: Vec<_> = joined.into_iter().map(|row| (row.x, row.approval)).collect();
    let sealed = |seed| Some(vec![seed; 30]);
    assert_eq!(joined, [(Some(1), sealed(1)), (Some(2), sealed(4)), (Some(3), sealed(7))]);
    let (_, tocs) = store.session_with_tocs("s").await.unwrap().unwrap();
    assert_eq!(tocs.into_iter().map(|toc| toc.approval).collect::<Vec<_>>(), [sealed(1), sealed(4), sealed(7)]);
    // What was dropped as false does not stand in its principal's way.
    assert_eq!(store.drop_tocs("s", vec![digest(4)], NOW, event("dropped")).await.unwrap(), 1);
    assert_eq!(put(approved(5, 1, 11)).await, TocOutcome::Replaced);
}

pub async fn who_changes_places_meanwhile_approves_once_whoever_races(store: Store) {
    one_approval_of_each(&[store]).await;
}

pub async fn one_approval_of_each(nodes: &[Store]) {
    nodes[0].add_group(group(7)).await.unwrap();
    user(&nodes[0], 10, Role::Member).await;
    logged_in(&nodes[0], 10).await;
    nodes[0].insert_session(session("s")).await.unwrap();
    let places = |number: usize| u8::try_from(number % 3 + 1).unwrap();
    let outcomes = race_among(nodes, |store, number| async move {
        let x = places(number);
        // A busy store may refuse either.
        if number % 2 == 0 {
            drop(store.set_group_members(&digest(7), vec![member(x, 10)], None).await);
            return None;
        }
        store.put_toc("s", approved(u8::try_from(number).unwrap(), x, 10), NOW, 6, event("joined")).await.ok()
    })
    .await;
    let expected = [TocOutcome::Stored, TocOutcome::Replaced, TocOutcome::NotHolder, TocOutcome::Approved];
    let outcomes: Vec<_> = outcomes.into_iter().flatten().collect();
    assert!(outcomes.iter().all(|it| expected.contains(it) || *it == TocOutcome::PoolFull), "{outcomes:?}");
    let (joined, _) = nodes[0].answers("s").await.unwrap();
    assert_eq!(joined.len(), usize::from(outcomes.contains(&TocOutcome::Stored)), "{outcomes:?}");
}

pub async fn what_is_damaged_goes_as_it_was_found_and_no_further(store: Store) {
    store.add_group(group(7)).await.unwrap();
    for seed in 10..13 {
        user(&store, seed, Role::Member).await;
    }
    store.set_group_members(&digest(7), vec![member(1, 10), member(2, 11)], None).await.unwrap();
    let applicants = vec![(digest(10), named(10)), (digest(12), named(12))];
    store.change_group_applicants(&digest(7), applicants, vec![], None).await.unwrap();
    let told = |seed| Some(crate::audit::new(seed));
    let forget = async |rows, told| store.forget_damaged(&digest(7), rows, told).await.unwrap();
    let holder = |x: u8, bound| {
        let principal = digest(x + 9).to_vec();
        DamagedRow::Holder { x: x.into(), principal, bound: named(bound).to_vec() }
    };
    let applicant = |principal, bound| {
        let (principal, bound) = (digest(principal).to_vec(), named(bound).to_vec());
        DamagedRow::Applicant { principal, bound }
    };
    // Meanwhile somebody has put things right, or there is nothing.
    assert_eq!(forget(vec![holder(1, 2), holder(3, 3), applicant(10, 11), applicant(11, 11)], told(1)).await, 0);
    assert_eq!(forget(vec![holder(2, 2), applicant(10, 10)], told(2)).await, 2);
    assert_eq!(members(&store, 7).await, [(1, 10)]);
    let left = store.group_applicants(&digest(7)).await.unwrap().whole;
    assert_eq!(left.iter().map(|(row, _)| row.id[0]).collect::<Vec<_>>(), [12]);
    assert_eq!(crate::audit::seeds(&store).await, [2], "told of what was done");
}
