//! The audit log at the command line: exported on the oracle's machine, shown and checked anywhere.

use super::people::{Desk, log_in, with_password};
use super::support::{Ended, Key, LIMIT, Oracle, Person, Program, Table, built};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// `quorate-oracle audit`, on the oracle's machine.
fn oracle_audit(oracle: &Oracle, action: &str) -> String {
    let mut command = Command::new(built("quorate-oracle"));
    Program::start(command.args(["audit", action, "--state"]).arg(oracle.state())).end().ok()
}

/// What a check says and finds.
fn verify(auditor: &Person, export: &str, more: &[&str]) -> Ended {
    fs::write(auditor.path("export"), export).expect("written");
    let mut arguments = vec!["audit", "verify", "export"];
    arguments.extend(more);
    auditor.quorate(&arguments)
}

#[test]
fn an_auditor_sees_who_did_what_and_that_nothing_was_changed() {
    let table = Table::deal(&["ann", "bob", "carol"], 2, Key::Plain);
    let (asking, invite) = table.ask("ann", &[]);
    let reason = "it is\u{1b}[2J \u{202e}Sunday";
    table.person("carol").quorate(&["join", &invite, "--deny", "--reason", reason, "--yes"]).ok();
    let older = oracle_audit(&table.oracle, "checkpoint");
    table.person("bob").quorate(&["join", &invite, "--yes"]).ok();
    asking.end().ok();

    let (export, key) = (oracle_audit(&table.oracle, "export"), oracle_audit(&table.oracle, "key"));
    let key = key.trim();
    let auditor = Person::new("auditor", Key::Plain);
    fs::write(auditor.path("older"), &older).expect("written");
    let sound = verify(&auditor, &export, &["--key", key, "--checkpoint", "older"]).ok();
    assert!(sound.contains(" rows are as the oracle wrote them\ncheckpoint  "), "{sound}");
    let json = verify(&auditor, &export, &["--json", "--key", key]).json();
    assert_eq!((&json["sound"], &json["findings"]), (&true.into(), &serde_json::json!([])));

    let shown = auditor.quorate(&["audit", "show", "export", "--kind", "session"]).ok();
    for said in [
        "session.asked  holder ann  session ",
        "session.denied  holder carol",
        "session.joined  holder bob",
        "session.code  holder ann",
        "tocs_of=[\"ann\",\"bob\"]",
        "it is\\u001b[2J \\u{202e}Sunday",
    ] {
        assert!(shown.contains(said), "{said} is not in {shown}");
    }
    assert!(!shown.contains("oracle.started") && !shown.contains('\u{1b}') && !shown.contains('\u{202e}'), "{shown}");
    let json = auditor.quorate(&["--json", "audit", "show", "export", "--kind", "session.code"]).json();
    assert_eq!(json["event"]["who"], "holder ann");

    let lines: Vec<&str> = export.lines().collect();
    let joined = lines.iter().position(|line| line.contains("holder bob")).expect("he joined");
    let number = serde_json::from_str::<serde_json::Value>(lines[joined]).expect("JSON")["number"].clone();
    let changed = export.replace("holder bob", "holder eve");
    let found = verify(&auditor, &changed, &["--key", key]);
    assert!(found.stdout.contains(&format!("row {number} was changed")), "{}", found.stdout);
    assert!(found.fails(1).contains("error: the audit log is not as the oracle wrote it\nhint: "));
    let mut left = lines.clone();
    left.remove(joined);
    let removed = left.join("\n");
    let found = verify(&auditor, &removed, &["--key", key]);
    assert!(found.stdout.contains(&format!("row {number} is missing")), "{}", found.stdout);
    found.fails(1);
    let found = verify(&auditor, "", &["--key", key, "--checkpoint", "older"]);
    assert!(found.stdout.contains("the log ends at row 0"), "{}", found.stdout);
    found.fails(1);

    let other = oracle_audit(&Oracle::start(), "key");
    let found = verify(&auditor, &export, &["--key", other.trim()]);
    assert!(found.stdout.contains("is not signed by the key"), "{}", found.stdout);
    found.fails(1);
    let wrong = verify(&auditor, &export, &["--key", other.trim(), "--checkpoint", "older"]).fails(1);
    assert!(wrong.contains("hint: check that key and checkpoint are of the same oracle"), "{wrong}");
    assert!(verify(&auditor, &export, &["--key", "nonsense"]).fails(2).contains("hint: `quorate-oracle audit key`"));
    let unsigned = verify(&auditor, &export, &["--key", key, "--checkpoint", "export"]).fails(1);
    assert!(unsigned.contains("hint: it is what"), "{unsigned}");
}

/// Waits until the oracle's own log has an event of `kind`: events are numbered within a second.
fn numbered(person: &Person, oracle: &Oracle, kind: &str) -> String {
    let until = Instant::now() + LIMIT;
    loop {
        let shown = person.quorate(&["audit", "show", "--oracle", &oracle.url, "--kind", kind]).ok();
        if !shown.is_empty() {
            return shown;
        }
        assert!(Instant::now() < until, "{kind} is never numbered");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn an_auditor_asks_the_oracle_itself() {
    let desk = Desk::new();
    let url = desk.oracle.url.as_str();
    let carol = Person::new("carol", Key::Plain);
    let link = desk.ann.quorate(&["principal", "add", "carol", "--role", "auditor"]).ok();
    with_password(&carol, &["enroll", link.trim()]).ok();
    log_in(&carol, &desk.oracle, &[]).ok();
    let bob = Person::new("bob", Key::Plain);
    let link = desk.ann.quorate(&["principal", "add", "bob"]).ok();
    with_password(&bob, &["enroll", link.trim()]).ok();
    log_in(&bob, &desk.oracle, &[]).ok();
    let member = bob.quorate(&["audit", "show", "--oracle", url]).fails(1);
    assert!(member.contains("your role may not do this") && member.contains("hint: `quorate whoami`"), "{member}");

    numbered(&carol, &desk.oracle, "login.done");
    let made = numbered(&carol, &desk.oracle, "principal.created");
    assert!(
        made.contains("principal principal/internal/user/ann  principal/internal/user/carol  from 127.0.0.1"),
        "{made}"
    );
    let first = carol.quorate(&["audit", "show", "--oracle", url, "--limit", "1"]).ok();
    assert!(first.starts_with("1  ") && first.lines().count() == 1, "{first}");
    let second = carol.quorate(&["audit", "show", "--oracle", url, "--after", "1", "--limit", "1"]).ok();
    assert!(second.starts_with("2  "), "{second}");

    let key = oracle_audit(&desk.oracle, "key");
    let verify =
        |more: &[&str]| carol.quorate(&[&["audit", "verify", "--oracle", url, "--key", key.trim()], more].concat());
    verify(&["--export", "log.jsonl"]).ok();
    let again = verify(&["--export", "log.jsonl"]).fails(1);
    assert!(again.contains("log.jsonl is there already"), "{again}");
    let note = carol.quorate(&["audit", "checkpoint"]).ok();
    fs::write(carol.path("kept"), &note).expect("written");
    verify(&["--checkpoint", "kept"]).ok();

    // What was kept is checked without the oracle, and one changed byte is told.
    let kept = ["audit", "verify", "log.jsonl", "--key", key.trim()];
    carol.quorate(&kept).ok();
    let log = fs::read_to_string(carol.path("log.jsonl")).expect("written");
    for secret in ["a long sentence", link.trim().rsplit('/').next().expect("a token")] {
        assert!(!log.contains(secret));
    }
    fs::write(carol.path("log.jsonl"), log.replacen("user/carol", "user/carla", 1)).expect("written");
    carol.quorate(&kept).fails(1);
    let other = oracle_audit(&Oracle::start(), "key");
    let wrong = carol.quorate(&["audit", "verify", "--oracle", url, "--key", other.trim()]).fails(1);
    assert!(wrong.contains("hint: check that key and checkpoint are of the same oracle"), "{wrong}");
}

/// A witness at an address of this machine, who is busy at first: gives the address, and each note that comes.
fn witness() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/witness", listener.local_addr().expect("bound"));
    let (sender, notes) = channel();
    std::thread::spawn(move || {
        for status in std::iter::once("503 Service Unavailable").chain(std::iter::repeat("204 No Content")) {
            let Ok((stream, _)) = listener.accept() else { return };
            let mut reader = BufReader::new(stream);
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap_or(0) == 0 {
                    break;
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse().expect("a number");
                }
                head += &line;
            }
            let mut note = vec![0; length];
            let read = reader.read_exact(&mut note).is_ok();
            let _ = write!(reader.get_mut(), "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            if read && sender.send(String::from_utf8(note).expect("UTF-8")).is_err() {
                return;
            }
        }
    });
    (url, notes)
}

#[test]
fn a_witness_gets_checkpoints_that_the_log_goes_on_from() {
    let (url, notes) = witness();
    let settings = [("QUORATE_AUDIT_WEBHOOK", url.as_str()), ("QUORATE_WEBHOOKS_ALLOW", "127.0.0.1")];
    let (oracle, link) = Oracle::start_with("ann", &settings);
    let ann = Person::new("ann", Key::Plain);
    with_password(&ann, &["enroll", &link]).ok();
    log_in(&ann, &oracle, &[]).ok();
    let key = oracle_audit(&oracle, "key");
    // The first was not taken, so it comes again.
    for name in ["first", "again"] {
        let note = notes.recv_timeout(LIMIT).expect("a note");
        fs::write(ann.path(name), note).expect("written");
    }
    numbered(&ann, &oracle, "login.done");
    let verify = ["audit", "verify", "--oracle", &oracle.url, "--key", key.trim(), "--checkpoint"];
    for name in ["first", "again"] {
        ann.quorate(&[&verify[..], &[name]].concat()).ok();
    }
}
