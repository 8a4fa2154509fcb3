//! What the vector files must hold, made by this implementation from fixed input: `tests/vectors.rs` compares the two,
//! and writes the files when `QUORATE_WRITE_VECTORS` is set. All keys here are public: never guard anything with them.

use super::encrypted::{recipient_tag, recipient_yubikey, tek_identity_text};
use super::fixed::{self, NOW};
use super::refused;
use ed25519_dalek::SigningKey;
use hkdf::Hkdf;
use quorate_protocol::api::fingerprint;
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::encoding::{base64, length_prefixed, sha256};
use quorate_protocol::header::{GroupName, OraclePin};
use quorate_protocol::invite::{Applicant, Certificate, CertifiedKind, Invite, InvitePayload, Purpose};
use quorate_protocol::plan::{Plan, PlanFields, PlannedPlayer, Replaced};
use quorate_protocol::proof::{Terms, approve_message, create_message, deny_message, receipt_message, sign};
use quorate_protocol::session::{Kek, cancel_hash, new_session_id};
use quorate_protocol::sharing::split;
use quorate_protocol::toc::WholeToc;
use serde_json::{Value, json};
use sha2::Sha256;

pub const COMMENT: &str =
    "Test vectors of protocol/SPEC.md. Every key and secret here is public: never guard anything with it.";

/// Every file that is made from fixed input, by name.
pub fn all() -> Vec<(&'static str, Value)> {
    vec![
        ("sharing.json", sharing()),
        ("deal.json", deals()),
        ("plan.json", plans()),
        ("invite.json", invites()),
        ("session.json", session()),
        ("proofs.json", proofs()),
        ("drill.json", super::drill::drills()),
        ("audit.json", super::audit::audit()),
        ("refused.json", json!({ "comment": COMMENT, "now": NOW, "cases": refused::cases() })),
    ]
}

fn sharing() -> Value {
    let cases: Vec<Value> = [(2u8, 3u8), (3, 5), (5, 5)]
        .into_iter()
        .map(|(threshold, size)| {
            let key = sha256(&[b"group key", &[threshold, size]]);
            let shares = split(&key, threshold, size, &mut fixed::Stream::new("sharing")).expect("in range");
            json!({
                "group_key": hex::encode(key),
                "threshold": threshold,
                "shares": shares.iter().map(|share| hex::encode(share.as_bytes())).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({ "comment": COMMENT, "cases": cases })
}

/// A deal with every optional field of the header but `replaces`, and the deal that replaces it, without a pin.
pub fn two_deals() -> [Deal; 2] {
    let secret = fixed::secret();
    let first = DealRequest {
        secret: &secret,
        threshold: 2,
        holders: &["Ann", "Björn", "Chloé"].map(String::from),
        note: "AWS root – \"production\"",
        dealt_at: NOW - 86_400,
        oracle: Some(OraclePin {
            url: fixed::ORACLE.to_owned(),
            root_key: fixed::root().verifying_key().to_bytes().to_vec().into(),
        }),
        replaces: None,
    };
    let first = deal(&first, &mut fixed::Stream::new("first deal")).expect("a good deal");
    let second = DealRequest {
        secret: &secret,
        threshold: 3,
        holders: &["Ann", "Björn", "Chloé", "Dora"].map(String::from),
        note: "",
        dealt_at: NOW,
        oracle: None,
        replaces: Some(first.group.name()),
    };
    let second = deal(&second, &mut fixed::Stream::new("second deal")).expect("a good deal");
    [first, second]
}

fn deals() -> Value {
    json!({ "comment": COMMENT, "deals": two_deals().iter().map(one_deal).collect::<Vec<_>>() })
}

fn one_deal(deal: &Deal) -> Value {
    let header = &deal.group.header;
    let group_key = group_key(deal);
    let seal_key = hkdf(Some(&header.digest()), &group_key, b"quorate/1 seal");
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("JSON is text");
    let tocs: Vec<Value> = deal.tocs.iter().map(|toc| one_toc(toc, &text)).collect();
    json!({
        "otpauth": *fixed::secret().to_uri(),
        "group_key": hex::encode(group_key),
        "header": base64(header.bytes()),
        "header_text": text(header.bytes()),
        "h": hex::encode(header.digest()),
        "seal_key": hex::encode(seal_key),
        "nonce": hex::encode(&deal.group.sealed[..24]),
        "sealed": base64(&deal.group.sealed),
        "sealed_digest": hex::encode(sha256(&[&deal.group.sealed])),
        "g": deal.group.name(),
        "group_file": deal.group.to_json(),
        "tocs": tocs,
    })
}

fn one_toc(toc: &WholeToc, text: &impl Fn(&[u8]) -> String) -> Value {
    let fields = toc.header().fields();
    let player = toc.header().player(toc.share().x()).expect("its own player");
    let names = length_prefixed(&[fields.group_id.as_bytes(), player.toc_id.as_bytes()]);
    let info = [b"quorate/1 share-key\0".as_slice(), &names].concat();
    json!({
        "x": toc.share().x(),
        "share": hex::encode(toc.share().as_bytes()),
        "share_key_info": hex::encode(&info),
        "share_key_seed": hex::encode(hkdf(None, toc.share().as_bytes(), &info)),
        "share_key": hex::encode(toc.signing_key().verifying_key().to_bytes()),
        "whole": text(&toc.to_json()),
        "short": text(&toc.to_short_json()),
    })
}

/// The plan that leads from the first deal to the second, and one for a group of farMFA.
pub fn two_plans() -> [Plan; 2] {
    let player = |holder: &str, recipients: Vec<String>| PlannedPlayer { holder: holder.to_owned(), recipients };
    let players = vec![
        player("Ann", vec![fixed::x25519("ann").to_public().to_string()]),
        player("Björn", vec![recipient_tag("björn").to_string(), fixed::x25519("spare").to_public().to_string()]),
        player("Chloé", vec![recipient_yubikey("chloé").to_string()]),
        player("Dora", vec![recipient_yubikey("dora").to_string()]),
    ];
    let plan = |replaces, threshold, note: &str, players: &[PlannedPlayer]| {
        let fields = PlanFields { version: 1, replaces, threshold, note: note.to_owned(), players: players.to_vec() };
        Plan::new(fields).expect("a good plan")
    };
    [
        plan(Replaced::Group(two_deals()[0].group.name()), 3, "", &players),
        plan(Replaced::Farmfa("7GCUCI2Y".to_owned()), 2, "GitHub", &players[..2]),
    ]
}

fn plans() -> Value {
    let plans = two_plans().map(|plan| {
        json!({
            "plan_text": String::from_utf8(plan.bytes().to_vec()).expect("JSON is text"),
            "plan": base64(plan.bytes()),
            "digest": hex::encode(plan.digest()),
        })
    });
    json!({ "comment": COMMENT, "plans": plans })
}

/// Root to invite key; and root to its successor to invite key.
pub fn chains() -> [Vec<Certificate>; 2] {
    let (root, next, invite) = (fixed::root(), fixed::next_root(), fixed::invite_key());
    let issue = |by: &SigningKey, kind, key: &SigningKey, days: i64| {
        Certificate::issue(by, kind, &key.verifying_key(), NOW - 3_600, NOW + days * 86_400)
    };
    [
        vec![issue(&root, CertifiedKind::InviteKey, &invite, 90)],
        vec![issue(&root, CertifiedKind::RootKey, &next, 3_650), issue(&next, CertifiedKind::InviteKey, &invite, 90)],
    ]
}

/// An invite to a code session of the first group, one to the redeal that makes the second, and one of a farMFA group.
pub fn five_invites() -> [Invite; 5] {
    let [first, _] = two_deals();
    let [plan, _] = two_plans();
    let [chain, long_chain] = chains();
    let fields = first.group.header.fields();
    let code = InvitePayload {
        version: 1,
        session: fixed::session_id(),
        oracle: fixed::ORACLE.to_owned(),
        tek: fixed::tek().recipient(),
        group: Some(first.group.name()),
        group_id: fields.group_id.clone(),
        size: fields.size,
        threshold: fields.threshold,
        note: fields.note.clone(),
        purpose: Purpose::Code,
        plan_digest: None,
        plan: None,
        applicant: Applicant::Proved { holder: "Ann".to_owned(), x: 1 },
        reason: "close the month, “before” 5 pm".to_owned(),
        ttl: 60,
        max_codes: None,
        created: NOW,
        expires: NOW + 3_600,
        certificates: chain,
    };
    let redeal = InvitePayload {
        session: new_session_id(&mut fixed::Stream::new("redeal session")),
        purpose: Purpose::Redeal,
        plan_digest: Some(plan.digest().to_vec().into()),
        plan: Some(plan.bytes().to_vec().into()),
        certificates: long_chain,
        ..code.clone()
    };
    let farmfa = InvitePayload {
        session: new_session_id(&mut fixed::Stream::new("farMFA session")),
        group: None,
        group_id: "7GCUCI2Y".to_owned(),
        applicant: Applicant::Unverified,
        ..code.clone()
    };
    let principal = "principal/internal/user/ann".to_owned();
    let named = InvitePayload {
        session: new_session_id(&mut fixed::Stream::new("session with names")),
        applicant: Applicant::Named { holder: "Ann".to_owned(), x: 1, principal },
        ..code.clone()
    };
    let login = InvitePayload {
        session: new_session_id(&mut fixed::Stream::new("session by login")),
        applicant: Applicant::Login { principal: "principal/internal/user/bob".to_owned() },
        ..code.clone()
    };
    [code, redeal, farmfa, named, login].map(|fields| Invite::issue(fields, &fixed::invite_key()))
}

fn invites() -> Value {
    let keys = [("root", fixed::root()), ("next_root", fixed::next_root()), ("invite", fixed::invite_key())];
    let keys: Vec<Value> = keys
        .iter()
        .map(|(name, key)| {
            let public = key.verifying_key().to_bytes();
            json!({
                "name": name,
                "seed": hex::encode(key.to_bytes()),
                "public": hex::encode(public),
                "fingerprint": fingerprint(&public),
            })
        })
        .collect();
    let invites: Vec<Value> = five_invites()
        .iter()
        .zip([vec!["root"], vec!["root", "next_root"], vec!["root"], vec!["root"], vec!["root"]])
        .map(|(invite, roots)| {
            let certificates: Vec<&str> = invite
                .fields()
                .certificates
                .iter()
                .map(|certificate| std::str::from_utf8(&certificate.payload.0).expect("JSON is text"))
                .collect();
            json!({
                "payload_text": std::str::from_utf8(invite.payload()).expect("JSON is text"),
                "certificate_texts": certificates,
                "signature": hex::encode(invite.signature()),
                "url": invite.to_url(),
                "digest": hex::encode(invite.digest()),
                "view_token": invite.view_token(),
                "verifies_under": roots,
            })
        })
        .collect();
    json!({ "comment": COMMENT, "now": NOW, "keys": keys, "invites": invites })
}

fn session() -> Value {
    let [invite, ..] = five_invites();
    let (id, tek) = (fixed::session_id(), fixed::tek());
    let kek = Kek::generate(&mut fixed::Stream::new("kek"));
    let kek_bytes = quorate_protocol::encoding::from_base64(&kek.to_base64()).expect("base64");
    let sealed = tek.seal(&kek, &id, &invite.digest(), &mut fixed::Stream::new("tek nonce"));
    let cancel = kek.cancel_token();
    json!({
        "comment": COMMENT,
        "id": id,
        "kek": *kek.to_base64(),
        "tek_identity": tek_identity_text(),
        "tek": tek.recipient(),
        "invite_digest": hex::encode(invite.digest()),
        "key": hex::encode(hkdf(None, &kek_bytes, format!("quorate/1 tek{id}").as_bytes())),
        "associated": hex::encode(length_prefixed(&[id.as_bytes(), tek.recipient().as_bytes(), &invite.digest()])),
        "nonce": hex::encode(&sealed[..24]),
        "sealed": base64(&sealed),
        "cancel_token": *cancel,
        "cancel_hash": hex::encode(cancel_hash(&cancel)),
    })
}

fn proofs() -> Value {
    let [first, second] = two_deals();
    let [plan, _] = two_plans();
    let [code, redeal, ..] = five_invites();
    let g = first.group.name();
    let creates = [
        Terms {
            oracle: &code.fields().oracle,
            purpose: "code",
            plan: b"",
            reason: &code.fields().reason,
            ttl: 300,
            max_codes: 2,
        },
        Terms {
            oracle: &redeal.fields().oracle,
            purpose: "redeal",
            plan: plan.bytes(),
            reason: "",
            ttl: 0,
            max_codes: 0,
        },
    ]
    .map(|terms| {
        let message = create_message(g, 1, NOW, &terms);
        let mut made = signed(&first.tocs[0], g, message);
        made["time"] = NOW.into();
        made["oracle"] = terms.oracle.into();
        made["purpose"] = terms.purpose.into();
        made["plan"] = base64(terms.plan).into();
        made["reason"] = terms.reason.into();
        made["ttl"] = terms.ttl.into();
        made["max_codes"] = terms.max_codes.into();
        made
    });
    let toc = "-----BEGIN AGE ENCRYPTED FILE-----\nnot opened here: only its bytes are signed\n-----END AGE ENCRYPTED FILE-----\n";
    let mut approve = signed(&first.tocs[1], g, approve_message(&code.digest(), g, 2, toc));
    approve["invite_digest"] = hex::encode(code.digest()).into();
    approve["encrypted_toc"] = toc.into();
    let reason = "not on a Friday";
    let mut deny = signed(&first.tocs[2], g, deny_message(&code.digest(), g, 3, reason));
    deny["invite_digest"] = hex::encode(code.digest()).into();
    deny["reason"] = reason.into();
    let new = second.group.name();
    let mut receipt = signed(&second.tocs[3], new, receipt_message(&redeal.digest(), new, 4, &second.group.header));
    receipt["invite_digest"] = hex::encode(redeal.digest()).into();
    receipt["header"] = base64(second.group.header.bytes()).into();
    json!({ "comment": COMMENT, "create": creates, "approve": approve, "deny": deny, "receipt": receipt })
}

fn signed(toc: &WholeToc, group: GroupName, message: Vec<u8>) -> Value {
    let key = toc.signing_key();
    json!({
        "group": group,
        "x": toc.share().x(),
        "seed": hex::encode(key.to_bytes()),
        "public": hex::encode(key.verifying_key().to_bytes()),
        "signature": hex::encode(sign(&key, &message)),
        "message": hex::encode(message),
    })
}

/// HKDF-SHA256, 32 bytes, from the `hkdf` crate alone.
fn hkdf(salt: Option<&[u8]>, ikm: &[u8], info: &[u8]) -> [u8; 32] {
    let mut okm = [0; 32];
    Hkdf::<Sha256>::new(salt, ikm).expand(info, &mut okm).expect("32 bytes are few");
    okm
}

/// The group key of a deal, from its shares.
fn group_key(deal: &Deal) -> [u8; 32] {
    let threshold = usize::from(deal.group.header.fields().threshold);
    let shares: Vec<_> = deal.tocs[..threshold].iter().map(|toc| toc.share().clone()).collect();
    *quorate_protocol::sharing::combine(&shares, &deal.group.header).expect("an honest deal")
}
