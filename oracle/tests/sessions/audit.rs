//! The audit log of sessions: every step in it with its name, no secret, one number for each whoever numbers, and nothing that
//! can be changed in the tables without being noticed.

use super::support::{Answer, Court, SERVER, URI, signed_request};
use quorate_oracle::service::audit::{AuditError, CHECKPOINT, Entry, Kind, Who};
use quorate_oracle::state::AppState;
use quorate_oracle::testing::TestSetup;
use quorate_protocol::audit::checkpoint::Checkpoint;
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::{Finding, Line, Report, Verifier};
use quorate_protocol::invite::Purpose;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// The whole log as its lines.
async fn export(state: &AppState) -> Vec<String> {
    let (mut lines, mut after) = (Vec::new(), 0);
    loop {
        // Pages of two, so that there are several.
        let page = state.audit.export(after, 2).await.expect("the store answers");
        let mut rows = page.iter().filter_map(|line| match line {
            Line::Row(row) => Some(row.number),
            Line::Head(_) => None,
        });
        let last = rows.next_back();
        lines.extend(page.iter().map(|line| serde_json::to_string(line).expect("plain data")));
        let Some(last) = last else { return lines };
        after = last;
    }
}

fn check(state: &AppState, lines: &[String], older: &[Checkpoint]) -> Report {
    let mut verifier = Verifier::new(vec![state.audit.verifier_key().clone()], older.to_vec());
    for line in lines {
        verifier.push(line);
    }
    verifier.finish()
}

fn events(lines: &[String]) -> Vec<Event> {
    let row = |line: &String| match serde_json::from_str(line).expect("a line") {
        Line::Row(row) => Some(Event::from_leaf(&row.event.expect("it opens")).expect("an event")),
        Line::Head(_) => None,
    };
    lines.iter().filter_map(row).collect()
}

async fn newest(state: &AppState) -> Checkpoint {
    let note = state.audit.newest().await.expect("the store answers").expect("there is one");
    Checkpoint::open(&note, state.audit.verifier_key()).expect("signed")
}

/// A log of several rows under several checkpoints.
async fn court_with_log() -> Court {
    let court = Court::of(2, 3).await;
    let asked = court.ask(1).await;
    court.oracle.state().audit.number_all().await.expect("numbered");
    court.join(&asked, 1).await;
    court.join(&asked, 2).await;
    court.oracle.state().audit.number_all().await.expect("numbered");
    court.assert_code(&asked).await;
    court.oracle.state().audit.number_all().await.expect("numbered");
    court
}

pub async fn every_step_of_a_session_is_told_with_its_name() {
    let court = Court::of(2, 3).await;
    let state = court.oracle.state();
    let asked = court.ask(1).await;
    court.join(&asked, 1).await;
    let denial = asked.denial(&court.deal.tocs[2], "not \u{202e}now\u{1b}[2J");
    assert_eq!(court.post(&asked.path("denials"), &denial).await.status, 204);
    assert_eq!(court.code(&asked).await.refusal().1, "not_quorate");
    court.join(&asked, 2).await;
    // Shown twice, and told once.
    court.assert_code(&asked).await;
    court.assert_code(&asked).await;
    let kek = quorate_protocol::session::Kek::from_base64(&asked.credentials.kek).expect("a KEK");
    let cancel = court.http.delete(court.oracle.url(&format!("/sessions/{}", asked.id())));
    let cancelled = cancel.bearer_auth(kek.cancel_token().as_str()).send().await.expect("answered");
    assert_eq!(Answer::read(cancelled).await.status, 204);
    let late = court.ask(2).await;
    court.clock.advance(3_600_001);
    state.sessions.sweep(quorate_oracle::clock::Clock::now_ms(&*court.clock)).await.expect("swept");

    state.audit.number_all().await.expect("numbered");
    let lines = export(state).await;
    let report = check(state, &lines, &[]);
    assert!(report.is_sound(), "{:?}", report.findings);
    let told: Vec<_> = events(&lines);
    let shown: Vec<_> = told.iter().map(|event| (event.kind.as_str(), event.who.as_str())).collect();
    assert_eq!(
        shown,
        [
            ("session.asked", "holder player 1"),
            ("session.joined", "holder player 1"),
            ("session.denied", "holder player 3"),
            ("session.joined", "holder player 2"),
            ("session.code", "holder player 1"),
            ("session.cancelled", "holder player 1"),
            ("session.asked", "holder player 2"),
            ("session.expired", "oracle"),
        ]
    );
    let session = format!("session {}", asked.id());
    assert!(told[..6].iter().all(|event| event.subject == session && event.source == "127.0.0.1"), "{told:?}");
    assert_eq!((told[7].subject.as_str(), told[7].source.as_str()), (&*format!("session {}", late.id()), ""));
    assert_eq!(told[4].details["tocs_of"], json!(["player 1", "player 2"]));
    assert_eq!(told[4].details["reason"], "close the month");
    assert_eq!(told[2].details["reason"], "not \u{202e}now\u{1b}[2J");
    let text = lines.join("\n");
    assert!(!text.contains('\u{202e}') && !text.contains('\u{1b}'), "what deceives the eye is escaped");
}

pub async fn no_secret_is_in_the_log() {
    let court = Court::of(2, 3).await;
    let state = court.oracle.state();
    let asked = court.ask(1).await;
    for x in [1, 2] {
        court.join(&asked, x).await;
    }
    let answer = court.assert_code(&asked).await;
    state.audit.number_all().await.expect("numbered");
    let text = export(state).await.join("\n");
    assert!(text.contains("session.code"), "{text}");
    let read = |name: &str| std::fs::read_to_string(court.oracle.folder().join(name)).expect("made on first start");
    let mut secrets = vec![
        asked.credentials.kek.to_string(),
        answer.json["totp"].as_str().expect("a code").to_owned(),
        URI.to_owned(),
        "JBSWY3DPEHPK3PXP".to_owned(),
        asked.invite.view_token(),
        asked.credentials.invite.split_once('#').expect("a link").1.to_owned(),
    ];
    secrets.extend(["root.secret", "audit.key", "invite.key", "gateway.key"].map(|name| read(name).trim().to_owned()));
    for toc in &court.deal.tocs {
        let json = String::from_utf8(toc.to_short_json().to_vec()).expect("JSON");
        let share = serde_json::from_str::<serde_json::Value>(&json).expect("JSON")["share"].clone();
        secrets.push(share.as_str().expect("base64").to_owned());
    }
    for secret in secrets {
        assert!(!text.contains(&secret), "{secret} is in {text}");
    }
}

pub async fn strangers_have_a_budget_and_the_rest_is_counted() {
    let setup = TestSetup::default().set("audit.per_source", "3");
    let court = Court::with(setup, 2, 3).await;
    let state = court.oracle.state();
    let mut last = None;
    for _ in 0..5 {
        last = Some(court.ask(1).await);
    }
    // What needs a proof of this very session is told all the same.
    court.join(&last.expect("asked"), 2).await;
    state.audit.record_counts().await.expect("the store answers");
    state.audit.number_all().await.expect("numbered");
    let told = events(&export(state).await);
    let kinds: Vec<_> = told.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["session.asked", "session.asked", "session.asked", "session.joined", "audit.counted"]);
    assert_eq!(told[4].details["session.asked"], 2);
}

pub async fn what_was_refused_is_no_event() {
    let court = Court::of(2, 3).await;
    let now = court.clock_seconds();
    let mut request = signed_request(&court.oracle.url(""), &court.deal.tocs[0], Purpose::Code, None, "why", now);
    assert_eq!(court.post("/sessions", &request).await.status, 200);
    assert_eq!(court.post("/sessions", &request).await.refusal().1, "proof_used");
    request.reason = Some("another".to_owned());
    assert_eq!(court.post("/sessions", &request).await.refusal().1, "bad_proof");
    let state = court.oracle.state();
    state.audit.number_all().await.expect("numbered");
    assert_eq!(events(&export(state).await).len(), 1);
}

/// The tables as their administrator sees them.
enum Tables {
    Postgres(tokio_postgres::Client),
    Sqlite(rusqlite::Connection),
}

impl Tables {
    async fn of(court: &Court) -> Self {
        match SERVER.try_with(|server| *server) {
            Ok(server) => {
                let url = court.oracle.state().config.database.as_ref().expect("set").expose().to_owned();
                let path = url.split('?').next().unwrap_or_default();
                Self::Postgres(server.client(path.rsplit('/').next().expect("a name")).await)
            }
            Err(_unset) => {
                Self::Sqlite(rusqlite::Connection::open(court.oracle.folder().join("quorate.db")).expect("opened"))
            }
        }
    }

    async fn run(&self, sql: &str) {
        match self {
            Self::Postgres(client) => client.batch_execute(sql).await.expect("done"),
            Self::Sqlite(connection) => connection.execute_batch(sql).expect("done"),
        }
    }

    /// The bytes of a column in the row where `key` is `at`.
    async fn bytes(&self, table: &str, column: &str, key: &str, at: i64) -> Vec<u8> {
        let sql = format!("SELECT {column} FROM {table} WHERE {key} = {at}");
        match self {
            Self::Postgres(client) => client.query_one(&sql, &[]).await.expect("there").get(0),
            Self::Sqlite(connection) => connection.query_row(&sql, [], |row| row.get(0)).expect("there"),
        }
    }

    async fn put(&self, table: &str, column: &str, key: &str, at: i64, bytes: &[u8]) {
        let hex = data_encoding::HEXLOWER.encode(bytes);
        let value = match self {
            Self::Postgres(_) => format!("decode('{hex}', 'hex')"),
            Self::Sqlite(_) => format!("X'{hex}'"),
        };
        self.run(&format!("UPDATE {table} SET {column} = {value} WHERE {key} = {at}")).await;
    }
}

pub async fn no_byte_of_the_tables_is_changed_unnoticed() {
    let court = court_with_log().await;
    let (state, tables) = (court.oracle.state(), Tables::of(&court).await);
    let sound = export(state).await;
    assert!(check(state, &sound, &[]).is_sound());
    let rows = i64::try_from(events(&sound).len()).expect("few");
    assert_eq!(rows, 4);

    for (table, column, key, ats) in [
        ("audit_log", "hash", "number", vec![1, 2, 3, 4]),
        ("audit_log", "sealed", "number", vec![1, 2, 3, 4]),
        ("audit_checkpoints", "note", "size", vec![1, 3, 4]),
        ("audit_checkpoints", "frontier", "size", vec![4]),
    ] {
        for at in ats {
            let whole = tables.bytes(table, column, key, at).await;
            for place in (0..whole.len()).step_by(whole.len().div_ceil(16)) {
                let mut damaged = whole.clone();
                damaged[place] ^= 1;
                tables.put(table, column, key, at, &damaged).await;
                let report = check(state, &export(state).await, &[]);
                let named = match column {
                    "hash" => Finding::Changed { row: at },
                    "sealed" => Finding::Unreadable { row: at },
                    "note" => Finding::HeadChanged { size: at },
                    _ => Finding::StateChanged { size: at },
                };
                assert!(report.findings.contains(&named), "{table}.{column} {at} {place}: {:?}", report.findings);
            }
            tables.put(table, column, key, at, &whole).await;
        }
    }
    for (sql, back, named) in [
        (
            "UPDATE audit_log SET number = 1002 WHERE number = 2",
            "UPDATE audit_log SET number = 2 WHERE number = 1002",
            Finding::Missing { first: 2, last: 2 },
        ),
        (
            "UPDATE audit_checkpoints SET size = 2 WHERE size = 1",
            "UPDATE audit_checkpoints SET size = 1 WHERE size = 2",
            Finding::HeadChanged { size: 2 },
        ),
        (
            "UPDATE audit_checkpoints SET previous = 2 WHERE size = 3",
            "UPDATE audit_checkpoints SET previous = 1 WHERE size = 3",
            Finding::HeadMissing { after: 1, before: 3 },
        ),
    ] {
        tables.run(sql).await;
        let report = check(state, &export(state).await, &[]);
        assert!(report.findings.contains(&named), "{sql}: {:?}", report.findings);
        tables.run(back).await;
    }
    assert_eq!(export(state).await, sound, "all is back");

    // Two rows change places, their hashes with them.
    tables.run("UPDATE audit_log SET number = 9 WHERE number = 2").await;
    tables.run("UPDATE audit_log SET number = 2 WHERE number = 3").await;
    tables.run("UPDATE audit_log SET number = 3 WHERE number = 9").await;
    let report = check(state, &export(state).await, &[]);
    assert_eq!(report.findings[..2], [2, 3].map(|row| Finding::Unreadable { row }));
}

pub async fn a_cut_tail_shows_against_an_older_checkpoint() {
    let court = court_with_log().await;
    let (state, tables) = (court.oracle.state(), Tables::of(&court).await);
    let older = newest(state).await;
    tables.run("DELETE FROM audit_log WHERE number > 3; DELETE FROM audit_checkpoints WHERE size > 3").await;
    let cut = export(state).await;
    assert!(check(state, &cut, &[]).is_sound());
    assert_eq!(check(state, &cut, &[older]).findings, [Finding::Truncated { last: 3, size: 4 }]);

    tables.run("DELETE FROM audit_log WHERE number > 2").await;
    assert_eq!(check(state, &export(state).await, &[]).findings, [Finding::Missing { first: 3, last: 3 }]);
}

pub async fn what_was_altered_is_neither_believed_nor_signed() {
    let court = Court::of(2, 3).await;
    let (state, tables) = (court.oracle.state(), Tables::of(&court).await);
    let note = |word: &'static str| Entry::new(Kind::OracleStarted, Who::Oracle).with("word", word);
    for word in ["one", "two", "three"] {
        state.audit.record(note(word)).await.expect("written");
    }
    let mut sealed = tables.bytes("audit_pending", "sealed", "number", 2).await;
    sealed[30] ^= 1;
    tables.put("audit_pending", "sealed", "number", 2, &sealed).await;
    state.audit.number_all().await.expect("numbered");
    let lines = export(state).await;
    assert!(check(state, &lines, &[]).is_sound());
    let kinds: Vec<_> = events(&lines).into_iter().map(|event| event.kind).collect();
    assert_eq!(kinds, ["oracle.started", "audit.damaged", "oracle.started"], "that one is lost, and it is told");

    for column in ["note", "frontier"] {
        state.audit.record(note("four")).await.expect("written");
        let whole = tables.bytes("audit_checkpoints", column, "size", 3).await;
        let mut damaged = whole.clone();
        damaged[40] ^= 1;
        tables.put("audit_checkpoints", column, "size", 3, &damaged).await;
        let refused = state.audit.number_all().await;
        assert!(matches!(refused, Err(AuditError::Altered(_))), "{column}: {refused:?}");
        tables.put("audit_checkpoints", column, "size", 3, &whole).await;
    }
    state.audit.number_all().await.expect("it goes on when it is put back");
    assert_eq!(events(&export(state).await).len(), 5);
}

pub async fn a_log_that_was_set_back_is_not_gone_on_with() {
    let court = Court::of(2, 3).await;
    let (state, tables) = (court.oracle.state(), Tables::of(&court).await);
    let note = async |word: &'static str| {
        state.audit.record(Entry::new(Kind::OracleStarted, Who::Oracle).with("word", word)).await.expect("written");
    };
    for word in ["one", "two"] {
        note(word).await;
    }
    state.audit.number_all().await.expect("numbered");
    let frontier = tables.bytes("audit_checkpoints", "frontier", "size", 2).await;
    note("three").await;
    state.audit.number_all().await.expect("numbered");
    // What was there before is put back, so that nothing in it is wrong.
    tables.run("DELETE FROM audit_log WHERE number > 2; DELETE FROM audit_checkpoints WHERE size > 2").await;
    tables.put("audit_checkpoints", "frontier", "size", 2, &frontier).await;
    note("another three").await;
    let refused = state.audit.number_all().await;
    assert!(matches!(refused, Err(AuditError::Behind { met: 3, kept: 2 })), "{refused:?}");
    // A node that has met nothing goes on from what it finds. Those that know better do not follow, however long it gets.
    let other = AppState::open(state.config.clone(), state.url.clone()).await.expect("it starts");
    other.audit.number_all().await.expect("numbered");
    let refused = state.audit.number_all().await;
    assert!(matches!(refused, Err(AuditError::Behind { met: 3, kept: 3 })), "{refused:?}");
    for word in ["four", "five"] {
        note(word).await;
        other.audit.number_all().await.expect("numbered");
        let refused = state.audit.number_all().await;
        assert!(matches!(refused, Err(AuditError::Altered(_))), "{refused:?}");
    }
    other.store.shutdown().await;
    tables.run("DELETE FROM audit_log; DELETE FROM audit_checkpoints").await;
    let refused = state.audit.number_all().await;
    assert!(matches!(refused, Err(AuditError::Behind { met: 3, kept: 0 })), "{refused:?}");
    assert_eq!(export(state).await.len(), 0, "nothing was numbered");
}

pub async fn a_row_in_the_way_of_the_next_one_is_told_and_ends() {
    let court = court_with_log().await;
    let (state, tables) = (court.oracle.state(), Tables::of(&court).await);
    let (none, sound) = (["X''", "''"][usize::from(matches!(tables, Tables::Postgres(_)))], export(state).await);
    tables
        .run(&format!("INSERT INTO audit_checkpoints (size, previous, note, frontier) VALUES (-1, 4, {none}, {none})"))
        .await;
    state.audit.record(Entry::new(Kind::OracleStarted, Who::Oracle)).await.expect("written");
    let refused = state.audit.number_all().await;
    assert!(matches!(refused, Err(AuditError::Altered(_))), "{refused:?}");
    assert_eq!(export(state).await, sound);
    tables.run("DELETE FROM audit_checkpoints WHERE size < 0").await;
    state.audit.number_all().await.expect("it goes on when it is taken away");
    assert_eq!(events(&export(state).await).len(), 5);
}

pub async fn two_nodes_number_at_once() {
    let court = Court::of(2, 3).await;
    let one = court.oracle.state();
    let two = AppState::open(one.config.clone(), one.url.clone()).await.expect("a second node of the same oracle");
    let write = async |node: &AppState, name: &str| {
        for number in 0..40 {
            let entry = Entry::new(Kind::OracleStarted, Who::Oracle).to(name).with("number", number);
            node.audit.record(entry).await.expect("written");
            node.audit.number().await.expect("numbered");
        }
        node.audit.number_all().await.expect("numbered");
    };
    tokio::join!(write(one, "one"), write(&two, "two"), write(one, "three"), write(&two, "four"));
    let lines = export(&two).await;
    let report = check(one, &lines, &[newest(one).await]);
    assert!(report.is_sound(), "{:?}", report.findings);
    let told = events(&lines);
    assert_eq!(told.len(), 160);
    for name in ["one", "two", "three", "four"] {
        let numbers: Vec<_> =
            told.iter().filter(|event| event.subject == name).map(|event| &event.details["number"]).collect();
        assert!(numbers.iter().enumerate().all(|(place, number)| **number == place), "{name}: {numbers:?}");
    }
    two.store.shutdown().await;
}

pub async fn checkpoints_are_published_and_never_taken_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(CHECKPOINT);
    let setup = TestSetup::default().set("audit.checkpoints", folder.path().to_str().expect("UTF-8"));
    let court = Court::with(setup, 2, 3).await;
    let state = court.oracle.state();
    assert!(!state.audit.publish().await.expect("nothing to do"), "there is none yet");
    court.ask(1).await;
    state.audit.number_all().await.expect("numbered");
    assert!(state.audit.publish().await.expect("published"));
    assert!(!state.audit.publish().await.expect("nothing to do"), "once");
    let published = std::fs::read_to_string(&path).expect("it is there");
    assert_eq!(Checkpoint::open(&published, state.audit.verifier_key()), Ok(newest(state).await));

    // The database is set back, or another one is put in its place.
    let ahead = Checkpoint { size: 99, ..newest(state).await }.sign(state.keys.audit_key());
    std::fs::write(&path, &ahead).expect("written");
    court.ask(1).await;
    let restarted = AppState::open(state.config.clone(), state.url.clone()).await.expect("it starts");
    for refused in [restarted.audit.number_all().await, restarted.audit.publish().await.map(drop)] {
        assert!(matches!(refused, Err(AuditError::Behind { met: 99, kept: 1 })), "{refused:?}");
    }
    restarted.store.shutdown().await;
    state.audit.number_all().await.expect("numbered");
    let refused = state.audit.publish().await;
    assert!(matches!(refused, Err(AuditError::Behind { met: 99, kept: 2 })), "{refused:?}");
    assert_eq!(std::fs::read_to_string(&path).expect("it is there"), ahead);
    // Junk is not believed.
    std::fs::write(&path, "junk").expect("written");
    assert!(state.audit.publish().await.expect("published"));
    std::fs::remove_dir_all(folder.path()).expect("gone");
    court.ask(1).await;
    state.audit.number_all().await.expect("numbered");
    assert!(matches!(state.audit.publish().await, Err(AuditError::Folder(_))));
}

pub async fn checkpoints_are_posted_where_they_may_go_until_they_are_taken() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let url = format!("http://{}/hook?of=1", listener.local_addr().expect("an address"));
    let setup = || TestSetup::default().set("audit.webhook", url.clone()).set("webhooks.seconds", "50");
    let numbered = async |court: &Court| {
        court.ask(1).await;
        court.oracle.state().audit.number_all().await.expect("numbered");
    };
    let shy = Court::with(setup(), 2, 3).await;
    numbered(&shy).await;
    let refused = shy.oracle.state().audit.post().await;
    assert!(matches!(refused, Err(AuditError::Unreachable(_))), "{refused:?}");

    let court = Court::with(setup().set("webhooks.allow", "127.0.0.1"), 2, 3).await;
    let state = court.oracle.state();
    assert!(!state.audit.post().await.expect("nothing to do"), "there is none yet");
    numbered(&court).await;
    for status in ["503 Service Unavailable", "302 Found", "204 No Content"] {
        let (posted, asked) = tokio::join!(state.audit.post(), answer_one(&listener, status));
        assert!(asked.starts_with("POST /hook?of=1 HTTP/1.1"), "{asked}");
        let note = asked.split_once("\r\n\r\n").expect("a body").1;
        assert_eq!(Checkpoint::open(note, state.audit.verifier_key()), Ok(newest(state).await));
        if status.starts_with("204") {
            assert!(posted.expect("taken"));
        } else {
            assert!(matches!(posted, Err(AuditError::NotTaken(302 | 503))), "{posted:?}");
        }
    }
    assert!(!state.audit.post().await.expect("nothing to do"), "once");
    // A node that has not looked yet whether the log goes on from what it knows posts nothing of it.
    let fresh = AppState::open(state.config.clone(), state.url.clone()).await.expect("it starts");
    assert!(!fresh.audit.post().await.expect("nothing to do"));
    fresh.store.shutdown().await;
}

/// Answers one request with that status, and gives the request.
async fn answer_one(listener: &tokio::net::TcpListener, status: &str) -> String {
    let (mut stream, _) = listener.accept().await.expect("somebody comes");
    let (mut bytes, mut asked) = (vec![], String::new());
    while !asked.contains("\n\n— ") || !asked.ends_with('\n') {
        let length = stream.read_buf(&mut bytes).await.expect("readable");
        assert!(length > 0, "it stopped in the middle: {asked}");
        asked = String::from_utf8_lossy(&bytes).into_owned();
    }
    stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()).await.expect("writable");
    asked
}
