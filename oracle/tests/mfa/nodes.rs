//! Two nodes on one database: whoever answers a challenge on both at the same instant is let in once, what one makes the other
//! knows, and a node with a wrong clock lets nobody in.

use crate::postgres::{self, Postgres};
use crate::stage::{Answer, Stage, Tenant, send};
use crate::token::{Format, Token, client_data};
use crate::totps::Enrolled;
use crate::{u2f, webauthn};
use futures_util::future::join_all;
use quorate_oracle::testing::{TestOracle, TestSetup};
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

/// Answers posted at once.
const AT_ONCE: usize = 24;

/// Two nodes: the stage of the first, and the second, which has the same keys and the same clock; and an application.
pub struct Pair {
    pub first: Stage,
    pub second: TestOracle,
    pub tenant: Tenant,
}

impl Pair {
    /// On a database of their own, both set up by `setup`.
    pub async fn start(server: &Postgres, setup: fn() -> TestSetup) -> Self {
        let database = server.url(&server.database().await);
        let mut first = Stage::with(setup().set("database", &database)).await;
        let second = setup().set("database", &database).credentials(first.oracle.folder()).clock(first.clock.clone());
        let second = second.start().await;
        let tenant = first.tenant("app@example.com").await;
        // Connections that are kept would send everything over one.
        first.http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
        Self { first, second, tenant }
    }

    /// A code at the second node.
    pub async fn validate_at_second(&self, enrolled: &Enrolled, code: &str) -> Answer {
        let path = format!("/totp/{}/validate", enrolled.uuid);
        send(self.request(&self.second, Method::POST, &path, None).json(&json!({ "code": code }))).await
    }

    fn request(&self, oracle: &TestOracle, method: Method, path: &str, user: Option<&str>) -> RequestBuilder {
        let request = self.first.http.request(method, format!("http://{}{path}", oracle.address()));
        let request = request.header("X-MFA-ApiKey", &self.tenant.value).header("X-MFA-ApiSecret", &self.tenant.secret);
        webauthn::headers(request, webauthn::RP_ID, webauthn::ORIGIN, user)
    }

    /// The answer of the first node.
    async fn ask(&self, path: &str, body: &Value, user: Option<&str>) -> Value {
        let answer = send(self.request(&self.first.oracle, Method::POST, path, user).json(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json
    }

    /// Posts an answer to both nodes, many times at once. It counts once, and is refused by name otherwise.
    async fn counts_once(&self, path: &str, body: &Value, user: Option<&str>) {
        self.counts_once_at(&[&self.first.oracle, &self.second], path, body, user).await;
    }

    async fn counts_once_at(&self, nodes: &[&TestOracle], path: &str, body: &Value, user: Option<&str>) {
        let racers = (0..AT_ONCE)
            .map(|number| send(self.request(nodes[number % nodes.len()], Method::PUT, path, user).json(body)));
        let (accepted, refused): (Vec<Answer>, Vec<_>) =
            join_all(racers).await.into_iter().partition(|answer| answer.status.is_success());
        assert_eq!(accepted.len(), 1, "{path}");
        for answer in refused {
            assert_eq!((answer.refusal().0, answer.refusal().1), (400, "invalid_challenge"), "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_u2f_answer_counts_once_on_two_nodes() {
    let Some(server) = postgres::shared() else { return };
    let pair = Pair::start(server, TestSetup::default).await;
    let mut token = Token::new(b"handle");
    let begun = pair.ask("/u2f", &json!({ "appId": u2f::APP_ID }), None).await;
    let path = format!("/u2f/{}", begun["uuid"].as_str().expect("a uuid"));
    let challenge = begun["challenge"]["challenge"].as_str().expect("a challenge");
    pair.counts_once(&path, &u2f::registration(&token, challenge, u2f::ORIGIN), None).await;
    let path = format!("{path}/auth");
    for _ in 0..3 {
        let begun = pair.ask(&path, &json!({}), None).await;
        let challenge = begun["challenge"].as_str().expect("a challenge");
        pair.counts_once(&path, &u2f::signature(&mut token, challenge, u2f::ORIGIN), None).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_webauthn_answer_counts_once_on_two_nodes() {
    let Some(server) = postgres::shared() else { return };
    let pair = Pair::start(server, TestSetup::default).await;
    let token = Token::new(b"credential");
    let begun = pair.ask(webauthn::REGISTER, &json!({}), None).await;
    let user = begun["uuid"].as_str();
    let answer = token.create(&begun["publicKey"], webauthn::ORIGIN, Format::PackedSelf);
    pair.counts_once(webauthn::REGISTER, &answer, user).await;
    for _ in 0..3 {
        let begun = pair.ask(webauthn::LOGIN, &json!({}), user).await;
        let data = client_data("webauthn.get", &begun["publicKey"]["challenge"], webauthn::ORIGIN);
        // Without a counter, so that nothing but the challenge stands in the way of the second.
        let answer = token.signed(&token.head(webauthn::RP_ID, 1), &data);
        pair.counts_once(webauthn::LOGIN, &answer, user).await;
    }
}

#[tokio::test]
async fn what_one_node_makes_the_other_knows() {
    let Some(server) = postgres::shared() else { return };
    let pair = Pair::start(server, TestSetup::default).await;
    let (stage, tenant) = (&pair.first, &pair.tenant);
    let enrolled = stage.enrol(tenant).await;
    assert_eq!(pair.validate_at_second(&enrolled, &stage.code(&enrolled, 0)).await.status, 200);
    for _ in 0..5 {
        assert_eq!(stage.validate(tenant, &enrolled, &stage.wrong(&enrolled)).await.status, 401);
    }
    let locked = pair.validate_at_second(&enrolled, &stage.code(&enrolled, 1)).await;
    assert_eq!((locked.refusal().0, locked.retry_after), (429, Some(30)), "guesses at one count at the other");
    pair.second.state().apps.revoke_api_key(&tenant.value).await.expect("revoked");
    assert_eq!(send(stage.by(tenant, Method::POST, "/totp")).await.refusal().0, 401);
}

#[tokio::test]
async fn a_node_with_a_wrong_clock_takes_no_code_and_gives_out_no_challenge() {
    let Some(server) = postgres::shared() else { return };
    let pair = Pair::start(server, TestSetup::default).await;
    let token = Token::new(b"handle");
    let begun = pair.ask("/u2f", &json!({ "appId": u2f::APP_ID }), None).await;
    let challenge = begun["challenge"]["challenge"].as_str().expect("a challenge");
    let registration = u2f::registration(&token, challenge, u2f::ORIGIN);
    let path = format!("/u2f/{}", begun["uuid"].as_str().expect("a uuid"));
    let auth = format!("{path}/auth");
    let enrolled = pair.first.enrol(&pair.tenant).await;
    let code = pair.first.code(&enrolled, 0);
    // The test's time is not the database's.
    pair.second.state().look().await.expect("the store answers");
    for (method, path) in [
        (Method::POST, "/u2f"),
        (Method::PUT, path.as_str()),
        (Method::POST, &auth),
        (Method::PUT, &auth),
        (Method::POST, webauthn::REGISTER),
        (Method::PUT, webauthn::REGISTER),
        (Method::POST, webauthn::LOGIN),
        (Method::PUT, webauthn::LOGIN),
    ] {
        let answer = send(pair.request(&pair.second, method.clone(), path, None).json(&registration)).await;
        assert_eq!((answer.refusal().0, answer.refusal().1), (503, "clock_skew"), "{method} {path}");
    }
    let refused = pair.validate_at_second(&enrolled, &code).await;
    assert_eq!((refused.refusal().0, refused.refusal().1), (503, "clock_skew"));
    assert!(!pair.second.state().sweep().await.expect("the store answers"), "nor does it forget any");
    pair.counts_once_at(&[&pair.first.oracle], &path, &registration, None).await;
    assert_eq!(pair.first.validate(&pair.tenant, &enrolled, &code).await.status, 200, "it was not used up");
}
