//! What befalls cards: freezing, garbage in their objects, other programs, the service's death.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use age_core::format::FileKey;
use p256::SecretKey;
use p256::elliptic_curve::Generate;
use quorate::token::identity::PivIdentity;
use quorate::token::readers::{Content, Readers};
use quorate::token::yubikey::{Patience, YubiKeys};
use quorate::token::{KeyOrigin, NewKey, NoPrompts, ServiceFault, Slot, TokenError, TouchPolicy};
use quorate_hw_tests::card::Finger;
use quorate_hw_tests::contract::PIN;
use quorate_protocol::recipient::NativeRecipient;

use super::support::{FIRMWARE, LIMIT, SERIAL, are_here, make_key, own_token, pin, token, with_card};

const KEY_HISTORY: u32 = 0x5f_c10c;
const FIRST_CERTIFICATE: u32 = 0x5f_c10d;
const SCDAEMON: &str = "/usr/lib/gnupg/scdaemon";

fn impatient() -> YubiKeys {
    let short = Duration::from_millis(400);
    YubiKeys::with_patience(Patience { answer: short, touch: short })
}

#[test]
fn a_frozen_card_is_a_timeout_and_works_once_it_thaws() {
    with_card(FIRMWARE, |bench| {
        let key = make_key(&mut *own_token(SERIAL), "key");
        let mut token = impatient().open(SERIAL).expect("the service works").expect("it is there");
        token.verify_pin(&pin(PIN)).expect("the right PIN");
        bench.card().set_frozen(true);
        let before = Instant::now();
        let result = token.ecdh(key.slot, &key.public, &NoPrompts);
        assert!(matches!(result, Err(TokenError::Frozen(_))), "{:?}", result.err());
        assert!(matches!(token.pin_tries(), Err(TokenError::Frozen(_) | TokenError::Removed)));
        let looked = impatient().look().expect("the service itself is well");
        assert!(looked.iter().any(|reader| matches!(reader.content, Content::Unusable(TokenError::Frozen(_)))));
        assert!(before.elapsed() < LIMIT / 2, "{:?}", before.elapsed());
        bench.card().set_frozen(false);
        let mut token = self::token(SERIAL);
        token.verify_pin(&pin(PIN)).expect("the right PIN");
        token.ecdh(key.slot, &key.public, &NoPrompts).expect("it thawed");
    });
}

#[test]
fn garbage_in_a_certificate_leaves_the_key_usable_where_the_card_knows_it() {
    let garbage: [&[u8]; 5] =
        [&[0x70], &[0x70, 0x82, 0xff, 0xff, 1], &[0x70, 3, 1, 2, 3, 0x71, 1, 0, 0xfe, 0], &[0x30], &[0; 900]];
    with_card(FIRMWARE, |bench| {
        let key = make_key(&mut *own_token(SERIAL), "key");
        for content in garbage {
            bench.card().set_object(FIRST_CERTIFICATE, content);
            let mut token = token(SERIAL);
            let listed = token.keys().expect("listing needs nothing");
            assert_eq!(listed.iter().map(|key| key.public).collect::<Vec<_>>(), [key.public], "{content:x?}");
            assert_eq!(listed[0].label, "(no readable certificate)");
            token.verify_pin(&pin(PIN)).expect("the right PIN");
            let again = NewKey { slot: Some(key.slot), ..NewKey::recommended("again") };
            let occupied = token.generate(&again, &NoPrompts);
            assert!(matches!(occupied, Err(TokenError::SlotOccupied(slot)) if slot == key.slot));
            token.ecdh(key.slot, &key.public, &NoPrompts).expect("the key is whole");
        }
    });
}

#[test]
fn on_firmware_4_a_key_without_readable_certificate_is_hidden_and_its_slot_kept() {
    with_card([4, 3, 0], |bench| {
        let mut token = own_token(SERIAL);
        let key = make_key(&mut *token, "key");
        bench.card().set_object(FIRST_CERTIFICATE, &[0x70, 3, 1, 2, 3]);
        let mut token = self::token(SERIAL);
        assert!(token.keys().expect("listing needs nothing").is_empty());
        token.verify_pin(&pin(PIN)).expect("the right PIN");
        assert_ne!(make_key(&mut *token, "next").slot, key.slot);
    });
}

#[test]
fn a_key_history_object_is_no_certificate() {
    with_card(FIRMWARE, |bench| {
        let history = [0xc1, 1, 0, 0xc2, 1, 0, 0xf3, 0, 0xfe, 0];
        bench.card().set_object(KEY_HISTORY, &history);
        let mut token = own_token(SERIAL);
        let key = make_key(&mut *token, "key");
        let listed = token.keys().expect("listing needs nothing");
        assert_eq!(listed.iter().map(|key| key.slot).collect::<Vec<_>>(), [key.slot]);
        assert_eq!(bench.card().object(KEY_HISTORY).as_deref(), Some(&history[..]), "it is left alone");
    });
}

#[test]
fn what_another_program_put_in_a_slot_is_never_replaced() {
    with_card(FIRMWARE, |bench| {
        let mut token = own_token(SERIAL);
        // Only a certificate in the first slot, only a key in the second.
        bench.card().set_object(FIRST_CERTIFICATE, &[0x70, 1, 0x30, 0x71, 1, 0, 0xfe, 0]);
        let imported = SecretKey::generate();
        bench.card().import_key(0x83, &imported);
        for slot in Slot::retired().take(2) {
            let new = NewKey { slot: Some(slot), ..NewKey::recommended("key") };
            assert!(matches!(token.generate(&new, &NoPrompts), Err(TokenError::SlotOccupied(named)) if named == slot));
        }
        assert_eq!(Some(make_key(&mut *token, "key").slot), Slot::retired().nth(2));
        let listed = token.keys().expect("listing needs nothing");
        let foreign = listed.iter().find(|key| key.public == imported.public_key()).expect("it can open files too");
        assert_eq!(foreign.origin, KeyOrigin::Imported);
        token.ecdh(foreign.slot, &foreign.public, &NoPrompts).expect("PIN verified, no touch");
    });
}

#[test]
fn a_stanza_for_a_key_that_is_not_there_never_reaches_the_card() {
    with_card(FIRMWARE, |bench| {
        let key = make_key(&mut *own_token(SERIAL), "key");
        let identity = PivIdentity::new(token(SERIAL), std::sync::Arc::new(NoPrompts)).expect("listing needs nothing");
        bench.card().take_log();
        let stranger = SecretKey::generate().public_key();
        for recipient in [NativeRecipient::yubikey(&stranger), NativeRecipient::tag(&stranger)] {
            let file_key = FileKey::new(Box::new([7; 16]));
            let stanzas = age::Recipient::wrap_file_key(&recipient, &file_key).expect("wrapped").0;
            assert!(identity.open(&stanzas).is_none());
        }
        assert_eq!(bench.card().take_log(), [], "not one command for {}", key.label);
    });
}

#[test]
fn the_service_may_die_in_the_middle_and_come_back() {
    with_card(FIRMWARE, |bench| {
        let mut token = own_token(SERIAL);
        let key = make_key(&mut *token, "key");
        bench.service.kill();
        let result = token.ecdh(key.slot, &key.public, &NoPrompts);
        assert!(matches!(result, Err(TokenError::Service(ServiceFault::StaleSocket))), "{:?}", result.err());
        bench.service.clean_up();
        let looked = YubiKeys::default().look().map(|readers| readers.len());
        assert!(matches!(looked, Err(TokenError::Service(ServiceFault::Stopped))), "{looked:?}");
        bench.service.restart();
        self::token(SERIAL);
        let result = token.ecdh(key.slot, &key.public, &NoPrompts);
        assert!(matches!(result, Err(TokenError::PinRequired)), "{:?}", result.err());
        token.verify_pin(&pin(PIN)).expect("the right PIN");
        token.ecdh(key.slot, &key.public, &NoPrompts).expect("the service is back");
    });
}

#[test]
fn a_verified_pin_outlives_the_program_that_verified_it() {
    with_card(FIRMWARE, |_| {
        let mut first = own_token(SERIAL);
        let key = make_key(&mut *first, "key");
        drop(first);
        let mut second = token(SERIAL);
        assert!(second.pin_verified().expect("asking needs nothing"));
        second.ecdh(key.slot, &key.public, &NoPrompts).expect("the card remembers");
    });
}

#[test]
fn two_programs_take_turns() {
    with_card(FIRMWARE, |_| {
        let (mut one, mut other) = (own_token(SERIAL), token(SERIAL));
        let key = make_key(&mut *one, "key");
        for _ in 0..3 {
            one.ecdh(key.slot, &key.public, &NoPrompts).expect("PIN verified, no touch");
            other.ecdh(key.slot, &key.public, &NoPrompts).expect("the PIN is the card's, not the program's");
        }
    });
}

/// Whether scdaemon is installed; a test that misses it is left out, and says so.
pub(crate) fn scdaemon_is_here() -> bool {
    are_here(&[SCDAEMON])
}

/// Does something while another program, by this name, holds the card in the first reader.
pub(crate) fn held_by(name: &str, meanwhile: impl FnOnce()) {
    let folder = tempfile::tempdir().expect("a folder");
    // The name of a process is that of its file.
    let program = folder.path().join(name);
    std::fs::copy(SCDAEMON, &program).expect("it is installed");
    let mut daemon = Command::new(program)
        .args(["--server", "--disable-ccid", "--homedir"])
        .arg(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("it is installed");
    let mut orders = daemon.stdin.take().expect("asked for");
    let mut answers = BufReader::new(daemon.stdout.take().expect("asked for")).lines().map_while(Result::ok);
    // An application that every card has.
    orders.write_all(b"SERIALNO undefined\n").expect("it listens");
    let held = answers.by_ref().skip(1).find(|line| line.starts_with("OK") || line.starts_with("ERR"));
    assert_eq!(held.as_deref(), Some("OK"), "{name} did not take the card");
    meanwhile();
    drop(orders);
    daemon.wait().expect("it ends with its orders");
}

#[test]
fn a_card_that_another_program_holds_is_named_with_its_holder() {
    if !scdaemon_is_here() {
        return;
    }
    with_card(FIRMWARE, |_| {
        held_by("scdaemon", || {
            let opened = impatient().open(SERIAL).map(|token| token.is_some());
            assert!(matches!(&opened, Err(TokenError::Busy(Some(holder))) if holder == "scdaemon"), "{opened:?}");
        });
        token(SERIAL);
        held_by("cardlord", || {
            let opened = impatient().open(SERIAL).map(|token| token.is_some());
            assert!(matches!(&opened, Err(TokenError::Busy(None))), "{opened:?}");
        });
        token(SERIAL);
    });
}

#[test]
fn the_service_may_die_while_a_key_is_at_work() {
    with_card(FIRMWARE, |bench| {
        let mut token = own_token(SERIAL);
        let new = NewKey { touch_policy: TouchPolicy::Always, ..NewKey::recommended("key") };
        let key = token.generate(&new, &NoPrompts).expect("a free slot");
        bench.card().set_touch(Finger::Hesitates);
        let public = key.public;
        let at_work = std::thread::spawn(move || token.ecdh(key.slot, &public, &NoPrompts).map(drop));
        bench.card().wait_for_blinking(LIMIT);
        let before = Instant::now();
        bench.service.kill();
        let result = at_work.join().expect("no panic");
        assert!(matches!(result, Err(TokenError::Service(ServiceFault::StaleSocket))), "{result:?}");
        assert!(before.elapsed() < LIMIT / 2, "told at once, not when patience ends");
    });
}
