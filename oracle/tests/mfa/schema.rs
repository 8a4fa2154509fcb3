//! `PyPI`'s `schemathesis` against a live oracle: requests made up from the `OpenAPI` document, right and wrong, over every
//! route of it, and none is answered by a fault of the server or by something that the document does not describe.

use crate::peers::python;
use crate::stage::Stage;
use quorate_oracle::testing::TestSetup;
use serde_json::json;
use std::path::Path;
use tokio::process::Command;

/// The faults that count. Whether a request of the wrong form is refused is none: clients of the seeds send such.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance";
/// Requests to a route in a phase.
const EXAMPLES: &str = "10";
/// Phases: the document's own examples, the bounds of each parameter, chance, and chains of requests.
const PHASES: &str = "examples,coverage,fuzzing,stateful";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_as_the_document_says() {
    let Some(python) = python("schemathesis") else { return };
    let stage = Stage::with(TestSetup::default().set("behind_proxy", "true")).await;
    let tenant = stage.tenant("schema@example.com").await;
    let gateway = std::fs::read_to_string(stage.oracle.folder().join("gateway.key")).expect("made on first start");
    let headers =
        json!({ "x-api-key": gateway.trim(), "x-mfa-apikey": tenant.value, "x-mfa-apisecret": tenant.secret });
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(Path::new(&python).with_file_name("schemathesis"));
    command
        .args(["run", &stage.oracle.url("/openapi.json"), "--url", &stage.oracle.url("")])
        .args(["--checks", CHECKS, "--phases", PHASES, "--seed", "1", "--max-examples", EXAMPLES])
        .args(["--request-timeout", "20", "--continue-on-failure", "--no-shrink", "--warnings", "off", "--no-color"])
        .args(["--generation-database", "none", "--suppress-health-check", "all"])
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mfa"))
        .env("SCHEMATHESIS_HOOKS", "schema_hooks")
        .env("QUORATE_SCHEMA_HEADERS", headers.to_string())
        .envs([("NO_PROXY", "*"), ("PYTHONDONTWRITEBYTECODE", "1")])
        // Where it would keep what it finds.
        .current_dir(folder.path());
    let output = command.output().await.expect("schemathesis runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let document = serde_json::to_value(quorate_oracle::router::document(None)).expect("plain data always serialises");
    let paths = document["paths"].as_object().expect("paths");
    let operations: usize = paths.values().map(|methods| methods.as_object().expect("methods").len()).sum();
    // None was left out.
    assert!(operations >= 31 && out.contains(&format!("Tested: {operations}")), "{operations} are described:\n{out}");
}
