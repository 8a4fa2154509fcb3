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

#[test]
fn a_security_key_answers_in_a_browser() {
    let home = Home::new();
    let body = r#"{"status":401,"code":"second_factor_required","message":"m","error":"m","state":"s","publicKey":{}}"#;
    for (more, sent) in [
        (&["-m", "key"][..], r#"{"principal":"bob","password":"hunter2"}"#),
        (&["--mfa", "123456"], r#"{"principal":"bob","password":"hunter2","passcode":"123456"}"#),
    ] {
        let (url, server) = answering("401 Unauthorized", body.to_owned());
        let said = home.fails(1, &[&["login", "-u", "bob", "--oracle", &url][..], more].concat(), "hunter2\n");
        assert!(said.contains("a security key has to answer"), "{said}");
        assert!(said.contains(&format!("hint: log in with a browser at {url}/login")), "{said}");
        assert_eq!(server.join().expect("served"), sent);
    }
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
