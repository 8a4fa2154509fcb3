//! What operators do beside an oracle that is there: its keys and its database are found or named, never made anew, and
//! what cannot be undone is asked for.

use super::{Serving, oracle, run};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::{Value, json};
use std::fs;
use std::io::{BufRead as _, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The account `nobody`, for tests that root runs.
const NOBODY: u32 = 65_534;
const NAMES: [&str; 7] =
    ["audit.key", "gateway.key", "invite.certificate", "invite.key", "root.key", "root.public", "root.secret"];

pub fn made() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    assert_eq!(run(oracle(&state).arg("init")).0, Some(0));
    (folder, state)
}

pub fn serving(state: &Path) -> Serving {
    Serving::start(oracle(state).env("QUORATE_LISTEN", "127.0.0.1:0"))
}

/// Status and body of what the oracle answers to a JSON body.
pub fn post(serving: &Serving, path: &str, headers: &[(&str, &str)], body: &Value) -> (u16, String) {
    let mut stream = TcpStream::connect(serving.url.strip_prefix("http://").unwrap()).unwrap();
    let headers: String = headers.iter().map(|(name, value)| [name, ": ", value, "\r\n"].concat()).collect();
    let body = body.to_string();
    let length = body.len();
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head["HTTP/1.1 ".len()..][..3].parse().unwrap(), body.to_owned())
}

pub fn api_keys(state: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(oracle(state).arg("api-keys").args(arguments))
}

pub fn listed(state: &Path) -> Value {
    let (status, listed, stderr) = api_keys(state, &["list", "--json"]);
    assert_eq!(status, Some(0), "{stderr}");
    serde_json::from_str(&listed).unwrap()
}

#[test]
fn operators_commands_never_make_an_oracle() {
    let (folder, state) = made();
    let typo = folder.path().join("typo");
    for arguments in [&["list"][..], &["list", "--json"], &["revoke", "0123"], &["allow", "0123"]] {
        let (status, stdout, stderr) = api_keys(&typo, arguments);
        assert_eq!((status, stdout.as_str(), typo.exists()), (Some(1), "", false));
        let looked = format!("there is no root.secret in {}", typo.display());
        assert!(
            stderr.contains(&looked) && stderr.contains("--state") && stderr.contains("QUORATE_ROOT_SECRET"),
            "{stderr}"
        );
    }
    assert_eq!(listed(&state), json!([]));
    let elsewhere = folder.path().join("elsewhere.db");
    let (status, _, stderr) = api_keys(&state, &["list", "--database", &format!("sqlite:{}", elsewhere.display())]);
    assert_eq!((status, elsewhere.exists()), (Some(1), false));
    assert!(stderr.contains("elsewhere.db holds no oracle"), "{stderr}");
}

#[test]
fn a_root_secret_that_is_kept_elsewhere_is_found_or_asked_for_and_never_made() {
    let (folder, state) = made();
    let (secret, credentials) = (state.join("root.secret"), folder.path().join("etc"));
    fs::create_dir(&credentials).unwrap();
    fs::rename(&secret, credentials.join("root.secret")).unwrap();
    for arguments in [&["serve"][..], &["init"], &["api-keys", "list"]] {
        let (status, _, stderr) = run(oracle(&state).env("QUORATE_LISTEN", "127.0.0.1:0").args(arguments));
        assert_eq!((status, secret.exists()), (Some(1), false), "{arguments:?}");
        assert!(stderr.contains(&format!("no root.secret in {}", state.display())), "{stderr}");
        assert!(stderr.contains("QUORATE_ROOT_SECRET"), "{stderr}");
    }
    let text = fs::read_to_string(credentials.join("root.secret")).unwrap();
    for (name, value) in
        [("QUORATE_ROOT_SECRET", text.trim()), ("CREDENTIALS_DIRECTORY", credentials.to_str().unwrap())]
    {
        let (status, stdout, stderr) = run(oracle(&state).env(name, value).args(["api-keys", "list", "--json"]));
        assert_eq!((status, stdout.as_str()), (Some(0), "[]\n"), "{stderr}");
    }
    assert!(!secret.exists());
}

#[test]
fn a_place_is_told_by_one_target() {
    let (_folder, state) = made();
    let slack = |path: &str, names: bool| json!({ "url": format!("https://hooks.example.com/{path}"), "shape": "slack", "names": names });
    for (second, status) in [(slack("b", false), 0), (slack("a", true), 1)] {
        let targets = json!([slack("a", false), second]).to_string();
        let (ended, _, stderr) = run(oracle(&state).env("QUORATE_NOTICES", targets).arg("init"));
        assert_eq!(ended, Some(status), "{stderr}");
        assert_eq!(stderr.contains("the same place as target 1"), status == 1, "{stderr}");
        assert!(!stderr.contains("hooks.example.com"), "whoever knows it can write there: {stderr}");
    }
}

#[test]
fn a_user_is_let_in_again_at_the_machine() {
    let (_folder, state) = made();
    let serving = serving(&state);
    let told = |arguments: &[&str]| {
        let (status, stdout, stderr) = run(oracle(&state).arg("recover").args(arguments));
        (status, serde_json::from_str::<Value>(&stdout).unwrap_or_default(), stderr)
    };
    let enrol = |link: &Value, password: &str| {
        let path = link.as_str().unwrap().split_once("/enroll/").unwrap().1;
        post(&serving, &format!("/enroll/{path}"), &[], &json!({ "password": password })).0
    };
    let login = |password: &str| {
        let (status, body) = post(&serving, "/login", &[], &json!({ "principal": "operator", "password": password }));
        (status, serde_json::from_str::<Value>(&body).unwrap())
    };
    let (status, first, stderr) = told(&["--json", "operator"]);
    assert_eq!(status, Some(0), "{stderr}");
    assert_eq!(enrol(&first["enroll"], "the first sentence"), 200);
    for _ in 0..5 {
        assert_eq!(login("wrong").0, 401);
    }
    assert_eq!(login("the first sentence").0, 429, "locked");
    let (status, second, stderr) = told(&["--json", "operator"]);
    assert_eq!((status, &second["principal"]), (Some(0), &json!("principal/internal/user/operator")), "{stderr}");
    assert_eq!(enrol(&first["enroll"], "the second sentence"), 404, "a link serves once");
    assert_eq!(enrol(&second["enroll"], "the second sentence"), 200);
    assert_eq!(login("the second sentence").0, 200, "what was locked is forgotten");
    for (arguments, why) in [
        (&["nobody"][..], "there is no such principal"),
        (&["--remove-factor", "operator"], "this principal has no provider"),
        (&["principal/internal/application/ci"], "only a user enrols"),
        (&["\u{202e}x"], "name"),
    ] {
        let (status, _, stderr) = told(arguments);
        assert_eq!(status, Some(1), "{arguments:?}");
        assert!(stderr.contains(why), "{arguments:?}: {stderr}");
    }
}

#[test]
fn a_gateway_key_that_anybody_could_send_is_refused() {
    let (_folder, state) = made();
    for text in ["", "\n", "short\n"] {
        fs::write(state.join("gateway.key"), text).unwrap();
        for arguments in [&["serve"][..], &["config", "check"]] {
            let (status, _, stderr) = run(oracle(&state).env("QUORATE_LISTEN", "127.0.0.1:0").args(arguments));
            assert_eq!(status, Some(1), "{arguments:?}");
            assert!(stderr.contains("gateway.key is not a gateway key") && !stderr.contains("short"), "{stderr}");
        }
    }
    let (status, _, stderr) = run(oracle(&state).env("QUORATE_GATEWAY_KEY", "hunter2").args(["config", "check"]));
    assert!(status == Some(1) && stderr.contains("QUORATE_GATEWAY_KEY is not a gateway key"), "{stderr}");
    // What has no use for it is not kept from its work.
    assert_eq!(listed(&state), json!([]));
}

#[test]
fn the_gateway_key_is_read_again_on_sighup() {
    let (_folder, state) = made();
    let mut serving = serving(&state);
    let old = fs::read_to_string(state.join("gateway.key")).unwrap();
    let create = |serving: &Serving, key: &str| {
        post(serving, "/api-key", &[("x-api-key", key.trim())], &json!({ "email": "app@example.com" })).0
    };
    assert_eq!(create(&serving, &old), 204);
    let mut hang_up = |text: &str, until: &str| {
        fs::write(state.join("gateway.key"), text).unwrap();
        kill_process(Pid::from_child(&serving.process), Signal::HUP).unwrap();
        let mut line = String::new();
        while !line.contains(until) {
            line.clear();
            assert_ne!(serving.stderr.read_line(&mut line).unwrap(), 0, "it ended");
        }
        [create(&serving, &old), create(&serving, "a second gateway key")]
    };
    assert_eq!(hang_up("short", "the old gateway key stays"), [204, 403]);
    assert_eq!(hang_up("a second gateway key\n", "gateway key read again"), [403, 204]);
}

#[test]
fn a_key_that_owns_something_is_not_revoked_by_the_way() {
    let (_folder, state) = made();
    let serving = serving(&state);
    let gateway = fs::read_to_string(state.join("gateway.key")).unwrap();
    let gateway = [("x-api-key", gateway.trim())];
    let tenant = || {
        assert_eq!(post(&serving, "/api-key", &gateway, &json!({ "email": "app@example.com" })).0, 204);
        let value = listed(&state).as_array().unwrap().last().unwrap()["value"].as_str().unwrap().to_owned();
        let activated =
            post(&serving, "/api-key/activate", &gateway, &json!({ "email": "app@example.com", "apiKey": value })).1;
        let secret = serde_json::from_str::<Value>(&activated).unwrap()["apiSecret"].as_str().unwrap().to_owned();
        (value, secret)
    };
    let ((owner, secret), (empty, _)) = (tenant(), tenant());
    let enrol = || post(&serving, "/totp", &[("X-MFA-ApiKey", &owner), ("X-MFA-ApiSecret", &secret)], &json!({})).0;
    assert_eq!(enrol(), 200);

    let (status, _, stderr) = api_keys(&state, &["revoke", &owner]);
    assert_eq!(status, Some(1));
    for said in ["owns 1 TOTP, 0 WebAuthn", "quorate api-key rotate", "--yes"] {
        assert!(stderr.contains(said), "{stderr}");
    }
    assert_eq!(enrol(), 200, "it is in use as before");
    assert_eq!(api_keys(&state, &["revoke", &empty]).0, Some(0), "nothing is lost with it");
    assert_eq!(api_keys(&state, &["revoke", &owner, "--yes"]).0, Some(0));
    assert_eq!(enrol(), 401);
}

#[test]
fn config_check_refuses_what_serve_refuses_and_makes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let state = folder.path().join("state");
    let file = folder.path().join("oracle.toml");
    let mail = "mail.server = \"smtps://mail.example.com\"\nmail.from = \"oracle@example.com\"\nmail.user = \"x\"\n";
    for (text, status, said) in [
        (mail.to_owned(), 1, "mail.user has no password"),
        (format!("{mail}mail.password_file = \"/nonexistent/password\""), 1, "/nonexistent/password"),
        ("postgres.password_file = \"/nonexistent/password\"".to_owned(), 1, "/nonexistent/password"),
        ("postgres.ca = \"/nonexistent/ca.pem\"".to_owned(), 1, "/nonexistent/ca.pem"),
        ("duo.ca = \"/nonexistent/ca.pem\"".to_owned(), 1, "/nonexistent/ca.pem"),
        ("database = \"mysql://x/y\"".to_owned(), 2, "sqlite: or postgres:"),
        ("log.level = \"loud\"".to_owned(), 2, "error, warn, info"),
    ] {
        fs::write(&file, &text).unwrap();
        let check = run(oracle(&state).args(["config", "check", "--config"]).arg(&file));
        assert_eq!(check.0, Some(status), "{text}: {}", check.2);
        assert!(check.2.contains(said), "{text}: {}", check.2);
        assert!(!state.exists());
    }
    fs::write(&file, "").unwrap();
    assert_eq!(run(oracle(&state).args(["config", "check", "--config"]).arg(&file)).0, Some(0));
    assert!(!state.exists(), "nothing was made");
}

#[test]
fn a_second_oracle_on_the_same_file_is_refused_and_operators_are_not() {
    let (_folder, state) = made();
    let first = serving(&state);
    let (status, _, stderr) = run(oracle(&state).env("QUORATE_LISTEN", "127.0.0.1:0").arg("serve"));
    assert_eq!(status, Some(1));
    assert!(stderr.contains("another oracle serves with") && stderr.contains("quorate.db"), "{stderr}");
    assert_eq!(listed(&state), json!([]));
    drop(first);
    serving(&state);
}

/// As an account that may not do everything: root, who runs tests in containers, could write what is read-only.
#[test]
fn a_database_that_was_read_only_is_named_with_the_cure_and_works_when_it_is_cured() {
    let (folder, state) = made();
    let database = state.join("quorate.db");
    let program = folder.path().join("quorate-oracle");
    // By another process: what is open for writing here cannot be run, nor can what a child that starts just now has inherited.
    assert!(Command::new("cp").arg(env!("CARGO_BIN_EXE_quorate-oracle")).arg(&program).status().unwrap().success());
    let root = geteuid().is_root();
    if root {
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        for place in NAMES.map(|name| state.join(name)).iter().chain([&state, &database]) {
            chown(place, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let list = || {
        let mut command = Command::new(&program);
        command.env_clear().env("QUORATE_STATE", &state).args(["api-keys", "list", "--json"]);
        if root {
            command.uid(NOBODY).gid(NOBODY);
        }
        run(&mut command)
    };
    for place in [&database, &state] {
        let mode = fs::metadata(place).unwrap().permissions().mode();
        fs::set_permissions(place, fs::Permissions::from_mode(mode & !0o222)).unwrap();
        let (status, _, stderr) = list();
        assert_eq!(status, Some(1));
        assert!(stderr.contains(&format!("cannot write {}", place.display())) && stderr.contains("chown"), "{stderr}");
        fs::set_permissions(place, fs::Permissions::from_mode(mode)).unwrap();
        let (status, _, stderr) = list();
        assert_eq!(status, Some(0), "{stderr}");
    }
    // Keys of another account, which are found all the same.
    fs::set_permissions(state.join("root.secret"), fs::Permissions::from_mode(0o000)).unwrap();
    let (status, _, stderr) = list();
    assert_eq!(status, Some(1));
    assert!(stderr.contains("may not use") && stderr.contains("root.secret"), "{stderr}");
}
