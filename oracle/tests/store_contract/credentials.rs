//! Security keys: ceremonies that end once, counters that rise, and who owns what.

use futures_util::future::join_all;
use quorate_oracle::store::{
    AddOutcome, CeremonyAct, CeremonyName, CredentialKind, CredentialName, Digest, FailOutcome, KeyRemoval,
    KeyRemovalOutcome, LogInOutcome, Login, MAX_CREDENTIALS, NewApiKey, NewCeremony, NewCredential, NewDataKey,
    NewTicket, RecordCounts, Removed, Rewrapped, Role, RotateOutcome, SecondProof, Store, UseOutcome, Which,
};

use crate::{
    RACERS,
    logins::{logged_in, login},
    people::{enrolled, user},
    rows::{digest, race},
};

const NOW: i64 = 1_000_000;
const OWNER: Digest = [7; 32];

/// An activated API key and its data key.
#[derive(Clone, Copy)]
struct Owner {
    api_key: i64,
    data_key: i64,
}

async fn owner(store: &Store, name: u8) -> Owner {
    let id = [name; 32];
    assert!(store.insert_api_key(NewApiKey { id, created_at: NOW, sealed: vec![1] }).await.unwrap());
    let data_key = NewDataKey { id: [name; 32], by_secret: vec![2], by_root: vec![3] };
    assert!(store.activate_api_key(&id, &[name; 32], data_key, NOW).await.unwrap());
    let (api_key, data_keys) = store.api_key(&id).await.unwrap().unwrap();
    Owner { api_key: api_key.number, data_key: data_keys[0].number }
}

/// Begins a ceremony and gives its name.
async fn begun(store: &Store, of: Owner, act: CeremonyAct, challenge: u8) -> CeremonyName {
    let name = CeremonyName { owner: OWNER, data_key: of.data_key, act, challenge: [challenge; 32] };
    store.begin_ceremony(NewCeremony { name, expires_at: NOW + 100, sealed: vec![challenge] }).await.unwrap();
    let (ceremony, _) = store.ceremony(of.api_key, &OWNER, act, &[challenge; 32]).await.unwrap();
    assert_eq!(ceremony.unwrap().name, name);
    name
}

fn credential(of: Owner, id: u8, kind: CredentialKind) -> NewCredential {
    let (counter, sealed) = (if kind == CredentialKind::U2f { -1 } else { 0 }, vec![id]);
    NewCredential { owner: OWNER, data_key: of.data_key, id: [id; 32], kind, created_at: NOW, counter, sealed }
}

/// Registers a credential and gives its name.
async fn added(store: &Store, of: Owner, id: u8, kind: CredentialKind) -> CredentialName {
    let ceremony = begun(store, of, CeremonyAct::WebauthnRegister, id).await;
    let outcome = store.add_credential(of.api_key, ceremony, credential(of, id, kind)).await.unwrap();
    assert_eq!(outcome, AddOutcome::Added);
    let rows = store.credentials(of.api_key, &OWNER).await.unwrap();
    rows.iter().find(|row| row.name.id == [id; 32]).unwrap().name
}

pub async fn a_ceremony_ends_once(store: Store) {
    let of = owner(&store, 1).await;
    let name = added(&store, of, 1, CredentialKind::Webauthn).await;
    for (round, act) in [CeremonyAct::WebauthnLogin, CeremonyAct::U2fSign].into_iter().enumerate() {
        let ceremony = begun(&store, of, act, 9).await;
        let counter = i64::try_from(round).unwrap() + 1;
        let racers = (0..RACERS).map(|_| store.use_credential(ceremony, name, counter, NOW));
        let outcomes = join_all(racers).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
        let accepted = outcomes.iter().filter(|outcome| **outcome == UseOutcome::Accepted).count();
        let used = outcomes.iter().filter(|outcome| **outcome == UseOutcome::Used).count();
        assert_eq!((accepted, used), (1, RACERS - 1));
    }
    let ceremony = begun(&store, of, CeremonyAct::WebauthnRegister, 2).await;
    let racers = (10..10 + u8::try_from(RACERS).unwrap())
        .map(|id| store.add_credential(of.api_key, ceremony, credential(of, id, CredentialKind::Webauthn)));
    let outcomes = join_all(racers).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == AddOutcome::Added).count(), 1);
    assert_eq!(store.credentials(of.api_key, &OWNER).await.unwrap().len(), 2);
}

pub async fn what_is_over_answers_to_nothing_that_comes_after_it(store: Store) {
    let (mine, theirs) = (owner(&store, 1).await, owner(&store, 2).await);
    let name = added(&store, mine, 1, CredentialKind::Webauthn).await;
    // An engine may give a row the number of one that is gone: it must not matter, whosever the row is.
    let (first, mut next) = (begun(&store, mine, CeremonyAct::WebauthnLogin, 1).await, None);
    assert_eq!(store.use_credential(first, name, 0, NOW).await.unwrap(), UseOutcome::Accepted);
    for (round, of) in (2..).zip([mine, theirs, mine]) {
        next.replace(begun(&store, of, CeremonyAct::WebauthnLogin, round).await);
        assert_eq!(store.use_credential(first, name, 0, NOW).await.unwrap(), UseOutcome::Used);
        let late = store.add_credential(mine.api_key, first, credential(mine, 9, CredentialKind::Webauthn)).await;
        assert_eq!(late.unwrap(), AddOutcome::Used);
    }
    let last = next.unwrap();
    assert_eq!(store.use_credential(last, name, 0, NOW).await.unwrap(), UseOutcome::Accepted, "it was left alone");

    let under_way = begun(&store, mine, CeremonyAct::WebauthnLogin, 8).await;
    store.remove_credentials(mine.api_key, &OWNER, Which::Id(name.id)).await.unwrap();
    let another = added(&store, theirs, 2, CredentialKind::U2f).await;
    let highest = i64::from(u32::MAX);
    assert_eq!(store.use_credential(under_way, name, highest, NOW).await.unwrap(), UseOutcome::Gone);
    assert_eq!(store.fail_credential(name, &[50], NOW).await.unwrap(), FailOutcome::Unknown);
    let rows = store.credentials(theirs.api_key, &OWNER).await.unwrap();
    assert_eq!((rows[0].name, rows[0].counter, rows[0].locked_until), (another, -1, 0));
}

pub async fn one_of_several_own_keys_goes_with_what_rested_on_it(store: Store) {
    let of = owner(&store, 1).await;
    for id in [1, 2, 3] {
        added(&store, of, id, CredentialKind::Webauthn).await;
    }
    enrolled(&store, 1, Role::Member).await;
    let login = logged_in(&store, 1).await;
    let ticket = |seed| NewTicket { hash: [seed; 32], bound: [seed; 32], created_at: NOW, expires_at: NOW + 100 };
    let removal = |key: u8, kept: &[u8], login, seed| KeyRemoval {
        api_key: of.api_key,
        owner: OWNER,
        key: [key; 32],
        kept: kept.iter().map(|kept| [*kept; 32]).collect(),
        login,
        ticket: ticket(seed),
        at: NOW,
        told: Some(crate::audit::new(seed)),
    };
    let remove = async |removal| store.remove_own_key(removal).await.unwrap();
    let there = async |seed: u8| store.ticket(&[seed; 32]).await.unwrap().is_some();
    for other in [Login { version: login.version + 1, ..login }, Login { ticket: digest(9), ..login }] {
        assert_eq!(remove(removal(1, &[2], other, 10)).await, KeyRemovalOutcome::Changed, "of another login");
    }
    assert_eq!(remove(removal(9, &[2], login, 10)).await, KeyRemovalOutcome::Gone);
    for kept in [&[][..], &[1], &[9], &[1, 9]] {
        assert_eq!(remove(removal(1, kept, login, 10)).await, KeyRemovalOutcome::Last, "{kept:?}");
    }
    let second = CredentialName { owner: OWNER, data_key: of.data_key, id: [2; 32] };
    store.fail_credential(second, &[100], NOW).await.unwrap();
    assert_eq!(remove(removal(1, &[2], login, 10)).await, KeyRemovalOutcome::Last, "a locked one lets nobody in");
    assert!(!there(10).await && crate::audit::seeds(&store).await.is_empty(), "nothing of what was refused is written");
    assert_eq!(remove(removal(1, &[9, 2, 3], login, 11)).await, KeyRemovalOutcome::Removed, "any other will do");
    assert_eq!(remove(removal(2, &[3], login, 12)).await, KeyRemovalOutcome::Changed, "it rested on what was removed");
    let next = Login { version: login.version + 1, ticket: [11; 32], ..login };
    assert_eq!(remove(removal(2, &[3], next, 13)).await, KeyRemovalOutcome::Removed);
    assert!(!there(11).await && !there(12).await && there(13).await, "all tickets end but the new one");
    let left = store.credentials(of.api_key, &OWNER).await.unwrap();
    assert_eq!(left.iter().map(|row| row.name.id[0]).collect::<Vec<_>>(), [3]);
    assert_eq!(crate::audit::seeds(&store).await, [11, 13], "told with it or not at all");
}

pub async fn an_own_key_is_added_while_its_login_is_one(store: Store) {
    let of = owner(&store, 1).await;
    user(&store, 1, Role::Member).await;
    let login = logged_in(&store, 1).await;
    let add = async |id, login| {
        let ceremony = begun(&store, of, CeremonyAct::WebauthnRegister, id).await;
        let new = credential(of, id, CredentialKind::Webauthn);
        store.add_own_key(of.api_key, ceremony, new, login).await.unwrap()
    };
    assert_eq!(add(1, login).await, AddOutcome::Added);
    for (id, other) in [
        (2, Login { version: login.version + 1, ..login }),
        (3, Login { ticket: digest(9), ..login }),
        (4, Login { principal: digest(9), ..login }),
    ] {
        assert_eq!(add(id, other).await, AddOutcome::Changed, "{other:?}");
    }
    store.end_tickets(&digest(1), None).await.unwrap();
    assert_eq!(add(5, login).await, AddOutcome::Changed, "logged out everywhere");
    let login = logged_in(&store, 1).await;
    assert_eq!(add(6, login).await, AddOutcome::Added);
    store.set_disabled(&digest(1), Some(NOW), None).await.unwrap();
    assert_eq!(add(7, login).await, AddOutcome::Changed, "disabled");
    assert_eq!(store.credentials(of.api_key, &OWNER).await.unwrap().len(), 2);
}

/// What ends a login while keys are being added with it.
#[derive(Clone, Copy)]
enum End {
    Disabled,
    LoggedOut,
    Removal,
}

async fn count(store: &Store, of: Owner) -> usize {
    store.credentials(of.api_key, &OWNER).await.unwrap().len()
}

pub async fn once_a_login_has_ended_no_key_comes_of_it_whoever_races(store: Store) {
    for (seed, end) in (1..).zip([End::Disabled, End::LoggedOut, End::Removal]) {
        let of = owner(&store, seed).await;
        for id in [201, 202] {
            added(&store, of, id, CredentialKind::Webauthn).await;
        }
        user(&store, seed, Role::Member).await;
        let login = logged_in(&store, seed).await;
        let after = race(&store, |store, number| async move {
            let id = u8::try_from(number).unwrap();
            if number != RACERS / 2 {
                let ceremony = begun(&store, of, CeremonyAct::WebauthnRegister, id).await;
                let new = credential(of, id, CredentialKind::Webauthn);
                let outcome = store.add_own_key(of.api_key, ceremony, new, login).await.unwrap();
                assert!([AddOutcome::Added, AddOutcome::Changed, AddOutcome::Full].contains(&outcome), "{outcome:?}");
                return None;
            }
            match end {
                End::Disabled => drop(store.set_disabled(&login.principal, Some(NOW), None).await.unwrap()),
                End::LoggedOut => drop(store.end_tickets(&login.principal, None).await.unwrap()),
                End::Removal => {
                    let removal = KeyRemoval {
                        api_key: of.api_key,
                        owner: OWNER,
                        key: [201; 32],
                        kept: vec![[202; 32]],
                        login,
                        ticket: NewTicket { hash: [210; 32], bound: [210; 32], created_at: NOW, expires_at: NOW + 100 },
                        at: NOW,
                        told: None,
                    };
                    assert_eq!(store.remove_own_key(removal).await.unwrap(), KeyRemovalOutcome::Removed);
                }
            }
            Some(count(&store, of).await)
        })
        .await;
        let after = after.into_iter().flatten().next().unwrap();
        assert_eq!(count(&store, of).await, after, "what is not there when the login has ended never is");
    }
}

pub async fn of_many_removals_with_one_login_one_is_done(store: Store) {
    let of = owner(&store, 1).await;
    let keys = || 1..=u8::try_from(MAX_CREDENTIALS).unwrap();
    for id in keys() {
        added(&store, of, id, CredentialKind::Webauthn).await;
    }
    user(&store, 1, Role::Member).await;
    let login = logged_in(&store, 1).await;
    let outcomes = race(&store, |store, number| {
        let key = u8::try_from(number).unwrap() + 1;
        let removal = KeyRemoval {
            api_key: of.api_key,
            owner: OWNER,
            key: [key; 32],
            kept: keys().filter(|other| *other != key).map(|other| [other; 32]).collect(),
            login,
            ticket: NewTicket { hash: [key; 32], bound: [key; 32], created_at: NOW, expires_at: NOW + 100 },
            at: NOW,
            told: None,
        };
        async move { store.remove_own_key(removal).await.unwrap() }
    })
    .await;
    let removed = outcomes.iter().filter(|outcome| **outcome == KeyRemovalOutcome::Removed).count();
    let changed = outcomes.iter().filter(|outcome| **outcome == KeyRemovalOutcome::Changed).count();
    assert_eq!((removed, changed), (1, RACERS - 1), "{outcomes:?}");
    assert_eq!(store.credentials(of.api_key, &OWNER).await.unwrap().len(), MAX_CREDENTIALS - 1);
}

pub async fn no_login_from_before_a_removal_outlives_it_whoever_races(store: Store) {
    let of = owner(&store, 1).await;
    for id in [201, 202] {
        added(&store, of, id, CredentialKind::Webauthn).await;
    }
    let user = enrolled(&store, 1, Role::Member).await;
    let shown = logged_in(&store, 1).await;
    let (racers, next) = (2..2 + u8::try_from(RACERS).unwrap(), [210; 32]);
    let outcomes = race(&store, |store, number| {
        let login = login(&user, SecondProof::None, racers.start + u8::try_from(number).unwrap());
        async move {
            if number != RACERS / 2 {
                return store.log_in(login).await.unwrap();
            }
            let removal = KeyRemoval {
                api_key: of.api_key,
                owner: OWNER,
                key: [201; 32],
                kept: vec![[202; 32]],
                login: shown,
                ticket: NewTicket { hash: next, bound: next, created_at: NOW, expires_at: NOW + 100 },
                at: NOW,
                told: None,
            };
            assert_eq!(store.remove_own_key(removal).await.unwrap(), KeyRemovalOutcome::Removed);
            LogInOutcome::Changed
        }
    })
    .await;
    let expected = [LogInOutcome::LoggedIn, LogInOutcome::Changed];
    assert!(outcomes.iter().all(|outcome| expected.contains(outcome)), "{outcomes:?}");
    for seed in racers {
        assert!(store.ticket(&digest(seed)).await.unwrap().is_none(), "{seed}");
    }
    assert!(store.ticket(&next).await.unwrap().is_some(), "whoever removed it goes on");
}

pub async fn a_ceremony_ends_in_time(store: Store) {
    let of = owner(&store, 1).await;
    let name = added(&store, of, 1, CredentialKind::Webauthn).await;
    let ceremony = begun(&store, of, CeremonyAct::WebauthnLogin, 9).await;
    let late = store.use_credential(ceremony, name, 1, NOW + 100).await.unwrap();
    assert_eq!(late, UseOutcome::Used);
    let mut new = credential(of, 2, CredentialKind::Webauthn);
    new.created_at = NOW + 100;
    assert_eq!(store.add_credential(of.api_key, ceremony, new).await.unwrap(), AddOutcome::Used);
    assert_eq!(store.use_credential(ceremony, name, 1, NOW + 99).await.unwrap(), UseOutcome::Accepted);
}

pub async fn a_counter_rises_or_there_is_none(store: Store) {
    let of = owner(&store, 1).await;
    let webauthn = added(&store, of, 1, CredentialKind::Webauthn).await;
    let u2f = added(&store, of, 2, CredentialKind::U2f).await;
    let cases = [
        (webauthn, 0, UseOutcome::Accepted),
        (webauthn, 5, UseOutcome::Accepted),
        (webauthn, 5, UseOutcome::CounterBehind),
        (webauthn, 0, UseOutcome::CounterBehind),
        (webauthn, 6, UseOutcome::Accepted),
        (u2f, 0, UseOutcome::Accepted),
        (u2f, 0, UseOutcome::CounterBehind),
        (u2f, i64::from(u32::MAX), UseOutcome::Accepted),
        (CredentialName { id: [99; 32], ..u2f }, 1, UseOutcome::Gone),
    ];
    for (place, (name, counter, expected)) in (20..).zip(cases) {
        let ceremony = begun(&store, of, CeremonyAct::WebauthnLogin, place).await;
        let outcome = store.use_credential(ceremony, name, counter, NOW).await.unwrap();
        assert_eq!(outcome, expected, "{name:?} {counter}");
        // Whatever came of it, the challenge is used up.
        let again = store.use_credential(ceremony, name, 100, NOW).await.unwrap();
        assert_eq!(again, UseOutcome::Used);
    }
}

pub async fn wrong_signatures_lock_by_the_schedule_whoever_races(store: Store) {
    const DELAYS: &[i64] = &[0, 0, 20, 30];
    let of = owner(&store, 1).await;
    let name = added(&store, of, 1, CredentialKind::Webauthn).await;
    let spared = added(&store, of, 2, CredentialKind::Webauthn).await;
    let fail = async |now| store.fail_credential(name, DELAYS, now).await.unwrap();
    let outcomes = join_all((0..RACERS).map(|_| fail(NOW))).await;
    for expected in 1..=3 {
        let counted = outcomes.iter().filter(|outcome| **outcome == FailOutcome::Counted(expected)).count();
        assert_eq!(counted, 1, "{expected}: {outcomes:?}");
    }
    let locked = outcomes.iter().filter(|outcome| **outcome == FailOutcome::Locked(NOW + 20)).count();
    assert_eq!(locked, RACERS - 3, "{outcomes:?}");
    assert_eq!(fail(NOW + 19).await, FailOutcome::Locked(NOW + 20));
    assert_eq!(fail(NOW + 20).await, FailOutcome::Counted(4));
    let until = async |name| {
        let rows = store.credentials(of.api_key, &OWNER).await.unwrap();
        rows.into_iter().find(|row| row.name == name).unwrap().locked_until
    };
    assert_eq!((until(name).await, until(spared).await), (NOW + 50, 0));
    // A right answer that was under way when the lock fell does not count; one after it forgets the wrong ones.
    for (challenge, now, outcome) in [(8, NOW + 49, UseOutcome::Locked(NOW + 50)), (9, NOW + 50, UseOutcome::Accepted)]
    {
        let ceremony = begun(&store, of, CeremonyAct::WebauthnLogin, challenge).await;
        assert_eq!(store.use_credential(ceremony, name, 1, now).await.unwrap(), outcome);
    }
    assert_eq!(until(name).await, 0);
    assert_eq!(fail(NOW).await, FailOutcome::Counted(1));
    let nobodys = CredentialName { id: [99; 32], ..name };
    assert_eq!(store.fail_credential(nobodys, DELAYS, NOW).await.unwrap(), FailOutcome::Unknown);
}

pub async fn a_users_credentials_differ_and_are_bounded(store: Store) {
    let of = owner(&store, 1).await;
    added(&store, of, 1, CredentialKind::Webauthn).await;
    added(&store, of, 2, CredentialKind::U2f).await;
    let ceremony = begun(&store, of, CeremonyAct::WebauthnRegister, 1).await;
    let same = store.add_credential(of.api_key, ceremony, credential(of, 1, CredentialKind::Webauthn)).await.unwrap();
    assert_eq!(same, AddOutcome::Duplicate);
    let ceremony = begun(&store, of, CeremonyAct::U2fRegister, 3).await;
    let second = store.add_credential(of.api_key, ceremony, credential(of, 3, CredentialKind::U2f)).await.unwrap();
    assert_eq!(second, AddOutcome::Duplicate, "a second U2F key");
    for id in 3..=u8::try_from(MAX_CREDENTIALS).unwrap() {
        added(&store, of, id, CredentialKind::Webauthn).await;
    }
    let ceremony = begun(&store, of, CeremonyAct::WebauthnRegister, 99).await;
    let full = store.add_credential(of.api_key, ceremony, credential(of, 99, CredentialKind::Webauthn)).await.unwrap();
    assert_eq!(full, AddOutcome::Full);
}

pub async fn the_owner_of_the_data_key_owns_the_user(store: Store) {
    let (mine, theirs) = (owner(&store, 1).await, owner(&store, 2).await);
    added(&store, mine, 1, CredentialKind::Webauthn).await;
    added(&store, mine, 2, CredentialKind::U2f).await;
    begun(&store, mine, CeremonyAct::WebauthnLogin, 9).await;
    assert_eq!(store.count_records(mine.api_key).await.unwrap(), RecordCounts { totp: 0, webauthn: 1 }, "one user");
    assert!(store.credentials(theirs.api_key, &OWNER).await.unwrap().is_empty());
    assert!(!store.has_ceremony(theirs.api_key, &OWNER, CeremonyAct::WebauthnLogin).await.unwrap());
    let other = store.ceremony(theirs.api_key, &OWNER, CeremonyAct::WebauthnLogin, &[9; 32]).await.unwrap();
    assert!(other.0.is_none() && other.1.is_empty());
    assert_eq!(store.remove_credentials(theirs.api_key, &OWNER, Which::All).await.unwrap(), Removed::default());

    // A user who comes with a rotation, for ceremonies that are under way, too.
    let moved = RecordCounts { totp: 0, webauthn: 1 };
    assert_eq!(rotated(&store, mine, theirs.api_key).await, RotateOutcome::Moved(moved));
    assert!(store.credentials(mine.api_key, &OWNER).await.unwrap().is_empty());
    assert_eq!(store.credentials(theirs.api_key, &OWNER).await.unwrap().len(), 2);
    let other = store.ceremony(theirs.api_key, &OWNER, CeremonyAct::WebauthnLogin, &[9; 32]).await.unwrap();
    assert_eq!(other.0.unwrap().sealed, [9]);
    let removed = store.remove_credentials(theirs.api_key, &OWNER, Which::All).await.unwrap();
    assert_eq!(removed, Removed { credentials: 2, left: 0, ceremonies: 1 });
    assert_eq!(store.count_records(theirs.api_key).await.unwrap(), RecordCounts::default());
}

/// Hands over an API key's first data key.
async fn rotated(store: &Store, of: Owner, to: i64) -> RotateOutcome {
    let moved = Rewrapped { number: of.data_key, by_secret: vec![4], by_root: vec![5] };
    let fresh = NewDataKey { id: [90; 32], by_secret: vec![6], by_root: vec![7] };
    store.rotate_api_key(of.api_key, to, vec![moved], fresh, NOW).await.unwrap()
}

pub async fn two_users_of_one_uuid_do_not_become_one(store: Store) {
    let (mine, theirs, third) = (owner(&store, 1).await, owner(&store, 2).await, owner(&store, 3).await);
    for of in [mine, theirs] {
        added(&store, of, 1, CredentialKind::Webauthn).await;
    }
    assert_eq!(rotated(&store, mine, theirs.api_key).await, RotateOutcome::SharedUsers);
    for of in [mine, theirs] {
        assert_eq!(store.credentials(of.api_key, &OWNER).await.unwrap().len(), 1, "nothing was written");
    }
    store.remove_credentials(theirs.api_key, &OWNER, Which::All).await.unwrap();
    // Another user of the new key is in nobody's way.
    let ceremony = begun(&store, theirs, CeremonyAct::WebauthnRegister, 2).await;
    let other = NewCredential { owner: [8; 32], ..credential(theirs, 2, CredentialKind::Webauthn) };
    assert_eq!(store.add_credential(theirs.api_key, ceremony, other).await.unwrap(), AddOutcome::Added);
    let moved = RotateOutcome::Moved(RecordCounts { totp: 0, webauthn: 1 });
    assert_eq!(rotated(&store, mine, theirs.api_key).await, moved);
    assert_eq!(rotated(&store, theirs, third.api_key).await, moved);
}

pub async fn under_a_data_key_that_has_moved_nothing_is_registered(store: Store) {
    let (mine, theirs) = (owner(&store, 1).await, owner(&store, 2).await);
    added(&store, mine, 1, CredentialKind::U2f).await;
    let ceremonies = [
        begun(&store, mine, CeremonyAct::U2fRegister, 8).await,
        begun(&store, mine, CeremonyAct::WebauthnRegister, 9).await,
    ];
    assert!(matches!(rotated(&store, mine, theirs.api_key).await, RotateOutcome::Moved(_)));
    // The old key's number finds no credential any more: a second U2F key, and the first one again, would go through.
    for (ceremony, new) in ceremonies
        .into_iter()
        .zip([credential(mine, 2, CredentialKind::U2f), credential(mine, 1, CredentialKind::Webauthn)])
    {
        assert_eq!(store.add_credential(mine.api_key, ceremony, new.clone()).await.unwrap(), AddOutcome::Used);
        assert_eq!(store.add_credential(theirs.api_key, ceremony, new).await.unwrap(), AddOutcome::Duplicate);
    }
    assert_eq!(store.credentials(theirs.api_key, &OWNER).await.unwrap().len(), 1);
    assert_eq!(store.count_records(theirs.api_key).await.unwrap().webauthn, 1);
}

pub async fn what_is_removed_is_what_was_named(store: Store) {
    let of = owner(&store, 1).await;
    for id in 1..=3 {
        added(&store, of, id, CredentialKind::Webauthn).await;
    }
    added(&store, of, 4, CredentialKind::U2f).await;
    for act in [CeremonyAct::U2fRegister, CeremonyAct::U2fSign, CeremonyAct::WebauthnLogin] {
        begun(&store, of, act, 9).await;
    }
    let remove = async |which| store.remove_credentials(of.api_key, &OWNER, which).await.unwrap();
    assert_eq!(remove(Which::Id([9; 32])).await, Removed { credentials: 0, left: 4, ceremonies: 0 });
    assert_eq!(remove(Which::Id([2; 32])).await, Removed { credentials: 1, left: 3, ceremonies: 0 });
    assert_eq!(remove(Which::U2f).await, Removed { credentials: 1, left: 2, ceremonies: 2 });
    assert_eq!(remove(Which::U2f).await, Removed { credentials: 0, left: 2, ceremonies: 0 });
    assert_eq!(store.count_records(of.api_key).await.unwrap().webauthn, 1);
    assert_eq!(remove(Which::All).await, Removed { credentials: 2, left: 0, ceremonies: 1 });
    assert_eq!(store.count_records(of.api_key).await.unwrap().webauthn, 0);
}

pub async fn open_challenges_are_bounded_and_forgotten(store: Store) {
    let of = owner(&store, 1).await;
    for challenge in 0..70 {
        begun(&store, of, CeremonyAct::WebauthnLogin, challenge).await;
    }
    begun(&store, of, CeremonyAct::U2fSign, 0).await;
    let mut open = Vec::new();
    for challenge in 0..70 {
        let found = store.ceremony(of.api_key, &OWNER, CeremonyAct::WebauthnLogin, &[challenge; 32]).await.unwrap();
        open.extend(found.0.map(|_| challenge));
    }
    assert_eq!(open, (6..70).collect::<Vec<_>>());
    assert_eq!(store.forget_ceremonies(NOW + 100, 100).await.unwrap(), 0, "its last moment is not over");
    assert_eq!(store.forget_ceremonies(NOW + 101, 5).await.unwrap(), 5);
    assert_eq!(store.forget_ceremonies(NOW + 101, 100).await.unwrap(), 60);
    assert!(!store.has_ceremony(of.api_key, &OWNER, CeremonyAct::WebauthnLogin).await.unwrap());
}
