//! The audit log: events, the Merkle tree that their numbers grow, its signed heads, and the check of an export (SPEC, "Audit
//! log"). Oracles write it, `quorate audit verify` reads it; neither trusts the table in between.

pub mod checkpoint;
pub mod event;
pub mod export;
pub mod tree;
