//! The oracle's program killed at the worst moments, and on a disk without room: what it has acknowledged is kept, what it
//! may give only so often is given no oftener, and it goes on as soon as it can.

#[path = "support/plain.rs"]
mod plain;
#[path = "process/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod process;
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod support;

use plain::{URL, ask, asked, code, dealt, join, json_of};
use process::{Answer, Connection, Oracle};
use quorate_protocol::audit::checkpoint::VerifierKey;
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::{Line, Verifier};
use rustix::process::{Pid, Resource, Rlimit};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use support::Asked;

const SETTINGS: [(&str, &str); 2] = [("URL", URL), ("SESSIONS_OPEN_PER_SOURCE", "100000")];

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_quorate-oracle"))
}

fn start(state: &Path) -> Oracle {
    Oracle::start(program(), state, &SETTINGS)
}

/// Killed after each acknowledged step; every next step goes on where the last one ended.
#[test]
fn what_was_acknowledged_survives_each_kill() {
    let (folder, deal) = (tempfile::tempdir().expect("a folder"), dealt());
    let mut oracle = start(folder.path());
    for round in 0..3 {
        let asked = asked(&ask(&mut oracle.connect(), &deal, &format!("round {round}")).expect("an answer"));
        for (before, x) in [2, 3].into_iter().enumerate() {
            oracle.kill();
            oracle = start(folder.path());
            let mut connection = oracle.connect();
            let seen = connection.request("GET", &format!("/sessions/{}", asked.id()), "", b"");
            assert_eq!(json_of(&seen)["tocs_provided"], before, "{}", seen.body);
            assert_eq!(join(&mut connection, &asked, &deal, x).expect("an answer").status, 200);
        }
        oracle.kill();
        oracle = start(folder.path());
        let answer = code(&mut oracle.connect(), &asked).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
        // The session's end was fixed with the first code, and a later code does not move it.
        let end = json_of(&answer)["session_expires_at"].clone();
        oracle.kill();
        oracle = start(folder.path());
        let again = code(&mut oracle.connect(), &asked).expect("an answer");
        assert_eq!(json_of(&again)["session_expires_at"], end, "{}", again.body);
    }
}

/// What was acknowledged is in the audit log, even when nobody had the time to number it.
#[test]
fn what_was_acknowledged_is_in_the_audit_log() {
    let (folder, deal) = (tempfile::tempdir().expect("a folder"), dealt());
    let mut oracle = start(folder.path());
    let mut expected = Vec::new();
    for round in 0..5 {
        let answer = ask(&mut oracle.connect(), &deal, &format!("round {round}")).expect("an answer");
        oracle.kill();
        expected.push(format!("session {}", asked(&answer).id()));
        if round < 4 {
            oracle = start(folder.path());
        }
    }
    let exported = Command::new(program()).env_clear().args(["audit", "export", "--state"]).arg(folder.path()).output();
    let exported = exported.expect("the program runs");
    assert!(exported.status.success(), "{}", String::from_utf8_lossy(&exported.stderr));
    let (mut verifier, mut told) = (Verifier::new(vec![audit_key(folder.path())], Vec::new()), Vec::new());
    for line in String::from_utf8(exported.stdout).expect("UTF-8").lines() {
        if let Some(Line::Row(row)) = verifier.push(line) {
            let event = Event::from_leaf(&row.event.expect("it opens")).expect("an event");
            if event.kind == "session.asked" {
                told.push(event.subject);
            }
        }
    }
    let report = verifier.finish();
    assert!(report.is_sound(), "{:?}", report.findings);
    assert_eq!(told, expected);
}

fn audit_key(state: &Path) -> VerifierKey {
    let key = Command::new(program()).env_clear().args(["audit", "key", "--state"]).arg(state).output();
    let key = String::from_utf8(key.expect("the program runs").stdout).expect("UTF-8");
    key.trim().parse().expect("a verifier key")
}

/// Four clients ask for codes as fast as they can while the oracle is killed over and over: all together see as many
/// different codes as the session may give.
#[test]
fn no_kill_gives_a_code_beyond_the_allowance() {
    const ALLOWED: usize = 3;
    const ROUNDS: usize = 40;
    let (folder, deal) = (tempfile::tempdir().expect("a folder"), dealt());
    let settings = [SETTINGS.as_slice(), &[("SESSIONS_MAX_CODES", "3")]].concat();
    let mut oracle = Oracle::start(program(), folder.path(), &settings);
    let mut connection = oracle.connect();
    let asked = asked(&ask(&mut connection, &deal, "").expect("an answer"));
    for x in [1, 3] {
        assert_eq!(join(&mut connection, &asked, &deal, x).expect("an answer").status, 200);
    }
    let (codes, mut exhausted, mut rounds) = (Mutex::new(BTreeSet::new()), false, 0);
    while !exhausted {
        rounds += 1;
        let (address, answered, over) = (oracle.address(), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    let mut connection = Connection::to(address);
                    while let Ok(answer) = code(&mut connection, &asked) {
                        match answer.status {
                            200 => {
                                let code = json_of(&answer)["totp"].as_str().expect("a code").to_owned();
                                codes.lock().expect("no holder panics").insert(code);
                            }
                            // A neighbour got the code of a later second.
                            409 => assert_eq!(json_of(&answer)["code"], "stale_step", "{}", answer.body),
                            410 => {
                                assert_eq!(json_of(&answer)["code"], "session_exhausted", "{}", answer.body);
                                over.fetch_add(1, Ordering::Relaxed);
                                return;
                            }
                            other => panic!("{other}: {}", answer.body),
                        }
                        answered.fetch_add(1, Ordering::Relaxed);
                    }
                });
            }
            // In the middle of their requests, each round a little later.
            while answered.load(Ordering::Relaxed) < 20 * (rounds % ROUNDS) && over.load(Ordering::Relaxed) == 0 {
                std::thread::yield_now();
            }
            if over.load(Ordering::Relaxed) == 0 {
                oracle.kill();
            }
        });
        exhausted = over.load(Ordering::Relaxed) > 0;
        if !exhausted {
            oracle = Oracle::start(program(), folder.path(), &settings);
        }
    }
    let codes = codes.into_inner().expect("no holder panics");
    // A code that was consumed for an answer that the kill cut off is lost; none is ever won.
    assert!((1..=ALLOWED).contains(&codes.len()), "{codes:?} in {rounds} rounds");
}

/// Killed while four clients start and join sessions: every session whose answer arrived is there, with every Toc whose
/// answer arrived, and gives its code.
#[test]
fn nothing_acknowledged_under_load_is_lost() {
    let (folder, deal) = (tempfile::tempdir().expect("a folder"), dealt());
    let kept: Mutex<Vec<(Arc<Asked>, usize)>> = Mutex::default();
    for round in 1..=3 {
        let mut oracle = start(folder.path());
        let (address, answered) = (oracle.address(), AtomicUsize::new(0));
        let client = |client: usize| -> std::io::Result<()> {
            let mut connection = Connection::to(address);
            for number in 0.. {
                let asked = Arc::new(asked(&ask(&mut connection, &deal, &format!("{round}-{client}-{number}"))?));
                let at = {
                    let mut kept = kept.lock().expect("no holder panics");
                    kept.push((Arc::clone(&asked), 0));
                    kept.len() - 1
                };
                for x in [1, 2] {
                    assert_eq!(join(&mut connection, &asked, &deal, x)?.status, 200);
                    kept.lock().expect("no holder panics")[at].1 += 1;
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            let client = &client;
            for number in 0..4 {
                scope.spawn(move || client(number));
            }
            while answered.load(Ordering::Relaxed) < 40 * round {
                std::thread::yield_now();
            }
            oracle.kill();
        });
    }
    let oracle = start(folder.path());
    let (mut connection, mut whole) = (oracle.connect(), 0);
    for (asked, acknowledged) in kept.into_inner().expect("no holder panics") {
        let seen = connection.request("GET", &format!("/sessions/{}", asked.id()), "", b"");
        let provided = json_of(&seen)["tocs_provided"].as_u64().unwrap_or_else(|| panic!("{}", seen.body));
        assert!(provided >= acknowledged as u64, "{provided} of {acknowledged}");
        if provided == 2 {
            let answer = code(&mut connection, &asked).expect("an answer");
            assert_eq!(answer.status, 200, "{}", answer.body);
            whole += 1;
        }
    }
    assert!(whole >= 40, "{whole}");
}

/// A file system of its own, filled up and emptied while the oracle serves.
#[test]
fn a_full_disk_is_said_and_survived() {
    const PREPARE: &str = r#"
        mount -t tmpfs -o size=4m,mode=700 none "$QUORATE_STATE" || exit 1
        "$0" serve >/dev/null &
        while read -r what; do
            case $what in
                fill) cat /dev/zero >"$QUORATE_STATE/filler" 2>/dev/null ;;
                free) rm "$QUORATE_STATE/filler" ;;
            esac
            echo done
        done"#;
    let folder = tempfile::tempdir().expect("a folder");
    // Root needs no user namespace; and all that was started ends with the first process.
    let user: &[&str] = if rustix::process::geteuid().is_root() { &[] } else { &["-r"] };
    let unshare = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(user).args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", script]);
        command
    };
    let mount = format!("mount -t tmpfs none {}", folder.path().display());
    if !unshare(&mount).stderr(Stdio::null()).status().is_ok_and(|status| status.success()) {
        println!("skipped: no file system can be mounted here; the limit on the size of files is tested all the same");
        return;
    }
    let mut shell = unshare(PREPARE);
    shell.arg(program()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut oracle = Oracle::spawn(&mut shell, folder.path(), &SETTINGS);
    let (mut orders, said) = oracle.pipes();
    let mut said = BufReader::new(said);
    let connection = oracle.connect();
    let mut tell = |what: &str| {
        orders.write_all(what.as_bytes()).expect("the shell lives");
        let mut line = String::new();
        said.read_line(&mut line).expect("the shell lives");
        assert_eq!(line, "done\n");
    };
    without_room(connection, |room| tell(if room { "free\n" } else { "fill\n" }));
}

/// The same where nothing can be mounted: files may not grow.
#[test]
fn files_that_may_not_grow_are_said_and_survived() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut shell = Command::new("sh");
    // Ignored signals stay ignored in the program: writing too much is an error, and no end.
    shell.args(["-c", r#"trap "" XFSZ; exec "$0" serve"#]).arg(program());
    let oracle = Oracle::spawn(&mut shell, folder.path(), &SETTINGS);
    let process = Pid::from_raw(i32::try_from(oracle.id()).expect("a process id")).expect("a process id");
    let limit = |bytes| {
        let limit = Rlimit { current: bytes, maximum: None };
        rustix::process::prlimit(Some(process), Resource::Fsize, limit).expect("one's own child can be limited");
    };
    without_room(oracle.connect(), |room| limit((!room).then_some(4096)));
}

/// What an oracle does when `room` takes away its room and gives it back.
fn without_room(mut connection: Connection, mut room: impl FnMut(bool)) {
    let deal = dealt();
    let before = asked(&ask(&mut connection, &deal, "with room").expect("an answer"));
    assert_eq!(join(&mut connection, &before, &deal, 1).expect("an answer").status, 200);

    room(false);
    // What has been allocated may serve a few.
    let mut full = (0..100).map(|number| ask(&mut connection, &deal, &number.to_string()).expect("an answer"));
    let refusal = full.find(|answer| answer.status != 200).expect("no room lasts for ever");
    assert_unavailable(&refusal);
    for number in 0..8 {
        assert_unavailable(&ask(&mut connection, &deal, &format!("full {number}")).expect("an answer"));
    }
    assert_unavailable(&join(&mut connection, &before, &deal, 2).expect("an answer"));
    assert_eq!(connection.request("GET", "/healthz", "", b"").status, 200);
    let seen = connection.request("GET", &format!("/sessions/{}", before.id()), "", b"");
    assert_eq!(json_of(&seen)["tocs_provided"], 1, "{}", seen.body);

    room(true);
    let after = asked(&ask(&mut connection, &deal, "full 0").expect("an answer"));
    for (asked, xs) in [(&before, &[2][..]), (&after, &[1, 3])] {
        for x in xs {
            assert_eq!(join(&mut connection, asked, &deal, *x).expect("an answer").status, 200);
        }
        let answer = code(&mut connection, asked).expect("an answer");
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

fn assert_unavailable(answer: &Answer) {
    let body = json_of(answer);
    let word = body["code"].as_str().expect("a word");
    assert!(answer.status == 503 && ["unavailable", "overloaded"].contains(&word), "{}", answer.body);
    assert_eq!((&body["status"], &body["message"]), (&json!(503), &body["error"]), "{}", answer.body);
}
