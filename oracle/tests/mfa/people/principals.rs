//! Principals and teams as operators handle them.

use super::stage::{PASSWORD, People, refused};
use reqwest::Method;
use serde_json::{Value, json};

#[tokio::test]
async fn a_principal_is_shown_with_its_role_and_how_it_stands() {
    let people = People::new().await;
    people.user("bob", "auditor").await;
    people.done(Method::POST, "/principals", json!({ "name": "principal/internal/application/ci" })).await;
    people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    people.invited("late", "member").await;
    let listed = people.done(Method::GET, "/principals", json!({})).await;
    let at = "2027-01-15T08:00:00Z";
    let user = |name: &str, role: &str, enrolled: Value| {
        json!({ "principal": format!("principal/internal/user/{name}"), "kind": "user", "role": role, "created_at": at,
            "enrolled_at": enrolled, "disabled_at": null, "provider": null })
    };
    let expected = json!([
        user("operator", "operator", json!(at)),
        user("bob", "auditor", json!(at)),
        { "principal": "principal/internal/application/ci", "kind": "application", "role": "member", "created_at": at,
            "enrolled_at": at, "disabled_at": null, "provider": null },
        { "principal": "principal/internal/group/ops", "kind": "group", "created_at": at, "enrolled_at": null,
            "disabled_at": null, "provider": null },
        user("late", "member", Value::Null),
    ]);
    assert_eq!(listed, expected);
    // Of one it is also said which apps are lost with it.
    let mut bob = expected[1].clone();
    bob["apps"] = json!({ "ending": [], "unmanaged": [] });
    for name in ["bob", "principal/internal/user/bob", "principal%2Finternal%2Fuser%2Fbob"] {
        assert_eq!(people.done(Method::GET, &format!("/principals/{name}"), json!({})).await, bob, "{name}");
    }
    for unknown in ["Bob", "ci", "%20", "principal/internal/user/ci", "principal/internal/robot/bob", "b%00b"] {
        let answer = people.call(Method::GET, &format!("/principals/{unknown}"), json!({})).await;
        assert_eq!(refused(&answer), (404, "principal_unknown"), "{unknown}");
    }
}

#[tokio::test]
async fn what_cannot_be_a_principal_is_refused() {
    let people = People::new().await;
    people.user("bob", "member").await;
    for (body, refusal) in [
        (json!({ "name": "bob" }), (409, "name_taken")),
        (json!({ "name": "principal/internal/user/bob" }), (409, "name_taken")),
        (json!({ "name": "b ob" }), (400, "invalid_name")),
        (json!({ "name": "bob\u{200b}" }), (400, "invalid_name")),
        (json!({ "name": "" }), (400, "invalid_name")),
        (json!({ "name": "x".repeat(65) }), (400, "invalid_name")),
        (json!({ "name": "new", "role": "root" }), (400, "invalid_body")),
        (json!({ "name": "principal/internal/group/ops", "role": "operator" }), (400, "team_cannot_log_in")),
        (json!({ "role": "member" }), (400, "invalid_body")),
    ] {
        let answer = people.call(Method::POST, "/principals", body.clone()).await;
        assert_eq!(refused(&answer), refusal, "{body}");
    }
    people.done(Method::POST, "/principals", json!({ "name": "Bob" })).await;
    people.done(Method::POST, "/principals", json!({ "name": "principal/internal/application/bob" })).await;
}

#[tokio::test]
async fn a_disabled_or_removed_principal_is_out_at_once() {
    let people = People::new().await;
    let ticket = people.user("bob", "operator").await;
    people.done(Method::POST, "/principals/bob/disable", json!({})).await;
    assert!(!people.knows(&ticket).await);
    let login = async || people.log_in(json!({ "principal": "bob", "password": PASSWORD })).await.status.as_u16();
    assert_eq!(login().await, 401);
    people.done(Method::POST, "/principals/bob/enable", json!({})).await;
    assert!(!people.knows(&ticket).await, "the old ticket stays dead");
    let ticket = people.ticket("bob").await;
    people.done(Method::DELETE, "/principals/principal/internal/user/bob", json!({})).await;
    assert!(!people.knows(&ticket).await);
    assert_eq!(login().await, 401);
    let again = people.call(Method::DELETE, "/principals/bob", json!({})).await;
    assert_eq!(refused(&again), (404, "principal_unknown"));
    // Whoever gets the name gets nothing else.
    let other = people.user("bob", "member").await;
    assert!(people.knows(&other).await && !people.knows(&ticket).await);
}

#[tokio::test]
async fn the_last_operator_can_be_neither_disabled_nor_removed() {
    let people = People::new().await;
    people.invited("pending", "operator").await;
    let disable = async |name: &str| people.call(Method::POST, &format!("/principals/{name}/disable"), json!({})).await;
    let remove = async |name: &str| people.call(Method::DELETE, &format!("/principals/{name}"), json!({})).await;
    assert_eq!(refused(&disable("operator").await), (409, "last_operator"));
    assert_eq!(refused(&remove("operator").await), (409, "last_operator"));
    people.user("second", "operator").await;
    assert_eq!(disable("second").await.status, 204);
    assert_eq!(refused(&remove("operator").await), (409, "last_operator"), "a disabled one lets nobody in");
    assert_eq!(people.call(Method::POST, "/principals/second/enable", json!({})).await.status, 204);
    assert_eq!(remove("operator").await.status, 204);
    assert!(!people.knows(&people.operator).await);
}

#[tokio::test]
async fn a_team_has_members_and_is_none_itself() {
    let people = People::new().await;
    for name in ["bob", "ann"] {
        people.invited(name, "member").await;
    }
    for name in ["principal/internal/group/ops", "principal/internal/group/dev", "principal/internal/application/ci"] {
        people.done(Method::POST, "/principals", json!({ "name": name })).await;
    }
    let members = "/principals/principal/internal/group/ops/members";
    let full = |name: &str| format!("principal/internal/user/{name}");
    let added = people.done(Method::POST, members, json!({ "add": ["bob", full("ann"), "bob"] })).await;
    assert_eq!(added, json!({ "members": [full("bob"), full("ann")] }));
    let body = json!({ "add": ["principal/internal/application/ci"], "remove": ["bob"] });
    let changed = people.done(Method::POST, members, body).await;
    assert_eq!(changed, json!({ "members": [full("ann"), "principal/internal/application/ci"] }));
    assert_eq!(people.done(Method::GET, members, json!({})).await, changed);
    for (body, refusal) in [
        (json!({ "add": ["principal/internal/group/dev"] }), (400, "invalid_member")),
        (json!({ "add": ["nobody"] }), (404, "principal_unknown")),
        (json!({ "add": ["no name"] }), (400, "invalid_name")),
        (json!({ "add": "bob" }), (400, "invalid_body")),
    ] {
        assert_eq!(refused(&people.call(Method::POST, members, body.clone()).await), refusal, "{body}");
    }
    let no_team = people.call(Method::GET, "/principals/bob/members", json!({})).await;
    assert_eq!(refused(&no_team), (400, "not_a_team"));
    people.done(Method::DELETE, "/principals/ann", json!({})).await;
    let left = json!({ "members": ["principal/internal/application/ci"] });
    assert_eq!(people.done(Method::GET, members, json!({})).await, left);
}

#[tokio::test]
async fn a_way_in_for_an_operator_takes_a_login_of_just_now() {
    let mut people = People::new().await;
    people.user("olga", "operator").await;
    people.user("bob", "member").await;
    people.done(Method::POST, "/system/multi_factor", json!({ "Type": "totp", "Name": "T" })).await;
    people.stage.clock.advance(5 * 60 * 1000);
    let assigned = json!({ "provider": "T" });
    let ways = |name: &str| {
        let factor = format!("/principals/{name}/multi_factor");
        [
            (Method::POST, format!("/principals/{name}/link"), json!({})),
            (Method::PUT, factor.clone(), assigned.clone()),
            (Method::DELETE, factor, json!({})),
            (Method::POST, format!("/principals/{name}/enable"), json!({})),
        ]
    };
    let made = json!({ "name": "mallory", "role": "operator" });
    assert_eq!(refused(&people.call(Method::POST, "/principals", made.clone()).await), (403, "login_stale"));
    for name in ["operator", "olga"] {
        for (method, path, body) in ways(name) {
            let answer = people.call(method.clone(), &path, body).await;
            assert_eq!(refused(&answer), (403, "login_stale"), "{method} {path}");
        }
    }
    for (method, path, body) in ways("bob") {
        people.done(method, &path, body).await;
    }
    people.operator = people.ticket("operator").await;
    people.done(Method::POST, "/principals", made).await;
    for (method, path, body) in ways("olga") {
        people.done(method, &path, body).await;
    }
}
