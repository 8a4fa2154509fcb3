//! Tokens behind the real smart-card service: virtual cards, each test on a machine of its own.

#[expect(dead_code, reason = "whole-system tests elsewhere need more of it")]
#[path = "../../../tests/support/mod.rs"]
mod people;

mod bad_luck;
mod codes;
mod contract;
mod doctor;
mod doors;
mod making;
mod peers;
mod quorum;
mod support;
mod terminal;
