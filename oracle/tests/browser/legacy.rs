//! A key that was registered by U2F, which browsers do not speak any more, logs in at an application's page of today.

use crate::court::{Stage, Tenant, send};
use crate::driver::Browser;
use crate::secure::Site;
use crate::token::{Token, b64};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

const APP_ID: &str = "https://shop.oracle.test/app-id.json";
const HOST: &str = "shop.oracle.test";
const LOGIN: &str = "/webauthn/login";
const HANDLE: &[u8] = b"a handle that U2F's key has given out";

/// An application, and the user to whom the oracle has given that UUID.
struct Shop {
    stage: Stage,
    tenant: Tenant,
    origin: String,
    uuid: String,
}

impl Shop {
    /// Registers `token` as U2F's pages did.
    async fn with(token: &Token, origin: String) -> Self {
        let stage = Stage::new().await;
        let tenant = stage.tenant("shop@example.com").await;
        let begun = send(stage.by(&tenant, Method::POST, "/u2f").json(&json!({ "appId": APP_ID }))).await;
        let challenge = begun.json["challenge"]["challenge"].as_str().expect("a challenge");
        let client_data = Token::u2f_client_data("finishEnrollment", challenge, &origin);
        let message = token.u2f_register(APP_ID, &client_data);
        let answer = json!({ "signResult": {
            "version": "U2F_V2", "registrationData": b64(&message), "clientData": b64(&client_data) } });
        let uuid = begun.json["uuid"].as_str().expect("a UUID").to_owned();
        let put = send(stage.by(&tenant, Method::PUT, &format!("/u2f/{uuid}")).json(&answer)).await;
        assert_eq!(put.status, 204, "{}", put.text);
        Self { stage, tenant, origin, uuid }
    }

    fn request(&self, method: Method) -> RequestBuilder {
        let request = self.stage.by(&self.tenant, method, LOGIN).header("x-mfa-RPDisplayName", "Shop");
        let request = request.header("x-mfa-RPID", HOST).header("x-mfa-RPOrigin", &self.origin);
        let request = request.header("x-mfa-Username", "john").header("x-mfa-UserDisplayName", "John Smith");
        request.header("x-mfa-UserUUID", &self.uuid)
    }

    /// The options of a login.
    async fn options(&self) -> Value {
        let mut begun = send(self.request(Method::POST)).await;
        assert_eq!(begun.status, 200, "{}", begun.text);
        begun.json["publicKey"].take()
    }
}

/// What the page's own script does with the options; the error's name where there is one.
async fn ask(browser: &Browser, options: &Value) -> Value {
    let script = format!(
        "const [done] = arguments; \
         const publicKey = PublicKeyCredential.parseRequestOptionsFromJSON({options}); \
         navigator.credentials.get({{ publicKey }}).then((key) => done(key.toJSON()), (error) => done(error.name));"
    );
    browser.wait_for(&script).await
}

#[tokio::test]
async fn a_key_of_u2f_logs_in_by_its_app_id() {
    let Some(browser) = Browser::start().await else { return };
    let site = Site::start().await;
    let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let shop = Shop::with(&Token::of(&pair, HANDLE), site.origin(HOST)).await;
    browser.open(&site.origin(HOST)).await;
    browser.see("shop").await;
    let key = browser.plug_in("ctap1/u2f").await;
    let credential = json!({ "credentialId": STANDARD.encode(HANDLE), "isResidentCredential": false, "rpId": APP_ID,
        "privateKey": STANDARD.encode(pair.serialize_der()), "signCount": 41 });
    browser.put_in(&key, credential).await;

    let options = shop.options().await;
    assert_eq!(options["extensions"]["appid"], APP_ID);
    let answer = ask(&browser, &options).await;
    assert_eq!(answer["clientExtensionResults"]["appid"], true, "{answer}");
    let used = send(shop.request(Method::PUT).json(&answer)).await;
    assert_eq!((used.status.as_u16(), &used.json["credentialId"]), (200, &json!(b64(HANDLE))), "{}", used.text);
    let again = send(shop.request(Method::PUT).json(&answer)).await;
    assert_eq!((again.refusal().0, again.refusal().1), (400, "invalid_challenge"));

    // It is the extension that finds the key, and the counter goes on.
    let mut without = shop.options().await;
    without["extensions"].take();
    assert_eq!(ask(&browser, &without).await, "NotAllowedError");
    let answer = ask(&browser, &shop.options().await).await;
    assert_eq!(send(shop.request(Method::PUT).json(&answer)).await.status, 200);
    assert!(browser.held(&key).await[0]["signCount"].as_u64() > Some(42));

    // A page beside it under the same domain is another relying party's.
    browser.open(&site.origin("other.oracle.test")).await;
    browser.see("shop").await;
    assert_eq!(ask(&browser, &shop.options().await).await, "SecurityError");
}
