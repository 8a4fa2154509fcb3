//! Comparing what is about to be added with what there is: owners learn of their own apps, everybody whether a UUID is taken.

use super::ground::{Ground, URI};
use crate::people::stage::refused;
use reqwest::Method;
use serde_json::{Value, json};

const SAME: &str = "otpauth://totp/Other:name?secret=JBSWY3DPEHPK3PXP";
const OTHER: &str = "otpauth://totp/Bank:ann?secret=GEZDGNBVGY3TQOJQ&issuer=Bank";

#[tokio::test]
async fn owners_learn_which_of_their_apps_makes_the_same_codes_and_nobody_else() {
    for ground in Ground::on_both().await {
        let (ann, bob, key) = (ground.user("ann").await, ground.user("bob").await, ground.key("app@example.com").await);
        let own = ground.done(&ann, Method::POST, "/api/apps", &json!({ "otpauth": SAME })).await;
        let uuid = own["uuid"].as_str().expect("a UUID").to_owned();
        ground.grant(&ann, &uuid, "bob", "manage").await;
        let of_key = ground.done(&key, Method::POST, "/api/apps", &json!({ "otpauth": SAME })).await;
        let renamed = SAME.replace("Other:name", "x");
        let wanted = json!({ "apps": [
            { "otpauth": renamed }, { "otpauth": OTHER }, { "otpauth": format!("{SAME}&digits=8") },
            { "otpauth": OTHER, "uuid": uuid.to_uppercase() }, {},
        ] });
        let ask = async |who| ground.done(who, Method::POST, "/api/apps/known", &wanted).await;
        let known = |same: Vec<&str>, taken| json!({ "same": same, "taken": taken });
        let (none, taken) = (known(vec![], false), known(vec![], true));
        let expected = |first| json!([first, none, none, taken, none]);
        assert_eq!(ask(&ann).await, expected(known(vec![&uuid], false)));
        assert_eq!(ask(&bob).await, expected(none.clone()), "a manager cannot take it out");
        assert_eq!(ask(&key).await, expected(known(vec![of_key["uuid"].as_str().expect("a UUID")], false)));
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_is_refused_by_what_is_wrong_with_it() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    let ask = async |body: Value| ground.ask(&ann, Method::POST, "/api/apps/known", &body).await;
    let many = vec![json!({ "otpauth": URI }); 65];
    for (body, word) in [
        (json!({ "apps": [{ "otpauth": "otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP&counter=1" }] }), "invalid_otpauth"),
        (json!({ "apps": [{ "uuid": "x" }] }), "invalid_request"),
        (json!({ "apps": many }), "invalid_request"),
    ] {
        let answer = ask(body).await;
        assert_eq!(refused(&answer), (400, word));
        assert!(!answer.text.contains("JBSW"), "{}", answer.text);
    }
    assert_eq!(ask(json!({ "apps": [] })).await.json, json!([]));
}
