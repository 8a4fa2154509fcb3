//! Why a `WebAuthn` ceremony does not succeed. Knows no HTTP status; never carries what was sent.

use crate::memory::pool::PoolError;
use crate::service::api_keys::NotOwned;
use crate::service::relying_party::PartyError;
use crate::service::security_keys::CredentialsError;
use crate::store::StoreError;
use webauthn_rs_core::error::WebauthnError as Refusal;

/// A refused request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebauthnError {
    /// An attestation that is not one of the three that are taken.
    #[error("this kind of attestation is not taken: send none, packed or fido-u2f")]
    Attestation,
    /// Flags of a credential's backup that cannot be, or that are not those of its registration (`WebAuthn` L3 §7.1 step 20,
    /// §7.2 step 20): eligibility never changes.
    #[error("the credential's backup flags contradict each other or its registration")]
    Backup,
    /// A challenge that was not given out for this, or that is used up or too old.
    #[error("this challenge was not given out for this, or it has been used, or it is too old")]
    Challenge,
    /// A counter that did not rise.
    #[error("the credential's counter did not rise: there may be a copy of it")]
    Counter,
    /// A page inside one of another origin.
    #[error("the answer was made in a frame on a page of another origin")]
    CrossOrigin,
    /// What is stored does not open.
    #[error("a stored credential cannot be read")]
    Damaged,
    /// A credential that the user has already.
    #[error("a credential with this ID already exists")]
    Duplicate,
    /// A user with more credentials than anybody needs.
    #[error("this user has as many credentials as they may")]
    Full,
    /// A key of a kind or curve that was not asked for.
    #[error("the key is not of a kind that was asked for: ES256, ES384 or RS256")]
    Key,
    /// Too many wrong signatures.
    #[error("too many wrong signatures")]
    Locked {
        /// How long to wait.
        milliseconds: i64,
    },
    /// Not what a browser sends.
    #[error("the answer is not one of WebAuthn")]
    Malformed,
    /// A name that a token cannot take.
    #[error("user name and display name must not be empty")]
    Names,
    /// A user who has nothing that this relying party could ask for.
    #[error("Found no credentials for user")]
    NoCredentials,
    /// Nobody touched the token.
    #[error("nobody touched the token")]
    NotPresent,
    /// A passkey that did not ask its user who they are.
    #[error("the passkey did not check who its user is")]
    NotVerified,
    /// An origin other than the one that the headers name.
    #[error("the answer was made for another origin")]
    Origin,
    /// A credential that is not among the user's.
    #[error("this credential is not among the user's")]
    OtherCredential,
    /// Another relying party's RP ID.
    #[error("the answer was made for another RP ID")]
    OtherParty,
    /// RP ID or origin are refused.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// The threads for cryptography are overloaded or gone.
    #[error("the oracle is busy")]
    Pool(#[from] PoolError),
    /// A signature that does not verify.
    #[error("the signature is wrong")]
    Signature,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No such user or credential, or another tenant's.
    #[error("there is no such user or credential for this API key")]
    Unknown,
    /// Without a user there is nothing to do.
    #[error("x-mfa-UserUUID is required, of 64 bytes at most")]
    UserRequired,
    /// Client data of another act.
    #[error("the client data is of another act")]
    WrongType,
}

impl From<CredentialsError> for WebauthnError {
    fn from(error: CredentialsError) -> Self {
        match error {
            CredentialsError::Damaged(error) => error.into(),
            CredentialsError::Pool(error) => error.into(),
            CredentialsError::Store(error) => error.into(),
        }
    }
}

impl From<NotOwned> for WebauthnError {
    fn from(_: NotOwned) -> Self {
        Self::Damaged
    }
}

impl From<Refusal> for WebauthnError {
    /// The library tells more than a client needs; what it tells may repeat what was sent.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::InvalidClientDataType => Self::WrongType,
            Refusal::MismatchedChallenge | Refusal::ChallengeNotFound => Self::Challenge,
            Refusal::InvalidRPOrigin => Self::Origin,
            Refusal::CredentialBackupEligibilityInconsistent | Refusal::CredentialMayNotBeHardwareBound => Self::Backup,
            Refusal::InvalidRPIDHash => Self::OtherParty,
            Refusal::UserNotPresent => Self::NotPresent,
            Refusal::UserNotVerified => Self::NotVerified,
            Refusal::InvalidUsername => Self::Names,
            Refusal::CredentialNotFound => Self::OtherCredential,
            Refusal::CredentialPossibleCompromise => Self::Counter,
            // The library's word for bytes that are no signature of the algorithm at all.
            Refusal::SignatureInvalid | Refusal::AuthenticationFailure | Refusal::AttestationStatementSigInvalid => {
                Self::Signature
            }
            Refusal::COSEKeyInvalidCBORValue
            | Refusal::COSEKeyInvalidAlgorithm
            | Refusal::COSEKeyInvalidType
            | Refusal::COSEKeyECDSAXYInvalid
            | Refusal::COSEKeyECDSAInvalidCurve
            | Refusal::COSEKeyEDDSAInvalidCurve
            | Refusal::COSEKeyEDDSAXInvalid
            | Refusal::COSEKeyRSANEInvalid
            | Refusal::EcdsaPointInvalid
            | Refusal::RsaParametersInvalid
            // Of Ed25519 and Ed448, in whatever they come.
            | Refusal::SshPublicKeyEDUnsupported
            | Refusal::CredentialAlteredAlgFromRequest => Self::Key,
            _ => Self::Malformed,
        }
    }
}
