//! The contracts on real keys, for `make hw-test`: which keys comes from the environment, and nothing is erased before its owner has
//! agreed.

use std::fmt::Display;
use std::io::{Write as _, stderr};
use std::process::ExitCode;

use quorate_hw_tests::fido::real_keys::{self as security_keys, PLACES};
use quorate_hw_tests::real_keys::{CONFIRM, Refusal, SERIALS, keep_the_contract};

/// 0 when every key keeps its contract, 101 when one does not, 2 when something was not tried.
fn main() -> ExitCode {
    let serials = std::env::var(SERIALS).unwrap_or_default();
    let places = std::env::var(PLACES).unwrap_or_default();
    let confirmed = std::env::var(CONFIRM).ok();
    let mut tried = ExitCode::SUCCESS;
    if !places.is_empty()
        && let Err(refusal) = security_keys::keep_the_contract(&places)
    {
        tried = refused(&refusal, matches!(refusal, security_keys::Refusal::Key(_)));
    }
    if (!serials.is_empty() || places.is_empty())
        && let Err(refusal) = keep_the_contract(&serials, confirmed.as_deref())
    {
        tried = refused(&refusal, matches!(refusal, Refusal::NotThere(_) | Refusal::Token(_)));
    }
    tried
}

fn refused(refusal: &dyn Display, doctor: bool) -> ExitCode {
    // Who closed stderr does not want to know.
    let _ = writeln!(stderr(), "error: {refusal}");
    if doctor {
        let _ = writeln!(stderr(), "hint: `quorate doctor` says what is seen of the keys");
    }
    ExitCode::from(2)
}
