//! What is refused before anything is looked at: credentials that are missing or unreadable, bodies that are too large, and
//! whoever has been wrong too often.

use super::stage::{Answer, Stage, Tenant, send};
use quorate_oracle::testing::TestSetup;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use std::collections::BTreeSet;

const EMAIL: &str = "app@example.com";
const UNAUTHORIZED: (u16, &str, &str) = (401, "unauthorized", "Unauthorized");

/// The routes that take an API key and its secret in headers.
const ROUTES: [(Method, &str); 3] =
    [(Method::POST, "/totp"), (Method::POST, "/totp/x/validate"), (Method::DELETE, "/totp/x")];

#[tokio::test]
async fn every_route_needs_both_headers() {
    let stage = Stage::new().await;
    let tenant = stage.tenant(EMAIL).await;
    for (method, path) in ROUTES {
        let without = |missing: &[&str]| {
            let mut request = stage.by(&tenant, method.clone(), path).body("{").build().expect("a request");
            for header in missing {
                request.headers_mut().remove(*header);
            }
            send(RequestBuilder::from_parts(stage.http.clone(), request))
        };
        for missing in [&["x-mfa-apikey"][..], &["x-mfa-apisecret"], &["x-mfa-apikey", "x-mfa-apisecret"]] {
            assert_eq!(without(missing).await.refusal(), UNAUTHORIZED, "{path} {missing:?}");
        }
    }
}

#[tokio::test]
async fn headers_that_are_not_utf_8_are_wrong_credentials() {
    let stage = Stage::new().await;
    let tenant = stage.tenant(EMAIL).await;
    for (method, path) in ROUTES {
        for header in ["x-mfa-apikey", "x-mfa-apisecret"] {
            let mut request = stage.by(&tenant, method.clone(), path).build().expect("a request");
            request.headers_mut().insert(header, HeaderValue::from_bytes(b"\xc3\x28\xff").expect("a header"));
            let request = RequestBuilder::from_parts(stage.http.clone(), request);
            assert_eq!(send(request).await.refusal(), UNAUTHORIZED, "{path} {header}");
        }
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let stage = Stage::new().await;
    let tenant = stage.tenant(EMAIL).await;
    let large = vec![b' '; 129 * 1024];
    for path in ["/totp", "/totp/x/validate"] {
        let answer = send(stage.by(&tenant, Method::POST, path).body(large.clone())).await;
        assert_eq!((answer.refusal().0, answer.refusal().1), (413, "too_large"), "{path}");
    }
    let answer = send(stage.at(Method::POST, "/totp").body(large)).await;
    assert_eq!(answer.refusal(), UNAUTHORIZED, "of a stranger no body is read");
}

/// Sends `request` until it is answered otherwise than with `status`; gives how often that was, and the other answer.
async fn until_it_is_not(status: u16, request: impl Fn() -> RequestBuilder) -> (usize, Answer) {
    for times in 0..100 {
        let answer = send(request()).await;
        if answer.status != status {
            return (times, answer);
        }
    }
    panic!("never refused");
}

#[track_caller]
fn assert_waits(answer: &Answer, seconds: u64) {
    let refusal = answer.refusal();
    assert_eq!((refusal.0, refusal.1, answer.retry_after), (429, "too_many_failures", Some(seconds)));
}

#[tokio::test]
async fn wrong_secrets_of_one_key_have_to_wait_and_hold_up_nobody_else() {
    let stage = Stage::new().await;
    let (tenant, neighbour) = (stage.tenant(EMAIL).await, stage.tenant("two@example.com").await);
    let wrong = Tenant { secret: "wrong".to_owned(), ..tenant.clone() };
    let (free, answer) = until_it_is_not(401, || stage.by(&wrong, Method::POST, "/totp")).await;
    assert_eq!(free, 32);
    assert_waits(&answer, 1);
    let right = || send(stage.by(&tenant, Method::POST, "/totp"));
    assert_eq!(right().await.status, 200, "right credentials pass, and forgive nothing");
    assert_eq!(send(stage.by(&neighbour, Method::POST, "/totp")).await.status, 200, "the same address, another key");
    assert_eq!(send(stage.gateway("/api-key").json(&json!({ "email": EMAIL }))).await.status, 204);
    for (milliseconds, seconds) in [(0, 2), (4_000, 4)] {
        stage.clock.advance(milliseconds);
        assert_waits(&send(stage.by(&wrong, Method::POST, "/totp")).await, seconds);
        assert_eq!(right().await.status, 200);
    }
    stage.clock.advance(15 * 60_000 + 1);
    assert_eq!(send(stage.by(&wrong, Method::POST, "/totp")).await.refusal(), UNAUTHORIZED, "forgotten");
}

#[tokio::test]
async fn whoever_tries_many_keys_has_to_wait() {
    let stage = Stage::new().await;
    let tenant = stage.tenant(EMAIL).await;
    let tried = std::cell::Cell::new(0);
    let other = || {
        tried.set(tried.get() + 1);
        let other = Tenant { value: format!("{:040x}", tried.get()), ..tenant.clone() };
        stage.by(&other, Method::POST, "/totp")
    };
    let (free, answer) = until_it_is_not(401, other).await;
    assert_eq!(free, 32);
    assert_waits(&answer, 1);
    assert_waits(&send(other()).await, 2);
    assert_eq!(send(stage.by(&tenant, Method::POST, "/totp")).await.status, 200, "right credentials pass");
}

#[tokio::test]
async fn wrong_secrets_in_a_rotation_have_to_wait() {
    let stage = Stage::new().await;
    let (old, new) = (stage.tenant(EMAIL).await, stage.tenant(EMAIL).await);
    let body = |secret: &str| {
        json!({
            "oldKeyId": old.value, "oldKeySecret": old.secret, "newKeyId": new.value, "newKeySecret": secret,
        })
    };
    let rotate = |secret: &str| stage.at(Method::POST, "/api-key/rotate").json(&body(secret));
    let (free, answer) = until_it_is_not(404, || rotate("wrong")).await;
    assert_eq!(free, 32);
    assert_waits(&answer, 1);
    assert_eq!(send(rotate(&new.secret)).await.status, 200, "right ones pass");
    assert_waits(&send(rotate("wrong")).await, 2);
}

#[tokio::test]
async fn wrong_gateway_keys_have_to_wait_whatever_else_the_address_can_show() {
    let stage = Stage::new().await;
    let tenant = stage.tenant(EMAIL).await;
    let body = json!({ "email": EMAIL, "apiKey": "0" });
    let mut paths = ["/api-key", "/api-key/activate"].into_iter().cycle();
    let mut tried = BTreeSet::new();
    let answer = loop {
        let path = paths.next().expect("it goes on");
        let answer = send(stage.at(Method::POST, path).header("x-api-key", "guess").json(&body)).await;
        if answer.status != 403 {
            break answer;
        }
        tried.insert(tried.len());
        assert!(tried.len() < 100, "never refused");
        // Whoever has an API key does not get more guesses by showing it in between.
        assert_eq!(send(stage.by(&tenant, Method::POST, "/totp")).await.status, 200);
    };
    assert_eq!(tried.len(), 33);
    assert_waits(&answer, 1);
    assert_waits(&send(stage.gateway("/api-key").json(&body)).await, 1);
    stage.clock.advance(1_000);
    assert_eq!(send(stage.gateway("/api-key").json(&body)).await.status, 204);
}

#[tokio::test]
async fn addresses_behind_a_proxy_are_told_apart() {
    let stage = Stage::with(TestSetup::default().set("behind_proxy", "true")).await;
    let from = |address: &str, key: &str| {
        let request = stage.at(Method::POST, "/api-key").header("x-api-key", key);
        request.header("x-forwarded-for", address).json(&json!({ "email": EMAIL }))
    };
    let (_, answer) = until_it_is_not(403, || from("2001:db8:1:2::7", "guess")).await;
    assert_waits(&answer, 1);
    assert_waits(&send(from("2001:db8:1:2:ffff::9", "guess")).await, 1);
    assert_eq!(send(from("2001:db8:1:3::7", "guess")).await.status, 403, "another network");
    assert_eq!(send(from("192.0.2.1", "guess")).await.status, 403);
}

#[test]
fn every_word_of_a_refusal_stands_in_the_manual() {
    let manual = include_str!("../../../docs/mfa.md");
    let sources =
        [include_str!("../../src/handlers/api_keys/refusal.rs"), include_str!("../../src/handlers/totps/refusal.rs")];
    let words = sources.iter().flat_map(|source| source.split('"').skip(1).step_by(2));
    let words: BTreeSet<&str> =
        words.filter(|word| word.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase())).collect();
    assert!(words.len() >= 10, "{words:?}");
    for word in words {
        assert!(manual.contains(&format!("`{word}`")), "{word}");
    }
}
