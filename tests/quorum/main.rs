//! Whole quorums: real programs, a real oracle, people with homes of their own, from the deal to the code.

#[path = "../support/mod.rs"]
mod support;

mod codes;
mod farmfa;
mod forgeries;
mod readme;
mod redeals;
mod terminal;
mod trouble;

use std::fs;
use support::{Key, Oracle, Person, Program, otpauth};

/// People around an oracle, each with a Toc of one group filed.
struct Table {
    oracle: Oracle,
    people: Vec<Person>,
    /// G.
    group: String,
}

impl Table {
    /// The first of `names` deals [`support::SECRET`] to all of them, `threshold` of whom it takes.
    fn deal(names: &[&str], threshold: usize, key: Key) -> Self {
        Self::deal_at(Oracle::start(), names, threshold, key)
    }

    fn deal_at(oracle: Oracle, names: &[&str], threshold: usize, key: Key) -> Self {
        let people: Vec<Person> = names.iter().map(|name| Person::new(name, key)).collect();
        people[0].trust(&oracle);
        let dealt = tempfile::tempdir().expect("a folder");
        let out = dealt.path().join("tocs");
        let threshold = threshold.to_string();
        let mut arguments =
            vec!["--json", "deal", "-t", &threshold, "--oracle", &oracle.url, "--note", "AWS root", "--otpauth", "-"];
        arguments.extend(["-o", out.to_str().expect("UTF-8")]);
        let players: Vec<String> =
            people.iter().map(|person| format!("{}={}", person.name, person.recipient)).collect();
        arguments.extend(players.iter().flat_map(|player| ["-p", player]));
        let mut command = people[0].command(&arguments);
        let dealt_json = Program::start_with_input(&mut command, &otpauth()).end().json();
        for person in &people {
            person.file(&out.join(format!("{}.toc.age", person.name)));
        }
        let group = dealt_json["group"].as_str().expect("G").to_owned();
        Self { oracle, people, group }
    }

    fn person(&self, name: &str) -> &Person {
        self.people.iter().find(|person| person.name == name).expect("at the table")
    }

    /// `name` asks for a code of the group; gives the program, waiting, and the invite.
    fn ask(&self, name: &str, more: &[&str]) -> (Program, String) {
        let mut arguments = vec!["ask", &self.group, "--reason", "close the month"];
        arguments.extend(more);
        let mut asking = self.person(name).start(&arguments);
        let invite = asking.line();
        (asking, invite)
    }
}

/// The id in an invite.
fn session_of(invite: &str) -> &str {
    let path = invite.split('#').next().expect("a link");
    path.rsplit('/').next().expect("an id")
}

/// Whether `person` still has the key of the session in `invite`.
fn keeps(person: &Person, invite: &str) -> bool {
    fs::exists(person.path(format!("run/quorate/sessions/{}.json", session_of(invite)))).expect("readable")
}
