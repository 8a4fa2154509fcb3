//! `quorate-oracle import` as an operator meets it: what it prints, what it refuses, and what `api-keys list` shows then.

use crate::export::{Exports, Old};
use std::path::Path;
use std::process::{Command, Output};

const TOTP: &str = "7d1aa2b0-0e5b-4dc6-9c40-24d5a1c64f6e";

pub fn run(state: &Path, arguments: &[&str], files: &[&Path]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-oracle"));
    command.env_clear().env("QUORATE_STATE", state).args(arguments).args(files);
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (status.code(), text(stdout), text(stderr))
}

#[test]
fn an_operator_checks_imports_and_looks() {
    let (folder, exports, old) = (tempfile::tempdir().expect("a folder"), Exports::new(), Old::new("old"));
    let state = folder.path().join("state");
    let keys = exports.gzip("keys.json.gz", &[old.api_key()]);
    let totp = exports.file("totp.json", &[old.totp(TOTP)]);
    let files = [keys.as_path(), totp.as_path()];
    let nowhere = run(&state, &["import", "serverless-mfa-api"], &files);
    assert_eq!((nowhere.0, state.exists()), (Some(1), false), "a mistyped folder becomes no oracle");
    assert!(nowhere.2.contains("there is no root.secret in"), "{}", nowhere.2);
    assert_eq!(run(&state, &["init"], &[]).0, Some(0));
    let dry = run(&state, &["import", "serverless-mfa-api", "--dry-run"], &files);
    let table = "API keys  1 new, 0 imported before\nTOTP      1 new, 0 imported before\n\
                 WebAuthn  0 new, 0 imported before\n";
    assert_eq!(dry, (Some(0), table.to_owned(), "this was a dry run: nothing was written\n".to_owned()));
    assert_eq!(run(&state, &["api-keys", "list"], &[]).1, "");

    let alone = run(&state, &["import", "serverless-mfa-api"], &[totp.as_path()]);
    assert_eq!((alone.0, alone.1.as_str()), (Some(1), ""));
    let why = "line 1: belongs to an API key that is not among the activated ones";
    assert!(alone.2.starts_with("quorate-oracle: ") && alone.2.contains(why), "{}", alone.2);

    assert_eq!(run(&state, &["import", "serverless-mfa-api"], &files), (Some(0), table.to_owned(), String::new()));
    let again = run(&state, &["import", "serverless-mfa-api", "--json"], &files);
    let again: serde_json::Value = serde_json::from_str(&again.1).expect("JSON");
    assert_eq!(again["totp"], serde_json::json!({ "new": 0, "known": 1 }));
    let conflict = exports.file("conflict.json", &[old.totp(TOTP)]);
    let refused = run(&state, &["import", "serverless-mfa-api"], &[conflict.as_path()]);
    let told = format!("{} line 1: is here already, and not the same", conflict.display());
    assert_eq!(refused, (Some(1), String::new(), format!("quorate-oracle: {told}: nothing was imported\n")));
    let skipped = run(&state, &["import", "serverless-mfa-api", "--skip-refused"], &[conflict.as_path()]);
    let table = "API keys  0 new, 0 imported before\nTOTP      0 new, 0 imported before\n\
                 WebAuthn  0 new, 0 imported before\nleft out  1 that cannot be imported\n";
    assert_eq!(skipped, (Some(0), table.to_owned(), format!("{told}\n")));
    let line = format!("{}  unused   {}  1 TOTP, 0 WebAuthn (1 and 0 as imported)\n", old.value, old.email);
    assert_eq!(run(&state, &["api-keys", "list"], &[]).1, line);
    let told = run(&state, &["audit", "export"], &[]).1;
    let ended: Vec<_> = told.lines().filter(|line| line.contains("import.ended")).collect();
    assert_eq!(ended.len(), 5, "{told}");
    assert!(ended[1].contains(r#"\"api_keys\":1"#) && ended[1].contains(r#"\"totp\":1"#), "{}", ended[1]);
    assert!([0, 2, 3, 4].iter().all(|place| !ended[*place].contains(r#"\"totp\":1"#)), "{ended:?}");
    assert_eq!(run(&state, &["import", "serverless-mfa-api"], &[]).0, Some(2), "no file");
}
