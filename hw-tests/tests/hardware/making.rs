//! Making keys: management keys of every kind, attestation, factory codes, failures half-way.

use std::sync::Mutex;

use quorate::token::{
    KeyOrigin, NewKey, NoPrompts, PinPolicy, PinRequest, TokenError, TokenPrompts, Touch, TouchPolicy, TouchRequest,
};
use quorate_hw_tests::card::{Finger, ManagementAlgorithm};
use quorate_hw_tests::contract::PIN;
use secrecy::SecretString;

use super::support::{FIRMWARE, SERIAL, make_key, own_token, pin, token, with_card};

const PRINTED: u32 = 0x5f_c109;
const FIRST_CERTIFICATE: u32 = 0x5f_c10d;

/// Knows one secret that is not a PIN.
#[derive(Default)]
pub(crate) struct Owner {
    secret: Option<&'static str>,
    pub(crate) asked: Mutex<Vec<String>>,
}

impl TokenPrompts for Owner {
    fn pin(&self, _: &PinRequest<'_>) -> Option<SecretString> {
        None
    }

    fn touch(&self, request: &TouchRequest<'_>) {
        self.asked.lock().expect("one thread").push(format!("touch for {}", request.key));
    }

    fn confirm_touch(&self, _: &TouchRequest<'_>) -> Touch {
        Touch::TimedOut
    }

    fn message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn passphrase(&self, question: &str) -> Option<SecretString> {
        self.asked.lock().expect("one thread").push(question.to_owned());
        self.secret.map(SecretString::from)
    }
}

#[test]
fn the_factory_management_key_is_replaced_by_one_under_the_pin_3des() {
    replaces_the_factory_key([4, 3, 0]);
}

#[test]
fn the_factory_management_key_is_replaced_by_one_under_the_pin_aes() {
    replaces_the_factory_key([5, 7, 1]);
}

fn replaces_the_factory_key(firmware: [u8; 3]) {
    with_card(firmware, |bench| {
        let mut first = own_token(SERIAL);
        make_key(&mut *first, "one");
        assert!(!bench.card().has_factory_management_key());
        drop(first);
        bench.card().remove();
        bench.card().insert();
        let mut again = token(SERIAL);
        again.verify_pin(&pin(PIN)).expect("the right PIN");
        make_key(&mut *again, "two");
        assert_eq!(again.keys().expect("listing needs nothing").len(), 2);
    });
}

#[test]
fn a_crash_between_writing_down_the_management_key_and_setting_it_is_survived() {
    with_card(FIRMWARE, |bench| {
        let never_set = [&[0x88, 26, 0x89, 24][..], &[5; 24]].concat();
        bench.card().set_object(PRINTED, &never_set);
        make_key(&mut *own_token(SERIAL), "key");
        assert!(!bench.card().has_factory_management_key());
        assert_ne!(bench.card().object(PRINTED), Some(never_set));
    });
}

#[test]
fn a_management_key_of_ones_own_is_asked_for() {
    const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
    with_card([5, 7, 1], |bench| {
        let mut token = own_token(SERIAL);
        let key: Vec<u8> = (0..32).collect();
        bench.card().set_management_key(ManagementAlgorithm::Aes256, &key);
        let new = NewKey { touch_policy: TouchPolicy::Never, ..NewKey::recommended("key") };
        for secret in [None, Some("471108"), Some("00"), Some("ff")] {
            let owner = Owner { secret, ..Owner::default() };
            assert!(matches!(token.generate(&new, &owner), Err(TokenError::ManagementKey)), "{secret:?}");
            let asked = owner.asked.lock().expect("one thread").clone();
            assert!(asked.len() == 1 && asked[0].contains("management key"), "{asked:?}");
        }
        assert!(token.keys().expect("listing needs nothing").is_empty());
        let owner = Owner { secret: Some(KEY), ..Owner::default() };
        token.generate(&new, &owner).expect("the right management key");
        let other = new.clone();
        token.generate(&other, &owner).expect("it was left as its owner wants it");
    });
}

#[test]
fn management_keys_of_every_kind_are_proved_on_firmware_4() {
    proves([4, 3, 0], &[(ManagementAlgorithm::TripleDes, 24)]);
}

#[test]
fn management_keys_of_every_kind_are_proved_on_firmware_5_4() {
    proves([5, 4, 3], &KINDS);
}

#[test]
fn management_keys_of_every_kind_are_proved_on_firmware_5_7() {
    proves([5, 7, 1], &KINDS);
}

const KINDS: [(ManagementAlgorithm, usize); 4] = [
    (ManagementAlgorithm::Aes128, 16),
    (ManagementAlgorithm::Aes192, 24),
    (ManagementAlgorithm::Aes256, 32),
    (ManagementAlgorithm::TripleDes, 24),
];

fn proves(firmware: [u8; 3], kinds: &[(ManagementAlgorithm, usize)]) {
    const KEY: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
    with_card(firmware, |bench| {
        for (algorithm, length) in kinds {
            bench.card().wipe();
            let mut token = own_token(SERIAL);
            bench.card().set_management_key(*algorithm, &vec![0x5a; *length]);
            let owner = Owner { secret: Some(&KEY[..2 * length]), ..Owner::default() };
            let new = NewKey { touch_policy: TouchPolicy::Never, ..NewKey::recommended("key") };
            let made = token.generate(&new, &owner);
            assert!(made.is_ok(), "{algorithm:?}: {:?}", made.err());
            assert_eq!(bench.card().object(PRINTED), None, "{algorithm:?} stays in its owner's keeping");
        }
    });
}

#[test]
fn no_key_is_made_under_the_factory_pin() {
    with_card(FIRMWARE, |bench| {
        let mut token = token(SERIAL);
        assert_eq!(token.factory_codes().expect("asking needs nothing").pin, Some(true));
        token.verify_pin(&pin("123456")).expect("the factory's PIN");
        let made = token.generate(&NewKey::recommended("key"), &NoPrompts);
        assert!(matches!(made, Err(TokenError::FactoryPin)), "{:?}", made.err());
        assert!(bench.card().has_factory_management_key(), "nothing was changed");
        assert!(token.keys().expect("listing needs nothing").is_empty());
    });
}

#[test]
fn a_key_is_proved_to_be_made_on_the_card() {
    with_card(FIRMWARE, |_| {
        let mut made = own_token(SERIAL);
        let key = make_key(&mut *made, "key");
        assert_eq!(key.origin, KeyOrigin::Attested);
        let mut other = token(SERIAL);
        assert_eq!(other.origin(key.slot).expect("asking needs nothing"), KeyOrigin::Attested);
        assert_eq!(other.keys().expect("listing needs nothing")[0].origin, KeyOrigin::OnDevice);
    });
}

#[test]
fn a_forged_attestation_is_refused_and_leaves_no_key() {
    with_card([5, 7, 1], |bench| {
        bench.card().forge_attestations();
        let mut token = own_token(SERIAL);
        let new = NewKey { touch_policy: TouchPolicy::Never, ..NewKey::recommended("key") };
        let made = token.generate(&new, &NoPrompts);
        assert!(matches!(made, Err(TokenError::Attestation(_))), "{:?}", made.err());
        assert!(token.keys().expect("listing needs nothing").is_empty());
    });
}

#[test]
fn where_the_card_cannot_delete_a_key_it_has_no_certificate_of_a_forger() {
    with_card(FIRMWARE, |bench| {
        bench.card().forge_attestations();
        let mut token = own_token(SERIAL);
        let new = NewKey { touch_policy: TouchPolicy::Never, ..NewKey::recommended("key") };
        let made = token.generate(&new, &NoPrompts);
        assert!(matches!(made, Err(TokenError::Attestation(_))), "{:?}", made.err());
        assert_eq!(bench.card().object(FIRST_CERTIFICATE), None);
    });
}

#[test]
fn once_a_key_is_made_or_not_nobody_may_write_to_the_card() {
    for firmware in [[4, 3, 0], [5, 7, 1]] {
        with_card(firmware, |bench| {
            let mut token = own_token(SERIAL);
            make_key(&mut *token, "key");
            assert!(!bench.card().is_open_to_writing());
            assert!(token.pin_verified().expect("asking needs nothing"), "the PIN serves on");
            bench.card().set_touch(Finger::StaysAway);
            let made = token.generate(&NewKey::recommended("untouched"), &NoPrompts);
            assert!(matches!(made, Err(TokenError::TouchTimeout)), "{:?}", made.err());
            assert!(!bench.card().is_open_to_writing());
        });
    }
}

#[test]
fn two_programs_that_make_keys_at_once_never_take_the_same_slot() {
    with_card(FIRMWARE, |_| {
        let mut first = own_token(SERIAL);
        make_key(&mut *first, "first");
        let makers = ["one", "other"].map(|label| {
            let mut token = token(SERIAL);
            token.verify_pin(&pin(PIN)).expect("the right PIN");
            std::thread::spawn(move || make_key(&mut *token, label))
        });
        let made = makers.map(|maker| maker.join().expect("a key was made"));
        let listed = first.keys().expect("listing needs nothing");
        assert_eq!(listed.len(), 3);
        assert!(made.iter().all(|key| listed.iter().any(|it| it.public == key.public && it.label == key.label)));
    });
}

#[test]
fn a_pin_that_another_program_has_changed_is_offered_once() {
    with_card(FIRMWARE, |bench| {
        let mut token = own_token(SERIAL);
        make_key(&mut *token, "key");
        self::token(SERIAL).change_pin(&pin(PIN), &pin("864209")).expect("the old PIN");
        let new = NewKey { touch_policy: TouchPolicy::Never, ..NewKey::recommended("next") };
        let made = token.generate(&new, &NoPrompts);
        assert!(matches!(made, Err(TokenError::WrongPin { tries_left: 2 })), "{:?}", made.err());
        let made = token.generate(&new, &NoPrompts);
        assert!(matches!(made, Err(TokenError::PinRequired)), "{:?}", made.err());
        assert_eq!(bench.card().tries_left(), (2, 3));
        assert!(!bench.card().is_open_to_writing());
    });
}

#[test]
fn a_touch_that_is_not_given_leaves_no_half_made_key() {
    with_card([5, 7, 1], |bench| {
        let mut token = own_token(SERIAL);
        bench.card().set_touch(Finger::StaysAway);
        let owner = Owner::default();
        let made = token.generate(&NewKey::recommended("key"), &owner);
        assert!(matches!(made, Err(TokenError::TouchTimeout)), "{:?}", made.err());
        assert_eq!(*owner.asked.lock().expect("one thread"), ["touch for key"]);
        assert_eq!(bench.card().object(FIRST_CERTIFICATE), None);
        bench.card().set_touch(Finger::Touches);
        let key = token.generate(&NewKey::recommended("key"), &owner).expect("touched this time");
        assert_eq!(Some(key.slot), quorate::token::Slot::retired().next());
    });
}

#[test]
fn every_policy_can_be_made_and_used_at_once() {
    with_card(FIRMWARE, |_| {
        let mut token = own_token(SERIAL);
        let owner = Owner::default();
        for pin_policy in [PinPolicy::Always, PinPolicy::Never, PinPolicy::Once] {
            for touch_policy in [TouchPolicy::Always, TouchPolicy::Cached, TouchPolicy::Never] {
                let new = NewKey { slot: None, label: "key".to_owned(), pin_policy, touch_policy };
                let key = token.generate(&new, &owner).expect("a free slot");
                token.verify_pin(&pin(PIN)).expect("the right PIN");
                token.ecdh(key.slot, &key.public, &owner).expect("verified and touched");
            }
        }
        assert_eq!(token.keys().expect("listing needs nothing").len(), 9);
    });
}
