//! Every route of apps as its clients see it: each success, and each refusal that the manual names. The answers stand in
//! `snapshots/`; a change there is a change of the interface. `INSTA_UPDATE=always` writes them anew.

use super::ground::{Ground, URI, Who};
use crate::case::Case;
use crate::support::dealt;
use insta::assert_json_snapshot;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const KEPT: &str = "3f1c9a52-7b0e-4c88-a6d4-90b1e2f35c67";
const UNKNOWN: &str = "1b4e28ba-2fa1-11d2-883f-0016d3cca427";
const RECIPIENT: &str = "age1lvyvwawkr0mcnnnncaghunadrqkmuf9e6507x9y920xxpp866cnql7dp2z";

#[derive(Default)]
struct Script {
    cases: Vec<Case>,
}

impl Script {
    async fn case(&mut self, what: &str, request: RequestBuilder) -> Value {
        let named = |part: &str| match part.len() {
            36 => Some("{uuid}"),
            40 => Some("{value}"),
            _ => None,
        };
        self.cases.push(Case::of(what, request, named).await);
        self.cases.last().expect("just pushed").body.clone()
    }

    fn snapshot(self, name: &str) {
        let kept = |value: &insta::internals::Content| value.as_str().is_some_and(|uuid| uuid == KEPT);
        assert_json_snapshot!(name, self.cases, {
            ".**.uuid" => insta::dynamic_redaction(move |value, _| if kept(&value) { value } else { "[uuid]".into() }),
            ".**.uuids" => "[uuids]",
            ".**.age" => "[armor]",
            ".**.owner" => insta::dynamic_redaction(|value, _| named(value)),
            ".**.grantee" => insta::dynamic_redaction(|value, _| named(value)),
        });
    }
}

/// The value of an API key is drawn anew in each run.
fn named(value: insta::internals::Content) -> insta::internals::Content {
    if value.as_str().is_some_and(|name| name.starts_with("api-key/")) { "api-key/[value]".into() } else { value }
}

#[tokio::test]
async fn apps() {
    let (ground, mut script) = (Ground::new().await, Script::default());
    let (ann, bob, key) = (ground.user("ann").await, ground.user("bob").await, ground.key("app@example.com").await);
    let Who::Key(credentials) = &key else { unreachable!("it is a key") };
    let get = |who: &Who, path: &str| ground.by(who, Method::GET, path);
    let post = |who: &Who, path: &str, body: Value| ground.by(who, Method::POST, path).json(&body);
    let put = |who: &Who, path: &str, body: Value| ground.by(who, Method::PUT, path).json(&body);
    let delete = |who: &Who, path: &str| ground.by(who, Method::DELETE, path);

    script.case("nobody", ground.stage().at(Method::GET, "/api/apps")).await;
    script.case("none yet", get(&ann, "/api/apps")).await;
    let new = json!({ "otpauth": URI, "name": "The bank", "uuid": KEPT });
    script.case("added", post(&ann, "/api/apps", new.clone())).await;
    script.case("again", post(&bob, "/api/apps", new)).await;
    script.case("no URI", post(&ann, "/api/apps", json!({ "otpauth": "x" }))).await;
    let wanted = json!({ "apps": [{ "otpauth": URI, "uuid": KEPT }, { "otpauth": URI, "uuid": UNKNOWN }] });
    script.case("known", post(&ann, "/api/apps/known", wanted)).await;
    script.case("neither", post(&ann, "/api/apps", json!({}))).await;
    script.case("no JSON", ground.by(&ann, Method::POST, "/api/apps").body("{")).await;
    let app = format!("/api/apps/{KEPT}");
    let (code, grants) = (format!("{app}/code"), format!("{app}/grants"));
    script.case("shown", get(&ann, &app)).await;
    let patch = |who: &Who, body: Value| ground.by(who, Method::PATCH, &app).json(&body);
    script.case("changed", patch(&ann, json!({ "label": "ann@work", "name": "" }))).await;
    script.case("not changed", patch(&ann, json!({}))).await;
    script.case("called as before", patch(&ann, json!({ "name": "The bank" }))).await;
    script.case("to a stranger", get(&bob, &app)).await;
    script.case("a code", post(&ann, &code, json!({ "why": "a test" }))).await;
    script.case("a code of none", post(&ann, &format!("/api/apps/{UNKNOWN}/code"), json!({}))).await;
    script.case("a long reason", post(&ann, &code, json!({ "why": "w".repeat(1_025) }))).await;

    script.case("granted", put(&ann, &format!("{grants}/bob"), json!({ "right": "code" }))).await;
    let full = format!("{grants}/principal/internal/group/none");
    script.case("to nobody", put(&ann, &full, json!({ "right": "code" }))).await;
    script.case("no right", put(&ann, &format!("{grants}/bob"), json!({ "right": "all" }))).await;
    script.case("ownership", put(&ann, &format!("{grants}/bob"), json!({ "right": "owner" }))).await;
    script.case("of the owner", put(&ann, &format!("{grants}/ann"), json!({ "right": "code" }))).await;
    script.case("by a reader", put(&bob, &format!("{grants}/bob"), json!({ "right": "manage" }))).await;
    let of_key = format!("{grants}/api-key/{}", credentials.value);
    script.case("to an API key", put(&ann, &of_key, json!({ "right": "code" }))).await;
    script.case("who may read it", get(&ann, &grants)).await;
    script.case("to a reader", get(&bob, &grants)).await;
    script.case("listed for a reader", get(&bob, "/api/apps")).await;
    script.case("listed for an API key", get(&key, "/api/apps")).await;
    script.case("revoked", delete(&ann, &format!("{grants}/bob"))).await;
    script.case("revoked again", delete(&ann, &format!("{grants}/bob"))).await;
    crate::at_rest::database(ground.stage())
        .execute("DELETE FROM app_holders WHERE data_key IS NOT NULL", [])
        .expect("as before apps");
    script.case("to an old API key", put(&ann, &of_key, json!({ "right": "code" }))).await;

    let export = |recipients: Value| json!({ "recipients": recipients, "uuids": [KEPT] });
    ground.grant(&ann, KEPT, "bob", "manage").await;
    script.case("exported", post(&ann, "/api/apps/export", export(json!([RECIPIENT])))).await;
    script.case("by a manager", post(&bob, "/api/apps/export", export(json!([RECIPIENT])))).await;
    script.case("to nobody", post(&ann, "/api/apps/export", export(json!([])))).await;
    script.case("to no recipient", post(&ann, "/api/apps/export", export(json!(["age1x"])))).await;
    let deal = dealt(1, 2, 3);
    let file: Value = serde_json::from_str(&deal.group.to_json()).expect("JSON");
    ground.people.done(Method::POST, "/groups", file).await;
    let group = json!({ "group": deal.group.name().to_string() });
    let applicants = format!("/groups/{}/applicants", deal.group.name());
    ground.people.done(Method::POST, &applicants, json!({ "add": ["ann"] })).await;
    let quorum = script.case("by quorum", post(&ann, "/api/apps", group)).await;
    let quorum = format!("/api/apps/{}/code", quorum["uuid"].as_str().expect("a UUID"));
    script.case("a code by quorum", post(&ann, &quorum, json!({}))).await;
    script.case("removed", delete(&bob, &app)).await;
    script.case("removed again", delete(&bob, &app)).await;
    script.snapshot("apps");
}

#[tokio::test]
async fn sharedmfa() {
    let (ground, mut script) = (Ground::new().await, Script::default());
    let key = ground.key("app@example.com").await;
    let nobody = |method, path: &str| ground.stage().at(method, path);
    let add = "/api/add-totp-secret?appname=Bank";
    script.case("nobody adds", nobody(Method::POST, add)).await;
    let added = script.case("added", ground.by(&key, Method::POST, add).json(&json!({ "data": URI }))).await;
    script.case("no data", ground.by(&key, Method::POST, add)).await;
    script.case("no URI", ground.by(&key, Method::POST, add).json(&json!({ "data": "x" }))).await;
    script.case("nobody lists", nobody(Method::GET, "/api/list-available-apps")).await;
    script.case("listed", ground.by(&key, Method::GET, "/api/list-available-apps")).await;
    let uuid = added["uuid"].as_str().expect("a UUID");
    let code = format!("/api/get-mfa-code?uuid={uuid}");
    script.case("nobody reads", nobody(Method::GET, &code)).await;
    script.case("a code", ground.by(&key, Method::GET, &code)).await;
    let body = json!({ "uuid": uuid });
    script.case("the same", ground.by(&key, Method::POST, "/api/get-mfa-code").json(&body)).await;
    script.case("of which app", ground.by(&key, Method::POST, "/api/get-mfa-code")).await;
    let unknown = format!("/api/get-mfa-code?uuid={UNKNOWN}");
    script.case("of none", ground.by(&key, Method::GET, &unknown)).await;
    script.snapshot("sharedmfa");
}

/// Every word that an app's refusal can have stands in a snapshot, but for those that take other people's haste, many tries or a thousand
/// apps.
#[test]
fn no_refusal_is_left_out() {
    let folder = format!("{}/tests/mfa/apps/snapshots", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(folder).expect("the snapshots");
    let answers: String =
        entries.map(|entry| std::fs::read_to_string(entry.expect("an entry").path()).expect("a text")).collect();
    let refusal = include_str!("../../../src/handlers/apps/refusal.rs");
    let words: BTreeSet<&str> = refusal.split('"').skip(1).step_by(2).collect();
    assert!(words.len() >= 12, "{words:?}");
    let told: Vec<_> = words.into_iter().filter(|word| !answers.contains(&format!("\"code\": \"{word}\""))).collect();
    assert_eq!(told, ["changed", "too_many", "too_many_failures"]);
}
