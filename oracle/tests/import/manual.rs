//! What docs/migrating.md and `--help` say of the import: the command of the manual runs as it stands there and prints what
//! is printed there.

use crate::command::run;
use crate::export::{Exports, Old, lines};
use crate::token::Token;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

const MANUAL: &str = include_str!("../../../docs/migrating.md");
/// Where the manual's oracle has its state.
const STATE: &str = "/var/lib/quorate";

/// The manual's command and what it prints.
fn promised() -> (String, String) {
    let (_, block) = MANUAL.split_once("```console\n").expect("there is a block");
    let (block, _) = block.split_once("```").expect("it ends");
    let mut lines = block.lines().map(str::trim_start);
    let command = lines.next().and_then(|line| line.strip_prefix("$ ")).expect("a command comes first").to_owned();
    (command, lines.take_while(|line| !line.is_empty()).flat_map(|line| [line, "\n"]).collect())
}

/// Three API keys, 412 TOTP secrets, 81 users and 17 who never finished.
fn tables() -> [Vec<Value>; 3] {
    let keys = ["one", "two", "three"].map(Old::new);
    let token = Token::new(b"a key handle");
    let uuid = |table: usize, number: usize| format!("{table:08x}-0000-4000-8000-{number:012x}");
    let users = (0..98).map(|number| {
        let mut user = keys[number % 3].u2f(&uuid(2, number), "https://example.com/app-id.json", &token);
        if number >= 81 {
            for name in ["encryptedKeyHandle", "encryptedPublicKey"] {
                user.as_object_mut().expect("an item").remove(name);
            }
        }
        user
    });
    [
        keys.iter().map(Old::api_key).collect(),
        (0..412).map(|number| keys[number % 3].totp(&uuid(1, number))).collect(),
        users.collect(),
    ]
}

#[test]
fn the_check_of_the_manual_runs_as_it_stands() {
    let exports = Exports::new();
    for (number, items) in tables().iter().enumerate() {
        let folder = exports.path(&format!("exports/{number}/data"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let mut file = GzEncoder::new(Vec::new(), Compression::fast());
        file.write_all(lines(items).as_bytes()).expect("in memory");
        std::fs::write(folder.join("part.json.gz"), file.finish().expect("in memory")).expect("written");
    }
    let (command, promised) = promised();
    assert!(command.contains(STATE) && command.contains(" --dry-run "), "{command}");
    let command = command.replace(STATE, "state");
    let programs = Path::new(env!("CARGO_BIN_EXE_quorate-oracle")).parent().expect("a folder");
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let printed = |command: &str| {
        let mut shell = Command::new("bash");
        shell.args(["-c", &format!("{command} 2>&1")]).current_dir(exports.path("")).env_clear().env("PATH", &path);
        let output = shell.output().expect("bash runs");
        let said = String::from_utf8(output.stdout).expect("UTF-8");
        assert!(output.status.success(), "{said}");
        said
    };
    printed("quorate-oracle init --state state");
    assert_eq!(printed(&command), promised);
    // The next step is the same without it.
    let imported = printed(&command.replace(" --dry-run ", " "));
    assert!(promised.starts_with(&imported) && imported.lines().count() + 1 == promised.lines().count(), "{imported}");
}

#[test]
fn the_help_is_what_it_was() {
    let folder = tempfile::tempdir().expect("a folder");
    let (status, help, complaint) = run(folder.path(), &["import", "serverless-mfa-api", "--help"], &[]);
    assert_eq!((status, complaint.as_str()), (Some(0), ""));
    insta::assert_snapshot!("help", help);
}
