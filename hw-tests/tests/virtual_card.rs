//! The contract on virtual cards behind the real smart-card service, for every firmware that differs.

use std::sync::Arc;

use quorate_hw_tests::card::VirtualCard;
use quorate_hw_tests::contract::{CASES, run};
use quorate_hw_tests::hardware::HardwareGround;
use quorate_hw_tests::isolation::isolated;
use quorate_hw_tests::service::{PORTS, Service};

const SERIAL: u32 = 16_777_321;

#[expect(clippy::print_stdout, reason = "how much was run is said")]
fn keeps_the_contract(test: &str, firmware: [u8; 3]) {
    isolated(test, || {
        let _service = Service::start();
        let card = Arc::new(VirtualCard::new(PORTS[0], firmware, SERIAL));
        let name = format!("virtual card, firmware {}", firmware.map(|part| part.to_string()).join("."));
        let ran = run(&mut HardwareGround::new(&name, SERIAL, card));
        println!("{name}: {ran} of {} cases", CASES.len());
    });
}

#[test]
fn firmware_4_keeps_the_contract() {
    keeps_the_contract("firmware_4_keeps_the_contract", [4, 3, 0]);
}

#[test]
fn firmware_5_4_keeps_the_contract() {
    keeps_the_contract("firmware_5_4_keeps_the_contract", [5, 4, 3]);
}

#[test]
fn firmware_5_7_keeps_the_contract() {
    keeps_the_contract("firmware_5_7_keeps_the_contract", [5, 7, 1]);
}
