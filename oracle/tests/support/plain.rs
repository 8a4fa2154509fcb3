//! Sessions over plain connections, for tests that kill oracles: any step may get no answer, and none is tried again.

use crate::process::{Answer, Connection};
use crate::support::{Asked, signed_request};
use quorate_protocol::api::SessionCredentials;
use quorate_protocol::deal::{Deal, DealRequest, deal};
use quorate_protocol::invite::{Invite, Purpose};
use quorate_protocol::otp::OtpSecret;
use serde_json::{Value, json};
use std::time::{SystemTime, UNIX_EPOCH};

/// The same public address after every start and of every node, for invites to stay what they are.
pub const URL: &str = "http://oracle.test";
/// A new code each second, of eight digits: two codes are hardly ever equal by chance.
const FAST: &str = "otpauth://totp/Test:root?secret=JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP&period=1&digits=8";

/// Two of three players, and a code each second.
pub fn dealt() -> Deal {
    let holders: Vec<String> = (1..=3).map(|x| format!("player {x}")).collect();
    let request = DealRequest {
        secret: &OtpSecret::from_uri(FAST).expect("a URI"),
        threshold: 2,
        holders: &holders,
        note: "test",
        dealt_at: 1_800_000_000,
        oracle: None,
        replaces: None,
    };
    deal(&request, &mut rand::rng()).expect("dealt")
}

/// Player 1 asks, giving `reason`, which makes the request a new one.
pub fn ask(connection: &mut Connection, deal: &Deal, reason: &str) -> std::io::Result<Answer> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs();
    let now = i64::try_from(now).expect("this century");
    let request = signed_request(URL, &deal.tocs[0], Purpose::Code, None, reason, now);
    connection.try_request("POST", "/sessions", "", &serde_json::to_vec(&request).expect("JSON"))
}

/// A session as its applicant has it, of an answer that must be good.
pub fn asked(answer: &Answer) -> Asked {
    assert_eq!(answer.status, 200, "{}", answer.body);
    let credentials: SessionCredentials = serde_json::from_str(&answer.body).expect("credentials");
    let invite = Invite::parse(&credentials.invite).expect("an invite");
    Asked { credentials, invite }
}

/// Player `x` joins.
pub fn join(connection: &mut Connection, asked: &Asked, deal: &Deal, x: usize) -> std::io::Result<Answer> {
    let body = serde_json::to_vec(&asked.approval(&deal.tocs[x - 1])).expect("JSON");
    connection.try_request("POST", &asked.path("tocs"), "", &body)
}

/// The applicant asks for the code.
pub fn code(connection: &mut Connection, asked: &Asked) -> std::io::Result<Answer> {
    let body = json!({ "kek": asked.credentials.kek.as_str() }).to_string();
    connection.try_request("POST", &asked.path("totp"), "", body.as_bytes())
}

/// An answer's body.
pub fn json_of(answer: &Answer) -> Value {
    serde_json::from_str(&answer.body).expect("JSON")
}
