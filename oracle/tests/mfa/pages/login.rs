//! Logging in on pages: both steps, every refusal, where it leads, and what the cookie is good for.

use super::visit::{Page, Visit, filled};
use crate::people::stage::{PASSWORD, People, cheap};
use crate::stage::{Stage, send};
use crate::token::{Format, Token};
use insta::assert_snapshot;
use quorate_oracle::testing::TestSetup;
use reqwest::Method;
use serde_json::{Value, json};

const WRONG: &str = "Principal, password or second factor is wrong.";
const NOT_ACCEPTED: &str = "That was not accepted: it is wrong, was used already, or comes too late.";

#[tokio::test]
async fn a_password_lets_in_and_the_cookie_is_kept_from_scripts_and_foreign_pages() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let mut visit = Visit::new(&people);
    let page = visit.open("/login").await;
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("form-action 'self'")));
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("same-origin"), "or browsers hide where a form comes from");
    assert_snapshot!("login", page.content());

    let page = visit.send("/login/password", &[("principal", " bob "), ("password", PASSWORD)]).await;
    assert_eq!(page.leads_to(), "../account");
    let set = page.header("set-cookie").expect("a cookie").to_owned();
    let (pair, attributes) = set.split_once(';').expect("attributes");
    assert_eq!(attributes, " Path=/; HttpOnly; SameSite=Lax");
    assert_eq!(pair.strip_prefix("quorate=").map(str::len), Some(43));
    let page = visit.open("/account").await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.text.contains("principal/internal/user/bob") && page.text.contains("member"), "{}", page.text);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_snapshot!("account", page.content().replace(&page.token(), "[token]"));
}

#[tokio::test]
async fn over_https_the_cookie_is_the_hosts_alone_and_over_plain_http_nobody_logs_in() {
    let stage = Stage::with(cheap(TestSetup::default().set("url", "https://oracle.example/prod"))).await;
    let people = People::on(stage).await;
    let mut visit = Visit::new(&people);
    let fields = [("principal", "operator"), ("password", PASSWORD)];
    // As a browser without the header of its own for that.
    let request = visit.request(Method::POST, "/login/password").header("origin", "https://oracle.example");
    let page = visit.answer(filled(request, &fields)).await;
    assert_eq!(page.leads_to(), "../admin/principals", "where an operator has to do");
    let set = page.header("set-cookie").expect("a cookie");
    assert!(set.starts_with("__Host-quorate=") && set.ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"), "{set}");
    assert_eq!(visit.open("/account").await.status, 200);
    // The same ticket under the name that a neighbour, or plain HTTP, could have set.
    visit.cookie = visit.cookie.map(|cookie| cookie.replace("__Host-quorate", "quorate"));
    assert_eq!(visit.open("/account").await.leads_to(), "login?next=account");

    let stage = Stage::with(cheap(TestSetup::default().set("url", "http://oracle.example"))).await;
    let people = People::on(stage).await;
    let mut visit = Visit::with(&people, &people.operator);
    for page in [visit.open("/login").await, visit.send("/login/password", &fields).await, visit.open("/account").await]
    {
        assert_eq!(page.refusal(), (403, "insecure"));
        assert!(page.header("set-cookie").is_none());
    }
}

#[tokio::test]
async fn whatever_is_wrong_is_told_in_one_sentence_and_a_lock_with_its_time() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let mut visit = Visit::new(&people);
    let mut pages = Vec::new();
    for (name, password) in
        [("bob", "wrong"), ("nobody", PASSWORD), ("no name \u{202e}<b>", PASSWORD), ("", ""), ("bob", "")]
    {
        let page = visit.send("/login/password", &[("principal", name), ("password", password)]).await;
        assert_eq!(page.refusal(), (401, "login_refused"), "{name}");
        assert!(page.text.contains(WRONG) && !page.text.contains("<b>"), "{}", page.text);
        assert!(
            page.text.contains("id=\"notice\"") && page.text.contains("aria-describedby=\"notice\""),
            "{}",
            page.text
        );
        assert!(page.header("set-cookie").is_none());
        let field = format!(" value=\"{}\"", name.replace('<', "&lt;").replace('>', "&gt;"));
        pages.push(if name.is_empty() { page.text } else { page.text.replace(&field, "") });
    }
    pages.dedup();
    assert_eq!(pages.len(), 1, "{pages:?}");

    for _ in 0..5 {
        visit.send("/login/password", &[("principal", "ann"), ("password", "wrong")]).await;
    }
    let page = visit.send("/login/password", &[("principal", "ann"), ("password", PASSWORD)]).await;
    assert_eq!(page.refusal(), (429, "login_locked"));
    assert_eq!(page.header("retry-after"), Some("30"));
    assert!(page.text.contains("Too many failed logins. Try again in 30 seconds."), "{}", page.text);
}

/// Bob with an authenticator app, and the page of his second step.
pub async fn second_step(visit: &mut Visit<'_>) -> Page {
    let page = visit.send("/login/password", &[("principal", "bob"), ("password", PASSWORD), ("next", "s/ABC")]).await;
    assert_eq!(page.status, 200, "{}", page.text);
    assert!(page.header("set-cookie").is_none() && visit.cookie.is_none(), "halfway is not in");
    page
}

/// Sends the second step with what its page carries.
pub async fn answered(visit: &mut Visit<'_>, page: &Page, passcode: &str) -> Page {
    let [principal, state, next, factor] =
        ["principal", "state", "next", "factor"].map(|name| page.hidden(name).expect("a field"));
    let fields = [
        ("principal", &*principal),
        ("state", &*state),
        ("next", &*next),
        ("factor", &*factor),
        ("passcode", passcode),
    ];
    visit.send("/login/factor", &fields).await
}

#[tokio::test]
async fn a_code_follows_the_password_and_counts_once() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let (_, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    let body = json!({ "password": PASSWORD, "passcode": people.code(&secret, -1) });
    let recovery = people.enrol(&link, body).await["recovery_codes"][0].as_str().expect("a code").to_owned();
    people.user("ann", "operator").await;

    let mut visit = Visit::new(&people);
    let asked = second_step(&mut visit).await;
    let state = asked.hidden("state").expect("a state");
    assert_snapshot!("second_step", asked.content().replace(&state, "[state]"));
    for wrong in ["", "000000", "nonsense", &"9".repeat(200)] {
        let page = answered(&mut visit, &asked, wrong).await;
        assert_eq!(page.refusal(), (401, "login_refused"), "{wrong}");
        assert!(page.text.contains(NOT_ACCEPTED) && !page.text.contains(WRONG));
        assert_eq!(page.hidden("state").as_ref(), Some(&state), "and may be tried again");
    }
    let code = people.code(&secret, 0);
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    let page = answered(&mut visit, &asked, &spaced).await;
    assert_eq!(page.leads_to(), "../s/ABC");
    assert_eq!(visit.open("/account").await.status, 200);

    // Neither the code nor a state without one lets in anybody else.
    let mut thief = Visit::new(&people);
    for passcode in [code.as_str(), ""] {
        assert_eq!(answered(&mut thief, &asked, passcode).await.refusal(), (401, "login_refused"));
    }
    // Ann's name over Bob's state.
    let fields = [("principal", "ann"), ("state", &*state), ("passcode", &*people.code(&secret, 1))];
    assert_eq!(thief.send("/login/factor", &fields).await.refusal(), (401, "login_refused"));
    assert!(thief.cookie.is_none());

    let mut visit = Visit::new(&people);
    let asked = second_step(&mut visit).await;
    assert_eq!(answered(&mut visit, &asked, &recovery.to_lowercase()).await.leads_to(), "../s/ABC");
    let mut visit = Visit::new(&people);
    let asked = second_step(&mut visit).await;
    assert_eq!(answered(&mut visit, &asked, &recovery).await.refusal(), (401, "login_refused"), "once");

    people.stage.clock.advance(5 * 60 * 1000);
    let page = answered(&mut visit, &asked, &people.code(&secret, 0)).await;
    assert_eq!(page.refusal(), (401, "login_late"));
    assert!(page.text.contains("This login took too long: begin again.") && page.text.contains("name=\"password\""));
}

#[tokio::test]
async fn wrong_codes_lock_the_name_as_wrong_passwords_do() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let (_, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    people.enrol(&link, json!({ "password": PASSWORD, "passcode": people.code(&secret, -1) })).await;
    let mut visit = Visit::new(&people);
    let asked = second_step(&mut visit).await;
    for _ in 0..5 {
        assert_eq!(answered(&mut visit, &asked, "000000").await.refusal(), (401, "login_refused"));
    }
    let page = answered(&mut visit, &asked, &people.code(&secret, 0)).await;
    assert_eq!(page.refusal(), (429, "login_locked"), "the right one, too");
    // The password was right in between, and unlocks nothing.
    let page = visit.send("/login/password", &[("principal", "bob"), ("password", PASSWORD)]).await;
    assert_eq!(page.refusal(), (429, "login_locked"));
}

#[tokio::test]
async fn a_label_leads_to_one_field() {
    let people = People::new().await;
    let link = people.invited("bob", "member").await;
    let (_, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    people.enrol(&link, json!({ "password": PASSWORD, "passcode": people.code(&secret, -1) })).await;
    let mut visit = Visit::new(&people);
    for page in [visit.open("/login").await, second_step(&mut visit).await] {
        let mut ids: Vec<&str> = page.text.split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
        let labels = page.text.split("<label for=\"").skip(1).filter_map(|rest| rest.split('"').next());
        assert!(labels.clone().count() > 0 && labels.clone().all(|label| ids.contains(&label)), "{}", page.text);
        let all = ids.len();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), all, "an id is there twice: {}", page.text);
    }
}

#[tokio::test]
async fn a_security_key_follows_the_password() {
    const ORIGIN: &str = "https://oracle.example.com";
    let people = People::on(Stage::with(cheap(TestSetup::default().set("url", ORIGIN))).await).await;
    let link = people.invited("bob", "member").await;
    people.done(Method::POST, "/system/multi_factor", json!({ "Type": "webauthn", "Name": "Keys" })).await;
    people.done(Method::PUT, "/principals/bob/multi_factor", json!({ "provider": "Keys" })).await;
    let mut begun = send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await;
    let mut token = Token::new(b"the key of bob");
    let credential = token.create(&begun.json["publicKey"].take(), ORIGIN, Format::None);
    let made = people.enrol(&link, json!({ "password": PASSWORD, "credential": credential })).await;

    let mut visit = Visit::new(&people);
    let asked = second_step(&mut visit).await;
    let options: Value = serde_json::from_str(&options(&asked)).expect("JSON");
    let state = asked.hidden("state").expect("a state");
    let answer = token.get(&options, ORIGIN).to_string();
    let fields = [("principal", "bob"), ("state", &*state), ("factor", "key"), ("credential", &*answer)];
    let page = visit.send("/login/factor", &fields).await;
    assert_eq!(page.leads_to(), "../account");
    assert_eq!(visit.open("/account").await.status, 200);
    let mut thief = Visit::new(&people);
    assert_eq!(thief.send("/login/factor", &fields).await.refusal(), (401, "login_refused"), "once");
    for nonsense in ["{}", "nonsense", "[]"] {
        let fields = [("principal", "bob"), ("state", &*state), ("factor", "key"), ("credential", nonsense)];
        assert_eq!(thief.send("/login/factor", &fields).await.refusal(), (401, "login_refused"), "{nonsense}");
    }

    // Without the key: a recovery code, and nothing else.
    people.stage.clock.advance(24 * 60 * 60 * 1000);
    let mut visit = Visit::new(&people);
    let asked = second_step(&mut visit).await;
    let wrong = answered(&mut visit, &asked, "123456").await;
    assert_eq!(wrong.refusal(), (401, "login_refused"));
    assert!(wrong.text.contains(NOT_ACCEPTED) && wrong.text.contains("Recovery code"), "{}", wrong.text);
    let asked = second_step(&mut visit).await;
    assert_eq!(
        answered(&mut visit, &asked, "123456").await.hidden("state"),
        asked.hidden("state"),
        "and may be tried again"
    );
    let recovery = made["recovery_codes"][0].as_str().expect("a code");
    assert_eq!(answered(&mut visit, &asked, recovery).await.leads_to(), "../s/ABC");
}

/// What the page has the browser ask a security key.
pub fn options(page: &Page) -> String {
    let (_, rest) = page.text.split_once("data-options=\"").expect("options");
    rest.split('"').next().expect("an end").replace("&quot;", "\"")
}

#[tokio::test]
async fn a_login_leads_to_pages_of_ours_alone() {
    let people = People::new().await;
    people.user("bob", "member").await;
    for (next, place) in [
        ("s/ABC", "../s/ABC"),
        ("account?x=1", "../account?x=1"),
        ("//evil.example", "../account"),
        ("https://evil.example/", "../account"),
        ("/\\evil.example", "../account"),
        ("..//evil.example", "../account"),
        ("a\r\nlocation: https://evil.example", "../account"),
        ("javascript:alert(1)", "../account"),
    ] {
        let mut visit = Visit::new(&people);
        let query: String = url::form_urlencoded::byte_serialize(next.as_bytes()).collect();
        let form = visit.open(&format!("/login?next={query}")).await;
        let carried = form.hidden("next").expect("a field").replace("&amp;", "&");
        assert_eq!(carried.is_empty(), place == "../account", "{next}");
        // Nor by whoever changes the field.
        let fields = [("principal", "bob"), ("password", PASSWORD), ("next", next)];
        assert_eq!(visit.send("/login/password", &fields).await.leads_to(), place, "{next}");
    }
    assert_eq!(Visit::new(&people).open("/account?a=b%20c").await.leads_to(), "login?next=account%3Fa%3Db%2520c");
    let mut visit = Visit::new(&people);
    assert_eq!(visit.open("/login?next=%ff&next=2").await.status, 200, "a query that cannot be is none");
}

#[tokio::test]
async fn a_foreign_page_sends_no_form() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let own = format!("http://{}", people.stage.oracle.address());
    let login = [("principal", "bob"), ("password", PASSWORD)];
    let mut visit = Visit::logged_in(&people, "bob").await;
    let token = visit.open("/account").await.token();
    let logout = [("form", token.as_str())];
    for headers in [
        &[][..],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "none")],
        &[("sec-fetch-site", "same-origin"), ("origin", "https://evil.example")],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", own.as_str()), ("sec-fetch-site", "cross-site")],
    ] {
        for (path, fields) in [("/login/password", &login[..]), ("/login/factor", &login), ("/account/logout", &logout)]
        {
            let request = headers
                .iter()
                .fold(visit.request(Method::POST, path), |request, (name, value)| request.header(*name, *value));
            let page = visit.answer(filled(request, fields)).await;
            assert_eq!(page.refusal(), (403, "form_refused"), "{path} {headers:?}");
            assert!(page.header("set-cookie").is_none());
        }
    }
    assert_eq!(visit.open("/account").await.status, 200, "still logged in");
    let request = visit.request(Method::POST, "/account/logout").header("origin", own);
    assert_eq!(visit.answer(filled(request, &logout)).await.leads_to(), "../login");
}

#[tokio::test]
async fn a_form_is_for_the_ticket_that_its_page_was_made_for() {
    let people = People::new().await;
    people.user("bob", "member").await;
    people.user("eve", "member").await;
    let mut bob = Visit::logged_in(&people, "bob").await;
    let mut eve = Visit::logged_in(&people, "eve").await;
    let mut again = Visit::logged_in(&people, "bob").await;
    let own = bob.open("/account").await.token();
    let (foreign, older) = (eve.open("/account").await.token(), again.open("/account").await.token());
    assert_eq!(bob.open("/account").await.token(), own);
    let cut = &own[..own.len() - 1];
    for token in ["", "x", cut, foreign.as_str(), older.as_str(), &format!("{own}A")] {
        assert_eq!(bob.send("/account/logout", &[("form", token)]).await.refusal(), (403, "form_refused"), "{token}");
    }
    assert_eq!(bob.send("/account/logout", &[]).await.refusal(), (403, "form_refused"));
    let request = bob.request(Method::POST, "/account/logout").header("sec-fetch-site", "same-origin");
    let page = bob.answer(request.json(&json!({ "form": own }))).await;
    assert_eq!(page.refusal(), (415, "unsupported_media_type"));
    assert_eq!(bob.open("/account").await.status, 200, "still logged in");
}

#[tokio::test]
async fn logging_out_ends_the_ticket_and_not_only_the_cookie() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let mut visit = Visit::logged_in(&people, "bob").await;
    let kept = visit.cookie.clone();
    let page = visit.send_from("/account", "/account/logout", &[]).await;
    assert_eq!(page.leads_to(), "../login");
    assert_eq!(page.header("set-cookie"), Some("quorate=; Path=/; HttpOnly; SameSite=Lax; Max-Age=0"));
    assert_eq!(visit.cookie, None);
    visit.cookie = kept;
    assert_eq!(visit.open("/account").await.leads_to(), "login?next=account", "a cookie that somebody kept");

    let mut here = Visit::logged_in(&people, "bob").await;
    let mut there = Visit::logged_in(&people, "bob").await;
    here.send_from("/account", "/account/logout", &[("everywhere", "yes")]).await;
    assert_eq!(there.open("/account").await.leads_to(), "login?next=account");
}

#[tokio::test]
async fn a_login_takes_no_ticket_that_was_there_before() {
    let people = People::new().await;
    people.user("bob", "member").await;
    people.user("eve", "member").await;
    // Eve has Bob's browser hold a ticket of hers, or one that she made up.
    let eve = Visit::logged_in(&people, "eve").await.cookie.expect("a cookie");
    for planted in [eve.clone(), format!("quorate={}", "A".repeat(43)), "quorate=".to_owned()] {
        let mut bob = Visit::new(&people);
        bob.cookie = Some(planted.clone());
        bob.send("/login/password", &[("principal", "bob"), ("password", PASSWORD)]).await;
        assert_ne!(bob.cookie, Some(planted));
        assert!(bob.open("/account").await.text.contains("user/bob"));
    }
    let mut planted = Visit::new(&people);
    planted.cookie = Some(eve);
    assert_eq!(planted.open("/account").await.status, 303, "and what was there has ended");
}

#[tokio::test]
async fn the_cookie_opens_pages_alone_and_the_header_none() {
    let people = People::new().await;
    let mut visit = Visit::logged_in(&people, "operator").await;
    let token = visit.open("/account").await.token();
    for (method, path) in [
        (Method::GET, "/whoami"),
        (Method::GET, "/principals"),
        (Method::GET, "/audit"),
        (Method::POST, "/principals"),
        (Method::POST, "/logout"),
        (Method::POST, "/principals/operator/disable"),
        (Method::DELETE, "/principals/operator"),
        (Method::POST, "/system/multi_factor"),
    ] {
        let request =
            visit.request(method.clone(), path).header("sec-fetch-site", "same-origin").header("form", &token);
        let answer = send(request.json(&json!({ "form": token, "name": "x" }))).await;
        assert_eq!(answer.refusal().1, "ticket_required", "{method} {path}");
    }
    assert_eq!(visit.open("/account").await.status, 200, "still logged in");
    for name in ["authorization", "quorate", "x-quorate"] {
        let mut by_header = Visit::new(&people);
        let request = by_header.request(Method::GET, "/account").header(name, format!("Bearer {}", people.operator));
        assert_eq!(by_header.answer(request).await.leads_to(), "login?next=account");
    }
}

#[tokio::test]
async fn a_ticket_that_is_over_leads_to_the_login_and_what_is_stored_is_no_ticket() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let mut visit = Visit::logged_in(&people, "bob").await;
    people.done(Method::POST, "/principals/bob/disable", json!({})).await;
    assert_eq!(visit.open("/account").await.leads_to(), "login?next=account", "disabled");
    let page = visit.send("/account/logout", &[("form", "x")]).await;
    assert_eq!(page.leads_to(), "../login", "a form of somebody who is not logged in any more");
    people.done(Method::POST, "/principals/bob/enable", json!({})).await;
    let mut visit = Visit::logged_in(&people, "bob").await;
    people.stage.clock.advance(31 * 60 * 1000);
    assert_eq!(visit.open("/account").await.leads_to(), "login?next=account", "not used for half an hour");
    let long = "x".repeat(4000);
    for made_up in ["", "x", "bob", "\u{7f}", long.as_str()] {
        let mut visit = Visit::new(&people);
        visit.cookie = Some(format!("quorate={}", made_up.replace('\u{7f}', "%7F")));
        assert_eq!(visit.open("/account").await.status, 303, "{made_up:.20}");
    }
}
