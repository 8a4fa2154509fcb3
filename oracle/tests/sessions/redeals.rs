//! Redeals: run once, exactly as approved, and then the old group ends.

use crate::support::Answer;
use crate::support::Asked;
use crate::support::Court;
use crate::support::dealt;
use crate::support::plan;
use crate::support::plan_of;
use crate::support::planned;
use quorate_protocol::deal::Deal;
use quorate_protocol::encoding::base64;
use quorate_protocol::invite::Purpose;
use quorate_protocol::proof::receipt_message;
use quorate_protocol::proof::sign;
use quorate_protocol::toc::Group;
use quorate_protocol::toc::Toc;
use quorate_protocol::toc::WholeToc;
use reqwest::StatusCode;
use serde_json::json;

pub async fn a_redeal_moves_the_secret_and_ends_the_old_group() {
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
    let fetched = Answer::read(request.send().await.expect("an answer")).await;
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

pub async fn a_redeal_happens_only_as_approved() {
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
