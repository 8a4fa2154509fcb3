//! Apps, grants and key pairs: each change on what was read and by who still may, and reads that no ended right outlives.

use quorate_oracle::store::{
    AppBy, AppChange, AppReader, AppSeen, ChangeAppOutcome, ChangeOutcome, HeldApps, HolderRow, InsertAppOutcome,
    LastApp, NewAppRow, NewAudit, NewHolder, OwnedApp, PrincipalKind, RecordCounts, RevokeOutcome, Role, RotateOutcome,
    Store, WrittenGrant,
};

use crate::{
    RACERS,
    api_keys::{active, data_key},
    people::{named, principal, user},
    rows::{NOW, digest, race},
};

async fn holder(store: &Store, of: AppReader, seed: u8, data_key: Option<i64>) -> HolderRow {
    let new = NewHolder { id: digest(seed), data_key, public: named(seed), mac: digest(seed), sealed: vec![seed; 72] };
    assert!(store.insert_app_holder(of, new).await.unwrap());
    store.app_holders(of).await.unwrap().pop().unwrap()
}

/// A user of that seed with a key pair of the same seed.
async fn reader(store: &Store, seed: u8) -> (AppReader, HolderRow) {
    user(store, seed, Role::Member).await;
    let reader = AppReader::Principal(digest(seed));
    (reader, holder(store, reader, seed, None).await)
}

fn grant(holder: &HolderRow, level: u8) -> WrittenGrant {
    let sealed_key = vec![level; 64];
    WrittenGrant { holder: holder.number, level, granted_at: NOW, sealed_key, mac: digest(level) }
}

async fn add(store: &Store, seed: u8, owner: AppReader, holder: &HolderRow) -> InsertAppOutcome {
    let grant = grant(holder, 3);
    let new =
        NewAppRow { id: digest(seed), version: 1, added_at: NOW, sealed: vec![seed; 90], owner, grant, told: None };
    store.insert_app(new).await.unwrap()
}

/// An app as it is seen at that revision.
async fn seen(store: &Store, app: u8, revision: i64) -> AppSeen {
    AppSeen { revision, ..store.overseen_app(&digest(app)).await.unwrap().unwrap().seen }
}

/// A change of app 1 by a manager, who has read it at that revision.
async fn change(store: &Store, revision: i64, reader: AppReader, by: &HolderRow) -> AppChange {
    AppChange {
        app: digest(1),
        seen: seen(store, 1, revision).await,
        by: AppBy::Holder { reader, holder: by.number, level: 2 },
        version: 1,
        owed: false,
        sealed: None,
        grants: Vec::new(),
        ended: Vec::new(),
        told: None,
        last: None,
    }
}

fn told(seed: u8) -> NewAudit {
    NewAudit { id: [seed; 16], sealed: vec![seed; 40], notices: Vec::new() }
}

/// That an app goes with somebody.
async fn last(store: &Store, app: u8) -> LastApp {
    LastApp { app: seen(store, app, 1).await, told: told(app) }
}

/// What the audit log was told of, in order.
async fn pending(store: &Store) -> Vec<u8> {
    store.pending_audit(100).await.unwrap().1.iter().map(|event| event.id[0]).collect()
}

/// The level with which somebody can read app 1.
async fn level(store: &Store, reader: AppReader) -> Option<u8> {
    let read = store.read_app(reader, &digest(1)).await.unwrap();
    let level = read.map(|app| app.held.iter().map(|held| held.grant.level).max().unwrap());
    let HeldApps { apps: listed, owners, more } = store.apps(reader, 0, 9).await.unwrap();
    assert_eq!(more, None);
    let listed = listed.iter().find(|app| app.app.id == digest(1));
    assert_eq!(listed.map(|app| app.held.iter().map(|held| held.grant.level).max().unwrap()), level);
    assert_eq!(
        owners.iter().filter(|owner| listed.is_some_and(|app| app.app.number == owner.app)).count(),
        usize::from(level.is_some())
    );
    level
}

pub async fn an_app_comes_back_as_it_was_put_to_who_may_read_it(store: Store) {
    let (ann, hers) = reader(&store, 10).await;
    let (bob, _) = reader(&store, 11).await;
    assert_eq!(add(&store, 1, ann, &hers).await, InsertAppOutcome::Added);
    assert_eq!(add(&store, 1, ann, &hers).await, InsertAppOutcome::Taken);
    assert_eq!(add(&store, 2, bob, &hers).await, InsertAppOutcome::Moved, "not his key pair");
    assert_eq!((level(&store, ann).await, level(&store, bob).await), (Some(3), None));
    let (app, grants) = store.app_with_grants(ann, &digest(1)).await.unwrap().unwrap();
    assert_eq!((app.app.version, app.app.revision, app.app.owed), (1, 1, false));
    assert_eq!(
        (app.app.added_at, app.app.sealed, app.held[0].grant.sealed_key.clone()),
        (NOW, vec![1; 90], vec![3; 64])
    );
    assert_eq!((grants.len(), grants[0].holder.public, grants[0].grant.mac), (1, named(10), digest(3)));
    let by = |reader| AppBy::Holder { reader, holder: hers.number, level: 2 };
    assert!(!store.remove_app(by(bob), &digest(1), None).await.unwrap());
    assert!(store.remove_app(by(ann), &digest(1), None).await.unwrap());
    assert_eq!(level(&store, ann).await, None);
    // Who is out of use adds nothing, whenever the request began.
    store.set_disabled(&digest(10), Some(NOW), None).await.unwrap();
    assert_eq!(add(&store, 3, ann, &hers).await, InsertAppOutcome::Gone);
    let (key, keys) = active(&store, 1).await;
    let of_key = AppReader::ApiKey(key.number);
    let theirs = holder(&store, of_key, 31, Some(keys[0].number)).await;
    assert_eq!(store.revoke_api_key(&key.id, NOW).await.unwrap(), RevokeOutcome::Revoked);
    assert_eq!(add(&store, 3, of_key, &theirs).await, InsertAppOutcome::Gone);
    assert!(store.taken_apps(vec![digest(3)]).await.unwrap().is_empty());
}

pub async fn a_change_is_of_what_was_read_and_by_who_may(store: Store) {
    let (ann, hers) = reader(&store, 10).await;
    let (bob, his) = reader(&store, 11).await;
    add(&store, 1, ann, &hers).await;
    let apply = async |change| store.change_app(change).await.unwrap();
    let granting = AppChange { grants: vec![grant(&his, 1)], ..change(&store, 1, ann, &hers).await };
    assert_eq!(apply(granting.clone()).await, ChangeAppOutcome::Changed);
    assert_eq!(apply(granting).await, ChangeAppOutcome::Stale);
    assert_eq!(level(&store, bob).await, Some(1));
    assert_eq!(apply(change(&store, 2, bob, &his).await).await, ChangeAppOutcome::Unknown, "he may read, and no more");
    assert_eq!(apply(change(&store, 2, bob, &hers).await).await, ChangeAppOutcome::Unknown, "not his");
    let gone = WrittenGrant { holder: 999, ..grant(&his, 1) };
    let nobody = AppChange { grants: vec![gone], ended: vec![his.number], ..change(&store, 2, ann, &hers).await };
    assert_eq!(apply(nobody).await, ChangeAppOutcome::HolderGone);
    assert_eq!(level(&store, bob).await, Some(1), "nothing of it is written");
    let revoking = AppChange {
        version: 2,
        sealed: Some(vec![9; 90]),
        ended: vec![his.number],
        ..change(&store, 2, ann, &hers).await
    };
    assert_eq!(apply(revoking).await, ChangeAppOutcome::Changed);
    assert_eq!(level(&store, bob).await, None);
    let app = store.app(ann, &digest(1)).await.unwrap().unwrap().app;
    assert_eq!((app.version, app.revision, app.sealed), (2, 3, vec![9; 90]));
    // What takes an owner is nobody else's who manages it.
    assert_eq!(
        apply(AppChange { grants: vec![grant(&his, 2)], ..change(&store, 3, ann, &hers).await }).await,
        ChangeAppOutcome::Changed
    );
    for (reader, theirs, outcome) in [(bob, &his, ChangeAppOutcome::Unknown), (ann, &hers, ChangeAppOutcome::Changed)] {
        let by = AppBy::Holder { reader, holder: theirs.number, level: 3 };
        let owners = AppChange { by, version: 2, ..change(&store, 4, ann, &hers).await };
        assert_eq!(apply(owners).await, outcome);
    }
    // Nor is one that was added since under the same UUID the one that was read, whatever number and revision it has.
    let before = change(&store, 1, ann, &hers).await;
    let by = AppBy::Holder { reader: ann, holder: hers.number, level: 2 };
    assert!(store.remove_app(by, &digest(1), None).await.unwrap());
    add(&store, 1, ann, &hers).await;
    assert_eq!((before.seen.version, seen(&store, 1, 1).await.version), (2, 1));
    assert_eq!(apply(before).await, ChangeAppOutcome::Stale);
}

pub async fn of_many_changes_of_one_revision_one_is_made(store: Store) {
    let (ann, hers) = reader(&store, 10).await;
    add(&store, 1, ann, &hers).await;
    let first = change(&store, 1, ann, &hers).await;
    let outcomes = race(&store, move |store, number| {
        let version = i64::try_from(number).unwrap() + 2;
        let change = AppChange { version, ..first.clone() };
        async move { store.change_app(change).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == ChangeAppOutcome::Changed).count(), 1);
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == ChangeAppOutcome::Stale).count(), RACERS - 1);
}

pub async fn a_key_pair_is_made_once_whoever_races(store: Store) {
    user(&store, 10, Role::Member).await;
    let of = AppReader::Principal(digest(10));
    let outcomes = race(&store, move |store, number| {
        let seed = u8::try_from(number).unwrap();
        let new =
            NewHolder { id: digest(seed), data_key: None, public: named(seed), mac: digest(seed), sealed: vec![1] };
        async move { store.insert_app_holder(of, new).await.unwrap() }
    })
    .await;
    assert_eq!(outcomes.iter().filter(|made| **made).count(), 1);
    assert_eq!(store.app_holders(of).await.unwrap().len(), 1);
    let new = |data_key| NewHolder { id: digest(99), data_key, public: named(1), mac: digest(1), sealed: vec![1] };
    for (of, data_key) in [(AppReader::Principal(digest(12)), None), (AppReader::ApiKey(7), Some(7)), (of, Some(7))] {
        assert!(!store.insert_app_holder(of, new(data_key)).await.unwrap(), "nobody is there: {of:?}");
    }
}

pub async fn a_right_ends_with_whatever_it_rests_on(store: Store) {
    let (ann, hers) = reader(&store, 10).await;
    let (bob, his) = reader(&store, 11).await;
    assert!(store.insert_principal(principal(12, PrincipalKind::Team, Role::Member)).await.unwrap());
    let team = holder(&store, AppReader::Principal(digest(12)), 12, None).await;
    user(&store, 13, Role::Member).await;
    let carol = AppReader::Principal(digest(13));
    add(&store, 1, ann, &hers).await;
    let granting = AppChange { grants: vec![grant(&his, 2), grant(&team, 1)], ..change(&store, 1, ann, &hers).await };
    assert_eq!(store.change_app(granting).await.unwrap(), ChangeAppOutcome::Changed);
    assert_eq!((level(&store, bob).await, level(&store, carol).await), (Some(2), None));
    let member = async |added: &[u8], removed: &[u8]| {
        let added = added.iter().map(|seed| (digest(*seed), named(*seed))).collect();
        let removed = removed.iter().map(|seed| digest(*seed)).collect();
        store.change_members(&digest(12), added, removed, None).await.unwrap();
    };
    member(&[11, 13], &[]).await;
    assert_eq!((level(&store, bob).await, level(&store, carol).await), (Some(2), Some(1)));
    let both = store.app(bob, &digest(1)).await.unwrap().unwrap().held;
    let bound: Vec<_> = both.iter().map(|held| (held.grant.level, held.member)).collect();
    assert!(bound.contains(&(2, None)) && bound.contains(&(1, Some(named(11)))), "{bound:?}");
    member(&[], &[13]).await;
    assert_eq!(level(&store, carol).await, None);
    member(&[13], &[]).await;
    for (disabled, seen) in [(12, (Some(2), None)), (13, (Some(2), None)), (11, (None, Some(1)))] {
        store.set_disabled(&digest(disabled), Some(NOW), None).await.unwrap();
        assert_eq!((level(&store, bob).await, level(&store, carol).await), seen, "{disabled} is disabled");
        store.set_disabled(&digest(disabled), None, None).await.unwrap();
    }
    assert!(!store.app(ann, &digest(1)).await.unwrap().unwrap().app.owed);
    store.remove_principal(&digest(12), Vec::new(), None).await.unwrap();
    assert_eq!((level(&store, bob).await, level(&store, carol).await), (Some(2), None));
    let app = store.app(ann, &digest(1)).await.unwrap().unwrap().app;
    assert_eq!((app.owed, app.revision), (true, 3));
}

pub async fn what_an_api_key_may_read_moves_with_a_rotation(store: Store) {
    let (old, old_keys) = active(&store, 1).await;
    let (new, new_keys) = active(&store, 2).await;
    let (first, second) = (AppReader::ApiKey(old.number), AppReader::ApiKey(new.number));
    let theirs = holder(&store, first, 31, Some(old_keys[0].number)).await;
    holder(&store, second, 32, Some(new_keys[0].number)).await;
    let rotate = async |fresh| {
        let moved = old_keys.iter().map(|key| quorate_oracle::store::Rewrapped {
            number: key.number,
            by_secret: vec![7; 72],
            by_root: vec![8; 72],
        });
        store.rotate_api_key(old.number, new.number, moved.collect(), data_key(fresh), NOW).await.unwrap()
    };
    let nothing = RotateOutcome::Moved(RecordCounts::default());
    assert_eq!(rotate(50).await, nothing);
    assert_eq!(store.app_holders(first).await.unwrap().len(), 1, "nobody can read anything with it: it stays");
    add(&store, 1, first, &theirs).await;
    assert_eq!((level(&store, first).await, level(&store, second).await), (Some(3), None));
    assert_eq!(rotate(51).await, nothing);
    assert_eq!((level(&store, first).await, level(&store, second).await), (None, Some(3)));
    assert_eq!(store.app_holders(second).await.unwrap().len(), 2);
    assert_eq!(store.api_key(&old.id).await.unwrap().unwrap().1.len(), 1, "a fresh data key");
    let end = async |last| store.end_apps_of(new.number, last).await.unwrap();
    assert!(!end(vec![last(&store, 1).await]).await, "it is in use");
    assert_eq!(level(&store, second).await, Some(3));
    assert_eq!(store.revoke_api_key(&new.id, NOW).await.unwrap(), RevokeOutcome::Revoked);
    assert_eq!(level(&store, second).await, None);
    assert!(!end(Vec::new()).await, "an app that nobody else may read would go untold");
    assert_eq!(store.apps_only_of(second).await.unwrap()[0].seen, seen(&store, 1, 2).await);
    assert!(end(vec![last(&store, 1).await]).await);
    assert_eq!(pending(&store).await, [1]);
    assert!(store.overseen_app(&digest(1)).await.unwrap().is_none());
    assert!(end(Vec::new()).await, "nothing is left");
}

pub async fn an_app_ends_with_the_last_in_use_who_may_read_it_and_never_untold(store: Store) {
    let (ann, hers) = reader(&store, 10).await;
    let (bob, his) = reader(&store, 11).await;
    let (key, keys) = active(&store, 1).await;
    let theirs = holder(&store, AppReader::ApiKey(key.number), 31, Some(keys[0].number)).await;
    for app in [1, 2, 3] {
        add(&store, app, ann, &hers).await;
    }
    // The first may be read by bob as well, the second by an API key, the third by nobody else.
    let granting = AppChange { grants: vec![grant(&his, 1)], ..change(&store, 1, ann, &hers).await };
    assert_eq!(store.change_app(granting).await.unwrap(), ChangeAppOutcome::Changed);
    let second = AppChange { app: digest(2), seen: seen(&store, 2, 1).await, ..change(&store, 1, ann, &hers).await };
    let granting = AppChange { grants: vec![grant(&theirs, 2)], ..second };
    assert_eq!(store.change_app(granting).await.unwrap(), ChangeAppOutcome::Changed);
    let only = async |of| {
        let only = store.apps_only_of(of).await.unwrap();
        only.into_iter().map(|app| (app.app.unwrap().id, app.grants.len())).collect::<Vec<_>>()
    };
    assert_eq!((only(ann).await, only(bob).await), (vec![(digest(3), 1)], Vec::new()));
    assert_eq!(store.revoke_api_key(&key.id, NOW).await.unwrap(), RevokeOutcome::Revoked);
    assert!(store.end_apps_of(key.number, Vec::new()).await.unwrap());
    assert_eq!(only(ann).await, [(digest(2), 1), (digest(3), 1)], "who is revoked keeps nothing");
    let remove = async |last| store.remove_principal(&digest(10), last, Some(told(9))).await.unwrap();
    let last = [last(&store, 1).await, last(&store, 2).await, last(&store, 3).await];
    assert_eq!(remove(last[2..].to_vec()).await, ChangeOutcome::Stale);
    assert_eq!((level(&store, ann).await, pending(&store).await), (Some(3), Vec::new()), "nothing of it is written");
    // One that has got a reader since it was looked at stays, and nothing is told of it.
    assert_eq!(remove(last.to_vec()).await, ChangeOutcome::Changed);
    let mut told = pending(&store).await;
    told.sort_unstable();
    assert_eq!(told, [2, 3, 9]);
    let left = store.apps_after(0, 10).await.unwrap();
    assert_eq!(
        left.iter()
            .map(|left| (left.app.as_ref().map(|app| (app.id, app.owed)), left.grants.len()))
            .collect::<Vec<_>>(),
        [(Some((digest(1), true)), 1)]
    );
}

pub async fn whoever_gives_up_their_own_right_needs_no_other(store: Store) {
    let (ann, hers) = reader(&store, 10).await;
    let (bob, his) = reader(&store, 11).await;
    add(&store, 1, ann, &hers).await;
    let apply = async |change| store.change_app(change).await.unwrap();
    assert_eq!(
        apply(AppChange { grants: vec![grant(&his, 1)], ..change(&store, 1, ann, &hers).await }).await,
        ChangeAppOutcome::Changed
    );
    let ending =
        async |holder: &HolderRow| AppChange { ended: vec![holder.number], ..change(&store, 2, bob, &his).await };
    assert_eq!(apply(ending(&hers).await).await, ChangeAppOutcome::Unknown, "another one's");
    assert_eq!(apply(ending(&his).await).await, ChangeAppOutcome::Changed);
    assert_eq!((level(&store, bob).await, level(&store, ann).await), (None, Some(3)));
    let leaving = AppChange {
        ended: vec![hers.number],
        told: Some(told(1)),
        last: Some(told(2)),
        ..change(&store, 3, ann, &hers).await
    };
    assert_eq!(apply(leaving).await, ChangeAppOutcome::Changed);
    assert_eq!(pending(&store).await, [1, 2], "nobody is left, so it goes");
    assert!(store.overseen_app(&digest(1)).await.unwrap().is_none());
}

pub async fn operators_end_what_nobody_else_can(store: Store) {
    let (ann, hers) = reader(&store, 10).await;
    let (bob, his) = reader(&store, 11).await;
    let (key, keys) = active(&store, 1).await;
    let theirs = holder(&store, AppReader::ApiKey(key.number), 31, Some(keys[0].number)).await;
    add(&store, 1, ann, &hers).await;
    assert_eq!(store.revoke_api_key(&key.id, NOW).await.unwrap(), RevokeOutcome::Revoked);
    let apply = async |change| store.change_app(change).await.unwrap();
    let to_revoked = AppChange { grants: vec![grant(&theirs, 1)], ..change(&store, 1, ann, &hers).await };
    assert_eq!(apply(to_revoked).await, ChangeAppOutcome::HolderGone);
    assert_eq!(
        apply(AppChange { grants: vec![grant(&his, 1)], ..change(&store, 1, ann, &hers).await }).await,
        ChangeAppOutcome::Changed
    );
    store.set_disabled(&digest(11), Some(NOW), None).await.unwrap();
    let grants = store.overseen_app(&digest(1)).await.unwrap().unwrap().grants;
    assert_eq!(grants.iter().map(|granted| granted.grantee.in_use()).collect::<Vec<_>>(), [true, false]);
    let by_operator = AppChange { by: AppBy::Oracle, ..change(&store, 2, bob, &his).await };
    let stale = AppChange { seen: seen(&store, 1, 1).await, ended: vec![his.number], ..by_operator.clone() };
    assert_eq!(apply(stale).await, ChangeAppOutcome::Stale);
    assert_eq!(apply(AppChange { ended: vec![his.number], ..by_operator }).await, ChangeAppOutcome::Changed);
    assert_eq!(store.overseen_app(&digest(1)).await.unwrap().unwrap().grants.len(), 1);
    assert!(store.remove_app(AppBy::Oracle, &digest(1), Some(told(5))).await.unwrap());
    assert!(!store.remove_app(AppBy::Oracle, &digest(1), Some(told(6))).await.unwrap());
    assert_eq!((pending(&store).await, level(&store, ann).await), (vec![5], None));
    // By its number only as it was seen.
    add(&store, 1, ann, &hers).await;
    let seen = seen(&store, 1, 1).await;
    for other in [AppSeen { revision: 2, ..seen }, AppSeen { version: 2, ..seen }] {
        assert!(!store.remove_seen_app(other, Some(told(7))).await.unwrap());
    }
    assert!(store.remove_seen_app(seen, Some(told(8))).await.unwrap());
    assert_eq!((pending(&store).await, level(&store, ann).await), (vec![5, 8], None));
}

pub async fn an_export_is_told_only_while_all_of_it_is_its_owners(store: Store) {
    let (ann, hers) = reader(&store, 10).await;
    let (bob, his) = reader(&store, 11).await;
    add(&store, 1, ann, &hers).await;
    add(&store, 2, ann, &hers).await;
    let granting = AppChange { grants: vec![grant(&his, 2)], ..change(&store, 1, ann, &hers).await };
    assert_eq!(store.change_app(granting).await.unwrap(), ChangeAppOutcome::Changed);
    let owned = store.owned_apps(ann).await.unwrap();
    let apps: Vec<_> = owned.iter().map(|held| held.app.number).collect();
    let both: Vec<_> = apps.iter().map(|app| OwnedApp { app: *app, version: 1, holder: hers.number }).collect();
    assert_eq!((both.len(), store.owned_apps(bob).await.unwrap().len()), (2, 0));
    let export = async |reader, apps| store.export_apps(reader, apps, vec![told(9)]).await.unwrap();
    let pending = async || pending(&store).await.len();
    assert!(!export(bob, vec![OwnedApp { holder: his.number, ..both[0] }]).await, "he manages, and no more");
    assert!(!export(ann, vec![both[0], OwnedApp { version: 2, ..both[1] }]).await, "not as it is");
    store.set_disabled(&digest(10), Some(NOW), None).await.unwrap();
    assert!(!export(ann, both.clone()).await, "disabled since it was read");
    store.set_disabled(&digest(10), None, None).await.unwrap();
    assert_eq!(pending().await, 0);
    assert!(export(ann, both.clone()).await);
    assert_eq!(pending().await, 1);
    let by = AppBy::Holder { reader: ann, holder: hers.number, level: 2 };
    assert!(store.remove_app(by, &digest(2), None).await.unwrap());
    assert!(!export(ann, both).await, "removed since it was read");
}
