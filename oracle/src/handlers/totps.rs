//! Routes of TOTP secrets, as clients of serverless-mfa-api call them. HTTP only; the rules are in `service::totps`.

mod refusal;

use crate::error::ApiResult;
use crate::extract::{CodeText, Json, LenientJson, Path, RightTime, Text};
use crate::service::api_keys::Tenant;
use crate::service::totps::{Enrolled, Totps};
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// For whom a secret is made. Both names only appear in authenticator apps.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewTotp {
    /// The service that the user logs in to. At most 255 bytes.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "Acme")]
    issuer: Text,
    /// The user's account there; `SecretKey` when left out. At most 255 bytes.
    #[serde(default)]
    #[schema(value_type = Option<String>, example = "john_smith@example.com")]
    label: Text,
}

/// A new secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub struct Totp {
    /// Names the secret in the other requests.
    uuid: String,
    /// The secret in base32, for typing in.
    #[serde(rename = "totpKey")]
    #[schema(value_type = String)]
    key: Zeroizing<String>,
    /// The secret as an otpauth URI.
    #[serde(rename = "otpAuthUrl")]
    #[schema(value_type = String)]
    uri: Zeroizing<String>,
    /// The URI as a QR code: a data URL of a PNG.
    #[serde(rename = "imageUrl")]
    #[schema(value_type = String)]
    picture: Zeroizing<String>,
}

/// What the user typed.
#[derive(Debug, Deserialize, ToSchema)]
pub struct TypedCode {
    /// The code.
    #[serde(default)]
    #[schema(value_type = String, example = "012345")]
    code: CodeText,
}

/// The code was right, and counts now.
#[derive(Debug, Serialize, ToSchema)]
pub struct Valid {
    /// Always `Valid`.
    message: &'static str,
    /// Always 200.
    status: u16,
}

impl Valid {
    /// The only one there is.
    pub fn answer() -> Json<Self> {
        Json(Self { message: "Valid", status: 200 })
    }
}

/// Make a TOTP secret for a user
#[utoipa::path(post, path = "/totp", tag = "totp",
    params(("x-mfa-apikey" = String, Header), ("x-mfa-apisecret" = String, Header)),
    request_body(content = Option<NewTotp>), responses((status = 200, body = Totp), (status = "default", body = ErrorBody)))]
pub async fn create(
    tenant: Tenant,
    State(totps): State<Totps>,
    LenientJson(NewTotp { issuer, label }): LenientJson<NewTotp>,
) -> ApiResult<Json<Totp>> {
    let Enrolled { uuid, key, uri, picture } = totps.enrol(&tenant, issuer.given(), label.given()).await?;
    Ok(Json(Totp { uuid: uuid.to_string(), key, uri, picture }))
}

/// Check a code
///
/// A code counts once, and so does every earlier one. It may be one time step early or late. Wrong codes lock the secret for
/// longer and longer.
#[utoipa::path(post, path = "/totp/{uuid}/validate", tag = "totp",
    params(("uuid" = String, Path), ("x-mfa-apikey" = String, Header), ("x-mfa-apisecret" = String, Header)),
    request_body = TypedCode, responses((status = 200, body = Valid), (status = "default", body = ErrorBody)))]
pub async fn validate(
    tenant: Tenant,
    _: RightTime,
    State(totps): State<Totps>,
    Path(uuid): Path<String>,
    LenientJson(TypedCode { code }): LenientJson<TypedCode>,
) -> ApiResult<Json<Valid>> {
    totps.validate(&tenant, &uuid, code.given()).await?;
    Ok(Valid::answer())
}

/// Remove a TOTP secret
#[utoipa::path(delete, path = "/totp/{uuid}", tag = "totp",
    params(("uuid" = String, Path), ("x-mfa-apikey" = String, Header), ("x-mfa-apisecret" = String, Header)),
    responses((status = 204, description = "removed"), (status = "default", body = ErrorBody)))]
pub async fn remove(tenant: Tenant, State(totps): State<Totps>, Path(uuid): Path<String>) -> ApiResult<StatusCode> {
    totps.remove(&tenant, &uuid).await?;
    Ok(StatusCode::NO_CONTENT)
}
