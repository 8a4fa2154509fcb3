//! What `audit.json` must hold: leaves, trees of many sizes, a checkpoint, an export. Made from fixed input.

use super::make::COMMENT;
use ed25519_dalek::SigningKey;
use quorate_protocol::audit::checkpoint::{Checkpoint, Origin, VerifierKey};
use quorate_protocol::audit::event::Event;
use quorate_protocol::audit::export::{Head, Line, Row};
use quorate_protocol::audit::tree::{Frontier, leaf_hash};
use quorate_protocol::encoding::sha256;
use serde_json::{Map, Value, json};

/// Trees of up to so many leaves: every shape of the right edge, several times.
const SIZES: u64 = 70;

/// The whole file.
pub fn audit() -> Value {
    let key = SigningKey::from_bytes(&sha256(&[b"audit key"]));
    let origin = Origin::new("oracle.example/mfa/audit").expect("plain");
    let verifier = VerifierKey { origin: origin.clone(), key: key.verifying_key() };
    let events: Vec<String> = (0..5).map(|number| event(number).to_leaf()).collect();
    json!({
        "comment": COMMENT,
        "seed": hex::encode(key.to_bytes()),
        "verifier_key": verifier.to_string(),
        "trees": trees(),
        "events": events.iter().map(|leaf| json!({ "leaf": leaf, "hash": hex::encode(leaf_hash(leaf.as_bytes())) }))
            .collect::<Vec<_>>(),
        "export": export(&events, &key, &origin),
    })
}

/// The leaves are the numbers from 0 on, eight bytes each.
fn trees() -> Vec<Value> {
    let mut frontier = Frontier::default();
    let mut trees = Vec::new();
    for size in 0..=SIZES {
        let (root, nodes) = (hex::encode(frontier.root()), hex::encode(frontier.to_bytes()));
        trees.push(json!({ "size": size, "root": root, "frontier": nodes }));
        frontier.push(leaf_hash(&size.to_be_bytes()));
    }
    trees
}

fn event(number: u8) -> Event {
    let details = match number {
        0 => Map::from_iter([("reason".to_owned(), Value::from("rotate \u{202e}the\u{1b}[2J \"alarm\" – \u{e0041}"))]),
        1 => Map::from_iter([("x".to_owned(), Value::from(2)), ("tocs_of".to_owned(), json!(["Ann", "Björn"]))]),
        _ => Map::new(),
    };
    Event {
        v: 1,
        id: hex::encode(&sha256(&[b"event", &[number]])[..16]),
        time: super::fixed::NOW * 1000 + i64::from(number),
        kind: ["session.asked", "session.code", "session.expired"][usize::from(number % 3)].to_owned(),
        who: ["holder Björn", "nobody", "oracle"][usize::from(number % 3)].to_owned(),
        source: ["192.0.2.7", "2001:db8::", ""][usize::from(number % 3)].to_owned(),
        subject: format!("session {number}"),
        result: "done".to_owned(),
        details,
    }
}

/// Three rows, a checkpoint, two rows, a checkpoint.
fn export(events: &[String], key: &SigningKey, origin: &Origin) -> Vec<String> {
    let (mut lines, mut frontier, mut previous) = (Vec::new(), Frontier::default(), 0);
    for (number, leaf) in (1..).zip(events) {
        let hash = leaf_hash(leaf.as_bytes());
        frontier.push(hash);
        lines.push(Line::Row(Row { number, hash: hash.to_vec().into(), event: Some(leaf.clone()) }));
        if number == 3 || number == 5 {
            let head = Checkpoint { origin: origin.clone(), size: frontier.size(), root: frontier.root() };
            let kept = (number == 5).then(|| frontier.to_bytes().into());
            lines.push(Line::Head(Head { checkpoint: head.sign(key), size: number, previous, frontier: kept }));
            previous = number;
        }
    }
    lines.iter().map(|line| serde_json::to_string(line).expect("plain data")).collect()
}
