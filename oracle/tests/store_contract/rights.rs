//! What an act of somebody who has logged in rests on is looked at where the act is written, and must be what was looked at before:
//! the login, the place in the group, the reason to ask, the approvals. Once it is gone, nothing more comes of it.

use quorate_oracle::store::{
    Applying, Approver, Asking, Basis, CodeOutcome, Ground, InsertOutcome, Login, NewRedeal, NewSession, RedealOutcome,
    Role, Store,
};

use crate::{
    RACERS,
    applicants::{cast, change},
    groups::{acting, group, member},
    logins::logged_in,
    people::{named, user},
    rows::{NOW, digest, event, kinds, race, redeal, redeal_session, session},
};

/// The user of that seed asks, with its ticket, as an applicant.
fn applying(seed: u8, version: i64) -> Asking {
    let login = Login { principal: digest(seed), version, ticket: digest(seed) };
    Asking::ByLogin(Applying { group: digest(7), login, grounds: vec![Ground::Applicant { bound: named(seed) }] })
}

fn basis(by: Asking) -> Basis {
    Basis { by, approved: Vec::new() }
}

/// The user of seed `principal`, who has approved as player `x`.
fn approver(x: u8, principal: u8, version: i64) -> Approver {
    Approver { x, principal: digest(principal), version, bound: named(x) }
}

pub async fn who_asks_by_login_still_may_and_is_who_logged_in(store: Store) {
    cast(&store).await;
    change(&store, &[10], &[]).await;
    for seed in [10, 11] {
        logged_in(&store, seed).await;
    }
    let start =
        async |id: &str, by| store.insert_session(NewSession { applicant: Some(by), ..session(id) }).await.unwrap();
    assert_eq!(start("a", applying(10, 1)).await, InsertOutcome::Inserted);
    assert_eq!(start("b", applying(11, 1)).await, InsertOutcome::NotApplicant);
    assert_eq!(start("c", applying(10, 2)).await, InsertOutcome::NotApplicant, "of another login");
    store.set_disabled(&digest(10), Some(5), None).await.unwrap();
    assert_eq!(start("d", applying(10, 2)).await, InsertOutcome::NotApplicant, "disabled");
    store.set_disabled(&digest(10), None, None).await.unwrap();
    let login = logged_in(&store, 10).await;
    assert_eq!(start("e", applying(10, 1)).await, InsertOutcome::NotApplicant, "the login from before is over");
    assert_eq!(start("f", applying(10, login.version)).await, InsertOutcome::Inserted);
    store.end_tickets(&digest(10), None).await.unwrap();
    assert_eq!(start("g", applying(10, login.version)).await, InsertOutcome::NotApplicant, "logged out everywhere");
    logged_in(&store, 10).await;
    let forged = vec![(digest(10), named(99))];
    store.change_group_applicants(&digest(7), forged, vec![], None).await.unwrap();
    assert_eq!(start("h", applying(10, login.version)).await, InsertOutcome::NotApplicant, "not the row that was seen");
    change(&store, &[10], &[]).await;
    assert_eq!(start("i", applying(10, login.version)).await, InsertOutcome::Inserted);
    change(&store, &[], &[10]).await;
    assert_eq!(start("j", applying(10, login.version)).await, InsertOutcome::NotApplicant);

    store.set_group_members(&digest(7), vec![member(1, 11)], None).await.unwrap();
    let act = async |id: &str, version| start(id, Asking::Player(acting(1, 11, version))).await;
    assert_eq!(act("k", 2).await, InsertOutcome::NotHolder, "a player's login has to be the same, too");
    assert_eq!(act("l", 1).await, InsertOutcome::Inserted);
    let mut forged = member(1, 11);
    forged.bound = named(99);
    store.set_group_members(&digest(7), vec![forged], None).await.unwrap();
    assert_eq!(act("m", 1).await, InsertOutcome::NotHolder, "not the row that was seen");
}

pub async fn a_code_is_taken_by_who_still_may_at_that_moment(store: Store) {
    cast(&store).await;
    change(&store, &[10, 20], &[]).await;
    store.change_members(&digest(20), vec![(digest(11), named(2))], vec![], None).await.unwrap();
    store.set_group_members(&digest(7), vec![member(1, 12)], None).await.unwrap();
    for seed in 10..13 {
        logged_in(&store, seed).await;
    }
    store.insert_session(session("a")).await.unwrap();
    let team = |member| {
        let login = Login { principal: digest(11), version: 1, ticket: digest(11) };
        let of_team = Ground::Team { team: digest(20), bound: named(20), member: named(member) };
        let gone = Ground::Applicant { bound: named(11) };
        Asking::ByLogin(Applying { group: digest(7), login, grounds: vec![gone, of_team] })
    };
    let player = |version| Asking::Player(acting(1, 12, version));
    let take = async |step, by| store.take_code("a", step, NOW, Some(basis(by)), event("code")).await.unwrap();
    let taken = |codes| CodeOutcome::Taken { first_code_at: NOW, codes };
    assert_eq!(take(1, applying(10, 1)).await, taken(1));
    assert_eq!(take(2, team(2)).await, taken(2), "one of the grounds still stands");
    assert_eq!(take(3, player(1)).await, taken(3));

    let dismissed = async |step, by| assert_eq!(take(step, by).await, CodeOutcome::Dismissed, "step {step}");
    dismissed(4, applying(12, 1)).await;
    dismissed(4, applying(10, 2)).await;
    dismissed(4, team(3)).await;
    dismissed(4, player(2)).await;
    store.end_tickets(&digest(12), None).await.unwrap();
    dismissed(4, player(1)).await;
    logged_in(&store, 12).await;
    store.set_disabled(&digest(10), Some(5), None).await.unwrap();
    dismissed(4, applying(10, 1)).await;
    dismissed(3, applying(10, 1)).await;
    store.set_disabled(&digest(20), Some(5), None).await.unwrap();
    dismissed(4, team(2)).await;
    store.set_group_members(&digest(7), vec![], None).await.unwrap();
    dismissed(4, player(1)).await;
    dismissed(3, player(1)).await;
    assert_eq!(store.session("a").await.unwrap().unwrap().codes, 3, "and nothing was written");
    assert_eq!(kinds(&store, "a").await, ["asked", "code", "code", "code"]);
    let again = store.take_code("a", 3, NOW, None, event("code")).await.unwrap();
    assert_eq!(again, CodeOutcome::Again { first_code_at: NOW, codes: 3 });
}

pub async fn what_was_counted_must_still_count_where_it_is_written(store: Store) {
    cast(&store).await;
    store.set_group_members(&digest(7), vec![member(1, 10), member(2, 11), member(3, 12)], None).await.unwrap();
    logged_in(&store, 10).await;
    store.insert_session(session("a")).await.unwrap();
    store.insert_session(redeal_session("b")).await.unwrap();
    let resting =
        |approved: &[Approver]| Some(Basis { by: Asking::Player(acting(1, 10, 1)), approved: approved.to_vec() });
    let take = async |step, approved: &[Approver]| {
        store.take_code("a", step, NOW, resting(approved), event("code")).await.unwrap()
    };
    let run = async |approved: &[Approver]| {
        let redeal = NewRedeal { basis: resting(approved), ..redeal(2) };
        store.finish_redeal("b", redeal, vec![(1, vec![1])], event("redealt")).await.unwrap()
    };
    let both = [approver(1, 10, 1), approver(2, 11, 1)];
    assert_eq!(take(1, &both).await, CodeOutcome::Taken { first_code_at: NOW, codes: 1 }, "none of them is logged in");
    let withdrawn = async |approved: &[Approver]| {
        assert_eq!(take(2, approved).await, CodeOutcome::Withdrawn, "{approved:?}");
        assert_eq!(take(1, approved).await, CodeOutcome::Withdrawn, "nor is it read again: {approved:?}");
        assert_eq!(run(approved).await, RedealOutcome::Withdrawn, "{approved:?}");
    };
    withdrawn(&[approver(1, 10, 1), approver(2, 11, 2)]).await;
    withdrawn(&[approver(1, 10, 1), approver(3, 11, 1)]).await;
    withdrawn(&[Approver { bound: named(99), ..both[1] }]).await;
    store.set_disabled(&digest(11), Some(5), None).await.unwrap();
    withdrawn(&both).await;
    store.set_disabled(&digest(11), None, None).await.unwrap();
    withdrawn(&both).await;
    let others = [approver(1, 10, 1), approver(3, 12, 1)];
    assert_eq!(take(2, &others).await, CodeOutcome::Taken { first_code_at: NOW, codes: 2 }, "others are as good");
    store.set_group_members(&digest(7), vec![member(1, 10), member(2, 11)], None).await.unwrap();
    withdrawn(&others).await;
    store.set_group_members(&digest(7), vec![member(1, 10), member(3, 12)], None).await.unwrap();
    store.end_tickets(&digest(10), None).await.unwrap();
    assert_eq!((take(3, &others).await, run(&others).await), (CodeOutcome::Dismissed, RedealOutcome::Dismissed));
    assert!(store.redeal("b").await.unwrap().is_none());
    logged_in(&store, 10).await;
    assert_eq!(run(&others).await, RedealOutcome::Stored);
    assert_eq!(kinds(&store, "b").await, ["asked", "redealt"]);
}

/// What takes a right away while codes are being taken with it.
#[derive(Clone, Copy, Debug)]
enum End {
    Approver,
    Disabled,
    LoggedOut,
    Place,
}

pub async fn once_a_right_is_gone_no_code_comes_of_it_whoever_races(store: Store) {
    store.add_group(group(7)).await.unwrap();
    for end in [End::Approver, End::Disabled, End::LoggedOut, End::Place] {
        let id = format!("{end:?}");
        let seeds = [10, 11].map(|seed| seed + 10 * (end as u8));
        for seed in seeds {
            user(&store, seed, Role::Member).await;
        }
        store.set_group_members(&digest(7), vec![member(1, seeds[0]), member(2, seeds[1])], None).await.unwrap();
        logged_in(&store, seeds[0]).await;
        store.insert_session(session(&id)).await.unwrap();
        let approved = vec![approver(1, seeds[0], 1), approver(2, seeds[1], 1)];
        let resting = Basis { by: Asking::Player(acting(1, seeds[0], 1)), approved };
        let after = race(&store, |store, number| {
            let (id, resting) = (id.clone(), resting.clone());
            async move {
                if number != RACERS / 2 {
                    let step = i64::try_from(number).unwrap() + 1;
                    let outcome = store.take_code(&id, step, NOW, Some(resting), event("code")).await.unwrap();
                    assert_ne!(outcome, CodeOutcome::Unknown);
                    return None;
                }
                let [asker, other] = seeds.map(digest);
                match end {
                    End::Approver => drop(store.set_disabled(&other, Some(NOW), None).await.unwrap()),
                    End::Disabled => drop(store.set_disabled(&asker, Some(NOW), None).await.unwrap()),
                    End::LoggedOut => drop(store.end_tickets(&asker, None).await.unwrap()),
                    End::Place => drop(store.set_group_members(&digest(7), vec![], None).await.unwrap()),
                }
                Some(store.session(&id).await.unwrap().unwrap().codes)
            }
        })
        .await;
        let after = after.into_iter().flatten().next().unwrap();
        let codes = store.session(&id).await.unwrap().unwrap().codes;
        assert_eq!(codes, after, "{end:?}: whoever was told that it is done sees every code that there will be");
    }
}
