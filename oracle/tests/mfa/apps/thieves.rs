//! What whoever has the database, and nothing else, can do with apps: read none, add no reader, raise nobody, and bring no
//! grant back.

use super::ground::{Ground, URI, Who};
use crate::at_rest::database;
use crate::people::stage::refused;
use crate::stored::Stored;
use quorate_protocol::otp::OtpSecret;
use reqwest::Method;
use serde_json::json;

const DAMAGED: (u16, &str) = (500, "internal");

#[tokio::test]
async fn nothing_of_an_app_can_be_read() {
    let ground = Ground::new().await;
    let (ann, key) = (ground.user("ann").await, ground.key("app@example.com").await);
    let mut uuids = Vec::new();
    for who in [&ann, &key] {
        let body = json!({ "otpauth": URI, "name": "findable custom name" });
        uuids.push(
            ground.done(who, Method::POST, "/api/apps", &body).await["uuid"].as_str().expect("a UUID").to_owned(),
        );
    }
    let path = format!("/api/apps/{}/code", uuids[0]);
    ground.done(&ann, Method::POST, &path, &json!({ "why": "findable reason" })).await;
    let secret = OtpSecret::from_uri(URI).expect("a URI");
    let stored = Stored::read(ground.stage().oracle.folder());
    stored.assert_lacks("the key", secret.key());
    for text in [&secret.to_base32(), "Findable Corp", "findable.person", "findable custom name", "findable reason"] {
        stored.assert_lacks(text, text.as_bytes());
    }
    for uuid in uuids {
        stored.assert_lacks_uuid("a UUID", &uuid);
    }
}

/// An app of ann's that bob may read, and eve who may not but has an app of her own, and so a key pair.
async fn scene() -> (Ground, Who, Who, Who, String, String) {
    let ground = Ground::new().await;
    let (ann, bob, eve) = (ground.user("ann").await, ground.user("bob").await, ground.user("eve").await);
    let (uuid, hers) = (ground.add(&ann).await, ground.add(&eve).await);
    ground.grant(&ann, &uuid, "bob", "code").await;
    (ground, ann, bob, eve, uuid, hers)
}

/// Numbers of the app and of the key pairs of ann, eve and bob: in the order in which they were made.
const APP: i64 = 1;
const EVE: i64 = 2;
const BOB: i64 = 3;

#[tokio::test]
async fn nobody_becomes_a_reader_or_a_manager_by_a_row_that_was_written_for_them() {
    let (ground, ann, bob, eve, uuid, hers) = scene().await;
    let rows = database(ground.stage());
    let written = |sql: &str| assert_eq!(rows.execute(sql, []).expect("written"), 1, "{sql}");
    // A copy of bob's grant for eve, and of his key pair's private half.
    written(&format!(
        "INSERT INTO app_grants SELECT app, {EVE}, level, granted_at, sealed_key, mac FROM app_grants
         WHERE app = {APP} AND holder = {BOB}"
    ));
    assert_eq!(refused(&ground.code(&eve, &uuid).await), DAMAGED);
    let listed = ground.done(&eve, Method::GET, "/api/apps", &json!({})).await;
    assert_eq!(
        (listed.as_array().map(Vec::len), listed[0]["uuid"].as_str()),
        (Some(1), Some(&*hers)),
        "hers is listed"
    );
    written(&format!("DELETE FROM app_grants WHERE app = {APP} AND holder = {EVE}"));
    // Bob as a manager.
    written(&format!("UPDATE app_grants SET level = 2 WHERE app = {APP} AND holder = {BOB}"));
    let path = format!("/api/apps/{uuid}/grants");
    assert_eq!(refused(&ground.ask(&bob, Method::GET, &path, &json!({})).await), DAMAGED);
    assert_eq!(refused(&ground.ask(&bob, Method::DELETE, &format!("/api/apps/{uuid}"), &json!({})).await), DAMAGED);
    written(&format!("UPDATE app_grants SET level = 1 WHERE app = {APP} AND holder = {BOB}"));
    assert!(ground.reads(&bob, &uuid).await, "back as it was");
    // Eve as the owner who is shown.
    written(&format!(
        "INSERT INTO app_grants SELECT app, {EVE}, 3, granted_at, sealed_key, mac FROM app_grants
         WHERE app = {APP} AND holder = {BOB}"
    ));
    for path in [format!("/api/apps/{uuid}"), "/api/apps".to_owned()] {
        let shown = ground.done(&bob, Method::GET, &path, &json!({})).await;
        let shown = if path.ends_with("apps") { &shown[0] } else { &shown };
        assert_eq!(shown["owner"], "principal/internal/user/ann", "{path}");
    }
    written(&format!("DELETE FROM app_grants WHERE app = {APP} AND holder = {EVE}"));
    // Bob's key pair as eve's.
    written(&format!("DELETE FROM app_holders WHERE number = {EVE}"));
    written(&format!(
        "UPDATE app_holders SET principal = (SELECT id FROM principals ORDER BY number DESC LIMIT 1) WHERE number = {BOB}"
    ));
    assert_eq!(refused(&ground.code(&eve, &uuid).await), DAMAGED);
    let again = json!({ "right": "code" });
    assert_eq!(refused(&ground.ask(&ann, Method::PUT, &format!("{path}/eve"), &again).await), DAMAGED);
}

#[tokio::test]
async fn a_public_half_or_a_membership_that_was_exchanged_gets_nothing() {
    let (ground, ann, _, eve, uuid, _) = scene().await;
    let rows = database(ground.stage());
    ground.people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    ground
        .people
        .done(Method::POST, "/principals/principal/internal/group/ops/members", json!({ "add": ["bob"] }))
        .await;
    ground.grant(&ann, &uuid, "principal/internal/group/ops", "code").await;
    let moved =
        "INSERT INTO members SELECT team, (SELECT principal FROM app_holders WHERE number = 2), bound FROM members";
    assert_eq!(rows.execute(moved, []).expect("written"), 1);
    assert_eq!(refused(&ground.code(&eve, &uuid).await), DAMAGED);
    rows.execute("UPDATE app_holders SET public = randomblob(32) WHERE number = ?1", [BOB]).expect("written");
    let path = format!("/api/apps/{uuid}/grants/bob");
    assert_eq!(refused(&ground.ask(&ann, Method::PUT, &path, &json!({ "right": "manage" })).await), DAMAGED);
    assert!(ground.reads(&ann, &uuid).await);
}

#[tokio::test]
async fn a_column_that_cannot_be_keeps_nobody_else_from_reading() {
    let (ground, ann, bob, eve, uuid, hers) = scene().await;
    ground.grant(&eve, &hers, "ann", "code").await;
    let rows = database(ground.stage());
    rows.execute("UPDATE app_holders SET public = randomblob(31) WHERE number = ?1", [EVE]).expect("altered");
    assert!(ground.reads(&ann, &uuid).await && ground.reads(&bob, &uuid).await && ground.reads(&ann, &hers).await);
    assert_eq!(ground.done(&eve, Method::GET, "/api/apps", &json!({})).await, json!([]));
    assert_eq!(refused(&ground.code(&eve, &hers).await), (404, "app_unknown"));
    let listed = ground.stage().oracle.state().apps.overseen().await.expect("listed");
    assert_eq!(listed.iter().map(|app| app.grants.len()).collect::<Vec<_>>(), [2, 1]);
}

#[tokio::test]
async fn a_grant_that_was_revoked_or_lowered_cannot_be_brought_back() {
    let (ground, ann, bob, _, uuid, _) = scene().await;
    let rows = database(ground.stage());
    rows.execute_batch("CREATE TEMP TABLE kept AS SELECT * FROM app_grants WHERE app = 1 AND holder = 3")
        .expect("kept");
    ground.revoke(&ann, &uuid, "bob").await;
    assert!(!ground.reads(&bob, &uuid).await);
    rows.execute_batch("INSERT INTO app_grants SELECT * FROM kept").expect("brought back");
    assert_eq!(refused(&ground.code(&bob, &uuid).await), DAMAGED);
    // Nor is it carried along when the app is changed again; it is taken away.
    ground.grant(&ann, &uuid, "eve", "manage").await;
    assert!(!ground.reads(&bob, &uuid).await);
    rows.execute_batch("DELETE FROM kept; INSERT INTO kept SELECT * FROM app_grants WHERE app = 1 AND holder = 2")
        .expect("kept");
    ground.grant(&ann, &uuid, "eve", "code").await;
    rows.execute_batch(
        "DELETE FROM app_grants WHERE app = 1 AND holder = 2; INSERT INTO app_grants SELECT * FROM kept",
    )
    .expect("brought back");
    let eve = Who::Ticket(ground.people.ticket("eve").await);
    assert_eq!(refused(&ground.code(&eve, &uuid).await), DAMAGED);
    assert!(ground.reads(&ann, &uuid).await);
}

#[tokio::test]
async fn a_grant_of_an_app_that_was_removed_is_none_of_one_that_is_added_under_its_uuid() {
    let (ground, ann, bob, _, uuid, _) = scene().await;
    let rows = database(ground.stage());
    let (path, new) = (format!("/api/apps/{uuid}"), json!({ "otpauth": URI, "uuid": uuid }));
    // Bob has it to himself for a while, then it is ann's again.
    ground.done(&ann, Method::DELETE, &path, &json!({})).await;
    ground.done(&bob, Method::POST, "/api/apps", &new).await;
    let kept = "CREATE TEMP TABLE kept AS SELECT * FROM app_grants WHERE holder = 3 AND level = 3";
    rows.execute_batch(kept).expect("kept");
    ground.done(&bob, Method::DELETE, &path, &json!({})).await;
    ground.done(&ann, Method::POST, "/api/apps", &new).await;
    let brought = "UPDATE kept SET app = (SELECT MAX(number) FROM apps)";
    assert_eq!(rows.execute(brought, []).expect("altered"), 1);
    rows.execute_batch("INSERT INTO app_grants SELECT * FROM kept").expect("brought back");
    assert_eq!(refused(&ground.code(&bob, &uuid).await), DAMAGED);
    assert_eq!(refused(&ground.ask(&bob, Method::DELETE, &path, &json!({})).await), DAMAGED);
    let shown = ground.done(&ann, Method::GET, &path, &json!({})).await;
    assert_eq!(shown["owner"], "principal/internal/user/ann");
    // Nor is it carried along when the app is sealed anew.
    ground.done(&ann, Method::PATCH, &path, &json!({ "name": "another" })).await;
    assert!(!ground.reads(&bob, &uuid).await);
    let grants = ground.done(&ann, Method::GET, &format!("{path}/grants"), &json!({})).await;
    assert_eq!(grants.as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn an_app_that_was_put_back_and_sealed_anew_gives_nobody_what_is_sealed_now() {
    let (ground, ann, bob, _, uuid, _) = scene().await;
    let rows = database(ground.stage());
    let done = |sql: &str| rows.execute_batch(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    let keep = |name: &str| {
        done(&format!(
            "CREATE TEMP TABLE {name}_app AS SELECT version, sealed FROM apps WHERE number = {APP};
             CREATE TEMP TABLE {name}_grants AS SELECT * FROM app_grants WHERE app = {APP}"
        ));
    };
    let put_back = |name: &str| {
        done(&format!(
            "DELETE FROM app_grants WHERE app = {APP};
             UPDATE apps SET owed = 1, (version, sealed) = (SELECT version, sealed FROM {name}_app) WHERE number = {APP};
             INSERT INTO app_grants SELECT * FROM {name}_grants"
        ));
    };
    keep("former");
    ground.revoke(&ann, &uuid, "bob").await;
    let renewed = "otpauth://totp/Findable%20Corp:findable.person?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ";
    ground.done(&ann, Method::PATCH, &format!("/api/apps/{uuid}"), &json!({ "otpauth": renewed })).await;
    keep("present");
    // As often as the app was sealed anew since, with bob among its readers each time.
    put_back("former");
    for _ in 0..2 {
        done("UPDATE apps SET owed = 1");
        assert_eq!(ground.code(&bob, &uuid).await.status, 200);
    }
    done(&format!("CREATE TEMP TABLE his AS SELECT * FROM app_grants WHERE app = {APP} AND holder = {BOB}"));
    put_back("present");
    done("INSERT INTO app_grants SELECT * FROM his");
    for _ in 0..2 {
        assert!(!ground.code(&bob, &uuid).await.status.is_success());
        assert_eq!(ground.code(&ann, &uuid).await.status, 200, "which seals it anew");
    }
    let grants = format!("/api/apps/{uuid}/grants");
    let holders = ground.done(&ann, Method::GET, &grants, &json!({})).await;
    assert_eq!(holders.as_array().map(Vec::len), Some(1), "{holders}");
}

#[tokio::test]
async fn what_was_sealed_for_a_removed_reader_is_sealed_anew_at_the_next_access_of_anybody() {
    let (ground, ann, bob, _, uuid, _) = scene().await;
    let rows = database(ground.stage());
    let app = || {
        let all = "SELECT version, owed, sealed FROM apps WHERE number = 1";
        rows.query_row(all, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, bool>(1)?, row.get::<_, Vec<u8>>(2)?)))
            .expect("an app")
    };
    let before = app();
    assert!(!before.1);
    ground.people.done(Method::DELETE, "/principals/eve", json!(null)).await;
    assert_eq!(app(), before, "she could not read it");
    ground.grant(&ann, &uuid, "operator", "code").await;
    ground.people.done(Method::DELETE, "/principals/bob", json!(null)).await;
    assert_eq!(app(), (before.0, true, before.2.clone()), "owed");
    assert!(!ground.reads(&bob, &uuid).await);
    assert!(app().1);
    assert!(ground.reads(&ann, &uuid).await);
    let after = app();
    assert!(!after.1 && after.0 != before.0 && after.2 != before.2, "{after:?}");
    // At a reader's as well: perhaps nobody manages it any more.
    let operator = Who::Ticket(ground.people.operator.clone());
    ground.people.done(Method::DELETE, "/principals/ann", json!(null)).await;
    assert!(app().1);
    assert!(ground.reads(&operator, &uuid).await);
    let last = app();
    assert!(!last.1 && last.0 != after.0 && last.2 != after.2, "{last:?}");
    assert!(ground.reads(&operator, &uuid).await && !ground.reads(&ann, &uuid).await);
}
