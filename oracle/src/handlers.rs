//! Routes, as HTTP: what they take and what they answer. Handlers must not know SQL, nor any rule of a service.

pub mod api_keys;
pub mod apps;
pub mod audit;
pub mod docs;
pub mod drills;
pub mod pages;
pub mod people;
pub mod sessions;
pub mod system;
pub mod totps;
pub mod u2f;
pub mod webauthn;
