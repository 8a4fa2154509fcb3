//! Encrypted exports that a second implementation, in Python, wrote with the apps' own parameters. Python with the pinned
//! packages is `$QUORATE_PYTHON`, which `make test` sets up.

use quorate_protocol::import::{Format, ImportError, read};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Not ASCII: both apps take passwords as UTF-8.
const PASSWORD: &str = "Grüße, 42";

/// What the second implementation writes; `None` where it is missing and may be.
#[expect(clippy::print_stdout, reason = "what was skipped is said in the test's output")]
fn written(format: &str, contents: &str) -> Option<String> {
    let Some(python) = std::env::var_os("QUORATE_PYTHON") else {
        let required = ["CI", "QUORATE_TEST_ALL"].map(|name| std::env::var(name).unwrap_or_default());
        assert!(
            !required.iter().any(|value| value == "true" || value == "1"),
            "QUORATE_PYTHON is not set: run make test"
        );
        println!("skipped: QUORATE_PYTHON names no Python with the packages of tests/requirements.txt");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/second/exports.py");
    let mut child = Command::new(python)
        .arg("-B")
        .arg(script)
        .args([format, PASSWORD])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    child.stdin.take().expect("a pipe").write_all(contents.as_bytes()).expect("python reads");
    let output = child.wait_with_output().expect("python ends");
    assert!(output.status.success(), "{output:?}");
    Some(String::from_utf8(output.stdout).expect("JSON is UTF-8"))
}

fn opens(word: &str, contents: &str) {
    let Some(file) = written(word, contents) else { return };
    let format = Format::named(word).expect("a format");
    let import = read(&[&file], None, Some(PASSWORD)).expect("the password opens it");
    assert_eq!(import.formats, [format]);
    let found = import.rows[0].found.as_ref().expect("a usable row");
    assert_eq!(found.secret.display_name(), "Grün: ann");
    assert_eq!(found.secret.code_at(59).digits.as_str(), "94287082", "RFC 6238, appendix B");
    assert_eq!(read(&[&file], None, Some("Grusse, 42")), Err(ImportError::WrongPassword(format)));
}

#[test]
fn a_vault_of_aegis_that_python_wrote_opens() {
    let info = r#"{"secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","algo":"SHA1","digits":8,"period":30}"#;
    opens(
        "aegis",
        &format!(r#"{{"version":3,"entries":[{{"type":"totp","name":"ann","issuer":"Grün","info":{info}}}]}}"#),
    );
}

#[test]
fn a_backup_of_2fas_that_python_wrote_opens() {
    let otp = r#"{"account":"ann","digits":8,"period":30,"algorithm":"SHA1","tokenType":"TOTP"}"#;
    opens("2fas", &format!(r#"[{{"name":"Grün","secret":"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ","otp":{otp}}}]"#));
}
