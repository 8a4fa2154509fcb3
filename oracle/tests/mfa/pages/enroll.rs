//! Enrolling on pages: what a link shows before and after its button, what is wrong with a form, and that a link serves once.

use super::login::options;
use super::visit::{Page, Visit, filled};
use crate::people::stage::{PASSWORD, People, cheap, link_of};
use crate::stage::{Stage, send};
use crate::token::{Format, Token};
use insta::assert_snapshot;
use quorate_oracle::testing::TestSetup;
use quorate_protocol::otp::OtpSecret;
use reqwest::Method;
use serde_json::{Value, json};

const ORIGIN: &str = "https://oracle.example.com";

fn shown(page: &Page, link: &str) -> String {
    page.content().replace(link, "[link]")
}

#[tokio::test]
async fn a_link_shows_nothing_before_its_button_and_serves_once() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let mut visit = Visit::new(&people);
    let (at, form, finish) =
        (format!("/enroll/{link}"), format!("/enroll/{link}/form"), format!("/enroll/{link}/finish"));
    let mut opened = Vec::new();
    for path in [at.as_str(), &format!("/enroll/{}", "A".repeat(43)), &at] {
        let page = visit.open(path).await;
        assert_eq!(page.status, 200);
        assert!(!page.text.contains("bob"));
        opened.push(page.text.replace(path.rsplit('/').next().expect("a part"), "LINK"));
    }
    opened.dedup();
    assert_eq!(opened.len(), 1, "a link that never was looks the same");
    assert_snapshot!("link", shown(&visit.open(&at).await, &link));

    let page = visit.send(&form, &[]).await;
    assert_eq!(page.status, 200);
    assert_snapshot!("enrolment", shown(&page, &link));
    for (password, again, code, says) in [
        (PASSWORD, "another password altogether", "", "These are two different passwords."),
        ("short", "short", "weak_password", "12 characters"),
        ("", "", "weak_password", "12 characters"),
    ] {
        let page = visit.send(&finish, &[("password", password), ("again", again)]).await;
        assert_eq!(page.refusal(), (400, code), "{password}");
        assert!(page.text.contains(says) && page.text.contains("aria-invalid"), "{}", page.text);
        assert!(!page.text.contains(PASSWORD), "no page repeats a password");
    }
    let page = visit.send(&finish, &[("password", PASSWORD), ("again", PASSWORD)]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("You can log in now, bob") && !page.text.contains("Recovery"), "{}", page.text);
    assert!(page.header("set-cookie").is_none(), "enrolling is no login");
    assert_eq!(Visit::logged_in(&people, "bob").await.open("/account").await.status, 200);

    for page in
        [visit.send(&form, &[]).await, visit.send(&finish, &[("password", PASSWORD), ("again", PASSWORD)]).await]
    {
        assert_eq!(page.refusal(), (404, "link_unknown"));
        assert!(page.text.contains("This link does not serve any more"), "{}", page.text);
    }
}

#[tokio::test]
async fn links_that_cannot_be_or_are_too_old_have_one_page() {
    let people = People::new().await;
    let mut visit = Visit::new(&people);
    for made_up in ["x%22%3E%3Cscript%3E", "%ff", "a%2Fb", "a%20b", &"A".repeat(200)] {
        let page = visit.open(&format!("/enroll/{made_up}")).await;
        assert_eq!(page.refusal(), (404, "link_unknown"), "{made_up}");
        assert!(!page.text.contains("<script>"));
        assert_eq!(visit.send(&format!("/enroll/{made_up}/form"), &[]).await.refusal(), (404, "link_unknown"));
    }
    let link = people.invited("bob", "member").await;
    people.stage.clock.advance(24 * 60 * 60 * 1000 + 1);
    assert_eq!(visit.send(&format!("/enroll/{link}/form"), &[]).await.refusal(), (404, "link_unknown"));
    // Whoever tries many is told to wait.
    let mut last = 404;
    for _ in 0..40 {
        last = visit.send(&format!("/enroll/{link}/form"), &[]).await.status;
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn no_foreign_page_uses_a_link() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let mut visit = Visit::new(&people);
    for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("x-nothing", "")] {
        for path in [format!("/enroll/{link}/form"), format!("/enroll/{link}/finish")] {
            let request = visit.request(Method::POST, &path).header(name, value);
            let page = visit.answer(filled(request, &[("password", PASSWORD), ("again", PASSWORD)])).await;
            assert_eq!(page.refusal(), (403, "form_refused"), "{name}");
        }
    }
    people.enrol(&link, json!({ "password": PASSWORD })).await;
}

#[tokio::test]
async fn an_authenticator_app_is_shown_its_key_and_confirmed() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let (assigned, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    let (form, finish) = (format!("/enroll/{link}/form"), format!("/enroll/{link}/finish"));
    let mut visit = Visit::new(&people);
    assert!(!visit.open(&format!("/enroll/{link}")).await.text.contains("svg.qr"));
    let page = visit.send(&form, &[]).await;
    let key = assigned["key"].as_str().expect("a key");
    assert!(page.text.contains(key) && page.text.contains("TotpDemoConfig") && page.text.contains("class=\"qr\""));
    assert!(OtpSecret::from_base32(key).is_ok());
    for wrong in ["", "000000", "nonsense"] {
        let page = visit.send(&finish, &[("password", PASSWORD), ("again", PASSWORD), ("passcode", wrong)]).await;
        assert_eq!(page.refusal(), (400, "factor_not_confirmed"), "{wrong}");
        assert!(page.text.contains("passcode-error") && page.text.contains(key), "the same key, and why");
    }
    let code = people.code(&secret, 0);
    let page = visit.send(&finish, &[("password", PASSWORD), ("again", PASSWORD), ("passcode", &code)]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    let codes = page.text.split("<li><code>").skip(1).filter_map(|rest| rest.split('<').next());
    let codes: Vec<String> = codes.map(str::to_owned).collect();
    assert_eq!(codes.len(), 10, "{}", page.text);
    assert!(page.header("cache-control") == Some("no-store") && page.text.contains("../login"));
    let login = people.log_in(json!({ "principal": "bob", "password": PASSWORD, "passcode": codes[0] })).await;
    assert_eq!(login.status, 200, "{}", login.text);

    // A link for a new password shows nobody the key that is in use.
    let renewed = people.done(Method::POST, "/principals/bob/link", json!({})).await;
    let link = link_of(renewed["link"].as_str().expect("a link"));
    let page = visit.send(&format!("/enroll/{link}/form"), &[]).await;
    assert!(!page.text.contains(key) && !page.text.contains("class=\"qr\""), "{}", page.text);
    assert!(page.text.contains("name=\"passcode\"") && page.text.contains("goes on with it"), "{}", page.text);
}

/// Bob, who has to register a key, and the last part of his link.
async fn with_keys() -> (People, String) {
    let people = People::on(Stage::with(cheap(TestSetup::default().set("url", ORIGIN))).await).await;
    let link = people.invited("bob", "member").await;
    people.done(Method::POST, "/system/multi_factor", json!({ "Type": "webauthn", "Name": "Keys" })).await;
    people.done(Method::PUT, "/principals/bob/multi_factor", json!({ "provider": "Keys" })).await;
    (people, link)
}

/// What the page of `link` asks a key with.
async fn asked(visit: &mut Visit<'_>, link: &str) -> Value {
    let page = visit.send(&format!("/enroll/{link}/form"), &[]).await;
    serde_json::from_str(&options(&page)).expect("JSON")
}

#[tokio::test]
async fn a_security_key_is_registered_on_the_page() {
    let (people, link) = with_keys().await;
    let finish = format!("/enroll/{link}/finish");
    let mut visit = Visit::new(&people);
    let options = asked(&mut visit, &link).await;
    let mut token = Token::new(b"the key of bob");
    let passwords = [("password", PASSWORD), ("again", PASSWORD)];
    for nonsense in ["", "{}", "nonsense"] {
        let fields = [&passwords[..], &[("credential", nonsense), ("key_name", " blue <b> ")]].concat();
        let page = visit.send(&finish, &fields).await;
        assert_eq!(page.refusal(), (400, "factor_not_confirmed"), "{nonsense}");
        assert!(page.text.contains("value=\"blue &lt;b&gt;\""), "what it is called stays: {}", page.text);
    }
    let answer = token.create(&options, ORIGIN, Format::None).to_string();
    let long = "x".repeat(65);
    let fields = |name| [&passwords[..], &[("credential", &*answer), ("key_name", name)]].concat();
    assert_eq!(visit.send(&finish, &fields(&long)).await.refusal(), (400, "invalid_option"));
    let page = visit.send(&finish, &fields(" blue ")).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert_eq!(page.text.matches("<li><code>").count(), 10);
    assert_eq!(people.done(Method::GET, "/principals/bob", json!({})).await["keys"][0]["name"], "blue");
    let mut asked = people.log_in(json!({ "principal": "bob", "password": PASSWORD })).await;
    let state = asked.json["state"].as_str().expect("a state").to_owned();
    let answer = token.get(&asked.json["publicKey"].take(), ORIGIN);
    let login = people.log_in(json!({ "principal": "bob", "state": state, "credential": answer })).await;
    assert_eq!(login.status, 200, "{}", login.text);
}

/// What a token says: that somebody touched it, and that it knew them.
const PRESENT: u8 = 1;
const VERIFIED: u8 = PRESENT | 4;

#[tokio::test]
async fn a_passkey_is_held_to_asking_who_its_user_is() {
    let (people, link) = with_keys().await;
    let finish = format!("/enroll/{link}/finish");
    let mut visit = Visit::new(&people);
    let mut token = Token::new(b"the passkey of bob");
    let mut enrolled = None;
    for (flags, status) in [(PRESENT, 400), (VERIFIED, 200)] {
        let given = asked(&mut visit, &link).await;
        token.flags = flags;
        let answer = token.create(&given, ORIGIN, Format::None).to_string();
        let fields = [("password", PASSWORD), ("again", PASSWORD), ("kind", "passkey"), ("credential", &*answer)];
        let page = visit.send(&finish, &fields).await;
        assert_eq!(page.status, status, "{}", page.text);
        enrolled = Some(page);
    }
    assert!(enrolled.is_some_and(|page| page.text.contains("Recovery codes")));

    for (flags, status) in [(PRESENT, 401), (VERIFIED, 200)] {
        let mut asked = people.log_in(json!({ "principal": "bob", "password": PASSWORD })).await;
        assert_eq!(asked.json["publicKey"]["userVerification"], "required", "{}", asked.text);
        let state = asked.json["state"].as_str().expect("a state").to_owned();
        token.flags = flags;
        let answer = token.get(&asked.json["publicKey"].take(), ORIGIN);
        let login = people.log_in(json!({ "principal": "bob", "state": state, "credential": answer })).await;
        assert_eq!(login.status, status, "{}", login.text);
    }
}

/// That there may be copies of it.
const ELIGIBLE: u8 = 8;

#[tokio::test]
async fn what_a_device_keeps_is_a_passkey_whatever_it_was_registered_as() {
    for (flags, transports) in
        [(PRESENT | ELIGIBLE, json!(["usb"])), (PRESENT, json!(["internal"])), (PRESENT, json!(["usb", "hybrid"]))]
    {
        let (people, link) = with_keys().await;
        let mut token = Token::new(b"the telephone of bob");
        let mut visit = Visit::new(&people);
        let given = asked(&mut visit, &link).await;
        let created = |token: &mut Token, flags| {
            token.flags = flags;
            let mut answer = token.create(&given, ORIGIN, Format::None);
            answer["response"]["transports"] = transports.clone();
            answer
        };
        // The button for keys, and the route for programs, which has no buttons.
        let answer = created(&mut token, flags);
        let text = answer.to_string();
        let fields = [("password", PASSWORD), ("again", PASSWORD), ("kind", "key"), ("credential", &*text)];
        let page = visit.send(&format!("/enroll/{link}/finish"), &fields).await;
        assert_eq!(page.refusal(), (400, "not_verified"), "{flags:#x} {transports}");
        let body = json!({ "password": PASSWORD, "credential": answer });
        let refused = send(people.stage.at(Method::POST, &format!("/enroll/{link}")).json(&body)).await;
        assert_eq!(refused.json["code"], "not_verified", "{flags:#x} {transports}: {}", refused.text);

        let verified = flags | VERIFIED;
        let body = json!({ "password": PASSWORD, "credential": created(&mut token, verified) });
        people.enrol(&link, body).await;
        for (flags, status) in [(flags, 401), (verified, 200)] {
            let mut asked = people.log_in(json!({ "principal": "bob", "password": PASSWORD })).await;
            assert_eq!(asked.json["publicKey"]["userVerification"], "required", "{}", asked.text);
            let state = asked.json["state"].as_str().expect("a state").to_owned();
            token.flags = flags;
            let answer = token.get(&asked.json["publicKey"].take(), ORIGIN);
            let login = people.log_in(json!({ "principal": "bob", "state": state, "credential": answer })).await;
            assert_eq!(login.status, status, "{flags:#x} {transports}: {}", login.text);
        }
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_keys_answer_is_said_where_it_can_be_given_again() {
    let (people, link) = with_keys().await;
    let finish = format!("/enroll/{link}/finish");
    let mut visit = Visit::new(&people);
    let token = Token::new(b"the key of bob");
    let given = asked(&mut visit, &link).await;
    for (origin, kind, code, says) in [
        ("https://other.example.com", "key", "wrong_origin", "The answer was made for another origin."),
        (ORIGIN, "passkey", "not_verified", "The passkey did not check who its user is."),
    ] {
        let answer = token.create(&given, origin, Format::None).to_string();
        let fields = [("password", PASSWORD), ("again", PASSWORD), ("kind", kind), ("credential", &*answer)];
        let page = visit.send(&finish, &fields).await;
        assert_eq!(page.refusal(), (400, code));
        assert!(page.text.contains(says) && page.text.contains("data-options"), "{}", page.text);
    }
    people.stage.clock.advance(5 * 60 * 1000 + 1);
    let answer = token.create(&given, ORIGIN, Format::None).to_string();
    let fields = [("password", PASSWORD), ("again", PASSWORD), ("credential", &*answer)];
    let page = visit.send(&finish, &fields).await;
    assert_eq!(page.refusal(), (400, "invalid_challenge"), "who took too long touches the key again");
    let given: Value = serde_json::from_str(&options(&page)).expect("JSON");
    let answer = token.create(&given, ORIGIN, Format::None).to_string();
    let fields = [("password", PASSWORD), ("again", PASSWORD), ("credential", &*answer)];
    assert_eq!(visit.send(&finish, &fields).await.status, 200);
}

#[tokio::test]
async fn programs_enrol_by_the_same_link_as_before() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let begun = send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await;
    assert_eq!(begun.json["principal"], "principal/internal/user/bob");
    let mut visit = Visit::new(&people);
    visit.open(&format!("/enroll/{link}")).await;
    visit.send(&format!("/enroll/{link}/form"), &[]).await;
    people.enrol(&link, json!({ "password": PASSWORD })).await;
}
