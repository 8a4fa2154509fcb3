//! Taking secrets out: only encrypted, only for owners; and adding them again elsewhere.

use super::ground::{Ground, URI};
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
