//! Nodes in one process: the same keys, the same database, and no folder that matters.

use crate::forward::{Forwarder, Target};
use crate::support::postgres::{self, Postgres};
use crate::support::{Answer, Court, dealt, signed_request};
use futures_util::future::join_all;
use quorate_oracle::clock::{Clock, SystemClock, TestClock};
use quorate_oracle::keys::{Keys, Sources};
use quorate_oracle::state::SystemEntropy;
use quorate_oracle::store;
use quorate_oracle::testing::{TestOracle, TestSetup};
use quorate_protocol::invite::Purpose;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

/// An event comes as it happens, and not when somebody looks again, which is after five seconds.
const LIVE: Duration = Duration::from_secs(4);
/// What happens to the store is seen sooner.
const SEEN: Duration = Duration::from_secs(30);

/// Three nodes behind one address. Whatever the court sends goes to the next of them.
struct Cluster {
    court: Court,
    nodes: Vec<TestOracle>,
    _forwarder: Forwarder,
    _keys: tempfile::TempDir,
}

impl Cluster {
    async fn start(server: &Postgres) -> Self {
        Self::with(server, &[("postgres.connections", "6")]).await
    }

    /// The same with other settings.
    async fn with(server: &Postgres, settings: &[(&'static str, &str)]) -> Self {
        let clock = Arc::new(TestClock::at(crate::support::NOW * 1000));
        let keys = tempfile::tempdir().expect("a folder");
        Keys::open(keys.path(), &Sources::default(), &clock, &SystemEntropy, 90).expect("keys are made");
        let (forwarder, database) = (Forwarder::start().await, server.url(&server.database().await));
        let start = || {
            let setup = TestSetup::default().set("database", &database);
            let setup = settings.iter().fold(setup, |setup, (name, value)| setup.set(name, *value));
            let address = format!("http://{}", forwarder.address());
            setup.set("url", address).credentials(keys.path()).clock(clock.clone()).start()
        };
        let mut nodes = vec![start().await, start().await, start().await];
        forwarder.lead_to(nodes.iter().map(|node| Target::Tcp(node.address())));
        let _installed = rustls::crypto::ring::default_provider().install_default();
        // Without connections that are kept, each request makes its own, and that goes to the next node.
        let http = reqwest::Client::builder().no_proxy().pool_max_idle_per_host(0).build().expect("a client");
        let court = Court { oracle: nodes.remove(0), clock, http, deal: dealt(1, 2, 3) };
        Self { court, nodes, _forwarder: forwarder, _keys: keys }
    }

    /// Each of the three.
    fn each(&self) -> impl Iterator<Item = &TestOracle> {
        std::iter::once(&self.court.oracle).chain(&self.nodes)
    }

    /// A request to one of them.
    async fn to(&self, node: &TestOracle, method: Method, path: &str, body: &impl serde::Serialize) -> Answer {
        let request = self.court.http.request(method, format!("http://{}{path}", node.address())).json(body);
        Answer::read(request.send().await.expect("the node answers")).await
    }
}

#[tokio::test]
async fn a_quorum_comes_about_whichever_node_each_request_meets() {
    let Some(server) = postgres::shared() else { return };
    let cluster = Cluster::start(server).await;
    let court = &cluster.court;
    for _ in 0..3 {
        let asked = court.ask(1).await;
        court.join(&asked, 1).await;
        court.join(&asked, 3).await;
        for _ in 0..3 {
            court.assert_code(&asked).await;
        }
        let token = quorate_protocol::session::Kek::from_base64(&asked.credentials.kek).expect("a KEK").cancel_token();
        let path = court.oracle.url(&format!("/sessions/{}", asked.id()));
        let cancelled = court.http.delete(path).bearer_auth(token.as_str()).send().await.expect("an answer");
        assert_eq!(cancelled.status(), StatusCode::NO_CONTENT);
        for _ in 0..3 {
            assert_eq!(court.code(&asked).await.refusal(), (410, "session_cancelled"));
        }
    }
    for node in cluster.each() {
        let kept = std::fs::read_dir(node.folder()).expect("its folder").count();
        assert_eq!(kept, 0, "a node keeps nothing of its own");
        assert_eq!(node.state().keys.fingerprint(), court.oracle.state().keys.fingerprint());
    }
}

#[tokio::test]
async fn a_page_on_one_node_sees_what_another_took() {
    let Some(server) = postgres::shared() else { return };
    let cluster = Cluster::start(server).await;
    let asked = cluster.court.ask(1).await;
    let path = format!("http://{}{}", cluster.nodes[0].address(), asked.path("events"));
    let mut live = cluster.court.http.get(path).send().await.expect("an answer");
    let mut seen = String::new();
    for (event, act) in [("created", None), ("joined", Some(2)), ("joined", Some(3))] {
        if let Some(x) = act {
            let body = asked.approval(&cluster.court.deal.tocs[x - 1]);
            let answer = cluster.to(&cluster.nodes[1], Method::POST, &asked.path("tocs"), &body).await;
            assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        }
        let wanted = seen.matches(&format!("event: {event}")).count() + 1;
        let follow = async {
            while seen.matches(&format!("event: {event}")).count() < wanted {
                let chunk = live.chunk().await.expect("alive").expect("not over");
                seen.push_str(std::str::from_utf8(&chunk).expect("text"));
            }
        };
        tokio::time::timeout(LIVE, follow).await.expect("an event comes as it happens");
    }
}

#[tokio::test]
async fn a_page_outlives_a_moment_in_which_the_store_is_busy() {
    let Some(server) = postgres::shared() else { return };
    let settings = [
        ("postgres.connections", "1"),
        ("postgres.wait_seconds", "1"),
        ("postgres.statement_seconds", "20"),
        ("postgres.operation_seconds", "40"),
    ];
    let cluster = Cluster::with(server, &settings).await;
    let (court, busy, other) = (&cluster.court, &cluster.nodes[0], &cluster.nodes[1]);
    let (held, watched) = (court.ask(1).await, court.ask(1).await);
    let path = format!("http://{}{}", busy.address(), watched.path("events"));
    let mut live = court.http.get(path).send().await.expect("an answer");
    assert!(!live.chunk().await.expect("alive").expect("not over").is_empty());
    let database = busy.state().config.database_url().expect("it is set");
    let client = server.client(database.expose().rsplit('/').next().expect("a name")).await;
    let lock = format!("BEGIN; SELECT FROM sessions WHERE id = '{}' FOR UPDATE", held.id());
    client.batch_execute(&lock).await.expect("nobody else holds it");
    let [hanging, joining] = [&held, &watched].map(|asked| asked.approval(&court.deal.tocs[1]));
    let path = held.path("tocs");
    let hanging = cluster.to(busy, Method::POST, &path, &hanging);
    let meanwhile = async {
        let waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
        while client.query(waiting, &[]).await.expect("an answer").is_empty() {}
        let joined = cluster.to(other, Method::POST, &watched.path("tocs"), &joining).await;
        assert_eq!(joined.status, StatusCode::OK, "{}", joined.text);
        // The page has heard of it and waits for the one connection as long as these do, and longer.
        for _ in 0..2 {
            let refused = cluster.to(busy, Method::GET, &format!("/sessions/{}", watched.id()), &()).await;
            assert_eq!(refused.refusal(), (503, "overloaded"));
        }
        client.batch_execute("ROLLBACK").await.expect("it was held");
    };
    let (joined, ()) = tokio::join!(hanging, meanwhile);
    assert_eq!(joined.status, StatusCode::OK, "{}", joined.text);
    let mut seen = String::new();
    while !seen.contains("event: joined") {
        let chunk = live.chunk().await.expect("alive").expect("not over");
        seen.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
}

#[tokio::test]
async fn two_nodes_handed_the_same_thing_at_once_take_it_once() {
    let Some(server) = postgres::shared() else { return };
    let cluster = Cluster::start(server).await;
    let court = &cluster.court;
    let zero: Value = serde_json::from_slice(&court.deal.tocs[0].to_json()).expect("JSON");
    let request = json!({ "toc_zero": zero, "max_codes": 2, "ttl": 600 });
    let asked = court.post("/sessions", &request).await.asked();
    let nodes: Vec<_> = cluster.each().collect();
    let all = async |path: String, body: Value| {
        join_all((0..12).map(|number| cluster.to(nodes[number % 3], Method::POST, &path, &body))).await
    };
    // The same Toc.
    let approval = serde_json::to_value(asked.approval(&court.deal.tocs[1])).expect("JSON");
    for answer in all(asked.path("tocs"), approval).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    assert_eq!(court.get(&format!("/sessions/{}", asked.id())).await.json["tocs_provided"], 2);
    // The same KEK, for each code that is permitted, the last one included, and for one more.
    let kek = json!({ "kek": asked.credentials.kek.as_str() });
    for _ in 0..2 {
        for answer in all(asked.path("totp"), kek.clone()).await {
            assert_eq!(answer.json["totp"], court.expected_code(), "{}", answer.text);
        }
        court.clock.advance(30_000);
    }
    for answer in all(asked.path("totp"), kek).await {
        assert_eq!(answer.refusal(), (410, "session_exhausted"));
    }
    let follow = court.http.get(court.oracle.url(&asked.path("events"))).send().await.expect("an answer");
    let events = follow.text().await.expect("a stream that ends");
    assert_eq!(events.matches("event: code").count(), 2, "{events}");
    // The applicant's own Toc came with the request.
    for once in ["joined", "exhausted"] {
        assert_eq!(events.matches(&format!("event: {once}")).count(), 1, "{events}");
    }
}

/// Asks again until the answer is as it should be: what was seen of the store holds for a second.
async fn until(ask: impl AsyncFn() -> Answer, wanted: impl Fn(&Answer) -> bool) -> Answer {
    let begun = Instant::now();
    loop {
        let answer = ask().await;
        if wanted(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < SEEN, "{}", answer.text);
    }
}

/// The system's time, and so many milliseconds more.
struct Off(AtomicI64);

impl Clock for Off {
    fn now_ms(&self) -> i64 {
        SystemClock.now_ms() + self.0.load(Ordering::SeqCst)
    }
}

#[tokio::test]
async fn a_node_whose_clock_is_wrong_is_not_ready() {
    let Some(server) = postgres::shared() else { return };
    let clock = Arc::new(Off(AtomicI64::new(0)));
    let database = server.url(&server.database().await);
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let node = TestSetup::default().set("database", database).clock(clock.clone()).start().await;
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let ready = async || Answer::read(http.get(node.url("/readyz")).send().await.expect("an answer")).await;
    for (off, word) in [(0, None), (4_000, Some("ahead of")), (0, None), (-4_000, Some("behind")), (0, None)] {
        clock.0.store(off, Ordering::SeqCst);
        let good = word.is_none();
        let answer = until(ready, |answer| (answer.status == StatusCode::OK) == good).await;
        let Some(word) = word else { continue };
        assert_eq!(answer.refusal(), (503, "clock_skew"));
        let message = answer.json["message"].as_str().expect("a message");
        assert!(message.contains(word) && (message.contains("3.") || message.contains("4.")), "{message}");
        assert_eq!(http.get(node.url("/healthz")).send().await.expect("an answer").status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_node_whose_clock_is_wrong_ends_no_session_and_serves_none() {
    let Some(server) = postgres::shared() else { return };
    let keys = tempfile::tempdir().expect("a folder");
    Keys::open(keys.path(), &Sources::default(), &SystemClock, &SystemEntropy, 90).expect("keys are made");
    let database = server.url(&server.database().await);
    let (right, wrong) = (Arc::new(Off(AtomicI64::new(0))), Arc::new(Off(AtomicI64::new(0))));
    let start = |clock: &Arc<Off>| {
        let setup = TestSetup::default().set("database", &database).set("url", "http://oracle.test");
        setup.credentials(keys.path()).clock(clock.clone()).start()
    };
    let (good, bad) = (start(&right).await, start(&wrong).await);
    let _installed = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().expect("a client");
    let post = async |node: &TestOracle, path: &str, body: &Value| {
        let request = http.post(format!("http://{}{path}", node.address())).json(body);
        Answer::read(request.send().await.expect("an answer")).await
    };
    let (deal, now) = (dealt(1, 2, 2), SystemClock.now());
    let request = |reason: &str| {
        let signed = signed_request("http://oracle.test", &deal.tocs[0], Purpose::Code, None, reason, now);
        serde_json::to_value(signed).expect("JSON")
    };
    let asked = post(&good, "/sessions", &request("first")).await.asked();
    let [first, approval] = [0, 1].map(|toc| serde_json::to_value(asked.approval(&deal.tocs[toc])).expect("JSON"));
    for toc in [&first, &approval] {
        assert_eq!(post(&good, &asked.path("tocs"), toc).await.status, StatusCode::OK);
    }
    let kek = json!({ "kek": asked.credentials.kek.as_str() });
    for off in [2 * 3_600_000, -2 * 3_600_000] {
        wrong.0.store(off, Ordering::SeqCst);
        assert!(!bad.state().sweep().await.expect("the store answers"));
        for (path, body) in [
            ("/sessions".to_owned(), &request("second")),
            (asked.path("tocs"), &approval),
            (asked.path("totp"), &kek),
            (asked.path("redeal"), &kek),
        ] {
            assert_eq!(post(&bad, &path, body).await.refusal(), (503, "clock_skew"), "{path}");
        }
    }
    let code = post(&good, &asked.path("totp"), &kek).await;
    assert_eq!(code.status, StatusCode::OK, "nobody has ended it: {}", code.text);
    wrong.0.store(0, Ordering::SeqCst);
    bad.state().sweep().await.expect("the store answers");
    assert_eq!(post(&bad, &asked.path("totp"), &kek).await.status, StatusCode::OK);
}

/// A clock may differ a little; the sweep goes by the earlier one.
#[tokio::test]
async fn a_node_that_is_a_little_fast_ends_nothing_early() {
    let Some(server) = postgres::shared() else { return };
    let clock = Arc::new(Off(AtomicI64::new(1_900)));
    let database = server.url(&server.database().await);
    let node = TestSetup::default().set("database", database).clock(clock.clone()).start().await;
    let state = node.state();
    let row = |id: &str, ends: i64| store::NewSession {
        id: id.to_owned(),
        purpose: store::Purpose::Code,
        created_at: ends - 1,
        expires_at: ends,
        ttl: 60,
        source: [1; 32],
        group_fp: None,
        cancel_hash: [2; 32],
        view_hash: [3; 32],
        max_codes: None,
        sealed: Vec::new(),
        first_toc: None,
        event: store::NewEvent::new("asked", Vec::new()),
        once: None,
        applicant: None,
        on_expiry: Vec::new(),
        source_cap: i64::MAX,
        unless: None,
    };
    // Over by the node's clock all the time that this test takes, and by the store's not yet.
    let mut ended = 0;
    for round in 0..20 {
        let id = format!("s{round}");
        let ends = SystemClock.now_ms() + 1_000;
        state.store.insert_session(row(&id, ends)).await.expect("inserted");
        state.sweep().await.expect("the store answers");
        let closed = state.store.session(&id).await.expect("read").expect("there").closed_at;
        if SystemClock.now_ms() < ends {
            assert_eq!(closed, None, "not over by the store's clock");
            ended += 1;
        }
    }
    assert!(ended > 0, "this machine is too slow to tell");
    let open = async || state.store.open_sessions().await.expect("counted");
    let begun = Instant::now();
    while open().await > 0 {
        state.sweep().await.expect("the store answers");
        assert!(begun.elapsed() < SEEN, "nobody ends them");
    }
}

#[tokio::test]
async fn a_node_older_than_its_schema_is_not_ready_and_writes_nothing() {
    let Some(server) = postgres::shared() else { return };
    let database = server.database().await;
    let court = Court::with(TestSetup::default().set("database", server.url(&database)), 2, 3).await;
    let asked = court.ask(1).await;
    let step = "INSERT INTO schema_migrations VALUES (91, 'removes', 91, decode(repeat('00', 32), 'hex'))";
    server.run(&database, step).await;
    let ready = async || court.get("/readyz").await;
    until(ready, |answer| answer.refusal() == (503, "newer_schema")).await;
    let approval = asked.approval(&court.deal.tocs[1]);
    assert_eq!(court.post(&asked.path("tocs"), &approval).await.refusal(), (503, "newer_schema"));
    assert!(matches!(
        court.oracle.state().store.put_setting_if_absent("name", vec![1]).await,
        Err(store::StoreError::NewerSchema { needed: 91, .. })
    ));
    assert!(court.oracle.state().sweep().await.is_err());
    assert_eq!(court.get(&format!("/sessions/{}", asked.id())).await.status, StatusCode::OK, "it can be read");
}

#[tokio::test]
async fn a_store_that_is_gone_is_503_with_a_time_to_come_back() {
    let Some(mut server) = Postgres::start(&[]) else { return };
    let database = server.url("postgres");
    let setup = TestSetup::default().set("database", database).set("postgres.operation_seconds", "3");
    let court = Court::with(setup, 2, 3).await;
    let asked = court.ask(1).await;
    server.stop();
    for path in ["/readyz".to_owned(), format!("/sessions/{}", asked.id())] {
        let answer = court.http.get(court.oracle.url(&path)).send().await.expect("an answer");
        assert!(answer.headers().contains_key("retry-after"), "{path}");
        assert_eq!(Answer::read(answer).await.refusal(), (503, "unavailable"), "{path}");
    }
    let body = asked.approval(&court.deal.tocs[0]);
    assert_eq!(court.post(&asked.path("tocs"), &body).await.refusal(), (503, "unavailable"));
    server.start_again();
    while court.post(&asked.path("tocs"), &body).await.status != StatusCode::OK {}
    court.join(&asked, 2).await;
    court.assert_code(&asked).await;
}
