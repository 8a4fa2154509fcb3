//! `quorate-oracle apps` beside a serving oracle: what operators see of shared codes, and what they end.

use super::operators::{api_keys, listed, made, post, serving};
use super::{oracle, run};
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

const KEY: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

fn apps(state: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    run(oracle(state).arg("apps").args(arguments))
}

#[test]
fn operators_list_and_end_apps_without_seeing_what_they_are() {
    let (folder, state) = made();
    let (status, stdout, stderr) = apps(&folder.path().join("typo"), &["list"]);
    assert_eq!((status, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert_eq!(apps(&state, &["list", "--json"]).1, "[]\n");
    let serving = serving(&state);
    let gateway = fs::read_to_string(state.join("gateway.key")).unwrap();
    let gateway = [("x-api-key", gateway.trim())];
    let key = || {
        let email = "app@example.com";
        assert_eq!(post(&serving, "/api-key", &gateway, &json!({ "email": email })).0, 204);
        let value = listed(&state).as_array().unwrap().last().unwrap()["value"].as_str().unwrap().to_owned();
        let body = json!({ "email": email, "apiKey": value });
        let activated: Value = serde_json::from_str(&post(&serving, "/api-key/activate", &gateway, &body).1).unwrap();
        let function_key = format!("{value}:{}", activated["apiSecret"].as_str().unwrap());
        (value, function_key)
    };
    let ((value, owner), (other, _)) = (key(), key());
    let uri = format!("otpauth://totp/Findable:root?secret={KEY}&issuer=Findable");
    let added = post(&serving, "/api/apps", &[("x-functions-key", &owner)], &json!({ "otpauth": uri }));
    assert_eq!(added.0, 201, "{}", added.1);
    let uuid = serde_json::from_str::<Value>(&added.1).unwrap()["uuid"].as_str().unwrap().to_owned();

    let (status, table, stderr) = apps(&state, &["list"]);
    assert_eq!((status, table), (Some(0), format!("{uuid}  owned\n  owner   api-key/{value}\n")), "{stderr}");
    let (_, json, _) = apps(&state, &["list", "--json"]);
    assert!(!json.contains("Findable") && !json.contains(KEY), "{json}");
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json[0]["uuid"], &json[0]["state"]), (&json!(uuid), &json!("owned")));

    let (owner, stranger) = (format!("api-key/{value}"), format!("api-key/{other}"));
    for (arguments, status, said) in [
        (&["revoke", &uuid, &stranger][..], 1, "nobody of that name has a grant of"),
        (&["revoke", &uuid, &owner], 1, "stays its owner's"),
        (&["revoke", "nothing", &owner], 2, "named by its UUID"),
        (&["remove", &uuid], 1, "remove it with --yes"),
        (&["remove", "999", "--yes"], 1, "`quorate-oracle apps list` shows them"),
    ] {
        let (ended, stdout, stderr) = apps(&state, arguments);
        assert_eq!((ended, stdout.as_str()), (Some(status), ""), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    let (status, _, stderr) = apps(&state, &["remove", &uuid, "--yes"]);
    assert_eq!((status, stderr), (Some(0), format!("{uuid} is removed\n")));
    assert_eq!(apps(&state, &["list"]).1, "");
    // The next one goes with its owner.
    let (value, owner) = key();
    assert_eq!(post(&serving, "/api/apps", &[("x-functions-key", &owner)], &json!({ "otpauth": uri })).0, 201);
    assert_eq!(api_keys(&state, &["revoke", &value, "--yes"]).0, Some(0));
    assert_eq!(apps(&state, &["list"]).1, "");
}
