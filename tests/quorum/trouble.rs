//! What may go wrong around a session: an oracle that is killed, certificates that nobody vouches for, a folder that cannot
//! be written.

use super::support::{Key, Oracle, Person, Program};
use super::{Table, session_of};
use std::fs;

#[test]
fn what_was_acknowledged_survives_a_kill_and_no_code_is_given_twice() {
    let mut table = Table::deal(&["ann", "bob", "carol"], 3, Key::Plain);
    let (mut asking, invite) = table.ask("ann", &["--max-codes", "1"]);
    table.person("bob").quorate(&["join", &invite, "--yes"]).ok();
    asking.says("bob has joined");
    table.oracle.kill_and_restart();
    table.person("carol").quorate(&["join", &invite, "--yes"]).ok();
    // The stream of events was cut off and goes on by itself.
    assert_eq!(asking.end().ok().lines().last().map(str::len), Some(6));

    table.oracle.kill_and_restart();
    let again = table.person("ann").quorate(&["session", "code", session_of(&invite)]);
    match again.code {
        // Within the same time step it is the same code, shown again.
        Some(0) => {}
        _ => assert!(again.stderr.contains("over"), "{}", again.stderr),
    }
}

#[test]
fn a_private_certificate_authority_must_be_named() {
    let (oracle, authority) = Oracle::start_tls();
    let authority = authority.to_str().expect("UTF-8").to_owned();
    assert!(oracle.url.starts_with("https://"), "{}", oracle.url);
    let ann = Person::new("ann", Key::Plain);
    let trust = ["oracle", "trust", &oracle.url, "--fingerprint", &oracle.fingerprint];
    let said = ann.quorate(&trust).fails(1);
    assert!(said.contains("--ca"), "{said}");
    ann.quorate(&[&trust[..], &["--ca", "/nowhere/ca.pem"]].concat()).fails(1);
    ann.quorate(&[&trust[..], &["--ca", &authority]].concat()).ok();

    let bob = Person::new("bob", Key::Plain);
    let mut command = bob.command(&trust);
    Program::start(command.env("SSL_CERT_FILE", &authority)).end().ok();
}

#[test]
fn plain_http_to_another_machine_is_refused_before_anything_is_sent() {
    let ann = Person::new("ann", Key::Plain);
    let said = ann.quorate(&["oracle", "trust", "http://192.0.2.1:8080"]).fails(1);
    assert!(said.contains("not encrypted") && said.contains("https://"), "{said}");
}

#[test]
fn a_session_whose_key_cannot_be_kept_is_not_left_open() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let ann = table.person("ann");
    // A file where the folder belongs: not even root can write below it.
    fs::create_dir_all(ann.path("run/quorate")).expect("made");
    fs::write(ann.path("run/quorate/sessions"), "").expect("written");
    let ended = ann.quorate(&["ask", &table.group, "--reason", "r"]);
    assert_eq!(ended.stdout, "", "an invite that its applicant cannot use is not shown");
    assert!(ended.fails(1).contains("run/quorate/sessions"));
}
