//! Making and listing keys.

use quorate::token::{NewKey, PinPolicy, Slot, TokenError, TouchPolicy};

use super::{Ground, PIN, assert_fails, assert_puk_tries, pin};

pub(super) fn a_fresh_token_is_empty_and_has_all_tries(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    assert!(token.keys().expect("listing needs nothing").is_empty());
    assert_eq!(token.pin_tries().expect("counting needs nothing"), 3);
    assert_puk_tries(&mut *token, 3);
    assert!(!token.pin_verified().expect("asking needs nothing"));
    assert_ne!(token.info().serial, 0);
}

pub(super) fn making_a_key_needs_the_pin(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    let made = token.generate(&NewKey::recommended("early"), &*ground.person());
    assert_fails!(made, TokenError::PinRequired);
    assert!(token.keys().expect("listing needs nothing").is_empty());
}

pub(super) fn keys_take_the_first_free_retired_slot(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    token.verify_pin(&pin(PIN)).expect("the right PIN");
    let third = Slot::retired().nth(2);
    let mut make = |slot| {
        let new = NewKey { slot, ..NewKey::recommended("key") };
        token.generate(&new, &*ground.person()).expect("free slots").slot
    };
    make(third);
    let slots: Vec<Slot> = (0..3).map(|_| make(None)).collect();
    let expected: Vec<Slot> = [0, 1, 3].into_iter().filter_map(|at| Slot::retired().nth(at)).collect();
    assert_eq!(slots, expected);
    let listed: Vec<Slot> = token.keys().expect("listing needs nothing").iter().map(|key| key.slot).collect();
    assert_eq!(listed, Slot::retired().take(4).collect::<Vec<_>>(), "keys are listed by slot");
}

pub(super) fn a_named_slot_is_used_and_never_overwritten(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    token.verify_pin(&pin(PIN)).expect("the right PIN");
    let new = NewKey { slot: Some(Slot::KEY_MANAGEMENT), ..NewKey::recommended("mine") };
    let key = token.generate(&new, &*ground.person()).expect("9d is free");
    assert_eq!(key.slot, Slot::KEY_MANAGEMENT);
    let again = token.generate(&new, &*ground.person());
    assert_fails!(again, TokenError::SlotOccupied(Slot::KEY_MANAGEMENT));
    let listed = token.keys().expect("listing needs nothing");
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].public, key.public);
}

pub(super) fn policies_and_labels_are_kept_by_another_process(ground: &mut dyn Ground) {
    let pin_policies = [PinPolicy::Once, PinPolicy::Always, PinPolicy::Never];
    let touch_policies = [TouchPolicy::Always, TouchPolicy::Cached, TouchPolicy::Never];
    let mut token = ground.fresh();
    token.verify_pin(&pin(PIN)).expect("the right PIN");
    let mut made = Vec::new();
    for (pin_policy, touch_policy) in pin_policies.into_iter().zip(touch_policies) {
        let new = NewKey { slot: None, label: format!("{pin_policy} ü {touch_policy}"), pin_policy, touch_policy };
        made.push(token.generate(&new, &*ground.person()).expect("free slots"));
    }
    drop(token);
    let mut token = ground.reopen();
    let listed = token.keys().expect("listing needs nothing");
    assert_eq!(listed.len(), made.len());
    for (listed, made) in listed.iter().zip(&made) {
        assert_eq!((listed.slot, &listed.label, listed.public), (made.slot, &made.label, made.public));
        assert_eq!((listed.pin_policy, listed.touch_policy), (made.pin_policy, made.touch_policy));
        assert_eq!(listed.label, format!("{} ü {}", text(listed.pin_policy), text(listed.touch_policy)));
        assert_eq!(listed.created, made.created);
        assert_eq!(token.origin(made.slot).expect("asking needs nothing"), made.origin);
    }
}

fn text(policy: Option<impl ToString>) -> String {
    policy.map_or_else(|| "unknown".to_owned(), |policy| policy.to_string())
}

pub(super) fn two_keys_may_share_a_label(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    token.verify_pin(&pin(PIN)).expect("the right PIN");
    let mut make = || token.generate(&NewKey::recommended("twin"), &*ground.person()).expect("free slots");
    let (one, two) = (make(), make());
    assert_ne!(one.slot, two.slot);
    assert_ne!(one.public, two.public);
    assert_eq!(one.label, two.label);
}

pub(super) fn impossible_labels_are_refused(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    token.verify_pin(&pin(PIN)).expect("the right PIN");
    for label in ["", "a\nb", &"x".repeat(65)] {
        let made = token.generate(&NewKey::recommended(label), &*ground.person());
        assert_fails!(made, TokenError::Label);
    }
    assert!(token.keys().expect("listing needs nothing").is_empty());
}

pub(super) fn twenty_keys_fill_the_retired_slots(ground: &mut dyn Ground) {
    let mut token = ground.fresh();
    token.verify_pin(&pin(PIN)).expect("the right PIN");
    for _ in 0..20 {
        token.generate(&NewKey::recommended("one of many"), &*ground.person()).expect("free slots");
    }
    let one_more = token.generate(&NewKey::recommended("one too many"), &*ground.person());
    assert_fails!(one_more, TokenError::NoFreeSlot);
    let new = NewKey { slot: Some(Slot::KEY_MANAGEMENT), ..NewKey::recommended("named") };
    token.generate(&new, &*ground.person()).expect("9d is no retired slot");
    assert_eq!(token.keys().expect("listing needs nothing").len(), 21);
}
