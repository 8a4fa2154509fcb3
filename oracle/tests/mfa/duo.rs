//! Duo, played by a local server that checks every signature with `PyPI`'s `duo_client`: honest, refusing, and wrong in every
//! way that a server can be.

use super::mail::certificate;
use super::pages::login::answered;
use super::pages::visit::Visit;
use super::peers::python;
use super::people::stage::{PASSWORD, People};
use hyper::Method;
use quorate_oracle::clock::{Clock, SystemClock};
use quorate_oracle::config::Config;
use quorate_oracle::duo::signature::Signature;
use quorate_oracle::duo::{Duo, DuoError, Factor, Integration, Question, Verdict};
use quorate_oracle::outbound::OutboundError;
use quorate_oracle::testing::TestSetup;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use tempfile::TempDir;
use zeroize::Zeroizing;

const KEY: &str = "DIXXXXXXXXXXXXXXXXXX";
const SECRET: &str = "hunter2hunter2hunter2hunter2hunter2hunte";

/// A server that plays Duo; killed when dropped.
struct Server {
    process: Child,
    said: BufReader<ChildStdout>,
    host: String,
    folder: TempDir,
}

impl Server {
    /// Over TLS; none when Python is not there and need not be.
    fn start() -> Option<Self> {
        Self::with(true, 0)
    }

    fn with(tls: bool, ahead: i64) -> Option<Self> {
        let python = python("Duo, played by duo_client")?;
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new(python);
        command.args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mfa/duo_server.py")]);
        command.args(["--key", KEY, "--secret", SECRET]).arg(format!("--ahead={ahead}"));
        let (pem, key) = certificate(folder.path(), "duo");
        if tls {
            command.arg("--certificate").arg(&pem).arg("--certificate-key").arg(key);
        }
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("python runs");
        let mut said = BufReader::new(process.stdout.take().expect("it was piped"));
        let mut port = String::new();
        said.read_line(&mut port).expect("a line");
        Some(Self { process, said, host: format!("127.0.0.1:{}", port.trim()), folder })
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("duo.pem")
    }

    /// A client that knows this server, and believes in its certificate.
    fn duo(&self) -> Duo {
        duo(&self.host, &self.ca(), "28", Arc::new(SystemClock))
    }

    fn integration(&self, duo: &Duo) -> Integration {
        integration(duo, SECRET, &self.host)
    }

    /// What it was asked next.
    fn asked(&mut self) -> Value {
        let mut line = String::new();
        self.said.read_line(&mut line).expect("a line");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Lets those go on who were told to wait.
    fn go_on(&mut self) {
        let input = self.process.stdin.as_mut().expect("it was piped");
        input.write_all(b"go on\n").expect("it reads");
        input.flush().expect("it reads");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ended_already = self.process.kill();
        self.process.wait().expect("a child of ours");
    }
}

fn duo(host: &str, ca: &std::path::Path, seconds: &str, clock: Arc<dyn Clock>) -> Duo {
    let flags = [
        ("duo.hosts", host.to_owned()),
        ("duo.ca", ca.to_str().expect("UTF-8").to_owned()),
        ("duo.seconds", seconds.to_owned()),
    ];
    let config = Config::load(None, |_| None, &flags).expect("settings");
    Duo::open(&config, clock).expect("a client")
}

fn integration(duo: &Duo, secret: &str, host: &str) -> Integration {
    Integration::new(KEY, Zeroizing::new(secret.to_owned()), host, duo.rules()).expect("an integration")
}

/// About the user of an id that begins so.
fn question(user: &str) -> Question {
    Question::new(&format!("{user:X<20}")).expect("a question").seen_at(Some("192.0.2.7".parse().expect("an address")))
}

fn factor(text: &str) -> Factor {
    Factor::parse(text).expect("a factor")
}

#[test]
fn signatures_are_those_of_duo_client() {
    let Some(python) = python("signatures of duo_client") else { return };
    let texts = ["", " ", "a b", "~", "+", "a+b%20c", "&=?#/", "ü", "日本", "\u{1f511}", "\"\\\n", "-._~", "\u{7f}"];
    let at = |host: &str| {
        let rules = quorate_oracle::duo::HostRules::new(&[host.to_owned()]);
        Integration::new(KEY, Zeroizing::new(SECRET.to_owned()), host, &rules).expect("an integration")
    };
    let mut requests = Vec::new();
    let mut ours = Vec::new();
    for (host, signed_host) in
        [("API-1234abcd.duosecurity.com", "API-1234abcd.duosecurity.com"), ("[::1]:8443", "[::1]")]
    {
        for method in [Method::GET, Method::POST] {
            let mut all = vec![BTreeMap::new()];
            all.extend(texts.map(|text| BTreeMap::from([("zeta", text), ("Alpha", text), ("name", "x")])));
            for parameters in all {
                let zeroized: BTreeMap<_, _> =
                    parameters.iter().map(|(name, value)| (*name, Zeroizing::new((*value).to_owned()))).collect();
                let signed = Signature::new(&at(host), &method, "/auth/v2/check", &zeroized, 1_800_000_000);
                requests.push(json!({
                    "key": KEY, "secret": SECRET, "method": method.as_str(), "host": signed_host,
                    "path": "/auth/v2/check", "date": signed.date(), "parameters": parameters, "body": signed.body(),
                }));
                ours.push((signed, parameters));
            }
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mfa/duo_signature.py");
    let mut child = Command::new(python)
        .args(["-B", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python runs");
    let input = serde_json::to_vec(&requests).expect("JSON");
    child.stdin.take().expect("it was piped").write_all(&input).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    let theirs: Vec<Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(theirs.len(), ours.len());
    for ((signed, parameters), theirs) in ours.iter().zip(theirs) {
        assert_eq!(signed.date(), "Fri, 15 Jan 2027 08:00:00 -0000");
        assert_eq!(signed.authorization().to_str().expect("ASCII"), theirs["authorization"], "{parameters:?}");
        let query = theirs["query"].as_str().expect("a text");
        let uri = if query.is_empty() { "/x".to_owned() } else { format!("/x?{query}") };
        assert_eq!(signed.uri("/x"), uri);
        let body = theirs["body"].as_str().expect("a text");
        if signed.body().is_ascii() && !signed.body().contains('\u{7f}') {
            assert_eq!(signed.body(), body, "{parameters:?}");
        } else {
            let [one, other]: [Value; 2] = [signed.body(), body].map(|text| serde_json::from_str(text).expect("JSON"));
            assert_eq!(one, other);
        }
    }
}

#[tokio::test]
async fn a_push_says_who_from_where_and_why() {
    let Some(mut server) = Server::start() else { return };
    let duo = server.duo();
    let at = server.integration(&duo);
    let now = SystemClock.now();
    for time in [duo.ping(&at).await.expect("there"), duo.check(&at).await.expect("right keys")] {
        assert!((time - now).abs() < 300, "{time}");
        server.asked();
    }
    let question =
        question("DUALLOW").kind("Anmeldung ü").name("bob ~+").line("oracle", "Örakel & Co").line("why", "a=b+c d");
    assert_eq!(duo.verify(&at, &question, &factor("push")).await.expect("allowed"), Verdict::Allowed);
    let (preauth, auth) = (server.asked(), server.asked());
    assert_eq!((&preauth["method"], &preauth["path"]), (&json!("POST"), &json!("/auth/v2/preauth")));
    assert_eq!(preauth["host"], server.host);
    assert_eq!(preauth["fields"], json!({ "user_id": "DUALLOWXXXXXXXXXXXXX", "ipaddr": "192.0.2.7" }));
    assert_eq!(auth["path"], "/auth/v2/auth");
    let fields = json!({
        "user_id": "DUALLOWXXXXXXXXXXXXX", "ipaddr": "192.0.2.7", "async": "0", "factor": "push", "device": "auto",
        "type": "Anmeldung ü", "display_username": "bob ~+", "pushinfo": "oracle=%C3%96rakel%20%26%20Co&why=a%3Db%2Bc%20d",
    });
    assert_eq!(auth["fields"], fields);
}

#[tokio::test]
async fn every_factor_lets_in_whom_duo_allows() {
    let Some(server) = Server::start() else { return };
    let duo = server.duo();
    let at = server.integration(&duo);
    for text in ["push", "phone", "auto", "123456"] {
        let verdict = duo.verify(&at, &question("DUALLOW"), &factor(text)).await;
        assert_eq!(verdict.expect("allowed"), Verdict::Allowed, "{text}");
    }
    for user in ["DUBYPASS", "DUAUTHBYPASS"] {
        assert_eq!(duo.verify(&at, &question(user), &factor("push")).await.expect("bypassed"), Verdict::Bypassed);
    }
    assert_eq!(duo.verify(&at, &question("DULANDLINE"), &factor("auto")).await.expect("called"), Verdict::Allowed);
}

#[tokio::test]
async fn a_name_that_duo_may_not_know_is_no_bypass() {
    let Some(mut server) = Server::start() else { return };
    let duo = server.duo();
    let at = server.integration(&duo);
    let named = |user| Question::new(user).expect("a question");
    assert_eq!(duo.verify(&at, &named("bob@dss"), &factor("push")).await.expect("asked"), Verdict::Allowed);
    assert_eq!(server.asked()["fields"], json!({ "username": "bob@dss" }));
    for user in ["DUBYPASS", "DUAUTHBYPASS"] {
        let error = duo.verify(&at, &named(user), &factor("push")).await.expect_err("a no");
        assert!(matches!(error, DuoError::NameBypassed) && error.refuses(), "{error:?}");
    }
}

#[tokio::test]
async fn a_login_asks_duo() {
    let Some(mut server) = Server::start() else { return };
    let (ca, host) = (server.ca(), server.host.clone());
    let setup = TestSetup::default().set("duo.hosts", host.clone()).set("duo.ca", ca.to_str().expect("UTF-8"));
    // Signatures go by the clock, and this Duo has the real one.
    let people = People::with(setup.set("duo.seconds", "25")).await;
    people.stage.clock.set(SystemClock.now_ms());
    let people = People { operator: people.ticket("operator").await, ..people };
    let options = json!({ "Host": host, "IntegrationKey": KEY, "SecretKey": SECRET });
    people
        .done(Method::POST, "/system/multi_factor", json!({ "Type": "duo", "Name": "Duo", "Options": options }))
        .await;
    for (name, user) in
        [("ann", "DUALLOW"), ("bob", "DUDENY"), ("cho", "DUBROKEN"), ("dee", "DUENROLL"), ("eve", "DUBYPASS")]
    {
        people.user(name, "member").await;
        let body = json!({ "provider": "Duo", "user": format!("{user:X<20}") });
        people.done(Method::PUT, &format!("/principals/{name}/multi_factor"), body).await;
    }
    for (name, passcode, status) in [
        ("ann", "push", 200),
        ("ann", "phone", 200),
        ("ann", "123456", 200),
        ("ann", "654321", 401),
        ("bob", "push", 401),
        ("cho", "push", 503),
        ("dee", "push", 401),
        ("eve", "push", 200),
    ] {
        let answer = people.log_in(json!({ "principal": name, "password": PASSWORD, "passcode": passcode })).await;
        assert_eq!(answer.status, status, "{name} {passcode}: {}", answer.text);
    }
    // Whoever is asked sees who logs in, from where and why.
    let (preauth, auth) = (server.asked(), server.asked());
    assert_eq!(preauth["fields"], json!({ "ipaddr": "127.0.0.1", "user_id": "DUALLOWXXXXXXXXXXXXX" }));
    let shown = auth["fields"]["pushinfo"].as_str().expect("a query");
    assert!(shown.contains("why=log%20in%20to%20the%20oracle") && shown.contains("oracle="), "{shown}");
    assert_eq!(auth["fields"]["display_username"], "ann");
    assert_eq!(auth["fields"]["ipaddr"], "127.0.0.1");
    let told = people.told().await;
    let ended = |name: &str| {
        let subject = format!("principal/internal/user/{name}");
        let logins = told.iter().filter(|event| event["subject"] == *subject);
        let mut logins =
            logins.filter(|event| ["login.done", "login.refused"].contains(&event["kind"].as_str().unwrap()));
        logins.next_back().map(|event| (event["result"].clone(), event["details"].clone())).expect("told")
    };
    for (name, result, details) in [
        ("ann", "refused", json!({ "reason": "wrong_passcode" })),
        ("bob", "refused", json!({ "reason": "denied" })),
        ("cho", "failed", json!({ "reason": "unavailable" })),
        ("dee", "refused", json!({ "reason": "not_enrolled" })),
        ("eve", "done", json!({ "second_factor": "bypass at duo" })),
    ] {
        assert_eq!(ended(name), (json!(result), details), "{name}");
    }
    for (name, statuses) in [("ann", &[303][..]), ("bob", &[401, 429]), ("cho", &[503])] {
        let mut visit = Visit::new(&people);
        let asked = visit.send("/login/password", &[("principal", name), ("password", PASSWORD)]).await;
        assert!(asked.text.contains("Send a push") && asked.text.contains("data-waiting"), "{}", asked.text);
        let page = answered(&mut visit, &asked, "push").await;
        assert!(statuses.contains(&page.status), "{name}: {}", page.text);
        assert!(page.status == 303 || page.text.contains("Send a push"), "it may be tried again: {}", page.text);
    }
    let nothing = people.log_in(json!({ "principal": "ann", "password": PASSWORD })).await;
    assert!([401, 429].contains(&nothing.status.as_u16()), "nobody is rung up unasked: {}", nothing.text);
}

#[tokio::test]
async fn whatever_does_not_allow_is_a_no_of_its_kind() {
    let Some(server) = Server::start() else { return };
    let duo = server.duo();
    let at = server.integration(&duo);
    for (user, text, word, refuses) in [
        ("DUALLOW", "654321", "wrong_passcode", true),
        ("DUDENY", "push", "denied", true),
        ("DUFRAUD", "push", "fraud", true),
        ("DULOCKED", "push", "locked_out", true),
        ("DUTIMEOUT", "phone", "not_answered", true),
        ("DUENROLL", "push", "not_enrolled", true),
        ("DUPOLICY", "123456", "not_allowed", true),
        ("DULANDLINE", "push", "no_device", true),
        ("DUUNKNOWN", "push", "rejected", false),
        ("DUODD", "push", "unexpected", false),
        ("DUWAITING", "push", "unexpected", false),
        ("DUBUSY", "push", "busy", false),
        ("DUBROKEN", "push", "server_failed", false),
        ("DUREDIRECT", "push", "redirected", false),
        ("DUGARBAGE", "push", "not_duo", false),
        ("DUTWICE", "push", "not_duo", false),
        ("DUENDLESS", "push", "too_large", false),
        ("DUCUT", "push", "unreachable", false),
    ] {
        let error = duo.verify(&at, &question(user), &factor(text)).await.expect_err("a no");
        assert_eq!((error.word(), error.refuses()), (word, refuses), "{user}: {error}");
        assert!(!format!("{error:?} {error}").contains("654321"), "{error:?}");
    }
}

#[tokio::test]
async fn a_redirect_is_not_followed_and_nothing_is_asked_twice() {
    let Some(mut server) = Server::start() else { return };
    let duo = server.duo();
    let at = server.integration(&duo);
    for user in ["DUREDIRECT", "DUBROKEN", "DUBUSY", "DUCUT"] {
        duo.verify(&at, &question(user), &factor("push")).await.expect_err("a no");
    }
    duo.ping(&at).await.expect("there");
    let mut paths = Vec::new();
    while paths.last() != Some(&json!("/auth/v2/ping")) {
        paths.push(server.asked()["path"].clone());
    }
    let expected = ["/auth/v2/preauth", "/auth/v2/auth"].repeat(4);
    assert_eq!(paths[..8], expected.iter().map(|path| json!(path)).collect::<Vec<_>>());
    assert_eq!(paths.len(), 9);
}

#[tokio::test]
async fn nobody_waits_for_a_slow_duo() {
    let Some(server) = Server::start() else { return };
    let duo = duo(&server.host, &server.ca(), "2", Arc::new(SystemClock));
    // A telephone that rang in vain is a refusal that counts; what takes its time before it rings is none.
    let mut outcomes = Vec::new();
    while !outcomes.iter().any(|error| matches!(error, DuoError::NotAnswered)) {
        let error =
            duo.verify(&server.integration(&duo), &question("DUSLOW"), &factor("push")).await.expect_err("a no");
        assert!(matches!(error, DuoError::NotAnswered | DuoError::Outbound(OutboundError::Slow)), "{error:?}");
        outcomes.push(error);
        assert!(outcomes.len() < 20, "{outcomes:?}");
    }
    let error = duo.verify(&server.integration(&duo), &question("DUSLOW"), &factor("phone")).await.expect_err("a no");
    assert!(matches!(error, DuoError::PushUnderWay { .. } | DuoError::Outbound(OutboundError::Slow)), "{error:?}");
}

#[tokio::test]
async fn a_wrong_clock_is_told_from_a_wrong_key() {
    let Some(server) = Server::with(true, 3_600) else { return };
    let duo = server.duo();
    let error = duo.check(&server.integration(&duo)).await.expect_err("a no");
    let DuoError::ClockSkew { ahead: Some(ahead) } = error else { panic!("{error:?}") };
    assert!((3_300..3_900).contains(&ahead), "{ahead}");
    let Some(server) = Server::start() else { return };
    let duo = server.duo();
    let error = duo.check(&integration(&duo, "wrong", &server.host)).await.expect_err("a no");
    assert!(matches!(error, DuoError::Credentials { code: 40_103 }), "{error:?}");
}

#[tokio::test]
async fn who_does_not_prove_to_be_duo_is_told_nothing() {
    let Some(mut server) = Server::start() else { return };
    let (other, _) = certificate(server.folder.path(), "other");
    let stranger = duo(&server.host, &other, "28", Arc::new(SystemClock));
    let error = stranger.check(&server.integration(&stranger)).await.expect_err("a no");
    assert!(matches!(error, DuoError::Outbound(OutboundError::Tls(_))), "{error:?}");
    let duo = server.duo();
    duo.ping(&server.integration(&duo)).await.expect("there");
    assert_eq!(server.asked()["path"], "/auth/v2/ping", "nothing came before");

    let Some(plain) = Server::with(false, 0) else { return };
    let trusting = self::duo(&plain.host, &other, "28", Arc::new(SystemClock));
    let error = trusting.check(&plain.integration(&trusting)).await.expect_err("a no");
    assert!(matches!(error, DuoError::Outbound(OutboundError::Tls(_))), "{error:?}");
    let (host, ca) = (plain.host.clone(), other);
    drop(plain);
    let lonely = self::duo(&host, &ca, "28", Arc::new(SystemClock));
    let error = lonely.check(&integration(&lonely, SECRET, &host)).await.expect_err("a no");
    assert!(matches!(error, DuoError::Outbound(OutboundError::Unreachable(_))), "{error:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_person_has_one_push_at_a_time() {
    let Some(mut server) = Server::start() else { return };
    let duo = server.duo();
    let at = server.integration(&duo);
    let first = tokio::spawn({
        let (duo, at) = (duo.clone(), at.clone());
        async move { duo.verify(&at, &question("DUHOLD"), &factor("push")).await }
    });
    while server.asked()["path"] != "/auth/v2/auth" {}
    for text in ["push", "phone", "auto"] {
        let error = duo.verify(&at, &question("DUHOLD"), &factor(text)).await.expect_err("a no");
        assert!(matches!(error, DuoError::PushUnderWay { .. }), "{text}: {error:?}");
    }
    // Others, and codes, are not concerned.
    duo.verify(&at, &question("DUALLOW"), &factor("push")).await.expect("allowed");
    duo.verify(&at, &question("DUHOLD"), &factor("123456")).await.expect("allowed");
    server.go_on();
    assert_eq!(first.await.expect("no panic").expect("allowed"), Verdict::Allowed);
    duo.verify(&at, &question("DUHOLD"), &factor("push")).await.expect("allowed");
}

#[tokio::test]
async fn a_denied_push_is_not_repeated() {
    let Some(mut server) = Server::start() else { return };
    let duo = server.duo();
    let at = server.integration(&duo);
    for (user, alarms) in [("DUDENY", true), ("DUFRAUD", true), ("DUTIMEOUT", false)] {
        let error = duo.verify(&at, &question(user), &factor("push")).await.expect_err("a no");
        assert_eq!(error.alarms(), alarms, "{error:?}");
        server.asked();
        server.asked();
        let again = duo.verify(&at, &question(user), &factor("phone")).await.expect_err("a no");
        assert_eq!(matches!(again, DuoError::RecentlyDenied { .. }), alarms, "{user}: {again:?}");
    }
    let (preauth, auth) = (server.asked(), server.asked());
    assert_eq!(
        (&preauth["fields"]["user_id"], &auth["fields"]["factor"]),
        (&json!("DUTIMEOUTXXXXXXXXXXX"), &json!("phone"))
    );
    duo.verify(&at, &question("DUDENY"), &factor("123456")).await.expect("a code is no push");
}

#[tokio::test]
async fn nothing_shows_the_secret_key() {
    let Some(server) = Server::start() else { return };
    let duo = server.duo();
    let at = server.integration(&duo);
    let signed = Signature::new(&at, &Method::GET, "/auth/v2/check", &BTreeMap::new(), 0);
    let header = signed.authorization();
    let error = duo.verify(&at, &question("DUDENY"), &factor("push")).await.expect_err("a no");
    assert!(!format!("{at:?} {duo:?} {signed:?} {header:?} {error:?} {error}").contains("hunter2"));
    assert!(header.is_sensitive());
}
