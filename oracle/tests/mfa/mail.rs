//! The values of new API keys by mail, through a real SMTP server: `aiosmtpd`, with STARTTLS, TLS and a user.

use super::peers::python;
use super::stage::{Stage, Tenant, send};
use quorate_oracle::testing::TestSetup;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

const EMAIL: &str = "app@example.com";
const URL: &str = "https://mfa.example.com";
const PASSWORD: &str = "pass word/ü";

/// A mail server; killed when dropped.
pub struct Smtp {
    process: Child,
    said: BufReader<ChildStdout>,
    port: u16,
    folder: tempfile::TempDir,
}

impl Smtp {
    /// With a certificate for 127.0.0.1 unless `encryption` is none; none when Python is not there and need not be.
    pub fn start(encryption: &str, user: Option<&str>) -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(python("the mail server aiosmtpd")?);
        command.args([
            "-B",
            concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mfa/smtp_server.py"),
            "--encryption",
            encryption,
        ]);
        if encryption != "none" {
            let (certificate, key) = certificate(folder.path(), "mail");
            command.arg("--certificate").arg(certificate).arg("--key").arg(key);
        }
        if let Some(user) = user {
            command.args(["--user", user, "--password", PASSWORD]);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().expect("python runs");
        let mut said = BufReader::new(process.stdout.take().expect("it was piped"));
        let mut port = String::new();
        said.read_line(&mut port).expect("a line");
        let port = port.trim().parse().expect("the server says its port");
        Some(Self { process, said, port, folder })
    }

    /// The settings of an oracle that knows this server as `scheme`, and believes in its certificate.
    pub fn settings(&self, scheme: &str) -> TestSetup {
        self.settings_without_url(scheme).set("url", URL)
    }

    /// The same of one that is known by where it listens.
    pub fn settings_without_url(&self, scheme: &str) -> TestSetup {
        let ca = self.folder.path().join("mail.pem");
        let setup = self.as_server(scheme);
        if ca.exists() { setup.set("mail.ca", ca.to_str().expect("UTF-8")) } else { setup }
    }

    /// The settings of one that does not believe in it.
    fn settings_of_a_stranger(&self, scheme: &str) -> TestSetup {
        self.as_server(scheme).set("url", URL)
    }

    fn as_server(&self, scheme: &str) -> TestSetup {
        let setup = TestSetup::default().set("mail.server", format!("{scheme}://127.0.0.1:{}", self.port));
        setup.set("mail.from", "Örakel <oracle@example.com>")
    }

    /// The settings of a user of this server.
    fn with_user(&self, setup: TestSetup, user: &str, password: &str) -> TestSetup {
        let file = self.folder.path().join("password");
        std::fs::write(&file, format!("{password}\n")).expect("written");
        std::fs::set_permissions(&file, Permissions::from_mode(0o600)).expect("set");
        setup.set("mail.user", user).set("mail.password_file", file.to_str().expect("UTF-8"))
    }

    /// The next mail that it has taken.
    pub fn mail(&mut self) -> Value {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        self.process.wait().expect("a child of ours");
    }
}

/// A new certificate for 127.0.0.1 and its key, as PEM files.
pub fn certificate(folder: &Path, name: &str) -> (PathBuf, PathBuf) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let (certificate, key) = (folder.join(format!("{name}.pem")), folder.join(format!("{name}.key")));
    std::fs::write(&certificate, made.cert.pem()).expect("written");
    std::fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    (certificate, key)
}

impl Stage {
    async fn asks(&self, email: &str) -> super::stage::Answer {
        send(self.gateway("/api-key").json(&json!({ "email": email }))).await
    }

    /// `email` gets no API key, because no mail server has taken its value; and no API key is left.
    async fn assert_withdrawn(&self, email: &str) {
        let answer = self.asks(email).await;
        assert_eq!((answer.refusal().0, answer.refusal().1), (502, "mail_failed"), "{}", answer.text);
        assert!(self.oracle.state().api_keys.list().await.expect("listed").is_empty(), "it was withdrawn");
    }
}

/// The value in a mail, which must be for [`EMAIL`] alone and say all that its reader needs.
fn value_in(mail: &Value) -> String {
    assert_eq!((&mail["from"], &mail["to"]), (&json!("oracle@example.com"), &json!([EMAIL])));
    assert_eq!(mail["greeting"], "mfa.example.com");
    let text = mail["text"].as_str().expect("a text").replace("\r\n", "\n");
    let (head, body) = text.split_once("\n\n").expect("a head and a body");
    assert!(head.contains("\nTo: app@example.com\n") && head.contains("\nAuto-Submitted: auto-generated"), "{head}");
    assert!(body.contains("https://mfa.example.com"), "{body}");
    let value = body.lines().find_map(|line| line.strip_prefix("API key: ")).expect("a value").to_owned();
    let command = format!("--oracle https://mfa.example.com \\\n      EMAIL {value}\n");
    assert!(body.contains(&command), "{body}");
    value
}

/// An API key is made, its value read in the mail, and activated.
async fn mailed(scheme: &str, encryption: &str, user: Option<&str>) {
    let Some(mut smtp) = Smtp::start(encryption, user) else { return };
    let setup = smtp.settings(scheme);
    let setup = if let Some(user) = user { smtp.with_user(setup, user, PASSWORD) } else { setup };
    let stage = Stage::with(setup).await;
    let answer = stage.asks(EMAIL).await;
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::NO_CONTENT, ""));
    let mail = smtp.mail();
    assert_eq!((&mail["encrypted"], &mail["user"]), (&json!(encryption != "none"), &json!(user)));
    let value = value_in(&mail);
    let body = json!({ "email": EMAIL, "apiKey": value });
    let activated = send(stage.gateway("/api-key/activate").json(&body)).await;
    let secret = activated.json["apiSecret"].as_str().expect("a secret").to_owned();
    assert_eq!(send(stage.by(&Tenant { value, secret }, Method::POST, "/totp")).await.status, 200);
}

#[tokio::test]
async fn a_value_is_mailed_over_starttls_by_a_user() {
    mailed("smtp", "starttls", Some("oracle")).await;
}

#[tokio::test]
async fn a_value_is_mailed_over_tls_by_a_user() {
    mailed("smtps", "tls", Some("oracle")).await;
}

#[tokio::test]
async fn a_server_on_this_machine_needs_no_tls() {
    mailed("smtp-plain", "none", None).await;
}

#[tokio::test]
async fn an_address_that_the_server_refuses_gets_no_key() {
    let Some(mut smtp) = Smtp::start("starttls", None) else { return };
    let stage = Stage::with(smtp.settings("smtp")).await;
    for email in ["nobody@example.com", "later@example.com"] {
        stage.assert_withdrawn(email).await;
    }
    assert_eq!(stage.asks(EMAIL).await.status, 204, "the next one is not concerned");
    value_in(&smtp.mail());
}

#[tokio::test]
async fn a_server_that_does_not_answer_holds_nobody_up() {
    let Some(smtp) = Smtp::start("starttls", None) else { return };
    let stage = Stage::with(smtp.settings("smtp").set("mail.seconds", "1")).await;
    stage.assert_withdrawn("stalled@example.com").await;
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_no_key_that_nobody_knows_of() {
    let Some(smtp) = Smtp::start("starttls", None) else { return };
    let stage = Stage::with(smtp.settings("smtp").set("mail.seconds", "2")).await;
    let ask = stage.asks("stalled@example.com");
    let made = async { while stage.oracle.state().api_keys.list().await.expect("listed").is_empty() {} };
    // The key is there, its mail is under way, and the client hangs up.
    tokio::select! {
        _ = ask => panic!("it was answered"),
        () = made => {}
    }
    while !stage.oracle.state().api_keys.list().await.expect("listed").is_empty() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_gets_no_key_made() {
    let Some(smtp) = Smtp::start("starttls", None) else { return };
    let stage = Stage::with(smtp.settings("smtp")).await;
    drop(smtp);
    stage.assert_withdrawn(EMAIL).await;
}

#[tokio::test]
async fn a_server_with_a_certificate_that_nobody_vouches_for_gets_no_mail() {
    for (scheme, encryption) in [("smtp", "starttls"), ("smtps", "tls")] {
        let Some(smtp) = Smtp::start(encryption, None) else { return };
        let (other, _) = certificate(smtp.folder.path(), "other");
        let setup = smtp.settings_of_a_stranger(scheme);
        Stage::with(setup.set("mail.ca", other.to_str().expect("UTF-8"))).await.assert_withdrawn(EMAIL).await;
        Stage::with(smtp.settings_of_a_stranger(scheme)).await.assert_withdrawn(EMAIL).await;
    }
}

#[tokio::test]
async fn without_tls_a_server_that_should_have_it_gets_no_mail() {
    for scheme in ["smtp", "smtps"] {
        let Some(smtp) = Smtp::start("none", None) else { return };
        Stage::with(smtp.settings(scheme)).await.assert_withdrawn(EMAIL).await;
    }
}

#[tokio::test]
async fn a_wrong_password_is_neither_sent_in_the_clear_nor_shown() {
    let Some(smtp) = Smtp::start("starttls", Some("oracle")) else { return };
    let stage = Stage::with(smtp.with_user(smtp.settings("smtp"), "oracle", "hunter2")).await;
    stage.assert_withdrawn(EMAIL).await;
    let answer = stage.asks(EMAIL).await;
    assert!(!answer.text.contains("hunter2"), "{}", answer.text);
    assert!(!format!("{:?}", stage.oracle.state()).contains("hunter2"));
}

#[tokio::test]
async fn an_email_adds_no_recipient_and_no_header() {
    let Some(mut smtp) = Smtp::start("starttls", None) else { return };
    let stage = Stage::with(smtp.settings("smtp")).await;
    for email in [
        "app@example.com\r\nBcc: evil@example.com",
        "app@example.com\nBcc: evil@example.com",
        "app@example.com,evil@example.com",
        "app@example.com;evil@example.com",
        "app@example.com evil@example.com",
        "app@example.com> RCPT TO:<evil@example.com",
        "\"app\r\nBcc: evil\"@example.com",
        "Evil <evil@example.com>",
        "app@example.com\u{0}",
        "app",
    ] {
        let answer = stage.asks(email).await;
        assert_eq!((answer.refusal().0, answer.refusal().1), (400, "invalid_email"), "{email:?}");
    }
    let odd = "\"app, evil\"@example.com";
    assert_eq!(stage.asks(odd).await.status, 204);
    assert_eq!(smtp.mail()["to"], json!([odd]), "one recipient, and no mail came before");
}
