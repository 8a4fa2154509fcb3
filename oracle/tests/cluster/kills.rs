//! Nodes and the store's server killed while clients work: what was acknowledged is kept, what a session may give only so
//! often is given no oftener, and everybody goes on at another node.

use crate::plain::{URL, ask, asked, code, dealt, join, json_of};
use crate::process::{Answer, Connection, Oracle};
use crate::support::Asked;
use crate::support::postgres::Postgres;
use quorate_oracle::clock::SystemClock;
use quorate_oracle::keys::{Keys, Sources};
use quorate_oracle::state::SystemEntropy;
use quorate_protocol::deal::Deal;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::Duration;

/// Processes killed.
const KILLS: usize = 50;
/// Every so many of them it is the database's server.
const SERVER: usize = 10;
/// Answers between one kill and the next.
const PROGRESS: usize = 6;
/// No progress takes as long.
const PATIENCE: Duration = Duration::from_secs(30);
/// Codes that a session may give.
const ALLOWED: usize = 3;

/// Processes that share keys and a database.
struct Nodes {
    server: Postgres,
    keys: tempfile::TempDir,
    empty: tempfile::TempDir,
}

impl Nodes {
    fn new() -> Option<Self> {
        let server = Postgres::start(&[])?;
        let [keys, empty] = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
        Keys::open(keys.path(), &Sources::default(), &SystemClock, &SystemEntropy, 90).expect("keys are made");
        Some(Self { server, keys, empty })
    }

    fn start(&self) -> Oracle {
        let mut command = Command::new(Path::new(env!("CARGO_BIN_EXE_quorate-oracle")));
        command.env_clear().arg("serve").env("CREDENTIALS_DIRECTORY", self.keys.path());
        let database = self.server.url("postgres");
        let settings = [
            ("DATABASE", database.as_str()),
            ("URL", URL),
            ("SESSIONS_OPEN_PER_SOURCE", "100000"),
            ("SESSIONS_MAX_CODES", "3"),
            ("POSTGRES_CONNECTIONS", "6"),
        ];
        Oracle::spawn(&mut command, self.empty.path(), &settings)
    }
}

#[test]
fn a_session_goes_on_when_its_node_dies() {
    let Some(nodes) = Nodes::new() else { return };
    let (mut first, mut second, deal) = (nodes.start(), nodes.start(), dealt());
    let asked = asked(&ask(&mut first.connect(), &deal, "").expect("an answer"));
    first.kill();
    assert_eq!(join(&mut second.connect(), &asked, &deal, 1).expect("an answer").status, 200);
    first = nodes.start();
    second.kill();
    assert_eq!(join(&mut first.connect(), &asked, &deal, 3).expect("an answer").status, 200);
    let taken = code(&mut first.connect(), &asked).expect("an answer");
    assert_eq!(taken.status, 200, "{}", taken.body);
    first.kill();
    second = nodes.start();
    let again = code(&mut second.connect(), &asked).expect("an answer");
    let end = |answer: &Answer| json_of(answer)["session_expires_at"].clone();
    assert_eq!(end(&again), end(&taken), "{}", again.body);
}

/// What clients share.
#[derive(Default)]
struct Shared {
    addresses: Mutex<Vec<SocketAddr>>,
    answers: Mutex<usize>,
    answered: Condvar,
    over: AtomicBool,
    /// Sessions whose answer arrived, with how many Tocs did.
    kept: Mutex<Vec<(Asked, usize)>>,
    /// Codes that arrived, by session.
    codes: Mutex<Vec<BTreeSet<String>>>,
}

impl Shared {
    fn count(&self) {
        *self.answers.lock().expect("no holder panics") += 1;
        self.answered.notify_all();
    }

    /// Counts an answer; whether it is good. The only other one that a client may get is to come back later.
    fn good(&self, answer: &Answer) -> bool {
        self.count();
        assert!([200, 503].contains(&answer.status), "{}: {}", answer.status, answer.body);
        answer.status == 200
    }

    /// Until there are so many more answers.
    fn await_progress(&self) {
        let answers = self.answers.lock().expect("no holder panics");
        let enough = *answers + PROGRESS;
        let (_answers, late) =
            self.answered.wait_timeout_while(answers, PATIENCE, |answers| *answers < enough).expect("no holder panics");
        assert!(!late.timed_out(), "nobody gets an answer any more");
    }

    fn connect(&self, turn: usize) -> std::io::Result<Connection> {
        let addresses = self.addresses.lock().expect("no holder panics");
        let address = addresses[turn % addresses.len()];
        drop(addresses);
        Connection::try_to(address)
    }
}

/// Starts sessions and joins them until it is over, at whichever node answers.
fn join_sessions(shared: &Shared, deal: &Deal, client: usize) {
    for turn in 0.. {
        if shared.over.load(Ordering::Relaxed) {
            return;
        }
        drop(
            shared
                .connect(client + turn)
                .and_then(|mut connection| one_session(shared, deal, client, turn, &mut connection)),
        );
    }
}

fn one_session(
    shared: &Shared,
    deal: &Deal,
    client: usize,
    turn: usize,
    connection: &mut Connection,
) -> std::io::Result<()> {
    let answer = ask(connection, deal, &format!("{client} {turn}"))?;
    if !shared.good(&answer) {
        return Ok(());
    }
    let (asked, mut tocs) = (asked(&answer), 0);
    let mut join_both = || -> std::io::Result<()> {
        for x in [1, 2] {
            if shared.good(&join(connection, &asked, deal, x)?) {
                tocs += 1;
            }
        }
        Ok(())
    };
    let joined = join_both();
    shared.kept.lock().expect("no holder panics").push((asked, tocs));
    joined
}

/// Brings sessions to a quorum and takes codes until each is exhausted, every request at another node.
fn take_codes(shared: &Shared, deal: &Deal, client: usize) {
    let mut turn = client;
    // Answers of a step that is asked until there is one.
    let mut persist = |step: &dyn Fn(&mut Connection) -> std::io::Result<Answer>| loop {
        if shared.over.load(Ordering::Relaxed) {
            return None;
        }
        turn += 1;
        if let Ok(answer) = shared.connect(turn).and_then(|mut connection| step(&mut connection))
            && answer.status != 503
        {
            shared.count();
            return Some(answer);
        }
    };
    loop {
        let number = AtomicUsize::new(0);
        let new = |connection: &mut Connection| {
            // Each try is a request of its own: the last one's proof may have been used.
            let number = number.fetch_add(1, Ordering::Relaxed);
            ask(connection, deal, &format!("codes {client} {number} {:x}", rand::random::<u64>()))
        };
        let Some(answer) = persist(&new) else { return };
        let session = asked(&answer);
        for x in [1, 3] {
            let Some(answer) = persist(&|connection| join(connection, &session, deal, x)) else { return };
            assert_eq!(answer.status, 200, "{}", answer.body);
        }
        let mut codes = BTreeSet::new();
        let exhausted = loop {
            let Some(answer) = persist(&|connection| code(connection, &session)) else { break false };
            let body = json_of(&answer);
            match answer.status {
                200 => drop(codes.insert(body["totp"].as_str().expect("a code").to_owned())),
                409 => assert_eq!(body["code"], "stale_step", "{}", answer.body),
                410 => {
                    assert_eq!(body["code"], "session_exhausted", "{}", answer.body);
                    break true;
                }
                other => panic!("{other}: {}", answer.body),
            }
        };
        shared.codes.lock().expect("no holder panics").push(codes);
        if !exhausted {
            return;
        }
    }
}

#[test]
fn fifty_kills_lose_nothing_and_give_no_code_too_many() {
    let Some(mut nodes) = Nodes::new() else { return };
    let (mut oracles, deal, shared) = ([nodes.start(), nodes.start()], dealt(), Shared::default());
    let tell = |oracles: &[Oracle]| {
        *shared.addresses.lock().expect("no holder panics") = oracles.iter().map(Oracle::address).collect();
    };
    tell(&oracles);
    std::thread::scope(|scope| {
        let (shared, deal) = (&shared, &deal);
        for client in 0..2 {
            scope.spawn(move || join_sessions(shared, deal, client));
            scope.spawn(move || take_codes(shared, deal, client));
        }
        for kill in 1..=KILLS {
            shared.await_progress();
            if kill % SERVER == 0 {
                nodes.server.kill();
                nodes.server.start_again();
            } else {
                oracles[kill % 2].kill();
                oracles[kill % 2] = nodes.start();
                tell(&oracles);
            }
        }
        shared.await_progress();
        shared.over.store(true, Ordering::Relaxed);
    });
    let (mut connection, mut whole) = (oracles[0].connect(), 0);
    for (asked, acknowledged) in shared.kept.into_inner().expect("no holder panics") {
        let seen = connection.request("GET", &format!("/sessions/{}", asked.id()), "", b"");
        let provided = json_of(&seen)["tocs_provided"].as_u64().unwrap_or_else(|| panic!("{}", seen.body));
        assert!(provided >= acknowledged as u64, "{provided} of {acknowledged}");
        if provided == 2 && whole < 40 {
            let answer = code(&mut connection, &asked).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
            whole += 1;
        }
    }
    assert!(whole >= 10, "{whole}");
    let codes = shared.codes.into_inner().expect("no holder panics");
    assert!(codes.iter().any(|codes| !codes.is_empty()));
    for codes in codes {
        assert!(codes.len() <= ALLOWED, "{codes:?}");
    }
}
