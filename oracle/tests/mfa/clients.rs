//! Clients that share no code with the oracle: `PyPI`'s `fido2` and `soft-webauthn`, over both protocols. Python with the
//! pinned packages is `$QUORATE_PYTHON`, which `make test` sets up.

use crate::peers::python;
use crate::stage::Stage;
use std::path::Path;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_peoples_clients_register_and_log_in() {
    let Some(python) = python("clients of PyPI") else { return };
    let stage = Stage::new().await;
    let tenant = stage.tenant("peers@example.com").await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mfa/clients.py");
    let mut command = tokio::process::Command::new(python);
    command.arg("-B").arg(script).arg(stage.oracle.url("")).args([&tenant.value, &tenant.secret]);
    let output = command.env("NO_PROXY", "*").output().await.expect("python runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    for part in ["soft_webauthn", "packed", "algorithms", "one_connection", "fido2_client", "raw_u2f", "embedding"] {
        assert!(out.contains(&format!("{part}: ok")), "{part} was not checked:\n{out}");
    }
}
