//! A real oracle: the program itself, on a port that the system picks, with a state of its own.

use super::{Program, built};
use quorate::client::{Client, ClientOptions};
use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// A running oracle; ends when dropped.
#[derive(Debug)]
pub struct Oracle {
    program: Option<Program>,
    state: TempDir,
    /// Base URL.
    pub url: String,
    /// The root key's fingerprint, as the operator would publish it.
    pub fingerprint: String,
}

impl Oracle {
    /// Starts one on plain HTTP.
    pub fn start() -> Self {
        let state = tempfile::tempdir().expect("a folder");
        Self::serve(state, &[], &ClientOptions::default())
    }

    /// Starts one on plain HTTP for which `quorate-oracle init` has made a first operator; gives the link that they enrol with.
    pub fn start_with_operator(name: &str) -> (Self, String) {
        Self::start_with(name, &[])
    }

    /// The same with `settings`, as their variables and values.
    pub fn start_with(name: &str, settings: &[(&str, &str)]) -> (Self, String) {
        let state = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(built("quorate-oracle"));
        command.env("QUORATE_LISTEN", "127.0.0.1:0").args(["init", "--json", "--operator", name, "--state"]);
        let made = Program::start(command.arg(state.path())).end().json();
        let (program, url) = serve(state.path(), "127.0.0.1:0", &[], settings);
        let oracle = Self::known(program, state, url, &ClientOptions::default());
        // The port was not known yet.
        let (_, path) = made["enroll"].as_str().and_then(|link| link.split_once("/enroll/")).expect("a link");
        let link = format!("{}/enroll/{path}", oracle.url);
        (oracle, link)
    }

    /// Starts one with a certificate for 127.0.0.1, which is its own authority; gives the PEM file of that.
    pub fn start_tls() -> (Self, PathBuf) {
        let state = tempfile::tempdir().expect("a folder");
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
        let (certificate, key) = (state.path().join("tls.pem"), state.path().join("tls.key"));
        std::fs::write(&certificate, made.cert.pem()).expect("written");
        std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
        std::fs::set_permissions(&key, Permissions::from_mode(0o600)).expect("set");
        let options = ClientOptions { ca: Some(certificate.clone()), ..ClientOptions::default() };
        let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
        let arguments = ["--tls-certificate", &text(&certificate), "--tls-key", &text(&key)];
        (Self::serve(state, &arguments, &options), certificate)
    }

    /// Its state folder.
    pub fn state(&self) -> &Path {
        self.state.path()
    }

    fn serve(state: TempDir, arguments: &[&str], options: &ClientOptions) -> Self {
        let (program, url) = serve(state.path(), "127.0.0.1:0", arguments, &[]);
        Self::known(program, state, url, options)
    }

    fn known(program: Program, state: TempDir, url: String, options: &ClientOptions) -> Self {
        let fingerprint = Client::describe(&url, options).expect("it describes itself").fingerprint;
        Self { program: Some(program), state, url, fingerprint }
    }

    /// The same once more, by the name of localhost and with `settings`: security keys are bound to names.
    #[must_use]
    pub fn by_name(mut self, settings: &[(&str, &str)]) -> Self {
        drop(self.program.take());
        let (_, port) = self.url.rsplit_once(':').expect("a port");
        let url = format!("http://localhost:{port}");
        let settings = [settings, &[("QUORATE_URL", &url)]].concat();
        let (program, _) = serve(self.state.path(), &format!("127.0.0.1:{port}"), &[], &settings);
        self.program = Some(program);
        self.url = url;
        self
    }

    /// Kills it without warning, and starts it again on the same port and state.
    pub fn kill_and_restart(&mut self) {
        // Dropping kills with SIGKILL and waits for the end.
        drop(self.program.take());
        let address = self.url.strip_prefix("http://").expect("plain HTTP").to_owned();
        self.program = Some(serve(self.state.path(), &address, &[], &[]).0);
    }
}

fn serve(state: &Path, address: &str, arguments: &[&str], settings: &[(&str, &str)]) -> (Program, String) {
    let mut command = Command::new(built("quorate-oracle"));
    command.args(["serve", "--listen", address, "--state"]).arg(state).args(arguments);
    // Hard to guess is not what passwords have to be here.
    command.env("QUORATE_PASSWORDS_MEMORY_KIB", "64").env("QUORATE_PASSWORDS_PASSES", "1");
    command.envs(settings.iter().copied());
    let mut program = Program::start(&mut command);
    let line = program.says("listening on http");
    let url = line.split_whitespace().find(|word| word.starts_with("http")).expect("its address").to_owned();
    (program, url)
}
