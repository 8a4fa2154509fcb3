//! An oracle that asks for a security key at each approval: the key signs for this session, this player and this Toc, at that
//! moment, once.

use super::scene::{Scene, named};
use super::stage::{PASSWORD, People, cheap, refused};
use crate::peers::python;
use crate::stage::{Answer, Stage};
use crate::support::Asked;
use crate::token::{Format, Token};
use quorate_oracle::config::Config;
use quorate_protocol::api::AddToc;
use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};

const ORIGIN: &str = "https://oracle.example.com";

/// The scene of an oracle that asks for keys; `one` and `two` have one each.
pub async fn scene() -> (Scene, [Token; 2]) {
    let setup = named().set("sessions.approve_with", "webauthn").set("url", ORIGIN);
    let mut scene = Scene::of(People::on(Stage::with(cheap(setup)).await).await).await;
    scene.people.done(Method::POST, "/system/multi_factor", json!({ "Type": "webauthn", "Name": "Keys" })).await;
    let mut tokens = Vec::new();
    for (name, number) in [("one", 1), ("two", 2)] {
        let link = link(&scene, name).await;
        let begun = scene.people.stage.at(Method::POST, &format!("/enroll/{link}/begin"));
        let options = crate::stage::send(begun).await.json["publicKey"].take();
        let mut token = Token::new(name.as_bytes());
        let created = token.create(&options, ORIGIN, Format::None);
        scene.people.enrol(&link, json!({ "password": PASSWORD, "credential": created })).await;
        let asked = scene.people.log_in(json!({ "principal": name, "password": PASSWORD })).await;
        let credential = token.get(&asked.json["publicKey"], ORIGIN);
        let answer = json!({ "principal": name, "state": asked.json["state"], "credential": credential });
        scene.tickets[number - 1] = super::stage::ticket_of(&scene.people.log_in(answer).await);
        tokens.push(token);
    }
    (scene, tokens.try_into().ok().expect("two"))
}

/// Assigns the provider of keys to a user, and gives a link with which they enrol.
async fn link(scene: &Scene, name: &str) -> String {
    let path = format!("/principals/{name}/multi_factor");
    scene.people.done(Method::PUT, &path, json!({ "provider": "Keys" })).await;
    let made = scene.people.done(Method::POST, &format!("/principals/{name}/link"), json!({})).await;
    super::stage::link_of(made["link"].as_str().expect("a link"))
}

/// What player `x` sends, and the challenge for it.
async fn challenged(scene: &Scene, asked: &Asked, x: usize) -> (AddToc, Value) {
    let approval = asked.approval(&scene.deal.tocs[x - 1]);
    let answer = scene.post(x, &asked.path("tocs"), &approval).await;
    assert_eq!(refused(&answer), (401, "second_factor_required"), "{}", answer.text);
    (approval, answer.json)
}

/// The same again with what a key answers.
async fn answered(
    scene: &Scene,
    asked: &Asked,
    number: usize,
    approval: &AddToc,
    state: &Value,
    credential: &Value,
) -> Answer {
    let mut body = serde_json::to_value(approval).expect("JSON");
    body["state"] = state.clone();
    body["credential"] = credential.clone();
    scene.post(number, &asked.path("tocs"), &body).await
}

#[tokio::test]
async fn an_approval_takes_a_key_at_that_moment() {
    let (scene, [mut one, mut two]) = scene().await;
    let asked = scene.ask().await;
    for (x, token) in [(1, &mut one), (2, &mut two)] {
        let (approval, required) = challenged(&scene, &asked, x).await;
        let credential = token.get(&required["publicKey"], ORIGIN);
        let answer = answered(&scene, &asked, x, &approval, &required["state"], &credential).await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
        let again = answered(&scene, &asked, x, &approval, &required["state"], &credential).await;
        assert_eq!(refused(&again), (403, "assertion_refused"), "an answer counts once");
    }
    let details = scene.look(&asked).await["details"].take();
    let with: Vec<_> = details["approvals"].as_array().expect("a list").iter().map(|it| it["with"].clone()).collect();
    assert_eq!(with, [json!("webauthn"), json!("webauthn")]);
    assert_eq!(scene.code_as(1, &asked).await.status, 200);
}

#[tokio::test]
async fn a_key_signs_for_one_session_one_player_and_one_toc() {
    let (scene, [mut one, mut two]) = scene().await;
    let (asked, other) = (scene.ask().await, scene.ask().await);
    let (approval, required) = challenged(&scene, &asked, 1).await;
    let credential = one.get(&required["publicKey"], ORIGIN);
    let state = &required["state"];
    let elsewhere = other.approval(&scene.deal.tocs[0]);
    let answer = answered(&scene, &other, 1, &elsewhere, state, &credential).await;
    assert_eq!(refused(&answer), (403, "assertion_refused"), "another session");
    let fresh = asked.approval(&scene.deal.tocs[0]);
    let answer = answered(&scene, &asked, 1, &fresh, state, &credential).await;
    assert_eq!(refused(&answer), (403, "assertion_refused"), "another Toc");
    let (theirs, required) = challenged(&scene, &asked, 2).await;
    let answer = answered(&scene, &asked, 2, &theirs, state, &credential).await;
    assert_eq!(refused(&answer), (403, "assertion_refused"), "another player");
    let answer = answered(&scene, &asked, 2, &theirs, &required["state"], &credential).await;
    assert_eq!(refused(&answer), (403, "assertion_refused"), "another one's answer");
    let not_mine = one.get(&required["publicKey"], ORIGIN);
    let answer = answered(&scene, &asked, 2, &theirs, &required["state"], &not_mine).await;
    assert_eq!(refused(&answer), (403, "assertion_refused"), "another one's key");
    let elsewhere = two.get(&required["publicKey"], "https://evil.example.com");
    let answer = answered(&scene, &asked, 2, &theirs, &required["state"], &elsewhere).await;
    assert_eq!(refused(&answer), (403, "assertion_refused"), "another page");
    for state in [json!("x"), json!("")] {
        let answer = answered(&scene, &asked, 1, &approval, &state, &credential).await;
        assert_eq!(refused(&answer), (403, "assertion_refused"), "no state");
    }
    // None of that has used up the right answer.
    assert_eq!(scene.look(&asked).await["tocs_provided"], 0);
    let answer = answered(&scene, &asked, 1, &approval, state, &credential).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
}

#[tokio::test]
async fn a_challenge_ends_and_a_login_is_no_approval() {
    let (scene, [mut one, _]) = scene().await;
    let asked = scene.ask().await;
    let (approval, required) = challenged(&scene, &asked, 1).await;
    let login = scene.people.log_in(json!({ "principal": "one", "password": PASSWORD })).await;
    let of_login = one.get(&login.json["publicKey"], ORIGIN);
    for state in [&required["state"], &login.json["state"]] {
        let answer = answered(&scene, &asked, 1, &approval, state, &of_login).await;
        assert_eq!(refused(&answer), (403, "assertion_refused"));
    }
    let credential = one.get(&required["publicKey"], ORIGIN);
    let body = json!({ "principal": "one", "state": login.json["state"], "credential": credential });
    assert_eq!(refused(&scene.people.log_in(body).await), (401, "login_refused"), "and an approval is no login");
    scene.people.stage.clock.advance(5 * 60 * 1000);
    let answer = answered(&scene, &asked, 1, &approval, &required["state"], &credential).await;
    assert_eq!(refused(&answer), (403, "assertion_refused"), "too late");
}

#[tokio::test]
async fn who_has_no_key_approves_nothing_and_a_toc_in_the_request_is_refused() {
    let (scene, _) = scene().await;
    let asked = scene.ask().await;
    assert_eq!(refused(&scene.join_as(3, &asked, 3).await), (403, "no_security_key"));
    let toc: Value = serde_json::from_slice(&scene.deal.tocs[0].to_json()).expect("JSON");
    let answer = scene.post(1, "/sessions", &json!({ "toc_zero": toc })).await;
    assert_eq!(refused(&answer), (400, "invalid_request"));
    let alone = [("state", "x".to_owned()), ("sessions.approve_with", "webauthn".to_owned())];
    let error = Config::load(None, |_| None, &alone).expect_err("keys without logins");
    assert!(error.to_string().contains("sessions.require_login"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_of_pypi_approves_with_its_key() {
    let Some(python) = python("soft-webauthn as the key of an approval") else { return };
    let (mut scene, [mut one, _]) = scene().await;
    let link = link(&scene, "three").await;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mfa/people/approver.py");
    let mut command = tokio::process::Command::new(python);
    let oracle = format!("http://{}", scene.people.stage.oracle.address());
    command.arg("-B").arg(script).args([&oracle, ORIGIN, &link, "three", PASSWORD]).env("NO_PROXY", "*");
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().expect("python runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    scene.tickets[2] = lines.next_line().await.expect("read").expect("a ticket");
    let asked = scene.ask().await;
    let body = asked.approval(&scene.deal.tocs[2]);
    let order = json!({ "path": asked.path("tocs"), "body": body }).to_string() + "\n";
    child.stdin.take().expect("piped").write_all(order.as_bytes()).await.expect("it reads");
    let said = lines.next_line().await.expect("read");
    assert_eq!(said.as_deref(), Some("200 403 assertion_refused"));
    assert!(child.wait().await.expect("it ends").success());
    let (approval, required) = challenged(&scene, &asked, 1).await;
    let credential = one.get(&required["publicKey"], ORIGIN);
    assert_eq!(answered(&scene, &asked, 1, &approval, &required["state"], &credential).await.status, 200);
    assert_eq!(scene.code_as(1, &asked).await.status, 200);
}
