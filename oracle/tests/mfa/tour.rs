//! The tour of docs/mfa.md, run as it stands there: the same commands in one shell, and the answers that it promises.

use super::peers::oath;
use std::path::Path;
use std::process::{Command, Stdio};

const MANUAL: &str = include_str!("../../../docs/mfa.md");

/// Ends the oracle with the shell, and shows each answer on a line of its own.
const AROUND: &str = "set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n";

/// The shell's blocks between the heading of the tour and the next heading.
fn commands() -> String {
    let (_, rest) = MANUAL.split_once("## A tour\n").expect("there is a tour");
    let tour = rest.split("\n## ").next().expect("it ends");
    tour.split("```sh\n").skip(1).map(|block| block.split("```").next().expect("a block ends")).collect()
}

#[test]
fn the_tour_runs_as_it_stands() {
    for program in ["bash", "curl", "jq", "oathtool"] {
        let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if !there {
            assert!(!oath::must_have_peers(), "{program} is missing: run make test");
            eprintln!("left out: the tour of docs/mfa.md; {program} is not here");
            return;
        }
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_quorate-oracle")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("UTF-8");
    // All of 127/8 is this machine, so each process has an address of its own, and the usual port is free there.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let address = format!("127.{a}.{b}.{}:8080", c.max(2));
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new("bash")
        .args(["-c", &format!("{AROUND}{}", commands())])
        .current_dir(folder.path())
        .env("PATH", format!("{}:{path}", programs.display()))
        .env("QUORATE_LISTEN", &address)
        .env("URL", format!("http://{address}"))
        .env("no_proxy", "*")
        .output()
        .expect("bash runs");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{complained}");
    let mut rest = &*said;
    for promised in [
        r#"{"message":"Valid","status":200}"#,
        r#""code":"code_used""#,
        r#""totpComplete":1"#,
        r#""code":"unauthorized""#,
        r#""code":"not_found""#,
    ] {
        assert!(MANUAL.contains(promised.trim_start_matches(r#""code":"#)), "the tour promises {promised}");
        let (_, behind) = rest.split_once(promised).unwrap_or_else(|| panic!("no {promised} in {said}"));
        rest = behind;
    }
}
