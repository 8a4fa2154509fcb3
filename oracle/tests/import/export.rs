//! The other service: it makes API keys and records as both of its versions do, and exports its tables as `DynamoDB` does.

use crate::token::{Token, b64, sha256};
use aes::Aes256;
use aes::cipher::{KeyIvInit as _, StreamCipher as _};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ctr::Ctr128BE;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;

/// When its API keys were made, Unix milliseconds.
pub const MADE: i64 = 1_500_000_000_000;
/// The key of an authenticator app: 80 bits.
pub const TOTP_KEY: &str = "JBSWY3DPEHPK3PXP";

/// One of its API keys.
pub struct Old {
    pub value: String,
    pub secret: String,
    pub email: String,
    key: [u8; 32],
}

impl Old {
    pub fn new(name: &str) -> Self {
        let key = sha256(name.as_bytes());
        let value = data_encoding::HEXLOWER.encode(&sha256(&key)[..20]);
        Self { value, secret: STANDARD.encode(key), email: format!("{name}@example.com"), key }
    }

    /// Its row. The least cost that bcrypt has keeps tests short; the service's is 10.
    pub fn api_key(&self) -> Value {
        let salt = sha256(self.value.as_bytes())[..16].try_into().expect("16 bytes");
        let hash = bcrypt::hash_with_salt(&self.secret, 4, salt).expect("hashed");
        json!({ "value": s(&self.value), "email": s(&self.email), "createdAt": { "N": MADE.to_string() },
            "activatedAt": { "N": (MADE + 1000).to_string() },
            "hashedApiSecret": s(&hash.format_for_version(bcrypt::Version::TwoA)) })
    }

    /// Its row before it is activated, as the version in Go writes it.
    pub fn inactive(&self) -> Value {
        json!({ "value": s(&self.value), "email": s(&self.email), "createdAt": { "N": MADE.to_string() },
            "activatedAt": { "N": "0" }, "hashedApiSecret": s("") })
    }

    /// A TOTP secret.
    pub fn totp(&self, uuid: &str) -> Value {
        json!({ "uuid": s(uuid), "apiKey": s(&self.value), "encryptedTotpKey": s(&self.text(TOTP_KEY)) })
    }

    /// A U2F key, as the version in JavaScript writes it, with a challenge that waits.
    pub fn u2f(&self, uuid: &str, app_id: &str, token: &Token) -> Value {
        json!({ "uuid": s(uuid), "apiKey": s(&self.value), "encryptedAppId": s(&self.text(app_id)),
            "encryptedKeyHandle": s(&self.text(&b64(&token.handle))),
            "encryptedPublicKey": s(&self.text(&b64(token.point()))),
            "encryptedAuthenticationRequest": s(&self.text("{}")) })
    }

    /// A user's credentials, as the version in Go writes them.
    pub fn webauthn(&self, uuid: &str, credentials: &Value) -> Value {
        json!({ "uuid": s(uuid), "apiKey": s(&self.value), "encryptedAppId": s(""), "encryptedKeyHandle": s(""),
            "encryptedPublicKey": s(""), "EncryptedSessionData": { "B": STANDARD.encode(self.bytes(b"{}")) },
            "EncryptedCredentials": { "B": STANDARD.encode(self.bytes(credentials.to_string().as_bytes())) } })
    }

    /// What text becomes.
    pub fn text(&self, plain: &str) -> String {
        let encrypted = self.bytes(plain.as_bytes());
        format!("{}:{}", STANDARD.encode(&encrypted[..16]), STANDARD.encode(&encrypted[16..]))
    }

    /// What bytes become.
    fn bytes(&self, plain: &[u8]) -> Vec<u8> {
        let counter: [u8; 16] = rand::random();
        let mut encrypted = plain.to_vec();
        Ctr128BE::<Aes256>::new(&self.key.into(), &counter.into()).apply_keystream(&mut encrypted);
        [&counter[..], &encrypted].concat()
    }
}

/// A credential of go-webauthn, as it is written now.
pub fn credential(token: &Token, rp_id: &str) -> Value {
    json!({ "id": STANDARD.encode(&token.handle), "publicKey": STANDARD.encode(token.cose_key(1, 0x26)),
        "attestationType": "none", "transport": ["usb"],
        "flags": { "userPresent": true, "userVerified": false, "backupEligible": false, "backupState": false },
        "authenticator": { "AAGUID": STANDARD.encode([0; 16]), "signCount": token.counter, "cloneWarning": false,
            "attachment": "" },
        "attestation": { "clientDataJSON": null, "clientDataHash": null, "publicKeyAlgorithm": -7, "object": null,
            "authenticatorData": STANDARD.encode(token.attested(rp_id, None)) } })
}

/// The same as it was written at first.
pub fn early_credential(token: &Token) -> Value {
    json!({ "ID": STANDARD.encode(&token.handle), "PublicKey": STANDARD.encode(token.cose_key(1, 0x26)),
        "AttestationType": "none",
        "Authenticator": { "AAGUID": null, "SignCount": token.counter, "CloneWarning": false } })
}

fn s(text: &str) -> Value {
    json!({ "S": text })
}

/// Where exports lie.
pub struct Exports(tempfile::TempDir);

impl Exports {
    pub fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    /// A file of an export to S3, each item in its envelope.
    pub fn file(&self, name: &str, items: &[Value]) -> PathBuf {
        self.raw(name, lines(items).as_bytes())
    }

    /// The same, compressed as such files are.
    pub fn gzip(&self, name: &str, items: &[Value]) -> PathBuf {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(lines(items).as_bytes()).expect("in memory");
        self.raw(name, &encoder.finish().expect("in memory"))
    }

    /// Items without an envelope, as a scan gives them.
    pub fn bare(&self, name: &str, items: &[Value]) -> PathBuf {
        let text: String = items.iter().map(|item| item.to_string() + "\n").collect();
        self.raw(name, text.as_bytes())
    }

    pub fn raw(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// Items as lines of an export.
pub fn lines(items: &[Value]) -> String {
    items.iter().fold(String::new(), |mut text, item| {
        writeln!(text, "{}", json!({ "Item": item })).expect("in memory");
        text
    })
}
