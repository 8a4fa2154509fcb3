//! Codes by programs that share nothing with ours: Debian's `oathtool` with the key, `PyOTP` with the URI.

#[path = "../../../tests/support/peers.rs"]
pub mod oath;

use super::stage::{NOW, Stage, send};
use reqwest::Method;
use serde_json::json;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::{Command, Stdio};

/// The Python with tests/requirements.txt; none, with a word, when it is not there and need not be.
#[expect(clippy::print_stderr, reason = "a check that is left out is said")]
pub fn python(what_for: &str) -> Option<OsString> {
    let python = std::env::var_os("QUORATE_PYTHON");
    if python.is_none() {
        assert!(!oath::must_have_peers(), "QUORATE_PYTHON is not set: run make test");
        eprintln!("left out: {what_for}; QUORATE_PYTHON names no Python with tests/requirements.txt");
    }
    python
}

/// What `PyOTP` says the code of an otpauth URI is at the Unix second `at`.
fn pyotp(uri: &str, at: i64) -> Option<String> {
    let python = python("the comparison with PyOTP")?;
    let script = format!("import pyotp, sys; print(pyotp.parse_uri(sys.stdin.read()).at({at}))");
    let mut child = Command::new(python)
        .args(["-B", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    child.stdin.take().expect("it was piped").write_all(uri.as_bytes()).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success(), "PyOTP does not read {uri}");
    Some(String::from_utf8(output.stdout).expect("digits").trim().to_owned())
}

#[tokio::test]
async fn codes_of_other_programs_count() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let body = json!({ "issuer": "Acme & Söhne", "label": "joe@example.com" });
    let made = send(stage.by(&tenant, Method::POST, "/totp").json(&body)).await.json;
    let text = |field: &str| made[field].as_str().expect("text").to_owned();
    let path = format!("/totp/{}/validate", text("uuid"));
    let end = jiff::Timestamp::from_second(NOW + 30).expect("in range").to_string();
    let codes = [oath::oathtool(&text("totpKey"), &end), pyotp(&text("otpAuthUrl"), NOW + 30)];
    for code in codes.into_iter().flatten() {
        let answer = send(stage.by(&tenant, Method::POST, &path).json(&json!({ "code": code }))).await;
        assert_eq!(answer.status, 200, "{code}: {}", answer.text);
    }
}
