//! The audit log of apps: who read what and why, and every change; never a secret, a code or a UUID's label.

use super::ground::{Ground, URI, Who};
use crate::audit::log;
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_code_that_was_not_shown_after_all_is_told_as_that() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    let uuid = ground.add(&ann).await;
    let before = log(&ground.people).await.0.len();
    crate::at_rest::database(ground.stage()).execute("UPDATE apps SET sealed = randomblob(90)", []).expect("altered");
    assert_eq!(ground.code(&ann, &uuid).await.status, 500);
    let (events, _) = log(&ground.people).await;
    let told: Vec<_> = events[before..].iter().map(|event| (event.kind.as_str(), event.result.as_str())).collect();
    assert_eq!(told, [("app.code", "failed")]);
}

#[tokio::test]
async fn every_code_and_every_change_is_told_with_who_and_why() {
    let ground = Ground::new().await;
    let (ann, bob, key) = (ground.user("ann").await, ground.user("bob").await, ground.key("app@example.com").await);
    let Who::Key(credentials) = &key else { unreachable!("it is a key") };
    let before = log(&ground.people).await.0.len();
    let uuid = ground.add(&ann).await;
    ground.grant(&ann, &uuid, "bob", "code").await;
    ground.grant(&ann, &uuid, &format!("api-key/{}", credentials.value), "code").await;
    let path = format!("/api/apps/{uuid}/code");
    let code = ground.done(&bob, Method::POST, &path, &json!({ "why": "the monthly payment" })).await;
    assert_eq!(
        ground.done(&key, Method::GET, &format!("/api/get-mfa-code?uuid={uuid}"), &json!({})).await["otp"],
        code["otp"]
    );
    ground.revoke(&ann, &uuid, "bob").await;
    assert_eq!(ground.code(&bob, &uuid).await.status, 404);
    let recipient = "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z";
    ground.done(&ann, Method::POST, "/api/apps/export", &json!({ "recipients": [recipient] })).await;
    ground.done(&ann, Method::DELETE, &format!("/api/apps/{uuid}"), &json!({})).await;

    let (events, text) = log(&ground.people).await;
    let told = &events[before..];
    let words: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(
        words,
        [
            "app.added",
            "app.granted",
            "app.granted",
            "app.code",
            "app.code",
            "app.revoked",
            "app.exported",
            "app.removed"
        ]
    );
    let subject = format!("app {uuid}");
    assert!(told.iter().all(|event| event.subject == subject && event.source == "127.0.0.1"));
    let who = |at: usize| told[at].who.as_str();
    assert_eq!((who(0), who(3)), ("principal principal/internal/user/ann", "principal principal/internal/user/bob"));
    assert!(who(4).starts_with("api-key "), "{}", who(4));
    assert_eq!(
        told[1].details,
        *json!({ "right": "code", "grantee": "principal/internal/user/bob" }).as_object().expect("an object")
    );
    assert_eq!(told[2].details["grantee"], who(4));
    assert_eq!(told[3].details["why"], "the monthly payment");
    assert_eq!(told[6].details["recipients"], json!([recipient]));
    assert_eq!(told[6].details["apps"], json!([uuid]));
    let secret = URI.split_once("secret=").expect("there is one").1.split('&').next().expect("it ends");
    let otp = code["otp"].as_str().expect("a code");
    for kept in [secret, otp, &credentials.value, &credentials.secret, "findable.person"] {
        assert!(!text.contains(kept), "{kept} is in {text}");
    }
}
