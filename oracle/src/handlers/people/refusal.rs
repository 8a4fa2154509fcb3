//! What the refusal of a principal is in HTTP: status and stable word (see `docs/people.md`).

use crate::error::ApiError;
use crate::handlers::api_keys::seconds;
use crate::service::people::PeopleError;
use axum::http::StatusCode;

impl From<PeopleError> for ApiError {
    fn from(error: PeopleError) -> Self {
        let message = error.to_string();
        match error {
            PeopleError::Assertion => Self::forbidden("assertion_refused", message),
            PeopleError::Assigned => Self::conflict("provider_assigned", message),
            PeopleError::Changed => Self::conflict("changed", message),
            PeopleError::Damaged => Self::internal(error),
            PeopleError::Factor => Self::bad_request("factor_not_confirmed", message),
            PeopleError::Forbidden => Self::forbidden("role_forbids", message),
            PeopleError::Group(_) => Self::bad_request("invalid_group", message),
            PeopleError::GroupKnown => Self::conflict("group_known", message),
            PeopleError::GroupUnknown => Self::new(StatusCode::NOT_FOUND, "group_unknown", message),
            PeopleError::HolderUnknown => Self::bad_request("holder_unknown", message),
            PeopleError::Key(_) => Self::bad_request("invalid_key", message),
            PeopleError::KeyUnknown => Self::new(StatusCode::NOT_FOUND, "key_unknown", message),
            PeopleError::Stale => Self::forbidden("login_stale", message),
            PeopleError::LastKey => Self::conflict("last_key", message),
            PeopleError::LastOperator => Self::conflict("last_operator", message),
            PeopleError::Late => Self::unauthorized("login_late", message),
            PeopleError::Link => Self::new(StatusCode::NOT_FOUND, "link_unknown", message),
            PeopleError::Locked { milliseconds } => Self::too_many("login_locked", message, seconds(milliseconds)),
            PeopleError::Member | PeopleError::TeamHolds => Self::bad_request("invalid_member", message),
            PeopleError::Name(_) => Self::bad_request("invalid_name", message),
            PeopleError::NameFixed => Self::bad_request("name_fixed", message),
            PeopleError::NoSecurityKey => Self::forbidden("no_security_key", message),
            PeopleError::NotAssigned => Self::new(StatusCode::NOT_FOUND, "no_provider", message),
            PeopleError::NotATeam => Self::bad_request("not_a_team", message),
            PeopleError::NotAUser => Self::bad_request("not_a_user", message),
            PeopleError::Option(_) => Self::bad_request("invalid_option", message),
            PeopleError::Party(cause) => cause.into(),
            PeopleError::Password(_) => Self::bad_request("weak_password", message),
            PeopleError::Pool(cause) => cause.into(),
            PeopleError::Refused | PeopleError::RefusedBy(_) | PeopleError::Replayed | PeopleError::State => {
                Self::unauthorized("login_refused", message)
            }
            PeopleError::RepeatedMember => Self::bad_request("repeated_member", message),
            PeopleError::Remote(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "factor_unavailable", message).retry_after(5).because(error)
            }
            PeopleError::Store(cause) => cause.into(),
            PeopleError::Taken => Self::conflict("name_taken", message),
            PeopleError::Team => Self::bad_request("team_cannot_log_in", message),
            PeopleError::Ticket => Self::unauthorized("ticket_required", message),
            PeopleError::TooMany => Self::conflict("too_many", message),
            PeopleError::Unknown => Self::new(StatusCode::NOT_FOUND, "principal_unknown", message),
            PeopleError::UnknownProvider => Self::new(StatusCode::NOT_FOUND, "provider_unknown", message),
            PeopleError::Wait(wait) => Self::too_many("too_many_failures", message, seconds(wait.milliseconds)),
            PeopleError::Webauthn(cause) => cause.into(),
        }
    }
}
