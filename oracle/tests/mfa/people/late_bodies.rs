//! Requests whose bodies come late: whoever is dismissed between the head and the body has nothing done any more.

use super::scene::{Scene, asked, named};
use super::stage::{People, cheap};
use crate::pages::visit::{Visit, filled};
use quorate_oracle::testing::TestSetup;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use std::fmt::Write as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// A request whose head has been read, and whose sender was let in.
struct Held {
    stream: BufReader<TcpStream>,
    body: Vec<u8>,
}

impl Held {
    /// Sends the head alone. The oracle asks for the body when it has decided by the head.
    async fn begin(request: RequestBuilder) -> Self {
        let request = request.build().expect("a request");
        let url = request.url();
        let (host, port) = (url.host_str().expect("a host"), url.port().expect("a port"));
        let body = request.body().and_then(reqwest::Body::as_bytes).expect("a body").to_vec();
        let mut head = format!("{} {} HTTP/1.1\r\nhost: {host}:{port}\r\n", request.method(), url.path());
        for (name, value) in request.headers() {
            write!(head, "{name}: {}\r\n", value.to_str().expect("ASCII")).expect("a text");
        }
        write!(head, "content-length: {}\r\nexpect: 100-continue\r\nconnection: close\r\n\r\n", body.len())
            .expect("a text");
        let mut stream = BufReader::new(TcpStream::connect((host, port)).await.expect("connected"));
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut first = String::new();
        stream.read_line(&mut first).await.expect("an answer");
        assert!(first.starts_with("HTTP/1.1 100"), "{head}{first}");
        stream.read_line(&mut first).await.expect("its end");
        Self { stream, body }
    }

    /// Sends the body; what was answered.
    async fn end(mut self) -> String {
        self.stream.write_all(&self.body).await.expect("sent");
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    }
}

/// An oracle that waits for bodies for as long as a slow machine may need.
fn patient() -> TestSetup {
    cheap(named()).set("limits.request_seconds", "300")
}

#[tokio::test]
async fn an_operator_who_is_dismissed_meanwhile_makes_nobody() {
    let people = People::with(patient()).await;
    let file: Value = serde_json::from_str(&crate::support::dealt(1, 2, 3).group.to_json()).expect("JSON");
    let group = format!("/groups/{}", file["group"].as_str().expect("a name"));
    people.done(Method::POST, "/principals", json!({ "name": "principal/internal/group/ops" })).await;
    let requests = [
        (Method::POST, "/principals".to_owned(), json!({ "name": "eve", "role": "operator" })),
        (Method::POST, "/principals/principal/internal/group/ops/members".to_owned(), json!({ "add": ["operator"] })),
        (Method::PUT, "/principals/operator/multi_factor".to_owned(), json!({ "provider": "None" })),
        (Method::POST, "/system/multi_factor".to_owned(), json!({ "type": "totp", "name": "Eve" })),
        (Method::PUT, "/system/multi_factor/Eve".to_owned(), json!({ "type": "totp", "name": "Eve" })),
        (Method::POST, "/groups".to_owned(), file),
        (Method::PUT, format!("{group}/members"), json!({ "members": {} })),
        (Method::POST, format!("{group}/members"), json!({})),
        (Method::POST, format!("{group}/applicants"), json!({})),
        (Method::POST, "/drills".to_owned(), json!({ "group": group.rsplit('/').next() })),
    ];
    for (method, path, body) in requests {
        let ticket = people.user("boss", "operator").await;
        let held = Held::begin(people.request(&ticket, method.clone(), &path).json(&body)).await;
        people.done(Method::POST, "/principals/boss/disable", json!({})).await;
        let answer = held.end().await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("ticket_required"), "{method} {path}: {answer}");
        people.done(Method::DELETE, "/principals/boss", json!({})).await;
    }
    assert_eq!(people.call(Method::GET, "/principals/eve", json!({})).await.status, 404);
    assert_eq!(people.done(Method::GET, "/groups", json!({})).await, json!([]));

    // On pages as well.
    people.user("boss", "operator").await;
    let mut visit = Visit::logged_in(&people, "boss").await;
    let token = visit.open("/admin/principals").await.token();
    let fields = [("name", "eve"), ("kind", "user"), ("role", "operator"), ("form", token.as_str())];
    let form = visit.request(Method::POST, "/admin/principals").header("sec-fetch-site", "same-origin");
    let held = Held::begin(filled(form, &fields)).await;
    people.done(Method::POST, "/principals/boss/disable", json!({})).await;
    let answer = held.end().await;
    assert!(answer.starts_with("HTTP/1.1 303") && answer.contains("login"), "{answer}");
    assert_eq!(people.call(Method::GET, "/principals/eve", json!({})).await.status, 404);

    // Whoever is still there has it done.
    let ticket = people.user("chief", "operator").await;
    let body = json!({ "name": "eve" });
    let answer = Held::begin(people.request(&ticket, Method::POST, "/principals").json(&body)).await.end().await;
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
}

#[tokio::test]
async fn who_is_logged_out_meanwhile_takes_no_part_in_sessions() {
    let mut scene = Scene::of(People::with(patient()).await).await;
    let session = scene.ask().await;
    scene.join(&session, 1).await;
    scene.join(&session, 2).await;
    let toc = |x: usize| serde_json::to_value(session.approval(&scene.deal.tocs[x - 1])).expect("JSON");
    let denial = serde_json::to_value(session.denial(&scene.deal.tocs[2], "no")).expect("JSON");
    let requests = [
        (1, session.path("totp"), json!({ "kek": session.credentials.kek.as_str() })),
        (3, session.path("tocs"), toc(3)),
        (3, session.path("denials"), denial),
        (2, "/sessions".to_owned(), json!({ "group": scene.deal.group.name().to_string() })),
        (2, "/api/apps".to_owned(), json!({ "otpauth": crate::support::URI })),
    ];
    for (number, path, body) in requests {
        let held = Held::begin(scene.people.request(scene.ticket(number), Method::POST, &path).json(&body)).await;
        let out = scene.people.request(scene.ticket(number), Method::POST, "/logout");
        assert_eq!(crate::stage::send(out).await.status, 204);
        let answer = held.end().await;
        let word = if path == "/api/apps" { "ticket_required" } else { "login_required" };
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains(word), "{path}: {answer}");
        scene.log_in_again(number).await;
    }
    let shown = scene.look(&session).await;
    assert_eq!((&shown["tocs_provided"], &shown["denials"]), (&json!(2), &json!(0)));
    let group = json!({ "group": scene.deal.group.name().to_string() });
    let applicants = format!("/groups/{}/applicants", scene.deal.group.name());
    scene.people.done(Method::POST, &applicants, json!({ "add": ["two"] })).await;
    asked(&scene.post(2, "/sessions", &group).await);
}
