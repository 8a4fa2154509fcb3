//! The contract of security keys on soft ones, always; what U2F alone can keep of it on the firmware of keys that are sold, behind a
//! double of the line to USB; and what goes wrong with both. CTAP2 is put to the proof in `hw-tests/hidapi-double`.

use quorate::token::fido::channel::MSG;
use quorate::token::fido::soft::SoftFidoToken;
use quorate::token::fido::{FidoError, FidoToken, NewCredential, Wanted};
use quorate::token::{NoPrompts, Touch};
use quorate_hw_tests::contract::Person;
use quorate_hw_tests::fido::contract::{CASES, Wants, count, new_credential, run, run_those};
use quorate_hw_tests::fido::double::{Firmware, Reaction, key};
use quorate_hw_tests::fido::firmware::{VirtualKey, program};

#[test]
fn soft_keys_keep_the_contract() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut made = 0;
    let ran = run(|| {
        made += 1;
        let file = folder.path().join(format!("{made}.key"));
        Box::new(SoftFidoToken::create(&file, "contract").expect("made").with_touch(Touch::Given))
    });
    assert_eq!(ran, CASES.len());
}

/// The firmware of keys that are sold, as it was before there was CTAP2.
struct OldKey(VirtualKey);

impl Firmware for OldKey {
    fn capabilities(&self) -> u8 {
        U2F_ONLY
    }

    fn message(&mut self, command: u8, message: &[u8]) -> Reaction {
        assert_eq!(command, MSG, "it knows nothing else");
        match self.0.message(command, message) {
            // Such keys have no way to say that they wait.
            Reaction::Touched(answer) => Reaction::Answer(answer),
            reaction => reaction,
        }
    }
}

#[test]
fn a_key_of_u2f_alone_keeps_what_it_can_of_the_contract() {
    let Some(program) = program("a_key_of_u2f_alone_keeps_what_it_can_of_the_contract") else { return };
    let ran = run_those(&Wants::OF_U2F, || {
        let old = key(OldKey(VirtualKey::start(&program))).expect("it opens");
        assert!(old.info().u2f && old.info().ctap2.is_none());
        Box::new(old)
    });
    assert!(ran > 0 && ran == count(&Wants::OF_U2F), "{ran}");
}

#[test]
fn a_touch_that_is_not_given_and_a_soft_key_that_is_pulled_are_told() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("soft.key");
    let mut key = SoftFidoToken::create(&file, "soft").expect("made").with_person();
    let register = |key: &mut SoftFidoToken, person: &Person| key.u2f_register(&[1; 32], &[2; 32], person);
    let person = Person::default();
    for (touch, refused) in [(Touch::Refused, true), (Touch::TimedOut, false)] {
        person.confirm_with(move || touch);
        let told = register(&mut key, &person);
        let right = match told {
            Err(FidoError::Refused) => refused,
            Err(FidoError::Timeout) => !refused,
            _ => false,
        };
        assert!(right, "{told:?}");
    }
    let pulled = file.clone();
    person.confirm_with(move || {
        std::fs::rename(&pulled, pulled.with_extension("away")).expect("it is there");
        Touch::Given
    });
    assert!(matches!(register(&mut key, &person), Err(FidoError::Removed)));
    assert_eq!(person.asked(), ["touch", "touch", "touch"]);
}

/// U2F and no CTAP2.
const U2F_ONLY: u8 = 0x00;

#[test]
fn a_u2f_key_is_asked_until_it_is_touched_and_knows_no_pins() {
    /// Untouched twice, then touched.
    struct Slow(u8);
    impl Firmware for Slow {
        fn capabilities(&self) -> u8 {
            U2F_ONLY
        }

        fn message(&mut self, _: u8, message: &[u8]) -> Reaction {
            match message {
                [0, 3, ..] => Reaction::Answer(b"U2F_V2\x90\x00".to_vec()),
                [0, 1, ..] if self.0 == 0 => Reaction::Answer(b"done\x90\x00".to_vec()),
                [0, 1, ..] => {
                    self.0 -= 1;
                    Reaction::Answer(b"\x69\x85".to_vec())
                }
                _ => Reaction::Answer(b"\x6a\x80".to_vec()),
            }
        }
    }
    let mut slow = key(Slow(2)).expect("it says what it is");
    assert!(slow.info().u2f && slow.info().ctap2.is_none());
    let person = Person::default();
    assert_eq!(slow.u2f_register(&[1; 32], &[2; 32], &person).expect("touched"), b"done");
    assert_eq!(person.asked(), ["touch"], "once");
    assert_eq!(slow.holds("example.com", &[2; 32], b"handle").expect("it says"), Some(false));
    assert!(matches!(slow.u2f_sign(&[1; 32], &[2; 32], b"handle", &NoPrompts), Err(FidoError::WrongKey)));
    assert!(matches!(slow.pin_tries(), Err(FidoError::NotSupported(_))));
    let wanted = Wanted { party: "example.com", client_data: b"data", credential: b"handle", verify: true };
    assert!(matches!(slow.sign(&wanted, None, &NoPrompts), Err(FidoError::NotSupported(_))));
    let made = slow.register(&new_credential(), None, &person);
    assert!(matches!(made, Err(FidoError::Unexpected { .. })), "its answer makes no sense: {made:?}");
    let with_secrets = NewCredential { hmac_secret: true, ..new_credential() };
    let refused = slow.register(&with_secrets, None, &person);
    assert!(matches!(refused, Err(FidoError::NotSupported(_))), "{refused:?}");
}

/// CTAP2 is asked of the device at the place of the line: without one there is nothing to ask.
#[test]
fn a_line_to_a_place_without_a_device_has_no_ctap2() {
    struct Ctap2;
    impl Firmware for Ctap2 {
        fn capabilities(&self) -> u8 {
            0x04
        }

        fn message(&mut self, command: u8, _: &[u8]) -> Reaction {
            panic!("{command} came by another line")
        }
    }
    assert!(matches!(key(Ctap2).map(|key| key.info().clone()), Err(FidoError::Removed)));
}
