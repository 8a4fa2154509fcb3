//! Who can read what, step by step: after each grant, revocation, change of a team, rotation and end of a credential, for
//! everybody there is, on both engines.

use super::ground::{Ground, Who};
use crate::people::stage::PASSWORD;
use crate::stage::send;
use reqwest::Method;
use serde_json::{Value, json};

/// What is done.
#[derive(Debug, Clone, Copy)]
enum Step {
    Grant(&'static str, &'static str),
    Revoke(&'static str),
    Member(&'static str, bool),
    Disable(&'static str),
    Enable(&'static str),
    Remove(&'static str),
    /// The second API key takes over what the first one owns.
    Rotate,
    RevokeKey,
}

const TEAM: &str = "principal/internal/group/ops";

/// Each step, and who of ann (the owner), bob, carol (of the team), the first and the second API key can read after it.
const TABLE: &[(Step, [bool; 5])] = &[
    (Step::Grant("bob", "code"), [true, true, false, false, false]),
    (Step::Grant(TEAM, "code"), [true, true, false, false, false]),
    (Step::Member("carol", true), [true, true, true, false, false]),
    (Step::Grant("KEY", "code"), [true, true, true, true, false]),
    (Step::Member("carol", false), [true, true, false, true, false]),
    (Step::Member("carol", true), [true, true, true, true, false]),
    (Step::Rotate, [true, true, true, false, true]),
    (Step::Revoke("bob"), [true, false, true, false, true]),
    (Step::Grant("bob", "manage"), [true, true, true, false, true]),
    (Step::Disable(TEAM), [true, true, false, false, true]),
    (Step::Enable(TEAM), [true, true, true, false, true]),
    (Step::Disable("bob"), [true, false, true, false, true]),
    (Step::Enable("bob"), [true, true, true, false, true]),
    (Step::Grant("bob", "code"), [true, true, true, false, true]),
    (Step::RevokeKey, [true, true, true, false, false]),
    (Step::Grant("carol", "code"), [true, true, true, false, false]),
    (Step::Remove(TEAM), [true, true, true, false, false]),
    (Step::Revoke("carol"), [true, true, false, false, false]),
    (Step::Remove("bob"), [true, false, false, false, false]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_can_read_follows_every_change_at_once() {
    for ground in Ground::on_both().await {
        let people = &ground.people;
        let ann = ground.user("ann").await;
        let [mut bob, carol] = [ground.user("bob").await, ground.user("carol").await];
        let (first, second) = (ground.key("first@example.com").await, ground.key("second@example.com").await);
        people.done(Method::POST, "/principals", json!({ "name": TEAM })).await;
        let uuid = ground.add(&ann).await;
        // Another app of somebody else's changes nothing.
        let other = ground.add(&carol).await;
        for (step, expected) in TABLE {
            match step {
                Step::Grant("KEY", right) => {
                    let Who::Key(key) = &first else { unreachable!("it is a key") };
                    ground.grant(&ann, &uuid, &format!("api-key/{}", key.value), right).await;
                }
                Step::Grant(who, right) => ground.grant(&ann, &uuid, who, right).await,
                Step::Revoke(who) => ground.revoke(&ann, &uuid, who).await,
                Step::Member(who, there) => {
                    let body = if *there { json!({ "add": [who] }) } else { json!({ "remove": [who] }) };
                    people.done(Method::POST, &format!("/principals/{TEAM}/members"), body).await;
                }
                Step::Disable(who) => {
                    people.done(Method::POST, &format!("/principals/{who}/disable"), Value::Null).await;
                }
                Step::Enable(who) => {
                    people.done(Method::POST, &format!("/principals/{who}/enable"), Value::Null).await;
                    if *who == "bob" {
                        bob = Who::Ticket(people.ticket("bob").await);
                    }
                }
                Step::Remove(who) => {
                    people.done(Method::DELETE, &format!("/principals/{who}"), Value::Null).await;
                }
                Step::Rotate => rotate(&ground, &first, &second).await,
                Step::RevokeKey => {
                    let Who::Key(key) = &second else { unreachable!("it is a key") };
                    ground.stage().oracle.state().apps.revoke_api_key(&key.value).await.expect("revoked");
                }
            }
            let everybody = [&ann, &bob, &carol, &first, &second];
            for (who, expected) in everybody.iter().zip(expected) {
                assert_eq!(ground.reads(who, &uuid).await, *expected, "after {step:?}: {who:?}");
            }
            assert!(ground.reads(&carol, &other).await, "after {step:?}");
            assert!(!ground.reads(&ann, &other).await, "after {step:?}");
        }
        let log_in = people.log_in(json!({ "principal": "bob", "password": PASSWORD })).await;
        assert_eq!(log_in.status, 401);
        // What a removed team, a removed user and a revoked key had is sealed anew at the owner's next access, and gone.
        let path = format!("/api/apps/{uuid}/grants");
        let grants = ground.done(&ann, Method::GET, &path, &json!({})).await;
        let names: Vec<_> = grants.as_array().expect("a list").iter().map(|grant| grant["grantee"].clone()).collect();
        assert_eq!(names, ["principal/internal/user/ann"]);
        ground.done(&ann, Method::DELETE, &format!("/api/apps/{uuid}"), &json!({})).await;
        assert!(!ground.reads(&ann, &uuid).await);
    }
}

async fn rotate(ground: &Ground, old: &Who, new: &Who) {
    let (Who::Key(old), Who::Key(new)) = (old, new) else { unreachable!("both are keys") };
    let rotation =
        json!({ "oldKeyId": old.value, "oldKeySecret": old.secret, "newKeyId": new.value, "newKeySecret": new.secret });
    let rotated = send(ground.stage().at(Method::POST, "/api-key/rotate").json(&rotation)).await;
    assert_eq!(rotated.status, 200, "{}", rotated.text);
}

#[tokio::test]
async fn an_api_keys_own_apps_move_with_a_rotation_and_whoever_handed_over_begins_anew() {
    let ground = Ground::new().await;
    let (first, second) = (ground.key("first@example.com").await, ground.key("second@example.com").await);
    let theirs = ground.add(&second).await;
    let uuid = ground.add(&first).await;
    rotate(&ground, &first, &second).await;
    assert!(!ground.reads(&first, &uuid).await);
    assert!(ground.reads(&second, &uuid).await && ground.reads(&second, &theirs).await);
    let shown = ground.done(&second, Method::GET, &format!("/api/apps/{uuid}"), &json!({})).await;
    let Who::Key(key) = &second else { unreachable!("it is a key") };
    assert_eq!(
        (shown["right"].as_str(), shown["owner"].as_str()),
        (Some("owner"), Some(&*format!("api-key/{}", key.value)))
    );
    let again = ground.add(&first).await;
    assert!(ground.reads(&first, &again).await && !ground.reads(&second, &again).await);
}

#[tokio::test]
async fn whoever_took_over_anothers_right_has_what_was_granted_last() {
    for old_first in [true, false] {
        let ground = Ground::new().await;
        let ann = ground.user("ann").await;
        let (one, two) = (ground.key("one@example.com").await, ground.key("two@example.com").await);
        let (old, new) = if old_first { (&one, &two) } else { (&two, &one) };
        let grantee = |who: &Who| {
            let Who::Key(key) = who else { unreachable!("it is a key") };
            format!("api-key/{}", key.value)
        };
        let uuid = ground.add(&ann).await;
        ground.grant(&ann, &uuid, &grantee(old), "manage").await;
        ground.grant(&ann, &uuid, &grantee(new), "code").await;
        rotate(&ground, old, new).await;
        let path = format!("/api/apps/{uuid}/grants");
        let shown = async |by: &Who| {
            let grants = ground.ask(by, Method::GET, &path, &json!({})).await;
            let grants = grants.json.as_array().cloned().unwrap_or_default();
            let mut shown: Vec<_> =
                grants.iter().map(|grant| (grant["grantee"].clone(), grant["right"].clone())).collect();
            shown.sort_by_key(|(_, right)| right != "owner");
            shown
        };
        let expected = |right: &str| {
            vec![(json!("principal/internal/user/ann"), json!("owner")), (json!(grantee(new)), json!(right))]
        };
        assert_eq!(shown(new).await, expected("manage"), "it has both rights, of which the better one counts");
        ground.grant(&ann, &uuid, &grantee(new), "code").await;
        assert_eq!(shown(&ann).await, expected("code"));
        assert!(shown(new).await.is_empty(), "it manages no more");
        assert!(ground.reads(new, &uuid).await);
        ground.revoke(&ann, &uuid, &grantee(new)).await;
        assert!(!ground.reads(new, &uuid).await);
    }
}
