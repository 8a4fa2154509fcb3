//! The approving page in a real browser: a key made with a passkey, a Toc filed, and sessions answered with the keyboard alone;
//! and everything that must not be answered.

mod bundle;
mod refusals;
mod site;
mod tampered;
mod turns;
mod vectors;

use crate::driver::Browser;
use crate::stage::{Stage, now};
use crate::support::{Asked, URI, plan_of, planned, signed_request};
use base64::Engine as _;
use fantoccini::key::Key;
use quorate_protocol::api::OracleDescription;
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::header::OraclePin;
use quorate_protocol::invite::Purpose;
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::plan::Plan;
use quorate_protocol::sealing::age_seal;
use quorate_protocol::toc::WholeToc;
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use reqwest::Method;
use serde_json::{Value, json};
use site::Site;

const REASON: &str = "Close the month <img src=x onerror=alert(1)> \u{202e}gnp";
/// What can be read once the page's modules have begun.
const BEGUN: &str = "The invite, the whole link";

/// An oracle that the page may call, the page, and the passkeys of whoever sits there.
struct Scene {
    site: Site,
    stage: Stage,
    description: OracleDescription,
    passkeys: Value,
}

impl Scene {
    async fn begin(browser: &Browser) -> Self {
        let site = Site::start().await;
        let stage = Stage::with_page(&site.origin());
        let description = description(&stage).await;
        browser.chromium("WebAuthn.enable", json!({ "enableUI": false })).await;
        let options = json!({ "protocol": "ctap2", "ctap2Version": "ctap2_1", "transport": "usb", "hasResidentKey": true,
            "hasUserVerification": true, "hasPrf": true, "automaticPresenceSimulation": true, "isUserVerified": true });
        let mut made = browser.chromium("WebAuthn.addVirtualAuthenticator", json!({ "options": options })).await;
        let passkeys = made["authenticatorId"].take();
        browser.open(&site.origin()).await;
        browser.see(BEGUN).await;
        Self { site, stage, description, passkeys }
    }

    /// The same page, with another oracle.
    async fn at(self, stage: Stage) -> Self {
        Self { description: description(&stage).await, stage, ..self }
    }

    /// Whether whoever sits there touches at once what asks for it.
    async fn touched(&self, browser: &Browser, touched: bool) {
        browser.touched(&self.passkeys, touched).await;
    }

    /// How many approve the session of `asked`, and how many have said no.
    async fn answers(&self, asked: &Asked) -> [u64; 2] {
        let session = self.stage.send(Method::GET, &format!("/sessions/{}", asked.id()), &()).await;
        ["tocs_provided", "denials"].map(|count| session.json[count].as_u64().expect("a count"))
    }

    /// Makes a key for this oracle; gives its recipient.
    async fn make_key(&self, browser: &Browser) -> age::x25519::Recipient {
        self.make_key_for(browser, &self.description.fingerprint).await
    }

    async fn make_key_for(&self, browser: &Browser, fingerprint: &str) -> age::x25519::Recipient {
        browser.run("document.getElementById('make').closest('details').open = true").await;
        browser.fill("make-oracle", &self.description.url).await;
        browser.fill("make-fingerprint", fingerprint).await;
        forget(browser, "make-said").await;
        browser.click("button", "Make the key").await;
        browser.see("The key is made.").await;
        recipient(browser).await
    }

    /// Deals anew, 2 of 3: the second Toc is that of the page.
    fn deal(&self) -> Deal {
        deal_for(Some(OraclePin { url: self.description.url.clone(), root_key: self.description.root_key.clone() }))
    }

    /// Files a Toc that is pasted: the text of an age file.
    async fn file(&self, browser: &Browser, armored: &str) {
        forget(browser, "file-said").await;
        paste(browser, "toc-text", armored).await;
        browser.click("button", "File this Toc").await;
    }

    /// A key, and the second Toc of a deal, filed.
    async fn settled(&self, browser: &Browser) -> Deal {
        let recipient = self.make_key(browser).await;
        let deal = self.deal();
        self.file(browser, &sealed(&deal.tocs[1], &recipient)).await;
        browser.see("Filed: bob holds Toc 2 of AWS root <b>.").await;
        deal
    }

    /// The first player asks.
    async fn ask(&self, deal: &Deal, reason: &str, plan: Option<&Plan>) -> Asked {
        let purpose = if plan.is_some() { Purpose::Redeal } else { Purpose::Code };
        let request = signed_request(&self.description.url, &deal.tocs[0], purpose, plan, reason, now());
        self.stage.send(Method::POST, "/sessions", &request).await.asked()
    }

    /// Opens the page with the invite of `asked`, and waits until it has read it.
    async fn show(&self, browser: &Browser, asked: &Asked) {
        browser.open(&self.site.with(&asked.invite.to_url())).await;
        browser.see("The oracle that your Toc names signed exactly this request.").await;
    }
}

async fn description(stage: &Stage) -> OracleDescription {
    let said = stage.send(Method::GET, "/.well-known/quorate", &()).await;
    serde_json::from_str(&said.text).expect("a description")
}

/// Nothing may keep anybody out of the page in this state.
async fn no_barriers(browser: &Browser, state: &str) {
    let barriers = browser.barriers().await;
    assert!(barriers.is_empty(), "{state}:\n{}", barriers.join("\n"));
}

/// Deals for that oracle, 2 of 3.
fn deal_for(oracle: Option<OraclePin>) -> Deal {
    let holders = ["ann", "bob", "carol \u{202e}eve"].map(str::to_owned);
    let secret = OtpSecret::from_uri(URI).expect("a URI");
    let (note, dealt_at) = ("AWS root <b>", now());
    let request =
        DealRequest { secret: &secret, threshold: 2, holders: &holders, note, dealt_at, oracle, replaces: None };
    deal(&request, &mut StdRng::from_seed(rand::random())).expect("dealt")
}

fn sealed(toc: &WholeToc, recipient: &age::x25519::Recipient) -> String {
    age_seal(&toc.to_json(), std::iter::once(recipient as &dyn age::Recipient)).expect("sealed")
}

/// Pastes `text` into the field of that id, in place of what stands in it.
async fn paste(browser: &Browser, id: &str, text: &str) {
    browser.run(&format!("document.getElementById({}).value = {}", json!(id), json!(text))).await;
}

/// Empties the place of that id where something is said.
async fn forget(browser: &Browser, id: &str) {
    browser.run(&format!("document.getElementById({}).textContent = ''", json!(id))).await;
}

/// The recipient of the first key on the page.
async fn recipient(browser: &Browser) -> age::x25519::Recipient {
    let text = browser.run("return document.querySelector('#keys code').textContent").await;
    text.as_str().expect("a text").parse().expect("a recipient")
}

/// What has the focus.
const FOCUS: &str = "return document.activeElement.id";
/// The keys in their order: as they are listed, and as one files with them.
const LISTED: &str = "return [[...document.querySelectorAll('#keys h3 + p code')].map((key) => key.textContent), \
    [...document.querySelectorAll('#toc-key option')].map((option) => option.value)]";

/// Goes on with the tabulator to what is called `words`, and presses Enter there.
async fn enter(browser: &Browser, words: &str) {
    browser.tab_to(words).await;
    browser.press(Key::Enter).await;
}

#[tokio::test]
async fn a_passkey_approves_with_the_keyboard_alone_and_the_code_is_right() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    browser.picture("approve-empty").await;
    enter(&browser, "Make a key for an oracle").await;
    browser.tab_to("Address of the oracle").await;
    browser.type_in(&scene.description.url).await;
    browser.tab_to("Fingerprint of its root key").await;
    browser.type_in(&scene.description.fingerprint.to_lowercase()).await;
    browser.press(Key::Enter).await;
    browser.see("The key is made.").await;

    // The dealer gets the recipient and makes a file, which is chosen.
    let deal = scene.deal();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bob.toc.age");
    std::fs::write(&file, sealed(&deal.tocs[1], &recipient(&browser).await)).expect("a file");
    browser.choose("toc-file", &file).await;
    browser.run("document.getElementById('toc-file').focus()").await;
    enter(&browser, "File this Toc").await;
    browser.see("Filed: bob holds Toc 2 of AWS root <b>.").await;
    browser.picture("approve-filed").await;

    let asked = scene.ask(&deal, REASON, None).await;
    browser.open(&scene.site.with(&asked.invite.to_url())).await;
    browser.see("ann asks for one-time codes of AWS root <b>").await;
    browser.see("Close the month <img src=x onerror=alert(1)> \\u{202e}gnp").await;
    browser.see("ann (proved: signed with the key of Toc 1)").await;
    browser.see("0 of 2 needed").await;
    let moved = browser.wait_for(crate::SHIFTS).await;
    assert!(moved.as_f64().is_some_and(|moved| moved < 0.1), "what was on the page moved by {moved}");
    browser.picture("approve-request").await;
    // The focus went to what is asked; the answer is the next stop.
    enter(&browser, "Approve").await;
    browser.see("Your Toc has been sent: 1 of 2 needed.").await;
    browser.picture("approve-done").await;

    scene.stage.post(&asked.path("tocs"), &asked.approval(&deal.tocs[0])).await;
    let kek = json!({ "kek": asked.credentials.kek.as_str() });
    let secret = OtpSecret::from_uri(URI).expect("a URI");
    let code_at = |time: i64| secret.code_at(u64::try_from(time).expect("after 1970")).digits.to_string();
    let before = now();
    let answer = scene.stage.send(Method::POST, &asked.path("totp"), &kek).await;
    // Whatever step it was when the oracle looked, it lies between.
    let expected: Vec<String> = (before / 30..=now() / 30).map(|step| code_at(step * 30)).collect();
    let code = answer.json["totp"].as_str().unwrap_or_else(|| panic!("{}", answer.text));
    assert!(expected.iter().any(|expected| expected == code), "{code} is none of {expected:?}");
    assert_eq!(answer.json.get("dropped"), None, "no Toc was false");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_passkey_says_no_with_the_keyboard_alone() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let deal = scene.settled(&browser).await;
    let asked = scene.ask(&deal, "", None).await;
    let zone = json!({ "timezoneId": "Asia/Kolkata" });
    browser.chromium("Emulation.setTimezoneOverride", zone).await;
    scene.show(&browser, &asked).await;
    browser.see("(nothing said)").await;
    browser.see("GMT+5:30, until ").await;
    enter(&browser, "Say no").await;
    // The focus is in the field.
    browser.type_in("not on a Sunday").await;
    browser.picture("approve-denial").await;
    enter(&browser, "Send my no").await;
    browser.see("Your no has been sent: 0 of 2 needed, 1 said no.").await;
    assert_eq!(scene.answers(&asked).await, [0, 1]);
    enter(&browser, "Another invite").await;
    assert_eq!(browser.run("return document.activeElement.id").await, "invite");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_plan_is_shown_whole_and_a_lost_place_is_pointed_out() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let deal = scene.settled(&browser).await;
    let own = recipient(&browser).await;
    let keys: Vec<_> = (0..2).map(|_| age::x25519::Identity::generate()).collect();
    let mut bob = planned("bob", &keys[1]);
    let players = |bob| vec![planned("ann", &keys[0]), bob, planned("dora", &age::x25519::Identity::generate())];
    let taken = scene.ask(&deal, "carol left", Some(&plan_of(deal.group.name(), 2, players(bob.clone())))).await;
    scene.show(&browser, &taken).await;
    browser.see("ann asks for a redeal of AWS root <b>").await;
    browser.see("2 of 3 players (now 2 of 3).").await;
    browser.see("dora added").await;
    browser.see("No longer among them: carol \\u{202e}eve.").await;
    browser.see(&format!("{} not the key of this Toc", keys[1].to_public())).await;
    browser.see("Warning: the plan keeps your name, bob, but not with the key that opens this Toc.").await;
    browser.picture("approve-lost-place").await;

    bob.recipients.push(own.to_string());
    let kept = scene.ask(&deal, "carol left us", Some(&plan_of(deal.group.name(), 3, players(bob)))).await;
    scene.show(&browser, &kept).await;
    browser.see("3 of 3 players (now 2 of 3).").await;
    browser.see(&format!("{own} your key")).await;
    assert!(!browser.text().await.contains("Warning"));
    browser.click("button", "Approve").await;
    browser.see("Your Toc has been sent: 1 of 2 needed.").await;
}

#[tokio::test]
async fn the_oracles_page_leads_to_the_approving_page() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let deal = scene.settled(&browser).await;
    let asked = scene.ask(&deal, REASON, None).await;
    browser.open(&asked.invite.to_url()).await;
    browser.see("Approve with a passkey").await;
    browser.picture("session-passkey").await;
    browser.click("a", "Approve with a passkey").await;
    browser.see("The oracle that your Toc names signed exactly this request.").await;
    assert_eq!(browser.complaints().await, Vec::<String>::new());
}

#[tokio::test]
async fn a_saved_key_is_taken_up_on_another_day() {
    let Some(browser) = Browser::start().await else { return };
    let scene = Scene::begin(&browser).await;
    let own = scene.make_key(&browser).await;
    assert!(browser.run("return document.querySelector('#keys a[download]').href").await.as_str().is_some());
    // What is offered for saving is read where it is kept: the policy lets nobody fetch it from the page.
    let kept = browser.run("return JSON.parse(localStorage.getItem(Object.keys(localStorage)[0])).sealed").await;
    let kept = kept.as_str().expect("a file").to_owned();
    let header = kept.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let header = base64::engine::general_purpose::STANDARD.decode(header).expect("armor");
    let header = String::from_utf8_lossy(&header).into_owned();
    assert!(header.contains("\n-> age-encryption.org/fido2prf "), "{header}");
    let label = header.lines().find_map(|line| line.strip_prefix("-> quorate-passkey AGE-PLUGIN-FIDO2PRF-1"));
    let label: Vec<&str> = label.unwrap_or_else(|| panic!("{header}")).split(' ').skip(1).collect();
    assert_eq!(label, [own.to_string(), scene.description.url.clone()], "the file says what it is");
    // Not before it is saved, and not by Enter twice.
    browser.click("button", "Remove").await;
    browser.see("Save its file first").await;
    browser
        .run("document.querySelector('#keys a[download]').addEventListener('click', (event) => event.preventDefault())")
        .await;
    browser.click("a", "Save its file").await;
    browser.click("button", "Remove").await;
    browser.see("Press again to remove it.").await;
    assert_eq!(browser.run(FOCUS).await, "keys-said");
    no_barriers(&browser, "a key that is about to be removed").await;
    browser.click("button", "Remove for good").await;
    browser.see("None is kept in this browser.").await;

    browser.run("document.getElementById('take').closest('details').open = true").await;
    paste(&browser, "sealed-text", &kept).await;
    browser.fill("take-oracle", "https://other.oracle.test").await;
    browser.fill("take-fingerprint", &scene.description.fingerprint).await;
    browser.click("button", "Take it up").await;
    browser.see("This key was made for another oracle").await;
    browser.fill("take-oracle", &scene.description.url).await;
    browser.click("button", "Take it up").await;
    browser.see(&format!("The key is here: {own}")).await;
    let deal = scene.deal();
    scene.file(&browser, &sealed(&deal.tocs[1], &own)).await;
    browser.see("Filed: bob holds Toc 2 of AWS root <b>.").await;
    assert_eq!(browser.run(FOCUS).await, "file-said");

    // The newest key comes first, and is the one that the next Toc is filed with.
    let newer: Vec<_> =
        [scene.make_key(&browser).await, scene.make_key(&browser).await].map(|key| key.to_string()).into();
    let listed = browser.run(LISTED).await;
    assert_eq!(listed, json!([[newer[1], newer[0], own.to_string()], [newer[1], newer[0], own.to_string()]]));
    browser.see("Here since ").await;
}
