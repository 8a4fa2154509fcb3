//! Security keys of principals: registered with a link, used in the second half of a login, and each answer once.

use super::stage::{PASSWORD, People, link_of, refused, ticket_of};
use crate::peers::python;
use crate::stage::{Answer, send};
use crate::token::{Format, Token};
use futures_util::future::join_all;
use quorate_oracle::testing::TestSetup;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;

const ORIGIN: &str = "https://oracle.example.com";

/// People whose oracle has a name that keys can be bound to, with a provider of type `webauthn`.
async fn people() -> People {
    let people = People::with(TestSetup::default().set("url", ORIGIN)).await;
    let made = people.done(Method::POST, "/system/multi_factor", json!({ "Type": "webauthn", "Name": "Keys" })).await;
    assert_eq!(made, json!({ "Type": "webauthn", "Name": "Keys", "Options": {} }));
    people
}

/// Bob, whose provider is `Keys`, and the last part of his link.
async fn bob(people: &People) -> String {
    let link = people.invited("bob", "member").await;
    people.done(Method::PUT, "/principals/bob/multi_factor", json!({ "provider": "Keys" })).await;
    link
}

async fn begin(people: &People, link: &str) -> Value {
    let begun = send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await;
    assert_eq!(begun.status, 200, "{}", begun.text);
    begun.json
}

/// Bob enrols with a key.
async fn registered(people: &People) -> Token {
    let link = bob(people).await;
    let options = begin(people, &link).await["publicKey"].take();
    let token = Token::new(b"the key of bob");
    let answer = token.create(&options, ORIGIN, Format::None);
    let made = people.enrol(&link, json!({ "password": PASSWORD, "credential": answer })).await;
    assert_eq!(made["recovery_codes"].as_array().map(Vec::len), Some(10));
    token
}

/// The first half of a login: what the key is asked, and the state.
async fn asked(people: &People) -> (Value, String) {
    let mut answer = people.log_in(json!({ "principal": "bob", "password": PASSWORD })).await;
    assert_eq!(refused(&answer), (401, "second_factor_required"));
    let state = answer.json["state"].as_str().expect("a state").to_owned();
    (answer.json["publicKey"].take(), state)
}

async fn finish(people: &People, principal: &str, state: &str, credential: &Value) -> Answer {
    people.log_in(json!({ "principal": principal, "state": state, "credential": credential })).await
}

#[tokio::test]
async fn a_key_is_registered_with_a_link_and_answers_in_a_second_request() {
    let people = people().await;
    let mut token = registered(&people).await;
    for _ in 0..2 {
        let (options, state) = asked(&people).await;
        assert_eq!(
            (options["rpId"].as_str(), options["allowCredentials"].as_array().map(Vec::len)),
            (Some("oracle.example.com"), Some(1))
        );
        let answer = token.get(&options, ORIGIN);
        let login = finish(&people, "bob", &state, &answer).await;
        assert!(people.knows(&ticket_of(&login)).await);
        assert_eq!(refused(&finish(&people, "bob", &state, &answer).await), (401, "login_refused"), "once");
        people.stage.clock.advance(60 * 60 * 1000);
    }
}

/// Bob enrols once more, with another key of that name.
async fn another(people: &People, name: &str) -> Answer {
    let made = people.done(Method::POST, "/principals/bob/link", json!({})).await;
    let link = link_of(made["link"].as_str().expect("a link"));
    let options = begin(people, &link).await["publicKey"].take();
    let credential = Token::new(name.as_bytes()).create(&options, ORIGIN, Format::None);
    let body = json!({ "password": PASSWORD, "credential": credential, "key_name": name });
    send(people.stage.at(Method::POST, &format!("/enroll/{link}")).json(&body)).await
}

#[tokio::test]
async fn the_log_tells_of_each_key_from_its_registration_to_its_end() {
    let people = people().await;
    let mut token = registered(&people).await;
    let (options, state) = asked(&people).await;
    let answer = token.get(&options, ORIGIN);
    ticket_of(&finish(&people, "bob", &state, &answer).await);
    assert_eq!(refused(&another(&people, &"x".repeat(65)).await), (400, "invalid_option"));
    let blue = another(&people, "blue").await;
    assert_eq!(blue.status, 200, "{}", blue.text);
    people.done(Method::PUT, "/principals/bob/multi_factor", json!({ "provider": "Keys" })).await;

    let told = people.told().await;
    let of_keys: Vec<_> = told.iter().filter(|event| event["details"].get("key_hash").is_some()).collect();
    let text = |event: &Value, field: &str| event[field].as_str().expect("text").to_owned();
    let seen: Vec<_> =
        of_keys.iter().map(|event| (text(event, "kind"), text(event, "who"), text(&event["details"], "key"))).collect();
    let (bob, operator) = ("principal principal/internal/user/bob", "principal principal/internal/user/operator");
    let expected = [
        ("principal.key_added", bob, "Key 1"),
        ("login.done", bob, "Key 1"),
        ("principal.key_added", bob, "blue"),
        ("principal.key_removed", operator, "Key 1"),
        ("principal.key_removed", operator, "blue"),
    ];
    assert_eq!(seen, expected.map(|(kind, who, key)| (kind.to_owned(), who.to_owned(), key.to_owned())));
    let hashes: Vec<_> = of_keys.iter().map(|event| text(&event["details"], "key_hash")).collect();
    let (first, second) = (&hashes[0], &hashes[2]);
    assert_eq!(hashes, [first, first, second, first, second].map(String::clone), "by it each is followed");
    assert!(first != second && first.len() == 16, "{hashes:?}");
    for event in of_keys {
        assert_eq!((&event["details"]["passkey"], &event["source"]), (&json!(false), &json!("127.0.0.1")), "{event}");
        assert!(text(event, "subject").ends_with("user/bob"), "{event}");
    }
    let other = told
        .iter()
        .filter(|event| text(event, "who").starts_with("api-key") || text(event, "kind").starts_with("credential."));
    assert_eq!(other.count(), 0, "nothing is told of an application that is none: {told:?}");
}

#[tokio::test]
async fn operators_see_what_keys_somebody_has_and_one_that_is_damaged_hides_no_other() {
    let people = people().await;
    assert_eq!(people.done(Method::GET, "/principals/operator", json!({})).await.get("keys"), None, "no provider");
    bob(&people).await;
    let shown = async || people.done(Method::GET, "/principals/bob", json!({})).await["keys"].take();
    assert_eq!(shown().await, json!([]));
    for name in ["", "blue", "green"] {
        let made = another(&people, name).await;
        assert_eq!(made.status, 200, "{}", made.text);
    }
    let keys = shown().await;
    let names: Vec<_> = keys.as_array().expect("a list").iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["Key 1", "blue", "green"]);
    let told = people.told().await;
    let added: Vec<_> = told.iter().filter(|event| event["kind"] == "principal.key_added").collect();
    for (key, event) in keys.as_array().expect("a list").iter().zip(added) {
        assert_eq!(key["key_hash"], event["details"]["key_hash"]);
        assert_eq!((&key["passkey"], &key["usable"], &key["used_at"]), (&json!(false), &json!(true), &Value::Null));
        assert!(key["added_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{key}");
    }
    assert_eq!(keys[0].as_object().map(serde_json::Map::len), Some(6), "no id is shown: {keys}");
    let listed = people.done(Method::GET, "/principals", json!({})).await;
    assert!(listed.as_array().expect("a list").iter().all(|one| one.get("keys").is_none()), "{listed}");
    let database = rusqlite::Connection::open(people.stage.oracle.folder().join("quorate.db")).expect("opened");
    let damage = "UPDATE credentials SET sealed = x'00' WHERE number = (SELECT MIN(number) FROM credentials)";
    assert_eq!(database.execute(damage, []).expect("written"), 1);
    let left = shown().await;
    assert_eq!((left.as_array().map(Vec::len), &left[0]["name"]), (Some(2), &json!("blue")));
    // It goes as the others do, and is told of; one that no row can be goes as well.
    let cut = "UPDATE credentials SET id = x'00' WHERE number = (SELECT MAX(number) FROM credentials)";
    assert_eq!(database.execute(cut, []).expect("written"), 1);
    let names: Vec<_> = shown().await.as_array().expect("a list").iter().map(|key| key["name"].clone()).collect();
    assert_eq!(names, ["blue"]);
    people.done(Method::DELETE, "/principals/bob/multi_factor", json!({})).await;
    let left = database.query_row("SELECT COUNT(*) FROM credentials", [], |row| row.get::<_, i64>(0)).expect("counted");
    assert_eq!(left, 0);
    assert_eq!(people.told_of("principal.key_removed").await, 2);
}

#[tokio::test]
async fn a_wrong_password_is_asked_for_no_key() {
    let people = people().await;
    registered(&people).await;
    for passcode in [json!(null), json!("123456"), json!("key")] {
        let body = json!({ "principal": "bob", "password": "wrong horse", "passcode": passcode });
        assert_eq!(refused(&people.log_in(body).await), (401, "login_refused"));
    }
}

#[tokio::test]
async fn only_the_right_answer_to_its_own_challenge_counts() {
    let people = people().await;
    let mut token = registered(&people).await;
    people.user("ann", "member").await;
    let mut stranger = Token::new(b"the key of bob");
    for case in 0..9 {
        let (options, state) = asked(&people).await;
        let (_, other_state) = asked(&people).await;
        let right = token.get(&options, ORIGIN);
        let (principal, state, credential) = match case {
            0 => ("bob", state, stranger.get(&options, ORIGIN)),
            1 => ("bob", state, token.get(&options, "https://evil.example.com")),
            2 => ("bob", state, token.get_for("example.org", &options, ORIGIN)),
            3 => ("bob", other_state, right),
            4 => ("ann", state, right),
            5 => ("bob", String::new(), right),
            6 => ("bob", state[1..].to_owned(), right),
            7 => ("bob", format!("{state}A"), right),
            _ => ("bob", "A".repeat(3000), right),
        };
        let answer = finish(&people, principal, &state, &credential).await;
        assert_eq!(refused(&answer), (401, "login_refused"), "case {case}");
        // Wrong things lock the name and are forgotten, which is not what is looked at here.
        people.stage.clock.advance(60 * 60 * 1000);
    }
    let (options, state) = asked(&people).await;
    assert_eq!(finish(&people, "bob", &state, &token.get(&options, ORIGIN)).await.status, 200);
}

#[tokio::test]
async fn a_state_ends_in_five_minutes_and_with_what_it_rests_on() {
    let people = people().await;
    let mut token = registered(&people).await;
    let (options, state) = asked(&people).await;
    people.stage.clock.advance(5 * 60 * 1000);
    let late = finish(&people, "bob", &state, &token.get(&options, ORIGIN)).await;
    assert_eq!(refused(&late), (401, "login_refused"));
    let (options, state) = asked(&people).await;
    people.done(Method::POST, "/principals/bob/disable", json!({})).await;
    people.done(Method::POST, "/principals/bob/enable", json!({})).await;
    let answer = token.get(&options, ORIGIN);
    assert_eq!(refused(&finish(&people, "bob", &state, &answer).await), (401, "login_refused"));
    let (options, state) = asked(&people).await;
    people.done(Method::PUT, "/principals/bob/multi_factor", json!({ "provider": "Keys" })).await;
    let answer = token.get(&options, ORIGIN);
    assert_eq!(refused(&finish(&people, "bob", &state, &answer).await), (401, "login_refused"), "assigned anew");
    let without = people.log_in(json!({ "principal": "bob", "password": PASSWORD })).await;
    assert_eq!(refused(&without), (401, "login_refused"), "no key is left, so nobody is let in");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_is_sent_many_times_at_once_counts_once() {
    let people = people().await;
    let mut token = registered(&people).await;
    let (options, state) = asked(&people).await;
    let answer = token.get(&options, ORIGIN);
    let answers = join_all((0..8).map(|_| finish(&people, "bob", &state, &answer))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    // What was right once is no guess: whoever sends it again, or had it stolen, keeps nobody out.
    for _ in 0..12 {
        assert_eq!(refused(&finish(&people, "bob", &state, &answer).await), (401, "login_refused"));
    }
    let (options, state) = asked(&people).await;
    assert_eq!(finish(&people, "bob", &state, &token.get(&options, ORIGIN)).await.status, 200);
}

#[tokio::test]
async fn a_link_takes_no_other_answer_and_a_recovery_code_stands_in() {
    let people = people().await;
    let link = bob(&people).await;
    let options = begin(&people, &link).await["publicKey"].take();
    let token = Token::new(b"the key of bob");
    let path = format!("/enroll/{link}");
    let enrol = async |credential: Value| {
        let body = json!({ "password": PASSWORD, "credential": credential });
        send(people.stage.at(Method::POST, &path).json(&body)).await
    };
    assert_eq!(refused(&enrol(Value::Null).await), (400, "factor_not_confirmed"));
    let elsewhere = token.create(&options, "https://evil.example.com", Format::None);
    assert_eq!(refused(&enrol(elsewhere).await).0, 400);
    let options = begin(&people, &link).await["publicKey"].take();
    let made = enrol(token.create(&options, ORIGIN, Format::None)).await;
    assert_eq!(made.status, 200, "{}", made.text);
    let code = made.json["recovery_codes"][0].as_str().expect("a code");
    let body = json!({ "principal": "bob", "password": PASSWORD, "passcode": code });
    assert_eq!(people.log_in(body.clone()).await.status, 200);
    assert_eq!(refused(&people.log_in(body).await), (401, "login_refused"), "used up");
}

#[tokio::test]
async fn keys_need_a_name_that_they_can_be_bound_to() {
    // The tests' oracle has an address and no name.
    let people = People::new().await;
    let make = async |options: Value| {
        let body = json!({ "Type": "webauthn", "Name": "Keys", "Options": options });
        people.call(Method::POST, "/system/multi_factor", body).await
    };
    for options in [
        json!({}),
        json!({ "Origin": "https://oracle.example.com", "RpId": "example.org" }),
        json!({ "Origin": "http://oracle.example.com" }),
        json!({ "Origin": "https://oracle.example.com/login" }),
        json!({ "RpId": "co.uk", "Origin": "https://x.co.uk" }),
    ] {
        assert_eq!(refused(&make(options.clone()).await).0, 400, "{options}");
    }
    assert_eq!(make(json!({ "RpId": "example.com", "Origin": "https://oracle.example.com" })).await.status, 201);
}

#[tokio::test]
async fn the_oracles_own_api_key_is_nobodys_to_see() {
    let people = people().await;
    registered(&people).await;
    assert_eq!(people.stage.oracle.state().api_keys.list().await.expect("listed").len(), 0);
    let made = people.done(Method::POST, "/principals/bob/link", json!({})).await;
    assert!(link_of(made["link"].as_str().expect("a link")).len() == 43);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_pypi_enrols_and_logs_in() {
    let Some(python) = python("soft-webauthn as a principal's key") else { return };
    let people = people().await;
    let link = bob(&people).await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mfa/people/client.py");
    let mut command = tokio::process::Command::new(python);
    let oracle = format!("http://{}", people.stage.oracle.address());
    command.arg("-B").arg(script).args([&oracle, ORIGIN, &link, PASSWORD]);
    let output = command.env("NO_PROXY", "*").output().await.expect("python runs");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    assert_eq!(out.trim(), "principal/internal/user/bob: ok");
}
