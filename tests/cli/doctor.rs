//! What the doctor says of a smart-card service that is away, dead, hostile or unwell. The services are fake; the client library
//! that meets them is the real one.

use crate::home::{Home, text};
use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// `SCARD_W_SECURITY_VIOLATION` and `SCARD_E_NO_SERVICE`, as the service writes them.
const DENIED: u32 = 0x8010_006a;
const NO_SERVICE: u32 = 0x8010_001d;
/// Commands of the service's protocol.
const ESTABLISH: u32 = 0x01;
const VERSION: u32 = 0x11;

/// A service that greets its clients and answers each command with `answer`; it hangs up at once without one.
fn service(socket: &Path, answer: Option<fn(u32) -> u32>) {
    let listener = UnixListener::bind(socket).expect("a new socket");
    // Ends with the test.
    std::thread::spawn(move || {
        for client in listener.incoming().flatten() {
            if let Some(answer) = answer {
                std::thread::spawn(move || serve(client, answer));
            }
        }
    });
}

/// A message is its length, its command, and a body that is sent back with the result in its last word.
fn serve(mut client: UnixStream, answer: fn(u32) -> u32) {
    let mut head = [0; 8];
    while client.read_exact(&mut head).is_ok() {
        let word = |at: usize| u32::from_ne_bytes(head[at..at + 4].try_into().expect("four bytes"));
        let mut body = vec![0; word(0) as usize];
        client.read_exact(&mut body).expect("a whole message");
        let result = body.len() - 4;
        body[result..].copy_from_slice(&answer(word(4)).to_ne_bytes());
        client.write_all(&body).expect("it waits for the answer");
    }
}

/// What the doctor says of the service behind `socket`, and its exit code.
fn doctor(home: &Home, socket: &Path) -> (String, Option<i32>) {
    let output = home.command(&["doctor"]).env("PCSCLITE_CSOCK_NAME", socket).output().expect("it runs");
    (text(&output), output.status.code())
}

#[test]
fn a_service_that_does_not_run_is_no_fault_of_who_has_no_key() {
    let home = Home::new();
    let (said, code) = doctor(&home, &home.path("nothing.comm"));
    assert_eq!(code, Some(0), "{said}");
    let cure = if Path::new("/usr/sbin/pcscd").exists() {
        "(pcscd) does not run\n         cure: start it: `systemctl enable --now pcscd.socket`"
    } else {
        "(pcscd) is not installed\n         cure: install it: `apt-get install pcscd`"
    };
    assert!(said.contains("warning  smart-card service") && said.contains(cure), "{said}");
}

#[test]
fn a_service_that_died_and_left_its_socket_is_told() {
    let home = Home::new();
    let socket = home.path("left.comm");
    drop(UnixListener::bind(&socket).expect("a new socket"));
    let (said, code) = doctor(&home, &socket);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("WRONG    smart-card service") && said.contains("has died and left its socket behind"),
        "{said}"
    );
    assert!(said.contains("cure: start it again: `systemctl restart pcscd.socket pcscd.service`"), "{said}");
}

#[test]
fn a_service_that_polkit_lets_us_not_use_is_told_however_it_refuses() {
    // Older ones hang up, newer ones say why.
    let refuses: fn(u32) -> u32 = |command| if command == ESTABLISH { DENIED } else { 0 };
    for (name, answer) in [("hangs-up", None), ("refuses", Some(refuses))] {
        let home = Home::new();
        let socket = home.path(name);
        service(&socket, answer);
        let (said, code) = doctor(&home, &socket);
        assert_eq!(code, Some(1), "{name}: {said}");
        assert!(
            said.contains("WRONG    smart-card service: the smart-card service does not let you use cards"),
            "{said}"
        );
        assert!(said.contains("polkit") && said.contains("docs/hardware.md"), "{name}: {said}");
    }
}

#[test]
fn a_service_that_runs_and_fails_is_told() {
    let home = Home::new();
    let socket = home.path("unwell.comm");
    service(&socket, Some(|command| if command == VERSION { NO_SERVICE } else { 0 }));
    let (said, code) = doctor(&home, &socket);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("(pcscd) fails") && said.contains("`journalctl -u pcscd`"), "{said}");
}

#[test]
fn identities_are_named_by_their_keys() {
    let home = Home::new();
    home.ok(&["key", "generate", "--soft", "my.token", "--label", "ann's first"], "");
    let (said, code) = doctor(&home, &home.path("nothing.comm"));
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("warning  identities: none"), "the token is not where it is looked for: {said}");
    let output = home.command(&["doctor", "-i", "my.token"]).output().expect("it runs");
    assert!(text(&output).contains("ok       identities: \"ann's first\" in soft token my"), "{}", text(&output));
}
