//! Logins and tickets: a second proof counts once, failures lock a name, and nothing outlives what it rested on.

use quorate_oracle::store::{
    ChangeOutcome, FailOutcome, LogIn, LogInOutcome, Login, MAX_TICKETS, NewTicket, PrincipalRow, Role, SecondProof,
    Store,
};

use crate::{
    RACERS,
    people::{enrolled, factor, named, provider, row},
    rows::{HOUR, NOW, digest, race_among},
};

const DELAYS: &[i64] = &[0, 0, 1_000, 5_000];

pub fn login(row: &PrincipalRow, proof: SecondProof, ticket: u8) -> LogIn {
    LogIn {
        principal: row.id,
        name: row.name,
        version: row.version,
        factor: row.factor.as_ref().map(|factor| factor.id),
        proof,
        ticket: NewTicket { hash: digest(ticket), bound: named(ticket), created_at: NOW, expires_at: NOW + HOUR },
        told: None,
    }
}

/// The login of a user without a factor, with the ticket of the user's own seed.
pub async fn logged_in(store: &Store, seed: u8) -> Login {
    let user = row(store, seed).await;
    assert_eq!(store.log_in(login(&user, SecondProof::None, seed)).await.unwrap(), LogInOutcome::LoggedIn);
    Login { principal: user.id, version: user.version, ticket: digest(seed) }
}

/// A user with a factor, as stored.
async fn with_factor(store: &Store) -> PrincipalRow {
    provider(store, 1).await;
    let user = enrolled(store, 1, Role::Member).await;
    assert!(store.assign_factor(factor(1, &user, 1)).await.unwrap());
    row(store, 1).await
}

pub async fn a_step_logs_in_once_whoever_races(store: Store) {
    one_copy_of_a_passcode_logs_in(&[store]).await;
}

pub async fn one_copy_of_a_passcode_logs_in(nodes: &[Store]) {
    let user = with_factor(&nodes[0]).await;
    for (proof, again) in [
        (SecondProof::Step(7), SecondProof::Step(6)),
        (SecondProof::Recovery(digest(100)), SecondProof::Recovery(digest(100))),
    ] {
        let outcomes = race_among(nodes, |store, number| {
            let login = login(&user, proof, u8::try_from(number).unwrap());
            async move { store.log_in(login).await.unwrap() }
        })
        .await;
        assert_eq!(outcomes.iter().filter(|it| **it == LogInOutcome::LoggedIn).count(), 1, "{proof:?}");
        assert_eq!(outcomes.iter().filter(|it| **it == LogInOutcome::Used).count(), RACERS - 1, "{proof:?}");
        assert_eq!(nodes[0].log_in(login(&user, again, 200)).await.unwrap(), LogInOutcome::Used);
        nodes[0].end_tickets(&user.id, None).await.unwrap();
    }
    let other = SecondProof::Recovery(digest(101));
    assert_eq!(nodes[0].log_in(login(&user, other, 201)).await.unwrap(), LogInOutcome::LoggedIn);
    let unknown = SecondProof::Recovery(digest(102));
    assert_eq!(nodes[0].log_in(login(&user, unknown, 202)).await.unwrap(), LogInOutcome::Used);
    assert_eq!(nodes[0].log_in(login(&user, SecondProof::Step(8), 203)).await.unwrap(), LogInOutcome::LoggedIn);
}

pub async fn a_login_rests_on_what_was_read(store: Store) {
    let user = with_factor(&store).await;
    let log_in = async |login| store.log_in(login).await.unwrap();
    for proof in [SecondProof::None, SecondProof::Step(5)] {
        let stripped = LogIn { factor: None, ..login(&user, proof, 1) };
        assert_eq!(log_in(stripped).await, LogInOutcome::Changed, "a factor that was assigned meanwhile: {proof:?}");
    }
    assert_eq!(log_in(login(&user, SecondProof::None, 1)).await, LogInOutcome::Changed, "a proof is missing");
    let older = LogIn { version: user.version - 1, ..login(&user, SecondProof::Step(5), 1) };
    assert_eq!(log_in(older).await, LogInOutcome::Changed);
    let other = LogIn { principal: digest(9), ..login(&user, SecondProof::Step(5), 1) };
    assert_eq!(log_in(other).await, LogInOutcome::Changed, "somebody else has the name now");
    assert_eq!(log_in(login(&user, SecondProof::Elsewhere, 1)).await, LogInOutcome::LoggedIn);
    assert_eq!(store.set_disabled(&user.id, Some(NOW), None).await.unwrap(), ChangeOutcome::Changed);
    let user = row(&store, 1).await;
    assert_eq!(log_in(login(&user, SecondProof::Step(5), 2)).await, LogInOutcome::Changed, "disabled");
    assert_eq!(store.set_disabled(&user.id, None, None).await.unwrap(), ChangeOutcome::Changed);
    let user = row(&store, 1).await;
    assert_eq!(log_in(login(&user, SecondProof::Step(5), 2)).await, LogInOutcome::LoggedIn);
}

pub async fn failures_lock_a_name_whether_anybody_has_it(store: Store) {
    let user = enrolled(&store, 1, Role::Member).await;
    for name in [user.name, named(99)] {
        let fail = async |now| store.fail_login(&name, DELAYS, now, None).await.unwrap();
        assert_eq!(fail(NOW).await, FailOutcome::Counted(1));
        assert_eq!(fail(NOW).await, FailOutcome::Counted(2));
        assert_eq!(store.candidate(&name).await.unwrap().locked_until, 0);
        assert_eq!(fail(NOW).await, FailOutcome::Counted(3));
        assert_eq!(store.candidate(&name).await.unwrap().locked_until, NOW + 1_000);
        assert_eq!(fail(NOW + 999).await, FailOutcome::Locked(NOW + 1_000));
    }
    let locked = store.log_in(login(&user, SecondProof::None, 1)).await.unwrap();
    assert_eq!(locked, LogInOutcome::Locked(NOW + 1_000));
    let mut later = login(&user, SecondProof::None, 1);
    later.ticket.created_at = NOW + 1_000;
    assert_eq!(store.log_in(later).await.unwrap(), LogInOutcome::LoggedIn);
    assert_eq!(store.fail_login(&user.name, DELAYS, NOW + 1_000, None).await.unwrap(), FailOutcome::Counted(1));
    assert!(store.candidate(&named(99)).await.unwrap().principal.is_none());
}

pub async fn guesses_at_a_password_are_bounded_whoever_races(store: Store) {
    password_guesses_are_bounded(&[store]).await;
}

pub async fn password_guesses_are_bounded(nodes: &[Store]) {
    let fail = async |store: Store, _| store.fail_login(&named(1), DELAYS, NOW, None).await.unwrap();
    let outcomes = race_among(nodes, fail).await;
    assert_eq!(outcomes.iter().filter(|it| matches!(it, FailOutcome::Counted(_))).count(), 3);
}

pub async fn a_ticket_is_its_principals_and_ends(store: Store) {
    let user = enrolled(&store, 1, Role::Auditor).await;
    let log_in = async |ticket| {
        let row = row(&store, 1).await;
        assert_eq!(store.log_in(login(&row, SecondProof::None, ticket)).await.unwrap(), LogInOutcome::LoggedIn);
    };
    let alive = async |ticket| store.ticket(&digest(ticket)).await.unwrap().is_some();
    log_in(1).await;
    let ticket = store.ticket(&digest(1)).await.unwrap().unwrap();
    assert_eq!((ticket.bound, ticket.used_at, ticket.expires_at), (named(1), NOW, NOW + HOUR));
    assert_eq!((ticket.principal.id, ticket.principal.role), (user.id, Role::Auditor));
    store.touch_ticket(&digest(1), NOW + 5).await.unwrap();
    store.touch_ticket(&digest(1), NOW + 3).await.unwrap();
    assert_eq!(store.ticket(&digest(1)).await.unwrap().unwrap().used_at, NOW + 5, "never back");
    assert!(store.end_ticket(&digest(1), None).await.unwrap());
    assert!(!store.end_ticket(&digest(1), None).await.unwrap());
    log_in(2).await;
    log_in(3).await;
    assert_eq!(store.end_tickets(&user.id, None).await.unwrap(), 2);
    log_in(4).await;
    store.set_disabled(&user.id, Some(NOW), None).await.unwrap();
    assert!(!alive(4).await, "disabled");
    store.set_disabled(&user.id, None, None).await.unwrap();
    assert!(!alive(4).await, "and not alive again afterwards");
    log_in(5).await;
    provider(&store, 1).await;
    assert!(store.assign_factor(factor(1, &row(&store, 1).await, 1)).await.unwrap());
    assert!(!alive(5).await, "a factor was assigned");
    let current = row(&store, 1).await;
    assert!(store.remove_factor(&user.id, current.version, None, None).await.unwrap());
    log_in(6).await;
    assert_eq!(store.remove_principal(&user.id, Vec::new(), None).await.unwrap(), ChangeOutcome::Changed);
    assert!(!alive(6).await, "removed");
}

pub async fn enabling_forgets_failures(store: Store) {
    let [one, other] = [enrolled(&store, 1, Role::Member).await, enrolled(&store, 2, Role::Member).await];
    for name in [&one.name, &other.name] {
        assert_eq!(store.fail_login(name, &[HOUR], NOW, None).await.unwrap(), FailOutcome::Counted(1));
    }
    store.set_disabled(&one.id, Some(NOW), None).await.unwrap();
    assert_eq!(store.candidate(&one.name).await.unwrap().locked_until, NOW + HOUR, "disabling does not");
    store.set_disabled(&one.id, None, None).await.unwrap();
    assert_eq!(store.candidate(&one.name).await.unwrap().locked_until, 0);
    assert_eq!(store.candidate(&other.name).await.unwrap().locked_until, NOW + HOUR, "another's stay");
}

pub async fn a_principal_has_so_many_tickets_and_the_oldest_gives_way(store: Store) {
    let user = enrolled(&store, 1, Role::Member).await;
    let most = u8::try_from(MAX_TICKETS).unwrap();
    for number in 0..=most {
        let mut login = login(&user, SecondProof::None, number);
        login.ticket.created_at += i64::from(number);
        assert_eq!(store.log_in(login).await.unwrap(), LogInOutcome::LoggedIn);
    }
    assert!(store.ticket(&digest(0)).await.unwrap().is_none());
    assert!(store.ticket(&digest(1)).await.unwrap().is_some());
    assert_eq!(store.end_tickets(&user.id, None).await.unwrap(), u64::from(most));
}

pub async fn logins_that_are_over_are_forgotten(store: Store) {
    let user = enrolled(&store, 1, Role::Member).await;
    crate::people::user(&store, 2, Role::Member).await;
    assert_eq!(store.log_in(login(&user, SecondProof::None, 1)).await.unwrap(), LogInOutcome::LoggedIn);
    for name in [3, 4] {
        store.fail_login(&named(name), &[HOUR * 3], NOW, None).await.unwrap();
    }
    store.fail_login(&named(5), &[0], NOW + HOUR, None).await.unwrap();
    assert_eq!(store.forget_logins(NOW + HOUR - 1, NOW - 1, 10).await.unwrap(), 0);
    assert_eq!(store.forget_logins(NOW + HOUR, NOW, 10).await.unwrap(), 2, "a ticket and a link; two names are locked");
    assert!(store.ticket(&digest(1)).await.unwrap().is_none());
    assert!(store.link(&named(2)).await.unwrap().is_none());
    assert_eq!(store.forget_logins(NOW + 3 * HOUR, NOW, 1).await.unwrap(), 1, "no more than asked");
    assert_eq!(store.forget_logins(NOW + 3 * HOUR, NOW, 10).await.unwrap(), 1);
    assert_eq!(store.fail_login(&named(5), &[0], NOW + HOUR, None).await.unwrap(), FailOutcome::Counted(2), "not yet");
}
