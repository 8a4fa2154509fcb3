//! Runs the second implementation of the specification, in Python, over the vector files; and over damaged ones, to know
//! that it looks. Python with the pinned packages is `$QUORATE_PYTHON`, which `make test` sets up.

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn tests() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests")
}

/// The interpreter, or `None` where a missing one is no failure.
#[expect(clippy::print_stdout, reason = "what was skipped is said in the test's output")]
fn python() -> Option<PathBuf> {
    let python = std::env::var_os("QUORATE_PYTHON").map(PathBuf::from);
    let required = std::env::var("CI").is_ok_and(|ci| ci == "true")
        || std::env::var("QUORATE_TEST_ALL").is_ok_and(|all| all == "1");
    if python.is_none() {
        assert!(!required, "QUORATE_PYTHON is not set: run make test");
        println!("skipped: QUORATE_PYTHON names no Python with the packages of tests/requirements.txt");
    }
    python
}

fn run(python: &Path, vectors: &Path) -> Output {
    let script = tests().join("second_implementation.py");
    Command::new(python).arg("-B").arg(script).arg(vectors).output().expect("python runs")
}

#[test]
fn it_agrees_with_the_vectors() {
    let Some(python) = python() else { return };
    let output = run(&python, &tests().join("vectors"));
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for part in ["sharing", "deals", "plans", "invites", "session", "proofs", "drills", "audit", "refused", "encrypted"]
    {
        assert!(out.contains(&format!("{part}: ok")), "{part} was not checked:\n{out}");
    }
}

#[test]
fn it_notices_a_damaged_vector() {
    let Some(python) = python() else { return };
    let damages: [(&str, &str); 11] = [
        ("sharing.json", "/cases/1/shares/2"),
        ("deal.json", "/deals/0/g"),
        ("plan.json", "/plans/0/digest"),
        ("invite.json", "/invites/0/signature"),
        ("session.json", "/cancel_hash"),
        ("proofs.json", "/approve/signature"),
        ("drill.json", "/answers/0/signature"),
        ("drill.json", "/signature"),
        ("refused.json", "/cases/0/word"),
        ("audit.json", "/trees/69/root"),
        ("audit.json", "/events/0/hash"),
    ];
    for (name, pointer) in damages {
        let folder = tempfile::tempdir().expect("a folder");
        for entry in std::fs::read_dir(tests().join("vectors")).expect("the folder of vectors") {
            let file = entry.expect("an entry").path();
            if file.extension().is_some_and(|extension| extension == "json") {
                std::fs::copy(&file, folder.path().join(file.file_name().expect("a name"))).expect("copied");
            }
        }
        let path = folder.path().join(name);
        let mut value: Value = serde_json::from_slice(&std::fs::read(&path).expect("read")).expect("JSON");
        let field = value.pointer_mut(pointer).unwrap_or_else(|| panic!("{name} has no {pointer}"));
        let text = field.as_str().expect("text").to_owned();
        let last = if text.ends_with('0') { "1" } else { "0" };
        *field = format!("{}{last}", &text[..text.len() - 1]).into();
        std::fs::write(&path, value.to_string()).expect("written");
        let output = run(&python, folder.path());
        assert!(!output.status.success(), "{name} with another {pointer} passed");
    }
}
