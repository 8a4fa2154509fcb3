//! What only happens on a terminal: what is typed unseen, asked again, confirmed and interrupted.

use crate::home::{Home, SECRET, contents};
use rexpect::session::{PtySession, spawn_command};

/// How long a line may take, in milliseconds.
const LIMIT_MS: u64 = 60_000;

fn on_terminal(home: &Home, arguments: &[&str]) -> PtySession {
    let mut command = home.command(arguments);
    command.env_remove("QUORATE_PIN_COMMAND").env_remove("QUORATE_SOFT_TOUCH");
    spawn_command(command, Some(LIMIT_MS)).expect("a terminal")
}

fn ended_with(terminal: &PtySession, code: i32) {
    // The type of a status cannot be named.
    let status = format!("{:?}", terminal.process().wait().expect("a child of ours"));
    assert!(status.starts_with("Exited") && status.ends_with(&format!(", {code})")), "{status}");
}

#[test]
fn a_typed_secret_is_not_shown() {
    let home = Home::new();
    let players = Home::players(&["ann", "bob"]);
    let mut arguments = vec!["deal", "-t", "2", "-o", "out"];
    arguments.extend(players.iter().map(String::as_str));
    let mut terminal = on_terminal(&home, &arguments);
    terminal.exp_string("not shown): ").expect("the question");
    terminal.send_line(SECRET).expect("typed");
    let rest = terminal.exp_eof().expect("ended");
    assert!(rest.contains("dealing unnamed") && !rest.contains(&SECRET[..8]), "{rest}");
    assert!(home.path("out/group.json").exists());
}

#[test]
fn ctrl_c_at_the_prompt_leaves_nothing() {
    let home = Home::new();
    let players = Home::players(&["ann", "bob"]);
    let mut arguments = vec!["deal", "-t", "2", "-o", "out"];
    arguments.extend(players.iter().map(String::as_str));
    let mut terminal = on_terminal(&home, &arguments);
    terminal.exp_string("not shown): ").expect("the question");
    terminal.send_control('c').expect("typed");
    terminal.exp_eof().expect("ended");
    let status = format!("{:?}", terminal.process().wait().expect("a child of ours"));
    assert!(status.starts_with("Exited") && status.ends_with(", 130)"), "{status}");
    assert!(contents(&home.path(".")).is_empty());
}

#[test]
fn a_wrong_pin_is_asked_for_again_and_a_touch_is_asked_for() {
    let home = Home::new();
    let mut terminal = on_terminal(&home, &["key", "generate", "--soft", "my.token"]);
    for (question, typed) in
        [("new PIN", "493027"), ("again: ", "493027"), ("new PUK", "87651234"), ("again: ", "87651234")]
    {
        terminal.exp_string(question).expect(question);
        terminal.send_line(typed).expect("typed");
    }
    let shown = terminal.exp_eof().expect("ended");
    let recipient = shown.split_whitespace().find(|word| word.starts_with("age1tag1")).expect("a recipient");
    let mut players = Home::players(&["bob"]);
    players.extend(["-p".to_owned(), format!("ann={recipient}")]);
    let mut deal = vec!["deal", "-t", "2", "-o", "out"];
    deal.extend(players.iter().map(String::as_str));
    home.ok(&deal, SECRET);

    let mut terminal = on_terminal(&home, &["toc", "show", "out/ann.toc.age", "-i", "my.token"]);
    terminal.exp_string("PIN of soft token my").expect("the question");
    terminal.send_line("000000").expect("typed");
    terminal.exp_string("wrong PIN. PIN of soft token my").expect("the question again");
    terminal.exp_string("(2 tries left)").expect("how many tries are left");
    terminal.send_line("493027").expect("typed");
    terminal.exp_string("touch your key now").expect("the touch");
    terminal.send_line("").expect("touched");
    terminal.exp_string("holder     ann (share 2 of 2)").expect("what the Toc says");
    terminal.exp_eof().expect("ended");
    ended_with(&terminal, 0);

    let mut terminal = on_terminal(&home, &["toc", "show", "out/ann.toc.age", "-i", "my.token"]);
    terminal.exp_string("PIN of soft token my").expect("the question");
    terminal.send_line("493027").expect("typed");
    terminal.exp_string("touch your key now").expect("the touch");
    terminal.send_line("n").expect("refused");
    terminal.exp_string("the touch was refused").expect("the error");
    terminal.exp_eof().expect("ended");
    ended_with(&terminal, 1);
}

#[test]
fn two_different_new_pins_change_nothing() {
    let home = Home::new();
    let mut terminal = on_terminal(&home, &["key", "generate", "--soft", "my.token"]);
    for (question, typed) in [("new PIN", "493027"), ("again: ", "493028")] {
        terminal.exp_string(question).expect(question);
        terminal.send_line(typed).expect("typed");
    }
    terminal.exp_string("the two entries for new PIN (6 to 8 characters) differ").expect("the error");
    terminal.exp_eof().expect("ended");
    ended_with(&terminal, 1);
    assert!(!home.path("my.token").exists());
}

#[test]
fn several_tocs_cost_a_wrong_program_one_try_and_it_is_said() {
    let home = Home::new();
    let recipient = |name: &str| {
        let made = home.ok(&["key", "generate", "--soft", name, "--json"], "");
        let made: serde_json::Value = serde_json::from_str(&made).expect("JSON");
        made["recipients"][1].as_str().expect("a recipient").to_owned()
    };
    let (first, spare) = (recipient("first.token"), recipient("spare.token"));
    let players: Vec<String> =
        ["ann", "bob", "cid"].iter().flat_map(|name| ["-p".to_owned(), format!("{name}={first},{spare}")]).collect();
    for (folder, player) in [("one", 0), ("two", 1), ("three", 2)] {
        let mut others = Home::players(&["dan", "eve"]);
        others.extend_from_slice(&players[player * 2..player * 2 + 2]);
        let mut deal = vec!["deal", "-t", "2", "-o", folder];
        deal.extend(others.iter().map(String::as_str));
        home.ok(&deal, SECRET);
    }
    let tocs = ["one/ann.toc.age", "two/bob.toc.age", "three/cid.toc.age"];
    let mut verify = vec!["toc", "verify", "-i", "first.token", "-i", "spare.token", "-i", "first.token"];
    verify.extend(tocs);
    let knows_the_spares = "case $QUORATE_PIN_PROMPT in *first*) echo 000000;; *) echo 493027;; esac";
    let output = home.command(&verify).env("QUORATE_PIN_COMMAND", knows_the_spares).output().expect("it runs");
    let said = crate::home::text(&output);
    assert!(output.status.success() && said.matches("ok      ").count() == 3, "{said}");
    assert_eq!(said.matches("warning: soft token first").count(), 1, "{said}");
    assert!(said.contains("wrong PIN, tries left: 2"), "{said}");
}

#[test]
fn a_wrong_pin_from_a_program_is_tried_once() {
    let home = Home::new();
    home.ok(&["key", "generate", "--soft", "my.token"], "");
    let mut command = home.command(&["key", "generate", "--soft", "my.token"]);
    let output = command.env("QUORATE_PIN_COMMAND", "echo 000000").output().expect("it runs");
    let said = crate::home::text(&output);
    assert!(said.contains("wrong PIN, tries left: 2") && said.contains("hint: "), "{said}");
    let output = home.command(&["key", "pin", "--soft", "my.token"]).env("QUORATE_PIN_COMMAND", "echo 000000").output();
    assert!(crate::home::text(&output.expect("it runs")).contains("wrong PIN, tries left: 1"));
    for command in [&["key", "pin", "--soft", "my.token"][..], &["key", "generate", "--soft", "my.token"]] {
        let said = home.fails(1, command, "");
        assert!(
            said.contains("only one try is left for the PIN") && said.contains("hint: enter it yourself"),
            "{said}"
        );
    }
    let mut terminal = on_terminal(&home, &["key", "pin", "--soft", "my.token"]);
    terminal.exp_string("(the last try): ").expect("a person may");
    terminal.send_line("493027").expect("typed");
    for question in ["new PIN", "again: "] {
        terminal.exp_string(question).expect(question);
        terminal.send_line("493027").expect("typed");
    }
    terminal.exp_eof().expect("ended");
    ended_with(&terminal, 0);
    let mut command = home.command(&["key", "generate", "--soft", "my.token"]);
    let output = command.env("QUORATE_PIN_COMMAND", "exit 3").output().expect("it runs");
    assert!(crate::home::text(&output).contains("QUORATE_PIN_COMMAND failed"));
}
