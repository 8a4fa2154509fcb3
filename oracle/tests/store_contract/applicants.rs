//! Who may ask for a group's codes by login: whom operators have named, as long as they are so; and who stands for its holders.

use quorate_oracle::store::{
    ApplicantsOutcome, ChangeOutcome, Ground, GroupMembersOutcome, MAX_APPLICANTS, PrincipalKind, Role, Store,
};

use crate::{
    RACERS,
    groups::{group, member},
    people::{named, principal, user},
    rows::{digest, race},
};

/// Users of the seeds 10 to 12, and the team of seed 20.
pub async fn cast(store: &Store) {
    store.add_group(group(7)).await.unwrap();
    for seed in 10..13 {
        user(store, seed, Role::Member).await;
    }
    assert!(store.insert_principal(principal(20, PrincipalKind::Team, Role::Member)).await.unwrap());
}

pub async fn change(store: &Store, added: &[u8], removed: &[u8]) -> ApplicantsOutcome {
    let added = added.iter().map(|seed| (digest(*seed), named(*seed))).collect();
    let removed = removed.iter().map(|seed| digest(*seed)).collect();
    store.change_group_applicants(&digest(7), added, removed, None).await.unwrap()
}

async fn applicants(store: &Store) -> Vec<u8> {
    let rows = store.group_applicants(&digest(7)).await.unwrap().whole;
    assert!(rows.iter().all(|(row, bound)| *bound == named(row.id[0])));
    rows.iter().map(|(row, _)| row.id[0]).collect()
}

async fn grounds(store: &Store, seed: u8) -> Vec<Ground> {
    store.grounds(&digest(7), &digest(seed)).await.unwrap().unwrap().1
}

pub async fn applicants_are_changed_as_a_whole_or_not_at_all(store: Store) {
    cast(&store).await;
    assert_eq!(change(&store, &[10, 20], &[11]).await, ApplicantsOutcome::Changed, "who is not there is gone");
    assert_eq!(change(&store, &[10, 12], &[]).await, ApplicantsOutcome::Changed);
    assert_eq!(change(&store, &[11, 99], &[12]).await, ApplicantsOutcome::PrincipalGone);
    assert_eq!(applicants(&store).await, [10, 12, 20], "nothing of a refused change is written");
    assert_eq!(change(&store, &[], &[12]).await, ApplicantsOutcome::Changed);
    let none = store.change_group_applicants(&digest(9), Vec::new(), Vec::new(), None).await.unwrap();
    assert_eq!(none, ApplicantsOutcome::GroupGone);
    assert_eq!(store.remove_principal(&digest(10), Vec::new(), None).await.unwrap(), ChangeOutcome::Changed);
    assert_eq!(applicants(&store).await, [20]);
    assert!(store.remove_group(&digest(7), None).await.unwrap());
    store.add_group(group(7)).await.unwrap();
    assert!(applicants(&store).await.is_empty(), "a group that is added again begins anew");

    let crowd: Vec<_> = (0..=MAX_APPLICANTS).map(|_| (digest(99), named(99))).collect();
    let gone = store.change_group_applicants(&digest(7), crowd, Vec::new(), None).await.unwrap();
    assert_eq!(gone, ApplicantsOutcome::PrincipalGone, "one principal, however often, is one");
    let crowd = (0..=u16::try_from(MAX_APPLICANTS).unwrap()).map(|number| {
        let mut id = digest(200);
        id[..2].copy_from_slice(&number.to_be_bytes());
        (id, named(1))
    });
    let full = store.change_group_applicants(&digest(7), crowd.collect(), Vec::new(), None).await.unwrap();
    assert_eq!(full, ApplicantsOutcome::Full);
    let told = |seed| Some(crate::audit::new(seed));
    store.change_group_applicants(&digest(7), vec![(digest(11), named(11))], Vec::new(), told(1)).await.unwrap();
    store.change_group_applicants(&digest(7), vec![(digest(99), named(99))], Vec::new(), told(2)).await.unwrap();
    assert_eq!(crate::audit::seeds(&store).await, [1], "told with it or not at all");
}

pub async fn every_ground_is_found_and_ends(store: Store) {
    cast(&store).await;
    assert!(store.grounds(&digest(8), &digest(10)).await.unwrap().is_none(), "a group that nobody has added");
    assert!(grounds(&store, 10).await.is_empty());
    change(&store, &[10, 20], &[]).await;
    store
        .change_members(&digest(20), vec![(digest(10), named(1)), (digest(11), named(2))], vec![], None)
        .await
        .unwrap();
    store.set_group_members(&digest(7), vec![member(3, 10)], None).await.unwrap();
    let team = |member| Ground::Team { team: digest(20), bound: named(20), member: named(member) };
    assert_eq!(grounds(&store, 10).await, [Ground::Applicant { bound: named(10) }, team(1)]);
    assert_eq!(grounds(&store, 11).await, [team(2)]);
    assert!(grounds(&store, 12).await.is_empty());
    let own = async |seed| store.groups_of(&digest(seed)).await.unwrap().len();
    assert_eq!((own(10).await, own(11).await, own(12).await), (1, 1, 0), "two grounds are one group");
    store.set_group_members(&digest(7), vec![member(3, 12)], None).await.unwrap();
    assert_eq!((grounds(&store, 12).await, own(12).await), (vec![], 0), "standing for a holder is no ground");

    store.set_disabled(&digest(20), Some(5), None).await.unwrap();
    assert_eq!((grounds(&store, 11).await, own(11).await), (vec![], 0), "a disabled team lets nobody ask");
    assert_eq!(grounds(&store, 10).await, [Ground::Applicant { bound: named(10) }]);
    store.set_disabled(&digest(20), None, None).await.unwrap();
    assert_eq!(grounds(&store, 11).await, [team(2)]);
    store.change_members(&digest(20), vec![], vec![digest(11)], None).await.unwrap();
    assert!(grounds(&store, 11).await.is_empty());
    store.remove_principal(&digest(20), Vec::new(), None).await.unwrap();
    assert_eq!(grounds(&store, 10).await, [Ground::Applicant { bound: named(10) }]);
    change(&store, &[], &[10]).await;
    assert_eq!((grounds(&store, 10).await, own(10).await), (vec![], 0));
}

pub async fn members_are_changed_one_by_one_whoever_races(store: Store) {
    store.add_group(group(7)).await.unwrap();
    let racers = u8::try_from(RACERS).unwrap();
    for seed in 0..racers {
        user(&store, seed + 100, Role::Member).await;
    }
    let put = async |added, removed| store.change_group_members(&digest(7), added, removed, None).await.unwrap();
    let outcomes = race(&store, async |store, number| {
        let own = u8::try_from(number).unwrap();
        store.change_group_members(&digest(7), vec![member(own + 1, own + 100)], vec![], None).await.unwrap()
    });
    assert!(outcomes.await.iter().all(|outcome| *outcome == GroupMembersOutcome::Changed));
    assert_eq!(store.group_members(&digest(7)).await.unwrap().whole.len(), RACERS, "no change undoes another");

    let stand = async || {
        let rows = store.group_members(&digest(7)).await.unwrap().whole;
        rows.iter().take(3).map(|row| (row.x, row.principal.id[0])).collect::<Vec<_>>()
    };
    assert_eq!(put(vec![member(1, 101)], vec![3]).await, GroupMembersOutcome::Repeated);
    assert_eq!(put(vec![member(1, 99)], vec![3]).await, GroupMembersOutcome::PrincipalGone);
    assert_eq!(stand().await, [(1, 100), (2, 101), (3, 102)], "nothing of a refused change is written");
    assert_eq!(put(vec![member(1, 101), member(2, 100)], vec![3]).await, GroupMembersOutcome::Changed);
    assert_eq!(stand().await, [(1, 101), (2, 100), (4, 103)], "two change places");
    let gone = store.change_group_members(&digest(9), vec![], vec![1], None).await.unwrap();
    assert_eq!(gone, GroupMembersOutcome::GroupGone);
}
