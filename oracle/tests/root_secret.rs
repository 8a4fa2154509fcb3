//! A database without its root secret is noise: the oracle says so at the start instead of failing when it matters.

use quorate_oracle::clock::SystemClock;
use quorate_oracle::config::Config;
use quorate_oracle::keys::Sources;
use quorate_oracle::state::{AppState, StateError, SystemEntropy};
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
    assert!(matches!(error, StateError::RootSecret), "{error}");
    std::fs::write(&secret, kept).expect("put back");
    open(folder.path()).await.expect("as before").store.shutdown().await;
}
