//! Requests that a stranger or a careless client sends: junk, duplicates, wrong proofs, wrong keys, floods.

use crate::support::Answer;
use crate::support::Asked;
use crate::support::Court;
use crate::support::NOW;
use crate::support::plan;
use crate::support::signed_request;
use quorate_oracle::testing::TestSetup;
use quorate_protocol::encoding::base64;
use quorate_protocol::invite::Purpose;
use quorate_protocol::proof::approve_message;
use quorate_protocol::proof::deny_message;
use quorate_protocol::proof::receipt_message;
use quorate_protocol::proof::sign;
use reqwest::Method;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;

/// Bodies that are not what a route takes, on every route that takes one.
pub async fn junk_bodies_are_refused() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let paths = ["tocs", "denials", "totp", "redeal", "receipts"].map(|what| asked.path(what));
    for path in paths.iter().map(String::as_str).chain(["/sessions"]) {
        let send = |content_type: &'static str, body: Vec<u8>| {
            court.http.post(court.oracle.url(path)).header("content-type", content_type).body(body).send()
        };
        let json = "application/json";
        let cases = [
            (json, b"{".to_vec(), 400),
            (json, b"\xff\xfe".to_vec(), 400),
            (json, b"[]".to_vec(), 400),
            (json, b"null".to_vec(), 400),
            (json, b"{\"kek\": {}, \"encrypted_toc\": 3, \"x\": 900, \"toc_zero\": 1}".to_vec(), 400),
            (json, [b"{\"kek\":\"".to_vec(), vec![b'A'; 200_000], b"\"}".to_vec()].concat(), 413),
            ("text/plain", b"{}".to_vec(), 415),
        ];
        for (content_type, body, status) in cases {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let answer = Answer::read(send(content_type, body).await.expect("an answer")).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {shown}: {}", answer.text);
            assert_eq!(answer.json["status"], status, "{path} {shown}");
            assert_eq!(answer.json["message"], answer.json["error"]);
        }
    }
    court.join(&asked, 1).await;
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;
}

pub async fn duplicate_keys_are_refused_wherever_they_stand() {
    let court = Court::of(2, 3).await;
    let toc = String::from_utf8(court.deal.tocs[0].to_json().to_vec()).expect("JSON");
    let doubled = toc.replacen('{', "{\"group_threshold\":2,", 1);
    for body in [format!("{{\"toc_zero\":{doubled}}}"), format!("{{\"toc_zero\":{toc},\"toc_zero\":{toc}}}")] {
        let request =
            court.http.post(court.oracle.url("/sessions")).header("content-type", "application/json").body(body);
        let answer = Answer::read(request.send().await.expect("an answer")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    }
    let asked = court.ask(2).await;
    court.join(&asked, 2).await;
    let twice = Asked::unproved(asked.encrypt(doubled.as_bytes()));
    assert_eq!(court.post(&asked.path("tocs"), &twice).await.status, StatusCode::OK);
    let answer = court.code(&asked).await;
    assert_eq!(answer.refusal(), (409, "not_quorate"));
    assert!(answer.text.contains("unproved"), "{}", answer.text);
}

pub async fn a_proof_serves_for_its_session_purpose_player_and_label_only() {
    let court = Court::of(2, 3).await;
    let (asked, other) = (court.ask(1).await, court.ask(2).await);
    let toc = &court.deal.tocs[2];
    let encrypted = asked.encrypt(&toc.to_short_json());
    let key = toc.signing_key();
    let plan = plan(court.deal.group.name(), 2, &["a", "b"]);
    let redeal = court.ask_redeal(1, &plan).await;
    let wrong = [
        ("another session", approve_message(&other.invite.digest(), toc.group(), 3, &encrypted)),
        ("another purpose", approve_message(&redeal.invite.digest(), toc.group(), 3, &encrypted)),
        ("another player", approve_message(&asked.invite.digest(), toc.group(), 2, &encrypted)),
        ("another Toc", approve_message(&asked.invite.digest(), toc.group(), 3, "x")),
        ("the label deny", deny_message(&asked.invite.digest(), toc.group(), 3, &encrypted)),
        ("the label receipt", receipt_message(&asked.invite.digest(), toc.group(), 3, toc.header())),
    ];
    for (what, message) in wrong {
        let body = json!({ "encrypted_toc": encrypted, "x": 3, "proof": base64(&sign(&key, &message)) });
        assert_eq!(court.post(&asked.path("tocs"), &body).await.refusal(), (403, "bad_proof"), "{what}");
    }
    for x in [0, 4, 255] {
        let mut approval = asked.approval(toc);
        approval.x = Some(x);
        assert_eq!(court.post(&asked.path("tocs"), &approval).await.refusal(), (403, "bad_proof"), "x = {x}");
    }
    let mut half = asked.approval(toc);
    half.proof = None;
    assert_eq!(court.post(&asked.path("tocs"), &half).await.refusal(), (400, "invalid_request"));
    // An approval is no denial.
    let approval = asked.approval(toc);
    let denial = json!({ "x": 3, "proof": approval.proof, "reason": approval.encrypted_toc });
    assert_eq!(court.post(&asked.path("denials"), &denial).await.refusal(), (403, "bad_proof"));
}

pub async fn who_asks_must_prove_it_freshly_and_once() {
    let court = Court::of(2, 3).await;
    let request = court.request(1, Purpose::Code, None);
    assert_eq!(court.post("/sessions", &request).await.status, StatusCode::OK);
    assert_eq!(court.post("/sessions", &request).await.refusal(), (409, "proof_used"));
    let url = court.oracle.url("");
    let at = |time| signed_request(&url, &court.deal.tocs[0], Purpose::Code, None, "", time);
    for late in [NOW - 121, NOW + 121] {
        assert_eq!(court.post("/sessions", &at(late)).await.refusal(), (400, "proof_time"));
    }
    let mut reworded = court.request(2, Purpose::Code, None);
    reworded.reason = Some("something else".into());
    assert_eq!(court.post("/sessions", &reworded).await.refusal(), (403, "bad_proof"));
    let elsewhere = signed_request("https://elsewhere.test", &court.deal.tocs[1], Purpose::Code, None, "", NOW);
    assert_eq!(court.post("/sessions", &elsewhere).await.refusal(), (403, "bad_proof"));
    let mut longer = court.request(2, Purpose::Code, None);
    longer.ttl = Some(86_400);
    assert_eq!(court.post("/sessions", &longer).await.refusal(), (403, "bad_proof"));
    let mut other = court.request(2, Purpose::Code, None);
    other.applicant.as_mut().expect("signed").x = 3;
    assert_eq!(court.post("/sessions", &other).await.refusal(), (403, "bad_proof"));
    for body in [json!({}), json!({ "header": base64(court.deal.group.header.bytes()) }), json!({ "ttl": 60 })] {
        assert_eq!(court.post("/sessions", &body).await.refusal(), (400, "invalid_request"));
    }
    for (field, value) in [("ttl", 59), ("ttl", 86_401), ("max_codes", 0)] {
        let mut body = serde_json::to_value(court.request(1, Purpose::Code, None)).expect("JSON");
        body[field] = json!(value);
        assert_eq!(court.post("/sessions", &body).await.refusal(), (400, "invalid_request"), "{field} = {value}");
    }
}

pub async fn a_wrong_or_short_kek_opens_nothing() {
    let court = Court::of(2, 3).await;
    let (asked, other) = (court.ask(1).await, court.ask(2).await);
    court.join(&asked, 1).await;
    court.join(&asked, 2).await;
    for kek in ["", "AAAA", "not base64!", &base64(&[0; 32]), &base64(&[0; 33]), other.credentials.kek.as_str()] {
        let answer = court.post(&asked.path("totp"), &json!({ "kek": kek })).await;
        assert_eq!(answer.refusal(), (401, "cannot_open"), "{kek}");
    }
    court.assert_code(&asked).await;
}

/// A stranger fills a session's pool and the oracle's sessions up to the caps; the honest quorum still gets its code.
pub async fn a_stranger_with_junk_does_not_keep_an_honest_quorum_out() {
    let setup = TestSetup::default().set("sessions.open_per_source", "20").set("behind_proxy", "true");
    let court = Court::with(setup, 2, 3).await;
    let from = |source: &'static str, body: Value| {
        let request = court.http.request(Method::POST, court.oracle.url("/sessions")).header("x-forwarded-for", source);
        let sent = request.json(&body).send();
        async move { Answer::read(sent.await.expect("an answer")).await }
    };
    let junk = json!({"toc_zero": {"group_id": "J7UHQPZK", "group_size": 5, "group_threshold": 2, "toc_id": "x",
        "share": "C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ"}});
    let mut refused = 0;
    for _ in 0..30 {
        refused += usize::from(from("203.0.113.9", junk.clone()).await.refusal() == (429, "too_many_sessions"));
    }
    assert_eq!(refused, 10);
    let honest = serde_json::to_value(court.request(1, Purpose::Code, None)).expect("JSON");
    let asked = from("198.51.100.7", honest).await.asked();
    let mut full = false;
    for i in 0..10 {
        let answer =
            court.post(&asked.path("tocs"), &Asked::unproved(asked.encrypt(format!("junk {i}").as_bytes()))).await;
        full |= answer.refusal() == (429, "pool_full");
    }
    assert!(full, "the pool of Tocs without proof has an end");
    court.join(&asked, 1).await;
    court.join(&asked, 3).await;
    court.assert_code(&asked).await;
}
