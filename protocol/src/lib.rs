//! What dealers, players and oracles must agree on: formats, derivations and signatures of quorate.
//!
//! Nothing here reads a file, a socket or a clock, and nothing prints: time and randomness are arguments.
//! (Two exceptions: file keys and ephemeral keys of age files come from the operating system, as the `age` crate
//! has it; and the search for QR codes in a picture runs on a thread of its own, so that it can be given up.)
//! `SPEC.md` beside this crate states every byte.

pub mod api;
pub mod app_key;
pub mod audit;
pub mod deal;
pub mod display;
pub mod drill;
pub mod encoding;
pub mod farmfa;
pub mod fido2prf;
mod gf256;
pub mod header;
#[cfg(feature = "import")]
pub mod import;
pub mod invite;
pub mod otp;
pub mod p256_stanza;
pub mod plan;
pub mod proof;
pub mod recipient;
pub mod sealing;
pub mod session;
pub mod sharing;
mod signed_link;
pub mod strict_json;
pub mod toc;
