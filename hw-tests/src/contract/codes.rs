//! PIN and PUK: counting, blocking, changing.

use quorate::token::{NewKey, PinPolicy, TokenError, TouchPolicy};

use super::{Ground, PIN, PUK, WRONG, assert_fails, assert_puk_tries, pin, puk, with_key};

const NEW: &str = "815815";

pub(super) fn wrong_pins_count_down_and_block_across_processes(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    assert_fails!(token.verify_pin(&pin(WRONG)), TokenError::WrongPin { tries_left: 2 });
    drop(token);
    let mut token = ground.reopen();
    assert_eq!(token.pin_tries().expect("counting needs nothing"), 2);
    assert_fails!(token.verify_pin(&pin(WRONG)), TokenError::WrongPin { tries_left: 1 });
    assert_fails!(token.verify_pin(&pin(WRONG)), TokenError::PinBlocked);
    assert_eq!(token.pin_tries().expect("counting needs nothing"), 0);
    assert_fails!(token.verify_pin(&pin(PIN)), TokenError::PinBlocked);
    assert_fails!(ground.reopen().verify_pin(&pin(PIN)), TokenError::PinBlocked);
    assert!(!token.pin_verified().expect("asking needs nothing"));
}

pub(super) fn the_right_pin_gives_all_tries_back(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    for _ in 0..3 {
        assert_fails!(token.verify_pin(&pin(WRONG)), TokenError::WrongPin { tries_left: 2 });
        token.verify_pin(&pin(PIN)).expect("the right PIN");
        assert!(token.pin_verified().expect("asking needs nothing"));
        assert_eq!(token.pin_tries().expect("counting needs nothing"), 3);
    }
    assert_fails!(token.verify_pin(&pin(WRONG)), TokenError::WrongPin { tries_left: 2 });
    assert!(!token.pin_verified().expect("asking needs nothing"), "a wrong PIN takes the session's right away");
}

pub(super) fn the_puk_unblocks_and_sets_a_new_pin(ground: &mut dyn Ground) {
    let (mut token, key) = with_key(ground, PinPolicy::Once, TouchPolicy::Never);
    for _ in 0..3 {
        token.verify_pin(&pin(WRONG)).expect_err("a wrong PIN");
    }
    assert_fails!(token.unblock_pin(&puk(WRONG), &pin(NEW)), TokenError::WrongPuk { tries_left: 2 });
    token.unblock_pin(&puk(PUK), &pin(NEW)).expect("the right PUK");
    assert_eq!(token.pin_tries().expect("counting needs nothing"), 3);
    assert_puk_tries(&mut *token, 3);
    let mut token = ground.reopen();
    assert_fails!(token.verify_pin(&pin(PIN)), TokenError::WrongPin { tries_left: 2 });
    token.verify_pin(&pin(NEW)).expect("the new PIN");
    token.ecdh(key.slot, &key.public, &*ground.person()).expect("the key survived");
}

pub(super) fn with_both_codes_blocked_nothing_opens(ground: &mut dyn Ground) {
    let (mut token, key) = with_key(ground, PinPolicy::Once, TouchPolicy::Never);
    for _ in 0..3 {
        token.verify_pin(&pin(WRONG)).expect_err("a wrong PIN");
    }
    assert_fails!(token.unblock_pin(&puk(WRONG), &pin(NEW)), TokenError::WrongPuk { tries_left: 2 });
    assert_fails!(token.change_puk(&puk(WRONG), &puk(NEW)), TokenError::WrongPuk { tries_left: 1 });
    assert_fails!(token.unblock_pin(&puk(WRONG), &pin(NEW)), TokenError::PukBlocked);
    assert_puk_tries(&mut *token, 0);
    assert_fails!(token.unblock_pin(&puk(PUK), &pin(NEW)), TokenError::PukBlocked);
    assert_fails!(ground.reopen().verify_pin(&pin(PIN)), TokenError::PinBlocked);
    assert_fails!(token.ecdh(key.slot, &key.public, &*ground.person()), TokenError::PinRequired);
    assert_eq!(token.keys().expect("listing needs nothing").len(), 1, "public keys stay readable");
}

pub(super) fn a_changed_pin_replaces_the_old_one(ground: &mut dyn Ground) {
    let (mut token, key) = with_key(ground, PinPolicy::Once, TouchPolicy::Never);
    assert_fails!(token.change_pin(&pin(WRONG), &pin(NEW)), TokenError::WrongPin { tries_left: 2 });
    token.change_pin(&pin(PIN), &pin(NEW)).expect("the right PIN");
    let mut token = ground.reopen();
    assert_fails!(token.verify_pin(&pin(PIN)), TokenError::WrongPin { tries_left: 2 });
    token.verify_pin(&pin(NEW)).expect("the new PIN");
    token.ecdh(key.slot, &key.public, &*ground.person()).expect("the key survived");
}

pub(super) fn a_changed_puk_replaces_the_old_one(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    assert_fails!(token.change_puk(&puk(WRONG), &puk(NEW)), TokenError::WrongPuk { tries_left: 2 });
    token.change_puk(&puk(PUK), &puk(NEW)).expect("the right PUK");
    let mut token = ground.reopen();
    assert_fails!(token.unblock_pin(&puk(PUK), &pin(NEW)), TokenError::WrongPuk { tries_left: 2 });
    token.unblock_pin(&puk(NEW), &pin(NEW)).expect("the new PUK");
    token.verify_pin(&pin(NEW)).expect("the new PIN");
    token.generate(&NewKey::recommended("key"), &*ground.person()).expect("the token is whole");
}

pub(super) fn factory_defaults_cannot_be_chosen_and_cost_no_try(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    for default in ["123456", "12345678"] {
        assert_fails!(token.change_pin(&pin(PIN), &pin(default)), TokenError::DefaultCode("PIN"));
        assert_fails!(token.change_pin(&pin(WRONG), &pin(default)), TokenError::DefaultCode("PIN"));
        assert_fails!(token.unblock_pin(&puk(PUK), &pin(default)), TokenError::DefaultCode("PIN"));
        assert_fails!(token.change_puk(&puk(PUK), &puk(default)), TokenError::DefaultCode("PUK"));
    }
    assert_eq!(token.pin_tries().expect("counting needs nothing"), 3);
    assert_puk_tries(&mut *token, 3);
    token.verify_pin(&pin(PIN)).expect("the PIN is what it was");
}
