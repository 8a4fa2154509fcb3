//! What whoever has the database, and nothing else, can do with the key pairs of API keys: no exchange of rows makes one's
//! another's, and no row brings a revoked key back.

use super::ground::{Ground, URI, Who};
use crate::at_rest::database;
use crate::people::stage::refused;
use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;

const DAMAGED: (u16, &str) = (500, "internal");

/// An app of ann's; and the API keys of eve, who has the database, and of a victim, who may both read nothing of it.
struct Scene {
    ground: Ground,
    ann: Who,
    uuid: String,
    eve: Who,
    victim: Who,
    rows: Connection,
}

async fn scene() -> Scene {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    let (eve, victim) = (ground.key("eve@example.com").await, ground.key("victim@example.com").await);
    let (uuid, rows) = (ground.add(&ann).await, database(ground.stage()));
    Scene { ground, ann, uuid, eve, victim, rows }
}

fn value(who: &Who) -> &str {
    let Who::Key(key) = who else { unreachable!("it is a key") };
    &key.value
}

impl Scene {
    /// Numbers of eve's and of the victim's key pair with those of the data keys and of the API keys that they are under.
    fn pairs(&self) -> [(i64, i64, i64); 2] {
        let all = "SELECT h.number, d.number, d.api_key FROM app_holders AS h
                   JOIN data_keys AS d ON d.number = h.data_key ORDER BY h.number";
        let mut query = self.rows.prepare(all).expect("a query");
        let pairs = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).expect("rows");
        let pairs: Vec<(i64, i64, i64)> = pairs.collect::<Result<_, _>>().expect("numbers");
        pairs.try_into().expect("a key pair of each")
    }

    fn exchange_pairs(&self, [hers, his]: [(i64, i64, i64); 2]) {
        let exchange = format!(
            "UPDATE app_holders SET data_key = NULL WHERE number = {};
             UPDATE app_holders SET data_key = {} WHERE number = {};
             UPDATE app_holders SET data_key = {} WHERE number = {};",
            hers.0, hers.1, his.0, his.1, hers.0
        );
        self.rows.execute_batch(&exchange).expect("exchanged");
    }

    async fn grant_to_victim(&self) -> reqwest::StatusCode {
        let path = format!("/api/apps/{}/grants/api-key/{}", self.uuid, value(&self.victim));
        self.ground.ask(&self.ann, Method::PUT, &path, &json!({ "right": "code" })).await.status
    }
}

#[tokio::test]
async fn nothing_is_sealed_to_a_key_pair_that_was_exchanged_for_anothers() {
    let scene = scene().await;
    let [hers, his] = scene.pairs();
    scene.exchange_pairs([hers, his]);
    assert_eq!(scene.grant_to_victim().await, 500, "for the victim, to eve's");
    let add = scene.ground.ask(&scene.victim, Method::POST, "/api/apps", &json!({ "otpauth": URI })).await;
    assert_eq!(refused(&add), DAMAGED, "the victim's own, for eve");
    scene.exchange_pairs([(hers.0, his.1, 0), (his.0, hers.1, 0)]);
    assert!(!scene.ground.reads(&scene.eve, &scene.uuid).await);
    assert_eq!(scene.grant_to_victim().await, 204, "back as it was");
    assert!(scene.ground.reads(&scene.victim, &scene.uuid).await);
}

#[tokio::test]
async fn nothing_is_sealed_under_a_data_key_that_was_exchanged_for_anothers() {
    let scene = scene().await;
    let [hers, his] = scene.pairs();
    let exchange = |hers: (i64, i64, i64), his: (i64, i64, i64)| {
        let owner = |key: (i64, i64, i64), of: (i64, i64, i64)| {
            format!("UPDATE data_keys SET api_key = {} WHERE number = {};", of.2, key.1)
        };
        scene.rows.execute_batch(&(owner(hers, his) + &owner(his, hers))).expect("exchanged");
    };
    exchange(hers, his);
    assert_eq!(scene.grant_to_victim().await, 500);
    let add = scene.ground.ask(&scene.victim, Method::POST, "/api/apps", &json!({ "otpauth": URI })).await;
    assert_eq!(refused(&add), DAMAGED);
    exchange((hers.0, hers.1, his.2), (his.0, his.1, hers.2));
    assert_eq!(scene.grant_to_victim().await, 204);
    // Whoever hangs the victim's data key on her own API key is shown nothing of what the victim manages.
    let path = format!("/api/apps/{}/grants/api-key/{}", scene.uuid, value(&scene.victim));
    scene.ground.done(&scene.ann, Method::PUT, &path, &json!({ "right": "manage" })).await;
    scene.rows.execute("UPDATE data_keys SET api_key = ?1 WHERE number = ?2", [hers.2, his.1]).expect("moved");
    let grants = format!("/api/apps/{}/grants", scene.uuid);
    assert_eq!(refused(&scene.ground.ask(&scene.eve, Method::GET, &grants, &json!({})).await), DAMAGED);
}

#[tokio::test]
async fn what_an_old_secret_and_an_old_copy_open_is_of_no_use_after_a_rotation() {
    let scene = scene().await;
    let (ground, rows) = (&scene.ground, &scene.rows);
    let grantee = |who: &Who| format!("api-key/{}", value(who));
    // The victim may read ann's app and has one of its own; eve may read ann's as well.
    for who in [&scene.eve, &scene.victim] {
        ground.grant(&scene.ann, &scene.uuid, &grantee(who), "code").await;
    }
    ground.grant(&scene.ann, &scene.uuid, &grantee(&scene.victim), "manage").await;
    let own = ground.add(&scene.victim).await;
    let sealed = || -> Vec<(i64, Vec<u8>)> {
        let mut query = rows.prepare("SELECT version, sealed FROM apps ORDER BY number").expect("a query");
        let apps = query.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows");
        apps.collect::<Result<_, _>>().expect("apps")
    };
    let ([hers, his], before) = (scene.pairs(), sealed());
    let (Who::Key(old), Who::Key(new)) = (&scene.victim, &scene.eve) else { unreachable!("both are keys") };
    let rotation =
        json!({ "oldKeyId": old.value, "oldKeySecret": old.secret, "newKeyId": new.value, "newKeySecret": new.secret });
    let rotated = crate::stage::send(ground.stage().at(Method::POST, "/api-key/rotate").json(&rotation)).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
    // The pair that the old secret opened is gone, and each app is sealed under another key.
    let pairs = "SELECT COUNT(*) FROM app_holders WHERE number = ?1";
    let count = |number: i64| rows.query_row(pairs, [number], |row| row.get::<_, i64>(0)).expect("a count");
    assert_eq!((count(his.0), count(hers.0)), (0, 1));
    for (before, after) in before.iter().zip(sealed()) {
        assert!(after.0 != before.0 && after.1 != before.1);
    }
    assert!(ground.reads(&scene.eve, &scene.uuid).await && ground.reads(&scene.eve, &own).await);
    assert!(!ground.reads(&scene.victim, &scene.uuid).await && !ground.reads(&scene.victim, &own).await);
    let shown = ground.done(&scene.eve, Method::GET, &format!("/api/apps/{own}"), &json!({})).await;
    assert_eq!((shown["right"].as_str(), shown["owner"].as_str()), (Some("owner"), Some(&*grantee(&scene.eve))));
    let grants = ground.done(&scene.ann, Method::GET, &format!("/api/apps/{}/grants", scene.uuid), &json!({})).await;
    let rights = grants.as_array().expect("a list").iter().map(|grant| grant["right"].as_str().expect("a right"));
    let mut rights: Vec<_> = rights.collect();
    rights.sort_unstable();
    assert_eq!(rights, ["manage", "owner"], "the better one of both, once");
}

#[tokio::test]
async fn a_revoked_key_is_brought_back_by_no_value_of_a_column() {
    let scene = scene().await;
    assert_eq!(scene.grant_to_victim().await, 204);
    let own = json!({ "otpauth": URI, "uuid": "3f1c9a52-7b0e-4c88-a6d4-90b1e2f35c67" });
    scene.ground.done(&scene.victim, Method::POST, "/api/apps", &own).await;
    let [_, his] = scene.pairs();
    let hash: Vec<u8> = scene
        .rows
        .query_row("SELECT secret_hash FROM api_keys WHERE number = ?1", [his.2], |row| row.get(0))
        .expect("an old copy");
    scene.ground.stage().oracle.state().apps.revoke_api_key(value(&scene.victim)).await.expect("revoked");
    scene.rows.execute_batch("UPDATE apps SET owed = 0; UPDATE api_keys SET revoked_at = NULL").expect("forgiven");
    assert!(!scene.ground.reads(&scene.victim, &scene.uuid).await);
    let listed = scene.ground.ask(&scene.victim, Method::GET, "/api/apps", &json!({})).await;
    assert_eq!(refused(&listed), (401, "unauthorized"));
    // Nor with what its secret was checked with, from an old copy: its grants are gone, and what nobody else could read.
    scene
        .rows
        .execute("UPDATE api_keys SET secret_hash = ?1 WHERE number = ?2", rusqlite::params![hash, his.2])
        .expect("brought back");
    let listed = scene.ground.done(&scene.victim, Method::GET, "/api/apps", &json!({})).await;
    assert_eq!(listed, json!([]));
    assert!(!scene.ground.reads(&scene.victim, &scene.uuid).await);
    scene.ground.done(&scene.eve, Method::POST, "/api/apps", &own).await;
}
