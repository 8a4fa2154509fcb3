//! What an answer to a drill can serve for, which is that drill and nothing else, and which calls are believed.

use super::*;
use crate::deal::{Deal, DealRequest, deal};
use crate::invite::CertifiedKind;
use crate::otp::OtpSecret;
use crate::proof::{Terms, approve_message, create_message, deny_message, receipt_message};

const NOW: i64 = 1_700_000_000;

/// Makes something of a call's payload that cannot be.
type Change = fn(&mut CallPayload);

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn dealt() -> Deal {
    let secret = OtpSecret::from_base32("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").expect("a secret");
    let holders = ["ann", "ben", "cho"].map(str::to_owned);
    let request = DealRequest {
        secret: &secret,
        threshold: 2,
        holders: &holders,
        note: "test",
        dealt_at: NOW - 10,
        oracle: None,
        replaces: None,
    };
    deal(&request, &mut rand::rng()).expect("a good deal")
}

fn question(group: GroupName) -> Question {
    Question { root_key: key(1).verifying_key().to_bytes(), group, challenge: [7; 32], expires: NOW + 60 }
}

fn share_key(toc: &WholeToc) -> VerifyingKey {
    toc.signing_key().verifying_key()
}

fn certificate(root: u8, kind: CertifiedKind, subject: u8) -> Certificate {
    Certificate::issue(&key(root), kind, &key(subject).verifying_key(), NOW - 10, NOW + 10)
}

fn payload(certificates: Vec<Certificate>) -> CallPayload {
    CallPayload {
        version: 1,
        drill: "A".repeat(32),
        oracle: "https://oracle.example/base".into(),
        root_key: key(1).verifying_key().to_bytes().to_vec().into(),
        group: GroupName([5; 32]),
        group_id: "7GCUCI2Y".into(),
        size: 3,
        threshold: 2,
        note: "test".into(),
        asker: "principal/internal/user/olga".into(),
        reason: "once a quarter".into(),
        challenge: vec![7; 32].into(),
        created: NOW,
        expires: NOW + 60,
        certificates,
    }
}

fn call() -> Call {
    let fields = payload(vec![certificate(1, CertifiedKind::InviteKey, 2)]);
    Call::issue(&fields, &key(2)).expect("a good call")
}

#[test]
fn an_answer_serves_for_its_drill_and_player_alone() {
    let deal = dealt();
    let (ann, ben) = (&deal.tocs[0], &deal.tocs[1]);
    let asked = question(deal.group.name());
    let answer = asked.answer(ann, NOW).expect("signed");
    assert_eq!(asked.verify(&share_key(ann), 1, &answer, NOW), Ok(()));
    let others = [
        ("another oracle", Question { root_key: key(9).verifying_key().to_bytes(), ..asked }),
        ("another group", Question { group: GroupName([9; 32]), ..asked }),
        ("another challenge", Question { challenge: [8; 32], ..asked }),
        ("a later end", Question { expires: asked.expires + 1, ..asked }),
    ];
    for (what, other) in others {
        assert_eq!(other.verify(&share_key(ann), 1, &answer, NOW), Err(DrillError::Answer), "{what}");
    }
    assert_eq!(asked.verify(&share_key(ann), 2, &answer, NOW), Err(DrillError::Answer), "another x");
    assert_eq!(asked.verify(&share_key(ben), 1, &answer, NOW), Err(DrillError::Answer), "another player");
    assert_eq!(asked.verify(&share_key(ann), 1, &answer[..63], NOW), Err(DrillError::Answer), "cut off");
}

#[test]
fn an_answer_serves_for_nothing_else() {
    let deal = dealt();
    let (ann, group) = (&deal.tocs[0], deal.group.name());
    let answer = question(group).answer(ann, NOW).expect("signed");
    let (digest, share_key) = ([7; 32], share_key(ann));
    let terms = Terms { oracle: "https://oracle", purpose: "code", plan: b"", reason: "", ttl: 0, max_codes: 0 };
    let acts = [
        ("create", create_message(group, 1, NOW, &terms)),
        ("approve", approve_message(&digest, group, 1, "")),
        ("deny", deny_message(&digest, group, 1, "")),
        ("receipt", receipt_message(&digest, group, 1, &deal.group.header)),
    ];
    for (act, message) in acts {
        assert!(proof::verify(&share_key, &message, &answer).is_err(), "an answer served as {act}");
        let signature = proof::sign(&ann.signing_key(), &message);
        let verdict = question(group).verify(&share_key, 1, &signature, NOW);
        assert_eq!(verdict, Err(DrillError::Answer), "{act} served as an answer");
    }
}

#[test]
fn nobody_answers_when_the_drill_is_over_or_for_another_group() {
    let deal = dealt();
    let asked = question(deal.group.name());
    let answer = asked.answer(&deal.tocs[0], asked.expires - 1).expect("the last second");
    assert_eq!(asked.answer(&deal.tocs[0], asked.expires), Err(DrillError::Expired));
    let share_key = share_key(&deal.tocs[0]);
    assert_eq!(asked.verify(&share_key, 1, &answer, asked.expires - 1), Ok(()));
    assert_eq!(asked.verify(&share_key, 1, &answer, asked.expires), Err(DrillError::Expired));
    assert_eq!(asked.answer(&dealt().tocs[0], NOW), Err(DrillError::OtherGroup));
}

#[test]
fn a_call_goes_round_and_verifies() {
    let sent = call();
    let read = Call::parse(&sent.to_url()).expect("reads");
    assert_eq!(read, sent);
    assert_eq!(Call::parse(sent.to_url().split_once('#').expect("a fragment").1).expect("reads"), sent);
    assert_eq!(read.verify(&key(1).verifying_key(), NOW).expect("verifies").reason, "once a quarter");
    assert_eq!(read.verify(&key(3).verifying_key(), NOW), Err(DrillError::Signature));
    for at in [NOW - 11, NOW + 10] {
        let verdict = read.verify(&key(1).verifying_key(), at);
        assert!(matches!(verdict, Err(DrillError::CertificateExpired { .. })), "{verdict:?}");
    }
}

#[test]
fn a_call_ends() {
    let root = key(1);
    let long = Certificate::issue(&root, CertifiedKind::InviteKey, &key(2).verifying_key(), 0, i64::MAX);
    let call = Call::issue(&payload(vec![long]), &key(2)).expect("a good call");
    assert!(call.verify(&root.verifying_key(), NOW + 59).is_ok());
    assert_eq!(call.verify(&root.verifying_key(), NOW + 60), Err(DrillError::Expired));
}

#[test]
fn answers_are_bound_to_the_very_key_that_is_trusted() {
    let chain = vec![certificate(9, CertifiedKind::RootKey, 1), certificate(1, CertifiedKind::InviteKey, 2)];
    let call = Call::issue(&payload(chain), &key(2)).expect("a good call");
    assert!(call.verify(&key(1).verifying_key(), NOW).is_ok());
    assert_eq!(call.verify(&key(9).verifying_key(), NOW), Err(DrillError::OtherOracle), "its predecessor");
}

#[test]
fn a_changed_word_is_noticed() {
    let sent = call();
    for (from, to) in
        [("quarter", "quartet"), ("\"drill\"", "\"dr1ll\""), ("olga", "omar"), ("\"size\":3", "\"size\":4")]
    {
        let text = String::from_utf8(sent.payload.clone()).expect("JSON");
        assert!(text.contains(from), "{from}");
        let forged = Call::from_parts(text.replace(from, to).into_bytes(), sent.signature.clone());
        assert!(forged.and_then(|call| call.verify(&key(1).verifying_key(), NOW).map(|_| ())).is_err(), "{from}");
    }
    assert!(Call::parse(&sent.to_url().replace("oracle.example", "evil.example")).is_err());
    assert!(Call::parse(&sent.page_url()).is_err());
}

#[test]
fn what_cannot_be_is_refused() {
    let changes: [(&str, Change); 12] = [
        ("version", |fields| fields.version = 2),
        ("id", |fields| fields.drill = "../admin".into()),
        ("address", |fields| fields.oracle = "https://oracle.example/".into()),
        ("root key", |fields| fields.root_key = vec![1; 31].into()),
        ("threshold", |fields| fields.threshold = 1),
        ("size", |fields| fields.size = 1),
        ("note", |fields| fields.note = "n".repeat(MAX_NOTE + 1)),
        ("asker", |fields| fields.asker = "n".repeat(MAX_ASKER + 1)),
        ("reason", |fields| fields.reason = "n".repeat(MAX_REASON + 1)),
        ("challenge", |fields| fields.challenge = vec![7; 33].into()),
        ("times", |fields| fields.expires = fields.created),
        ("overflow", |fields| fields.expires = i64::MAX),
    ];
    for (what, change) in changes {
        let mut fields = payload(Vec::new());
        change(&mut fields);
        assert!(matches!(Call::issue(&fields, &key(2)), Err(DrillError::Malformed(_))), "{what}");
    }
}

#[test]
fn a_call_is_no_invite_and_an_invite_no_call() {
    let call = call();
    assert!(crate::invite::Invite::parse(&call.to_url()).is_err());
    let as_invite = [b"quorate/1 invite\0".as_slice(), call.payload()].concat();
    assert!(proof::verify(&key(2).verifying_key(), &as_invite, call.signature()).is_err());
}
