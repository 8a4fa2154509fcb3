//! What the program logs while people enrol and log in, at its lowest level: nothing of a password, a code, a ticket or a link,
//! and no name.

use super::stage::{PASSWORD, link_of};
use crate::pages::visit::filled;
use crate::process::Oracle;
use crate::stage::send;
use quorate_protocol::otp::OtpSecret;
use reqwest::Method;
use reqwest::redirect::Policy;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate-oracle");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_holds_nothing_of_a_login() {
    let state = tempfile::tempdir().expect("a folder");
    let mut init = Command::new(PROGRAM);
    let init =
        init.env_clear().args(["init", "--operator", "findable", "--json", "--state"]).arg(state.path()).output();
    let init: Value = serde_json::from_slice(&init.expect("it runs").stdout).expect("JSON");
    let link = link_of(init["enroll"].as_str().expect("a link"));
    let cheap = [("LOG_LEVEL", "trace"), ("PASSWORDS_MEMORY_KIB", "32"), ("PASSWORDS_PASSES", "1")];
    let oracle = Oracle::start(Path::new(PROGRAM), state.path(), &cheap);
    // A second installation, by another test of this process, is refused and changes nothing.
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().redirect(Policy::none()).build().expect("a client");
    let call = async |method: Method, path: &str, ticket: &str, body: Value| {
        let request = http.request(method, format!("http://{}{path}", oracle.address())).bearer_auth(ticket);
        send(request.json(&body)).await.json
    };
    call(Method::POST, &format!("/enroll/{link}"), "", json!({ "password": PASSWORD })).await;
    let login = json!({ "principal": "findable", "password": PASSWORD });
    let ticket = call(Method::POST, "/login", "", login).await["ticket"].as_str().expect("a ticket").to_owned();
    let provider = json!({ "Type": "totp", "Name": "FindableProvider" });
    call(Method::POST, "/system/multi_factor", &ticket, provider).await;
    let body = json!({ "provider": "FindableProvider" });
    let assigned = call(Method::PUT, "/principals/findable/multi_factor", &ticket, body).await;
    let secret = OtpSecret::from_base32(assigned["key"].as_str().expect("a key")).expect("base32");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let code = secret.code_at(now).digits.to_string();
    let login = |password: &str, code: &str| json!({ "principal": "findable", "password": password, "passcode": code });
    call(Method::POST, "/login", "", login("a wrong sentence", &code)).await;
    let second = call(Method::POST, "/login", "", login(PASSWORD, &code)).await;
    let second = second["ticket"].as_str().expect("a ticket").to_owned();
    let recovery = assigned["recovery_codes"][0].as_str().expect("a code").to_owned();
    call(Method::POST, "/login", "", login(PASSWORD, &recovery)).await;
    call(Method::GET, "/principals/findable", &second, json!({})).await;
    call(Method::POST, "/login", "", login("principal/internal/user/findable", "findable")).await;

    // The same on pages.
    let form = async |path: &str, fields: &[(&str, &str)]| {
        let request = http.request(Method::POST, format!("http://{}{path}", oracle.address()));
        filled(request.header("sec-fetch-site", "same-origin"), fields).send().await.expect("an answer")
    };
    let asked = form("/login/password", &[("principal", "findable"), ("password", PASSWORD)]).await;
    let asked = asked.text().await.expect("a page");
    let state = asked.split_once("name=\"state\" value=\"").expect("a state").1.split('"').next().expect("an end");
    let typed = assigned["recovery_codes"][1].as_str().expect("a code").to_owned();
    let done = form("/login/factor", &[("principal", "findable"), ("state", state), ("passcode", &typed)]).await;
    assert_eq!(done.status().as_u16(), 303);
    let cookie = done.headers()["set-cookie"].to_str().expect("ASCII").to_owned();
    let cookie = cookie.split(['=', ';']).nth(1).expect("a value").to_owned();
    let page = http.get(format!("http://{}/account", oracle.address())).header("cookie", format!("quorate={cookie}"));
    assert_eq!(page.send().await.expect("an answer").status().as_u16(), 200);

    let log = oracle.log();
    assert!(log.matches("answered").count() >= 9, "it logs: {log}");
    let key = secret.to_base32();
    for (what, text) in [
        ("a password", PASSWORD),
        ("a wrong password", "a wrong sentence"),
        ("a name", "findable"),
        ("a provider", "FindableProvider"),
        ("a link", &link),
        ("a ticket", &ticket),
        ("another", &second),
        ("a recovery code", &recovery),
        ("a TOTP key", &key),
        ("a recovery code of a page", &typed),
        ("a cookie", &cookie),
        ("a state", state),
    ] {
        assert!(!log.contains(text), "{what}: {log}");
    }
}
