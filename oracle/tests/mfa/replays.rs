//! A code counts once, however many copies of it come at once: on both engines, and across two nodes on one database.

use super::postgres;
use super::stage::{Stage, send};
use futures_util::future::join_all;
use quorate_oracle::testing::{TestOracle, TestSetup};
use reqwest::Method;
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

/// Two nodes on one database, with the same keys.
struct Pair {
    stage: Stage,
    other: TestOracle,
}

impl Pair {
    async fn start(server: &postgres::Postgres) -> Self {
        let database = server.url(&server.database().await);
        let stage = Stage::with(patient().set("database", &database)).await;
        let setup = patient().set("database", &database).credentials(stage.oracle.folder());
        let other = setup.clock(stage.clock.clone()).start().await;
        Self { stage, other }
    }
}

/// Posts one code so many times at once to each of the addresses in turn; it counts once.
async fn assert_counts_once(stage: &Stage, nodes: &[&TestOracle]) {
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
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
    assert_eq!(stage.validate(&tenant, &enrolled, &code).await.refusal().1, "code_used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_posted_a_thousand_times_at_once_counts_once_on_sqlite() {
    let stage = Stage::with(patient()).await;
    assert_counts_once(&stage, &[&stage.oracle]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_posted_a_thousand_times_at_once_counts_once_on_postgresql() {
    let Some(server) = postgres::shared() else { return };
    let pair = Pair::start(server).await;
    assert_counts_once(&pair.stage, &[&pair.stage.oracle]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_posted_a_thousand_times_at_once_to_two_nodes_counts_once() {
    let Some(server) = postgres::shared() else { return };
    let pair = Pair::start(server).await;
    assert_counts_once(&pair.stage, &[&pair.stage.oracle, &pair.other]).await;
}

#[tokio::test]
async fn what_one_node_makes_the_other_knows() {
    let Some(server) = postgres::shared() else { return };
    let Pair { stage, other } = Pair::start(server).await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    let at_other = |code: &str| {
        let url = format!("http://{}/totp/{}/validate", other.address(), enrolled.uuid);
        let request = stage.http.post(url).json(&json!({ "code": code }));
        send(request.header("X-MFA-ApiKey", &tenant.value).header("X-MFA-ApiSecret", &tenant.secret))
    };
    assert_eq!(at_other(&stage.code(&enrolled, 0)).await.status, 200);
    for _ in 0..5 {
        assert_eq!(stage.validate(&tenant, &enrolled, &stage.wrong(&enrolled)).await.status, 401);
    }
    let locked = at_other(&stage.code(&enrolled, 1)).await;
    assert_eq!((locked.refusal().0, locked.retry_after), (429, Some(30)), "guesses at one count at the other");
    other.state().api_keys.revoke(&tenant.value).await.expect("revoked");
    assert_eq!(send(stage.by(&tenant, Method::POST, "/totp")).await.refusal().0, 401);
}

#[tokio::test]
async fn a_node_with_a_wrong_clock_checks_no_code() {
    let Some(server) = postgres::shared() else { return };
    let Pair { stage, .. } = Pair::start(server).await;
    let tenant = stage.tenant("app@example.com").await;
    let enrolled = stage.enrol(&tenant).await;
    // The test's time is not the database's.
    stage.oracle.state().look().await.expect("the store answers");
    let answer = stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 0)).await;
    assert_eq!((answer.refusal().0, answer.refusal().1), (503, "clock_skew"));
}
