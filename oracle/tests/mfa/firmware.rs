//! U2F with the firmware of keys that are sold: `fido-authenticator`, which runs in a program of its own, `tests/virtual-key`.
//! `$QUORATE_VIRTUAL_KEY` names that, which `make test` builds.

use crate::peers::oath::must_have_peers;
use crate::stage::send;
use crate::token::{Token, b64, client_data, sha256, unb64};
use crate::u2f::{Ground, ORIGIN};
use crate::webauthn::{LOGIN, headers};
use data_encoding::HEXLOWER;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::process::Stdio;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

const APP_ID: &str = "https://example.com";
/// Sign when somebody is there, and sign whoever is there (FIDO U2F Raw Message Formats 1.2 §5.1).
const ENFORCE: u8 = 3;
const WHOEVER: u8 = 8;

/// The key, running; ended when dropped.
struct Firmware {
    _process: Child,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Firmware {
    /// `None` where a missing one is no failure.
    #[expect(clippy::print_stderr, reason = "a check that is left out is said")]
    fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("QUORATE_VIRTUAL_KEY") else {
            assert!(!must_have_peers(), "QUORATE_VIRTUAL_KEY is not set: run make test");
            eprintln!("left out: the firmware; QUORATE_VIRTUAL_KEY names no build of tests/virtual-key");
            return None;
        };
        let mut command = Command::new(program);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("the key runs");
        let requests = process.stdin.take().expect("it was piped");
        let answers = BufReader::new(process.stdout.take().expect("it was piped")).lines();
        Some(Self { _process: process, requests, answers })
    }

    /// The answer to an APDU of extended length (§3.1), and its status word.
    async fn call(&mut self, instruction: u8, control: u8, data: &[u8]) -> (Vec<u8>, u16) {
        let [high, low] = u16::try_from(data.len()).expect("a short message").to_be_bytes();
        let apdu = [&[0, instruction, control, 0, 0, high, low][..], data, &[0, 0]].concat();
        let line = HEXLOWER.encode(&apdu) + "\n";
        self.requests.write_all(line.as_bytes()).await.expect("it reads");
        let line = self.answers.next_line().await.expect("it answers").expect("a line");
        let mut answer = HEXLOWER.decode(line.as_bytes()).expect("hex");
        let word = answer.split_off(answer.len() - 2);
        (answer, u16::from_be_bytes([word[0], word[1]]))
    }

    async fn register(&mut self, client_data: &[u8]) -> Vec<u8> {
        let (message, word) = self.call(1, ENFORCE, &[sha256(client_data), sha256(APP_ID.as_bytes())].concat()).await;
        assert_eq!(word, 0x9000);
        message
    }

    async fn sign(&mut self, control: u8, client_data: &[u8], handle: &[u8]) -> (Vec<u8>, u16) {
        let length = u8::try_from(handle.len()).expect("a short handle");
        let data = [&sha256(client_data)[..], &sha256(APP_ID.as_bytes()), &[length], handle].concat();
        self.call(2, control, &data).await
    }
}

/// A user with the firmware's key: their path.
async fn registered(ground: &Ground, key: &mut Firmware) -> String {
    let begun = ground.call(Method::POST, "/u2f", &json!({ "appId": APP_ID })).await.json;
    let path = format!("/u2f/{}", begun["uuid"].as_str().expect("a uuid"));
    let challenge = begun["challenge"]["challenge"].as_str().expect("a challenge");
    let data = Token::u2f_client_data("finishEnrollment", challenge, ORIGIN);
    let message = key.register(&data).await;
    let result = json!({ "version": "U2F_V2", "registrationData": b64(&message), "clientData": b64(&data) });
    let answer = ground.call(Method::PUT, &path, &json!({ "signResult": result })).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    path
}

/// What the key signs for a challenge of the oracle.
async fn signed(ground: &Ground, key: &mut Firmware, path: &str, control: u8) -> Value {
    let begun = ground.call(Method::POST, &format!("{path}/auth"), &json!({})).await.json;
    let data = Token::u2f_client_data("getAssertion", begun["challenge"].as_str().expect("a challenge"), ORIGIN);
    let (message, word) = key.sign(control, &data, &unb64(&begun["keyHandle"])).await;
    assert_eq!(word, 0x9000);
    json!({ "signResult": { "keyHandle": begun["keyHandle"], "signatureData": b64(&message), "clientData": b64(&data) } })
}

#[tokio::test]
async fn a_firmwares_key_registers_and_logs_in() {
    let Some(mut key) = Firmware::start() else { return };
    let ground = Ground::new().await;
    let path = registered(&ground, &mut key).await;
    for _ in 0..3 {
        let answer = signed(&ground, &mut key, &path, ENFORCE).await;
        assert_eq!(ground.log_in(&path, &answer).await.status, StatusCode::OK);
        assert_eq!(ground.log_in(&path, &answer).await.refusal().1, "invalid_challenge", "once");
    }
    let older = signed(&ground, &mut key, &path, ENFORCE).await;
    let newer = signed(&ground, &mut key, &path, ENFORCE).await;
    assert_eq!(ground.log_in(&path, &newer).await.status, StatusCode::OK);
    assert_eq!(ground.log_in(&path, &older).await.refusal().1, "counter_behind");
}

#[tokio::test]
async fn a_firmwares_key_that_nobody_touched_does_not_log_in() {
    let Some(mut key) = Firmware::start() else { return };
    let ground = Ground::new().await;
    let path = registered(&ground, &mut key).await;
    let answer = signed(&ground, &mut key, &path, WHOEVER).await;
    assert_eq!(ground.log_in(&path, &answer).await.refusal().1, "not_present");
}

#[tokio::test]
async fn a_firmwares_u2f_key_logs_in_by_webauthn() {
    let Some(mut key) = Firmware::start() else { return };
    let ground = Ground::new().await;
    let path = registered(&ground, &mut key).await;
    let user = path.strip_prefix("/u2f/");
    let call = async |method: Method, body: &Value| {
        let request = ground.stage.by(&ground.tenant, method, LOGIN).json(body);
        send(headers(request, "example.com", ORIGIN, user)).await
    };
    for _ in 0..2 {
        let options = call(Method::POST, &json!({})).await.json["publicKey"].clone();
        assert_eq!(options["extensions"], json!({ "appid": APP_ID }));
        let handle = unb64(&options["allowCredentials"][0]["id"]);
        // What a browser does with the extension (WebAuthn §6.1.2): it asks by U2F, and puts authenticator data together.
        let data = client_data("webauthn.get", &options["challenge"], ORIGIN);
        let (message, word) = key.sign(ENFORCE, &data, &handle).await;
        assert_eq!(word, 0x9000);
        let (head, signature) = message.split_at(5);
        let authenticator_data = [&sha256(APP_ID.as_bytes())[..], head].concat();
        let answer = json!({
            "id": b64(&handle), "rawId": b64(&handle), "type": "public-key", "clientExtensionResults": { "appid": true },
            "response": {
                "authenticatorData": b64(&authenticator_data), "clientDataJSON": b64(&data), "signature": b64(signature),
            },
        });
        let counted = call(Method::PUT, &answer).await;
        assert_eq!(counted.status, StatusCode::OK, "{}", counted.text);
        assert_eq!(counted.json["key_handle_hash"], b64(&sha256(&handle)));
        assert_eq!(call(Method::PUT, &answer).await.refusal().1, "invalid_challenge", "once");
    }
}
