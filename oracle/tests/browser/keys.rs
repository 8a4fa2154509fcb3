//! Security keys and passkeys at a browser, as each protocol has them: registered, used, joined by another, removed; and what is
//! said when one is not touched, is the wrong one, or stands before the wrong address.

use crate::driver::Browser;
use crate::people::{enrol, enrolled, log_in};
use crate::stage::{BASE, PASSWORD, Stage};
use fantoccini::key::Key;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Keys are bound to a name, which an address is not.
pub const HERE: &str = "localhost";
const PROTOCOLS: [&str; 3] = ["ctap1/u2f", "ctap2", "ctap2_1"];
const REGISTER: &str = "Register the security key and enrol";
const USE: &str = "Use the security key";
const UNTOUCHED: &str = "The security key was not touched in time, or somebody said no. Try again.";
const UNMADE: &str =
    "No passkey was made: this device may keep none that asks who you are, or nobody agreed in time. Try again.";
const UNANSWERED: &str =
    "No key that is registered here has answered: it may be another one, or was not touched in time. Try again.";

/// An oracle whose people log in with security keys, and its operator's ticket.
pub struct Office {
    pub stage: Stage,
    pub ticket: String,
}

impl Office {
    pub async fn open() -> Self {
        let (stage, link) = Stage::with_operator();
        let origin = origin(&stage, HERE);
        Self::of(stage, &link, HERE, &origin).await
    }

    /// Whose keys are bound to `rp_id`, and used on pages of `origin`.
    async fn of(stage: Stage, link: &str, rp_id: &str, origin: &str) -> Self {
        let ticket = enrolled(&stage, link, "ann").await;
        let options = json!({ "RpId": rp_id, "Origin": origin });
        let provider = json!({ "Type": "webauthn", "Name": "Keys", "Options": options });
        stage.by(&ticket, Method::POST, "/system/multi_factor", &provider).await;
        Self { stage, ticket }
    }

    /// Somebody new who has to register a key; gives the last part of their link.
    pub async fn invite(&self, name: &str) -> String {
        let made = self.stage.by(&self.ticket, Method::POST, "/principals", &json!({ "name": name })).await;
        self.assign(name).await;
        made.json["link"].as_str().expect("a link").rsplit('/').next().expect("a part").to_owned()
    }

    /// Has somebody log in with a key; the keys from before are gone.
    async fn assign(&self, name: &str) {
        let path = format!("/principals/{name}/multi_factor");
        self.stage.by(&self.ticket, Method::PUT, &path, &json!({ "provider": "Keys" })).await;
    }

    /// Enrols with the key that is plugged in.
    async fn enrolled(&self, browser: &Browser, name: &str) {
        let link = self.invite(name).await;
        enrol(browser, &self.stage, HERE, &link).await;
        browser.click("button", REGISTER).await;
        browser.see("Recovery codes").await;
    }

    /// Logs in as far as the key is asked.
    async fn log_in(&self, browser: &Browser, name: &str) {
        log_in(browser, &self.stage, HERE, name).await;
        browser.see("Security key or passkey").await;
    }

    async fn logged_in(&self, browser: &Browser, name: &str) {
        self.log_in(browser, name).await;
        browser.click("button", USE).await;
        browser.see(&format!("principal/internal/user/{name}")).await;
    }
}

/// The origin of the pages under that name.
fn origin(stage: &Stage, host: &str) -> String {
    stage.url(host, "").trim_end_matches(BASE).to_owned()
}

#[tokio::test]
async fn a_key_of_each_protocol_enrols_logs_in_and_is_replaced() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let name = format!("bob{number}");
        let first = browser.plug_in(protocol).await;
        let link = office.invite(&name).await;
        enrol(&browser, &office.stage, HERE, &link).await;
        browser.click("button", REGISTER).await;
        browser.see("Recovery codes").await;
        browser.open(&office.stage.url(HERE, &format!("/enroll/{link}"))).await;
        browser.click("button", "Go on").await;
        browser.see("This link does not serve any more").await;
        office.logged_in(&browser, &name).await;

        // One more, of the next protocol; the first does not do for it.
        browser.fill("name", "blue").await;
        browser.click("button", "Add a key").await;
        browser.click("button", "Register the security key").await;
        browser.see("This security key is registered already: use another one.").await;
        browser.touched(&first, false).await;
        let second = browser.plug_in(PROTOCOLS[(number + 1) % PROTOCOLS.len()]).await;
        browser.click("button", "Register the security key").await;
        browser.see("The key was added").await;
        browser.touched(&first, true).await;

        // Without the first, whoever has it alone does not get in.
        browser.click("summary", "Remove Key 1").await;
        browser.run("document.getElementById('confirm-0').click()").await;
        browser.click("button", "Remove the key").await;
        browser.see("The key was removed").await;
        browser.see("blue").await;
        browser.touched(&second, false).await;
        office.log_in(&browser, &name).await;
        browser.click("button", USE).await;
        browser.see(UNANSWERED).await;
        browser.touched(&second, true).await;
        browser.pull_out(&first).await;
        browser.click("button", USE).await;
        browser.see(&format!("principal/internal/user/{name}")).await;
        browser.pull_out(&second).await;
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// Lets a key that is not touched be given up at once, which browsers do after minutes.
const HASTE: &str = "if (navigator.credentials) for (const act of ['create', 'get']) { \
        const own = navigator.credentials[act].bind(navigator.credentials); \
        navigator.credentials[act] = (asked) => { \
            asked.publicKey.timeout = 100; \
            return own(asked); \
        }; \
    }";

/// What has the focus; nobody who uses a mouse is shown that it has.
const ACTIVE: &str = "return document.activeElement.textContent;";

#[tokio::test]
async fn whoever_touches_nothing_is_told_so_and_tries_again() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    for (number, protocol) in PROTOCOLS.into_iter().enumerate() {
        let name = format!("bob{number}");
        browser.before_scripts(HASTE).await;
        let key = browser.plug_in(protocol).await;
        browser.touched(&key, false).await;
        let link = office.invite(&name).await;
        enrol(&browser, &office.stage, HERE, &link).await;
        for _ in 0..2 {
            browser.run("document.querySelector('[data-said]').textContent = ''").await;
            browser.click("button", REGISTER).await;
            browser.see(UNTOUCHED).await;
            assert_eq!(browser.run(ACTIVE).await, REGISTER, "{protocol}");
            assert_eq!(browser.held(&key).await, Vec::<Value>::new());
        }
        browser.picture("enroll-unanswered").await;
        browser.touched(&key, true).await;
        browser.click("button", REGISTER).await;
        browser.see("Recovery codes").await;
        browser.touched(&key, false).await;
        office.log_in(&browser, &name).await;
        browser.click("button", USE).await;
        browser.see(UNANSWERED).await;
        assert_eq!(browser.run(ACTIVE).await, USE, "{protocol}");
        browser.touched(&key, true).await;
        browser.click("button", USE).await;
        browser.see(&format!("principal/internal/user/{name}")).await;
        browser.pull_out(&key).await;
    }
}

#[tokio::test]
async fn no_key_is_asked_for_a_password_that_cannot_be_and_enter_asks_one() {
    const SAID: &str = "return document.querySelector('[data-said]').textContent;";
    const WRONG: &str = "return document.querySelectorAll('input:invalid').length;";
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    let key = browser.plug_in("ctap2").await;
    let link = office.invite("bob").await;
    enrol(&browser, &office.stage, HERE, &link).await;
    for (password, again) in [("short", "short"), (PASSWORD, "another sentence of their own")] {
        browser.fill("password", password).await;
        browser.fill("again", again).await;
        for button in [REGISTER, "Use a passkey and enrol"] {
            browser.click("button", button).await;
            assert_eq!(browser.run(SAID).await, "", "{password}");
            assert_ne!(browser.run(WRONG).await, 0, "{password}");
        }
    }
    assert_eq!(browser.held(&key).await, Vec::<Value>::new());
    browser.fill("again", PASSWORD).await;
    browser.press(Key::Enter).await;
    browser.see("Recovery codes").await;
    assert_eq!(browser.held(&key).await.len(), 1);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_passkey_asks_who_its_user_is() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    let key = browser.plug_in("ctap1/u2f").await;
    let link = office.invite("bob").await;
    enrol(&browser, &office.stage, HERE, &link).await;
    browser.click("button", "Use a passkey and enrol").await;
    browser.see("Try again").await;
    browser.pull_out(&key).await;
    let device = browser.passkeys().await;
    browser.verified(&device, false).await;
    browser.click("button", "Use a passkey and enrol").await;
    browser.see(UNMADE).await;
    assert_eq!(browser.held(&device).await, Vec::<Value>::new());
    browser.verified(&device, true).await;
    browser.click("button", "Use a passkey and enrol").await;
    browser.see("Recovery codes").await;
    let held = browser.held(&device).await;
    assert_eq!((held.len(), &held[0]["isResidentCredential"]), (1, &json!(true)), "{held:?}");

    browser.verified(&device, false).await;
    office.log_in(&browser, "bob").await;
    browser.click("button", USE).await;
    browser.see(UNANSWERED).await;
    browser.verified(&device, true).await;
    browser.click("button", USE).await;
    browser.see("principal/internal/user/bob").await;
    browser.see("Passkey 1").await;

    // A key beside it, which has to ask nobody; then either lets in.
    browser.touched(&device, false).await;
    let key = browser.plug_in("ctap1/u2f").await;
    browser.fill("name", "a key with a very long name that somebody has typed, on one line").await;
    browser.click("button", "Add a key").await;
    browser.click("button", "Register the security key").await;
    browser.see("The key was added").await;
    browser.picture("account-passkey").await;
    office.logged_in(&browser, "bob").await;
    browser.pull_out(&key).await;
    browser.touched(&device, true).await;
    office.logged_in(&browser, "bob").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

/// Keeps what keys are asked with, and what the page's own script has a clock do.
const WATCH: &str = "window.asked = []; window.clocks = 0; \
    if (navigator.credentials) for (const act of ['create', 'get']) { \
        const own = navigator.credentials[act].bind(navigator.credentials); \
        navigator.credentials[act] = (asked) => { \
            window.asked.push([act, asked.publicKey.timeout, 'signal' in asked]); \
            return own(asked); \
        }; \
    } \
    for (const clock of ['setTimeout', 'setInterval']) { \
        const own = window[clock].bind(window); \
        window[clock] = (...rest) => { \
            if (new Error().stack.includes('forms.js')) window.clocks += 1; \
            return own(...rest); \
        }; \
    }";
/// What the standard lets the slowest key take, `WebAuthn` L3 §5.1: 300 s of the 300 s to 600 s for keys that ask who their user is.
const LONGEST_MS: u32 = 300_000;

#[tokio::test]
async fn the_slowest_key_is_waited_for() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    browser.before_scripts(WATCH).await;
    let slow = browser.plug_in("ctap2").await;
    browser.touched(&slow, false).await;
    let link = office.invite("bob").await;
    enrol(&browser, &office.stage, HERE, &link).await;
    let waits = async |act: &str, button: &str| {
        browser.click("button", button).await;
        browser.see("Touch your security key.").await;
        assert_eq!(browser.run("return window.asked").await, json!([[act, LONGEST_MS, false]]));
        assert_eq!(browser.run("return window.clocks").await, 0, "the page has a deadline of its own");
    };
    // Whoever has to look for the key finds the page as it was, and goes on where they left.
    waits("create", REGISTER).await;
    let key = browser.plug_in("ctap2").await;
    browser.see("Recovery codes").await;
    browser.touched(&key, false).await;
    office.log_in(&browser, "bob").await;
    waits("get", USE).await;
}

#[tokio::test]
async fn a_browser_from_before_its_own_functions_does_as_well() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    let older = "if (window.PublicKeyCredential) { delete PublicKeyCredential.parseCreationOptionsFromJSON; \
                 delete PublicKeyCredential.parseRequestOptionsFromJSON; delete PublicKeyCredential.prototype.toJSON; }";
    browser.before_scripts(older).await;
    let device = browser.passkeys().await;
    let link = office.invite("bob").await;
    enrol(&browser, &office.stage, HERE, &link).await;
    let known =
        "return 'toJSON' in PublicKeyCredential.prototype || 'parseRequestOptionsFromJSON' in PublicKeyCredential";
    assert_eq!(browser.run(known).await, false);
    browser.click("button", "Use a passkey and enrol").await;
    browser.see("Recovery codes").await;
    office.logged_in(&browser, "bob").await;
    // One that is there already is left out.
    browser.click("button", "Add a key").await;
    browser.click("button", "Register a passkey").await;
    browser.see("This security key is registered already: use another one.").await;
    assert_eq!(browser.held(&device).await.len(), 1);
}

#[tokio::test]
async fn no_key_answers_for_another_address() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    let key = browser.plug_in("ctap2").await;
    let link = office.invite("bob").await;
    enrol(&browser, &office.stage, "127.0.0.1", &link).await;
    browser.click("button", REGISTER).await;
    browser.see("The browser does not let this address use security keys.").await;
    assert_eq!(browser.held(&key).await, Vec::<Value>::new());
    enrol(&browser, &office.stage, HERE, &link).await;
    browser.click("button", REGISTER).await;
    browser.see("Recovery codes").await;
    log_in(&browser, &office.stage, "127.0.0.1", "bob").await;
    browser.click("button", USE).await;
    browser.see("The browser does not let this address use security keys.").await;

    // Beside it under the same domain the browser lets a page ask, and the oracle refuses what it gets.
    let (stage, link) = Stage::over_tls();
    let (own, other) = ("login.oracle.test", "other.oracle.test");
    let at = origin(&stage, own);
    let office = Office::of(stage, &link, "oracle.test", &at).await;
    let link = office.invite("eve").await;
    enrol(&browser, &office.stage, other, &link).await;
    browser.click("button", REGISTER).await;
    browser.see("The answer was made for another origin.").await;
    browser.picture("enroll-refused").await;
    enrol(&browser, &office.stage, own, &link).await;
    browser.click("button", REGISTER).await;
    browser.see("Recovery codes").await;
    for (host, says) in
        [(other, "Principal, password or second factor is wrong."), (own, "principal/internal/user/eve")]
    {
        log_in(&browser, &office.stage, host, "eve").await;
        browser.click("button", USE).await;
        browser.see(says).await;
    }
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_key_that_was_taken_away_meanwhile_lets_nobody_in() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    browser.plug_in("ctap2").await;
    office.enrolled(&browser, "bob").await;
    office.log_in(&browser, "bob").await;
    office.assign("bob").await;
    browser.click("button", USE).await;
    browser.see("Principal, password or second factor is wrong.").await;
    // The same is said when there is none to ask.
    log_in(&browser, &office.stage, HERE, "bob").await;
    browser.see("Principal, password or second factor is wrong.").await;
    browser.see("Go on").await;
}

#[tokio::test]
async fn a_link_whose_time_is_up_says_so() {
    let Some(browser) = Browser::start().await else { return };
    let (stage, link) = Stage::invited(&[("QUORATE_LINKS_SECONDS", "1")]);
    let at = origin(&stage, HERE);
    let office = Office::of(stage, &link, HERE, &at).await;
    let link = office.invite("bob").await;
    let begun = Instant::now();
    loop {
        browser.open(&office.stage.url(HERE, &format!("/enroll/{link}"))).await;
        browser.see("You have been invited").await;
        browser.click("button", "Go on").await;
        if browser.text().await.contains("This link does not serve any more") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", browser.text().await);
    }
    browser.see("ask the operator who sent it for a new one").await;
}
