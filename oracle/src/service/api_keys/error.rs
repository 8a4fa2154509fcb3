//! Why nothing is done with an API key. Knows no HTTP status; never carries what was sent.

use crate::mail::MailError;
use crate::memory::pool::PoolError;
use crate::service::failures::TooMany;
use crate::store::StoreError;

/// A refused request. The words that clients of the seeds may compare are theirs.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApiKeyError {
    /// The key's secret was given out before.
    #[error("Unauthorized")]
    AlreadyActive,
    /// Somebody else changed the key at the same time.
    #[error("the API key was changed by somebody else just now: try again")]
    Changed,
    /// What is stored does not open: another root secret, or a database that was altered.
    #[error("a stored API key cannot be read")]
    Damaged,
    /// The key that takes over would own too many data keys: one comes with every rotation that finds records.
    #[error("the new key would own more than 64 data keys: take over into a key that has taken over less")]
    DataKeys,
    /// Not an email.
    #[error("email is not an email address")]
    Email,
    /// The gateway key is missing or wrong.
    #[error("Forbidden")]
    Gateway,
    /// A field that must be there and hold text.
    #[error("{0} is required")]
    Missing(&'static str),
    /// The mail server did not take the value, so there is no API key.
    #[error("the mail server did not take the mail, so no API key was made")]
    NotMailed(#[source] MailError),
    /// Of two keys to rotate, this one is unknown, not activated or revoked, or its secret is wrong.
    #[error("{0} key is not valid")]
    NotRotatable(&'static str),
    /// Too many origins.
    #[error("an API key can list 64 origins")]
    Origins,
    /// The threads that handle secrets are overloaded or gone.
    #[error("the oracle is busy")]
    Pool(#[from] PoolError),
    /// A key that hands over to itself. Whoever took that for done would take the key out of use, with all that it owns.
    #[error("the old key and the new key are one and the same")]
    SameKey,
    /// A user of the key that hands over has the UUID of a user of the key that takes over.
    #[error("both keys have a security-key user of the same UUID, who would become one: remove one of the two first")]
    SharedUsers,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Too many wrong credentials came from there.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// Missing, wrong, not activated or revoked credentials.
    #[error("Unauthorized")]
    Unauthorized,
    /// No API key of that value and email.
    #[error("No matching API Key record was found")]
    Unknown,
}
