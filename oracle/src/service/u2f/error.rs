//! Why a U2F key is not registered or does not log in. Knows no HTTP status; never carries what was sent.

use crate::memory::pool::PoolError;
use crate::service::api_keys::NotOwned;
use crate::service::relying_party::PartyError;
use crate::service::security_keys::CredentialsError;
use crate::store::StoreError;

/// What is wrong with a token's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// A raw message that is not one.
    #[error("the token's answer is not a U2F message")]
    Message,
    /// Client data that is not JSON with the three fields.
    #[error("the client data is not that of U2F")]
    ClientData,
    /// Client data of another act.
    #[error("the client data is of another act")]
    WrongType,
    /// A challenge that was not given out for this, or that is used up or too old.
    #[error("this challenge was not given out for this, or it has been used, or it is too old")]
    Challenge,
    /// The app ID or the origin is refused.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// An attestation certificate that cannot be one.
    #[error("the attestation certificate is not one of U2F")]
    Certificate,
    /// A key that is not a point of P-256.
    #[error("the key is not one of P-256")]
    Key,
    /// A signature that does not verify.
    #[error("the signature is wrong")]
    Signature,
    /// Nobody touched the token.
    #[error("nobody touched the token")]
    NotPresent,
}

/// A refused request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum U2fError {
    /// The token's answer is wrong.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// The app ID is refused.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// A counter that did not rise.
    #[error("the token's counter did not rise: there may be a copy of it")]
    Counter,
    /// Too many wrong signatures.
    #[error("too many wrong signatures")]
    Locked {
        /// How long to wait.
        milliseconds: i64,
    },
    /// A second key for one uuid.
    #[error("a key is registered under this uuid already")]
    AlreadyRegistered,
    /// Somebody else's key handle.
    #[error("this is not the registered key")]
    OtherKey,
    /// A registration without an app ID.
    #[error("appId is required")]
    AppIdRequired,
    /// The key of this record was never confirmed.
    #[error("no key was registered under this uuid")]
    NotRegistered,
    /// No such record, or another tenant's.
    #[error("No U2F record found with that uuid for that API Key.")]
    Unknown,
    /// What is stored does not open.
    #[error("a stored key cannot be read")]
    Damaged,
    /// The threads for cryptography are overloaded or gone.
    #[error("the oracle is busy")]
    Pool(#[from] PoolError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<CredentialsError> for U2fError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Damaged(error) => error.into(),
            CredentialsError::Pool(error) => error.into(),
            CredentialsError::Store(error) => error.into(),
        }
    }
}

impl From<NotOwned> for U2fError {
    fn from(_: NotOwned) -> Self {
        Self::Damaged
    }
}
