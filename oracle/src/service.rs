//! The rules of the oracle. Services know the protocol, the store and the clock; they know neither HTTP nor SQL.

pub mod api_keys;
pub mod at_rest;
pub mod sessions;
pub mod totps;
