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
use quorate::token::{KeyOrigin, NewKey, NoPrompts, PinPolicy, ServiceFault, Slot, TokenError, TouchPolicy};
use quorate_hw_tests::card::Finger;
use quorate_hw_tests::contract::PIN;
use quorate_protocol::recipient::NativeRecipient;

use super::making::Owner;
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
fn before_metadata_the_card_still_says_what_it_has_made() {
    for firmware in [[4, 3, 0], [5, 2, 4]] {
        with_card(firmware, |bench| {
            let mut token = own_token(SERIAL);
            let (key, other) = (make_key(&mut *token, "key"), make_key(&mut *token, "other"));
            let stranger = bench.card().object(FIRST_CERTIFICATE + 1).expect("just written");
            // No certificate, an empty one, garbage, another key's.
            for content in [&[][..], &[0x70, 0], &[0x70, 3, 1, 2, 3], &stranger] {
                bench.card().set_object(FIRST_CERTIFICATE, content);
                let mut token = self::token(SERIAL);
                let listed = token.keys().expect("listing needs nothing");
                let found: Vec<_> = listed.iter().map(|key| (key.public, key.touch_policy)).collect();
                assert_eq!(found, [(key.public, key.touch_policy), (other.public, other.touch_policy)], "{content:x?}");
                assert_eq!(listed[0].label, "(no readable certificate)");
                assert_eq!(listed[0].origin, KeyOrigin::OnDevice);
                token.verify_pin(&pin(PIN)).expect("the right PIN");
                let new = NewKey { slot: Some(key.slot), ..NewKey::recommended("again") };
                assert!(matches!(token.generate(&new, &NoPrompts), Err(TokenError::SlotOccupied(_))));
            }
        });
    }
}

#[test]
fn a_key_that_only_a_certificate_speaks_of_is_called_unproved() {
    with_card([4, 2, 0], |_| {
        let mut token = own_token(SERIAL);
        assert_eq!(make_key(&mut *token, "key").origin, KeyOrigin::Unknown);
        let listed = token.keys().expect("listing needs nothing");
        assert_eq!(listed[0].origin.to_string(), "unproved, only a certificate says so");
    });
}

#[test]
fn a_card_that_is_another_after_a_reset_is_not_taken_for_the_old_one() {
    with_card(FIRMWARE, |bench| {
        let (mut one, mut other) = (own_token(SERIAL), token(SERIAL));
        // Resets the card, which the other connection is told when it is used next.
        make_key(&mut *one, "key");
        bench.card().become_another(SERIAL + 1);
        bench.card().take_log();
        let tries = other.verify_pin(&pin("000000"));
        assert!(matches!(tries, Err(TokenError::Removed)), "{tries:?}");
        assert_eq!(bench.card().tries_left().0, 3, "the other card was not offered this one's PIN");
    });
}

#[test]
fn after_a_reset_a_touch_is_announced_again() {
    with_card(FIRMWARE, |_| {
        let (mut one, mut other) = (own_token(SERIAL), token(SERIAL));
        let new = NewKey { touch_policy: TouchPolicy::Cached, ..NewKey::recommended("cached") };
        let key = one.generate(&new, &NoPrompts).expect("a free slot");
        let owner = Owner::default();
        let mut uses = |announced: usize| {
            one.verify_pin(&pin(PIN)).expect("the right PIN");
            one.ecdh(key.slot, &key.public, &owner).expect("verified and touched");
            assert_eq!(owner.asked.lock().expect("one thread").len(), announced);
        };
        uses(1);
        uses(1);
        other.verify_pin(&pin(PIN)).expect("the right PIN");
        make_key(&mut *other, "resets the card");
        uses(2);
    });
}

#[test]
fn nobody_is_asked_to_touch_a_card_that_another_program_uses() {
    with_card(FIRMWARE, |bench| {
        let mut token = own_token(SERIAL);
        let new = NewKey { pin_policy: PinPolicy::Never, ..NewKey::recommended("key") };
        let key = token.generate(&new, &NoPrompts).expect("a free slot");
        let mut late = impatient().open(SERIAL).expect("the service works").expect("it is there");
        late.keys().expect("listing needs nothing");
        bench.card().set_touch(Finger::Hesitates);
        let (slot, public) = (key.slot, key.public);
        let at_work = std::thread::spawn(move || token.ecdh(slot, &public, &NoPrompts).map(drop));
        bench.card().wait_for_blinking(LIMIT);
        let owner = Owner::default();
        let result = late.ecdh(key.slot, &key.public, &owner);
        assert!(matches!(result, Err(TokenError::Frozen(_) | TokenError::Busy(_))), "{:?}", result.err());
        assert!(owner.asked.lock().expect("one thread").is_empty());
        bench.card().set_touch(Finger::Touches);
        at_work.join().expect("no panic").expect("touched");
    });
}

#[test]
fn a_service_that_takes_calls_and_answers_none_is_unwell() {
    with_card(FIRMWARE, |bench| {
        let mut token = own_token(SERIAL);
        let key = token.generate(&NewKey::recommended("key"), &NoPrompts).expect("a free slot");
        bench.card().set_touch(Finger::Hesitates);
        let public = key.public;
        let at_work = std::thread::spawn(move || token.ecdh(key.slot, &public, &NoPrompts).map(drop));
        bench.card().wait_for_blinking(LIMIT);
        let before = Instant::now();
        let _silent = bench.service.replace_by_silence();
        let result = at_work.join().expect("no panic");
        assert!(matches!(result, Err(TokenError::Service(ServiceFault::Unwell))), "{result:?}");
        let looked = impatient().look().map(|readers| readers.len());
        assert!(matches!(looked, Err(TokenError::Service(ServiceFault::Unwell))), "{looked:?}");
        assert!(before.elapsed() < LIMIT / 2, "{:?}", before.elapsed());
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
