//! An oracle inside a test: on a free port, in a folder of its own, gone when dropped. It must not know any route.

use crate::clock::{Clock, SystemClock};
use crate::config::Config;
use crate::keys::Sources;
use crate::router;
use crate::serve::{Limits, serve};
use crate::state::{AppState, SystemEntropy};
use crate::tls::Tls;
use axum::Router;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A running oracle.
pub struct TestOracle {
    address: SocketAddr,
    state: AppState,
    folder: Folder,
    server: JoinHandle<()>,
}

/// How a [`TestOracle`] differs from the ordinary one.
pub struct TestSetup {
    flags: Vec<(&'static str, String)>,
    clock: Arc<dyn Clock>,
    sources: Sources,
    routes: fn(AppState) -> Router,
}

impl Default for TestSetup {
    fn default() -> Self {
        Self { flags: Vec::new(), clock: Arc::new(SystemClock), sources: Sources::default(), routes: router::router }
    }
}

impl TestSetup {
    /// With a setting, by its path in [`crate::config::KEYS`]; the last value counts. Its folder it makes itself.
    #[must_use]
    pub fn set(mut self, path: &'static str, value: impl Into<String>) -> Self {
        assert_ne!(path, "state", "each oracle of a test has a folder of its own");
        self.flags.retain(|(set, _)| *set != path);
        self.flags.push((path, value.into()));
        self
    }

    /// With another clock, such as a shared [`crate::clock::TestClock`].
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// With the keys of a folder, as systemd would give them.
    #[must_use]
    pub fn credentials(mut self, folder: &Path) -> Self {
        self.sources.credentials = Some(folder.to_owned());
        self
    }

    /// With routes of the test's own, surrounded as the real ones are.
    #[must_use]
    pub fn routes(mut self, routes: fn(AppState) -> Router) -> Self {
        self.routes = routes;
        self
    }

    /// Starts it in the current runtime.
    pub async fn start(self) -> TestOracle {
        let folder = Folder::new();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound listener has an address");
        let mut flags = vec![("state", folder.0.display().to_string())];
        flags.extend(self.flags);
        let config = Config::load(None, |_| None, &flags).expect("the test's settings are valid");
        let tls = match (&config.tls_certificate, &config.tls_key) {
            (Some(certificate), Some(key)) => {
                Some(Tls::load(certificate, key).expect("the test's TLS files are valid"))
            }
            _ => None,
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let limits = Limits::from(&config);
        let url = format!("{scheme}://{address}");
        let entropy = Arc::new(SystemEntropy);
        let state = AppState::open_with(config, url, self.sources, self.clock, entropy).await;
        let state = state.expect("a state opens in an empty folder");
        // Tests are in `deps`, beside the programs.
        let test = std::env::current_exe().expect("this program has a path");
        state.pictures.read_by(test.ancestors().nth(2).expect("a folder of the build").join("quorate-oracle"));
        let router = (self.routes)(state.clone());
        let stop = state.clone();
        let server = tokio::spawn(async move {
            serve(listener, tls.map(Arc::new), router, limits, async move { stop.stopping().await }).await;
        });
        TestOracle { address, state, folder, server }
    }
}

/// Surrounds a test's own routes as the real ones are.
pub fn surrounded(routes: Router<AppState>, state: AppState) -> Router {
    router::finish(routes, state)
}

impl TestOracle {
    /// An ordinary one.
    pub async fn start() -> Self {
        TestSetup::default().start().await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its base address joined with `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.state.url)
    }

    /// Its state.
    pub fn state(&self) -> &AppState {
        &self.state
    }

    /// Its state folder.
    pub fn folder(&self) -> &Path {
        &self.folder.0
    }

    /// Stops it as SIGTERM would, and waits for its end.
    pub async fn stop(self) {
        self.state.begin_shutdown();
        self.server.await.expect("the server ends without a panic");
        self.state.store.shutdown().await;
    }
}

/// A folder for one test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("quorate-test-{}-{:016x}", std::process::id(), rand::random::<u64>());
        Self(std::env::temp_dir().join(name))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left of a failed test is in the way of nobody.
        let _removed = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_setting_counts() {
        let setup = TestSetup::default().set("url", "https://one.test").set("limits.connections", "7");
        let setup = setup.set("url", "https://two.test");
        let config = Config::load(None, |_| None, &setup.flags).unwrap();
        assert_eq!((config.url.as_deref(), config.connections), (Some("https://two.test"), 7));
        assert_eq!(setup.flags.len(), 2);
    }
}
