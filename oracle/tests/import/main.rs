//! Import from serverless-mfa-api and serverless-mfa-api-go: what is in their tables works here with the secrets that its
//! owners have, becomes ordinary at its first use, and moves with a rotation before and after. What is no export changes
//! nothing and is named.

mod bad;
mod command;
mod export;
mod manual;
mod peers;
#[path = "../support/postgres.rs"]
#[expect(dead_code, reason = "shared with tests that kill it")]
mod postgres;
#[path = "../mfa/stage.rs"]
mod stage;
#[path = "../support/stored.rs"]
mod stored;
#[path = "../mfa/token.rs"]
#[expect(dead_code, reason = "shared with tests that forge more")]
mod token;
mod usage;

use quorate_oracle::service::api_keys::Listed;
use quorate_oracle::service::import::{Import, ImportError, Summary};
use quorate_oracle::testing::TestSetup;
use stage::Stage;
use std::path::PathBuf;

/// An oracle on each engine.
async fn stages() -> Vec<Stage> {
    let mut stages = vec![Stage::new().await];
    if let Some(server) = postgres::shared() {
        let database = server.url(&server.database().await);
        stages.push(Stage::with(TestSetup::default().set("database", database)).await);
    }
    stages
}

/// Imports files, or says why not.
async fn import(stage: &Stage, files: &[PathBuf]) -> Result<Summary, ImportError> {
    Import::new(stage.oracle.state(), files.to_vec()).run().await
}

async fn listed(stage: &Stage) -> Vec<Listed> {
    stage.oracle.state().api_keys.list().await.expect("listed")
}
