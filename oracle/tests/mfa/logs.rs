//! What the program logs while people use their keys and strangers send what they like: at the lowest level, and still nothing of
//! either. The bytes of a request are looked for in every form in which a library might print them.

use crate::process::Oracle;
use crate::stage::{Tenant, send};
use crate::token::{Format, Token, b64, client_data, flip, unb64, with_bytes};
use crate::{u2f, webauthn};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate-oracle");
const USER: &str = "7c9e6679-7425-40de-944b-e07fc1f90ae7";

/// The program, at its most talkative, and an application.
struct Ground {
    oracle: Oracle,
    tenant: Tenant,
    http: reqwest::Client,
}

impl Ground {
    async fn new(state: &Path) -> Self {
        let oracle = Oracle::start(Path::new(PROGRAM), state, &[("LOG_LEVEL", "trace")]);
        // A second installation, by another test of this process, is refused and changes nothing.
        let _installed = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().no_proxy().build().expect("a client");
        let nobody = Tenant { value: String::new(), secret: String::new() };
        let mut ground = Self { oracle, tenant: nobody, http };
        let gateway = std::fs::read_to_string(state.join("gateway.key")).expect("made on first start");
        let call = async |path: &str, body: &Value| {
            send(ground.request(Method::POST, path).header("x-api-key", gateway.trim()).json(body)).await
        };
        assert_eq!(call("/api-key", &json!({ "email": "app@example.com" })).await.status, 204);
        let mut list = Command::new(PROGRAM);
        let listed = list.env_clear().args(["api-keys", "list", "--json", "--state"]).arg(state).output();
        let listed: Value = serde_json::from_slice(&listed.expect("it runs").stdout).expect("JSON");
        let value = listed[0]["value"].as_str().expect("a value").to_owned();
        let activated = call("/api-key/activate", &json!({ "email": "app@example.com", "apiKey": value })).await;
        let secret = activated.json["apiSecret"].as_str().expect("a secret").to_owned();
        ground.tenant = Tenant { value, secret };
        ground
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("http://{}{path}", self.oracle.address()))
    }

    async fn call(&self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let request = self.request(method, path).header("X-MFA-ApiKey", &self.tenant.value);
        let request = request.header("X-MFA-ApiSecret", &self.tenant.secret);
        let request = webauthn::headers(request, webauthn::RP_ID, webauthn::ORIGIN, Some(USER));
        let answer = send(request.json(body)).await;
        (answer.status.as_u16(), answer.json)
    }

    async fn options(&self, path: &str) -> Value {
        self.call(Method::POST, path, &json!({})).await.1["publicKey"].take()
    }

    /// A credential and a U2F key that do what they should. Gives what was sent.
    async fn honestly(&self) -> Vec<Vec<u8>> {
        let mut token = Token::new(b"the credential's id");
        let registration = self.options(webauthn::REGISTER).await;
        let answer = token.create(&registration, webauthn::ORIGIN, Format::PackedBasic);
        assert_eq!(self.call(Method::PUT, webauthn::REGISTER, &answer).await.0, 200);
        let login = self.options(webauthn::LOGIN).await;
        let answer = token.get(&login, webauthn::ORIGIN);
        assert_eq!(self.call(Method::PUT, webauthn::LOGIN, &answer).await.0, 200);

        let (_, begun) = self.call(Method::POST, "/u2f", &json!({ "appId": u2f::APP_ID })).await;
        let challenge = begun["challenge"]["challenge"].as_str().expect("a challenge");
        let path = format!("/u2f/{}", begun["uuid"].as_str().expect("a uuid"));
        let answer = u2f::registration(&token, challenge, u2f::ORIGIN);
        assert_eq!(self.call(Method::PUT, &path, &answer).await.0, 204);
        let of_u2f = unb64(&begun["challenge"]["challenge"]);
        let challenges = [&registration, &login].map(|options| unb64(&options["challenge"]));
        [challenges.to_vec(), vec![of_u2f, token.handle.clone(), token.point()[1..33].to_vec()]].concat()
    }

    /// Everything by which the libraries are known to be made to talk. Gives the bytes of it.
    async fn dishonestly(&self) -> Vec<Vec<u8>> {
        let mut token = Token::new(b"strange");
        let registration = self.options(webauthn::REGISTER).await;
        let data = client_data("webauthn.create", &registration["challenge"], webauthn::ORIGIN);
        let long = [0xab, 0xcd].repeat(3000);
        let mut answers = Vec::new();
        for (handle, key) in [
            (long.clone(), None),
            (b"strange".to_vec(), Some(token.cose_key(6, 0x27))),
            (
                b"strange".to_vec(),
                Some([token.cose_key(1, 0x26), vec![0xa1, 0x61, b'x', 0x44, 0xab, 0xcd, 0xab, 0xcd]].concat()),
            ),
        ] {
            token.handle = handle;
            let mut attested = token.attested(webauthn::RP_ID, key);
            if answers.len() == 2 {
                // With extensions, of which the library knows none.
                attested[32] |= 0x80;
            }
            let object = token.attestation_object(Format::None, &attested, &data);
            answers.push(token.created(&object, &data));
        }
        let basic = token.create(&registration, webauthn::ORIGIN, Format::PackedBasic);
        answers.push(with_bytes(&basic, webauthn::OBJECT, flip(250)));
        for answer in answers {
            self.call(Method::PUT, webauthn::REGISTER, &answer).await;
        }
        let login = self.options(webauthn::LOGIN).await;
        let mut known = Token::new(b"the credential's id");
        let forged = known.get(&login, webauthn::ORIGIN);
        assert_eq!(self.call(Method::PUT, webauthn::LOGIN, &forged).await.1["code"], "wrong_signature");
        // A claim to be a synchronised passkey, which the library remarks upon.
        let data = client_data("webauthn.get", &login["challenge"], webauthn::ORIGIN);
        let forged = known.signed(&known.head(webauthn::RP_ID, 0x19), &data);
        assert_eq!(self.call(Method::PUT, webauthn::LOGIN, &forged).await.0, 400);
        vec![long[..8].to_vec(), unb64(&registration["challenge"]), unb64(&login["challenge"])]
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_holds_nothing_of_a_ceremony() {
    let state = tempfile::tempdir().expect("a folder");
    let ground = Ground::new(state.path()).await;
    let sent = [ground.honestly().await, ground.dishonestly().await].concat();
    let Ground { oracle, tenant, .. } = ground;
    let log = oracle.log();
    assert!(log.matches("answered").count() >= 12, "it logs: {log}");
    assert!(log.contains("TRACE") || log.contains("DEBUG") || log.contains("\"level\""), "at the lowest level: {log}");
    for (what, text) in [
        ("an API key", tenant.value.as_str()),
        ("an API secret", &tenant.secret),
        ("a user", USER),
        ("a name", "John Smith"),
        ("an address", "app@example.com"),
        ("WebAuthn's library", "webauthn_rs"),
        ("its certificates' library", "crypto_glue"),
    ] {
        assert!(!log.contains(text), "{what}: {log}");
    }
    for bytes in sent {
        let decimal = bytes.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let hexadecimal = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat();
        for text in [b64(&bytes), decimal, hexadecimal.to_uppercase(), hexadecimal] {
            assert!(!log.contains(&text), "{text}: {log}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_holds_nothing_of_a_shared_code() {
    let state = tempfile::tempdir().expect("a folder");
    let Ground { oracle, tenant, http } = Ground::new(state.path()).await;
    let key = format!("{}:{}", tenant.value, tenant.secret);
    let encoded = url::form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>();
    let at = |method, path: &str| http.request(method, format!("http://{}{path}", oracle.address()));
    let uri = "otpauth://totp/Findable:person?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Findable";
    let add = format!("/api/add-totp-secret?appname=customname&code={encoded}");
    let added = send(at(Method::POST, &add).json(&json!({ "data": uri }))).await;
    assert_eq!(added.status, 200, "{}", added.text);
    let uuid = added.json["uuid"].as_str().expect("a UUID");
    let read = format!("/api/get-mfa-code?uuid={uuid}");
    let code = send(at(Method::GET, &format!("{read}&code={encoded}"))).await;
    assert_eq!(code.status, 200, "{}", code.text);
    for wrong in [format!("{key}x"), format!("x{key}"), key.replace(':', "-")] {
        let refused = send(at(Method::GET, &read).header("x-functions-key", &wrong)).await;
        assert_eq!(refused.status, 401);
        assert!(!refused.text.contains(&tenant.secret) && !refused.text.contains(&tenant.value));
    }
    let nonsense = send(at(Method::POST, &add).json(&json!({ "data": uri.replace("totp", "hotp") }))).await;
    assert_eq!(nonsense.status, 400);
    let log = oracle.log();
    assert!(log.matches("answered").count() >= 6, "it logs: {log}");
    for text in [&tenant.value, &tenant.secret, &encoded, "JBSWY3DPEHPK3PXP", "Findable", "customname", uuid] {
        assert!(!log.contains(text), "{text}: {log}");
    }
}
