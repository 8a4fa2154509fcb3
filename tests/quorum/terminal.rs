//! What only happens on a terminal: the question before a Toc is sent, the answer no, a code's countdown.

use super::support::Key;
use super::{Table, session_of};
use rexpect::session::spawn_command;

/// How long a line may take, in milliseconds.
const LIMIT_MS: u64 = 60_000;

#[test]
fn a_constituent_reads_first_and_may_decline() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (_asking, invite) = table.ask("ann", &[]);
    let bob = table.person("bob");

    let mut terminal = spawn_command(bob.command(&["--quiet", "join", &invite]), Some(LIMIT_MS)).expect("a terminal");
    terminal.exp_string("who asks   ann").expect("the request, --quiet or not");
    terminal.exp_string("Send your Toc for this? [y/N]").expect("the question");
    terminal.send_line("").expect("typed");
    terminal.exp_string("nothing was sent").expect("the refusal");
    terminal.exp_eof().expect("ended");
    let shown = bob.quorate(&["--json", "session", "show", &invite]).json();
    assert_eq!(shown["tocs_provided"], 1, "only ann's");

    let mut terminal = spawn_command(bob.command(&["join", &invite]), Some(LIMIT_MS)).expect("a terminal");
    terminal.exp_string("Send your Toc for this? [y/N]").expect("the question");
    terminal.send_line("y").expect("typed");
    terminal.exp_string("your Toc has been sent").expect("sent");
    terminal.exp_eof().expect("ended");
}

#[test]
fn a_code_counts_down_where_somebody_watches() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (asking, invite) = table.ask("ann", &["--no-wait", "--ttl", "600"]);
    asking.end().ok();
    table.person("bob").quorate(&["join", &invite, "--yes"]).ok();
    let ann = table.person("ann");
    let mut terminal =
        spawn_command(ann.command(&["session", "code", session_of(&invite)]), Some(LIMIT_MS)).expect("a terminal");
    terminal.exp_regex("[0-9]{6}\r\n").expect("the code");
    terminal.exp_string("this code ends in").expect("the countdown");
    terminal.send_control('c').expect("typed");
    terminal.exp_eof().expect("ended");
}
