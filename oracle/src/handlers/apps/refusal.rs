//! What the refusal of an app is in HTTP: status and stable word (see `docs/apps.md`).

use crate::error::ApiError;
use crate::handlers::api_keys::seconds;
use crate::service::apps::AppError;
use axum::http::StatusCode;

impl From<AppError> for ApiError {
    fn from(error: AppError) -> Self {
        let message = error.to_string();
        match error {
            AppError::ApiKey(cause) => cause.into(),
            AppError::ByQuorum(_) => Self::conflict("by_quorum", message),
            AppError::Changed => Self::conflict("changed", message),
            AppError::Damaged => Self::internal(error),
            AppError::Forbidden => Self::forbidden("not_a_manager", message),
            AppError::Full => Self::conflict("too_many", message),
            AppError::Missing(_) => Self::bad_request("field_required", message),
            AppError::NoKeyPair => Self::conflict("no_key_pair", message),
            AppError::Otp(_) => Self::bad_request("invalid_otpauth", message),
            AppError::OwnerStays => Self::conflict("owner_stays", message),
            AppError::OwnersOnly => Self::forbidden("not_the_owner", message),
            AppError::People(cause) => cause.into(),
            AppError::Pool(cause) => cause.into(),
            AppError::Recipient(_) => Self::bad_request("invalid_recipient", message),
            AppError::Named(_) | AppError::Request(_) => Self::bad_request("invalid_request", message),
            AppError::Store(cause) => cause.into(),
            AppError::Taken => Self::conflict("uuid_taken", message),
            AppError::TooMany(wait) => Self::too_many("too_many_failures", message, seconds(wait.milliseconds)),
            AppError::Ungranted => Self::new(StatusCode::NOT_FOUND, "no_grant", message),
            AppError::Unknown => Self::new(StatusCode::NOT_FOUND, "app_unknown", message),
        }
    }
}
