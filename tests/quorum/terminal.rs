//! What only happens on a terminal: the question before a Toc is sent, the answer no, a code's countdown.

use super::support::Key;
use super::{Table, session_of};

#[test]
fn a_constituent_reads_first_and_may_decline() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (_asking, invite) = table.ask("ann", &[]);
    let bob = table.person("bob");

    let mut terminal = bob.on_terminal(&["--quiet", "join", &invite]);
    // The request, --quiet or not.
    terminal.reads("who asks   ann");
    terminal.reads("Send your Toc for this? [y/N]");
    terminal.types("");
    terminal.reads("nothing was sent");
    terminal.ends(1);
    let shown = bob.quorate(&["--json", "session", "show", &invite]).json();
    assert_eq!(shown["tocs_provided"], 1, "only ann's");

    let mut terminal = bob.on_terminal(&["join", &invite]);
    terminal.reads("Send your Toc for this? [y/N]");
    terminal.types("y");
    terminal.reads("your Toc has been sent");
    terminal.ends(0);
}

#[test]
fn a_code_counts_down_where_somebody_watches() {
    let table = Table::deal(&["ann", "bob"], 2, Key::Plain);
    let (asking, invite) = table.ask("ann", &["--no-wait", "--ttl", "600"]);
    asking.end().ok();
    table.person("bob").quorate(&["join", &invite, "--yes"]).ok();
    let mut terminal = table.person("ann").on_terminal(&["session", "code", session_of(&invite)]);
    let before = terminal.reads("this code ends in");
    let code = before.lines().find(|line| line.len() == 6).expect("the code");
    assert!(code.bytes().all(|byte| byte.is_ascii_digit()), "{before}");
    terminal.interrupts();
}
