//! Principals over HTTP: they enrol, log in, are given second factors and rights, and lose them; and what strangers, members
//! and thieves of the database can do about it.

mod audit;
mod by_login;
mod drills;
mod enrolment;
mod factors;
mod groups;
mod guests;
pub mod last_looks;
mod late_bodies;
mod logs;
mod named;
mod named_keys;
mod nodes;
mod principals;
mod rights;
mod scene;
mod snapshots;
pub mod stage;
mod thieves;
mod tour;
mod webauthn;
