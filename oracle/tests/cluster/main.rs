//! Many oracles on one store: three nodes behind one address, each request to another; clocks that differ; nodes and the
//! store's server killed under load.

#[path = "../support/forward.rs"]
#[expect(dead_code, reason = "shared with tests of the store")]
mod forward;
mod kills;
mod nodes;
#[path = "../support/plain.rs"]
mod plain;
#[path = "../process/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod process;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "shared with tests that need other parts of it")]
mod support;
