//! The tours of the manuals, run as they stand there: the same commands in one shell, and the answers that they promise.

use super::peers::oath;
use std::path::Path;
use std::process::{Command, Stdio};

/// Ends the oracle with the shell, and shows each answer on a line of its own.
const AROUND: &str = "set -euo pipefail\ntrap 'kill $(jobs -p)' EXIT\n";

/// The shell's blocks of a manual between the heading of the tour and the next heading.
fn commands(manual: &str) -> String {
    let (_, rest) = manual.split_once("## A tour\n").expect("there is a tour");
    let tour = rest.split("\n## ").next().expect("it ends");
    tour.split("```sh\n").skip(1).map(|block| block.split("```").next().expect("a block ends")).collect()
}

#[test]
fn the_tour_of_the_mfa_back_end_runs_as_it_stands() {
    take(
        "docs/mfa.md",
        include_str!("../../../docs/mfa.md"),
        &[
            r#"{"message":"Valid","status":200}"#,
            r#""code":"code_used""#,
            r#""totpComplete":1"#,
            r#""code":"unauthorized""#,
            r#""code":"not_found""#,
        ],
    );
}

/// Runs the tour of a manual. What it promises must be answered in that order.
#[expect(clippy::print_stderr, reason = "a check that is left out is said")]
pub fn take(name: &str, manual: &str, promises: &[&str]) {
    for program in ["bash", "curl", "jq", "oathtool"] {
        let there = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
        if !there {
            assert!(!oath::must_have_peers(), "{program} is missing: run make test");
            eprintln!("left out: the tour of {name}; {program} is not here");
            return;
        }
    }
    let programs = Path::new(env!("CARGO_BIN_EXE_quorate-oracle")).parent().expect("a folder");
    let path = std::env::var("PATH").expect("UTF-8");
    // All of 127/8 is this machine, so each process has an address of its own, and the usual port is free there.
    let [_, a, b, c] = std::process::id().to_be_bytes();
    let port = 8080 + u16::try_from(name.len()).expect("a short name");
    let address = format!("127.{a}.{b}.{}:{port}", c.max(2));
    let folder = tempfile::tempdir().expect("a folder");
    let output = Command::new("bash")
        .args(["-c", &format!("{AROUND}{}", commands(manual))])
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
    for promised in promises {
        assert!(manual.contains(promised.trim_start_matches(r#""code":"#)), "the tour promises {promised}");
        let (_, behind) = rest.split_once(*promised).unwrap_or_else(|| panic!("no {promised} in {said}"));
        rest = behind;
    }
}
