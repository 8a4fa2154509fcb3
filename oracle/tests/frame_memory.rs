//! What an oracle's memory holds after it has answered, connections still open: searched from outside, in another
//! process, because whoever searches for a secret has it in memory.
//!
//! The child is this test program again, running [`child`].

#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Router, http::StatusCode};
use quorate_oracle::error::ApiResult;
use quorate_oracle::extract::{Json, SensitiveJson};
use quorate_oracle::memory::{ALLOCATOR, Allocator};
use quorate_oracle::state::AppState;
use quorate_oracle::testing::{TestSetup, surrounded};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use zeroize::Zeroizing;

#[global_allocator]
static GLOBAL: Allocator = ALLOCATOR;

#[derive(Deserialize, Serialize)]
struct Secret {
    kek: Zeroizing<String>,
}

/// Handles a secret as services do: on the pool, with copies on the stack. Answers with it reversed: a new secret.
async fn sensitive(
    State(state): State<AppState>,
    SensitiveJson(body): SensitiveJson<Secret>,
) -> ApiResult<Json<Secret>> {
    let kek = state.crypto.run(move || deep(&body.kek, 8)).await?;
    Ok(Json(Secret { kek }))
}

#[inline(never)]
fn deep(text: &str, depth: u8) -> Zeroizing<String> {
    let mut copy = [0_u8; 4096];
    copy[..text.len().min(4096)].copy_from_slice(&text.as_bytes()[..text.len().min(4096)]);
    black_box(&copy);
    if depth == 0 { Zeroizing::new(text.chars().rev().collect()) } else { deep(text, depth - 1) }
}

/// A secret in a header, as API secrets are.
async fn header(headers: HeaderMap) -> StatusCode {
    if headers.contains_key("x-mfa-apisecret") { StatusCode::NO_CONTENT } else { StatusCode::BAD_REQUEST }
}

/// The positive control: what is kept must be found.
async fn keep(SensitiveJson(body): SensitiveJson<Secret>) -> StatusCode {
    static KEPT: Mutex<Vec<Secret>> = Mutex::new(Vec::new());
    KEPT.lock().unwrap().push(body);
    StatusCode::NO_CONTENT
}

fn routes(state: AppState) -> Router {
    let routes =
        Router::new().route("/header", post(header)).route("/keep", post(keep)).route("/sensitive", post(sensitive));
    surrounded(routes, state)
}

#[test]
#[ignore = "started by the other tests as a process of its own"]
fn child() {
    let Ok(tls) = std::env::var("QUORATE_TEST_TLS") else { return };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let mut setup = TestSetup::default().routes(routes);
        if !tls.is_empty() {
            setup = setup.set("tls.certificate", format!("{tls}/cert.pem")).set("tls.key", format!("{tls}/key.pem"));
        }
        let oracle = setup.start().await;
        println!("\nserving {}", oracle.address());
        // The parent closes our stdin when it is done.
        tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await.unwrap().unwrap();
        oracle.stop().await;
    });
}

/// A running child; ended by closing its stdin.
struct Oracle {
    process: Child,
    stdin: Option<ChildStdin>,
    address: String,
    certificate: Option<CertificateDer<'static>>,
    _folder: tempfile::TempDir,
}

trait Stream: Read + Write {}
impl<T: Read + Write> Stream for T {}

impl Oracle {
    fn start(tls: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let certificate = tls.then(|| certificate_in(folder.path()));
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
            .env("QUORATE_TEST_TLS", if tls { folder.path().as_os_str() } else { "".as_ref() })
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdin = process.stdin.take();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let address = lines.find_map(|line| line.unwrap().strip_prefix("serving ").map(str::to_owned)).unwrap();
        // Nobody reads on: what the harness prints at the end fits the pipe.
        std::mem::forget(lines);
        Self { process, stdin, address, certificate, _folder: folder }
    }

    fn connect(&self) -> Box<dyn Stream> {
        let stream = TcpStream::connect(&self.address).unwrap();
        stream.set_nodelay(true).unwrap();
        let Some(certificate) = &self.certificate else { return Box::new(stream) };
        let mut roots = rustls::RootCertStore::empty();
        roots.add(certificate.clone()).unwrap();
        let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let name = ServerName::try_from("localhost").unwrap();
        let connection = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        Box::new(rustls::StreamOwned::new(connection, stream))
    }

    /// Whether `needle` is anywhere in the child's memory.
    fn holds(&self, needle: &str) -> bool {
        let process = self.process.id();
        let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let memory = File::open(format!("/proc/{process}/mem")).unwrap();
        let mut found = false;
        let mut read = 0;
        for line in maps.lines().filter(|line| line.contains(" rw")) {
            let (from, to) = line.split(' ').next().unwrap().split_once('-').unwrap();
            let [from, to] = [from, to].map(|hex| u64::from_str_radix(hex, 16).unwrap());
            let mut region = vec![0; usize::try_from(to - from).unwrap()];
            // Guard pages and the like cannot be read.
            if memory.read_exact_at(&mut region, from).is_ok() {
                read += region.len();
                found |= region.windows(needle.len()).any(|window| window == needle.as_bytes());
            }
        }
        assert!(read > 1024 * 1024, "only {read} bytes of the child's memory could be read");
        found
    }

    /// Fails unless `needle` is gone: at once, or as soon as the threads that have just answered come to rest.
    fn assert_forgets(&self, needle: &str, what: &str) {
        let begun = Instant::now();
        while self.holds(needle) {
            assert!(begun.elapsed().as_secs() < 5, "{what} is still in memory");
        }
    }
}

impl Drop for Oracle {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ended = self.process.wait();
    }
}

fn certificate_in(folder: &Path) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), made.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    CertificateDer::from_pem_slice(made.cert.pem().as_bytes()).unwrap()
}

/// Unlike anything else in memory; also unlike its reverse.
fn marker() -> String {
    let random: [u64; 4] = rand::random();
    format!("MARKER{}", random.map(|part| format!("{part:016x}")).concat())
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

fn send(stream: &mut dyn Stream, path: &str, headers: &str, body: &str) {
    let length = body.len();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream.flush().unwrap();
}

/// Reads one answer and leaves the connection open.
fn receive(stream: &mut dyn Stream) -> (u16, String) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |n| n.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    (head[9..12].parse().unwrap(), String::from_utf8(body).unwrap())
}

fn post_secret(stream: &mut dyn Stream, path: &str, secret: &str) -> (u16, String) {
    send(stream, path, "", &format!(r#"{{"kek":"{secret}"}}"#));
    receive(stream)
}

/// Every way in which a secret comes and goes, on connections that stay open.
fn forgets_everything(oracle: &Oracle) {
    let kept = marker();
    let mut control = oracle.connect();
    assert_eq!(post_secret(&mut *control, "/keep", &kept).0, 204);
    assert!(oracle.holds(&kept), "the search does not find what is there");

    let (body, in_header, broken) = (marker(), marker(), marker());
    let mut one = oracle.connect();
    let (status, answer) = post_secret(&mut *one, "/sensitive", &body);
    assert_eq!((status, answer.contains(&reversed(&body))), (200, true));
    oracle.assert_forgets(&body, "a body");
    oracle.assert_forgets(&reversed(&body), "an answer");

    let mut two = oracle.connect();
    send(&mut *two, "/header", &format!("X-MFA-ApiSecret: {in_header}\r\n"), "");
    assert_eq!(receive(&mut *two).0, 204);
    oracle.assert_forgets(&in_header, "a header");

    let mut three = oracle.connect();
    send(&mut *three, "/sensitive", "", &format!(r#"{{"kek":"{broken}"#));
    assert_eq!(receive(&mut *three).0, 400);
    oracle.assert_forgets(&broken, "a refused body");

    let mut four = oracle.connect();
    let markers = [marker(), marker(), marker()];
    let filler = "x".repeat(20_000);
    let long = markers.join(&filler);
    assert_eq!(post_secret(&mut *four, "/sensitive", &long).0, 200);
    for part in &markers {
        oracle.assert_forgets(part, "a part of a long body");
        oracle.assert_forgets(&reversed(part), "a part of a long answer");
    }

    // The connections were open all the time, and still serve.
    for stream in [&mut one, &mut two, &mut three, &mut four, &mut control] {
        assert_eq!(post_secret(&mut **stream, "/sensitive", "again").0, 200);
    }
}

#[test]
fn nothing_is_left_behind_in_clear_connections() {
    forgets_everything(&Oracle::start(false));
}

#[test]
fn nothing_is_left_behind_in_tls_connections() {
    forgets_everything(&Oracle::start(true));
}

/// Requests sent without waiting for answers make the HTTP library enlarge its buffer, and stay in the enlarged one.
#[test]
fn nothing_is_left_behind_by_requests_that_come_all_at_once() {
    let oracle = Oracle::start(false);
    let mut stream = oracle.connect();
    let markers = [marker(), marker(), marker()];
    let request = |secret: &str, filler: usize| {
        let body = format!(r#"{{"kek":"{secret}","filler":"{}"}}"#, "x".repeat(filler));
        format!("POST /sensitive HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}", body.len())
    };
    let all = [request(&markers[0], 500), request(&markers[1], 5_000), request(&markers[2], 900)].concat();
    // And the beginning of one more, which never comes.
    let unfinished = format!("{all}POST /sensitive HTTP/1.1\r\nX-Padding: {}", "y".repeat(4_000));
    stream.write_all(unfinished.as_bytes()).unwrap();
    for secret in &markers {
        assert_eq!(receive(&mut *stream).0, 200);
        black_box(secret);
    }
    for secret in &markers {
        oracle.assert_forgets(secret, "a body");
        oracle.assert_forgets(&reversed(secret), "an answer");
    }
}

/// `cargo test -p quorate-oracle --test frame_memory -- --ignored --nocapture what_it_costs`
#[test]
#[ignore = "a measurement"]
fn what_it_costs() {
    const CLIENTS: u32 = 8;
    const REQUESTS: u32 = 2_000;
    for tls in [false, true] {
        let oracle = Oracle::start(tls);
        let rate = |keep: bool| {
            let begun = Instant::now();
            std::thread::scope(|scope| {
                for _ in 0..CLIENTS {
                    scope.spawn(|| {
                        let mut stream = oracle.connect();
                        for _ in 0..REQUESTS {
                            assert_eq!(post_secret(&mut *stream, "/sensitive", "secret").0, 200);
                            if !keep {
                                stream = oracle.connect();
                            }
                        }
                    });
                }
            });
            f64::from(CLIENTS * REQUESTS) / begun.elapsed().as_secs_f64()
        };
        rate(true);
        let (kept, closed) = (rate(true), rate(false));
        println!("tls {tls}: {kept:.0}/s on kept connections, {closed:.0}/s closing: {:.2} times", kept / closed);
    }
}
