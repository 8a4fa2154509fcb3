//! Security keys (FIDO): the contract that each of them keeps, and the grounds that need no hardware.

pub mod contract;
pub mod double;
pub mod firmware;
pub mod real_keys;
