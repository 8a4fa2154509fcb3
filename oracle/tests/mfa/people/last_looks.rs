//! What takes its time is looked at again where it is written: whoever is dismissed, logged out or removed while a quorum is opened, a
//! plan is run or a key is checked gets nothing of it. The one thread for cryptography is held until that has happened.

use super::scene::{Scene, asked, named};
use super::stage::{People, refused};
use crate::stage::{Answer, send};
use crate::support::Asked;
use quorate_oracle::memory::pool::CryptoPool;
use quorate_oracle::testing::{TestOracle, TestSetup};
use quorate_protocol::invite::Purpose;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;

/// Holds the oracle's one thread for cryptography until it is dropped.
pub struct Gate {
    pool: Arc<CryptoPool>,
    _open: mpsc::Sender<()>,
}

impl Gate {
    /// Settings of an oracle with one such thread.
    pub fn one_thread(setup: TestSetup) -> TestSetup {
        setup.set("crypto.threads", "1")
    }

    /// Holds the thread from now on.
    pub async fn closed(oracle: &TestOracle) -> Self {
        let (gate, has_begun) = Self::queued(oracle);
        has_begun.await.expect("the thread is free");
        gate
    }

    /// Holds the thread once what waits for it before this is done; the other end hears when it does.
    fn queued(oracle: &TestOracle) -> (Self, oneshot::Receiver<()>) {
        let pool = Arc::clone(&oracle.state().crypto);
        let ((open, opened), (begun, has_begun)) = (mpsc::channel::<()>(), oneshot::channel());
        let job = move || {
            let _nobody_listens = begun.send(());
            let _opened = opened.recv();
        };
        let held = Arc::clone(&pool);
        tokio::spawn(async move { held.run(job).await });
        (Self { pool, _open: open }, has_begun)
    }

    /// Returns when that many jobs wait behind it.
    pub async fn holds(&self, jobs: usize) {
        let all_there = async {
            while self.pool.waiting() < jobs {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), all_there).await.expect("they come to the gate");
    }
}

/// A scene with one such thread, whose user four may ask.
async fn scene() -> Scene {
    let scene = Scene::of(People::with(Gate::one_thread(named())).await).await;
    let path = format!("/groups/{}/applicants", scene.deal.group.name());
    scene.people.done(Method::POST, &path, json!({ "add": ["four"] })).await;
    scene
}

/// What a user sends for a session's code or redeal.
fn wanted(scene: &Scene, number: usize, asked: &Asked, what: &str) -> RequestBuilder {
    let kek = json!({ "kek": asked.credentials.kek.as_str() });
    scene.people.request(scene.ticket(number), Method::POST, &asked.path(what)).json(&kek)
}

/// Sends that, and has the operator do something when it has been let in and before anything is opened.
async fn overtaken(scene: &Scene, request: RequestBuilder, done: impl Future<Output = ()>) -> Answer {
    let gate = Gate::closed(&scene.people.stage.oracle).await;
    let answer = tokio::spawn(send(request));
    gate.holds(1).await;
    done.await;
    drop(gate);
    answer.await.expect("an answer")
}

async fn call(scene: &Scene, method: Method, path: &str, body: Value) {
    scene.people.done(method, path, body).await;
}

async fn log_out_everywhere(scene: &Scene, number: usize) {
    let request = scene.people.request(scene.ticket(number), Method::POST, "/logout");
    assert_eq!(send(request.json(&json!({ "everywhere": true }))).await.status, 204);
}

#[tokio::test]
async fn no_code_for_whoever_is_dismissed_while_the_quorum_is_opened() {
    let mut scene = scene().await;
    let group = scene.deal.group.name().to_string();
    let body = json!({ "group": group, "reason": "the pager is on fire" });
    let session = asked(&scene.post(4, "/sessions", &body).await);
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    let applicants = format!("/groups/{group}/applicants");
    let code = || wanted(&scene, 4, &session, "totp");
    let removed = call(&scene, Method::POST, &applicants, json!({ "remove": ["four"] }));
    assert_eq!(refused(&overtaken(&scene, code(), removed).await), (403, "may_not_ask"));
    call(&scene, Method::POST, &applicants, json!({ "add": ["four"] })).await;
    assert_eq!(refused(&overtaken(&scene, code(), log_out_everywhere(&scene, 4)).await), (403, "may_not_ask"));
    scene.log_in_again(4).await;
    let disabled = call(&scene, Method::POST, "/principals/four/disable", json!({}));
    let answer = overtaken(&scene, wanted(&scene, 4, &session, "totp"), disabled).await;
    assert_eq!(refused(&answer), (403, "may_not_ask"));
    assert_eq!(scene.people.told_of("session.code").await, 0);
    call(&scene, Method::POST, "/principals/four/enable", json!({})).await;
    scene.log_in_again(4).await;
    assert_eq!(overtaken(&scene, wanted(&scene, 4, &session, "totp"), async {}).await.status, 200);
    assert_eq!(scene.people.told_of("session.code").await, 1);
}

#[tokio::test]
async fn no_redeal_for_whoever_is_dismissed_while_it_runs() {
    let mut scene = scene().await;
    let session = asked(&scene.post(1, "/sessions", &scene.request_for(1, Purpose::Redeal)).await);
    scene.join(&session, 2).await;
    scene.join(&session, 3).await;
    let disabled = call(&scene, Method::POST, "/principals/one/disable", json!({}));
    let answer = overtaken(&scene, wanted(&scene, 1, &session, "redeal"), disabled).await;
    assert_eq!(refused(&answer), (403, "not_the_holder"));
    call(&scene, Method::POST, "/principals/one/enable", json!({})).await;
    scene.log_in_again(1).await;
    let elsewhere = log_out_everywhere(&scene, 1);
    let answer = overtaken(&scene, wanted(&scene, 1, &session, "redeal"), elsewhere).await;
    assert_eq!(refused(&answer), (403, "not_the_holder"));
    scene.log_in_again(1).await;
    let members = format!("/groups/{}/members", scene.deal.group.name());
    let moved = call(&scene, Method::PUT, &members, json!({ "members": { "player 2": "two", "player 3": "three" } }));
    let answer = overtaken(&scene, wanted(&scene, 1, &session, "redeal"), moved).await;
    assert_eq!(refused(&answer), (403, "not_the_holder"));
    let fetched = scene.people.request("", Method::GET, &session.path("redeal"));
    let fetched = send(fetched.header("quorate-invite", session.invite.view_token())).await;
    assert_eq!(refused(&fetched), (400, "invalid_request"), "nothing has come of it");
    scene.stand(json!({ "player 1": "one", "player 2": "two", "player 3": "three" })).await;
    assert_eq!(overtaken(&scene, wanted(&scene, 1, &session, "redeal"), async {}).await.status, 200);
}

#[tokio::test]
async fn an_approval_that_ends_while_the_quorum_is_opened_does_not_count() {
    let mut scene = scene().await;
    for (what, purpose) in [("totp", Purpose::Code), ("redeal", Purpose::Redeal)] {
        let session = asked(&scene.post(1, "/sessions", &scene.request_for(1, purpose)).await);
        scene.join(&session, 1).await;
        scene.join(&session, 2).await;
        let oracle = &scene.people.stage.oracle;
        let first = Gate::closed(oracle).await;
        let answer = tokio::spawn(send(wanted(&scene, 1, &session, what)));
        first.holds(1).await;
        let (second, it_holds) = Gate::queued(oracle);
        first.holds(2).await;
        drop(first);
        it_holds.await.expect("the KEK has been looked at");
        // The approvals are counted by now, and what they approved waits to be opened.
        second.holds(1).await;
        call(&scene, Method::POST, "/principals/two/disable", json!({})).await;
        drop(second);
        assert_eq!(refused(&answer.await.expect("an answer")), (409, "not_quorate"), "{what}");
        call(&scene, Method::POST, "/principals/two/enable", json!({})).await;
        scene.log_in_again(2).await;
        // Whoever else approves is as good as they were.
        scene.join(&session, 3).await;
        assert_eq!(send(wanted(&scene, 1, &session, what)).await.status, 200, "{what}");
    }
}
