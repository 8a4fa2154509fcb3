//! The rules of the oracle. Services know the protocol, the store and the clock; they know neither HTTP nor SQL.

pub mod api_keys;
pub mod apps;
pub mod at_rest;
pub mod audit;
pub mod drills;
pub mod either_base64;
pub mod failures;
pub mod import;
pub(crate) mod legacy;
mod legacy_users;
pub mod notices;
pub mod people;
pub mod pictures;
pub mod relying_party;
pub mod security_keys;
pub mod sessions;
mod signer;
pub mod totps;
pub mod u2f;
pub mod webauthn;
