//! What `quorate doctor` says of cards and their service: each ailment by its name, with its cure.

use std::time::Instant;

use quorate::token::readers::{Content, Readers};
use quorate::token::yubikey::YubiKeys;
use quorate_hw_tests::card::{ManagementAlgorithm, VirtualCard};
use quorate_hw_tests::service::PORTS;

use super::bad_luck::{held_by, scdaemon_is_here};
use super::peers::holder;
use super::people::{Person, Program};
use super::support::{FIRMWARE, LIMIT, SERIAL, pin, puk, token, with_card, with_cards};

/// The finding about `what`, as `state: found (cure)`.
#[track_caller]
fn finding(person: &Person, what: &str) -> String {
    let ended = Program::start(&mut person.command(&["--json", "doctor"])).end();
    let findings: Vec<serde_json::Value> =
        ended.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let about = findings.iter().find(|finding| finding["what"].as_str().is_some_and(|name| name.contains(what)));
    let Some(about) = about else { panic!("nothing about {what}: {}", ended.stdout) };
    let is_wrong = findings.iter().any(|finding| finding["state"] == "wrong");
    assert_eq!(ended.code, Some(i32::from(is_wrong)), "{}", ended.stdout);
    let text = |field: &str| about[field].as_str().unwrap_or_default().to_owned();
    format!("{}: {} ({})", text("state"), text("found"), text("cure"))
}

#[track_caller]
fn assert_found(found: &str, parts: &[&str]) {
    assert!(parts.iter().all(|part| found.contains(part)), "{parts:?} are not all in: {found}");
}

#[test]
fn a_card_is_well_or_has_the_factorys_codes_or_blocked_ones() {
    with_card(FIRMWARE, |bench| {
        let ann = Person::at_cards("ann");
        let name = format!("YubiKey 5 (serial {SERIAL}), firmware 5.4.3");
        assert_found(&finding(&ann, "smart-card service"), &["ok: runs, 2 readers"]);
        assert_found(&finding(&ann, &name), &["warning: no keys for age", "the PIN is the factory's"]);
        token(SERIAL).change_pin(&pin("123456"), &pin("493027")).expect("the factory's PIN");
        assert_found(&finding(&ann, &name), &["warning: ", "the PUK is the factory's", "key pin --puk"]);
        token(SERIAL).change_puk(&puk("12345678"), &puk("493027")).expect("the factory's PUK");
        assert_found(&finding(&ann, &name), &["warning: ", "(the management key is the factory's"]);
        bench.card().set_management_key(ManagementAlgorithm::TripleDes, &[0x5a; 24]);
        assert_eq!(finding(&ann, &name), "ok: no keys for age; PIN: 3 tries left ()");
        for _ in 0..3 {
            token(SERIAL).verify_pin(&pin("000000")).expect_err("a wrong PIN");
        }
        assert_found(&finding(&ann, &name), &["wrong: the PIN is blocked", "quorate key pin --unblock"]);
        for _ in 0..3 {
            token(SERIAL).unblock_pin(&puk("000000"), &pin("493027")).expect_err("a wrong PUK");
        }
        assert_found(&finding(&ann, &name), &["wrong: the PUK is blocked", "spare key"]);
    });
}

#[test]
fn firmware_that_is_too_old_is_named_with_its_reader() {
    with_cards(&[], |_| {
        let ann = Person::at_cards("ann");
        assert_found(&finding(&ann, "keys in readers"), &["warning: none", "lsusb"]);
        let _old = VirtualCard::new(PORTS[0], [3, 5, 0], SERIAL);
        let deadline = Instant::now() + LIMIT;
        while YubiKeys::default()
            .look()
            .expect("the service works")
            .iter()
            .all(|it| matches!(it.content, Content::Empty))
        {
            assert!(Instant::now() < deadline, "the card is not seen");
        }
        assert_found(&finding(&ann, "reader "), &["wrong: firmware 3.5.0 is too old", "firmware 4 or newer"]);
    });
}

#[test]
fn a_card_that_does_not_answer_is_frozen() {
    with_card(FIRMWARE, |bench| {
        let (ann, _) = holder(bench);
        bench.card().set_frozen(true);
        assert_found(&finding(&ann, "reader "), &["wrong: the token has not answered for 10 seconds", "take it out"]);
    });
}

#[test]
fn a_card_that_another_program_holds_is_named_with_it() {
    if !scdaemon_is_here() {
        return;
    }
    with_card(FIRMWARE, |bench| {
        let (ann, _) = holder(bench);
        for (name, cure) in [
            ("scdaemon", "gpgconf --kill scdaemon"),
            ("yubikey-agent", "end yubikey-agent"),
            ("cardlord", "end the program"),
        ] {
            held_by(name, || {
                assert_found(&finding(&ann, "reader "), &["wrong: another program holds the token", cure]);
            });
        }
    });
}

#[test]
fn a_service_that_died_or_does_not_run_is_told_apart() {
    with_card(FIRMWARE, |bench| {
        let (ann, _) = holder(bench);
        bench.service.kill();
        let found = finding(&ann, "smart-card service");
        assert_found(&found, &["wrong: ", "left its socket behind", "systemctl restart pcscd"]);
        bench.service.clean_up();
        assert_found(&finding(&ann, "smart-card service"), &["warning: ", "does not run", "enable --now pcscd.socket"]);
    });
}
