//! The program as an operator meets it: what it prints, what it refuses, how it starts and ends.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "process/apps.rs"]
mod apps;
#[path = "process/operators.rs"]
mod operators;
#[path = "process/pictures.rs"]
mod pictures;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Output, Stdio};

fn oracle(state: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-oracle"));
    command.env_clear().env("QUORATE_STATE", state);
    command
}

fn run(command: &mut Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

/// A serving oracle, ended when dropped.
struct Serving {
    process: Child,
    stderr: BufReader<ChildStderr>,
    /// Every line up to the one that says where it listens.
    said: Vec<String>,
    url: String,
}

impl Serving {
    fn start(command: &mut Command) -> Self {
        let mut process = command.arg("serve").stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(process.stderr.take().unwrap());
        let mut serving = Self { process, stderr, said: Vec::new(), url: String::new() };
        while serving.url.is_empty() {
            let mut line = String::new();
            assert_ne!(serving.stderr.read_line(&mut line).unwrap(), 0, "it ended, saying {:?}", serving.said);
            let line = line.trim_end();
            serving.said.push(line.to_owned());
            serving.url = line.strip_prefix("listening on ").unwrap_or_default().to_owned();
        }
        serving
    }

    fn get(&self, path: &str) -> String {
        get(&self.url, path)
    }

    fn end(mut self, signal: Signal) -> (Option<i32>, String) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
        let mut rest = String::new();
        self.stderr.read_to_string(&mut rest).unwrap();
        (self.process.wait().unwrap().code(), rest)
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ended = self.process.kill();
        let _status = self.process.wait();
    }
}

fn get(url: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(url.strip_prefix("http://").unwrap()).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn serve_needs_no_preparation_and_ends_when_told() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    for signal in [Signal::TERM, Signal::INT] {
        let serving = Serving::start(oracle(&state).env("QUORATE_LISTEN", "127.0.0.1:0"));
        assert!(serving.url.starts_with("http://127.0.0.1:") && !serving.url.ends_with(":0"));
        assert!(serving.get("/healthz").starts_with("HTTP/1.1 200"));
        let health = run(oracle(&state).env("QUORATE_LISTEN", &serving.url["http://".len()..]).arg("health"));
        assert_eq!(health.0, Some(0), "{}", health.2);
        assert!(health.1.contains(r#""status":"ready""#));
        let (status, _) = serving.end(signal);
        assert_eq!(status, Some(0));
        assert!(state.join("quorate.db").exists());
        assert!(!state.join("quorate.db-wal").exists(), "the database was closed");
    }
    let health = run(oracle(&state).env("QUORATE_LISTEN", "127.0.0.1:1").arg("health"));
    assert_eq!(health.0, Some(1));
    assert!(health.2.contains("no oracle answers on 127.0.0.1:1"), "{}", health.2);
}

#[test]
fn an_idle_oracle_is_small_and_cannot_be_dumped() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(oracle(folder.path()).env("QUORATE_LISTEN", "127.0.0.1:0"));
    serving.get("/readyz");
    let process = serving.process.id();
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    // Without the program's text, which is several times as much where nothing is optimised; the benchmark counts all of it.
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")?.trim().strip_suffix(" kB")).unwrap();
    let own: u64 = own.parse().unwrap();
    assert!(own < 8 * 1024, "{own} kB");
    let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
    let core: Vec<_> =
        limits.lines().find(|line| line.starts_with("Max core file size")).unwrap().split_whitespace().collect();
    assert_eq!(core[4..6], ["0", "0"]);
    // An undumpable process belongs to root in /proc.
    let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(format!("/proc/{process}/maps")).unwrap());
    assert_eq!(owner, 0);
}

#[test]
fn the_default_folder_is_the_users() {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-oracle"));
    command.env_clear().env("HOME", home.path()).env("XDG_STATE_HOME", home.path().join("xdg")).arg("init");
    let (status, stdout, _) = run(&mut command);
    assert_eq!(status, Some(0));
    assert!(stdout.contains('-') && stdout.lines().count() == 1, "{stdout}");
    assert!(home.path().join("xdg/quorate/root.secret").exists());
}

#[test]
fn it_does_not_listen_beyond_loopback_in_the_clear() {
    let folder = tempfile::tempdir().unwrap();
    let (status, _, stderr) = run(oracle(folder.path()).args(["serve", "--listen", "0.0.0.0:0"]));
    assert_eq!(status, Some(2));
    assert!(stderr.contains("--behind-proxy"), "{stderr}");
    let serving =
        Serving::start(oracle(folder.path()).env("QUORATE_LISTEN", "0.0.0.0:0").env("QUORATE_BEHIND_PROXY", "1"));
    assert!(serving.said.iter().any(|line| line.contains("set url")), "{:?}", serving.said);
}

#[test]
fn an_address_in_use_and_a_folder_of_others_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (status, _, stderr) = run(oracle(folder.path()).args(["serve", "--listen", &address]));
    assert_eq!(status, Some(1));
    assert!(stderr.contains(&format!("cannot listen on {address}")) && stderr.contains("--listen"), "{stderr}");
    fs::write(folder.path().join("root.secret"), "x").unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(folder.path().join("root.secret"), mode).unwrap();
    let (status, _, stderr) = run(oracle(folder.path()).arg("init"));
    assert_eq!(status, Some(1));
    assert!(stderr.contains("run chmod 600"), "{stderr}");
}

#[test]
fn logs_tell_routes_and_never_paths_queries_or_bodies() {
    let folder = tempfile::tempdir().unwrap();
    let serving =
        Serving::start(oracle(folder.path()).env("QUORATE_LISTEN", "127.0.0.1:0").env("QUORATE_LOG_FORMAT", "json"));
    serving.get("/sessions/SECRETID123?code=SECRETQUERY");
    serving.get("/nowhere/SECRETPATH");
    serving.get("/healthz?SECRETQUERY");
    let (status, log) = serving.end(Signal::TERM);
    assert_eq!(status, Some(0));
    assert!(!log.contains("SECRET"), "{log}");
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let answered: Vec<_> = lines.iter().filter(|line| line["message"] == "answered").collect();
    assert_eq!(answered.len(), 3, "{log}");
    assert_eq!((&answered[1]["route"], &answered[1]["status"]), (&Value::from("unknown"), &Value::from(404)));
    assert_eq!((&answered[1]["code"], &answered[2]["code"]), (&Value::from("unknown_route"), &Value::Null));
    assert_eq!(answered[2]["route"], "/healthz");
    assert!(answered[2]["ms"].is_number() && answered[2]["span"]["id"].is_string(), "{log}");
}

#[test]
fn counters_are_on_a_listener_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let serving = Serving::start(
        oracle(folder.path()).env("QUORATE_LISTEN", "127.0.0.1:0").env("QUORATE_METRICS_LISTEN", "127.0.0.1:0"),
    );
    let metrics =
        serving.said.iter().find_map(|line| line.strip_prefix("metrics on ")?.strip_suffix("/metrics")).unwrap();
    serving.get("/healthz");
    let counters = get(metrics, "/metrics");
    assert!(counters.contains(r#"quorate_requests_total{route="/healthz",method="GET",status="200"} 1"#), "{counters}");
    assert!(serving.get("/metrics").starts_with("HTTP/1.1 404"));
}

#[test]
fn settings_are_shown_with_their_meaning_and_checked() {
    let folder = tempfile::tempdir().unwrap();
    let (status, shown, _) = run(oracle(folder.path()).args(["config", "show", "--url", "https://oracle.example"]));
    assert_eq!(status, Some(0));
    assert!(shown.contains("url = \"https://oracle.example\"") && shown.contains("QUORATE_LIMITS_CONNECTIONS"));
    let file = folder.path().join("oracle.toml");
    fs::write(&file, &shown).unwrap();
    let check = |file: &Path| run(oracle(folder.path()).args(["config", "check", "--config"]).arg(file));
    assert_eq!(check(&file).0, Some(0));
    fs::write(&file, "listne = 1").unwrap();
    let (status, _, stderr) = check(&file);
    assert_eq!(status, Some(2));
    assert!(stderr.contains("listne"), "{stderr}");
    let (status, json, _) = run(oracle(folder.path()).args(["config", "show", "--json"]));
    assert_eq!(
        (status, serde_json::from_str::<Value>(&json).unwrap()[0]["env"].clone()),
        (Some(0), "QUORATE_STATE".into())
    );
}

#[test]
fn openapi_prints_what_the_server_serves() {
    let folder = tempfile::tempdir().unwrap();
    let (status, document, _) = run(oracle(folder.path()).arg("openapi"));
    assert_eq!(status, Some(0));
    let document: Value = serde_json::from_str(&document).unwrap();
    assert!(document["paths"]["/healthz"].is_object());
    assert!(fs::read_dir(folder.path()).unwrap().next().is_none(), "nothing is made for it");
}

#[test]
fn the_root_key_can_stay_offline_and_be_succeeded() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let certify = |arguments: &[&str]| run(oracle(&state).arg("certify").args(arguments));
    let fingerprint = run(oracle(&state).arg("init")).1;
    // The root secret may be a credential, which this command has no use for and must not make anew.
    fs::rename(state.join("root.secret"), path("root.secret")).unwrap();
    let (_, invite, _) = certify(&["--show"]);
    assert!(!state.join("root.secret").exists());
    fs::rename(path("root.secret"), state.join("root.secret")).unwrap();
    fs::rename(state.join("root.key"), path("root.key")).unwrap();

    let (status, _, stderr) = certify(&[]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("certify --root FILE"), "{stderr}");

    let offline = ["--root", &path("root.key"), "--invite", invite.trim(), "--days", "30", "-o", &path("certificate")];
    let elsewhere = folder.path().join("none");
    let (status, stdout, stderr) = run(oracle(&elsewhere).args(["certify", "--show"]));
    assert_eq!((status, stdout.as_str(), elsewhere.exists()), (Some(1), "", false));
    assert!(stderr.contains("--state"), "{stderr}");
    let issued = run(oracle(&elsewhere).arg("certify").args(offline));
    assert_eq!((issued.0, elsewhere.exists()), (Some(0), false), "{}", issued.2);
    let again = run(oracle(&elsewhere).arg("certify").args(offline));
    assert!(again.0 == Some(1) && again.2.contains("not overwritten"), "{}", again.2);
    let before = fs::read(state.join("invite.certificate")).unwrap();
    assert_eq!(certify(&["--install", &path("certificate")]).0, Some(0));
    assert_ne!(fs::read(state.join("invite.certificate")).unwrap(), before);
    assert_eq!(run(oracle(&state).arg("init")).1, fingerprint);

    let ceremony = certify(&["--root", &path("root.key"), "--successor", &path("next.key")]);
    assert_eq!(ceremony.0, Some(0), "{}", ceremony.2);
    let succeeded = run(oracle(&state).arg("init")).1;
    assert_ne!(succeeded, fingerprint);
    assert!(ceremony.2.contains(succeeded.trim()), "{}", ceremony.2);

    let stranger = run(oracle(&folder.path().join("other")).arg("init"));
    assert_eq!(stranger.0, Some(0));
    let foreign = folder.path().join("other/invite.certificate");
    let (status, _, stderr) = certify(&["--install", foreign.to_str().unwrap()]);
    assert_eq!(status, Some(1));
    assert!(stderr.contains("do not lead from this oracle's root key"), "{stderr}");
}
