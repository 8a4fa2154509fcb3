//! One thing at a time on the approving page: what stands there when a touch is asked for is what is answered, with the words of
//! then, while it is still in time; and what comes meanwhile waits.

use super::refusals::read;
use super::{REASON, Scene, no_barriers};
use crate::driver::Browser;
use crate::support::Asked;
use quorate_protocol::invite::Invite;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// Holds what is sent back until `go()` is called, for as long as the test takes.
const HELD: &str = "const own = fetch; \
    globalThis.fetch = (url, options) => options.method !== 'POST' ? own(url, options) \
        : new Promise((done) => { window.go = () => done(own(url, { ...options, signal: undefined })); });";
/// Holds a passkey's touch back until `go()` is called.
const UNTOUCHED: &str = "const own = navigator.credentials.get.bind(navigator.credentials); \
    navigator.credentials.get = (asked) => new Promise((done) => { window.go = () => done(own(asked)); });";
/// What can be pressed or changed.
const USABLE: &str =
    "return [...document.querySelectorAll('main :is(button, input, select, textarea):enabled')].length";

/// Waits until something is held back.
async fn under_way(browser: &Browser) {
    let begun = Instant::now();
    while browser.run("return 'go' in window").await != true {
        assert!(begun.elapsed() < Duration::from_secs(60), "nothing is asked for");
    }
}

/// Gives the page's address another invite, as whoever opened the window can.
async fn lead_to(browser: &Browser, invite: &Invite) {
    browser.run(&format!("location.hash = {}", json!(format!("#{}", invite.to_url())))).await;
}

/// The invite in the form.
async fn in_form(browser: &Browser) -> Value {
    browser.run("return document.getElementById('invite').value").await
}

/// The scene, and two sessions of a Toc that is filed.
async fn with_two(browser: &Browser) -> (Scene, [Asked; 2]) {
    let scene = Scene::begin(browser).await;
    let deal = scene.settled(browser).await;
    let asked = [scene.ask(&deal, "the first", None).await, scene.ask(&deal, "the second", None).await];
    (scene, asked)
}

#[tokio::test]
async fn an_answer_appears_under_what_it_answers() {
    let Some(browser) = Browser::start().await else { return };
    let (scene, [first, second]) = with_two(&browser).await;
    scene.show(&browser, &first).await;
    browser.run(HELD).await;
    browser.click("button", "Approve").await;
    under_way(&browser).await;
    assert_eq!(browser.run(USABLE).await, 0, "everything waits");
    browser.picture("approve-waiting").await;
    lead_to(&browser, &second.invite).await;
    browser.run("go()").await;
    browser.see("Your Toc has been sent: 1 of 2 needed. The address has another invite by now").await;
    let text = browser.text().await;
    assert!(text.contains("“the first”") && !text.contains("“the second”"), "{text}");
    browser.picture("approve-another").await;

    browser.click("button", "Another invite").await;
    browser.see("The address has another invite now: read it.").await;
    assert_eq!(in_form(&browser).await, second.invite.to_url());
    browser.click("button", "Read it").await;
    browser.see("“the second”").await;
    assert_eq!(scene.answers(&first).await, [1, 0]);
    assert_eq!(scene.answers(&second).await, [0, 0]);
    browser.click("button", "Say no").await;
    no_barriers(&browser, "a no to the second").await;
}

#[tokio::test]
async fn another_invite_takes_the_place_of_none_that_is_shown() {
    let Some(browser) = Browser::start().await else { return };
    let (scene, [first, second]) = with_two(&browser).await;
    scene.show(&browser, &first).await;
    lead_to(&browser, &second.invite).await;
    browser.see("The address has another invite now: read it.").await;
    assert_eq!(in_form(&browser).await, second.invite.to_url());
    let text = browser.text().await;
    assert!(!text.contains("“the first”") && !text.contains("“the second”"), "{text}");
    assert_eq!(browser.run("return document.activeElement.id").await, "read-said");
    no_barriers(&browser, "an address that has changed").await;

    // While the first is being read, too, whether that goes well or not.
    for (answer, goes_well) in
        [("own(url, { ...options, signal: undefined })", true), ("Promise.reject(new TypeError('no network'))", false)]
    {
        browser.open(&scene.site.origin()).await;
        browser.see(super::BEGUN).await;
        let held = "const own = fetch; \
                    globalThis.fetch = (url, options) => new Promise((done) => { \
                        window.go = () => { globalThis.fetch = own; done(ANSWER); }; });";
        browser.run(&held.replace("ANSWER", answer)).await;
        read(&browser, &first.invite.to_url()).await;
        under_way(&browser).await;
        assert_eq!(browser.run(USABLE).await, 0, "nothing else is read meanwhile");
        lead_to(&browser, &second.invite).await;
        browser.run("go()").await;
        browser.see("The address has another invite now: read it.").await;
        assert_eq!(in_form(&browser).await, second.invite.to_url(), "{goes_well}");
        browser.click("button", "Read it").await;
        browser.see("“the second”").await;
    }
}

#[tokio::test]
async fn a_no_goes_out_with_the_words_of_before_the_touch() {
    let Some(browser) = Browser::start().await else { return };
    let (scene, [asked, _]) = with_two(&browser).await;
    scene.show(&browser, &asked).await;
    browser.click("button", "Say no").await;
    let long = "ä".repeat(513);
    browser.run(&format!("document.getElementById('denial-reason').value = {}", json!(long))).await;
    browser.run(UNTOUCHED).await;
    browser.click("button", "Send my no").await;
    browser.see("That is too long: say it in fewer words.").await;
    assert_eq!(browser.run("return !('go' in window)").await, true, "nobody was asked for a touch");

    browser.fill("denial-reason", "not on a Sunday").await;
    browser.click("button", "Send my no").await;
    under_way(&browser).await;
    browser.run("document.getElementById('denial-reason').value = 'of course'").await;
    browser.run("go()").await;
    browser.see("Your no has been sent: 0 of 2 needed, 1 said no.").await;
    browser.open(&asked.invite.to_url()).await;
    browser.see("said no: “not on a Sunday”").await;
}

/// Whether one can approve, and say no.
const OFFERED: &str = "return ['yes', 'deny'].map((id) => document.getElementById(id).getClientRects().length > 0)";

#[tokio::test]
async fn whoever_has_answered_is_told_so_and_does_not_answer_anew() {
    let Some(browser) = Browser::start().await else { return };
    let (scene, [first, second]) = with_two(&browser).await;
    scene.show(&browser, &first).await;
    assert_eq!(browser.run(OFFERED).await, json!([true, true]));
    browser.click("button", "Approve").await;
    browser.see("Your Toc has been sent: 1 of 2 needed.").await;

    // In another window there is only the oracle's word.
    scene.show(&browser, &first).await;
    browser.see("The oracle has a Toc in your name already: 1 of 2 needed. If you have not sent it,").await;
    browser.see("does not take your Toc back.").await;
    assert_eq!(browser.run(OFFERED).await, json!([true, true]));
    browser.picture("approve-answered").await;
    browser.click("button", "Say no").await;
    browser.click("button", "Send my no").await;
    browser
        .see("Your no has been sent: 1 of 2 needed, 1 said no. Your Toc is there, and a no does not take it back.")
        .await;
    scene.show(&browser, &first).await;
    browser.see("You have said no as well, which does not take it back.").await;
    assert_eq!(browser.run(OFFERED).await, json!([true, false]));
    assert_eq!(scene.answers(&first).await, [1, 1]);

    // A no is no last word.
    scene.show(&browser, &second).await;
    browser.click("button", "Say no").await;
    browser.click("button", "Send my no").await;
    browser.see("Your no has been sent: 0 of 2 needed, 1 said no.").await;
    scene.show(&browser, &second).await;
    browser.see("You have said no already. You may still approve.").await;
    assert_eq!(browser.run(OFFERED).await, json!([true, false]));
    browser.click("button", "Approve").await;
    browser.see("Your Toc has been sent: 1 of 2 needed, 1 said no. Your Toc is there").await;

    // The window knows what it sent, and still after the end.
    browser.click("button", "Another invite").await;
    read(&browser, &second.invite.to_url()).await;
    browser.see("Your Toc is there already: 1 of 2 needed, 1 said no. Nothing more is needed of you.").await;
    assert_eq!(browser.run(OFFERED).await, json!([false, false]));
    browser.click("button", "Another invite").await;
    scene.stage.cancel(&second).await;
    read(&browser, &second.invite.to_url()).await;
    browser.see("Whoever asked has cancelled this session. You had sent your Toc to it.").await;
}

#[tokio::test]
async fn what_has_expired_meanwhile_asks_for_no_touch() {
    let Some(browser) = Browser::start().await else { return };
    let (scene, [asked, _]) = with_two(&browser).await;
    scene.show(&browser, &asked).await;
    browser.run(UNTOUCHED).await;
    browser.run("Date.now = () => new Date().getTime() + 7200000").await;
    for (button, more) in [("Approve", None), ("Say no", Some("Send my no"))] {
        browser.click("button", button).await;
        if let Some(more) = more {
            browser.click("button", more).await;
        }
        browser.see("This invite has expired.").await;
        super::forget(&browser, "answer-said").await;
    }
    assert_eq!(browser.run("return !('go' in window)").await, true, "nobody was asked for a touch");
    assert_eq!(scene.answers(&asked).await, [0, 0]);
}

/// Whether the page believes an invite as it is, and with its TEK in capitals, which age takes for no recipient.
const TEK: &str = "Promise.all(['invite', 'vouch', 'drawer'].map((name) => import(`${location.origin}/${name}.js`))) \
    .then(([{ parseInvite }, { vouch }, { tocOf }]) => { \
        const invite = parseInvite(LINK); \
        const look = (tek) => { try { vouch({ ...invite, tek }, tocOf(invite.group), Date.now() / 1000); return 'believed'; } catch (error) { return error.word; } }; \
        return [look(invite.tek), look(invite.tek.toUpperCase())]; })";

#[tokio::test]
async fn a_key_that_nothing_can_be_encrypted_to_is_refused_before_a_touch() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let deal = scene.settled(&browser).await;
    let asked = scene.ask(&deal, REASON, None).await;
    let looked = browser.evaluate(&TEK.replace("LINK", &json!(asked.invite.to_url()).to_string())).await;
    assert_eq!(looked, json!(["believed", "other_group"]));
}
