//! Connections: what the URL says, TLS, what a session is told before its first statement, the pool.
//!
//! TLS is the house's rustls. A server that is not on this machine must show a certificate that the system's roots, or
//! those of `postgres.ca`, vouch for, unless the URL says `sslmode=disable`.

use std::{path::Path, sync::Arc, time::Duration};

use deadpool_postgres::{Connect, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use futures_util::future::BoxFuture;
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};
use tokio::task::JoinHandle;
use tokio_postgres::{
    Client, Config, Connection, Error, Socket,
    config::{ChannelBinding, SslMode, TargetSessionAttrs},
    tls::MakeTlsConnect,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{failure::Failure, url::ServerUrl};
use crate::store::{
    StoreOptions,
    error::{EngineError, StoreError},
};

type Stream = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    session: Arc<str>,
    /// For one connection, whichever of the hosts it comes from.
    patience: Duration,
}

impl Connector {
    /// Reads a URL, or why it cannot be used.
    pub(super) fn new(url: &str, options: &StoreOptions) -> Result<Self, StoreError> {
        let ServerUrl { mut config } = ServerUrl::read(url)?;
        let hosts = config.get_hosts().len().max(config.get_hostaddrs().len()).max(1);
        if let Some(password) = options.password.as_ref().filter(|_| config.get_password().is_none()) {
            config.password(password.expose());
        }
        if config.get_password().is_none() && config.get_channel_binding() == ChannelBinding::Require {
            // Whoever is known by a certificate or an address sends nothing that could be bound.
            config.channel_binding(ChannelBinding::Prefer);
        }
        if hosts > 1 && config.get_target_session_attrs() == TargetSessionAttrs::Any {
            // Of several servers the one that takes writes is meant, whichever that is today.
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
        let tls = MakeRustlsConnect::new(tls(&config, options.ca.as_deref())?);
        let patience = options.connect * u32::try_from(hosts).unwrap_or(u32::MAX);
        Ok(Self { config, tls, session: session(options).into(), patience })
    }

    /// A pool of connections, none made yet.
    pub(super) fn pool(&self, options: &StoreOptions) -> Pool {
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        Pool::builder(Manager::from_connect(self.config.clone(), self.clone(), manager))
            .max_size(options.connections.max(1))
            .wait_timeout(Some(options.wait))
            .create_timeout(Some(self.patience))
            .recycle_timeout(Some(options.connect))
            .runtime(Runtime::Tokio1)
            .build()
            .expect("a runtime is named")
    }

    /// One connection beside the pool, for whoever looks after it.
    pub(super) async fn dial(&self) -> Result<(Client, Connection<Socket, Stream>), Failure> {
        tokio::time::timeout(self.patience, self.config.connect(self.tls.clone()))
            .await
            .map_err(|_late| Failure::Cut(StoreError::Slow))?
            .map_err(|cause| Failure::of(&cause, "connecting"))
    }

    /// Tells a session that [`Connector::dial`] began, and somebody drives, how to be.
    pub(super) async fn introduce(&self, client: &Client) -> Result<(), Failure> {
        tokio::time::timeout(self.patience, client.batch_execute(&self.session))
            .await
            .map_err(|_late| Failure::Cut(StoreError::Slow))?
            .map_err(|cause| Failure::of(&cause, "connecting"))
    }
}

/// For the pool: a connection that drives itself and has been told how to be.
impl Connect for Connector {
    fn connect(&self, config: &Config) -> BoxFuture<'_, Result<(Client, JoinHandle<()>), Error>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, connection) = config.connect(self.tls.clone()).await?;
            let driver = tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "a connection to the database ended");
                }
            });
            client.batch_execute(&self.session).await?;
            Ok((client, driver))
        })
    }
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
    let mut roots = RootCertStore::empty();
    if let Some(path) = ca {
        for certificate in CertificateDer::pem_file_iter(path).map_err(bad_url)? {
            roots.add(certificate.map_err(bad_url)?).map_err(bad_url)?;
        }
    } else if config.get_ssl_mode() != SslMode::Disable {
        // What of the system's roots cannot be read is not trusted; the handshake will say so.
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let client = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(bad_url)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(client)
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
        let one = connector("postgres://u@localhost/quorate");
        assert_eq!(one.config.get_target_session_attrs(), TargetSessionAttrs::Any);
        let two = connector("postgres://u@a.example:5432,b.example:5433/quorate");
        assert_eq!(two.config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert_eq!(two.patience, StoreOptions::default().connect * 2);
    }

    #[test]
    fn what_vouches_for_the_server_must_be_there() {
        let options = StoreOptions { ca: Some("/nowhere/ca.pem".into()), ..StoreOptions::default() };
        assert!(matches!(Connector::new("postgres://u@h/q", &options), Err(StoreError::Url { .. })));
    }
}
