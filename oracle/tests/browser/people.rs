//! People at a browser: enrolling with a link, logging in with a code or a security key, and an operator's day.

use crate::driver::Browser;
use crate::keys::{HERE, Office};
use crate::stage::{PASSWORD, Stage, now};
use fantoccini::key::Key;
use quorate_protocol::otp::OtpSecret;
use reqwest::Method;
use serde_json::json;
use std::time::{Duration, Instant};

/// Enrols somebody who needs no second factor, over HTTP; gives a ticket.
pub async fn enrolled(stage: &Stage, link: &str, name: &str) -> String {
    stage.post(&format!("/enroll/{link}"), &json!({ "password": PASSWORD })).await;
    let login = stage.send(Method::POST, "/login", &json!({ "principal": name, "password": PASSWORD })).await;
    login.json["ticket"].as_str().expect("a ticket").to_owned()
}

/// Logs in as far as the password goes.
pub async fn log_in(browser: &Browser, stage: &Stage, host: &str, name: &str) {
    browser.open(&stage.url(host, "/login")).await;
    browser.fill("principal", name).await;
    browser.fill("password", PASSWORD).await;
    browser.click("button", "Go on").await;
}

/// Enrols with a link, as far as the password goes.
pub async fn enrol(browser: &Browser, stage: &Stage, host: &str, link: &str) {
    browser.open(&stage.url(host, &format!("/enroll/{link}"))).await;
    browser.see("You have been invited").await;
    browser.click("button", "Go on").await;
    browser.see("The same password again").await;
    browser.fill("password", PASSWORD).await;
    browser.fill("again", PASSWORD).await;
}

#[tokio::test]
async fn somebody_is_added_enrols_logs_in_and_is_disabled() {
    let Some(browser) = Browser::start().await else { return };
    let (stage, link) = Stage::with_operator();
    let here = "127.0.0.1";
    browser.open(&stage.url(here, &format!("/enroll/{link}"))).await;
    browser.see("uses nothing up").await;
    browser.picture("enroll-link").await;
    enrol(&browser, &stage, here, &link).await;
    browser.click("button", "Enrol").await;
    browser.see("You can log in now, ann").await;
    browser.picture("enroll-done").await;
    browser.open(&stage.url(here, &format!("/enroll/{link}"))).await;
    browser.click("button", "Go on").await;
    browser.see("This link does not serve any more").await;
    browser.picture("enroll-spent").await;
    browser.click("a", "log in").await;
    browser.see("Go on").await;
    browser.picture("login").await;
    log_in(&browser, &stage, here, "ann").await;

    // The first page of an operator: a provider and a colleague.
    browser.see("1 in all").await;
    browser.click("a", "Providers").await;
    browser.see("None yet.").await;
    browser.fill("name", "Authenticator").await;
    browser.click("button", "Add").await;
    browser.see("It was made.").await;
    browser.picture("admin-providers").await;
    browser.open(&stage.url(here, "/admin/provider?name=Authenticator")).await;
    browser.see("Only a provider that nobody has can be removed.").await;
    browser.picture("admin-provider").await;
    browser.click("a", "Principals").await;
    browser.see("1 in all").await;
    browser.fill("name", "no name").await;
    browser.click("button", "Add").await;
    browser.see("A principal is named bob").await;
    assert_eq!(
        browser.run("return document.activeElement.id").await,
        "name",
        "the focus is where something is to be mended"
    );
    browser.fill("name", "bob").await;
    browser.click("button", "Add").await;
    browser.see("One-time link").await;
    let link = browser.run("return document.getElementById('given').innerText").await;
    let link = link.as_str().expect("a link").trim().rsplit('/').next().expect("a part").to_owned();
    browser.picture("admin-link").await;
    browser.click("a", "Go on").await;
    browser.see("invited, not enrolled").await;
    browser.picture("admin-principal").await;
    browser.click("button", "Assign").await;
    browser.see("Recovery codes").await;
    browser.click("a", "Account").await;
    browser.see("principal/internal/user/ann").await;
    browser.picture("account").await;
    browser.click("button", "Log out").await;
    browser.see("Go on").await;

    enrol(&browser, &stage, here, &link).await;
    let key = browser.run("return document.getElementById('key').innerText").await;
    let secret = OtpSecret::from_base32(key.as_str().expect("a key")).expect("base32");
    browser.picture("enroll-authenticator").await;
    let first = u64::try_from(now()).expect("after 1970");
    browser.fill("passcode", &secret.code_at(first).digits).await;
    browser.click("button", "Enrol").await;
    browser.see("Recovery codes").await;
    browser.picture("enroll-codes").await;

    log_in(&browser, &stage, here, "bob").await;
    browser.see("One more proof").await;
    browser.picture("login-factor").await;
    browser.fill("passcode", "000000").await;
    browser.click("button", "Log in").await;
    browser.see("That was not accepted: it is wrong, was used already").await;
    browser.picture("login-wrong").await;
    // A code counts once, and the one after it is taken a step early.
    let later = u64::try_from(now()).expect("after 1970").max(first - first % 30 + 30);
    browser.fill("passcode", &secret.code_at(later).digits).await;
    browser.click("button", "Log in").await;
    browser.see("principal/internal/user/bob").await;
    assert_eq!(browser.run("return document.cookie").await, "", "no script reads the ticket");
    browser.open(&stage.url(here, "/admin")).await;
    browser.see("Your role may not do this.").await;
    browser.picture("forbidden").await;
    browser.open(&stage.url(here, "/account")).await;
    browser.click("button", "Log out").await;
    browser.see("Go on").await;

    // Asked for a page, logged in, and led on to it.
    browser.open(&stage.url(here, "/admin/principals?search=bob")).await;
    browser.fill("principal", "ann").await;
    browser.fill("password", PASSWORD).await;
    browser.click("button", "Go on").await;
    browser.see("1 found").await;
    browser.picture("admin-principals").await;
    browser.click("a", "bob").await;
    browser.click("button", "Disable").await;
    browser.see("It is disabled, and logged out everywhere.").await;
    browser.click("a", "Sessions").await;
    browser.see("No session is open.").await;
    stage.ask("close the month", None).await;
    browser.click("a", "Sessions").await;
    browser.see("0 of 2").await;
    browser.picture("admin-sessions").await;
    // Numbered within a second or so.
    let begun = Instant::now();
    loop {
        browser.open(&stage.url(here, "/admin/audit?kind=principal.disabled")).await;
        browser.see("Newest first").await;
        if browser.text().await.contains("principal/internal/user/bob") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{}", browser.text().await);
    }
    browser.picture("admin-audit").await;
    browser.click("a", "Account").await;
    browser.see("Log out everywhere").await;
    browser.click("button", "Log out everywhere").await;
    browser.see("Go on").await;
    browser.open(&stage.url(here, "/account")).await;
    browser.see("Go on").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn nobody_needs_javascript_or_a_mouse() {
    let Some(browser) = Browser::start().await else { return };
    let (stage, link) = Stage::with_operator();
    browser.without_scripts().await;
    browser.open(&stage.url("127.0.0.1", &format!("/enroll/{link}"))).await;
    browser.find("You have been invited").await;
    browser.focus("button").await;
    browser.press(Key::Enter).await;
    browser.fill("password", PASSWORD).await;
    browser.fill("again", "another sentence of their own").await;
    browser.press(Key::Enter).await;
    browser.find("These are two different passwords.").await;
    browser.fill("password", PASSWORD).await;
    browser.press(Key::Tab).await;
    browser.fill("again", PASSWORD).await;
    browser.press(Key::Enter).await;
    browser.find("You can log in now, ann").await;
    browser.open(&stage.url("127.0.0.1", "/login")).await;
    browser.fill("principal", "ann").await;
    browser.fill("password", PASSWORD).await;
    browser.press(Key::Enter).await;
    browser.find("1 in all").await;
    browser.fill("name", "bob").await;
    browser.press(Key::Enter).await;
    browser.find("One-time link").await;
    browser.click("a", "Audit").await;
    browser.find("The whole log in lines of JSON").await;
}

#[tokio::test]
async fn a_security_key_is_registered_and_logs_in() {
    let Some(browser) = Browser::start().await else { return };
    let office = Office::open().await;
    let (stage, here, link) = (&office.stage, HERE, office.invite("bob").await);
    let first = browser.security_key().await;
    enrol(&browser, stage, here, &link).await;
    browser.see("Register the security key and enrol").await;
    browser.picture("enroll-key").await;
    browser.click("button", "Register the security key and enrol").await;
    browser.see("Recovery codes").await;
    log_in(&browser, stage, here, "bob").await;
    browser.see("Security key or passkey").await;
    browser.picture("login-key").await;
    browser.click("button", "Use the security key").await;
    browser.see("principal/internal/user/bob").await;

    // A second one, and the first one removed.
    browser.see("Register a second one").await;
    browser.fill("name", "blue").await;
    browser.click("button", "Add a key").await;
    browser.see("Have the new key at hand").await;
    browser.picture("account-key").await;
    browser.pull_out(&first).await;
    browser.security_key().await;
    browser.click("button", "Register the security key").await;
    browser.see("The key was added").await;
    browser.picture("account-keys").await;
    browser.click("summary", "Remove Key 1").await;
    browser.run("document.getElementById('confirm-0').click()").await;
    browser.click("button", "Remove the key").await;
    browser.see("The key was removed, and every other login of yours has ended.").await;
    browser.see("Register a second one").await;
    browser.click("button", "Log out").await;
    browser.see("Go on").await;
    log_in(&browser, stage, here, "bob").await;
    browser.see("Security key or passkey").await;
    browser.click("button", "Use the security key").await;
    browser.see("principal/internal/user/bob").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}
