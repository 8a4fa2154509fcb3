//! Tocs that are not what they seem: each is dropped and named, and none gives a wrong code.

use crate::support::Asked;
use crate::support::Court;
use crate::support::dealt;
use crate::support::signed_request;
use quorate_protocol::deal::Deal;
use quorate_protocol::encoding::base64;
use quorate_protocol::header::Header;
use quorate_protocol::invite::Purpose;
use quorate_protocol::sharing::Share;
use quorate_protocol::sharing::split;
use quorate_protocol::toc::Group;
use quorate_protocol::toc::WholeToc;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::StatusCode;
use serde_json::Value;
use serde_json::json;

/// Every sort of false Toc, one at a time: it is dropped and named, and the next good one makes the session quorate.
pub async fn one_false_toc_never_blocks_a_session() {
    let court = Court::of(2, 3).await;
    let tocs = &court.deal.tocs;
    let other = dealt(99, 2, 3);
    let text = |toc: &WholeToc| String::from_utf8(toc.to_short_json().to_vec()).expect("JSON");
    let share = |toc: &WholeToc, change: fn(&mut [u8; 33])| {
        let mut bytes = *toc.share().as_bytes();
        change(&mut bytes);
        text(toc).replace(&base64(toc.share().as_bytes()), &base64(&bytes))
    };
    let whole = String::from_utf8(tocs[1].to_json().to_vec()).expect("JSON");
    let header = base64(tocs[1].header().bytes());
    let sealed = base64(tocs[1].sealed());
    let flip = |bytes: &[u8]| base64(&[&bytes[..40], &[bytes[40] ^ 1], &bytes[41..]].concat());
    let false_tocs: Vec<(&str, Vec<u8>)> = vec![
        ("no JSON", b"junk".to_vec()),
        ("another group", other.tocs[1].to_short_json().to_vec()),
        ("another group, whole", other.tocs[1].to_json().to_vec()),
        ("x = 0", share(&tocs[1], |bytes| bytes[0] = 0).into_bytes()),
        ("x above size", share(&tocs[1], |bytes| bytes[0] = 4).into_bytes()),
        ("x of another player", share(&tocs[1], |bytes| bytes[0] = 3).into_bytes()),
        ("a flipped bit in the share", share(&tocs[1], |bytes| bytes[17] ^= 1).into_bytes()),
        ("a flipped bit in the header", whole.replace(&header, &flip(tocs[1].header().bytes())).into_bytes()),
        ("a flipped bit in the sealed part", whole.replace(&sealed, &flip(tocs[1].sealed())).into_bytes()),
        ("a short share", text(&tocs[1]).replace(&base64(tocs[1].share().as_bytes()), "AQID").into_bytes()),
        (
            "a farMFA share",
            json!({"group_id": court.deal.group.header.fields().group_id, "group_size": 3, "group_threshold": 2,
            "share": "C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ", "toc_id": "x"})
            .to_string()
            .into_bytes(),
        ),
    ];
    for (what, plaintext) in false_tocs {
        let asked = court.ask(1).await;
        court.join(&asked, 1).await;
        // With the proof of a holder who lies, and without any.
        let lying = asked.proved(&tocs[1], asked.encrypt(&plaintext));
        assert_eq!(court.post(&asked.path("tocs"), &lying).await.status, StatusCode::OK, "{what}");
        let answer = court.code(&asked).await;
        assert_eq!(answer.refusal(), (409, "not_quorate"), "{what}");
        assert!(answer.text.contains("player 2"), "{what}: the false Toc is named: {}", answer.text);
        let unproved = Asked::unproved(asked.encrypt(&plaintext));
        assert_eq!(court.post(&asked.path("tocs"), &unproved).await.status, StatusCode::OK, "{what}");
        court.join(&asked, 3).await;
        court.assert_code(&asked).await;
        // And the liar may mend it.
        court.join(&asked, 2).await;
        court.assert_code(&asked).await;
    }
}

pub async fn armored_text_that_is_no_toc_and_tocs_for_others_are_refused_or_dropped() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    for text in ["", "hello", "-----BEGIN AGE ENCRYPTED FILE-----\nAAAA\n-----END AGE ENCRYPTED FILE-----\n"] {
        let answer = court.post(&asked.path("tocs"), &Asked::unproved(text.to_owned())).await;
        assert_eq!(answer.refusal(), (400, "toc_not_encrypted"), "{text:?}");
    }
    let stranger = age::x25519::Identity::generate().to_public();
    let elsewhere = quorate_protocol::sealing::age_seal(
        &court.deal.tocs[1].to_short_json(),
        std::iter::once(&stranger as &dyn age::Recipient),
    )
    .expect("sealed");
    court.join(&asked, 1).await;
    assert_eq!(
        court.post(&asked.path("tocs"), &asked.proved(&court.deal.tocs[1], elsewhere)).await.status,
        StatusCode::OK
    );
    assert_eq!(court.code(&asked).await.refusal(), (409, "not_quorate"));
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;
}

/// The dealer publishes keys that do not lie on one polynomial: nobody gets a code, right or wrong.
pub async fn a_dishonest_deal_gives_no_code() {
    let mut court = Court::of(2, 4).await;
    let stray = split(&[9; 32], 2, 4, &mut StdRng::seed_from_u64(5)).expect("split")[3].clone();
    let mut fields = court.deal.group.header.fields().clone();
    let key = stray.signing_key(&fields.group_id, &fields.players[3].toc_id).verifying_key();
    fields.players[3].share_key = key.to_bytes().to_vec().into();
    let header = Header::new(fields).expect("a header");
    court.deal = with_header(&court.deal, &header, |i, share| if i == 3 { stray.clone() } else { share });
    for pair in [[1, 2], [1, 4]] {
        let asked = court.ask(pair[0]).await;
        court.join(&asked, pair[0]).await;
        court.join(&asked, pair[1]).await;
        assert_eq!(court.code(&asked).await.refusal(), (409, "bad_deal"), "{pair:?}");
    }
}

/// Somebody rewrites the header: fewer Tocs, or another player's key. The shares still check, the deal does not.
pub async fn a_rewritten_header_gives_no_code() {
    let court = Court::of(3, 4).await;
    let mut lowered = court.deal.group.header.fields().clone();
    lowered.threshold = 2;
    let lowered = Header::new(lowered).expect("a header");
    let forged = with_header(&court.deal, &lowered, |_, share| share);
    let time = court.clock_seconds();
    let request = signed_request(&court.oracle.url(""), &forged.tocs[0], Purpose::Code, None, "", time);
    let asked = court.post("/sessions", &request).await.asked();
    for toc in &forged.tocs[..2] {
        assert_eq!(court.post(&asked.path("tocs"), &asked.approval(toc)).await.status, StatusCode::OK);
    }
    assert_eq!(court.code(&asked).await.refusal(), (409, "bad_deal"));
    // Honest players of the real group cannot be made to join it: their proofs and Tocs name another G.
    assert_eq!(
        court.post(&asked.path("tocs"), &asked.approval(&court.deal.tocs[2])).await.refusal(),
        (403, "bad_proof")
    );

    let mut swapped = court.deal.group.header.fields().clone();
    swapped.players[1].share_key = swapped.players[0].share_key.clone();
    let refused = Header::new(swapped.clone());
    assert!(refused.is_err(), "one key for two players");
}

/// An applicant with one share forges a group of threshold 2 to learn what an honest share adds to it.
pub async fn a_forged_toc_zero_cannot_probe_an_honest_share() {
    let court = Court::of(3, 5).await;
    let honest = &court.deal.tocs[1];
    let fields = court.deal.group.header.fields();
    let outer = |threshold: u8, share: &[u8]| {
        json!({"group_id": fields.group_id, "group_size": fields.size, "group_threshold": threshold, "note": fields.note,
            "toc_id": fields.players[0].toc_id, "share": base64(share)})
    };
    // farMFA-shaped, around one of our shares: an honest Toc of ours is never combined as farMFA's.
    let mut vault = honest.share().as_bytes().to_vec();
    vault.rotate_left(1);
    let asked = court.post("/sessions", &json!({ "toc_zero": outer(2, &vault) })).await.asked();
    for plaintext in [honest.to_short_json(), honest.to_json()] {
        let posted = court.post(&asked.path("tocs"), &Asked::unproved(asked.encrypt(&plaintext))).await;
        assert_eq!(posted.status, StatusCode::OK);
    }
    assert_eq!(court.code(&asked).await.refusal(), (409, "not_quorate"));

    // An honest farMFA Toc says three; a session that says two does not take it.
    let three = outer(3, &[&[7; 32][..], &[2]].concat());
    let asked = court.post("/sessions", &json!({ "toc_zero": outer(2, &[&[9; 32][..], &[1]].concat()) })).await.asked();
    let posted = Asked::unproved(asked.encrypt(three.to_string().as_bytes()));
    assert_eq!(court.post(&asked.path("tocs"), &posted).await.status, StatusCode::OK);
    let answer = court.code(&asked).await;
    assert_eq!(answer.refusal(), (409, "not_quorate"));
    assert!(answer.text.contains("dropped"), "{}", answer.text);

    // With a quorate part, what stands outside must be what the header says.
    let mut lowered: Value = serde_json::from_slice(&honest.to_json()).expect("JSON");
    lowered["group_threshold"] = json!(2);
    assert_eq!(court.post("/sessions", &json!({ "toc_zero": lowered })).await.refusal(), (400, "invalid_toc"));
}

/// Shares of ours are checked one by one, so nothing can be learnt by trying: junk and lies are dropped for as long as they
/// come, and end nothing. farMFA's could be probed, so failures there are counted.
pub async fn junk_ends_no_session_of_ours_and_sixteen_failures_end_a_farmfa_one() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    court.join(&asked, 1).await;
    for round in 0..20 {
        let text = asked.encrypt(format!("junk {round}").as_bytes());
        let junk = if round % 2 == 0 { Asked::unproved(text) } else { asked.proved(&court.deal.tocs[1], text) };
        assert_eq!(court.post(&asked.path("tocs"), &junk).await.status, StatusCode::OK);
        assert_eq!(court.code(&asked).await.refusal(), (409, "not_quorate"), "round {round}");
    }
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;

    let asked = court.post("/sessions", &json!({ "toc_zero": farmfa(2, SHARE_ONE) })).await.asked();
    for round in 0..16 {
        let junk = Asked::unproved(asked.encrypt(format!("junk {round}").as_bytes()));
        assert_eq!(court.post(&asked.path("tocs"), &junk).await.status, StatusCode::OK, "round {round}");
        assert_eq!(court.code(&asked).await.refusal(), (409, "not_quorate"), "round {round}");
    }
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_exhausted"));
}

/// The two shares that farMFA's README prints: a published example.
const SHARE_ONE: &str = "5Ovpu-PKEeYXx5ebiQhzU_AT0Z79POf8GGkskDp3its=urkBkVXr-pYjIvTt1ch2YJILCScAoRquLoX_VBxxps4=";
const SHARE_TWO: &str = "zxRrozuUaCMgn_u6ajZStlV7RKwhp0keT9aQoXAEruI=nfx2CPJfKiFM32zLmtxHjV94OlZOgBevV1Whrx-lslU=";

fn farmfa(threshold: u8, share: &str) -> Value {
    json!({ "group_id": "J7UHQPZK", "group_size": 5, "group_threshold": threshold, "share": share, "toc_id": "x" })
}

/// Somebody with the invite and no Toc sends two shares of a key of their own, made to fit each other, before the honest
/// one comes: neither a code nor a redeal is made of them.
pub async fn a_stranger_cannot_bring_a_secret_of_their_own_into_a_farmfa_session() {
    let court = Court::of(2, 3).await;
    // Over the prime field of the older layout a constant polynomial is a line: both shares carry the key itself.
    let key =
        quorate_protocol::farmfa::Share::parse(SHARE_ONE).map(|_| "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").expect("a share");
    let share = |x: u8| {
        let mut at = [0; 32];
        at[31] = x;
        [at, <[u8; 32]>::try_from(key.as_bytes()).expect("32 characters")]
            .map(|number| data_encoding::BASE64URL.encode(&number))
            .concat()
    };
    let forged = [share(7), share(8)].map(|text| quorate_protocol::farmfa::Share::parse(&text).expect("a share"));
    assert_eq!(*quorate_protocol::farmfa::combine(&forged, 2).expect("fits").to_base32(), *key, "the forgery is sound");

    let asked = court.post("/sessions", &json!({ "toc_zero": farmfa(2, SHARE_ONE) })).await.asked();
    for x in [7, 8] {
        let forged = Asked::unproved(asked.encrypt(farmfa(2, &share(x)).to_string().as_bytes()));
        assert_eq!(court.post(&asked.path("tocs"), &forged).await.status, StatusCode::OK);
    }
    assert_eq!(court.code(&asked).await.refusal(), (409, "not_quorate"));
    let honest = Asked::unproved(asked.encrypt(farmfa(2, SHARE_TWO).to_string().as_bytes()));
    assert_eq!(court.post(&asked.path("tocs"), &honest).await.status, StatusCode::OK);
    let answer = court.code(&asked).await;
    let now = u64::try_from(court.clock_seconds()).expect("after 1970");
    let real = quorate_protocol::otp::OtpSecret::from_base32("HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ").expect("a key");
    assert_eq!(answer.json["totp"], *real.code_at(now).digits, "{}", answer.text);
    assert_eq!(answer.json["dropped"], json!(["unproved", "unproved"]));
}

/// A Toc with a thousand recipients would cost whoever opens it a thousand scalar multiplications.
pub async fn a_toc_for_many_recipients_is_refused() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let tek = asked.tek();
    let many = std::iter::repeat_n(&tek as &dyn age::Recipient, 9);
    let sealed = quorate_protocol::sealing::age_seal(&court.deal.tocs[1].to_short_json(), many).expect("sealed");
    let answer = court.post(&asked.path("tocs"), &Asked::unproved(sealed)).await;
    assert_eq!(answer.refusal(), (400, "toc_not_encrypted"));
    let large = Asked::unproved(asked.encrypt(&vec![b' '; 20_000]));
    assert_eq!(court.post(&asked.path("tocs"), &large).await.refusal(), (400, "invalid_request"));
}

/// The same shares, or others, under another header.
fn with_header(deal: &Deal, header: &Header, share: impl Fn(usize, Share) -> Share) -> Deal {
    let tocs = deal
        .tocs
        .iter()
        .enumerate()
        .map(|(i, toc)| {
            WholeToc::new(header.clone(), toc.sealed().to_vec(), share(i, toc.share().clone())).expect("checks")
        })
        .collect();
    Deal { group: Group { header: header.clone(), sealed: deal.group.sealed.clone() }, tocs }
}
