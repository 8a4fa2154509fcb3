//! Links: of the first operator and of everybody else; used once, in time, and by whoever they were made for.

use super::stage::{PASSWORD, People, link_of, refused};
use crate::process::Oracle;
use crate::stage::send;
use futures_util::future::join_all;
use quorate_oracle::service::people::PrincipalName;
use quorate_oracle::testing::TestSetup;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate-oracle");

/// What `init --json` says.
fn init(state: &Path) -> Value {
    let output = Command::new(PROGRAM).env_clear().args(["init", "--json", "--state"]).arg(state).output();
    serde_json::from_slice(&output.expect("it runs").stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_operator_enrols_with_the_link_of_init_and_then_there_is_none() {
    let state = tempfile::tempdir().expect("a folder");
    let first = init(state.path());
    assert_eq!(first["operator"], "principal/internal/user/operator");
    let lost = link_of(first["enroll"].as_str().expect("a link"));
    // As often as it takes, until somebody has used one.
    let link = link_of(init(state.path())["enroll"].as_str().expect("a link"));
    let oracle = Oracle::start(Path::new(PROGRAM), state.path(), &[]);
    // A second installation, by another test of this process, is refused and changes nothing.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post =
        async |path: &str, body: Value| send(http.post(format!("http://{}{path}", oracle.address())).json(&body)).await;
    let password = json!({ "password": PASSWORD });
    assert_eq!(refused(&post(&format!("/enroll/{lost}"), password.clone()).await), (404, "link_unknown"));
    assert_eq!(post(&format!("/enroll/{link}"), password.clone()).await.status, 200);
    let login = post("/login", json!({ "principal": "operator", "password": PASSWORD })).await;
    assert_eq!((login.status.as_u16(), login.json["role"].as_str()), (200, Some("operator")));
    drop(oracle);
    assert_eq!(init(state.path())["enroll"], Value::Null);
    let mut again = Command::new(PROGRAM);
    let output = again.env_clear().args(["init", "--operator", "mallory", "--state"]).arg(state.path()).output();
    let told = String::from_utf8(output.expect("it runs").stderr).expect("text");
    assert!(told.contains("an operator has enrolled") && !told.contains("/enroll/"), "{told}");
}

#[tokio::test]
async fn a_link_serves_once_in_time_and_nobody_else() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let path = |link: &str| format!("/enroll/{link}");
    let post = async |link: &str, password: &str| {
        send(people.stage.at(Method::POST, &path(link)).json(&json!({ "password": password }))).await
    };
    let begun = send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await;
    assert_eq!(begun.json["principal"], "principal/internal/user/bob");
    assert_eq!(begun.json["expires_at"], "2027-01-16T08:00:00Z");
    for weak in ["", "short", "bob", "aaaaaaaaaaaaaaaaaaa"] {
        assert_eq!(refused(&post(&link, weak).await), (400, "weak_password"), "and the link still serves");
    }
    assert_eq!(post(&link, PASSWORD).await.status, 200);
    for used in [link.as_str(), "A", &"A".repeat(43), &"A".repeat(5000), "%00", "\u{fc}"] {
        assert_eq!(refused(&post(used, PASSWORD).await), (404, "link_unknown"), "{used:.10}");
        let looked = send(people.stage.at(Method::POST, &format!("/enroll/{used}/begin"))).await;
        assert_eq!(refused(&looked), (404, "link_unknown"));
    }
    let late = people.invited("late", "member").await;
    people.stage.clock.advance(24 * 60 * 60 * 1000 - 1);
    assert_eq!(send(people.stage.at(Method::POST, &format!("/enroll/{late}/begin"))).await.status, 200);
    people.stage.clock.advance(1);
    assert_eq!(refused(&post(&late, PASSWORD).await), (404, "link_unknown"));
}

#[tokio::test]
async fn a_new_link_replaces_the_one_before_and_sets_a_new_password() {
    let people = People::new().await;
    let ticket = people.user("bob", "member").await;
    let renew = async || {
        let made = people.done(Method::POST, "/principals/bob/link", json!({})).await;
        link_of(made["link"].as_str().expect("a link"))
    };
    let (first, second) = (renew().await, renew().await);
    let enrol = async |link: &str, password: &str| {
        let path = format!("/enroll/{link}");
        send(people.stage.at(Method::POST, &path).json(&json!({ "password": password }))).await
    };
    assert_eq!(refused(&enrol(&first, PASSWORD).await), (404, "link_unknown"));
    assert!(people.knows(&ticket).await, "nothing has changed yet");
    assert_eq!(enrol(&second, "another sentence altogether").await.status, 200);
    assert!(!people.knows(&ticket).await, "a new password ends old logins");
    let login = async |password: &str| people.log_in(json!({ "principal": "bob", "password": password })).await;
    assert_eq!(refused(&login(PASSWORD).await), (401, "login_refused"));
    assert_eq!(login("another sentence altogether").await.status, 200);
    let team = people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    assert_eq!((team.get("link"), team.get("secret")), (None, None));
    let path = "/principals/principal/internal/group/ops/link";
    assert_eq!(refused(&people.call(Method::POST, path, json!({})).await), (400, "not_a_user"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_used_many_times_at_once_counts_once() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let passwords: Vec<String> = (0..12).map(|number| format!("the password of racer {number}")).collect();
    let racers = passwords.iter().map(|password| {
        let request = people.stage.at(Method::POST, &format!("/enroll/{link}"));
        send(request.json(&json!({ "password": password })))
    });
    let answers = join_all(racers).await;
    let winners: Vec<_> = (0..12).filter(|number| answers[*number].status == 200).collect();
    assert_eq!(winners.len(), 1);
    let login = people.log_in(json!({ "principal": "bob", "password": passwords[winners[0]] })).await;
    assert_eq!(login.status, 200, "the password of the one who won");
}

#[tokio::test]
async fn a_factor_is_confirmed_when_its_user_enrols() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let (assigned, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    let begun = send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await.json;
    assert_eq!(begun["otpauth_uri"], assigned["otpauth_uri"], "{begun}");
    assert_eq!(begun["provider"]["Name"], "TotpDemoConfig");
    let path = format!("/enroll/{link}");
    for body in [
        json!({ "password": PASSWORD }),
        json!({ "password": PASSWORD, "passcode": "" }),
        json!({ "password": PASSWORD, "passcode": "000000" }),
        json!({ "password": PASSWORD, "passcode": people.code(&secret, -2) }),
    ] {
        let answer = send(people.stage.at(Method::POST, &path).json(&body)).await;
        assert_eq!(refused(&answer), (400, "factor_not_confirmed"), "{body}");
    }
    let code = people.code(&secret, 0);
    let made = people.enrol(&link, json!({ "password": PASSWORD, "passcode": code })).await;
    assert_eq!(made["recovery_codes"].as_array().map(Vec::len), Some(10));
    let login = async |passcode: &str| {
        people.log_in(json!({ "principal": "bob", "password": PASSWORD, "passcode": passcode })).await
    };
    assert_eq!(refused(&login(&code).await), (401, "login_refused"), "the code has counted");
    assert_eq!(assigned["recovery_codes"], json!([]), "whoever has to enrol gets theirs then");
    assert_eq!(login(&people.code(&secret, 1)).await.status, 200);
    // A link for a new password shows nobody the key of the factor in use.
    let renewed = people.done(Method::POST, "/principals/bob/link", json!({})).await;
    let path = format!("/enroll/{}/begin", link_of(renewed["link"].as_str().expect("a link")));
    let begun = send(people.stage.at(Method::POST, &path)).await.json;
    assert_eq!((begun["provider"]["Name"].as_str(), begun.get("otpauth_uri")), (Some("TotpDemoConfig"), None));
    assert_eq!(login(made["recovery_codes"][3].as_str().expect("a code")).await.status, 200);
}

#[tokio::test]
async fn a_code_is_not_guessed_with_a_link_and_its_user_is_not_kept_out() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let (_, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    let login = json!({ "principal": "bob", "password": PASSWORD, "passcode": people.code(&secret, 0) });
    assert_eq!(people.log_in(login.clone()).await.status, 200);
    let renewed = people.done(Method::POST, "/principals/bob/link", json!({})).await;
    let path = format!("/enroll/{}", link_of(renewed["link"].as_str().expect("a link")));
    let enrol = async |passcode: &str| {
        let body = json!({ "password": "another sentence altogether", "passcode": passcode });
        send(people.stage.at(Method::POST, &path).json(&body)).await
    };
    // Others who fail to log in under the name do not keep its user from the link.
    for _ in 0..5 {
        let wrong = json!({ "principal": "bob", "password": "wrong" });
        assert_eq!(refused(&people.log_in(wrong).await), (401, "login_refused"));
    }
    assert_eq!(refused(&people.log_in(login).await), (429, "login_locked"));
    for _ in 0..5 {
        assert_eq!(refused(&enrol("000000").await), (400, "factor_not_confirmed"));
    }
    let right = people.code(&secret, 1);
    assert_eq!(refused(&enrol(&right).await), (429, "login_locked"), "a right code is not told from a wrong one");
    people.stage.clock.advance(30_000);
    assert_eq!(enrol(&right).await.status, 200);
    let told = people.told().await;
    let guesses = told.iter().filter(|event| event["details"]["reason"] == "wrong code for a link");
    assert_eq!(guesses.count(), 5);
}

#[tokio::test]
async fn another_name_is_the_same_first_operator() {
    let stage = crate::stage::Stage::with(super::stage::cheap(TestSetup::default())).await;
    let service = &stage.oracle.state().people;
    let name = |text: &str| PrincipalName::parse(text).expect("a name");
    let typo = service.first_operator(&name("amn")).await.expect("made").expect("a link");
    service.first_operator(&name("ann")).await.expect("made").expect("a link");
    let names: Vec<_> = service.principals().await.expect("read").into_iter().map(|shown| shown.name).collect();
    assert_eq!(names, [name("ann")]);
    let enrolled =
        send(stage.at(Method::POST, &format!("/enroll/{}", link_of(&typo.url))).json(&json!({ "password": PASSWORD })));
    assert_eq!(refused(&enrolled.await), (404, "link_unknown"));
}

#[tokio::test]
async fn without_the_factor_the_old_password_lets_nobody_in() {
    let people = People::new().await;
    people.user("bob", "member").await;
    people.assign_totp("bob", "TotpDemoConfig").await;
    people.done(Method::POST, "/principals/bob/disable", json!({})).await;
    let name = PrincipalName::parse("bob").expect("a name");
    let link = people.stage.oracle.state().people.recover(&name, true).await.expect("a link");
    let login = json!({ "principal": "bob", "password": PASSWORD });
    assert_eq!(refused(&people.log_in(login.clone()).await), (401, "login_refused"));
    people.enrol(&link_of(&link.url), json!({ "password": PASSWORD })).await;
    assert_eq!(people.log_in(login).await.status, 200, "and is no longer disabled");
}

#[tokio::test]
async fn the_name_of_the_first_operator_is_checked() {
    let people = People::new().await;
    let name = PrincipalName::parse("another").expect("a name");
    assert!(people.stage.oracle.state().people.first_operator(&name).await.expect("asked").is_none());
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(PROGRAM);
    let output = command.env_clear().args(["init", "--operator", "b\u{202e}ob", "--state"]).arg(folder.path()).output();
    assert_eq!(output.expect("it runs").status.code(), Some(1));
    assert!(!folder.path().join("root.secret").exists(), "nothing was made for it");
}
