//! The contract on virtual cards, for every firmware that differs.

use quorate_hw_tests::contract::{CASES, run};
use quorate_hw_tests::hardware::HardwareGround;

use super::support::{SERIAL, with_card};

#[expect(clippy::print_stdout, reason = "how much was run is said")]
fn keeps_the_contract(firmware: [u8; 3]) {
    with_card(firmware, |bench| {
        let name = format!("virtual card, firmware {}", firmware.map(|part| part.to_string()).join("."));
        let ran = run(&mut HardwareGround::new(&name, SERIAL, bench.card()));
        println!("{name}: {ran} of {} cases", CASES.len());
    });
}

#[test]
fn firmware_4_keeps_the_contract() {
    keeps_the_contract([4, 3, 0]);
}

#[test]
fn firmware_5_4_keeps_the_contract() {
    keeps_the_contract([5, 4, 3]);
}

#[test]
fn firmware_5_7_keeps_the_contract() {
    keeps_the_contract([5, 7, 1]);
}
