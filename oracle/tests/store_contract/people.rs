//! Principals, links, teams, providers and who has been assigned which: each name once, each link once, and nothing is
//! changed that somebody else changed first.

use quorate_oracle::store::{
    ChangeOutcome, Digest, EnrolOutcome, Enrolment, MAX_MEMBERS, MembersOutcome, NewFactor, NewLink, NewPrincipal,
    NewProvider, OPERATOR_ENROLLED, PrincipalKind, PrincipalRow, ProviderOutcome, RemoveProviderOutcome, Role, Store,
};

use crate::{
    RACERS,
    rows::{HOUR, NOW, digest, race, race_among},
};

/// A digest that differs from [`digest`]'s of the same seed.
pub fn named(seed: u8) -> Digest {
    [[seed; 16], [0xff; 16]].concat().try_into().unwrap()
}

pub fn principal(seed: u8, kind: PrincipalKind, role: Role) -> NewPrincipal {
    NewPrincipal {
        id: digest(seed),
        name: named(seed),
        kind,
        role,
        created_at: NOW,
        verifier: None,
        link: None,
        sealed: vec![seed; 40],
        told: None,
    }
}

/// A user with a link, as stored.
pub async fn user(store: &Store, seed: u8, role: Role) -> PrincipalRow {
    let link = Some(link(seed));
    let new = NewPrincipal { link, ..principal(seed, PrincipalKind::User, role) };
    assert!(store.insert_principal(new).await.unwrap());
    row(store, seed).await
}

pub async fn row(store: &Store, seed: u8) -> PrincipalRow {
    store.principal(&named(seed)).await.unwrap().unwrap()
}

fn link(seed: u8) -> NewLink {
    NewLink { hash: named(seed), bound: digest(seed), expires_at: NOW + HOUR }
}

fn enrolment(seed: u8, version: i64) -> Enrolment {
    Enrolment {
        link: named(seed),
        principal: digest(seed),
        version,
        verifier: b"sealed verifier".to_vec(),
        step: None,
        recovery: Vec::new(),
        now: NOW,
        told: None,
    }
}

/// A user who has enrolled, as stored.
pub async fn enrolled(store: &Store, seed: u8, role: Role) -> PrincipalRow {
    let row = user(store, seed, role).await;
    assert_eq!(store.enrol(enrolment(seed, row.version)).await.unwrap(), EnrolOutcome::Enrolled);
    self::row(store, seed).await
}

pub async fn provider(store: &Store, seed: u8) {
    let new = NewProvider { id: digest(seed), name: named(seed), created_at: NOW, sealed: vec![seed; 50], told: None };
    assert_eq!(store.insert_provider(new).await.unwrap(), ProviderOutcome::Made);
}

pub fn factor(id: u8, principal: &PrincipalRow, provider: u8) -> NewFactor {
    NewFactor {
        id: digest(id),
        principal: principal.id,
        version: principal.version,
        verifier: principal.verifier.clone(),
        provider: digest(provider),
        assigned_at: NOW,
        sealed: vec![id; 60],
        recovery: vec![digest(100), digest(101)],
        told: None,
    }
}

pub async fn a_principal_comes_back_as_it_was_put(store: Store) {
    assert!(store.principal(&named(1)).await.unwrap().is_none());
    let application =
        NewPrincipal { verifier: Some(b"sealed".to_vec()), ..principal(1, PrincipalKind::Application, Role::Auditor) };
    assert!(store.insert_principal(application).await.unwrap());
    let row = row(&store, 1).await;
    assert_eq!((row.id, row.kind, row.role), (digest(1), PrincipalKind::Application, Role::Auditor));
    assert_eq!((row.enrolled_at, row.disabled_at, row.verifier), (Some(NOW), None, Some(b"sealed".to_vec())));
    assert_eq!((row.sealed, row.factor.is_none()), (vec![1; 40], true));
    let user = user(&store, 2, Role::Member).await;
    assert_eq!((user.enrolled_at, user.verifier), (None, None));
    let all = store.principals_after(0, 10).await.unwrap();
    assert_eq!(all.iter().map(|row| row.id).collect::<Vec<_>>(), [digest(1), digest(2)]);
    assert_eq!(store.principals_after(all[0].number, 10).await.unwrap().len(), 1);
    assert_eq!(store.principals_after(0, 1).await.unwrap().len(), 1);
}

pub async fn a_name_is_given_once_whoever_races(store: Store) {
    let made = race(&store, async |store, number| {
        let id = digest(u8::try_from(number).unwrap());
        let new = NewPrincipal { id, ..principal(200, PrincipalKind::User, Role::Member) };
        store.insert_principal(new).await.unwrap()
    });
    assert_eq!(made.await.into_iter().filter(|made| *made).count(), 1);
}

pub async fn a_link_enrols_once_whoever_races(store: Store) {
    one_enrolment_wins(&[store]).await;
}

pub async fn one_enrolment_wins(nodes: &[Store]) {
    let version = user(&nodes[0], 1, Role::Operator).await.version;
    assert!(nodes[0].setting(OPERATOR_ENROLLED).await.unwrap().is_none());
    let outcomes = race_among(nodes, |store, number| {
        let verifier = vec![u8::try_from(number).unwrap(); 20];
        let enrolment = Enrolment { verifier, ..enrolment(1, version) };
        async move { store.enrol(enrolment).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|it| **it == EnrolOutcome::Enrolled).count(), 1);
    assert_eq!(outcomes.iter().filter(|it| **it == EnrolOutcome::LinkGone).count(), RACERS - 1);
    let winner = outcomes.iter().position(|it| *it == EnrolOutcome::Enrolled).unwrap();
    let row = row(&nodes[0], 1).await;
    assert_eq!((row.enrolled_at, row.verifier), (Some(NOW), Some(vec![u8::try_from(winner).unwrap(); 20])));
    assert!(nodes[0].setting(OPERATOR_ENROLLED).await.unwrap().is_some());
}

pub async fn a_link_serves_in_time_its_own_principal_and_until_it_is_replaced(store: Store) {
    let version = user(&store, 1, Role::Member).await.version;
    user(&store, 2, Role::Member).await;
    let enrol = async |enrolment| store.enrol(enrolment).await.unwrap();
    assert_eq!(enrol(Enrolment { principal: digest(2), ..enrolment(1, version) }).await, EnrolOutcome::LinkGone);
    assert_eq!(enrol(Enrolment { now: NOW + HOUR, ..enrolment(1, version) }).await, EnrolOutcome::LinkGone);
    assert_eq!(enrol(enrolment(1, version + 1)).await, EnrolOutcome::Changed, "somebody changed the user meanwhile");
    let renewed = NewLink { hash: named(9), ..link(1) };
    assert!(store.put_link(&digest(1), renewed, None).await.unwrap());
    assert!(store.link(&named(1)).await.unwrap().is_none());
    assert_eq!(enrol(enrolment(1, version)).await, EnrolOutcome::LinkGone, "replaced");
    let found = store.link(&named(9)).await.unwrap().unwrap();
    assert_eq!((found.principal.id, found.bound, found.expires_at), (digest(1), digest(1), NOW + HOUR));
    assert_eq!(enrol(Enrolment { link: named(9), ..enrolment(1, version) }).await, EnrolOutcome::Enrolled);
    assert!(store.link(&named(9)).await.unwrap().is_none(), "used up");
    assert!(store.setting(OPERATOR_ENROLLED).await.unwrap().is_none(), "a member is no operator");
    // Only users enrol.
    assert!(store.insert_principal(principal(3, PrincipalKind::Team, Role::Member)).await.unwrap());
    assert!(!store.put_link(&digest(3), NewLink { hash: named(8), ..link(3) }, None).await.unwrap());
    assert!(!store.put_link(&digest(7), NewLink { hash: named(7), ..link(7) }, None).await.unwrap());
    // A disabled user does not.
    assert_eq!(store.set_disabled(&digest(2), Some(NOW), None).await.unwrap(), ChangeOutcome::Changed);
    let version = row(&store, 2).await.version;
    assert_eq!(enrol(enrolment(2, version)).await, EnrolOutcome::Changed);
}

pub async fn the_last_operator_stays_whoever_races(store: Store) {
    enrolled(&store, 1, Role::Operator).await;
    // One who has not enrolled lets nobody in.
    user(&store, 2, Role::Operator).await;
    assert_eq!(store.remove_principal(&digest(1), Vec::new(), None).await.unwrap(), ChangeOutcome::LastOperator);
    assert_eq!(store.set_disabled(&digest(1), Some(NOW), None).await.unwrap(), ChangeOutcome::LastOperator);
    for seed in 3..10 {
        enrolled(&store, seed, Role::Operator).await;
    }
    let outcomes = race(&store, async |store, number| {
        let id = digest([1, 3, 4, 5, 6, 7, 8, 9][number % 8]);
        match number % 2 {
            0 => store.remove_principal(&id, Vec::new(), None).await.unwrap(),
            _ => store.set_disabled(&id, Some(NOW), None).await.unwrap(),
        }
    });
    assert!(outcomes.await.contains(&ChangeOutcome::LastOperator));
    let left = store.principals_after(0, 100).await.unwrap();
    let left = left.iter().filter(|row| row.enrolled_at.is_some() && row.disabled_at.is_none());
    assert_eq!(left.count(), 1);
    assert_eq!(store.remove_principal(&digest(99), Vec::new(), None).await.unwrap(), ChangeOutcome::Unknown);
    assert_eq!(store.set_disabled(&digest(99), None, None).await.unwrap(), ChangeOutcome::Unknown);
}

pub async fn a_team_has_so_many_members_and_no_more(store: Store) {
    assert!(store.insert_principal(principal(1, PrincipalKind::Team, Role::Member)).await.unwrap());
    for seed in 2..5 {
        user(&store, seed, Role::Member).await;
    }
    let change = async |team, added: &[u8], removed: &[u8]| {
        let added = added.iter().map(|seed| (digest(*seed), named(*seed))).collect();
        let removed = removed.iter().map(|seed| digest(*seed)).collect();
        store.change_members(&digest(team), added, removed, None).await.unwrap()
    };
    let members = async || {
        let members = store.members(&digest(1)).await.unwrap();
        members.into_iter().map(|(row, bound)| (row.id[0], bound)).collect::<Vec<_>>()
    };
    assert_eq!(change(1, &[3, 2], &[]).await, MembersOutcome::Changed);
    assert_eq!(members().await, [(2, named(2)), (3, named(3))]);
    assert_eq!(change(1, &[2, 4], &[3, 9]).await, MembersOutcome::Changed);
    assert_eq!(members().await, [(2, named(2)), (4, named(4))]);
    assert_eq!(change(1, &[3, 99], &[]).await, MembersOutcome::Unknown);
    assert_eq!(change(2, &[3], &[]).await, MembersOutcome::Unknown, "no team");
    assert_eq!(members().await.len(), 2, "nothing of a refused change is written");
    let many = (0..=MAX_MEMBERS).map(|number| {
        let mut id = [0xee; 32];
        id[..8].copy_from_slice(&number.to_be_bytes());
        (id, id)
    });
    assert_eq!(store.change_members(&digest(1), many.collect(), Vec::new(), None).await.unwrap(), MembersOutcome::Full);
    assert_eq!(store.remove_principal(&digest(4), Vec::new(), None).await.unwrap(), ChangeOutcome::Changed);
    assert_eq!(members().await, [(2, named(2))]);
}

pub async fn a_provider_is_changed_by_who_read_it_last_and_stays_while_assigned(store: Store) {
    provider(&store, 1).await;
    let again = NewProvider { id: digest(2), name: named(1), created_at: NOW, sealed: Vec::new(), told: None };
    assert_eq!(store.insert_provider(again).await.unwrap(), ProviderOutcome::Taken);
    assert!(store.update_provider(&digest(1), 1, b"new".to_vec(), None).await.unwrap());
    assert!(!store.update_provider(&digest(1), 1, b"newer".to_vec(), None).await.unwrap(), "read before the change");
    let read = store.provider(&named(1)).await.unwrap().unwrap();
    assert_eq!((read.id, read.version, read.created_at, read.sealed), (digest(1), 2, NOW, b"new".to_vec()));
    assert_eq!(store.providers().await.unwrap().len(), 1);
    let user = user(&store, 1, Role::Member).await;
    assert!(store.assign_factor(factor(1, &user, 1)).await.unwrap());
    assert_eq!(store.remove_provider(&digest(1), None).await.unwrap(), RemoveProviderOutcome::Assigned);
    let user = row(&store, 1).await;
    assert!(store.remove_factor(&user.id, user.version, None, None).await.unwrap());
    assert_eq!(store.remove_provider(&digest(1), None).await.unwrap(), RemoveProviderOutcome::Removed);
    assert_eq!(store.remove_provider(&digest(1), None).await.unwrap(), RemoveProviderOutcome::Unknown);
    assert!(store.provider(&named(1)).await.unwrap().is_none());
}

pub async fn a_principal_has_one_factor_and_a_team_none(store: Store) {
    provider(&store, 1).await;
    provider(&store, 2).await;
    let user = enrolled(&store, 1, Role::Member).await;
    assert!(store.assign_factor(factor(1, &user, 1)).await.unwrap());
    assert!(!store.assign_factor(factor(2, &user, 2)).await.unwrap(), "read before the change");
    let user = row(&store, 1).await;
    let first = user.factor.clone().unwrap();
    assert_eq!((first.id, first.provider, first.last_step, first.sealed), (digest(1), digest(1), -1, vec![1; 60]));
    assert!(store.assign_factor(factor(2, &user, 2)).await.unwrap());
    let user = row(&store, 1).await;
    assert_eq!(user.factor.as_ref().map(|factor| (factor.id, factor.provider)), Some((digest(2), digest(2))));
    assert!(!store.assign_factor(factor(3, &user, 99)).await.unwrap(), "no such provider");
    assert!(store.remove_factor(&user.id, user.version, Some(b"bound to none".to_vec()), None).await.unwrap());
    let user = row(&store, 1).await;
    assert_eq!((user.factor.is_none(), user.verifier.as_deref()), (true, Some(&b"bound to none"[..])));
    assert!(!store.remove_factor(&user.id, user.version, None, None).await.unwrap(), "there is none");
    assert!(store.insert_principal(principal(5, PrincipalKind::Team, Role::Member)).await.unwrap());
    let team = row(&store, 5).await;
    assert!(!store.assign_factor(factor(5, &team, 1)).await.unwrap());
    assert!(row(&store, 5).await.factor.is_none());
}

pub async fn one_of_many_assignments_wins_whoever_races(store: Store) {
    provider(&store, 1).await;
    let user = enrolled(&store, 1, Role::Member).await;
    let assigned = race(&store, |store, number| {
        let new = factor(u8::try_from(number).unwrap() + 10, &user, 1);
        async move { store.assign_factor(new).await.unwrap() }
    });
    assert_eq!(assigned.await.into_iter().filter(|assigned| *assigned).count(), 1);
}

pub async fn what_is_done_is_told_with_it_or_not_at_all(store: Store) {
    let told = |seed| Some(crate::audit::new(seed));
    let new = |seed, event| NewPrincipal { told: told(event), ..principal(seed, PrincipalKind::User, Role::Member) };
    assert!(store.insert_principal(new(1, 1)).await.unwrap());
    assert!(!store.insert_principal(NewPrincipal { id: digest(9), ..new(1, 2) }).await.unwrap());
    assert!(store.put_link(&digest(1), link(1), told(3)).await.unwrap());
    assert!(!store.put_link(&digest(99), link(2), told(4)).await.unwrap());
    let enrolment = |event| Enrolment { told: told(event), ..enrolment(1, 1) };
    assert_eq!(store.enrol(enrolment(5)).await.unwrap(), EnrolOutcome::Enrolled);
    assert_eq!(store.enrol(enrolment(6)).await.unwrap(), EnrolOutcome::LinkGone);
    provider(&store, 1).await;
    let user = row(&store, 1).await;
    assert!(store.assign_factor(NewFactor { told: told(7), ..factor(1, &user, 1) }).await.unwrap());
    assert!(!store.assign_factor(NewFactor { told: told(8), ..factor(2, &user, 1) }).await.unwrap());
    let assigned = store.remove_provider(&digest(1), told(9)).await.unwrap();
    assert_eq!(assigned, RemoveProviderOutcome::Assigned);
    assert_eq!(store.remove_principal(&digest(1), Vec::new(), told(10)).await.unwrap(), ChangeOutcome::Changed);
    assert_eq!(store.remove_principal(&digest(1), Vec::new(), told(11)).await.unwrap(), ChangeOutcome::Unknown);
    assert_eq!(crate::audit::seeds(&store).await, [1, 3, 5, 7, 10]);
}
