//! The contract of security keys on soft ones, always, and on the firmware of keys that are sold, behind a double of the line to
//! USB; and each thing that goes wrong on that line.

use quorate::token::fido::channel::{CBOR, MSG, Patience};
use quorate::token::fido::soft::SoftFidoToken;
use quorate::token::fido::{Attestation, CtapKey, FidoError, FidoToken, Wanted};
use quorate::token::{NoPrompts, TokenInfo, TokenKind, Touch};
use quorate_hw_tests::contract::Person;
use quorate_hw_tests::fido::contract::{CASES, assert_attested, assert_signed_by, new_credential, run, wanted};
use quorate_hw_tests::fido::double::{Double, Firmware, Reaction, key};
use quorate_hw_tests::fido::firmware::{VirtualKey, program};
use std::time::Duration;

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

#[test]
fn the_firmware_of_keys_that_are_sold_keeps_the_contract() {
    let Some(program) = program("the_firmware_of_keys_that_are_sold_keeps_the_contract") else { return };
    let ran = run(|| Box::new(key(VirtualKey::start(&program)).expect("it opens")));
    assert_eq!(ran, CASES.len());
}

/// The same as it was sold before there was CTAP2.
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
fn a_key_of_u2f_alone_serves_webauthn() {
    let Some(program) = program("a_key_of_u2f_alone_serves_webauthn") else { return };
    let mut old = key(OldKey(VirtualKey::start(&program))).expect("it opens");
    assert!(old.info().u2f && old.info().ctap2.is_none());
    let person = Person::default();
    let made = make(&mut old, &person).expect("it registers");
    assert_eq!(made.format, "fido-u2f");
    assert_attested(&made);
    let credential = made.credential_id().expect("an id");
    let wanted = wanted(credential);
    assert_signed_by(&made, &old.sign(&wanted, None, &person).expect("it signs"));
    let foreign = Wanted { party: "example.org", ..wanted };
    assert!(matches!(old.sign(&foreign, None, &person), Err(FidoError::WrongKey)));
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

/// A CTAP2 key that says what it is, and reacts to everything else as it is told.
struct Scripted {
    capabilities: u8,
    reaction: Reaction,
}

impl Firmware for Scripted {
    fn capabilities(&self) -> u8 {
        self.capabilities
    }

    fn message(&mut self, command: u8, message: &[u8]) -> Reaction {
        match (command, message) {
            // authenticatorGetInfo: one version, and options without a PIN.
            (CBOR, [4]) => Reaction::Answer(b"\x00\xa1\x01\x81\x68FIDO_2_0".to_vec()),
            (MSG, [0, 3, ..]) => Reaction::Answer(b"U2F_V2\x90\x00".to_vec()),
            _ => self.reaction.clone(),
        }
    }
}

/// CTAP2 and no U2F; U2F and no CTAP2.
const CTAP2_ONLY: u8 = 0x0c;
const U2F_ONLY: u8 = 0x00;

fn register(key: &mut CtapKey, person: &Person) -> Result<(), FidoError> {
    make(key, person).map(drop)
}

fn make(key: &mut CtapKey, person: &Person) -> Result<Attestation, FidoError> {
    key.register(&new_credential(), None, person)
}

fn scripted(capabilities: u8, reaction: Reaction) -> CtapKey {
    key(Scripted { capabilities, reaction }).expect("it says what it is")
}

#[test]
fn each_refusal_of_a_key_has_a_name() {
    let refusal = |reaction: Reaction| {
        let person = Person::default();
        let refused = register(&mut scripted(CTAP2_ONLY, reaction), &person).expect_err("refused");
        (refused, person.asked())
    };
    for (status, name) in [
        (0x19, "Excluded"),
        (0x27, "Refused"),
        (0x28, "Full"),
        (0x2f, "Timeout"),
        (0x32, "PinBlocked"),
        (0x34, "PinBarred"),
        (0x36, "PinRequired"),
        (0x2b, "NotSupported"),
        (0x99, "Unexpected"),
    ] {
        let (refused, asked) = refusal(Reaction::Touched(vec![status]));
        assert!(format!("{refused:?}").starts_with(name), "{status:02x}: {refused:?}");
        assert_eq!(asked, ["touch"]);
    }
    assert!(matches!(refusal(Reaction::Pulled).0, FidoError::Removed));
    assert!(matches!(refusal(Reaction::Refuses(6)).0, FidoError::Busy));
    assert!(matches!(refusal(Reaction::Refuses(1)).0, FidoError::Unexpected { .. }));
    let nonsense = Reaction::Answer(b"\x00\xa1\x01\x64none".to_vec());
    assert!(matches!(refusal(nonsense).0, FidoError::Unexpected { .. }));
}

#[test]
fn a_key_that_wants_its_pin_first_does_not_tell_what_it_has() {
    let tells = |status| scripted(CTAP2_ONLY, Reaction::Answer(vec![status])).holds("example.com", &[2; 32], b"id");
    assert_eq!(tells(0x2e).expect("it says"), Some(false));
    assert_eq!(tells(0x00).expect("it says"), Some(true));
    assert_eq!(tells(0x36).expect("it says"), None, "it may have it");
}

#[test]
fn a_key_that_nobody_touches_is_given_up_and_told_to_stop() {
    let double = Double::new(Scripted { capabilities: CTAP2_ONLY, reaction: Reaction::Waits });
    let cancelled = double.cancelled();
    let info = TokenInfo { kind: TokenKind::SecurityKey, name: "double".to_owned(), serial: 0, firmware: None };
    let patience = Patience { answer: Duration::from_secs(60), touch: Duration::from_millis(20) };
    let key = CtapKey::open_with(Box::new(double), info, "double".to_owned(), patience);
    let person = Person::default();
    let waited = register(&mut key.expect("it says what it is"), &person);
    assert!(matches!(waited, Err(FidoError::Timeout)), "{waited:?}");
    assert_eq!((person.asked(), *cancelled.lock().expect("ours")), (vec!["touch"], 1));
}

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
    assert!(matches!(register(&mut slow, &person), Err(FidoError::Unexpected { .. })), "its answer makes no sense");
}
