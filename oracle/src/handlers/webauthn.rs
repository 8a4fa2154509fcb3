//! Routes of `WebAuthn`, as clients of serverless-mfa-api-go call them. HTTP only; the rules are in `service::webauthn`.

mod headers;
mod refusal;

use self::headers::{Meta, MetaHeaders};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Json, LenientJson, Path, RightTime};
use crate::service::api_keys::Tenant;
use crate::service::either_base64::EitherBase64;
use crate::service::webauthn::{LoginAnswer, Noted, RegistrationAnswer, Shown, Webauthn};
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use webauthn_rs_proto::{PublicKeyCredentialCreationOptions, PublicKeyCredentialRequestOptions};

/// For `navigator.credentials.create()`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RegistrationOptions {
    /// Names the user in the other requests.
    uuid: String,
    /// `WebAuthn`'s `PublicKeyCredentialCreationOptions`, bytes in base64url.
    #[schema(value_type = Object)]
    public_key: PublicKeyCredentialCreationOptions,
}

/// For `navigator.credentials.get()`.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoginOptions {
    /// `WebAuthn`'s `PublicKeyCredentialRequestOptions`, bytes in base64url.
    #[schema(value_type = Object)]
    public_key: PublicKeyCredentialRequestOptions,
}

/// What `navigator.credentials.create()` gave; bytes in base64url or base64. Its id is not looked at: the attestation object
/// has it.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CreatedCredential {
    /// Always `public-key`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// What the token said.
    response: AttestationResponse,
}

impl CreatedCredential {
    /// What the service looks at.
    pub(super) fn into_answer(self) -> ApiResult<RegistrationAnswer> {
        check_kind(self.kind.as_deref())?;
        Ok(RegistrationAnswer {
            attestation_object: self.response.attestation_object.0,
            client_data: self.response.client_data.0,
            transports: self.response.transports.unwrap_or_default(),
        })
    }
}

/// `WebAuthn`'s `AuthenticatorAttestationResponse`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AttestationResponse {
    /// CBOR: formats `none`, `packed` and `fido-u2f`.
    #[schema(value_type = String)]
    attestation_object: EitherBase64,
    /// JSON, as it was signed.
    #[serde(rename = "clientDataJSON")]
    #[schema(value_type = String)]
    client_data: EitherBase64,
    /// How the token can be reached.
    #[serde(default)]
    transports: Option<Vec<String>>,
}

/// What `navigator.credentials.get()` gave; bytes in base64url or base64.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Assertion {
    /// The credential id.
    #[schema(value_type = String)]
    raw_id: EitherBase64,
    /// Always `public-key`.
    #[serde(rename = "type")]
    kind: Option<String>,
    /// What the token signed.
    response: AssertionResponse,
}

impl Assertion {
    /// What the service looks at.
    pub(super) fn into_answer(self) -> ApiResult<LoginAnswer> {
        check_kind(self.kind.as_deref())?;
        Ok(LoginAnswer {
            raw_id: self.raw_id.0,
            authenticator_data: self.response.authenticator_data.0,
            client_data: self.response.client_data.0,
            signature: self.response.signature.0,
            user_handle: self.response.user_handle.map(|handle| handle.0),
        })
    }
}

/// `WebAuthn`'s `AuthenticatorAssertionResponse`.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AssertionResponse {
    /// As it was signed.
    #[schema(value_type = String)]
    authenticator_data: EitherBase64,
    /// JSON, as it was signed.
    #[serde(rename = "clientDataJSON")]
    #[schema(value_type = String)]
    client_data: EitherBase64,
    /// The signature.
    #[schema(value_type = String)]
    signature: EitherBase64,
    /// Whose credential it is.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    user_handle: Option<EitherBase64>,
}

/// A credential that can be used from now on.
#[derive(Debug, Serialize, ToSchema)]
pub struct RegisteredCredential {
    /// SHA-256 of its id, base64url.
    key_handle_hash: String,
}

/// The credential that was used.
#[derive(Debug, Serialize, ToSchema)]
pub struct UsedCredential {
    /// Its id, base64url.
    #[serde(rename = "credentialId")]
    credential_id: String,
    /// SHA-256 of its id, base64url.
    key_handle_hash: String,
}

/// Begin to register a credential
///
/// Credentials that the user has are excluded. A user whose UUID is new is made.
#[utoipa::path(post, path = "/webauthn/register", tag = "webauthn", params(MetaHeaders),
    responses((status = 200, body = RegistrationOptions), (status = "default", body = ErrorBody)))]
pub async fn begin_registration(
    tenant: Tenant,
    _: RightTime,
    Meta { party, names, uuid }: Meta,
    State(webauthn): State<Webauthn>,
) -> ApiResult<Json<RegistrationOptions>> {
    let (uuid, options) = webauthn.begin_registration(&tenant, party, uuid, names, None).await?;
    Ok(Json(RegistrationOptions { uuid, public_key: options.public_key }))
}

/// Register the credential that answered
#[utoipa::path(put, path = "/webauthn/register", tag = "webauthn", params(MetaHeaders), request_body = CreatedCredential,
    responses((status = 200, body = RegisteredCredential), (status = "default", body = ErrorBody)))]
pub async fn finish_registration(
    tenant: Tenant,
    _: RightTime,
    Meta { party, uuid, .. }: Meta,
    State(webauthn): State<Webauthn>,
    LenientJson(created): LenientJson<CreatedCredential>,
) -> ApiResult<Json<RegisteredCredential>> {
    let answer = created.into_answer()?;
    let Shown { key_handle_hash, .. } =
        webauthn.finish_registration(&tenant, party, uuid.as_deref(), answer, Noted::default()).await?;
    Ok(Json(RegisteredCredential { key_handle_hash }))
}

/// Begin a login
///
/// With the extension `appid` when the user has a U2F key that the relying party may use.
#[utoipa::path(post, path = "/webauthn/login", tag = "webauthn", params(MetaHeaders),
    responses((status = 200, body = LoginOptions), (status = "default", body = ErrorBody)))]
pub async fn begin_login(
    tenant: Tenant,
    _: RightTime,
    Meta { party, uuid, .. }: Meta,
    State(webauthn): State<Webauthn>,
) -> ApiResult<Json<LoginOptions>> {
    let options = webauthn.begin_login(&tenant, party, uuid.as_deref()).await?;
    Ok(Json(LoginOptions { public_key: options.public_key }))
}

/// Check a login
///
/// An answer counts once, and only with a counter above the last one, if the credential has a counter.
#[utoipa::path(put, path = "/webauthn/login", tag = "webauthn", params(MetaHeaders), request_body = Assertion,
    responses((status = 200, body = UsedCredential), (status = "default", body = ErrorBody)))]
pub async fn finish_login(
    tenant: Tenant,
    _: RightTime,
    Meta { party, uuid, .. }: Meta,
    State(webauthn): State<Webauthn>,
    LenientJson(assertion): LenientJson<Assertion>,
) -> ApiResult<Json<UsedCredential>> {
    let answer = assertion.into_answer()?;
    let Shown { credential_id, key_handle_hash, .. } =
        webauthn.finish_login(&tenant, party, uuid.as_deref(), answer).await?;
    Ok(Json(UsedCredential { credential_id, key_handle_hash }))
}

/// Remove a user with all credentials
#[utoipa::path(delete, path = "/webauthn/user", tag = "webauthn", params(MetaHeaders),
    responses((status = 204, description = "removed, or never there"), (status = "default", body = ErrorBody)))]
pub async fn remove_user(
    tenant: Tenant,
    Meta { uuid, .. }: Meta,
    State(webauthn): State<Webauthn>,
) -> ApiResult<StatusCode> {
    webauthn.remove_user(&tenant, uuid.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Remove one credential
///
/// By its `key_handle_hash`, or `u2f` for the user's U2F key.
#[utoipa::path(delete, path = "/webauthn/credential/{id}", tag = "webauthn", params(("id" = String, Path), MetaHeaders),
    responses((status = 204, description = "removed"), (status = "default", body = ErrorBody)))]
pub async fn remove_credential(
    tenant: Tenant,
    Meta { uuid, .. }: Meta,
    State(webauthn): State<Webauthn>,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    webauthn.remove_credential(&tenant, uuid.as_deref(), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn check_kind(kind: Option<&str>) -> ApiResult<()> {
    if kind.is_none_or(|kind| kind == "public-key") {
        return Ok(());
    }
    Err(ApiError::bad_request("invalid_answer", "type must be public-key"))
}
