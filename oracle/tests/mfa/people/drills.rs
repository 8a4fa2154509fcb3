//! Drills over HTTP: from the question to the report, what others than the players can send, who may see what, what happens by
//! time, and what the database shows and lets a writer do.

use super::stage::{People, cheap, refused};
use crate::at_rest::database;
use crate::nodes;
use crate::notices::Receiver;
use crate::postgres;
use crate::stage::{Answer, Stage, send};
use crate::stored::Stored;
use crate::support::{Asked, dealt, signed_request};
use futures_util::future::join_all;
use quorate_oracle::testing::TestSetup;
use quorate_protocol::api::SessionCredentials;
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::drill::Call;
use quorate_protocol::header::OraclePin;
use quorate_protocol::invite::{Invite, Purpose};
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::proof;
use quorate_protocol::toc::WholeToc;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const REASON: &str = "before the audit";

/// An oracle whose tickets outlast drills, and a group of three that it knows, two of whom are needed.
struct Field {
    people: People,
    deal: Deal,
}

fn patient(setup: TestSetup) -> TestSetup {
    setup.set("tickets.idle_seconds", "100000000").set("tickets.seconds", "100000000")
}

impl Field {
    async fn new() -> Self {
        Self::with(TestSetup::default()).await
    }

    async fn with(setup: TestSetup) -> Self {
        Self::on(Stage::with(cheap(patient(setup))).await).await
    }

    async fn on(stage: Stage) -> Self {
        let field = Self { people: People::on(stage).await, deal: dealt(1, 2, 3) };
        field.know(&field.deal).await;
        field
    }

    async fn know(&self, deal: &Deal) {
        self.people.done(Method::POST, "/groups", serde_json::from_str(&deal.group.to_json()).expect("JSON")).await;
    }

    fn asking(&self) -> Value {
        json!({ "group": self.deal.group.name(), "reason": REASON })
    }

    async fn begin(&self) -> Drill {
        let shown = self.people.done(Method::POST, "/drills", self.asking()).await;
        let call = Call::parse(shown["details"]["call"].as_str().expect("a link")).expect("a call");
        Drill { path: format!("/drills/{}", call.fields().drill), call }
    }

    /// The answer of whoever has opened `toc`.
    async fn answer(&self, drill: &Drill, toc: &WholeToc) -> Answer {
        let now = self.people.stage.clock.as_ref();
        let now = quorate_oracle::clock::Clock::now(now);
        let signature = drill.call.question().answer(toc, now).expect("in time");
        self.send(drill, toc.share().x(), signature).await
    }

    async fn send(&self, drill: &Drill, x: u8, signature: Vec<u8>) -> Answer {
        let body = json!({ "x": x, "signature": quorate_protocol::encoding::base64(&signature) });
        send(self.people.stage.at(Method::POST, &format!("{}/answers", drill.path)).json(&body)).await
    }

    async fn report(&self, drill: &Drill) -> Value {
        self.people.done(Method::GET, &drill.path, json!({})).await
    }

    async fn sweep(&self) {
        while self.people.stage.oracle.state().sweep().await.expect("swept") {}
    }
}

struct Drill {
    path: String,
    call: Call,
}

/// Who has answered, by their numbers.
fn answered(report: &Value) -> Vec<i64> {
    let players = report["details"]["players"].as_array().expect("players");
    let answered = players.iter().filter(|player| player["answered_at"].is_string());
    answered.map(|player| player["x"].as_i64().expect("a number")).collect()
}

#[tokio::test]
async fn a_drill_goes_from_the_question_to_the_report() {
    let field = Field::new().await;
    let drill = field.begin().await;
    let root = *field.people.stage.oracle.state().keys.root();
    let fields = drill.call.verify(&root, crate::stage::NOW).expect("signed by the oracle");
    assert_eq!((fields.asker.as_str(), fields.reason.as_str()), ("principal/internal/user/operator", REASON));
    assert_eq!((fields.size, fields.threshold, fields.group), (3, 2, field.deal.group.name()));
    assert_eq!(fields.expires - fields.created, 7 * 86_400);

    assert_eq!(field.answer(&drill, &field.deal.tocs[0]).await.status, 204);
    assert_eq!(field.answer(&drill, &field.deal.tocs[0]).await.status, 204, "again changes nothing");
    let report = field.report(&drill).await;
    assert_eq!((&report["state"], &report["answered"]), (&json!("open"), &json!(1)));
    assert_eq!((answered(&report), &report["details"]["standing"]), (vec![1], &json!("locked_out")));
    assert_eq!(field.answer(&drill, &field.deal.tocs[1]).await.status, 204);
    assert_eq!(field.report(&drill).await["details"]["standing"], "one_loss_away");
    assert_eq!(field.answer(&drill, &field.deal.tocs[2]).await.status, 204);
    let report = field.report(&drill).await;
    assert_eq!((&report["state"], answered(&report)), (&json!("complete"), vec![1, 2, 3]));
    assert_eq!(report["details"]["standing"], "spare");
    assert_eq!(report["closed_at"], "2027-01-15T08:00:00Z");
    assert_eq!(refused(&field.answer(&drill, &field.deal.tocs[0]).await), (410, "drill_complete"));
    assert_eq!(refused(&field.people.call(Method::DELETE, &drill.path, json!({})).await), (410, "drill_complete"));

    let next = field.begin().await;
    let listed = field.people.done(Method::GET, "/drills", json!({})).await;
    let listed = listed.as_array().expect("a list").clone();
    let ids: Vec<&Value> = listed.iter().map(|drill| &drill["id"]).collect();
    assert_eq!(ids, [&json!(next.call.fields().drill), &json!(drill.call.fields().drill)]);
    assert!(listed.iter().all(|drill| drill["details"].is_null()), "{listed:?}");
    // What was shown before still stands in the next report.
    let last = &field.report(&next).await["details"]["players"][2]["last_proof"];
    assert_eq!(last["by"], format!("drill {}", drill.call.fields().drill));

    assert_eq!(field.people.call(Method::DELETE, &next.path, json!({})).await.status, 204);
    assert_eq!(field.report(&next).await["state"], "closed");
    let told = field.people.told().await;
    let kinds: Vec<&str> = told.iter().filter_map(|event| event["kind"].as_str()?.strip_prefix("drill.")).collect();
    assert_eq!(kinds, ["started", "answered", "answered", "answered", "ended", "started", "ended"]);
    let ends: Vec<&Value> = told.iter().filter(|event| event["kind"] == "drill.ended").collect();
    assert_eq!((&ends[0]["who"], &ends[0]["details"]["ended"]), (&json!("oracle"), &json!("complete")));
    assert_eq!(ends[1]["who"], "principal principal/internal/user/operator");
    assert_eq!(ends[1]["details"]["missing"], json!(["player 1", "player 2", "player 3"]));
    let first = told.iter().find(|event| event["kind"] == "drill.answered").expect("told");
    assert_eq!((&first["who"], &first["details"]["x"]), (&json!("holder player 1"), &json!(1)));
}

#[tokio::test]
async fn names_are_for_those_who_may_see_them() {
    let field = Field::new().await;
    let (member, holder) = (field.people.user("bob", "member").await, field.people.user("ann", "member").await);
    let auditor = field.people.user("olga", "auditor").await;
    let members = json!({ "members": { "player 1": "ann" } });
    let group = format!("/groups/{}/members", field.deal.group.name());
    field.people.done(Method::PUT, &group, members).await;
    let drill = field.begin().await;
    field.answer(&drill, &field.deal.tocs[0]).await;
    let token = drill.call.view_token();
    let other = Field::new().await.begin().await.call.view_token();
    let seen = async |ticket: &str, token: &str| {
        let request = field.people.request(ticket, Method::GET, &drill.path);
        let answer = send(if token.is_empty() { request } else { request.header("quorate-invite", token) }).await;
        assert_eq!((answer.status.as_u16(), &answer.json["answered"]), (200, &json!(1)), "{}", answer.text);
        answer
    };
    for (what, ticket, token) in
        [("a stranger", "", ""), ("another link", "", &other), ("a bad ticket", "x", ""), ("a member", &member, "")]
    {
        let seen = seen(ticket, token).await;
        assert!(seen.json["details"].is_null(), "{what}: {}", seen.text);
        for secret in ["player 1", "test bank", REASON, "operator"] {
            assert!(!seen.text.contains(secret), "{what}: {}", seen.text);
        }
    }
    for (what, ticket, token) in [("the link", "", &token), ("a holder", &holder, &String::new())] {
        let seen = seen(ticket, token).await;
        assert_eq!(seen.json["details"]["players"][0]["holder"], "player 1", "{what}");
        assert_eq!(seen.json["details"]["call"], drill.call.to_url(), "{what}");
        let text = seen.json["details"]["players"].to_string();
        assert!(!text.contains("principal") && !text.contains("last_proof"), "{what}: {text}");
    }
    for ticket in [&auditor, &field.people.operator] {
        let seen = seen(ticket, &other).await;
        let player = &seen.json["details"]["players"][0];
        assert_eq!(player["principal"], "principal/internal/user/ann");
        assert_eq!(player["last_proof"]["at"], "2027-01-15T08:00:00Z");
    }
}

#[tokio::test]
async fn the_page_shows_names_to_those_who_are_logged_in_and_may_see_them() {
    let field = Field::new().await;
    let (member, holder) = (field.people.user("bob", "member").await, field.people.user("ann", "member").await);
    let auditor = field.people.user("olga", "auditor").await;
    let group = format!("/groups/{}/members", field.deal.group.name());
    field.people.done(Method::PUT, &group, json!({ "members": { "player 1": "ann" } })).await;
    let drill = field.begin().await;
    field.answer(&drill, &field.deal.tocs[0]).await;
    let id = &drill.call.fields().drill;
    let page = async |ticket: &str, id: &str| {
        let request = field.people.stage.at(Method::GET, &format!("/drill/{id}"));
        let request = if ticket.is_empty() { request } else { request.header("cookie", format!("quorate={ticket}")) };
        send(request).await
    };
    for (what, ticket) in [("a stranger", ""), ("a bad ticket", "x"), ("a member", &member)] {
        let shown = page(ticket, id).await;
        assert_eq!(shown.status, 200, "{what}: {}", shown.text);
        assert!(shown.text.contains("</strong> of 3 have answered") && shown.text.contains("no code is made"));
        for secret in ["player 1", "test bank", REASON, "user/operator"] {
            assert!(!shown.text.contains(secret), "{what}: {}", shown.text);
        }
        assert!(shown.text.contains(&format!("login?next=drill/{id}")), "{what}: {}", shown.text);
    }
    let shown = page(&holder, id).await.text;
    assert!(shown.contains(REASON) && shown.contains("test bank"), "{shown}");
    assert!(
        shown.contains("answered <time") && !shown.contains("user/ann)") && !shown.contains("Fewer Tocs"),
        "{shown}"
    );
    let shown = page(&auditor, id).await.text;
    assert!(shown.contains("principal/internal/user/ann") && shown.contains("Fewer Tocs were shown"), "{shown}");
    // Neither the header of programs nor a guess opens more.
    let by_header = send(field.people.request(&auditor, Method::GET, &format!("/drill/{id}"))).await;
    assert!(!by_header.text.contains("player 1"), "{}", by_header.text);
    for unknown in ["x", &"A".repeat(32)] {
        assert_eq!(page(&auditor, unknown).await.status, 404, "{unknown}");
    }
    field.people.done(Method::DELETE, &drill.path, json!({})).await;
    let over = page("", id).await.text;
    assert!(over.contains("This drill is over") && !over.contains("quorate drill answer"), "{over}");
}

#[tokio::test]
async fn what_others_send_is_no_answer_and_bounded() {
    let field = Field::new().await;
    let drill = field.begin().await;
    let (question, [ann, ben, _]) = (*drill.call.question(), &field.deal.tocs[..]) else { panic!("three") };
    let sign = |toc: &WholeToc, message: &[u8]| proof::sign(&toc.signing_key(), message);
    let other = quorate_protocol::drill::Question { challenge: [0; 32], ..question };
    let longer = quorate_protocol::drill::Question { expires: question.expires + 1, ..question };
    let approve = proof::approve_message(&question.challenge, question.group, 1, "");
    let forgeries = [
        ("another's share", 1, sign(ben, &question.message(1))),
        ("another's number", 2, sign(ann, &question.message(1))),
        ("another challenge", 1, sign(ann, &other.message(1))),
        ("another end", 1, sign(ann, &longer.message(1))),
        ("an approval", 1, sign(ann, &approve)),
        ("nobody's number", 0, sign(ann, &question.message(0))),
        ("a number above all", 4, sign(ann, &question.message(4))),
        ("nothing", 1, Vec::new()),
        ("too much", 1, vec![0; 65]),
    ];
    for (what, x, signature) in forgeries {
        assert_eq!(refused(&field.send(&drill, x, signature).await), (403, "bad_proof"), "{what}");
    }
    let mut malformed = Drill { path: drill.path.clone(), call: drill.call.clone() };
    for id in ["x", &"A".repeat(32), "..%2Fadmin"] {
        malformed.path = format!("/drills/{id}");
        assert_eq!(refused(&field.send(&malformed, 1, vec![0; 64]).await), (404, "drill_unknown"), "{id}");
    }
    for body in [json!({}), json!({ "x": 256, "signature": "" }), json!({ "x": 1, "signature": "!" })] {
        let path = format!("{}/answers", drill.path);
        let answer = send(field.people.stage.at(Method::POST, &path).json(&body)).await;
        assert_eq!(answer.status, 400, "{}", answer.text);
    }
    assert_eq!(field.report(&drill).await["answered"], 0);
    let mut last = field.send(&drill, 1, Vec::new()).await;
    for _ in 0..40 {
        last = field.send(&drill, 1, Vec::new()).await;
    }
    assert_eq!(refused(&last), (429, "too_many_failures"));
    assert!(last.retry_after.is_some());
    field.people.stage.clock.advance(HOUR);
    assert_eq!(field.answer(&drill, ann).await.status, 204, "who waits is heard");
    field.people.stage.oracle.state().audit.record_counts().await.expect("recorded");
    let told = field.people.told().await;
    let counted = told.iter().find(|event| event["kind"] == "audit.counted").expect("counted");
    assert!(counted["details"]["drill.refused"].as_u64().is_some_and(|count| count >= 9), "{counted}");
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused() {
    let field = Field::new().await;
    let at = |text: &str| json!({ "group": field.deal.group.name(), "expires_at": text });
    let long = json!({ "group": field.deal.group.name(), "reason": "n".repeat(1025) });
    for (what, body, expected) in [
        ("an unknown group", json!({ "group": "00".repeat(32) }), (404, "group_unknown")),
        ("no name of a group", json!({ "group": "ABCD" }), (404, "group_unknown")),
        ("no time", at("tomorrow"), (400, "invalid_request")),
        ("a time that is over", at("2027-01-15T07:00:00Z"), (400, "invalid_request")),
        ("too soon", at("2027-01-15T08:00:59Z"), (400, "invalid_request")),
        ("the end of times", at("9999-01-01T00:00:00Z"), (409, "certificate_ends")),
        ("too many words", long, (400, "invalid_request")),
    ] {
        assert_eq!(refused(&field.people.call(Method::POST, "/drills", body).await), expected, "{what}");
    }
    let drill = field.begin().await;
    assert_eq!(refused(&field.people.call(Method::POST, "/drills", field.asking()).await), (409, "drill_running"));
    field.people.done(Method::DELETE, &format!("/groups/{}", field.deal.group.name()), json!({})).await;
    assert_eq!(
        refused(&field.answer(&drill, &field.deal.tocs[0]).await),
        (404, "drill_unknown"),
        "it went with its group"
    );
    assert_eq!(refused(&field.people.call(Method::GET, &drill.path, json!({})).await), (404, "drill_unknown"));
}

/// A deal whose Tocs name an oracle.
pub fn pinned(url: &str, root_key: &[u8]) -> Deal {
    let secret = OtpSecret::from_uri(crate::support::URI).expect("a URI");
    let request = DealRequest {
        secret: &secret,
        threshold: 2,
        holders: &["ann", "ben"].map(str::to_owned),
        note: "pinned",
        dealt_at: crate::stage::NOW,
        oracle: Some(OraclePin { url: url.to_owned(), root_key: root_key.to_vec().into() }),
        replaces: None,
    };
    deal(&request, &mut StdRng::seed_from_u64(9)).expect("dealt")
}

#[tokio::test]
async fn answers_are_bound_to_the_oracle_that_the_tocs_name() {
    let field = Field::new().await;
    let state = field.people.stage.oracle.state();
    let foreign = pinned(&state.url, ed25519_dalek::SigningKey::from_bytes(&[7; 32]).verifying_key().as_bytes());
    field.know(&foreign).await;
    let body = json!({ "group": foreign.group.name() });
    assert_eq!(refused(&field.people.call(Method::POST, "/drills", body).await), (409, "wrong_oracle"));
    let own = pinned(&state.url, state.keys.root().as_bytes());
    field.know(&own).await;
    let shown = field.people.done(Method::POST, "/drills", json!({ "group": own.group.name() })).await;
    let call = Call::parse(shown["details"]["call"].as_str().expect("a link")).expect("a call");
    assert_eq!(call.question().root_key, *state.keys.root().as_bytes());
    let drill = Drill { path: format!("/drills/{}", call.fields().drill), call };
    assert_eq!(field.answer(&drill, &own.tocs[1]).await.status, 204);
}

#[tokio::test]
async fn who_joins_a_session_has_shown_that_their_toc_opens() {
    let field = Field::new().await;
    let (stage, tocs) = (&field.people.stage, &field.deal.tocs);
    let request = signed_request(&stage.oracle.url(""), &tocs[0], Purpose::Code, None, "a code", crate::stage::NOW);
    let made = send(stage.at(Method::POST, "/sessions").json(&request)).await;
    let credentials: SessionCredentials = serde_json::from_str(&made.text).expect("credentials");
    let invite = Invite::parse(&credentials.invite).expect("an invite");
    let asked = Asked { credentials, invite };
    let joined = send(stage.at(Method::POST, &asked.path("tocs")).json(&asked.approval(&tocs[1]))).await;
    assert_eq!(joined.status, 200, "{}", joined.text);
    stage.clock.advance(DAY);
    let drill = field.begin().await;
    let report = field.report(&drill).await;
    let players = &report["details"]["players"];
    assert_eq!(
        players[1]["last_proof"],
        json!({ "at": "2027-01-15T08:00:00Z", "by": format!("session {}", asked.id()) })
    );
    assert!(players[0]["last_proof"].is_null() && players[1]["answered_at"].is_null(), "{players}");
}

#[tokio::test]
async fn a_drill_is_reminded_of_and_ends_by_time() {
    let mut receiver = Receiver::start().await;
    let targets = json!([{ "url": receiver.url("/in"), "names": true, "shape": "slack" }, { "url": receiver.url("/none"), "shape": "slack" }]);
    let setup = TestSetup::default().set("notices", targets.to_string()).set("webhooks.allow", "127.0.0.1/32");
    let field = Field::with(setup.set("drills.remind_hours", "24,1").set("webhooks.seconds", "20")).await;
    let clock = &field.people.stage.clock;
    let mut heard = async || {
        field.sweep().await;
        while field.people.stage.oracle.state().notices.deliver_due().await.expect("the store answers") > 0 {}
        let texts = receiver.all().into_iter().map(|got| (got.path.clone(), got.json()["text"].to_string()));
        let mut texts: Vec<_> = texts.filter(|(_, text)| text.contains("drill")).collect();
        texts.sort();
        texts
    };
    let drill = field.begin().await;
    field.answer(&drill, &field.deal.tocs[1]).await;
    let begun = heard().await;
    assert_eq!(begun.len(), 2, "{begun:?}");
    assert!(begun[0].1.contains("a drill has begun") && begun[0].1.contains(REASON), "{begun:?}");
    assert!(!begun[1].1.contains(REASON) && !begun[1].1.contains("operator"), "{begun:?}");
    clock.advance(6 * DAY - 1000);
    assert!(heard().await.is_empty(), "not before its time");
    for wait in [1000, 23 * HOUR] {
        clock.advance(wait);
        let reminded = heard().await;
        assert_eq!(reminded.len(), 2, "{reminded:?}");
        assert!(reminded[0].1.contains("answers to a drill are missing"), "{reminded:?}");
        assert!(reminded[0].1.contains("missing: player 1, player 3"), "{reminded:?}");
        assert!(!reminded[1].1.contains("player 1") && reminded[1].1.contains("answered: 1"), "{reminded:?}");
        assert!(heard().await.is_empty(), "once");
    }
    clock.advance(HOUR);
    assert_eq!(field.report(&drill).await["state"], "open", "nobody has swept");
    let late = field.send(&drill, 1, proof::sign(&field.deal.tocs[0].signing_key(), &drill.call.question().message(1)));
    assert_eq!(refused(&late.await), (410, "drill_expired"));
    let ended = heard().await;
    assert_eq!(ended.len(), 2, "{ended:?}");
    for line in
        ["a drill has ended", "ended: expired", "answered: 1", "fewer Tocs were shown", "missing: player 1, player 3"]
    {
        assert!(ended[0].1.contains(line), "{line}: {ended:?}");
    }
    assert_eq!(field.report(&drill).await["state"], "expired");
    clock.advance(399 * DAY);
    field.sweep().await;
    assert_eq!(field.report(&drill).await["state"], "expired", "reports are kept");
    clock.advance(DAY + 1);
    field.sweep().await;
    assert_eq!(refused(&field.people.call(Method::GET, &drill.path, json!({})).await), (404, "drill_unknown"));
}

#[tokio::test]
async fn nothing_of_a_drill_can_be_read_and_no_answer_be_written_into_it() {
    let field = Field::new().await;
    let drill = field.begin().await;
    field.answer(&drill, &field.deal.tocs[0]).await;
    let stored = Stored::read(field.people.stage.oracle.folder());
    stored.assert_lacks("a reason", REASON.as_bytes());
    stored.assert_lacks("an asker", b"principal/internal/user/operator");
    stored.assert_lacks("a challenge", &drill.call.question().challenge);
    stored.assert_lacks("a signature", drill.call.signature());
    let database = database(&field.people.stage);
    let written = |sql: &str| assert!(database.execute(sql, []).expect("written") > 0, "{sql}");
    let get = async || field.people.call(Method::GET, &drill.path, json!({})).await;
    assert_eq!(get().await.status, 200);
    for (there, back) in [
        (
            "INSERT INTO drill_answers (drill, x, at, sealed) SELECT drill, 2, at, sealed FROM drill_answers",
            "DELETE FROM drill_answers WHERE x = 2",
        ),
        ("UPDATE drill_answers SET at = at - 1", "UPDATE drill_answers SET at = at + 1"),
        ("UPDATE drills SET expires_at = expires_at + 1", "UPDATE drills SET expires_at = expires_at - 1"),
        ("UPDATE drills SET size = 2", "UPDATE drills SET size = 3"),
        (
            "INSERT INTO toc_proofs (group_fp, x, at, sealed) SELECT group_fp, 2, at, sealed FROM toc_proofs",
            "DELETE FROM toc_proofs WHERE x = 2",
        ),
    ] {
        written(there);
        assert_eq!(refused(&get().await), (500, "internal"), "{there}");
        written(back);
        assert_eq!(get().await.status, 200, "{back}");
    }
}

#[tokio::test]
async fn what_cannot_be_read_keeps_no_other_drill_from_its_end() {
    let field = Field::new().await;
    let damaged = field.begin().await;
    let other = dealt(2, 2, 3);
    field.know(&other).await;
    let shown = field.people.done(Method::POST, "/drills", json!({ "group": other.group.name() })).await;
    let path = format!("/drills/{}", shown["id"].as_str().expect("an id"));
    let database = database(&field.people.stage);
    let earlier = "UPDATE drills SET expires_at = expires_at - 1 WHERE number = 1";
    assert_eq!(database.execute(earlier, []).expect("written"), 1);
    field.people.stage.clock.advance(8 * DAY);
    field.sweep().await;
    assert_eq!(field.people.done(Method::GET, &path, json!({})).await["state"], "expired");
    assert_eq!(refused(&field.people.call(Method::GET, &damaged.path, json!({})).await), (500, "internal"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_two_nodes_each_answer_counts_once_and_the_drill_ends_once() {
    let Some(server) = postgres::shared() else { return };
    let nodes::Pair { first, second, .. } = nodes::Pair::start(server, || cheap(patient(TestSetup::default()))).await;
    let field = Field::on(first).await;
    let drill = field.begin().await;
    let post = async |number: usize| {
        let toc = &field.deal.tocs[number % 3];
        let signature = drill.call.question().answer(toc, crate::stage::NOW).expect("in time");
        let body = json!({ "x": toc.share().x(), "signature": quorate_protocol::encoding::base64(&signature) });
        let oracle = if number.is_multiple_of(2) { &field.people.stage.oracle } else { &second };
        let url = format!("http://{}{}/answers", oracle.address(), drill.path);
        loop {
            let answer = send(field.people.stage.http.post(&url).json(&body)).await;
            match answer.status.as_u16() {
                204 => return,
                410 => return assert_eq!(refused(&answer), (410, "drill_complete")),
                // A busy database: honest, and tried again by every client.
                503 => {}
                _ => panic!("{}", answer.text),
            }
        }
    };
    join_all((0..18).map(post)).await;
    let report = field.report(&drill).await;
    assert_eq!((&report["state"], answered(&report)), (&json!("complete"), vec![1, 2, 3]));
    let told = field.people.told().await;
    let count = |kind: &str| told.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!((count("drill.answered"), count("drill.ended")), (3, 1));
}
