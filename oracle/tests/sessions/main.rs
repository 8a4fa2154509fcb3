//! Quorum sessions over HTTP: the honest path, and everything dishonest that a stranger, an applicant, a constituent or a
//! dealer can send. Every refusal is checked by its status and stable word.

mod codes;
mod false_tocs;
mod redeals;
mod requests;
#[path = "../support/mod.rs"]
mod support;
