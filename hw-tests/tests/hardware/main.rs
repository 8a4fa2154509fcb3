//! Tokens behind the real smart-card service: virtual cards, each test on a machine of its own.

mod bad_luck;
mod codes;
mod contract;
mod making;
mod support;
