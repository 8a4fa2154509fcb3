//! Every route of applications as its clients see it: each success, and each refusal that the manuals name. The answers stand
//! in `snapshots/`; a change there is a change of the interface. `INSTA_UPDATE=always` writes them anew.

use crate::case::Case;
use crate::stage::{Stage, Tenant};
use crate::token::{Format, Token, b64, client_data, flip, sha256, with_bytes};
use crate::u2f::{self, APP_ID};
use crate::webauthn::{Ground, LOGIN, OBJECT, ORIGIN, REGISTER, RP_ID};
use insta::assert_json_snapshot;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::Path;

const UNKNOWN: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
const SIGNATURE: &str = "/response/signature";

/// What was asked, and what was answered, in order.
#[derive(Default)]
struct Script {
    cases: Vec<Case>,
}

impl Script {
    async fn case(&mut self, what: &str, request: RequestBuilder) -> Value {
        let uuid = |part: &str| uuid::Uuid::parse_str(part).is_ok().then_some("{uuid}");
        self.cases.push(Case::of(what, request, uuid).await);
        self.cases.last().expect("just pushed").body.clone()
    }

    /// What every route of a tenant refuses in the same words.
    async fn usual(&mut self, stage: &Stage, tenant: &Tenant, method: Method, path: &str) {
        let wrong = Tenant { secret: "wrong".to_owned(), ..tenant.clone() };
        self.case("no credentials", stage.at(method.clone(), path)).await;
        self.case("a wrong secret", stage.by(&wrong, method.clone(), path)).await;
        self.case("wrong method", stage.by(tenant, Method::PATCH, path)).await;
    }

    /// What a route with a body refuses of it.
    async fn bodies(&mut self, request: impl Fn() -> RequestBuilder) {
        self.case("no JSON", request().body("{")).await;
        self.case("a list", request().body("[1]")).await;
        self.case("too large", request().body(" ".repeat(129 * 1024))).await;
    }

    /// Compares what was answered with what stands in the file, but for what is drawn anew in each run.
    fn snapshot(self, name: &str) {
        assert_json_snapshot!(name, self.cases, {
            ".**.apiSecret" => "[secret]",
            ".**.challenge.challenge" => "[challenge]",
            ".**.challenge" => insta::dynamic_redaction(|value, _| match value.as_str() {
                Some(_) => "[challenge]".into(),
                None => value,
            }),
            ".**.imageUrl" => "[data URL]",
            ".**.otpAuthUrl" => "[otpauth URI]",
            ".**.totpKey" => "[base32]",
            ".**.uuid" => "[uuid]",
        });
    }
}

#[tokio::test]
async fn api_keys() {
    let (stage, mut script) = (Stage::new().await, Script::default());
    let email = "app@example.com";
    let create = |body: Value| stage.gateway("/api-key").json(&body);
    script.case("made", create(json!({ "email": email }))).await;
    script.case("no gateway key", stage.at(Method::POST, "/api-key").json(&json!({ "email": email }))).await;
    script.case("no email", create(json!({ "email": 7 }))).await;
    script.case("no address", create(json!({ "email": "app" }))).await;
    script.bodies(|| stage.gateway("/api-key")).await;

    let value = stage.value_of(email).await;
    let activate = |body: Value| stage.gateway("/api-key/activate").json(&body);
    script.case("nothing", activate(json!({}))).await;
    script.case("no value", activate(json!({ "email": email }))).await;
    script.case("another email", activate(json!({ "email": "b@example.com", "apiKey": value }))).await;
    script.case("an unknown value", activate(json!({ "email": email, "apiKey": "0123" }))).await;
    let activated = script.case("activated", activate(json!({ "email": email, "apiKeyValue": value }))).await;
    script.case("again", activate(json!({ "email": email, "apiKey": value }))).await;
    let closed = stage.at(Method::POST, "/api-key/activate").header("x-api-key", "guess");
    script.case("a wrong gateway key", closed.json(&json!({ "email": email, "apiKey": value }))).await;
    script.bodies(|| stage.gateway("/api-key/activate")).await;

    let old = Tenant { value, secret: activated["apiSecret"].as_str().expect("a secret").to_owned() };
    let new = stage.tenant("new@example.com").await;
    stage.enrol(&old).await;
    let rotate = |body: &Value| stage.at(Method::POST, "/api-key/rotate").json(body);
    let body = json!({
        "oldKeyId": old.value, "oldKeySecret": old.secret, "newKeyId": new.value, "newKeySecret": new.secret,
    });
    for field in ["oldKeyId", "oldKeySecret", "newKeyId", "newKeySecret"] {
        let mut lacking = body.clone();
        lacking.as_object_mut().expect("an object").remove(field);
        script.case(&format!("no {field}"), rotate(&lacking)).await;
    }
    for field in ["oldKeySecret", "newKeySecret"] {
        let mut wrong = body.clone();
        wrong[field] = "wrong".into();
        script.case(&format!("a wrong {field}"), rotate(&wrong)).await;
    }
    script.case("rotated", rotate(&body)).await;
    script.bodies(|| stage.at(Method::POST, "/api-key/rotate")).await;
    let guesses = || stage.at(Method::POST, "/api-key").header("x-api-key", "guess");
    while Case::of("", guesses(), |_| None).await.status != 429 {}
    script.case("too many guesses", guesses()).await;
    script.snapshot("api_keys");
}

#[tokio::test]
async fn rotations_that_are_refused() {
    let (mut ground, mut script) = (Ground::new().await, Script::default());
    let (old, new) = (ground.tenant.clone(), ground.stage.tenant("new@example.com").await);
    ground.registered(&Token::new(b"mine")).await;
    ground.tenant = new.clone();
    ground.registered(&Token::new(b"theirs")).await;
    let rotate = |old: &Tenant, new: &Tenant| {
        ground.stage.at(Method::POST, "/api-key/rotate").json(&json!({
            "oldKeyId": old.value, "oldKeySecret": old.secret, "newKeyId": new.value, "newKeySecret": new.secret,
        }))
    };
    script.case("a key onto itself", rotate(&old, &old)).await;
    script.case("two users of one UUID", rotate(&old, &new)).await;
    let (one, other) = (ground.stage.tenant("one@example.com").await, ground.stage.tenant("two@example.com").await);
    loop {
        ground.stage.enrol(&one).await;
        if Case::of("", rotate(&one, &other), |_| None).await.status != 200 {
            break;
        }
    }
    script.case("one data key too many", rotate(&one, &other)).await;
    script.snapshot("rotations_that_are_refused");
}

#[tokio::test]
async fn totps() {
    let (stage, mut script) = (Stage::new().await, Script::default());
    let tenant = stage.tenant("app@example.com").await;
    let create = || stage.by(&tenant, Method::POST, "/totp");
    script.case("made", create().json(&json!({ "issuer": "Acme", "label": "joe" }))).await;
    script.case("made without names", create()).await;
    script.case("a name that is too long", create().json(&json!({ "issuer": "x".repeat(256) }))).await;
    script.bodies(create).await;
    script.usual(&stage, &tenant, Method::POST, "/totp").await;
    script.case("a slash too many", stage.by(&tenant, Method::POST, "/totp/")).await;
    script.case("another method", stage.by(&tenant, Method::PATCH, "/totp")).await;

    let enrolled = stage.enrol(&tenant).await;
    let path = format!("/totp/{}/validate", enrolled.uuid);
    let validate = |code: &str| stage.by(&tenant, Method::POST, &path).json(&json!({ "code": code }));
    script.case("no code", stage.by(&tenant, Method::POST, &path)).await;
    script.case("right", validate(&stage.code(&enrolled, 0))).await;
    script.case("again", validate(&stage.code(&enrolled, 0))).await;
    for _ in 0..5 {
        script.case("wrong", validate(&stage.wrong(&enrolled))).await;
    }
    script.case("locked", validate(&stage.code(&enrolled, 1))).await;
    let unknown = format!("/totp/{UNKNOWN}/validate");
    let code = json!({ "code": "000000" });
    script.case("unknown", stage.by(&tenant, Method::POST, &unknown).json(&code)).await;
    script.case("no text", stage.by(&tenant, Method::POST, "/totp/%ff/validate").json(&code)).await;
    script.bodies(|| stage.by(&tenant, Method::POST, &path)).await;
    script.usual(&stage, &tenant, Method::POST, &path).await;

    let path = format!("/totp/{}", enrolled.uuid);
    script.usual(&stage, &tenant, Method::DELETE, &path).await;
    for what in ["removed", "gone"] {
        script.case(what, stage.by(&tenant, Method::DELETE, &path)).await;
    }
    script.snapshot("totps");
}

#[tokio::test]
async fn u2f_keys() {
    let (ground, mut script) = (u2f::Ground::new().await, Script::default());
    let (stage, tenant) = (&ground.stage, &ground.tenant);
    let call = |method: Method, path: &str, body: &Value| stage.by(tenant, method, path).json(body);
    for app_id in ["http://example.com", "https://co.uk", "https://192.0.2.1", "example.com"] {
        script.case(app_id, call(Method::POST, "/u2f", &json!({ "appId": app_id }))).await;
    }
    script.case("no app ID", call(Method::POST, "/u2f", &json!({}))).await;
    script.bodies(|| stage.by(tenant, Method::POST, "/u2f")).await;
    script.usual(stage, tenant, Method::POST, "/u2f").await;
    let begun = script.case("begun", call(Method::POST, "/u2f", &json!({ "appId": APP_ID }))).await;
    let path = format!("/u2f/{}", begun["uuid"].as_str().expect("a uuid"));
    let auth = format!("{path}/auth");
    let challenge = begun["challenge"]["challenge"].as_str().expect("a challenge");
    script.case("not registered yet", call(Method::POST, &auth, &json!({}))).await;

    let mut token = Token::new(b"handle");
    let good = u2f::registration(&token, challenge, u2f::ORIGIN);
    let data = "/signResult/registrationData";
    script.case("no result", call(Method::PUT, &path, &json!({}))).await;
    script.case("no message", call(Method::PUT, &path, &with_bytes(&good, data, Vec::clear))).await;
    let flipped = with_bytes(&good, data, |bytes| *bytes.last_mut().expect("bytes") ^= 1);
    script.case("a flipped bit", call(Method::PUT, &path, &flipped)).await;
    let beside = with_bytes(&good, data, flip(64));
    script.case("a point beside the curve", call(Method::PUT, &path, &beside)).await;
    let certificate = 1 + 65 + 1 + token.handle.len();
    let uncertified = with_bytes(&good, data, |bytes| bytes[certificate] = 0x31);
    script.case("no certificate", call(Method::PUT, &path, &uncertified)).await;
    let invented = u2f::registration(&token, &b64(&[7; 32]), u2f::ORIGIN);
    script.case("an invented challenge", call(Method::PUT, &path, &invented)).await;
    for origin in ["https://example.org", "http://login.example.com", "null"] {
        let answer = u2f::registration(&token, challenge, origin);
        script.case(origin, call(Method::PUT, &path, &answer)).await;
    }
    let unknown = format!("/u2f/{UNKNOWN}");
    script.case("an unknown uuid", call(Method::PUT, &unknown, &good)).await;
    script.bodies(|| stage.by(tenant, Method::PUT, &path)).await;
    script.usual(stage, tenant, Method::PUT, &path).await;
    script.case("registered", call(Method::PUT, &path, &good)).await;

    let begun = script.case("a login begun", call(Method::POST, &auth, &json!({}))).await;
    script.case("a login of nobody", call(Method::POST, &format!("{unknown}/auth"), &json!({}))).await;
    script.usual(stage, tenant, Method::POST, &auth).await;
    let challenge = begun["challenge"].as_str().expect("a challenge");
    token.flags = 0;
    let absent = u2f::signature(&mut token, challenge, u2f::ORIGIN);
    script.case("nobody touched it", call(Method::PUT, &auth, &absent)).await;
    token.flags = 1;
    let good = u2f::signature(&mut token, challenge, u2f::ORIGIN);
    let mut other = good.clone();
    other["signResult"]["keyHandle"] = b64(b"another").into();
    script.case("another handle", call(Method::PUT, &auth, &other)).await;
    let as_registration = u2f::registration(&token, challenge, u2f::ORIGIN);
    let mut wrong_type = good.clone();
    wrong_type["signResult"]["clientData"] = as_registration["signResult"]["clientData"].clone();
    script.case("client data of a registration", call(Method::PUT, &auth, &wrong_type)).await;
    script.case("logged in", call(Method::PUT, &auth, &good)).await;
    script.case("again", call(Method::PUT, &auth, &good)).await;
    let challenge = ground.challenge(&path).await;
    token.counter = 0;
    let behind = u2f::signature(&mut token, &challenge, u2f::ORIGIN);
    script.case("a counter that fell", call(Method::PUT, &auth, &behind)).await;
    token.counter = 9;
    let wrong = with_bytes(&u2f::signature(&mut token, &challenge, u2f::ORIGIN), "/signResult/signatureData", flip(30));
    for _ in 0..10 {
        ground.log_in(&path, &wrong).await;
    }
    script.case("locked", call(Method::PUT, &auth, &wrong)).await;
    script.bodies(|| stage.by(tenant, Method::PUT, &auth)).await;
    script.usual(stage, tenant, Method::PUT, &auth).await;
    script.usual(stage, tenant, Method::DELETE, &path).await;
    for what in ["removed", "gone"] {
        script.case(what, call(Method::DELETE, &path, &json!({}))).await;
    }
    script.snapshot("u2f_keys");
}

#[tokio::test]
async fn webauthn_registrations() {
    let (mut ground, mut script) = (Ground::new().await, Script::default());
    let start = |ground: &Ground| ground.request(Method::POST, REGISTER);
    for (rp_id, origin) in [
        ("com", "https://com"),
        ("192.0.2.1", "https://192.0.2.1"),
        ("https://example.com", ORIGIN),
        (RP_ID, "http://example.com"),
        (RP_ID, "https://example.org"),
        (RP_ID, "example.com"),
    ] {
        (ground.rp_id, ground.origin) = (rp_id.to_owned(), origin.to_owned());
        script.case(&format!("{rp_id} from {origin}"), start(&ground)).await;
    }
    (ground.rp_id, ground.origin) = (RP_ID.to_owned(), ORIGIN.to_owned());
    ground.allow(&["https://elsewhere.example.com"]).await;
    script.case("an origin that is not listed", start(&ground)).await;
    ground.allow(&[ORIGIN]).await;
    script.case("no headers", ground.stage.by(&ground.tenant, Method::POST, REGISTER)).await;
    script.case("a header twice", start(&ground).header("x-mfa-RPID", RP_ID)).await;
    script.usual(&ground.stage, &ground.tenant, Method::POST, REGISTER).await;
    let begun = script.case("begun", start(&ground)).await;
    let (options, mut token) = (&begun["publicKey"], Token::new(b"credential"));

    let put = |answer: &Value| ground.request(Method::PUT, REGISTER).json(answer);
    let data = client_data("webauthn.create", &options["challenge"], ORIGIN);
    let around = |token: &Token, object: &[u8], data: &[u8]| {
        token.created(&token.attestation_object(Format::None, object, data), data)
    };
    let attested = token.attested(RP_ID, None);
    for (what, data) in [
        ("an invented challenge", client_data("webauthn.create", &b64(&[7; 32]).into(), ORIGIN)),
        ("another page", client_data("webauthn.create", &options["challenge"], "https://www.example.com")),
        ("another act", client_data("webauthn.get", &options["challenge"], ORIGIN)),
    ] {
        script.case(what, put(&around(&token, &attested, &data))).await;
    }
    let framed = String::from_utf8(data.clone()).expect("JSON").replace("false", "true");
    script.case("a frame", put(&around(&token, &attested, framed.as_bytes()))).await;
    let elsewhere = token.attested("example.org", None);
    script.case("another RP ID", put(&around(&token, &elsewhere, &data))).await;
    let key = Some(token.cose_key(6, 0x27));
    script.case("another kind of key", put(&around(&token, &token.attested(RP_ID, key), &data))).await;
    let good = token.create(options, ORIGIN, Format::PackedSelf);
    script.case("no object", put(&with_bytes(&good, OBJECT, Vec::clear))).await;
    let object = token.attestation_object(Format::None, &attested, &data);
    let none = object.windows(5).position(|window| window == b"\x64none").expect("a format");
    let tpm = [&object[..none], b"\x63tpm", &object[none + 5..]].concat();
    script.case("another attestation", put(&token.created(&tpm, &data))).await;
    token.flags = 0;
    script.case("nobody touched it", put(&around(&token, &token.attested(RP_ID, None), &data))).await;
    token.flags = 0x11;
    script.case("a backup of what has none", put(&around(&token, &token.attested(RP_ID, None), &data))).await;
    token.flags = 1;
    script.bodies(|| ground.request(Method::PUT, REGISTER)).await;
    script.usual(&ground.stage, &ground.tenant, Method::PUT, REGISTER).await;
    script.case("registered", put(&good)).await;
    script.case("again", put(&good)).await;
    let options = ground.options(REGISTER).await;
    script.case("a credential that is there", put(&token.create(&options, ORIGIN, Format::None))).await;
    script.case("begun with one to exclude", start(&ground)).await;
    for number in 1..64 {
        ground.registered(&Token::new(format!("credential {number}").as_bytes())).await;
    }
    let options = ground.options(REGISTER).await;
    script.case("one too many", put(&Token::new(b"more").create(&options, ORIGIN, Format::None))).await;
    ground.user = None;
    script.case("an answer of nobody", ground.request(Method::PUT, REGISTER).json(&good)).await;
    ground.user = Some(UNKNOWN.to_owned());
    script.case("an answer of somebody unknown", ground.request(Method::PUT, REGISTER).json(&good)).await;
    script.snapshot("webauthn_registrations");
}

#[tokio::test]
async fn webauthn_logins() {
    let (mut ground, mut script) = (Ground::new().await, Script::default());
    let start = |ground: &Ground| ground.request(Method::POST, LOGIN);
    script.case("nobody", start(&ground)).await;
    ground.options(REGISTER).await;
    script.case("somebody who has nothing yet", start(&ground)).await;
    let mut token = Token::new(b"credential");
    ground.registered(&token).await;
    script.usual(&ground.stage, &ground.tenant, Method::POST, LOGIN).await;
    let user = ground.user.take();
    script.case("no user", start(&ground)).await;
    ground.user = user;
    let begun = script.case("begun", start(&ground)).await;
    let options = &begun["publicKey"];

    let put = |answer: &Value| ground.request(Method::PUT, LOGIN).json(answer);
    let head = token.head(RP_ID, 1);
    for (what, data) in [
        ("an invented challenge", client_data("webauthn.get", &b64(&[7; 32]).into(), ORIGIN)),
        ("another page", client_data("webauthn.get", &options["challenge"], "https://www.example.com")),
        ("another act", client_data("webauthn.create", &options["challenge"], ORIGIN)),
    ] {
        script.case(what, put(&token.signed(&head, &data))).await;
    }
    let data = client_data("webauthn.get", &options["challenge"], ORIGIN);
    let framed = String::from_utf8(data.clone()).expect("JSON").replace("false", "true");
    for (what, head, data) in [
        ("a frame", &head, framed.as_bytes()),
        ("another RP ID", &token.head("example.org", 1), &data),
        ("nobody touched it", &token.head(RP_ID, 0), &data),
        ("a backup of what has none", &token.head(RP_ID, 0x19), &data),
        ("junk behind the counter", &[&head[..], &[0]].concat(), &data),
    ] {
        script.case(what, put(&token.signed(head, data))).await;
    }
    let good = token.get(options, ORIGIN);
    script.case("a flipped bit", put(&with_bytes(&good, SIGNATURE, flip(20)))).await;
    let renamed = with_bytes(&good, "/rawId", |id| id.push(0));
    script.case("another credential", put(&renamed)).await;
    script.bodies(|| ground.request(Method::PUT, LOGIN)).await;
    script.usual(&ground.stage, &ground.tenant, Method::PUT, LOGIN).await;
    script.case("logged in", put(&good)).await;
    script.case("again", put(&good)).await;
    token.counter = 0;
    let behind = token.get(&ground.options(LOGIN).await, ORIGIN);
    script.case("a counter that did not rise", put(&behind)).await;
    token.counter = 9;
    let wrong = with_bytes(&token.get(&ground.options(LOGIN).await, ORIGIN), SIGNATURE, flip(20));
    for _ in 0..10 {
        ground.call(Method::PUT, LOGIN, &wrong).await;
    }
    script.case("locked", put(&wrong)).await;

    let credential = format!("/webauthn/credential/{}", b64(&sha256(b"credential")));
    script.usual(&ground.stage, &ground.tenant, Method::DELETE, &credential).await;
    for what in ["a credential removed", "gone"] {
        script.case(what, ground.request(Method::DELETE, &credential)).await;
    }
    script.case("a U2F key that never was", ground.request(Method::DELETE, "/webauthn/credential/u2f")).await;
    script.usual(&ground.stage, &ground.tenant, Method::DELETE, "/webauthn/user").await;
    for what in ["a user removed", "gone"] {
        script.case(what, ground.request(Method::DELETE, "/webauthn/user")).await;
    }
    script.snapshot("webauthn_logins");
}

/// Needs another clock, a mail server that refuses, a race or a flood: each has a test of its own.
const ELSEWHERE: [&str; 7] =
    ["changed", "clock_skew", "mail_failed", "overloaded", "session_unnamed", "too_many", "unavailable"];

#[test]
fn every_word_of_the_manuals_is_answered_somewhere() {
    let folders = ["tests/mfa/snapshots", "tests/mfa/people/snapshots"];
    let answered: String = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).expect("snapshots"))
        .map(|file| std::fs::read_to_string(file.expect("a file").path()).expect("text"))
        .collect();
    let manuals = [
        include_str!("../../../docs/mfa.md"),
        include_str!("../../../docs/embedding.md"),
        include_str!("../../../docs/people.md"),
    ];
    let rows = manuals.iter().flat_map(|manual| {
        let errors = manual.lines().skip_while(|line| !line.contains("| `code` |")).skip(2);
        errors.take_while(|line| line.starts_with('|'))
    });
    let word = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte == b'_' || byte.is_ascii_lowercase());
    // Of each row the words in the columns before the last one.
    let words: BTreeSet<&str> = rows
        .filter_map(|row| row.trim_end_matches([' ', '|']).rsplit_once('|'))
        .flat_map(|(row, _)| row.split('`').skip(1).step_by(2))
        .filter(word)
        .collect();
    assert!(words.len() > 40, "{words:?}");
    for word in words.iter().filter(|word| !ELSEWHERE.contains(word)) {
        assert!(answered.contains(&format!("\"code\": \"{word}\"")), "{word}");
    }
}
