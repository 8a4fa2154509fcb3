//! Security keys on the account page: shown to their owner, a second one added, one of several removed.

use super::login::{options, second_step};
use super::visit::{Page, Visit, filled};
use crate::notices::Receiver;
use crate::people::last_looks::Gate;
use crate::people::stage::{PASSWORD, People, cheap, link_of};
use crate::postgres;
use crate::stage::{Stage, send};
use crate::token::{Format, Token};
use quorate_oracle::service::people::{PeopleError, Token as Ticket};
use quorate_oracle::testing::TestSetup;
use reqwest::Method;
use serde_json::{Value, json};
use std::net::Ipv4Addr;

const ORIGIN: &str = "https://oracle.example.com";
const DAY: i64 = 24 * 60 * 60 * 1000;
const FIVE_MINUTES: i64 = 5 * 60 * 1000;

/// Bob, who has enrolled with a key.
async fn with_key() -> (People, Token) {
    with_key_at(TestSetup::default()).await
}

/// The same at an oracle with settings of the test's own.
async fn with_key_at(setup: TestSetup) -> (People, Token) {
    let people = People::on(Stage::with(cheap(setup.set("url", ORIGIN))).await).await;
    let link = people.invited("bob", "member").await;
    people.done(Method::POST, "/system/multi_factor", json!({ "Type": "webauthn", "Name": "Keys" })).await;
    people.done(Method::PUT, "/principals/bob/multi_factor", json!({ "provider": "Keys" })).await;
    let mut begun = send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await;
    let token = Token::new(b"the key of bob");
    let credential = token.create(&begun.json["publicKey"].take(), ORIGIN, Format::None);
    people.enrol(&link, json!({ "password": PASSWORD, "credential": credential })).await;
    (people, token)
}

/// The page's answer to a login with the key.
async fn log_in(visit: &mut Visit<'_>, token: &mut Token) -> Page {
    let asked = second_step(visit).await;
    let given: Value = serde_json::from_str(&options(&asked)).expect("JSON");
    let state = asked.hidden("state").expect("a state");
    let answer = token.get(&given, ORIGIN).to_string();
    let fields = [("principal", "bob"), ("state", &*state), ("factor", "key"), ("credential", &*answer)];
    visit.send("/login/factor", &fields).await
}

async fn changed(visit: &mut Visit<'_>, fields: &[(&str, &str)]) -> Page {
    visit.send_from("/account", "/account/keys", fields).await
}

/// What each key on the page is removed by.
fn keys(page: &Page) -> Vec<String> {
    let fields = page.text.split("name=\"key\" value=\"").skip(1);
    fields.map(|rest| rest.split('"').next().expect("an end").to_owned()).collect()
}

#[tokio::test]
async fn what_a_telephone_keeps_is_added_as_a_passkey_alone() {
    let (people, mut first) = with_key().await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    let page = changed(&mut bob, &[("act", "begin"), ("name", "")]).await;
    let given: Value = serde_json::from_str(&options(&page)).expect("JSON");
    let mut telephone = Token::new(b"the telephone of bob");
    for (flags, refused) in [(1 | 8, true), (1 | 4 | 8, false)] {
        telephone.flags = flags;
        let credential = telephone.create(&given, ORIGIN, Format::None).to_string();
        let add = [("act", "add"), ("name", ""), ("kind", "key"), ("credential", &*credential)];
        let page = changed(&mut bob, &add).await;
        if refused {
            assert_eq!(page.refusal(), (400, "not_verified"));
        } else {
            assert_eq!(page.leads_to(), "../account?done=added");
        }
    }
    let page = bob.open("/account").await;
    assert!(page.text.contains("Key 1") && page.text.contains("Passkey 2"), "{}", page.text);
}

#[tokio::test]
async fn a_second_key_is_added_and_the_first_one_removed() {
    let (people, mut first) = with_key().await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    let page = bob.open("/account").await;
    assert!(page.text.contains("Key 1") && page.text.contains("Last used <time"), "{}", page.text);
    assert!(keys(&page).is_empty(), "the last one stays: {}", page.text);

    let page = changed(&mut bob, &[("act", "begin"), ("name", "blue <b>\u{202e}")]).await;
    let given: Value = serde_json::from_str(&options(&page)).expect("JSON");
    let mut second = Token::new(b"another key of bob");
    let credential = second.create(&given, ORIGIN, Format::None).to_string();
    let add = [("act", "add"), ("name", "blue <b>\u{202e}"), ("credential", &*credential)];
    assert_eq!(bob.send("/account/keys", &add).await.refusal(), (403, "form_refused"));
    assert_eq!(changed(&mut bob, &add).await.leads_to(), "../account?done=added");
    assert_eq!(changed(&mut bob, &add).await.status, 400, "a challenge is answered once");
    let page = bob.open("/account?done=added").await;
    assert!(page.text.contains("blue &lt;b&gt;\\u{202e}") && page.text.contains("Not used yet."), "{}", page.text);
    assert!(page.text.contains("it lets you in from now on"), "{}", page.text);

    people.stage.clock.advance(DAY);
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut second).await.status, 303, "the second one lets in as well");
    let page = bob.open("/account").await;
    assert!(!page.text.contains("Not used yet."), "{}", page.text);
    let [of_first, of_second] = <[String; 2]>::try_from(keys(&page)).expect("two keys");
    let remove = [("act", "remove"), ("key", &*of_first)];
    assert_eq!(changed(&mut bob, &remove).await.refusal(), (400, "not_confirmed"));
    let remove = [&remove[..], &[("confirm", "yes")]].concat();
    assert_eq!(changed(&mut bob, &remove).await.leads_to(), "../account?done=removed");
    assert_eq!(changed(&mut bob, &remove).await.refusal(), (404, "key_unknown"));
    let last = [("act", "remove"), ("key", &*of_second), ("confirm", "yes")];
    assert_eq!(changed(&mut bob, &last).await.refusal(), (409, "last_key"));

    let mut visit = Visit::new(&people);
    let asked = second_step(&mut visit).await;
    let given: Value = serde_json::from_str(&options(&asked)).expect("JSON");
    assert_eq!(
        given["allowCredentials"].as_array().map(Vec::len),
        Some(1),
        "the removed one is not asked for: {given}"
    );
    assert_eq!(log_in(&mut visit, &mut second).await.status, 303);
}

/// What registers the key that was just asked for.
fn answer(page: &Page, token: &mut Token, name: &str) -> [(&'static str, String); 3] {
    let given: Value = serde_json::from_str(&options(page)).expect("JSON");
    let credential = token.create(&given, ORIGIN, Format::None).to_string();
    [("act", "add".to_owned()), ("name", name.to_owned()), ("credential", credential)]
}

/// The fields of a form.
fn fields<'a>(of: &'a [(&'static str, String)]) -> Vec<(&'a str, &'a str)> {
    of.iter().map(|(name, value)| (*name, value.as_str())).collect()
}

/// Registers one more key of whoever has just logged in.
async fn add(visit: &mut Visit<'_>, name: &str) -> Token {
    let page = changed(visit, &[("act", "begin"), ("name", name)]).await;
    let mut token = Token::new(name.as_bytes());
    let answer = answer(&page, &mut token, name);
    assert_eq!(changed(visit, &fields(&answer)).await.leads_to(), "../account?done=added");
    token
}

#[tokio::test]
async fn an_addition_takes_a_login_of_just_now_from_its_beginning_to_its_end() {
    let (people, mut first) = with_key().await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    people.stage.clock.advance(FIVE_MINUTES - 1);
    let page = changed(&mut bob, &[("act", "begin"), ("name", "blue")]).await;
    let answer = answer(&page, &mut Token::new(b"blue"), "blue");
    people.stage.clock.advance(1);
    assert_eq!(changed(&mut bob, &fields(&answer)).await.refusal(), (403, "login_stale"));
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    let another = changed(&mut bob, &fields(&answer)).await.refusal().0;
    assert_eq!(another, 400, "what another login has begun");
    assert!(bob.open("/account").await.text.contains("Key 1"));
    add(&mut bob, "blue").await;
}

#[tokio::test]
async fn a_link_begins_nothing_that_a_ticket_ends_nor_the_other_way_round() {
    let (people, mut first) = with_key().await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    let made = people.done(Method::POST, "/principals/bob/link", json!({})).await;
    let link = link_of(made["link"].as_str().expect("a link"));
    let mut begun = send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await;
    let credential = Token::new(b"thief").create(&begun.json["publicKey"].take(), ORIGIN, Format::None);
    let stolen = [("act", "add"), ("name", "thief"), ("credential", &*credential.to_string())];
    assert_eq!(changed(&mut bob, &stolen).await.status, 400);
    let page = changed(&mut bob, &[("act", "begin"), ("name", "thief")]).await;
    let [.., (_, credential)] = answer(&page, &mut Token::new(b"thief"), "thief");
    let credential: Value = serde_json::from_str(&credential).expect("JSON");
    let body = json!({ "password": PASSWORD, "credential": credential });
    let enrolled = send(people.stage.at(Method::POST, &format!("/enroll/{link}")).json(&body)).await;
    assert_eq!(enrolled.status, 400, "{}", enrolled.text);
    assert!(keys(&bob.open("/account").await).is_empty(), "there is the one of before");
    // The link serves, and with what it has begun itself.
    let mut begun = send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await;
    let credential = Token::new(b"green").create(&begun.json["publicKey"].take(), ORIGIN, Format::None);
    people.enrol(&link, json!({ "password": PASSWORD, "credential": credential })).await;
}

#[tokio::test]
async fn no_key_is_added_with_a_login_that_ends_while_the_key_is_looked_at() {
    let (people, mut first) = with_key_at(Gate::one_thread(TestSetup::default())).await;
    for ended in ["disabled", "logged out"] {
        let mut bob = Visit::new(&people);
        assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
        let page = changed(&mut bob, &[("act", "begin"), ("name", "thief")]).await;
        let answer = answer(&page, &mut Token::new(b"thief"), "thief");
        let token = page.token();
        let sent = fields(&answer).into_iter().chain([("form", &*token)]).collect::<Vec<_>>();
        let gate = Gate::closed(&people.stage.oracle).await;
        let request = bob.request(Method::POST, "/account/keys").header("sec-fetch-site", "same-origin");
        let adding = tokio::spawn(filled(request, &sent).send());
        gate.holds(1).await;
        if ended == "disabled" {
            people.done(Method::POST, "/principals/bob/disable", json!({})).await;
        } else {
            let ticket = bob.cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("a ticket").1;
            let out = people.request(ticket, Method::POST, "/logout").json(&json!({ "everywhere": true }));
            assert_eq!(send(out).await.status, 204);
        }
        drop(gate);
        let answered = adding.await.expect("it ends").expect("an answer").status();
        assert!(answered.is_client_error(), "{ended}: {answered}");
        if ended == "disabled" {
            people.done(Method::POST, "/principals/bob/enable", json!({})).await;
        }
    }
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    assert!(keys(&bob.open("/account").await).is_empty(), "there is the one of before");
    assert_eq!(people.told_of("principal.key_added").await, 1, "that of the enrolment");
}

#[tokio::test]
async fn a_removal_makes_no_newer_login_whatever_the_nodes_say_of_tickets() {
    let Some(server) = postgres::shared() else { return };
    let database = server.url(&server.database().await);
    let setup = |seconds: &str| TestSetup::default().set("database", &database).set("tickets.seconds", seconds);
    let (people, mut first) = with_key_at(setup("43200")).await;
    let short = cheap(setup("3600").set("url", ORIGIN)).credentials(people.stage.oracle.folder());
    let short = short.clock(people.stage.clock.clone()).start().await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    add(&mut bob, "blue").await;
    let ticket = bob.cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("a ticket").1;
    let service = &short.state().people;
    let caller = async |ticket| service.authenticate(ticket, Ipv4Addr::LOCALHOST.into()).await.expect("bob");
    let before = caller(Ticket::presented(ticket)).await;
    let own = service.own_keys(&before).await.expect("read").expect("keys");
    people.stage.clock.advance(FIVE_MINUTES - 1);
    let after = service.remove_own_key(&before, &own[0].key_handle_hash).await.expect("removed");
    people.stage.clock.advance(1);
    let after = caller(Some(after)).await;
    assert!(!service.is_fresh(&after), "the login is as old as it was");
    assert!(matches!(service.begin_own_key(&after).await, Err(PeopleError::Stale)));
}

#[tokio::test]
async fn whoever_is_told_of_keys_is_told_of_these() {
    let mut receiver = Receiver::start().await;
    let targets = json!([{ "url": receiver.url("/in"), "names": true, "shape": "slack", "events": ["key.added"] }]);
    let setup = TestSetup::default().set("notices", targets.to_string()).set("webhooks.allow", "127.0.0.1/32");
    let (people, mut first) = with_key_at(setup.set("webhooks.seconds", "60")).await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    add(&mut bob, "blue").await;
    let [of_first, _] = <[String; 2]>::try_from(keys(&bob.open("/account").await)).expect("two keys");
    let remove = [("act", "remove"), ("key", &*of_first), ("confirm", "yes")];
    assert_eq!(changed(&mut bob, &remove).await.leads_to(), "../account?done=removed");
    while people.stage.oracle.state().notices.deliver_due().await.expect("the store answers") > 0 {}
    let told: Vec<_> = receiver.all().into_iter().map(|got| got.json()["text"].to_string()).collect();
    for (act, times) in [("principal.key_added", 2), ("principal.key_removed", 1)] {
        let of = told.iter().filter(|body| body.contains(&format!("act: {act}")) && body.contains("user/bob"));
        assert_eq!(of.count(), times, "{act}: {told:?}");
    }
}

#[tokio::test]
async fn a_passkey_beside_a_key_is_asked_for_its_user_and_the_key_is_not() {
    let (people, mut first) = with_key().await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    let mut passkey = Token::new(b"a passkey of bob");
    for (flags, status) in [(1, 400), (5, 303)] {
        let page = changed(&mut bob, &[("act", "begin"), ("name", "")]).await;
        let given: Value = serde_json::from_str(&options(&page)).expect("JSON");
        passkey.flags = flags;
        let credential = passkey.create(&given, ORIGIN, Format::None).to_string();
        let add = [("act", "add"), ("name", ""), ("kind", "passkey"), ("credential", &*credential)];
        assert_eq!(changed(&mut bob, &add).await.status, status);
    }
    let page = bob.open("/account").await;
    assert!(page.text.contains("Key 1") && page.text.contains("Passkey 2"), "{}", page.text);
    let asked = second_step(&mut Visit::new(&people)).await;
    let given: Value = serde_json::from_str(&options(&asked)).expect("JSON");
    assert_eq!(given["userVerification"], "preferred");
    assert_eq!(log_in(&mut Visit::new(&people), &mut first).await.status, 303, "a key needs to ask nobody");
    assert_eq!(log_in(&mut Visit::new(&people), &mut passkey).await.status, 303);
    let told = people.told().await;
    for kind in ["principal.key_added", "login.done"] {
        let last = &told.iter().rfind(|event| event["kind"] == kind).expect("told")["details"];
        assert_eq!((&last["key"], &last["passkey"]), (&json!("Passkey 2"), &json!(true)), "{kind}: {last}");
    }
    let mut operator = Visit::logged_in(&people, "operator").await;
    let page = operator.open("/admin/principal?name=principal%2Finternal%2Fuser%2Fbob").await;
    for seen in ["Security keys and passkeys: 2", "Key 1", "Passkey 2", "A passkey. Added <time", "Last used <time"] {
        assert!(page.text.contains(seen), "{seen}: {}", page.text);
    }
    let hash =
        told.iter().rfind(|event| event["kind"] == "principal.key_added").expect("told")["details"]["key_hash"].clone();
    assert!(page.text.contains(hash.as_str().expect("text")), "{}", page.text);
    passkey.flags = 1;
    assert_eq!(log_in(&mut Visit::new(&people), &mut passkey).await.refusal(), (401, "login_refused"));
}

#[tokio::test]
async fn a_ticket_that_is_not_new_changes_no_key() {
    let (people, mut first) = with_key().await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    add(&mut bob, "blue").await;
    let [of_first, _] = <[String; 2]>::try_from(keys(&bob.open("/account").await)).expect("two keys");
    people.stage.clock.advance(FIVE_MINUTES);
    let page = bob.open("/account").await;
    assert!(page.text.contains("Log in again to change them") && keys(&page).is_empty(), "{}", page.text);
    let remove = [("act", "remove"), ("key", &*of_first), ("confirm", "yes")];
    for fields in [&[("act", "begin"), ("name", "thief")][..], &remove] {
        assert_eq!(changed(&mut bob, fields).await.refusal(), (403, "login_stale"), "{fields:?}");
    }
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    add(&mut bob, "green").await;
}

#[tokio::test]
async fn a_removal_ends_every_other_login_and_is_no_new_one() {
    let (people, mut first) = with_key().await;
    let (mut bob, mut thief) = (Visit::new(&people), Visit::new(&people));
    for visit in [&mut bob, &mut thief] {
        assert_eq!(log_in(visit, &mut first).await.status, 303);
    }
    add(&mut bob, "blue").await;
    assert_eq!(thief.open("/account").await.status, 200, "one more key ends nothing");
    people.stage.clock.advance(FIVE_MINUTES - 1);
    let before = bob.cookie.clone();
    let [of_first, _] = <[String; 2]>::try_from(keys(&bob.open("/account").await)).expect("two keys");
    let remove = [("act", "remove"), ("key", &*of_first), ("confirm", "yes")];
    assert_eq!(changed(&mut bob, &remove).await.leads_to(), "../account?done=removed");
    assert_ne!(bob.cookie, before);
    assert_eq!(bob.open("/account").await.status, 200, "whoever removed it goes on");
    assert_eq!(thief.open("/account").await.status, 303, "every other login is over");
    let mut old = Visit::new(&people);
    old.cookie = before;
    assert_eq!(old.open("/account").await.status, 303);
    people.stage.clock.advance(1);
    assert_eq!(changed(&mut bob, &[("act", "begin")]).await.refusal(), (403, "login_stale"));

    // Each is one event, written with the act, and no other tells of it.
    let told = people.told().await;
    let count = |kind: &str| told.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!((count("principal.key_added"), count("principal.key_removed")), (2, 1), "{told:?}");
    assert_eq!((count("credential.added"), count("credential.removed")), (0, 0), "{told:?}");
    let of = |kind: &str| told.iter().rfind(|event| event["kind"] == kind).expect("told")["details"].clone();
    assert_eq!(of("principal.key_added")["key"], "blue");
    let gone = of("principal.key_removed");
    let first = told.iter().find(|event| event["details"]["second_factor"] == "security key").expect("told");
    assert_eq!((&gone["key"], &gone["key_hash"]), (&json!("Key 1"), &first["details"]["key_hash"]), "it had let in");
}

#[tokio::test]
async fn a_key_of_another_address_is_no_spare() {
    let (people, mut first) = with_key().await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut first).await.status, 303);
    let options = json!({ "RpId": "example.com", "Origin": ORIGIN });
    let provider = json!({ "Type": "webauthn", "Name": "Keys", "Options": options });
    people.done(Method::PUT, "/system/multi_factor/Keys", provider).await;
    let page = bob.open("/account").await;
    assert!(page.text.contains("it lets nobody in here"), "{}", page.text);
    add(&mut bob, "blue").await;
    let page = bob.open("/account").await;
    let [of_first] = <[String; 1]>::try_from(keys(&page)).expect("the one that lets in stays");
    let service = people.stage.oracle.state().people.clone();
    let ticket = bob.cookie.as_deref().and_then(|cookie| cookie.split_once('=')).expect("a ticket").1;
    let caller = service.authenticate(Ticket::presented(ticket), Ipv4Addr::LOCALHOST.into()).await.expect("bob");
    let own = service.own_keys(&caller).await.expect("read").expect("keys");
    let working = own.iter().find(|key| key.usable).expect("the new one").key_handle_hash.clone();
    let last = [("act", "remove"), ("key", &*working), ("confirm", "yes")];
    assert_eq!(changed(&mut bob, &last).await.refusal(), (409, "last_key"));
    let old = [("act", "remove"), ("key", &*of_first), ("confirm", "yes")];
    assert_eq!(changed(&mut bob, &old).await.leads_to(), "../account?done=removed");
    // A caller from before is nobody any more, whoever has the name.
    for refusal in [service.begin_own_key(&caller).await.err(), service.remove_own_key(&caller, &working).await.err()] {
        assert!(matches!(refusal, Some(PeopleError::Ticket)), "{refusal:?}");
    }
    assert!(matches!(service.own_keys(&caller).await, Err(PeopleError::Ticket)));
}

#[tokio::test]
async fn nobody_changes_the_keys_of_others_or_has_some_where_none_are_asked_for() {
    let (people, mut token) = with_key().await;
    let mut bob = Visit::new(&people);
    assert_eq!(log_in(&mut bob, &mut token).await.status, 303);
    let mut operator = Visit::new(&people);
    let fields = [("principal", "operator"), ("password", PASSWORD)];
    assert_eq!(operator.send("/login/password", &fields).await.status, 303);
    assert!(!operator.open("/account").await.text.contains("Security keys"));
    for fields in [&[("act", "begin")][..], &[("act", "remove"), ("key", "x"), ("confirm", "yes")]] {
        assert_eq!(changed(&mut operator, fields).await.refusal(), (403, "no_security_key"), "{fields:?}");
    }
    for (fields, refusal) in [
        (&[("act", "remove"), ("key", "x"), ("confirm", "yes")][..], (404, "key_unknown")),
        (&[("act", "add"), ("credential", "{}")], (400, "factor_not_confirmed")),
        (&[("act", "add"), ("credential", "nonsense")], (400, "factor_not_confirmed")),
        (&[("act", "nonsense")], (400, "invalid_act")),
        (&[], (400, "invalid_act")),
    ] {
        assert_eq!(changed(&mut bob, fields).await.refusal(), refusal, "{fields:?}");
    }
    assert!(bob.open("/account").await.text.contains("Key 1"));
}
