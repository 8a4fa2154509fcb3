//! Apps by quorum: in the same list, without a secret at the oracle.

use super::ground::{Ground, Who, patient};
use crate::people::stage::refused;
use crate::support::dealt;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::HashSet;

#[tokio::test]
async fn an_app_by_quorum_is_listed_and_says_whose_quorum_it_takes() {
    let ground = Ground::new().await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let deal = dealt(1, 2, 3);
    let file: Value = serde_json::from_str(&deal.group.to_json()).expect("JSON");
    let group = deal.group.name().to_string();
    let new = json!({ "group": group, "name": "The vault" });
    assert_eq!(refused(&ground.ask(&ann, Method::POST, "/api/apps", &new).await), (404, "group_unknown"));
    ground.people.done(Method::POST, "/groups", file).await;
    // What a group is called is for whoever may see groups or ask for its codes: to others, and to every application, it is none.
    let key = ground.key("app@example.com").await;
    for who in [&ann, &key] {
        assert_eq!(refused(&ground.ask(who, Method::POST, "/api/apps", &new).await), (404, "group_unknown"));
    }
    let operator = Who::Ticket(ground.people.operator.clone());
    ground.done(&operator, Method::POST, "/api/apps", &new).await;
    let applicants = format!("/groups/{group}/applicants");
    ground.people.done(Method::POST, &applicants, json!({ "add": ["ann"] })).await;
    let app = ground.done(&ann, Method::POST, "/api/apps", &new).await;
    assert_eq!((app["by_quorum"]["group"].as_str(), app["by_quorum"]["threshold"].as_i64()), (Some(&*group), Some(2)));
    let uuid = app["uuid"].as_str().expect("a UUID");
    ground.grant(&ann, uuid, "bob", "code").await;
    let code = ground.code(&bob, uuid).await;
    assert_eq!(refused(&code), (409, "by_quorum"));
    let id = app["by_quorum"]["group_id"].as_str().expect("an id");
    assert!(code.refusal().2.contains(&format!("quorate ask {id}")), "{}", code.text);
    // With a reason, whoever may ask for codes by a login starts a session; nobody else, and not without one.
    let path = format!("/api/apps/{uuid}/code");
    let why = json!({ "why": "the audit of the year" });
    assert_eq!(refused(&ground.ask(&bob, Method::POST, &path, &why).await), (409, "by_quorum"));
    ground.people.done(Method::POST, &applicants, json!({ "add": ["bob"], "remove": ["ann"] })).await;
    assert_eq!(refused(&ground.code(&bob, uuid).await), (409, "by_quorum"));
    assert_eq!(refused(&ground.ask(&ann, Method::POST, &path, &why).await), (409, "by_quorum"));
    let started = ground.ask(&bob, Method::POST, &path, &why).await;
    assert_eq!((started.status.as_u16(), started.json["tocs_threshold"].as_i64()), (202, Some(2)), "{}", started.text);
    assert!(started.json["kek"].is_string() && started.json["invite"].is_string(), "{}", started.text);
    // Once more it is the same session, without what only its beginning shows; and another one for whoever wants it.
    let id_of = |answer: &crate::stage::Answer| answer.json["id"].as_str().map(str::to_owned);
    let open = ground.ask(&bob, Method::POST, &path, &json!({ "why": "once more" })).await;
    assert_eq!((open.status.as_u16(), id_of(&open)), (202, id_of(&started)), "{}", open.text);
    assert_eq!((&open.json["invite"], &open.json["tek"]), (&started.json["invite"], &started.json["tek"]));
    assert!(open.json["kek"].is_null(), "{}", open.text);
    let another = ground.ask(&bob, Method::POST, &path, &json!({ "why": "once more", "again": true })).await;
    assert!(another.status == 202 && id_of(&another) != id_of(&started) && another.json["kek"].is_string());
    // Nobody is shown another one's, and who may not ask any more is shown none.
    ground.people.done(Method::POST, &applicants, json!({ "add": ["ann"], "remove": ["bob"] })).await;
    assert_eq!(refused(&ground.ask(&bob, Method::POST, &path, &why).await), (409, "by_quorum"));
    let hers = ground.ask(&ann, Method::POST, &path, &why).await;
    assert!(hers.status == 202 && hers.json["kek"].is_string(), "{}", hers.text);
    let Who::Key(credentials) = &key else { unreachable!("it is a key") };
    ground.grant(&ann, uuid, &format!("api-key/{}", credentials.value), "code").await;
    assert_eq!(refused(&ground.ask(&key, Method::POST, &path, &why).await), (409, "by_quorum"));
    let (events, _) = crate::audit::log(&ground.people).await;
    assert!(events.iter().all(|event| event.kind != "app.code"), "nobody has read one");
    assert_eq!(events.iter().filter(|event| event.kind == "session.asked").count(), 3);
    let listed = ground.done(&bob, Method::GET, "/api/apps", &json!({})).await;
    assert_eq!(listed[0]["by_quorum"], app["by_quorum"]);
    let recipient = "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z";
    let export = |uuids: Value| json!({ "recipients": [recipient], "uuids": uuids });
    let answer = ground.ask(&ann, Method::POST, "/api/apps/export", &export(json!([uuid]))).await;
    assert_eq!(refused(&answer), (409, "by_quorum"));
    let all = ground.done(&ann, Method::POST, "/api/apps/export", &export(Value::Null)).await;
    assert_eq!(all["uuids"], json!([]));
    let odd = ground.ask(&ann, Method::POST, "/api/apps", &json!({ "group": "7GCUCI2Y" })).await;
    assert_eq!(refused(&odd), (400, "invalid_request"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_button_that_is_pressed_many_times_at_once_calls_the_players_once() {
    for ground in Ground::on_both_with(|| patient().set("sessions.pending_seconds", "60")).await {
        let ann = ground.user("ann").await;
        let deal = dealt(1, 2, 3);
        let group = deal.group.name().to_string();
        let file: Value = serde_json::from_str(&deal.group.to_json()).expect("JSON");
        ground.people.done(Method::POST, "/groups", file).await;
        ground.people.done(Method::POST, &format!("/groups/{group}/applicants"), json!({ "add": ["ann"] })).await;
        let app = ground.done(&ann, Method::POST, "/api/apps", &json!({ "group": group })).await;
        let path = format!("/api/apps/{}/code", app["uuid"].as_str().expect("a UUID"));
        let press = async || {
            let why = json!({ "why": "the audit of the year" });
            let answers = join_all((0..8).map(|_| ground.ask(&ann, Method::POST, &path, &why))).await;
            assert!(answers.iter().all(|answer| answer.status == 202), "{answers:?}");
            let ids: HashSet<_> = answers.iter().map(|answer| answer.json["id"].as_str().map(str::to_owned)).collect();
            let begun = answers.iter().filter(|answer| answer.json["kek"].is_string()).count();
            assert_eq!(ids.len(), 1, "{answers:?}");
            (begun, ids.into_iter().next().flatten().expect("an id"))
        };
        let (begun, first) = press().await;
        assert_eq!(begun, 1);
        ground.stage().clock.advance(49_000);
        assert_eq!(press().await, (0, first.clone()));
        // It ends before anything could come of it.
        ground.stage().clock.advance(2_000);
        let (begun, second) = press().await;
        assert!(begun == 1 && second != first);
    }
}
