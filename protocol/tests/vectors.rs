//! The vector files beside this test, in both directions: this implementation makes what they hold from fixed input, and
//! reads, opens and verifies what they hold without knowing how it was made.
//!
//! `QUORATE_WRITE_VECTORS=1 cargo test -p quorate-protocol --test vectors` writes the files anew. A change in one of them
//! is a change of the protocol: other implementations break.

#[path = "vectors/audit.rs"]
mod audit;
#[path = "vectors/drill.rs"]
mod drill;
#[path = "vectors/encrypted.rs"]
mod encrypted;
#[path = "vectors/fido2prf.rs"]
mod fido2prf;
#[path = "vectors/fixed.rs"]
mod fixed;
#[path = "vectors/make.rs"]
mod make;
#[path = "vectors/refused.rs"]
mod refused;

use ed25519_dalek::VerifyingKey;
use quorate_protocol::deal::rebuild;
use quorate_protocol::drill::{Call, CallPayload, Question};
use quorate_protocol::encoding::from_base64;
use quorate_protocol::header::Header;
use quorate_protocol::invite::{Invite, InvitePayload};
use quorate_protocol::plan::Plan;
use quorate_protocol::proof::{Terms, approve_message, create_message, deny_message, receipt_message, verify};
use quorate_protocol::sealing::{aead_seal, open_secret};
use quorate_protocol::session::{Kek, Tek, cancel_hash};
use quorate_protocol::sharing::Share;
use quorate_protocol::toc::{Group, Toc};
use rand::{TryCryptoRng, TryRng};
use serde_json::Value;
use std::convert::Infallible;
use std::path::PathBuf;

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)
}

fn read(name: &str) -> Value {
    let text = std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_json::from_slice(&text).expect("a vector file is JSON")
}

fn write(name: &str, value: &Value) {
    let text = serde_json::to_string_pretty(value).expect("JSON") + "\n";
    std::fs::write(path(name), text).expect("the folder of vectors can be written");
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap_or_else(|| panic!("{field} is no text in {value}"))
}

fn bytes(value: &Value, field: &str) -> Vec<u8> {
    hex::decode(text(value, field)).unwrap_or_else(|_| panic!("{field} is not hexadecimal"))
}

fn decoded(value: &Value, field: &str) -> Vec<u8> {
    from_base64(text(value, field)).unwrap_or_else(|| panic!("{field} is not base64")).to_vec()
}

fn array<const N: usize>(value: &Value, field: &str) -> [u8; N] {
    bytes(value, field).try_into().unwrap_or_else(|_| panic!("{field} is not {N} bytes"))
}

fn number<T: TryFrom<i64, Error: std::fmt::Debug>>(value: &Value, field: &str) -> T {
    T::try_from(value[field].as_i64().unwrap_or_else(|| panic!("{field} is no number"))).expect("in range")
}

fn list<'a>(value: &'a Value, field: &str) -> &'a Vec<Value> {
    value[field].as_array().filter(|list| !list.is_empty()).unwrap_or_else(|| panic!("{field} is no list of something"))
}

/// Plays back a recorded nonce.
struct Recorded(Vec<u8>);

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("sealing only fills a nonce")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("sealing only fills a nonce")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        bytes.copy_from_slice(&self.0);
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}

#[test]
fn the_files_hold_what_this_implementation_makes() {
    let writing = std::env::var_os("QUORATE_WRITE_VECTORS").is_some();
    for (name, made) in make::all() {
        if writing {
            write(name, &made);
        }
        let held = read(name);
        for (field, value) in made.as_object().expect("an object") {
            assert_eq!(&held[field], value, "{name}: {field} differs from what this implementation makes");
        }
        assert_eq!(held.as_object().map(serde_json::Map::len), made.as_object().map(serde_json::Map::len), "{name}");
    }
    // Made with the operating system's randomness: anew only where it is missing.
    if writing && !path("encrypted.json").exists() {
        write("encrypted.json", &encrypted::make());
    }
}

#[test]
fn shares_combine() {
    for case in list(&read("sharing.json"), "cases") {
        let threshold: usize = number(case, "threshold");
        let shares: Vec<Vec<u8>> =
            list(case, "shares").iter().map(|share| hex::decode(share.as_str().expect("text")).expect("hex")).collect();
        for first in 0..=shares.len() - threshold {
            let some: Vec<blahaj::Share> = shares[first..first + threshold]
                .iter()
                .map(|share| blahaj::Share::try_from(share.as_slice()).expect("a share"))
                .collect();
            let threshold = u8::try_from(threshold).expect("small");
            assert_eq!(blahaj::Sharks(threshold).recover(&some).expect("enough"), bytes(case, "group_key"));
        }
    }
}

#[test]
fn deals_read_back_and_rebuild() {
    for deal in list(&read("deal.json"), "deals") {
        let header = Header::parse(&decoded(deal, "header")).expect("a good header");
        let (sealed, group_key) = (decoded(deal, "sealed"), array(deal, "group_key"));
        assert_eq!(header.bytes(), text(deal, "header_text").as_bytes());
        assert_eq!(Header::new(header.fields().clone()).expect("good fields"), header, "the canonical writing");
        assert_eq!(header.digest(), array(deal, "h"));
        assert_eq!(header.group_name(&sealed).to_string(), text(deal, "g"));
        assert_eq!(
            open_secret(&group_key, &header, &sealed).expect("opens").as_slice(),
            text(deal, "otpauth").as_bytes()
        );
        let again = aead_seal(
            &array(deal, "seal_key"),
            header.bytes(),
            text(deal, "otpauth").as_bytes(),
            &mut Recorded(bytes(deal, "nonce")),
        );
        assert_eq!(again, sealed);

        let group = Group::parse(text(deal, "group_file").as_bytes()).expect("a good group file");
        assert_eq!((&group.header, &group.sealed), (&header, &sealed));
        let mut shares = Vec::new();
        for toc in list(deal, "tocs") {
            shares.push(read_toc(toc, &header, deal));
        }
        let last = shares.len() - usize::from(header.fields().threshold);
        let rebuilt = rebuild(&group, &shares[last..]).expect("a quorum");
        assert_eq!(rebuilt.to_uri().as_str(), text(deal, "otpauth"));
    }
}

fn read_toc(toc: &Value, header: &Header, deal: &Value) -> Share {
    let Toc::Whole(whole) = Toc::parse(text(toc, "whole").as_bytes()).expect("a good Toc") else {
        panic!("not a whole Toc")
    };
    assert_eq!(whole.header(), header);
    assert_eq!(whole.share().as_bytes().as_slice(), bytes(toc, "share"));
    assert_eq!(whole.share().x(), number::<u8>(toc, "x"));
    assert_eq!(whole.signing_key().to_bytes(), array(toc, "share_key_seed"));
    assert_eq!(whole.signing_key().verifying_key().to_bytes(), array(toc, "share_key"));
    assert_eq!(whole.to_json().as_slice(), text(toc, "whole").as_bytes());
    assert_eq!(whole.to_short_json().as_slice(), text(toc, "short").as_bytes());
    let Toc::Short(short) = Toc::parse(text(toc, "short").as_bytes()).expect("a good short Toc") else {
        panic!("not a short Toc")
    };
    assert_eq!(short.group.to_string(), text(deal, "g"));
    short.share
}

#[test]
fn plans_read_back() {
    for held in list(&read("plan.json"), "plans") {
        let plan = Plan::parse(&decoded(held, "plan")).expect("a good plan");
        assert_eq!(plan.bytes(), text(held, "plan_text").as_bytes());
        assert_eq!(plan.digest(), array(held, "digest"));
        assert_eq!(Plan::new(plan.fields().clone()).expect("good fields"), plan, "the canonical writing");
    }
}

#[test]
fn invites_verify_under_their_roots_only() {
    let file = read("invite.json");
    let now = number(&file, "now");
    let keys = list(&file, "keys");
    for held in list(&file, "invites") {
        let invite = Invite::parse(text(held, "url")).expect("a good invite");
        assert_eq!(invite.payload(), text(held, "payload_text").as_bytes());
        assert_eq!(invite.signature(), bytes(held, "signature"));
        assert_eq!(invite.to_url(), text(held, "url"));
        assert_eq!(invite.digest(), array(held, "digest"));
        assert_eq!(invite.view_token(), text(held, "view_token"));
        let canonical: InvitePayload = serde_json::from_slice(invite.payload()).expect("a payload");
        assert_eq!(serde_json::to_vec(&canonical).expect("JSON"), invite.payload(), "the canonical writing");
        for key in keys {
            let root = VerifyingKey::from_bytes(&array(key, "public")).expect("a key");
            let expected = list(held, "verifies_under").contains(&key["name"]);
            assert_eq!(invite.verify(&root, now).is_ok(), expected, "{}", key["name"]);
            assert!(invite.verify(&root, now + 3_600).is_err(), "it has expired by then");
        }
    }
}

#[test]
fn the_session_keys_open_what_they_should() {
    let held = read("session.json");
    let (id, tek, digest) = (text(&held, "id"), text(&held, "tek"), array(&held, "invite_digest"));
    let kek = Kek::from_base64(text(&held, "kek")).expect("a KEK");
    let opened = Tek::open(&decoded(&held, "sealed"), &kek, id, tek, &digest).expect("opens");
    assert_eq!(opened.recipient(), tek);
    assert_eq!(opened.seal(&kek, id, &digest, &mut Recorded(bytes(&held, "nonce"))), decoded(&held, "sealed"));
    let again = aead_seal(
        &array(&held, "key"),
        &bytes(&held, "associated"),
        text(&held, "tek_identity").as_bytes(),
        &mut Recorded(bytes(&held, "nonce")),
    );
    assert_eq!(again, decoded(&held, "sealed"));
    assert_eq!(kek.cancel_token().as_str(), text(&held, "cancel_token"));
    assert_eq!(cancel_hash(text(&held, "cancel_token")), array(&held, "cancel_hash"));
}

#[test]
fn proofs_verify() {
    let held = read("proofs.json");
    for made in list(&held, "create") {
        let plan = decoded(made, "plan");
        let terms = Terms {
            oracle: text(made, "oracle"),
            purpose: text(made, "purpose"),
            plan: &plan,
            reason: text(made, "reason"),
            ttl: number(made, "ttl"),
            max_codes: number(made, "max_codes"),
        };
        let group = text(made, "group").parse().expect("a group name");
        proved(made, &create_message(group, number(made, "x"), number(made, "time"), &terms));
    }
    let bound =
        |made: &Value| (array(made, "invite_digest"), text(made, "group").parse().expect("G"), number(made, "x"));
    let (digest, group, x) = bound(&held["approve"]);
    proved(&held["approve"], &approve_message(&digest, group, x, text(&held["approve"], "encrypted_toc")));
    let (digest, group, x) = bound(&held["deny"]);
    proved(&held["deny"], &deny_message(&digest, group, x, text(&held["deny"], "reason")));
    let (digest, group, x) = bound(&held["receipt"]);
    let header = Header::parse(&decoded(&held["receipt"], "header")).expect("a good header");
    proved(&held["receipt"], &receipt_message(&digest, group, x, &header));
}

fn proved(made: &Value, message: &[u8]) {
    assert_eq!(hex::encode(message), text(made, "message"));
    let key = VerifyingKey::from_bytes(&array(made, "public")).expect("a key");
    verify(&key, message, &bytes(made, "signature")).expect("verifies");
    assert!(verify(&key, &message[1..], &bytes(made, "signature")).is_err());
}

#[test]
fn drills_are_called_and_answered() {
    let held = read("drill.json");
    let now = number(&held, "now");
    let call = Call::parse(text(&held, "url")).expect("a good call");
    assert_eq!(call.payload(), text(&held, "payload_text").as_bytes());
    assert_eq!(call.signature(), bytes(&held, "signature"));
    assert_eq!(call.view_token(), text(&held, "view_token"));
    let canonical: CallPayload = serde_json::from_slice(call.payload()).expect("a payload");
    assert_eq!(serde_json::to_vec(&canonical).expect("JSON"), call.payload(), "the canonical writing");
    let fields = call.verify(&fixed::root().verifying_key(), now).expect("verifies");
    let question = Question {
        root_key: fields.root_key.0.as_slice().try_into().expect("32 bytes"),
        group: fields.group,
        challenge: fields.challenge.0.as_slice().try_into().expect("32 bytes"),
        expires: fields.expires,
    };
    assert_eq!(question, *call.question());
    for answer in list(&held, "answers") {
        let (x, signature) = (number(answer, "x"), bytes(answer, "signature"));
        proved(answer, &question.message(x));
        let key = VerifyingKey::from_bytes(&array(answer, "public")).expect("a key");
        question.verify(&key, x, &signature, now).expect("in time");
        assert!(question.verify(&key, x, &signature, question.expires).is_err(), "it is over by then");
        assert!(question.verify(&key, x + 1, &signature, now).is_err(), "another player's");
    }
}

#[test]
fn refused_input_is_refused_for_its_reason() {
    let file = read("refused.json");
    let root = fixed::root().verifying_key();
    let now = number(&file, "now");
    for case in list(&file, "cases") {
        let input = text(case, "input");
        let word = match text(case, "what") {
            "header" => refused::header_word(&Header::parse(input.as_bytes()).expect_err("refused")),
            "toc" => refused::toc_word(&Toc::parse(input.as_bytes()).expect_err("refused")),
            "group" => refused::toc_word(&Group::parse(input.as_bytes()).expect_err("refused")),
            "plan" => refused::plan_word(&Plan::parse(input.as_bytes()).expect_err("refused")),
            "call" => drill::word(input, &root, now),
            "invite" => {
                let verdict = Invite::parse(input).and_then(|invite| invite.verify(&root, now).map(|_| ()));
                refused::invite_word(&verdict.expect_err("refused"))
            }
            other => panic!("cases of {other} are not known here"),
        };
        assert_eq!(word, text(case, "word"), "{}: {}", case["what"], case["comment"]);
    }
}

#[test]
fn encrypted_tocs_open() {
    let file = read("encrypted.json");
    for case in list(&file, "cases") {
        let opened = encrypted::open(case);
        assert_eq!(opened, text(&file, "plaintext").as_bytes(), "{}", case["recipient"]);
    }
}

#[test]
fn the_specification_names_every_file_and_every_label() {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    let spec = std::fs::read_to_string(root.join("SPEC.md")).expect("the specification");
    let files: Vec<String> = std::fs::read_dir(path(""))
        .expect("the folder of vectors")
        .map(|entry| entry.expect("an entry").path())
        .filter(|file| file.extension().is_some_and(|extension| extension == "json"))
        .map(|file| file.file_name().expect("a name").to_string_lossy().into_owned())
        .collect();
    assert!(files.len() >= 10, "{files:?}");
    for name in files {
        assert!(spec.contains(&format!("`{name}`")), "SPEC.md does not name {name}");
    }
    let mut labels = 0;
    for entry in std::fs::read_dir(root.join("src")).expect("the sources") {
        let file = entry.expect("an entry").path();
        if file.is_dir() {
            continue;
        }
        let source = std::fs::read_to_string(&file).expect("a source");
        for rest in source.split("b\"quorate/1 ").skip(1) {
            let word = rest.split(['"', '\\']).next().expect("split yields at least one");
            labels += 1;
            let known = spec.contains(&format!("quorate/1 {word}")) || spec.contains(&format!("`… {word}\\0`"));
            assert!(known, "SPEC.md does not name the label quorate/1 {word} of {}", file.display());
        }
    }
    assert!(labels >= 14, "only {labels} labels found: the sources write them differently now");
}
