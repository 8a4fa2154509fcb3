//! People around an oracle, and a group among them: what every whole session begins with.

use super::{Key, Oracle, Person, Program, otpauth};

/// People around an oracle, each with a Toc of one group filed.
#[derive(Debug)]
pub struct Table {
    /// Where they ask.
    pub oracle: Oracle,
    /// In the order of their Tocs.
    pub people: Vec<Person>,
    /// G.
    pub group: String,
    /// What `group.json` holds.
    pub group_file: String,
}

impl Table {
    /// The first of `names` deals [`super::SECRET`] to all of them, `threshold` of whom it takes.
    pub fn deal(names: &[&str], threshold: usize, key: Key) -> Self {
        Self::deal_at(Oracle::start(), names, threshold, key)
    }

    /// The same, around an oracle that runs.
    pub fn deal_at(oracle: Oracle, names: &[&str], threshold: usize, key: Key) -> Self {
        Self::deal_to(oracle, names.iter().map(|name| Person::new(name, key)).collect(), threshold)
    }

    /// The same, among people who have their keys.
    pub fn deal_to(oracle: Oracle, people: Vec<Person>, threshold: usize) -> Self {
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
        let group_file = std::fs::read_to_string(out.join("group.json")).expect("dealt");
        Self { oracle, people, group, group_file }
    }

    /// Somebody at the table.
    pub fn person(&self, name: &str) -> &Person {
        self.people.iter().find(|person| person.name == name).expect("at the table")
    }

    /// `name` asks for a code of the group; gives the program, waiting, and the invite.
    pub fn ask(&self, name: &str, more: &[&str]) -> (Program, String) {
        let mut arguments = vec!["ask", &self.group, "--reason", "close the month"];
        arguments.extend(more);
        let mut asking = self.person(name).start(&arguments);
        let invite = asking.line();
        (asking, invite)
    }
}

/// The id in an invite.
pub fn session_of(invite: &str) -> &str {
    let path = invite.split('#').next().expect("a link");
    path.rsplit('/').next().expect("an id")
}
