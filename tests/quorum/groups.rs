//! Groups that an oracle knows, and sessions in which everything has a name: a 2-of-3 session with real programs, from the login to
//! what an auditor reads.

use super::people::{log_in, with_password};
use super::session_of;
use super::support::{Key, Oracle, Person, Program, SECRET, Table, built, oathtool};
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

#[test]
fn who_may_asks_with_a_login_alone_and_two_players_make_the_code_that_oathtool_has() {
    let (table, olga) = table();
    let [ann, bob, carol] = PLAYERS.map(|name| table.person(name));
    let members = ["-m", "ann=ann", "-m", "bob=bob", "-m", "carol=carol"];
    olga.quorate(&[&["group", "add", "group.json"][..], &members].concat()).ok();
    let dora = Person::new("dora", Key::Plain);
    let ask = ["ask", &table.group, "--login", "--reason", "the pager is on fire", "--ttl", "3600"];
    let refused = dora.quorate(&ask).fails(1);
    assert!(refused.contains("you are not logged in\nhint: `quorate login -u NAME` comes first"), "{refused}");
    let link = olga.quorate(&["principal", "add", "dora"]).ok();
    with_password(&dora, &["enroll", link.trim()]).ok();
    log_in(&dora, &table.oracle, &[]).ok();
    let refused = dora.quorate(&ask).fails(1);
    assert!(refused.contains("is not among the oracles that you trust\nhint: "), "no Toc names one: {refused}");
    dora.trust(&table.oracle);
    let refused = dora.quorate(&ask).fails(1);
    assert!(refused.contains("you may not ask for this group's codes"), "{refused}");
    assert!(refused.contains("hint: `quorate whoami` shows who you are"), "{refused}");
    let group_id = olga.quorate(&["--json", "group", "show", &table.group]).json();
    let group_id = group_id["group_id"].as_str().expect("an id").to_owned();
    let by_id = ["ask", &group_id, "--login", "--reason", "the pager is on fire", "--ttl", "3600"];
    let refused = dora.quorate(&by_id).fails(1);
    assert!(refused.contains(&format!("you may ask for the codes of no group called {group_id}\nhint: ")), "{refused}");

    let listed = olga.quorate(&["group", "applicants", "add", &table.group, "dora", "ann"]).ok();
    assert_eq!(listed, "principal/internal/user/ann\nprincipal/internal/user/dora\n");
    olga.quorate(&["group", "applicants", "remove", &table.group, "ann"]).ok();
    assert_eq!(olga.quorate(&["group", "applicants", "list", &group_id]).ok(), "principal/internal/user/dora\n");
    let shown = olga.quorate(&["group", "show", &table.group]).ok();
    assert!(shown.contains("\nmay ask   principal/internal/user/dora\n"), "{shown}");
    let redeal = dora.quorate(&[&ask[..], &["--redeal", "-P", "plan.toml"]].concat()).fails(2);
    assert!(redeal.contains("--login"), "{redeal}");

    for player in [ann, bob, carol] {
        log_in(player, &table.oracle, &[]).ok();
    }
    let mut asking = dora.start(&by_id);
    let invite = asking.line();
    asking.says("dora asked");
    let said = bob.quorate(&["join", &invite, "--yes"]);
    let asks = "who asks   principal/internal/user/dora, by login at this oracle; showed no Toc\n";
    assert!(said.stderr.contains(asks) && said.stderr.contains("No Toc vouches for who asks"), "{}", said.stderr);
    said.ok();
    let shown = bob.quorate(&["session", "show", &invite]).ok();
    assert!(shown.contains("asked by   principal/internal/user/dora, by login, without a Toc\n"), "{shown}");
    assert!(shown.contains("1 of 2 needed"), "asking is no Toc: {shown}");
    carol.quorate(&["join", &invite, "--yes"]).ok();
    let code = asking.end().ok();
    let code = code.lines().last().expect("a code");
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    let again = dora.quorate(&["--json", "session", "code", session_of(&invite)]).json();
    let expires_at = again["code_expires_at"].as_str().expect("a time");
    if let Some(theirs) = oathtool(SECRET, expires_at) {
        assert_eq!(again["code"], *theirs);
    }
    // The key of the session alone gives nothing.
    dora.quorate(&["logout"]).ok();
    let refused = dora.quorate(&["session", "code", session_of(&invite)]).fails(1);
    assert!(refused.contains("hint: `quorate login -u NAME` comes first"), "{refused}");
}

#[test]
fn a_code_of_an_app_by_quorum_takes_one_command_and_two_players() {
    let (table, olga) = table();
    let [ann, bob, carol] = PLAYERS.map(|name| table.person(name));
    let members = ["-m", "ann=ann", "-m", "bob=bob", "-m", "carol=carol"];
    olga.quorate(&[&["group", "add", "group.json"][..], &members].concat()).ok();
    let dora = Person::new("dora", Key::Plain);
    let link = olga.quorate(&["principal", "add", "dora"]).ok();
    with_password(&dora, &["enroll", link.trim()]).ok();
    log_in(&dora, &table.oracle, &[]).ok();
    let add = ["app", "add", "--by-quorum", &table.group, "--name", "the vault"];
    let refused = dora.quorate(&add).fails(1);
    assert!(refused.contains("hint: "), "who may not ask for it adds none: {refused}");
    olga.quorate(&["group", "applicants", "add", &table.group, "dora"]).ok();
    dora.quorate(&add).ok();
    let code = ["app", "code", "the vault"];
    let refused = dora.quorate(&code).fails(1);
    assert!(refused.contains("hint: say it with --why"), "{refused}");
    let code = [&code[..], &["--why", "the pager is on fire"]].concat();
    let refused = dora.quorate(&code).fails(1);
    assert!(refused.contains("is not among the oracles that you trust\nhint: "), "{refused}");
    dora.trust(&table.oracle);
    for player in [ann, bob, carol] {
        log_in(player, &table.oracle, &[]).ok();
    }
    let mut asking = dora.start(&code);
    let invite = asking.line();
    asking.says("dora asked");
    let said = bob.quorate(&["join", &invite, "--yes"]);
    assert!(said.stderr.contains("the pager is on fire"), "{}", said.stderr);
    said.ok();
    // Asked for once more, it is the same session; elsewhere its key is missing.
    let again = dora.quorate(&[&code[..], &["--timeout", "0"]].concat());
    assert!(again.stdout.starts_with(&invite), "{again:?}");
    assert!(again.stderr.contains("goes on with the session that you have begun already"), "{again:?}");
    again.fails(3);
    let elsewhere = Person::new("dora", Key::Plain);
    log_in(&elsewhere, &table.oracle, &[]).ok();
    elsewhere.trust(&table.oracle);
    let refused = elsewhere.quorate(&code).fails(1);
    let id = session_of(&invite);
    assert!(refused.contains(&format!("hint: `quorate session code --wait {id}` goes on there")), "{refused}");
    carol.quorate(&["join", &invite, "--yes"]).ok();
    let code = asking.end().ok();
    let code = code.lines().last().expect("a code");
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
}
