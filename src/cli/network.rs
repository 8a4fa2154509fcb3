//! Options of the commands that speak with an oracle: which one, and how it is reached. It must not know how that is done.

use super::error::PeopleError;
use super::tickets::{self, Held};
use super::trust::{TrustError, TrustStore, check, is_successor};
use super::{CliError, Context};
use crate::client::{Client, ClientOptions};
use quorate_protocol::api::fingerprint;
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

    /// A connection to the oracle at `url`, which shows the ticket that `quorate login` left for it, if there is one.
    pub(crate) fn client(&self, context: &Context, url: &str) -> Result<Client, CliError> {
        let client = Client::new(url, &self.options())?;
        Ok(match tickets::ticket(context, client.url())? {
            Some(ticket) => client.with_ticket(ticket),
            None => client,
        })
    }
}

/// Which oracle.
#[derive(Debug, clap::Args)]
pub(crate) struct OracleAt {
    /// Address of the oracle; may be left out when only one is trusted
    #[arg(long, value_name = "URL")]
    pub(crate) oracle: Option<String>,
    #[command(flatten)]
    pub(crate) network: NetworkArgs,
}

impl OracleAt {
    /// A connection to the oracle that was named, or to the only one that is trusted. It shows no ticket.
    pub(crate) fn client(&self, context: &Context) -> Result<Client, CliError> {
        let options = self.network.options();
        Ok(match &self.oracle {
            Some(url) => Client::new(url, &options)?,
            None => Client::new(&TrustStore::load(&context.paths()?)?.named_or_only(None)?.url, &options)?,
        })
    }
}

/// Which oracle, for those who have logged in there.
#[derive(Debug, clap::Args)]
pub(crate) struct LoggedInAt {
    /// Address of the oracle; may be left out when you are logged in at only one
    #[arg(long, value_name = "URL")]
    oracle: Option<String>,
    #[command(flatten)]
    network: NetworkArgs,
}

impl LoggedInAt {
    /// How the oracle is reached.
    pub(crate) fn network(&self) -> &NetworkArgs {
        &self.network
    }

    /// A connection that shows nothing, to the oracle that was named, to the only one where this person is logged in, or to the
    /// only one that is trusted.
    pub(crate) fn stranger(&self, context: &Context) -> Result<Client, CliError> {
        let oracle = self.oracle.clone().or_else(|| only(context).ok());
        OracleAt { oracle, network: self.network.clone() }.client(context)
    }

    /// A connection that shows the ticket which `quorate login` left for that oracle.
    pub(crate) fn client(&self, context: &Context) -> Result<Client, CliError> {
        let url = match &self.oracle {
            Some(url) => url.clone(),
            None => only(context)?,
        };
        logged_in(context, &url, &self.network)
    }
}

/// A connection to the oracle at `url` that shows the ticket which `quorate login` left for it.
pub(crate) fn logged_in(context: &Context, url: &str, network: &NetworkArgs) -> Result<Client, CliError> {
    let client = Client::new(url, &network.options())?;
    match tickets::ticket(context, client.url())? {
        Some(ticket) => Ok(client.with_ticket(ticket)),
        None => Err(PeopleError::NotLoggedIn(client.url().to_owned()).into()),
    }
}

/// The only oracle where this person is logged in.
pub(crate) fn only(context: &Context) -> Result<String, CliError> {
    let held = Held::list(&context.paths()?.tickets(), context.now());
    match held.as_slice() {
        [only] => Ok(only.oracle.clone()),
        held => Err(PeopleError::NotNamed(held.len()).into()),
    }
}

/// Fails when the oracle at `url` is trusted and shows another root key: it is to be told nothing. For one that is not trusted
/// its certificate vouches alone.
pub(crate) fn check_key(context: &Context, url: &str, options: &ClientOptions) -> Result<(), CliError> {
    let store = TrustStore::load(&context.paths()?)?;
    let Ok(trusted) = store.find(url) else { return Ok(()) };
    let description = Client::describe(url, options)?;
    let pin = check(&description, url)?;
    let same = pin.root_key == trusted.root_key;
    if same || is_successor(&trusted.pin(), &pin, &description.certificates, context.now()) {
        return Ok(());
    }
    let found = fingerprint(&pin.root_key.0);
    Err(TrustError::Changed { url: pin.url, trusted: trusted.fingerprint.clone(), found }.into())
}
