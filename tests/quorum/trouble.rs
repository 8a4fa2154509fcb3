//! What may go wrong around a session: an oracle that is killed, certificates that nobody vouches for, a folder that cannot
//! be written.

use super::support::{Key, Oracle, Person, Program};
use super::{Table, session_of};
use age::secrecy::ExposeSecret as _;
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

#[test]
fn nobody_touches_a_key_for_a_session_that_is_over_or_a_toc_that_is_not_theirs() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Soft);
    let (ann, bob) = (table.person("ann"), table.person("bob"));
    let invite = ann.quorate(&["ask", &table.group, "--reason", "r", "--no-wait"]).ok();
    let invite = invite.trim();
    // A program that leaves a trace when it is asked for the PIN.
    let asked_bob = |arguments: &[&str]| {
        let mut command = bob.command(arguments);
        command.env("QUORATE_PIN_COMMAND", "touch asked; echo 493027");
        let ended = Program::start(&mut command).end();
        assert!(!bob.path("asked").exists(), "the PIN was asked for: {}", ended.stderr);
        ended
    };

    // Neither a confirmation nor a PIN for a Toc of somebody else's key.
    let stranger = age::x25519::Identity::generate();
    fs::write(bob.path("other.key"), stranger.to_string().expose_secret()).expect("written");
    let said = asked_bob(&["join", invite, "-i", "other.key"]).fails(1);
    assert!(said.contains("none of the identities opens it") && !said.contains("terminal"), "{said}");

    ann.quorate(&["session", "cancel", session_of(invite)]).ok();
    let said = asked_bob(&["join", invite, "--yes"]).fails(1);
    assert!(
        said.contains("the session was cancelled: nothing was sent") && said.contains("hint: ask the one"),
        "{said}"
    );
}

#[test]
fn open_sessions_are_listed_until_they_are_cancelled_and_an_invite_can_be_a_picture() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let ann = table.person("ann");
    let ask = ["ask", &table.group, "--reason", "close the month", "--no-wait", "--invite-qr", "invite.png"];
    let invite = ann.quorate(&ask).ok();
    let picture = image::open(ann.path("invite.png")).expect("a picture").to_luma8();
    let mut prepared = rqrr::PreparedImage::prepare(picture);
    let (_, link) = prepared.detect_grids()[0].decode().expect("a QR code");
    assert_eq!(link, invite.trim());
    let again = ann.quorate(&ask).fails(1);
    assert!(again.contains("invite.png is there already"), "{again}");

    let listed = ann.quorate(&["session", "list"]).ok();
    assert_eq!(listed.lines().count(), 1, "nothing was started by what failed: {listed}");
    assert!(listed.starts_with(session_of(&invite)) && listed.contains("close the month"), "{listed}");
    let json = ann.quorate(&["session", "list", "--json"]).json();
    assert_eq!(json["invite"], invite.trim());
    assert!(table.person("bob").quorate(&["session", "list"]).ok().is_empty(), "only who asked has the key");
    ann.quorate(&["session", "cancel", session_of(&invite)]).ok();
    assert!(ann.quorate(&["session", "list"]).ok().is_empty());
}
