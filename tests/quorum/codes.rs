//! From the question to the code: who joins, who says no, who may end it.

use super::support::{Key, SECRET, oathtool};
use super::{Table, keeps, session_of};

#[test]
fn two_of_three_soft_tokens_get_the_code_that_oathtool_has() {
    let table = Table::deal(&["ann", "bob", "carol"], 2, Key::Soft);
    let (mut asking, invite) = table.ask("ann", &["--ttl", "120"]);
    let joined = table.person("bob").quorate(&["join", &invite, "--yes"]);
    assert!(joined.stderr.contains("ann (proved: signed with the key of Toc 1)"), "{}", joined.stderr);
    assert!(
        joined.stderr.contains("\"close the month\"") && joined.stderr.contains("does not prove"),
        "{}",
        joined.stderr
    );
    joined.ok();
    asking.says("bob has joined");
    let asked = asking.end();
    let shown = asked.stdout.lines().last().expect("a code").to_owned();
    asked.ok();
    assert!(shown.len() == 6 && shown.bytes().all(|byte| byte.is_ascii_digit()), "{shown}");

    let again = table.person("ann").quorate(&["--json", "session", "code", session_of(&invite)]).json();
    let expires_at = again["code_expires_at"].as_str().expect("a time");
    if let Some(theirs) = oathtool(SECRET, expires_at) {
        assert_eq!(again["code"], *theirs);
    }
}

#[test]
fn json_says_the_same_in_one_line_each() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let mut asking = table.person("ann").start(&["--json", "ask", &table.group, "--reason", "r", "--max-codes", "1"]);
    let asked: serde_json::Value = serde_json::from_str(&asking.line()).expect("JSON");
    let invite = asked["invite"].as_str().expect("a link");
    assert_eq!(asked["session"], *session_of(invite));
    let joined = table.person("bob").quorate(&["--json", "join", invite, "--yes"]).json();
    assert_eq!((&joined["answer"], &joined["tocs_threshold"]), (&"joined".into(), &2.into()));
    let code = asking.end().json();
    assert_eq!(code["code"].as_str().map(str::len), Some(6));

    let show = table.person("bob").quorate(&["--json", "session", "show", invite]);
    // The one code may have ended the session already.
    if show.code == Some(0) {
        assert_eq!(show.json()["details"]["joined"], serde_json::json!(["ann", "bob"]));
    }
}

#[test]
fn a_no_is_heard_at_once_and_counts_for_nothing() {
    let table = Table::deal(&["ann", "bob", "carol"], 2, Key::Plain);
    let (mut asking, invite) = table.ask("ann", &[]);
    let denied =
        table.person("carol").quorate(&["join", &invite, "--deny", "--reason", "it is\u{1b}[2J Sunday", "--yes"]);
    denied.ok();
    assert_eq!(asking.says("carol says no"), "carol says no: it is\\u{1b}[2J Sunday");
    let shown = table.person("bob").quorate(&["--json", "session", "show", &invite]).json();
    assert_eq!((&shown["tocs_provided"], &shown["denials"]), (&1.into(), &1.into()));
    table.person("bob").quorate(&["join", &invite, "--yes"]).ok();
    asking.end().ok();
}

#[test]
fn only_who_asked_can_cancel_and_everyone_sees_it() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (asking, invite) = table.ask("ann", &[]);
    let (ann, bob, id) = (table.person("ann"), table.person("bob"), session_of(&invite));
    let mut watching = bob.start(&["session", "watch", &invite]);
    assert!(watching.line().contains("ann asked"));

    assert!(bob.quorate(&["session", "cancel", id]).fails(1).contains("only who asked"));
    // The same with a key of his own: the oracle checks, not only the program.
    let kept = ann.path(format!("run/quorate/sessions/{id}.json"));
    let text = std::fs::read_to_string(&kept).expect("kept");
    let mut forged: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    forged["kek"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".into();
    let sessions = bob.path("run/quorate/sessions");
    std::fs::create_dir_all(&sessions).expect("made");
    std::fs::write(sessions.join(format!("{id}.json")), forged.to_string()).expect("written");
    bob.quorate(&["session", "cancel", id]).fails(1);
    bob.quorate(&["session", "code", id]).fails(1);
    assert!(keeps(ann, &invite));

    ann.quorate(&["session", "cancel", id]).ok();
    assert!(!keeps(ann, &invite));
    let asked = asking.end().fails(3);
    assert!(asked.contains("the session was cancelled: 1 of 2 Tocs came"), "{asked}");
    assert!(watching.end().ok().contains("the session was cancelled"));
    assert!(bob.quorate(&["join", &invite, "--yes"]).fails(1).contains("cancelled"));
}

#[test]
fn whoever_is_interrupted_can_go_on() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (mut asking, invite) = table.ask("ann", &[]);
    asking.says("ann has joined");
    asking.interrupt();
    let said = asking.end().fails(130);
    let id = session_of(&invite);
    assert!(said.contains(&format!("quorate session code --wait {id}")), "{said}");

    let ann = table.person("ann");
    let early = ann.quorate(&["session", "code", id]).fails(3);
    assert!(early.contains("1 of 2"), "{early}");
    let waiting = ann.start(&["session", "code", id, "--wait"]);
    table.person("bob").quorate(&["join", &invite, "--yes"]).ok();
    assert_eq!(waiting.end().ok().trim().len(), 6);
}

#[test]
fn waiting_has_an_end_when_that_is_wanted() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (asking, invite) = table.ask("ann", &["--timeout", "0"]);
    let said = asking.end().fails(3);
    assert!(said.contains("of 2 Tocs came") && said.contains("the session is still open"), "{said}");
    assert!(keeps(table.person("ann"), &invite));
    table.person("bob").quorate(&["join", &invite, "--yes"]).ok();
    table.person("ann").quorate(&["session", "code", session_of(&invite)]).ok();

    let (asking, _) = table.ask("ann", &["--no-wait", "--qr"]);
    let ended = asking.end();
    assert!(ended.stderr.contains("goes on with") && ended.stderr.contains('▀'), "{}", ended.stderr);
    ended.ok();
}

#[test]
fn a_session_shows_names_only_to_holders_of_its_invite() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (_asking, invite) = table.ask("ann", &[]);
    let (bob, id) = (table.person("bob"), session_of(&invite));
    assert!(bob.quorate(&["session", "show", id]).fails(2).contains("--oracle"));
    bob.quorate(&["session", "show", id, "--oracle", &table.oracle.url]).fails(1);
    bob.trust(&table.oracle);
    let counts = bob.quorate(&["--json", "session", "show", id, "--oracle", &table.oracle.url]).json();
    assert!(counts["details"].is_null() && counts["tocs_threshold"] == 2, "{counts}");
    let text = bob.quorate(&["session", "show", &invite]).ok();
    assert!(text.contains("reason     close the month") && text.contains("asked by   ann"), "{text}");
}
