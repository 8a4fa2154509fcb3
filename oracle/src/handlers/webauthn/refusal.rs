//! What the refusal of a `WebAuthn` ceremony is in HTTP: status and stable word.

use crate::error::ApiError;
use crate::handlers::api_keys::seconds;
use crate::service::webauthn::WebauthnError;

impl From<WebauthnError> for ApiError {
    fn from(error: WebauthnError) -> Self {
        let message = error.to_string();
        let word = match error {
            WebauthnError::Damaged => return Self::internal(error),
            WebauthnError::Locked { milliseconds } => {
                return Self::too_many("too_many_failures", message, seconds(milliseconds));
            }
            WebauthnError::Party(cause) => return cause.into(),
            WebauthnError::Pool(cause) => return cause.into(),
            WebauthnError::Store(cause) => return cause.into(),
            WebauthnError::Unknown => return Self::not_found(message),
            WebauthnError::Attestation => "attestation_not_taken",
            WebauthnError::Backup => "backup_flags",
            WebauthnError::Challenge => "invalid_challenge",
            WebauthnError::Counter => "counter_behind",
            WebauthnError::CrossOrigin => "cross_origin",
            WebauthnError::Duplicate => "already_registered",
            WebauthnError::Full => "too_many_credentials",
            WebauthnError::Key => "invalid_key",
            WebauthnError::Malformed => "invalid_answer",
            WebauthnError::Names => "invalid_name",
            WebauthnError::NoCredentials => "no_credentials",
            WebauthnError::NotPresent => "not_present",
            WebauthnError::NotVerified => "not_verified",
            WebauthnError::Origin => "wrong_origin",
            WebauthnError::OtherCredential => "other_credential",
            WebauthnError::OtherParty => "wrong_rp_id",
            WebauthnError::Signature => "wrong_signature",
            WebauthnError::UserRequired => "user_required",
            WebauthnError::WrongType => "wrong_type",
        };
        Self::bad_request(word, message)
    }
}
