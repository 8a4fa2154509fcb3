//! API keys from the command line, against a real oracle: made, activated once, rotated; no secret where it does not belong.

use super::support::{Ended, Key, Oracle, Person, Program, built};
use serde_json::Value;
use std::fs;
use std::process::Command;

const EMAIL: &str = "app@example.com";

/// An operator with the gateway key in a file, at an oracle.
pub(super) struct Desk {
    pub(super) oracle: Oracle,
    pub(super) operator: Person,
    gateway_file: String,
}

impl Desk {
    pub(super) fn new() -> Self {
        let (oracle, operator) = (Oracle::start(), Person::new("operator", Key::Plain));
        let gateway_file = oracle.state().join("gateway.key").to_str().expect("UTF-8").to_owned();
        Self { oracle, operator, gateway_file }
    }

    /// `quorate api-key`, with the oracle named.
    fn api_key(&self, arguments: &[&str]) -> Ended {
        let mut all = vec!["api-key"];
        all.extend(arguments);
        all.extend(["--oracle", &self.oracle.url]);
        self.operator.quorate(&all)
    }

    /// What the oracle's own machine shows of the newest API key.
    fn newest(&self) -> Value {
        let mut command = Command::new(built("quorate-oracle"));
        command.args(["api-keys", "list", "--json", "--state"]).arg(self.oracle.state());
        let listed = Program::start(&mut command).end().json();
        listed.as_array().and_then(|keys| keys.last()).expect("an API key").clone()
    }

    /// A new API key, activated: its line, in a file.
    pub(super) fn activated(&self, name: &str) -> (String, String) {
        self.api_key(&["create", EMAIL, "--gateway-key-file", &self.gateway_file]).ok();
        let value = self.newest()["value"].as_str().expect("a value").to_owned();
        let ended = self.api_key(&["activate", EMAIL, &value, "--gateway-key-file", &self.gateway_file]);
        let (said, line) = (ended.stderr.clone(), ended.ok());
        let (key, secret) = line.trim().split_once(':').expect("KEY:SECRET");
        assert_eq!((key, secret.len(), line.lines().count()), (value.as_str(), 44, 1));
        assert!(said.contains("the only time") && !said.contains(secret), "{said}");
        let file = self.operator.path(name);
        fs::write(&file, &line).expect("written");
        (file.to_str().expect("UTF-8").to_owned(), value)
    }
}

#[test]
fn an_api_key_is_made_activated_and_rotated() {
    let desk = Desk::new();
    let (old, value) = desk.activated("old");
    let (new, _) = desk.activated("new");
    assert_eq!(desk.newest()["state"], "active");

    let again = desk.api_key(&["activate", EMAIL, &value, "--gateway-key-file", &desk.gateway_file]).fails(1);
    assert!(again.contains("hint: its secret was shown once"), "{again}");
    let other = desk.api_key(&["activate", "other@example.com", &value, "--gateway-key-file", &desk.gateway_file]);
    let other = other.fails(1);
    assert!(other.contains("No matching API Key") && other.contains("hint: compare value and address"), "{other}");
    let elsewhere = format!("{}/prod", desk.oracle.url);
    let create = ["api-key", "create", EMAIL, "--gateway-key-file", &desk.gateway_file, "--oracle", &elsewhere];
    assert!(desk.operator.quorate(&create).fails(1).contains("hint: check the path"));
    let itself = desk.api_key(&["rotate", "--old", &old, "--new", &old]).fails(1);
    assert!(itself.contains("one and the same") && itself.contains("hint: name two files"), "{itself}");
    assert!(!itself.contains("api-keys revoke"), "{itself}");

    let rotated = desk.api_key(&["rotate", "--old", &old, "--new", &new]);
    let said = rotated.stderr.clone();
    assert_eq!(rotated.ok(), "totp      0\nwebauthn  0\n");
    assert!(said.contains(&format!("api-keys revoke {value}")), "{said}");
    let json = desk.api_key(&["--json", "rotate", "--old", &new, "--new", &old]).json();
    assert_eq!(json, serde_json::json!({ "totp": 0, "webauthn": 0 }));

    fs::write(&old, format!("{value}:wrong")).expect("written");
    let wrong = desk.api_key(&["rotate", "--old", &old, "--new", &new]).fails(1);
    assert!(wrong.contains("old key is not valid") && wrong.contains("hint: both must be activated"), "{wrong}");
    assert!(!wrong.contains(":wrong"), "{wrong}");
}

#[test]
fn the_gateway_key_may_come_from_the_environment_and_must_be_right() {
    let desk = Desk::new();
    let create = |key: &str| {
        let mut command = desk.operator.command(&["api-key", "create", EMAIL, "--oracle", &desk.oracle.url]);
        Program::start(command.env("QUORATE_GATEWAY_KEY", key)).end()
    };
    let key = fs::read_to_string(&desk.gateway_file).expect("readable");
    assert_eq!(create(&key).ok(), "", "a value is no output of this program");
    assert_eq!((&desk.newest()["email"], &desk.newest()["state"]), (&EMAIL.into(), &"new".into()));
    for wrong in ["hunter2", "hunter2\u{e9}"] {
        let said = create(wrong).fails(1);
        assert!(said.contains("hint: the gateway key is another oracle's") && !said.contains("hunter2"), "{said}");
    }
    assert!(create(" ").fails(2).contains("--gateway-key-file"));
    let bad = desk.api_key(&["create", "app", "--gateway-key-file", &desk.gateway_file]).fails(1);
    assert!(bad.contains("hint: give one plain address"), "{bad}");
}

#[test]
fn the_only_trusted_oracle_need_not_be_named() {
    let desk = Desk::new();
    let create = ["api-key", "create", EMAIL, "--gateway-key-file", &desk.gateway_file];
    assert!(desk.operator.quorate(&create).fails(1).contains("quorate oracle trust URL"));
    desk.operator.trust(&desk.oracle);
    desk.operator.quorate(&create).ok();
    assert_eq!(desk.newest()["email"], EMAIL);
}
