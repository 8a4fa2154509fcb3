//! Routes of U2F, as clients of serverless-mfa-api call them. HTTP only; the rules are in `service::u2f`.

mod refusal;

use super::totps::Valid;
use crate::error::ApiResult;
use crate::extract::{Json, LenientJson, Path, RightTime, Text};
use crate::service::api_keys::Tenant;
use crate::service::either_base64::EitherBase64;
use crate::service::u2f::{Challenge, RegistrationAnswer, SignatureAnswer, U2f, U2fError, VERSION};
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// For whom a key is to be registered.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewU2fKey {
    /// What the key is bound to: an https URL.
    #[serde(default, rename = "appId")]
    #[schema(value_type = String, example = "https://example.com")]
    app_id: Text,
}

/// A registration under way.
#[derive(Debug, Serialize, ToSchema)]
pub struct U2fRegistration {
    /// Names the key in the other requests.
    uuid: String,
    /// What the token is asked.
    challenge: U2fRegisterRequest,
}

/// U2F's `RegisterRequest`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct U2fRegisterRequest {
    /// Always `U2F_V2`.
    version: &'static str,
    /// As it was sent.
    app_id: String,
    /// 32 random bytes, base64url.
    challenge: String,
}

/// The token's answer to a registration.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct U2fRegistered {
    /// U2F's `RegisterResponse`.
    sign_result: U2fRegisterResponse,
}

/// U2F's `RegisterResponse`; what else it has is not looked at.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct U2fRegisterResponse {
    /// The raw message, base64url or base64.
    #[schema(value_type = String)]
    registration_data: EitherBase64,
    /// The client data, base64url or base64.
    #[schema(value_type = String)]
    client_data: EitherBase64,
}

/// What the registered token is asked to sign.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct U2fSignRequest {
    /// Names the key.
    uuid: String,
    /// Always `U2F_V2`.
    version: &'static str,
    /// 32 random bytes, base64url.
    challenge: String,
    /// As it was sent at registration.
    app_id: String,
    /// Which key is asked, base64url.
    key_handle: Option<String>,
}

/// The token's answer to an authentication.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct U2fSigned {
    /// U2F's `SignResponse`.
    sign_result: U2fSignResponse,
}

/// U2F's `SignResponse`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct U2fSignResponse {
    /// The raw message, base64url or base64.
    #[schema(value_type = String)]
    signature_data: EitherBase64,
    /// The client data, base64url or base64.
    #[schema(value_type = String)]
    client_data: EitherBase64,
    /// Which key signed, base64url or base64.
    #[schema(value_type = Option<String>)]
    key_handle: Option<EitherBase64>,
}

/// Begin to register a U2F key
#[utoipa::path(post, path = "/u2f", tag = "u2f",
    params(("x-mfa-apikey" = String, Header), ("x-mfa-apisecret" = String, Header)),
    request_body = NewU2fKey, responses((status = 200, body = U2fRegistration), (status = "default", body = ErrorBody)))]
pub async fn begin_registration(
    tenant: Tenant,
    _: RightTime,
    State(u2f): State<U2f>,
    LenientJson(NewU2fKey { app_id }): LenientJson<NewU2fKey>,
) -> ApiResult<Json<U2fRegistration>> {
    let app_id = app_id.given().ok_or(U2fError::AppIdRequired)?;
    let Challenge { uuid, app_id, challenge, .. } = u2f.begin_registration(&tenant, &app_id).await?;
    Ok(Json(U2fRegistration { uuid, challenge: U2fRegisterRequest { version: VERSION, app_id, challenge } }))
}

/// Register the U2F key that answered
#[utoipa::path(put, path = "/u2f/{uuid}", tag = "u2f",
    params(("uuid" = String, Path), ("x-mfa-apikey" = String, Header), ("x-mfa-apisecret" = String, Header)),
    request_body = U2fRegistered,
    responses((status = 204, description = "registered"), (status = "default", body = ErrorBody)))]
pub async fn finish_registration(
    tenant: Tenant,
    _: RightTime,
    State(u2f): State<U2f>,
    Path(uuid): Path<String>,
    LenientJson(U2fRegistered { sign_result }): LenientJson<U2fRegistered>,
) -> ApiResult<StatusCode> {
    let U2fRegisterResponse { registration_data, client_data } = sign_result;
    let answer = RegistrationAnswer { registration_data: registration_data.0, client_data: client_data.0 };
    u2f.finish_registration(&tenant, &uuid, answer).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Ask the registered U2F key to sign
#[utoipa::path(post, path = "/u2f/{uuid}/auth", tag = "u2f",
    params(("uuid" = String, Path), ("x-mfa-apikey" = String, Header), ("x-mfa-apisecret" = String, Header)),
    responses((status = 200, body = U2fSignRequest), (status = "default", body = ErrorBody)))]
pub async fn begin_authentication(
    tenant: Tenant,
    _: RightTime,
    State(u2f): State<U2f>,
    Path(uuid): Path<String>,
) -> ApiResult<Json<U2fSignRequest>> {
    let Challenge { uuid, app_id, challenge, key_handle } = u2f.begin_authentication(&tenant, &uuid).await?;
    Ok(Json(U2fSignRequest { uuid, version: VERSION, challenge, app_id, key_handle }))
}

/// Check what the U2F key signed
///
/// A signature counts once, and only with a counter above the last one.
#[utoipa::path(put, path = "/u2f/{uuid}/auth", tag = "u2f",
    params(("uuid" = String, Path), ("x-mfa-apikey" = String, Header), ("x-mfa-apisecret" = String, Header)),
    request_body = U2fSigned, responses((status = 200, body = Valid), (status = "default", body = ErrorBody)))]
pub async fn finish_authentication(
    tenant: Tenant,
    _: RightTime,
    State(u2f): State<U2f>,
    Path(uuid): Path<String>,
    LenientJson(U2fSigned { sign_result }): LenientJson<U2fSigned>,
) -> ApiResult<Json<Valid>> {
    let U2fSignResponse { signature_data, client_data, key_handle } = sign_result;
    let key_handle = key_handle.map(|key_handle| key_handle.0);
    let answer = SignatureAnswer { signature_data: signature_data.0, client_data: client_data.0, key_handle };
    u2f.finish_authentication(&tenant, &uuid, answer).await?;
    Ok(Valid::answer())
}

/// Remove a U2F key
#[utoipa::path(delete, path = "/u2f/{uuid}", tag = "u2f",
    params(("uuid" = String, Path), ("x-mfa-apikey" = String, Header), ("x-mfa-apisecret" = String, Header)),
    responses((status = 204, description = "removed"), (status = "default", body = ErrorBody)))]
pub async fn remove(tenant: Tenant, State(u2f): State<U2f>, Path(uuid): Path<String>) -> ApiResult<StatusCode> {
    u2f.remove(&tenant, &uuid).await?;
    Ok(StatusCode::NO_CONTENT)
}
