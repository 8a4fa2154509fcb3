//! One answer posted many times while other ceremonies begin and end beside it, and keys come and go: it counts once, and
//! nobody else's ceremony or key is hit. On both engines.

use crate::postgres;
use crate::stage::{Answer, Stage, Tenant, send};
use crate::token::{Format, Token, client_data};
use crate::webauthn::{LOGIN, ORIGIN, REGISTER, RP_ID, headers};
use futures_util::future::{join, join_all};
use quorate_oracle::testing::TestSetup;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// Copies of an answer posted at once.
const COPIES: usize = 16;
const ROUNDS: usize = 8;

/// An application on an engine, with two users.
struct Ground {
    stage: Stage,
    tenant: Tenant,
}

/// The embedded engine, and the server's where there is one.
async fn grounds() -> Vec<Ground> {
    let mut setups = vec![TestSetup::default()];
    if let Some(server) = postgres::shared() {
        setups.push(TestSetup::default().set("database", server.url(&server.database().await)));
    }
    let mut grounds = Vec::new();
    for setup in setups {
        let mut stage = Stage::with(setup).await;
        let tenant = stage.tenant("app@example.com").await;
        // Connections that are kept would send everything over one.
        stage.http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
        grounds.push(Ground { stage, tenant });
    }
    grounds
}

impl Ground {
    async fn call(&self, user: &str, method: Method, path: &str, body: &Value) -> Answer {
        let request = self.stage.by(&self.tenant, method, path);
        send(headers(request, RP_ID, ORIGIN, Some(user)).json(body)).await
    }

    async fn options(&self, user: &str, path: &str) -> Value {
        let begun = self.call(user, Method::POST, path, &json!({})).await;
        assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
        begun.json["publicKey"].clone()
    }

    async fn register(&self, user: &str, token: &Token) {
        let answer = token.create(&self.options(user, REGISTER).await, ORIGIN, Format::None);
        let registered = self.call(user, Method::PUT, REGISTER, &answer).await;
        assert_eq!(registered.status, StatusCode::OK, "{}", registered.text);
    }

    /// Answers without a counter, so that nothing but the challenge stands in the way of the second.
    fn answer(token: &Token, options: &Value) -> Value {
        token.signed(&token.head(RP_ID, 1), &client_data("webauthn.get", &options["challenge"], ORIGIN))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_counts_once_whatever_begins_beside_it() {
    for ground in grounds().await {
        let (mine, theirs) = (Token::new(b"mine"), Token::new(b"theirs"));
        ground.register("mallory", &mine).await;
        ground.register("alice", &theirs).await;
        for _ in 0..ROUNDS {
            let answer = Ground::answer(&mine, &ground.options("mallory", LOGIN).await);
            let copies = join_all((0..COPIES).map(|_| ground.call("mallory", Method::PUT, LOGIN, &answer)));
            let beside = join_all((0..COPIES).map(|number| {
                let user = if number % 2 == 0 { "alice" } else { "mallory" };
                let ground = &ground;
                async move { (user, ground.options(user, LOGIN).await) }
            }));
            let (answers, begun) = join(copies, beside).await;
            let accepted = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
            assert_eq!(accepted, 1, "one touch, one login");
            for refused in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
                assert_eq!(refused.refusal().1, "invalid_challenge");
            }
            for (user, options) in begun {
                let token = if user == "alice" { &theirs } else { &mine };
                let answer = ground.call(user, Method::PUT, LOGIN, &Ground::answer(token, &options)).await;
                assert_eq!(answer.status, StatusCode::OK, "{user}'s challenge is still there: {}", answer.text);
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_key_that_is_in_flight_touches_no_other() {
    for ground in grounds().await {
        for round in 0..ROUNDS {
            let mut mine = Token::new(b"mine");
            ground.register("mallory", &mine).await;
            let mut answers = Vec::new();
            for _ in 0..4 {
                let options = ground.options("mallory", LOGIN).await;
                // The highest counter there is would lock out whoever got it.
                mine.counter = u32::MAX - 1;
                answers.push(mine.get(&options, ORIGIN));
            }
            let (name, mut theirs) = (format!("alice {round}"), Token::new(b"theirs"));
            theirs.counter = 1;
            let registration = theirs.create(&ground.options(&name, REGISTER).await, ORIGIN, Format::None);
            let late = join_all(answers.iter().map(|answer| ground.call("mallory", Method::PUT, LOGIN, answer)));
            let change = async {
                ground.call("mallory", Method::DELETE, "/webauthn/user", &json!({})).await;
                ground.call(&name, Method::PUT, REGISTER, &registration).await
            };
            let (_, registered) = join(late, change).await;
            assert_eq!(registered.status, StatusCode::OK, "{}", registered.text);
            let answer = theirs.get(&ground.options(&name, LOGIN).await, ORIGIN);
            let answer = ground.call(&name, Method::PUT, LOGIN, &answer).await;
            assert_eq!(answer.status, StatusCode::OK, "their counter is their own: {}", answer.text);
        }
    }
}
