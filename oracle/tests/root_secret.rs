//! A database without its root secret is noise, and an oracle with another root key is another oracle: it says so at the
//! start instead of failing when it matters.

use quorate_oracle::clock::{Clock as _, SystemClock};
use quorate_oracle::config::Config;
use quorate_oracle::keys::certificates::{for_invites, for_successor};
use quorate_oracle::keys::{Sources, create_signing_key, read_signing_key};
use quorate_oracle::state::{AppState, StateError, SystemEntropy};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

async fn open(folder: &Path) -> Result<AppState, StateError> {
    let config = Config::load(None, |_| None, &[("state", folder.display().to_string())]).expect("valid settings");
    let url = "http://127.0.0.1:1".to_owned();
    AppState::open_with(config, url, Sources::default(), Arc::new(SystemClock), Arc::new(SystemEntropy)).await
}

#[tokio::test]
async fn a_lost_or_exchanged_root_secret_is_noticed_at_the_start() {
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path()).await.expect("made").store.shutdown().await;
    open(folder.path()).await.expect("the same again").store.shutdown().await;
    let secret = folder.path().join("root.secret");
    let kept = std::fs::read(&secret).expect("made");
    std::fs::remove_file(&secret).expect("removed");
    let error = open(folder.path()).await.expect_err("noticed");
    assert!(matches!(error, StateError::NoRootSecret(_)), "{error}");
    assert!(!secret.exists(), "a new one would be taken for the oracle's");
    let other = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret);
    other.and_then(|mut file| file.write_all(b"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")).expect("written");
    let error = open(folder.path()).await.expect_err("noticed");
    assert!(matches!(error, StateError::RootSecret), "{error}");
    std::fs::write(&secret, kept).expect("put back");
    open(folder.path()).await.expect("as before").store.shutdown().await;
}

#[tokio::test]
async fn another_root_key_is_noticed_unless_it_is_a_successor() {
    let folder = tempfile::tempdir().expect("a folder");
    open(folder.path()).await.expect("made").store.shutdown().await;
    let (first, second) = (folder.path(), tempfile::tempdir().expect("a folder"));
    for name in ["root.secret", "quorate.db"] {
        std::fs::copy(first.join(name), second.path().join(name)).expect("copied");
    }
    let error = open(second.path()).await.expect_err("noticed");
    assert!(matches!(error, StateError::RootKey), "{error}");

    let old = read_signing_key(&first.join("root.key")).expect("made");
    let new = create_signing_key(&first.join("new.key"), &SystemEntropy).expect("made");
    let state = open(first).await.expect("as before");
    let (now, invite) = (SystemClock.now(), state.keys.invite_key().verifying_key());
    let ceremony = [for_successor(&old, &new.verifying_key(), now, 3650), for_invites(&new, &invite, now, 90)];
    state.keys.install(&ceremony, &SystemClock).expect("installed");
    state.store.shutdown().await;
    let state = open(first).await.expect("with the successor");
    assert_eq!(*state.keys.root(), new.verifying_key());
    state.store.shutdown().await;
}
