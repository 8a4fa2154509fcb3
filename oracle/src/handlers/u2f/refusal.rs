//! What the refusal of a security key is in HTTP: status and stable word.

use crate::error::ApiError;
use crate::handlers::api_keys::seconds;
use crate::service::relying_party::PartyError;
use crate::service::u2f::{AnswerError, U2fError};

impl From<U2fError> for ApiError {
    fn from(error: U2fError) -> Self {
        let message = error.to_string();
        match error {
            U2fError::AlreadyRegistered => Self::bad_request("already_registered", message),
            U2fError::Answer(error) => Self::bad_request(answer_word(error), message),
            U2fError::AppIdRequired => Self::bad_request("field_required", message),
            U2fError::Counter => Self::bad_request("counter_behind", message),
            U2fError::Damaged => Self::internal(error),
            U2fError::Locked { milliseconds } => Self::too_many("too_many_failures", message, seconds(milliseconds)),
            U2fError::NotRegistered => Self::bad_request("not_registered", message),
            U2fError::OtherKey => Self::bad_request("other_credential", message),
            U2fError::Party(error) => error.into(),
            U2fError::Pool(cause) => cause.into(),
            U2fError::Store(cause) => cause.into(),
            U2fError::Unknown => Self::not_found(message),
        }
    }
}

fn answer_word(error: AnswerError) -> &'static str {
    match error {
        AnswerError::Certificate => "invalid_certificate",
        AnswerError::Challenge => "invalid_challenge",
        AnswerError::ClientData | AnswerError::Message => "invalid_answer",
        AnswerError::Key => "invalid_key",
        AnswerError::NotPresent => "not_present",
        AnswerError::Party(error) => party_word(error),
        AnswerError::Signature => "wrong_signature",
        AnswerError::WrongType => "wrong_type",
    }
}

impl From<PartyError> for ApiError {
    fn from(error: PartyError) -> Self {
        Self::bad_request(party_word(error), error.to_string())
    }
}

fn party_word(error: PartyError) -> &'static str {
    match error {
        PartyError::AppId => "invalid_app_id",
        PartyError::ForeignOrigin => "wrong_origin",
        PartyError::IpAddress => "ip_address",
        PartyError::NotListed => "origin_not_allowed",
        PartyError::Origin => "invalid_origin",
        PartyError::PlainHttp => "plain_http",
        PartyError::PublicSuffix => "public_suffix",
        PartyError::RpId => "invalid_rp_id",
    }
}
