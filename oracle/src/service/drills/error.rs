//! Why nothing is done for a drill. Knows no HTTP status; never carries what was sent.

use crate::memory::pool::PoolError;
use crate::service::failures::TooMany;
use crate::service::people::PeopleError;
use crate::store::{DrillEnd, StoreError};

/// A refused request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DrillError {
    /// An answer that does not verify.
    #[error("the answer is not a signature of this player for this drill")]
    BadAnswer,
    /// The call could not be verified to the drill's end.
    #[error("the oracle's invite certificate ends before such a drill would: choose an earlier end, or renew it")]
    CertificateEnds,
    /// What is stored does not open: another root secret, or a database that was altered.
    #[error("a stored drill cannot be read")]
    Damaged,
    /// A group that a redeal has replaced.
    #[error("this group was replaced by a redeal: its Tocs need not open any more")]
    GroupReplaced,
    /// No calls can be signed.
    #[error("the oracle's invite certificate has expired: its operator must renew it")]
    NoCertificate,
    /// The drill is over.
    #[error("the drill is over: {}", .0.as_str())]
    Over(DrillEnd),
    /// The group, or who calls.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The threads that handle secrets are overloaded or gone.
    #[error("the oracle is busy")]
    Pool(#[from] PoolError),
    /// Something in the request cannot be.
    #[error("{0}")]
    Request(&'static str),
    /// Another drill of the same group is open.
    #[error("a drill of this group is under way: wait for its end, or end it")]
    Running,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such drill.
    #[error("there is no such drill")]
    Unknown,
    /// Too many wrong answers from one address.
    #[error(transparent)]
    Wait(#[from] TooMany),
    /// A group that names another oracle.
    #[error("this group names another oracle: ask that one")]
    WrongOracle,
}
