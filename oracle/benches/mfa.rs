//! The back end for applications under load on loopback: codes checked, each durably and once; the same among a thousand and
//! among a million secrets; logins by `WebAuthn`, both halves; rotations of an API key with one record and with a hundred
//! thousand. On `SQLite`, and, but for the growth, on a `PostgreSQL` that syncs its disk.
//!
//! `cargo bench -p quorate-oracle --bench mfa`; `QUORATE_BENCH_SECRETS` sets how many secrets the largest database has.

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

mod load;
#[path = "../tests/support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod postgres;
#[path = "../tests/process/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod process;
#[path = "../tests/mfa/token.rs"]
#[expect(dead_code, reason = "shared with tests that forge")]
mod token;

use load::{Figures, Load, processor_time, request, request_with};
use postgres::Postgres;
use process::Oracle;
use quorate_protocol::otp::{OtpSecret, Parameters};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;
use token::{Format, Token};

/// Clients at the same time, as the target has it.
const CLIENTS: usize = 8;
/// How long `GET /healthz` is asked for.
const HEALTHZ: Duration = Duration::from_millis(1_500);
/// Secrets of the small database, and how often they are gone through.
const FEW: usize = 1_000;
const ROUNDS: usize = 2;
/// Secrets that are asked for in the large one, spread over it.
const SAMPLE: usize = 2_000;
/// Secrets of the large one, unless it is said.
const MANY: usize = 1_000_000;
/// Apps whose codes are read.
const APPS: usize = 200;
/// Users who log in by `WebAuthn`.
const USERS: usize = 500;
/// Records under the larger API key that is rotated, and rotations of each.
const RECORDS: usize = 100_000;
const ROTATIONS: usize = 50;
/// A relying party and a page of it.
const PARTY: &str = "x-mfa-RPDisplayName: ACME Inc\r\nx-mfa-RPID: example.com\r\nx-mfa-RPOrigin: https://login.example.com\r\n\
                     x-mfa-Username: john\r\nx-mfa-UserDisplayName: John Smith\r\n";
const ORIGIN: &str = "https://login.example.com";

fn main() {
    let many = std::env::var("QUORATE_BENCH_SECRETS").ok().and_then(|text| text.parse().ok()).unwrap_or(MANY);
    on_sqlite(many);
    // It waits for its disk as in earnest.
    let Some(server) = Postgres::start(&["fsync=on"]) else { return };
    println!("PostgreSQL");
    let mut ground = Ground::new(Some(server.url("postgres")));
    let tenant = ground.tenant("app@example.com");
    let users = ground.enrol(&tenant, FEW);
    ground.validate("POST /totp/…/validate", &tenant, &users);
    ground.read_codes(&tenant);
    ground.log_in(&tenant);
    ground.rotate("POST /api-key/rotate, 1 record");
}

fn on_sqlite(many: usize) {
    println!("SQLite");
    let mut ground = Ground::new(None);
    let tenant = ground.tenant("app@example.com");
    let mut users = ground.enrol(&tenant, FEW);
    // The first round warms up.
    let rates: Vec<f64> = (0..=ROUNDS)
        .map(|_| {
            ground.change(forget_codes);
            ground.validate(&format!("POST /totp/…/validate, {FEW} secrets"), &tenant, &users)
        })
        .collect();
    ground.read_codes(&tenant);
    ground.log_in(&tenant);
    let one = ground.rotate("POST /api-key/rotate, 1 record");

    users.extend(ground.enrol(&tenant, SAMPLE - FEW));
    let begun = Instant::now();
    ground.change(|database| crowd(database, &users, many));
    println!("{many} secrets were there after {:.1} s", begun.elapsed().as_secs_f64());
    let before = median(rates[1..].to_vec());
    let after: Vec<f64> = (0..=ROUNDS)
        .map(|_| {
            ground.change(forget_codes);
            ground.validate(&format!("POST /totp/…/validate, {many} secrets"), &tenant, &users)
        })
        .collect();
    let after = median(after[1..].to_vec());
    println!("among {many} secrets: {:.2} times the rate, in parts of healthz, among {FEW}", after / before);

    let crowded = ground.rotate(&format!("POST /api-key/rotate, {RECORDS} records"));
    println!("a rotation with {RECORDS} records takes {:.2} times as long as with one", one / crowded);
}

/// An oracle on a database of its own.
struct Ground {
    state: TempDir,
    database: Option<String>,
    oracle: Option<Oracle>,
}

/// An application's API key.
#[derive(Clone)]
struct Tenant {
    value: String,
    secret: String,
}

/// A user with a TOTP secret.
struct User {
    uuid: String,
    secret: OtpSecret,
}

impl Ground {
    fn new(database: Option<String>) -> Self {
        // Beside the build, because /tmp may be memory, where a commit costs nothing.
        let state = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the build's folder can be written to");
        let mut ground = Self { state, database, oracle: None };
        ground.start();
        ground
    }

    fn start(&mut self) {
        let settings: Vec<_> = self.database.iter().map(|url| ("DATABASE", url.as_str())).collect();
        self.oracle = Some(Oracle::start(Path::new(PROGRAM), self.state.path(), &settings));
    }

    /// Changes the database of an oracle that does not run meanwhile.
    fn change(&mut self, change: impl FnOnce(&Connection)) {
        self.oracle = None;
        change(&Connection::open(self.state.path().join("quorate.db")).expect("the oracle's database"));
        self.start();
    }

    fn oracle(&self) -> &Oracle {
        self.oracle.as_ref().expect("it runs but while the database is changed")
    }

    fn load(&self, clients: usize, status: u16) -> Load {
        Load { addresses: vec![self.oracle().address()], clients, status }
    }

    /// Sends each request once and gives the answers.
    fn send(&self, requests: Vec<Vec<u8>>) -> Vec<Value> {
        let bodies = self.load(CLIENTS, 200).each(requests).bodies;
        bodies.iter().map(|body| serde_json::from_slice(body).expect("JSON")).collect()
    }

    /// A row in which each request is sent once.
    fn row(&self, name: &str, healthz: f64, clients: usize, requests: Vec<Vec<u8>>) -> Figures {
        let before = processor_time(self.oracle().id());
        let figures = self.load(clients, 200).each(requests);
        figures.print(name, Some(healthz), processor_time(self.oracle().id()) - before);
        figures
    }

    /// The rate of `GET /healthz` now.
    fn healthz(&self) -> f64 {
        let before = processor_time(self.oracle().id());
        let figures = self.load(CLIENTS, 200).for_a_time(vec![request("GET", "/healthz", b"")], HEALTHZ);
        figures.print("GET /healthz", None, processor_time(self.oracle().id()) - before);
        figures.rate
    }

    /// A new API key, activated.
    fn tenant(&self, email: &str) -> Tenant {
        let gateway = std::fs::read_to_string(self.state.path().join("gateway.key")).expect("made on first start");
        let gateway = format!("x-api-key: {}\r\n", gateway.trim());
        let ask = request_with(&gateway, "POST", "/api-key", &json(&json!({ "email": email })));
        self.load(1, 204).each(vec![ask]);
        let mut list = Command::new(PROGRAM);
        list.env_clear().args(["api-keys", "list"]).env("QUORATE_STATE", self.state.path());
        list.envs(self.database.iter().map(|url| ("QUORATE_DATABASE", url)));
        let listed = String::from_utf8(list.output().expect("the program runs").stdout).expect("a text");
        let line = listed.lines().find(|line| line.contains(email)).expect("the key is listed");
        let value = line.split_ascii_whitespace().next().expect("a value").to_owned();
        let body = json(&json!({ "email": email, "apiKey": value }));
        let activated = self.send(vec![request_with(&gateway, "POST", "/api-key/activate", &body)]);
        Tenant { value, secret: text(&activated[0]["apiSecret"]) }
    }

    /// New users with secrets.
    fn enrol(&self, tenant: &Tenant, many: usize) -> Vec<User> {
        let body = json(&json!({ "issuer": "Acme", "label": "john_smith@example.com" }));
        let made = self.send(vec![request_with(&tenant.headers(), "POST", "/totp", &body); many]);
        let user = |made: &Value| {
            let key = data_encoding::BASE32_NOPAD.decode(text(&made["totpKey"]).as_bytes()).expect("base32");
            let secret = OtpSecret::new(&key, Parameters::default()).expect("a key");
            User { uuid: text(&made["uuid"]), secret }
        };
        made.iter().map(user).collect()
    }

    /// Codes of this time step and then of the next, for every user, in parts of `GET /healthz`: none is early or late by
    /// more than may be when the step ends meanwhile.
    fn validate(&self, name: &str, tenant: &Tenant, users: &[User]) -> f64 {
        let healthz = self.healthz();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
        let headers = tenant.headers();
        let at = |seconds: u64| {
            let headers = &headers;
            users.iter().map(move |user| {
                let body = json(&json!({ "code": user.secret.code_at(seconds).digits.as_str() }));
                request_with(headers, "POST", &format!("/totp/{}/validate", user.uuid), &body)
            })
        };
        self.row(name, healthz, CLIENTS, at(now).chain(at(now + 30)).collect()).rate / healthz
    }

    /// Codes of apps that an application shares, in parts of `GET /healthz`. Each is told to the audit log, durably.
    fn read_codes(&self, tenant: &Tenant) {
        let headers = format!("x-functions-key: {}:{}\r\n", tenant.value, tenant.secret);
        let data =
            json(&json!({ "data": "otpauth://totp/Acme:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&issuer=Acme" }));
        let added = self.send(vec![request_with(&headers, "POST", "/api/add-totp-secret?appname=App", &data); APPS]);
        let asked = added
            .iter()
            .map(|app| request_with(&headers, "GET", &format!("/api/get-mfa-code?uuid={}", text(&app["uuid"])), b""));
        let asked: Vec<_> = asked.collect();
        let healthz = self.healthz();
        for _ in 0..=ROUNDS {
            let before = processor_time(self.oracle().id());
            let figures = self.load(CLIENTS, 200).for_a_time(asked.clone(), HEALTHZ);
            let name = "GET /api/get-mfa-code";
            figures.print(name, Some(healthz), processor_time(self.oracle().id()) - before);
            println!("get-mfa-code: {:.2} of healthz (target: 0.80)", figures.rate / healthz);
        }
    }

    /// Logins by `WebAuthn`. What tokens do takes place between the halves, and is not counted.
    fn log_in(&self, tenant: &Tenant) {
        let headers = format!("{}{PARTY}", tenant.headers());
        let register = "/webauthn/register";
        let begun = self.send(vec![request_with(&headers, "POST", register, b"{}"); USERS]);
        let mut users: Vec<(String, Token)> = begun
            .iter()
            .enumerate()
            .map(|(number, begun)| {
                let user = format!("{headers}x-mfa-UserUUID: {}\r\n", text(&begun["uuid"]));
                (user, Token::new(format!("the key handle of token {number}").as_bytes()))
            })
            .collect();
        let made = users.iter().zip(&begun).map(|((user, token), begun)| {
            let made = token.create(&begun["publicKey"], ORIGIN, Format::None);
            request_with(user, "PUT", register, &json(&made))
        });
        self.send(made.collect());

        let healthz = self.healthz();
        let asked = users.iter().map(|(user, _)| request_with(user, "POST", "/webauthn/login", b"{}")).collect();
        let first = self.row("POST /webauthn/login", healthz, CLIENTS, asked);
        let options = first.bodies.iter().map(|body| serde_json::from_slice::<Value>(body).expect("JSON"));
        let answers = users.iter_mut().zip(options).map(|((user, token), begun)| {
            request_with(user, "PUT", "/webauthn/login", &json(&token.get(&begun["publicKey"], ORIGIN)))
        });
        let second = self.row("PUT /webauthn/login", healthz, CLIENTS, answers.collect());
        let both = 1.0 / (1.0 / first.rate + 1.0 / second.rate);
        println!("WebAuthn logins, both halves: {both:.0}/s (target: 2000)");
    }

    /// Rotations to and fro between two API keys of which one has a record, or many; gives how many a second.
    fn rotate(&mut self, name: &str) -> f64 {
        let many = name.contains("records");
        let [old, new] = ["old", "new"].map(|which| self.tenant(&format!("{which}{many}@example.com")));
        self.enrol(&old, 1);
        if many {
            self.change(|database| fill(database, FIRST_FREE..FIRST_FREE + RECORDS - 1));
        }
        let healthz = self.healthz();
        let rotation = |number: usize| {
            let (old, new) = if number.is_multiple_of(2) { (&old, &new) } else { (&new, &old) };
            let body = json!({
                "oldKeyId": old.value, "oldKeySecret": old.secret, "newKeyId": new.value, "newKeySecret": new.secret,
            });
            request("POST", "/api-key/rotate", &json(&body))
        };
        let figures = self.row(name, healthz, 1, (0..ROTATIONS).map(rotation).collect());
        let moved: Value = serde_json::from_slice(&figures.bodies[ROTATIONS - 1]).expect("JSON");
        assert_eq!(moved["totpComplete"], if many { RECORDS } else { 1 }, "everything moves, each time");
        1.0 / figures.p50.as_secs_f64()
    }
}

const PROGRAM: &str = env!("CARGO_BIN_EXE_quorate-oracle");
/// Above every number that a row has by then.
const FIRST_FREE: usize = 1_000_000_000;

impl Tenant {
    fn headers(&self) -> String {
        format!("X-MFA-ApiKey: {}\r\nX-MFA-ApiSecret: {}\r\n", self.value, self.secret)
    }
}

/// Lets codes count once more.
fn forget_codes(database: &Connection) {
    database.execute_batch("UPDATE totps SET last_step = -1 WHERE last_step > -1").expect("updated");
}

/// Spreads the secrets of `users`, which are all there are but few, over so many.
fn crowd(database: &Connection, users: &[User], many: usize) {
    let apart = many / users.len();
    // By way of negative numbers, because no two rows may ever have the same.
    for spread in [format!("-number * {apart}"), "-number".to_owned()] {
        database.execute(&format!("UPDATE totps SET number = {spread}"), []).expect("updated");
    }
    fill(database, 1..many + 1);
}

/// Puts random secrets beside the newest one, under the same data key, at those numbers that are free.
fn fill(database: &Connection, numbers: std::ops::Range<usize>) {
    let (first, last) = (numbers.start, numbers.end - 1);
    let sql = format!(
        "BEGIN;
         CREATE TEMP TABLE one AS
             SELECT data_key, created_at, length(sealed) AS bytes FROM totps ORDER BY number DESC LIMIT 1;
         WITH RECURSIVE numbers (number) AS (SELECT {first} UNION ALL SELECT number + 1 FROM numbers WHERE number < {last})
         INSERT OR IGNORE INTO totps (number, id, data_key, created_at, last_step, sealed)
         SELECT number, randomblob(32), data_key, created_at, -1, randomblob(bytes) FROM numbers, one;
         INSERT INTO record_counts SELECT data_key, 'totp', 0, changes() FROM one WHERE true
         ON CONFLICT (data_key, kind, slot) DO UPDATE SET records = records + excluded.records;
         COMMIT;"
    );
    database.execute_batch(&sql).expect("filled");
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values[values.len() / 2]
}

fn text(value: &Value) -> String {
    value.as_str().expect("a text").to_owned()
}

fn json(value: &Value) -> Vec<u8> {
    value.to_string().into_bytes()
}
