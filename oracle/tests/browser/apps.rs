//! Apps at a browser: added by URI and by picture, searched, read, copied, granted and revoked.

use crate::driver::Browser;
use crate::people::{enrolled, log_in};
use crate::stage::{Stage, now};
use crate::{REASON, SHIFTS};
use fantoccini::key::Key;
use quorate_protocol::otp::OtpSecret;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

const HERE: &str = "127.0.0.1";
/// What `uri.png` shows.
const PICTURED: &str = "otpauth://totp/Example:alice@google.com?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Example";
const PICTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/import/uri.png");
/// Its steps are long, so that a slow machine reads the code of the step that it asked in.
const SLOW: &str =
    "otpauth://totp/Bank:ops?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Bank&algorithm=SHA256&digits=8&period=3600";

/// The codes of a secret from `begun` on, seconds since 1970: the one that a page shows is among them.
fn codes(uri: &str, begun: i64) -> Vec<String> {
    let secret = OtpSecret::from_uri(uri).expect("a URI");
    let seconds = (begun..=now()).map(|second| u64::try_from(second).expect("after 1970"));
    seconds.map(|second| secret.code_at(second).digits.to_string()).collect()
}

/// The code that the page shows.
async fn shown(browser: &Browser) -> String {
    let code = browser.run("return document.getElementById('code').innerText").await;
    code.as_str().expect("a code").trim().to_owned()
}

/// Opens the list, and on it the form for more.
async fn adding(browser: &Browser, stage: &Stage) {
    browser.open(&stage.url(HERE, "/apps")).await;
    browser.click("summary", "Add").await;
}

/// Lets go of a picture over the page, or pastes one, as a person does with a file of their own.
async fn put(browser: &Browser, event: &str, carried: &str) {
    use base64::Engine as _;
    let file = base64::engine::general_purpose::STANDARD.encode(std::fs::read(PICTURE).expect("the picture"));
    let script = format!(
        "const bytes = Uint8Array.from(atob('{file}'), (c) => c.charCodeAt(0)); \
         const data = new DataTransfer(); \
         data.items.add(new File([bytes], 'x.png', {{ type: 'image/png' }})); \
         document.body.dispatchEvent(new {event}, {{ {carried}: data, bubbles: true, cancelable: true }}));"
    );
    browser.run(&script).await;
}

#[tokio::test]
async fn codes_are_added_found_read_and_copied() {
    let Some(browser) = Browser::start().await else { return };
    let (stage, link) = Stage::with_operator();
    let ticket = enrolled(&stage, &link, "ann").await;
    log_in(&browser, &stage, HERE, "ann").await;
    browser.see("1 in all").await;
    browser.click("a", "Apps").await;
    browser.see("None yet.").await;
    browser.picture("apps-none").await;

    adding(&browser, &stage).await;
    browser.fill("otpauth", "otpauth://hotp/x?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&counter=1").await;
    browser.click("button", "Add").await;
    browser.see("counter-based").await;
    browser.picture("apps-wrong").await;
    browser.fill("otpauth", SLOW).await;
    browser.click("button", "Add").await;
    browser.see("It was added.").await;
    browser.click("a", "Apps").await;

    // By a picture: chosen, dropped, pasted.
    adding(&browser, &stage).await;
    browser.choose("picture", PICTURE.as_ref()).await;
    browser.click("button", "Add").await;
    browser.see("It was added.").await;
    for (event, carried) in [("DragEvent('drop'", "dataTransfer"), ("ClipboardEvent('paste'", "clipboardData")] {
        browser.open(&stage.url(HERE, "/apps")).await;
        browser.see("in all").await;
        put(&browser, event, carried).await;
        browser.see("The picture is in the form: press Add.").await;
        assert_eq!(browser.run("return document.activeElement.textContent").await, "Add");
        browser.press(Key::Enter).await;
        browser.see("It was added.").await;
    }

    // Found while it is typed.
    browser.open(&stage.url(HERE, "/apps")).await;
    browser.see("4 in all").await;
    browser.picture("apps").await;
    browser.fill("search", "bANk").await;
    browser.see("1 found").await;
    assert!(!browser.text().await.contains("alice@google.com"));
    let begun = now();
    browser.click("button", "Show the code of Bank · ops").await;
    browser.see("Show the next code").await;
    assert!(codes(SLOW, begun).contains(&shown(&browser).await));
    let moved = browser.wait_for(SHIFTS).await;
    assert!(moved.as_f64().is_some_and(|moved| moved < 0.1), "what was on the page moved by {moved}");

    // Copied by the button that has the focus, which is said aloud.
    browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }").await;
    browser.focus("button[data-copy]").await;
    browser.press(Key::Enter).await;
    browser.see("Copied").await;
    assert_eq!(browser.run("return window.copied").await, shown(&browser).await.as_str());
    assert_eq!(browser.run("return document.querySelector('main > [role=status].apart').textContent").await, "Copied");
    browser.picture("app").await;
    let still = json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]);
    browser.chromium("Emulation.setEmulatedMedia", json!({ "features": still })).await;
    let moving = "return getComputedStyle(document.querySelector('.hand')).transitionDuration";
    assert_eq!(browser.run(moving).await, "0s");
    let (address, code) = (browser.run("return location.href").await, shown(&browser).await);
    assert!(address.as_str().is_some_and(|address| !address.contains(&code)), "{address}");

    // One whose time is over soon.
    let soon = SLOW.replace("period=3600", "period=2").replace("Bank", "Soon");
    let made = stage.by(&ticket, Method::POST, "/api/apps", &json!({ "otpauth": soon })).await;
    let uuid = made.json["uuid"].as_str().expect("a UUID");
    browser.open(&stage.url(HERE, &format!("/apps/{uuid}"))).await;
    browser.click("button", "Show the code").await;
    browser.see("This code’s time is over.").await;
    browser.picture("app-over").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn whoever_was_granted_an_app_reads_it_until_that_is_revoked() {
    let Some(browser) = Browser::start().await else { return };
    let (stage, link) = Stage::with_operator();
    let ticket = enrolled(&stage, &link, "ann").await;
    let made = stage.by(&ticket, Method::POST, "/principals", &json!({ "name": "bob" })).await;
    let link = made.json["link"].as_str().expect("a link").rsplit('/').next().expect("a part").to_owned();
    enrolled(&stage, &link, "bob").await;
    let group: serde_json::Value = serde_json::from_str(&stage.deal.group.to_json()).expect("JSON");
    stage.by(&ticket, Method::POST, "/groups", &group).await;
    let made = stage.by(&ticket, Method::POST, "/api/apps", &json!({ "otpauth": PICTURED, "name": REASON })).await;
    let uuid = made.json["uuid"].as_str().expect("a UUID").to_owned();

    log_in(&browser, &stage, HERE, "ann").await;
    browser.see("2 in all").await;
    browser.open(&stage.url(HERE, &format!("/apps/{uuid}"))).await;
    browser.see("the owner’s stays").await;
    browser.click("summary", "Grant").await;
    browser.fill("grantee", "nobody").await;
    browser.click("button", "Grant").await;
    browser.see("There is no such principal.").await;
    browser.fill("grantee", "bob").await;
    browser.click("button", "Grant").await;
    browser.see("It was granted.").await;
    browser.see("principal/internal/user/bob").await;
    browser.picture("app-granted").await;

    // By quorum: one list for people, two levels of care.
    adding(&browser, &stage).await;
    browser.fill("group", &stage.deal.group.name().to_string()).await;
    browser.click("button", "Add").await;
    browser.see("A code of this app takes a quorum").await;
    browser.picture("app-quorum").await;
    let applicants = format!("/groups/{}/applicants", stage.deal.group.name());
    stage.by(&ticket, Method::POST, &applicants, &json!({ "add": ["ann"] })).await;
    browser.fill("why", "the month’s end").await;
    browser.click("button", "Begin a session").await;
    browser.see("Send this link to the players.").await;
    browser.picture("app-session").await;
    browser.click("button", "Show the code").await;
    browser.see("0 of 2").await;
    browser.click("a", "Apps").await;
    browser.see("by quorum: 2 of 3").await;
    browser.click("a", "Account").await;
    browser.click("button", "Log out").await;
    browser.see("Go on").await;

    log_in(&browser, &stage, HERE, "bob").await;
    browser.see("principal/internal/user/bob").await;
    browser.click("a", "Apps").await;
    browser.see("1 in all").await;
    browser.see("\\u{202e}gnp").await;
    browser.click("a", "Example · alice@google.com").await;
    browser.fill("why", "the month’s end").await;
    let begun = now();
    browser.click("button", "Show the code").await;
    browser.see("Show the next code").await;
    assert!(codes(PICTURED, begun).contains(&shown(&browser).await));
    let revoke = format!("/api/apps/{uuid}/grants/bob");
    stage.by(&ticket, Method::DELETE, &revoke, &json!({})).await;
    browser.click("button", "Show the next code").await;
    browser.see("There is no such").await;
    browser.click("a", "Apps").await;
    browser.see("None yet.").await;

    // Numbered within a second or so.
    let begun = Instant::now();
    loop {
        let log = stage.by(&ticket, Method::GET, "/audit", &json!({})).await.text;
        if log.contains("the month’s end") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{log}");
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_app_is_added_and_read_without_javascript_or_a_mouse() {
    let Some(browser) = Browser::start().await else { return };
    let (stage, link) = Stage::with_operator();
    enrolled(&stage, &link, "ann").await;
    log_in(&browser, &stage, HERE, "ann").await;
    browser.see("1 in all").await;
    browser.without_scripts().await;
    adding(&browser, &stage).await;
    browser.choose("picture", PICTURE.as_ref()).await;
    browser.fill("name", "the bank").await;
    browser.press(Key::Enter).await;
    browser.find("It was added.").await;
    browser.focus("button").await;
    browser.press(Key::Enter).await;
    browser.find("Show the next code").await;
    browser.find("Read at the oracle just now").await;
    browser.open(&stage.url(HERE, "/apps")).await;
    browser.fill("search", "nothing of the kind").await;
    browser.press(Key::Enter).await;
    browser.find("0 found").await;
}
