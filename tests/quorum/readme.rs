//! The README's quorum, run as it stands there: the same commands, and the same lines but for names that are drawn anew.

use super::Table;
use super::support::{Key, Oracle, Person, Program};
use super::transcript::words;
use std::fs;

const README: &str = include_str!("../../README.md");

/// The blocks behind the transcript mark, each with its command's words and its lines.
fn blocks() -> Vec<(String, Vec<String>, Vec<&'static str>)> {
    let (_, marked) = README.split_once("<!-- transcript").expect("the README marks its transcript");
    let blocks = marked.split("```console\n").skip(1).take(3).map(|rest| {
        let block = rest.split("```").next().expect("a block ends");
        let mut lines = block.lines();
        let (person, command) = lines.next().and_then(|line| line.split_once("$ quorate ")).expect("a prompt");
        (person.to_owned(), words(command), lines.filter(|line| !line.is_empty()).collect())
    });
    blocks.collect()
}

/// Each line of `shown` stands in `printed`, in the same order.
#[track_caller]
pub fn assert_shown(shown: &[&str], printed: &[String]) {
    let mut printed_lines = printed.iter();
    for line in shown {
        assert!(
            printed_lines.any(|printed_line| printed_line.trim_end() == *line),
            "the README shows {line:?}, which is not printed there:\n{}",
            printed.join("\n")
        );
    }
}

#[test]
fn the_readme_shows_what_is_printed() {
    let oracle = Oracle::start();
    let [dealer, ann, ben, cho] = ["dealer", "ann", "ben", "cho"].map(|name| Person::new(name, Key::Soft));
    // Every Toc carries what the dealer has compared.
    dealer.trust(&oracle);
    let blocks = blocks();
    assert_eq!(blocks.iter().map(|(person, ..)| person.as_str()).collect::<Vec<_>>(), ["dealer", "ann", "ben"]);

    // Deal. The secret comes from stdin, as the last word says.
    let recipients = [&ann, &ben, &cho].map(|person| person.recipient.clone());
    let mut next = recipients.iter();
    let given: Vec<String> = blocks[0]
        .1
        .iter()
        .map(|word| match word.split_once('=') {
            Some((name, "age1yubikey1…")) => format!("{name}={}", next.next().expect("three players")),
            _ if word == "URL" => oracle.url.clone(),
            _ => word.clone(),
        })
        .collect();
    let uri = "otpauth://totp/Cloud:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Cloud";
    let given: Vec<&str> = given.iter().map(String::as_str).collect();
    let dealt = Program::start_with_input(&mut dealer.command(&given), uri).end();
    let group: serde_json::Value =
        serde_json::from_slice(&fs::read(dealer.path("tocs/group.json")).expect("dealt")).expect("JSON");
    let group = group["group"].as_str().expect("a name").to_owned();
    let id = dealt.stdout.lines().find_map(|line| line.strip_prefix("group id    ")).expect("an id").to_owned();
    let tidy = |text: &str| -> Vec<String> {
        let text = text.replace(&oracle.url, "URL").replace(&oracle.fingerprint, "FINGERPRINT");
        text.replace(&group, "GROUP").replace(&id, "ID").lines().map(times).collect()
    };
    assert_shown(&blocks[0].2[..1], &tidy(&dealt.stderr));
    assert_shown(&blocks[0].2[1..], &tidy(&dealt.stdout));
    assert_eq!(blocks[0].2.len() - 1, dealt.stdout.lines().count(), "nothing is left out");
    dealt.ok();

    // Ask and join.
    for person in [&ann, &ben] {
        let toc = fs::read(dealer.path(format!("tocs/{}.toc.age", person.name))).expect("dealt");
        fs::create_dir_all(person.path("tocs")).expect("made");
        let path = person.path(format!("tocs/{}.toc.age", person.name));
        fs::write(&path, toc).expect("written");
        person.file(&path);
    }
    let given: Vec<&str> = blocks[1].1.iter().map(String::as_str).collect();
    let mut asking = ann.start(&given);
    let invite = asking.line();
    // The counts are those of the moment, so Ben waits for his turn.
    asking.says("ann has joined");
    let given: Vec<&str> =
        blocks[2].1.iter().map(|word| if word == "INVITE" { invite.as_str() } else { word }).chain(["--yes"]).collect();
    let joined = ben.quorate(&given);
    assert_shown(&blocks[2].2, &tidy(&joined.stderr));
    joined.ok();
    let asked = asking.end();
    let code = asked.stdout.lines().last().expect("a code").to_owned();
    let (messages, data): (Vec<&str>, Vec<&str>) =
        blocks[1].2.iter().partition(|line| !["INVITE", "CODE"].contains(line));
    assert_eq!(data, ["INVITE", "CODE"]);
    assert!(code.len() == 6 && code.bytes().all(|byte| byte.is_ascii_digit()), "{code}");
    assert_shown(&messages, &tidy(&asked.stderr));
    asked.ok();
}

#[test]
fn the_readmes_redeal_is_run_as_it_stands_there() {
    let table = Table::deal(&["ann", "ben", "cho"], 2, Key::Soft);
    let (ann, dee) = (table.person("ann"), Person::new("dee", Key::Soft));
    let person = |name: &str| if name == "dee" { &dee } else { table.person(name) };
    let (_, rest) = README.split_once("```toml\n").expect("the README has a plan");
    let (plan, rest) = rest.split_once("```").expect("a block ends");
    let (mut filled, mut name) = (String::new(), "");
    for line in plan.lines() {
        name = line.strip_prefix("name = \"").and_then(|rest| rest.split('"').next()).unwrap_or(name);
        let recipient = || person(name).recipient.as_str();
        filled += &if line.contains("age1yubikey1…") {
            line.replace("age1yubikey1…", recipient())
        } else {
            line.to_owned()
        };
        filled.push('\n');
    }
    fs::write(ann.path("plan.toml"), filled).expect("written");

    let commands = rest.split("```console\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a block");
    let [ask, join, fetch] = commands.lines().collect::<Vec<_>>().try_into().expect("three lines");
    let given = |line: &str, invite: &str| {
        let (name, command) = line.split_once("$ quorate ").expect("a prompt");
        let words = words(command.split(" #").next().expect("a command"));
        let word = |word: String| word.replace("INVITE", invite).replace("tocs/ann.toc.age", &table.group);
        (name.to_owned(), words.into_iter().map(word).collect::<Vec<_>>())
    };
    let run = |line: &str, invite: &str, more: &[&str]| {
        let (name, words) = given(line, invite);
        person(&name).quorate(&words.iter().map(String::as_str).chain(more.iter().copied()).collect::<Vec<_>>())
    };
    let (_, asked) = given(ask, "");
    let mut asking = ann.start(&asked.iter().map(String::as_str).collect::<Vec<_>>());
    let invite = asking.line();
    let joined = run(join, &invite, &["--yes"]);
    assert!(joined.stderr.contains("removed  cho") && !joined.stderr.contains("removed  ben"), "{}", joined.stderr);
    joined.ok();
    asking.end().ok();
    dee.trust(&table.oracle);
    run(fetch, &invite, &[]).ok();
    ann.quorate(&["session", "fetch", &invite]).ok();
    let refused = table.person("ben").quorate(&["ask", &table.group, "--reason", "habit"]).fails(1);
    assert!(refused.contains("replaced by a redeal"), "{refused}");
}

/// Times become TIME, in either form that is printed.
pub fn times(line: &str) -> String {
    let is_time = |word: &str| {
        let word = word.trim_end_matches([',', ')', ':']);
        word.len() > 9 && word.starts_with("20") && word.as_bytes()[4] == b'-'
    };
    let mut out: Vec<String> = vec![];
    let mut words = line.split(' ').peekable();
    while let Some(word) = words.next() {
        if !is_time(word) {
            out.push(word.to_owned());
            continue;
        }
        // `2026-11-21 22:30:47 UTC` is three words.
        let mut last = word;
        if !word.contains('T') {
            words.next();
            last = words.next().unwrap_or(word);
        }
        let tail: String = last.chars().rev().take_while(|c| [',', ')', ':'].contains(c)).collect();
        out.push(format!("TIME{}", tail.chars().rev().collect::<String>()));
    }
    out.join(" ")
}
