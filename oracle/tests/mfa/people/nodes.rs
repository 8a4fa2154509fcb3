//! Two nodes on one database: a passcode, a recovery code or a link counts once on both, a ticket is good at both, and a node
//! with a wrong clock lets nobody in.

use super::stage::{PASSWORD, People, cheap, refused, ticket_of};
use crate::nodes;
use crate::postgres;
use crate::stage::{Answer, send};
use futures_util::future::join_all;
use quorate_oracle::testing::{TestOracle, TestSetup};
use serde_json::{Value, json};

/// Requests sent at once.
const AT_ONCE: usize = 16;

/// The people of the first node, and the second, which has the same keys and the same clock.
struct Pair {
    people: People,
    second: TestOracle,
}

impl Pair {
    async fn start() -> Option<Self> {
        let nodes::Pair { first, second, .. } =
            nodes::Pair::start(postgres::shared()?, || cheap(TestSetup::default())).await;
        Some(Self { people: People::on(first).await, second })
    }

    async fn post(&self, node: usize, path: &str, body: &Value) -> Answer {
        let oracle = if node == 0 { &self.people.stage.oracle } else { &self.second };
        send(self.people.stage.http.post(format!("http://{}{path}", oracle.address())).json(body)).await
    }

    /// How often the same request went well, posted to both nodes many times at once.
    async fn at_once(&self, path: &str, body: &Value) -> usize {
        let answers = join_all((0..AT_ONCE).map(|number| self.post(number % 2, path, body))).await;
        answers.iter().filter(|answer| answer.status == 200).count()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_a_recovery_code_and_a_link_count_once_on_two_nodes() {
    let Some(pair) = Pair::start().await else { return };
    let link = pair.people.invited("bob", "member").await;
    assert_eq!(pair.at_once(&format!("/enroll/{link}"), &json!({ "password": PASSWORD })).await, 1);
    let (assigned, secret) = pair.people.assign_totp("bob", "TotpDemoConfig").await;
    for passcode in [json!(pair.people.code(&secret, 0)), assigned["recovery_codes"][0].clone()] {
        let body = json!({ "principal": "bob", "password": PASSWORD, "passcode": passcode });
        assert_eq!(pair.at_once("/login", &body).await, 1, "{passcode}");
        // What came second was wrong, and wrong things lock.
        pair.people.stage.clock.advance(60 * 60 * 1000);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ticket_of_one_node_is_good_at_the_other_and_ends_at_both() {
    let Some(pair) = Pair::start().await else { return };
    let body = json!({ "principal": "operator", "password": PASSWORD });
    let ticket = ticket_of(&pair.post(1, "/login", &body).await);
    assert!(pair.people.knows(&ticket).await);
    let out = pair.people.stage.http.post(pair.second.url("/logout")).bearer_auth(&ticket);
    assert_eq!(send(out).await.status, 204);
    assert!(!pair.people.knows(&ticket).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_at_one_node_lock_at_the_other() {
    let Some(pair) = Pair::start().await else { return };
    pair.people.user("bob", "member").await;
    for number in 0..5 {
        let body = json!({ "principal": "bob", "password": "wrong" });
        assert_eq!(refused(&pair.post(number % 2, "/login", &body).await), (401, "login_refused"));
    }
    for node in 0..2 {
        let body = json!({ "principal": "bob", "password": PASSWORD });
        assert_eq!(refused(&pair.post(node, "/login", &body).await), (429, "login_locked"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_with_a_wrong_clock_lets_nobody_in() {
    let Some(pair) = Pair::start().await else { return };
    let link = pair.people.invited("bob", "member").await;
    // The test's time is not the database's.
    pair.second.state().look().await.expect("the store answers");
    for (path, body) in [
        ("/login".to_owned(), json!({ "principal": "operator", "password": PASSWORD })),
        (format!("/enroll/{link}"), json!({ "password": PASSWORD })),
        (format!("/enroll/{link}/begin"), json!({})),
    ] {
        assert_eq!(refused(&pair.post(1, &path, &body).await), (503, "clock_skew"), "{path}");
    }
    assert_eq!(pair.post(0, &format!("/enroll/{link}"), &json!({ "password": PASSWORD })).await.status, 200);
}
