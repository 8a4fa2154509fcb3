//! Quorum sessions over HTTP: the honest path, and everything dishonest that a stranger, an applicant, a constituent or a
//! dealer can send. Every refusal is checked by its status and stable word.

mod support;

use quorate_oracle::testing::TestSetup;
use quorate_protocol::deal::Deal;
use quorate_protocol::header::Header;
use quorate_protocol::invite::Purpose;
use quorate_protocol::proof::{approve_message, deny_message, receipt_message, sign};
use quorate_protocol::sharing::{Share, split};
use quorate_protocol::toc::{Group, Toc, WholeToc};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use support::{Asked, Court, dealt, plan, plan_of, planned, signed_request};

#[tokio::test]
async fn a_quorum_gets_the_code_and_nobody_less() {
    let court = Court::of(3, 5).await;
    let asked = court.ask(2).await;
    for (before, x) in [2, 5, 1].into_iter().enumerate() {
        let answer = court.code(&asked).await;
        assert_eq!(answer.refusal(), (409, "not_quorate"));
        assert_eq!(
            (answer.json["tocs_provided"].as_u64(), answer.json["tocs_threshold"].as_u64()),
            (Some(before as u64), Some(3))
        );
        court.join(&asked, x).await;
    }
    court.assert_code(&asked).await;
    assert_eq!(court.get(&format!("/sessions/{}", asked.id())).await.json["complete"], true);
}

#[tokio::test]
async fn a_farmfa_client_works_with_our_tocs_too() {
    let court = Court::of(2, 3).await;
    let toc = &court.deal.tocs;
    let zero: Value = serde_json::from_slice(&toc[0].to_json()).expect("JSON");
    let asked = court.post("/sessions", &json!({ "toc_zero": zero })).await.asked();
    assert_eq!(asked.credentials.session.tocs_provided, 1);
    let whole = Asked::unproved(asked.encrypt(&toc[2].to_json()));
    assert_eq!(court.post(&asked.path("tocs"), &whole).await.status, StatusCode::OK);
    court.assert_code(&asked).await;
}

#[tokio::test]
async fn the_same_toc_twice_counts_once() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let approval = asked.approval(&court.deal.tocs[0]);
    for _ in 0..3 {
        assert_eq!(court.post(&asked.path("tocs"), &approval).await.status, StatusCode::OK);
    }
    // Encrypted anew it is another file, and still the same player's.
    court.join(&asked, 1).await;
    // Without its proof it may count provisionally, until it is opened.
    assert_eq!(
        court.post(&asked.path("tocs"), &Asked::unproved(asked.encrypt(&court.deal.tocs[0].to_json()))).await.status,
        200
    );
    assert_eq!(court.code(&asked).await.refusal(), (409, "not_quorate"));
    court.join(&asked, 3).await;
    court.assert_code(&asked).await;
}

/// Bodies that are not what a route takes, on every route that takes one.
#[tokio::test]
async fn junk_bodies_are_refused() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let paths = ["tocs", "denials", "totp", "redeal", "receipts"].map(|what| asked.path(what));
    for path in paths.iter().map(String::as_str).chain(["/sessions"]) {
        let send = |content_type: &'static str, body: Vec<u8>| {
            court.http.post(court.oracle.url(path)).header("content-type", content_type).body(body).send()
        };
        let json = "application/json";
        let cases = [
            (json, b"{".to_vec(), 400),
            (json, b"\xff\xfe".to_vec(), 400),
            (json, b"[]".to_vec(), 400),
            (json, b"null".to_vec(), 400),
            (json, b"{\"kek\": {}, \"encrypted_toc\": 3, \"x\": 900, \"toc_zero\": 1}".to_vec(), 400),
            (json, [b"{\"kek\":\"".to_vec(), vec![b'A'; 200_000], b"\"}".to_vec()].concat(), 413),
            ("text/plain", b"{}".to_vec(), 415),
        ];
        for (content_type, body, status) in cases {
            let shown = String::from_utf8_lossy(&body[..body.len().min(40)]).into_owned();
            let answer = support::Answer::read(send(content_type, body).await.expect("an answer")).await;
            assert_eq!(answer.status.as_u16(), status, "{path} {shown}: {}", answer.text);
            assert_eq!(answer.json["status"], status, "{path} {shown}");
            assert_eq!(answer.json["message"], answer.json["error"]);
        }
    }
    court.join(&asked, 1).await;
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;
}

#[tokio::test]
async fn duplicate_keys_are_refused_wherever_they_stand() {
    let court = Court::of(2, 3).await;
    let toc = String::from_utf8(court.deal.tocs[0].to_json().to_vec()).expect("JSON");
    let doubled = toc.replacen('{', "{\"group_threshold\":2,", 1);
    for body in [format!("{{\"toc_zero\":{doubled}}}"), format!("{{\"toc_zero\":{toc},\"toc_zero\":{toc}}}")] {
        let request =
            court.http.post(court.oracle.url("/sessions")).header("content-type", "application/json").body(body);
        let answer = support::Answer::read(request.send().await.expect("an answer")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    }
    let asked = court.ask(2).await;
    court.join(&asked, 2).await;
    let twice = Asked::unproved(asked.encrypt(doubled.as_bytes()));
    assert_eq!(court.post(&asked.path("tocs"), &twice).await.status, StatusCode::OK);
    let answer = court.code(&asked).await;
    assert_eq!(answer.refusal(), (409, "not_quorate"));
    assert!(answer.text.contains("unproved"), "{}", answer.text);
}

/// Every sort of false Toc, one at a time: it is dropped and named, and the next good one makes the session quorate.
#[tokio::test]
async fn one_false_toc_never_blocks_a_session() {
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

#[tokio::test]
async fn armored_text_that_is_no_toc_and_tocs_for_others_are_refused_or_dropped() {
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
#[tokio::test]
async fn a_dishonest_deal_gives_no_code() {
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
#[tokio::test]
async fn a_rewritten_header_gives_no_code() {
    let court = Court::of(3, 4).await;
    let mut lowered = court.deal.group.header.fields().clone();
    lowered.threshold = 2;
    let lowered = Header::new(lowered).expect("a header");
    let forged = with_header(&court.deal, &lowered, |_, share| share);
    let time = court.clock_seconds();
    let asked = court.post("/sessions", &signed_request(&forged.tocs[0], Purpose::Code, None, "", time)).await.asked();
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
#[tokio::test]
async fn a_forged_toc_zero_cannot_probe_an_honest_share() {
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

#[tokio::test]
async fn a_proof_serves_for_its_session_purpose_player_and_label_only() {
    let court = Court::of(2, 3).await;
    let (asked, other) = (court.ask(1).await, court.ask(2).await);
    let toc = &court.deal.tocs[2];
    let encrypted = asked.encrypt(&toc.to_short_json());
    let key = toc.signing_key();
    let plan = plan(court.deal.group.name(), 2, &["a", "b"]);
    let redeal = court.ask_redeal(1, &plan).await;
    let wrong = [
        ("another session", approve_message(&other.invite.digest(), toc.group(), 3, &encrypted)),
        ("another purpose", approve_message(&redeal.invite.digest(), toc.group(), 3, &encrypted)),
        ("another player", approve_message(&asked.invite.digest(), toc.group(), 2, &encrypted)),
        ("another Toc", approve_message(&asked.invite.digest(), toc.group(), 3, "x")),
        ("the label deny", deny_message(&asked.invite.digest(), toc.group(), 3, &encrypted)),
        ("the label receipt", receipt_message(&asked.invite.digest(), toc.group(), 3, toc.header())),
    ];
    for (what, message) in wrong {
        let body = json!({ "encrypted_toc": encrypted, "x": 3, "proof": base64(&sign(&key, &message)) });
        assert_eq!(court.post(&asked.path("tocs"), &body).await.refusal(), (403, "bad_proof"), "{what}");
    }
    for x in [0, 4, 255] {
        let mut approval = asked.approval(toc);
        approval.x = Some(x);
        assert_eq!(court.post(&asked.path("tocs"), &approval).await.refusal(), (403, "bad_proof"), "x = {x}");
    }
    let mut half = asked.approval(toc);
    half.proof = None;
    assert_eq!(court.post(&asked.path("tocs"), &half).await.refusal(), (400, "invalid_request"));
    // An approval is no denial.
    let approval = asked.approval(toc);
    let denial = json!({ "x": 3, "proof": approval.proof, "reason": approval.encrypted_toc });
    assert_eq!(court.post(&asked.path("denials"), &denial).await.refusal(), (403, "bad_proof"));
}

#[tokio::test]
async fn who_asks_must_prove_it_freshly_and_once() {
    let court = Court::of(2, 3).await;
    let request = court.request(1, Purpose::Code, None);
    assert_eq!(court.post("/sessions", &request).await.status, StatusCode::OK);
    assert_eq!(court.post("/sessions", &request).await.refusal(), (409, "proof_used"));
    let at = |time| signed_request(&court.deal.tocs[0], Purpose::Code, None, "", time);
    for late in [support::NOW - 121, support::NOW + 121] {
        assert_eq!(court.post("/sessions", &at(late)).await.refusal(), (400, "proof_time"));
    }
    let mut reworded = court.request(2, Purpose::Code, None);
    reworded.reason = Some("something else".into());
    assert_eq!(court.post("/sessions", &reworded).await.refusal(), (403, "bad_proof"));
    let mut longer = court.request(2, Purpose::Code, None);
    longer.ttl = Some(86_400);
    assert_eq!(court.post("/sessions", &longer).await.refusal(), (403, "bad_proof"));
    let mut other = court.request(2, Purpose::Code, None);
    other.applicant.as_mut().expect("signed").x = 3;
    assert_eq!(court.post("/sessions", &other).await.refusal(), (403, "bad_proof"));
    for body in [json!({}), json!({ "header": base64(court.deal.group.header.bytes()) }), json!({ "ttl": 60 })] {
        assert_eq!(court.post("/sessions", &body).await.refusal(), (400, "invalid_request"));
    }
    for (field, value) in [("ttl", 59), ("ttl", 86_401), ("max_codes", 0)] {
        let mut body = serde_json::to_value(court.request(1, Purpose::Code, None)).expect("JSON");
        body[field] = json!(value);
        assert_eq!(court.post("/sessions", &body).await.refusal(), (400, "invalid_request"), "{field} = {value}");
    }
}

#[tokio::test]
async fn a_wrong_or_short_kek_opens_nothing() {
    let court = Court::of(2, 3).await;
    let (asked, other) = (court.ask(1).await, court.ask(2).await);
    court.join(&asked, 1).await;
    court.join(&asked, 2).await;
    for kek in ["", "AAAA", "not base64!", &base64(&[0; 32]), &base64(&[0; 33]), other.credentials.kek.as_str()] {
        let answer = court.post(&asked.path("totp"), &json!({ "kek": kek })).await;
        assert_eq!(answer.refusal(), (401, "cannot_open"), "{kek}");
    }
    court.assert_code(&asked).await;
}

#[tokio::test]
async fn sessions_end_in_each_of_their_ways() {
    let court = Court::of(2, 3).await;
    for id in ["A".repeat(32).as_str(), "x", "../etc", "%00"] {
        assert_eq!(court.get(&format!("/sessions/{id}")).await.status, StatusCode::NOT_FOUND, "{id}");
    }
    // Nobody completes it.
    let asked = court.ask(1).await;
    court.clock.advance(3_600_000);
    assert_eq!(court.get(&format!("/sessions/{}", asked.id())).await.refusal(), (410, "session_expired"));
    let late = asked.approval(&court.deal.tocs[0]);
    assert_eq!(court.post(&asked.path("tocs"), &late).await.refusal(), (410, "session_expired"));
    court.oracle.state().sessions.sweep().await.expect("swept");
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_expired"));
    court.clock.advance(3_700_000);
    court.oracle.state().sessions.sweep().await.expect("swept");
    assert_eq!(court.code(&asked).await.refusal(), (404, "session_unknown"));

    // Codes flow for ttl seconds after the first.
    let asked = court.ask(1).await;
    court.join(&asked, 1).await;
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;
    court.clock.advance(59_000);
    court.assert_code(&asked).await;
    court.clock.advance(1_000);
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_expired"));

    // Cancelled, with authority only.
    let asked = court.ask(1).await;
    let path = court.oracle.url(&format!("/sessions/{}", asked.id()));
    let cancel = |token: String| court.http.delete(&path).bearer_auth(token).send();
    for token in ["", "x", asked.credentials.kek.as_str(), &asked.invite.view_token()] {
        assert_eq!(cancel(token.to_owned()).await.expect("an answer").status(), StatusCode::UNAUTHORIZED, "{token}");
    }
    assert_eq!(court.http.delete(&path).send().await.expect("an answer").status(), StatusCode::UNAUTHORIZED);
    let token = quorate_protocol::session::Kek::from_base64(&asked.credentials.kek).expect("a KEK").cancel_token();
    assert_eq!(cancel(token.to_string()).await.expect("an answer").status(), StatusCode::NO_CONTENT);
    assert_eq!(cancel(token.to_string()).await.expect("an answer").status(), StatusCode::GONE);
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_cancelled"));
}

#[tokio::test]
async fn an_allowance_of_codes_is_kept() {
    let court = Court::of(2, 3).await;
    let toc: Value = serde_json::from_slice(&court.deal.tocs[0].to_json()).expect("JSON");
    let request = json!({ "toc_zero": toc, "max_codes": 2, "ttl": 600 });
    let asked = court.post("/sessions", &request).await.asked();
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;
    court.assert_code(&asked).await;
    court.clock.advance(30_000);
    court.assert_code(&asked).await;
    court.clock.advance(30_000);
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_exhausted"));
}

#[tokio::test]
async fn a_redeal_moves_the_secret_and_ends_the_old_group() {
    let mut court = Court::of(2, 3).await;
    let keys: Vec<_> = (0..4).map(|_| age::x25519::Identity::generate()).collect();
    let players = keys.iter().zip(["ann", "ben", "cho", "dee"]).map(|(key, name)| planned(name, key)).collect();
    let old = court.deal.group.name();
    let plan = plan_of(old, 3, players);
    let asked = court.ask_redeal(1, &plan).await;
    court.join(&asked, 1).await;
    // Approved by a signature or not at all: a Toc without proof does not count for a redeal.
    let unproved = Asked::unproved(asked.encrypt(&court.deal.tocs[2].to_json()));
    assert_eq!(court.post(&asked.path("tocs"), &unproved).await.status, StatusCode::OK);
    let kek = json!({ "kek": asked.credentials.kek.as_str() });
    assert_eq!(court.post(&asked.path("redeal"), &kek).await.refusal(), (409, "not_quorate"));
    court.join(&asked, 3).await;
    assert_eq!(court.code(&asked).await.refusal(), (409, "purpose_mismatch"));
    let done = court.post(&asked.path("redeal"), &kek).await;
    assert_eq!(done.status, StatusCode::OK, "{}", done.text);
    assert_eq!(court.post(&asked.path("redeal"), &kek).await.refusal(), (410, "session_redealt"));

    // Only with the invite are the new Tocs to be had.
    assert_eq!(court.get(&asked.path("redeal")).await.refusal(), (403, "invite_needed"));
    let request =
        court.http.get(court.oracle.url(&asked.path("redeal"))).header("quorate-invite", asked.invite.view_token());
    let fetched = support::Answer::read(request.send().await.expect("an answer")).await;
    assert_eq!(fetched.json, done.json);
    let group = Group::parse(fetched.json["group"].to_string().as_bytes()).expect("a group");
    assert_eq!(group.header.fields().replaces, Some(old));
    let tocs: Vec<WholeToc> = (0..4)
        .map(|i| {
            let armored = fetched.json["tocs"][i]["encrypted_toc"].as_str().expect("not yet received");
            let json = quorate_protocol::sealing::age_open(armored, &keys[i]).expect("encrypted to its player");
            let Toc::Whole(toc) = Toc::parse(&json).expect("a Toc") else { panic!("not whole") };
            toc
        })
        .collect();

    // Receipts: signed with the new key, by its own player; at the threshold the old group ends.
    for (i, toc) in tocs.iter().enumerate().take(3) {
        let still = court.ask(1).await;
        court.join(&still, 1).await;
        court.join(&still, 2).await;
        court.assert_code(&still).await;
        let x = toc.share().x();
        let message = receipt_message(&asked.invite.digest(), group.name(), x, &group.header);
        let forged = json!({ "x": x, "proof": base64(&sign(&tocs[3].signing_key(), &message)) });
        assert_eq!(court.post(&asked.path("receipts"), &forged).await.refusal(), (403, "bad_proof"));
        let receipt = json!({ "x": x, "proof": base64(&sign(&toc.signing_key(), &message)) });
        for _ in 0..2 {
            assert_eq!(
                court.post(&asked.path("receipts"), &receipt).await.status,
                StatusCode::NO_CONTENT,
                "receipt {i}"
            );
        }
        court.clock.advance(1_000);
    }
    let refused = court.post("/sessions", &court.request(1, Purpose::Code, None)).await;
    assert_eq!(refused.refusal(), (409, "group_refused"));
    court.deal = Deal { group, tocs };
    let asked = court.ask(4).await;
    for x in [4, 2, 1] {
        court.join(&asked, x).await;
    }
    court.assert_code(&asked).await;
}

#[tokio::test]
async fn a_redeal_happens_only_as_approved() {
    let court = Court::of(2, 3).await;
    let name = court.deal.group.name();
    let (good, evil) = (plan(name, 2, &["ann", "ben"]), plan(name, 2, &["eve", "mallory"]));
    // Approved for a code: no redeal, whatever else is sent.
    let asked = court.ask(1).await;
    court.join(&asked, 1).await;
    court.join(&asked, 2).await;
    let kek = json!({ "kek": asked.credentials.kek.as_str(), "plan": base64(evil.bytes()) });
    assert_eq!(court.post(&asked.path("redeal"), &kek).await.refusal(), (409, "purpose_mismatch"));
    // Approved for one plan: the approvals say nothing about another.
    let (approved, other) = (court.ask_redeal(1, &good).await, court.ask_redeal(1, &evil).await);
    for toc in &court.deal.tocs[..2] {
        let approval = approved.approval(toc);
        assert_eq!(court.post(&other.path("tocs"), &approval).await.refusal(), (403, "bad_proof"));
    }
    // The plan must name this group and stand in the request.
    let foreign = plan(dealt(7, 2, 3).group.name(), 2, &["ann", "ben"]);
    let request = court.request(1, Purpose::Redeal, Some(&foreign));
    assert_eq!(court.post("/sessions", &request).await.refusal(), (400, "invalid_request"));
    let request = court.request(1, Purpose::Redeal, None);
    assert_eq!(court.post("/sessions", &request).await.refusal(), (400, "invalid_request"));
    let mut request = court.request(1, Purpose::Redeal, Some(&good));
    request.plan = Some(evil.bytes().to_vec().into());
    assert_eq!(court.post("/sessions", &request).await.refusal(), (403, "bad_proof"));
}

#[tokio::test]
async fn a_no_is_signed_and_seen() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let mut denial = asked.denial(&court.deal.tocs[1], "not at night");
    denial.reason = "at any time".into();
    assert_eq!(court.post(&asked.path("denials"), &denial).await.refusal(), (403, "bad_proof"));
    let denial = asked.denial(&court.deal.tocs[1], "not at night");
    assert_eq!(court.post(&asked.path("denials"), &denial).await.status, StatusCode::NO_CONTENT);
    let path = format!("/sessions/{}", asked.id());
    let plain = court.get(&path).await;
    assert_eq!((plain.json["denials"].as_u64(), plain.json.get("details")), (Some(1), None));
    assert!(
        !plain.text.contains("player") && !plain.text.contains("month"),
        "names are for holders of the invite: {}",
        plain.text
    );
    let request = court.http.get(court.oracle.url(&path)).header("quorate-invite", asked.invite.view_token());
    let named = support::Answer::read(request.send().await.expect("an answer")).await;
    assert_eq!(named.json["details"]["denied"], json!(["player 2"]));
    assert_eq!(named.json["details"]["reason"], "close the month");
}

#[tokio::test]
async fn sixty_four_clients_start_sessions_at_once() {
    let court = Court::of(2, 64).await;
    let asking = (1..=64).map(|x| court.ask(x));
    let asked = futures_util::future::join_all(asking).await;
    let mut ids: Vec<&str> = asked.iter().map(Asked::id).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 64);
}

/// A stranger fills a session's pool and the oracle's sessions up to the caps; the honest quorum still gets its code.
#[tokio::test]
async fn a_stranger_with_junk_does_not_keep_an_honest_quorum_out() {
    let setup = TestSetup::default().set("sessions.open_per_source", "20").set("behind_proxy", "true");
    let court = Court::with(setup, 2, 3).await;
    let from = |source: &'static str, body: Value| {
        let request = court.http.request(Method::POST, court.oracle.url("/sessions")).header("x-forwarded-for", source);
        let sent = request.json(&body).send();
        async move { support::Answer::read(sent.await.expect("an answer")).await }
    };
    let junk = json!({"toc_zero": {"group_id": "J7UHQPZK", "group_size": 5, "group_threshold": 2, "toc_id": "x",
        "share": "C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ"}});
    let mut refused = 0;
    for _ in 0..30 {
        refused += usize::from(from("203.0.113.9", junk.clone()).await.refusal() == (429, "too_many_sessions"));
    }
    assert_eq!(refused, 10);
    let honest = serde_json::to_value(court.request(1, Purpose::Code, None)).expect("JSON");
    let asked = from("198.51.100.7", honest).await.asked();
    let mut full = false;
    for i in 0..10 {
        let answer =
            court.post(&asked.path("tocs"), &Asked::unproved(asked.encrypt(format!("junk {i}").as_bytes()))).await;
        full |= answer.refusal() == (429, "pool_full");
    }
    assert!(full, "the pool of Tocs without proof has an end");
    court.join(&asked, 1).await;
    court.join(&asked, 3).await;
    court.assert_code(&asked).await;
}

/// Failures of opening are counted where they could be used to probe a share; a stranger's junk ends nothing.
#[tokio::test]
async fn sixteen_failures_end_a_session_but_not_a_strangers() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    court.join(&asked, 1).await;
    for round in 0..20 {
        let junk = Asked::unproved(asked.encrypt(format!("junk {round}").as_bytes()));
        assert_eq!(court.post(&asked.path("tocs"), &junk).await.status, StatusCode::OK);
        assert_eq!(court.code(&asked).await.refusal(), (409, "not_quorate"), "round {round}");
    }
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;

    let asked = court.ask(1).await;
    court.join(&asked, 1).await;
    for round in 0..16 {
        let lie = asked.proved(&court.deal.tocs[1], asked.encrypt(format!("lie {round}").as_bytes()));
        assert_eq!(court.post(&asked.path("tocs"), &lie).await.status, StatusCode::OK, "round {round}");
        assert_eq!(court.code(&asked).await.refusal(), (409, "not_quorate"), "round {round}");
    }
    assert_eq!(court.code(&asked).await.refusal(), (410, "session_exhausted"));
}

#[tokio::test]
async fn events_are_told_in_order_and_resumed() {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    let follow = |after: &'static str| {
        let request =
            court.http.get(court.oracle.url(&asked.path("events"))).header("quorate-invite", asked.invite.view_token());
        request.header("last-event-id", after).send()
    };
    let mut live = follow("0").await.expect("an answer");
    let mut seen = String::new();
    for (what, act) in [("created", 0), ("joined", 1), ("joined", 2)] {
        if act > 0 {
            court.join(&asked, act).await;
        }
        while seen.matches(&format!("event: {what}")).count() < act.max(1) {
            let chunk = live.chunk().await.expect("alive").expect("not over");
            seen.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    }
    assert!(seen.contains("\"who\":\"player 2\""), "{seen}");
    let token = quorate_protocol::session::Kek::from_base64(&asked.credentials.kek).expect("a KEK").cancel_token();
    let path = court.oracle.url(&format!("/sessions/{}", asked.id()));
    court.http.delete(path).bearer_auth(token.as_str()).send().await.expect("an answer");
    while let Some(chunk) = live.chunk().await.expect("alive") {
        seen.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
    assert!(seen.contains("event: cancelled"), "the stream ends with the session: {seen}");
    let resumed = follow("3").await.expect("an answer").text().await.expect("a stream that ends");
    assert_eq!(resumed.matches("event: ").count(), 1, "{resumed}");
}

fn base64(bytes: &[u8]) -> String {
    quorate_protocol::encoding::base64(bytes)
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
