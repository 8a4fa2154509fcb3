//! Operators at the command line: applications, teams, roles, links; and enrolling on a terminal, where a picture is scanned.

use super::people::{Desk, log_in, password, with_password};
use super::support::{Key, Person, Program, oathtool};
use serde_json::{Value, json};
use std::fs;

/// A TOTP key of one's own.
const KEY: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// The code of `key` now; `None` where nothing makes one.
fn code_of(key: &str) -> Option<String> {
    let end = (jiff::Timestamp::now().as_second() / 30 + 1) * 30;
    oathtool(key, &jiff::Timestamp::from_second(end).expect("in range").to_string())
}

impl Desk {
    /// Makes the member bob, who enrols and logs in.
    pub fn bob(&self) -> Person {
        let bob = Person::new("bob", Key::Plain);
        let link = self.ann.quorate(&["principal", "add", "bob"]).ok();
        with_password(&bob, &["enroll", link.trim()]).ok();
        log_in(&bob, &self.oracle, &[]).ok();
        bob
    }

    fn shown(&self, name: &str) -> Value {
        self.ann.quorate(&["--json", "principal", "show", name]).json()
    }

    /// Makes a configuration of type `totp`, from stdin, and assigns it to bob.
    fn assign_totp(&self) -> Value {
        let create = ["mfa", "create", "--file", "-"];
        let provider = r#"{"Type": "totp", "Name": "codes"}"#;
        Program::start_with_input(&mut self.ann.command(&create), provider).end().ok();
        let assign = ["--json", "mfa", "assign-principal", "--principal", "bob", "--config", "codes", "--mfa", "-"];
        Program::start_with_input(&mut self.ann.command(&assign), &format!("{KEY}\n")).end().json()
    }
}

#[test]
fn an_application_logs_in_with_a_secret_that_is_shown_once() {
    let desk = Desk::new();
    let added = desk.ann.quorate(&["principal", "add", "ci", "--kind", "application", "--role", "auditor"]);
    let (said, secret) = (added.stderr.clone(), added.ok());
    assert!(said.contains("shown this once") && !said.contains(secret.trim()), "{said}");
    let (ci, name) = (Person::new("ci", Key::Plain), "principal/internal/application/ci");
    fs::write(ci.path("secret"), &secret).expect("written");
    let login = ["login", "-u", name, "--password-file", "secret", "--oracle", &desk.oracle.url];
    ci.quorate(&login).ok();
    assert_eq!(ci.quorate(&["--json", "whoami"]).json()["role"], "auditor");
    assert!(ci.quorate(&["principal", "list"]).ok().contains("principal/internal/application/ci  auditor\n"));
    let refused = ci.quorate(&["principal", "add", "eve"]).fails(1);
    assert!(refused.contains("your role may not do this"), "{refused}");
    assert!(!desk.shown(name).to_string().contains(secret.trim()));
    let refused = desk.ann.quorate(&["principal", "link", name]).fails(1);
    assert!(refused.contains("only a user enrols with a link"), "{refused}");
}

#[test]
fn whoever_is_disabled_is_out_until_enabled_and_removed_for_good() {
    let desk = Desk::new();
    let bob = desk.bob();
    desk.ann.quorate(&["principal", "disable", "bob"]).ok();
    assert!(bob.quorate(&["whoami"]).fails(1).contains("the ticket is over"));
    assert!(log_in(&bob, &desk.oracle, &[]).fails(1).contains("is wrong"));
    assert!(desk.ann.quorate(&["principal", "list"]).ok().contains("principal/internal/user/bob  member  disabled\n"));
    desk.ann.quorate(&["principal", "enable", "bob"]).ok();
    log_in(&bob, &desk.oracle, &[]).ok();

    // A new link ends nothing before it is used.
    let link = desk.ann.quorate(&["principal", "link", "bob"]).ok();
    bob.quorate(&["whoami"]).ok();
    with_password(&bob, &["enroll", link.trim()]).ok();
    bob.quorate(&["whoami"]).fails(1);

    let asked = desk.ann.quorate(&["principal", "remove", "bob"]).fails(1);
    assert!(asked.contains("there is no terminal to ask for a confirmation") && asked.contains("--yes"), "{asked}");
    let mut terminal = desk.ann.on_terminal(&["principal", "remove", "bob"]);
    terminal.reads("Remove bob for good? [y/N]");
    terminal.types("");
    terminal.reads("nothing was changed");
    terminal.ends(0);
    desk.ann.quorate(&["principal", "remove", "bob", "--yes"]).ok();
    assert!(desk.ann.quorate(&["principal", "show", "bob"]).fails(1).contains("there is no such principal"));
    // Oneself is asked about; nobody else is.
    for name in ["ann", "principal/internal/user/ann"] {
        let asked = desk.ann.quorate(&["principal", "disable", name]).fails(1);
        assert!(asked.contains("there is no terminal to ask for a confirmation"), "{asked}");
    }
    let last = desk.ann.quorate(&["principal", "disable", "ann", "--yes"]).fails(1);
    assert!(last.contains("hint: somebody has to be left"), "{last}");
    let last = desk.ann.quorate(&["principal", "remove", "ann", "-y"]).fails(1);
    assert!(last.contains("hint: somebody has to be left"), "{last}");
}

#[test]
fn a_team_has_members_who_come_and_go() {
    let desk = Desk::new();
    desk.bob();
    desk.ann.quorate(&["principal", "add", "ops", "--kind", "group"]).ok();
    assert_eq!(desk.shown("principal/internal/group/ops")["kind"], "group");
    let member = |act: &[&str]| desk.ann.quorate(&[&["principal", "member"], act].concat());
    assert_eq!(member(&["list", "ops"]).ok(), "");
    for act in [&["add", "ops", "bob", "principal/internal/user/ann"][..], &["list", "principal/internal/group/ops"]] {
        let listed = member(act).ok();
        let mut listed: Vec<&str> = listed.lines().collect();
        listed.sort_unstable();
        assert_eq!(listed, ["principal/internal/user/ann", "principal/internal/user/bob"]);
    }
    assert_eq!(member(&["remove", "ops", "bob"]).ok(), "principal/internal/user/ann\n");
    let listed = desk.ann.quorate(&["--json", "principal", "member", "list", "ops"]).json();
    assert_eq!(listed, json!({ "members": ["principal/internal/user/ann"] }));
    assert!(member(&["add", "ops", "nobody"]).fails(1).contains("there is no such principal"));
    assert!(member(&["add", "ops", "principal/internal/group/ops"]).fails(1).contains("no teams"));
    member(&["add", "ops"]).fails(2);
    let role = desk.ann.quorate(&["principal", "add", "dev", "--kind", "group", "--role", "operator"]).fails(1);
    assert!(role.contains("a team does not log in"), "{role}");
}

#[test]
fn a_key_of_ones_own_is_confirmed_on_a_terminal_and_a_recovery_code_stands_in() {
    let desk = Desk::new();
    let bob = desk.bob();
    let assigned = desk.assign_totp();
    assert!(assigned.get("key").is_none() && assigned.get("otpauth_uri").is_none(), "it was known: {assigned}");
    assert_eq!(assigned["recovery_codes"].as_array().map(Vec::len), Some(10));

    // Before it is confirmed with a link, the key counts already.
    let recovery = assigned["recovery_codes"][0].as_str().expect("a code").to_lowercase();
    log_in(&bob, &desk.oracle, &["-m", &recovery]).ok();
    assert!(log_in(&bob, &desk.oracle, &["-m", &recovery]).fails(1).contains("is wrong"), "once");

    let link = desk.ann.quorate(&["principal", "link", "bob"]).ok();
    if code_of(KEY).is_none() {
        return;
    }
    let mut terminal = bob.on_terminal(&["enroll", link.trim()]);
    terminal.reads(&format!("secret     otpauth://totp/quorate%20oracle:bob?secret={KEY}"));
    let picture = terminal.reads("new password of principal/internal/user/bob:");
    // Half blocks of UTF-8, whose first bytes the terminal shows so.
    assert!(picture.contains("scan this") && picture.matches('\u{e2}').count() > 200, "{picture}");
    let again = "new password of principal/internal/user/bob, again:";
    let code = "the code that the authenticator shows now:";
    for (typed, then) in [
        ("short", again),
        ("short", "warning: a password has 12 characters at least: try again"),
        (&*password("bob"), again),
        (
            &*password("ann"),
            "warning: the two entries for new password of principal/internal/user/bob differ: type both anew",
        ),
    ] {
        terminal.types(typed);
        terminal.reads(then);
    }
    terminal.reads("new password of principal/internal/user/bob:");
    let good = &*password("bob");
    for (typed, then) in
        [(good, again), (good, code), ("no code", "warning: the oracle refuses: the second factor is not")]
    {
        terminal.types(typed);
        terminal.reads(then);
    }
    terminal.reads(code);
    terminal.types(&code_of(KEY).expect("it was made before"));
    let shown = terminal.reads("each of these recovery codes");
    let recovery = shown.lines().find(|line| line.trim().len() == 19).expect("a code").trim().to_owned();
    terminal.reads("has enrolled");
    terminal.ends(0);

    // On a terminal the second factor is asked for.
    let mut terminal = bob.on_terminal(&["login", "-u", "bob", "--oracle", &desk.oracle.url]);
    terminal.reads("password of bob:");
    terminal.types(&password("bob"));
    terminal.reads("second factor (a code, a recovery code, push or phone; empty for a security key, or for none):");
    terminal.types(&recovery);
    terminal.reads("role       member");
    terminal.ends(0);
}

#[test]
fn an_option_that_the_type_does_not_have_is_named() {
    let desk = Desk::new();
    let misspelt = r#"{"Type": "totp", "Name": "codes", "Options": {"Isuer": "Example", "issuer": "Example"}}"#;
    let made = Program::start_with_input(&mut desk.ann.command(&["mfa", "create", "-f", "-"]), misspelt).end();
    assert!(made.stderr.contains("Isuer is no option of type totp: it was left out"), "{}", made.stderr);
    assert!(!made.stderr.contains("issuer is") && made.ok().contains("Example"));
}

#[test]
fn a_configuration_of_security_keys_takes_nothing_and_shows_what_it_is() {
    let desk = Desk::new();
    let bob = desk.bob();
    fs::write(
        desk.ann.path("keys.json"),
        r#"{"Type": "webauthn", "Name": "keys", "Options": {"RpId": "localhost", "Origin": "http://localhost"}}"#,
    )
    .expect("written");
    desk.ann.quorate(&["mfa", "create", "-f", "keys.json"]).ok();
    let refused = desk.ann.quorate(&["mfa", "assign-principal", "-p", "bob", "-c", "keys", "-m", "x"]).fails(2);
    assert!(refused.contains("a configuration of type webauthn takes no -m"), "{refused}");
    desk.ann.quorate(&["mfa", "assign-principal", "-p", "bob", "-c", "keys"]).ok();
    let link = desk.ann.quorate(&["principal", "link", "bob"]).ok();
    let shown = bob.quorate(&["--json", "enroll", link.trim(), "--show"]).json();
    assert_eq!((&shown["provider"], &shown["type"]), (&"keys".into(), &"webauthn".into()));
    // The oracle's address is a number here, and keys are bound to names.
    let refused = with_password(&bob, &["enroll", link.trim(), "--soft", "bob.key"]).fails(1);
    assert!(
        refused.contains("security keys are bound to names") && refused.contains("hint: use its name"),
        "{refused}"
    );
    assert!(!bob.path("bob.key").exists());
}
