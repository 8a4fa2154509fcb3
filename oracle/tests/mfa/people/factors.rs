//! Providers as operators configure them, in the shapes of Secrets Safe; who has been assigned which; and logins with them.

use super::stage::{PASSWORD, People, refused, ticket_of};
use futures_util::future::join_all;
use quorate_oracle::testing::TestSetup;
use reqwest::Method;
use serde_json::{Value, json};

const PROVIDERS: &str = "/system/multi_factor";

fn duo(name: &str) -> Value {
    let options = json!({ "IntegrationKey": "DIXXXXXX", "SecretKey": "deadbeef", "Host": "api-dss.duosecurity.com" });
    json!({ "Type": "duo", "Name": name, "Options": options })
}

#[tokio::test]
async fn providers_are_written_in_either_case_and_shown_without_their_secrets() {
    let people = People::new().await;
    assert_eq!(people.done(Method::GET, PROVIDERS, json!({})).await, json!([]));
    let made = people.call(Method::POST, PROVIDERS, duo("Secrets Safe Duo")).await;
    assert_eq!(made.status, 201);
    let shown = json!({ "Type": "duo", "Name": "Secrets Safe Duo", "Options": {
        "IntegrationKey": "DIXXXXXX", "SecretKey": "(redacted)", "Host": "api-dss.duosecurity.com" } });
    assert_eq!(made.json, shown);
    let small = json!({ "type": "duo", "name": "My company Duo application", "options": {
        "integrationKey": "DIYYYYYY", "secretKey": "c0ffee", "host": "api-my-company.duosecurity.com" } });
    people.done(Method::POST, PROVIDERS, small).await;
    people.done(Method::POST, PROVIDERS, json!({ "type": "totp", "name": "TotpDemoConfig" })).await;
    let listed = people.call(Method::GET, PROVIDERS, json!({})).await;
    assert!(!listed.text.contains("deadbeef") && !listed.text.contains("c0ffee"), "{}", listed.text);
    let names: Vec<_> = listed.json.as_array().expect("a list").iter().map(|one| one["Name"].clone()).collect();
    assert_eq!(names, ["Secrets Safe Duo", "My company Duo application", "TotpDemoConfig"]);
    assert_eq!(listed.json[2], json!({ "Type": "totp", "Name": "TotpDemoConfig", "Options": {} }));
}

#[tokio::test]
async fn what_is_no_provider_is_refused() {
    let people = People::new().await;
    people.done(Method::POST, PROVIDERS, duo("Duo")).await;
    let with = |pointer: &str, value: Value| {
        let mut body = duo("Other");
        *body.pointer_mut(pointer).expect("a field") = value;
        body
    };
    for (body, refusal) in [
        (duo("Duo"), (409, "name_taken")),
        (with("/Type", json!("sms")), (400, "invalid_type")),
        (with("/Name", json!("")), (400, "invalid_name")),
        (with("/Name", json!("a/b")), (400, "invalid_name")),
        (with("/Name", json!("Du\u{202e}o")), (400, "invalid_name")),
        (with("/Name", json!("Duo ")), (400, "invalid_name")),
        (with("/Options/Host", json!("")), (400, "invalid_option")),
        (with("/Options/SecretKey", Value::Null), (400, "invalid_option")),
        (with("/Options/SecretKey", json!("(redacted)")), (400, "invalid_option")),
        (with("/Options/Host", json!("a\nb")), (400, "invalid_option")),
        (with("/Options", json!("text")), (400, "invalid_body")),
        (json!({ "Type": "duo", "type": "totp", "Name": "X" }), (400, "invalid_body")),
        (json!({ "Name": "X" }), (400, "invalid_body")),
        (json!({ "Type": "totp", "Name": "X", "Options": { "Issuer": "x".repeat(300) } }), (400, "invalid_option")),
        (
            json!({ "Type": "webauthn", "Name": "X", "Options": { "RpId": "com", "Origin": "https://x.com" } }),
            (400, "public_suffix"),
        ),
    ] {
        let answer = people.call(Method::POST, PROVIDERS, body.clone()).await;
        assert_eq!(refused(&answer), refusal, "{body}");
    }
}

#[tokio::test]
async fn an_update_keeps_the_secret_that_it_does_not_name_and_changes_neither_name_nor_type() {
    let people = People::new().await;
    people.done(Method::POST, PROVIDERS, duo("My Duo")).await;
    let path = "/system/multi_factor/My%20Duo";
    for key in [json!(null), json!("(redacted)"), json!("")] {
        let mut body = duo("My Duo");
        body["Options"]["SecretKey"] = key;
        body["Options"]["Host"] = json!("api-new.duosecurity.com");
        let updated = people.done(Method::PUT, path, body).await;
        assert_eq!(updated["Options"]["SecretKey"], "(redacted)");
        assert_eq!(updated["Options"]["Host"], "api-new.duosecurity.com");
    }
    assert_eq!(refused(&people.call(Method::PUT, path, duo("Another")).await), (400, "name_fixed"));
    let other = json!({ "Type": "totp", "Name": "My Duo" });
    assert_eq!(refused(&people.call(Method::PUT, path, other).await), (400, "name_fixed"));
    for unknown in ["my%20duo", "My_Duo", "x", "%20", "a%2Fb"] {
        let path = format!("{PROVIDERS}/{unknown}");
        assert_eq!(refused(&people.call(Method::PUT, &path, duo("x")).await), (404, "provider_unknown"), "{unknown}");
        assert_eq!(refused(&people.call(Method::DELETE, &path, json!({})).await), (404, "provider_unknown"));
    }
}

#[tokio::test]
async fn a_provider_stays_while_somebody_has_it() {
    let people = People::new().await;
    people.user("bob", "member").await;
    people.assign_totp("bob", "TotpDemoConfig").await;
    let path = "/system/multi_factor/TotpDemoConfig";
    assert_eq!(refused(&people.call(Method::DELETE, path, json!({})).await), (409, "provider_assigned"));
    people.done(Method::DELETE, "/principals/bob/multi_factor", json!({})).await;
    assert_eq!(people.call(Method::DELETE, path, json!({})).await.status, 204);
    assert_eq!(refused(&people.call(Method::DELETE, path, json!({})).await), (404, "provider_unknown"));
    let again = people.call(Method::DELETE, "/principals/bob/multi_factor", json!({})).await;
    assert_eq!(refused(&again), (404, "no_provider"));
}

#[tokio::test]
async fn a_principal_has_one_provider_and_a_team_none() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let (_, first) = people.assign_totp("bob", "One").await;
    let (_, second) = people.assign_totp("bob", "Two").await;
    assert_eq!(people.done(Method::GET, "/principals/bob", json!({})).await["provider"], "Two");
    people.done(Method::DELETE, "/system/multi_factor/One", json!({})).await;
    let login =
        async |code: String| people.log_in(json!({ "principal": "bob", "password": PASSWORD, "passcode": code })).await;
    assert_eq!(refused(&login(people.code(&first, 0)).await), (401, "login_refused"), "replaced");
    assert_eq!(login(people.code(&second, 0)).await.status, 200);
    people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    for team in ["principal/internal/group/ops", "principal%2Finternal%2Fgroup%2Fops"] {
        let path = format!("/principals/{team}/multi_factor");
        let answer = people.call(Method::PUT, &path, json!({ "provider": "Two" })).await;
        assert_eq!(refused(&answer), (400, "team_cannot_log_in"));
    }
    for (body, refusal) in [
        (json!({ "provider": "None" }), (404, "provider_unknown")),
        (json!({ "provider": "two" }), (404, "provider_unknown")),
        (json!({ "provider": "Two", "key": "not base32!" }), (400, "invalid_key")),
        (json!({ "provider": "Two", "key": "JBSWY3DP" }), (400, "invalid_key")),
        (json!({}), (400, "invalid_body")),
    ] {
        let answer = people.call(Method::PUT, "/principals/bob/multi_factor", body.clone()).await;
        assert_eq!(refused(&answer), refusal, "{body}");
    }
    assert_eq!(login(people.code(&second, 1)).await.status, 200, "nothing of a refused assignment is done");
}

#[tokio::test]
async fn a_given_key_is_not_shown_again_and_a_generated_one_once() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let (generated, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    assert_eq!(
        (generated["type"].as_str(), generated["principal"].as_str()),
        (Some("totp"), Some("principal/internal/user/bob"))
    );
    assert_eq!((secret.issuer(), secret.account(), secret.key().len()), (Some("quorate oracle"), "bob", 20));
    assert_eq!(generated["key"].as_str(), Some(secret.to_base32().as_str()));
    let shown = people.call(Method::GET, "/principals/bob", json!({})).await.text;
    assert!(!shown.contains(secret.to_base32().as_str()), "{shown}");
    let body = json!({ "provider": "TotpDemoConfig", "key": "jbsw y3dp ehpk 3pxp jbsw y3dp ehpk 3pxp" });
    let given = people.done(Method::PUT, "/principals/bob/multi_factor", body).await;
    assert_eq!((given.get("key"), given.get("otpauth_uri")), (None, None));
    let secret = quorate_protocol::otp::OtpSecret::from_base32("JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").expect("a key");
    let body = json!({ "principal": "bob", "password": PASSWORD, "passcode": people.code(&secret, 0) });
    assert_eq!(people.log_in(body).await.status, 200);
}

#[tokio::test]
async fn a_passcode_counts_once_and_so_do_earlier_ones() {
    let people = People::new().await;
    people.user("bob", "member").await;
    let (_, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    let login = async |passcode: Value| {
        let answer = people.log_in(json!({ "principal": "bob", "password": PASSWORD, "passcode": passcode })).await;
        answer.status.as_u16()
    };
    assert_eq!(login(json!(people.code(&secret, 0))).await, 200);
    assert_eq!(login(json!(people.code(&secret, 0))).await, 401);
    assert_eq!(login(json!(people.code(&secret, -1))).await, 401);
    assert_eq!(login(json!(people.code(&secret, 1))).await, 200);
    people.stage.clock.advance(60_000);
    let wrong =
        people.log_in(json!({ "principal": "bob", "password": "wrong", "passcode": people.code(&secret, 1) })).await;
    assert_eq!(wrong.status, 401);
    assert_eq!(login(json!(people.code(&secret, 1))).await, 200, "a wrong password uses no code up");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passcode_on_two_connections_at_once_counts_once() {
    let mut people = People::new().await;
    people.user("bob", "member").await;
    let (assigned, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    // Connections that are kept would send everything over one.
    people.stage.http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
    for passcode in [people.code(&secret, 0), assigned["recovery_codes"][0].as_str().expect("a code").to_owned()] {
        let body = json!({ "principal": "bob", "password": PASSWORD, "passcode": passcode });
        let answers = join_all((0..2).map(|_| people.log_in(body.clone()))).await;
        let mut statuses = answers.iter().map(|answer| answer.status.as_u16()).collect::<Vec<_>>();
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 401]);
    }
}

#[tokio::test]
async fn a_recovery_code_serves_once_and_its_own_principal() {
    let people = People::new().await;
    for name in ["bob", "ann"] {
        people.user(name, "member").await;
    }
    let (bobs, _) = people.assign_totp("bob", "TotpDemoConfig").await;
    let (anns, _) = people.assign_totp("ann", "TotpDemoConfig").await;
    let code =
        |assigned: &Value, number: usize| assigned["recovery_codes"][number].as_str().expect("a code").to_owned();
    let login = async |name: &str, code: String| {
        people.log_in(json!({ "principal": name, "password": PASSWORD, "passcode": code })).await.status.as_u16()
    };
    assert_eq!(login("bob", code(&anns, 0)).await, 401);
    assert_eq!(login("bob", code(&bobs, 0).to_lowercase().replace('-', "")).await, 200);
    assert_eq!(login("bob", code(&bobs, 0)).await, 401);
    assert_eq!(login("bob", code(&bobs, 1)).await, 200);
    let (_, _) = people.assign_totp("bob", "TotpDemoConfig").await;
    assert_eq!(login("bob", code(&bobs, 2)).await, 401, "of an earlier assignment");
}

#[tokio::test]
async fn an_assignment_ends_what_the_principal_was_logged_in_with() {
    let people = People::new().await;
    let ticket = people.user("bob", "auditor").await;
    let (_, secret) = people.assign_totp("bob", "TotpDemoConfig").await;
    assert!(!people.knows(&ticket).await);
    let body = json!({ "principal": "bob", "password": PASSWORD, "passcode": people.code(&secret, 0) });
    let ticket = ticket_of(&people.log_in(body).await);
    people.done(Method::DELETE, "/principals/bob/multi_factor", json!({})).await;
    assert!(!people.knows(&ticket).await);
    assert!(people.knows(&people.ticket("bob").await).await, "the password alone serves now");
}

#[tokio::test]
async fn without_an_answer_of_duo_nobody_is_let_in() {
    // Nobody listens there.
    let people = People::with(TestSetup::default().set("duo.hosts", "127.0.0.1:1")).await;
    people.user("bob", "member").await;
    let mut provider = duo("Duo");
    provider["Options"]["Host"] = json!("127.0.0.1:1");
    people.done(Method::POST, PROVIDERS, provider).await;
    let assigned =
        people.done(Method::PUT, "/principals/bob/multi_factor", json!({ "provider": "Duo", "user": "bob@dss" })).await;
    for passcode in [json!("push"), json!("123456")] {
        let body = json!({ "principal": "bob", "password": PASSWORD, "passcode": passcode });
        assert_eq!(refused(&people.log_in(body).await), (503, "factor_unavailable"));
    }
    let wrong = people.log_in(json!({ "principal": "bob", "password": "wrong", "passcode": "push" })).await;
    assert_eq!(refused(&wrong), (401, "login_refused"), "who has no password asks nobody");
    let recovery = json!({ "principal": "bob", "password": PASSWORD, "passcode": assigned["recovery_codes"][0] });
    assert_eq!(people.log_in(recovery).await.status, 200);
    let long = json!({ "provider": "Duo", "user": "x".repeat(65) });
    assert_eq!(refused(&people.call(Method::PUT, "/principals/bob/multi_factor", long).await), (400, "invalid_option"));
}
