//! The oracle: rebuilds secrets in memory for as long as one answer takes, and returns codes, never secrets.
//!
//! Handlers know HTTP, services know the rules, the store knows rows; each knows only the next. [`router`] is the whole
//! table of routes, [`config`] the whole table of settings.

mod approving;
pub mod clock;
pub mod commands;
pub mod config;
pub mod duo;
pub mod error;
pub mod extract;
pub mod handlers;
pub mod keys;
pub mod mail;
pub mod memory;
pub mod observe;
pub mod outbound;
pub mod pulse;
pub mod router;
pub mod serve;
pub mod service;
pub mod state;
pub mod store;
#[doc(hidden)]
pub mod testing;
pub mod tls;
mod unread;
mod web;
