//! What the refusal of a code is in HTTP: status and stable word (see `docs/mfa.md`).

use crate::error::ApiError;
use crate::handlers::api_keys::seconds;
use crate::service::totps::TotpError;

impl From<TotpError> for ApiError {
    fn from(error: TotpError) -> Self {
        let message = error.to_string();
        match error {
            TotpError::CodeMissing => Self::bad_request("field_required", message),
            TotpError::Damaged => Self::internal(error),
            TotpError::Locked { milliseconds } => Self::too_many("too_many_failures", message, seconds(milliseconds)),
            TotpError::Moved => Self::conflict("changed", message),
            TotpError::Names(_) => Self::bad_request("invalid_name", message),
            TotpError::Pool(cause) => cause.into(),
            TotpError::Store(cause) => cause.into(),
            TotpError::Unknown => Self::not_found(message),
            TotpError::Used => Self::unauthorized("code_used", message),
            TotpError::Wrong => Self::unauthorized("wrong_code", message),
        }
    }
}
