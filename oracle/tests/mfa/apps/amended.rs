//! An app that is renamed or given another secret: for whom, and that everything else about it stays.

use super::ground::{Ground, URI};
use crate::audit::log;
use crate::people::stage::refused;
use quorate_oracle::clock::Clock as _;
use quorate_protocol::otp::OtpSecret;
use reqwest::Method;
use serde_json::{Value, json};

const OTHER: &str = "otpauth://totp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&digits=8";

#[tokio::test]
async fn an_owner_gives_an_app_another_secret_and_nobody_loses_a_right() {
    for ground in Ground::on_both().await {
        let (ann, bob, mia) = (ground.user("ann").await, ground.user("bob").await, ground.user("mia").await);
        let uuid = ground.add(&ann).await;
        let path = format!("/api/apps/{uuid}");
        for (who, right) in [("bob", "code"), ("mia", "manage")] {
            ground.grant(&ann, &uuid, who, right).await;
        }
        let before = ground.done(&ann, Method::GET, &format!("{path}/grants"), &json!({})).await;
        let secret = json!({ "otpauth": OTHER });
        for (who, word) in [(&bob, "not_a_manager"), (&mia, "not_the_owner")] {
            assert_eq!(refused(&ground.ask(who, Method::PATCH, &path, &secret).await), (403, word));
        }
        let changed = ground.done(&ann, Method::PATCH, &path, &secret).await;
        // The app keeps its names: those of the new secret are whatever an account prints.
        assert_eq!((&changed["issuer"], &changed["label"]), (&"Findable Corp".into(), &"findable.person".into()));
        let now = u64::try_from(ground.stage().clock.now()).expect("after 1970");
        let right = OtpSecret::from_uri(OTHER).expect("a URI").code_at(now).digits.to_string();
        for who in [&ann, &bob, &mia] {
            assert_eq!(ground.code(who, &uuid).await.json["otp"], right);
        }
        assert_eq!(ground.done(&ann, Method::GET, &format!("{path}/grants"), &json!({})).await, before);
        // A manager may call it something else.
        let names = json!({ "issuer": "Bank", "label": "", "name": "unfindable name" });
        let changed = ground.done(&mia, Method::PATCH, &path, &names).await;
        let shown = ground.done(&bob, Method::GET, &path, &json!({})).await;
        assert_eq!(
            (&shown["issuer"], &shown["label"], &shown["name"]),
            (&"Bank".into(), &"".into(), &"unfindable name".into())
        );
        assert_eq!((&changed["issuer"], &changed["right"]), (&"Bank".into(), &"manage".into()));
        assert_eq!(ground.code(&bob, &uuid).await.json["otp"], right);
        let (events, text) = log(&ground.people).await;
        let told: Vec<_> = events.iter().filter(|event| event.kind == "app.changed").collect();
        let what = |at: usize| &told[at].details["what"];
        assert_eq!((told.len(), what(0), what(1)), (2, &json!(["secret"]), &json!(["issuer", "label", "name"])));
        assert!(!text.contains("GEZDGNBV") && !text.contains("unfindable"), "{text}");
    }
}

#[tokio::test]
async fn what_an_app_was_before_does_not_come_back_with_its_row() {
    let ground = Ground::new().await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let uuid = ground.add(&ann).await;
    ground.grant(&ann, &uuid, "bob", "code").await;
    let database = crate::at_rest::database(ground.stage());
    let old: Vec<u8> = database.query_row("SELECT sealed FROM apps", [], |row| row.get(0)).expect("one");
    ground.done(&ann, Method::PATCH, &format!("/api/apps/{uuid}"), &json!({ "otpauth": OTHER })).await;
    database.execute("UPDATE apps SET sealed = ?1", [old]).expect("put back");
    assert_eq!(ground.code(&bob, &uuid).await.status, 500);
}

#[tokio::test]
async fn a_change_that_cannot_be_changes_nothing() {
    let ground = Ground::new().await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let uuid = ground.add(&ann).await;
    let path = format!("/api/apps/{uuid}");
    let long = "n".repeat(256);
    for (body, word) in [
        (json!({}), "invalid_request"),
        (json!({ "name": long }), "invalid_request"),
        (json!({ "issuer": long }), "invalid_otpauth"),
        (json!({ "otpauth": "otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP&counter=1" }), "invalid_otpauth"),
    ] {
        let answer = ground.ask(&ann, Method::PATCH, &path, &body).await;
        assert_eq!(refused(&answer), (400, word));
        assert!(!answer.text.contains("JBSW"), "{}", answer.text);
    }
    let strangers: Value = json!({ "name": "mine" });
    assert_eq!(refused(&ground.ask(&bob, Method::PATCH, &path, &strangers).await), (404, "app_unknown"));
    assert_eq!(ground.done(&ann, Method::GET, &path, &json!({})).await["label"], "findable.person");
    assert!(ground.reads(&ann, &uuid).await && URI.contains("findable.person"));
}
