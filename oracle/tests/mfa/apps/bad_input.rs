//! What clients send that is no app: each is refused by name, or shared as it is.

use super::ground::{Ground, Who};
use crate::peers::oath::must_have_peers;
use crate::people::stage::refused;
use crate::stage::{NOW, send};
use data_encoding::BASE32_NOPAD;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::Command;

#[tokio::test]
async fn uris_that_cannot_be_shared_are_refused_by_what_is_wrong_with_them() {
    let ground = Ground::new().await;
    let (ann, key) = (ground.user("ann").await, ground.key("app@example.com").await);
    let secret = "JBSWY3DPEHPK3PXP";
    let long = BASE32_NOPAD.encode(&[7; 1025]);
    for (uri, says) in [
        ("otpauth://totp/a?issuer=b".to_owned(), "has no secret"),
        ("otpauth://totp/a?secret=".to_owned(), "has no secret"),
        (format!("otpauth://hotp/a?secret={secret}&counter=1"), "HOTP"),
        (format!("otpauth://steam/a?secret={secret}"), "Steam"),
        (format!("otpauth://totp/a?secret={secret}&encoder=steam"), "Steam"),
        (format!("otpauth://totp/a?secret={}", &secret[..8]), "bits"),
        (format!("otpauth://totp/a?secret={long}"), "longer"),
        (format!("otpauth://totp/a?secret={secret}&period=0"), "period is 0"),
        (format!("otpauth://totp/a?secret={secret}&period=1000000000"), "too long"),
        (format!("otpauth://totp/a?secret={secret}&digits=5"), "digits must be 6, 7 or 8"),
        (format!("otpauth://totp/a?secret={secret}&digits=9"), "digits must be 6, 7 or 8"),
        (format!("otpauth://totp/a?secret={secret}&digits=10"), "digits must be 6, 7 or 8"),
        (format!("otpauth://totp/a?secret={secret}&algorithm=MD5"), "algorithm"),
        (format!("https://example.com/?secret={secret}"), "not an otpauth URI"),
        (format!("otpauth://totp/{}?secret={secret}", "a".repeat(256)), "longer than 255"),
    ] {
        let answer = ground.ask(&ann, Method::POST, "/api/apps", &json!({ "otpauth": uri })).await;
        let (status, word, message) = answer.refusal();
        assert_eq!((status, word), (400, "invalid_otpauth"), "{uri}");
        assert!(message.contains(says), "{uri}: {message}");
        assert!(!answer.text.contains(secret), "{}", answer.text);
        let seed = ground.ask(&key, Method::POST, "/api/add-totp-secret?appname=x", &json!({ "data": uri })).await;
        assert_eq!(seed.refusal(), (status, word, message), "sharedmfa's route says the same");
    }
    for body in [json!({}), json!({ "otpauth": super::ground::URI, "group": "0" }), json!({ "name": "x" })] {
        assert_eq!(refused(&ground.ask(&ann, Method::POST, "/api/apps", &body).await), (400, "invalid_request"));
    }
    for name in ["", &"n".repeat(256)] {
        let body = json!({ "otpauth": super::ground::URI, "name": name });
        assert_eq!(refused(&ground.ask(&ann, Method::POST, "/api/apps", &body).await), (400, "invalid_request"));
    }
    assert_eq!(ground.done(&ann, Method::GET, "/api/apps", &json!({})).await, json!([]), "nothing was kept");
}

/// Adds an app; gives it and its code.
async fn shared(ground: &Ground, who: &Who, uri: &str) -> (Value, Value) {
    let app = ground.done(who, Method::POST, "/api/apps", &json!({ "otpauth": uri })).await;
    let path = format!("/api/apps/{}/code", app["uuid"].as_str().expect("a UUID"));
    let code = ground.done(who, Method::POST, &path, &json!({ "why": "a test" })).await;
    (app, code)
}

#[tokio::test]
async fn what_is_odd_and_can_be_shared_is_shared_as_it_is() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    let (app, code) = shared(&ground, &ann, "otpauth://totp/root?secret=JBSWY3DPEHPK3PXP").await;
    assert_eq!((app["issuer"].as_str(), app["label"].as_str()), (Some(""), Some("root")), "80 bits, no issuer");
    assert_eq!((code["expires"].as_i64(), code["period"].as_i64()), (Some(30_000), Some(30)));
    let long = BASE32_NOPAD.encode(&[7; 512]);
    let (_, code) = shared(&ground, &ann, &format!("otpauth://totp/big?secret={long}&period=60&digits=8")).await;
    assert_eq!(code["otp"].as_str().map(str::len), Some(8), "4,096 bits");
    let sixty = 60 - NOW % 60;
    assert_eq!((code["expires"].as_i64(), code["period"].as_i64()), (Some(sixty * 1000), Some(60)));
    let (app, _) =
        shared(&ground, &ann, "otpauth://totp/%E2%80%AEtoor%07?secret=JBSWY3DPEHPK3PXP&issuer=%1B%5B2J").await;
    assert_eq!((app["issuer"].as_str(), app["label"].as_str()), (Some("\u{1b}[2J"), Some("\u{202e}toor\u{7}")));
    // As clients of sharedmfa see it: by the account where there is no issuer.
    let key = ground.key("app@example.com").await;
    let data = json!({ "data": "otpauth://totp/root?secret=JBSWY3DPEHPK3PXP", "appname": "in the body" });
    let added = ground.done(&key, Method::POST, "/api/add-totp-secret", &data).await;
    assert_eq!(added["name"], "root");
    let listed = ground.done(&key, Method::GET, "/api/list-available-apps", &json!({})).await;
    assert_eq!(listed, json!([{ "uuid": added["uuid"], "appname": "root", "custom": "in the body" }]));
}

#[tokio::test]
async fn codes_are_those_of_oathtool_for_every_hash_and_length() {
    let ground = Ground::new().await;
    let ann = ground.user("ann").await;
    for algorithm in ["SHA1", "SHA256", "SHA512"] {
        for digits in ["6", "7", "8"] {
            let secret = BASE32_NOPAD.encode(&[0x5a; 64]);
            let uri = format!("otpauth://totp/a?secret={secret}&algorithm={algorithm}&digits={digits}");
            let (_, code) = shared(&ground, &ann, &uri).await;
            let at = jiff::Timestamp::from_second(NOW).expect("in range").to_string();
            let (totp, now) =
                (format!("--totp={algorithm}"), format!("--now={}", at.replace('T', " ").replace('Z', " UTC")));
            let theirs = Command::new("oathtool").args([&totp, "-b", "-d", digits, &now, &secret]).output();
            let Ok(theirs) = theirs else {
                assert!(!must_have_peers(), "oathtool is missing: run make test");
                return;
            };
            assert!(theirs.status.success(), "{}", String::from_utf8_lossy(&theirs.stderr));
            assert_eq!(
                code["otp"].as_str(),
                Some(String::from_utf8_lossy(&theirs.stdout).trim()),
                "{algorithm} {digits}"
            );
        }
    }
}

#[tokio::test]
async fn another_ones_uuid_and_what_is_none_are_unknown_alike() {
    let ground = Ground::new().await;
    let (ann, key, other) =
        (ground.user("ann").await, ground.key("app@example.com").await, ground.key("b@example.com").await);
    let uuid = ground.add(&key).await;
    for who in [&ann, &other] {
        for uuid in [uuid.as_str(), "3f1c9a52-7b0e-4c88-a6d4-90b1e2f35c67", "x", "%F0%9F%90%B4"] {
            let path = format!("/api/apps/{uuid}");
            for (method, path) in [
                (Method::GET, path.clone()),
                (Method::DELETE, path.clone()),
                (Method::POST, format!("{path}/code")),
                (Method::GET, format!("{path}/grants")),
                (Method::DELETE, format!("{path}/grants/ann")),
            ] {
                assert_eq!(refused(&ground.ask(who, method, &path, &json!({})).await), (404, "app_unknown"), "{path}");
            }
        }
    }
    let seed = format!("/api/get-mfa-code?uuid={uuid}");
    assert_eq!(refused(&ground.ask(&other, Method::GET, &seed, &json!({})).await), (404, "app_unknown"));
    assert_eq!(
        refused(&ground.ask(&other, Method::GET, "/api/get-mfa-code", &json!({})).await),
        (400, "field_required")
    );
    assert!(ground.reads(&key, &uuid).await);
}

#[tokio::test]
async fn whoever_shows_nothing_or_something_wrong_gets_nothing_and_is_slowed_down() {
    let ground = Ground::new().await;
    let stage = ground.stage();
    let Who::Key(key) = ground.key("app@example.com").await else { unreachable!("it is a key") };
    let get = |path: &str| stage.at(Method::GET, path);
    assert_eq!(refused(&send(get("/api/apps")).await), (401, "ticket_required"));
    assert_eq!(refused(&send(get("/api/list-available-apps")).await), (401, "unauthorized"));
    // Neither half alone, nor in the address where only headers count.
    for wrong in [key.value.clone(), format!("{}:", key.value), format!("{}:x", key.value), ":".to_owned()] {
        assert_eq!(refused(&send(get("/api/apps").header("x-functions-key", &wrong)).await), (401, "unauthorized"));
    }
    let both = format!("{}:{}", key.value, key.secret);
    let (with, listed) = (in_address("/api/apps", &both), in_address("/api/list-available-apps", &both));
    assert_eq!(refused(&send(get(&with)).await), (401, "unauthorized"));
    assert_eq!(send(get(&listed)).await.json, json!([]));
    let mut words = Vec::new();
    // What is no secret at all counts as well as a wrong one.
    for number in 0..40 {
        let wrong = if number % 2 == 0 { "wrong:wrong" } else { "wrong:" };
        let answer = send(get("/api/list-available-apps").header("code", wrong)).await;
        assert!(!answer.text.contains("wrong:"));
        words.push(refused(&answer).0);
    }
    assert_eq!((words[0], words[39]), (401, 429));
    // Right ones always pass.
    assert_eq!(send(get(&listed)).await.status, 200);
}

/// An address that carries a function key.
fn in_address(path: &str, key: &str) -> String {
    format!("{path}?code={}", url::form_urlencoded::byte_serialize(key.as_bytes()).collect::<String>())
}

#[tokio::test]
async fn a_key_is_taken_from_the_address_as_clients_paste_it() {
    let ground = Ground::new().await;
    // About every second secret has a plus.
    let mut number = 0;
    let key = loop {
        number += 1;
        let Who::Key(key) = ground.key(&format!("app{number}@example.com")).await else { unreachable!("it is a key") };
        if key.secret.contains('+') {
            break key;
        }
    };
    let both = format!("{}:{}", key.value, key.secret);
    let path = "/api/list-available-apps";
    let pasted = format!("{path}?code={both}");
    for address in [pasted.clone(), in_address(path, &both), pasted.replace('+', "%20")] {
        assert_eq!(send(ground.stage().at(Method::GET, &address)).await.status, 200, "{}", address.replace(&both, ""));
    }
    // Elsewhere it counts for nothing, and whoever sends it is told where it does.
    let elsewhere = send(ground.stage().at(Method::GET, &format!("/api/apps?code={both}"))).await;
    assert_eq!(refused(&elsewhere), (401, "unauthorized"));
    assert!(elsewhere.text.contains("x-functions-key") && !elsewhere.text.contains(&key.secret), "{}", elsewhere.text);
    // In a header nothing is decoded.
    let spaced = both.replace('+', " ");
    let answer = send(ground.stage().at(Method::GET, path).header("x-functions-key", spaced)).await;
    assert_eq!(refused(&answer), (401, "unauthorized"));
    assert!(!answer.text.contains(&key.secret));
}

#[tokio::test]
async fn a_key_in_the_address_can_be_switched_off() {
    let setup = quorate_oracle::testing::TestSetup::default().set("apps.key_in_query", "false");
    let ground = Ground { people: crate::people::stage::People::with(setup).await };
    let Who::Key(key) = ground.key("app@example.com").await else { unreachable!("it is a key") };
    let both = format!("{}:{}", key.value, key.secret);
    let get = |path: &str| ground.stage().at(Method::GET, path);
    let path = "/api/list-available-apps";
    assert_eq!(refused(&send(get(&in_address(path, &both))).await), (401, "unauthorized"));
    assert_eq!(send(get(path).header("code", &both)).await.status, 200);
}
