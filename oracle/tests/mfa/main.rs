//! API keys, TOTP and security keys over HTTP, as clients of serverless-mfa-api use them: the honest path, every refusal of
//! the seeds, and what a stranger, another tenant or a careless client can send.

mod api_keys;
mod apps;
mod at_rest;
mod audit;
mod clients;
mod connections;
mod duo;
mod firmware;
mod key_races;
mod limits;
mod logs;
mod mail;
mod nodes;
mod notices;
mod pages;
mod peers;
mod people;
#[path = "../support/plain.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod plain;
#[path = "../process/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod process;
mod replays;
mod schema;
mod snapshots;
mod stage;
#[path = "../support/stored.rs"]
mod stored;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod support;
mod token;
mod totps;
mod tour;
mod u2f;
mod u2f_forgeries;
mod webauthn;
mod webauthn_flags;
mod webauthn_forgeries;

use support::{case, postgres, routes};
