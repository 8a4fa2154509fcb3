//! Logging in and out. HTTP only.

use super::caller::{Allowed, OwnTicket};
use super::{RoleName, time};
use crate::error::ApiResult;
use crate::extract::{ClientAddr, CodeText, Json, LenientJson, RightTime, SensitiveJson};
use crate::handlers::webauthn::Assertion;
use crate::service::people::{Attempt, Caller, Challenge, LoggedIn, People, PeopleError, Progress};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use quorate_protocol::api::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webauthn_rs_proto::PublicKeyCredentialRequestOptions;
use zeroize::Zeroizing;

/// What is said with the challenge of a login.
const KEY_NEEDED: &str = "the password is right: have the security key answer, and send its answer with this state";

/// Who wants to log in.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Login {
    /// Full or short name.
    #[schema(example = "bob")]
    principal: String,
    /// A user's password or an application's secret.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    password: Option<Zeroizing<String>>,
    /// The code that an authenticator shows, a recovery code, or for Duo a code or `push`, `phone`, `auto`.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "77552")]
    passcode: CodeText,
    /// Of an answer `second_factor_required`.
    #[serde(default)]
    state: Option<String>,
    /// What the security key answers to it. Together with `state`, in place of `password`.
    #[serde(default)]
    credential: Option<Assertion>,
}

/// A ticket, which is shown this once.
#[derive(Serialize, ToSchema)]
pub struct IssuedTicket {
    /// Goes into the header `Authorization: Bearer TICKET`.
    #[schema(value_type = String)]
    ticket: Zeroizing<String>,
    /// When it ends at the latest, RFC 3339. It ends sooner when it is not used.
    expires_at: String,
    /// The full name of who has logged in.
    principal: String,
    /// What they may do.
    role: RoleName,
}

/// A security key has to answer; at a login, the password was right. The refusal's `code` is `second_factor_required`.
#[derive(Debug, Serialize, ToSchema)]
pub struct SecondFactorRequired {
    /// What every refusal has.
    #[serde(flatten)]
    refusal: ErrorBody,
    /// To be sent back with the answer, within five minutes.
    state: String,
    /// `WebAuthn`'s `PublicKeyCredentialRequestOptions`, bytes in base64url.
    #[serde(rename = "publicKey")]
    #[schema(value_type = Object)]
    public_key: PublicKeyCredentialRequestOptions,
}

/// How to log out.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct Logout {
    /// End every ticket of the caller, not only the one that was shown.
    #[serde(default)]
    everywhere: bool,
}

/// Who shows the ticket.
#[derive(Debug, Serialize, ToSchema)]
pub struct Whoami {
    /// Full name.
    principal: String,
    /// What they may do.
    role: RoleName,
    /// When the ticket ends at the latest, RFC 3339.
    expires_at: String,
}

/// Log in
///
/// Password first, then the second factor, if the principal has one. Whatever is wrong gets the same answer,
/// `login_refused`; failures lock the name for longer and longer (429). Where the factor is a security key, a right password
/// is answered by 401 with a challenge, see `SecondFactorRequired`.
#[utoipa::path(post, path = "/login", tag = "people", request_body = Login,
    responses((status = 200, body = IssuedTicket), (status = "default", body = ErrorBody)))]
pub async fn log_in(
    _: RightTime,
    State(people): State<People>,
    ClientAddr(source): ClientAddr,
    SensitiveJson(Login { principal, password, passcode, state, credential }): SensitiveJson<Login>,
) -> ApiResult<Response> {
    let credential = credential.map(Assertion::into_answer).transpose()?;
    let attempt =
        Attempt { principal, password, passcode: passcode.given(), state, credential, by_steps: false, source };
    Ok(match people.log_in(attempt).await? {
        Progress::LoggedIn(LoggedIn { ticket, name, role, expires_at }) => Json(IssuedTicket {
            ticket: ticket.into_text(),
            expires_at: time(expires_at),
            principal: name.to_string(),
            role: role.into(),
        })
        .into_response(),
        // Only in a login by steps, which this is not.
        Progress::Asked(_) => return Err(PeopleError::Refused.into()),
        Progress::Challenge(challenge) => second_factor_required(*challenge, KEY_NEEDED),
    })
}

/// Log out
#[utoipa::path(post, path = "/logout", tag = "people", params(("authorization" = String, Header)),
    request_body(content = Option<Logout>),
    responses((status = 204, description = "the ticket is over"), (status = "default", body = ErrorBody)))]
pub async fn log_out(
    caller: Allowed<OwnTicket>,
    State(people): State<People>,
    LenientJson(Logout { everywhere }): LenientJson<Logout>,
) -> ApiResult<StatusCode> {
    people.log_out(&caller.0, everywhere).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// See who one is
#[utoipa::path(get, path = "/whoami", tag = "people", params(("authorization" = String, Header)),
    responses((status = 200, body = Whoami), (status = "default", body = ErrorBody)))]
pub async fn whoami(caller: Allowed<OwnTicket>) -> Json<Whoami> {
    let Caller { name, role, expires_at, .. } = caller.0;
    Json(Whoami { principal: name.to_string(), role: role.into(), expires_at: time(expires_at) })
}

/// Asks for the answer of a security key.
pub(in crate::handlers) fn second_factor_required(Challenge { options, state }: Challenge, message: &str) -> Response {
    let refusal = ErrorBody {
        status: StatusCode::UNAUTHORIZED.as_u16(),
        code: "second_factor_required".to_owned(),
        message: message.to_owned(),
        error: message.to_owned(),
        tocs_provided: None,
        tocs_threshold: None,
    };
    let body = SecondFactorRequired { refusal, state, public_key: options.public_key };
    (StatusCode::UNAUTHORIZED, Json(body)).into_response()
}
