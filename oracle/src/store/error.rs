//! Why the store could not do it. Knows no HTTP; never carries a stored value or a password of a database URL.

use std::{error::Error, fmt, path::PathBuf, sync::Arc};

/// An error of the store. Cloneable, because one failed commit is the answer to many callers.
///
/// Whatever the variant, the operation that got it was not acknowledged.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Too much is waiting already; try again shortly.
    #[error("the store is busy: its queue is full")]
    Busy,
    /// The operation met others so often that it gave up; try again shortly.
    #[error("the store is busy: the operation lost against others {tries} times")]
    Contended {
        /// How often it was tried.
        tries: u32,
    },
    /// Whatever the engine said that has no variant of its own.
    #[error("the database failed while {doing}")]
    Engine {
        /// What was being done.
        doing: &'static str,
        /// What the engine said.
        source: EngineError,
    },
    /// Another oracle serves with the file.
    #[error(
        "another oracle serves with {}: stop it first; several share a PostgreSQL (docs/cluster.md)", .path.display()
    )]
    Claimed {
        /// The database's file.
        path: PathBuf,
    },
    /// No room on the disk. Works again when there is room.
    #[error("the disk of the database is full")]
    Full,
    /// Another process holds the database.
    #[error("the database is locked by another process")]
    Locked,
    /// A migration in the database is not the one that this program knows under its number.
    #[error("migration {version} in the database differs from the one this program carries")]
    MigrationChanged {
        /// The migration.
        version: i64,
    },
    /// A migration was left out that changes what later ones, which were applied, rest on.
    #[error(
        "migration {version} was never applied to the database, and {newest} was: it cannot be made up for, \
         so take a copy from before, or export and import"
    )]
    MigrationMissed {
        /// The migration.
        version: i64,
        /// The newest that was applied.
        newest: i64,
    },
    /// The database was migrated by a newer program with which this one cannot share it.
    #[error("the database needs a program that knows schema {needed}; this one knows up to {known}")]
    NewerSchema {
        /// The lowest schema that a program must know.
        needed: i64,
        /// The highest that this one knows.
        known: i64,
    },
    /// The folder for the database is not there.
    #[error("the folder {} does not exist", .folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
    },
    /// The file is not a database.
    #[error("{} is not a database", .path.display())]
    NotADatabase {
        /// The file.
        path: PathBuf,
    },
    /// The file is a database, but of another program.
    #[error("{} is a database of another program", .path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
    },
    /// The account may not write what it has to.
    #[error(
        "user {user} cannot write {}: {source}: give it to that account with chown, and chmod u+w", .path.display()
    )]
    NotWritable {
        /// The database's file, one beside it, or its folder.
        path: PathBuf,
        /// The account's number.
        user: u32,
        /// Why.
        source: EngineError,
    },
    /// The database could not be opened.
    #[error("cannot open the database {}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: EngineError,
    },
    /// The operation itself failed in a way that nobody foresaw.
    #[error("an operation of the store panicked")]
    Panicked,
    /// The store takes no writes: a standby, or switched so by its operator.
    #[error("the database is read-only")]
    ReadOnly,
    /// A row does not hold what the schema promises: the database was altered by something else.
    #[error("a stored row is damaged: column {column} is not {expected}")]
    Row {
        /// Its place in the query, from 0.
        column: usize,
        /// What it should have been.
        expected: &'static str,
    },
    /// No answer in time. What was asked may have been done all the same.
    #[error("the database did not answer in time")]
    Slow,
    /// The store was shut down, or its writer died.
    #[error("the store has stopped")]
    Stopped,
    /// No engine is known for such a URL.
    #[error("unknown kind of database '{scheme}': the URL must start with sqlite: or postgres:")]
    UnknownScheme {
        /// What stood before the colon; the rest may hold a password and is not repeated.
        scheme: String,
    },
    /// No connection to the database server, or it broke. What was under way may have been done all the same.
    #[error("the database is out of reach")]
    Unreachable {
        /// Why.
        source: EngineError,
    },
    /// The database's URL, or what belongs to it, cannot be used. The URL is not repeated: it may hold a password.
    #[error("the database's URL cannot be used")]
    Url {
        /// Why.
        source: EngineError,
    },
}

/// What an engine said, shared between all who were told.
#[derive(Clone)]
pub struct EngineError(Arc<dyn Error + Send + Sync>);

impl EngineError {
    pub(super) fn new(cause: impl Error + Send + Sync + 'static) -> Self {
        Self(Arc::new(cause))
    }
}

impl fmt::Debug for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl fmt::Display for EngineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Error for EngineError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
