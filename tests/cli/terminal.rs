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
fn a_wrong_pin_from_a_program_is_tried_once() {
    let home = Home::new();
    home.ok(&["key", "generate", "--soft", "my.token"], "");
    let mut command = home.command(&["key", "generate", "--soft", "my.token"]);
    let output = command.env("QUORATE_PIN_COMMAND", "echo 000000").output().expect("it runs");
    let said = crate::home::text(&output);
    assert!(said.contains("wrong PIN, tries left: 2") && said.contains("hint: "), "{said}");
    let mut command = home.command(&["key", "generate", "--soft", "my.token"]);
    let output = command.env("QUORATE_PIN_COMMAND", "exit 3").output().expect("it runs");
    assert!(crate::home::text(&output).contains("QUORATE_PIN_COMMAND failed"));
}
