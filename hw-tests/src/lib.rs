//! What every security token must do, as a library: the same contract for soft tokens, virtual cards and real keys.
//!
//! A ground (somewhere tokens come from) implements [`contract::Ground`] and hands it to [`contract::run`]. Nothing
//! depends on this crate.

pub mod card;
pub mod contract;
pub mod fido;
pub mod guest;
pub mod hardware;
pub mod isolation;
pub mod real_keys;
pub mod service;
pub mod soft;
