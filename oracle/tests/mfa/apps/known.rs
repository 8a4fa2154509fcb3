//! Comparing what is about to be added with what there is: owners learn of their own apps, everybody whether a UUID is taken.

use super::ground::{Ground, URI, Who};
use crate::audit::log;
use crate::people::stage::refused;
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

const SAME: &str = "otpauth://totp/Other:name?secret=JBSWY3DPEHPK3PXP";
const OTHER: &str = "otpauth://totp/Bank:ann?secret=GEZDGNBVGY3TQOJQ&issuer=Bank";

#[tokio::test]
async fn owners_learn_which_of_their_apps_makes_the_same_codes_and_nobody_else() {
    for ground in Ground::on_both().await {
        let (ann, bob, key) = (ground.user("ann").await, ground.user("bob").await, ground.key("app@example.com").await);
        let own = ground.done(&ann, Method::POST, "/api/apps", &json!({ "otpauth": SAME })).await;
        let uuid = own["uuid"].as_str().expect("a UUID").to_owned();
        ground.grant(&ann, &uuid, "bob", "manage").await;
        let of_key = ground.done(&key, Method::POST, "/api/apps", &json!({ "otpauth": SAME })).await;
        let renamed = SAME.replace("Other:name", "x");
        let wanted = json!({ "apps": [
            { "otpauth": renamed }, { "otpauth": OTHER }, { "otpauth": format!("{SAME}&digits=8") },
            { "otpauth": OTHER, "uuid": uuid.to_uppercase() }, {},
        ] });
        let ask = async |who| ground.done(who, Method::POST, "/api/apps/known", &wanted).await;
        let known = |same: Vec<&str>, taken| json!({ "same": same, "taken": taken });
        let (none, taken) = (known(vec![], false), known(vec![], true));
        let expected = |first| json!([first, none, none, taken, none]);
        assert_eq!(ask(&ann).await, expected(known(vec![&uuid], false)));
        assert_eq!(ask(&bob).await, expected(none.clone()), "a manager cannot take it out");
        assert_eq!(ask(&key).await, expected(known(vec![of_key["uuid"].as_str().expect("a UUID")], false)));
    }
}

#[tokio::test]
async fn a_question_that_cannot_be_is_refused_by_what_is_wrong_with_it() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    let ask = async |body: Value| ground.ask(&ann, Method::POST, "/api/apps/known", &body).await;
    let many = vec![json!({ "otpauth": URI }); 65];
    for (body, word) in [
        (json!({ "apps": [{ "otpauth": "otpauth://hotp/x?secret=JBSWY3DPEHPK3PXP&counter=1" }] }), "invalid_otpauth"),
        (json!({ "apps": [{ "uuid": "x" }] }), "invalid_request"),
        (json!({ "apps": many }), "invalid_request"),
    ] {
        let answer = ask(body).await;
        assert_eq!(refused(&answer), (400, word));
        assert!(!answer.text.contains("JBSW"), "{}", answer.text);
    }
    assert_eq!(ask(json!({ "apps": [] })).await.json, json!([]));
}

#[tokio::test]
async fn whoever_asks_for_others_uuids_is_told_of_and_has_to_wait() {
    let ground = Ground::new().await;
    let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
    let mut theirs = Vec::new();
    for _ in 0..64 {
        theirs.push(ground.add(&ann).await);
    }
    let own = ground.add(&bob).await;
    let free = "0b1e0b1e-0000-4000-8000-000000000000".to_owned();
    let before = log(&ground.people).await.0.len();
    let ask = async |who: &Who, uuids: &[String]| {
        let apps: Vec<_> = uuids.iter().map(|uuid| json!({ "uuid": uuid })).collect();
        ground.ask(who, Method::POST, "/api/apps/known", &json!({ "apps": apps })).await
    };
    let taken = async |who: &Who, uuids: &[String]| {
        let answer = ask(who, uuids).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let taken = answer.json.as_array().expect("a list").iter().map(|app| app["taken"].as_bool().expect("a flag"));
        taken.collect::<Vec<bool>>()
    };
    // One's own, and what nobody has, may be asked for as often as one likes.
    for _ in 0..6 {
        assert_eq!(taken(&ann, &theirs).await, [true; 64]);
        assert_eq!(taken(&bob, &vec![free.clone(); 64]).await, [false; 64]);
    }
    assert_eq!(log(&ground.people).await.0.len(), before);
    let mixed = [&own, &theirs[0], &free, &theirs[0]].map(Clone::clone);
    assert_eq!(taken(&bob, &mixed).await, [true, true, false, true]);
    let (events, _) = log(&ground.people).await;
    let [told] = &events[before..] else { panic!("{:?}", &events[before..]) };
    assert_eq!((told.kind.as_str(), told.result.as_str()), ("app.known", "done"));
    assert_eq!(
        (&*told.subject, &*told.who, &told.details["apps"]),
        (&*format!("app {}", theirs[0]), "principal principal/internal/user/bob", &json!([theirs[0]]))
    );
    // The one of before, and so on to 256, each of which counts.
    for asked in [64, 64, 64, 63] {
        taken(&bob, &theirs[..asked]).await;
    }
    assert_eq!(taken(&bob, &theirs[..1]).await, [true], "the one that is too many is the last one that is answered");
    let waits = ask(&bob, &theirs[..1]).await;
    assert_eq!((refused(&waits), waits.retry_after), ((429, "too_many_failures"), Some(1)));
    let without = json!({ "apps": [{ "otpauth": URI }] });
    assert_eq!(ground.ask(&bob, Method::POST, "/api/apps/known", &without).await.status, 200);
    assert_eq!(taken(&ann, &theirs[..1]).await, [true], "nobody else waits");
    ground.stage().clock.advance(1_000);
    taken(&bob, &theirs).await;
    let waits = ask(&bob, &theirs[..1]).await;
    assert_eq!(waits.retry_after, Some(600), "as for each of them, and never longer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_that_are_tried_all_at_once_are_no_more_than_one_by_one() {
    let ground = Ground::new().await;
    let (key, bob) = (ground.key("app@example.com").await, "bob");
    ground.user(bob).await;
    let own = ground.add(&key).await;
    let grant = async |name: String| {
        let path = format!("/api/apps/{own}/grants/{name}");
        ground.ask(&key, Method::PUT, &path, &json!({ "right": "code" })).await
    };
    for _ in 0..40 {
        assert_eq!(grant(bob.to_owned()).await.status, 204, "who is there is tried as often as one likes");
    }
    let answers = join_all((0..80).map(|number| grant(format!("user{number}")))).await;
    let mut told = answers.iter().filter(|answer| answer.status == 404).count();
    assert!(answers.iter().filter(|answer| answer.status != 404).all(|answer| answer.status == 429), "{answers:?}");
    for number in 80..120 {
        told += usize::from(grant(format!("user{number}")).await.status == 404);
    }
    assert_eq!(told, 33);
    assert_eq!(refused(&grant(bob.to_owned()).await), (429, "too_many_failures"));
}
