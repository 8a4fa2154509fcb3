//! U2F over HTTP: register, sign, remove; what counts once, and whose it is. Forged and damaged answers are in
//! `u2f_forgeries.rs`.

use crate::stage::{Answer, Stage, Tenant, send};
use crate::token::{Token, b64, in_standard_base64};
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

pub const APP_ID: &str = "https://example.com/app-id.json";
pub const ORIGIN: &str = "https://login.example.com";

/// An application with a stage to itself.
pub struct Ground {
    pub stage: Stage,
    pub tenant: Tenant,
}

impl Ground {
    pub async fn new() -> Self {
        let stage = Stage::new().await;
        let tenant = stage.tenant("app@example.com").await;
        Self { stage, tenant }
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        self.call_as(&self.tenant, method, path, body).await
    }

    async fn call_as(&self, tenant: &Tenant, method: Method, path: &str, body: &Value) -> Answer {
        send(self.stage.by(tenant, method, path).json(body)).await
    }

    /// A registration that waits for its answer: its path and its challenge.
    pub async fn begin(&self) -> (String, String) {
        let begun = self.call(Method::POST, "/u2f", &json!({ "appId": APP_ID })).await;
        assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
        assert_eq!(begun.json["challenge"]["version"], "U2F_V2");
        assert_eq!(begun.json["challenge"]["appId"], APP_ID);
        let challenge = begun.json["challenge"]["challenge"].as_str().expect("a challenge").to_owned();
        (format!("/u2f/{}", begun.json["uuid"].as_str().expect("a uuid")), challenge)
    }

    /// A registered key: its path.
    pub async fn registered(&self, token: &Token) -> String {
        let (path, challenge) = self.begin().await;
        let answer = self.call(Method::PUT, &path, &registration(token, &challenge, ORIGIN)).await;
        assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""));
        path
    }

    /// The challenge of a login.
    pub async fn challenge(&self, path: &str) -> String {
        let begun = self.call(Method::POST, &format!("{path}/auth"), &json!({})).await;
        assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
        begun.json["challenge"].as_str().expect("a challenge").to_owned()
    }

    pub async fn log_in(&self, path: &str, answer: &Value) -> Answer {
        self.call(Method::PUT, &format!("{path}/auth"), answer).await
    }

    /// The key still logs in: what came before did no harm.
    pub async fn assert_logs_in(&self, path: &str, token: &mut Token) {
        let challenge = self.challenge(path).await;
        let answer = self.log_in(path, &signature(token, &challenge, ORIGIN)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json, json!({ "message": "Valid", "status": 200 }));
    }
}

pub fn registration(token: &Token, challenge: &str, origin: &str) -> Value {
    let client_data = Token::u2f_client_data("finishEnrollment", challenge, origin);
    let message = token.u2f_register(APP_ID, &client_data);
    json!({ "signResult": { "version": "U2F_V2", "registrationData": b64(&message), "clientData": b64(&client_data) } })
}

pub fn signature(token: &mut Token, challenge: &str, origin: &str) -> Value {
    let client_data = Token::u2f_client_data("getAssertion", challenge, origin);
    let message = token.u2f_sign(APP_ID, &client_data);
    let (message, handle) = (b64(&message), b64(&token.handle));
    json!({ "signResult": { "keyHandle": handle, "signatureData": message, "clientData": b64(&client_data) } })
}

#[tokio::test]
async fn a_key_registers_logs_in_and_goes() {
    let ground = Ground::new().await;
    let mut token = Token::new(b"a handle");
    let path = ground.registered(&token).await;
    let begun = ground.call(Method::POST, &format!("{path}/auth"), &json!({})).await;
    assert_eq!(begun.json["appId"], APP_ID);
    assert_eq!(begun.json["keyHandle"], b64(b"a handle"));
    assert_eq!(begun.json["uuid"], path["/u2f/".len()..]);
    for _ in 0..3 {
        ground.assert_logs_in(&path, &mut token).await;
    }
    assert_eq!(ground.call(Method::DELETE, &path, &json!({})).await.status, StatusCode::NO_CONTENT);
    let gone = ground.call(Method::POST, &format!("{path}/auth"), &json!({})).await;
    let words = "No U2F record found with that uuid for that API Key.";
    assert_eq!(gone.refusal(), (404, "not_found", words));
    assert_eq!(ground.call(Method::DELETE, &path, &json!({})).await.refusal(), (404, "not_found", words));
}

#[tokio::test]
async fn standard_base64_does_as_well() {
    let ground = Ground::new().await;
    let mut token = Token::new(&[0xfb, 0xef, 0xbe]);
    let (path, challenge) = ground.begin().await;
    let fields = ["/signResult/registrationData", "/signResult/clientData"];
    let answer = in_standard_base64(&registration(&token, &challenge, ORIGIN), &fields);
    assert_eq!(ground.call(Method::PUT, &path, &answer).await.status, StatusCode::NO_CONTENT);
    let challenge = ground.challenge(&path).await;
    let fields = ["/signResult/signatureData", "/signResult/clientData", "/signResult/keyHandle"];
    let answer = in_standard_base64(&signature(&mut token, &challenge, ORIGIN), &fields);
    assert_eq!(ground.log_in(&path, &answer).await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_challenge_counts_once_even_at_the_same_instant() {
    let ground = Ground::new().await;
    let mut token = Token::new(b"handle");
    let (path, challenge) = ground.begin().await;
    let answer = registration(&token, &challenge, ORIGIN);
    assert_eq!(ground.call(Method::PUT, &path, &answer).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ground.call(Method::PUT, &path, &answer).await.refusal().1, "invalid_challenge");

    let challenge = ground.challenge(&path).await;
    let answer = signature(&mut token, &challenge, ORIGIN);
    let answers = futures_util::future::join_all((0..32).map(|_| ground.log_in(&path, &answer))).await;
    let accepted = answers.iter().filter(|answer| answer.status == StatusCode::OK).count();
    assert_eq!(accepted, 1);
    for refused in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        assert_eq!(refused.refusal().1, "invalid_challenge");
    }
}

#[tokio::test]
async fn a_stale_challenge_does_not_count() {
    let ground = Ground::new().await;
    let mut token = Token::new(b"handle");
    let (path, challenge) = ground.begin().await;
    ground.stage.clock.advance(5 * 60 * 1000);
    let late = ground.call(Method::PUT, &path, &registration(&token, &challenge, ORIGIN)).await;
    assert_eq!((late.refusal().0, late.refusal().1), (400, "invalid_challenge"));

    let path = ground.registered(&token).await;
    let challenge = ground.challenge(&path).await;
    ground.stage.clock.advance(5 * 60 * 1000);
    let late = ground.log_in(&path, &signature(&mut token, &challenge, ORIGIN)).await;
    assert_eq!((late.refusal().0, late.refusal().1), (400, "invalid_challenge"));
    ground.assert_logs_in(&path, &mut token).await;
}

#[tokio::test]
async fn forgotten_challenges_leave_nothing_behind() {
    let ground = Ground::new().await;
    let (path, challenge) = ground.begin().await;
    ground.stage.clock.advance(60 * 60 * 1000);
    let now = quorate_oracle::clock::Clock::now_ms(&*ground.stage.clock);
    assert!(!ground.stage.oracle.state().security_keys.sweep(now).await.expect("swept"));
    let answer = registration(&Token::new(b"handle"), &challenge, ORIGIN);
    assert_eq!(ground.call(Method::PUT, &path, &answer).await.refusal().0, 404);
}

#[tokio::test]
async fn another_tenants_uuid_is_unknown() {
    let ground = Ground::new().await;
    let mut mine = Token::new(b"mine");
    let path = ground.registered(&mine).await;
    let challenge = ground.challenge(&path).await;
    let stranger = ground.stage.tenant("stranger@example.com").await;
    let answer = signature(&mut mine, &challenge, ORIGIN);
    let unknown = "/u2f/7c9e6679-7425-40de-944b-e07fc1f90ae7";
    for (method, suffix) in [(Method::POST, "/auth"), (Method::PUT, "/auth"), (Method::PUT, ""), (Method::DELETE, "")] {
        let body = if suffix.is_empty() { registration(&mine, &challenge, ORIGIN) } else { answer.clone() };
        let at = |path: &str| format!("{path}{suffix}");
        let of_mine = ground.call_as(&stranger, method.clone(), &at(&path), &body).await;
        let of_nobody = ground.call_as(&stranger, method.clone(), &at(unknown), &body).await;
        assert_eq!(of_mine.refusal().0, 404, "{method} {suffix}");
        assert_eq!(of_mine.text, of_nobody.text, "{method} {suffix}");
    }
    assert_eq!(ground.log_in(&path, &answer).await.status, StatusCode::OK, "the challenge was not used up");
}

#[tokio::test]
async fn what_is_missing_or_of_another_kind_is_said() {
    let ground = Ground::new().await;
    for body in [json!({}), json!({ "appId": "" }), json!({ "appId": 7 })] {
        let refused = ground.call(Method::POST, "/u2f", &body).await;
        assert_eq!(refused.refusal(), (400, "field_required", "appId is required"), "{body}");
    }
    for (app_id, word) in [
        ("example.com", "invalid_app_id"),
        ("http://example.com", "plain_http"),
        ("https://192.0.2.1", "ip_address"),
        ("https://co.uk", "public_suffix"),
    ] {
        let refused = ground.call(Method::POST, "/u2f", &json!({ "appId": app_id })).await;
        assert_eq!((refused.refusal().0, refused.refusal().1), (400, word), "{app_id}");
    }
    let (path, _) = ground.begin().await;
    for body in [json!({}), json!({ "signResult": "text" }), json!({ "signResult": { "errorCode": 4 } })] {
        let refused = ground.call(Method::PUT, &path, &body).await;
        assert_eq!(refused.refusal().0, 400, "{body}");
    }
    let unfinished = ground.call(Method::POST, &format!("{path}/auth"), &json!({})).await;
    assert_eq!((unfinished.refusal().0, unfinished.refusal().1), (400, "not_registered"));
    assert_eq!(ground.call(Method::DELETE, &path, &json!({})).await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn missing_and_non_utf8_headers_are_refused() {
    let ground = Ground::new().await;
    let (path, _) = ground.begin().await;
    let auth = format!("{path}/auth");
    for (method, path) in [
        (Method::POST, "/u2f"),
        (Method::PUT, path.as_str()),
        (Method::POST, &auth),
        (Method::PUT, &auth),
        (Method::DELETE, &path),
    ] {
        for name in ["x-mfa-apikey", "x-mfa-apisecret"] {
            for odd in [None, Some(HeaderValue::from_bytes(&[0xff, 0xfe]).expect("a header may be that"))] {
                let request = ground.stage.by(&ground.tenant, method.clone(), path).json(&json!({ "appId": APP_ID }));
                let mut request = request.build().expect("a request");
                match odd {
                    Some(odd) => drop(request.headers_mut().insert(name, odd)),
                    None => drop(request.headers_mut().remove(name)),
                }
                let refused = send(RequestBuilder::from_parts(ground.stage.http.clone(), request)).await;
                assert_eq!(refused.refusal(), (401, "unauthorized", "Unauthorized"), "{method} {path} {name}");
            }
        }
    }
}

#[tokio::test]
async fn an_operators_list_of_origins_holds() {
    let ground = Ground::new().await;
    let listed = vec!["https://www.example.com".to_owned()];
    ground.stage.oracle.state().api_keys.allow(&ground.tenant.value, listed).await.expect("allowed");
    let token = Token::new(b"handle");
    let (path, challenge) = ground.begin().await;
    let refused = ground.call(Method::PUT, &path, &registration(&token, &challenge, ORIGIN)).await;
    assert_eq!((refused.refusal().0, refused.refusal().1), (400, "origin_not_allowed"));
    let answer = ground.call(Method::PUT, &path, &registration(&token, &challenge, "https://www.example.com")).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT);
}
