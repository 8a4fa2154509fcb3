//! `make hw-test`, proved without a key: the program that erases real keys meets a virtual card behind the real smart-card
//! service, and a robot does what it asks of a person.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use quorate::token::readers::Readers;
use quorate::token::yubikey::YubiKeys;
use quorate::token::{NewKey, NoPrompts, Pin, PinPolicy, PivToken, TouchPolicy};
use quorate_hw_tests::card::{Finger, VirtualCard};
use quorate_hw_tests::contract::{CASES, PIN};
use quorate_hw_tests::isolation::{is_installed, isolated, leave_out};
use quorate_hw_tests::real_keys::{CONFIRM, SERIALS};
use quorate_hw_tests::service::{PORTS, Service};

const SERIAL: u32 = 16_777_321;
const LIMIT: Duration = Duration::from_secs(60);

fn program(serials: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate-hw-test"));
    command.env(SERIALS, serials).env_remove(CONFIRM).stdin(Stdio::null());
    command
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

/// A card with a key in it, behind a service of its own.
fn with_card(test: impl FnOnce(&Arc<VirtualCard>)) {
    isolated(|| {
        let _service = Service::start();
        let card = Arc::new(VirtualCard::new(PORTS[0], [5, 7, 1], SERIAL));
        let mut token = open();
        let pin = |text: &str| Pin::parse(text.into()).expect("a PIN of a test");
        token.change_pin(&pin("123456"), &pin(PIN)).expect("the factory's PIN");
        token.verify_pin(&pin(PIN)).expect("the new PIN");
        let (pin_policy, touch_policy) = (PinPolicy::Once, TouchPolicy::Never);
        let new = NewKey { slot: None, label: "savings".to_owned(), pin_policy, touch_policy };
        token.generate(&new, &NoPrompts).expect("a free slot");
        drop(token);
        test(&card);
    });
}

fn open() -> Box<dyn PivToken> {
    let token = YubiKeys::default().wait_for(SERIAL, LIMIT).expect("the service works");
    token.expect("the card is in a reader")
}

#[test]
fn without_serial_numbers_it_says_what_to_set_and_fails() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let script = Command::new(root.join("scripts/hw-test.sh")).env_remove(SERIALS).output().expect("bash runs");
    assert_eq!(script.status.code(), Some(1), "{}", said(&script));
    assert!(said(&script).contains("QUORATE_HW_SERIALS=12345678 make hw-test"), "{}", said(&script));
    let output = program("").output().expect("it runs");
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("QUORATE_HW_SERIALS=12345678"), "{}", said(&output));
}

#[test]
fn nothing_is_erased_before_the_same_keys_are_named_again() {
    with_card(|card| {
        card.take_log();
        let refused = program(&SERIAL.to_string()).output().expect("it runs");
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains("nobody can be asked"), "{}", said(&refused));
        for expected in [&SERIAL.to_string(), "firmware 5.7.1", "slot 82  \"savings\"  age1yubikey1", "9a, 9c, 9e"] {
            assert!(said(&refused).contains(expected), "{expected}: {}", said(&refused));
        }

        let other = program(&SERIAL.to_string()).env(CONFIRM, "16777322").output().expect("it runs");
        assert!(said(&other).contains("`16777322` does not name the same keys"), "{}", said(&other));

        let absent = program("16777322").env(CONFIRM, "16777322").output().expect("it runs");
        assert_eq!(absent.status.code(), Some(2), "{}", said(&absent));
        assert!(said(&absent).contains("no key with serial number 16777322 is connected"), "{}", said(&absent));
        assert!(said(&absent).contains("quorate doctor"), "{}", said(&absent));

        // Of what was sent to the card nothing changes it: no PUT DATA, GENERATE, IMPORT, CHANGE, RESET or management key.
        let writing = [0xdb, 0x47, 0xfe, 0x24, 0x2c, 0xfb, 0xff, 0xfa];
        let log = card.take_log();
        assert!(!log.is_empty() && log.iter().all(|exchange| !writing.contains(&exchange.ins)), "{log:x?}");
        assert_eq!(open().keys().expect("listing needs nothing")[0].label, "savings");
    });
}

#[test]
fn a_key_whose_owner_agreed_is_put_through_the_contract_and_left_as_new() {
    if !is_installed("ykman") {
        return leave_out("a key whose owner agreed", "yubikey-manager not installed");
    }
    with_card(|card| {
        let serial = SERIAL.to_string();
        let mut command = program(&serial);
        command.env(CONFIRM, &serial).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = command.spawn().expect("it starts");
        let mut enter = running.stdin.take().expect("asked for");
        let asked = BufReader::new(running.stderr.take().expect("asked for"));
        let mut seen = String::new();
        for line in asked.lines().map_while(Result::ok) {
            if let Some((_, wish)) = line.strip_prefix(">>> key ").and_then(|rest| rest.split_once(": ")) {
                fulfil(card, wish);
                if wish.contains("Enter") {
                    // It may have failed, and be gone.
                    let _ = writeln!(enter);
                }
            }
            seen += &(line + "\n");
        }
        let output = running.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{}{seen}", said(&output));
        let ran = format!("{0} of {0} cases", CASES.len());
        assert!(said(&output).contains(&ran), "{}", said(&output));
        for wish in ["take it out", "put it in", "do NOT touch it", "touch it whenever it blinks", "pull it out"] {
            assert!(seen.contains(wish), "{wish} was never asked for: {seen}");
        }
        let mut token = open();
        assert!(token.keys().expect("listing needs nothing").is_empty());
        assert_eq!(token.factory_codes().expect("asking needs nothing").pin, Some(true));
    });
}

/// What the person would do.
fn fulfil(card: &VirtualCard, wish: &str) {
    match wish {
        "take it out" => card.remove(),
        "put it in" => card.insert(),
        _ if wish.contains("do NOT touch it") => card.set_touch(Finger::StaysAway),
        _ if wish.contains("touch it whenever it blinks") => card.set_touch(Finger::Touches),
        _ if wish.contains("pull it out as soon as it blinks") => card.set_touch(Finger::PullsOut),
        unknown => panic!("a person is asked for something that the robot does not know: {unknown}"),
    }
}
