//! A quorum whose players have their keys on cards: deal, ask, join by touch, code, with the programs themselves.

use quorate_hw_tests::card::{Finger, VirtualCard};

use super::people::{Key, Oracle, PIN, Person, SECRET, Table, oathtool, session_of};
use super::support::{LIMIT, OTHER, SERIAL, give_to_person, rest, with_cards};

const GENERAL_AUTHENTICATE: u8 = 0x87;
const VERIFY: u8 = 0x20;

/// How often a private key of the card was used since the last time; and whether the card was even asked about its PIN.
fn uses(card: &VirtualCard) -> (usize, bool) {
    let log = card.take_log();
    // 9b is the management key's.
    let uses =
        log.iter().filter(|it| it.ins == GENERAL_AUTHENTICATE && it.parameters[1] != 0x9b && it.status == 0x9000);
    (uses.count(), log.iter().any(|it| it.ins == VERIFY))
}

#[test]
fn two_cards_and_a_soft_token_get_the_code_by_touch() {
    with_cards(&[([4, 3, 0], SERIAL), ([5, 7, 1], OTHER)], |bench| {
        let (anns, bobs) = (&bench.cards[0], &bench.cards[1]);
        [SERIAL, OTHER].into_iter().for_each(give_to_person);
        let people = [("ann", Key::Card(SERIAL)), ("bob", Key::Card(OTHER)), ("cid", Key::Soft)];
        let people = people.map(|(name, key)| Person::new(name, key));
        let table = Table::deal_to(Oracle::start(), people.into(), 3);
        for card in &bench.cards {
            rest(card);
            card.set_touch(Finger::Hesitates);
        }

        let arguments = ["ask", &table.group, "--reason", "close the month", "--ttl", "600"];
        let mut asking = table.person("ann").start(&arguments);
        asking.says(&format!("touch your key now: YubiKey 4 (serial {SERIAL})"));
        anns.wait_for_blinking(LIMIT);
        anns.set_touch(Finger::Touches);
        let invite = asking.line();
        assert_eq!((uses(anns).0, uses(bobs)), (1, (0, false)), "one touch, and nothing of a key that cannot help");

        let mut joining = table.person("bob").on_terminal(&["join", &invite]);
        joining.reads("close the month");
        joining.reads("Send your Toc for this? [y/N]");
        joining.types("y");
        joining.reads(&format!("PIN of YubiKey 5 (serial {OTHER}) (3 tries left): "));
        joining.types(PIN);
        joining.reads("touch your key now");
        bobs.wait_for_blinking(LIMIT);
        bobs.set_touch(Finger::StaysAway);
        joining.reads("nobody touched the token in time");
        joining.ends(1);
        assert_eq!(shown(&table, &invite)["tocs_provided"], 1, "without a touch nothing was sent");

        bobs.set_touch(Finger::Hesitates);
        let mut joining = table.person("bob").on_terminal(&["join", &invite]);
        joining.reads("Send your Toc for this? [y/N]");
        joining.types("y");
        // The card still knows its PIN.
        let between = joining.reads("touch your key now");
        assert!(!between.contains("PIN of"), "{between}");
        bobs.wait_for_blinking(LIMIT);
        bobs.set_touch(Finger::Touches);
        joining.reads("your Toc has been sent");
        joining.ends(0);
        assert_eq!((uses(bobs).0, uses(anns).0), (1, 0));

        table.person("cid").quorate(&["join", &invite, "--yes"]).ok();
        let asked = asking.end();
        let printed = asked.stdout.lines().last().expect("a code").to_owned();
        asked.ok();
        assert!(printed.len() == 6 && printed.bytes().all(|byte| byte.is_ascii_digit()), "{printed}");
        let again = table.person("ann").quorate(&["--json", "session", "code", session_of(&invite)]).json();
        if let Some(theirs) = oathtool(SECRET, again["code_expires_at"].as_str().expect("a time")) {
            assert_eq!(again["code"], *theirs);
        }
        assert_eq!((uses(anns).0, uses(bobs).0), (0, 0), "a code costs no touch of its own");
    });
}

fn shown(table: &Table, invite: &str) -> serde_json::Value {
    table.person("cid").quorate(&["--json", "session", "show", invite]).json()
}
