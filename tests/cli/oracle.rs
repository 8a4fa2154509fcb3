//! Trusting an oracle, against one that says whatever a test wants it to say.

use crate::home::{Home, SECRET};
use ed25519_dalek::SigningKey;
use quorate_protocol::api::{OracleDescription, fingerprint};
use quorate_protocol::invite::{Certificate, CertifiedKind};
use rexpect::session::spawn_command;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

/// How long a line on a terminal may take, in milliseconds.
const LIMIT_MS: u64 = 60_000;

/// Answers every request with one description, on a port of its own, until the test ends.
struct Oracle {
    listener: TcpListener,
    url: String,
}

impl Oracle {
    fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        Self { listener, url }
    }

    fn describe(&self, key: &SigningKey) -> OracleDescription {
        let root_key = key.verifying_key().to_bytes().to_vec();
        OracleDescription {
            version: 1,
            url: self.url.clone(),
            fingerprint: fingerprint(&root_key),
            root_key: root_key.into(),
            certificates: Vec::new(),
            time: now(),
        }
    }

    /// Runs `test` while the oracle says `description`.
    fn saying<T>(&self, description: &OracleDescription, test: impl FnOnce() -> T) -> T {
        let body = serde_json::to_string(description).expect("plain data");
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        let listener = self.listener.try_clone().expect("a handle");
        let server = std::thread::spawn(move || {
            loop {
                let (stream, _) = listener.accept().expect("a connection");
                let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
                // A connection without a request ends the server.
                if lines.by_ref().take_while(|line| !line.is_empty()).count() == 0 {
                    return;
                }
                // A client that has gone away has had enough.
                let _ = (&stream).write_all(answer.as_bytes());
            }
        });
        let result = test();
        let address = self.listener.local_addr().expect("an address");
        drop(std::net::TcpStream::connect(address).expect("the server listens"));
        server.join().expect("the server ended");
        result
    }
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

#[test]
fn an_oracle_is_trusted_by_its_fingerprint_and_then_dealt_for() {
    let (home, oracle) = (Home::new(), Oracle::new());
    let description = oracle.describe(&key(1));
    let typed = description.fingerprint.to_lowercase().replace('-', " ");
    let trust = ["oracle", "trust", &format!("{}/", oracle.url), "--fingerprint", &typed, "--json"];
    let shown = oracle.saying(&description, || home.ok(&trust, ""));
    let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
    assert_eq!(shown["url"], oracle.url.as_str());
    assert_eq!(shown["fingerprint"], description.fingerprint.as_str());
    let store = home.path(".config/quorate/oracles.toml");
    assert_eq!(fs::metadata(&store).expect("there").permissions().mode() & 0o777, 0o600);
    assert!(home.ok(&["oracle", "list"], "").contains(&oracle.url));
    assert!(home.ok(&["oracle", "show"], "").contains(&description.fingerprint));

    let players = Home::players(&["ann", "bob"]);
    let mut deal: Vec<&str> = vec!["--json", "deal", "-t", "2", "-o", "out", "--oracle", &oracle.url];
    deal.extend(players.iter().map(String::as_str));
    let dealt: serde_json::Value = serde_json::from_str(&home.ok(&deal, SECRET)).expect("JSON");
    assert_eq!(dealt["oracle"]["fingerprint"], description.fingerprint.as_str());
}

#[test]
fn without_the_right_fingerprint_nothing_is_trusted() {
    let (home, oracle) = (Home::new(), Oracle::new());
    let description = oracle.describe(&key(1));
    oracle.saying(&description, || {
        let said = home.fails(1, &["oracle", "trust", &oracle.url, "--fingerprint", &fingerprint(&[9; 32])], "");
        assert!(said.contains("hint: do not trust it"), "{said}");
    });
    let wrong = OracleDescription { fingerprint: fingerprint(&[9; 32]), ..description.clone() };
    oracle.saying(&wrong, || {
        let said = home.fails(1, &["oracle", "trust", &oracle.url, "--fingerprint", &fingerprint(&[9; 32])], "");
        assert!(said.contains("its fingerprint is not that of its root key"), "{said}");
    });
    let elsewhere = OracleDescription { url: "https://oracle.example".to_owned(), ..description.clone() };
    oracle.saying(&elsewhere, || {
        let said = home.fails(1, &["oracle", "trust", &oracle.url, "--fingerprint", &description.fingerprint], "");
        assert!(said.contains("`quorate oracle trust https://oracle.example`"), "{said}");
    });
    assert!(!home.path(".config/quorate/oracles.toml").exists());
}

#[test]
fn without_a_fingerprint_a_person_compares() {
    let (home, oracle) = (Home::new(), Oracle::new());
    let description = oracle.describe(&key(1));
    let trusted = home.path(".config/quorate/oracles.toml");
    for (answer, trusts) in [("", false), ("yes", true)] {
        oracle.saying(&description, || {
            let command = home.command(&["oracle", "trust", &oracle.url]);
            let mut terminal = spawn_command(command, Some(LIMIT_MS)).expect("a terminal");
            terminal.exp_string(&description.fingerprint).expect("the fingerprint");
            terminal.exp_string("Is it the same? [y/N]").expect("the question");
            terminal.send_line(answer).expect("typed");
            let said = terminal.exp_eof().expect("ended");
            assert_eq!(said.contains("is trusted from now on"), trusts, "{said}");
        });
        assert_eq!(trusted.exists(), trusts);
    }
}

#[test]
fn a_changed_root_key_is_refused_unless_the_old_one_certifies_it() {
    let (home, oracle) = (Home::new(), Oracle::new());
    let (old, new) = (oracle.describe(&key(1)), oracle.describe(&key(2)));
    let trust = |description: &OracleDescription| {
        oracle.saying(description, || {
            home.run(&["oracle", "trust", &oracle.url, "--fingerprint", &description.fingerprint], "")
        })
    };
    assert!(trust(&old).status.success());
    let refused = trust(&new);
    let said = crate::home::text(&refused);
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("HAS CHANGED") && said.contains("quorate oracle forget"), "{said}");
    assert!(home.ok(&["oracle", "show"], "").contains(&old.fingerprint), "the old key stays");

    let issue = |by: SigningKey| {
        Certificate::issue(&by, CertifiedKind::RootKey, &key(2).verifying_key(), now() - 60, now() + 3600)
    };
    let by_stranger = OracleDescription { certificates: vec![issue(key(3))], ..new.clone() };
    assert!(!trust(&by_stranger).status.success());
    let by_old = OracleDescription { certificates: vec![issue(key(1))], ..new.clone() };
    let said = crate::home::text(&trust(&by_old));
    assert!(said.contains("certifies the new one"), "{said}");
    assert!(home.ok(&["oracle", "show"], "").contains(&new.fingerprint));

    home.ok(&["oracle", "forget", &oracle.url], "");
    assert!(trust(&old).status.success(), "forgotten, so new again");
}

#[test]
fn a_list_that_others_can_write_is_not_believed() {
    let (home, oracle) = (Home::new(), Oracle::new());
    let description = oracle.describe(&key(1));
    let trust = ["oracle", "trust", &oracle.url, "--fingerprint", &description.fingerprint];
    oracle.saying(&description, || home.ok(&trust, ""));
    let store = home.path(".config/quorate/oracles.toml");
    fs::set_permissions(&store, fs::Permissions::from_mode(0o620)).expect("changed");
    assert!(home.fails(1, &["oracle", "list"], "").contains("with chmod go-w on both"));
    fs::set_permissions(&store, fs::Permissions::from_mode(0o600)).expect("changed");
    let text = fs::read_to_string(&store).expect("read");
    fs::write(&store, text.replace(&description.fingerprint, &fingerprint(&[9; 32]))).expect("written");
    assert!(home.fails(1, &["oracle", "list"], "").contains("is not sound"));
}

#[test]
fn the_doctor_compares_keys_and_clocks() {
    let (home, oracle) = (Home::new(), Oracle::new());
    let description = oracle.describe(&key(1));
    let trust = ["oracle", "trust", &oracle.url, "--fingerprint", &description.fingerprint];
    oracle.saying(&description, || {
        home.ok(&trust, "");
        assert!(home.ok(&["doctor"], "").contains("reachable, root key as trusted"));
    });
    let late = OracleDescription { time: now() - 1000, ..description.clone() };
    let said = oracle.saying(&late, || home.fails(1, &["doctor"], ""));
    assert!(said.contains("its clock differs") && said.contains("cure: set the clock"), "{said}");
    let said = oracle.saying(&oracle.describe(&key(2)), || home.fails(1, &["doctor", "--json"], ""));
    let wrong = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let wrong: Vec<_> = wrong.filter(|finding| finding["state"] == "wrong").collect();
    assert!(wrong.len() == 1 && wrong[0]["found"].as_str().expect("text").contains("another root key"), "{said}");
}

#[test]
fn the_doctor_sees_open_permissions_and_damaged_cards() {
    let home = Home::new();
    home.ok(&["key", "generate", "--soft", "my.token"], "");
    fs::set_permissions(home.path("my.token"), fs::Permissions::from_mode(0o644)).expect("changed");
    let said = home.fails(1, &["doctor", "-i", "my.token"], "");
    assert!(said.contains("mode 644") && said.contains("cure: chmod go= my.token"), "{said}");

    let group = home.path(".local/share/quorate/tocs/farmfa-X");
    fs::create_dir_all(&group).expect("made");
    fs::write(group.join("a.toc.age"), b"").expect("written");
    fs::write(group.join("a.toc.json"), b"{}").expect("written");
    let said = home.fails(1, &["doctor"], "");
    assert!(said.contains("does not describe the Toc beside it") && said.contains("cure: `quorate toc add"), "{said}");
}
