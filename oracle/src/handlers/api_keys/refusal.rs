//! What the refusal of an API key is in HTTP: status and stable word (see `docs/mfa.md`).

use crate::error::ApiError;
use crate::mail::MailError;
use crate::service::api_keys::ApiKeyError;
use axum::http::StatusCode;

impl From<ApiKeyError> for ApiError {
    fn from(error: ApiKeyError) -> Self {
        let message = error.to_string();
        match error {
            ApiKeyError::AlreadyActive => Self::unauthorized("already_activated", message),
            ApiKeyError::Changed => Self::conflict("changed", message),
            ApiKeyError::Damaged => Self::internal(error),
            ApiKeyError::DataKeys => Self::conflict("too_many_data_keys", message),
            ApiKeyError::Email => Self::bad_request("invalid_email", message),
            ApiKeyError::Gateway => Self::forbidden("gateway_key", message),
            ApiKeyError::Missing(_) => Self::bad_request("field_required", message),
            ApiKeyError::NotMailed(MailError::Busy) => Self::overloaded().because(error),
            ApiKeyError::NotMailed(_) => Self::new(StatusCode::BAD_GATEWAY, "mail_failed", message).because(error),
            ApiKeyError::NotRotatable(_) => Self::new(StatusCode::NOT_FOUND, "key_not_valid", message),
            ApiKeyError::Origins => Self::bad_request("too_many_origins", message),
            ApiKeyError::Pool(cause) => cause.into(),
            ApiKeyError::SameKey => Self::bad_request("same_key", message),
            ApiKeyError::SharedUsers => Self::conflict("shared_users", message),
            ApiKeyError::Store(cause) => cause.into(),
            ApiKeyError::TooMany(wait) => Self::too_many("too_many_failures", message, seconds(wait.milliseconds)),
            ApiKeyError::Unauthorized => Self::unauthorized("unauthorized", message),
            ApiKeyError::Unknown => Self::not_found(message),
        }
    }
}

/// Whole seconds, rounded up, so that whoever waits so long has waited long enough.
pub(in crate::handlers) fn seconds(milliseconds: i64) -> u32 {
    u32::try_from(milliseconds.saturating_add(999) / 1000).unwrap_or(u32::MAX)
}
