//! A code counts once, however many copies of it come at once: on both engines, and across two nodes on one database.

use super::nodes::Pair;
use super::postgres;
use super::stage::{Stage, Tenant, send};
use futures_util::future::join_all;
use quorate_oracle::testing::{TestOracle, TestSetup};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

/// Copies of a code.
const COPIES: usize = 1_000;

/// Allows each copy a connection of its own, at both of its ends.
fn patient() -> TestSetup {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.maximum.map_or(8_192, |most| most.min(8_192));
    let enough = setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum: limit.maximum });
    assert!(enough.is_ok() && current > 3 * COPIES as u64, "a process may open {current} files: too few");
    let setup = TestSetup::default().set("limits.connections_per_source", "2000");
    setup.set("postgres.operation_seconds", "25")
}

/// Posts one code so many times at once to each of the addresses in turn; it counts once.
async fn assert_counts_once(stage: &Stage, tenant: &Tenant, nodes: &[&TestOracle]) {
    let enrolled = stage.enrol(tenant).await;
    let code = stage.code(&enrolled, 0);
    let requests = (0..COPIES).map(|number| {
        let url = format!("http://{}/totp/{}/validate", nodes[number % nodes.len()].address(), enrolled.uuid);
        let request = stage.http.post(url).json(&json!({ "code": code }));
        send(request.header("X-MFA-ApiKey", &tenant.value).header("X-MFA-ApiSecret", &tenant.secret))
    });
    let mut valid = 0;
    for answer in join_all(requests).await {
        match answer.status.as_u16() {
            200 => valid += 1,
            401 => assert_eq!(answer.refusal().1, "code_used"),
            // Refused unseen is not accepted.
            503 => assert!(answer.retry_after.is_some(), "{}", answer.text),
            other => panic!("{other}: {}", answer.text),
        }
    }
    assert_eq!(valid, 1);
    assert_eq!(stage.validate(tenant, &enrolled, &code).await.refusal().1, "code_used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_posted_a_thousand_times_at_once_counts_once_on_sqlite() {
    let stage = Stage::with(patient()).await;
    let tenant = stage.tenant("app@example.com").await;
    assert_counts_once(&stage, &tenant, &[&stage.oracle]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_posted_a_thousand_times_at_once_counts_once_on_postgresql() {
    let Some(server) = postgres::shared() else { return };
    let pair = Pair::start(server, patient).await;
    assert_counts_once(&pair.first, &pair.tenant, &[&pair.first.oracle]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_posted_a_thousand_times_at_once_to_two_nodes_counts_once() {
    let Some(server) = postgres::shared() else { return };
    let pair = Pair::start(server, patient).await;
    assert_counts_once(&pair.first, &pair.tenant, &[&pair.first.oracle, &pair.second]).await;
}
