//! Connections: to which of the servers that the URL names, TLS, what a session is told before its first statement.
//!
//! TLS is the house's rustls. A server that is not on this machine must show a certificate that the system's roots, or
//! those of `postgres.ca`, vouch for, unless the URL says `sslmode=disable`.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::future::{join_all, join3};
use rand::seq::SliceRandom as _;
use rustls::RootCertStore;
use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, Config, Connection, Socket,
    config::{ChannelBinding, LoadBalanceHosts, SslMode, TargetSessionAttrs},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{
    failure::Failure,
    fence::{self, Fence, Identity},
    url::ServerUrl,
};
use crate::store::{
    StoreOptions,
    error::{EngineError, StoreError},
};

pub(super) type Wire = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// How often all servers are looked at, where there are several.
const SURVEY: Duration = Duration::from_secs(5);

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    servers: Arc<[Server]>,
    tls: MakeRustlsConnect,
    session: Arc<str>,
    /// For reaching an address, and once more for what is said first.
    patience: Duration,
    fence: Fence,
}

/// One of the servers that the URL names.
struct Server {
    config: Config,
    shown: String,
    refused: AtomicBool,
}

/// A connection, with whatever keeps it going and the server that it leads to.
pub(super) struct Opened<T> {
    pub(super) client: Client,
    pub(super) driver: JoinHandle<T>,
    pub(super) server: Identity,
}

impl Connector {
    /// Reads a URL, or why it cannot be used.
    pub(super) fn new(url: &str, options: &StoreOptions) -> Result<Self, StoreError> {
        let url = ServerUrl::read(url)?;
        let mut configs = url.servers();
        let several = configs.len() > 1;
        for config in &mut configs {
            if let Some(password) = options.password.as_ref().filter(|_| config.get_password().is_none()) {
                config.password(password.expose());
            }
            if config.get_password().is_none() && config.get_channel_binding() == ChannelBinding::Require {
                // Whoever is known by a certificate or an address sends nothing that could be bound.
                config.channel_binding(ChannelBinding::Prefer);
            }
            if several && config.get_target_session_attrs() == TargetSessionAttrs::Any {
                // Of several servers the one that takes writes is meant, whichever that is today. One alone is read
                // even while it takes none.
                config.target_session_attrs(TargetSessionAttrs::ReadWrite);
            }
            if config.get_application_name().is_none() {
                config.application_name("quorate-oracle");
            }
            if config.get_connect_timeout().is_none() {
                config.connect_timeout(options.connect);
            }
            // So that a server that vanished without a word is noticed by connections that wait for it.
            config.tcp_user_timeout(options.operation).keepalives_idle(Duration::from_secs(30));
            config.keepalives_interval(Duration::from_secs(10)).keepalives_retries(3);
        }
        let first = configs.first().expect("a URL without a host is refused");
        let tls = MakeRustlsConnect::new(tls(first, options.ca.as_deref())?);
        let server =
            |(place, config)| Server { config, shown: url.show_server(place), refused: AtomicBool::new(false) };
        let servers = configs.into_iter().enumerate().map(server).collect();
        Ok(Self { servers, tls, session: session(options).into(), patience: options.connect, fence: Fence::default() })
    }

    /// What is known of the servers.
    pub(super) fn fence(&self) -> &Fence {
        &self.fence
    }

    /// Whether the URL names several servers.
    pub(super) fn has_several(&self) -> bool {
        self.servers.len() > 1
    }

    /// A session on the first server that answers, is wanted and is let through by the fence. `drive` keeps its
    /// connection going.
    pub(super) async fn connect<T>(&self, drive: impl Fn(Wire) -> JoinHandle<T>) -> Result<Opened<T>, Failure> {
        let mut last: Option<(bool, Failure)> = None;
        for (server, config) in self.addresses().await {
            // That one is out of reach says less than anything else.
            let (tells, failure) = match self.look(&config, &drive).await {
                Ok(opened) => match self.let_through(server, opened).await {
                    Ok(opened) => return Ok(opened),
                    Err(failure) => (true, failure),
                },
                Err(failure) => (!matches!(failure, Failure::Cut(StoreError::Unreachable { .. })), failure),
            };
            if tells || last.as_ref().is_none_or(|(told, _)| !told) {
                last = Some((tells, failure));
            }
        }
        Err(last.map_or(Failure::Cut(StoreError::Slow), |(_, failure)| failure))
    }

    /// Looks at every server, so that one that has been overtaken is not used, though it may come first.
    pub(super) async fn survey(&self) {
        let addresses = self.addresses().await;
        let looks = addresses.iter().map(|(_, config)| self.look(config, drive));
        for ((server, _), look) in addresses.iter().zip(join_all(looks).await) {
            if let Ok(opened) = look {
                opened.driver.abort();
                drop(self.admit(server, opened.server));
            }
        }
    }

    /// Looks at every server for as long as it is polled.
    pub(super) async fn keep_surveying(self) {
        loop {
            tokio::time::sleep(SURVEY.mul_f64(0.75 + rand::random::<f64>() / 2.0)).await;
            self.survey().await;
        }
    }

    /// Every address of every server, in the order in which they are tried. A name may have several.
    async fn addresses(&self) -> Vec<(&Server, Config)> {
        let mut addresses = Vec::new();
        for server in self.servers.iter() {
            let mut found = Vec::new();
            if let Some(name) = ServerUrl::name_to_resolve(&server.config)
                && let Ok(Ok(addresses)) = tokio::time::timeout(self.patience, tokio::net::lookup_host(name)).await
            {
                found.extend(addresses.map(|address| server.config.clone().hostaddr(address.ip()).clone()));
            }
            if found.is_empty() {
                // The driver says what is wrong with a name.
                found.push(server.config.clone());
            }
            addresses.extend(found.into_iter().map(|config| (server, config)));
        }
        if self.servers.iter().any(|server| server.config.get_load_balance_hosts() == LoadBalanceHosts::Random) {
            addresses.shuffle(&mut rand::rng());
        }
        addresses
    }

    /// Asks the fence about a session's server, by what it says and by its mark.
    async fn let_through<T>(&self, server: &Server, opened: Opened<T>) -> Result<Opened<T>, Failure> {
        let admitted = async {
            self.admit(server, opened.server)?;
            let compared = self.fence.compare_marks(&opened.client, opened.server);
            tokio::time::timeout(self.patience, compared).await.unwrap_or(Err(Failure::Cut(StoreError::Slow)))
        };
        match admitted.await {
            Ok(()) => Ok(opened),
            Err(failure) => {
                opened.driver.abort();
                Err(failure)
            }
        }
    }

    /// Asks the fence, and says so when a server is not used any more.
    fn admit(&self, server: &Server, identity: Identity) -> Result<(), Failure> {
        let outcome = self.fence.admit(identity);
        if let Err(refused) = outcome
            && !server.refused.load(Ordering::Relaxed)
        {
            tracing::error!(server = server.shown, %refused, "a server of the database is not used");
        }
        server.refused.store(outcome.is_err(), Ordering::Relaxed);
        Ok(outcome?)
    }

    /// Connects, tells the session how to be, and asks which server it is.
    async fn look<T>(&self, config: &Config, drive: impl Fn(Wire) -> JoinHandle<T>) -> Result<Opened<T>, Failure> {
        let (client, connection) = tokio::time::timeout(self.patience, config.connect(self.tls.clone()))
            .await
            .map_err(|_late| Failure::Cut(StoreError::Slow))?
            .map_err(|cause| Failure::of(&cause, "connecting"))?;
        let driver = drive(connection);
        let talk = join3(
            client.batch_execute(&self.session),
            client.simple_query(fence::CLUSTER),
            client.simple_query(fence::TIMELINE),
        );
        let server = match tokio::time::timeout(self.patience, talk).await {
            Err(_late) => Err(Failure::Cut(StoreError::Slow)),
            Ok((Err(cause), _, _)) => Err(Failure::of(&cause, "connecting")),
            Ok((Ok(()), cluster, timeline)) => Identity::read(cluster, timeline),
        };
        match server {
            Ok(server) => Ok(Opened { client, driver, server }),
            Err(failure) => {
                driver.abort();
                Err(failure)
            }
        }
    }
}

/// Keeps a connection going on which nobody listens.
pub(super) fn drive(connection: Wire) -> JoinHandle<()> {
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to the database ended");
        }
    })
}

/// What a session is told at its beginning.
fn session(options: &StoreOptions) -> String {
    let statement = options.statement.as_millis();
    let idle = options.operation.as_millis();
    format!(
        "SET statement_timeout = {statement};
         SET lock_timeout = {statement};
         SET idle_in_transaction_session_timeout = {idle};
         -- A node that vanished without a word leaves no lock behind for long.
         SET tcp_keepalives_idle = 30; SET tcp_keepalives_interval = 10; SET tcp_keepalives_count = 3;
         -- Whoever reads a whole small table meets everybody who writes to it, and loses.
         SET enable_seqscan = off;
         -- One schema, whatever the user's and the database's settings say; temporary tables stand in for none.
         SELECT pg_catalog.set_config('search_path', pg_catalog.concat(
             pg_catalog.quote_ident(CAST(pg_catalog.current_schema() AS TEXT)), ', pg_temp'), false);
         -- Acknowledged means durable, here and on the standbys that the server waits for, whatever its default.
         SELECT pg_catalog.set_config('synchronous_commit', 'on', false)
             WHERE pg_catalog.current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')"
    )
}

fn tls(config: &Config, ca: Option<&Path>) -> Result<rustls::ClientConfig, StoreError> {
    // Without TLS nobody is asked, and the system's roots take their time.
    let nobody = ca.is_none() && config.get_ssl_mode() == SslMode::Disable;
    let roots = if nobody { RootCertStore::empty() } else { crate::tls::roots(ca).map_err(bad_url)? };
    Ok(crate::tls::client(roots))
}

fn bad_url(cause: impl std::error::Error + Send + Sync + 'static) -> StoreError {
    StoreError::Url { source: EngineError::new(cause) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connector(url: &str) -> Connector {
        Connector::new(url, &StoreOptions::default()).unwrap()
    }

    #[test]
    fn of_several_servers_the_one_that_takes_writes_is_meant() {
        let wanted = |url| -> Vec<_> {
            connector(url).servers.iter().map(|server| server.config.get_target_session_attrs()).collect()
        };
        assert_eq!(wanted("postgres://u@localhost/quorate"), [TargetSessionAttrs::Any]);
        let two = "postgres://u@a.example:5432,b.example:5433/quorate";
        assert_eq!(wanted(two), [TargetSessionAttrs::ReadWrite; 2]);
        assert_eq!(wanted("postgres://u@h/q?target_session_attrs=read-write"), [TargetSessionAttrs::ReadWrite]);
    }

    #[test]
    fn what_vouches_for_the_server_must_be_there() {
        let options = StoreOptions { ca: Some("/nowhere/ca.pem".into()), ..StoreOptions::default() };
        assert!(matches!(Connector::new("postgres://u@h/q", &options), Err(StoreError::Url { .. })));
    }
}
