//! Keys on cards and the people who hold them: what `quorate` asks on the terminal, of whom, how often, and what it says when
//! luck is bad.

use quorate_hw_tests::card::{Exchange, Finger, ManagementAlgorithm, VirtualCard};

use super::peers::holder;
use super::people::{Key, PIN, Person};
use super::support::{
    Dealt, FIRMWARE, LIMIT, OTHER, SERIAL, give_to_person, rest, token, with_card, with_cards, write,
};

const VERIFY: u8 = 0x20;
const KEY_AGREEMENT: u8 = 0x87;
const WRONG: &str = "000000";

fn recipient(key: &serde_json::Value) -> &str {
    key["recipients"][1].as_str().expect("text")
}

fn about(log: &[Exchange], instruction: u8) -> usize {
    log.iter().filter(|it| it.ins == instruction).count()
}

/// Two cards with a key of the same label on each; the first is ann's, the second ann's spare.
fn two_cards(test: impl FnOnce([&VirtualCard; 2], &Person, [serde_json::Value; 2])) {
    with_cards(&[([5, 4, 3], SERIAL), ([5, 7, 1], OTHER)], |bench| {
        [SERIAL, OTHER].into_iter().for_each(give_to_person);
        let ann = Person::new("ann", Key::Card(SERIAL));
        ann.quorate(&["key", "generate", "--label", "ann", "--serial", &OTHER.to_string()]).ok();
        let listed = ann.quorate(&["--json", "key", "list"]).ok();
        let mut keys: Vec<serde_json::Value> =
            listed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        keys.sort_by_key(|key| key["serial"].as_u64());
        bench.cards.iter().for_each(|card| rest(card));
        let keys: [serde_json::Value; 2] = keys.try_into().expect("a key on each card");
        test([&bench.cards[0], &bench.cards[1]], &ann, keys);
    });
}

#[test]
fn of_two_keys_the_one_that_the_file_names_is_asked_and_the_other_left_alone() {
    two_cards(|[first, second], ann, keys| {
        let dealt = Dealt::to(ann, recipient(&keys[1]));
        second.set_touch(Finger::Hesitates);
        let mut opening = ann.on_terminal(&["toc", "show", &dealt.toc_name()]);
        opening.reads(&format!("PIN of YubiKey 5 (serial {OTHER}) (3 tries left): "));
        opening.types(WRONG);
        opening.reads("wrong PIN. PIN of YubiKey 5");
        opening.reads("(2 tries left): ");
        opening.types(PIN);
        opening.reads(&format!("touch your key now: YubiKey 5 (serial {OTHER})"));
        second.wait_for_blinking(LIMIT);
        second.set_touch(Finger::Touches);
        opening.reads("holder     ann");
        opening.ends(0);
        let log = first.take_log();
        assert_eq!((about(&log, VERIFY), about(&log, KEY_AGREEMENT)), (0, 0), "{log:x?}");
        assert_eq!(second.tries_left().0, 3, "the right PIN gave them back");
    });
}

#[test]
fn a_key_that_is_missing_is_waited_for_and_tried_when_it_comes() {
    two_cards(|[_, second], ann, keys| {
        let dealt = Dealt::to(ann, recipient(&keys[1]));
        second.remove();
        let mut opening = ann.on_terminal(&["toc", "show", &dealt.toc_name()]);
        opening.reads("no connected key opens this; put in the one that does [y: it is in, n: there is none] ");
        // Said too soon.
        opening.types("y");
        opening.reads("put in the one that does");
        second.insert();
        token(OTHER);
        opening.types("y");
        opening.reads(&format!("PIN of YubiKey 5 (serial {OTHER})"));
        opening.types(PIN);
        opening.reads("holder     ann");
        opening.ends(0);

        second.remove();
        let mut opening = ann.on_terminal(&["toc", "show", &dealt.toc_name()]);
        opening.reads("n: there is none] ");
        opening.types("n");
        opening.reads("none of the identities opens it");
        opening.reads("connect the key that opens it");
        opening.ends(1);
    });
}

#[test]
fn a_named_key_is_waited_for_and_can_be_skipped_for_a_spare() {
    two_cards(|[first, second], ann, keys| {
        let dealt = Dealt::to(ann, &keys.each_ref().map(recipient).join(","));
        let identities = keys.each_ref().map(|key| key["identity"].as_str().expect("text")).join("\n");
        let identities = write(ann, "both.txt", &identities);
        first.remove();
        let arguments = ["toc", "show", &dealt.toc_name(), "-i", &identities];
        let mut opening = ann.on_terminal(&arguments);
        opening.reads(&format!("put in the YubiKey with serial number {SERIAL} [y: it is in, n: skip it] "));
        opening.types("n");
        opening.reads(&format!("PIN of YubiKey 5 (serial {OTHER})"));
        opening.types(PIN);
        opening.reads("holder     ann");
        opening.ends(0);
        assert_eq!(about(&second.take_log(), KEY_AGREEMENT), 1);

        let mut opening = ann.on_terminal(&arguments);
        opening.reads(&format!("serial number {SERIAL} [y: it is in, n: skip it] "));
        first.insert();
        opening.types("y");
        opening.reads(&format!("PIN of YubiKey 5 (serial {SERIAL})"));
        opening.types(PIN);
        opening.reads("holder     ann");
        opening.ends(0);
        assert_eq!(about(&second.take_log(), KEY_AGREEMENT), 0);
    });
}

#[test]
fn a_key_that_is_declined_leaves_its_spare_to_be_tried() {
    two_cards(|[first, second], ann, keys| {
        let dealt = Dealt::to(ann, &keys.each_ref().map(recipient).join(","));
        first.set_touch(Finger::StaysAway);
        let mut opening = ann.on_terminal(&["toc", "show", &dealt.toc_name()]);
        let asked = |serial: u32| format!("PIN of YubiKey 5 (serial {serial})");
        opening.reads(&asked(SERIAL));
        opening.types(PIN);
        opening.reads(&format!("touch your key now: YubiKey 5 (serial {SERIAL})"));
        opening.reads(&asked(OTHER));
        opening.types(PIN);
        opening.reads("holder     ann");
        opening.ends(0);
        assert_eq!(about(&second.take_log(), KEY_AGREEMENT), 1);
    });
}

#[test]
fn one_pin_serves_a_command_even_where_the_key_wants_it_every_time() {
    with_card(FIRMWARE, |bench| {
        give_to_person(SERIAL);
        let ann = Person::at_cards("ann");
        let made =
            ann.quorate(&["--json", "key", "generate", "--pin-policy", "always", "--touch-policy", "never"]).json();
        rest(&bench.card());
        let dealt = [0, 1, 2].map(|_| Dealt::to(&ann, recipient(&made)));
        let names = dealt.each_ref().map(Dealt::toc_name);
        let mut opening = ann.on_terminal(&["toc", "verify", &names[0], &names[1], &names[2]]);
        opening.reads("(3 tries left): ");
        opening.types(PIN);
        let said = opening.ends(0);
        assert!(said.matches("a Toc of ann").count() == 3 && !said.contains("PIN of"), "{said}");
        // The next command has to ask anew.
        let mut opening = ann.on_terminal(&["toc", "show", &names[0]]);
        opening.reads("(3 tries left): ");
        opening.types(PIN);
        opening.ends(0);
    });
}

#[test]
fn a_card_that_remembers_its_pin_is_not_asked_for_it_again() {
    with_card(FIRMWARE, |bench| {
        let (ann, made) = holder(bench);
        let dealt = Dealt::to(&ann, recipient(&made));
        let mut opening = ann.on_terminal(&["toc", "show", &dealt.toc_name()]);
        opening.reads("(3 tries left): ");
        opening.types(PIN);
        opening.ends(0);
        let said = ann.on_terminal(&["toc", "show", &dealt.toc_name()]).ends(0);
        assert!(said.contains("touch your key now") && !said.contains("PIN of"), "{said}");
    });
}

#[test]
fn three_wrong_pins_block_the_card_and_the_puk_helps_until_it_is_blocked_too() {
    with_card(FIRMWARE, |bench| {
        let (ann, made) = holder(bench);
        let dealt = Dealt::to(&ann, recipient(&made));
        let mut opening = ann.on_terminal(&["toc", "show", &dealt.toc_name()]);
        for left in ["(3 tries left): ", "(2 tries left): ", "(the last try): "] {
            opening.reads(left);
            opening.types(WRONG);
        }
        opening.reads("the PIN is blocked");
        opening.reads("quorate key pin --unblock");
        opening.ends(1);
        assert_eq!(bench.card().tries_left(), (0, 3));
        // Nobody is asked for a PIN that could not help.
        let said = ann.on_terminal(&["toc", "show", &dealt.toc_name()]).ends(1);
        assert!(said.contains("the PIN is blocked") && !said.contains("PIN of"), "{said}");

        let unblock = |puk: &str, left: &str, code: i32, said: &str| {
            let mut unblocking = ann.on_terminal(&["key", "pin", "--unblock"]);
            unblocking.reads(&format!("PUK of YubiKey 5 (serial {SERIAL}) ({left}): "));
            unblocking.types(puk);
            unblocking.reads("new PIN (6 to 8 characters): ");
            unblocking.types("581581");
            unblocking.reads("again: ");
            unblocking.types("581581");
            unblocking.reads(said);
            unblocking.ends(code);
        };
        unblock(WRONG, "3 tries left", 1, "wrong PUK, tries left: 2");
        unblock(PIN, "2 tries left", 0, "is unblocked and new");
        let mut opening = ann.on_terminal(&["toc", "show", &dealt.toc_name()]);
        opening.reads("(3 tries left): ");
        opening.types("581581");
        opening.reads("holder     ann");
        opening.ends(0);

        for (left, said) in [
            ("3 tries left", "tries left: 2"),
            ("2 tries left", "tries left: 1"),
            ("the last try", "the PUK is blocked"),
        ] {
            unblock(WRONG, left, 1, said);
        }
        let said = ann.on_terminal(&["key", "pin", "--unblock"]).ends(1);
        assert!(said.contains("the PUK is blocked") && said.contains("redeal"), "{said}");
    });
}

#[test]
fn a_program_that_has_the_wrong_pin_costs_one_try() {
    with_card(FIRMWARE, |bench| {
        let (ann, made) = holder(bench);
        let dealt = Dealt::to(&ann, recipient(&made));
        let mut command = ann.command(&["toc", "show", &dealt.toc_name()]);
        command.env("QUORATE_PIN_COMMAND", "echo 000000");
        let said = super::people::Program::start(&mut command).end().fails(1);
        assert!(said.contains("wrong PIN, tries left: 2"), "{said}");
        assert_eq!(bench.card().tries_left(), (2, 3));
    });
}

#[test]
fn a_touch_that_is_not_given_and_a_key_that_is_pulled_out_can_be_tried_again() {
    with_card(FIRMWARE, |bench| {
        let (ann, made) = holder(bench);
        let card = bench.card();
        let dealt = Dealt::to(&ann, recipient(&made));
        for (finger, error, hint) in [
            (Finger::StaysAway, "nobody touched the token in time", "touch the key when you are asked to"),
            (Finger::PullsOut, "the token was removed", "put it back and try again"),
        ] {
            card.set_touch(finger);
            let said = ann.quorate(&["toc", "show", &dealt.toc_name()]).fails(1);
            assert!(said.contains(error) && said.contains(hint), "{said}");
        }
        card.set_touch(Finger::Touches);
        card.insert();
        token(SERIAL);
        ann.quorate(&["toc", "show", &dealt.toc_name()]).ok();
    });
}

#[test]
fn the_service_may_die_while_a_touch_is_waited_for() {
    with_card(FIRMWARE, |bench| {
        let (ann, made) = holder(bench);
        let card = bench.card();
        let dealt = Dealt::to(&ann, recipient(&made));
        card.set_touch(Finger::Hesitates);
        let opening = ann.start(&["toc", "show", &dealt.toc_name()]);
        card.wait_for_blinking(LIMIT);
        bench.service.kill();
        let said = opening.end().fails(1);
        assert!(said.contains("has died and left its socket behind") && said.contains("systemctl restart"), "{said}");
        card.set_touch(Finger::Touches);
        bench.service.restart();
        token(SERIAL);
        ann.quorate(&["toc", "show", &dealt.toc_name()]).ok();
    });
}

#[test]
fn a_card_that_freezes_at_the_touch_is_given_up() {
    with_card(FIRMWARE, |bench| {
        let (ann, made) = holder(bench);
        let dealt = Dealt::to(&ann, recipient(&made));
        bench.card().set_touch(Finger::Hesitates);
        let said = ann.quorate(&["toc", "show", &dealt.toc_name()]).fails(1);
        assert!(said.contains("has not answered for 30 seconds") && said.contains("take it out"), "{said}");
    });
}

#[test]
fn no_key_is_made_before_the_codes_of_the_factory_are_replaced() {
    with_card([5, 7, 1], |bench| {
        let ann = Person::at_cards("ann");
        let card = bench.card();
        let mut making = ann.on_terminal(&["key", "generate"]);
        making.reads(&format!("YubiKey 5 (serial {SERIAL}) still has the PIN that it came with"));
        for _ in 0..2 {
            making.reads(": ");
            making.types("123456");
        }
        making.reads("the factory default is no PIN");
        making.ends(1);
        assert!(card.has_factory_management_key() && card.tries_left() == (3, 3), "nothing was changed");
        assert_eq!(ann.quorate(&["key", "list"]).ok(), "");

        let mut making = ann.on_terminal(&["key", "generate"]);
        for (question, typed) in [
            ("new PIN (6 to 8 characters): ", PIN),
            ("again: ", PIN),
            ("still has the PUK that it came with", ""),
            ("new PUK, which unblocks the PIN (6 to 8 characters): ", "18273645"),
            ("again: ", "18273645"),
        ] {
            making.reads(question);
            if !typed.is_empty() {
                making.types(typed);
            }
        }
        making.reads("touch your key now");
        let said = making.ends(0);
        assert!(said.contains("age1yubikey1") && said.contains("age1tag1") && said.contains("attested"), "{said}");
        assert!(!card.has_factory_management_key(), "it is under the PIN now");
    });
}

#[test]
fn a_management_key_of_ones_own_is_asked_for_and_not_shown() {
    with_card([5, 7, 1], |bench| {
        give_to_person(SERIAL);
        let ann = Person::at_cards("ann");
        bench.card().set_management_key(ManagementAlgorithm::Aes256, &[0x5a; 32]);
        let mut making = ann.on_terminal(&["key", "generate", "--touch-policy", "never"]);
        making.reads("(3 tries left): ");
        making.types(PIN);
        making.reads(&format!("management key of YubiKey 5 (serial {SERIAL}), in hexadecimal: "));
        making.types(&"5A".repeat(32));
        let said = making.ends(0);
        assert!(said.contains("age1tag1") && !said.to_lowercase().contains("5a5a5a"), "{said}");
    });
}
