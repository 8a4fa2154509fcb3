//! API keys, TOTP and security keys over HTTP, as clients of serverless-mfa-api use them: the honest path, every refusal of
//! the seeds, and what a stranger, another tenant or a careless client can send.

mod api_keys;
mod at_rest;
mod audit;
#[path = "../support/case.rs"]
mod case;
mod clients;
mod connections;
mod duo;
mod firmware;
mod key_races;
mod limits;
mod logs;
mod mail;
mod nodes;
mod peers;
mod people;
#[path = "../support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that kill it")]
mod postgres;
#[path = "../process/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod process;
mod replays;
#[path = "../support/routes.rs"]
mod routes;
mod schema;
mod snapshots;
mod stage;
#[path = "../support/stored.rs"]
mod stored;
mod token;
mod totps;
mod tour;
mod u2f;
mod u2f_forgeries;
mod webauthn;
mod webauthn_flags;
mod webauthn_forgeries;
