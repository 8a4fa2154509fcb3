//! Why nothing is done with an app. Knows no HTTP status; never carries what was sent.

use crate::memory::pool::PoolError;
use crate::service::api_keys::ApiKeyError;
use crate::service::failures::TooMany;
use crate::service::people::PeopleError;
use crate::store::StoreError;
use quorate_protocol::api::AppQuorum;
use quorate_protocol::otp::OtpError;
use quorate_protocol::recipient::RecipientError;

/// A refused request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AppError {
    /// The caller's API key.
    #[error(transparent)]
    ApiKey(#[from] ApiKeyError),
    /// Codes of this app take a quorum.
    #[error(
        "codes of this app take a quorum, {} of {}: run `quorate ask {}`", .0.threshold, .0.size, .0.group_id
    )]
    ByQuorum(Box<AppQuorum>),
    /// Somebody else changed the same app again and again.
    #[error("it was changed by somebody else just now: try again")]
    Changed,
    /// What is stored does not open, or what binds it was altered.
    #[error("a stored app cannot be read")]
    Damaged,
    /// The caller may read it, and not do this.
    #[error("you may read codes of this app, and no more: ask one of its managers")]
    Forbidden,
    /// More apps of one owner, or grants of one app, than there may be.
    #[error("there are as many as there may be")]
    Full,
    /// An API key to be granted something that has no key pair yet.
    #[error("this API key has no key pair yet: it gets one when it first asks for /api/apps")]
    NoKeyPair,
    /// A name, a reason or a right that cannot be.
    #[error("{0}")]
    Request(&'static str),
    /// A field that must be there and hold text.
    #[error("{0} is required")]
    Missing(&'static str),
    /// An app that was named by its number, which is for those that have no other name; with its UUID.
    #[error("this app can be read, and is named by its UUID: {0}")]
    Named(String),
    /// Not an otpauth URI that can be shared.
    #[error(transparent)]
    Otp(#[from] OtpError),
    /// The owner's grant, which ends with the app alone.
    #[error("an app stays its owner's: remove it, or export it and add it elsewhere")]
    OwnerStays,
    /// What only an owner may.
    #[error("only its owner may take the secret of an app out")]
    OwnersOnly,
    /// Who is granted something, or whose group it is.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// The threads that handle secrets are overloaded or gone.
    #[error("the oracle is busy")]
    Pool(#[from] PoolError),
    /// Recipients of an export.
    #[error(transparent)]
    Recipient(#[from] RecipientError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is an app of that UUID.
    #[error("there is an app of this uuid already")]
    Taken,
    /// Too many UUIDs or names were tried that are others', or nobody's.
    #[error("too many of your requests named what is others' or not there")]
    TooMany(#[from] TooMany),
    /// No such app, or none that the caller may read.
    #[error("there is no such app, or you may not read it")]
    Unknown,
    /// Nobody of that name has a grant of this app.
    #[error("there is no grant of this app for that name")]
    Ungranted,
}
