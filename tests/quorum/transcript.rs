//! Transcripts of several people at one oracle: `ann$ quorate …`, then `? 1` where it fails, then what it prints, stdout
//! before stderr. What follows `  #` is a remark. `…` stands for any text of a line, and alone for any lines. Everybody's stdin is their password.

use super::matching::matches;
use super::people::with_password;
use super::support::{Key, Oracle, Person, oathtool};
use std::collections::BTreeMap;

/// Seconds of a TOTP step.
const STEP: i64 = 30;

/// An oracle, and whoever appears in a transcript.
pub struct Stage {
    oracle: Oracle,
    people: BTreeMap<String, Person>,
    /// The newest one-time link, which commands and lines call LINK.
    link: String,
    /// The newest TOTP key, which they call KEY; CODE is its next code, USED the one before.
    key: String,
    used: Option<(i64, String)>,
}

impl Stage {
    /// An oracle whose first operator, ann, still has her link.
    pub fn new() -> Self {
        let (oracle, link) = Oracle::start_with_operator("ann");
        Self { oracle, people: BTreeMap::new(), link, key: String::new(), used: None }
    }

    /// Somebody, who is there from the first time on that they are named.
    pub fn person(&mut self, name: &str) -> &Person {
        self.people.entry(name.to_owned()).or_insert_with(|| Person::new(name, Key::Plain))
    }

    /// Runs each command of `transcript` and compares what it prints. False when a code is needed and nothing here makes one.
    #[track_caller]
    pub fn plays(&mut self, transcript: &str) -> bool {
        let mut lines = transcript.lines().filter(|line| !line.trim().is_empty()).peekable();
        while let Some(line) = lines.next() {
            let (name, command) = line.split_once("$ quorate ").unwrap_or_else(|| panic!("{line:?} is no command"));
            let mut expected = vec![];
            while let Some(line) = lines.next_if(|line| !line.contains("$ quorate ")) {
                expected.push(line);
            }
            let command = command.split("  #").next().unwrap_or(command).trim();
            let Some(words) = words(command).into_iter().map(|word| self.meant(word)).collect::<Option<Vec<_>>>()
            else {
                return false;
            };
            self.runs(name, command, &words, &expected);
        }
        true
    }

    #[track_caller]
    fn runs(&mut self, name: &str, command: &str, words: &[String], expected: &[&str]) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let ended = with_password(self.person(name), &words);
        let code = ended.code.expect("no signal ended it");
        let printed = format!("{}{}", ended.stdout, ended.stderr);
        for line in printed.lines() {
            if line.starts_with(&format!("{}/enroll/", self.oracle.url)) {
                line.clone_into(&mut self.link);
            }
            if let Some(key) = line.strip_prefix("key        ") {
                key.clone_into(&mut self.key);
                self.used = None;
            }
        }
        let mut printed = printed.replace(&self.link, "LINK").replace(&self.oracle.url, "URL");
        if !self.key.is_empty() {
            printed = printed.replace(&self.key, "KEY");
        }
        let failed = (code != 0).then(|| format!("? {code}"));
        let printed: Vec<&str> = failed.iter().map(String::as_str).chain(printed.lines()).collect();
        assert!(
            matches(expected, &printed),
            "{name}$ quorate {command}\nshould print\n{}\nand prints\n{}",
            expected.join("\n"),
            printed.join("\n")
        );
    }

    /// What a word of a command stands for; `None` for a code that nothing here makes.
    fn meant(&mut self, word: String) -> Option<String> {
        Some(match word.as_str() {
            "CODE" => {
                let now = jiff::Timestamp::now().as_second() / STEP;
                let step = self.used.as_ref().map_or(now, |(last, _)| now.max(last + 1));
                let end = jiff::Timestamp::from_second((step + 1) * STEP).expect("in range").to_string();
                let code = oathtool(&self.key, &end)?;
                self.used = Some((step, code.clone()));
                code
            }
            "LINK" => self.link.clone(),
            "URL" => self.oracle.url.clone(),
            "USED" => self.used.as_ref().expect("a code was used").1.clone(),
            _ => word,
        })
    }
}

/// Words of a command line with single quotes.
pub fn words(command: &str) -> Vec<String> {
    let mut words = vec![];
    for (i, part) in command.split('\'').enumerate() {
        if i % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

#[test]
fn a_transcript_is_compared_whole() {
    let shows = |expected: &str, printed: &str| {
        matches(&expected.lines().collect::<Vec<_>>(), &printed.lines().collect::<Vec<_>>())
    };
    assert!(shows("a\nb", "a\nb") && !shows("a", "a\nb") && !shows("a\nb", "a") && !shows("a", "ab"));
    assert!(shows("a…c", "abc") && shows("a…", "a") && shows("…c…", "abcd") && !shows("a…c", "ab"));
    assert!(shows("a\n…\nd", "a\nb\nc\nd") && shows("a\n…", "a") && !shows("…\na", "a\nb"));
}
