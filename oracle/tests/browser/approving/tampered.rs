//! What somebody has left in the browser for its owner's next touch: records of their own making, a file with many seals, a worker
//! of another page.

use super::site::{Site, Twist};
use super::{BEGUN, REASON, Scene, paste, recipient};
use crate::driver::Browser;
use crate::support::{plan_of, planned};
use serde_json::{Value, json};

/// What the browser keeps under a name that begins so.
async fn kept(browser: &Browser, start: &str) -> (String, Value) {
    let find = "const name = Object.keys(localStorage).find((name) => name.startsWith(START)); \
                return [name, JSON.parse(localStorage.getItem(name))];";
    let found = browser.run(&find.replace("START", &json!(start).to_string())).await;
    (found[0].as_str().expect("a name").to_owned(), found[1].clone())
}

async fn keep(browser: &Browser, name: &str, record: &Value) {
    browser.run(&format!("localStorage.setItem({}, {})", json!(name), json!(record.to_string()))).await;
}

#[tokio::test]
async fn another_key_that_is_noted_as_ones_own_gets_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let deal = scene.settled(&browser).await;
    let [evil, ann] = [age::x25519::Identity::generate(), age::x25519::Identity::generate()];
    let recipient = evil.to_public().to_string();
    let players =
        vec![planned("ann", &ann), planned("bob", &evil), planned("dora", &age::x25519::Identity::generate())];
    let taken = scene.ask(&deal, "carol left", Some(&plan_of(deal.group.name(), 2, players))).await;

    // Beside one's own, whoever wrote it there: of no use, for it opens no Toc.
    let (_, mut key) = kept(&browser, "quorate key ").await;
    key["recipient"] = json!(recipient);
    keep(&browser, &format!("quorate key {recipient}"), &key).await;
    scene.show(&browser, &taken).await;
    browser.see(&format!("{recipient} not the key of this Toc")).await;
    browser.see("Warning: the plan keeps your name, bob").await;

    // And as the key of the Toc: what is shown is what its author wants, until the true key has opened.
    let (name, mut toc) = kept(&browser, "quorate toc ").await;
    toc["recipient"] = json!(recipient);
    toc["players"][2] = json!("dora");
    keep(&browser, &name, &toc).await;
    scene.show(&browser, &taken).await;
    browser.see(&format!("{recipient} your key")).await;
    let text = browser.text().await;
    assert!(!text.contains("Warning") && !text.contains("dora added"), "{text}");
    browser.click("button", "Approve").await;
    browser.see("The key that opened is not the one that is noted here").await;
    assert_eq!(scene.answers(&taken).await, [0, 0]);
}

#[tokio::test]
async fn whatever_is_noted_of_a_toc_has_to_be_what_it_says() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let deal = scene.settled(&browser).await;
    let (name, right) = kept(&browser, "quorate toc ").await;
    let asked = scene.ask(&deal, REASON, None).await;
    for (fact, false_fact, shown) in [
        ("players", json!(["ann", "bob", "dora"]), "ann asks for one-time codes"),
        ("holder", json!("dora"), "dora (Toc 2)"),
        ("x", json!(3), "bob (Toc 3)"),
    ] {
        let mut toc = right.clone();
        toc[fact] = false_fact;
        keep(&browser, &name, &toc).await;
        scene.show(&browser, &asked).await;
        browser.see(shown).await;
        browser.click("button", "Approve").await;
        browser
            .see("Your Toc is not what is noted of it here, so what was shown may be false. Nothing was sent.")
            .await;
        assert_eq!(scene.answers(&asked).await, [0, 0], "{fact}");
    }
    keep(&browser, &name, &right).await;
    scene.show(&browser, &asked).await;
    browser.click("button", "Approve").await;
    browser.see("Your Toc has been sent: 1 of 2 needed.").await;
}

/// A file with more seals than anybody makes, none of which opens.
const MANY_SEALS: &str = "import(`${location.origin}/vendor/age-encryption/dist/index.js`).then(({ Encrypter, Stanza, armor }) => { \
    const salt = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(16)))).replace(/=+$/, ''); \
    const seal = () => new Stanza(['age-encryption.org/fido2prf', salt()], new Uint8Array(32)); \
    const encrypter = new Encrypter(); \
    encrypter.addRecipient({ wrapFileKey: () => Array.from({ length: 9 }, seal) }); \
    return encrypter.encrypt('nothing').then(armor.encode); \
})";
/// Counts how often passkeys are asked.
const COUNT: &str = "window.touches = 0; \
    const own = navigator.credentials.get.bind(navigator.credentials); \
    navigator.credentials.get = (asked) => { window.touches += 1; return own(asked); };";

#[tokio::test]
async fn a_file_of_many_seals_asks_for_four_touches() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    scene.make_key(&browser).await;
    let file = browser.evaluate(MANY_SEALS).await;
    browser.run(COUNT).await;
    browser.run("document.getElementById('take').closest('details').open = true").await;
    paste(&browser, "sealed-text", file.as_str().expect("a text")).await;
    browser.fill("take-oracle", &scene.description.url).await;
    browser.fill("take-fingerprint", &scene.description.fingerprint).await;
    browser.click("button", "Take it up").await;
    browser.see("This passkey is not the one that the key was sealed to.").await;
    assert_eq!(browser.run("return window.touches").await, 4);
    let own = recipient(&browser).await;
    assert_eq!(browser.run("return document.querySelectorAll('#keys > li').length").await, 1, "{own} alone is kept");
}

/// A page that leaves a worker behind, if it may.
const OTHER_PAGE: &str = "<!doctype html><title>other</title><body><script>\
    navigator.serviceWorker.register('worker.js').then(() => navigator.serviceWorker.ready)\
    .then(() => document.body.append('It stays.'), () => document.body.append('It may not stay.'))</script>";
/// Whoever serves that page sends no policy with it.
const WITHOUT_POLICY: Twist = |_, answer| {
    answer.headers_mut().remove("content-security-policy");
};

#[tokio::test]
async fn a_worker_that_another_page_left_is_ended_and_pointed_out() {
    let Some(browser) = Browser::start().await else { return };
    let site = Site::start().await;
    for (name, text) in [("other.html", OTHER_PAGE), ("worker.js", "addEventListener('fetch', () => {});")] {
        std::fs::write(site.bundle().join(name), text).expect("a file");
    }
    let other = format!("{}/other.html", site.origin());
    browser.open(&other).await;
    browser.see("It may not stay.").await;
    site.twist(Some(WITHOUT_POLICY));
    browser.open(&other).await;
    browser.see("It stays.").await;
    site.twist(None);

    browser.open(&site.origin()).await;
    browser.see("This browser kept a program (a service worker) that another page at this address left behind").await;
    browser.see("It was removed now.").await;
    browser.picture("approve-worker").await;
    let text = browser.text().await;
    assert!(!text.contains(BEGUN) && !text.contains("This page does not begin"), "{text}");
    browser.open(&site.origin()).await;
    browser.see(BEGUN).await;
    let left = "navigator.serviceWorker.getRegistrations().then((workers) => workers.length)";
    assert_eq!(browser.evaluate(left).await, 0);
}
