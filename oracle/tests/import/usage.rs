//! Imported keys and records in use: with the old secrets, once as they came and from then on as ordinary ones.

use crate::export::{Exports, MADE, Old, TOTP_KEY, credential, early_credential};
use crate::peers::oath::oathtool;
use crate::stage::{Answer, Stage, Tenant, send};
use crate::stored::Stored;
use crate::token::{Token, b64, sha256};
use crate::{import, listed, stages};
use quorate_oracle::service::import::{Import, Summary, Tally};
use quorate_oracle::store::RecordCounts;
use quorate_protocol::otp::OtpSecret;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

const TOTP: &str = "7d1aa2b0-0e5b-4dc6-9c40-24d5a1c64f6e";
const OTHER_TOTP: &str = "0b9d2c4e-6a3f-4b43-8f3c-f1f6f6d2ab10";
const U2F: &str = "f2b5e3a0-3c61-4e6b-9f35-6c2ad4b7d0aa";
const USER: &str = "c7a9f6be-51d4-4a53-8f0e-2f6f0f8f7a11";
const APP_ID: &str = "https://example.com/app-id.json";
const RP_ID: &str = "example.com";
const ORIGIN: &str = "https://login.example.com";
/// Longer than a code of the other service can be right for.
const LATER: i64 = 90_000;

fn tenant(old: &Old) -> Tenant {
    Tenant { value: old.value.clone(), secret: old.secret.clone() }
}

fn counts(totp: i64, webauthn: i64) -> RecordCounts {
    RecordCounts { totp, webauthn }
}

async fn validate(stage: &Stage, tenant: &Tenant, uuid: &str, code: &str) -> Answer {
    let path = format!("/totp/{uuid}/validate");
    send(stage.by(tenant, Method::POST, &path).json(&json!({ "code": code }))).await
}

fn now(stage: &Stage) -> i64 {
    quorate_oracle::clock::Clock::now(&*stage.clock)
}

fn code(stage: &Stage) -> String {
    code_in(stage, 0)
}

/// The code of so many seconds later.
fn code_in(stage: &Stage, later: u64) -> String {
    let seconds = u64::try_from(now(stage)).expect("after 1970") + later;
    OtpSecret::from_base32(TOTP_KEY).expect("a key").code_at(seconds).digits.to_string()
}

/// The code of this step counts, for that secret.
async fn assert_counts(stage: &Stage, tenant: &Tenant, uuid: &str) {
    let answer = validate(stage, tenant, uuid, &code(stage)).await;
    assert_eq!((answer.status, answer.json["message"].as_str()), (StatusCode::OK, Some("Valid")), "{}", answer.text);
}

async fn ask(stage: &Stage, tenant: &Tenant, method: Method, path: &str, user: (&str, &str), body: &Value) -> Answer {
    let (uuid, rp_id) = user;
    let request = stage.by(tenant, method, path).header("x-mfa-RPDisplayName", "ACME").header("x-mfa-RPID", rp_id);
    let request = request.header("x-mfa-RPOrigin", format!("https://login.{rp_id}")).header("x-mfa-UserUUID", uuid);
    let request = request.header("x-mfa-Username", "joe").header("x-mfa-UserDisplayName", "Joe");
    send(request.json(body)).await
}

/// Logs in by `WebAuthn`; `signed_for` is what the token believes it is asked for.
async fn log_in(stage: &Stage, tenant: &Tenant, user: (&str, &str), token: &mut Token, signed_for: &str) -> Answer {
    let begun = ask(stage, tenant, Method::POST, "/webauthn/login", user, &json!({})).await;
    if begun.status != StatusCode::OK {
        return begun;
    }
    let origin = format!("https://login.{}", user.1);
    let answer = token.get_for(signed_for, &begun.json["publicKey"], &origin);
    ask(stage, tenant, Method::PUT, "/webauthn/login", user, &answer).await
}

/// Logs in by U2F.
async fn sign(stage: &Stage, tenant: &Tenant, token: &mut Token) -> Answer {
    let path = format!("/u2f/{U2F}/auth");
    let begun = send(stage.by(tenant, Method::POST, &path)).await;
    if begun.status != StatusCode::OK {
        return begun;
    }
    assert_eq!((&begun.json["appId"], &begun.json["keyHandle"]), (&APP_ID.into(), &b64(&token.handle).into()));
    let challenge = begun.json["challenge"].as_str().expect("a challenge");
    let data = Token::u2f_client_data("getAssertion", challenge, ORIGIN);
    let signature = token.u2f_sign(APP_ID, &data);
    let result = json!({ "keyHandle": b64(&token.handle), "clientData": b64(&data), "signatureData": b64(&signature) });
    send(stage.by(tenant, Method::PUT, &path).json(&json!({ "signResult": result }))).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_api_key_keeps_its_secret_and_its_codes_count() {
    for stage in stages().await {
        let (exports, old) = (Exports::new(), Old::new("old"));
        let files = [exports.gzip("b", &[old.totp(TOTP)]), exports.file("a", &[old.api_key()])];
        let summary = import(&stage, &files).await.expect("imported");
        let one = Tally { new: 1, known: 0 };
        assert_eq!(summary, Summary { api_keys: one, totp: one, ..Summary::default() });
        let before = listed(&stage).await.remove(0);
        assert_eq!((before.value.as_str(), before.email.as_str()), (old.value.as_str(), old.email.as_str()));
        assert_eq!((before.created_at, before.activated_at), (MADE, Some(MADE + 1000)));
        assert_eq!((before.unused, before.records, before.legacy), (true, counts(1, 0), counts(1, 0)));

        let tenant = tenant(&old);
        let replayed = validate(&stage, &tenant, TOTP, &code(&stage)).await;
        assert_eq!(replayed.refusal().1, "code_used", "it may have counted at the other service");
        let next = validate(&stage, &tenant, TOTP, &code_in(&stage, 30)).await;
        assert_eq!(next.refusal().1, "code_used", "so may one of a clock that is fast");
        let used = listed(&stage).await.remove(0);
        assert_eq!((used.unused, used.records, used.legacy), (false, counts(1, 0), counts(0, 0)));
        stage.clock.advance(LATER);
        let end = jiff::Timestamp::from_second(now(&stage) + 1).expect("in range").to_string();
        if let Some(code) = oathtool(TOTP_KEY, &end) {
            assert_eq!(code, self::code(&stage));
        }
        assert_counts(&stage, &tenant, TOTP).await;
        assert_eq!(validate(&stage, &tenant, TOTP, &code(&stage)).await.refusal().1, "code_used");
        let made = send(stage.by(&tenant, Method::POST, "/totp")).await;
        assert_eq!(made.status, StatusCode::OK, "new secrets can be made: {}", made.text);
        let body = json!({ "email": old.email, "apiKey": old.value });
        let again = send(stage.gateway("/api-key/activate").json(&body)).await;
        assert_eq!(again.refusal().1, "already_activated");
        let removed = send(stage.by(&tenant, Method::DELETE, &format!("/totp/{TOTP}"))).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT);
        let again = import(&stage, &files).await.expect("imported again");
        assert_eq!((again.totp, again.api_keys), (Tally { new: 0, known: 1 }, Tally { new: 0, known: 1 }));
        assert_eq!(
            validate(&stage, &tenant, TOTP, &code(&stage)).await.status,
            StatusCode::NOT_FOUND,
            "it stays removed"
        );
    }
}

#[tokio::test]
async fn codes_of_the_time_of_writing_are_refused() {
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    let file = exports.file("all", &[old.api_key(), old.totp(TOTP)]);
    let import = Import::new(stage.oracle.state(), vec![file]);
    // As long as the check of a large export takes.
    stage.clock.advance(LATER);
    import.run().await.expect("imported");
    let replayed = validate(&stage, &tenant(&old), TOTP, &code(&stage)).await;
    assert_eq!(replayed.refusal().1, "code_used");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_imported_while_the_clocks_differ() {
    let stages = stages().await;
    let check = async |stage: &Stage| Import::new(stage.oracle.state(), Vec::new()).check_clocks().await;
    check(&stages[0]).await.expect("it has no other clock than this machine's");
    // A server's is not the test's.
    if let Some(stage) = stages.get(1) {
        let why = check(stage).await.expect_err("they differ").to_string();
        assert!(why.starts_with("the database's clock is ") && why.contains(" s behind this machine's"), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_u2f_key_signs_and_logs_in_by_webauthn() {
    for stage in stages().await {
        let (exports, old) = (Exports::new(), Old::new("old"));
        let mut token = Token::new(b"a key handle");
        let items = [old.u2f(U2F, APP_ID, &token), old.api_key()];
        let summary = import(&stage, &[exports.bare("all", &items)]).await.expect("imported");
        assert_eq!(summary.webauthn, Tally { new: 1, known: 0 });
        let tenant = tenant(&old);
        let answer = sign(&stage, &tenant, &mut token).await;
        assert_eq!(answer.json, json!({ "message": "Valid", "status": 200 }), "{}", answer.text);
        let owned = listed(&stage).await.remove(0);
        assert_eq!((owned.records, owned.legacy), (counts(0, 1), counts(0, 0)));

        let begun = ask(&stage, &tenant, Method::POST, "/webauthn/login", (U2F, RP_ID), &json!({})).await;
        assert_eq!(begun.json["publicKey"]["extensions"]["appid"], APP_ID, "{}", begun.text);
        let answer = log_in(&stage, &tenant, (U2F, RP_ID), &mut token, APP_ID).await;
        assert_eq!(answer.json["key_handle_hash"], b64(&sha256(&token.handle)), "{}", answer.text);
        let path = "/webauthn/credential/u2f";
        let removed = ask(&stage, &tenant, Method::DELETE, path, (U2F, RP_ID), &json!({})).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.text);
        assert_eq!(sign(&stage, &tenant, &mut token).await.status, StatusCode::NOT_FOUND);
        assert_eq!(listed(&stage).await[0].records, counts(0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_of_every_version_log_in_and_are_bound_by_it() {
    for stage in stages().await {
        let (exports, old) = (Exports::new(), Old::new("old"));
        let (mut early, mut late) = (Token::new(b"early"), Token::new(b"late"));
        late.counter = 40;
        let credentials = json!([early_credential(&early), credential(&late, RP_ID)]);
        let items = [old.api_key(), old.webauthn(USER, &credentials)];
        import(&stage, &[exports.file("all", &items)]).await.expect("imported");
        let tenant = tenant(&old);
        // Which relying party the early one is of, nobody knows yet; the late one tells.
        let elsewhere = ask(&stage, &tenant, Method::POST, "/webauthn/login", (USER, "example.org"), &json!({})).await;
        let allowed = &elsewhere.json["publicKey"]["allowCredentials"];
        assert_eq!(allowed.as_array().map(Vec::len), Some(1), "{}", elsewhere.text);
        assert_eq!(allowed[0]["id"], b64(b"early"));
        for _ in 0..2 {
            for token in [&mut early, &mut late] {
                let answer = log_in(&stage, &tenant, (USER, RP_ID), token, RP_ID).await;
                assert_eq!(answer.json["key_handle_hash"], b64(&sha256(&token.handle)), "{}", answer.text);
            }
        }
        let elsewhere = ask(&stage, &tenant, Method::POST, "/webauthn/login", (USER, "example.org"), &json!({})).await;
        assert_eq!(elsewhere.status, StatusCode::BAD_REQUEST, "bound: {}", elsewhere.text);
        late.counter = 41;
        let behind = log_in(&stage, &tenant, (USER, RP_ID), &mut late, RP_ID).await;
        assert_eq!(behind.refusal().1, "counter_behind");

        let path = format!("/webauthn/credential/{}", b64(&sha256(b"early")));
        let removed = ask(&stage, &tenant, Method::DELETE, &path, (USER, RP_ID), &json!({})).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT);
        let refused = log_in(&stage, &tenant, (USER, RP_ID), &mut early, RP_ID).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rotation_moves_what_was_imported_before_and_after_its_first_use() {
    for stage in stages().await {
        let (exports, old) = (Exports::new(), Old::new("old"));
        let mut token = Token::new(b"a key handle");
        let items = [old.totp(TOTP), old.api_key(), old.totp(OTHER_TOTP), old.u2f(U2F, APP_ID, &token)];
        import(&stage, &[exports.file("all", &items)]).await.expect("imported");
        let (first, second) = (stage.tenant("first@example.com").await, stage.tenant("second@example.com").await);
        stage.clock.advance(LATER);
        let all = json!({ "totpComplete": 2, "totpIncomplete": 0, "webauthnComplete": 1, "webauthnIncomplete": 0 });
        // The rotation is the first use.
        let rotated = rotate(&stage, &tenant(&old), &first).await;
        assert_eq!(rotated.json, all, "{}", rotated.text);
        assert_eq!(validate(&stage, &tenant(&old), TOTP, &code(&stage)).await.status, StatusCode::NOT_FOUND);
        assert_counts(&stage, &first, TOTP).await;
        let legacy = listed(&stage).await.into_iter().find(|key| key.value == first.value).expect("listed").legacy;
        assert_eq!(legacy, counts(1, 1));
        // One is an ordinary record by now, the others are still as they came.
        let rotated = rotate(&stage, &first, &second).await;
        assert_eq!(rotated.json, all, "{}", rotated.text);
        stage.clock.advance(LATER);
        assert_counts(&stage, &second, TOTP).await;
        assert_counts(&stage, &second, OTHER_TOTP).await;
        let answer = sign(&stage, &second, &mut token).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        // The old key stays in use, and a later export of its service still finds it.
        assert_eq!(send(stage.by(&tenant(&old), Method::POST, "/totp")).await.status, StatusCode::OK);
        let late = "11111111-2222-4333-8444-555555555555";
        let items = [old.api_key(), items[0].clone(), old.totp(late)];
        let summary = import(&stage, &[exports.file("late", &items)]).await.expect("imported");
        assert_eq!(summary.totp, Tally { new: 1, known: 1 });
        stage.clock.advance(LATER);
        assert_counts(&stage, &tenant(&old), late).await;
    }
}

#[tokio::test]
async fn credentials_whose_keys_are_not_taken_are_kept_and_used_for_nothing() {
    const OTHER_USER: &str = "5b1cbb8e-4f8a-49e5-8a4d-6a1f0e6f0d21";
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    let (mut good, eddsa, rsa) = (Token::new(b"good"), Token::new(b"eddsa"), Token::new(b"rsa"));
    let with_key = |token: &Token, key: &[u8]| {
        let mut credential = credential(token, RP_ID);
        credential["publicKey"] = json!(quorate_protocol::encoding::base64(key));
        credential
    };
    // Of Ed25519, and of RSA with 3072 bits.
    let eddsa_key =
        with_key(&eddsa, &[&[0xa4, 0x01, 0x01, 0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 32][..], &[7; 32]].concat());
    let rsa_head = [0xa4, 0x01, 0x03, 0x03, 0x39, 0x01, 0x00, 0x20, 0x59, 1, 128];
    let rsa_key = with_key(&rsa, &[&rsa_head[..], &[0xc5; 384], &[0x21, 0x43, 1, 0, 1]].concat());
    let items = [
        old.api_key(),
        old.webauthn(USER, &json!([rsa_key, credential(&good, RP_ID)])),
        old.webauthn(OTHER_USER, &json!([eddsa_key])),
    ];
    import(&stage, &[exports.file("all", &items)]).await.expect("imported");
    let tenant = tenant(&old);
    for _ in 0..2 {
        let answer = log_in(&stage, &tenant, (USER, RP_ID), &mut good, RP_ID).await;
        assert_eq!(answer.json["key_handle_hash"], b64(&sha256(&good.handle)), "{}", answer.text);
        let begun = ask(&stage, &tenant, Method::POST, "/webauthn/login", (OTHER_USER, RP_ID), &json!({})).await;
        assert_eq!((begun.refusal().0, begun.refusal().1), (400, "no_credentials"), "enrolled, but with no such key");
    }
    assert_eq!((listed(&stage).await[0].legacy, listed(&stage).await[0].records), (counts(0, 0), counts(0, 2)));
    let path = format!("/webauthn/credential/{}", b64(&sha256(b"eddsa")));
    for status in [StatusCode::NO_CONTENT, StatusCode::NOT_FOUND] {
        let removed = ask(&stage, &tenant, Method::DELETE, &path, (OTHER_USER, RP_ID), &json!({})).await;
        assert_eq!(removed.status, status, "{}", removed.text);
    }
    assert_eq!(listed(&stage).await[0].records, counts(0, 1));
}

async fn rotate(stage: &Stage, old: &Tenant, new: &Tenant) -> Answer {
    let body = json!({
        "oldKeyId": old.value, "oldKeySecret": old.secret, "newKeyId": new.value, "newKeySecret": new.secret,
    });
    send(stage.at(Method::POST, "/api-key/rotate").json(&body)).await
}

#[tokio::test]
async fn a_key_that_was_not_activated_still_can_be() {
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    import(&stage, &[exports.file("keys", &[old.inactive()])]).await.expect("imported");
    assert_eq!(listed(&stage).await[0].activated_at, None);
    assert_eq!(send(stage.by(&tenant(&old), Method::POST, "/totp")).await.status, StatusCode::UNAUTHORIZED);
    let body = json!({ "email": old.email, "apiKeyValue": old.value });
    let activated = send(stage.gateway("/api-key/activate").json(&body)).await;
    let secret = activated.json["apiSecret"].as_str().expect("a secret").to_owned();
    let tenant = Tenant { value: old.value, secret };
    assert_eq!(send(stage.by(&tenant, Method::POST, "/totp")).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_secrets_are_hashed_a_few_times_and_then_wait() {
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    import(&stage, &[exports.file("keys", &[old.api_key()])]).await.expect("imported");
    let wrong = Tenant { secret: Old::new("other").secret, ..tenant(&old) };
    // What the other service cannot have given out is not worth hashing.
    for secret in ["wrong", &old.secret[1..], &format!("{}A", old.secret)] {
        let no_secret = Tenant { secret: secret.to_owned(), ..tenant(&old) };
        assert_eq!(send(stage.by(&no_secret, Method::POST, "/totp")).await.status, StatusCode::UNAUTHORIZED);
    }
    let mut refused = 0;
    let waiting = loop {
        let answer = send(stage.by(&wrong, Method::POST, "/totp")).await;
        if answer.status == StatusCode::TOO_MANY_REQUESTS {
            break answer;
        }
        assert_eq!(answer.refusal().1, "unauthorized");
        refused += 1;
    };
    assert_eq!((refused, waiting.retry_after), (5, Some(1)));
    assert_eq!(send(stage.by(&tenant(&old), Method::POST, "/totp")).await.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(listed(&stage).await[0].unused);
    stage.clock.advance(1_000);
    let all = (0..20).map(|_| send(stage.by(&tenant(&old), Method::POST, "/totp")));
    for answer in futures_util::future::join_all(all).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    assert!(!listed(&stage).await[0].unused);
}

#[tokio::test]
async fn what_decrypts_to_nonsense_is_not_used() {
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    let (stranger, token) = (Old::new("stranger"), Token::new(b"handle"));
    let mut damaged = old.totp(TOTP);
    damaged["encryptedTotpKey"] = json!({ "S": stranger.text(TOTP_KEY) });
    let mut user = old.u2f(U2F, APP_ID, &token);
    user["encryptedPublicKey"] = json!({ "S": old.text(&b64(&[&[4][..], &[7; 64]].concat())) });
    let mut go = old.webauthn(USER, &json!([]));
    go["EncryptedCredentials"] =
        stranger.webauthn(USER, &json!([early_credential(&token)]))["EncryptedCredentials"].clone();
    let items = [old.api_key(), damaged, old.totp(OTHER_TOTP), user, go];
    import(&stage, &[exports.file("all", &items)]).await.expect("imported");
    stage.clock.advance(LATER);
    let tenant = tenant(&old);
    for _ in 0..2 {
        let answer = validate(&stage, &tenant, TOTP, &code(&stage)).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
        let path = format!("/u2f/{U2F}/auth");
        assert_eq!(send(stage.by(&tenant, Method::POST, &path)).await.status, StatusCode::INTERNAL_SERVER_ERROR);
        let begun = ask(&stage, &tenant, Method::POST, "/webauthn/login", (USER, RP_ID), &json!({})).await;
        assert_eq!(begun.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    assert_counts(&stage, &tenant, OTHER_TOTP).await;
    assert_eq!(listed(&stage).await[0].legacy, counts(1, 2));
    // It can be removed, and made anew.
    for user in [USER, U2F] {
        let removed = ask(&stage, &tenant, Method::DELETE, "/webauthn/user", (user, RP_ID), &json!({})).await;
        assert_eq!(removed.status, StatusCode::NO_CONTENT, "{}", removed.text);
    }
    let removed = send(stage.by(&tenant, Method::DELETE, &format!("/totp/{TOTP}"))).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!((listed(&stage).await[0].legacy, listed(&stage).await[0].records), (counts(0, 0), counts(1, 0)));
}

#[tokio::test]
async fn rows_cannot_be_swapped_and_the_old_secret_is_forgotten_in_the_end() {
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    let items = [old.api_key(), old.totp(TOTP), old.totp(OTHER_TOTP)];
    import(&stage, &[exports.file("all", &items)]).await.expect("imported");
    stage.clock.advance(LATER);
    let database = rusqlite::Connection::open(stage.oracle.folder().join("quorate.db")).expect("opened");
    let count = |sql: &str| database.query_row(sql, [], |row| row.get::<_, i64>(0)).expect("a number");
    assert_eq!(count("SELECT COUNT(DISTINCT sealed) FROM totps WHERE legacy = 1"), 2);
    swap(&database);
    let tenant = tenant(&old);
    for uuid in [TOTP, OTHER_TOTP] {
        let answer = validate(&stage, &tenant, uuid, &code(&stage)).await;
        assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    }
    swap(&database);
    for uuid in [TOTP, OTHER_TOTP] {
        assert_counts(&stage, &tenant, uuid).await;
        assert_eq!(count("SELECT COUNT(*) FROM data_keys WHERE legacy_key IS NOT NULL"), 1);
    }
    assert_eq!(count("SELECT COUNT(*) FROM totps WHERE legacy = 1"), 0);
    stage.oracle.state().sweep().await.expect("swept");
    assert_eq!(count("SELECT COUNT(*) FROM data_keys WHERE legacy_key IS NOT NULL"), 1, "not while an import may run");
    stage.clock.advance(25 * 60 * 60 * 1000);
    stage.oracle.state().sweep().await.expect("swept");
    assert_eq!(count("SELECT COUNT(*) FROM data_keys WHERE legacy_key IS NOT NULL"), 0);
    assert_counts(&stage, &tenant, TOTP).await;
}

#[tokio::test]
async fn nothing_of_what_was_imported_can_be_read() {
    let (stage, exports, old) = (Stage::new().await, Exports::new(), Old::new("old"));
    let (u2f, credential) = (Token::new(b"the handle of a U2F key"), Token::new(b"the id of a credential"));
    let items = [
        old.api_key(),
        old.totp(TOTP),
        old.u2f(U2F, APP_ID, &u2f),
        old.webauthn(USER, &json!([early_credential(&credential)])),
    ];
    import(&stage, &[exports.file("all", &items)]).await.expect("imported");
    let tenant = tenant(&old);
    // As it came, and once more when all of it has become ordinary.
    for is_used in [false, true] {
        if is_used {
            stage.clock.advance(LATER);
            assert_counts(&stage, &tenant, TOTP).await;
            for user in [U2F, USER] {
                let begun = ask(&stage, &tenant, Method::POST, "/webauthn/login", (user, RP_ID), &json!({})).await;
                assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
            }
            assert_eq!(listed(&stage).await[0].legacy, counts(0, 0));
        }
        let stored = Stored::read(stage.oracle.folder());
        for uuid in [TOTP, U2F, USER] {
            stored.assert_lacks_uuid(uuid, uuid);
        }
        let encrypted = ["encryptedTotpKey", "encryptedAppId", "encryptedKeyHandle"].map(|name| {
            let text = items.iter().find_map(|item| item[name]["S"].as_str()).expect("in one of the items");
            data_encoding::BASE64.decode(text.split_once(':').expect("two parts").1.as_bytes()).expect("base64")
        });
        let raw = data_encoding::BASE32_NOPAD.decode(TOTP_KEY.as_bytes()).expect("base32");
        let secrets: [(&str, &[u8]); 11] = [
            ("the API key", old.value.as_bytes()),
            ("its secret", old.secret.as_bytes()),
            ("its secret's hash", items[0]["hashedApiSecret"]["S"].as_str().expect("a hash").as_bytes()),
            ("the TOTP key", &raw),
            ("the TOTP key as text", TOTP_KEY.as_bytes()),
            ("what the TOTP key was encrypted to", &encrypted[0]),
            ("what the app ID was encrypted to", &encrypted[1]),
            ("what the key handle was encrypted to", &encrypted[2]),
            ("the app ID", APP_ID.as_bytes()),
            ("the key handle", &u2f.handle),
            ("the credential id", &credential.handle),
        ];
        for (what, secret) in secrets {
            stored.assert_lacks(what, secret);
        }
    }
}

/// Puts what is sealed in the one of two rows into the other.
fn swap(database: &rusqlite::Connection) {
    let mut statement = database.prepare("SELECT number, sealed FROM totps ORDER BY number").expect("a query");
    let read = |row: &rusqlite::Row<'_>| Ok((row.get::<_, i64>(0)?, row.get::<_, Vec<u8>>(1)?));
    let rows: Vec<_> = statement.query_map([], read).expect("rows").map(|row| row.expect("a row")).collect();
    let [(one, first), (two, second)] = &rows[..] else { panic!("two rows") };
    for (number, sealed) in [(one, second), (two, first)] {
        let update = "UPDATE totps SET sealed = ?1 WHERE number = ?2";
        assert_eq!(database.execute(update, rusqlite::params![sealed, number]).expect("updated"), 1);
    }
}
