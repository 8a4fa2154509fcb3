//! Whole quorums: real programs, a real oracle, people with homes of their own, from the deal to the code.

#[path = "../support/matching.rs"]
mod matching;
#[expect(dead_code, reason = "tests of cards, elsewhere, need more of it")]
#[path = "../support/mod.rs"]
mod support;

mod api_keys;
mod apps;
mod audit;
mod codes;
mod drills;
mod farmfa;
mod forgeries;
mod groups;
mod manuals;
mod passkeys;
mod people;
mod principals;
mod readme;
mod redeals;
mod secrets_safe;
mod security_keys;
mod terminal;
mod transcript;
mod trouble;
mod typage;

use std::fs;
use support::{Person, Table, session_of};

/// Whether `person` still has the key of the session in `invite`.
fn keeps(person: &Person, invite: &str) -> bool {
    fs::exists(person.path(format!("run/quorate/sessions/{}.json", session_of(invite)))).expect("readable")
}
