//! API keys: made, activated once, presented, revoked, rotated.

use super::stage::{NOW, Stage, Tenant, send};
use reqwest::Method;
use reqwest::header::HeaderValue;
use serde_json::json;

const EMAIL: &str = "app@example.com";

#[tokio::test]
async fn a_key_is_made_and_activated_once() {
    let stage = Stage::new().await;
    let tenant = stage.tenant(EMAIL).await;
    assert_eq!((tenant.value.len(), tenant.secret.len()), (40, 44));
    let again = json!({ "email": EMAIL, "apiKey": tenant.value });
    let again = send(stage.gateway("/api-key/activate").json(&again)).await;
    assert_eq!(again.refusal(), (401, "already_activated", "Unauthorized"));
}

#[tokio::test]
async fn the_gos_name_for_the_key_is_accepted_too() {
    let stage = Stage::new().await;
    send(stage.gateway("/api-key").json(&json!({ "email": EMAIL }))).await;
    let value = stage.value_of(EMAIL).await;
    let answer = send(stage.gateway("/api-key/activate").json(&json!({ "email": EMAIL, "apiKeyValue": value }))).await;
    assert_eq!(answer.json["apiSecret"].as_str().map(str::len), Some(44), "{}", answer.text);
}

#[tokio::test]
async fn a_body_counts_whatever_its_content_type_says() {
    let stage = Stage::new().await;
    let request = stage.gateway("/api-key").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(send(request.body(json!({ "email": EMAIL }).to_string())).await.status, 204);
}

#[tokio::test]
async fn without_the_gateway_key_nothing_is_made() {
    let stage = Stage::new().await;
    for path in ["/api-key", "/api-key/activate"] {
        let body = json!({ "email": EMAIL, "apiKey": "0" });
        let missing = send(stage.at(Method::POST, path).json(&body)).await;
        assert_eq!(missing.refusal(), (403, "gateway_key", "Forbidden"));
        for wrong in [&b"wrong"[..], b"", b"\xff\xfe"] {
            let header = HeaderValue::from_bytes(wrong).expect("a header");
            let answer = send(stage.at(Method::POST, path).header("x-api-key", header).json(&body)).await;
            assert_eq!(answer.refusal().0, 403);
        }
    }
    assert!(stage.oracle.state().api_keys.list().await.expect("listed").is_empty());
}

#[tokio::test]
async fn an_email_is_required() {
    let stage = Stage::new().await;
    for body in ["", "{}", r#"{"email":""}"#, r#"{"email":7}"#, r#"{"email":null}"#, r#"{"email":["a@b"]}"#] {
        for path in ["/api-key", "/api-key/activate"] {
            let answer = send(stage.gateway(path).body(body)).await;
            assert_eq!(answer.refusal(), (400, "field_required", "email is required"), "{body}");
        }
    }
    let long = format!("{}@example.com", "a".repeat(320));
    for email in [long.as_str(), "a@b\u{0}", "a@b\nbcc: c@d"] {
        let answer = send(stage.gateway("/api-key").json(&json!({ "email": email }))).await;
        assert_eq!(answer.refusal().1, "invalid_email");
    }
}

#[tokio::test]
async fn a_key_is_required_for_activation() {
    let stage = Stage::new().await;
    for body in
        [json!({ "email": EMAIL }), json!({ "email": EMAIL, "apiKey": "" }), json!({ "email": EMAIL, "apiKey": 1 })]
    {
        let answer = send(stage.gateway("/api-key/activate").json(&body)).await;
        assert_eq!(answer.refusal(), (400, "field_required", "apiKey is required"));
    }
}

#[tokio::test]
async fn what_is_not_json_is_refused() {
    let stage = Stage::new().await;
    for path in ["/api-key", "/api-key/activate", "/api-key/rotate"] {
        for (body, code) in [
            ("{", "invalid_json"),
            ("[]", "field_required"),
            ("[1]", "invalid_body"),
            ("null", "invalid_body"),
            ("\"text\"", "invalid_body"),
        ] {
            let answer = send(stage.gateway(path).body(body)).await;
            assert_eq!((answer.refusal().0, answer.refusal().1), (400, code), "{path} {body}");
        }
        let large = send(stage.gateway(path).body(vec![b' '; 129 * 1024])).await;
        assert_eq!(large.refusal().1, "too_large", "{path}");
    }
}

#[tokio::test]
async fn an_unknown_key_and_another_email_are_the_same() {
    let stage = Stage::new().await;
    send(stage.gateway("/api-key").json(&json!({ "email": EMAIL }))).await;
    let value = stage.value_of(EMAIL).await;
    let long = "f".repeat(100_000);
    for (email, value) in
        [(EMAIL, "0123456789"), ("other@example.com", &value), ("APP@example.com", &value), (EMAIL, long.as_str())]
    {
        let body = json!({ "email": email, "apiKey": value });
        let answer = send(stage.gateway("/api-key/activate").json(&body)).await;
        assert_eq!(answer.refusal(), (404, "not_found", "No matching API Key record was found"), "{email}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_activations_at_once_one_gives_a_secret() {
    let stage = Stage::new().await;
    send(stage.gateway("/api-key").json(&json!({ "email": EMAIL }))).await;
    let body = json!({ "email": EMAIL, "apiKey": stage.value_of(EMAIL).await });
    let requests = (0..32).map(|_| send(stage.gateway("/api-key/activate").json(&body)));
    let answers = futures_util::future::join_all(requests).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 1);
    assert!(answers.iter().all(|answer| [200, 401].contains(&answer.status.as_u16())));
}

#[tokio::test]
async fn wrong_unknown_foreign_and_inactive_credentials_are_refused_alike() {
    let stage = Stage::new().await;
    let (one, two) = (stage.tenant(EMAIL).await, stage.tenant("two@example.com").await);
    send(stage.gateway("/api-key").json(&json!({ "email": "new@example.com" }))).await;
    let new = Tenant { value: stage.value_of("new@example.com").await, secret: one.secret.clone() };
    let unknown = Tenant { value: "0".repeat(40), ..one.clone() };
    let foreign = Tenant { value: one.value.clone(), secret: two.secret };
    let empty = Tenant { value: one.value.clone(), secret: String::new() };
    let cut = Tenant { secret: one.secret[..43].to_owned(), ..one.clone() };
    let long = Tenant { secret: one.secret.repeat(100), ..one.clone() };
    for wrong in [new, unknown, foreign, empty, cut, long] {
        let answer = send(stage.by(&wrong, Method::POST, "/totp")).await;
        assert_eq!(answer.refusal(), (401, "unauthorized", "Unauthorized"), "{wrong:?}");
    }
}

#[tokio::test]
async fn a_revoked_key_is_refused() {
    let stage = Stage::new().await;
    let tenant = stage.tenant(EMAIL).await;
    assert_eq!(send(stage.by(&tenant, Method::POST, "/totp")).await.status, 200);
    stage.oracle.state().apps.revoke_api_key(&tenant.value).await.expect("revoked");
    assert_eq!(send(stage.by(&tenant, Method::POST, "/totp")).await.refusal().0, 401);
    send(stage.gateway("/api-key").json(&json!({ "email": "new@example.com" }))).await;
    let new = stage.value_of("new@example.com").await;
    stage.oracle.state().apps.revoke_api_key(&new).await.expect("revoked");
    let body = json!({ "email": "new@example.com", "apiKey": new });
    assert_eq!(send(stage.gateway("/api-key/activate").json(&body)).await.refusal().0, 404);
}

#[tokio::test]
async fn a_rotation_needs_two_activated_keys() {
    let stage = Stage::new().await;
    let (old, new) = (stage.tenant(EMAIL).await, stage.tenant(EMAIL).await);
    let full = json!({
        "oldKeyId": old.value, "oldKeySecret": old.secret, "newKeyId": new.value, "newKeySecret": new.secret,
    });
    for field in ["newKeyId", "newKeySecret", "oldKeyId", "oldKeySecret"] {
        let mut body = full.clone();
        body[field] = json!(null);
        let answer = send(stage.at(Method::POST, "/api-key/rotate").json(&body)).await;
        assert_eq!(answer.refusal(), (400, "field_required", format!("{field} is required").as_str()));
        body[field] = json!("wrong");
        let answer = send(stage.at(Method::POST, "/api-key/rotate").json(&body)).await;
        let message = format!("{} key is not valid", &field[..3]);
        assert_eq!(answer.refusal(), (404, "key_not_valid", message.as_str()));
    }
    send(stage.gateway("/api-key").json(&json!({ "email": "new@example.com" }))).await;
    let mut inactive = full.clone();
    inactive["newKeyId"] = json!(stage.value_of("new@example.com").await);
    assert_eq!(send(stage.at(Method::POST, "/api-key/rotate").json(&inactive)).await.refusal().0, 404);
    let answer = send(stage.at(Method::POST, "/api-key/rotate").json(&full)).await;
    let nothing = json!({ "totpComplete": 0, "totpIncomplete": 0, "webauthnComplete": 0, "webauthnIncomplete": 0 });
    assert_eq!((answer.status.as_u16(), answer.json), (200, nothing));
}

#[tokio::test]
async fn nothing_of_an_api_key_can_be_read_in_the_database() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("findme@example.com").await;
    let listed = stage.oracle.state().api_keys.list().await.expect("listed");
    assert_eq!((listed[0].created_at, listed[0].activated_at), (NOW * 1000, Some(NOW * 1000)));
    let mut stored = Vec::new();
    for file in std::fs::read_dir(stage.oracle.folder()).expect("the folder") {
        let path = file.expect("a file").path();
        if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("quorate.db")) {
            stored.extend(std::fs::read(path).expect("readable"));
        }
    }
    assert!(stored.len() > 10_000, "the database was found");
    for secret in ["findme@example.com", &tenant.value, &tenant.secret] {
        assert!(!stored.windows(secret.len()).any(|window| window == secret.as_bytes()), "{secret}");
    }
}
