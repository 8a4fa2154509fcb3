//! How apps and rights end: with the last who may read them, by operators when nobody else can, by whoever gives up their own;
//! and what those are told and kept from who try what is others'.

use super::ground::{Ground, URI, Who};
use crate::audit::log;
use crate::people::stage::refused;
use futures_util::future::{join, join_all};
use quorate_oracle::service::apps::{AppError, Overseen, WhichApp};
use reqwest::Method;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

/// Requests at once of somebody who adds apps without pause.
const ADDERS: usize = 3;
const UUID: &str = "3f1c9a52-7b0e-4c88-a6d4-90b1e2f35c67";

fn value(who: &Who) -> &str {
    let Who::Key(key) = who else { unreachable!("it is a key") };
    &key.value
}

async fn overseen(ground: &Ground) -> Vec<Overseen> {
    ground.stage().oracle.state().apps.overseen().await.expect("listed")
}

/// What was told of kind and subject since so many events.
async fn told_since(ground: &Ground, before: usize) -> Vec<(String, String)> {
    let (events, _) = log(&ground.people).await;
    events[before..].iter().map(|event| (event.kind.clone(), event.subject.clone())).collect()
}

#[tokio::test]
async fn what_nobody_else_may_read_goes_with_its_last_reader_and_each_is_told() {
    for ground in Ground::on_both().await {
        let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
        let (key, other) = (ground.key("one@example.com").await, ground.key("two@example.com").await);
        let own = ground.add(&ann).await;
        let with_key = ground.add(&ann).await;
        let shared = ground.add(&ann).await;
        ground.grant(&ann, &with_key, &format!("api-key/{}", value(&key)), "code").await;
        ground.grant(&ann, &shared, "bob", "code").await;
        let of_key = ground.add(&key).await;
        let before = log(&ground.people).await.0.len();
        let apps = &ground.stage().oracle.state().apps;
        apps.revoke_api_key(value(&key)).await.expect("revoked");
        ground.people.done(Method::DELETE, "/principals/ann", Value::Null).await;
        let told = told_since(&ground, before).await;
        let kinds: Vec<_> = told.iter().map(|(kind, _)| kind.as_str()).collect();
        // Whoever goes is out of use before it is told what goes along.
        let [key_goes, ann_goes] = ["api_key.revoked", "principal.disabled"];
        let expected = [key_goes, "app.removed", ann_goes, "app.removed", "app.removed", "principal.removed"];
        assert_eq!(kinds, expected, "{told:?}");
        assert_eq!(told[1].1, format!("app {of_key}"));
        let mut gone = [told[3].1.clone(), told[4].1.clone()];
        gone.sort();
        let mut expected = [format!("app {own}"), format!("app {with_key}")];
        expected.sort();
        assert_eq!(gone, expected);
        assert!(ground.reads(&bob, &shared).await && !ground.reads(&other, &of_key).await);
        let left: Vec<_> = overseen(&ground).await.into_iter().map(|app| app.uuid).collect();
        assert_eq!(left, [Some(shared)]);
    }
}

#[tokio::test]
async fn before_somebody_is_removed_it_is_said_which_apps_go_and_which_nobody_will_manage() {
    for ground in Ground::on_both().await {
        let (ann, bob, key) = (ground.user("ann").await, ground.user("bob").await, ground.key("one@example.com").await);
        let own = ground.add(&ann).await;
        let (read, managed, with_key) = (ground.add(&ann).await, ground.add(&ann).await, ground.add(&ann).await);
        let theirs = ground.add(&bob).await;
        ground.grant(&ann, &read, "bob", "code").await;
        ground.grant(&ann, &managed, "bob", "manage").await;
        ground.grant(&ann, &with_key, &format!("api-key/{}", value(&key)), "manage").await;
        ground.grant(&bob, &theirs, "ann", "manage").await;
        let left = async || ground.people.done(Method::GET, "/principals/ann", Value::Null).await["apps"].clone();
        assert_eq!(left().await, json!({ "ending": [own], "unmanaged": [read] }));
        // An API key that is out of use manages nothing, and reads nothing.
        ground.stage().oracle.state().apps.revoke_api_key(value(&key)).await.expect("revoked");
        assert_eq!(left().await, json!({ "ending": [own, with_key], "unmanaged": [read] }));
        // Whoever is disabled manages nothing, and may be enabled again: what they can read does not go.
        let bob_is = async |act: &str| {
            ground.people.done(Method::POST, &format!("/principals/bob/{act}"), Value::Null).await;
        };
        bob_is("disable").await;
        assert_eq!(left().await, json!({ "ending": [own, with_key], "unmanaged": [read, managed, theirs] }));
        bob_is("enable").await;
        // So it is with a team that has no other member.
        let team = "principal/internal/group/ops";
        ground.people.done(Method::POST, "/principals", json!({ "name": team })).await;
        let members = format!("/principals/{team}/members");
        ground.people.done(Method::POST, &members, json!({ "add": ["ann"] })).await;
        ground.grant(&ann, &with_key, team, "manage").await;
        assert_eq!(left().await, json!({ "ending": [own], "unmanaged": [read, with_key] }));
        ground.people.done(Method::POST, &members, json!({ "add": ["bob"] })).await;
        assert_eq!(left().await, json!({ "ending": [own], "unmanaged": [read] }));
        bob_is("disable").await;
        assert_eq!(left().await, json!({ "ending": [own], "unmanaged": [read, managed, with_key, theirs] }));
        ground.people.done(Method::DELETE, "/principals/ann", Value::Null).await;
        let listed: Vec<_> = overseen(&ground).await.into_iter().filter_map(|app| app.uuid).collect();
        assert_eq!(listed, [read, managed, with_key, theirs]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_adds_apps_without_pause_is_revoked_or_removed_all_the_same() {
    for ground in Ground::on_both().await {
        let (key, eve) = (ground.key("eve@example.com").await, ground.user("eve").await);
        let apps = &ground.stage().oracle.state().apps;
        for who in [&key, &eve] {
            let (begun, out) = (Notify::new(), AtomicBool::new(false));
            let go_on = |_| async {
                loop {
                    let was_out = out.load(Ordering::SeqCst);
                    let added = ground.ask(who, Method::POST, "/api/apps", &json!({ "otpauth": URI })).await;
                    match added.status.as_u16() {
                        201 => {
                            assert!(!was_out, "added by who was out of use already");
                            begun.notify_one();
                            let path = format!("/api/apps/{}", added.json["uuid"].as_str().expect("a UUID"));
                            ground.ask(who, Method::DELETE, &path, &json!({})).await;
                        }
                        401 => return,
                        // Others were faster, or an overloaded machine.
                        409 | 503 => {}
                        other => panic!("{other}: {}", added.text),
                    }
                }
            };
            let end = async {
                begun.notified().await;
                match who {
                    Who::Key(_) => apps.revoke_api_key(value(who)).await.expect("revoked"),
                    Who::Ticket(_) => {
                        ground.people.done(Method::DELETE, "/principals/eve", Value::Null).await;
                    }
                }
                out.store(true, Ordering::SeqCst);
                assert!(overseen(&ground).await.is_empty(), "nothing of theirs is left");
            };
            join(end, join_all((0..ADDERS).map(go_on))).await;
            assert!(overseen(&ground).await.is_empty());
        }
    }
}

#[tokio::test]
async fn an_altered_row_keeps_nobody_from_being_taken_out_of_use_and_nothing_from_being_listed() {
    let ground = Ground::new().await;
    let (ann, key, bob) = (ground.user("ann").await, ground.key("one@example.com").await, ground.user("bob").await);
    let (hers, of_key, his) = (ground.add(&ann).await, ground.add(&key).await, ground.add(&bob).await);
    let numbers: Vec<_> = overseen(&ground).await.iter().map(|app| app.number).collect();
    let rows = crate::at_rest::database(ground.stage());
    rows.execute("UPDATE apps SET id = zeroblob(number) WHERE number < ?1", [numbers[2]]).expect("altered");
    rows.execute("UPDATE api_keys SET sealed = randomblob(90) WHERE id = (SELECT id FROM api_keys LIMIT 1)", [])
        .expect("altered");
    let listed: Vec<_> = overseen(&ground).await.into_iter().map(|app| (app.number, app.uuid)).collect();
    let his_is_left = (numbers[2], Some(his.clone()));
    assert_eq!(listed, [(numbers[0], None), (numbers[1], None), his_is_left.clone()]);
    let before = log(&ground.people).await.0.len();
    let (apps, api_keys) = (&ground.stage().oracle.state().apps, &ground.stage().oracle.state().api_keys);
    let (_, owned) = api_keys.owned(value(&key)).await.expect("an operator is asked before");
    assert_eq!(owned, 1);
    apps.revoke_api_key(value(&key)).await.expect("revoked");
    let rows_of = |place: usize| format!("(row {})", numbers[place]);
    let left = ground.people.done(Method::GET, "/principals/ann", Value::Null).await["apps"].clone();
    assert_eq!(left, json!({ "ending": [rows_of(0)], "unmanaged": [] }));
    ground.people.done(Method::DELETE, "/principals/ann", Value::Null).await;
    let told = told_since(&ground, before).await;
    let gone: Vec<_> = told.iter().filter(|(kind, _)| kind == "app.removed").map(|(_, app)| app.as_str()).collect();
    assert_eq!(gone, [format!("app {}", rows_of(1)), format!("app {}", rows_of(0))]);
    let listed: Vec<_> = overseen(&ground).await.into_iter().map(|app| (app.number, app.uuid)).collect();
    assert_eq!(listed, [his_is_left]);
    // One that nobody is taken along with is removed by its number.
    rows.execute("UPDATE apps SET id = x'00'", []).expect("altered");
    apps.remove_overseen(WhichApp::Number(numbers[2])).await.expect("removed");
    assert!(overseen(&ground).await.is_empty());
    // What was damaged took no UUID with it.
    for uuid in [hers, of_key, his] {
        ground.done(&bob, Method::POST, "/api/apps", &json!({ "otpauth": URI, "uuid": uuid })).await;
    }
}

#[tokio::test]
async fn an_operator_sees_and_ends_an_app_that_nobody_manages_any_more() {
    let ground = Ground::new().await;
    let (ann, bob, carol) = (ground.user("ann").await, ground.user("bob").await, ground.user("carol").await);
    let key = ground.key("app@example.com").await;
    let uuid = ground.add(&ann).await;
    let theirs = ground.add(&key).await;
    for who in ["bob", "carol"] {
        ground.grant(&ann, &uuid, who, "code").await;
    }
    let listed = overseen(&ground).await;
    assert_eq!(listed.iter().map(|app| app.uuid.as_deref()).collect::<Vec<_>>(), [Some(&*uuid), Some(&*theirs)]);
    assert!(listed.iter().all(|app| app.owner().is_some_and(|owner| owner.in_use)));
    assert_eq!(listed[1].owner().map(|owner| &owner.grantee), Some(&format!("api-key/{}", value(&key))));
    assert!(!format!("{listed:?}").contains("findable"), "not even what it is called");
    ground.people.done(Method::DELETE, "/principals/ann", Value::Null).await;
    let app = overseen(&ground).await.remove(0);
    assert_eq!((app.owner(), app.grants.len()), (None, 2));
    // Bob may read it, and nobody can take that away but an operator.
    let path = format!("/api/apps/{uuid}/grants/carol");
    assert_eq!(refused(&ground.ask(&bob, Method::DELETE, &path, &json!({})).await), (403, "not_a_manager"));
    let apps = &ground.stage().oracle.state().apps;
    let which: WhichApp = uuid.parse().expect("a UUID");
    let before = log(&ground.people).await.0.len();
    apps.revoke_overseen(which, &"carol".parse().expect("a name")).await.expect("revoked");
    assert!(ground.reads(&bob, &uuid).await && !ground.reads(&carol, &uuid).await);
    let again = apps.revoke_overseen(which, &"carol".parse().expect("a name")).await;
    assert!(matches!(again, Err(AppError::Ungranted)), "{again:?}");
    // The last one takes it along.
    apps.revoke_overseen(which, &"bob".parse().expect("a name")).await.expect("revoked");
    let owner = format!("api-key/{}", value(&key)).parse().expect("an API key");
    let stays = apps.revoke_overseen(theirs.parse().expect("a UUID"), &owner).await;
    assert!(matches!(stays, Err(AppError::OwnerStays)), "{stays:?}");
    apps.remove_overseen(theirs.parse().expect("a UUID")).await.expect("removed");
    assert!(matches!(apps.remove_overseen(which).await, Err(AppError::Unknown)));
    assert!(overseen(&ground).await.is_empty());
    let (events, _) = log(&ground.people).await;
    let ended: Vec<_> = events[before..].iter().filter(|event| event.kind != "app.code").collect();
    let told: Vec<_> = ended.iter().map(|event| (event.kind.as_str(), event.subject.as_str())).collect();
    let (subject, other) = (format!("app {uuid}"), format!("app {theirs}"));
    let expected = ["app.revoked", "app.revoked", "app.removed"].map(|kind| (kind, subject.as_str()));
    assert_eq!(told, [&expected[..], &[("app.removed", other.as_str())]].concat());
    assert!(ended.iter().all(|event| event.who == "operator"));
}

#[tokio::test]
async fn an_operator_removes_what_does_not_open_by_its_number_and_frees_what_was_squatted() {
    let ground = Ground::new().await;
    let (eve, ann) = (ground.key("eve@example.com").await, ground.user("ann").await);
    let new = json!({ "otpauth": URI, "uuid": UUID });
    ground.done(&eve, Method::POST, "/api/apps", &new).await;
    assert_eq!(refused(&ground.ask(&ann, Method::POST, "/api/apps", &new).await), (409, "uuid_taken"));
    let apps = &ground.stage().oracle.state().apps;
    apps.remove_overseen(UUID.parse().expect("a UUID")).await.expect("removed");
    ground.done(&ann, Method::POST, "/api/apps", &new).await;
    // One that opens is told of by its UUID, and so named by it.
    let number = overseen(&ground).await[0].number;
    let before = log(&ground.people).await.0.len();
    let named = [
        apps.remove_overseen(WhichApp::Number(number)).await,
        apps.revoke_overseen(WhichApp::Number(number), &"ann".parse().expect("a name")).await,
    ];
    assert!(named.iter().all(|named| matches!(named, Err(AppError::Named(uuid)) if uuid == UUID)), "{named:?}");
    assert_eq!((told_since(&ground, before).await, overseen(&ground).await.len()), (Vec::new(), 1));
    // A row that somebody has altered has no UUID any more; its number is left.
    let rows = crate::at_rest::database(ground.stage());
    rows.execute("UPDATE app_grants SET mac = randomblob(32)", []).expect("altered");
    let app = overseen(&ground).await.remove(0);
    assert_eq!((&app.uuid, app.grants.len()), (&None, 0));
    let which = WhichApp::Number(app.number);
    let nobody = apps.revoke_overseen(which, &"ann".parse().expect("a name")).await;
    assert!(matches!(nobody, Err(AppError::Damaged)), "{nobody:?}");
    assert!(matches!(apps.remove_overseen(WhichApp::Number(app.number + 1)).await, Err(AppError::Unknown)));
    apps.remove_overseen(which).await.expect("removed");
    ground.done(&ann, Method::POST, "/api/apps", &new).await;
    assert!(ground.reads(&ann, UUID).await);
}

#[tokio::test]
async fn everybody_may_give_up_their_own_right_and_no_other() {
    let ground = Ground::new().await;
    let (ann, bob, mia, key) = (
        ground.user("ann").await,
        ground.user("bob").await,
        ground.user("mia").await,
        ground.key("app@example.com").await,
    );
    let uuid = ground.add(&ann).await;
    let by_key = format!("api-key/{}", value(&key));
    for who in ["bob", "mia", &by_key] {
        ground.grant(&ann, &uuid, who, "code").await;
    }
    let rows = crate::at_rest::database(ground.stage());
    let kept = "CREATE TEMP TABLE kept AS SELECT * FROM app_grants WHERE level = 1";
    rows.execute_batch(kept).expect("kept");
    let path = |who: &str| format!("/api/apps/{uuid}/grants/{who}");
    let leave = async |by: &Who, who: &str| ground.ask(by, Method::DELETE, &path(who), &json!({})).await;
    assert_eq!(refused(&leave(&bob, "mia").await), (403, "not_a_manager"));
    assert_eq!(refused(&leave(&ann, "ann").await), (409, "owner_stays"));
    assert_eq!(leave(&bob, "principal/internal/user/bob").await.status, 204);
    assert!(!ground.reads(&bob, &uuid).await && ground.reads(&mia, &uuid).await && ground.reads(&key, &uuid).await);
    assert_eq!(refused(&leave(&bob, "bob").await), (404, "app_unknown"));
    assert_eq!(leave(&key, &by_key).await.status, 204);
    assert!(!ground.reads(&key, &uuid).await && ground.reads(&ann, &uuid).await);
    // It is sealed under another key, as after every right that ends: no old row gives one back.
    rows.execute_batch("INSERT OR IGNORE INTO app_grants SELECT * FROM kept").expect("brought back");
    for who in [&bob, &key] {
        assert_eq!(refused(&ground.code(who, &uuid).await), (500, "internal"));
    }
    // What a team has is the team's.
    let team = "principal/internal/group/ops";
    ground.people.done(Method::POST, "/principals", json!({ "name": team })).await;
    ground.people.done(Method::POST, &format!("/principals/{team}/members"), json!({ "add": ["mia"] })).await;
    ground.grant(&ann, &uuid, team, "code").await;
    assert_eq!(leave(&mia, "mia").await.status, 204);
    assert_eq!(refused(&leave(&mia, "mia").await), (404, "no_grant"));
    assert!(ground.reads(&mia, &uuid).await);
}

#[tokio::test]
async fn a_list_is_read_page_by_page_in_the_order_in_which_apps_were_added() {
    let ground = Ground::new().await;
    let (ann, key) = (ground.user("ann").await, ground.key("app@example.com").await);
    let mut uuids = Vec::new();
    for _ in 0..5 {
        uuids.push(ground.add(&ann).await);
    }
    let foreign = ground.add(&key).await;
    let page = async |query: String| {
        let apps = ground.done(&ann, Method::GET, &format!("/api/apps{query}"), &json!({})).await;
        apps.as_array().expect("a list").iter().map(|app| app["uuid"].as_str().expect("a UUID").to_owned()).collect()
    };
    let all: Vec<String> = page(String::new()).await;
    assert_eq!(all, uuids);
    let first: Vec<String> = page("?limit=2".to_owned()).await;
    assert_eq!(first, uuids[..2]);
    let next: Vec<String> = page(format!("?limit=2&after={}", uuids[1])).await;
    assert_eq!(next, uuids[2..4]);
    let last: Vec<String> = page(format!("?limit=2&after={}", uuids[3])).await;
    assert_eq!(last, uuids[4..]);
    let none: Vec<String> = page(format!("?after={}", uuids[4])).await;
    assert!(none.is_empty());
    // What is damaged takes no place in a page, and hides nothing behind it.
    let rows = crate::at_rest::database(ground.stage());
    let damage = "UPDATE apps SET sealed = randomblob(90) WHERE number = (SELECT MIN(number) + 1 FROM apps);
                  UPDATE apps SET id = x'00' WHERE number = (SELECT MIN(number) + 3 FROM apps)";
    rows.execute_batch(damage).expect("altered");
    let first: Vec<String> = page("?limit=2".to_owned()).await;
    assert_eq!(first, [uuids[0].clone(), uuids[2].clone()]);
    let next: Vec<String> = page(format!("?limit=1&after={}", uuids[2])).await;
    assert_eq!(next, uuids[4..]);
    let behind: Vec<String> = page(format!("?limit=1&after={}", uuids[1])).await;
    assert_eq!(behind, uuids[2..3], "a damaged one has its place");
    for (query, refusal) in [
        ("?limit=0".to_owned(), (400, "invalid_request")),
        ("?limit=x".to_owned(), (400, "invalid_query")),
        (format!("?after={foreign}"), (404, "app_unknown")),
        ("?after=x".to_owned(), (404, "app_unknown")),
    ] {
        let answer = ground.ask(&ann, Method::GET, &format!("/api/apps{query}"), &json!({})).await;
        assert_eq!(refused(&answer), refusal, "{query}");
    }
}

#[tokio::test]
async fn whoever_tries_what_is_others_is_told_of_and_has_to_wait() {
    let ground = Ground::new().await;
    let (ann, key) = (ground.user("ann").await, ground.key("app@example.com").await);
    ground.done(&ann, Method::POST, "/api/apps", &json!({ "otpauth": URI, "uuid": UUID })).await;
    let own = ground.add(&key).await;
    let before = log(&ground.people).await.0.len();
    let taken = json!({ "otpauth": URI, "uuid": UUID });
    let mut words = Vec::new();
    for number in 0..40 {
        let path = format!("/api/apps/{own}/grants/user{number}");
        let nobody = ground.ask(&key, Method::PUT, &path, &json!({ "right": "code" })).await;
        let keeps = ground.ask(&key, Method::POST, "/api/apps", &taken).await;
        words.push([refused(&nobody), refused(&keeps)].map(|(status, word)| (status, word.to_owned())));
    }
    let refusals =
        |nobody: (u16, &str), keeps: (u16, &str)| [nobody, keeps].map(|(status, word)| (status, word.to_owned()));
    assert_eq!(words[0], refusals((404, "principal_unknown"), (409, "uuid_taken")));
    // A whole table that somebody else has moved here already is answered row by row; who goes on and on waits.
    assert_eq!(words[39], refusals((429, "too_many_failures"), (409, "uuid_taken")));
    let mut waits = false;
    for _ in 0..300 {
        let keeps = ground.ask(&key, Method::POST, "/api/apps", &taken).await;
        waits |= refused(&keeps) == (429, "too_many_failures");
        if waits {
            break;
        }
    }
    assert!(waits);
    let (events, text) = log(&ground.people).await;
    let told = &events[before..];
    assert_eq!((told[0].kind.as_str(), told[0].result.as_str()), ("app.granted", "refused"));
    assert_eq!(told[0].details["grantee"], "principal/internal/user/user0");
    assert_eq!((told[1].kind.as_str(), told[1].result.as_str()), ("app.added", "refused"));
    assert_eq!(told[1].subject, format!("app {UUID}"));
    assert!(!text.contains("JBSW"));
    // What says nothing of others goes on, and others are not kept from anything.
    assert!(ground.reads(&key, &own).await);
    ground.add(&key).await;
    ground.done(&ann, Method::PUT, &format!("/api/apps/{UUID}/grants/operator"), &json!({ "right": "code" })).await;
}
