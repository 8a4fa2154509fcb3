//! Taking secrets out: only encrypted, only for owners; and adding them again elsewhere.

use super::ground::{Ground, URI};
use crate::audit::log;
use crate::people::stage::refused;
use quorate_protocol::api::AppRecord;
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::sealing::age_open;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn an_export_opens_for_its_recipients_and_is_added_elsewhere_as_it_was() {
    let (here, there) = (Ground::new().await, Ground::new().await);
    let (ann, bob) = (here.user("ann").await, here.user("bob").await);
    let uuid = here.add(&ann).await;
    let named = json!({ "otpauth": "otpauth://totp/b?secret=JBSWY3DPEHPK3PXP", "name": "another" });
    let second = here.done(&ann, Method::POST, "/api/apps", &named).await["uuid"].clone();
    // Somebody else's, which the owner of the others may manage.
    let theirs = here.add(&bob).await;
    here.grant(&bob, &theirs, "ann", "manage").await;
    let identities = [age::x25519::Identity::generate(), age::x25519::Identity::generate()];
    let recipients = identities.each_ref().map(|identity| identity.to_public().to_string());
    let exported = here.done(&ann, Method::POST, "/api/apps/export", &json!({ "recipients": recipients })).await;
    assert_eq!(exported["uuids"], json!([uuid, second]));
    let age = exported["age"].as_str().expect("armor");
    assert!(!age.contains("JBSW"));
    let elsewhere = there.user("ann").await;
    for identity in &identities {
        let lines = age_open(age, identity).expect("for it");
        let lines: Vec<&[u8]> = lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        let first: AppRecord = serde_json::from_slice(lines[0]).expect("a record");
        assert_eq!((first.uuid.as_str(), lines.len()), (uuid.as_str(), 2));
        assert_eq!(first.otpauth, OtpSecret::from_uri(URI).expect("a URI").to_uri());
    }
    let lines = age_open(age, &identities[0]).expect("for it");
    for line in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let record: Value = serde_json::from_slice(line).expect("JSON");
        there.done(&elsewhere, Method::POST, "/api/apps", &record).await;
    }
    assert!(there.reads(&elsewhere, &uuid).await);
}

#[tokio::test]
async fn an_export_is_for_recipients_that_are_some() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    ground.add(&ann).await;
    let good = "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z";
    for (recipients, refusal) in [
        (json!([]), "invalid_request"),
        (json!(vec![good; 17]), "invalid_request"),
        (json!(["age1x"]), "invalid_recipient"),
        (json!(["AGE-SECRET-KEY-1QYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQSZQGPQYQS7V6XT3"]), "invalid_recipient"),
    ] {
        let answer = ground.ask(&ann, Method::POST, "/api/apps/export", &json!({ "recipients": recipients })).await;
        assert_eq!(refused(&answer), (400, refusal), "{recipients}");
        assert!(!answer.text.contains("SECRET-KEY-1"), "{}", answer.text);
    }
    let none = json!({ "recipients": [good], "uuids": ["3f1c9a52-7b0e-4c88-a6d4-90b1e2f35c67"] });
    assert_eq!(refused(&ground.ask(&ann, Method::POST, "/api/apps/export", &none).await), (404, "app_unknown"));
}

#[tokio::test]
async fn whatever_surrounds_a_recipient_the_log_names_it_with_every_app_that_went_to_it() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    let (first, second) = (ground.add(&ann).await, ground.add(&ann).await);
    let good = "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z";
    let tag = quorate_protocol::recipient::NativeRecipient::tag(
        &p256::SecretKey::from_slice(&[7; 32]).expect("a key").public_key(),
    );
    let before = log(&ground.people).await.0.len();
    for blanks in [" ".repeat(1_024), "\u{2028}".repeat(500)] {
        let recipients = vec![format!("{blanks}{good}{blanks}"); 15];
        let recipients: Vec<String> = recipients.into_iter().chain([format!("{blanks}{tag}")]).collect();
        let export = json!({ "recipients": recipients, "uuids": [first] });
        ground.done(&ann, Method::POST, "/api/apps/export", &export).await;
    }
    ground.done(&ann, Method::POST, "/api/apps/export", &json!({ "recipients": [good] })).await;
    let (events, _) = log(&ground.people).await;
    let told = &events[before..];
    assert_eq!(told.len(), 3, "one event for each export");
    for event in &told[..2] {
        let recipients = [vec![good.to_owned(); 15], vec![tag.to_string()]].concat();
        assert_eq!(event.details["recipients"], json!(recipients));
        assert_eq!((event.subject.clone(), &event.details["apps"]), (format!("app {first}"), &json!([first])));
    }
    assert_eq!((told[2].subject.as_str(), &told[2].details["apps"]), ("2 apps", &json!([first, second])));
}

#[tokio::test]
async fn an_export_names_each_app_once_and_a_thousand_at_most() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    let uuid = ground.add(&ann).await;
    let good = "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z";
    let many: Vec<_> = (0..1_001).map(|number| format!("3f1c9a52-7b0e-4c88-a6d4-{number:012}")).collect();
    for uuids in [json!([uuid, uuid]), json!([uuid, uuid.to_uppercase()]), json!(many)] {
        let export = json!({ "recipients": [good], "uuids": uuids });
        let answer = ground.ask(&ann, Method::POST, "/api/apps/export", &export).await;
        assert_eq!(refused(&answer), (400, "invalid_request"));
    }
    // As many as there may be, as an owner has who took over others'.
    crate::at_rest::database(ground.stage())
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO apps SELECT 1000 + i, randomblob(32), 1, 1, 0, 0, randomblob(90) FROM n;
             INSERT INTO app_grants SELECT apps.number, g.holder, 3, 0, g.sealed_key, g.mac
             FROM apps JOIN app_grants AS g WHERE apps.number > 1000",
        )
        .expect("written");
    let all = ground.ask(&ann, Method::POST, "/api/apps/export", &json!({ "recipients": [good] })).await;
    assert_eq!(refused(&all), (400, "invalid_request"));
    let one = json!({ "recipients": [good], "uuids": [uuid] });
    assert_eq!(ground.done(&ann, Method::POST, "/api/apps/export", &one).await["uuids"], json!([uuid]));
    let more = ground.ask(&ann, Method::POST, "/api/apps", &json!({ "otpauth": URI })).await;
    assert_eq!(refused(&more), (409, "too_many"));
}

#[tokio::test]
async fn nobody_is_granted_more_apps_than_a_list_shows() {
    let ground = Ground::new().await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let uuid = ground.add(&ann).await;
    // So that he has a key pair.
    ground.add(&bob).await;
    crate::at_rest::database(ground.stage())
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
             INSERT INTO apps SELECT 1000 + i, randomblob(32), 1, 1, 0, 0, randomblob(90) FROM n;
             INSERT INTO app_grants SELECT apps.number, 2, 1, 0, randomblob(64), randomblob(32)
             FROM apps WHERE apps.number > 1000",
        )
        .expect("written");
    let path = format!("/api/apps/{uuid}/grants/bob");
    let full = ground.ask(&ann, Method::PUT, &path, &json!({ "right": "code" })).await;
    assert_eq!(refused(&full), (409, "too_many"));
    crate::at_rest::database(ground.stage()).execute("DELETE FROM apps WHERE number = 2000", []).expect("one less");
    ground.done(&ann, Method::PUT, &path, &json!({ "right": "code" })).await;
    // His own are no others', and what he has is changed however full it is.
    ground.add(&bob).await;
    ground.done(&ann, Method::PUT, &path, &json!({ "right": "manage" })).await;
}
