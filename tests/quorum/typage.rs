//! Sealed identities go to and fro between us and typage, the published package under Node: what one seals the other opens, and both name
//! a credential alike. The passkey is played, on both sides, by a credential whose secret is known.

use super::support::peers::must_have_peers;
use hmac::{Hmac, KeyInit as _, Mac as _};
use quorate::token::fido::HmacSecrets;
use quorate::token::passkey::Passkey;
use quorate::token::sealed_identity::{LABEL, Label, SealedIdentity, SealedIdentityError};
use quorate_protocol::fido2prf::salts;
use serde_json::{Value, json};
use sha2::Sha256;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

const SECRET: [u8; 32] = [0x5e; 32];
const ORACLE: &str = "https://oracle.example";

/// What a key of the credential makes of the salts.
fn outputs(salts: &[[u8; 32]; 2]) -> HmacSecrets {
    HmacSecrets::new(salts.map(|salt| {
        let mac = Hmac::<Sha256>::new_from_slice(&SECRET).expect("any length will do");
        mac.chain_update(salt).finalize().into_bytes().into()
    }))
}

fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

/// Has typage do `task` with the credential; `None` when it is not here.
#[expect(clippy::print_stderr, reason = "a check that is left out is said")]
fn typage(passkey: &Passkey, task: &Value) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let package = root.join("approve/vendor/node_modules/age-encryption/dist/index.js");
    let mut task = task.clone();
    for (name, value) in [
        ("secret", json!(hex(&SECRET))),
        ("credential", json!(hex(&passkey.credential))),
        ("rp", json!(passkey.rp_id)),
        ("transports", json!(passkey.transports)),
    ] {
        task[name] = value;
    }
    let peer = root.join("tests/quorum/typage.mjs");
    let started = Command::new("node").arg(peer).arg(package).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut node = match started {
        Ok(node) => node,
        Err(error) if must_have_peers() => panic!("node does not run: {error}; run make test"),
        Err(_) => {
            eprintln!("left out: the exchange with typage, for which node is not installed");
            return None;
        }
    };
    node.stdin.take().expect("asked for").write_all(task.to_string().as_bytes()).expect("it reads");
    let output = node.wait_with_output().expect("it ends");
    assert!(output.status.success(), "typage failed at {}", task["act"]);
    Some(serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn passkeys() -> [Passkey; 3] {
    let passkey = |length: usize, rp_id: &str, transports: &[&str]| Passkey {
        credential: (0..=u8::MAX).cycle().take(length).collect(),
        rp_id: rp_id.to_owned(),
        transports: transports.iter().map(|transport| (*transport).to_owned()).collect(),
    };
    [
        passkey(16, "approve.example", &["internal", "hybrid"]),
        passkey(64, "quorate.invalid", &["usb"]),
        passkey(600, "localhost", &[]),
    ]
}

#[test]
fn what_we_seal_typage_opens() {
    for passkey in passkeys() {
        let nonce = [0x0a; 16];
        let outputs = outputs(&salts(&nonce));
        let (file, label) = SealedIdentity::seal(&passkey, Some(ORACLE), nonce, outputs.expose()).expect("sealed");
        let task = |identity: Option<&str>| json!({ "act": "open", "file": file, "identity": identity });
        let Some(opened) = typage(&passkey, &task(Some(&passkey.to_string()))) else { return };
        let text = opened["text"].as_str().expect("text").trim();
        let identity: age::x25519::Identity = text.parse().expect("an identity");
        assert_eq!(identity.to_public().to_string(), label.recipient);
        let asked: Vec<String> = salts(&nonce).iter().map(|salt| hex(salt)).collect();
        assert_eq!([&opened["asked"][0]["salt"], &opened["asked"][1]["salt"]], [&json!(asked[0]), &json!(asked[1])]);
        // As a browser finds it by itself.
        assert_eq!(typage(&passkey, &task(None)).expect("node is here")["text"], opened["text"]);
    }
}

#[test]
fn what_typage_seals_we_open() {
    use age::secrecy::ExposeSecret as _;
    for passkey in passkeys() {
        let identity = age::x25519::Identity::generate();
        let (text, recipient) = (identity.to_string(), identity.to_public().to_string());
        let label = json!([LABEL, passkey.to_string(), recipient, ORACLE]);
        let seal = |label: Value| {
            typage(
                &passkey,
                &json!({ "act": "seal", "text": text.expose_secret(), "identity": passkey.to_string(), "label": label }),
            )
        };
        let Some(bare) = seal(Value::Null) else { return };
        let read = |sealed: &Value| {
            let file = sealed["file"].as_str().expect("armored");
            SealedIdentity::parse(file.as_bytes()).expect("for a passkey").expect("well-formed")
        };
        let (bare, labelled) = (read(&bare), read(&seal(label).expect("node is here")));
        assert_eq!(bare.label(), None);
        let (passkey, oracle) = (passkey.clone(), Some(ORACLE.to_owned()));
        assert_eq!(labelled.label(), Some(&Label { passkey, recipient: recipient.clone(), oracle }));
        for file in [bare, labelled] {
            let opened = file.open(|salts| Ok::<_, SealedIdentityError>(outputs(salts))).expect("it opens");
            assert_eq!(opened.to_public().to_string(), recipient);
        }
    }
}

#[test]
fn both_name_a_credential_alike() {
    for passkey in passkeys() {
        let Some(made) = typage(&passkey, &json!({ "act": "create" })) else { return };
        assert_eq!(made["identity"], passkey.to_string());
        assert_eq!(Passkey::parse(made["identity"].as_str().expect("text")), Some(passkey));
    }
}
