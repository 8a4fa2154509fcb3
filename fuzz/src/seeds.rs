//! Good input for every target, made by the same code that makes it for people, so that damage starts from the real thing.

use ed25519_dalek::SigningKey;
use image::{GrayImage, ImageFormat, Luma};
use p256::SecretKey;
use qrcode::{Color, QrCode};
use quorate_protocol::audit::checkpoint::{Checkpoint, Origin, VerifierKey};
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::{Head, Line, Row};
use quorate_protocol::audit::tree::{Frontier, leaf_hash};
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::drill::{Call, CallPayload};
use quorate_protocol::encoding::{base64, base64url};
use quorate_protocol::fido2prf::{Fido2PrfStanza, NONCE_BYTES, PrfOutputs};
use quorate_protocol::header::OraclePin;
use quorate_protocol::invite::{Applicant, Certificate, CertifiedKind, Invite, InvitePayload, Purpose};
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::plan::{Plan, PlanFields, PlannedPlayer, Replaced};
use quorate_protocol::recipient::NativeRecipient;
use quorate_protocol::sealing::age_seal;
use quorate_protocol::session::new_session_id;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use std::io::Cursor;

/// The time at which seeds are valid, Unix seconds.
pub const NOW: i64 = 1_800_000_000;

const URI: &str =
    "otpauth://totp/AWS:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=AWS&algorithm=SHA256&digits=8&period=60";
/// The two shares printed in farMFA's README.
const FARMFA_SHARES: [&str; 2] = [
    "5Ovpu-PKEeYXx5ebiQhzU_AT0Z79POf8GGkskDp3its=urkBkVXr-pYjIvTt1ch2YJILCScAoRquLoX_VBxxps4=",
    "zxRrozuUaCMgn_u6ajZStlV7RKwhp0keT9aQoXAEruI=nfx2CPJfKiFM32zLmtxHjV94OlZOgBevV1Whrx-lslU=",
];
const URL: &str = "https://oracle.example";

/// A root key known to everybody.
pub fn root_key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

/// An age identity known to everybody.
pub fn age_identity() -> age::x25519::Identity {
    "AGE-SECRET-KEY-1KGL4CUECUSZLMNAW8408R3TGETAWT6WPK738N46U0QV498C2UZRSJMLD43".parse().expect("a constant identity")
}

/// A P-256 key known to everybody.
pub fn p256_identity() -> SecretKey {
    SecretKey::from_slice(&[9; 32]).expect("a constant below the group's order")
}

/// The key of the audit log that seeds are of.
pub fn audit_key() -> VerifierKey {
    VerifierKey { origin: audit_head(0).origin, key: root_key().verifying_key() }
}

/// Good inputs of the target `name`. Deterministic but for age's own randomness.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let deal = example_deal();
    match name {
        "armored" => recipients().iter().map(|to| sealed(to, &deal.tocs[0].to_json()).into_bytes()).collect(),
        "audit_export" => vec![audit_log().into_bytes()],
        "base32" => vec![b"JBSWY3DPEHPK3PXP".to_vec(), b"jbsw y3dp-ehpk 3pxp jbswy3dp".to_vec()],
        "bodies" => bodies(&deal),
        "checkpoint" => vec![audit_head(1).sign(&root_key()).into_bytes(), audit_key().to_string().into_bytes()],
        "call" => vec![call(&deal).to_url().into_bytes()],
        // RFC 8949, appendix A.
        "cbor" => vec![
            b"\xa5\x61a\x61A\x61b\x61B\x61c\x61C\x61d\x61D\x61e\x61E".to_vec(),
            b"\x83\x01\x82\x02\x03\x20".to_vec(),
        ],
        "certificate" => vec![serde_json::to_vec(&certificate()).expect("plain data always serialises")],
        "exports" => EXPORTS.map(|text| text.as_bytes().to_vec()).to_vec(),
        "farmfa_share" => FARMFA_SHARES.map(|share| share.as_bytes().to_vec()).to_vec(),
        "group" => vec![deal.group.to_json().into_bytes()],
        "header" => vec![deal.group.header.bytes().to_vec()],
        "import" => vec![URI.as_bytes().to_vec(), migration().into_bytes()],
        "invite" => {
            vec![invite(&deal, None).to_url().into_bytes(), invite(&deal, Some(plan(&deal))).to_url().into_bytes()]
        }
        "otpauth" => vec![URI.as_bytes().to_vec(), b"otpauth://totp/a%20b?secret=jbswy3dpehpk3pxp".to_vec()],
        "picture" => vec![qr_png(URI)],
        "plan" => vec![plan(&deal).bytes().to_vec()],
        "recipient" => recipients().iter().map(|recipient| recipient.to_string().into_bytes()).collect(),
        "security_key" => vec![crate::security_key::conversation()],
        "stanza" => stanzas(),
        "toc" => tocs(&deal),
        other => panic!("no seeds for {other}"),
    }
}

fn example_deal() -> Deal {
    let secret = OtpSecret::from_uri(URI).expect("a good URI");
    let request = DealRequest {
        secret: &secret,
        threshold: 2,
        holders: &["ann", "bob", "eve"].map(String::from),
        note: "AWS root",
        dealt_at: NOW,
        oracle: Some(OraclePin {
            url: URL.to_owned(),
            root_key: root_key().verifying_key().to_bytes().to_vec().into(),
        }),
        replaces: None,
    };
    deal(&request, &mut rng()).expect("a good deal")
}

fn recipients() -> [NativeRecipient; 3] {
    let point = p256_identity().public_key();
    let x25519 = age_identity().to_public().to_string().parse().expect("age's own recipient");
    [x25519, NativeRecipient::tag(&point), NativeRecipient::yubikey(&point)]
}

fn sealed(to: &NativeRecipient, plaintext: &[u8]) -> String {
    age_seal(plaintext, std::iter::once(to as &dyn age::Recipient)).expect("age seals")
}

fn stanzas() -> Vec<Vec<u8>> {
    let file_key = age_core::format::FileKey::new(Box::new([3; 16]));
    let recipients = recipients();
    let wrapped = recipients[1..].iter().map(|recipient| {
        let (mut stanzas, _) = age::Recipient::wrap_file_key(recipient, &file_key).expect("a point wraps");
        stanzas.swap_remove(0)
    });
    let sealed = Fido2PrfStanza::seal(&file_key, [7; NONCE_BYTES], &PRF_OUTPUTS).to_stanza();
    wrapped
        .chain([sealed])
        .map(|stanza| {
            format!("-> {} {}\n{}\n", stanza.tag, stanza.args.join(" "), data_base64(&stanza.body)).into_bytes()
        })
        .collect()
}

/// What the passkey of the sealed stanza makes of its salts.
pub const PRF_OUTPUTS: PrfOutputs = [[1; 32], [2; 32]];

/// Unpadded standard base64, as age headers have it. The bodies here fit one line.
fn data_base64(bytes: &[u8]) -> String {
    base64url(bytes).replace('-', "+").replace('_', "/")
}

/// An export of each app; the last is a vault of Aegis under the password `x`, which costs nothing to open.
const EXPORTS: [&str; 8] = [
    r#"{"version":1,"header":{"slots":null,"params":null},"db":{"version":3,"entries":[{"type":"totp","name":"ann","issuer":"Bank","info":{"secret":"JBSWY3DPEHPK3PXP","algo":"SHA256","digits":8,"period":60}}]}}"#,
    r#"[{"secret":"JBSWY3DPEHPK3PXP","issuer":"Bank","label":"ann","digits":6,"type":"TOTP","algorithm":"SHA1","period":30}]"#,
    r#"{"encrypted":false,"items":[{"name":"Bank","login":{"username":"ann","totp":"JBSWY3DPEHPK3PXP"}}]}"#,
    r#"{"schemaVersion":4,"services":[{"name":"Bank","secret":"JBSWY3DPEHPK3PXP","otp":{"account":"ann","tokenType":"TOTP"}}]}"#,
    r#"{"apps":[{"PartitionKey":"mfaseed","RowKey":"5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1","AccountName":"Bank"}],"secrets":[{"id":"https://v/secrets/5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1/1","value":"JBSWY3DPEHPK3PXP"}]}"#,
    r#"{"uuid":"5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1","otpauth":"otpauth://totp/a?secret=JBSWY3DPEHPK3PXP","name":"b"}"#,
    "otpauth://totp/Bank:ann?secret=JBSWY3DPEHPK3PXP&uuid=5f0c8d10-1f0e-4a35-8d21-0c2e4ad3c1a1\notpauth://hotp/x",
    include_str!("../../tests/fixtures/import/aegis-locked.json"),
];

/// An export of Google Authenticator with one account.
fn migration() -> String {
    // Field 1 (entries) of 21 bytes: secret (1) of 10 bytes, name (2), algorithm (4) SHA-1, digits (5) six, type (6) TOTP.
    let mut message = vec![0x0a, 21, 0x0a, 10];
    message.extend_from_slice(b"0123456789");
    message.extend_from_slice(&[0x12, 1, b'a', 0x20, 1, 0x28, 1, 0x30, 2]);
    // Version (2) 1, one part (3), the first (4, left out), of batch (5) 7.
    message.extend_from_slice(&[0x10, 1, 0x18, 1, 0x28, 7]);
    format!("otpauth-migration://offline?data={}", base64(&message).replace('+', "%2B").replace('=', "%3D"))
}

fn qr_png(text: &str) -> Vec<u8> {
    let code = QrCode::new(text).expect("a short text fits a QR code");
    let side = u32::try_from(code.width()).expect("a QR code has few modules");
    let dark = |x, y| code[(x as usize, y as usize)] == Color::Dark;
    let picture = GrayImage::from_fn((side + 8) * 4, (side + 8) * 4, |x, y| {
        let (x, y) = ((x / 4).wrapping_sub(4), (y / 4).wrapping_sub(4));
        Luma([if x < side && y < side && dark(x, y) { 0 } else { 255 }])
    });
    let mut png = Cursor::new(Vec::new());
    picture.write_to(&mut png, ImageFormat::Png).expect("memory takes a PNG");
    png.into_inner()
}

fn certificate() -> Certificate {
    let key = SigningKey::from_bytes(&[8; 32]);
    Certificate::issue(&root_key(), CertifiedKind::InviteKey, &key.verifying_key(), NOW - 1, NOW + 3600)
}

fn plan(deal: &Deal) -> Plan {
    let [ann, bob, _] = recipients();
    let player = |holder: &str, key: NativeRecipient| PlannedPlayer {
        holder: holder.to_owned(),
        recipients: vec![key.to_string()],
    };
    Plan::new(PlanFields {
        version: 1,
        replaces: Replaced::Group(deal.group.name()),
        threshold: 2,
        note: "AWS root".to_owned(),
        players: vec![player("ann", ann), player("bob", bob)],
    })
    .expect("a good plan")
}

fn invite(deal: &Deal, plan: Option<Plan>) -> Invite {
    let fields = deal.group.header.fields();
    let payload = InvitePayload {
        version: 1,
        session: new_session_id(&mut rng()),
        oracle: URL.to_owned(),
        tek: age_identity().to_public().to_string(),
        group: Some(deal.group.name()),
        group_id: fields.group_id.clone(),
        size: fields.size,
        threshold: fields.threshold,
        note: fields.note.clone(),
        purpose: if plan.is_some() { Purpose::Redeal } else { Purpose::Code },
        plan_digest: plan.as_ref().map(|plan| plan.digest().to_vec().into()),
        plan: plan.map(|plan| plan.bytes().to_vec().into()),
        applicant: Applicant::Proved { holder: "ann".to_owned(), x: 1 },
        reason: "rotate the root password".to_owned(),
        ttl: 60,
        max_codes: None,
        created: NOW,
        expires: NOW + 3600,
        certificates: vec![certificate()],
    };
    Invite::issue(payload, &SigningKey::from_bytes(&[8; 32]))
}

fn call(deal: &Deal) -> Call {
    let fields = deal.group.header.fields();
    let payload = CallPayload {
        version: 1,
        drill: new_session_id(&mut rng()),
        oracle: URL.to_owned(),
        root_key: root_key().verifying_key().to_bytes().to_vec().into(),
        group: deal.group.name(),
        group_id: fields.group_id.clone(),
        size: fields.size,
        threshold: fields.threshold,
        note: fields.note.clone(),
        asker: "principal/internal/user/olga".to_owned(),
        reason: "once a quarter".to_owned(),
        challenge: vec![5; 32].into(),
        created: NOW,
        expires: NOW + 3600,
        certificates: vec![certificate()],
    };
    Call::issue(&payload, &SigningKey::from_bytes(&[8; 32])).expect("a good call")
}

fn audit_leaf() -> String {
    let details = serde_json::Map::from_iter([("reason".to_owned(), "close the \u{202e}month".into())]);
    let event = Event {
        v: 1,
        id: "00112233445566778899aabbccddeeff".to_owned(),
        time: NOW * 1000,
        kind: "session.asked".to_owned(),
        who: "holder ann".to_owned(),
        source: "192.0.2.7".to_owned(),
        subject: "session 1".to_owned(),
        result: "done".to_owned(),
        details,
    };
    event.to_leaf()
}

/// The head of a log of so many equal events.
fn audit_head(size: u64) -> Checkpoint {
    let mut frontier = Frontier::default();
    (0..size).for_each(|_| frontier.push(leaf_hash(audit_leaf().as_bytes())));
    let origin = Origin::new("oracle.example/audit").expect("a plain name");
    Checkpoint { origin, size, root: frontier.root() }
}

fn audit_log() -> String {
    let (leaf, head) = (audit_leaf(), audit_head(1));
    let hash = leaf_hash(leaf.as_bytes()).to_vec();
    let lines = [
        Line::Row(Row { number: 1, hash: hash.clone().into(), event: Some(leaf) }),
        Line::Head(Head { checkpoint: head.sign(&root_key()), size: 1, previous: 0, frontier: Some(hash.into()) }),
    ];
    lines.map(|line| serde_json::to_string(&line).expect("plain data always serialises")).join("\n")
}

fn farmfa_toc() -> String {
    format!(
        r#"{{"group_id":"7GCUCI2Y","group_size":3,"group_threshold":2,"note":"mail","toc_id":"1","share":"{}"}}"#,
        FARMFA_SHARES[0]
    )
}

fn tocs(deal: &Deal) -> Vec<Vec<u8>> {
    let toc = &deal.tocs[0];
    vec![toc.to_json().to_vec(), toc.to_short_json().to_vec(), farmfa_toc().into_bytes()]
}

fn bodies(deal: &Deal) -> Vec<Vec<u8>> {
    let toc = serde_json::to_string(&sealed(&recipients()[0], &deal.tocs[0].to_short_json())).expect("text serialises");
    let signature = "A".repeat(86) + "==";
    vec![
        format!(r#"{{"toc_zero":{},"ttl":60,"reason":"r"}}"#, farmfa_toc()).into_bytes(),
        format!(r#"{{"encrypted_toc":{toc},"x":1,"proof":"{signature}"}}"#).into_bytes(),
        format!(r#"{{"kek":"{}="}}"#, "A".repeat(43)).into_bytes(),
        format!(r#"{{"x":1,"signature":"{signature}"}}"#).into_bytes(),
        format!(r#"{{"group":"{}","expires_at":"2027-01-15T09:00:00Z","reason":"r"}}"#, deal.group.name()).into_bytes(),
    ]
}

fn rng() -> StdRng {
    StdRng::seed_from_u64(1)
}
