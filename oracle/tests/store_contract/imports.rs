//! Imports: written once, in whole batches; and their first use, which is one, whichever node it comes to.

use quorate_oracle::store::{
    CredentialKind, DataKeyRow, FirstUse, ImportMark, ImportOutcome, ImportTarget, ImportedApiKey, ImportedRecord,
    ImportedRow, Known, KnownDataKey, LegacyUserRow, MAX_IMPORTED_DATA_KEYS, NewApiKey, NewCredential, NewDataKey,
    NewLegacyUser, NewTotp, RecordCounts, RevokeOutcome, Rewrapped, RotateOutcome, Store, Which,
};

use crate::{
    api_keys::{self, active, data_key, totp},
    rows::{NOW, digest, race},
};

fn mark(id: u8, content: u8) -> ImportMark {
    ImportMark { id: digest(id), digest: digest(content) }
}

/// An API key that is active elsewhere, with a data key that no secret wraps.
fn api_key(seed: u8, content: u8) -> ImportedApiKey {
    let unwrapped = NewDataKey { by_secret: Vec::new(), ..data_key(seed) };
    ImportedApiKey {
        mark: mark(seed, content),
        key: NewApiKey { id: digest(seed), created_at: NOW - 1, sealed: vec![seed; 40] },
        activated_at: Some(NOW - 1),
        imported_at: NOW - 1,
        data_key: Some(unwrapped),
    }
}

fn secret(seed: u8, data_key: i64, content: u8) -> ImportedRecord {
    let totp = NewTotp { id: [seed; 32], data_key, created_at: NOW, sealed: vec![seed; 60] };
    let target = ImportTarget::Totp { id: totp.id, api_key: digest(1) };
    ImportedRecord { mark: mark(seed, content), target, row: ImportedRow::Totp(totp, 7) }
}

fn user(seed: u8, data_key: i64) -> ImportedRecord {
    let owner = digest(seed);
    let user = NewLegacyUser { owner, data_key, created_at: NOW, sealed: vec![seed; 60] };
    let target = ImportTarget::User { owner, api_key: digest(1) };
    ImportedRecord { mark: mark(seed, seed), target, row: ImportedRow::User(user) }
}

fn credential(seed: u8, owner: u8, data_key: i64) -> NewCredential {
    NewCredential {
        owner: digest(owner),
        data_key,
        id: digest(seed),
        kind: CredentialKind::Webauthn,
        created_at: NOW,
        counter: 3,
        sealed: vec![seed; 60],
    }
}

/// A store with one imported API key; its number and its data key's.
async fn imported(store: &Store) -> (i64, i64) {
    let (known, data_key) = store.import_api_key(api_key(1, 1)).await.unwrap();
    assert_eq!(known, Known::New);
    let (row, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    assert_eq!((row.secret_hash, row.activated_at, data_keys[0].by_secret.len()), (None, Some(NOW - 1), 0));
    assert_eq!(data_key, Some(data_keys[0].number));
    (row.number, data_keys[0].number)
}

fn adopted(data_keys: &[DataKeyRow], content: u8) -> Vec<KnownDataKey> {
    let adopted = |row: &DataKeyRow| KnownDataKey {
        number: row.number,
        by_secret: vec![content; 72],
        legacy_key: vec![content; 72],
    };
    data_keys.iter().map(adopted).collect()
}

fn first_use(content: u8) -> FirstUse {
    FirstUse { secret_hash: digest(content), read: vec![1; 40], sealed: vec![content; 40] }
}

pub async fn an_api_key_is_imported_once(store: Store) {
    imported(&store).await;
    assert_eq!(store.import_api_key(api_key(1, 1)).await.unwrap(), (Known::Same, None));
    assert_eq!(store.import_api_key(api_key(1, 2)).await.unwrap(), (Known::Other, None));
    active(&store, 2).await;
    assert_eq!(store.import_api_key(api_key(2, 2)).await.unwrap(), (Known::Other, None), "made here");
    assert_eq!(store.api_keys_after(0, 10).await.unwrap().len(), 2);
    let probes = [(mark(1, 1), 1), (mark(1, 2), 1), (mark(2, 2), 2), (mark(3, 3), 3)];
    let probes = probes.map(|(mark, key)| (mark, ImportTarget::ApiKey(digest(key)))).to_vec();
    let known = store.known_imports(probes).await.unwrap();
    assert_eq!(known, [Known::Same, Known::Other, Known::Other, Known::New]);
    assert!(store.add_data_key(&digest(3), data_key(9), NOW).await.unwrap().is_none(), "no such key");
    let more = store.add_data_key(&digest(1), data_key(9), NOW).await.unwrap();
    assert_eq!(store.api_key(&digest(1)).await.unwrap().unwrap().1.last().map(|row| row.number), more);
    for id in 10..=u8::try_from(MAX_IMPORTED_DATA_KEYS).unwrap() + 7 {
        assert!(store.add_data_key(&digest(1), data_key(id), NOW).await.unwrap().is_some(), "{id}");
    }
    assert!(
        store.add_data_key(&digest(1), data_key(200), NOW).await.unwrap().is_none(),
        "as many as an import may fill"
    );
}

pub async fn a_batch_goes_in_as_a_whole_or_not_at_all(store: Store) {
    let (api_key, data_key) = imported(&store).await;
    let (owner, data_keys) = active(&store, 2).await;
    assert!(store.insert_totp(owner.number, totp(50, data_keys[0].number)).await.unwrap());
    let batch = vec![secret(10, data_key, 10), user(11, data_key), secret(12, data_key, 12)];
    assert_eq!(store.import_records(batch.clone()).await.unwrap(), ImportOutcome::Imported(3));
    assert_eq!(store.import_records(batch.clone()).await.unwrap(), ImportOutcome::Imported(0), "the same again");
    let counts = RecordCounts { totp: 2, webauthn: 1 };
    assert_eq!(store.count_records(api_key).await.unwrap(), counts);
    let listed = store.api_keys_after(0, 1).await.unwrap();
    assert_eq!((listed[0].records, listed[0].legacy), (counts, counts));

    for (wrong, what) in [(secret(10, data_key, 99), "another content"), (secret(50, data_key, 50), "made here")] {
        let batch = vec![secret(20, data_key, 20), secret(10, data_key, 10), wrong];
        assert_eq!(store.import_records(batch).await.unwrap(), ImportOutcome::Conflict(2), "{what}");
        assert!(store.totp(&[20; 32]).await.unwrap().is_none(), "{what}");
    }
    assert!(store.remove_totp(&[10; 32], api_key).await.unwrap());
    assert_eq!(store.import_records(batch).await.unwrap(), ImportOutcome::Imported(0));
    assert!(store.totp(&[10; 32]).await.unwrap().is_none(), "what was removed does not come back");
}

pub async fn a_first_use_is_one_whoever_races(store: Store) {
    imported(&store).await;
    let (_, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    let racing = data_keys.clone();
    let won = race(&store, move |store, number| {
        let content = u8::try_from(100 + number).unwrap();
        let adopted = adopted(&racing, content);
        async move {
            let won = store.adopt_data_keys(&digest(1), Some(first_use(content)), adopted).await.unwrap();
            won.then_some(content)
        }
    })
    .await;
    let winners: Vec<u8> = won.into_iter().flatten().collect();
    let [content] = winners[..] else { panic!("{winners:?} have won") };
    let (row, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    assert_eq!((row.secret_hash, row.sealed), (Some(digest(content)), vec![content; 40]));
    assert_eq!((&data_keys[0].by_secret, &data_keys[0].legacy_key), (&vec![content; 72], &Some(vec![content; 72])));

    // A second import for a key that is in use: only what is not wrapped yet is.
    store.add_data_key(&digest(1), NewDataKey { by_secret: Vec::new(), ..data_key(9) }, NOW).await.unwrap();
    let (_, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    assert!(store.adopt_data_keys(&digest(1), None, adopted(&data_keys, 9)).await.unwrap());
    let (_, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    assert_eq!(data_keys.iter().map(|row| row.by_secret[0]).collect::<Vec<_>>(), [content, 9]);
}

pub async fn records_are_looked_up_many_at_once(store: Store) {
    let (_, data_key) = imported(&store).await;
    let (owner, own) = active(&store, 2).await;
    let batch: Vec<_> = (10..=120).map(|seed| secret(seed, data_key, seed)).collect();
    let users: Vec<_> = (121..=200).map(|seed| user(seed, data_key)).collect();
    let known = store.import_records([batch.clone(), users.clone()].concat()).await.unwrap();
    assert_eq!(known, ImportOutcome::Imported(191));
    // Made here: a secret, and a user of the imported key; one of that UUID of another key is another.
    assert!(store.insert_totp(owner.number, totp(210, own[0].number)).await.unwrap());
    assert!(
        store
            .adopt_legacy_user(
                &digest(200),
                LegacyUserRow { data_key, created_at: NOW, sealed: vec![200; 60] },
                vec![credential(1, 200, data_key)]
            )
            .await
            .unwrap()
    );
    let probes = batch.iter().chain(&users).map(|record| (record.mark, record.target)).chain([
        (mark(10, 99), ImportTarget::Totp { id: [10; 32], api_key: digest(1) }),
        (mark(210, 210), ImportTarget::Totp { id: [210; 32], api_key: digest(1) }),
        (mark(211, 211), ImportTarget::Totp { id: [211; 32], api_key: digest(1) }),
        (mark(212, 212), ImportTarget::User { owner: digest(200), api_key: digest(1) }),
        (mark(213, 213), ImportTarget::User { owner: digest(200), api_key: digest(2) }),
        (mark(214, 214), ImportTarget::ApiKey(digest(2))),
        (mark(215, 215), ImportTarget::ApiKey(digest(215))),
    ]);
    let known = store.known_imports(probes.collect()).await.unwrap();
    let (before, after) = known.split_at(191);
    assert!(before.iter().all(|known| *known == Known::Same));
    let (new, other) = (Known::New, Known::Other);
    assert_eq!(after, [other, other, new, other, new, other, new]);
    assert_eq!(store.known_imports(Vec::new()).await.unwrap(), []);
}

pub async fn a_data_key_that_cannot_read_takes_no_more_records(store: Store) {
    let (old, data_key) = imported(&store).await;
    let (new, _) = active(&store, 2).await;
    let put = async |seed| store.import_records(vec![secret(seed, data_key, seed)]).await.unwrap();
    assert_eq!(put(10).await, ImportOutcome::Imported(1), "its secret is not known yet");
    let (_, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    assert!(store.adopt_data_keys(&digest(1), Some(first_use(5)), adopted(&data_keys, 5)).await.unwrap());
    assert_eq!(put(11).await, ImportOutcome::Imported(1), "it is known");
    for seed in [10, 11] {
        assert!(store.adopt_totp(&[seed; 32], vec![seed; 60], vec![2; 60]).await.unwrap());
    }
    assert_eq!(store.forget_legacy_keys(NOW).await.unwrap(), 1);
    assert_eq!(put(12).await, ImportOutcome::Closed(0), "it is forgotten");
    let batch = vec![secret(10, data_key, 10), secret(12, data_key, 12)];
    assert_eq!(store.import_records(batch).await.unwrap(), ImportOutcome::Closed(1));
    assert!(store.totp(&[12; 32]).await.unwrap().is_none(), "nothing was written");
    assert_eq!(put(11).await, ImportOutcome::Imported(0), "what is there is there");

    let unwrapped = NewDataKey { by_secret: Vec::new(), ..api_keys::data_key(9) };
    let second = store.add_data_key(&digest(1), unwrapped, NOW).await.unwrap().unwrap();
    assert_eq!(store.import_records(vec![secret(13, second, 13)]).await.unwrap(), ImportOutcome::Imported(1));
    let moved = vec![Rewrapped { number: second, by_secret: vec![6; 72], by_root: vec![6; 72] }];
    store.rotate_api_key(old, new.number, moved, api_keys::data_key(40), NOW).await.unwrap();
    let late = store.import_records(vec![secret(14, second, 14)]).await.unwrap();
    assert_eq!(late, ImportOutcome::Closed(0), "it is another API key's now");
}

/// A revoked key's secret may have been on its way.
pub async fn a_revoked_key_is_never_used_for_the_first_time(store: Store) {
    imported(&store).await;
    let (_, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    assert_eq!(store.revoke_api_key(&digest(1), NOW).await.unwrap(), RevokeOutcome::Revoked);
    assert!(!store.adopt_data_keys(&digest(1), Some(first_use(5)), adopted(&data_keys, 5)).await.unwrap());
    let (row, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    assert_eq!((row.secret_hash, data_keys[0].by_secret.len()), (None, 0));
}

pub async fn imported_records_become_ordinary_ones_once(store: Store) {
    let (api_key, data_key) = imported(&store).await;
    let batch = vec![secret(10, data_key, 10), user(11, data_key), user(12, data_key), user(13, data_key)];
    store.import_records(batch).await.unwrap();
    let adopted = race(&store, |store, number| async move {
        store.adopt_totp(&[10; 32], vec![10; 60], vec![u8::try_from(100 + number).unwrap(); 60]).await.unwrap()
    })
    .await;
    assert_eq!(adopted.into_iter().filter(|won| *won).count(), 1);

    let owner = digest(11);
    let found = store.legacy_user(api_key, &owner).await.unwrap().unwrap();
    assert_eq!((found.data_key, &found.sealed), (data_key, &vec![11; 60]));
    assert!(store.legacy_user(api_key + 1, &owner).await.unwrap().is_none(), "another tenant's");
    let changed = LegacyUserRow { sealed: vec![9; 60], ..found.clone() };
    assert!(!store.adopt_legacy_user(&owner, changed, Vec::new()).await.unwrap(), "not what it was");
    let adopted = race(&store, move |store, _| {
        let (found, credentials) = (found.clone(), vec![credential(1, 11, data_key), credential(2, 11, data_key)]);
        async move { store.adopt_legacy_user(&digest(11), found, credentials).await.unwrap() }
    })
    .await;
    assert_eq!(adopted.into_iter().filter(|won| *won).count(), 1);
    assert_eq!(store.credentials(api_key, &owner).await.unwrap().len(), 2);
    let row = store.credentials(api_key, &owner).await.unwrap().remove(0);
    assert!(!store.reseal_credential(row.name, vec![9; 60], vec![8; 60]).await.unwrap(), "not what it was");
    assert!(store.reseal_credential(row.name, row.sealed, vec![8; 60]).await.unwrap());
    assert_eq!(store.credentials(api_key, &owner).await.unwrap()[0].sealed, vec![8; 60]);

    // One of whom nothing is left, and one who is removed unread.
    let empty = store.legacy_user(api_key, &digest(12)).await.unwrap().unwrap();
    assert!(store.adopt_legacy_user(&digest(12), empty, Vec::new()).await.unwrap());
    store.remove_credentials(api_key, &digest(13), Which::All).await.unwrap();
    assert!(store.legacy_user(api_key, &digest(13)).await.unwrap().is_none());
    let listed = store.api_keys_after(0, 1).await.unwrap();
    assert_eq!((listed[0].records, listed[0].legacy), (RecordCounts { totp: 1, webauthn: 1 }, RecordCounts::default()));
    store.remove_credentials(api_key, &owner, Which::All).await.unwrap();
    assert_eq!(store.count_records(api_key).await.unwrap(), RecordCounts { totp: 1, webauthn: 0 });
}

pub async fn a_legacy_key_is_forgotten_when_nothing_needs_it(store: Store) {
    let (api_key, data_key) = imported(&store).await;
    store.import_records(vec![secret(10, data_key, 10), user(11, data_key)]).await.unwrap();
    let (_, data_keys) = store.api_key(&digest(1)).await.unwrap().unwrap();
    assert!(store.adopt_data_keys(&digest(1), Some(first_use(5)), adopted(&data_keys, 5)).await.unwrap());
    assert_eq!(store.forget_legacy_keys(NOW).await.unwrap(), 0, "both need it");
    store.adopt_totp(&[10; 32], vec![10; 60], vec![2; 60]).await.unwrap();
    assert_eq!(store.forget_legacy_keys(NOW).await.unwrap(), 0, "the user needs it");
    store.remove_credentials(api_key, &digest(11), Which::All).await.unwrap();
    assert_eq!(store.forget_legacy_keys(NOW - 1).await.unwrap(), 0, "the import may not be over");
    assert_eq!(store.forget_legacy_keys(NOW).await.unwrap(), 1);
    assert_eq!(store.forget_legacy_keys(NOW).await.unwrap(), 0);
    assert_eq!(store.api_key(&digest(1)).await.unwrap().unwrap().1[0].legacy_key, None);
}

pub async fn a_rotation_makes_no_imported_user_one_with_another(store: Store) {
    let (old, old_key) = imported(&store).await;
    let new_key = store.import_api_key(api_key(2, 2)).await.unwrap().1.unwrap();
    let new = store.api_key(&digest(2)).await.unwrap().unwrap().0.number;
    let theirs = |record: ImportedRecord| ImportedRecord {
        mark: mark(30, 30),
        target: ImportTarget::User { owner: digest(11), api_key: digest(2) },
        ..record
    };
    store.import_records(vec![user(11, old_key), theirs(user(11, new_key))]).await.unwrap();
    let moved = vec![Rewrapped { number: old_key, by_secret: vec![6; 72], by_root: vec![6; 72] }];
    let rotated = store.rotate_api_key(old, new, moved.clone(), data_key(40), NOW).await.unwrap();
    assert_eq!(rotated, RotateOutcome::SharedUsers, "both as they were imported");
    for (api_key, data_key, credential_id) in [(old, old_key, 1), (new, new_key, 2)] {
        let found = store.legacy_user(api_key, &digest(11)).await.unwrap().unwrap();
        let credentials = vec![credential(credential_id, 11, data_key)];
        assert!(store.adopt_legacy_user(&digest(11), found, credentials).await.unwrap());
        let rotated = store.rotate_api_key(old, new, moved.clone(), self::data_key(40), NOW).await.unwrap();
        assert_eq!(rotated, RotateOutcome::SharedUsers);
    }
    store.remove_credentials(new, &digest(11), Which::All).await.unwrap();
    let rotated = store.rotate_api_key(old, new, moved, data_key(40), NOW).await.unwrap();
    assert_eq!(rotated, RotateOutcome::Moved(RecordCounts { totp: 0, webauthn: 1 }));
}
