//! What applications send in every request: their API secrets, and the operator's gateway key, in headers. Right and wrong
//! ones, refused and not, with bodies that are read and bodies that are not.

use super::sessions::Client;
use quorate_protocol::encoding::{base64, from_base64, from_base64url};
use quorate_protocol::otp::{OtpSecret, Parameters};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// An application's credentials, and the key by which it came to them.
pub struct Application {
    email: String,
    value: String,
    secret: String,
    gateway: String,
}

/// Activates the API key of application `number`, as its operator and its maker would.
pub fn activated(client: &mut Client<'_>, state: &Path, number: u32) -> Application {
    let gateway = std::fs::read_to_string(state.join("gateway.key")).expect("made on first start").trim().to_owned();
    client.secrets.bytes("the gateway key", &from_base64url(&gateway).expect("base64url"));
    let email = format!("app{number}@example.com");
    let mut application = Application { email, value: String::new(), secret: String::new(), gateway };
    let made = application.at_the_gateway(client, "/api-key", &json!({ "email": application.email }));
    assert_eq!(made.0, 204, "{}", made.1);
    let listed = Command::new(env!("CARGO_BIN_EXE_quorate-oracle"))
        .args(["api-keys", "list", "--json", "--state"])
        .arg(state)
        .output();
    let listed: Value = serde_json::from_slice(&listed.expect("the program runs").stdout).expect("JSON");
    let listed = listed.as_array().expect("a list");
    let mine = listed.iter().find(|key| key["email"] == application.email.as_str()).expect("listed");
    mine["value"].as_str().expect("a value").clone_into(&mut application.value);
    let activation = json!({ "email": application.email, "apiKey": application.value });
    let (status, answer) = application.at_the_gateway(client, "/api-key/activate", &activation);
    assert_eq!(status, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).expect("JSON");
    answer["apiSecret"].as_str().expect("a secret").clone_into(&mut application.secret);
    client.secrets.bytes("an API secret", &from_base64(&application.secret).expect("base64"));
    application
}

impl Application {
    /// Everything that carries a secret in its header, and is answered in whatever way.
    pub fn calls(&self, client: &mut Client<'_>) {
        let names = json!({ "issuer": "Acme", "label": "joe" });
        let (status, answer) = self.by(client, &self.secret, "POST", "/totp", &names);
        assert_eq!(status, 200, "{answer}");
        let made: Value = serde_json::from_str(&answer).expect("JSON");
        let secret = OtpSecret::from_base32(made["totpKey"].as_str().expect("a key")).expect("base32");
        client.note_secret(&secret);
        let path = format!("/totp/{}", made["uuid"].as_str().expect("a uuid"));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let code = json!({ "code": secret.code_at(now).digits.as_str() });
        let validate = format!("{path}/validate");
        for status in [200, 401] {
            assert_eq!(self.by(client, &self.secret, "POST", &validate, &code).0, status);
        }
        let wrong = base64(&rand::random::<[u8; 32]>());
        client.secrets.bytes("a wrong API secret", &from_base64(&wrong).expect("base64"));
        // Of a stranger no body is read; whoever is wrong too often has to wait.
        let long = json!({ "issuer": "x".repeat(20_000) });
        for body in [&names, &long] {
            assert!([401, 429].contains(&self.by(client, &wrong, "POST", "/totp", body).0));
        }
        for (method, path, status) in [
            ("POST", "/totp/unknown/validate", 404),
            ("PUT", "/webauthn/register", 401),
            ("PATCH", "/totp", 405),
            ("POST", "/nowhere", 404),
            ("DELETE", path.as_str(), 204),
        ] {
            assert_eq!(self.by(client, &self.secret, method, path, &code).0, status, "{method} {path}");
        }
        let rotation = json!({
            "oldKeyId": self.value, "oldKeySecret": self.secret, "newKeyId": self.value, "newKeySecret": wrong,
        });
        let body = rotation.to_string();
        let refused = client.connection.request("POST", "/api-key/rotate", "", body.as_bytes());
        assert!([404, 429].contains(&refused.status), "{}", refused.body);
        let activation = json!({ "email": self.email, "apiKey": self.value });
        assert_eq!(self.at_the_gateway(client, "/api-key/activate", &activation).0, 401);
        assert_eq!(self.at_the_gateway(client, "/api-key", &Value::Null).0, 400);
        self.shares_a_code(client);
    }

    /// A secret that is shared: it stands in a body and in an export, the function key in headers and in addresses.
    fn shares_a_code(&self, client: &mut Client<'_>) {
        let secret = OtpSecret::new(&rand::random::<[u8; 20]>(), Parameters::default()).expect("a secret");
        let secret = secret.with_names(Some("Acme"), "joe").expect("names");
        client.note_secret(&secret);
        let key = format!("{}:{}", self.value, self.secret);
        let in_address = url::form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>();
        let mut ask = |method: &str, path: &str, headers: &str, body: Value, status: u16| {
            let answer = client.connection.request(method, path, headers, body.to_string().as_bytes());
            assert_eq!(answer.status, status, "{method} {path}: {}", answer.body);
            serde_json::from_str::<Value>(&answer.body).unwrap_or_default()
        };
        let add = format!("/api/add-totp-secret?appname=Acme&code={in_address}");
        let added = ask("POST", &add, "", json!({ "data": secret.to_uri().as_str() }), 200);
        let (uuid, header) = (added["uuid"].as_str().expect("a uuid"), format!("x-functions-key: {key}\r\n"));
        let read = format!("/api/get-mfa-code?uuid={uuid}");
        ask("GET", &read, &header, json!({}), 200);
        ask("GET", &format!("{read}&code={in_address}"), "", json!({}), 200);
        ask("GET", "/api/list-available-apps", &header, json!({}), 200);
        let recipient = age::x25519::Identity::generate().to_public().to_string();
        let export = json!({ "recipients": [recipient], "uuids": [uuid] });
        ask("POST", "/api/apps/export", &header, export, 200);
        let again = json!({ "otpauth": secret.to_uri().as_str(), "uuid": uuid });
        ask("POST", "/api/apps", &header, again.clone(), 409);
        ask("PATCH", &format!("/api/apps/{uuid}"), &header, again.clone(), 200);
        ask("POST", "/api/apps/known", &header, json!({ "apps": [again] }), 200);
        ask("DELETE", &format!("/api/apps/{uuid}"), &header, json!({}), 204);
        ask("GET", &read, &header, json!({}), 404);
    }

    fn by(&self, client: &mut Client<'_>, secret: &str, method: &str, path: &str, body: &Value) -> (u16, String) {
        let headers = format!("X-MFA-ApiKey: {}\r\nX-MFA-ApiSecret: {secret}\r\n", self.value);
        let answer = client.connection.request(method, path, &headers, body.to_string().as_bytes());
        (answer.status, answer.body)
    }

    fn at_the_gateway(&self, client: &mut Client<'_>, path: &str, body: &Value) -> (u16, String) {
        let headers = format!("X-Api-Key: {}\r\n", self.gateway);
        let answer = client.connection.request("POST", path, &headers, body.to_string().as_bytes());
        (answer.status, answer.body)
    }
}
