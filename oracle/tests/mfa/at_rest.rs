//! What whoever has the database, and nothing else, can do with it: read nothing, and swap nothing.

use super::stage::{Stage, Tenant, send};
use super::stored::Stored;
use crate::token::{Format, Token, sha256, unb64};
use crate::webauthn::{Ground, LOGIN, ORIGIN, REGISTER, RP_ID};
use crate::{u2f, webauthn};
use reqwest::{Method, StatusCode};
use rusqlite::Connection;
use serde_json::{Value, json};

/// Another program's connection to the database of a running oracle.
pub fn database(stage: &Stage) -> Connection {
    let connection = Connection::open(stage.oracle.folder().join("quorate.db")).expect("the database");
    connection.busy_timeout(std::time::Duration::from_secs(10)).expect("a bound");
    connection
}

/// Gives each of two rows of a table the other's value of a column.
pub fn swap(database: &Connection, table: &str, column: &str) {
    let sql = format!("SELECT number, {column} FROM {table} ORDER BY number");
    let mut query = database.prepare(&sql).expect("such a column");
    let rows: Vec<(i64, Vec<u8>)> = query
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
        .expect("rows")
        .collect::<Result<_, _>>()
        .expect("numbers and bytes");
    assert_eq!(rows.len(), 2, "{table}");
    for (to, from) in [(0, 1), (1, 0)] {
        let sql = format!("UPDATE {table} SET {column} = ?1 WHERE number = ?2");
        assert_eq!(database.execute(&sql, (&rows[from].1, rows[to].0)).expect("written"), 1);
    }
}

#[tokio::test]
async fn nothing_of_a_totp_secret_can_be_read() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let names = json!({ "issuer": "Findable Corporation", "label": "findable.person" });
    let made = send(stage.by(&tenant, Method::POST, "/totp").json(&names)).await.json;
    let key = made["totpKey"].as_str().expect("a key");
    let raw = data_encoding::BASE32_NOPAD.decode(key.as_bytes()).expect("base32");
    let stored = Stored::read(stage.oracle.folder());
    stored.assert_lacks_uuid("its UUID", made["uuid"].as_str().expect("a uuid"));
    let secrets: [(&str, &[u8]); 5] = [
        ("the key", &raw),
        ("the key as text", key.as_bytes()),
        ("the issuer", b"Findable Corporation"),
        ("the label", b"findable.person"),
        ("the API secret", tenant.secret.as_bytes()),
    ];
    for (what, secret) in secrets {
        stored.assert_lacks(what, secret);
    }
}

#[tokio::test]
async fn nothing_of_a_security_key_can_be_read_and_nothing_names_its_user() {
    const USER: &str = "3f1c9a52-7b0e-4c88-a6d4-90b1e2f35c67";
    let ground = u2f::Ground::new().await;
    let (first, second) = (Token::new(b"the handle of a U2F key"), Token::new(b"the id of a credential"));
    let path = ground.registered(&first).await;
    let open = ground.challenge(&path).await;
    let ask = async |method, body: &Value| {
        let request = ground.stage.by(&ground.tenant, method, REGISTER);
        let request = webauthn::headers(request, RP_ID, ORIGIN, Some(USER));
        let answer = send(request.json(body)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json
    };
    let options = ask(Method::POST, &json!({})).await;
    let made = second.create(&options["publicKey"], ORIGIN, Format::PackedBasic);
    ask(Method::PUT, &made).await;

    let stored = Stored::read(ground.stage.oracle.folder());
    stored.assert_lacks_uuid("the U2F uuid", path.strip_prefix("/u2f/").expect("a uuid"));
    stored.assert_lacks_uuid("the user's UUID", USER);
    let secrets: [(&str, &[u8]); 9] = [
        ("the key handle", &first.handle),
        ("its public key", &first.point()[1..]),
        ("the credential id", &second.handle),
        ("its public key", &second.point()[1..33]),
        ("the hash of the one", &sha256(&first.handle)),
        ("the hash of the other", &sha256(&second.handle)),
        ("the app ID", u2f::APP_ID.as_bytes()),
        ("the relying party", RP_ID.as_bytes()),
        ("a challenge that waits", open.as_bytes()),
    ];
    for (what, secret) in secrets {
        stored.assert_lacks(what, secret);
    }
}

#[tokio::test]
async fn nothing_of_a_security_key_can_be_read() {
    let mut ground = Ground::new().await;
    ground.user = Some("findable-user-of-the-application".to_owned());
    let token = Token::new(b"findable credential id");
    ground.registered(&token).await;
    let (login, registration) = (ground.options(LOGIN).await, ground.options(REGISTER).await);
    let begun = ground.call(Method::POST, "/u2f", &json!({ "appId": u2f::APP_ID })).await.json;
    let key = Token::new(b"findable key handle");
    let challenge = begun["challenge"]["challenge"].as_str().expect("a challenge");
    let path = format!("/u2f/{}", begun["uuid"].as_str().expect("a uuid"));
    let answer = ground.call(Method::PUT, &path, &u2f::registration(&key, challenge, ORIGIN)).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    let stored = Stored::read(ground.stage.oracle.folder());
    let challenges = [&login, &registration].map(|options| unb64(&options["challenge"]));
    let secrets: [(&str, &[u8]); 13] = [
        ("a user", b"findable-user-of-the-application"),
        ("a user by U2F", &path.as_bytes()["/u2f/".len()..]),
        ("a credential id", b"findable credential id"),
        ("its hash", &sha256(b"findable credential id")),
        ("a key handle", b"findable key handle"),
        ("a public key", &token.point()[1..33]),
        ("a public key of U2F", &key.point()[1..33]),
        ("an RP ID", RP_ID.as_bytes()),
        ("its hash", &sha256(RP_ID.as_bytes())),
        ("an app ID", u2f::APP_ID.as_bytes()),
        ("a login's challenge", &challenges[0]),
        ("a registration's challenge", &challenges[1]),
        ("a challenge as text", login["challenge"].as_str().expect("text").as_bytes()),
    ];
    for (what, secret) in secrets {
        stored.assert_lacks(what, secret);
    }
}

#[tokio::test]
async fn a_secret_in_another_secrets_row_does_not_open() {
    let stage = Stage::new().await;
    let tenant = stage.tenant("app@example.com").await;
    let (one, two) = (stage.enrol(&tenant).await, stage.enrol(&tenant).await);
    let database = database(&stage);
    swap(&database, "totps", "sealed");
    // Whoever can write to the database cannot give a user the authenticator of another.
    for (enrolled, other) in [(&one, &two), (&two, &one)] {
        for code in [stage.code(other, 0), stage.code(enrolled, 0)] {
            let answer = stage.validate(&tenant, enrolled, &code).await;
            assert_eq!(answer.refusal(), (500, "internal", "the oracle made a mistake"));
        }
    }
    swap(&database, "totps", "sealed");
    assert_eq!(stage.validate(&tenant, &one, &stage.code(&one, 0)).await.status, 200, "back in its row");
}

#[tokio::test]
async fn a_data_key_in_another_ones_row_does_not_open() {
    let stage = Stage::new().await;
    let (tenant, thief) = (stage.tenant("app@example.com").await, stage.tenant("thief@example.com").await);
    let enrolled = stage.enrol(&tenant).await;
    let database = database(&stage);
    let owners = |one: i64, two: i64| {
        for (number, owner) in [(1, one), (2, two)] {
            let changed = database.execute("UPDATE data_keys SET api_key = ?1 WHERE number = ?2", (owner, number));
            assert_eq!(changed.expect("written"), 1);
        }
    };
    // Another owner written into the row gives that one a record that it cannot open.
    owners(2, 1);
    assert_eq!(stage.validate(&thief, &enrolled, &stage.code(&enrolled, 0)).await.refusal().0, 500);
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 0)).await.refusal().0, 404);
    owners(1, 2);
    swap(&database, "data_keys", "by_secret");
    for (tenant, enrolled) in [(&tenant, Some(&enrolled)), (&thief, None)] {
        let answer = match enrolled {
            Some(enrolled) => stage.validate(tenant, enrolled, &stage.code(enrolled, 0)).await,
            None => send(stage.by(tenant, Method::POST, "/totp")).await,
        };
        assert_eq!(answer.refusal().0, 500);
    }
    swap(&database, "data_keys", "by_secret");
    assert_eq!(stage.validate(&tenant, &enrolled, &stage.code(&enrolled, 0)).await.status, 200);
}

#[tokio::test]
async fn what_is_kept_of_an_api_key_counts_in_its_own_row_only() {
    let stage = Stage::new().await;
    let (tenant, thief) = (stage.tenant("app@example.com").await, stage.tenant("thief@example.com").await);
    let database = database(&stage);
    let requests = async || {
        [send(stage.by(&tenant, Method::POST, "/totp")).await, send(stage.by(&thief, Method::POST, "/totp")).await]
    };
    swap(&database, "api_keys", "sealed");
    assert_eq!(requests().await.map(|answer| answer.status.as_u16()), [500, 500]);
    swap(&database, "api_keys", "sealed");
    swap(&database, "api_keys", "secret_hash");
    assert_eq!(requests().await.map(|answer| answer.status.as_u16()), [401, 401]);
    // Nor does the other's secret open it now.
    let crossed = Tenant { value: tenant.value.clone(), secret: thief.secret.clone() };
    assert_eq!(send(stage.by(&crossed, Method::POST, "/totp")).await.status, 401);
    swap(&database, "api_keys", "secret_hash");
    assert_eq!(requests().await.map(|answer| answer.status.as_u16()), [200, 200]);
}

#[tokio::test]
async fn a_damaged_api_key_hides_no_other() {
    let stage = Stage::new().await;
    let (_, whole) = (stage.tenant("damaged@example.com").await, stage.tenant("whole@example.com").await);
    assert_eq!(send(stage.by(&whole, Method::POST, "/totp")).await.status, 200);
    let damage = "UPDATE api_keys SET sealed = substr(sealed, 2) WHERE number = 1";
    assert_eq!(database(&stage).execute(damage, []).expect("written"), 1);
    let listed = stage.oracle.state().api_keys.list().await.expect("listed");
    let seen: Vec<_> =
        listed.iter().map(|key| (key.number, key.damaged, key.email.as_str(), key.records.totp)).collect();
    assert_eq!(seen, [(1, true, "", 0), (2, false, "whole@example.com", 1)]);
}

/// Two users of an application, each with a credential.
async fn two_users() -> (Ground, [(&'static str, Token); 2]) {
    let mut ground = Ground::new().await;
    let users = ["alice", "mallory"].map(|user| (user, Token::new(user.as_bytes())));
    for (user, token) in &users {
        ground.user = Some((*user).to_owned());
        ground.registered(token).await;
    }
    (ground, users)
}

#[tokio::test]
async fn a_credential_in_another_ones_row_does_not_open() {
    let (mut ground, mut users) = two_users().await;
    let database = database(&ground.stage);
    swap(&database, "credentials", "sealed");
    for (user, _) in &users {
        ground.user = Some((*user).to_owned());
        for path in [LOGIN, REGISTER] {
            assert_eq!(ground.call(Method::POST, path, &json!({})).await.refusal().0, 500, "{user} {path}");
        }
    }
    swap(&database, "credentials", "sealed");
    // Nor does it when the row as a whole is made another user's, who could then log in as the first.
    swap(&database, "credentials", "owner");
    for (user, _) in &users {
        ground.user = Some((*user).to_owned());
        assert_eq!(ground.call(Method::POST, LOGIN, &json!({})).await.refusal().0, 500, "{user}");
    }
    swap(&database, "credentials", "owner");
    for (user, token) in &mut users {
        ground.user = Some((*user).to_owned());
        ground.assert_logs_in(token).await;
    }
}

#[tokio::test]
async fn a_ceremony_in_another_ones_row_does_not_open() {
    let (mut ground, mut users) = two_users().await;
    for path in [LOGIN, REGISTER] {
        let mut answers: Vec<(String, Value)> = Vec::new();
        for (user, token) in &mut users {
            ground.user = Some((*user).to_owned());
            let options = ground.options(path).await;
            let answer = match path {
                LOGIN => token.get(&options, ORIGIN),
                _ => Token::new(format!("{user}'s second").as_bytes()).create(&options, ORIGIN, Format::None),
            };
            answers.push(((*user).to_owned(), answer));
        }
        let database = database(&ground.stage);
        swap(&database, "ceremonies", "sealed");
        for (user, answer) in &answers {
            ground.user = Some(user.clone());
            assert_eq!(ground.call(Method::PUT, path, answer).await.refusal().0, 500, "{user} {path}");
        }
        swap(&database, "ceremonies", "sealed");
        // In the other user's name a challenge is one that nobody gave out, or does not open.
        let swapped: Vec<_> = answers.iter().map(|(_, answer)| answer).rev().collect();
        for ((user, _), answer) in answers.iter().zip(swapped) {
            ground.user = Some(user.clone());
            assert_eq!(ground.call(Method::PUT, path, answer).await.refusal().0, 400, "{user} {path}");
        }
        for (user, answer) in &answers {
            ground.user = Some(user.clone());
            let answer = ground.call(Method::PUT, path, answer).await;
            assert_eq!(answer.status, StatusCode::OK, "{user} {path}: {}", answer.text);
        }
    }
}
