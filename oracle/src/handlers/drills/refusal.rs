//! What the refusal of a drill is in HTTP: status and stable word (see `docs/drills.md`).

use crate::error::ApiError;
use crate::handlers::api_keys::seconds;
use crate::service::drills::DrillError;
use crate::store::DrillEnd;
use axum::http::StatusCode;

impl From<DrillError> for ApiError {
    fn from(error: DrillError) -> Self {
        let message = error.to_string();
        match error {
            DrillError::BadAnswer => Self::forbidden("bad_proof", message),
            DrillError::CertificateEnds => Self::conflict("certificate_ends", message),
            DrillError::Damaged => Self::internal(error),
            DrillError::GroupReplaced => Self::conflict("group_refused", message),
            DrillError::NoCertificate => Self::unavailable(error),
            DrillError::Over(end) => Self::new(StatusCode::GONE, over(end), message),
            DrillError::People(cause) => cause.into(),
            DrillError::Pool(cause) => cause.into(),
            DrillError::Request(_) => Self::bad_request("invalid_request", message),
            DrillError::Running => Self::conflict("drill_running", message),
            DrillError::Store(cause) => cause.into(),
            DrillError::Unknown => Self::new(StatusCode::NOT_FOUND, "drill_unknown", message),
            DrillError::Wait(wait) => Self::too_many("too_many_failures", message, seconds(wait.milliseconds)),
            DrillError::WrongOracle => Self::conflict("wrong_oracle", message),
        }
    }
}

fn over(end: DrillEnd) -> &'static str {
    match end {
        DrillEnd::Closed => "drill_closed",
        DrillEnd::Complete => "drill_complete",
        DrillEnd::Expired => "drill_expired",
    }
}
