//! The contract on soft tokens: always run, needs nothing.

use quorate::token::soft_piv::TOUCH_VARIABLE;
use quorate_hw_tests::contract::{CASES, run};
use quorate_hw_tests::soft::SoftGround;

#[test]
fn soft_tokens_keep_the_contract() {
    assert!(
        std::env::var_os(TOUCH_VARIABLE).is_none(),
        "{TOUCH_VARIABLE} would answer in the person's place: unset it"
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ran = run(&mut SoftGround::new(folder.path()));
    println!("soft token: {ran} of {} cases", CASES.len());
}
