//! Tocs that farMFA dealt: the published example, asked for and joined with our command line.

use super::session_of;
use super::support::{Key, Oracle, Person, oathtool};
use std::fs;

/// The example in farMFA's documentation: two shares, threshold 2, and the secret they give.
const SHARES: [&str; 2] = [
    "5Ovpu-PKEeYXx5ebiQhzU_AT0Z79POf8GGkskDp3its=urkBkVXr-pYjIvTt1ch2YJILCScAoRquLoX_VBxxps4=",
    "zxRrozuUaCMgn_u6ajZStlV7RKwhp0keT9aQoXAEruI=nfx2CPJfKiFM32zLmtxHjV94OlZOgBevV1Whrx-lslU=",
];
const EXAMPLE_SECRET: &str = "HXDMVJECJJWSRB3HWIZR4IFUGFTMXBOZ";

fn player(name: &str, share: &str) -> Person {
    let person = Person::new(name, Key::Plain);
    let toc = serde_json::json!({
        "group_id": "J4N2CZ7R", "group_size": 3, "group_threshold": 2, "note": "example", "toc_id": name, "share": share
    });
    let recipient: age::x25519::Recipient = person.recipient.parse().expect("a recipient");
    let sealed = age::encrypt_and_armor(&recipient, toc.to_string().as_bytes()).expect("sealed");
    let path = person.path("toc.age");
    fs::write(&path, sealed).expect("written");
    person.file(&path);
    person
}

#[test]
fn farmfa_players_need_an_oracle_that_they_trust() {
    let oracle = Oracle::start();
    let [ann, bob] = [player("ann", SHARES[0]), player("bob", SHARES[1])];
    assert!(ann.quorate(&["ask", "J4N2CZ7R", "--reason", "r"]).fails(2).contains("--oracle URL"));
    assert!(ann.quorate(&["ask", "J4N2CZ7R", "--reason", "r", "--oracle", &oracle.url]).fails(1).contains("not among"));
    ann.trust(&oracle);
    let mut asking = ann.start(&["--json", "ask", "J4N2CZ7R", "--reason", "r", "--oracle", &oracle.url]);
    let asked: serde_json::Value = serde_json::from_str(&asking.line()).expect("JSON");
    let invite = asked["invite"].as_str().expect("a link");

    let refused = bob.quorate(&["join", invite, "--yes"]).fails(1);
    assert!(refused.contains("nothing here vouches"), "{refused}");
    bob.trust(&oracle);
    assert!(bob.quorate(&["join", invite, "--deny", "--yes"]).fails(1).contains("cannot sign a denial"));
    let joined = bob.quorate(&["join", invite, "--yes"]);
    assert!(joined.stderr.contains("unverified: nothing proves who it is"), "{}", joined.stderr);
    assert!(joined.stderr.contains("your Toc itself names none"), "{}", joined.stderr);
    joined.ok();
    let code = asking.end().json();
    if let Some(theirs) = oathtool(EXAMPLE_SECRET, code["code_expires_at"].as_str().expect("a time")) {
        assert_eq!(code["code"], *theirs);
    }
    assert_eq!(code["session"], *session_of(invite));
}

#[test]
fn a_farmfa_group_moves_to_ours_by_a_redeal() {
    let oracle = Oracle::start();
    let [ann, bob] = [player("ann", SHARES[0]), player("bob", SHARES[1])];
    ann.trust(&oracle);
    bob.trust(&oracle);
    let players = [&ann, &bob]
        .map(|person| format!("[[player]]\nname = \"{}\"\nrecipients = [\"{}\"]\n", person.name, person.recipient));
    fs::write(ann.path("plan.toml"), players.concat()).expect("written");
    let mut asking =
        ann.start(&["ask", "J4N2CZ7R", "--reason", "move", "--redeal", "-P", "plan.toml", "--oracle", &oracle.url]);
    let invite = asking.line();
    bob.quorate(&["join", &invite, "--yes"]).ok();
    let group = asking.end().ok().lines().last().expect("a name").to_owned();
    for person in [&ann, &bob] {
        let fetched = person.quorate(&["--json", "session", "fetch", &invite]).json();
        assert_eq!(fetched["group"], *group);
    }
    let mut asking = ann.start(&["ask", &group, "--reason", "first code"]);
    let invite = asking.line();
    bob.quorate(&["join", &invite, "--yes"]).ok();
    asking.end().ok();
}
