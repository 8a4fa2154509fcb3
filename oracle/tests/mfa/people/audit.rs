//! What the audit log is told of people: who did what to whom, from where and how it ended, and nothing that is secret.

use super::stage::{PASSWORD, People, link_of, refused};
use crate::stage::send;
use quorate_oracle::service::at_rest::{AtRest, Place};
use reqwest::Method;
use serde_json::{Value, json};

impl People {
    /// What the log has been told so far, and not been asked for yet.
    pub async fn told(&self) -> Vec<Value> {
        let state = self.stage.oracle.state();
        let at_rest = AtRest::new(state.keys.root_secret().subkey("audit"));
        let (_, pending) = state.store.pending_audit(1_000).await.expect("read");
        let open = |id: &[u8], sealed: &[u8]| {
            let leaf = at_rest.open(Place { table: "audit_pending", row: &[id], column: "sealed" }, sealed);
            serde_json::from_slice(&leaf.expect("its own")).expect("JSON")
        };
        pending.iter().map(|event| open(&event.id, &event.sealed)).collect()
    }
}

/// Kind, who, about whom, and how it ended.
fn gist(event: &Value) -> [&str; 4] {
    ["kind", "who", "subject", "result"].map(|field| event[field].as_str().expect("text"))
}

#[tokio::test]
async fn every_act_is_told_with_its_principal_and_its_source() {
    let people = People::new().await;
    let link = people.invited("bob", "auditor").await;
    let (assigned, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    let code = people.code(&secret, 0);
    assert_eq!(send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await.status, 200);
    let enrolled = people.enrol(&link, json!({ "password": PASSWORD, "passcode": code })).await;
    let login = json!({ "principal": "bob", "password": PASSWORD, "passcode": people.code(&secret, 1) });
    let ticket = super::stage::ticket_of(&people.log_in(login.clone()).await);
    assert_eq!(refused(&people.log_in(login).await), (401, "login_refused"));
    assert_eq!(send(people.request(&ticket, Method::POST, "/logout")).await.status, 204);
    people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    let team = "/principals/principal/internal/group/ops/members";
    people.done(Method::POST, team, json!({ "add": ["bob"] })).await;
    let renewed = people.done(Method::POST, "/principals/bob/link", json!({})).await;
    people.done(Method::POST, "/principals/bob/disable", json!({})).await;
    people.done(Method::POST, "/principals/bob/enable", json!({})).await;
    people.done(Method::DELETE, "/principals/bob/multi_factor", json!({})).await;
    let provider = json!({ "Type": "totp", "Name": "TotpDemoConfig", "Options": { "Issuer": "Acme" } });
    people.done(Method::PUT, "/system/multi_factor/TotpDemoConfig", provider).await;
    people.done(Method::DELETE, "/system/multi_factor/TotpDemoConfig", json!({})).await;
    let group = crate::support::dealt(1, 2, 3).group;
    let at = format!("/groups/{}", group.name());
    people.done(Method::POST, "/groups", serde_json::from_str(&group.to_json()).expect("JSON")).await;
    let members = json!({ "members": { "player 1": "bob", "player 2": "operator" } });
    people.done(Method::PUT, &format!("{at}/members"), members).await;
    people.done(Method::DELETE, &at, json!({})).await;
    people.done(Method::DELETE, "/principals/bob", json!({})).await;
    // What is refused changes nothing, and is no event.
    assert_eq!(people.call(Method::DELETE, "/principals/operator", json!({})).await.status, 409);
    assert_eq!(people.call(Method::POST, "/principals", json!({ "name": "operator" })).await.status, 409);

    let told = people.told().await;
    let (operator, bob) = ("principal/internal/user/operator", "principal/internal/user/bob");
    let (by_operator, by_bob) = (&*format!("principal {operator}"), &*format!("principal {bob}"));
    let ops = "principal/internal/group/ops";
    let expected = [
        ["principal.created", "operator", operator, "done"],
        ["principal.enrolled", by_operator, operator, "done"],
        ["login.done", by_operator, operator, "done"],
        ["principal.created", by_operator, bob, "done"],
        ["provider.created", by_operator, "provider TotpDemoConfig", "done"],
        ["factor.assigned", by_operator, bob, "done"],
        ["principal.link_opened", by_bob, bob, "done"],
        ["principal.enrolled", by_bob, bob, "done"],
        ["login.done", by_bob, bob, "done"],
        ["login.refused", &format!("unverified {bob}"), bob, "refused"],
        ["login.ended", by_bob, bob, "done"],
        ["principal.created", by_operator, ops, "done"],
        ["team.changed", by_operator, ops, "done"],
        ["principal.invited", by_operator, bob, "done"],
        ["principal.disabled", by_operator, bob, "done"],
        ["principal.enabled", by_operator, bob, "done"],
        ["factor.removed", by_operator, bob, "done"],
        ["provider.updated", by_operator, "provider TotpDemoConfig", "done"],
        ["provider.removed", by_operator, "provider TotpDemoConfig", "done"],
        ["group.added", by_operator, &format!("group {}", group.name()), "done"],
        ["group.members", by_operator, &format!("group {}", group.name()), "done"],
        ["group.removed", by_operator, &format!("group {}", group.name()), "done"],
        ["principal.removed", by_operator, bob, "done"],
    ];
    assert_eq!(told.iter().map(gist).collect::<Vec<_>>(), expected);
    for event in &told[1..] {
        assert_eq!(event["source"], "127.0.0.1", "{event}");
    }
    assert_eq!(told[3]["details"], json!({ "role": "auditor" }));
    let stand = json!([
        { "holder": "player 1", "principal": bob },
        { "holder": "player 2", "principal": operator },
    ]);
    let group_id = &group.header.fields().group_id;
    let members = told.iter().find(|event| event["kind"] == "group.members").expect("told");
    assert_eq!(members["details"], json!({ "group_id": group_id, "members": stand }));
    assert_eq!(told[8]["details"], json!({ "second_factor": "totp" }));

    let text = Value::from(told).to_string();
    let mut secrets =
        vec![PASSWORD.to_owned(), people.operator.clone(), ticket, link, code, secret.to_base32().to_string()];
    secrets.push(link_of(renewed["link"].as_str().expect("a link")));
    for codes in [&assigned["recovery_codes"], &enrolled["recovery_codes"]] {
        secrets.extend(codes.as_array().expect("a list").iter().map(|code| code.as_str().expect("text").to_owned()));
    }
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} in {text}");
    }
}

#[tokio::test]
async fn a_password_in_the_place_of_a_name_is_not_told() {
    let people = People::new().await;
    let before = people.told().await.len();
    for name in ["hunter2-and-more", "hunter2-and-more", "principal/internal/application/hunter2-too"] {
        assert_eq!(refused(&people.log_in(json!({ "principal": name })).await), (401, "login_refused"));
    }
    let told = people.told().await.split_off(before);
    assert!(!Value::from(told.clone()).to_string().contains("hunter2"), "{told:?}");
    let subjects: Vec<_> = told.iter().map(|event| event["subject"].as_str().expect("text")).collect();
    assert_eq!(subjects[0], subjects[1], "the same is told as the same");
    assert_ne!(subjects[0], subjects[2]);
    assert!(subjects.iter().all(|subject| subject.starts_with("name ") && subject.len() == 21), "{subjects:?}");
}

#[tokio::test]
async fn a_link_that_does_not_serve_is_told_of_whoever_opens_or_uses_it() {
    let people = People::new().await;
    let (used, late) = (people.invited("bob", "member").await, people.invited("ann", "member").await);
    people.enrol(&used, json!({ "password": PASSWORD })).await;
    let disabled = people.invited("eve", "member").await;
    people.done(Method::POST, "/principals/eve/disable", json!({})).await;
    let before = people.told().await.len();
    let begin = async |link: &str| send(people.stage.at(Method::POST, &format!("/enroll/{link}/begin"))).await;
    let enrol = people.stage.at(Method::POST, &format!("/enroll/{used}")).json(&json!({ "password": PASSWORD }));
    assert_eq!(refused(&send(enrol).await), (404, "link_unknown"));
    for link in [&used, &"A".repeat(43), &"A".repeat(500), &disabled] {
        assert_eq!(refused(&begin(link).await), (404, "link_unknown"));
    }
    people.stage.clock.advance(8 * 24 * 60 * 60 * 1000);
    assert_eq!(refused(&begin(&late).await), (404, "link_unknown"));

    let told = people.told().await;
    let (earlier, told) = told.split_at(before);
    let seen: Vec<_> =
        told.iter().map(|event| (gist(event), event["details"]["reason"].as_str().expect("why"))).collect();
    let (eve, ann) = ("principal/internal/user/eve", "principal/internal/user/ann");
    let (by_eve, by_ann) = (&*format!("unverified {eve}"), &*format!("unverified {ann}"));
    let (kind, none, gone) = ("principal.link_refused", "nobody", "unknown, used or replaced");
    let expected = [
        ([kind, none, "", "refused"], gone),
        ([kind, none, "", "refused"], gone),
        ([kind, none, "", "refused"], gone),
        ([kind, none, "", "refused"], gone),
        ([kind, by_eve, eve, "refused"], "its user is disabled"),
        ([kind, by_ann, ann, "refused"], "its time is up"),
    ];
    assert_eq!(seen, expected);
    assert!(told.iter().all(|event| event["source"] == "127.0.0.1"), "{told:?}");
    let enrolled = earlier
        .iter()
        .find(|event| event["kind"] == "principal.enrolled" && event["subject"] == "principal/internal/user/bob");
    let link = &enrolled.expect("told")["details"]["link"];
    assert_eq!(link.as_str().map(str::len), Some(16));
    assert_eq!(
        (&told[0]["details"]["link"], &told[1]["details"]["link"]),
        (link, link),
        "the link that was used is known again"
    );
    assert_ne!(&told[2]["details"]["link"], link);
    let text = Value::from(told).to_string();
    assert!([used, late, disabled].iter().all(|link| !text.contains(link.as_str())), "{text}");
}

#[tokio::test]
async fn strangers_fill_the_log_with_so_many_links_and_no_more() {
    let setup = quorate_oracle::testing::TestSetup::default().set("audit.per_source", "3");
    let people = People::with(setup).await;
    let before = people.told().await.len();
    for number in 0..40 {
        let answer = send(people.stage.at(Method::POST, &format!("/enroll/stranger-{number}/begin"))).await;
        assert!([404, 429].contains(&answer.status.as_u16()), "{}", answer.text);
    }
    assert_eq!(people.told().await.len() - before, 3);
    people.stage.oracle.state().audit.record_counts().await.expect("recorded");
    let counted = people.told().await.pop().expect("an event");
    assert_eq!(counted["details"]["principal.link_refused"], 37, "those that had to wait as well");
}

#[tokio::test]
async fn strangers_fill_the_log_with_so_many_failures_and_no_more() {
    let setup = quorate_oracle::testing::TestSetup::default().set("audit.per_source", "3");
    let people = People::with(setup).await;
    let before = people.told().await.len();
    for number in 0..10 {
        let body = json!({ "principal": format!("stranger-{number}"), "password": "wrong" });
        assert_eq!(refused(&people.log_in(body).await), (401, "login_refused"));
    }
    let told = people.told().await;
    let words: Vec<_> = told[before..].iter().map(|event| event["kind"].as_str().expect("text")).collect();
    assert_eq!(words, ["login.refused"; 3]);
    people.stage.oracle.state().audit.record_counts().await.expect("recorded");
    let counted = people.told().await.pop().expect("an event");
    assert_eq!((counted["kind"].as_str(), &counted["details"]["login.refused"]), (Some("audit.counted"), &json!(7)));
}
