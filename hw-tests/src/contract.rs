//! The contract of [`PivToken`]: cases, and what a ground must offer to run them. Knows no particular token.

mod agreement;
mod codes;
mod files;
mod keys;

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quorate::token::{
    NewKey, Pin, PinPolicy, PinRequest, PivKey, PivToken, Puk, TokenPrompts, Touch, TouchPolicy, TouchRequest,
};
use secrecy::SecretString;

/// The PIN of a fresh token.
pub const PIN: &str = "471108";
/// The PUK of a fresh token.
pub const PUK: &str = "87654321";
/// Neither a fresh token's PIN nor its PUK.
pub const WRONG: &str = "000000";

/// Somewhere tokens come from.
pub trait Ground {
    /// What it is, for reports.
    fn name(&self) -> String;

    /// A token without keys whose codes are [`PIN`] and [`PUK`], with all tries. Earlier tokens may be erased.
    fn fresh(&mut self) -> Box<dyn PivToken>;

    /// The same token, as another process opens it.
    fn reopen(&mut self) -> Box<dyn PivToken>;

    /// Who is asked by the token.
    fn person(&self) -> Arc<Person>;

    /// What happens at the touches from now on.
    fn plan_touch(&mut self, plan: TouchPlan);

    /// Whether a touch can be refused, rather than only not given.
    fn can_refuse(&self) -> bool;

    /// Pulls the token out.
    fn remove(&mut self);

    /// Puts it back.
    fn insert(&mut self);
}

/// What happens at a touch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum TouchPlan {
    /// The person does this.
    Answer(Touch),
    /// The token is pulled out instead.
    Pull,
}

/// A case: its name says what holds.
pub struct Case {
    /// A sentence with underscores.
    pub name: &'static str,
    run: fn(&mut dyn Ground),
}

macro_rules! cases {
    ($($module:ident::$case:ident),+ $(,)?) => {
        /// All cases, each independent of the others.
        pub const CASES: &[Case] = &[$(Case { name: stringify!($case), run: $module::$case }),+];
    };
}

cases![
    keys::a_fresh_token_is_empty_and_has_all_tries,
    keys::making_a_key_needs_the_pin,
    keys::keys_take_the_first_free_retired_slot,
    keys::a_named_slot_is_used_and_never_overwritten,
    keys::policies_and_labels_are_kept_by_another_process,
    keys::two_keys_may_share_a_label,
    keys::impossible_labels_are_refused,
    keys::twenty_keys_fill_the_retired_slots,
    codes::wrong_pins_count_down_and_block_across_processes,
    codes::the_right_pin_gives_all_tries_back,
    codes::the_puk_unblocks_and_sets_a_new_pin,
    codes::with_both_codes_blocked_nothing_opens,
    codes::a_changed_pin_replaces_the_old_one,
    codes::a_changed_puk_replaces_the_old_one,
    codes::factory_defaults_cannot_be_chosen_and_cost_no_try,
    agreement::both_sides_agree,
    agreement::a_slot_without_key_is_named,
    agreement::a_once_key_wants_the_pin_once,
    agreement::an_always_key_wants_the_pin_every_time,
    agreement::a_never_key_wants_no_pin,
    agreement::a_touch_is_asked_for_as_the_policy_says,
    agreement::a_touch_that_is_not_given_is_told,
    agreement::a_token_pulled_at_the_touch_works_when_put_back,
    agreement::a_token_pulled_while_idle_is_missed_by_every_call,
    files::both_recipients_of_a_key_open,
    files::a_file_for_somebody_else_asks_nothing,
    files::the_right_key_of_several_is_found,
];

/// Runs every case on a ground; panics at the end with the names of those that failed, if any. How many ran.
pub fn run(ground: &mut dyn Ground) -> usize {
    let mut failed = Vec::new();
    for case in CASES {
        ground.plan_touch(TouchPlan::Answer(Touch::Given));
        ground.person().forget();
        // A failed assertion has told its place on stderr already.
        if catch_unwind(AssertUnwindSafe(|| (case.run)(ground))).is_err() {
            failed.push(case.name);
        }
    }
    assert!(failed.is_empty(), "{}: {} of {} cases failed: {failed:?}", ground.name(), failed.len(), CASES.len());
    CASES.len()
}

/// Who sits before a token: enters PINs from a list, and remembers what was asked.
#[derive(Default)]
pub struct Person {
    pins: Mutex<VecDeque<&'static str>>,
    asked: Mutex<Vec<&'static str>>,
    touch: Mutex<Option<Box<dyn Fn() -> Touch + Send>>>,
}

impl Person {
    /// Will enter this PIN, once.
    pub fn knows(&self, pin: &'static str) {
        locked(&self.pins).push_back(pin);
    }

    /// What was asked since the case began: `pin`, `touch`.
    pub fn asked(&self) -> Vec<&'static str> {
        locked(&self.asked).clone()
    }

    /// How touches are confirmed from now on, on tokens that have nothing to touch.
    pub fn confirm_with(&self, touch: impl Fn() -> Touch + Send + 'static) {
        *locked(&self.touch) = Some(Box::new(touch));
    }

    fn forget(&self) {
        locked(&self.pins).clear();
        locked(&self.asked).clear();
    }
}

/// A failed case leaves its locks poisoned; the next case starts afresh all the same.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl TokenPrompts for Person {
    fn pin(&self, _: &PinRequest<'_>) -> Option<SecretString> {
        locked(&self.asked).push("pin");
        locked(&self.pins).pop_front().map(SecretString::from)
    }

    fn touch(&self, _: &TouchRequest<'_>) {
        locked(&self.asked).push("touch");
    }

    fn confirm_touch(&self, _: &TouchRequest<'_>) -> Touch {
        locked(&self.asked).push("touch");
        locked(&self.touch).as_ref().map_or(Touch::TimedOut, |touch| touch())
    }

    fn message(&self, _: &str) {}

    fn confirm(&self, _: &str, _: &str, _: Option<&str>) -> Option<bool> {
        None
    }

    fn text(&self, _: &str) -> Option<String> {
        None
    }

    fn passphrase(&self, _: &str) -> Option<SecretString> {
        None
    }
}

fn pin(text: &str) -> Pin {
    Pin::parse(text.into()).expect("the contract's PINs are well-formed")
}

fn puk(text: &str) -> Puk {
    Puk::parse(text.into()).expect("the contract's PUKs are well-formed")
}

/// A fresh token with one key in its first slot, its PIN verified; making the key may have taken a touch.
fn with_key(ground: &mut dyn Ground, pin_policy: PinPolicy, touch_policy: TouchPolicy) -> (Box<dyn PivToken>, PivKey) {
    let mut token = ground.fresh();
    token.verify_pin(&pin(PIN)).expect("a fresh token has the contract's PIN");
    let new = NewKey { slot: None, label: "contract".to_owned(), pin_policy, touch_policy };
    let key = token.generate(&new, &*ground.person()).expect("an empty token makes a key");
    (token, key)
}

/// The same, taken out and put back since: no touch is remembered, and nothing was asked yet.
fn with_rested_key(
    ground: &mut dyn Ground,
    pin_policy: PinPolicy,
    touch_policy: TouchPolicy,
) -> (Box<dyn PivToken>, PivKey) {
    let (token, key) = with_key(ground, pin_policy, touch_policy);
    drop(token);
    ground.remove();
    ground.insert();
    let mut token = ground.reopen();
    token.verify_pin(&pin(PIN)).expect("the contract's PIN");
    ground.person().forget();
    (token, key)
}

/// Asserts how many tries the PUK has left, on a token that tells.
fn assert_puk_tries(token: &mut dyn PivToken, expected: u8) {
    let told = token.puk_tries().expect("counting needs nothing");
    assert!(told.is_none_or(|tries| tries == expected), "{told:?}");
}

/// Asserts that a result is an error of a shape, and says what came instead.
macro_rules! assert_fails {
    ($result:expr, $shape:pat $(if $guard:expr)?) => {{
        let result = $result;
        assert!(matches!(&result, Err($shape) $(if $guard)?), "expected {}, got {:?}", stringify!($shape), result.err());
    }};
}
use assert_fails;
