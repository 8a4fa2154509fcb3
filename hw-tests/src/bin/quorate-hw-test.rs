//! The contract on real keys, for `make hw-test`: what is allowed comes from the environment, and nothing is written before its
//! owner has agreed.

use std::io::{Write as _, stderr};
use std::process::ExitCode;

use quorate_hw_tests::real_keys::{CONFIRM, Refusal, SERIALS, keep_the_contract};

/// 0 when every key keeps the contract, 101 when one does not, 2 when nothing was tried.
fn main() -> ExitCode {
    let serials = std::env::var(SERIALS).unwrap_or_default();
    let confirmed = std::env::var(CONFIRM).ok();
    match keep_the_contract(&serials, confirmed.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(refusal) => {
            // Who closed stderr does not want to know.
            let _ = writeln!(stderr(), "error: {refusal}");
            if matches!(refusal, Refusal::NotThere(_) | Refusal::Token(_)) {
                let _ = writeln!(stderr(), "hint: `quorate doctor` says what is seen of the keys");
            }
            ExitCode::from(2)
        }
    }
}
