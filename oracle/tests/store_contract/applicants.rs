//! Who may ask for a group's codes by login: whom operators have named; as long as they are so, and as they were when they
//! logged in.

use quorate_oracle::store::{
    Acting, ApplicantsOutcome, Applying, Asking, ChangeOutcome, CodeOutcome, Ground, GroupMembersOutcome,
    InsertOutcome, MAX_APPLICANTS, NewSession, PrincipalKind, Role, Store,
};

use crate::{
    RACERS,
    groups::{group, member},
    people::{named, principal, user},
    rows::{NOW, digest, event, kinds, race, session},
};

/// Users of the seeds 10 to 12, and the team of seed 20.
async fn cast(store: &Store) {
    store.add_group(group(7)).await.unwrap();
    for seed in 10..13 {
        user(store, seed, Role::Member).await;
    }
    assert!(store.insert_principal(principal(20, PrincipalKind::Team, Role::Member)).await.unwrap());
}

async fn change(store: &Store, added: &[u8], removed: &[u8]) -> ApplicantsOutcome {
    let added = added.iter().map(|seed| (digest(*seed), named(*seed))).collect();
    let removed = removed.iter().map(|seed| digest(*seed)).collect();
    store.change_group_applicants(&digest(7), added, removed, None).await.unwrap()
}

async fn applicants(store: &Store) -> Vec<u8> {
    let rows = store.group_applicants(&digest(7)).await.unwrap();
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

pub async fn who_asks_by_login_still_may_and_is_who_logged_in(store: Store) {
    cast(&store).await;
    change(&store, &[10], &[]).await;
    let ask = async |id: &str, seed, version| {
        let applying = Applying { group: digest(7), principal: digest(seed), version };
        let new = NewSession { applicant: Some(Asking::ByLogin(applying)), ..session(id) };
        store.insert_session(new).await.unwrap()
    };
    assert_eq!(ask("a", 10, 1).await, InsertOutcome::Inserted);
    assert_eq!(ask("b", 11, 1).await, InsertOutcome::NotApplicant);
    assert_eq!(ask("c", 10, 2).await, InsertOutcome::NotApplicant, "of another login");
    store.set_disabled(&digest(10), Some(5), None).await.unwrap();
    assert_eq!(ask("d", 10, 2).await, InsertOutcome::NotApplicant, "disabled");
    store.set_disabled(&digest(10), None, None).await.unwrap();
    assert_eq!(ask("e", 10, 1).await, InsertOutcome::NotApplicant, "the login from before is over");
    assert_eq!(ask("f", 10, 3).await, InsertOutcome::Inserted);
    change(&store, &[], &[10]).await;
    assert_eq!(ask("g", 10, 3).await, InsertOutcome::NotApplicant);

    store.set_group_members(&digest(7), vec![member(1, 11)], None).await.unwrap();
    let act = async |id: &str, version| {
        let acting = Acting { group: digest(7), x: 1, principal: digest(11), version };
        let new = NewSession { applicant: Some(Asking::Player(acting)), ..session(id) };
        store.insert_session(new).await.unwrap()
    };
    assert_eq!(act("h", 2).await, InsertOutcome::NotHolder, "a player's login has to be the same, too");
    assert_eq!(act("i", 1).await, InsertOutcome::Inserted);
}

pub async fn a_code_is_taken_by_who_still_may_at_that_moment(store: Store) {
    cast(&store).await;
    change(&store, &[10, 20], &[]).await;
    store.change_members(&digest(20), vec![(digest(11), named(2))], vec![], None).await.unwrap();
    store.set_group_members(&digest(7), vec![member(1, 12)], None).await.unwrap();
    store.insert_session(session("a")).await.unwrap();
    let by = |seed, version| Some(Asking::ByLogin(Applying { group: digest(7), principal: digest(seed), version }));
    let player = |version| Some(Asking::Player(Acting { group: digest(7), x: 1, principal: digest(12), version }));
    let take = async |step, by| store.take_code("a", step, NOW, by, event("code")).await.unwrap();
    let taken = |codes| CodeOutcome::Taken { first_code_at: NOW, codes };
    assert_eq!(take(1, by(10, 1)).await, taken(1));
    assert_eq!(take(2, by(11, 1)).await, taken(2), "of a team");
    assert_eq!(take(3, player(1)).await, taken(3));

    let dismissed = async |step, by| assert_eq!(take(step, by).await, CodeOutcome::Dismissed, "step {step}");
    dismissed(4, by(12, 1)).await;
    dismissed(4, by(10, 2)).await;
    dismissed(4, player(2)).await;
    store.set_disabled(&digest(10), Some(5), None).await.unwrap();
    dismissed(4, by(10, 1)).await;
    dismissed(3, by(10, 1)).await;
    store.set_disabled(&digest(20), Some(5), None).await.unwrap();
    dismissed(4, by(11, 1)).await;
    store.set_group_members(&digest(7), vec![], None).await.unwrap();
    dismissed(4, player(1)).await;
    dismissed(3, player(1)).await;
    assert_eq!(store.session("a").await.unwrap().unwrap().codes, 3, "and nothing was written");
    assert_eq!(kinds(&store, "a").await, ["asked", "code", "code", "code"]);
    assert_eq!(take(3, None).await, CodeOutcome::Again { first_code_at: NOW, codes: 3 });
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
    assert_eq!(store.group_members(&digest(7)).await.unwrap().len(), RACERS, "no change undoes another");

    let stand = async || {
        let rows = store.group_members(&digest(7)).await.unwrap();
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
