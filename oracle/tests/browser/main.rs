//! The pages in a real browser: what somebody sees who opens an invite, live, on a phone and on a desk. Pictures are left
//! in `target/screens` for people to look at.

mod approving;
mod apps;
#[path = "../mfa/stage.rs"]
#[expect(
    dead_code,
    reason = "the tests of routes move its clock; a browser's page needs an application's credentials alone"
)]
mod court;
mod driver;
mod keyboard;
mod keys;
mod legacy;
mod people;
mod screens;
mod secure;
mod stage;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "the court of the HTTP tests runs on a clock of its own; a browser's time is real")]
mod support;
#[path = "../mfa/token.rs"]
#[expect(dead_code, reason = "the tests of routes have it make what a browser makes here by itself")]
mod token;

use driver::Browser;
use fantoccini::key::Key;
use quorate_protocol::encoding::base64url;
use quorate_protocol::proof::{receipt_message, sign};
use serde_json::json;
use stage::Stage;
use support::{plan_of, planned};

const REASON: &str = "Close the month <img src=x onerror=alert(1)> \u{202e}gnp";

#[tokio::test]
async fn a_session_is_followed_to_its_end() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start();
    let asked = stage.ask(REASON, None).await;
    browser.open(&stage.link(&asked)).await;

    browser.see("ann asks for a code of AWS root <b>").await;
    browser.see("Close the month <img src=x onerror=alert(1)> \\u{202e}gnp").await;
    browser.see("0 of 2 joined").await;
    browser.see("Live.").await;
    browser.see(&format!("quorate join '{}'", asked.invite.to_url())).await;
    assert!(browser.wait_for(PICTURE).await.as_u64() > Some(200), "the QR code is a picture");
    let moved = browser.wait_for(SHIFTS).await;
    assert!(moved.as_f64().is_some_and(|moved| moved < 0.1), "what was on the page moved by {moved}");
    browser.run("document.querySelector('[data-large]').focus()").await;
    browser.press(Key::Enter).await;
    assert_eq!(browser.run("return document.getElementById('large').open").await, true);
    browser.picture("session-picture").await;
    browser.press(Key::Escape).await;
    assert_eq!(browser.run("return document.getElementById('large').open").await, false);
    stage.join(&asked, 2).await;
    browser.see("1 of 2 joined").await;
    browser.see("✓ bob joined").await;
    assert_eq!(browser.run("return document.getElementById('said').textContent").await, "bob joined");
    let denial = asked.denial(&stage.deal.tocs[2], "not on a \u{202e}Sunday");
    stage.post(&asked.path("denials"), &denial).await;
    browser.see("✗ carol \\u{202e}eve said no").await;
    browser.see("said no: “not on a \\u{202e}Sunday”").await;
    browser.picture("session-open").await;

    stage.join(&asked, 1).await;
    browser.see("Enough have joined.").await;
    stage.post(&asked.path("totp"), &json!({ "kek": asked.credentials.kek.as_str() })).await;
    browser.see("ann was shown a code").await;
    browser.wait_for(LAST_MINUTE).await;
    stage.cancel(&asked).await;
    browser.see("This request was cancelled").await;
    browser.see("bob joined").await;
    browser.picture("session-cancelled").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn where_a_login_is_asked_for_the_page_says_who_asked_and_who_approved() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::with_names().await;
    let asked = stage.ask(REASON, None).await;
    browser.open(&stage.link(&asked)).await;
    browser.see("ann (principal/internal/user/ann) asks for a code of AWS root <b>").await;
    stage.join(&asked, 1).await;
    browser.see("1 of 2 joined").await;
    browser.see("✓ ann (principal/internal/user/ann) joined, ").await;
    let when = "return document.querySelector('#people time').dateTime";
    assert!(browser.run(when).await.as_str().is_some_and(|text| text.parse::<jiff::Timestamp>().is_ok()));
    browser.picture("session-names").await;

    // Without a Toc: the same person, who has shown none.
    let group = json!({ "group": stage.deal.group.name(), "reason": REASON });
    stage.post(&format!("/groups/{}/applicants", stage.deal.group.name()), &json!({ "add": ["ann"] })).await;
    let asked = stage.send(reqwest::Method::POST, "/sessions", &group).await.asked();
    browser.open(&stage.link(&asked)).await;
    let asks =
        "principal/internal/user/ann, by login at this oracle and without a Toc, asks for a code of AWS root <b>";
    browser.see(asks).await;
    browser.see("principal/internal/user/ann asked").await;
    browser.picture("session-by-login").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_drill_says_how_many_have_answered() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::with_names().await;
    let asking = json!({ "group": stage.deal.group.name(), "reason": REASON });
    let drill = stage.send(reqwest::Method::POST, "/drills", &asking).await;
    let id = drill.json["id"].as_str().unwrap_or_else(|| panic!("{}", drill.text));
    browser.open(&stage.url("127.0.0.1", &format!("/drill/{id}"))).await;
    browser.see("0 of 3 have answered").await;
    browser.see("Names need a login").await;
    browser.picture("drill").await;
    browser.click("a", "log in").await;
    browser.fill("principal", "ann").await;
    browser.fill("password", stage::PASSWORD).await;
    browser.click("button", "Go on").await;
    browser.see("Close the month <img src=x onerror=alert(1)> \\u{202e}gnp").await;
    browser.see("bob no answer").await;
    browser.picture("drill-names").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// Ends with the width of the invite's picture when it is there, which is later than its words.
const PICTURE: &str = "const [done] = arguments; const image = document.getElementById('picture'); \
    const look = () => image.naturalWidth ? done(image.naturalWidth) : requestAnimationFrame(look); \
    look();";

/// Ends when the countdown is that of the codes: a minute from the first, where it was an hour.
const LAST_MINUTE: &str = "const [done] = arguments; \
    const look = () => /^(1:00|0:..)$/.test(document.getElementById('left').textContent) ? done() : requestAnimationFrame(look); \
    look();";

/// Cumulative layout shift since the page was opened, as the browser measures it.
const SHIFTS: &str = "const [done] = arguments; let sum = 0; \
    new PerformanceObserver((list) => { for (const one of list.getEntries()) sum += one.value; }) \
        .observe({ type: 'layout-shift', buffered: true }); \
    requestAnimationFrame(() => requestAnimationFrame(() => done(sum)));";

/// What was shifted, and whence to where.
const SHIFTED: &str = "const [done] = arguments; const told = []; \
    const place = (at) => `${at.x},${at.y} ${at.width}x${at.height}`; \
    new PerformanceObserver((list) => { for (const one of list.getEntries()) for (const { node, previousRect, currentRect } of one.sources) \
        told.push(`${node?.outerHTML?.slice(0, 80) ?? node?.textContent}: ${place(previousRect)} to ${place(currentRect)}`); }) \
        .observe({ type: 'layout-shift', buffered: true }); \
    requestAnimationFrame(() => requestAnimationFrame(() => done(told)));";

#[tokio::test]
async fn without_the_whole_link_there_are_counts_and_no_names() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start();
    let asked = stage.ask(REASON, None).await;
    stage.join(&asked, 2).await;

    browser.open(&stage.page(&asked)).await;
    browser.see("Names need the whole link").await;
    browser.see("1 of 2 joined").await;
    browser.see("Somebody joined").await;
    browser.picture("session-counts").await;
    stage.join(&asked, 1).await;
    browser.see("2 of 2 joined").await;
    assert_nameless(&browser).await;

    // Somebody changed the reason on the way.
    let changed = String::from_utf8_lossy(asked.invite.payload()).replace("month", "house");
    let link =
        format!("{}#{}.{}", stage.page(&asked), base64url(changed.as_bytes()), base64url(asked.invite.signature()));
    browser.open(&link).await;
    browser.see("This link is not this session’s invite").await;
    browser.picture("session-mismatch").await;
    assert!(!browser.text().await.contains("quorate join '"), "nothing to copy");
    assert_nameless(&browser).await;

    // Cut off within the payload, and in other ways no invite.
    let link = stage.link(&asked);
    for cut in
        [&link[..link.len() - 400], &format!("{}#a.b.c", stage.page(&asked)), &format!("{}#%F0.x", stage.page(&asked))]
    {
        browser.open(cut).await;
        browser.see("The link is damaged").await;
        assert_nameless(&browser).await;
    }

    assert_eq!(browser.complaints().await, Vec::<String>::new());

    // Plain HTTP from another machine: the browser has no cryptography to offer, and says what else it ignores there.
    browser.open(&link.replace("127.0.0.1", "oracle.test")).await;
    browser.see("Names need a secure connection").await;
    browser.see("2 of 2 joined").await;
    assert_nameless(&browser).await;
}

async fn assert_nameless(browser: &Browser) {
    let text = browser.text().await;
    for name in ["ann", "bob", "AWS", "Close the"] {
        assert!(!text.split(|c: char| !c.is_alphabetic()).any(|word| word == name), "{name} stands in {text}");
    }
}

#[tokio::test]
async fn a_page_survives_its_oracle() {
    let Some(browser) = Browser::start().await else { return };
    let mut stage = Stage::start();
    let asked = stage.ask(REASON, None).await;
    browser.open(&stage.link(&asked)).await;
    browser.see("Live.").await;
    stage.join(&asked, 2).await;
    browser.see("✓ bob joined").await;

    stage.restart();
    stage.join(&asked, 3).await;
    browser.see("✓ carol \\u{202e}eve joined").await;
    browser.see("Live.").await;
    let lines =
        browser.run("return [...document.querySelectorAll('#events li')].map((line) => line.dataset.kind)").await;
    assert_eq!(lines, json!(["created", "joined", "joined"]), "no event is lost, none comes twice");
}

#[tokio::test]
async fn a_redeal_shows_its_plan_and_who_has_received() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start();
    let keys: Vec<_> = (0..3).map(|_| age::x25519::Identity::generate()).collect();
    let players = ["ann", "bob", "dora"].iter().zip(&keys).map(|(holder, key)| planned(holder, key)).collect();
    let plan = plan_of(stage.deal.group.name(), 2, players);
    let asked = stage.ask("carol left", Some(&plan)).await;
    browser.open(&stage.link(&asked)).await;
    browser.see("ann asks to deal anew AWS root").await;
    browser.see("The secret is split anew among 3 players; any 2 of them will be enough.").await;
    browser.see("dora").await;

    stage.join(&asked, 1).await;
    browser.see("No longer among them: carol \\u{202e}eve.").await;
    let added = browser
        .run(
            "return [...document.querySelectorAll('#plan-players strong')].map((mark) => mark.closest('tr').innerText)",
        )
        .await;
    assert_eq!(added.as_array().map(Vec::len), Some(1), "{added}");
    assert!(added[0].as_str().is_some_and(|row| row.starts_with("dora")), "{added}");
    browser.picture("session-redeal").await;

    stage.join(&asked, 2).await;
    let kek = json!({ "kek": asked.credentials.kek.as_str() });
    let answer = stage.send(reqwest::Method::POST, &asked.path("redeal"), &kek).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    browser.see("The redeal is done").await;
    browser.see("0 of 3 have signed receipt; with 2 the old Tocs are refused.").await;
    browser.see(&format!("quorate session fetch '{}'", asked.invite.to_url())).await;
    for x in [1_u8, 2] {
        let armored = answer.json["tocs"][usize::from(x) - 1]["encrypted_toc"].as_str().expect("a Toc");
        let opened = age::decrypt(&keys[usize::from(x) - 1], armored.as_bytes()).expect("the new player opens it");
        let Ok(quorate_protocol::toc::Toc::Whole(toc)) = quorate_protocol::toc::Toc::parse(&opened) else {
            panic!("not a whole Toc")
        };
        let message = receipt_message(&asked.invite.digest(), toc.group(), x, toc.header());
        let proof = sign(&toc.signing_key(), &message);
        stage
            .post(&asked.path("receipts"), &json!({ "x": x, "proof": quorate_protocol::encoding::base64(&proof) }))
            .await;
    }
    browser.see("2 of 3 have signed receipt. The old Tocs are refused.").await;
    browser.picture("session-redealt").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn everything_is_reached_by_keyboard() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start();
    let asked = stage.ask("", None).await;
    browser.open(&stage.link(&asked)).await;
    browser.see("No reason was given.").await;
    // Headless browsers have no clipboard; what is written there is looked at instead.
    browser.run("navigator.clipboard.writeText = async (text) => { window.copied = text; }").await;
    let mut reached = Vec::new();
    loop {
        browser.press(Key::Tab).await;
        let here = browser.focused().await;
        if here.is_empty() || reached.contains(&here) {
            break;
        }
        if here.contains("Copy") {
            browser.press(Key::Enter).await;
            browser.see("Copied").await;
            let expected = asked.invite.to_url();
            let expected = if here == "Copy command" { format!("quorate join '{expected}'") } else { expected };
            assert_eq!(browser.run("return window.copied").await, expected);
            browser.see("Copy command").await;
            browser.see("Copy link").await;
        }
        reached.push(here);
    }
    assert_eq!(reached, ["oracle of Delphi", "Command", "Copy command", "Copy link", "Show the QR code large"]);
}

#[tokio::test]
async fn the_other_pages_fit_every_screen() {
    let Some(browser) = Browser::start().await else { return };
    let stage = Stage::start();
    let at = |path: &str| stage.url("127.0.0.1", path);
    for (path, text, name) in [
        ("/", "Is this the oracle you mean?", "home"),
        ("/docs", "Start a session", "docs"),
        ("/s/unknown", "There is no such request", "session-unknown"),
    ] {
        browser.open(&at(path)).await;
        browser.see(text).await;
        browser.picture(name).await;
    }
    // Both spellings of the base path lead to the same places.
    for path in ["", "/"] {
        browser.open(&at(path)).await;
        let links = browser.run("return [...document.querySelectorAll('main a, header a, link')].map((link) => new URL(link.href).pathname)").await;
        for link in links.as_array().expect("links") {
            assert!(link.as_str().is_some_and(|link| link.starts_with("/prod/")), "{path}: {link}");
        }
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
