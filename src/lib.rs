//! The people's side of quorate as a library: security tokens and the commands that use them.
//!
//! Nothing here belongs to the oracle, which never links this crate: a server has no token to ask.

pub mod cli;
pub mod client;
mod stdout;
pub mod token;
pub mod ui;
pub mod webauthn;
