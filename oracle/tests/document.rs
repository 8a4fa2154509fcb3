//! The document that describes the oracle's routes, the routes themselves, and the snapshots of their answers: none may know
//! something that the others do not.

#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use insta::assert_json_snapshot;
use quorate_oracle::testing::TestSetup;
use std::collections::BTreeSet;
use support::routes::{by_short_name, routes};
use support::{Answer, Court};

/// Routes that show pages or take their forms. They are for people, and may change with them.
const PAGES: &[(&str, &str)] = &[
    ("GET", "/"),
    ("GET", "/account"),
    ("POST", "/account/keys"),
    ("POST", "/account/logout"),
    ("GET", "/admin"),
    ("GET", "/admin/audit"),
    ("GET", "/admin/audit/export"),
    ("GET", "/admin/principal"),
    ("POST", "/admin/principal"),
    ("GET", "/admin/principals"),
    ("POST", "/admin/principals"),
    ("GET", "/admin/provider"),
    ("POST", "/admin/provider"),
    ("GET", "/admin/providers"),
    ("POST", "/admin/providers"),
    ("GET", "/admin/sessions"),
    ("POST", "/admin/sessions"),
    ("GET", "/apps"),
    ("POST", "/apps"),
    ("GET", "/apps/{uuid}"),
    ("POST", "/apps/{uuid}"),
    ("GET", "/assets/{name}"),
    ("GET", "/docs"),
    ("GET", "/drill/{id}"),
    ("GET", "/enroll/{link}"),
    ("POST", "/enroll/{link}/finish"),
    ("POST", "/enroll/{link}/form"),
    ("GET", "/login"),
    ("POST", "/login/factor"),
    ("POST", "/login/password"),
    ("GET", "/openapi.json"),
    ("GET", "/s/{id}"),
];

#[tokio::test]
async fn routes_and_document_are_the_same() {
    let court = Court::with(TestSetup::default().set("url", "https://oracle.test"), 2, 3).await;
    let send = async |method: &str, path: &str| {
        let url = format!("http://{}{path}", court.oracle.address());
        let response = court.http.request(method.parse().expect("a method"), url).send().await.expect("an answer");
        Answer::read(response).await
    };
    let document = send("GET", "/openapi.json").await.json;
    assert_json_snapshot!("openapi", document, { ".info.version" => "[version]" });

    // What is described is there, with that method and no other words than its own.
    let described: BTreeSet<(String, String)> = document["paths"]
        .as_object()
        .expect("paths")
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().expect("methods");
            methods.keys().map(move |method| (path.clone(), method.to_ascii_uppercase()))
        })
        .collect();
    for (path, method) in &described {
        let path = path.replace("{id}", &"A".repeat(32));
        let answer = send(method, &path).await;
        assert!(!["unknown_route", "method_not_allowed"].contains(&answer.refusal().1), "{method} {path}");
    }
    // What is there is described, but for pages and their parts.
    for (path, methods) in routes() {
        if by_short_name(&path) != path {
            // The same routes by another spelling of the name, described under the short one.
            continue;
        }
        for method in methods {
            let page = PAGES.contains(&(method.as_str(), path.as_str()));
            assert!(page != described.contains(&(path.clone(), method.clone())), "{method} {path}");
        }
    }
}

/// Needs two nodes with different settings, and has a test there.
const ELSEWHERE: &str = "session_unnamed";

/// Every word that a session's refusal can have, and every word of the frame, stands in a snapshot.
#[test]
fn no_refusal_is_left_out() {
    let folders =
        ["snapshots", "mfa/people/snapshots"].map(|folder| format!("{}/tests/{folder}", env!("CARGO_MANIFEST_DIR")));
    let answers: String = folders
        .iter()
        .flat_map(|folder| std::fs::read_dir(folder).expect("the snapshots"))
        .map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a text"))
        .collect();
    let words = include_str!("../src/handlers/sessions/refusal.rs").split('"').skip(1).step_by(2);
    // A word is a whole literal; sentences hold spaces, doc comments no quotes.
    let words: BTreeSet<&str> = words
        .filter(|text| text.len() > 3 && !text.contains(|c: char| !"_".contains(c) && !c.is_ascii_lowercase()))
        .collect();
    assert!(words.len() >= 20, "{words:?}");
    for word in words {
        // The word "errors" names the specification's section.
        assert!(["errors", ELSEWHERE].contains(&word) || answers.contains(&format!("\"code\": \"{word}\"")), "{word}");
    }
}
