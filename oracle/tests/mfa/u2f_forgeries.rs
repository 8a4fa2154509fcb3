//! Forged and damaged answers of U2F: each refused by name, and none uses up the challenge that it was made for.

use crate::token::{Token, b64, flip, flip_last, with_bytes};
use crate::u2f::{APP_ID, Ground, ORIGIN, registration, signature};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const REGISTRATION: &str = "/signResult/registrationData";
const SIGNATURE: &str = "/signResult/signatureData";
const CLIENT_DATA: &str = "/signResult/clientData";
const KEY_HANDLE: &str = "/signResult/keyHandle";

/// A path and the challenge that waits there.
struct Waiting {
    path: String,
    challenge: String,
}

/// A registration and a login that wait for their answers: `token` is registered, `new` is not.
struct Scene {
    ground: Ground,
    token: Token,
    new: Token,
    registration: Waiting,
    login: Waiting,
}

impl Scene {
    async fn new() -> Self {
        let ground = Ground::new().await;
        let mut token = Token::new(b"handle");
        let path = ground.registered(&token).await;
        ground.assert_logs_in(&path, &mut token).await;
        let challenge = ground.challenge(&path).await;
        let login = Waiting { path, challenge };
        let (path, challenge) = ground.begin().await;
        Self { ground, token, new: Token::new(b"new"), registration: Waiting { path, challenge }, login }
    }

    /// An honest answer to the registration.
    fn registered(&self) -> Value {
        registration(&self.new, &self.registration.challenge, ORIGIN)
    }

    /// An honest answer to the login.
    fn signed(&mut self) -> Value {
        signature(&mut self.token, &self.login.challenge, ORIGIN)
    }

    async fn refuses_registration(&self, what: &str, answer: &Value, word: &str) {
        let refused = self.ground.call(Method::PUT, &self.registration.path, answer).await;
        assert_eq!((refused.refusal().0, refused.refusal().1), (400, word), "{what}: {}", refused.text);
    }

    async fn refuses_login(&self, what: &str, answer: &Value, word: &str) {
        let refused = self.ground.log_in(&self.login.path, answer).await;
        assert_eq!((refused.refusal().0, refused.refusal().1), (400, word), "{what}: {}", refused.text);
    }

    /// Both challenges still wait for an honest answer.
    async fn goes_on(mut self) {
        let answer = self.signed();
        let answer = self.ground.log_in(&self.login.path, &answer).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let answer = self.ground.call(Method::PUT, &self.registration.path, &self.registered()).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    }
}

/// A registration with client data of another act.
fn registered_as(act: &str, token: &Token, challenge: &str) -> Value {
    let data = Token::u2f_client_data(act, challenge, ORIGIN);
    json!({ "signResult": { "registrationData": b64(&token.u2f_register(APP_ID, &data)), "clientData": b64(&data) } })
}

/// A signature with client data of another act.
fn signed_as(act: &str, token: &mut Token, challenge: &str) -> Value {
    let data = Token::u2f_client_data(act, challenge, ORIGIN);
    json!({ "signResult": { "signatureData": b64(&token.u2f_sign(APP_ID, &data)), "clientData": b64(&data) } })
}

#[tokio::test]
async fn an_answer_to_another_challenge_is_refused() {
    let mut scene = Scene::new().await;
    let invented = b64(&[7; 32]);
    for challenge in [invented.clone(), scene.login.challenge.clone()] {
        let answer = registration(&scene.new, &challenge, ORIGIN);
        scene.refuses_registration(&challenge, &answer, "invalid_challenge").await;
    }
    for challenge in [invented, scene.registration.challenge.clone()] {
        let answer = signature(&mut scene.token, &challenge, ORIGIN);
        scene.refuses_login(&challenge, &answer, "invalid_challenge").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn an_answer_from_another_origin_is_refused() {
    let mut scene = Scene::new().await;
    for (origin, word) in [
        ("https://example.org", "wrong_origin"),
        ("https://badexample.com", "wrong_origin"),
        ("http://login.example.com", "plain_http"),
        ("https://192.0.2.1", "ip_address"),
        ("null", "invalid_origin"),
    ] {
        let answer = registration(&scene.new, &scene.registration.challenge, origin);
        scene.refuses_registration(origin, &answer, word).await;
        let answer = signature(&mut scene.token, &scene.login.challenge, origin);
        scene.refuses_login(origin, &answer, word).await;
    }
    scene.goes_on().await;
}

/// U2F's counterpart of another RP ID.
#[tokio::test]
async fn an_answer_for_another_app_id_is_refused() {
    let mut scene = Scene::new().await;
    for app_id in ["https://example.com", "https://example.org/app-id.json", ""] {
        let data = Token::u2f_client_data("finishEnrollment", &scene.registration.challenge, ORIGIN);
        let message = scene.new.u2f_register(app_id, &data);
        let answer = json!({ "signResult": { "registrationData": b64(&message), "clientData": b64(&data) } });
        scene.refuses_registration(app_id, &answer, "wrong_signature").await;
        let data = Token::u2f_client_data("getAssertion", &scene.login.challenge, ORIGIN);
        let message = scene.token.u2f_sign(app_id, &data);
        let answer = json!({ "signResult": { "signatureData": b64(&message), "clientData": b64(&data) } });
        scene.refuses_login(app_id, &answer, "wrong_signature").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn an_answer_of_another_type_is_refused() {
    let mut scene = Scene::new().await;
    for act in ["getAssertion", "other", ""] {
        let answer = registered_as(act, &scene.new, &scene.registration.challenge);
        scene.refuses_registration(act, &answer, "wrong_type").await;
    }
    for act in ["finishEnrollment", "other", ""] {
        let answer = signed_as(act, &mut scene.token, &scene.login.challenge);
        scene.refuses_login(act, &answer, "wrong_type").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn flipped_bits_in_a_registration_are_refused() {
    let scene = Scene::new().await;
    let good = scene.registered();
    let handle_at = 1 + 65 + 1;
    let certificate_at = handle_at + scene.new.handle.len();
    let signature_at = certificate_at + scene.new.certificate.len();
    // Behind a DER sequence's head of two bytes and an integer's of two, each with perhaps a zero.
    for at in (signature_at + 6..signature_at + 34).step_by(3).chain([10, 60, handle_at, signature_at + 60]) {
        let damaged = with_bytes(&good, REGISTRATION, flip(at));
        scene.refuses_registration(&at.to_string(), &damaged, "wrong_signature").await;
    }
    let last = with_bytes(&good, REGISTRATION, flip_last());
    scene.refuses_registration("the last", &last, "wrong_signature").await;
    let spaced = with_bytes(&good, CLIENT_DATA, |bytes| bytes.insert(1, b' '));
    scene.refuses_registration("client data that mean the same", &spaced, "wrong_signature").await;
    scene.goes_on().await;
}

#[tokio::test]
async fn flipped_bits_in_a_signature_are_refused() {
    let mut scene = Scene::new().await;
    let good = scene.signed();
    for (what, change) in [("a half", flip(5 + 20)), ("the other half", flip(5 + 60)), ("the counter", flip(4))] {
        scene.refuses_login(what, &with_bytes(&good, SIGNATURE, change), "wrong_signature").await;
    }
    let last = with_bytes(&good, SIGNATURE, flip_last());
    scene.refuses_login("the last", &last, "wrong_signature").await;
    let mut other = Token::new(b"handle");
    let answer = signature(&mut other, &scene.login.challenge, ORIGIN);
    scene.refuses_login("another key", &answer, "wrong_signature").await;
    scene.goes_on().await;
}

#[tokio::test]
async fn a_signature_that_nobody_touched_is_refused() {
    let mut scene = Scene::new().await;
    scene.token.flags = 0;
    let absent = scene.signed();
    scene.token.flags = 1;
    scene.refuses_login("presence off", &absent, "not_present").await;
    let claimed = with_bytes(&absent, SIGNATURE, |bytes| bytes[0] = 1);
    scene.refuses_login("a claim that was not signed", &claimed, "wrong_signature").await;
    let undefined = with_bytes(&absent, SIGNATURE, |bytes| bytes[0] = 0x81);
    scene.refuses_login("other bits that were not signed", &undefined, "wrong_signature").await;
    scene.goes_on().await;
}

#[tokio::test]
async fn a_counter_that_does_not_rise_is_refused() {
    let ground = Ground::new().await;
    let mut token = Token::new(b"handle");
    let path = ground.registered(&token).await;
    token.counter = 40;
    ground.assert_logs_in(&path, &mut token).await;
    for counter in [40, 3] {
        // The next signature carries one more.
        token.counter = counter;
        let challenge = ground.challenge(&path).await;
        let refused = ground.log_in(&path, &signature(&mut token, &challenge, ORIGIN)).await;
        assert_eq!((refused.refusal().0, refused.refusal().1), (400, "counter_behind"), "{counter}");
    }
    token.counter = 41;
    ground.assert_logs_in(&path, &mut token).await;
}

#[tokio::test]
async fn a_key_handle_of_another_user_is_refused() {
    let mut scene = Scene::new().await;
    let mut theirs = Token::new(b"theirs");
    let their_path = scene.ground.registered(&theirs).await;
    let answer = signature(&mut theirs, &scene.login.challenge, ORIGIN);
    scene.refuses_login("their key for my challenge", &answer, "other_credential").await;
    let mut renamed = scene.signed();
    renamed["signResult"]["keyHandle"] = b64(b"theirs").into();
    scene.refuses_login("my key by their name", &renamed, "other_credential").await;
    let good = with_bytes(&scene.signed(), KEY_HANDLE, flip_last());
    scene.refuses_login("nobody's name", &good, "other_credential").await;
    let answer = scene.signed();
    let refused = scene.ground.log_in(&their_path, &answer).await;
    assert_eq!((refused.refusal().0, refused.refusal().1), (400, "invalid_challenge"), "my answer under their uuid");
    scene.goes_on().await;
}

#[tokio::test]
async fn a_key_of_another_curve_is_refused() {
    let mut scene = Scene::new().await;
    let own = scene.new.certificate.clone();
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).expect("a key");
    let certificate = rcgen::CertificateParams::new(Vec::new()).expect("no names").self_signed(&pair);
    scene.new.certificate = certificate.expect("a certificate").der().to_vec();
    scene.refuses_registration("an attestation by P-384", &scene.registered(), "invalid_certificate").await;
    scene.new.certificate = own;
    let data = Token::u2f_client_data("finishEnrollment", &scene.registration.challenge, ORIGIN);
    for (what, change) in [("beside the curve", flip(64)), ("compressed", flip(0))] {
        let mut point = scene.new.point().to_vec();
        change(&mut point);
        let message = scene.new.u2f_attest(&point, APP_ID, &data);
        let answer = json!({ "signResult": { "registrationData": b64(&message), "clientData": b64(&data) } });
        scene.refuses_registration(what, &answer, "invalid_key").await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn what_is_no_message_is_refused() {
    let mut scene = Scene::new().await;
    let good = scene.registered();
    let certificate_at = 1 + 65 + 1 + scene.new.handle.len();
    for (what, answer, word) in [
        ("junk behind it", with_bytes(&good, REGISTRATION, |bytes| bytes.push(0)), "wrong_signature"),
        ("another version", with_bytes(&good, REGISTRATION, |bytes| bytes[0] = 4), "invalid_answer"),
        ("half a message", with_bytes(&good, REGISTRATION, |bytes| bytes.truncate(90)), "invalid_answer"),
        (
            "no certificate",
            with_bytes(&good, REGISTRATION, |bytes| bytes[certificate_at] = 0x31),
            "invalid_certificate",
        ),
        ("no client data", with_bytes(&good, CLIENT_DATA, Vec::clear), "invalid_answer"),
    ] {
        scene.refuses_registration(what, &answer, word).await;
    }
    let good = scene.signed();
    for (what, answer, word) in [
        ("junk behind it", with_bytes(&good, SIGNATURE, |bytes| bytes.push(0)), "wrong_signature"),
        ("nothing", with_bytes(&good, SIGNATURE, Vec::clear), "invalid_answer"),
        ("no signature", with_bytes(&good, SIGNATURE, |bytes| bytes.truncate(5)), "invalid_answer"),
        ("no client data", with_bytes(&good, CLIENT_DATA, Vec::clear), "invalid_answer"),
    ] {
        scene.refuses_login(what, &answer, word).await;
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn oversized_base64_is_refused() {
    let mut scene = Scene::new().await;
    let (registered, signed) = (scene.registered(), scene.signed());
    let login = format!("{}/auth", scene.login.path);
    for (path, good, fields) in [
        (&scene.registration.path, &registered, &[REGISTRATION, CLIENT_DATA][..]),
        (&login, &signed, &[SIGNATURE, CLIENT_DATA, KEY_HANDLE]),
    ] {
        for field in fields {
            for (text, status) in [("A".repeat(30_000), 400), ("A".repeat(200_000), 413), ("*".to_owned(), 400)] {
                let mut answer = good.clone();
                *answer.pointer_mut(field).expect("a field") = text.into();
                let refused = scene.ground.call(Method::PUT, path, &answer).await;
                assert_eq!(refused.refusal().0, status, "{path} {field}");
            }
        }
    }
    scene.goes_on().await;
}

#[tokio::test]
async fn wrong_signatures_lock_the_key_for_a_while() {
    let mut scene = Scene::new().await;
    let good = scene.signed();
    let wrong = with_bytes(&good, SIGNATURE, flip(5 + 20));
    for _ in 0..10 {
        scene.refuses_login("a guess", &wrong, "wrong_signature").await;
    }
    for answer in [&wrong, &good] {
        let locked = scene.ground.log_in(&scene.login.path, answer).await;
        assert_eq!(locked.refusal(), (429, "too_many_failures", "too many wrong signatures"));
        assert_eq!(locked.retry_after, Some(1));
    }
    scene.ground.stage.clock.advance(1_000);
    scene.refuses_login("one more guess", &wrong, "wrong_signature").await;
    assert_eq!(scene.ground.log_in(&scene.login.path, &good).await.retry_after, Some(2));
    scene.ground.stage.clock.advance(2_000);
    scene.goes_on().await;
}
