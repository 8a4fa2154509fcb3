//! Every route of the oracle as its clients see it: success, each refusal, missing credentials, wrong methods. The answers
//! stand in `snapshots/`; a change there is a change of the interface. `INSTA_UPDATE=always` writes them anew.

#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use insta::assert_json_snapshot;
use quorate_oracle::testing::TestSetup;
use quorate_protocol::api::Redeal;
use quorate_protocol::invite::Purpose;
use quorate_protocol::plan::Plan;
use quorate_protocol::proof::{receipt_message, sign};
use quorate_protocol::sealing::age_open;
use quorate_protocol::session::Kek;
use quorate_protocol::toc::{Toc, WholeToc};
use reqwest::RequestBuilder;
use serde::Serialize;
use serde_json::{Value, json};
use support::case::Case;
use support::{Asked, Court, dealt, plan, plan_of, planned, signed_request};

/// An oracle, a group of 2 of 3, and what has been asked of it.
struct Script {
    court: Court,
    cases: Vec<Case>,
}

impl Script {
    async fn new() -> Self {
        Self::with(TestSetup::default()).await
    }

    async fn with(setup: TestSetup) -> Self {
        let court = Court::with(setup.set("url", "https://oracle.test"), 2, 3).await;
        Self { court, cases: Vec::new() }
    }

    /// A request to `path` of this oracle.
    fn at(&self, method: &str, path: &str) -> RequestBuilder {
        let method = method.parse().expect("a method");
        self.court.http.request(method, format!("http://{}{path}", self.court.oracle.address()))
    }

    async fn case(&mut self, what: &str, request: RequestBuilder) -> Value {
        let id = |part: &str| quorate_protocol::session::is_session_id(part).then_some("{id}");
        self.cases.push(Case::of(what, request, id).await);
        self.cases.last().expect("just pushed").body.clone()
    }

    async fn post(&mut self, what: &str, path: &str, body: &impl Serialize) -> Value {
        self.case(what, self.at("POST", path).json(body)).await
    }

    /// What every route refuses in the same words, and no session that is not there.
    async fn usual(&mut self, method: &str, path: &str, wrong: &str) {
        let unknown = path.replace("{id}", &"A".repeat(32));
        self.case("wrong method", self.at(wrong, &unknown)).await;
        if method == "POST" {
            let request = self.at(method, &unknown).header("content-type", "text/plain").body("kek=1");
            self.case("another content type", request).await;
            self.case("no JSON", self.at(method, &unknown).body("{")).await;
            self.case("a list", self.post_text(&unknown, "[]")).await;
            self.case("too large", self.post_text(&unknown, &" ".repeat(129 * 1024))).await;
        }
    }

    fn post_text(&self, path: &str, body: &str) -> RequestBuilder {
        self.at("POST", path).header("content-type", "application/json").body(body.to_owned())
    }

    async fn ask(&self) -> Asked {
        let request = self.court.request(1, Purpose::Code, None);
        self.court.clock.advance(1_000);
        self.started(&request).await
    }

    async fn started(&self, request: &impl Serialize) -> Asked {
        let answer = self.at("POST", "/sessions").json(request).send().await.expect("an answer");
        support::Answer::read(answer).await.asked()
    }

    async fn join(&self, asked: &Asked, x: usize) {
        let body = asked.approval(&self.court.deal.tocs[x - 1]);
        let answer = self.at("POST", &asked.path("tocs")).json(&body).send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
    }

    async fn quorate(&self) -> Asked {
        let asked = self.ask().await;
        self.join(&asked, 1).await;
        self.join(&asked, 2).await;
        asked
    }

    /// Sessions that are over, one of each sort: why, and the session.
    async fn over(&self) -> Vec<(&'static str, Asked)> {
        let cancelled = self.ask().await;
        let cancel = self.at("DELETE", &path_of(&cancelled)).bearer_auth(cancel_token(&cancelled));
        assert_eq!(cancel.send().await.expect("an answer").status(), 204);
        // Failures are counted where shares could be probed: in a group that farMFA dealt.
        let share = "5Ovpu-PKEeYXx5ebiQhzU_AT0Z79POf8GGkskDp3its=urkBkVXr-pYjIvTt1ch2YJILCScAoRquLoX_VBxxps4=";
        let zero =
            json!({ "group_id": "J7UHQPZK", "group_size": 3, "group_threshold": 2, "toc_id": "x", "share": share });
        let sent = self.at("POST", "/sessions").json(&json!({ "toc_zero": zero })).send().await.expect("an answer");
        let exhausted = support::Answer::read(sent).await.asked();
        for round in 0..16 {
            let junk = Asked::unproved(exhausted.encrypt(format!("junk {round}").as_bytes()));
            for (what, body) in [("tocs", json!(junk)), ("totp", kek(&exhausted))] {
                self.at("POST", &exhausted.path(what)).json(&body).send().await.expect("an answer");
            }
        }
        let expired = self.ask().await;
        self.court.clock.advance(3_600_000);
        vec![("cancelled", cancelled), ("exhausted", exhausted), ("expired", expired)]
    }

    /// Compares what was answered with what stands in the file, but for what is drawn anew in each run.
    fn snapshot(self, name: &str) {
        assert_json_snapshot!(name, self.cases, {
            ".**.id" => "[id]",
            ".**.toc_group_id" => "[group id]",
            ".**.tek" => "[tek]",
            ".**.kek" => "[kek]",
            ".**.invite" => "[invite]",
            ".**.group" => "[group]",
            ".**.encrypted_toc" => "[encrypted]",
            ".**.root_key" => "[key]",
            ".**.fingerprint" => "[fingerprint]",
            ".**.certificates" => "[certificates]",
        });
    }
}

fn path_of(asked: &Asked) -> String {
    format!("/sessions/{}", asked.id())
}

fn kek(asked: &Asked) -> Value {
    json!({ "kek": asked.credentials.kek.as_str() })
}

fn cancel_token(asked: &Asked) -> String {
    Kek::from_base64(&asked.credentials.kek).expect("a KEK").cancel_token().to_string()
}

#[tokio::test]
async fn start() {
    let mut script = Script::with(TestSetup::default().set("sessions.open_per_source", "3")).await;
    let court = &script.court;
    let (deal, now) = (dealt(1, 2, 3), court.clock_seconds());
    let toc: Value = serde_json::from_slice(&deal.tocs[0].to_json()).expect("JSON");
    let ours = json!(court.request(1, Purpose::Code, None));
    script.post("header, sealed part and proof", "/sessions", &ours).await;
    script.post("the same proof again", "/sessions", &ours).await;
    script.post("farMFA's way", "/sessions", &json!({ "toc_zero": toc, "ttl": 600 })).await;
    let good = plan(deal.group.name(), 2, &["ann", "ben"]);
    let redeal = json!(script.court.request(1, Purpose::Redeal, Some(&good)));
    script.post("a redeal", "/sessions", &redeal).await;
    script.post("one more from this address", "/sessions", &json!({ "toc_zero": toc })).await;

    let url = script.court.oracle.url("");
    let changed = |field: &str, value: Value| {
        let mut changed = json!(signed_request(&url, &deal.tocs[0], Purpose::Code, None, "a new one", now));
        changed[field] = value;
        changed
    };
    script.post("nothing", "/sessions", &json!({})).await;
    script.post("both ways at once", "/sessions", &changed("toc_zero", toc.clone())).await;
    script.post("ttl out of range", "/sessions", &changed("ttl", 59.into())).await;
    script.post("another reason than signed", "/sessions", &changed("reason", "another".into())).await;
    let old = signed_request(&url, &deal.tocs[0], Purpose::Code, None, "", now - 121);
    script.post("an old proof", "/sessions", &old).await;
    script.post("no header", "/sessions", &changed("header", "e30=".into())).await;
    let mut no_plan = redeal.clone();
    no_plan["plan"] = "e30=".into();
    script.post("no plan", "/sessions", &no_plan).await;
    let mut lowered = toc.clone();
    lowered["group_threshold"] = 1.into();
    script.post("a changed Toc", "/sessions", &json!({ "toc_zero": lowered })).await;
    script.post("a field of another kind", "/sessions", &json!({ "reason": 7 })).await;
    let elsewhere = elsewhere();
    let request = signed_request(&url, &elsewhere, Purpose::Code, None, "", now);
    script.post("a group of another oracle", "/sessions", &request).await;
    script.usual("POST", "/sessions", "PUT").await;
    script.court.clock.advance(200 * 24 * 3_600_000);
    script.post("no valid certificate", "/sessions", &json!({ "toc_zero": toc })).await;
    script.snapshot("start");
}

/// A Toc whose header pins an oracle that is not the one under test.
fn elsewhere() -> WholeToc {
    use quorate_protocol::deal::{DealRequest, deal};
    use quorate_protocol::header::OraclePin;
    use quorate_protocol::otp::OtpSecret;
    // The base point of the curve: a key that nobody has.
    let root_key = [&[0x58][..], &[0x66; 31]].concat().into();
    let request = DealRequest {
        secret: &OtpSecret::from_uri(support::URI).expect("a URI"),
        threshold: 2,
        holders: &["ann".to_owned(), "ben".to_owned()],
        note: "",
        dealt_at: support::NOW,
        oracle: Some(OraclePin { url: "https://elsewhere.test".to_owned(), root_key }),
        replaces: None,
    };
    deal(&request, &mut rand::rng()).expect("dealt").tocs.remove(0)
}

#[tokio::test]
async fn look() {
    let mut script = Script::new().await;
    let asked = script.quorate().await;
    let path = path_of(&asked);
    script.case("with the id alone", script.at("GET", &path)).await;
    let token = asked.invite.view_token();
    script.case("with the invite's token", script.at("GET", &path).header("quorate-invite", &token)).await;
    script.case("with another token", script.at("GET", &path).header("quorate-invite", "AAAA")).await;
    script.case("unknown", script.at("GET", &format!("/sessions/{}", "A".repeat(32)))).await;
    script.case("no id at all", script.at("GET", "/sessions/1")).await;
    for (what, asked) in script.over().await {
        script.case(what, script.at("GET", &path_of(&asked))).await;
    }
    script.usual("GET", "/sessions/{id}", "PATCH").await;
    script.snapshot("look");
}

#[tokio::test]
async fn cancel() {
    let mut script = Script::new().await;
    let asked = script.quorate().await;
    let path = path_of(&asked);
    script.case("without the token", script.at("DELETE", &path)).await;
    script.case("with the KEK instead", script.at("DELETE", &path).bearer_auth(&*asked.credentials.kek)).await;
    let token = cancel_token(&asked);
    script.case("unknown", script.at("DELETE", &format!("/sessions/{}", "A".repeat(32))).bearer_auth(&token)).await;
    script.case("with the token", script.at("DELETE", &path).bearer_auth(&token)).await;
    script.case("again", script.at("DELETE", &path).bearer_auth(&token)).await;
    script.snapshot("cancel");
}

#[tokio::test]
async fn join() {
    let mut script = Script::new().await;
    let asked = script.ask().await;
    let (path, tocs) = (asked.path("tocs"), script.court.deal.tocs.clone());
    let approval = asked.approval(&tocs[0]);
    script.post("with a proof", &path, &approval).await;
    script.post("the same again", &path, &approval).await;
    script.post("without a proof", &path, &Asked::unproved(asked.encrypt(&tocs[1].to_json()))).await;
    script.post("in the clear", &path, &Asked::unproved("a Toc".to_owned())).await;
    let mut other = asked.approval(&tocs[1]);
    other.x = Some(3);
    script.post("another player's proof", &path, &other).await;
    other.x = None;
    script.post("a proof of nobody", &path, &other).await;
    for number in 0..5 {
        let junk = Asked::unproved(asked.encrypt(format!("junk {number}").as_bytes()));
        let request = script.at("POST", &path).json(&junk);
        assert_eq!(request.send().await.expect("an answer").status(), 200);
    }
    script.post("too many without a proof", &path, &Asked::unproved(asked.encrypt(b"one more"))).await;
    script.post("to an unknown session", &format!("/sessions/{}/tocs", "A".repeat(32)), &approval).await;
    for (what, asked) in script.over().await {
        script.post(what, &asked.path("tocs"), &asked.approval(&tocs[2])).await;
    }
    script.usual("POST", "/sessions/{id}/tocs", "GET").await;
    script.snapshot("join");
}

#[tokio::test]
async fn deny() {
    let mut script = Script::new().await;
    let asked = script.ask().await;
    let (path, tocs) = (asked.path("denials"), script.court.deal.tocs.clone());
    let denial = asked.denial(&tocs[1], "not at night");
    script.post("a signed no", &path, &denial).await;
    script.post("the same again", &path, &denial).await;
    let mut changed = denial.clone();
    changed.reason = "at any time".to_owned();
    script.post("another reason than signed", &path, &changed).await;
    changed.reason = "x".repeat(1025);
    script.post("a long reason", &path, &changed).await;
    let farmfa = script.started(&json!({ "toc_zero": farmfa_toc() })).await;
    script.post("a group of farMFA's", &farmfa.path("denials"), &denial).await;
    script.post("to an unknown session", &format!("/sessions/{}/denials", "A".repeat(32)), &denial).await;
    for (what, asked) in script.over().await {
        script.post(what, &asked.path("denials"), &asked.denial(&tocs[2], "")).await;
    }
    script.usual("POST", "/sessions/{id}/denials", "GET").await;
    script.snapshot("deny");
}

fn farmfa_toc() -> Value {
    json!({ "group_id": "J7UHQPZK", "group_size": 5, "group_threshold": 2, "note": "", "toc_id": "toc",
            "share": "C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ" })
}

#[tokio::test]
async fn code() {
    let mut script = Script::new().await;
    let tocs = script.court.deal.tocs.clone();
    let asked = script.ask().await;
    let path = asked.path("totp");
    script.post("too early", &path, &kek(&asked)).await;
    script.join(&asked, 1).await;
    let lie = asked.proved(&tocs[1], asked.encrypt(b"a lie"));
    assert_eq!(script.at("POST", &asked.path("tocs")).json(&lie).send().await.expect("an answer").status(), 200);
    script.post("with a false Toc", &path, &kek(&asked)).await;
    script.join(&asked, 3).await;
    let lie = asked.proved(&tocs[1], asked.encrypt(b"a lie"));
    assert_eq!(script.at("POST", &asked.path("tocs")).json(&lie).send().await.expect("an answer").status(), 200);
    script.join(&asked, 1).await;
    let other = json!({ "kek": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" });
    script.post("another KEK", &path, &other).await;
    script.post("a short KEK", &path, &json!({ "kek": "AAAA" })).await;
    script.post("no KEK", &path, &json!({})).await;
    script.post("a code, and a false Toc dropped on the way", &path, &kek(&asked)).await;
    script.post("the same step again", &path, &kek(&asked)).await;
    script.court.clock.advance(-60_000);
    script.post("an earlier step", &path, &kek(&asked)).await;
    script.court.clock.advance(60_000);
    let redeal = script.started(&script.court.request(1, Purpose::Redeal, Some(&good(&script)))).await;
    script.post("of a redeal", &redeal.path("totp"), &kek(&redeal)).await;
    let dishonest = dishonest();
    let asked = script
        .started(&signed_request(
            &script.court.oracle.url(""),
            &dishonest[0],
            Purpose::Code,
            None,
            "",
            script.court.clock_seconds(),
        ))
        .await;
    for toc in &dishonest[..2] {
        let sent = script.at("POST", &asked.path("tocs")).json(&asked.approval(toc)).send();
        assert_eq!(sent.await.expect("an answer").status(), 200);
    }
    script.post("of a dishonest deal", &asked.path("totp"), &kek(&asked)).await;
    script.post("of an unknown session", &format!("/sessions/{}/totp", "A".repeat(32)), &kek(&asked)).await;
    for (what, asked) in script.over().await {
        script.post(what, &asked.path("totp"), &kek(&asked)).await;
    }
    script.usual("POST", "/sessions/{id}/totp", "GET").await;
    script.snapshot("code");
}

fn good(script: &Script) -> Plan {
    plan(script.court.deal.group.name(), 2, &["ann", "ben"])
}

/// Tocs of which the third lies on another polynomial, under a header that says so.
fn dishonest() -> Vec<WholeToc> {
    use quorate_protocol::header::Header;
    let (deal, other) = (dealt(5, 2, 3), dealt(6, 2, 3));
    let mut fields = deal.group.header.fields().clone();
    let toc_id = fields.players[2].toc_id.clone();
    let stray = other.tocs[2].share().signing_key(&fields.group_id, &toc_id);
    fields.players[2].share_key = stray.verifying_key().to_bytes().to_vec().into();
    // The group id stays, so the first two still hold the keys that the header names.
    let header = Header::new(fields).expect("a header");
    let toc =
        |toc: &WholeToc| WholeToc::new(header.clone(), toc.sealed().to_vec(), toc.share().clone()).expect("a Toc");
    deal.tocs[..2].iter().map(toc).collect()
}

#[tokio::test]
async fn redeal() {
    let mut script = Script::new().await;
    let keys = [(); 2].map(|()| age::x25519::Identity::generate());
    let players = keys.iter().zip(["ann", "ben"]).map(|(key, name)| planned(name, key)).collect();
    let plan = plan_of(script.court.deal.group.name(), 2, players);
    let asked = script.started(&script.court.request(1, Purpose::Redeal, Some(&plan))).await;
    let (path, receipts, token) = (asked.path("redeal"), asked.path("receipts"), asked.invite.view_token());
    let fetch = |script: &Script| script.at("GET", &path).header("quorate-invite", &token);
    script.case("fetched before it is run", fetch(&script)).await;
    script.post("run too early", &path, &kek(&asked)).await;
    script.join(&asked, 1).await;
    script.join(&asked, 2).await;
    script.post("run with another KEK", &path, &json!({ "kek": "AAAA" })).await;
    let done = script.post("run", &path, &kek(&asked)).await;
    script.post("run again", &path, &kek(&asked)).await;
    script.case("fetched without the token", script.at("GET", &path)).await;
    script.case("fetched", fetch(&script)).await;

    let done: Redeal = serde_json::from_value(done).expect("a redeal");
    let new: Vec<WholeToc> =
        done.tocs.iter().zip(&keys).map(|(toc, key)| opened(toc.encrypted_toc.as_ref(), key)).collect();
    let receipt = |toc: &WholeToc, key: &WholeToc| {
        let x = toc.share().x();
        let message = receipt_message(&asked.invite.digest(), toc.group(), x, toc.header());
        json!({ "x": x, "proof": quorate_protocol::encoding::base64(&sign(&key.signing_key(), &message)) })
    };
    script.post("a receipt signed by another", &receipts, &receipt(&new[0], &new[1])).await;
    script.post("a receipt", &receipts, &receipt(&new[0], &new[0])).await;
    script.post("the same again", &receipts, &receipt(&new[0], &new[0])).await;
    script.post("the last receipt", &receipts, &receipt(&new[1], &new[1])).await;
    script.case("fetched when all are in", fetch(&script)).await;
    let url = script.court.oracle.url("");
    let old = signed_request(&url, &script.court.deal.tocs[2], Purpose::Code, None, "", script.court.clock_seconds());
    script.post("the old group", "/sessions", &old).await;
    let other = script
        .started(&signed_request(&url, &dealt(9, 2, 3).tocs[0], Purpose::Code, None, "", script.court.clock_seconds()))
        .await;
    script.post("run in a session for a code", &other.path("redeal"), &kek(&other)).await;
    let request = script.at("GET", &other.path("redeal")).header("quorate-invite", other.invite.view_token());
    script.case("fetched from a session for a code", request).await;
    let unknown = |what: &str| format!("/sessions/{}/{what}", "A".repeat(32));
    script.post("run in an unknown session", &unknown("redeal"), &kek(&asked)).await;
    script.case("fetched from an unknown session", script.at("GET", &unknown("redeal"))).await;
    script.post("a receipt to an unknown session", &unknown("receipts"), &receipt(&new[0], &new[0])).await;
    script.usual("POST", "/sessions/{id}/redeal", "PUT").await;
    script.usual("POST", "/sessions/{id}/receipts", "GET").await;
    script.snapshot("redeal");
}

fn opened(encrypted: Option<&String>, key: &age::x25519::Identity) -> WholeToc {
    let json = age_open(encrypted.expect("not received yet"), key).expect("opens");
    match Toc::parse(&json).expect("a Toc") {
        Toc::Whole(toc) => toc,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn events_and_picture() {
    let mut script = Script::new().await;
    let asked = script.quorate().await;
    assert_eq!(
        script.at("POST", &asked.path("totp")).json(&kek(&asked)).send().await.expect("an answer").status(),
        200
    );
    let (picture, token) = (asked.path("invite.svg"), asked.invite.view_token());
    script.case("the picture without the token", script.at("GET", &picture)).await;
    script.case("the picture", script.at("GET", &picture).header("quorate-invite", &token)).await;
    let drawn = script.cases.last_mut().expect("just asked");
    assert!(drawn.body.as_str().is_some_and(|svg| svg.contains("<svg") && svg.ends_with("</svg>")));
    drawn.body = "[picture]".into();
    let crowd: Vec<String> = (0..30).map(|number| format!("player {number}")).collect();
    let crowd = plan(script.court.deal.group.name(), 2, &crowd.iter().map(String::as_str).collect::<Vec<_>>());
    let large = script.started(&script.court.request(1, Purpose::Redeal, Some(&crowd))).await;
    let request = script.at("GET", &large.path("invite.svg")).header("quorate-invite", large.invite.view_token());
    script.case("the picture of a long invite", request).await;
    let cancel = script.at("DELETE", &path_of(&asked)).bearer_auth(cancel_token(&asked));
    assert_eq!(cancel.send().await.expect("an answer").status(), 204);
    let events = asked.path("events");
    script.case("what happened", script.at("GET", &events)).await;
    script.case("who did it", script.at("GET", &events).header("quorate-invite", &token)).await;
    script.case("what happened after the third", script.at("GET", &events).header("last-event-id", "3")).await;
    for what in ["events", "invite.svg"] {
        let path = format!("/sessions/{}/{what}", "A".repeat(32));
        script.case("unknown", script.at("GET", &path)).await;
        script.usual("GET", &format!("/sessions/{{id}}/{what}"), "POST").await;
    }
    script.snapshot("events_and_picture");
}

#[tokio::test]
async fn system() {
    let mut script = Script::new().await;
    for path in ["/healthz", "/readyz", "/.well-known/quorate"] {
        script.case("well", script.at("GET", path)).await;
        script.usual("GET", path, "POST").await;
    }
    script.case("no such route", script.at("GET", "/nowhere")).await;
    script.case("no such route", script.at("POST", "/sessions/1/2/3").body("{}")).await;
    script.court.clock.advance(80 * 24 * 3_600_000);
    script.case("the certificate ends soon", script.at("GET", "/readyz")).await;
    script.court.clock.advance(20 * 24 * 3_600_000);
    script.case("the certificate has ended", script.at("GET", "/readyz")).await;
    script.court.oracle.state().store.shutdown().await;
    // What was seen of it holds for a second.
    while script.court.oracle.state().look().await.is_ok() {
        tokio::task::yield_now().await;
    }
    script.case("the store is gone", script.at("GET", "/readyz")).await;
    script.post("the store is gone", "/sessions", &json!({ "toc_zero": farmfa_toc() })).await;
    script.case("the store is gone", script.at("GET", &format!("/sessions/{}", "A".repeat(32)))).await;
    script.snapshot("system");
}
