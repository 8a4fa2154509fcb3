//! Opening an embedded store: which files it makes, which it refuses, and that it leaves those alone.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use quorate_oracle::store::{Store, StoreError};
use rusqlite::Connection;

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

async fn refusal(path: &Path) -> StoreError {
    Store::open(&url(path)).await.expect_err("it must be refused")
}

#[tokio::test]
async fn files_are_their_owners_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&url(&folder.path().join("quorate.db"))).await.unwrap();
    store.put_setting_if_absent("name", vec![1]).await.unwrap();
    let mut files: Vec<_> = folder.path().read_dir().unwrap().map(Result::unwrap).collect();
    files.sort_by_key(fs::DirEntry::file_name);
    assert_eq!(files.len(), 3, "the database, its log and the index of the log");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.file_name());
    }
}

#[tokio::test]
async fn what_was_put_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quorate.db");
    for value in [vec![1], vec![2]] {
        let store = Store::open(&url(&path)).await.unwrap();
        assert_eq!(store.put_setting_if_absent("name", value).await.unwrap(), [1]);
        store.shutdown().await;
    }
    let slashes = format!("sqlite://{}", path.display());
    assert_eq!(Store::open(&slashes).await.unwrap().setting("name").await.unwrap(), Some(vec![1]));
}

#[tokio::test]
async fn a_store_in_memory_works_and_is_gone() {
    for _ in 0..2 {
        let store = Store::open("sqlite::memory:").await.unwrap();
        assert_eq!(store.setting("name").await.unwrap(), None);
        assert_eq!(store.put_setting_if_absent("name", vec![1]).await.unwrap(), [1]);
        assert_eq!(store.setting("name").await.unwrap(), Some(vec![1]));
        store.ping().await.unwrap();
        store.shutdown().await;
        assert!(matches!(store.setting("name").await, Err(StoreError::Stopped)));
    }
    assert!(!Path::new(":memory:").exists());
}

#[tokio::test]
async fn a_schema_that_becomes_too_new_is_written_to_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quorate.db");
    let store = Store::open(&url(&path)).await.unwrap();
    store.ping().await.unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute("INSERT INTO schema_migrations VALUES (91, 'x', 91, x'00')", []).unwrap();
    for outcome in [store.ping().await, store.put_setting_if_absent("name", vec![1]).await.map(drop)] {
        assert!(matches!(outcome, Err(StoreError::NewerSchema { needed: 91, .. })), "{outcome:?}");
    }
    assert_eq!(store.setting("name").await.unwrap(), None, "it can be read");
    other.execute("DELETE FROM schema_migrations WHERE version = 91", []).unwrap();
    store.ping().await.unwrap();
    store.put_setting_if_absent("name", vec![1]).await.unwrap();
}

#[tokio::test]
async fn many_may_open_a_new_database_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quorate.db");
    let openers: Vec<_> = (0..8)
        .map(|_| {
            let url = url(&path);
            tokio::spawn(async move { Store::open(&url).await?.ping().await })
        })
        .collect();
    for opener in openers {
        opener.await.unwrap().unwrap();
    }
    let steps: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT COUNT(*) FROM schema_migrations WHERE version = 1", [], |row| row.get(0))
        .unwrap();
    assert_eq!(steps, 1);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("missing");
    match refusal(&missing.join("quorate.db")).await {
        StoreError::NoFolder { folder } => assert_eq!(folder, missing),
        other => panic!("{other:?}"),
    }
    assert!(!missing.exists());
    assert!(matches!(refusal(folder.path()).await, StoreError::Open { .. }), "a folder is no file");
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in [("short", b"my notes".to_vec()), ("long", vec![b'x'; 10_000])] {
        let path = folder.path().join(name);
        fs::write(&path, &content).unwrap();
        let error = refusal(&path).await;
        assert!(matches!(error, StoreError::NotADatabase { .. }), "{error:?}");
        assert!(error.to_string().ends_with(&format!("{name} is not a database")));
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("theirs.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE theirs (id INTEGER)").unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(refusal(&path).await, StoreError::NotOurs { .. }));
    assert_eq!(fs::read(&path).unwrap(), before);

    let path = folder.path().join("marked.db");
    Connection::open(&path).unwrap().execute_batch("PRAGMA application_id = 42").unwrap();
    assert!(matches!(refusal(&path).await, StoreError::NotOurs { .. }));
}

#[tokio::test]
async fn a_file_cut_short_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quorate.db");
    Store::open(&url(&path)).await.unwrap().shutdown().await;
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() / 2]).unwrap();
    let error = refusal(&path).await;
    assert!(matches!(error, StoreError::Open { .. } | StoreError::Engine { .. }), "{error:?}");
}

#[tokio::test]
async fn a_newer_schema_is_refused_unless_it_only_added() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quorate.db");
    Store::open(&url(&path)).await.unwrap().shutdown().await;
    let alter = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();

    alter("INSERT INTO schema_migrations VALUES (90, 'adds a table', 1, zeroblob(32))");
    Store::open(&url(&path)).await.unwrap().shutdown().await;
    alter("INSERT INTO schema_migrations VALUES (91, 'changes a table', 91, zeroblob(32))");
    let error = refusal(&path).await;
    assert!(matches!(error, StoreError::NewerSchema { needed: 91, .. }), "{error:?}");

    alter("DELETE FROM schema_migrations WHERE version > 1; UPDATE schema_migrations SET checksum = zeroblob(32)");
    let error = refusal(&path).await;
    assert!(matches!(error, StoreError::MigrationChanged { version: 1 }), "{error:?}");
}

#[tokio::test]
async fn a_step_that_a_database_was_never_taken_through_is_made_up_for_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quorate.db");
    Store::open(&url(&path)).await.unwrap().shutdown().await;
    let alter = |sql: &str| Connection::open(&path).unwrap().execute_batch(sql).unwrap();
    alter(
        "DELETE FROM schema_migrations WHERE version = 11; DROP TABLE app_grants; DROP TABLE apps; DROP TABLE app_holders",
    );
    Store::open(&url(&path)).await.unwrap().shutdown().await;
    alter("DELETE FROM app_grants; DELETE FROM apps; DELETE FROM app_holders");
    Store::open(&url(&path)).await.unwrap().shutdown().await;

    alter("DELETE FROM schema_migrations WHERE version = 1");
    let error = refusal(&path).await;
    assert!(matches!(error, StoreError::MigrationMissed { version: 1, newest: 12.. }), "{error:?}");
}

#[tokio::test]
async fn no_app_gets_the_number_of_one_that_is_gone_and_none_is_lost_for_that() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("quorate.db");
    Store::open(&url(&path)).await.unwrap().shutdown().await;
    let database = || Connection::open(&path).unwrap();
    // As a program left it that did not know the step.
    let before = concat!(
        "DROP TABLE app_grants; DROP TABLE apps; DROP TABLE app_holders; DELETE FROM schema_migrations WHERE version = 13;",
        include_str!("../migrations/sqlite/0011_apps.sql"),
        "INSERT INTO app_holders (number, id, public, mac, sealed) VALUES (3, x'01', x'02', x'03', x'04');
         INSERT INTO apps VALUES (7, x'01', 2, 3, 0, 4, x'05'); INSERT INTO app_grants VALUES (7, 3, 1, 5, x'06', x'07')"
    );
    database().execute_batch(before).unwrap();
    Store::open(&url(&path)).await.unwrap().shutdown().await;
    let count = |rows: &Connection, sql: &str| rows.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
    let rows = database();
    let kept =
        "SELECT COUNT(*) FROM apps JOIN app_grants ON app = number WHERE number = 7 AND version = 2 AND mac = x'07'";
    assert_eq!(count(&rows, kept), 1);
    rows.execute_batch("PRAGMA foreign_keys = ON; DELETE FROM apps").unwrap();
    assert_eq!(count(&rows, "SELECT COUNT(*) FROM app_grants"), 0, "they go with their app as before");
    let add = "INSERT INTO apps (id, version, revision, owed, added_at, sealed) VALUES (x'01', 1, 1, 0, 1, x'05') RETURNING number";
    assert_eq!(count(&rows, add), 8);
}

#[tokio::test]
async fn an_unknown_kind_of_database_is_named_without_its_password() {
    for (url, scheme) in [("mysql://root:hunter2@host/db", "mysql"), ("/var/lib/quorate.db", "")] {
        let error = Store::open(url).await.err().unwrap();
        assert!(matches!(&error, StoreError::UnknownScheme { scheme: found } if found == scheme), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }
}
