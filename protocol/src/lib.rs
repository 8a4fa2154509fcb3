//! What dealers, players and oracles must agree on: formats, derivations and signatures of quorate.
//!
//! Nothing here reads a file, a socket or a clock, and nothing prints: time and randomness are arguments.
//! (One exception, inherited from the `age` crate: file keys and ephemeral keys of age files come from the
//! operating system.) `SPEC.md` beside this crate states every byte.

pub mod display;
pub mod farmfa;
pub mod otp;
pub mod recipient;
