//! The client against canned answers on a socket: what it sends, what it tries again, what it refuses.

use super::*;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

/// Answers one connection per canned answer and hands back the heads of the requests.
fn serve(answers: Vec<String>) -> (Client, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let thread = std::thread::spawn(move || {
        answers
            .into_iter()
            .map(|answer| {
                let (stream, _) = listener.accept().expect("a connection");
                let mut reader = BufReader::new(stream);
                let mut head = String::new();
                while !head.ends_with("\r\n\r\n") {
                    assert_ne!(reader.read_line(&mut head).expect("a request"), 0);
                }
                // The client may already have hung up on an answer that is too large.
                let _ = reader.get_mut().write_all(answer.as_bytes());
                head.to_lowercase()
            })
            .collect()
    });
    (Client::new(&url, &ClientOptions::default()).expect("a client"), thread)
}

fn answer(status: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

fn session(provided: u32) -> String {
    serde_json::json!({
        "id": "A".repeat(32), "toc_group_id": "7GCUCI2Y", "created_at": "2026-01-01T00:00:00Z", "expires_at": "2026-01-01T01:00:00Z",
        "ttl": 60, "complete": false, "tocs_in_group": 3, "tocs_threshold": 2, "tocs_provided": provided, "purpose": "code",
        "state": "open"
    })
    .to_string()
}

#[test]
fn reading_is_tried_again_and_says_who_asks() {
    let (client, server) = serve(vec![answer("503 Service Unavailable", "{}"), answer("200 OK", &session(1))]);
    assert_eq!(client.session("ID", Some("view")).expect("the second answer").tocs_provided, 1);
    let heads = server.join().expect("served");
    assert!(heads[1].starts_with("get /sessions/id http/1.1"), "{heads:?}");
    assert!(heads[1].contains("quorate-invite: view") && heads[1].contains("user-agent: quorate/"), "{heads:?}");
}

#[test]
fn an_act_is_never_tried_twice() {
    let busy = r#"{"status":503,"code":"busy","message":"busy","error":"busy"}"#;
    let (client, server) = serve(vec![answer("503 Service Unavailable", busy)]);
    let toc = AddToc { encrypted_toc: String::new(), x: None, proof: None };
    assert_eq!(client.add_toc("ID", &toc).expect_err("busy").code(), Some("busy"));
    assert_eq!(server.join().expect("served").len(), 1);
}

#[test]
fn a_ticket_goes_with_every_request_but_with_what_shows_something_else() {
    let bearer = r#"{"principal": "p", "role": "member", "expires_at": "2026-01-01T00:00:00Z"}"#;
    let issued = r#"{"ticket": "second", "principal": "p", "role": "member", "expires_at": "2026-01-01T00:00:00Z"}"#;
    let gone = || answer("204 No Content", "");
    let (client, server) = serve(vec![answer("200 OK", bearer), gone(), gone(), answer("200 OK", issued)]);
    let client = client.with_ticket(Ticket::parse("first").expect("a ticket"));
    client.whoami().expect("an answer");
    client.remove_provider("a/b c").expect("removed");
    let kek = Kek::from_base64(&quorate_protocol::encoding::base64(&[7; 32])).expect("32 bytes");
    client.cancel("ID", &kek).expect("cancelled");
    let login = Login { principal: "bob", password: "x", passcode: None };
    assert_eq!(client.log_in(&login).expect("logged in").ticket.expose(), "second");
    let heads = server.join().expect("served");
    assert!(heads[1].starts_with("delete /system/multi_factor/a%2fb%20c http"), "{heads:?}");
    assert_eq!(heads.iter().map(|head| head.contains("bearer first")).collect::<Vec<_>>(), [true, true, false, false]);
    assert_eq!(heads[2].matches("authorization:").count(), 1);
}

#[test]
fn an_audit_log_that_does_not_go_on_is_not_read_for_ever() {
    let row = |number: i64| format!("{{\"number\":{number},\"hash\":\"AA==\",\"event\":null}}\n");
    let pages = [row(1) + &row(2), row(3), row(3)];
    let (client, server) = serve(pages.iter().map(|page| answer("200 OK", page)).collect());
    let mut lines = 0;
    let read = client.audit_lines(0, |_| {
        lines += 1;
        Ok::<_, ClientError>(std::ops::ControlFlow::Continue(()))
    });
    assert!(matches!(read, Err(ClientError::Answer { .. })) && lines == 3, "{read:?}");
    let heads = server.join().expect("served");
    assert!(heads[1].starts_with("get /audit?after=2&limit=1000 http"), "{heads:?}");
}

#[test]
fn a_checkpoint_cannot_steer_a_terminal() {
    let (client, server) = serve(vec![answer("200 OK", "a\n\nb\n"), answer("200 OK", "a\n\u{1b}[2J\n")]);
    assert_eq!(client.audit_checkpoint().expect("a note"), "a\n\nb\n");
    assert!(client.audit_checkpoint().is_err());
    server.join().expect("served");
}

#[test]
fn redirects_are_not_followed() {
    let (client, server) = serve(vec![
        "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".into(),
    ]);
    assert!(matches!(client.session("ID", None), Err(ClientError::Answer { .. })));
    server.join().expect("served");
}

#[test]
fn an_endless_answer_is_cut_off() {
    let (client, server) = serve(vec![answer("200 OK", &" ".repeat(2 * 1024 * 1024))]);
    let error = client.session("ID", None).expect_err("too large");
    assert!(error.to_string().contains("far too large"), "{error}");
    server.join().expect("served");
}

#[test]
fn junk_is_named_without_being_repeated() {
    let (client, server) = serve(vec![answer("200 OK", "{\"kek\": \"hunter2\"}")]);
    let error = client.session("ID", None).expect_err("no session");
    assert!(!error.to_string().contains("hunter2"), "{error}");
    server.join().expect("served");
}

#[test]
fn only_digits_and_times_pass_for_a_code() {
    let time = "2026-01-01T00:00:00Z";
    let code = |totp: &str, until: &str, end: &str| {
        serde_json::json!({"totp": totp, "totp_expires_at": until, "session_expires_at": end}).to_string()
    };
    let good = ["123456", "1234567", "12345678"];
    let bad = ["12345", "123456789", "", "12345\u{1b}", "\u{1b}[2J123456", "12 456", "١٢٣", "123456\n"];
    let mut bodies: Vec<String> = good.iter().chain(&bad).map(|totp| code(totp, time, time)).collect();
    bodies.extend([code("123456", "\u{1b}[2J", time), code("123456", time, "soon")]);
    let (client, server) = serve(bodies.iter().map(|body| answer("200 OK", body)).collect());
    let kek = Kek::from_base64(&quorate_protocol::encoding::base64(&[7; 32])).expect("32 bytes");
    for totp in good {
        assert_eq!(client.code("ID", &kek).expect("a code").totp.as_str(), totp);
    }
    for body in &bodies[good.len()..] {
        let error = client.code("ID", &kek).err().expect(body);
        assert!(matches!(error, ClientError::Answer { .. }), "{body}: {error}");
        assert!(!error.to_string().contains('\u{1b}'), "{error}");
    }
    server.join().expect("served");
}

#[test]
fn a_session_that_lasts_for_ever_is_refused() {
    let made = |ttl: i64| {
        let mut made: serde_json::Value = serde_json::from_str(&session(0)).expect("JSON");
        made["ttl"] = ttl.into();
        for (name, value) in [("tek", "age1x"), ("kek", "k"), ("invite", "i")] {
            made[name] = value.into();
        }
        answer("200 OK", &made.to_string())
    };
    let bad = [i64::MIN, -1, 0, 59, 86_401, i64::MAX];
    let (client, server) = serve([60, 86_400].iter().chain(&bad).map(|ttl| made(*ttl)).collect());
    for _ in 0..2 {
        client.create(&NewSession::default()).expect("a session");
    }
    for ttl in bad {
        let refused = client.create(&NewSession::default());
        assert!(matches!(refused, Err(ClientError::Answer { .. })), "{ttl}");
    }
    server.join().expect("served");
}

#[test]
fn cancelling_shows_the_token_and_not_the_key() {
    let kek = Kek::from_base64(&quorate_protocol::encoding::base64(&[7; 32])).expect("32 bytes");
    let (client, server) = serve(vec![answer("204 No Content", "")]);
    client.cancel("ID", &kek).expect("cancelled");
    let heads = server.join().expect("served");
    assert!(heads[0].starts_with("delete /sessions/id "), "{heads:?}");
    assert!(heads[0].contains(&format!("bearer {}", kek.cancel_token().as_str()).to_lowercase()), "{heads:?}");
    assert!(!heads[0].contains(&kek.to_base64().to_lowercase()));
}

#[test]
fn events_go_on_where_they_broke_off() {
    let event = |seq: i64, kind: &str| {
        let session: serde_json::Value = serde_json::from_str(&session(1)).expect("JSON");
        let data = serde_json::json!({"seq": seq, "at": "2026-01-01T00:00:00Z", "kind": kind, "session": session});
        format!("id: {seq}\nevent: {kind}\ndata: {data}\n\n")
    };
    let stream = |events: &[String]| {
        format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: beat\n\n{}",
            events.concat()
        )
    };
    let (client, server) = serve(vec![
        stream(&[event(1, "created"), "data: {\"cut".into()]),
        answer("502 Bad Gateway", ""),
        stream(&[event(1, "created"), event(2, "joined"), event(3, "expired"), event(4, "joined")]),
    ]);
    let kinds: Vec<String> = client.events("ID", None, 0).map(|event| event.expect("an event").kind).collect();
    assert_eq!(kinds, ["created", "joined", "expired"]);
    let heads = server.join().expect("served");
    assert!(!heads[0].contains("last-event-id") && heads[2].contains("last-event-id: 1"), "{heads:?}");
}

#[test]
fn the_stream_of_a_session_that_is_over_ends() {
    let data = serde_json::json!({"seq": 1, "at": "2026-01-01T00:00:00Z", "kind": "redealt"});
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    let (client, server) = serve(vec![format!("{head}data: {data}\n\n")]);
    assert_eq!(client.events("ID", None, 0).count(), 1);
    server.join().expect("served");
}

#[test]
fn an_unknown_session_has_no_events() {
    let unknown = r#"{"status":404,"code":"session_unknown","message":"no such session","error":""}"#;
    let (client, server) = serve(vec![answer("404 Not Found", unknown)]);
    let mut events = client.events("ID", None, 0);
    assert_eq!(events.next().expect("an error").expect_err("refused").code(), Some("session_unknown"));
    assert!(events.next().is_none());
    server.join().expect("served");
}

#[test]
fn urls_are_checked_before_anything_is_sent() {
    let options = ClientOptions::default();
    for bad in
        ["", "oracle.example", "ftp://oracle.example", "https://user:pw@oracle.example", "https://oracle.example/?q"]
    {
        assert!(matches!(Client::new(bad, &options), Err(ClientError::Url { .. })), "{bad}");
    }
    assert!(matches!(Client::new("http://oracle.example", &options), Err(ClientError::Insecure { .. })));
}

#[test]
fn a_list_goes_on_where_it_was_when_the_last_app_of_a_page_has_gone() {
    let page = |numbers: std::ops::Range<usize>| {
        let app = |number| {
            serde_json::json!({
                "uuid": format!("00000000-0000-4000-8000-{number:012}"), "issuer": "", "label": "x", "right": "code",
                "added_at": "2026-01-01T00:00:00Z"
            })
        };
        answer("200 OK", &numbers.map(app).collect::<serde_json::Value>().to_string())
    };
    let gone = || {
        let body = r#"{"status":404,"code":"app_unknown","message":"gone","error":"gone"}"#;
        answer("404 Not Found", body)
    };
    let (client, server) = serve(vec![page(0..500), gone(), gone(), page(500..502)]);
    let apps = client.apps().expect("a list");
    let last = |back: usize| apps[apps.len() - back].uuid[24..].parse::<usize>().expect("a number");
    assert_eq!((apps.len(), last(1), last(2), last(3)), (500, 501, 500, 497));
    let heads = server.join().expect("served");
    let after = |head: &str| head.split_once("after=").map(|(_, after)| after[24..36].to_owned());
    let asked: Vec<_> = heads.iter().map(|head| after(head)).collect();
    assert_eq!(asked, [None, Some(format!("{:012}", 499)), Some(format!("{:012}", 498)), Some(format!("{:012}", 497))]);
    // What never was there is not asked for without end.
    let (client, server) = serve(vec![gone()]);
    assert_eq!(client.apps().expect_err("refused").code(), Some("app_unknown"));
    server.join().expect("served");
}
