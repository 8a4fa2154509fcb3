//! What the approving page does not answer, and says so: forged and foreign invites, Tocs of others, people who refuse, oracles
//! that do not know it.

use super::{BEGUN, REASON, Scene, deal_for, forget, no_barriers, paste, sealed};
use crate::driver::Browser;
use crate::stage::Stage;
use fantoccini::key::Key;
use quorate_protocol::api::fingerprint;
use quorate_protocol::encoding::base64url;
use quorate_protocol::header::OraclePin;
use reqwest::Method;
use serde_json::json;

/// Reads `invite` as somebody who pastes it.
pub async fn read(browser: &Browser, invite: &str) {
    // What was said of another is no answer to this one.
    forget(browser, "read-said").await;
    paste(browser, "invite", invite).await;
    browser.click("button", "Read it").await;
}

#[tokio::test]
async fn invites_that_may_not_be_believed_are_refused_before_any_touch() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let deal = scene.settled(&browser).await;
    // Nobody touches anything from here on: whatever asks for it would not come to an end.
    scene.touched(&browser, false).await;
    let asked = scene.ask(&deal, REASON, None).await;
    let link = asked.invite.to_url();
    browser.open(&scene.site.origin()).await;
    browser.see(BEGUN).await;

    read(&browser, "").await;
    browser.see("This is not an invite: it is damaged or cut off.").await;
    read(&browser, &link[..link.len() - 1]).await;
    browser.see("This is not an invite: it is damaged or cut off.").await;
    read(&browser, &link.replace("https://127.0.0.1", "https://evil.oracle.test")).await;
    browser.see("This is not an invite: the address before # is not the one inside.").await;

    let payload = String::from_utf8(asked.invite.payload().to_vec()).expect("JSON");
    let forged = |from: &str, to: &str| {
        let changed = payload.replace(from, to);
        assert_ne!(changed, payload, "{from}");
        format!("{}.{}", base64url(changed.as_bytes()), base64url(asked.invite.signature()))
    };
    let other_key = age::x25519::Identity::generate().to_public().to_string();
    for (from, to) in [("month", "house"), (asked.invite.fields().tek.as_str(), other_key.as_str())] {
        read(&browser, &forged(from, to)).await;
        browser.see("This invite is not signed by the oracle that your Toc names. Do not answer it.").await;
    }
    let elsewhere = forged(&scene.description.url, "https://evil.oracle.test");
    read(&browser, &elsewhere).await;
    browser.see("This invite is of another oracle than the one that your Toc names.").await;
    browser.picture("approve-refused").await;

    // Another group of the same oracle, of which no Toc is filed here.
    let stranger = scene.ask(&scene.deal(), REASON, None).await;
    read(&browser, &stranger.invite.to_url()).await;
    browser.see("No Toc of this group is filed here.").await;

    // The invite as it is, on another day.
    browser.run("Date.now = () => new Date().getTime() + 7200000").await;
    read(&browser, &link).await;
    browser.see("This invite has expired.").await;

    // And a cancelled session.
    browser.open(&scene.site.origin()).await;
    browser.see(BEGUN).await;
    scene.stage.cancel(&asked).await;
    read(&browser, &link).await;
    browser.see("Whoever asked has cancelled this session.").await;
    no_barriers(&browser, "a session that has ended").await;
    let provided = browser.run("return document.getElementById('request').hidden").await;
    assert_eq!(provided, true, "nothing is offered for an answer");
}

#[tokio::test]
async fn tocs_of_others_are_not_filed() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let own = scene.make_key(&browser).await;
    let deal = scene.deal();

    scene.file(&browser, "dear diary").await;
    browser.see("This is not an age file").await;
    scene.file(&browser, &sealed(&deal.tocs[1], &age::x25519::Identity::generate().to_public())).await;
    browser.see("This Toc is not encrypted to the key that you chose.").await;
    let damaged = sealed(&deal.tocs[1], &own).replacen("\n-----END", "A\n-----END", 1);
    scene.file(&browser, &damaged).await;
    browser.see("This is not an age file").await;

    let pin = |url: &str, root_key: Vec<u8>| Some(OraclePin { url: url.to_owned(), root_key: root_key.into() });
    let root = scene.description.root_key.0.clone();
    let other_root = deal.tocs[0].signing_key().verifying_key().to_bytes().to_vec();
    for oracle in [pin("https://other.oracle.test", root), pin(&scene.description.url, other_root)] {
        scene.file(&browser, &sealed(&deal_for(oracle).tocs[1], &own)).await;
        browser.see("This Toc names another oracle than the one that the key was made for").await;
    }
    // Both fingerprints, and what helps against a mistake.
    let text = browser.text().await;
    let other = fingerprint(deal.tocs[0].signing_key().verifying_key().as_bytes());
    assert!(text.contains(&format!("the Toc has the fingerprint {other}, and with the key you typed")), "{text}");
    assert!(text.contains(&format!("typed {}.", scene.description.fingerprint)), "{text}");
    assert!(text.contains("take it up again with the right fingerprint"), "{text}");
    scene.file(&browser, "").await;
    browser.see("Choose a file, or paste what is in it.").await;
    let folder = tempfile::tempdir().expect("a folder");
    let chosen = folder.path().join("bob.toc.age");
    std::fs::write(&chosen, sealed(&deal.tocs[1], &own)).expect("a file");
    browser.choose("toc-file", &chosen).await;
    scene.file(&browser, &sealed(&deal.tocs[2], &own)).await;
    browser.see("There were a file and a text: which one is it?").await;
    browser.see("None is filed in this browser.").await;
    scene.file(&browser, &sealed(&deal_for(None).tocs[1], &own)).await;
    browser.see("This Toc names no oracle").await;

    // A share that was swapped for another player's.
    let toc = String::from_utf8(deal.tocs[1].to_json().to_vec()).expect("JSON");
    let share = |x: usize| quorate_protocol::encoding::base64(deal.tocs[x - 1].share().as_bytes());
    let swapped = toc.replace(&share(2), &share(1));
    assert_ne!(swapped, toc);
    let swapped = quorate_protocol::sealing::age_seal(swapped.as_bytes(), std::iter::once(&own as &dyn age::Recipient));
    scene.file(&browser, &swapped.expect("sealed")).await;
    browser.see("This is no Toc that can be used here").await;
    browser.see("None is filed in this browser.").await;
}

#[tokio::test]
async fn whoever_refuses_sends_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let deal = scene.settled(&browser).await;
    let asked = scene.ask(&deal, REASON, None).await;
    scene.show(&browser, &asked).await;
    let stranger = json!({ "authenticatorId": scene.passkeys, "isUserVerified": false });
    browser.chromium("WebAuthn.setUserVerified", stranger).await;
    for (words, more) in [("Approve", None), ("Say no", Some("Send my no"))] {
        browser.click("button", words).await;
        if let Some(more) = more {
            browser.click("button", more).await;
        }
        browser.see("it could not tell that it is you (PIN, finger, face), or you said no. Nothing was sent.").await;
        let focus = browser.run("return document.activeElement.id").await;
        assert_eq!(focus, "answer-said", "the focus is where it is said");
        no_barriers(&browser, "a passkey that did not answer").await;
        forget(&browser, "answer-said").await;
    }
    assert_eq!(scene.answers(&asked).await, [0, 0]);
}

const CANNOT_BE: &str = "What the oracle says of this session cannot be. Do not answer it.";

#[tokio::test]
async fn every_refusal_of_an_oracle_is_a_sentence() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let deal = scene.settled(&browser).await;
    let link = scene.ask(&deal, REASON, None).await.invite.to_url();
    for (answer, said) in [
        (
            "new Response('{\"code\":\"session_expired\"}', { status: 410 })",
            "This session has ended: its time ran out.",
        ),
        ("new Response('{\"code\":\"login_required\"}', { status: 401 })", "This page has none: use quorate join."),
        // Nothing of the oracle's stands beside what was verified but numbers.
        ("new Response('{\"tocs_provided\":\"2 of 2. Ann has called\",\"denials\":0}')", CANNOT_BE),
        ("new Response('{\"tocs_provided\":0,\"denials\":\"0 of 2\"}')", CANNOT_BE),
        ("new Response('{\"tocs_provided\":256,\"denials\":0}')", CANNOT_BE),
        ("new Response('{\"tocs_provided\":-1,\"denials\":0}')", CANNOT_BE),
        ("new Response('{\"tocs_provided\":1.5,\"denials\":0}')", CANNOT_BE),
        ("new Response('<h1>Welcome</h1>')", CANNOT_BE),
        (
            "new Response('{\"code\":\"constructor\",\"message\":\"not now\"}', { status: 409 })",
            "The oracle refused: not now.",
        ),
        ("new Response('null', { status: 409 })", "The oracle refused: 409."),
        (
            "new Response('{\"code\":\"new\",\"message\":\"on \u{202e}hold\"}', { status: 409 })",
            "The oracle refused: on \\u{202e}hold.",
        ),
        ("new Response('<h1>Bad gateway</h1>', { status: 502 })", "The oracle refused: 502."),
        ("Promise.reject(new TypeError('no network'))", "The oracle is out of reach"),
    ] {
        browser.run(&format!("globalThis.fetch = async () => {answer}")).await;
        read(&browser, &link).await;
        browser.see(said).await;
    }
}

#[tokio::test]
async fn what_is_typed_wrong_is_said_before_a_passkey_is_made() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    browser.run("document.getElementById('make').closest('details').open = true").await;
    let (right, start) =
        (&scene.description.fingerprint, if scene.description.fingerprint.starts_with('A') { "B" } else { "A" });
    let mistyped = format!("{start}{}", &right[1..]);
    let found = format!(
        "The oracle at that address tells another fingerprint than you typed: compare {} (group 1 of 8).",
        &mistyped[..4]
    );
    for (oracle, fingerprint, said) in [
        ("", "", "The oracle’s address begins with https://"),
        ("http://oracle.test", "", "The oracle’s address begins with https://"),
        ("https://oracle.test/?x", "", "The oracle’s address begins with https://"),
        (&scene.description.url, "", "A fingerprint has 32 letters and digits"),
        (&scene.description.url, "AAAA-BBBB", "A fingerprint has 32 letters and digits"),
        (&scene.description.url, &mistyped, &found),
    ] {
        browser.fill("make-oracle", oracle).await;
        browser.fill("make-fingerprint", fingerprint).await;
        browser.press(Key::Enter).await;
        browser.see(said).await;
        assert_eq!(browser.run("return document.activeElement.id").await, "make-said");
        no_barriers(&browser, "a form that is not right").await;
        forget(&browser, "make-said").await;
    }
    assert!(!browser.text().await.contains(right), "nobody copies what the oracle says");
    let held = browser.chromium("WebAuthn.getCredentials", json!({ "authenticatorId": scene.passkeys })).await;
    assert_eq!(held["credentials"], json!([]));
}

#[tokio::test]
async fn an_oracle_that_does_not_name_the_page_is_not_answered() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await.at(Stage::with_page("https://approve.example")).await;
    scene.make_key(&browser).await;
    browser.see("The oracle did not tell this page its fingerprint: compare the one that you typed once more").await;
    let deal = scene.settled(&browser).await;
    let asked = scene.ask(&deal, REASON, None).await;
    browser.open(&scene.site.with(&asked.invite.to_url())).await;
    browser.see("does not answer this page").await;
}

#[tokio::test]
async fn an_oracle_that_asks_for_a_login_is_left_to_other_clients() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let stage = Stage::with_names_and_page(&scene.site.origin()).await;
    let mut scene = scene.at(stage).await;
    scene.stage.deal = scene.settled(&browser).await;
    scene.stage.know_group().await;
    scene.touched(&browser, false).await;

    // Ann by her Toc and her login; and by her login alone, of which the invite does not tell whether others need one.
    let by_toc = scene.ask(&scene.stage.deal, REASON, None).await;
    let group = scene.stage.deal.group.name();
    scene.stage.post(&format!("/groups/{group}/applicants"), &json!({ "add": ["ann"] })).await;
    let asking = json!({ "group": group, "reason": REASON });
    let by_login = scene.stage.send(Method::POST, "/sessions", &asking).await.asked();
    for asked in [by_toc, by_login] {
        browser.open(&scene.site.with(&asked.invite.to_url())).await;
        browser.see("This oracle asks for a login besides. This page has none: use quorate join.").await;
        assert_eq!(browser.run("return document.getElementById('request').hidden").await, true);
        no_barriers(&browser, "an oracle that asks for a login").await;
    }
}
