//! The frame over HTTP: error shapes, panics, time bounds, base path, clients' addresses, load, shutdown, TLS.

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, post};
use quorate_oracle::clock::{SystemClock, TestClock};
use quorate_oracle::error::{ApiError, ApiResult};
use quorate_oracle::extract::{ClientAddr, Json, Path, Query, SensitiveJson};
use quorate_oracle::state::AppState;
use quorate_oracle::testing::{TestOracle, TestSetup, surrounded};
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::Notify;

#[derive(Debug, Deserialize)]
struct Body {
    code: u32,
}

async fn take(Json(body): Json<Body>) -> String {
    body.code.to_string()
}

async fn take_sensitive(SensitiveJson(body): SensitiveJson<Body>) -> String {
    body.code.to_string()
}

async fn panics() -> &'static str {
    panic!("a panic on purpose, with a secret in its message: hunter2")
}

async fn number(Path(number): Path<u32>, Query(query): Query<Body>) -> String {
    format!("{number} {}", query.code)
}

static BEGUN: Notify = Notify::const_new();

async fn never() {
    BEGUN.notify_one();
    std::future::pending::<()>().await;
}

async fn refused() -> ApiResult<()> {
    Err(ApiError::too_many("locked", "too many failures", 30))
}

fn routes(state: AppState) -> Router {
    let routes = Router::new()
        .route("/body", post(take))
        .route("/client", get(async |ClientAddr(address): ClientAddr| address.to_string()))
        .route("/never", get(never))
        .route("/number/{number}", get(number))
        .route("/panics", get(panics))
        .route("/refused", get(refused))
        .route("/sensitive", post(take_sensitive));
    surrounded(routes, state)
}

fn client() -> reqwest::Client {
    // The first test to come installs it for all.
    let _others_were_first = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::new()
}

/// Status, code and `Retry-After` of an answer that must have the error shape.
async fn shape(response: reqwest::Response) -> (u16, String, Option<String>) {
    let status = response.status().as_u16();
    assert_eq!(response.headers()["content-type"], "application/json", "{status}");
    assert!(response.headers().contains_key("x-request-id"));
    let retry = response.headers().get("retry-after").map(|value| value.to_str().unwrap().to_owned());
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["status"], status);
    assert_eq!(body["message"], body["error"]);
    assert!(!body["message"].as_str().unwrap().is_empty());
    assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
    (status, body["code"].as_str().unwrap().to_owned(), retry)
}

#[tokio::test]
async fn every_refusal_has_the_same_shape() {
    let oracle = TestSetup::default().routes(routes).start().await;
    let http = client();
    let post = |path: &str, body: &str| {
        http.post(oracle.url(path)).header("content-type", "application/json").body(body.to_owned())
    };
    let form = |path: &str| {
        http.post(oracle.url(path)).header("content-type", "application/x-www-form-urlencoded").body("code=1")
    };
    let large = format!(r#"{{"code": 1, "padding": "{}"}}"#, "x".repeat(200 * 1024));
    for path in ["/body", "/sensitive"] {
        for (request, status, code) in [
            (post(path, "{"), 400, "invalid_json"),
            (post(path, r#"{"code": "one"}"#), 400, "invalid_body"),
            (post(path, r#"{"code": 1, "code": 2}"#), 400, "invalid_body"),
            (post(path, &large), 413, "too_large"),
            (form(path), 415, "unsupported_media_type"),
            (http.put(oracle.url(path)), 405, "method_not_allowed"),
        ] {
            let (found, word, _) = shape(request.send().await.unwrap()).await;
            assert_eq!((found, word.as_str()), (status, code), "{path}");
        }
        assert_eq!(post(path, r#"{"code": 7, "unknown": 1}"#).send().await.unwrap().text().await.unwrap(), "7");
    }
    for (path, status, code) in [
        ("/number/x?code=1", 400, "invalid_path"),
        ("/number/%ff?code=1", 400, "invalid_path"),
        ("/number/1", 400, "invalid_query"),
        ("/nowhere", 404, "unknown_route"),
        ("/panics", 500, "internal"),
    ] {
        let (found, word, _) = shape(http.get(oracle.url(path)).send().await.unwrap()).await;
        assert_eq!((found, word.as_str()), (status, code), "{path}");
    }
    let locked = shape(http.get(oracle.url("/refused")).send().await.unwrap()).await;
    assert_eq!(locked, (429, "locked".to_owned(), Some("30".to_owned())));
    oracle.stop().await;
}

#[tokio::test]
async fn a_chunked_body_is_bounded_too() {
    let oracle = TestSetup::default().routes(routes).start().await;
    let chunks = futures_util::stream::iter((0..300).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
    let request = client().post(oracle.url("/sensitive")).body(reqwest::Body::wrap_stream(chunks));
    assert_eq!(shape(request.send().await.unwrap()).await.0, 413);
    oracle.stop().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_ended() {
    let oracle = TestSetup::default().routes(routes).set("limits.request_seconds", "1").start().await;
    let (status, code, retry) = shape(client().get(oracle.url("/never")).send().await.unwrap()).await;
    assert_eq!((status, code.as_str(), retry.is_some()), (503, "timeout", true));
    oracle.stop().await;
}

#[tokio::test]
async fn routes_answer_at_the_root_and_under_the_base_path() {
    let oracle = TestSetup::default().set("base_path", "/prod").start().await;
    let http = client();
    for path in ["/healthz", "/prod/healthz", "/prod/.well-known/quorate"] {
        assert_eq!(http.get(oracle.url(path)).send().await.unwrap().status(), StatusCode::OK, "{path}");
    }
    for (path, status) in [("/prod/nowhere", 404), ("/production/healthz", 404)] {
        assert_eq!(shape(http.get(oracle.url(path)).send().await.unwrap()).await.0, status, "{path}");
    }
    assert_eq!(shape(http.post(oracle.url("/prod/healthz")).send().await.unwrap()).await.0, 405);
    oracle.stop().await;
}

#[tokio::test]
async fn clients_are_known_by_what_the_trusted_proxy_says() {
    let http = client();
    for (proxy, expected) in [("false", "127.0.0.1"), ("true", "203.0.113.5")] {
        let oracle = TestSetup::default().routes(routes).set("behind_proxy", proxy).start().await;
        let request = http.get(oracle.url("/client")).header("x-forwarded-for", "198.51.100.1, 203.0.113.5");
        assert_eq!(request.send().await.unwrap().text().await.unwrap(), expected);
        oracle.stop().await;
    }
}

#[tokio::test]
async fn the_system_routes_say_how_things_are() {
    let clock = Arc::new(TestClock::at(1_800_000_000_000));
    let oracle = TestSetup::default().clock(clock.clone()).set("url", "https://oracle.example/prod").start().await;
    let http = client();
    let get = async |path: &str| http.get(format!("http://{}{path}", oracle.address())).send().await.unwrap();

    assert_eq!(get("/healthz").await.text().await.unwrap(), "ok\n");
    let described: Value = get("/.well-known/quorate").await.json().await.unwrap();
    assert_eq!(described["url"], "https://oracle.example/prod");
    assert_eq!((&described["version"], &described["time"]), (&Value::from(1), &Value::from(1_800_000_000)));
    assert_eq!(described["fingerprint"], oracle.state().keys.fingerprint());
    let certificates: Vec<_> = serde_json::from_value(described["certificates"].clone()).unwrap();
    let keys = &oracle.state().keys;
    let end = quorate_protocol::invite::follow_chain(keys.root(), &certificates, 1_800_000_000).unwrap();
    assert_eq!(end, keys.invite_key().verifying_key());

    let ready: Value = get("/readyz").await.json().await.unwrap();
    assert_eq!(ready["certificate"], "valid");
    let day = 24 * 60 * 60 * 1000;
    clock.advance(80 * day);
    let expiring: Value = get("/readyz").await.json().await.unwrap();
    assert_eq!(expiring["certificate"], "expiring");
    clock.advance(20 * day);
    let (status, code, _) = shape(get("/readyz").await).await;
    assert_eq!((status, code.as_str()), (503, "no_certificate"));
    oracle.state().renew_certificate().unwrap();
    assert_eq!(get("/readyz").await.status(), StatusCode::OK);

    oracle.state().store.shutdown().await;
    // What was seen a moment ago is told until it is a second old.
    let refused = loop {
        let answer = get("/readyz").await;
        if answer.status() != StatusCode::OK {
            break answer;
        }
        tokio::task::yield_now().await;
    };
    let (status, code, retry) = shape(refused).await;
    assert_eq!((status, code.as_str(), retry.is_some()), (503, "unavailable", true));
    assert_eq!(get("/healthz").await.status(), StatusCode::OK);
    oracle.stop().await;
}

#[tokio::test]
async fn pages_and_document_need_nothing_from_elsewhere() {
    let oracle = TestSetup::default().set("name", "oracle <of> Delphi").start().await;
    let http = client();
    for path in ["/", "/docs"] {
        let response = http.get(oracle.url(path)).send().await.unwrap();
        let policy = response.headers()["content-security-policy"].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
        let page = response.text().await.unwrap();
        assert!(!page.contains("<script") && !page.contains("src=") && !page.contains(" style="), "{path}");
        assert!(!page.contains("//cdn") && !page.contains("<of>"), "{path}");
    }
    let index = http.get(oracle.url("/")).send().await.unwrap().text().await.unwrap();
    assert!(index.contains(&oracle.state().keys.fingerprint()));
    let style = http.get(oracle.url("/assets/quorate.css")).send().await.unwrap();
    assert_eq!(style.headers()["content-type"], "text/css; charset=utf-8");
    let document: Value = http.get(oracle.url("/openapi.json")).send().await.unwrap().json().await.unwrap();
    assert!(document["paths"]["/readyz"]["get"].is_object());
    assert_eq!(document["servers"][0]["url"], oracle.url(""));
    oracle.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_clients_never_see_an_error() {
    // Fewer places than clients: the others wait for one.
    let oracle = TestSetup::default().set("limits.connections", "48").start().await;
    let url = oracle.url("/healthz");
    let clients: Vec<_> = (0..64)
        .map(|_| {
            let (http, url) = (client(), url.clone());
            tokio::spawn(async move {
                for _ in 0..50 {
                    let response = http.get(&url).header("connection", "close").send().await.unwrap();
                    assert_eq!(response.status(), StatusCode::OK);
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    oracle.stop().await;
}

/// Whether the oracle answers on a connection of its own, kept open by the caller.
async fn answers(stream: &mut tokio::net::TcpStream) -> bool {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let request = b"GET /healthz HTTP/1.1\r\nhost: oracle\r\n\r\n";
    let mut start = [0; 12];
    stream.write_all(request).await.is_ok()
        && stream.read_exact(&mut start).await.is_ok()
        && start.as_slice() == b"HTTP/1.1 200"
}

#[tokio::test]
async fn one_source_cannot_take_all_connections() {
    let oracle = TestSetup::default().set("limits.connections_per_source", "2").start().await;
    let connect = async || tokio::net::TcpStream::connect(oracle.address()).await.unwrap();
    let (mut first, mut second) = (connect().await, connect().await);
    assert!(answers(&mut first).await && answers(&mut second).await);
    assert!(!answers(&mut connect().await).await, "a third is closed");
    drop(first);
    // The oracle hears of the end when it does.
    while !answers(&mut connect().await).await {
        tokio::task::yield_now().await;
    }
    oracle.stop().await;

    // A proxy carries everybody's.
    let setup = TestSetup::default().set("limits.connections_per_source", "1").set("behind_proxy", "true");
    let oracle = setup.start().await;
    let connect = async || tokio::net::TcpStream::connect(oracle.address()).await.unwrap();
    let (mut first, mut second) = (connect().await, connect().await);
    assert!(answers(&mut first).await && answers(&mut second).await);
    oracle.stop().await;
}

/// More bytes than the system's buffers of both ends take.
const LARGE: usize = 64 * 1024 * 1024;

fn large_routes(state: AppState) -> Router {
    surrounded(Router::new().route("/large", get(async || vec![b'x'; LARGE])), state)
}

#[tokio::test]
async fn a_client_that_does_not_read_is_given_up() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    let setup = TestSetup::default().routes(large_routes).set("limits.write_seconds", "1");
    let oracle = setup.set("limits.shutdown_seconds", "600").start().await;
    let mut silent = tokio::net::TcpStream::connect(oracle.address()).await.unwrap();
    silent.write_all(b"GET /large HTTP/1.1\r\nhost: oracle\r\n\r\n").await.unwrap();
    assert_eq!(silent.read_u8().await.unwrap(), b'H', "the answer is under way");
    // A stop finishes what is under way: only an answer that is given up lets it end before the bound.
    tokio::time::timeout(std::time::Duration::from_secs(60), oracle.stop()).await.unwrap();
    let mut rest = Vec::new();
    let read = silent.read_to_end(&mut rest).await;
    assert!(read.is_err() || rest.len() < LARGE, "the answer was cut off");
}

static ENTERED: Notify = Notify::const_new();
static FINISH: Notify = Notify::const_new();

fn slow_routes(state: AppState) -> Router {
    let slow = get(async || {
        ENTERED.notify_one();
        FINISH.notified().await;
        "finished"
    });
    surrounded(Router::new().route("/slow", slow), state)
}

#[tokio::test]
async fn a_stop_finishes_what_is_under_way_and_accepts_nothing_new() {
    let oracle = TestSetup::default().routes(slow_routes).start().await;
    let (http, url) = (client(), oracle.url("/slow"));
    let under_way = tokio::spawn(async move { http.get(url).send().await.unwrap().text().await.unwrap() });
    ENTERED.notified().await;
    let idle = tokio::net::TcpStream::connect(oracle.address()).await.unwrap();
    let address = oracle.address();
    let stopped = tokio::spawn(oracle.stop());
    // The listener closes while the request is still being handled.
    while tokio::net::TcpStream::connect(address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!under_way.is_finished() && !stopped.is_finished());
    FINISH.notify_one();
    assert_eq!(under_way.await.unwrap(), "finished");
    stopped.await.unwrap();
    drop(idle);
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever() {
    let oracle = TestSetup::default().routes(routes).set("limits.shutdown_seconds", "0").start().await;
    let (http, url) = (client(), oracle.url("/never"));
    let hanging = tokio::spawn(async move { http.get(url).send().await.is_ok() });
    BEGUN.notified().await;
    oracle.stop().await;
    hanging.abort();
}

fn write_pair(folder: &std::path::Path, name: &str) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

fn tls_client(certificate: reqwest::Certificate) -> reqwest::Client {
    drop(client());
    reqwest::Client::builder().tls_certs_only([certificate]).build().unwrap()
}

#[tokio::test]
async fn tls_serves_and_takes_a_new_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
    let first = tls_client(write_pair(folder.path(), "localhost"));
    let tls = Arc::new(quorate_oracle::tls::Tls::load(&certificate, &key).unwrap());
    let (oracle, stop) = serve_tls(&tls).await;
    let response = first.get(&oracle).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "ok");
    assert!(reqwest::get(oracle.replace("https", "http")).await.is_err(), "clear text is not answered");

    let second = tls_client(write_pair(folder.path(), "localhost"));
    assert!(second.get(&oracle).send().await.is_err());
    tls.reload().unwrap();
    assert_eq!(second.get(&oracle).send().await.unwrap().status(), StatusCode::OK);

    std::fs::write(&key, "no key").unwrap();
    assert!(tls.reload().unwrap_err().to_string().contains("key.pem"));
    assert!(second.get(&oracle).header("connection", "close").send().await.is_ok(), "the old pair stays");
    stop.notify_one();
}

async fn serve_tls(tls: &Arc<quorate_oracle::tls::Tls>) -> (String, Arc<Notify>) {
    use quorate_oracle::serve::{Limits, serve};
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
    let stop = Arc::new(Notify::new());
    let (told, limits) = (Arc::clone(&stop), Limits::from(&quorate_oracle::config::Config::default()));
    let router = Router::new().route("/", get(async || "ok"));
    let tls = Some(Arc::clone(tls));
    tokio::spawn(async move { serve(listener, tls, router, limits, async move { told.notified().await }).await });
    (url, stop)
}

#[tokio::test]
async fn an_oracle_with_tls_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let http = tls_client(write_pair(folder.path(), "127.0.0.1"));
    let path = |name: &str| folder.path().join(name).display().to_string();
    let setup = TestSetup::default().clock(Arc::new(SystemClock));
    let oracle = setup.set("tls.certificate", path("cert.pem")).set("tls.key", path("key.pem")).start().await;
    let response = http.get(oracle.url("/.well-known/quorate")).send().await.unwrap();
    assert!(response.headers().contains_key("strict-transport-security"));
    let described: Value = response.json().await.unwrap();
    assert!(described["url"].as_str().unwrap().starts_with("https://127.0.0.1:"));
    oracle.stop().await;
}

#[tokio::test]
async fn an_ordinary_oracle_starts_and_stops() {
    let oracle = TestOracle::start().await;
    let folder = oracle.folder().to_owned();
    assert!(folder.join("quorate.db").exists());
    oracle.stop().await;
    assert!(!folder.exists());
}
