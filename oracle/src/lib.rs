//! The oracle.
pub mod store;
