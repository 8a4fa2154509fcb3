//! Exports and devices that share no code with ours: Python makes the tables with `bcrypt` and `cryptography`, and then uses
//! what was imported with its own HMAC and `soft-webauthn`.

#[path = "../../../tests/support/peers.rs"]
pub mod oath;

use crate::stage::Stage;
use crate::{import, listed};
use oath::must_have_peers;
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tables_that_python_made_are_imported_and_used() {
    let Some(python) = std::env::var_os("QUORATE_PYTHON") else {
        assert!(!must_have_peers(), "QUORATE_PYTHON is not set: run make test");
        eprintln!("left out: exports of PyPI; QUORATE_PYTHON names no Python with tests/requirements.txt");
        return;
    };
    let (stage, folder) = (Stage::new().await, tempfile::tempdir().expect("a folder"));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import/service.py");
    let mut child = Command::new(python)
        .arg("-B")
        .arg(script)
        .arg(folder.path())
        .arg(stage.oracle.url(""))
        .env("NO_PROXY", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python runs");
    let mut said = BufReader::new(child.stdout.take().expect("it was piped"));
    let mut line = String::new();
    said.read_line(&mut line).await.expect("it says something");
    assert_eq!(line, "exported\n");
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).expect("a folder").map(|file| file.expect("a file").path()).collect();
    let summary = import(&stage, &files).await.expect("imported");
    assert_eq!((summary.api_keys.new, summary.totp.new, summary.webauthn.new, summary.unfinished), (2, 2, 2, 1));
    // The time at which its codes are to be made.
    stage.clock.advance(90_000);
    let now = quorate_oracle::clock::Clock::now(&*stage.clock);
    let mut stdin = child.stdin.take().expect("it was piped");
    stdin.write_all(format!("{now}\n").as_bytes()).await.expect("it listens");
    drop(stdin);
    let mut rest = String::new();
    said.read_to_string(&mut rest).await.expect("UTF-8");
    assert!(child.wait().await.expect("it ends").success(), "{rest}");
    for part in ["totp", "webauthn", "u2f"] {
        assert!(rest.contains(&format!("{part}: ok")), "{part} was not checked:\n{rest}");
    }
    assert!(listed(&stage).await.iter().all(|key| !key.unused && key.legacy.totp + key.legacy.webauthn == 0));
}
