//! What a grant lets its holder do, and nobody else; whom it can be for.

use super::ground::{Ground, Who};
use crate::people::stage::refused;
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn each_right_lets_its_holder_do_what_it_says_and_no_more() {
    let ground = Ground::new().await;
    let (ann, bob, mia) = (ground.user("ann").await, ground.user("bob").await, ground.user("mia").await);
    let uuid = ground.add(&ann).await;
    ground.grant(&ann, &uuid, "bob", "code").await;
    ground.grant(&ann, &uuid, "mia", "manage").await;
    let app = format!("/api/apps/{uuid}");
    let (grants, grant) = (format!("{app}/grants"), format!("{app}/grants/principal%2Finternal%2Fuser%2Fann"));
    let export =
        json!({ "recipients": ["age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z"], "uuids": [uuid] });
    let nothing = json!({});
    let code = json!({ "right": "code" });
    let cases: [(Method, &str, &Value); 4] = [
        (Method::GET, &grants, &nothing),
        (Method::PUT, &grant, &code),
        (Method::DELETE, &grant, &nothing),
        (Method::DELETE, &app, &nothing),
    ];
    for (method, path, body) in cases {
        assert_eq!(refused(&ground.ask(&bob, method, path, body).await), (403, "not_a_manager"), "{path}");
    }
    assert_eq!(refused(&ground.ask(&bob, Method::POST, "/api/apps/export", &export).await), (403, "not_the_owner"));
    assert_eq!(refused(&ground.ask(&mia, Method::POST, "/api/apps/export", &export).await), (403, "not_the_owner"));
    assert_eq!(refused(&ground.ask(&mia, Method::PUT, &grant, &code).await), (409, "owner_stays"));
    assert_eq!(refused(&ground.ask(&mia, Method::DELETE, &grant, &nothing).await), (409, "owner_stays"));
    let owner = ground.ask(&mia, Method::PUT, &format!("{grants}/bob"), &json!({ "right": "owner" })).await;
    assert_eq!(refused(&owner), (400, "invalid_request"));
    let listed = ground.done(&mia, Method::GET, &grants, &nothing).await;
    let listed: Vec<_> = listed.as_array().expect("a list").iter().map(|grant| grant["right"].clone()).collect();
    assert_eq!(listed, ["owner", "code", "manage"]);
    ground.done(&mia, Method::DELETE, &app, &nothing).await;
    assert!(!ground.reads(&ann, &uuid).await);
}

#[tokio::test]
async fn a_manager_who_is_lowered_manages_no_more_and_still_reads() {
    let ground = Ground::new().await;
    let (ann, mia) = (ground.user("ann").await, ground.user("mia").await);
    let uuid = ground.add(&ann).await;
    ground.grant(&ann, &uuid, "mia", "manage").await;
    ground.grant(&mia, &uuid, "mia", "code").await;
    let grants = format!("/api/apps/{uuid}/grants");
    assert_eq!(refused(&ground.ask(&mia, Method::GET, &grants, &json!({})).await), (403, "not_a_manager"));
    assert!(ground.reads(&mia, &uuid).await && ground.reads(&ann, &uuid).await);
}

#[tokio::test]
async fn a_grant_is_for_somebody_who_is_there_and_can_hold_it() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    let uuid = ground.add(&ann).await;
    let ask = async |who: &Who, grantee: &str| {
        let path = format!("/api/apps/{uuid}/grants/{grantee}");
        ground.ask(who, Method::PUT, &path, &json!({ "right": "code" })).await
    };
    for (grantee, refusal) in [
        ("nobody", (404, "principal_unknown")),
        ("principal/internal/group/none", (404, "principal_unknown")),
        ("principal/internal/robot/x", (400, "invalid_name")),
        ("api-key/0123456789abcdef", (404, "not_found")),
    ] {
        assert_eq!(refused(&ask(&ann, grantee).await), refusal, "{grantee}");
        let ungranted = format!("/api/apps/{uuid}/grants/{grantee}");
        let ungranted = ground.ask(&ann, Method::DELETE, &ungranted, &json!({})).await;
        let expected = if refusal.0 == 400 { refusal } else { (404, "no_grant") };
        assert_eq!(refused(&ungranted), expected, "{grantee}");
    }
    // Who may not read the app is told of nobody, there or not.
    let eve = ground.user("eve").await;
    for grantee in ["ann", "nobody"] {
        assert_eq!(refused(&ask(&eve, grantee).await), (404, "app_unknown"));
    }
}

#[tokio::test]
async fn an_api_key_without_a_key_pair_is_told_apart_until_it_asks_for_apps() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    let uuid = ground.add(&ann).await;
    let Who::Key(key) = ground.key("app@example.com").await else { unreachable!("it is a key") };
    // As one that was activated by an oracle of before apps.
    crate::at_rest::database(ground.stage())
        .execute("DELETE FROM app_holders WHERE data_key IS NOT NULL", [])
        .expect("gone");
    let path = format!("/api/apps/{uuid}/grants/api-key/{}", key.value);
    let refusal = ground.ask(&ann, Method::PUT, &path, &json!({ "right": "code" })).await;
    assert_eq!(refused(&refusal), (409, "no_key_pair"));
    let key = Who::Key(key);
    assert_eq!(ground.done(&key, Method::GET, "/api/apps", &json!({})).await, json!([]));
    ground.done(&ann, Method::PUT, &path, &json!({ "right": "code" })).await;
    assert!(ground.reads(&key, &uuid).await);
}

#[tokio::test]
async fn a_kept_uuid_is_kept_and_a_taken_one_is_told_to_everybody() {
    const UUID: &str = "3f1c9a52-7b0e-4c88-a6d4-90b1e2f35c67";
    let ground = Ground::new().await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let body = json!({ "otpauth": super::ground::URI, "uuid": UUID, "name": "The bank" });
    let added = ground.done(&ann, Method::POST, "/api/apps", &body).await;
    assert_eq!((added["uuid"].as_str(), added["name"].as_str()), (Some(UUID), Some("The bank")));
    for who in [&ann, &bob] {
        assert_eq!(refused(&ground.ask(who, Method::POST, "/api/apps", &body).await), (409, "uuid_taken"));
    }
    let odd = json!({ "otpauth": super::ground::URI, "uuid": UUID.replace('-', "") });
    assert_eq!(refused(&ground.ask(&ann, Method::POST, "/api/apps", &odd).await), (400, "invalid_request"));
    let upper = ground.done(&ann, Method::GET, &format!("/api/apps/{}", UUID.to_uppercase()), &json!({})).await;
    assert_eq!(upper["uuid"], UUID);
}
