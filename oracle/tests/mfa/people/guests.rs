//! Logins by whoever comes along: one answer and the same work for whatever is wrong, locks, and tickets that end.

use super::stage::{PASSWORD, People, refused, ticket_of};
use crate::stage::{Answer, send};
use quorate_oracle::testing::TestSetup;
use reqwest::Method;
use serde_json::json;

/// The answer to a login, and how many passwords were hashed for it.
async fn tried(people: &People, principal: &str, password: &str) -> (Answer, u64) {
    let service = &people.stage.oracle.state().people;
    let before = service.evaluations();
    let answer = people.log_in(json!({ "principal": principal, "password": password })).await;
    (answer, service.evaluations() - before)
}

#[tokio::test]
async fn whatever_is_wrong_gets_one_answer_after_the_same_work() {
    let people = People::new().await;
    people.user("bob", "member").await;
    people.invited("invited", "member").await;
    people.user("disabled", "operator").await;
    people.done(Method::POST, "/principals/disabled/disable", json!({})).await;
    people.user("guarded", "member").await;
    people.assign_totp("guarded", "TotpDemoConfig").await;
    people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    let mut answers = Vec::new();
    for (principal, password) in [
        ("bob", "wrong horse battery staple"),
        ("bob", ""),
        ("principal/internal/user/bob", "wrong horse battery staple"),
        ("nobody", PASSWORD),
        ("Bob", PASSWORD),
        ("invited", PASSWORD),
        ("disabled", PASSWORD),
        ("guarded", PASSWORD),
        ("principal/internal/group/ops", PASSWORD),
        ("no name at all", PASSWORD),
        ("\u{202e}bob", PASSWORD),
        ("", PASSWORD),
        ("bob", &"x".repeat(2000)),
    ] {
        let (answer, hashed) = tried(&people, principal, password).await;
        assert_eq!(refused(&answer), (401, "login_refused"), "{principal}");
        assert_eq!(hashed, 1, "{principal}");
        answers.push(answer.text);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    let (answer, hashed) = tried(&people, "bob", PASSWORD).await;
    assert_eq!((answer.status.as_u16(), hashed), (200, 1));
}

#[tokio::test]
async fn an_application_logs_in_with_its_secret_and_hashes_no_password() {
    let people = People::new().await;
    let name = "principal/internal/application/ci";
    let body = json!({ "name": name, "role": "auditor" });
    let secret = people.done(Method::POST, "/principals", body).await["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(secret.len(), 43);
    let (answer, hashed) = tried(&people, name, &secret).await;
    assert_eq!((answer.json["role"].as_str(), hashed), (Some("auditor"), 0));
    for (principal, password) in [
        (name, "wrong"),
        (name, ""),
        ("principal/internal/application/none", secret.as_str()),
        ("principal/internal/application/none", ""),
    ] {
        let (answer, hashed) = tried(&people, principal, password).await;
        assert_eq!((refused(&answer), hashed), ((401, "login_refused"), 0), "{principal}");
    }
    let (answer, _) = tried(&people, "ci", &secret).await;
    assert_eq!(refused(&answer), (401, "login_refused"), "a user of that name is somebody else");
}

#[tokio::test]
async fn failures_lock_a_name_and_nobody_else_whether_anybody_has_it() {
    let people = People::new().await;
    people.user("bob", "member").await;
    people.user("ann", "member").await;
    for name in ["bob", "nobody"] {
        for _ in 0..5 {
            assert_eq!(refused(&tried(&people, name, "wrong").await.0), (401, "login_refused"));
        }
        let (answer, hashed) = tried(&people, name, PASSWORD).await;
        assert_eq!(refused(&answer), (429, "login_locked"));
        assert_eq!((answer.retry_after, hashed), (Some(30), 0), "a locked name costs nothing");
        let full = format!("principal/internal/user/{name}");
        assert_eq!(refused(&tried(&people, &full, PASSWORD).await.0), (429, "login_locked"), "by either name");
    }
    assert_eq!(tried(&people, "ann", PASSWORD).await.0.status, 200);
    people.stage.clock.advance(29_999);
    assert_eq!(tried(&people, "bob", PASSWORD).await.0.status, 429);
    people.stage.clock.advance(1);
    assert_eq!(refused(&tried(&people, "bob", "wrong").await.0), (401, "login_refused"));
    assert_eq!(tried(&people, "bob", PASSWORD).await.0.retry_after, Some(60), "the next wait is longer");
    people.stage.clock.advance(60_000);
    assert_eq!(tried(&people, "bob", PASSWORD).await.0.status, 200);
    for _ in 0..4 {
        assert_eq!(tried(&people, "bob", "wrong").await.0.status, 401, "a right password begins anew");
    }
    assert_eq!(tried(&people, "bob", PASSWORD).await.0.status, 200);
}

#[tokio::test]
async fn whoever_guesses_at_nothing_locks_nobody() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let key = json!({ "id": "AAAA", "rawId": "AAAA", "type": "public-key", "clientExtensionResults": {},
        "response": { "clientDataJSON": "AAAA", "authenticatorData": "AAAA", "signature": "AAAA" } });
    for state in ["", "AAAA", "!", &"A".repeat(500)] {
        for _ in 0..3 {
            let body = json!({ "principal": "bob", "state": state, "credential": key });
            assert_eq!(refused(&people.log_in(body).await), (401, "login_refused"), "{state}");
        }
    }
    assert_eq!(tried(&people, "bob", PASSWORD).await.0.status, 200);
    let name = "principal/internal/application/ci";
    let made = people.done(Method::POST, "/principals", json!({ "name": name })).await;
    for _ in 0..12 {
        assert_eq!(refused(&tried(&people, name, "wrong").await.0), (401, "login_refused"));
    }
    assert_eq!(tried(&people, name, made["secret"].as_str().expect("a secret")).await.0.status, 200);
}

#[tokio::test]
async fn links_that_nobody_has_keep_no_neighbour_from_logging_in() {
    let people = People::new().await;
    let bob = people.invited("bob", "member").await;
    let enrol = async |link: &str| {
        send(people.stage.at(Method::POST, &format!("/enroll/{link}")).json(&json!({ "password": PASSWORD }))).await
    };
    for _ in 0..33 {
        assert_eq!(refused(&enrol("none").await), (404, "link_unknown"));
    }
    assert_eq!(refused(&enrol(&bob).await), (429, "too_many_failures"), "a right one is not told from a wrong one");
    assert_eq!(tried(&people, "operator", PASSWORD).await.0.status, 200);
    people.stage.clock.advance(1_000);
    assert_eq!(enrol(&bob).await.status, 200);
}

#[tokio::test]
async fn an_operator_unlocks_a_name() {
    let people = People::new().await;
    people.user("bob", "member").await;
    for _ in 0..5 {
        tried(&people, "bob", "wrong").await;
    }
    assert_eq!(refused(&tried(&people, "bob", PASSWORD).await.0), (429, "login_locked"));
    people.done(Method::POST, "/principals/bob/enable", json!({})).await;
    assert_eq!(tried(&people, "bob", PASSWORD).await.0.status, 200);
}

#[tokio::test]
async fn one_address_cannot_try_one_password_on_everybody() {
    let people = People::with(TestSetup::default().set("behind_proxy", "true")).await;
    people.user("bob", "member").await;
    let from = async |address: &str, principal: &str, password: &str| {
        let body = json!({ "principal": principal, "password": password });
        send(people.stage.at(Method::POST, "/login").header("x-forwarded-for", address).json(&body)).await
    };
    for number in 0..33 {
        let name = format!("somebody-{number}");
        assert_eq!(refused(&from("192.0.2.1", &name, "Summer2027!").await), (401, "login_refused"));
    }
    let waits = from("192.0.2.1", "bob", PASSWORD).await;
    assert_eq!((refused(&waits), waits.retry_after), ((429, "too_many_failures"), Some(1)));
    assert_eq!(from("192.0.2.2", "bob", PASSWORD).await.status, 200, "from elsewhere");
    people.stage.clock.advance(1_000);
    assert_eq!(from("192.0.2.1", "bob", PASSWORD).await.status, 200);
}

#[tokio::test]
async fn a_ticket_ends_when_it_is_not_used_when_its_time_is_up_and_at_logout() {
    let setup = TestSetup::default().set("tickets.idle_seconds", "600").set("tickets.seconds", "1500");
    let people = People::with(setup).await;
    let login = people.log_in(json!({ "principal": "operator", "password": PASSWORD })).await;
    assert_eq!(login.json["expires_at"], "2027-01-15T08:25:00Z");
    let (used, idle) = (ticket_of(&login), people.ticket("operator").await);
    for _ in 0..2 {
        people.stage.clock.advance(599_000);
        assert!(people.knows(&used).await);
    }
    assert!(!people.knows(&idle).await, "nobody used it for 600 s");
    people.stage.clock.advance(301_999);
    assert!(people.knows(&used).await);
    people.stage.clock.advance(1);
    assert!(!people.knows(&used).await, "its time is up");

    let [one, two, three] =
        [people.ticket("operator").await, people.ticket("operator").await, people.ticket("operator").await];
    let log_out = async |ticket: &str, body: &str| {
        send(people.request(ticket, Method::POST, "/logout").body(body.to_owned())).await.status.as_u16()
    };
    assert_eq!(log_out(&one, "").await, 204);
    assert_eq!([people.knows(&one).await, people.knows(&two).await], [false, true]);
    assert_eq!(log_out(&one, "").await, 401);
    assert_eq!(log_out(&two, r#"{"everywhere": true}"#).await, 204);
    assert_eq!([people.knows(&two).await, people.knows(&three).await], [false, false]);
}

#[tokio::test]
async fn what_is_no_ticket_lets_nobody_in() {
    let people = People::new().await;
    let right = &people.operator;
    let whoami = async |header: String| {
        let answer = send(people.stage.at(Method::GET, "/whoami").header("authorization", header)).await;
        answer.status.as_u16()
    };
    assert_eq!(whoami(format!("Bearer {right}")).await, 200);
    assert_eq!(whoami(format!("bearer {right}")).await, 200, "the scheme's case is free (RFC 9110 §11.1)");
    for header in [
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        right.clone(),
        format!("Basic {right}"),
        format!("Bearer {}", &right[1..]),
        format!("Bearer {right}A"),
        format!("Bearer {}", right.to_uppercase()),
        format!("Bearer {}", "A".repeat(1_000)),
    ] {
        assert_eq!(whoami(header.clone()).await, 401, "{header:.20}");
    }
    let none = send(people.stage.at(Method::GET, "/whoami")).await;
    assert_eq!(refused(&none), (401, "ticket_required"));
}
