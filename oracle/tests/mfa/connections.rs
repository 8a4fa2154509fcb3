//! Connections on which a request was refused before its body was read: the next request is served, or the answer says that
//! there is none. On bare sockets, for clients of HTTP hide what they do when a connection breaks.

use crate::process::Connection;
use crate::stage::{Stage, Tenant};
use quorate_oracle::testing::TestSetup;
use std::io::ErrorKind;

/// A body larger than what is read at once, and smaller than what any route takes.
const BODY: usize = 100 * 1024;

/// The headers of an application.
fn credentials(tenant: &Tenant) -> String {
    format!("X-MFA-ApiKey: {}\r\nX-MFA-ApiSecret: {}\r\n", tenant.value, tenant.secret)
}

fn head(path: &str, headers: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n").into_bytes()
}

/// An oracle, an application, and a connection; the test's own thread blocks on it.
async fn ground(setup: TestSetup) -> (Stage, Tenant, Connection) {
    let stage = Stage::with(setup).await;
    let tenant = stage.tenant("app@example.com").await;
    let connection = Connection::to(stage.oracle.address());
    (stage, tenant, connection)
}

fn assert_serves(connection: &mut Connection, tenant: &Tenant, after: &str) {
    let answer = connection.request("POST", "/totp", &credentials(tenant), b"{}");
    assert_eq!((answer.status, answer.last), (200, false), "{after}: {}", answer.body);
}

/// Nothing comes any more: the oracle has closed its end, in whatever way the system says so.
fn assert_ended(connection: &mut Connection) {
    let end = connection.receive().expect_err("the connection has ended").kind();
    let ends = [ErrorKind::UnexpectedEof, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(ends.contains(&end), "{end}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_request_does_not_cost_the_connection() {
    let (_stage, tenant, mut connection) = ground(TestSetup::default()).await;
    let wrong = Tenant { secret: "wrong".to_owned(), ..tenant.clone() };
    let (right, wrong, body) = (credentials(&tenant), credentials(&wrong), vec![b' '; BODY]);
    for (path, headers, status) in [
        ("/totp", wrong.as_str(), 401),
        ("/totp", "", 401),
        ("/totp/x/validate", &wrong, 401),
        ("/webauthn/register", &right, 401),
        ("/api-key", "X-Api-Key: wrong\r\n", 403),
        ("/nowhere", &right, 404),
        ("/healthz", "", 405),
        ("/sessions", "Content-Type: text/plain\r\n", 415),
    ] {
        let headers = format!("{headers}Content-Length: {BODY}\r\n");
        // In pieces, as most clients send it: the oracle has refused long before the last one.
        connection.write(&head(path, &headers)).expect("it reads");
        for piece in body.chunks(10_000) {
            connection.write(piece).expect("it reads on");
        }
        let answer = connection.receive().expect("an answer");
        assert_eq!((answer.status, answer.last), (status, false), "{path}");
        assert_serves(&mut connection, &tenant, path);
    }
    // Of a length that nobody announced.
    connection.write(&head("/totp", "Transfer-Encoding: chunked\r\n")).expect("it reads");
    for piece in ["5\r\n{\"a\":\r\n", "2\r\n1}\r\n", "0\r\n\r\n"] {
        connection.write(piece.as_bytes()).expect("it reads on");
    }
    let answer = connection.receive().expect("an answer");
    assert_eq!((answer.status, answer.last), (401, false));
    assert_serves(&mut connection, &tenant, "chunks");
    // And one that is larger than any route takes.
    let answer = connection.request("POST", "/totp", &right, &vec![b' '; 6 * BODY]);
    assert_eq!((answer.status, answer.last), (413, false));
    assert_serves(&mut connection, &tenant, "too large");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_behind_a_refused_one_are_answered_in_their_order() {
    let (_stage, tenant, mut connection) = ground(TestSetup::default()).await;
    let refused = [head("/totp", "Content-Length: 3000\r\n"), vec![b' '; 3000]].concat();
    let good = head("/totp", &credentials(&tenant));
    connection.write(&[refused.clone(), good, refused].concat()).expect("it reads");
    let answers = [(); 3].map(|()| connection.receive().expect("an answer"));
    assert_eq!(answers.map(|answer| answer.status), [401, 200, 401]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_connection_ends_the_answer_says_so() {
    let (stage, tenant, _) = ground(TestSetup::default().set("limits.request_seconds", "1")).await;
    let connect = || Connection::to(stage.oracle.address());
    // A client that waits to be told to send its body, and is told not to.
    let mut waits = connect();
    waits.write(&head("/totp", "Content-Length: 4000\r\nExpect: 100-continue\r\n")).expect("it reads");
    let answer = waits.receive().expect("an answer");
    assert_eq!((answer.status, answer.last), (401, true));
    assert_ended(&mut waits);
    // One that never sends what it has announced.
    let mut stops = connect();
    stops.write(&[head("/totp", "Content-Length: 4000\r\n"), vec![b' '; 1000]].concat()).expect("it reads");
    let answer = stops.receive().expect("an answer");
    assert_eq!((answer.status, answer.last), (401, true));
    assert_ended(&mut stops);
    // One that sends more than anybody throws away.
    let mut floods = connect();
    floods.write(&head("/totp", "Content-Length: 9000000\r\n")).expect("it reads");
    let sent = floods.write(&vec![b' '; 1024 * 1024 + 1]);
    sent.expect("so much is read");
    let answer = floods.receive().expect("an answer");
    assert_eq!((answer.status, answer.last), (401, true));
    assert_ended(&mut floods);
    // Whoever asks first with right credentials is told to go on.
    let mut asks = connect();
    let headers = format!("{}Content-Length: 2\r\nExpect: 100-continue\r\n", credentials(&tenant));
    asks.write(&head("/totp", &headers)).expect("it reads");
    let answer = asks.receive().expect("an answer");
    assert_eq!((answer.status, answer.last), (100, false));
    asks.write(b"{}").expect("it reads on");
    let answer = asks.receive().expect("an answer");
    assert_eq!((answer.status, answer.last), (200, false));
    assert_serves(&mut asks, &tenant, "a body that was asked for");
}
