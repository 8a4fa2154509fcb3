//! Apps over HTTP: who may read what and who no more, sharedmfa's routes, what careless and bad clients send, and what thieves
//! of the database can do.

mod amended;
mod audit;
mod bad_input;
mod curl;
mod ends;
mod export;
mod grants;
pub mod ground;
mod known;
mod quorum;
mod races;
mod readers;
mod snapshots;
mod thieves;
mod thieves_of_keys;
