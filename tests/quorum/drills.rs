//! Drills from the command line: the manual's tour, run as it stands there; links that are not believed; Tocs that do not open.

use super::people::{log_in, with_password};
use super::readme::{assert_shown, times};
use super::support::{Ended, Key, Oracle, PIN, Person, Program, Table};
use super::transcript::words;

const MANUAL: &str = include_str!("../../docs/drills.md");

/// A table whose oracle knows the group, and its operator olga, who has logged in.
struct Desk {
    table: Table,
    olga: Person,
}

impl Desk {
    fn new(key: Key) -> Self {
        let (oracle, link) = Oracle::start_with_operator("olga");
        let olga = Person::new("olga", Key::Plain);
        with_password(&olga, &["enroll", &link]).ok();
        log_in(&olga, &oracle, &[]).ok();
        let desk = Self { table: Table::deal_at(oracle, &["ann", "ben", "cho"], 2, key), olga };
        std::fs::write(desk.olga.path("group.json"), &desk.table.group_file).expect("written");
        desk.olga.quorate(&["group", "add", "group.json"]).ok();
        desk
    }

    /// Olga begins a drill; gives its link.
    fn begin(&self) -> String {
        self.olga.quorate(&["drill", "start", &self.table.group, "--reason", "once a quarter"]).ok().trim().to_owned()
    }

    fn answer(&self, name: &str, link: &str) -> Ended {
        self.table.person(name).quorate(&["drill", "answer", link, "--yes"])
    }
}

/// The id in a drill's link.
fn id_of(link: &str) -> &str {
    link.split('#').next().and_then(|page| page.rsplit('/').next()).expect("a link")
}

#[test]
fn the_manuals_drill_is_run_as_it_stands_there() {
    let desk = Desk::new(Key::Soft);
    desk.olga.quorate(&["principal", "add", "ann"]).ok();
    desk.olga.quorate(&["group", "members", &desk.table.group, "ann=ann"]).ok();

    let group: serde_json::Value = desk.olga.quorate(&["--json", "drill", "list"]).ok().parse().unwrap_or_default();
    assert!(group.is_null(), "there is none yet");
    let (_, marked) = MANUAL.split_once("<!-- transcript").expect("the manual marks its transcript");
    let marked = marked.split("\n## ").next().expect("it ends");
    let blocks: Vec<&str> = marked.split("```console\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(blocks.len(), 4);
    let (mut link, mut id, mut group_id) = (String::new(), String::new(), String::new());
    for (number, block) in blocks.into_iter().enumerate() {
        let mut lines = block.lines();
        let (name, command) = lines.next().and_then(|line| line.split_once("$ quorate ")).expect("a prompt");
        let meant = |word: String| match word.as_str() {
            "GROUP" => desk.table.group.clone(),
            "LINK" => link.clone(),
            "ID" => id.clone(),
            _ => word,
        };
        let mut given: Vec<String> = words(command).into_iter().map(meant).collect();
        let person = if name == "olga" { &desk.olga } else { desk.table.person(name) };
        if name != "olga" {
            given.push("--yes".to_owned());
        }
        let ended = person.quorate(&given.iter().map(String::as_str).collect::<Vec<_>>());
        let (stdout, stderr) = (ended.stdout.clone(), ended.stderr.clone());
        ended.ok();
        if number == 0 {
            stdout.trim().clone_into(&mut link);
            id_of(&link).clone_into(&mut id);
            let shown = desk.olga.quorate(&["--json", "drill", "list"]).json();
            shown["group_id"].as_str().expect("an id").clone_into(&mut group_id);
        }
        let tidy = |text: &str| -> Vec<String> {
            let tidy = text.replace(&link, "LINK").replace(&id, "ID").replace(&group_id, "GID");
            tidy.replace(&desk.table.oracle.url, "URL").lines().map(times).collect()
        };
        let printed = if name == "olga" && number != 0 { tidy(&(stdout + &stderr)) } else { tidy(&(stderr + &stdout)) };
        let shown: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
        assert_shown(&shown, &printed);
        if number == 1 {
            desk.answer("ben", &link).ok();
        }
    }
}

#[test]
fn everybody_answers_once_and_the_drill_is_over() {
    let desk = Desk::new(Key::Plain);
    let link = desk.begin();
    for name in ["ann", "ben"] {
        desk.answer(name, &link).ok();
    }
    let json = desk.table.person("ben").quorate(&["--json", "drill", "answer", &link, "--yes"]).json();
    assert_eq!((&json["answered"], &json["size"]), (&2.into(), &3.into()), "again changes nothing");
    let seen = desk.table.person("cho").quorate(&["drill", "report", &link]).ok();
    assert!(seen.contains("player    cho: no answer") && !seen.contains("principal/internal/user/ann"), "{seen}");
    let report = desk.olga.quorate(&["--json", "drill", "report", id_of(&link)]).json();
    assert_eq!((&report["answered"], &report["details"]["standing"]), (&2.into(), &"one_loss_away".into()));
    desk.answer("cho", &link).ok();
    let over = desk.answer("ann", &link).fails(1);
    assert!(over.contains("the drill is over (complete): nothing was sent"), "{over}");
    let report = desk.olga.quorate(&["drill", "report", id_of(&link)]);
    assert!(report.stdout.contains("more Tocs open than a code takes") && report.stderr.is_empty(), "{report:?}");
    assert!(desk.olga.quorate(&["drill", "list"]).ok().contains("complete  3 of 3 have answered"));
    let again = desk.olga.quorate(&["drill", "end", id_of(&link)]).fails(1);
    assert!(again.contains("the drill is over"), "{again}");
}

#[test]
fn an_answer_that_was_acknowledged_outlives_the_oracle() {
    let mut desk = Desk::new(Key::Plain);
    let link = desk.begin();
    desk.answer("ann", &link).ok();
    desk.table.oracle.kill_and_restart();
    desk.answer("ben", &link).ok();
    let report = desk.olga.quorate(&["--json", "drill", "report", id_of(&link)]).json();
    let answered: Vec<bool> = report["details"]["players"]
        .as_array()
        .expect("players")
        .iter()
        .map(|player| player["answered_at"].is_string())
        .collect();
    assert_eq!(answered, [true, true, false]);
}

#[test]
fn nobody_opens_a_toc_for_a_link_that_is_not_believed() {
    let (desk, other) = (Desk::new(Key::Plain), Desk::new(Key::Plain));
    let (link, foreign) = (desk.begin(), other.begin());
    let ann = desk.table.person("ann");
    let refused = |link: &str, expected: &str| {
        let said = ann.quorate(&["drill", "answer", link, "--yes"]).fails(1);
        assert!(said.contains(expected), "{expected}: {said}");
    };
    refused(&foreign, "no Toc of the group");
    let toc = desk.table.group.as_str();
    let said = ann.quorate(&["drill", "answer", &foreign, toc, "--yes"]).fails(1);
    assert!(said.contains("the drill is refused: its group is not that of your Toc"), "{said}");
    let (says, _) = link.rsplit_once('.').expect("a signature");
    refused(&format!("{says}.{}", "A".repeat(86)), "not signed by the oracle");
    refused(link.split('#').next().expect("a page"), "the part behind # is missing");
    refused(&link.replace("/drill/", "/s/"), "the address before # is not the one inside");
    refused("drill", "this is neither the link of a drill nor its id");
    // Without a login nobody learns from an id which oracle to ask.
    let said = ann.quorate(&["drill", "answer", id_of(&link), "--yes"]).fails(1);
    assert!(said.contains("you are not logged in"), "{said}");
    let report = desk.olga.quorate(&["--json", "drill", "report", id_of(&link)]).json();
    assert_eq!(report["answered"], 0);
}

#[test]
fn who_cannot_open_their_toc_sends_nothing_and_who_is_no_operator_asks_nobody() {
    let desk = Desk::new(Key::Plain);
    let link = desk.begin();
    let ben = desk.table.person("ben");
    std::fs::remove_dir_all(ben.path("config/quorate/identities")).expect("the key is lost");
    let said = ben.quorate(&["drill", "answer", &link, "--yes"]).fails(1);
    assert!(said.contains("hint: "), "{said}");
    let said = desk.table.person("ann").quorate(&["drill", "answer", &link]).fails(1);
    assert!(said.contains("there is no terminal to ask for a confirmation"), "{said}");
    assert_eq!(desk.olga.quorate(&["--json", "drill", "report", id_of(&link)]).json()["answered"], 0);

    let group = desk.table.group.as_str();
    let running = desk.olga.quorate(&["drill", "start", group]).fails(1);
    assert!(running.contains("under way") && running.contains("hint: `quorate drill list` shows it"), "{running}");
    let said = desk.olga.quorate(&["drill", "start", group, "--until", "tomorrow"]).fails(2);
    assert!(said.contains("neither a time"), "{said}");
    let said = desk.olga.quorate(&["drill", "start", "nowhere.json"]).fails(1);
    assert!(said.contains("nowhere.json"), "{said}");
    for meant in ["group.json", &group[..6]] {
        let running = desk.olga.quorate(&["drill", "start", meant]).fails(1);
        assert!(running.contains("under way"), "{meant}: {running}");
    }
    let said = desk.table.person("ann").quorate(&["drill", "start", group]).fails(1);
    assert!(said.contains("you are not logged in"), "{said}");
    let unknown = desk.olga.quorate(&["drill", "start", &"0".repeat(64)]).fails(1);
    assert!(unknown.contains("hint: `quorate group list`"), "{unknown}");
}

#[test]
fn whoever_is_logged_in_and_stands_for_a_holder_needs_the_id_alone() {
    let desk = Desk::new(Key::Plain);
    for name in ["ann", "ben"] {
        let made = desk.olga.quorate(&["--json", "principal", "add", name]).json();
        let person = desk.table.person(name);
        with_password(person, &["enroll", made["link"].as_str().expect("a link")]).ok();
        log_in(person, &desk.table.oracle, &[]).ok();
    }
    desk.olga.quorate(&["group", "members", &desk.table.group, "ben=ben"]).ok();
    let link = desk.begin();
    let refused = desk.answer("ann", id_of(&link)).fails(1);
    assert!(refused.contains("does not show you the link") && refused.contains("hint: ask whoever began"), "{refused}");
    let answered = desk.answer("ben", id_of(&link));
    assert!(
        answered.stderr.contains("No code is made") && answered.stderr.contains("1 of 3 have answered"),
        "{answered:?}"
    );
    answered.ok();
    let unknown = desk.answer("ben", &"A".repeat(32)).fails(1);
    assert!(unknown.contains("hint: check that the whole link was copied"), "{unknown}");
    assert!(desk.table.person("ann").quorate(&["drill", "list"]).fails(1).contains("your role may not do this"));
}

#[test]
fn a_player_reads_first_may_decline_and_touches_once() {
    let desk = Desk::new(Key::Soft);
    let link = desk.begin();
    let ben = desk.table.person("ben");
    let answered = || desk.olga.quorate(&["--json", "drill", "report", id_of(&link)]).json()["answered"].clone();

    let mut terminal = ben.on_terminal(&["--quiet", "drill", "answer", &link]);
    // The question, --quiet or not, and before a PIN.
    let before = terminal.reads("Open your Toc and answer? [y/N]");
    assert!(before.contains("who asks") && before.contains("No code is made") && !before.contains("PIN"), "{before}");
    terminal.types("");
    terminal.reads("nothing was sent");
    terminal.ends(1);

    let refused =
        Program::start(ben.command(&["drill", "answer", &link, "--yes"]).env("QUORATE_SOFT_TOUCH", "no")).end();
    assert!(refused.fails(1).contains("the touch was refused"));
    assert_eq!(answered(), 0);

    let mut terminal = ben.on_terminal(&["drill", "answer", &link]);
    terminal.reads("Open your Toc and answer? [y/N]");
    terminal.types("y");
    terminal.reads("PIN of soft token");
    terminal.types(PIN);
    terminal.reads("touch your key now");
    terminal.types("");
    let rest = terminal.reads("your answer has been sent: 1 of 3 have answered");
    assert!(!rest.contains("touch your key"), "one touch: {rest}");
    terminal.ends(0);
    assert_eq!(answered(), 1);
}
