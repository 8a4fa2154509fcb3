//! The pool: connections that know which server they lead to. One to a server that may no longer be used is thrown away
//! when it is next asked for.

use std::ops::Deref;

use deadpool::{
    Runtime,
    managed::{self, Metrics, RecycleError, RecycleResult},
};
use deadpool_postgres::ClientWrapper;

use super::{
    connect::{Connector, Opened, drive},
    failure::Failure,
    fence::Identity,
};
use crate::store::StoreOptions;

pub(super) type Pool = managed::Pool<Sessions>;
pub(super) type Object = managed::Object<Sessions>;

/// Makes what is in the pool.
pub(super) struct Sessions(Connector);

/// A connection that drives itself and has been told how to be.
pub(super) struct Session {
    client: ClientWrapper,
    server: Identity,
}

impl Session {
    /// Which server it leads to.
    pub(super) fn server(&self) -> Identity {
        self.server
    }
}

impl Deref for Session {
    type Target = ClientWrapper;

    fn deref(&self) -> &ClientWrapper {
        &self.client
    }
}

impl managed::Manager for Sessions {
    type Type = Session;
    type Error = Failure;

    async fn create(&self) -> Result<Session, Failure> {
        let Opened { client, driver, server } = self.0.connect(drive).await?;
        Ok(Session { client: ClientWrapper::new(client, driver), server })
    }

    async fn recycle(&self, session: &mut Session, _: &Metrics) -> RecycleResult<Failure> {
        if session.is_closed() {
            return Err(RecycleError::message("it is closed"));
        }
        self.0.fence().check(session.server).map_err(|refused| RecycleError::Backend(refused.into()))
    }
}

/// A pool of so many connections, none made yet.
pub(super) fn pool(connector: Connector, options: &StoreOptions, connections: usize) -> Pool {
    managed::Pool::builder(Sessions(connector))
        .max_size(connections.max(1))
        .wait_timeout(Some(options.wait))
        .create_timeout(Some(options.operation))
        .recycle_timeout(Some(options.connect))
        .runtime(Runtime::Tokio1)
        .build()
        .expect("a runtime is named")
}
