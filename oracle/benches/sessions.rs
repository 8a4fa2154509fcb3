//! The whole oracle under load on loopback: starting sessions, joining them, codes; on `SQLite`, and as one, two and three
//! nodes on a `PostgreSQL` that syncs its disk. Each rate stands beside that of `GET /healthz` of the same servers in the
//! same run, for what a machine does in a second changes from day to day.
//!
//! `cargo bench -p quorate-oracle --bench sessions`; `QUORATE_BENCH_SECONDS` sets how long each row runs.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod load;
#[path = "../tests/support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod postgres;
#[path = "../tests/process/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod process;

use load::{Figures, Load, processor_time, request, request_from};
use postgres::Postgres;
use process::Oracle;
use quorate_protocol::api::{AddToc, ApplicantProof, NewSession, OracleDescription, SessionCredentials, SessionKey};
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::header::OraclePin;
use quorate_protocol::invite::{Invite, Purpose};
use quorate_protocol::otp::OtpSecret;
use quorate_protocol::proof::{Terms, approve_message, create_message, sign};
use quorate_protocol::sealing::age_seal;
use quorate_protocol::toc::WholeToc;
use serde_json::value::RawValue;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Clients at the same time.
const CLIENTS: usize = 64;
/// For each second of a row: sessions that are brought to a quorum, and sessions started with a proof.
const SESSIONS: f64 = 750.0;
const STARTED: f64 = 10_000.0;
/// A Toc as farMFA deals it.
const FARMFA: &str = r#"{"group_id":"J7UHQPZK","group_size":5,"group_threshold":3,"note":"test bank","toc_id":"toc",
    "share":"C2iCgb3pRfxPJw2a7od8p4ShkhrDWAm/Dt6ioQNAVFPZ"}"#;
/// Starts of which the median is told.
const STARTS: usize = 11;

fn main() {
    let seconds = std::env::var("QUORATE_BENCH_SECONDS").ok().and_then(|text| text.parse().ok());
    let time = Duration::from_secs_f64(seconds.unwrap_or(4.0));
    // Beside the build, because /tmp may be memory, where a commit costs nothing.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder can be written to");
    let (first, again) = starts(folder.path());
    println!("ready after exec: {first:.1} ms the first time, {again:.1} ms later (target: below 50)");

    let bench = Bench { oracles: vec![start(folder.path())], time, part: 1.0, healthz: 0.0 };
    let idle = bench.resident();
    println!("resident when idle: {idle:.1} MB (target: below 20)");
    let bench = Bench { healthz: bench.row("GET /healthz", 200, vec![request("GET", "/healthz", b"")]).rate, ..bench };
    bench.sessions();
    let after = bench.resident();
    println!("resident after the load: {after:.1} MB, {:+.1} MB", after - idle);
    // The same once more shows whether it stays there.
    bench.farmfa();
    bench.row("GET /healthz, last of all", 200, vec![request("GET", "/healthz", b"")]);
    let last = bench.resident();
    println!("resident after as many sessions again: {last:.1} MB, {:+.1} MB", last - after);
    drop(bench);
    for nodes in 1..=3 {
        on_postgres(folder.path(), nodes, time);
    }
}

/// The rows of sessions, of so many nodes with the keys of `keys` on a new server that waits for its disk as in earnest.
fn on_postgres(keys: &Path, nodes: usize, time: Duration) {
    let Some(server) = Postgres::start(&["fsync=on"]) else { return };
    println!("{nodes} node{} on PostgreSQL", if nodes == 1 { "" } else { "s" });
    let (url, empty) = (server.url("postgres"), tempfile::tempdir().expect("a folder"));
    let node = |_| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-oracle"));
        command.env_clear().arg("serve").env("CREDENTIALS_DIRECTORY", keys);
        Oracle::spawn(&mut command, empty.path(), &[SETTINGS.as_slice(), &[("DATABASE", url.as_str())]].concat())
    };
    let bench = Bench { oracles: (0..nodes).map(node).collect(), time, part: 0.1, healthz: 0.0 };
    let bench = Bench { healthz: bench.row("GET /healthz", 200, vec![request("GET", "/healthz", b"")]).rate, ..bench };
    bench.sessions();
}

/// Room for the load, clients told apart as behind a proxy, and one address for all nodes.
const SETTINGS: [(&str, &str); 5] = [
    ("BEHIND_PROXY", "true"),
    ("LOG_LEVEL", "info"),
    ("SESSIONS_OPEN", "10000000"),
    ("SESSIONS_OPEN_PER_SOURCE", "10000000"),
    ("URL", "http://oracle.test"),
];

fn start(state: &Path) -> Oracle {
    Oracle::start(Path::new(env!("CARGO_BIN_EXE_quorate-oracle")), state, &SETTINGS)
}

/// Milliseconds from exec to `listening on`: with keys and database to be made, and without.
fn starts(state: &Path) -> (f64, f64) {
    let timed = || {
        let begun = Instant::now();
        drop(start(state));
        begun.elapsed().as_secs_f64() * 1e3
    };
    let first = timed();
    let mut later: Vec<f64> = (0..STARTS).map(|_| timed()).collect();
    later.sort_unstable_by(f64::total_cmp);
    (first, later[STARTS / 2])
}

struct Bench {
    oracles: Vec<Oracle>,
    time: Duration,
    /// Part of the starts with a proof that are sent, each once: fewer where each waits longer.
    part: f64,
    /// Rate of `GET /healthz`.
    healthz: f64,
}

impl Bench {
    fn farmfa(&self) {
        let toc_zero = Some(RawValue::from_string(FARMFA.to_owned()).expect("JSON"));
        let body = json(&NewSession { toc_zero, ..NewSession::default() });
        self.row("POST /sessions, a farMFA Toc as toc_zero", 200, from_many(&body));
    }

    fn sessions(&self) {
        self.farmfa();
        let described = self.load(200).each(vec![request("GET", "/.well-known/quorate", b"")]).bodies;
        let described: OracleDescription = serde_json::from_slice(&described[0]).expect("a description");
        let url = &described.url;
        let deal = dealt(OraclePin { url: described.url.clone(), root_key: described.root_key });
        let whole: Box<RawValue> = serde_json::from_slice(&deal.tocs[0].to_json()).expect("a Toc is JSON");
        let body = json(&NewSession { toc_zero: Some(whole), ..NewSession::default() });
        self.row("POST /sessions, our Toc as toc_zero", 200, from_many(&body));

        // Each proof serves once: as many requests as are sent.
        let ours = (0..self.many(STARTED * self.part))
            .map(|number| request_from(number, "POST", "/sessions", &json(&signed(url, &deal.tocs[0], number))));
        self.once("POST /sessions, with a proof", ours.collect());

        let asked = (0..self.many(SESSIONS * self.part.sqrt()))
            .map(|i| request_from(i, "POST", "/sessions", &json(&signed(url, &deal.tocs[0], 1_000_000 + i))));
        let answers = self.load(200).each(asked.collect()).bodies;
        let sessions: Vec<SessionCredentials> =
            answers.iter().map(|body| serde_json::from_slice(body).expect("credentials")).collect();
        self.once("POST …/tocs, with a proof", joins(&sessions, &deal));

        let codes: Vec<_> = sessions
            .into_iter()
            .map(|session| {
                let path = format!("/sessions/{}/totp", session.session.id);
                request("POST", &path, &json(&SessionKey { kek: session.kek }))
            })
            .collect();
        self.once("POST …/totp, 3 of 5, first code", codes.clone());
        self.row("POST …/totp, 3 of 5, again in the step", 200, codes);
        self.row("GET /healthz, once more", 200, vec![request("GET", "/healthz", b"")]);
    }

    /// As many as fit the time of a row.
    fn many(&self, a_second: f64) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small number of requests")]
        let many = (self.time.as_secs_f64() * a_second) as usize;
        many.max(CLIENTS)
    }

    fn load(&self, status: u16) -> Load {
        Load { addresses: self.oracles.iter().map(Oracle::address).collect(), clients: CLIENTS, status }
    }

    /// A row of `requests`, round and round.
    fn row(&self, name: &str, status: u16, requests: Vec<Vec<u8>>) -> Figures {
        let before = self.processor_time();
        let figures = self.load(status).for_a_time(requests, self.time);
        self.print(name, &figures, before);
        figures
    }

    /// A row in which each request is sent once.
    fn once(&self, name: &str, requests: Vec<Vec<u8>>) {
        let before = self.processor_time();
        let figures = self.load(200).each(requests);
        self.print(name, &figures, before);
    }

    fn print(&self, name: &str, figures: &Figures, before: f64) {
        let healthz = (self.healthz > 0.0).then_some(self.healthz);
        figures.print(name, healthz, self.processor_time() - before);
    }

    /// Seconds that the oracles have run on any processor.
    fn processor_time(&self) -> f64 {
        self.oracles.iter().map(|oracle| processor_time(oracle.id())).sum()
    }

    /// Megabytes that are resident, of the first oracle.
    fn resident(&self) -> f64 {
        let file = format!("/proc/{}/status", self.oracles[0].id());
        let status = std::fs::read_to_string(file).expect("the oracle runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a running process has it");
        line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") / 1024.0
    }
}

/// The same request for a session from more clients than are at work.
fn from_many(body: &[u8]) -> Vec<Vec<u8>> {
    (0..CLIENTS * 64).map(|client| request_from(client, "POST", "/sessions", body)).collect()
}

/// What players 1, 3 and 5 send to join each session.
fn joins(sessions: &[SessionCredentials], deal: &Deal) -> Vec<Vec<u8>> {
    let join = |session: &SessionCredentials, toc: &WholeToc| {
        let tek: age::x25519::Recipient = session.tek.parse().expect("a recipient");
        let invite = Invite::parse(&session.invite).expect("an invite");
        let sealed = age_seal(&toc.to_short_json(), std::iter::once(&tek as &dyn age::Recipient)).expect("sealed");
        let x = toc.share().x();
        let message = approve_message(&invite.digest(), toc.group(), x, &sealed);
        let proof = sign(&toc.signing_key(), &message).into();
        let body = AddToc { encrypted_toc: sealed, x: Some(x), proof: Some(proof) };
        request("POST", &format!("/sessions/{}/tocs", session.session.id), &json(&body))
    };
    let half = |half: &[SessionCredentials]| -> Vec<Vec<u8>> {
        half.iter().flat_map(|session| [0, 2, 4].map(|i: usize| join(session, &deal.tocs[i]))).collect()
    };
    let (one, two) = sessions.split_at(sessions.len() / 2);
    std::thread::scope(|scope| {
        let one = scope.spawn(|| half(one));
        let two = half(two);
        [one.join().expect("every Toc seals"), two].concat()
    })
}

fn dealt(oracle: OraclePin) -> Deal {
    let secret = OtpSecret::from_uri("otpauth://totp/Test:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Test");
    let holders: Vec<String> = (1..=5).map(|x| format!("player {x}")).collect();
    let request = DealRequest {
        secret: &secret.expect("a URI"),
        threshold: 3,
        holders: &holders,
        note: "test bank",
        dealt_at: 1_800_000_000,
        oracle: Some(oracle),
        replaces: None,
    };
    deal(&request, &mut rand::rng()).expect("in range")
}

/// A request of its own by the holder of `toc`.
fn signed(oracle: &str, toc: &WholeToc, number: usize) -> NewSession {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let time = i64::try_from(now).expect("this century");
    let reason = format!("close the month, {number}");
    // Codes flow for as long as the rows take.
    let terms = Terms { oracle, purpose: "code", plan: b"", reason: &reason, ttl: 600, max_codes: 0 };
    let x = toc.share().x();
    let signature = sign(&toc.signing_key(), &create_message(toc.group(), x, time, &terms)).into();
    NewSession {
        header: Some(toc.header().bytes().to_vec().into()),
        sealed: Some(toc.sealed().to_vec().into()),
        applicant: Some(ApplicantProof { x, time, signature }),
        purpose: Some(Purpose::Code),
        reason: Some(reason),
        ttl: Some(600),
        ..NewSession::default()
    }
}

fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("plain data always serialises")
}
