//! Reading at the instant of a revocation, and managers who change one app at the same instant. On both engines, and at two
//! nodes of one database.

use super::ground::{Ground, URI, Who, patient};
use crate::people::stage::{People, refused};
use crate::postgres;
use crate::stage::send;
use futures_util::future::{join, join_all};
use reqwest::Method;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};

/// Readers at once.
const READERS: usize = 4;
/// Times that somebody is revoked.
const ROUNDS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_reads_a_code_that_they_asked_for_after_they_were_revoked() {
    for ground in Ground::on_both().await {
        let (ann, bob) = (ground.user("ann").await, ground.user("bob").await);
        let uuid = ground.add(&ann).await;
        for _ in 0..ROUNDS {
            ground.grant(&ann, &uuid, "bob", "code").await;
            let revoked = AtomicBool::new(false);
            let read = |_| async {
                let mut codes = 0;
                loop {
                    let after = revoked.load(Ordering::SeqCst);
                    let answer = ground.code(&bob, &uuid).await;
                    match answer.status.as_u16() {
                        200 => {
                            assert!(!after, "a code was read after the revocation was answered");
                            assert_eq!(answer.json["otp"], ground.right_code());
                            codes += 1;
                        }
                        404 if after => return codes,
                        // Revoked while this one was on its way, or an overloaded machine.
                        404 | 503 => {}
                        other => panic!("{other}: {}", answer.text),
                    }
                }
            };
            let revoke = async {
                // Some read before it.
                assert_eq!(ground.code(&bob, &uuid).await.status, 200);
                ground.revoke(&ann, &uuid, "bob").await;
                revoked.store(true, Ordering::SeqCst);
            };
            join(revoke, join_all((0..READERS).map(read))).await;
            assert!(ground.reads(&ann, &uuid).await);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_managers_at_once_both_get_what_they_asked_for() {
    for ground in Ground::on_both().await {
        let (ann, mia) = (ground.user("ann").await, ground.user("mia").await);
        let uuid = ground.add(&ann).await;
        ground.grant(&ann, &uuid, "mia", "manage").await;
        let names = ["u0", "u1", "u2", "u3"];
        let mut users = Vec::new();
        for name in names {
            users.push(ground.user(name).await);
        }
        for name in &names[..2] {
            ground.grant(&ann, &uuid, name, "code").await;
        }
        // Two are revoked and two are granted, by both managers at the same time.
        let change = |by: Who, method: Method, name: &'static str| {
            let path = format!("/api/apps/{uuid}/grants/{name}");
            send(ground.by(&by, method, &path).json(&json!({ "right": "code" })))
        };
        let changes = [
            change(ann.clone(), Method::DELETE, "u0"),
            change(mia.clone(), Method::DELETE, "u1"),
            change(ann.clone(), Method::PUT, "u2"),
            change(mia.clone(), Method::PUT, "u3"),
        ];
        for answer in join_all(changes).await {
            assert_eq!(answer.status, 204, "{}", answer.text);
        }
        let mut read = Vec::new();
        for user in &users {
            read.push(ground.reads(user, &uuid).await);
        }
        assert_eq!(read, [false, false, true, true]);
        assert!(ground.reads(&ann, &uuid).await && ground.reads(&mia, &uuid).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_granted_and_revoked_at_one_node_holds_at_the_other_at_once() {
    let Some(server) = postgres::shared() else { return };
    let database = server.url(&server.database().await);
    let ground = Ground { people: People::with(patient().set("database", &database)).await };
    let (folder, clock) = (ground.stage().oracle.folder(), ground.stage().clock.clone());
    let other = patient().set("database", &database).credentials(folder).clock(clock).start().await;
    let (ann, key) = (ground.user("ann").await, ground.key("app@example.com").await);
    let Who::Key(credentials) = &key else { unreachable!("it is a key") };
    let uuid = ground.add(&ann).await;
    let function_key = format!("{}:{}", credentials.value, credentials.secret);
    let at_other = async || {
        let url = format!("http://{}/api/get-mfa-code?uuid={uuid}", other.address());
        send(ground.stage().http.get(url).header("x-functions-key", &function_key)).await
    };
    let grantee = format!("api-key/{}", credentials.value);
    for _ in 0..ROUNDS {
        assert_eq!(refused(&at_other().await), (404, "app_unknown"));
        ground.grant(&ann, &uuid, &grantee, "code").await;
        assert_eq!(at_other().await.json["otp"], ground.right_code(), "{URI}");
        ground.revoke(&ann, &uuid, &grantee).await;
    }
    other.stop().await;
}
