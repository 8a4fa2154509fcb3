//! What whoever has the database, and nothing else, can do with it: read nobody's name, log in as nobody, and lend nobody the
//! rights of another.

use super::stage::{PASSWORD, People, refused};
use crate::at_rest::{database, swap};
use crate::stage::send;
use crate::stored::Stored;
use quorate_protocol::encoding::{base64, base64url};
use reqwest::Method;
use rusqlite::Connection;
use serde_json::json;

fn rows(database: &Connection, sql: &str) -> Vec<Vec<u8>> {
    let mut query = database.prepare(sql).expect("a query");
    query.query_map([], |row| row.get(0)).expect("rows").collect::<Result<_, _>>().expect("bytes")
}

#[tokio::test]
async fn nothing_of_people_can_be_read() {
    let people = People::new().await;
    people.user("findable-person", "auditor").await;
    let (assigned, secret) = people.assign_totp("findable-person", "FindableProvider").await;
    let options = json!({ "IntegrationKey": "DIFINDABLE", "SecretKey": "findablesecret", "Host": "api-findable.duosecurity.com" });
    people.done(Method::POST, "/system/multi_factor", json!({ "Type": "duo", "Name": "D", "Options": options })).await;
    let link = people.invited("another", "member").await;
    let code = assigned["recovery_codes"][0].as_str().expect("a code");
    let stored = Stored::read(people.stage.oracle.folder());
    for (what, text) in [
        ("a name", "findable-person"),
        ("a provider's name", "FindableProvider"),
        ("an option", "api-findable"),
        ("a secret option", "findablesecret"),
        ("a password", PASSWORD),
        ("a ticket", people.operator.as_str()),
        ("a link", &link),
        ("a recovery code", code),
        ("the same as it is hashed", &code.replace('-', "")),
        ("a TOTP key", &secret.to_base32()),
    ] {
        stored.assert_lacks(what, text.as_bytes());
    }
    stored.assert_lacks("the TOTP key's bytes", secret.key());
}

#[tokio::test]
async fn what_is_stored_of_a_ticket_or_a_link_is_none() {
    let people = People::new().await;
    people.invited("bob", "operator").await;
    let database = database(&people.stage);
    for hash in rows(&database, "SELECT hash FROM tickets UNION SELECT bound FROM tickets") {
        for text in [base64url(&hash), base64(&hash), data_encoding::HEXLOWER.encode(&hash)] {
            let answer = send(people.request(&text, Method::GET, "/whoami")).await;
            assert_eq!(refused(&answer), (401, "ticket_required"));
        }
    }
    for hash in rows(&database, "SELECT hash FROM links UNION SELECT bound FROM links") {
        let path = format!("/enroll/{}", base64url(&hash));
        let answer = send(people.stage.at(Method::POST, &path).json(&json!({ "password": PASSWORD }))).await;
        assert_eq!(refused(&answer), (404, "link_unknown"));
    }
}

#[tokio::test]
async fn a_ticket_a_link_or_a_password_in_another_principals_row_serves_nobody() {
    let people = People::new().await;
    let ticket = people.user("mallory", "member").await;
    let database = database(&people.stage);
    // Mallory's ticket becomes the operator's.
    let given = "UPDATE tickets SET principal = (SELECT id FROM principals ORDER BY number LIMIT 1)";
    database.execute(given, []).expect("written");
    assert!(!people.knows(&ticket).await);
    assert!(people.knows(&people.operator).await);
    // Mallory's password becomes the operator's.
    swap(&database, "principals", "verifier");
    for name in ["mallory", "operator"] {
        let answer = people.log_in(json!({ "principal": name, "password": PASSWORD })).await;
        assert_eq!(refused(&answer), (500, "internal"), "{name}");
    }
    swap(&database, "principals", "verifier");
    // Mallory's link becomes the operator's.
    let made = people.done(Method::POST, "/principals/mallory/link", json!({})).await;
    let link = super::stage::link_of(made["link"].as_str().expect("a link"));
    database.execute(&given.replace("tickets", "links"), []).expect("written");
    let body = json!({ "password": "a password of mallory's" });
    let answer = send(people.stage.at(Method::POST, &format!("/enroll/{link}")).json(&body)).await;
    assert_eq!(refused(&answer), (404, "link_unknown"));
    assert_eq!(people.log_in(json!({ "principal": "operator", "password": PASSWORD })).await.status, 200);
}

#[tokio::test]
async fn a_ticket_or_a_link_lasts_no_longer_because_the_database_says_so() {
    let people = People::new().await;
    let (ticket, link) = (people.user("mallory", "member").await, people.invited("bob", "member").await);
    let database = database(&people.stage);
    let begin = async || send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await;
    let lengthen = |milliseconds: i64| {
        for table in ["tickets", "links"] {
            let sql = format!("UPDATE {table} SET expires_at = expires_at + {milliseconds}");
            database.execute(&sql, []).expect("written");
        }
    };
    for milliseconds in [1, -2] {
        lengthen(milliseconds);
        assert!(!people.knows(&ticket).await, "{milliseconds}");
        assert_eq!(refused(&begin().await), (404, "link_unknown"), "{milliseconds}");
    }
    lengthen(1);
    assert!(people.knows(&ticket).await);
    assert_eq!(begin().await.status, 200);
}

#[tokio::test]
async fn a_role_a_name_or_a_membership_written_into_the_database_is_noticed() {
    let people = People::new().await;
    let ticket = people.user("mallory", "member").await;
    let database = database(&people.stage);
    let update = |sql: &str| assert_eq!(database.execute(sql, []).expect("written"), 1, "{sql}");
    update("UPDATE principals SET role = 2 WHERE number = 2");
    let answer = send(people.request(&ticket, Method::GET, "/principals")).await;
    assert_eq!(refused(&answer), (500, "internal"));
    update("UPDATE principals SET role = 0 WHERE number = 2");
    assert!(people.knows(&ticket).await);
    people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    update(
        "INSERT INTO members (team, member, bound)
            SELECT team.id, member.id, team.name FROM principals AS team, principals AS member
            WHERE team.number = 3 AND member.number = 2",
    );
    let members = people.call(Method::GET, "/principals/principal/internal/group/ops/members", json!({})).await;
    assert_eq!(refused(&members), (500, "internal"));
}

#[tokio::test]
async fn a_factor_taken_out_of_the_database_lets_nobody_in_without_it() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let (_, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    let kept = people.stage.oracle.folder().join("kept.db");
    let database = database(&people.stage);
    database.execute("VACUUM INTO ?1", [kept.to_str().expect("UTF-8")]).expect("a copy");
    assert_eq!(database.execute("DELETE FROM factors", []).expect("written"), 1);
    let password_alone = json!({ "principal": "bob", "password": PASSWORD });
    assert_eq!(refused(&people.log_in(password_alone).await), (500, "internal"));
    database.execute("ATTACH ?1 AS kept", [kept.to_str().expect("UTF-8")]).expect("attached");
    database.execute("INSERT INTO factors SELECT * FROM kept.factors", []).expect("put back");
    let body = json!({ "principal": "bob", "password": PASSWORD, "passcode": people.code(&secret, 0) });
    assert_eq!(people.log_in(body).await.status, 200);
}
