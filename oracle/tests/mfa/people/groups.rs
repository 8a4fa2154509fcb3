//! Groups that the oracle knows: what is as large as it may be, what the database shows of them, and what whoever writes to it
//! can do.

use super::stage::{People, refused};
use crate::at_rest::database;
use crate::stored::Stored;
use crate::support::{NOW, URI, dealt};
use quorate_oracle::store::MAX_GROUPS;
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::header::{MAX_HOLDER, MAX_NOTE};
use quorate_protocol::otp::OtpSecret;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};

fn file(deal: &Deal) -> Value {
    serde_json::from_str(&deal.group.to_json()).expect("JSON")
}

#[tokio::test]
async fn the_largest_group_is_added_with_all_its_holders() {
    let people = People::new().await;
    let holders: Vec<String> = (1..=255).map(|x| format!("{x:0>MAX_HOLDER$}")).collect();
    let (secret, note) = (OtpSecret::from_uri(URI).expect("a URI"), "n".repeat(MAX_NOTE));
    let request = DealRequest {
        secret: &secret,
        threshold: 128,
        holders: &holders,
        note: &note,
        dealt_at: NOW,
        oracle: None,
        replaces: None,
    };
    let largest = deal(&request, &mut StdRng::seed_from_u64(1)).expect("dealt");
    let added = people.done(Method::POST, "/groups", file(&largest)).await;
    assert_eq!((added["size"].clone(), added["holders"][254]["x"].clone()), (json!(255), json!(255)));
    let members = json!({ "members": { holders[254].as_str(): "operator" } });
    let path = format!("/groups/{}/members", largest.group.name());
    let set = people.done(Method::PUT, &path, members).await;
    assert_eq!(set["holders"][254]["principal"], "principal/internal/user/operator");
    assert_eq!(set["holders"][0]["principal"], Value::Null);
}

#[tokio::test]
async fn there_are_so_many_groups_and_no_more() {
    let people = People::new().await;
    let database = database(&people.stage);
    let fill = "WITH RECURSIVE numbers (number) AS (SELECT 1 UNION ALL SELECT number + 1 FROM numbers LIMIT ?1)
                INSERT INTO known_groups (group_fp, added_at, sealed) SELECT randomblob(32), 0, x'' FROM numbers";
    database.execute(fill, [MAX_GROUPS]).expect("filled");
    let deal = dealt(1, 2, 3);
    assert_eq!(refused(&people.call(Method::POST, "/groups", file(&deal)).await), (409, "too_many"));
    database.execute("DELETE FROM known_groups WHERE number = 7", []).expect("written");
    people.done(Method::POST, "/groups", file(&deal)).await;
    // What somebody wrote there is no group.
    assert_eq!(refused(&people.call(Method::GET, "/groups", json!({})).await), (500, "internal"));
}

#[tokio::test]
async fn nothing_of_a_group_can_be_read_and_nobody_can_be_written_into_it() {
    let people = People::new().await;
    people.user("mallory", "member").await;
    let (deal, other) = (dealt(1, 2, 3), dealt(2, 2, 3));
    for deal in [&deal, &other] {
        people.done(Method::POST, "/groups", file(deal)).await;
    }
    let path = format!("/groups/{}", deal.group.name());
    people.done(Method::PUT, &format!("{path}/members"), json!({ "members": { "player 1": "operator" } })).await;
    let stored = Stored::read(people.stage.oracle.folder());
    stored.assert_lacks("a holder", b"player 1");
    stored.assert_lacks("a note", b"test bank");
    stored.assert_lacks("a header", &deal.group.header.bytes()[..64]);
    stored.assert_lacks("a sealed secret", &deal.group.sealed);

    let database = database(&people.stage);
    let written = |sql: &str| assert!(database.execute(sql, []).expect("written") > 0, "{sql}");
    let get = async || people.call(Method::GET, &path, json!({})).await;
    assert_eq!(get().await.status, 200);
    for (there, back) in [
        // Mallory takes the operator's place, or a place of her own; or the operator is moved to another.
        (
            "UPDATE group_members SET principal = (SELECT id FROM principals WHERE number = 2)",
            "UPDATE group_members SET principal = (SELECT id FROM principals WHERE number = 1)",
        ),
        (
            "INSERT INTO group_members (group_fp, x, principal, bound)
                 SELECT group_fp, 2, (SELECT id FROM principals WHERE number = 2), bound FROM group_members",
            "DELETE FROM group_members WHERE x = 2",
        ),
        ("UPDATE group_members SET x = 2", "UPDATE group_members SET x = 1"),
    ] {
        written(there);
        let shown = get().await.json;
        let holders = shown["holders"].as_array().expect("holders");
        assert_ne!(shown["damaged"], Value::Null, "{there}");
        let mallory = json!("principal/internal/user/mallory");
        assert!(holders.iter().all(|holder| holder["principal"] != mallory), "{there}: {shown}");
        written(back);
        assert_eq!(get().await.json.get("damaged"), None, "{back}");
    }
    written("UPDATE known_groups SET sealed = (SELECT sealed FROM known_groups WHERE number = 2) WHERE number = 1");
    assert_eq!(refused(&get().await), (500, "internal"), "another group under its name");
    people.done(Method::DELETE, &path, json!({})).await;
}
