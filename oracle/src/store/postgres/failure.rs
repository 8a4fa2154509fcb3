//! What went wrong at the server, and what to do about it: run the operation again, on the same connection or another, or
//! give up. Never keeps a stored value: of what the server says only code, message and constraint.

use std::{error::Error, fmt};

use deadpool::managed::{PoolError, TimeoutType};
use tokio_postgres::error::SqlState;

use crate::store::error::{EngineError, StoreError};

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(super) enum Failure {
    /// The connection is of no use, and nothing was committed on it: run again on another.
    Cut(StoreError),
    /// Running it again would change nothing, or might do it twice.
    Final(StoreError),
    /// Lost against another transaction, and undone: run again.
    Lost,
}

impl Failure {
    /// What an error of the driver means while a transaction is open and its end was not asked for.
    pub(super) fn of(cause: &tokio_postgres::Error, doing: &'static str) -> Self {
        let Some(code) = cause.code() else {
            // What is neither the server's word nor the network's is a value that does not fit, or a refused password.
            let network = cause.source().is_none_or(<dyn Error>::is::<std::io::Error>);
            return if network { Self::Cut(unreachable(cause)) } else { Self::Final(engine(cause, doing)) };
        };
        match code {
            code if *code == SqlState::T_R_SERIALIZATION_FAILURE || *code == SqlState::T_R_DEADLOCK_DETECTED => {
                Self::Lost
            }
            // Two acts on one session, both of which had looked whether it was free.
            code if *code == SqlState::UNIQUE_VIOLATION && belongs_to_a_session(cause) => Self::Lost,
            code if *code == SqlState::LOCK_NOT_AVAILABLE || *code == SqlState::QUERY_CANCELED => {
                Self::Final(StoreError::Slow)
            }
            code if *code == SqlState::DISK_FULL => Self::Final(StoreError::Full),
            code if *code == SqlState::TOO_MANY_CONNECTIONS => Self::Cut(StoreError::Busy),
            // A fail-over may have made this server a standby: another connection may find its successor.
            code if *code == SqlState::READ_ONLY_SQL_TRANSACTION => Self::Cut(StoreError::ReadOnly),
            // This node kept the server waiting; nothing else is wrong with either.
            code if *code == SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT => Self::Cut(StoreError::Slow),
            code if goes_away(code) => Self::Cut(unreachable(cause)),
            // Someone else's statements, say a pooler's, or a plan that a new schema has overtaken.
            code if *code == SqlState::INVALID_SQL_STATEMENT_NAME || *code == SqlState::FEATURE_NOT_SUPPORTED => {
                Self::Cut(engine(cause, doing))
            }
            _ => Self::Final(engine(cause, doing)),
        }
    }

    /// The same when the commit had been asked for: whether it happened is not known when the connection broke.
    pub(super) fn at_commit(cause: &tokio_postgres::Error) -> Self {
        match Self::of(cause, "committing") {
            Self::Cut(error) => Self::Final(error),
            other => other,
        }
    }
}

impl Failure {
    /// The error for whoever does not run anything again.
    pub(super) fn into_error(self) -> StoreError {
        match self {
            Self::Cut(error) | Self::Final(error) => error,
            Self::Lost => StoreError::Contended { tries: 1 },
        }
    }
}

impl From<PoolError<Self>> for Failure {
    fn from(error: PoolError<Self>) -> Self {
        match error {
            PoolError::Timeout(TimeoutType::Wait) => Self::Final(StoreError::Busy),
            PoolError::Backend(failure) => failure,
            PoolError::Closed => Self::Final(StoreError::Stopped),
            PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
                let late = std::io::Error::from(std::io::ErrorKind::TimedOut);
                Self::Cut(StoreError::Unreachable { source: EngineError::new(late) })
            }
        }
    }
}

/// Whether what is there already is in a session: the number of an event, a Toc, a player's slot.
fn belongs_to_a_session(cause: &tokio_postgres::Error) -> bool {
    let constraint = cause.as_db_error().and_then(tokio_postgres::error::DbError::constraint);
    constraint.is_some_and(|name| ["events_pkey", "tocs_pkey", "tocs_slot"].contains(&name))
}

/// Whether the server says that it, or this connection, goes away or is not ready yet (class 57P) or that there is none
/// (class 08).
fn goes_away(code: &SqlState) -> bool {
    code.code().starts_with("57P") || code.code().starts_with("08")
}

pub(super) fn unreachable(cause: &tokio_postgres::Error) -> StoreError {
    StoreError::Unreachable { source: said(cause) }
}

pub(super) fn engine(cause: &tokio_postgres::Error, doing: &'static str) -> StoreError {
    StoreError::Engine { doing, source: said(cause) }
}

/// What an error says, without the server's "detail", which quotes rows.
pub(super) fn said(cause: &tokio_postgres::Error) -> EngineError {
    EngineError::new(match cause.as_db_error() {
        Some(said) => Said {
            text: said.message().to_owned(),
            code: Some(said.code().code().to_owned()),
            constraint: said.constraint().map(str::to_owned),
        },
        None => Said {
            text: match cause.source() {
                Some(source) => format!("{cause}: {source}"),
                None => cause.to_string(),
            },
            code: None,
            constraint: None,
        },
    })
}

#[derive(Debug)]
struct Said {
    text: String,
    code: Option<String>,
    constraint: Option<String>,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)?;
        if let Some(code) = &self.code {
            write!(f, " ({code})")?;
        }
        match &self.constraint {
            Some(constraint) => write!(f, ", constraint {constraint}"),
            None => Ok(()),
        }
    }
}

impl Error for Said {}
