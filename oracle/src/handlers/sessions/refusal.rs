//! What a session's refusal is in HTTP: status and stable word (SPEC, "errors").

use crate::error::ApiError;
use crate::service::sessions::error::SessionError;
use crate::store::{ClosedAs, StoreError};
use axum::http::StatusCode;

impl From<SessionError> for ApiError {
    fn from(error: SessionError) -> Self {
        let message = error.to_string();
        match error {
            SessionError::AlreadyApproved => Self::conflict("already_approved", message),
            SessionError::GroupNotAdded => Self::conflict("group_not_added", message),
            SessionError::LoginRequired => Self::unauthorized("login_required", message),
            SessionError::MayNotAsk => Self::forbidden("may_not_ask", message),
            SessionError::NotApplicant => Self::forbidden("not_the_applicant", message),
            SessionError::NotHolder => Self::forbidden("not_the_holder", message),
            SessionError::People(cause) => cause.into(),
            SessionError::Unnamed => Self::conflict("session_unnamed", message),
            SessionError::Request(_) => Self::bad_request("invalid_request", message),
            SessionError::ProofTime => Self::bad_request("proof_time", message),
            SessionError::BadProof => Self::forbidden("bad_proof", message),
            SessionError::Replayed => Self::conflict("proof_used", message),
            SessionError::CannotOpen => Self::unauthorized("cannot_open", message),
            SessionError::Header(_) => Self::bad_request("invalid_header", message),
            SessionError::Plan(_) => Self::bad_request("invalid_plan", message),
            SessionError::Toc(_) => Self::bad_request("invalid_toc", message),
            SessionError::NotEncrypted => Self::bad_request("toc_not_encrypted", message),
            SessionError::BadDeal(_) => Self::conflict("bad_deal", message),
            SessionError::WrongOracle => Self::conflict("wrong_oracle", message),
            SessionError::GroupRefused => Self::conflict("group_refused", message),
            SessionError::PurposeMismatch => Self::conflict("purpose_mismatch", message),
            SessionError::NotQuorate { provided, threshold, dropped } => {
                let message = if dropped.is_empty() {
                    message
                } else {
                    format!("{message}; dropped as false: {}", dropped.join(", "))
                };
                Self::conflict("not_quorate", message).progress(provided, threshold)
            }
            SessionError::Stale => Self::conflict("stale_step", message),
            SessionError::PoolFull => Self::too_many("pool_full", message, 30),
            SessionError::TooMany | SessionError::TooOften => Self::too_many("too_many_sessions", message, 60),
            SessionError::Over(why) => Self::new(StatusCode::GONE, over(why), message),
            SessionError::Unknown => Self::new(StatusCode::NOT_FOUND, "session_unknown", message),
            SessionError::InviteNeeded => Self::forbidden("invite_needed", message),
            SessionError::CancelRefused => Self::unauthorized("cancel_refused", message),
            SessionError::NoCertificate => Self::unavailable(error),
            SessionError::Damaged => Self::internal(error),
            SessionError::Pool(cause) => cause.into(),
            SessionError::Store(cause) => cause.into(),
        }
    }
}

fn over(why: ClosedAs) -> &'static str {
    match why {
        ClosedAs::Cancelled => "session_cancelled",
        ClosedAs::Exhausted => "session_exhausted",
        ClosedAs::Expired => "session_expired",
        ClosedAs::Redealt => "session_redealt",
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy | StoreError::Contended { .. } => Self::overloaded().because(error),
            StoreError::NewerSchema { .. } => Self::newer_schema().because(error),
            error => Self::unavailable(error),
        }
    }
}
