//! Options of the commands that speak with an oracle. It must not know how that is done.

use crate::client::ClientOptions;
use std::path::PathBuf;

/// How to reach an oracle.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Network")]
pub(crate) struct NetworkArgs {
    /// PEM file of certificate authorities to trust instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// Allow http:// to another machine, for tests inside a closed network
    #[arg(long)]
    pub(crate) insecure_http: bool,
}

impl NetworkArgs {
    /// The same, as the client takes them.
    pub(crate) fn options(&self) -> ClientOptions {
        ClientOptions { ca: self.ca.clone(), insecure_http: self.insecure_http }
    }
}
