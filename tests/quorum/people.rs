//! People from the command line, against a real oracle: the first operator enrols, people log in and out, and what is wrong is
//! told in a line.

use super::support::{Ended, Key, Oracle, Person, Program};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// The password of `name`, long enough for every oracle.
pub fn password(name: &str) -> String {
    format!("a long sentence of {name}")
}

/// An oracle whose first operator, ann, has logged in.
pub struct Desk {
    pub oracle: Oracle,
    pub ann: Person,
}

impl Desk {
    pub fn new() -> Self {
        let (oracle, link) = Oracle::start_with_operator("ann");
        let ann = Person::new("ann", Key::Plain);
        with_password(&ann, &["enroll", &link]).ok();
        log_in(&ann, &oracle, &[]).ok();
        Self { oracle, ann }
    }
}

/// Runs `quorate` with the person's password on stdin.
pub fn with_password(person: &Person, arguments: &[&str]) -> Ended {
    Program::start_with_input(&mut person.command(arguments), &format!("{}\n", password(&person.name))).end()
}

/// The person logs in at `oracle`.
pub fn log_in(person: &Person, oracle: &Oracle, more: &[&str]) -> Ended {
    let arguments = [&["login", "-u", &person.name, "--oracle", &oracle.url][..], more].concat();
    with_password(person, &arguments)
}

/// The files with tickets of a person.
fn tickets(person: &Person) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(person.path("state/quorate/tickets")).into_iter().flatten();
    entries.map(|entry| entry.expect("readable").path()).collect()
}

#[test]
fn the_first_operator_enrols_logs_in_and_out() {
    let (oracle, link) = Oracle::start_with_operator("ann");
    let ann = Person::new("ann", Key::Plain);
    let shown = ann.quorate(&["--json", "enroll", &link, "--show"]).json();
    assert_eq!(shown["principal"], "principal/internal/user/ann");
    let short = Program::start_with_input(&mut ann.command(&["enroll", &link]), "short").end().fails(1);
    assert!(short.contains("hint: the link still serves"), "{short}");
    // The link and the password may both come on stdin, where nobody else sees them.
    let input = format!("{link}\n{}\n", password(&ann.name));
    let said = Program::start_with_input(&mut ann.command(&["enroll"]), &input).end();
    assert!(said.stdout.is_empty() && said.stderr.contains("has enrolled: `quorate login -u ann"), "{said:?}");
    let again = with_password(&ann, &["enroll", &link]).fails(1);
    assert!(again.contains("hint: a link serves once"), "{again}");

    let nothing = Program::start_with_input(&mut ann.command(&["enroll", "-"]), "").end().fails(2);
    assert!(nothing.contains("hint: copy it whole"), "{nothing}");

    let nobody = ann.quorate(&["whoami", "--oracle", &oracle.url]).fails(1);
    assert!(nobody.contains("you are not logged in at") && nobody.contains("hint: `quorate login -u NAME"), "{nobody}");
    let said = log_in(&ann, &oracle, &[]).ok();
    assert!(said.contains("principal  principal/internal/user/ann\nrole       operator\n"), "{said}");
    let [file] = tickets(&ann).try_into().expect("one ticket");
    assert_eq!(fs::metadata(&file).expect("there").permissions().mode() & 0o777, 0o600);
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&file).expect("ours")).expect("JSON");
    let ticket = kept["ticket"].as_str().expect("a ticket");
    assert!(!said.contains(ticket));

    // A ticket can be forgotten here alone: at the oracle it serves on.
    let said = ann.quorate(&["logout", "--local"]);
    assert!(said.stderr.contains("is forgotten here"), "{said:?}");
    assert_eq!(tickets(&ann).len(), 0);
    fs::write(&file, kept.to_string()).expect("written");

    // One oracle, so it need not be named.
    let whoami = ann.quorate(&["--json", "whoami"]).json();
    assert_eq!((&whoami["role"], &whoami["oracle"]), (&"operator".into(), &oracle.url.as_str().into()));
    ann.quorate(&["logout"]).ok();
    assert_eq!(tickets(&ann).len(), 0);
    ann.quorate(&["whoami", "--oracle", &oracle.url]).fails(1);

    // The ticket is over at the oracle, too, and not only forgotten.
    fs::write(&file, kept.to_string()).expect("written");
    let over = ann.quorate(&["whoami"]).fails(1);
    assert!(over.contains("hint: the ticket is over"), "{over}");
    ann.quorate(&["logout"]).ok();
    assert_eq!(tickets(&ann).len(), 0, "what is over is forgotten");
}

#[test]
fn a_new_login_ends_the_one_that_it_replaces() {
    let desk = Desk::new();
    log_in(&desk.ann, &desk.oracle, &[]).ok();
    let [file] = tickets(&desk.ann).try_into().expect("one ticket");
    let former = fs::read(&file).expect("ours");
    let said = log_in(&desk.ann, &desk.oracle, &[]);
    assert!(said.stderr.contains("the earlier login, of principal/internal/user/ann, has ended"), "{said:?}");
    desk.ann.quorate(&["whoami"]).ok();
    fs::write(&file, former).expect("written");
    let over = desk.ann.quorate(&["whoami"]).fails(1);
    assert!(over.contains("hint: the ticket is over"), "{over}");
}

#[test]
fn logging_out_everywhere_ends_what_other_machines_have() {
    let desk = Desk::new();
    let elsewhere = Person::new("ann", Key::Plain);
    log_in(&elsewhere, &desk.oracle, &[]).ok();
    // Where there are two, one is named.
    let (other, link) = Oracle::start_with_operator("ann");
    with_password(&elsewhere, &["enroll", &link]).ok();
    log_in(&elsewhere, &other, &[]).ok();
    let said = elsewhere.quorate(&["whoami"]).fails(1);
    assert!(
        said.contains("you are logged in at several oracles") && said.contains("hint: name it with --oracle"),
        "{said}"
    );
    elsewhere.quorate(&["logout", "--oracle", &other.url]).ok();
    desk.ann.quorate(&["logout", "--everywhere"]).ok();
    let over = elsewhere.quorate(&["whoami"]).fails(1);
    assert!(over.contains("hint: the ticket is over"), "{over}");
}

#[test]
fn what_is_wrong_with_a_login_is_told_and_leaves_no_ticket() {
    let (oracle, link) = Oracle::start_with_operator("ann");
    let ann = Person::new("ann", Key::Plain);
    with_password(&ann, &["enroll", &link]).ok();
    let file = ann.path("password");
    fs::write(&file, "a long sentence of another\n").expect("written");
    let file = file.to_str().expect("UTF-8").to_owned();
    let login = ["login", "--oracle", &oracle.url];
    for name in ["ann", "nobody", "../ann", "principal/internal/group/ops"] {
        let said = ann.quorate(&[&login[..], &["-u", name, "--password-file", &file]].concat()).fails(1);
        assert!(said.contains("or a second factor is needed, of which none was given"), "{said}");
    }
    let said = ann.quorate(&[&login[..], &["-u", "ann", "-m", "123456", "--password-file", &file]].concat()).fails(1);
    assert!(said.contains("hint: name, password or second factor is wrong"), "{said}");
    let said = ann.quorate(&[&login[..], &["-u", "ann", "--password-file", "/nowhere"]].concat()).fails(1);
    assert!(said.contains("cannot read /nowhere"), "{said}");
    let said = ann.quorate(&[&login[..], &["-u", "ann"]].concat()).fails(2);
    assert!(said.contains("no password was given"), "{said}");
    let said = ann.quorate(&["login", "-u", "ann"]).fails(1);
    assert!(said.contains("no oracle is trusted yet"), "{said}");
    let said = ann.quorate(&["enroll", "https://oracle.example/s/abc"]).fails(2);
    assert!(said.contains("this is no link to enrol with"), "{said}");
    assert_eq!(tickets(&ann).len(), 0);

    for _ in 0..5 {
        Program::start_with_input(&mut ann.command(&[&login[..], &["-u", "eve"]].concat()), "x").end().fails(1);
    }
    let locked = Program::start_with_input(&mut ann.command(&[&login[..], &["-u", "eve"]].concat()), "x").end();
    assert!(locked.fails(1).contains("hint: too many logins of this name failed: wait "));
}

#[test]
fn a_trusted_oracle_with_another_key_is_told_nothing() {
    let desk = Desk::new();
    desk.ann.trust(&desk.oracle);
    log_in(&desk.ann, &desk.oracle, &[]).ok();
    let store = desk.ann.path("config/quorate/oracles.toml");
    let other = Oracle::start();
    let bob = Person::new("bob", Key::Plain);
    bob.trust(&other);
    // What bob trusts, under the address of ann's oracle.
    let trusted = fs::read_to_string(bob.path("config/quorate/oracles.toml")).expect("ours");
    fs::write(&store, trusted.replace(&other.url, &desk.oracle.url)).expect("written");
    let said = log_in(&desk.ann, &desk.oracle, &[]).fails(1);
    assert!(said.contains("HAS CHANGED") && said.contains("somebody may be in between"), "{said}");
}
