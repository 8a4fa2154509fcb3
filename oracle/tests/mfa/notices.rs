//! Notices to a receiver on this machine and to a real mail server: every shape, every event; receivers that are down, slow,
//! gone or forbidden; an oracle that is killed while it delivers.

use super::mail::Smtp;
use super::peers::python;
use super::plain;
use super::process::Oracle;
use super::support::{Asked, Court};
use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use quorate_oracle::service::audit::{Entry, Kind, Outcome, Who};
use quorate_oracle::testing::TestSetup;
use serde_json::{Value, json};
use std::fs::Permissions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

/// Test key: 32 bytes, as a receiver would make them.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
/// The status of a receiver that never answers.
const NEVER: u16 = 0;

/// What a receiver was sent.
#[derive(Debug)]
pub struct Got {
    pub path: String,
    headers: HeaderMap,
    body: String,
}

impl Got {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("ASCII")
    }
}

/// Takes webhooks, and answers as it is told.
pub struct Receiver {
    address: SocketAddr,
    answers: Arc<AtomicU16>,
    got: UnboundedReceiver<Got>,
    server: JoinHandle<()>,
}

impl Receiver {
    pub async fn start() -> Self {
        Self::at("127.0.0.1:0".parse().expect("an address")).await
    }

    async fn at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let (sender, got) = unbounded_channel();
        let answers = Arc::new(AtomicU16::new(200));
        let router = Router::new().fallback(post(take)).with_state((sender, Arc::clone(&answers)));
        let server = tokio::spawn(async move { axum_serve(listener, router).await });
        Self { address, answers, got, server }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn answer(&self, status: u16) {
        self.answers.store(status, Ordering::SeqCst);
    }

    async fn next(&mut self) -> Got {
        self.got.recv().await.expect("it runs")
    }

    /// All that has come.
    pub fn all(&mut self) -> Vec<Got> {
        std::iter::from_fn(|| self.got.try_recv().ok()).collect()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn axum_serve(listener: TcpListener, router: Router) {
    let limits = quorate_oracle::serve::Limits::from(&quorate_oracle::config::Config::default());
    quorate_oracle::serve::serve(listener, None, router, limits, std::future::pending()).await;
}

async fn take(
    State((sender, answers)): State<(UnboundedSender<Got>, Arc<AtomicU16>)>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, [(&'static str, &'static str); 1]) {
    // Nobody may be listening any more.
    let _heard = sender.send(Got { path: uri.path().to_owned(), headers, body });
    match answers.load(Ordering::SeqCst) {
        NEVER => std::future::pending().await,
        status => (StatusCode::from_u16(status).expect("a status"), [("location", "/elsewhere")]),
    }
}

fn private_file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, Permissions::from_mode(0o600)).expect("set");
    path.to_str().expect("UTF-8").to_owned()
}

/// A court of two of three whose oracle tells `targets`.
async fn court(targets: &Value) -> Court {
    court_with(TestSetup::default(), targets).await
}

async fn court_with(setup: TestSetup, targets: &Value) -> Court {
    let setup = setup.set("notices", targets.to_string()).set("webhooks.seconds", "20");
    Court::with(setup.set("webhooks.allow", "127.0.0.1/32").set("name", "Örakel"), 2, 3).await
}

impl Court {
    /// Has everything delivered that is due; how many attempts that took.
    async fn deliver(&self) -> usize {
        let mut attempts = 0;
        loop {
            match self.oracle.state().notices.deliver_due().await.expect("the store answers") {
                0 => return attempts,
                more => attempts += more,
            }
        }
    }

    async fn waiting(&self) -> i64 {
        self.oracle.state().store.waiting_notices().await.expect("the store answers").values().sum()
    }

    /// A session becomes quorate and is denied; another one expires.
    async fn everything(&self) -> [Asked; 2] {
        let asked = self.ask(1).await;
        self.join(&asked, 1).await;
        self.join(&asked, 2).await;
        let denial = asked.denial(&self.deal.tocs[2], "not <!channel>\u{202e}today");
        assert_eq!(self.post(&asked.path("denials"), &denial).await.status, 204);
        let other = self.ask(2).await;
        self.clock.advance(2 * 3_600_000);
        while self.oracle.state().sweep().await.expect("swept") {}
        [asked, other]
    }
}

#[tokio::test]
async fn a_webhook_hears_of_everything_and_of_no_names() {
    let (folder, mut receiver) = (tempfile::tempdir().expect("a folder"), Receiver::start().await);
    let secret = private_file(folder.path(), "secret", SECRET);
    let court = court(&json!([{ "url": receiver.url("/in?x=1"), "secret_file": secret }])).await;
    let [asked, other] = court.everything().await;
    // The first session expires as well: it gave no code.
    assert_eq!(court.deliver().await, 6);
    let mut told: Vec<_> = receiver.all().into_iter().map(|got| (got.json(), got)).collect();
    told.sort_by_key(|(json, _)| (json["timestamp"].to_string(), json["type"].to_string()));
    let events = told.iter().map(|(json, _)| (json["type"].clone(), json["data"]["session"].clone()));
    let event = |kind: &str, asked: &Asked| (json!(kind), json!(asked.id()));
    let mut expected = vec![
        event("session.started", &asked),
        event("session.denied", &asked),
        event("session.quorate", &asked),
        event("session.started", &other),
        event("session.expired", &asked),
        event("session.expired", &other),
    ];
    let mut events: Vec<_> = events.collect();
    let order = |(kind, id): &(Value, Value)| (kind.to_string(), id.to_string());
    events.sort_by_key(order);
    expected.sort_by_key(order);
    assert_eq!(events, expected);
    for (json, got) in &told {
        assert_eq!((got.path.as_str(), &json["oracle"]["name"]), ("/in", &json!("Örakel")));
        for secret in ["player 1", "player 3", "test bank", "close the month", "today"] {
            assert!(!got.body.contains(secret), "{}", got.body);
        }
        let data = json["data"].as_object().expect("an object");
        let fields: Vec<&str> = data.keys().map(String::as_str).collect();
        assert_eq!(fields, ["group", "needed", "page", "players", "purpose", "session", "until"]);
        assert_eq!(data["page"], format!("{}/s/{}", court.oracle.url(""), data["session"].as_str().expect("an id")));
    }
    assert_eq!((court.waiting().await, court.deliver().await), (0, 0));
}

#[tokio::test]
async fn names_are_told_to_those_who_ask_for_them() {
    let mut receiver = Receiver::start().await;
    let court = court(&json!([
        { "url": receiver.url("/slack"), "shape": "slack", "names": true, "events": ["session.denied"] },
        { "url": receiver.url("/alerts"), "shape": "ntfy", "names": true, "events": ["session.started"] },
    ]))
    .await;
    let [asked, _] = court.everything().await;
    assert_eq!(court.deliver().await, 3);
    let all = receiver.all();
    let slack = all.iter().find(|got| got.path == "/slack").expect("a denial").json();
    let text = slack["text"].as_str().expect("a text");
    for line in [
        "*Örakel: a player said no*",
        "denied by: player 3",
        "because: not &lt;!channel&gt;\\u{202e}today",
        "asked by: player 1",
        "why: close the month",
        "note: test bank",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
    let ntfy: Vec<Value> = all.iter().filter(|got| got.path == "/").map(Got::json).collect();
    assert_eq!(ntfy.len(), 2);
    assert!(ntfy.iter().all(|told| told["topic"] == "alerts" && told["title"] == "Örakel: a session was started"));
    assert!(ntfy.iter().any(|told| told["message"].as_str().expect("a text").contains(asked.id())));
}

#[tokio::test]
async fn acts_of_the_audit_log_are_told_where_it_matters() {
    let mut receiver = Receiver::start().await;
    let target = |path: &str, names: bool| json!({ "url": receiver.url(path), "shape": "slack", "names": names });
    let court = court(&json!([target("/names", true), target("/none", false)])).await;
    let entry = |kind, outcome| Entry::new(kind, Who::Operator).to("api-key of app@example.com").ended(outcome);
    for (kind, outcome) in [
        (Kind::ApiKeyActivated, Outcome::Done),
        (Kind::ApiKeyActivated, Outcome::Refused),
        (Kind::OracleStarted, Outcome::Done),
        (Kind::PrincipalKeyAdded, Outcome::Done),
        (Kind::PrincipalKeyRemoved, Outcome::Done),
    ] {
        court.oracle.state().audit.record(entry(kind, outcome)).await.expect("recorded");
    }
    assert_eq!(court.deliver().await, 6);
    let got = receiver.all();
    for act in ["api_key.activated", "principal.key_added", "principal.key_removed"] {
        let told = got.iter().filter(|got| got.body.contains(&format!("act: {act}"))).count();
        assert_eq!(told, 2, "{act}");
    }
    for got in got {
        assert!(got.body.contains("a key was added or removed"), "{}", got.body);
        assert_eq!(got.body.contains("app@example.com"), got.path == "/names", "{}", got.body);
    }
}

#[tokio::test]
async fn a_target_that_is_full_keeps_nothing_from_another_and_strangers_fill_half_of_it() {
    let receiver = Receiver::start().await;
    let targets =
        json!([{ "url": receiver.url("/a"), "shape": "slack" }, { "url": receiver.url("/b"), "shape": "slack" }]);
    let court = court(&targets).await;
    court.ask(1).await;
    let database = rusqlite::Connection::open(court.oracle.folder().join("quorate.db")).expect("opened");
    let fill = async |rows: i64| {
        let more = "WITH RECURSIVE rows(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM rows WHERE i < ?1)
                    INSERT INTO notices (id, target, at, due_at, sealed)
                        SELECT randomblob(16), target, at, 9e15, sealed FROM notices, rows
                        WHERE number = (SELECT MIN(number) FROM notices)";
        database.execute(more, [rows]).expect("written");
        let state = court.oracle.state();
        state.notices.sweep(quorate_oracle::clock::Clock::now_ms(&*court.clock)).await.expect("swept");
        court.waiting().await
    };
    let before = fill(4_998).await;
    court.ask(1).await;
    assert_eq!(court.waiting().await - before, 2, "both have room");
    let before = fill(1).await;
    court.ask(2).await;
    assert_eq!(court.waiting().await - before, 1, "the other target hears of it");
    let state = court.oracle.state();
    let changed = Entry::new(Kind::ProviderCreated, Who::Oracle).to("provider");
    state.audit.record(changed.clone()).await.expect("recorded");
    assert_eq!(court.waiting().await - before, 3, "what strangers cannot cause has room");
    let before = fill(5_000).await;
    state.audit.record(changed).await.expect("recorded");
    assert_eq!(court.waiting().await - before, 1);
}

#[tokio::test]
async fn a_mail_says_what_happened() {
    let Some(mut smtp) = Smtp::start("starttls", None) else { return };
    let targets = json!([{ "mail": "ops@example.com", "events": ["session.denied"], "names": true }]);
    let court = court_with(smtp.settings_without_url("smtp"), &targets).await;
    court.everything().await;
    assert_eq!((court.deliver().await, court.waiting().await), (1, 0));
    let mail = smtp.mail();
    assert_eq!((&mail["to"], &mail["encrypted"]), (&json!(["ops@example.com"]), &json!(true)));
    let text = mail["text"].as_str().expect("a text");
    assert!(text.contains("Auto-Submitted: auto-generated"), "{text}");
}

#[tokio::test]
async fn a_mail_server_that_says_no_is_asked_again() {
    let Some(mut smtp) = Smtp::start("starttls", None) else { return };
    let targets = json!([{ "mail": "later@example.com" }, { "mail": "ops@example.com" }]);
    let court = court_with(smtp.settings_without_url("smtp"), &targets).await;
    court.ask(1).await;
    assert_eq!((court.deliver().await, court.waiting().await), (2, 1), "one is delivered");
    assert_eq!(smtp.mail()["to"], json!(["ops@example.com"]));
    court.clock.advance(1_000);
    assert_eq!((court.deliver().await, court.waiting().await), (1, 1));
}

#[tokio::test]
async fn a_receiver_that_was_down_hears_of_it_later() {
    let mut receiver = Receiver::start().await;
    let address = receiver.address;
    let court = court(&json!([{ "url": receiver.url("/slack"), "shape": "slack" }])).await;
    receiver.answer(503);
    court.ask(1).await;
    assert_eq!((court.deliver().await, court.waiting().await), (1, 1));
    drop(receiver.next().await);
    receiver.answer(302);
    court.clock.advance(1_000);
    assert_eq!((court.deliver().await, court.waiting().await), (1, 1), "nobody goes elsewhere");
    assert_eq!(receiver.all().iter().map(|got| got.path.as_str()).collect::<Vec<_>>(), ["/slack"]);
    drop(receiver);
    court.clock.advance(3_999);
    assert_eq!(court.deliver().await, 0, "not before its time");
    court.clock.advance(1);
    assert_eq!((court.deliver().await, court.waiting().await), (1, 1), "nobody listens");
    let mut receiver = Receiver::at(address).await;
    court.clock.advance(16_000);
    assert_eq!((court.deliver().await, court.waiting().await), (1, 0));
    assert!(receiver.next().await.body.contains("started"));
}

#[tokio::test]
async fn who_is_gone_or_silent_for_a_day_is_told_nothing_more() {
    let mut receiver = Receiver::start().await;
    let targets = json!([{ "url": receiver.url("/slack"), "shape": "slack", "events": ["session.started"] }]);
    let court = court(&targets).await;
    court.ask(1).await;
    receiver.answer(410);
    assert_eq!((court.deliver().await, court.waiting().await), (1, 0));
    receiver.answer(500);
    court.ask(1).await;
    assert_eq!((court.deliver().await, court.waiting().await), (1, 1));
    court.clock.advance(24 * 3_600_000 + 2_000);
    assert_eq!((court.deliver().await, court.waiting().await), (1, 0));
    assert_eq!(receiver.all().len(), 3);
}

#[tokio::test]
async fn a_slow_receiver_holds_up_nobody_else() {
    let (mut slow, mut quick) = (Receiver::start().await, Receiver::start().await);
    slow.answer(NEVER);
    let targets = json!([
        { "url": slow.url("/slow"), "shape": "slack" },
        { "url": quick.url("/quick"), "shape": "slack" },
    ]);
    let setup = TestSetup::default().set("notices", targets.to_string()).set("webhooks.seconds", "1");
    let court = Court::with(setup.set("webhooks.allow", "127.0.0.1/32"), 2, 3).await;
    court.ask(1).await;
    let state = court.oracle.state().clone();
    let delivering = tokio::spawn(async move { state.deliver_notices().await });
    // Both are asked, whichever is the first, and only one has to be asked again.
    assert_eq!((quick.next().await.path.as_str(), slow.next().await.path.as_str()), ("/quick", "/slow"));
    while court.waiting().await != 1 {
        tokio::task::yield_now().await;
    }
    court.oracle.state().begin_shutdown();
    delivering.await.expect("it ends when the oracle does");
}

#[tokio::test]
async fn a_forbidden_address_hears_nothing() {
    let mut receiver = Receiver::start().await;
    let port = receiver.address.port();
    let hosts = ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.255.255.1"];
    let target = |host: &&str| json!({ "url": format!("http://{host}:{port}/in"), "shape": "slack" });
    let targets = Value::from(hosts.iter().map(target).collect::<Vec<_>>());
    let court = Court::with(TestSetup::default().set("notices", targets.to_string()), 2, 3).await;
    court.ask(1).await;
    let tried = i64::try_from(court.deliver().await).expect("a few");
    assert_eq!((tried, court.waiting().await), (6, 6), "each was tried, and none was reached");
    assert!(receiver.all().is_empty());
}

#[tokio::test]
async fn nothing_of_a_target_stands_in_the_database_or_in_debug_output() {
    let receiver = Receiver::start().await;
    let court = court(&json!([{ "url": receiver.url("/hunter2"), "shape": "slack", "names": true }])).await;
    court.ask(1).await;
    assert!(!format!("{:?}", court.oracle.state()).contains("hunter2"));
    for file in ["quorate.db", "quorate.db-wal"] {
        let bytes = std::fs::read(court.oracle.folder().join(file)).expect("a file");
        for text in ["hunter2", "close the month", "session.started"] {
            assert!(!bytes.windows(text.len()).any(|window| window == text.as_bytes()), "{text} in {file}");
        }
    }
}

/// The oracle is killed while the receiver has a notice in its hands and has not answered: it is delivered again, under the
/// same name, and its signature is what Standard Webhooks says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_between_act_and_delivery_loses_nothing() {
    let (folder, mut receiver) = (tempfile::tempdir().expect("a folder"), Receiver::start().await);
    let secret = private_file(folder.path(), "secret", SECRET);
    let targets =
        json!([{ "url": receiver.url("/in"), "secret_file": secret, "events": ["session.started"] }]).to_string();
    let settings = [
        ("URL", plain::URL),
        ("NOTICES", targets.as_str()),
        ("WEBHOOKS_ALLOW", "127.0.0.1"),
        // Whoever takes a notice has it for as long as these allow.
        ("WEBHOOKS_SECONDS", "1"),
        ("MAIL_SECONDS", "1"),
    ];
    let state = folder.path().join("state");
    let start = || Oracle::start(Path::new(env!("CARGO_BIN_EXE_quorate-oracle")), &state, &settings);
    let mut oracle = start();
    receiver.answer(NEVER);
    let asked = plain::asked(&plain::ask(&mut oracle.connect(), &plain::dealt(), "").expect("an answer"));
    let first = receiver.next().await;
    oracle.kill();
    receiver.answer(200);
    let oracle = start();
    let second = receiver.next().await;
    for got in [&first, &second] {
        assert_eq!(
            (&got.json()["type"], &got.json()["data"]["session"]),
            (&json!("session.started"), &json!(asked.id()))
        );
    }
    assert_eq!(first.header("webhook-id"), second.header("webhook-id"));
    let time: u64 = second.header("webhook-timestamp").parse().expect("seconds");
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    assert!(now.abs_diff(time) < 300, "{time}");
    verify(&second);
    drop(oracle);
}

/// `PyPI`'s `standardwebhooks` takes the signature, and none of a body that differs.
fn verify(got: &Got) {
    let Some(python) = python("signatures of webhooks") else { return };
    let check = |body: &str| {
        let headers = ["webhook-id", "webhook-timestamp", "webhook-signature"].map(|name| (name, got.header(name)));
        let headers: serde_json::Map<_, _> =
            headers.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect();
        let asked = json!({ "secret": SECRET, "headers": headers, "body": body });
        let mut child = Command::new(&python)
            .args(["-B", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/mfa/webhook_verify.py")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("python runs");
        child.stdin.take().expect("it was piped").write_all(asked.to_string().as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends").status.success()
    };
    assert!(check(&got.body));
    assert!(!check(&got.body.replace("started", "expired")));
}
