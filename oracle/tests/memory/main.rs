//! What the memory of a living oracle holds after a thousand sessions of every kind and end, and requests of applications
//! among them: nothing. Searched from outside, for whoever searches for a secret has it in memory.
//!
//! The program makes itself undumpable, so only root may look. Without root, the test runs itself once more as root of a
//! user namespace of its own.

mod applications;
mod farmfa;
mod keys;
#[path = "../process/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod process;
mod search;
mod sessions;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use keys::Operator;
use process::{Connection, Oracle};
use quorate_protocol::encoding::{base64, base64url};
use search::{Found, Secrets};
use sessions::Client;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Sessions in all.
const SESSIONS: u32 = 1_000;
/// Connections that they share.
const CLIENTS: u32 = 8;
/// Threads that have just answered come to rest long before.
const REST: Duration = Duration::from_secs(5);

/// Marks the second run, inside a user namespace.
const INSIDE: &str = "QUORATE_TEST_IN_NAMESPACE";

#[test]
fn a_thousand_sessions_leave_nothing_behind() {
    if !may_look("a_thousand_sessions_leave_nothing_behind") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let oracle = start(folder.path());
    assert_finds_what_is_held(&oracle, folder.path());

    let begun = Instant::now();
    let (connections, mut secrets) = run_sessions(&oracle, folder.path());
    println!("{SESSIONS} sessions in {:.1} s, {} pieces of secrets", begun.elapsed().as_secs_f64(), secrets.len());

    // The connections are still open: the strictest time to look.
    assert_forgets(&oracle, &secrets, "while connections are kept open");
    let unfinished = half_a_request(&oracle, &mut secrets);
    drop((connections, unfinished));
    assert_forgets(&oracle, &secrets, "after the connections are closed");
    // The same search, of the same process, still finds what is there.
    assert_finds_what_is_held(&oracle, folder.path());
    println!("searched after {:.1} s", begun.elapsed().as_secs_f64());
}

/// What the oracle is asked under.
const URL: &str = "http://oracle.test";

fn start(state: &Path) -> Oracle {
    let settings = [("URL", URL), ("SESSIONS_OPEN_PER_SOURCE", "100000")];
    Oracle::start(Path::new(env!("CARGO_BIN_EXE_quorate-oracle")), state, &settings)
}

/// Runs all sessions, each client on one connection that it keeps.
fn run_sessions(oracle: &Oracle, state: &Path) -> (Vec<Connection>, Secrets) {
    let run = |first: u32| {
        let mut secrets = Secrets::default();
        let (connection, operator) = (oracle.connect(), Operator::of(state));
        let mut client = Client { connection, operator, secrets: &mut secrets };
        let application = applications::activated(&mut client, state, first);
        for number in (first..SESSIONS).step_by(CLIENTS as usize) {
            // Neighbours run different kinds at the same time.
            sessions::one(&mut client, &application, number / CLIENTS + first);
        }
        (client.connection, secrets)
    };
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|first| scope.spawn(move || run(first))).collect();
        let mut all = Secrets::default();
        let mut connections = Vec::new();
        for client in clients {
            let (connection, secrets) = client.join().expect("every session went as it should");
            connections.push(connection);
            all.extend(secrets);
        }
        (connections, all)
    })
}

/// The positive control: keys that the oracle needs for as long as it lives.
fn assert_finds_what_is_held(oracle: &Oracle, state: &Path) {
    for (what, key) in
        [("the root secret", keys::root_secret(state)), ("the key of rows", keys::at_rest_key(state).to_vec())]
    {
        let mut held = Secrets::default();
        held.bytes(what, &key);
        let found = held.in_memory_of(oracle.id());
        assert!(found.iter().any(|(form, _)| *form == format!("{what}, raw")), "the search does not find {what}");
    }
}

/// The positive control for every other form: requests that have not ended yet. What it holds must go with it.
fn half_a_request(oracle: &Oracle, secrets: &mut Secrets) -> [Connection; 2] {
    let (one, mut two, api_secret): ([u8; 32], [u8; 32], [u8; 32]) = rand::random();
    // Without these, base64url could look like base64.
    two[3..6].copy_from_slice(&[0xfb, 0xff, 0xbf]);
    let mut held = Secrets::default();
    for secrets in [&mut held, &mut *secrets] {
        secrets.bytes("a KEK in half a request", &one);
        secrets.bytes("another KEK in half a request", &two);
        secrets.bytes("an API secret in half a header", &api_secret);
    }
    let identity = Secrets::identity(&two);
    let body = format!(
        r#"{{"kek":"{}","a":"{}","b":"{}","c":"{identity}","#,
        base64(&one),
        base64url(&two),
        identity.to_lowercase()
    );
    let mut connection = oracle.connect();
    let start =
        format!("POST /sessions/{}/totp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n", "A".repeat(32));
    connection.write([start.as_bytes(), body.as_bytes()].concat().as_slice()).expect("the oracle reads");
    // A header is forgotten as soon as it is read, even of a request whose body is still on its way; so half a header.
    let mut in_header = oracle.connect();
    let header = format!("POST /totp HTTP/1.1\r\nHost: localhost\r\nX-MFA-ApiSecret: {}\r\n", base64(&api_secret));
    in_header.write(header.as_bytes()).expect("the oracle reads");
    let wanted = [
        "a KEK in half a request, base64",
        "another KEK in half a request, base64url",
        "another KEK in half a request, bech32",
        "another KEK in half a request, bech32 in capitals",
        "an age identity",
        "an API secret in half a header, base64",
    ];
    let begun = Instant::now();
    loop {
        let last = begun.elapsed() >= REST;
        let found = held.in_memory_of(oracle.id());
        let missing = wanted.iter().find(|wanted| !found.iter().any(|(form, _)| form == *wanted));
        let Some(missing) = missing else { return [connection, in_header] };
        assert!(!last, "the search does not find {missing} in {found:?}");
    }
}

/// Fails unless nothing is found: at once, or as soon as the threads that have just answered come to rest. The last search
/// begins when they have had their time, however long each takes.
fn assert_forgets(oracle: &Oracle, secrets: &Secrets, when: &str) {
    let begun = Instant::now();
    loop {
        let last = begun.elapsed() >= REST;
        let found: Found = secrets.in_memory_of(oracle.id());
        if found.is_empty() {
            return;
        }
        assert!(!last, "{when}, the oracle's memory holds: {found:#?}");
    }
}

/// Whether this process may read another's memory. If not, a second run of the test `name` has done it all.
#[expect(clippy::print_stdout, reason = "who runs the tests should know which did not run")]
fn may_look(name: &str) -> bool {
    if rustix::process::geteuid().is_root() {
        return true;
    }
    assert!(std::env::var_os(INSIDE).is_none(), "root of a user namespace is root");
    let program = std::env::current_exe().expect("a test is a program");
    let mut command = Command::new("unshare");
    command.arg("-Ur").arg(program).args(["--exact", name, "--nocapture"]).env(INSIDE, "1");
    let probe = Command::new("unshare").args(["-Ur", "true"]).output();
    if probe.is_ok_and(|probe| probe.status.success()) {
        println!("not root: running as root of a user namespace");
        assert!(command.status().expect("unshare is there").success(), "see above");
    } else {
        let required = std::env::var_os("QUORATE_TEST_ALL").is_some() || std::env::var_os("CI").is_some();
        assert!(!required, "neither root nor user namespaces: memory cannot be searched here");
        println!("skipped: neither root nor user namespaces, so memory cannot be searched here");
    }
    false
}
