//! Other people's programs at the same card: what `quorate` makes there they show and use, and the other way round.

use std::process::Command;

use p256::PublicKey;
use quorate_hw_tests::card::VirtualCard;
use quorate_hw_tests::service::READER;
use quorate_protocol::recipient::NativeRecipient;

use super::people::{Key, PIN, Person, Program, Terminal};
use super::support::{Bench, Dealt, FIRMWARE, SERIAL, are_here, as_text, give_to_person, rest, with_card, write};

pub(crate) const PLUGIN: &str = "age-plugin-yubikey";
const KEY_AGREEMENT: u8 = 0x87;
const FIRMWARES: [[u8; 3]; 3] = [[4, 3, 0], [5, 4, 3], [5, 7, 1]];

/// A program of others, in the home of `person`.
pub(crate) fn peer(person: &Person, program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).env("HOME", person.path(".")).current_dir(person.path("."));
    command
}

/// What it prints, on success.
#[track_caller]
pub(crate) fn said_by(person: &Person, program: &str, arguments: &[&str]) -> String {
    Program::start(&mut peer(person, program, arguments)).end().ok()
}

/// Somebody whose key `quorate` has made on the card, and what `key show` says of it.
pub(crate) fn holder(bench: &Bench) -> (Person, serde_json::Value) {
    give_to_person(SERIAL);
    let ann = Person::new("ann", Key::Card(SERIAL));
    let shown = ann.quorate(&["--json", "key", "show"]).json();
    rest(&bench.card());
    (ann, shown)
}

/// `age` opens `file` with the identities in `identity`, at a terminal; gives what was in it.
pub(crate) fn opened_by_age(person: &Person, identity: &str, file: &str) -> String {
    let out = as_text(&person.path("opened"));
    let mut opening = Terminal::start(peer(person, "age", &["-d", "-i", identity, "-o", &out, file]));
    opening.reads("Enter PIN for");
    opening.types(PIN);
    opening.ends(0);
    std::fs::read_to_string(out).expect("it was opened")
}

/// How often a private key was used since the last time.
fn uses(card: &VirtualCard) -> usize {
    card.take_log().iter().filter(|it| it.ins == KEY_AGREEMENT && it.status == 0x9000).count()
}

fn seen_and_used_by_age(firmware: [u8; 3]) {
    if !are_here(&[PLUGIN, "age"]) {
        return;
    }
    with_card(firmware, |bench| {
        let (ann, shown) = holder(bench);
        let recipient = shown["recipients"][0].as_str().expect("text");
        let identity = shown["identity"].as_str().expect("text");
        let listed = said_by(&ann, PLUGIN, &["--list"]);
        for part in [recipient, "Name: ann", "Once", "Always", "Slot: 1"] {
            assert!(listed.contains(part), "{part} is not in {listed}");
        }
        let theirs = said_by(&ann, PLUGIN, &["--identity", "--serial", &SERIAL.to_string(), "--slot", "1"]);
        assert!(theirs.lines().any(|line| line == identity), "{identity} is not in {theirs}");

        // Encrypted by the plugin, opened by age with the identity that `quorate key show` gives.
        let plain = write(&ann, "plain", "whatever age is given");
        said_by(&ann, "age", &["-r", recipient, "-o", "sealed", &plain]);
        let identity = write(&ann, "identity.txt", identity);
        rest(&bench.card());
        assert_eq!(opened_by_age(&ann, &identity, "sealed"), "whatever age is given");
        assert_eq!(uses(&bench.card()), 1, "one touch");
        // Encrypted by quorate.
        rest(&bench.card());
        let dealt = Dealt::to(&ann, recipient);
        assert!(opened_by_age(&ann, &identity, &dealt.toc_name()).contains("\"group_threshold\":2"));
    });
}

#[test]
fn age_and_its_plugin_see_and_use_our_key_on_firmware_4() {
    seen_and_used_by_age(FIRMWARES[0]);
}

#[test]
fn age_and_its_plugin_see_and_use_our_key_on_firmware_5_4() {
    seen_and_used_by_age(FIRMWARES[1]);
}

#[test]
fn age_and_its_plugin_see_and_use_our_key_on_firmware_5_7() {
    seen_and_used_by_age(FIRMWARES[2]);
}

/// The plugin makes a key in the first free slot; the codes are the factory's.
fn made_by_plugin(person: &Person) {
    let mut making = Terminal::start(peer(person, PLUGIN, &["--generate", "--name", "theirs"]));
    making.reads("Enter PIN for");
    making.types("123456");
    making.reads("current PUK");
    making.types("12345678");
    making.reads("Choose a new PIN");
    making.types(PIN);
    making.reads("Repeat the PIN");
    making.types(PIN);
    making.ends(0);
}

fn shows_and_uses_a_key_of_the_plugin(firmware: [u8; 3]) {
    if !are_here(&[PLUGIN]) {
        return;
    }
    with_card(firmware, |bench| {
        let ann = Person::at_cards("ann");
        made_by_plugin(&ann);
        rest(&bench.card());
        let theirs = said_by(&ann, PLUGIN, &["--identity", "--serial", &SERIAL.to_string(), "--slot", "1"]);
        let shown = ann.quorate(&["--json", "key", "show"]).json();
        let recipient = shown["recipients"][0].as_str().expect("text");
        assert!(theirs.contains(recipient) && theirs.contains(shown["identity"].as_str().expect("text")), "{theirs}");
        for (field, value) in [("slot", "82"), ("label", "theirs"), ("pin_policy", "once"), ("touch_policy", "always")]
        {
            assert_eq!(shown[field], value);
        }
        assert_eq!(shown["origin"], "on-device, attested by the token");
        let listed = ann.quorate(&["key", "list"]).ok();
        let both = [recipient, shown["recipients"][1].as_str().expect("text")];
        assert!(both.iter().all(|recipient| listed.contains(recipient)), "{listed}");

        // For either recipient, with the plugin's own identity file and without.
        let theirs = write(&ann, "theirs.txt", &theirs);
        for recipient in both {
            let dealt = Dealt::to(&ann, recipient);
            ann.quorate(&["toc", "show", &dealt.toc_name()]).ok();
            ann.quorate(&["toc", "show", &dealt.toc_name(), "-i", &theirs]).ok();
            assert_eq!(uses(&bench.card()), 2);
        }
    });
}

#[test]
fn a_key_that_the_plugin_makes_is_shown_and_used_on_firmware_4() {
    shows_and_uses_a_key_of_the_plugin(FIRMWARES[0]);
}

#[test]
fn a_key_that_the_plugin_makes_is_shown_and_used_on_firmware_5_4() {
    shows_and_uses_a_key_of_the_plugin(FIRMWARES[1]);
}

#[test]
fn the_plugin_makes_a_key_beside_ours_with_the_management_key_that_we_have_set() {
    if !are_here(&[PLUGIN]) {
        return;
    }
    with_card(FIRMWARE, |bench| {
        let (ann, ours) = holder(bench);
        let mut making = Terminal::start(peer(&ann, PLUGIN, &["--generate", "--touch-policy", "never"]));
        making.reads("Enter PIN for");
        making.types(PIN);
        making.ends(0);
        let listed = ann.quorate(&["--json", "key", "list"]).ok();
        let keys: Vec<serde_json::Value> =
            listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(keys.iter().map(|key| key["slot"].as_str()).collect::<Vec<_>>(), [Some("82"), Some("83")]);
        assert_eq!(keys[0]["recipients"], ours["recipients"]);
    });
}

#[test]
fn ykman_and_yubico_piv_tool_show_our_key_and_its_certificate() {
    if !are_here(&["ykman", "yubico-piv-tool"]) {
        return;
    }
    with_card(FIRMWARE, |bench| {
        let (ann, shown) = holder(bench);
        let info = said_by_ykman(&ann, &["info"]);
        for part in ["5.4.3", "PIN tries remaining: 3/3", "protected by PIN", "Slot 82", "ECCP256", "ann"] {
            assert!(info.contains(part), "{part} is not in {info}");
        }
        let status = said_by(&ann, "yubico-piv-tool", &["-a", "status"]);
        for part in ["Slot 82", "ECCP256", "ann", "PIN tries left:\t3"] {
            assert!(status.contains(part), "{part} is not in {status}");
        }
        // The key itself, as the card has it and as the certificate says it.
        for what in ["keys", "certificates"] {
            let pem = said_by_ykman(&ann, &[what, "export", "82", "-"]);
            let public = public_key_in(&pem);
            assert_eq!(shown["recipients"][0], NativeRecipient::yubikey(&public).to_string(), "{pem}");
        }
    });
}

/// The same of `ykman piv`, which takes every reader of that name for a key, and must be told which is meant.
fn said_by_ykman(person: &Person, arguments: &[&str]) -> String {
    let reader = format!("{READER} 00 00");
    said_by(person, "ykman", &[&["--reader", &reader, "piv"], arguments].concat())
}

/// The P-256 key in a public key or certificate: the first uncompressed point behind the curve's name.
fn public_key_in(pem: &str) -> PublicKey {
    use base64::Engine as _;
    let text: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let der = base64::prelude::BASE64_STANDARD.decode(text).expect("PEM");
    // secp256r1, then a bit string of 65 whole bytes.
    let curve = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00];
    let at = der.windows(curve.len()).position(|bytes| bytes == curve).expect("a P-256 key") + curve.len();
    PublicKey::from_sec1_bytes(&der[at..at + 65]).expect("a point on the curve")
}

fn makes_a_key_under_the_management_key_of_ykman(firmware: [u8; 3], algorithm: &str) {
    if !are_here(&["ykman"]) {
        return;
    }
    with_card(firmware, |bench| {
        give_to_person(SERIAL);
        let ann = Person::at_cards("ann");
        let factory = "010203040506070801020304050607080102030405060708";
        let mut arguments = vec!["access", "change-management-key", "--generate", "--protect"];
        arguments.extend(["--pin", PIN, "--management-key", factory, "--algorithm", algorithm]);
        said_by_ykman(&ann, &arguments);
        assert!(!bench.card().has_factory_management_key());
        rest(&bench.card());
        ann.quorate(&["key", "generate"]).ok();
        let info = said_by_ykman(&ann, &["info"]);
        assert!(info.contains("protected by PIN") && info.contains("Slot 82"), "{info}");
    });
}

#[test]
fn a_management_key_that_ykman_put_under_the_pin_is_used_3des() {
    makes_a_key_under_the_management_key_of_ykman([4, 3, 0], "TDES");
}

#[test]
fn a_management_key_that_ykman_put_under_the_pin_is_used_aes() {
    makes_a_key_under_the_management_key_of_ykman([5, 4, 3], "AES256");
}
