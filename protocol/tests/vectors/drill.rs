//! What `drill.json` must hold: a call, every player's answer to it, and calls that must be refused. Knows no file.

use super::fixed::{self, NOW};
use super::make::{COMMENT, chains, two_deals};
use super::refused::{case, edit};
use ed25519_dalek::VerifyingKey;
use quorate_protocol::drill::{Call, CallPayload, DrillError};
use quorate_protocol::encoding::{base64url, sha256};
use quorate_protocol::session::new_session_id;
use serde_json::{Value, json};

/// The drill of the first deal's group.
pub fn call() -> Call {
    let [deal, _] = two_deals();
    let [certificates, _] = chains();
    let fields = deal.group.header.fields();
    let payload = CallPayload {
        version: 1,
        drill: new_session_id(&mut fixed::Stream::new("drill")),
        oracle: fixed::ORACLE.to_owned(),
        root_key: fixed::root().verifying_key().to_bytes().to_vec().into(),
        group: deal.group.name(),
        group_id: fields.group_id.clone(),
        size: fields.size,
        threshold: fields.threshold,
        note: fields.note.clone(),
        asker: "principal/internal/user/olga".to_owned(),
        reason: "before the audit – “all keys”".to_owned(),
        challenge: sha256(&[b"challenge"]).to_vec().into(),
        created: NOW,
        expires: NOW + 7 * 86_400,
        certificates,
    };
    Call::issue(&payload, &fixed::invite_key()).expect("a good call")
}

/// The file.
pub fn drills() -> Value {
    let call = call();
    let [deal, _] = two_deals();
    let answers: Vec<Value> = deal
        .tocs
        .iter()
        .map(|toc| {
            let (key, x) = (toc.signing_key(), toc.share().x());
            json!({
                "x": x,
                "seed": hex::encode(key.to_bytes()),
                "public": hex::encode(key.verifying_key().to_bytes()),
                "message": hex::encode(call.question().message(x)),
                "signature": hex::encode(call.question().answer(toc, NOW).expect("its own group, in time")),
            })
        })
        .collect();
    json!({
        "comment": COMMENT,
        "now": NOW,
        "payload_text": std::str::from_utf8(call.payload()).expect("JSON is text"),
        "signature": hex::encode(call.signature()),
        "url": call.to_url(),
        "view_token": call.view_token(),
        "answers": answers,
    })
}

/// Adds the calls that must be refused to `cases`.
pub fn refused(cases: &mut Vec<Value>) {
    let call = call();
    let url = call.to_url();
    let issued = |change: &dyn Fn(&mut CallPayload)| {
        let mut fields = call.fields().clone();
        change(&mut fields);
        Call::issue(&fields, &fixed::invite_key()).expect("readable").to_url()
    };
    // The payload changed under the old signature.
    let forged = |from: &str, to: &str| {
        let payload = edit(std::str::from_utf8(call.payload()).expect("JSON is text"), from, to);
        let [address, payload, signature] =
            [&call.page_url(), &base64url(payload.as_bytes()), &base64url(call.signature())];
        format!("{address}#{payload}.{signature}")
    };
    let next = fixed::next_root().verifying_key().to_bytes().to_vec();
    let group = call.fields().group.to_string();
    let other = two_deals()[1].group.name().to_string();
    cases.extend([
        case("call", call.page_url(), "malformed", "the fragment is missing"),
        case("call", &url[..url.len() - 1], "malformed", "the last character is cut off"),
        case("call", edit(&url, "/drill/", "/s/"), "malformed", "the address of a session"),
        case("call", forged("olga", "omar"), "signature", "another asker"),
        case("call", forged(&group, &other), "signature", "another group"),
        case("call", forged("\"version\":1", "\"version\":1,\"version\":1"), "malformed", "a key stands twice"),
        case("call", forged("\"version\":1", "\"version\":1,\"tek\":\"age1\""), "malformed", "an unknown field"),
        case("call", forged("\"threshold\":2", "\"threshold\":4"), "malformed", "more Tocs than players"),
        case("call", issued(&|f| f.certificates = vec![]), "signature", "no certificate"),
        case("call", issued(&|f| f.root_key = next.clone().into()), "other_oracle", "answers for another root key"),
        case("call", issued(&|f| (f.created, f.expires) = (NOW - 60, NOW)), "expired", "its last second is over"),
    ]);
}

/// The word of the specification for the verdict over a call.
pub fn word(text: &str, root: &VerifyingKey, now: i64) -> &'static str {
    match Call::parse(text).and_then(|call| call.verify(root, now).map(|_| ())).expect_err("refused") {
        DrillError::CertificateExpired { .. } => "certificate_expired",
        DrillError::Expired => "expired",
        DrillError::Malformed(_) => "malformed",
        DrillError::OtherOracle => "other_oracle",
        DrillError::Signature => "signature",
        other => panic!("no word for {other:?}"),
    }
}
