//! Logins at an oracle that says what a test wants it to say: that a security key has to answer, or nothing that makes sense.

use crate::home::Home;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// Answers one request; gives its address, and the body that came.
fn answering(status: &'static str, body: String) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let server = std::thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        let mut reader = BufReader::new(stream);
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a request");
            match line.trim().to_lowercase().split_once(':') {
                Some(("content-length", value)) => length = value.trim().parse().expect("a number"),
                None if line.trim().is_empty() => break,
                _ => {}
            }
        }
        let mut sent = vec![0; length];
        reader.read_exact(&mut sent).expect("a body");
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}", body.len());
        write!(reader.get_mut(), "{head}\r\nconnection: close\r\n\r\n{body}").expect("answered");
        String::from_utf8(sent).expect("UTF-8")
    });
    (url, server)
}

/// What an oracle answers to a right password where a key is wanted, for keys of `rp_id`.
fn key_wanted(rp_id: &str) -> String {
    format!(
        r#"{{"status":401,"code":"second_factor_required","message":"m","error":"m","state":"s",
            "publicKey":{{"challenge":"AAAA","rpId":"{rp_id}","allowCredentials":[{{"type":"public-key","id":"AAAA"}}]}}}}"#
    )
}

#[test]
fn a_hostile_oracle_gets_no_answer_for_another_site() {
    let home = Home::new();
    home.ok(&["fido", "pin", "--soft", "ann.key"], "");
    for (rp_id, said) in [
        (
            "example.com",
            "localhost asks for the security keys of example.com, which are not its own: nothing was signed",
        ),
        ("com", "which are not its own"),
        ("host", "which are not its own"),
        ("localhost", "this security key is not registered there"),
    ] {
        let (url, server) = answering("401 Unauthorized", key_wanted(rp_id));
        let url = url.replace("127.0.0.1", "localhost");
        let login = ["login", "-u", "bob", "-m", "key", "--soft", "ann.key", "--oracle", &url];
        let all = home.fails(1, &login, "hunter2\n");
        assert!(all.contains(said) && all.contains("hint: "), "{all}");
        server.join().expect("served");
    }
}

#[test]
fn a_security_key_is_asked_for_in_its_own_words() {
    let home = Home::new();
    let nonsense = key_wanted("localhost").replace("publicKey", "public");
    for (more, body, said, sent) in [
        (&["-m", "key"][..], key_wanted("localhost"), "no security key is connected", ""),
        (&[], key_wanted("localhost"), "hint: put it in and try again", ""),
        (&["--mfa", "123456"], key_wanted("localhost"), "and a security key has to answer, not a code", "123456"),
        (&["-m", "key"], nonsense, "what it is asked makes no sense", ""),
    ] {
        let (url, server) = answering("401 Unauthorized", body);
        let url = url.replace("127.0.0.1", "localhost");
        let all = home.fails(1, &[&["login", "-u", "bob", "--oracle", &url][..], more].concat(), "hunter2\n");
        assert!(all.contains(said), "{all}");
        let code = if sent.is_empty() { String::new() } else { format!(r#","passcode":"{sent}""#) };
        assert_eq!(server.join().expect("served"), format!(r#"{{"principal":"bob","password":"hunter2"{code}}}"#));
    }
    let (url, server) = answering("401 Unauthorized", key_wanted("localhost"));
    let all = home.fails(1, &["login", "-u", "bob", "-m", "key", "--oracle", &url], "hunter2\n");
    assert!(all.contains("security keys are bound to names, and http://127.0.0.1"), "{all}");
    server.join().expect("served");
}

#[test]
fn a_ticket_that_is_none_is_not_kept() {
    let home = Home::new();
    for (ticket, expires_at) in [("a b", "2099-01-01T00:00:00Z"), ("", "2099-01-01T00:00:00Z"), ("ticket", "soon")] {
        let body = serde_json::json!({"ticket": ticket, "expires_at": expires_at, "principal": "p", "role": "member"});
        let (url, server) = answering("200 OK", body.to_string());
        let said = home.fails(1, &["login", "-u", "bob", "--oracle", &url], "hunter2\n");
        assert!(said.contains("does not answer as an oracle does") && !said.contains("hunter2"), "{said}");
        server.join().expect("served");
    }
    let body =
        serde_json::json!({"ticket": "t", "expires_at": "2099-01-01T00:00:00Z", "principal": "\u{1b}[2J", "role": "r"});
    let (url, server) = answering("200 OK", body.to_string());
    let said = home.ok(&["login", "-u", "bob", "--oracle", &url], "hunter2\n");
    assert!(said.contains("principal  \\u{1b}[2J") && !said.contains('\u{1b}'), "{said}");
    server.join().expect("served");
}
