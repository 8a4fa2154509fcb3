//! What only happens on a terminal: what is typed unseen, asked again, confirmed and interrupted.

use crate::home::{Home, SECRET, contents};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use rexpect::session::{PtySession, spawn_command};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// How long a line may take, in milliseconds.
const LIMIT_MS: u64 = 60_000;

fn on_terminal(home: &Home, arguments: &[&str]) -> PtySession {
    let mut command = home.command(arguments);
    for variable in ["QUORATE_FIDO_PIN_COMMAND", "QUORATE_PIN_COMMAND", "QUORATE_PUK_COMMAND", "QUORATE_SOFT_TOUCH"] {
        command.env_remove(variable);
    }
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

/// A plugin that asks one secret, and writes down what it is told.
const ASKER: &str = r#"#!/bin/sh
while read -r line && [ "$line" != "-> done" ]; do :; done
read -r line
printf '%s\n' '-> request-secret' "$(printf 'what is your PIN' | base64 | tr -d =)"
read -r verdict && read -r answer
printf '%s' "$answer" >"$HOME/told"
printf '%s\n' '-> done' ''
"#;

#[test]
fn a_plugin_asks_under_its_name_and_never_gets_the_pin_of_a_token() {
    let home = Home::new();
    let path = std::env::var("PATH").expect("there is one");
    let plugin = home.path("age-plugin-asker");
    fs::write(&plugin, ASKER).expect("written");
    fs::set_permissions(&plugin, fs::Permissions::from_mode(0o700)).expect("ours");
    let identity = age::plugin::Identity::default_for_plugin("asker").expect("a plain name").to_string();
    fs::write(home.path("asker.txt"), identity).expect("written");
    let players = Home::players(&["ann", "bob"]);
    let mut deal = vec!["deal", "-t", "2", "-o", "out"];
    deal.extend(players.iter().map(String::as_str));
    home.ok(&deal, SECRET);

    // The program that knows PINs is named, and not run.
    let mut command = home.command(&["toc", "show", "out/ann.toc.age", "-i", "asker.txt"]);
    command.env("PATH", format!("{}:{path}", home.path(".").display()));
    let mut terminal = spawn_command(command, Some(LIMIT_MS)).expect("a terminal");
    terminal.exp_string("age-plugin-asker: what is your PIN: ").expect("the question, with its sender");
    terminal.send_line("typed here").expect("typed");
    terminal.exp_string("none of the identities opens it").expect("the plugin gave up");
    terminal.exp_eof().expect("ended");
    let told = fs::read_to_string(home.path("told")).expect("it was told something");
    assert_eq!(told, BASE64_STANDARD_NO_PAD.encode("typed here"));
}

#[test]
fn a_puk_comes_from_its_own_program_and_never_spends_the_last_try() {
    let home = Home::new();
    home.ok(&["key", "generate", "--soft", "my.token"], "");
    let unblock = |puk: &str| {
        let mut command = home.command(&["key", "pin", "--unblock", "--soft", "my.token"]);
        let output = command.env("QUORATE_PUK_COMMAND", puk).output().expect("it runs");
        (output.status.code(), crate::home::text(&output))
    };
    let (code, said) = unblock("echo 493027");
    assert!(code == Some(1) && said.contains("the PUK must not be the PIN"), "{said}");
    let (code, said) = unblock("echo 00000000");
    assert!(code == Some(1) && said.contains("wrong PUK, tries left: 2"), "{said}");
    let (code, said) = unblock("exit 3");
    assert!(code == Some(1) && said.contains("QUORATE_PUK_COMMAND failed"), "{said}");
    assert!(unblock("echo 00000000").1.contains("wrong PUK, tries left: 1"));
    assert!(unblock("echo 00000000").1.contains("only one try is left for the PUK"));

    // Without a program of its own the PUK is typed, whoever knows the PIN.
    let mut command = home.command(&["key", "pin", "--unblock", "--soft", "my.token"]);
    command.env_remove("QUORATE_PUK_COMMAND");
    let mut terminal = spawn_command(command, Some(LIMIT_MS)).expect("a terminal");
    terminal.exp_string("PUK of soft token my").expect("the question");
    terminal.exp_string("(the last try): ").expect("how many are left");
    terminal.send_line("81736450").expect("typed");
    terminal.exp_string("is unblocked and new").expect("done");
    terminal.exp_eof().expect("ended");
    ended_with(&terminal, 0);
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
