//! What an answer says about itself beside its signature: whether somebody was verified, whether the key has a backup, and
//! what page it stood on. And a page that may no longer speak for its party when the answer comes.

use crate::stage::Answer;
use crate::token::{Format, Token};
use crate::u2f;
use crate::webauthn::{Ground, LOGIN, ORIGIN, REGISTER, RP_ID};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

// Flags of authenticator data (`WebAuthn` L3 §6.1).
const PRESENT: u8 = 0x01;
const VERIFIED: u8 = 0x04;
const ELIGIBLE: u8 = 0x08;
const BACKED_UP: u8 = 0x10;

/// What the flags of a registration and of a login beside it come to.
async fn log_in_with(registered: u8, used: u8) -> Result<Answer, Answer> {
    let ground = Ground::new().await;
    let mut token = Token::new(b"credential");
    token.flags = PRESENT | registered;
    let answer = ground.register(&token, Format::PackedSelf).await;
    if answer.status != StatusCode::OK {
        return Err(answer);
    }
    token.flags = PRESENT | used;
    Ok(ground.log_in(&mut token).await)
}

#[tokio::test]
async fn a_passkey_in_several_places_is_as_good_as_a_token() {
    for (registered, used) in [
        (ELIGIBLE | BACKED_UP, ELIGIBLE | BACKED_UP),
        (ELIGIBLE, ELIGIBLE | BACKED_UP),
        (ELIGIBLE | BACKED_UP, ELIGIBLE),
    ] {
        let answer = log_in_with(registered, used).await.expect("registered");
        assert_eq!(answer.status, StatusCode::OK, "{registered:#x} {used:#x}: {}", answer.text);
    }
}

#[tokio::test]
async fn a_key_does_not_become_one_that_can_be_copied_nor_the_other_way_round() {
    for (registered, used) in [
        (0, ELIGIBLE),
        (0, ELIGIBLE | BACKED_UP),
        (ELIGIBLE, 0),
        (ELIGIBLE | BACKED_UP, 0),
        (0, BACKED_UP),
        (ELIGIBLE, BACKED_UP),
    ] {
        let refused = log_in_with(registered, used).await.expect("registered");
        let (status, word, _) = refused.refusal();
        assert_eq!((status, word), (400, "backup_flags"), "{registered:#x} {used:#x}");
    }
    let refused = log_in_with(BACKED_UP, BACKED_UP).await.expect_err("a backup of what has none");
    assert_eq!((refused.refusal().0, refused.refusal().1), (400, "backup_flags"));
}

#[tokio::test]
async fn whether_somebody_was_verified_is_the_applications_business() {
    // Options ask for no verification, so that a key that did it once need not do it again.
    for (registered, used) in [(VERIFIED, VERIFIED), (0, VERIFIED), (VERIFIED, 0)] {
        let answer = log_in_with(registered, used).await.expect("registered");
        assert_eq!(answer.status, StatusCode::OK, "{registered:#x} {used:#x}: {}", answer.text);
    }
}

/// Client data as an embedded page's browser makes them.
fn client_data(act: &str, options: &Value, where_it_stood: &Value) -> Vec<u8> {
    let mut fields = json!({ "type": act, "challenge": options["challenge"], "origin": ORIGIN });
    let more = where_it_stood.as_object().expect("an object").clone();
    fields.as_object_mut().expect("an object").extend(more);
    fields.to_string().into_bytes()
}

#[tokio::test]
async fn a_page_in_a_frame_of_another_origin_is_refused() {
    let ground = Ground::new().await;
    let (new, token) = (Token::new(b"new"), Token::new(b"credential"));
    ground.registered(&token).await;
    let (registration, login) = (ground.options(REGISTER).await, ground.options(LOGIN).await);
    let answers = |where_it_stood: &Value| {
        let data = client_data("webauthn.create", &registration, where_it_stood);
        let object = new.attestation_object(Format::None, &new.attested(RP_ID, None), &data);
        let data_of_login = client_data("webauthn.get", &login, where_it_stood);
        [(REGISTER, new.created(&object, &data)), (LOGIN, token.signed(&token.head(RP_ID, PRESENT), &data_of_login))]
    };
    for framed in [
        json!({ "crossOrigin": true }),
        json!({ "crossOrigin": true, "topOrigin": "https://portal.example.org" }),
        json!({ "crossOrigin": false, "topOrigin": ORIGIN }),
    ] {
        for (path, answer) in answers(&framed) {
            let refused = ground.call(Method::PUT, path, &answer).await;
            assert_eq!((refused.refusal().0, refused.refusal().1), (400, "cross_origin"), "{path} {framed}");
        }
    }
    for (path, answer) in answers(&json!({ "crossOrigin": "true" })) {
        let refused = ground.call(Method::PUT, path, &answer).await;
        assert_eq!((refused.refusal().0, refused.refusal().1), (400, "invalid_answer"), "{path}");
    }
    // Old browsers say nothing, and say it of pages that stand on their own.
    for (path, answer) in answers(&json!({ "topOrigin": null, "somethingNew": [] })) {
        let done = ground.call(Method::PUT, path, &answer).await;
        assert_eq!(done.status, StatusCode::OK, "{path}: {}", done.text);
    }
}

#[tokio::test]
async fn an_origin_that_is_taken_off_the_list_finishes_nothing() {
    let mut ground = Ground::new().await;
    let (mut token, new) = (Token::new(b"credential"), Token::new(b"new"));
    ground.registered(&token).await;
    let mut key = Token::new(b"handle");
    let begun = ground.call(Method::POST, "/u2f", &json!({ "appId": u2f::APP_ID })).await.json;
    let uuid = begun["uuid"].as_str().expect("a uuid").to_owned();
    let challenge = |begun: &Value| begun["challenge"].as_str().expect("a challenge").to_owned();
    let registration = u2f::registration(&key, &challenge(&begun["challenge"]), ORIGIN);
    let path = format!("/u2f/{uuid}");
    assert_eq!(ground.call(Method::PUT, &path, &registration).await.status, StatusCode::NO_CONTENT);

    ground.allow(&[ORIGIN]).await;
    let (login, begun) = (ground.options(LOGIN).await, ground.options(REGISTER).await);
    let auth = format!("{path}/auth");
    let signing = ground.call(Method::POST, &auth, &json!({})).await.json;
    let answers = [
        (LOGIN, token.get(&login, ORIGIN)),
        (REGISTER, new.create(&begun, ORIGIN, Format::None)),
        (&auth, u2f::signature(&mut key, &challenge(&signing), ORIGIN)),
    ];
    ground.allow(&["https://elsewhere.example.com"]).await;
    for (path, answer) in &answers {
        let refused = ground.call(Method::PUT, path, answer).await;
        assert_eq!((refused.refusal().0, refused.refusal().1), (400, "origin_not_allowed"), "{path}");
    }
    // Nothing of it counted: not the challenge, not the counter.
    ground.allow(&[ORIGIN]).await;
    for (path, answer) in &answers {
        let done = ground.call(Method::PUT, path, answer).await;
        assert_eq!(done.status, StatusCode::OK, "{path}: {}", done.text);
    }
    ground.origin = "https://elsewhere.example.com".to_owned();
    assert_eq!(ground.call(Method::POST, LOGIN, &json!({})).await.refusal().1, "origin_not_allowed");
}
