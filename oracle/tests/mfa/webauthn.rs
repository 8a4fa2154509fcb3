//! `WebAuthn` over HTTP: register, log in, remove, with headers as clients of serverless-mfa-api-go send them; and
//! what must not count. Forged and damaged answers are in `webauthn_forgeries.rs`.

use crate::stage::{Answer, Stage, Tenant, send};
use crate::token::{Format, Token, b64, client_data, in_standard_base64, sha256, unb64};
use crate::totps::rotation;
use reqwest::header::HeaderValue;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde_json::{Value, json};

pub const RP_ID: &str = "example.com";
pub const ORIGIN: &str = "https://login.example.com";
pub const REGISTER: &str = "/webauthn/register";
pub const LOGIN: &str = "/webauthn/login";
const USER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
pub const OBJECT: &str = "/response/attestationObject";

/// An application with a stage to itself, as one relying party.
pub struct Ground {
    pub stage: Stage,
    pub tenant: Tenant,
    pub rp_id: String,
    pub origin: String,
    pub user: Option<String>,
}

/// A request with the headers that say for whom it is.
pub fn headers(request: RequestBuilder, rp_id: &str, origin: &str, user: Option<&str>) -> RequestBuilder {
    let request = request.header("x-mfa-RPDisplayName", "ACME Inc").header("x-mfa-RPID", rp_id);
    let request = request.header("x-mfa-RPOrigin", origin).header("x-mfa-Username", "john");
    let request = request.header("x-mfa-UserDisplayName", "John Smith");
    match user {
        Some(user) => request.header("x-mfa-UserUUID", user),
        None => request,
    }
}

impl Ground {
    pub async fn new() -> Self {
        let stage = Stage::new().await;
        let tenant = stage.tenant("app@example.com").await;
        Self { stage, tenant, rp_id: RP_ID.to_owned(), origin: ORIGIN.to_owned(), user: Some(USER.to_owned()) }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.stage.by(&self.tenant, method, path);
        headers(request, &self.rp_id, &self.origin, self.user.as_deref())
    }

    pub async fn call(&self, method: Method, path: &str, body: &Value) -> Answer {
        send(self.request(method, path).json(body)).await
    }

    /// The options of a registration.
    pub async fn options(&self, path: &str) -> Value {
        let begun = self.call(Method::POST, path, &json!({})).await;
        assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
        begun.json["publicKey"].clone()
    }

    pub async fn register(&self, token: &Token, format: Format) -> Answer {
        let options = self.options(REGISTER).await;
        self.call(Method::PUT, REGISTER, &token.create(&options, &self.origin, format)).await
    }

    pub async fn registered(&self, token: &Token) {
        let answer = self.register(token, Format::None).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }

    pub async fn log_in(&self, token: &mut Token) -> Answer {
        let options = self.options(LOGIN).await;
        self.call(Method::PUT, LOGIN, &token.get(&options, &self.origin)).await
    }

    pub async fn assert_logs_in(&self, token: &mut Token) {
        let answer = self.log_in(token).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let hash = b64(&sha256(&token.handle));
        assert_eq!(answer.json, json!({ "credentialId": b64(&token.handle), "key_handle_hash": hash }));
    }

    /// Has the operator list these origins, and no other.
    pub async fn allow(&self, origins: &[&str]) {
        let listed = origins.iter().map(|&origin| origin.to_owned()).collect();
        self.stage.oracle.state().api_keys.allow(&self.tenant.value, listed).await.expect("allowed");
    }

    pub fn advance(&self, milliseconds: i64) {
        self.stage.clock.advance(milliseconds);
    }
}

#[tokio::test]
async fn a_new_user_gets_a_uuid_and_options() {
    let mut ground = Ground::new().await;
    ground.user = None;
    let begun = ground.call(Method::POST, REGISTER, &json!({})).await;
    assert_eq!(begun.status, StatusCode::OK, "{}", begun.text);
    let uuid = begun.json["uuid"].as_str().expect("a uuid");
    assert_eq!(uuid.len(), 36);
    let options = &begun.json["publicKey"];
    assert_eq!(options["rp"], json!({ "id": RP_ID, "name": "ACME Inc" }));
    let user = json!({ "id": b64(uuid.as_bytes()), "name": "john", "displayName": "John Smith" });
    assert_eq!(options["user"], user);
    assert_eq!(options["attestation"], "none");
    assert_eq!(options["authenticatorSelection"]["userVerification"], "discouraged");
    assert_eq!(options["authenticatorSelection"]["requireResidentKey"], false);
    assert_eq!(options["pubKeyCredParams"][0], json!({ "type": "public-key", "alg": -7 }));
    assert_eq!(unb64(&options["challenge"]).len(), 32);

    ground.user = Some(uuid.to_owned());
    let mut token = Token::new(b"credential");
    let answer = ground.call(Method::PUT, REGISTER, &token.create(options, ORIGIN, Format::None)).await;
    assert_eq!(answer.json, json!({ "key_handle_hash": b64(&sha256(b"credential")) }), "{}", answer.text);
    ground.assert_logs_in(&mut token).await;
}

#[tokio::test]
async fn the_three_formats_are_taken() {
    let ground = Ground::new().await;
    let formats = [Format::None, Format::PackedBasic, Format::PackedSelf, Format::FidoU2f];
    for (number, format) in formats.into_iter().enumerate() {
        let mut token = Token::new(format!("credential {number}").as_bytes());
        let answer = ground.register(&token, format).await;
        assert_eq!(answer.status, StatusCode::OK, "{format:?}: {}", answer.text);
        ground.assert_logs_in(&mut token).await;
    }
    let options = ground.options(LOGIN).await;
    let allowed = options["allowCredentials"].as_array().expect("a list");
    assert_eq!(allowed.len(), formats.len());
    for allowed in allowed {
        assert_eq!(allowed["transports"], json!(["usb"]), "whatever vouches for the key");
    }
    assert_eq!(options["rpId"], RP_ID);
    assert_eq!(options["userVerification"], "discouraged");
    assert_eq!(options["extensions"], Value::Null);
    let excluded = &ground.options(REGISTER).await["excludeCredentials"];
    assert_eq!(excluded.as_array().expect("a list").len(), formats.len());
}

#[tokio::test]
async fn standard_base64_and_a_users_handle_do_as_well() {
    let ground = Ground::new().await;
    let mut token = Token::new(&[0xfb, 0xef, 0xbe]);
    let options = ground.options(REGISTER).await;
    let fields = [OBJECT, "/response/clientDataJSON", "/rawId"];
    let answer = in_standard_base64(&token.create(&options, ORIGIN, Format::None), &fields);
    assert_eq!(ground.call(Method::PUT, REGISTER, &answer).await.status, StatusCode::OK);
    let options = ground.options(LOGIN).await;
    let mut answer = token.get(&options, ORIGIN);
    answer["response"]["userHandle"] = b64(USER.as_bytes()).into();
    let fields = ["/response/authenticatorData", "/response/signature", "/response/clientDataJSON", "/rawId"];
    let answer = ground.call(Method::PUT, LOGIN, &in_standard_base64(&answer, &fields)).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);

    let options = ground.options(LOGIN).await;
    let mut answer = token.get(&options, ORIGIN);
    answer["response"]["userHandle"] = b64(b"somebody else").into();
    assert_eq!(ground.call(Method::PUT, LOGIN, &answer).await.refusal().1, "other_credential");
}

#[tokio::test]
async fn credentials_and_users_are_removed() {
    let ground = Ground::new().await;
    let (mut one, mut two) = (Token::new(b"one"), Token::new(b"two"));
    ground.registered(&one).await;
    ground.registered(&two).await;
    let remove = async |id: &str| {
        let path = format!("/webauthn/credential/{id}");
        ground.call(Method::DELETE, &path, &json!({})).await
    };
    assert_eq!(remove(&b64(&sha256(b"three"))).await.refusal().0, 404);
    assert_eq!(remove("nonsense").await.refusal().0, 404);
    assert_eq!(remove("u2f").await.status, StatusCode::NO_CONTENT, "there is none, as there should be");
    assert_eq!(remove(&b64(&sha256(b"one"))).await.status, StatusCode::NO_CONTENT);
    assert_eq!(ground.log_in(&mut one).await.refusal().1, "other_credential");
    ground.assert_logs_in(&mut two).await;
    let pending = ground.options(LOGIN).await;
    for _ in 0..2 {
        let removed = ground.call(Method::DELETE, "/webauthn/user", &json!({})).await;
        assert_eq!((removed.status, removed.text.as_str()), (StatusCode::NO_CONTENT, ""));
    }
    assert_eq!(ground.call(Method::POST, LOGIN, &json!({})).await.refusal().0, 404);
    assert_eq!(ground.call(Method::PUT, LOGIN, &two.get(&pending, ORIGIN)).await.refusal().0, 404);
    assert_eq!(remove("u2f").await.status, StatusCode::NO_CONTENT, "a client that tries again is done");
}

#[tokio::test]
async fn a_u2f_key_logs_in_by_webauthn() {
    let mut ground = Ground::new().await;
    let app_id = "https://example.com";
    let mut token = Token::new(b"key handle");
    let begun = ground.call(Method::POST, "/u2f", &json!({ "appId": app_id })).await;
    let uuid = begun.json["uuid"].as_str().expect("a uuid").to_owned();
    let challenge = begun.json["challenge"]["challenge"].as_str().expect("a challenge");
    let data = Token::u2f_client_data("finishEnrollment", challenge, ORIGIN);
    let result = json!({ "registrationData": b64(&token.u2f_register(app_id, &data)), "clientData": b64(&data) });
    let answer = ground.call(Method::PUT, &format!("/u2f/{uuid}"), &json!({ "signResult": result })).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);

    ground.user = Some(uuid.clone());
    let options = ground.options(LOGIN).await;
    assert_eq!(options["extensions"], json!({ "appid": app_id }));
    assert_eq!(options["allowCredentials"][0]["id"], b64(b"key handle"));
    // The browser may or may not say that it used the extension; what the token signed tells.
    for said in [json!({ "appid": true }), json!({})] {
        let options = ground.options(LOGIN).await;
        let mut answer = token.get_for(app_id, &options, ORIGIN);
        answer["clientExtensionResults"] = said;
        let answer = ground.call(Method::PUT, LOGIN, &answer).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert_eq!(answer.json["key_handle_hash"], b64(&sha256(b"key handle")));
    }
    // A token that speaks CTAP2 as well signs for the RP ID.
    ground.assert_logs_in(&mut token).await;
    // One counter for both protocols.
    let begun = ground.call(Method::POST, &format!("/u2f/{uuid}/auth"), &json!({})).await;
    let data = Token::u2f_client_data("getAssertion", begun.json["challenge"].as_str().expect("text"), ORIGIN);
    token.counter -= 1;
    let result = json!({ "signatureData": b64(&token.u2f_sign(app_id, &data)), "clientData": b64(&data) });
    let behind = ground.call(Method::PUT, &format!("/u2f/{uuid}/auth"), &json!({ "signResult": result })).await;
    assert_eq!(behind.refusal().1, "counter_behind");

    // A WebAuthn credential beside it cannot hide behind the app ID.
    let mut modern = Token::new(b"modern");
    ground.registered(&modern).await;
    let options = ground.options(LOGIN).await;
    let mut answer = modern.get_for(app_id, &options, ORIGIN);
    answer["clientExtensionResults"] = json!({ "appid": true });
    assert_eq!(ground.call(Method::PUT, LOGIN, &answer).await.refusal().1, "wrong_rp_id");
    // Another party of the same application is not offered the key.
    ground.rp_id = "example.org".to_owned();
    ground.origin = "https://example.org".to_owned();
    assert_eq!(ground.call(Method::POST, LOGIN, &json!({})).await.refusal().1, "no_credentials");
    ground.rp_id = RP_ID.to_owned();
    ground.origin = ORIGIN.to_owned();
    let removed = ground.call(Method::DELETE, "/webauthn/credential/u2f", &json!({})).await;
    assert_eq!(removed.status, StatusCode::NO_CONTENT);
    assert_eq!(ground.log_in(&mut token).await.refusal().1, "other_credential");
    ground.assert_logs_in(&mut modern).await;
}

#[tokio::test]
async fn an_answer_counts_once_even_at_the_same_instant() {
    let ground = Ground::new().await;
    let mut token = Token::new(b"credential");
    let options = ground.options(REGISTER).await;
    let answer = token.create(&options, ORIGIN, Format::None);
    assert_eq!(ground.call(Method::PUT, REGISTER, &answer).await.status, StatusCode::OK);
    assert_eq!(ground.call(Method::PUT, REGISTER, &answer).await.refusal().1, "invalid_challenge");

    // Without a counter, so that nothing else can stand in the way of the second.
    let options = ground.options(LOGIN).await;
    let data = client_data("webauthn.get", &options["challenge"], ORIGIN);
    let answer = token.signed(&token.head(RP_ID, 1), &data);
    let answers = futures_util::future::join_all((0..32).map(|_| ground.call(Method::PUT, LOGIN, &answer))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::OK).count(), 1);
    for refused in answers.iter().filter(|answer| answer.status != StatusCode::OK) {
        assert_eq!((refused.refusal().0, refused.refusal().1), (400, "invalid_challenge"));
    }
    ground.assert_logs_in(&mut token).await;
}

#[tokio::test]
async fn a_credential_that_is_there_is_named_whenever_the_options_were_fetched() {
    let ground = Ground::new().await;
    let mut token = Token::new(b"credential");
    let before = ground.options(REGISTER).await;
    ground.registered(&token).await;
    let after = ground.options(REGISTER).await;
    assert_eq!(after["excludeCredentials"][0]["id"], b64(b"credential"), "browsers are told");
    for options in [before, after] {
        let again = ground.call(Method::PUT, REGISTER, &token.create(&options, ORIGIN, Format::None)).await;
        let message = "a credential with this ID already exists";
        assert_eq!(again.refusal(), (400, "already_registered", message));
    }
    ground.assert_logs_in(&mut token).await;
}

#[tokio::test]
async fn a_stale_challenge_does_not_count() {
    let ground = Ground::new().await;
    let mut token = Token::new(b"credential");
    let options = ground.options(REGISTER).await;
    ground.stage.clock.advance(5 * 60 * 1000);
    let late = ground.call(Method::PUT, REGISTER, &token.create(&options, ORIGIN, Format::None)).await;
    assert_eq!((late.refusal().0, late.refusal().1), (400, "invalid_challenge"));
    ground.registered(&token).await;
    let options = ground.options(LOGIN).await;
    ground.stage.clock.advance(5 * 60 * 1000);
    let late = ground.call(Method::PUT, LOGIN, &token.get(&options, ORIGIN)).await;
    assert_eq!((late.refusal().0, late.refusal().1), (400, "invalid_challenge"));
    ground.assert_logs_in(&mut token).await;
}

#[tokio::test]
async fn more_challenges_than_anybody_answers_give_way() {
    let ground = Ground::new().await;
    let mut token = Token::new(b"credential");
    ground.registered(&token).await;
    let mut options = Vec::new();
    for _ in 0..65 {
        options.push(ground.options(LOGIN).await);
    }
    let first = ground.call(Method::PUT, LOGIN, &token.get(&options[0], ORIGIN)).await;
    assert_eq!(first.refusal().1, "invalid_challenge");
    for options in &options[1..] {
        let answer = ground.call(Method::PUT, LOGIN, &token.get(options, ORIGIN)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_counter_must_rise_where_there_is_one() {
    let ground = Ground::new().await;
    let mut token = Token::new(b"credential");
    token.counter = 7;
    ground.registered(&token).await;
    for counter in [3, 6] {
        // The next answer carries one more.
        token.counter = counter;
        assert_eq!(ground.log_in(&mut token).await.refusal().1, "counter_behind", "{counter}");
    }
    ground.assert_logs_in(&mut token).await;

    let mut passkey = Token::new(b"passkey");
    ground.registered(&passkey).await;
    for _ in 0..2 {
        let options = ground.options(LOGIN).await;
        let data = client_data("webauthn.get", &options["challenge"], ORIGIN);
        let answer = ground.call(Method::PUT, LOGIN, &passkey.signed(&passkey.head(RP_ID, 1), &data)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    passkey.counter = 4;
    ground.assert_logs_in(&mut passkey).await;
    passkey.counter = 0;
    let options = ground.options(LOGIN).await;
    let data = client_data("webauthn.get", &options["challenge"], ORIGIN);
    let behind = ground.call(Method::PUT, LOGIN, &passkey.signed(&passkey.head(RP_ID, 1), &data)).await;
    assert_eq!(behind.refusal().1, "counter_behind", "from 5 back to none");
}

#[tokio::test]
async fn a_credential_is_registered_once() {
    let ground = Ground::new().await;
    let token = Token::new(b"credential");
    let (first, second) = (ground.options(REGISTER).await, ground.options(REGISTER).await);
    let answer = ground.call(Method::PUT, REGISTER, &token.create(&first, ORIGIN, Format::None)).await;
    assert_eq!(answer.status, StatusCode::OK);
    let answer = ground.call(Method::PUT, REGISTER, &token.create(&second, ORIGIN, Format::None)).await;
    assert_eq!((answer.refusal().0, answer.refusal().1), (400, "already_registered"));
    let listed = ground.options(LOGIN).await;
    assert_eq!(listed["allowCredentials"].as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn another_tenants_uuid_is_unknown() {
    let mut ground = Ground::new().await;
    let mut token = Token::new(b"credential");
    ground.registered(&token).await;
    let options = ground.options(LOGIN).await;
    let answer = token.get(&options, ORIGIN);
    let creation = token.create(&ground.options(REGISTER).await, ORIGIN, Format::None);
    let stranger = ground.stage.tenant("stranger@example.com").await;
    let mine = std::mem::replace(&mut ground.tenant, stranger);
    let credential = format!("/webauthn/credential/{}", b64(&sha256(b"credential")));
    for (method, path, body, status) in [
        (Method::POST, LOGIN, &json!({}), 404),
        (Method::PUT, LOGIN, &answer, 404),
        (Method::PUT, REGISTER, &creation, 404),
        (Method::DELETE, &credential, &json!({}), 404),
        (Method::DELETE, "/webauthn/user", &json!({}), 204),
    ] {
        let [of_mine, of_nobody] = [USER, "1b4e28ba-2fa1-11d2-883f-0016d3cca427"].map(|user| {
            ground.user = Some(user.to_owned());
            ground.request(method.clone(), path).json(body)
        });
        let (of_mine, of_nobody) = (send(of_mine).await, send(of_nobody).await);
        assert_eq!((of_mine.status.as_u16(), &of_mine.text), (status, &of_nobody.text), "{method} {path}");
    }
    // The stranger may have a user of the same UUID; the two have nothing in common.
    ground.user = Some(USER.to_owned());
    let mut theirs = Token::new(b"theirs");
    ground.registered(&theirs).await;
    ground.assert_logs_in(&mut theirs).await;
    ground.tenant = mine;
    assert_eq!(ground.log_in(&mut theirs).await.refusal().1, "other_credential");
    ground.assert_logs_in(&mut token).await;
}

#[tokio::test]
async fn another_user_of_the_same_application_cannot_answer() {
    let mut ground = Ground::new().await;
    let (mut mine, mut theirs) = (Token::new(b"mine"), Token::new(b"theirs"));
    ground.registered(&mine).await;
    ground.user = Some("1b4e28ba-2fa1-11d2-883f-0016d3cca427".to_owned());
    ground.registered(&theirs).await;
    let options = ground.options(LOGIN).await;
    assert_eq!(ground.call(Method::PUT, LOGIN, &mine.get(&options, ORIGIN)).await.refusal().1, "other_credential");
    ground.user = Some(USER.to_owned());
    assert_eq!(ground.call(Method::PUT, LOGIN, &theirs.get(&options, ORIGIN)).await.refusal().1, "invalid_challenge");
}

#[tokio::test]
async fn a_credential_stays_with_its_party() {
    let mut ground = Ground::new().await;
    let mut token = Token::new(b"credential");
    ground.registered(&token).await;
    let (login, registration) = (ground.options(LOGIN).await, ground.options(REGISTER).await);
    ground.rp_id = "example.org".to_owned();
    ground.origin = "https://example.org".to_owned();
    assert_eq!(ground.call(Method::POST, LOGIN, &json!({})).await.refusal().1, "no_credentials");
    // The challenge of one party, answered for another.
    let answer = token.get_for("example.org", &login, "https://example.org");
    assert_eq!(ground.call(Method::PUT, LOGIN, &answer).await.refusal().1, "wrong_rp_id");
    let answer = token.create(&registration, "https://example.org", Format::None);
    assert_eq!(ground.call(Method::PUT, REGISTER, &answer).await.refusal().1, "wrong_rp_id");
}

/// The headers that every request must have.
const REQUIRED: [&str; 4] = ["x-mfa-RPDisplayName", "x-mfa-RPID", "x-mfa-Username", "x-mfa-UserDisplayName"];

#[tokio::test]
async fn missing_headers_are_named() {
    let ground = Ground::new().await;
    for missing in REQUIRED {
        for (empty, path) in [(false, REGISTER), (true, LOGIN)] {
            let mut request = ground.stage.by(&ground.tenant, Method::POST, path);
            for name in REQUIRED {
                if name != missing {
                    request = request.header(name, "example.com");
                } else if empty {
                    request = request.header(name, "");
                }
            }
            let refused = send(request).await;
            let message = format!("missing required header: {missing}");
            assert_eq!(refused.refusal(), (401, "header_required", message.as_str()));
        }
    }
    for (method, path) in [
        (Method::POST, REGISTER),
        (Method::PUT, REGISTER),
        (Method::POST, LOGIN),
        (Method::PUT, LOGIN),
        (Method::DELETE, "/webauthn/user"),
        (Method::DELETE, "/webauthn/credential/u2f"),
    ] {
        let without = send(ground.stage.at(method, path)).await;
        assert_eq!(without.refusal(), (401, "unauthorized", "Unauthorized"), "{path}");
    }
}

#[tokio::test]
async fn non_utf8_and_repeated_headers_are_refused() {
    let ground = Ground::new().await;
    let with = async |name: &'static str, value: &[u8]| {
        let mut request = ground.request(Method::POST, REGISTER).build().expect("a request");
        request.headers_mut().insert(name, HeaderValue::from_bytes(value).expect("a header may be that"));
        send(RequestBuilder::from_parts(ground.stage.http.clone(), request)).await
    };
    let shown = ["x-mfa-RPDisplayName", "x-mfa-Username", "x-mfa-UserDisplayName"];
    for name in REQUIRED.into_iter().chain(["x-mfa-RPOrigin", "x-mfa-UserUUID"]) {
        if !shown.contains(&name) {
            let refused = with(name, &[0xff, 0xfe]).await;
            assert_eq!((refused.refusal().0, refused.refusal().1), (400, "invalid_header"), "{name}");
        }
        let twice = ground.request(Method::POST, REGISTER).header(name, "example.com");
        let twice = send(twice.header(name, "example.com")).await;
        assert_eq!((twice.refusal().0, twice.refusal().1), (400, "invalid_header"), "{name}");
        let long = with(name, &[b'a'; 1025]).await;
        assert_eq!((long.refusal().0, long.refusal().1), (400, "invalid_header"), "{name}");
    }
    for name in ["x-mfa-apikey", "x-mfa-apisecret"] {
        assert_eq!(with(name, &[0xff, 0xfe]).await.refusal(), (401, "unauthorized", "Unauthorized"), "{name}");
    }
    // What is only shown may be Latin-1, which most clients of HTTP/1.1 make of text.
    for jörg in ["Jörg".as_bytes(), b"J\xf6rg"] {
        let begun = with("x-mfa-UserDisplayName", jörg).await;
        assert_eq!(begun.json["publicKey"]["user"]["displayName"], "Jörg", "{}", begun.text);
    }
}

#[tokio::test]
async fn a_user_is_required_where_there_must_be_one() {
    let mut ground = Ground::new().await;
    let token = Token::new(b"credential");
    let creation = token.create(&ground.options(REGISTER).await, ORIGIN, Format::None);
    for user in [None, Some("x".repeat(65))] {
        ground.user = user;
        for (method, path, body) in [
            (Method::POST, LOGIN, &json!({})),
            (Method::PUT, REGISTER, &creation),
            (Method::DELETE, "/webauthn/user", &json!({})),
            (Method::DELETE, "/webauthn/credential/u2f", &json!({})),
        ] {
            let refused = ground.call(method, path, body).await;
            assert_eq!((refused.refusal().0, refused.refusal().1), (400, "user_required"), "{path}");
        }
    }
}

#[tokio::test]
async fn parties_are_what_browsers_take_for_one() {
    let mut ground = Ground::new().await;
    for (rp_id, origin, word) in [
        ("com", "https://com", "public_suffix"),
        ("co.uk", "https://example.co.uk", "public_suffix"),
        ("192.0.2.1", "https://192.0.2.1", "ip_address"),
        ("https://example.com", "https://example.com", "invalid_rp_id"),
        ("example.com", "http://example.com", "plain_http"),
        ("example.com", "https://example.org", "wrong_origin"),
        ("login.example.com", "https://example.com", "wrong_origin"),
        ("example.com", "example.com", "invalid_origin"),
    ] {
        ground.rp_id = rp_id.to_owned();
        ground.origin = origin.to_owned();
        let refused = ground.call(Method::POST, REGISTER, &json!({})).await;
        assert_eq!((refused.refusal().0, refused.refusal().1), (400, word), "{rp_id} {origin}");
    }
    for (rp_id, origin) in [("localhost", "http://localhost:8080"), ("example.com", "https://example.com:8443")] {
        ground.rp_id = rp_id.to_owned();
        ground.origin = origin.to_owned();
        let mut token = Token::new(rp_id.as_bytes());
        ground.registered(&token).await;
        ground.assert_logs_in(&mut token).await;
    }
    ground.allow(&[ORIGIN]).await;
    let refused = ground.call(Method::POST, LOGIN, &json!({})).await;
    assert_eq!((refused.refusal().0, refused.refusal().1), (400, "origin_not_allowed"));
    ground.origin = ORIGIN.to_owned();
    ground.options(LOGIN).await;
}

#[tokio::test]
async fn credentials_move_with_a_rotation() {
    let mut ground = Ground::new().await;
    let (mut token, mut later) = (Token::new(b"credential"), Token::new(b"later"));
    ground.registered(&token).await;
    ground.registered(&Token::new(b"second of the same user")).await;
    let new = ground.stage.tenant("new@example.com").await;
    let rotated = rotation(&ground.stage, &ground.tenant, &new).await;
    assert_eq!(rotated.json["webauthnComplete"], 1, "{}", rotated.text);
    assert_eq!(ground.call(Method::POST, LOGIN, &json!({})).await.refusal().0, 404);
    ground.tenant = new;
    ground.assert_logs_in(&mut token).await;
    ground.registered(&later).await;
    ground.assert_logs_in(&mut later).await;
    ground.call(Method::DELETE, "/webauthn/user", &json!({})).await;
    let listed = ground.stage.oracle.state().api_keys.list().await.expect("listed");
    assert!(listed.iter().all(|key| key.records.webauthn == 0), "{listed:?}");
}

#[tokio::test]
async fn a_rotation_makes_no_two_users_one() {
    let mut ground = Ground::new().await;
    let (mut mine, mut theirs) = (Token::new(b"mine"), Token::new(b"theirs"));
    let (old, new) = (ground.tenant.clone(), ground.stage.tenant("new@example.com").await);
    ground.registered(&mine).await;
    ground.tenant = new.clone();
    ground.registered(&theirs).await;
    let refused = rotation(&ground.stage, &old, &new).await;
    assert_eq!((refused.refusal().0, refused.refusal().1), (409, "shared_users"));
    ground.assert_logs_in(&mut theirs).await;
    ground.tenant = old;
    ground.assert_logs_in(&mut mine).await;
}
