//! Groups that an oracle knows, and sessions in which everything has a name: a 2-of-3 session with real programs, from the login to
//! what an auditor reads.

use super::people::{log_in, with_password};
use super::support::{Key, Oracle, Person, Program, Table, built};
use std::fs;
use std::process::Command;

const PLAYERS: [&str; 3] = ["ann", "bob", "carol"];

/// A table whose oracle asks for a login, and its operator, who has made a user of each player. Nobody of them has logged in.
fn table() -> (Table, Person) {
    let (oracle, link) = Oracle::start_with("olga", &[("QUORATE_SESSIONS_REQUIRE_LOGIN", "true")]);
    let olga = Person::new("olga", Key::Plain);
    with_password(&olga, &["enroll", &link]).ok();
    log_in(&olga, &oracle, &[]).ok();
    let table = Table::deal_at(oracle, &PLAYERS, 2, Key::Plain);
    for player in &table.people {
        let link = olga.quorate(&["principal", "add", &player.name]).ok();
        with_password(player, &["enroll", link.trim()]).ok();
    }
    fs::write(olga.path("group.json"), &table.group_file).expect("written");
    (table, olga)
}

#[test]
fn an_operator_looks_after_groups() {
    let (table, olga) = table();
    let added = olga.quorate(&["group", "add", "group.json", "--member", "ann=ann"]);
    assert!(added.stderr.contains("say who stands for the others with `quorate group members "), "{}", added.stderr);
    let added = added.ok();
    assert!(added.starts_with(&format!("group     {}\ngroup id  ", table.group)), "{added}");
    assert!(added.contains("holder    1  ann  principal/internal/user/ann\nholder    2  bob  nobody\n"), "{added}");
    let again = olga.quorate(&["group", "add", "group.json"]).fails(1);
    assert!(again.contains("hint: `quorate group show GROUP`"), "{again}");
    let listed = olga.quorate(&["group", "list"]).ok();
    assert!(listed.starts_with(&table.group) && listed.contains("  2 of 3  AWS root\n"), "{listed}");
    // By the beginning of the name; who is not named stays.
    let beginning = &table.group[..8];
    let members = olga.quorate(&["group", "members", beginning, "bob=bob", "carol=principal/internal/user/carol"]).ok();
    let full = |name: &str| format!("principal/internal/user/{name}");
    let (ann, bob, carol) = (full("ann"), full("bob"), full("carol"));
    assert_eq!(members, format!("1  ann  {ann}\n2  bob  {bob}\n3  carol  {carol}\n"));
    let members = olga.quorate(&["group", "members", &table.group, "bob="]).ok();
    assert_eq!(members, format!("1  ann  {ann}\n2  bob  nobody\n3  carol  {carol}\n"));
    let json = olga.quorate(&["--json", "group", "show", &table.group]).json();
    assert_eq!((&json["holders"][0]["principal"], &json["holders"][1]["principal"]), (&ann.into(), &().into()));

    for (change, hint) in [
        ("bob=ann", "hint: give each holder a principal of their own"),
        ("dan=bob", "hint: `quorate group show GROUP` shows the holders"),
        ("bob=nobody", "hint: `quorate principal list`"),
    ] {
        let refused = olga.quorate(&["group", "members", &table.group, change]).fails(1);
        assert!(refused.contains(hint), "{change}: {refused}");
    }
    let unknown = olga.quorate(&["group", "show", "ABCD2345"]).fails(1);
    assert!(unknown.contains("the oracle knows no group called ABCD2345\nhint: "), "{unknown}");
    fs::write(olga.path("other.json"), "{}").expect("written");
    assert!(olga.quorate(&["group", "add", "other.json"]).fails(1).contains("other.json: "));
    let bob = table.person("bob");
    log_in(bob, &table.oracle, &[]).ok();
    assert!(bob.quorate(&["group", "list"]).fails(1).contains("hint: `quorate whoami`"));

    let asked = olga.quorate(&["group", "remove", beginning]).fails(1);
    assert!(asked.contains("--yes"), "{asked}");
    olga.quorate(&["group", "remove", beginning, "--yes"]).ok();
    assert_eq!(olga.quorate(&["group", "list"]).ok(), "");
    let gone = olga.quorate(&["group", "remove", &table.group, "--yes"]).fails(1);
    assert!(gone.contains("hint: `quorate group list`"), "{gone}");
}

#[test]
fn everything_in_a_session_with_names_has_one() {
    let (table, olga) = table();
    let [ann, bob, carol] = PLAYERS.map(|name| table.person(name));
    let ask = ["ask", &table.group, "--reason", "close the month"];
    let refused = ann.quorate(&ask).fails(1);
    assert!(refused.contains("hint: `quorate login -u NAME` comes first"), "{refused}");
    for player in &table.people {
        log_in(player, &table.oracle, &[]).ok();
    }
    let refused = ann.quorate(&ask).fails(1);
    assert!(refused.contains("hint: an operator adds it: `quorate group add GROUP.json`"), "{refused}");
    olga.quorate(&["group", "add", "group.json", "-m", "ann=ann", "-m", "bob=bob"]).ok();

    let (asking, invite) = table.ask("ann", &["--ttl", "3600"]);
    let refused = carol.quorate(&["join", &invite, "--yes"]).fails(1);
    assert!(refused.contains("you do not stand for this player") && refused.contains("hint: "), "{refused}");
    olga.quorate(&["group", "members", &table.group, "carol=carol"]).ok();
    let said = carol.quorate(&["join", &invite, "--yes"]);
    assert!(
        said.stderr.contains("who asks   principal/internal/user/ann, as ann (proved: logged in"),
        "{}",
        said.stderr
    );
    said.ok();
    let code = asking.end().ok();
    assert!(!code.trim().is_empty());
    let shown = ann.quorate(&["session", "show", &invite]).ok();
    for line in [
        "asked by   ann (principal/internal/user/ann)\n",
        "approved   ann (principal/internal/user/ann) at ",
        "approved   carol (principal/internal/user/carol) at ",
    ] {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    bob.quorate(&["join", &invite, "--yes"]).ok();

    // What an auditor exports on the oracle's machine, and checks anywhere.
    let audit = |action: &str| {
        let mut command = Command::new(built("quorate-oracle"));
        Program::start(command.args(["audit", action, "--state"]).arg(table.oracle.state())).end().ok()
    };
    fs::write(olga.path("export"), audit("export")).expect("written");
    let verify = ["audit", "verify", "export", "--key", &audit("key")];
    olga.quorate(&verify).ok();
    let events = olga.quorate(&["audit", "show", "export"]).ok();
    for said in [
        "group.added  principal principal/internal/user/olga",
        "group.members  principal principal/internal/user/olga",
        "session.asked  principal principal/internal/user/ann",
        "session.joined  principal principal/internal/user/ann",
        "session.joined  principal principal/internal/user/carol",
        "session.code  principal principal/internal/user/ann",
        "approved_by=[\"principal/internal/user/ann\",\"principal/internal/user/carol\"]",
    ] {
        assert!(events.contains(said), "{said} is not in {events}");
    }
    let changed = audit("export").replace("user/carol", "user/nobody");
    fs::write(olga.path("export"), changed).expect("written");
    olga.quorate(&verify).fails(1);
}
