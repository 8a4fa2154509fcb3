//! What a page owes to everybody: that a keyboard is enough, that nothing on it moves, that large letters fit, and that whoever
//! wants no motion sees none.

use crate::driver::Browser;
use crate::keys::{HERE, Office};
use crate::stage::{PASSWORD, PLAYERS};
use crate::{REASON, SHIFTED, SHIFTS};
use fantoccini::key::Key;
use reqwest::Method;
use serde_json::{Value, json};

/// Chooses a password twice, in the fields that have the focus one after the other.
async fn choose_password(browser: &Browser) {
    browser.type_in(PASSWORD).await;
    assert_eq!(browser.tab_to("The same password again").await.len(), 1);
    browser.type_in(PASSWORD).await;
}

#[tokio::test]
async fn a_key_is_enrolled_used_and_removed_by_keyboard_alone() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    let link = office.invite("bob").await;
    let first = browser.plug_in("ctap2").await;
    browser.open(&office.stage.url(HERE, &format!("/enroll/{link}"))).await;
    browser.focus("button").await;
    browser.press(Key::Enter).await;
    browser.focus("#password").await;
    choose_password(&browser).await;
    let order = ["What the key is called (may stay empty)", "Register the security key and enrol"];
    assert_eq!(browser.tab_to(order[1]).await, order);
    browser.press(Key::Enter).await;
    browser.see("Recovery codes").await;
    assert_eq!(browser.tab_to("Log in").await, ["oracle of Delphi", "Copy", "Print", "Log in"]);
    browser.press(Key::Enter).await;

    browser.focus("#principal").await;
    browser.type_in("bob").await;
    browser.tab_to("Password").await;
    browser.type_in(PASSWORD).await;
    browser.press(Key::Enter).await;
    browser.focus("[data-touch]").await;
    browser.press(Key::Enter).await;
    browser.see("principal/internal/user/bob").await;

    // A second one, on a page whose order is that of its words.
    let reached = browser.tab_to("What one more is called (may stay empty)").await;
    let order = [
        "oracle of Delphi",
        "Apps",
        "Account",
        "Log out",
        "Log out everywhere",
        "What one more is called (may stay empty)",
    ];
    assert_eq!(reached, order);
    browser.type_in("blue").await;
    browser.press(Key::Enter).await;
    browser.focus("[data-touch]").await;
    browser.touched(&first, false).await;
    browser.plug_in("ctap1/u2f").await;
    browser.press(Key::Enter).await;
    browser.see("The key was added").await;

    browser.tab_to("Remove Key 1").await;
    browser.press(Key::Enter).await;
    browser.tab_to("Yes: it lets nobody in any more, and every other login of mine ends").await;
    browser.type_in(" ").await;
    assert_eq!(browser.tab_to("Remove the key").await.len(), 1);
    browser.press(Key::Enter).await;
    browser.see("The key was removed").await;
    browser.tab_to("Log out").await;
    browser.press(Key::Enter).await;
    browser.focus("#principal").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// What sticks out when letters are that large.
fn wider(letters: &str) -> String {
    format!(
        "const root = document.documentElement; \
         root.style.fontSize = '{letters}'; \
         const beyond = [...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > root.clientWidth); \
         const wider = root.scrollWidth > root.clientWidth ? beyond.map((one) => one.outerHTML.slice(0, 80)) : []; \
         root.style.fontSize = ''; \
         return wider;"
    )
}

/// What moves by itself, or would when it changes.
const MOVING: &str = "return [...document.querySelectorAll('*')].filter((one) => { \
        const look = getComputedStyle(one); \
        return look.transitionDuration !== '0s' || look.animationName !== 'none'; \
    }).map((one) => one.outerHTML.slice(0, 60));";

#[tokio::test]
async fn nothing_on_a_page_moves_sticks_out_or_needs_motion() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    let stage = &office.stage;
    let link = office.invite("a.long.name.that.somebody.was-given_by+their@parents.example").await;
    let group: Value = serde_json::from_str(&stage.deal.group.to_json()).expect("JSON");
    stage.by(&office.ticket, Method::POST, "/groups", &group).await;
    let app = json!({ "otpauth": crate::support::URI, "name": REASON });
    let app = stage.by(&office.ticket, Method::POST, "/api/apps", &app).await;
    let app = app.json["uuid"].as_str().expect("a UUID").to_owned();
    let asking = json!({ "group": stage.deal.group.name(), "reason": REASON });
    let drill = stage.by(&office.ticket, Method::POST, "/drills", &asking).await;
    let drill = drill.json["id"].as_str().expect("an id").to_owned();
    let asked = stage.ask(REASON, None).await;
    stage.join(&asked, 3).await;
    crate::people::log_in(&browser, stage, HERE, "ann").await;
    browser.see("2 in all").await;

    let session = stage.link(&asked).replace("127.0.0.1", HERE);
    let at = |path: &str| stage.url(HERE, path);
    let pages = [
        (at("/"), "Is this the oracle you mean?"),
        (at("/docs"), "Start a session"),
        (at("/login"), "Go on"),
        (at("/account"), "Full name"),
        (at("/enroll/none"), "You have been invited"),
        (at(&format!("/enroll/{link}")), "You have been invited"),
        (at("/admin/principals"), "2 in all"),
        (at("/admin/principal?name=ann"), "New link"),
        (at("/admin/providers"), "Second factors that can be assigned"),
        (at("/admin/provider?name=Keys"), "Options"),
        (at("/admin/sessions"), "1 of 2"),
        (at("/admin/audit"), "Newest first"),
        (at("/apps"), "1 in all"),
        (at(&format!("/apps/{app}")), "Who may read it"),
        (at(&format!("/drill/{drill}")), "0 of 3 have answered"),
        (session, "Live."),
    ];
    let still = json!([{ "name": "prefers-reduced-motion", "value": "reduce" }]);
    // The narrowest screen, and a desk's with letters twice as large (WCAG 2.2, 1.4.10 and 1.4.4).
    for (width, letters) in [(320, "100%"), (1280, "200%")] {
        browser.sized(width, 700).await;
        for (url, text) in &pages {
            browser.chromium("Emulation.setEmulatedMedia", json!({ "features": [] })).await;
            browser.open(url).await;
            browser.see(text).await;
            // A session's names come later than its page, and take their places; 0.1 is what Chromium's makers call good.
            let live = *text == "Live.";
            if live {
                browser.see(&PLAYERS[2].replace('\u{202e}', "\\u{202e}")).await;
            }
            let moved = browser.wait_for(SHIFTS).await;
            let bound = if live { 0.1 } else { 0.02 };
            assert!(
                moved.as_f64().is_some_and(|moved| moved < bound),
                "{url} at {width}: moved by {moved}: {:#}",
                browser.wait_for(SHIFTED).await
            );
            assert_eq!(browser.run(&wider(letters)).await, json!([]), "{url} at {width}, letters of {letters}");
            browser.chromium("Emulation.setEmulatedMedia", json!({ "features": still })).await;
            assert_eq!(browser.run(MOVING).await, json!([]), "{url} at {width}");
        }
    }
}
