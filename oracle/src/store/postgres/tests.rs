//! What needs a look inside: a program that knows fewer steps than its database has been through.

use tokio::sync::broadcast;

use super::Postgres;
use crate::store::{StoreError, StoreOptions, migrations::POSTGRES, settings};

#[path = "../../../tests/support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that kill it")]
mod postgres;

/// The previous program: the same statements, without the last step.
#[tokio::test]
async fn the_previous_program_works_on_the_new_schema() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let (notices, _) = broadcast::channel(16);
    let options = StoreOptions::default();
    let new = Postgres::open(&url, &options, notices.clone()).await.unwrap();
    let (last, before) = POSTGRES.split_last().unwrap();
    assert!(last.needs < last.version, "this step changes what is there: name the release that prepared it, here");
    let old = Postgres::open_knowing(before, &url, &options, notices.clone()).await.unwrap();
    for (node, value) in [(&old, 1_u8), (&new, 2)] {
        let put = node
            .write(b"", value, |tx, value| Box::pin(settings::put_if_absent(tx, "name", std::slice::from_ref(value))));
        assert_eq!(put.await.unwrap(), [1]);
    }
    let read = old.read((), |tx, ()| Box::pin(settings::read(tx, "name")));
    assert_eq!(read.await.unwrap(), Some(vec![1]));
    old.shut_down().await;
    new.shut_down().await;
}

/// An act that goes on after the server refused one of its statements has not been done, whatever it says.
#[tokio::test]
async fn an_act_that_swallows_an_error_is_not_done() {
    let Some(server) = postgres::shared() else { return };
    let url = server.url(&server.database().await);
    let (notices, _) = broadcast::channel(16);
    let store = Postgres::open(&url, &StoreOptions::default(), notices).await.unwrap();
    let outcome = store.write(b"", (), |tx, ()| {
        Box::pin(async move {
            settings::put_if_absent(tx, "name", &[1]).await?;
            drop(tx.execute("INSERT INTO settings (name) VALUES ($1)", &["half".into()]).await);
            Ok(())
        })
    });
    let outcome = outcome.await;
    assert!(matches!(outcome, Err(StoreError::Engine { .. })), "{outcome:?}");
    let panicked = store.write(b"", (), |tx, ()| {
        Box::pin(async move {
            let in_force = settings::put_if_absent(tx, "name", &[2]).await?;
            assert!(in_force.is_empty(), "on purpose");
            Ok(())
        })
    });
    assert!(matches!(panicked.await, Err(StoreError::Panicked)));
    let written = store.read((), |tx, ()| Box::pin(async move { settings::touch(tx).await }));
    assert!(matches!(written.await, Err(StoreError::ReadOnly)), "what reads cannot write");
    assert_eq!(store.read((), |tx, ()| Box::pin(settings::read(tx, "name"))).await.unwrap(), None);
}
