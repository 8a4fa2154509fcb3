//! Properties of everything that reads bytes from outside: no input makes a parser panic, what is written reads back, and
//! no flipped bit of a signed or hashed text goes unnoticed.

#[path = "vectors/fixed.rs"]
mod fixed;

use ed25519_dalek::SigningKey;
use fixed::{NOW, ORACLE, Stream};
use proptest::prelude::*;
use quorate_protocol::deal::{Deal, DealRequest, deal, rebuild};
use quorate_protocol::header::{GroupName, Header, HeaderFields, OraclePin, PlayerEntry};
use quorate_protocol::invite::{Applicant, Certificate, CertifiedKind, Invite, InvitePayload, Purpose};
use quorate_protocol::plan::{Plan, PlanFields, PlannedPlayer, Replaced};
use quorate_protocol::session::new_session_id;
use quorate_protocol::toc::{Group, Toc, WholeToc};

/// Hands `bytes` to every parser. Whatever is accepted must also survive being used.
fn read_everything(bytes: &[u8]) {
    if let Ok(header) = Header::parse(bytes) {
        assert!(header.fields().players.iter().all(|player| player.key().is_ok()));
        assert_eq!(header.bytes(), bytes);
    }
    match Toc::parse(bytes) {
        Ok(Toc::Whole(toc)) => {
            assert_eq!(toc.holder(), toc.header().player(toc.share().x()).expect("its player").holder);
        }
        Ok(Toc::Short(toc)) => assert_ne!(toc.share.x(), 0),
        Ok(Toc::Farmfa(toc)) => assert!(toc.threshold <= toc.size),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    if let Ok(plan) = Plan::parse(bytes) {
        assert!(plan.fields().players.iter().all(|player| player.natives().is_ok()));
    }
    if let Ok(group) = Group::parse(bytes) {
        assert_eq!(Group::parse(group.to_json().as_bytes()).expect("reads back"), group);
    }
    if let Ok(certificate) = serde_json::from_slice::<Certificate>(bytes) {
        assert!(certificate.verify(&fixed::next_root().verifying_key(), NOW).is_err());
    }
    let _ = Invite::from_parts(bytes.to_vec(), vec![0; 64]).map(|invite| invite.to_url());
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = Invite::parse(text).map(|invite| invite.verify(&fixed::root().verifying_key(), NOW).map(|_| ()));
    }
}

fn example() -> Deal {
    let secret = fixed::secret();
    let request = DealRequest {
        secret: &secret,
        threshold: 2,
        holders: &["Ann", "Björn"].map(String::from),
        note: "AWS",
        dealt_at: NOW,
        oracle: Some(pin()),
        replaces: Some(GroupName([7; 32])),
    };
    deal(&request, &mut Stream::new("properties")).expect("a good deal")
}

fn pin() -> OraclePin {
    OraclePin { url: ORACLE.to_owned(), root_key: fixed::root().verifying_key().to_bytes().to_vec().into() }
}

fn certificate() -> Certificate {
    let key = fixed::invite_key().verifying_key();
    Certificate::issue(&fixed::root(), CertifiedKind::InviteKey, &key, NOW - 60, NOW + 60)
}

fn payload(deal: &Deal) -> InvitePayload {
    let fields = deal.group.header.fields();
    InvitePayload {
        version: 1,
        session: fixed::session_id(),
        oracle: ORACLE.to_owned(),
        tek: fixed::tek().recipient(),
        group: Some(deal.group.name()),
        group_id: fields.group_id.clone(),
        size: fields.size,
        threshold: fields.threshold,
        note: fields.note.clone(),
        purpose: Purpose::Code,
        plan_digest: None,
        plan: None,
        applicant: Applicant::Proved { holder: "Ann".to_owned(), x: 1 },
        reason: "month".to_owned(),
        ttl: 60,
        max_codes: None,
        created: NOW,
        expires: NOW + 60,
        certificates: vec![certificate()],
    }
}

fn plan(replaces: Replaced, threshold: u8, note: String, holders: &[String]) -> Plan {
    let players = holders
        .iter()
        .map(|holder| PlannedPlayer {
            holder: holder.clone(),
            recipients: vec![
                fixed::x25519(holder).to_public().to_string(),
                fixed::x25519(&format!("spare of {holder}")).to_public().to_string(),
            ],
        })
        .collect();
    Plan::new(PlanFields { version: 1, replaces, threshold, note, players }).expect("a good plan")
}

/// Real inputs, one of each kind.
fn good_inputs() -> Vec<Vec<u8>> {
    let dealt = example();
    let holders = ["Ann", "Björn"].map(String::from);
    vec![
        dealt.group.header.bytes().to_vec(),
        dealt.group.to_json().into_bytes(),
        dealt.tocs[0].to_json().to_vec(),
        dealt.tocs[0].to_short_json().to_vec(),
        plan(Replaced::Group(dealt.group.name()), 2, String::new(), &holders).bytes().to_vec(),
        serde_json::to_vec(&certificate()).expect("JSON"),
        serde_json::to_vec(&payload(&dealt)).expect("JSON"),
        Invite::issue(payload(&dealt), &fixed::invite_key()).to_url().into_bytes(),
    ]
}

/// A good input with some of its bytes replaced, removed or doubled.
fn damaged() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..8),
        "[0-9a-f\\[\\]{}:,\"\\\\eE.+-]{0,8}".prop_map(String::into_bytes),
        Just(b"null".to_vec()),
        Just(b"[]".to_vec()),
        Just(b"99999999999999999999".to_vec()),
    ];
    let damage = (any::<prop::sample::Index>(), 0usize..8, piece);
    (prop::sample::select(good_inputs()), proptest::collection::vec(damage, 1..4)).prop_map(|(mut bytes, damages)| {
        for (at, length, piece) in damages {
            let at = at.index(bytes.len() + 1);
            let end = bytes.len().min(at + length);
            bytes.splice(at..end, piece);
        }
        bytes
    })
}

fn name() -> impl Strategy<Value = String> {
    "[\\PC&&[^\\pZ]]{1,12}"
}

prop_compose! {
    fn header_fields()(
        names in proptest::collection::hash_set(name(), 2..6),
        seed: u8,
        threshold: prop::sample::Index,
        note in "\\PC{0,40}",
        group_id in "[A-Z2-7]{8}",
        dealt_at: i64,
        replaces in proptest::option::of(any::<[u8; 32]>()),
        pinned: bool,
    ) -> HeaderFields {
        let players: Vec<PlayerEntry> = names
            .into_iter()
            .zip(1u8..)
            .map(|(holder, x)| {
                let mut bytes = [seed; 32];
                bytes[0] = x;
                let key = SigningKey::from_bytes(&bytes).verifying_key();
                PlayerEntry { toc_id: format!("toc {x}"), holder, share_key: key.to_bytes().to_vec().into() }
            })
            .collect();
        let size = u8::try_from(players.len()).expect("few");
        let threshold = u8::try_from(2 + threshold.index(usize::from(size) - 1)).expect("few");
        let oracle = pinned.then(pin);
        HeaderFields { version: 1, group_id, size, threshold, note, dealt_at, replaces: replaces.map(GroupName), oracle, players }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        read_everything(&bytes);
    }

    #[test]
    fn damaged_input_never_panics(bytes in damaged()) {
        read_everything(&bytes);
    }

    #[test]
    fn headers_read_back(fields in header_fields()) {
        let header = Header::new(fields.clone()).expect("good fields");
        let read = Header::parse(header.bytes()).expect("reads back");
        prop_assert_eq!(read.fields(), &fields);
        prop_assert_eq!(read, header);
    }

    /// What is written differently is another header, even where it says the same.
    #[test]
    fn a_header_is_its_bytes(fields in header_fields(), at in 0usize..4) {
        let header = Header::new(fields).expect("good fields");
        let mut spaced = header.bytes().to_vec();
        let comma = spaced.iter().enumerate().filter(|(_, byte)| **byte == b',').map(|(i, _)| i).nth(at).expect("a comma");
        // A space behind the comma: inside a name it changes the name, elsewhere nothing but the bytes.
        spaced.insert(comma + 1, b' ');
        if let Ok(other) = Header::parse(&spaced) {
            prop_assert_ne!(other.digest(), header.digest());
            prop_assert_ne!(other.group_name(b"sealed"), header.group_name(b"sealed"));
        }
    }

    #[test]
    fn deals_read_back(holders in proptest::collection::hash_set(name(), 2..5), note in "\\PC{0,40}", dealt_at: i64, threshold: prop::sample::Index) {
        let holders: Vec<String> = holders.into_iter().collect();
        let secret = fixed::secret();
        let threshold = 2 + threshold.index(holders.len() - 1);
        let request = DealRequest { secret: &secret, threshold, holders: &holders, note: &note, dealt_at, oracle: None, replaces: None };
        let dealt = deal(&request, &mut Stream::new("deals read back")).expect("a good deal");
        prop_assert_eq!(&Group::parse(dealt.group.to_json().as_bytes()).expect("reads back"), &dealt.group);
        let mut shares = Vec::new();
        for toc in dealt.tocs.iter().rev().take(threshold) {
            let Ok(Toc::Whole(whole)) = Toc::parse(&toc.to_json()) else { panic!("a whole Toc does not read back") };
            prop_assert_eq!(whole.to_json(), toc.to_json());
            prop_assert_eq!(whole.group(), dealt.group.name());
            let Ok(Toc::Short(short)) = Toc::parse(&toc.to_short_json()) else { panic!("a short Toc does not read back") };
            prop_assert_eq!(short.group, dealt.group.name());
            shares.push(short.share);
        }
        prop_assert_eq!(rebuild(&dealt.group, &shares).expect("a quorum").to_uri(), secret.to_uri());
    }

    #[test]
    fn plans_read_back(
        holders in proptest::collection::hash_set("[a-z]{1,12}", 2..5),
        note in "\\PC{0,40}",
        replaces in prop_oneof![any::<[u8; 32]>().prop_map(|g| Replaced::Group(GroupName(g))), "\\PC{0,8}".prop_map(Replaced::Farmfa)],
    ) {
        let holders: Vec<String> = holders.into_iter().collect();
        let made = plan(replaces, 2, note, &holders);
        prop_assert_eq!(Plan::parse(made.bytes()).expect("reads back"), made);
    }

    #[test]
    fn invites_read_back(reason in "\\PC{0,60}", note in "\\PC{0,40}", seed in "[a-z]{1,8}", redeal: bool, proved: bool, created in 0..NOW + 60) {
        let dealt = example();
        let label: &'static str = if redeal { "redeal" } else { "code" };
        let plan = redeal.then(|| plan(Replaced::Group(dealt.group.name()), 2, note.clone(), &["Ann".to_owned(), seed.clone()]));
        let fields = InvitePayload {
            session: new_session_id(&mut Stream::new(label)),
            purpose: if redeal { Purpose::Redeal } else { Purpose::Code },
            plan_digest: plan.as_ref().map(|plan| plan.digest().to_vec().into()),
            plan: plan.map(|plan| plan.bytes().to_vec().into()),
            applicant: if proved { Applicant::Proved { holder: seed, x: 1 } } else { Applicant::Unverified },
            reason,
            note,
            created,
            expires: NOW + 60,
            ..payload(&dealt)
        };
        let invite = Invite::issue(fields.clone(), &fixed::invite_key());
        for text in [invite.to_url(), format!("  {}\n", invite.to_url()), invite.to_url().split_once('#').expect("a fragment").1.to_owned()] {
            let read = Invite::parse(&text).expect("reads back");
            prop_assert_eq!(read.verify(&fixed::root().verifying_key(), NOW).expect("verifies"), &fields);
            prop_assert_eq!(&read, &invite);
        }
    }

    #[test]
    fn certificates_read_back(seed: [u8; 32], not_before: i64, expires: i64, root: bool, now: i64) {
        let key = SigningKey::from_bytes(&seed).verifying_key();
        let kind = if root { CertifiedKind::RootKey } else { CertifiedKind::InviteKey };
        let made = Certificate::issue(&fixed::root(), kind, &key, not_before, expires);
        let read: Certificate = serde_json::from_slice(&serde_json::to_vec(&made).expect("JSON")).expect("reads back");
        prop_assert_eq!(&read, &made);
        let says = read.read().expect("readable");
        prop_assert_eq!((says.kind, says.not_before, says.expires), (kind, not_before, expires));
        prop_assert_eq!(says.verifying_key().expect("a key"), key);
        let verdict = read.verify(&fixed::root().verifying_key(), now);
        prop_assert_eq!(verdict.is_ok(), (not_before..expires).contains(&now));
    }
}

/// Every text that differs from `text` in one bit and is still text.
fn flips(text: &[u8]) -> impl Iterator<Item = (usize, Vec<u8>)> {
    (0..text.len() * 8).map(|bit| {
        let mut bytes = text.to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        (bit, bytes)
    })
}

#[test]
fn a_flipped_bit_in_a_whole_toc_is_refused_or_makes_it_of_another_group() {
    let dealt = example();
    let toc: &WholeToc = &dealt.tocs[0];
    let (mut refused, mut other_group, mut not_ours) = (0, 0, 0);
    for (bit, bytes) in flips(&toc.to_json()) {
        match Toc::parse(&bytes) {
            Err(_) => refused += 1,
            Ok(Toc::Whole(whole)) => {
                assert_ne!(whole.group(), dealt.group.name(), "bit {bit} changes nothing");
                other_group += 1;
            }
            // A damaged key "quorate" leaves a Toc that no session of this group takes.
            Ok(Toc::Farmfa(_)) => not_ours += 1,
            Ok(Toc::Short(_)) => panic!("bit {bit} makes it short"),
        }
    }
    assert!(refused > 1_000 && other_group > 100 && not_ours < 100, "{refused} {other_group} {not_ours}");
}

#[test]
fn a_flipped_bit_in_a_group_file_is_refused() {
    let group = example().group;
    for (bit, bytes) in flips(group.to_json().as_bytes()) {
        assert!(Group::parse(&bytes).is_err(), "bit {bit} changes nothing");
    }
}

#[test]
fn a_flipped_bit_in_a_header_is_refused_or_changes_the_group() {
    let group = example().group;
    for (bit, bytes) in flips(group.header.bytes()) {
        if let Ok(header) = Header::parse(&bytes) {
            assert_ne!(header.group_name(&group.sealed), group.name(), "bit {bit} changes nothing");
        }
    }
}

#[test]
fn a_flipped_bit_in_an_invite_is_refused() {
    let root = fixed::root().verifying_key();
    let url = Invite::issue(payload(&example()), &fixed::invite_key()).to_url();
    Invite::parse(&url).and_then(|invite| invite.verify(&root, NOW).map(|_| ())).expect("good as it is");
    for (bit, bytes) in flips(url.as_bytes()) {
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let verdict = Invite::parse(&text).and_then(|invite| invite.verify(&root, NOW).map(|_| ()));
        assert!(verdict.is_err(), "bit {bit} changes nothing");
    }
}
