//! Key agreement: its result, the policies, touches, removal.

use p256::elliptic_curve::Generate;
use p256::{PublicKey, SecretKey};
use quorate::token::{PinPolicy, PivKey, SharedX, Slot, TokenError, Touch, TouchPolicy};

use super::{Ground, PIN, TouchPlan, assert_fails, pin, with_key, with_rested_key};

fn peer() -> PublicKey {
    SecretKey::generate().public_key()
}

/// What the other side computes.
fn expected(secret: &SecretKey, key: &PivKey) -> SharedX {
    SharedX::new((*secret.diffie_hellman(&key.public).raw_secret_bytes()).into())
}

pub(super) fn both_sides_agree(ground: &mut dyn Ground) {
    let (mut token, key) = with_key(ground, PinPolicy::Once, TouchPolicy::Never);
    for _ in 0..8 {
        let secret = SecretKey::generate();
        let shared = token.ecdh(key.slot, &secret.public_key(), &*ground.person()).expect("PIN verified, no touch");
        assert_eq!(shared, expected(&secret, &key));
    }
}

pub(super) fn a_slot_without_key_is_named(ground: &mut dyn Ground) {
    let (mut token, _) = with_key(ground, PinPolicy::Once, TouchPolicy::Never);
    let empty = Slot::KEY_MANAGEMENT;
    assert_fails!(token.ecdh(empty, &peer(), &*ground.person()), TokenError::NoKey(Slot::KEY_MANAGEMENT));
}

pub(super) fn a_once_key_wants_the_pin_once(ground: &mut dyn Ground) {
    let (token, key) = with_key(ground, PinPolicy::Once, TouchPolicy::Never);
    drop(token);
    ground.remove();
    ground.insert();
    let mut token = ground.reopen();
    assert_fails!(token.ecdh(key.slot, &peer(), &*ground.person()), TokenError::PinRequired);
    token.verify_pin(&pin(PIN)).expect("the right PIN");
    for _ in 0..2 {
        token.ecdh(key.slot, &peer(), &*ground.person()).expect("the PIN is verified");
    }
}

pub(super) fn an_always_key_wants_the_pin_every_time(ground: &mut dyn Ground) {
    let (mut token, key) = with_key(ground, PinPolicy::Always, TouchPolicy::Never);
    for _ in 0..2 {
        token.verify_pin(&pin(PIN)).expect("the right PIN");
        token.ecdh(key.slot, &peer(), &*ground.person()).expect("the PIN was just verified");
        assert_fails!(token.ecdh(key.slot, &peer(), &*ground.person()), TokenError::PinRequired);
    }
}

pub(super) fn a_never_key_wants_no_pin(ground: &mut dyn Ground) {
    let (token, key) = with_key(ground, PinPolicy::Never, TouchPolicy::Never);
    drop(token);
    ground.remove();
    ground.insert();
    let secret = SecretKey::generate();
    let shared = ground.reopen().ecdh(key.slot, &secret.public_key(), &*ground.person()).expect("nothing is wanted");
    assert_eq!(shared, expected(&secret, &key));
    assert!(ground.person().asked().is_empty());
}

pub(super) fn a_touch_is_asked_for_as_the_policy_says(ground: &mut dyn Ground) {
    for (policy, touches) in [(TouchPolicy::Always, 2), (TouchPolicy::Cached, 1), (TouchPolicy::Never, 0)] {
        let (mut token, key) = with_rested_key(ground, PinPolicy::Once, policy);
        for _ in 0..2 {
            token.ecdh(key.slot, &peer(), &*ground.person()).expect("touched");
        }
        assert_eq!(ground.person().asked().len(), touches, "{policy}");
    }
}

pub(super) fn a_touch_that_is_not_given_is_told(ground: &mut dyn Ground) {
    let (mut token, key) = with_rested_key(ground, PinPolicy::Once, TouchPolicy::Cached);
    ground.plan_touch(TouchPlan::Answer(Touch::TimedOut));
    assert_fails!(token.ecdh(key.slot, &peer(), &*ground.person()), TokenError::TouchTimeout);
    if ground.can_refuse() {
        ground.plan_touch(TouchPlan::Answer(Touch::Refused));
        assert_fails!(token.ecdh(key.slot, &peer(), &*ground.person()), TokenError::TouchRefused);
    }
    ground.plan_touch(TouchPlan::Answer(Touch::Given));
    token.ecdh(key.slot, &peer(), &*ground.person()).expect("a touch that was missed can be repeated");
}

pub(super) fn a_token_pulled_at_the_touch_works_when_put_back(ground: &mut dyn Ground) {
    let (mut token, key) = with_key(ground, PinPolicy::Once, TouchPolicy::Always);
    ground.plan_touch(TouchPlan::Pull);
    assert_fails!(token.ecdh(key.slot, &peer(), &*ground.person()), TokenError::Removed);
    assert_fails!(token.ecdh(key.slot, &peer(), &*ground.person()), TokenError::Removed);
    ground.plan_touch(TouchPlan::Answer(Touch::Given));
    ground.insert();
    assert_fails!(token.ecdh(key.slot, &peer(), &*ground.person()), TokenError::PinRequired);
    token.verify_pin(&pin(PIN)).expect("the right PIN");
    token.ecdh(key.slot, &peer(), &*ground.person()).expect("the token is back");
}

pub(super) fn a_token_pulled_while_idle_is_missed_by_every_call(ground: &mut dyn Ground) {
    let (mut token, key) = with_key(ground, PinPolicy::Never, TouchPolicy::Never);
    ground.remove();
    assert_fails!(token.keys(), TokenError::Removed);
    assert_fails!(token.pin_tries(), TokenError::Removed);
    assert_fails!(token.pin_verified(), TokenError::Removed);
    assert_fails!(token.verify_pin(&pin(PIN)), TokenError::Removed);
    assert_fails!(token.ecdh(key.slot, &peer(), &*ground.person()), TokenError::Removed);
    ground.insert();
    assert_eq!(token.pin_tries().expect("the token is back"), 3, "a call to an absent token costs no try");
}
