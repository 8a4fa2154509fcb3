//! The transcripts of the manuals, run as they stand there.

use super::transcript::Stage;
use std::fs;

/// The blocks of a manual behind its transcript mark, up to the next heading.
fn transcript(manual: &str) -> String {
    let (_, marked) = manual.split_once("<!-- transcript").expect("the manual marks its transcript");
    let marked = marked.split("\n## ").next().expect("it ends");
    marked.split("```console\n").skip(1).map(|block| block.split("```").next().expect("a block ends")).collect()
}

#[test]
fn the_manual_of_people_shows_what_is_printed() {
    let mut stage = Stage::new();
    let file = stage.person("ann").path("totp.json");
    fs::write(file, r#"{"Type": "totp", "Name": "TotpDemoConfig"}"#).expect("written");
    stage.plays(&transcript(include_str!("../../docs/people.md")));
}
