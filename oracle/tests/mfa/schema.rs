//! `PyPI`'s `schemathesis` against a live oracle: requests made up from the `OpenAPI` document, right and wrong, over every
//! route of it, and none is answered by a fault of the server or by something that the document does not describe. And against
//! documents and a store that are wrong, which it must find out: nearly every route describes all its errors by one word.

use crate::at_rest::database;
use crate::peers::python;
use crate::people::stage::People;
use crate::stage::Tenant;
use quorate_oracle::testing::TestSetup;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::path::Path;
use tokio::process::Command;

/// The faults that count. Whether a request of the wrong form is refused is none: clients of the seeds send such.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance";
/// Requests to a route that chance makes up, beside some thirty that go through the bounds of each parameter.
const EXAMPLES: &str = "5";
/// Phases: the document's own examples, the bounds, chance. The document has no links that a chain of requests could follow;
/// the hooks name what was given out before.
const PHASES: &str = "examples,coverage,fuzzing";

/// An oracle, its operator, and an application.
async fn ground() -> (People, Tenant) {
    let people = People::with(TestSetup::default().set("behind_proxy", "true")).await;
    let stage = &people.stage;
    let tenant = stage.tenant("schema@example.com").await;
    (people, tenant)
}

/// Whether no fault was found by what `document` says, and what was.
async fn run(python: &OsStr, (people, tenant): &(People, Tenant), document: &str, only: &[&str]) -> (bool, String) {
    let stage = &people.stage;
    let gateway = std::fs::read_to_string(stage.oracle.folder().join("gateway.key")).expect("made on first start");
    let headers = json!({ "x-api-key": gateway.trim(), "x-mfa-apikey": tenant.value, "x-mfa-apisecret": tenant.secret,
            "authorization": format!("Bearer {}", people.operator) });
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(Path::new(python).with_file_name("schemathesis"));
    command
        .args(["run", document, "--url", &stage.oracle.url("")])
        .args(["--checks", CHECKS, "--phases", PHASES, "--seed", "1", "--max-examples", EXAMPLES])
        .args(["--request-timeout", "20", "--continue-on-failure", "--no-shrink", "--warnings", "off", "--no-color"])
        .args(["--generation-database", "none", "--suppress-health-check", "all"])
        .args(only.iter().flat_map(|path| ["--include-path", path]))
        .env("PYTHONPATH", Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mfa"))
        .env("SCHEMATHESIS_HOOKS", "schema_hooks")
        .env("QUORATE_SCHEMA_HEADERS", headers.to_string())
        .envs([("NO_PROXY", "*"), ("PYTHONDONTWRITEBYTECODE", "1")])
        // Where it would keep what it finds.
        .current_dir(folder.path());
    let output = command.output().await.expect("schemathesis runs");
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), said.concat())
}

/// The document that the oracle serves.
fn document() -> Value {
    serde_json::to_value(quorate_oracle::router::document(None)).expect("plain data always serialises")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_as_the_document_says() {
    let Some(python) = python("schemathesis") else { return };
    let ground = ground().await;
    let (passed, said) = run(&python, &ground, &ground.0.stage.oracle.url("/openapi.json"), &[]).await;
    assert!(passed, "{said}");
    let document = document();
    let paths = document["paths"].as_object().expect("paths");
    let operations: usize = paths.values().map(|methods| methods.as_object().expect("methods").len()).sum();
    // None was left out.
    assert!(operations >= 51 && said.contains(&format!("Tested: {operations}")), "{operations} are described:\n{said}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_fault_is_found() {
    let Some(python) = python("schemathesis") else { return };
    let (ground, mut document) = (ground().await, document());
    let mut put = |pointer: &str, value: Value| {
        *document.pointer_mut(pointer).unwrap_or_else(|| panic!("the document has {pointer}")) = value;
    };
    let error = "content/application~1json/schema";
    let wrong_code = json!({ "type": "object", "properties": { "code": { "type": "integer" } } });
    put(&format!("/paths/~1totp~1{{uuid}}/delete/responses/default/{error}"), wrong_code);
    put("/components/schemas/Totp/properties/uuid", json!({ "type": "integer" }));
    put("/paths/~1api-key/post/responses", json!({ "204": { "description": "made" } }));
    let xml = json!({ "application/xml": { "schema": { "type": "string" } } });
    put("/paths/~1healthz/get/responses/200/content", xml);
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("openapi.json");
    std::fs::write(&file, document.to_string()).expect("written");
    database(&ground.0.stage).execute("ALTER TABLE credentials RENAME TO gone", []).expect("renamed");

    let expected = [
        ("DELETE /totp/{uuid}", "Response violates schema", "/totp/{uuid}"),
        ("POST /totp", "Response violates schema", "/totp"),
        ("POST /api-key", "Undocumented status code", "/api-key"),
        ("GET /healthz", "Undocumented Content-Type", "/healthz"),
        ("DELETE /webauthn/user", "Server error", "/webauthn/user"),
    ];
    let only = expected.map(|(_, _, path)| path);
    let (passed, said) = run(&python, &ground, file.to_str().expect("UTF-8"), &only).await;
    assert!(!passed, "{said}");
    for (route, fault, _) in expected {
        let (_, section) = said.split_once(&format!("_ {route} _")).unwrap_or_else(|| panic!("{route}:\n{said}"));
        let section = section.split("\n___").next().expect("there is always one");
        assert!(section.contains(fault), "{route}: {fault}:\n{section}");
    }
}
