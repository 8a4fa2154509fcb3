//! The audit log of applications: what is done to API keys and by them, read over HTTP by an operator, and without a secret.

use super::people::stage::People;
use super::stage::send;
use quorate_protocol::audit::checkpoint::Checkpoint;
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::{Line, Verifier};
use reqwest::Method;
use serde_json::json;

/// The whole log, as an operator reads it in pages, checked.
pub async fn log(people: &People) -> (Vec<Event>, String) {
    let audit = &people.stage.oracle.state().audit;
    audit.record_counts().await.expect("the store answers");
    audit.number_all().await.expect("numbered");
    let (mut verifier, mut events, mut text, mut after) =
        (Verifier::new(vec![audit.verifier_key().clone()], Vec::new()), Vec::new(), String::new(), 0);
    loop {
        let path = format!("/audit?after={after}&limit=3");
        let page = send(people.request(&people.operator, Method::GET, &path)).await;
        assert_eq!(page.status, 200, "{}", page.text);
        if page.text.is_empty() {
            break;
        }
        for line in page.text.lines() {
            if let Some(Line::Row(row)) = verifier.push(line) {
                after = row.number;
                events.push(Event::from_leaf(&row.event.expect("it opens")).expect("an event"));
            }
        }
        text += &page.text;
    }
    let report = verifier.finish();
    assert!(report.is_sound(), "{:?}", report.findings);
    (events, text)
}

#[tokio::test]
async fn what_applications_and_their_operators_do_is_told() {
    let people = People::new().await;
    let stage = &people.stage;
    let before = log(&people).await.0.len();
    let (one, two) = (stage.tenant("one@example.com").await, stage.tenant("two@example.com").await);
    let made = send(stage.by(&one, Method::POST, "/totp").json(&json!({ "issuer": "Acme", "label": "joe" }))).await;
    let uuid = made.json["uuid"].as_str().expect("a UUID").to_owned();
    let validate = format!("/totp/{uuid}/validate");
    for _ in 0..5 {
        send(stage.by(&one, Method::POST, &validate).json(&json!({ "code": "000000" }))).await;
    }
    let rotation =
        json!({ "oldKeyId": one.value, "oldKeySecret": one.secret, "newKeyId": two.value, "newKeySecret": two.secret });
    assert_eq!(send(stage.at(Method::POST, "/api-key/rotate").json(&rotation)).await.status, 200);
    assert_eq!(send(stage.by(&two, Method::DELETE, &format!("/totp/{uuid}"))).await.status, 204);
    assert_eq!(send(stage.by(&two, Method::DELETE, &format!("/totp/{uuid}"))).await.status, 404);
    let oracle = stage.oracle.state();
    oracle.api_keys.allow(&two.value, vec!["https://login.example.com".to_owned()]).await.expect("set");
    for _ in 0..2 {
        oracle.apps.revoke_api_key(&one.value).await.expect("revoked");
    }
    assert_eq!(send(stage.by(&one, Method::POST, "/totp").json(&json!({}))).await.status, 401);
    let wrong = stage.at(Method::POST, "/api-key").header("x-api-key", "wrong");
    assert_eq!(send(wrong.json(&json!({ "email": "one@example.com" }))).await.status, 403);

    let (events, text) = log(&people).await;
    let told: Vec<_> = events[before..].iter().map(|event| (event.kind.as_str(), event.who.as_str())).collect();
    let (first, second) = (events[before].subject.as_str(), events[before + 2].subject.as_str());
    assert_eq!(
        told,
        [
            ("api_key.created", "operator"),
            ("api_key.activated", "operator"),
            ("api_key.created", "operator"),
            ("api_key.activated", "operator"),
            ("totp.enrolled", first),
            ("totp.locked", first),
            ("api_key.rotated", first),
            ("totp.removed", second),
            ("api_key.allowed", "operator"),
            ("api_key.revoked", "operator"),
            ("audit.counted", "oracle"),
        ]
    );
    let told = &events[before..];
    assert_eq!((told[0].details["email"].as_str(), told[0].source.as_str()), (Some("one@example.com"), "127.0.0.1"));
    assert_eq!(told[6].subject, second);
    let totp = told[4].subject.as_str();
    assert!(totp.starts_with("totp ") && !text.contains(&uuid), "named, and not by the application's word for it");
    assert_eq!([&told[5].subject, &told[7].subject], [totp; 2]);
    assert_eq!((told[9].subject.as_str(), told[9].source.as_str()), (first, ""), "on the oracle's own machine");
    assert_eq!(
        told[10].details,
        *json!({ "api_key.refused": 1, "gateway.refused": 1 }).as_object().expect("an object")
    );

    let gateway = std::fs::read_to_string(stage.oracle.folder().join("gateway.key")).expect("made on first start");
    let key = made.json["totpKey"].as_str().expect("a key");
    for secret in [&one.secret, &two.secret, &one.value, &two.value, gateway.trim(), key] {
        assert!(!text.contains(secret), "{secret} is in {text}");
    }
}

#[tokio::test]
async fn the_newest_checkpoint_is_shown() {
    let people = People::new().await;
    let audit = &people.stage.oracle.state().audit;
    let show = async || send(people.request(&people.operator, Method::GET, "/audit/checkpoint")).await;
    let first = show().await;
    if first.status != 200 {
        assert_eq!(first.refusal(), (404, "no_checkpoint", "the audit log has no checkpoint yet"));
    }
    people.stage.tenant("one@example.com").await;
    audit.number_all().await.expect("numbered");
    let note = show().await;
    let size = Checkpoint::open(&note.text, audit.verifier_key()).expect("signed").size;
    assert_eq!(usize::try_from(size).expect("few"), log(&people).await.0.len());
}

#[tokio::test]
async fn a_page_is_bounded_and_asked_for_in_numbers() {
    let people = People::new().await;
    for wrong in ["after=x", "limit=x", "after=99999999999999999999"] {
        let answer = send(people.request(&people.operator, Method::GET, &format!("/audit?{wrong}"))).await;
        assert_eq!((answer.refusal().0, answer.refusal().1), (400, "invalid_query"), "{wrong}");
    }
    people.stage.tenant("one@example.com").await;
    people.stage.oracle.state().audit.number_all().await.expect("numbered");
    for odd in ["after=-5&limit=-5", "limit=0", "limit=99999999", "after=9223372036854775807"] {
        let answer = send(people.request(&people.operator, Method::GET, &format!("/audit?{odd}"))).await;
        assert_eq!(answer.status, 200, "{odd}: {}", answer.text);
    }
}
