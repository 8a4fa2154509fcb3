//! Routes of API keys, as clients of serverless-mfa-api and serverless-mfa-api-go call them. HTTP only; the rules are in
//! `service::api_keys`.

mod refusal;
mod tenant;

pub(super) use self::refusal::seconds;
pub use self::tenant::{API_KEY_HEADER, API_SECRET_HEADER, GATEWAY_HEADER, Gateway};

use crate::error::ApiResult;
use crate::extract::{ClientAddr, Json, LenientJson, Text};
use crate::service::api_keys::{ApiKeyError, ApiKeys, ApiSecret, Rotation};
use crate::service::apps::Apps;
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::ErrorBody;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// Who asks for an API key.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewApiKey {
    /// Where the key's value is sent, and what activates it together with the value.
    #[serde(default)]
    #[schema(value_type = String, example = "consumer@example.com")]
    email: Text,
}

/// Activates an API key.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Activation {
    /// The address that the key was made for.
    #[serde(default)]
    #[schema(value_type = String, example = "consumer@example.com")]
    email: Text,
    /// The key's value.
    #[serde(default, rename = "apiKey")]
    #[schema(value_type = Option<String>, example = "0123456789abcdef0123456789abcdef01234567")]
    api_key: Text,
    /// The same under the name that serverless-mfa-api-go gave it.
    #[serde(default, rename = "apiKeyValue")]
    #[schema(value_type = Option<String>)]
    api_key_value: Text,
}

/// An API secret, which is shown this once.
#[derive(Serialize, ToSchema)]
pub struct Activated {
    /// Standard base64 of 32 bytes.
    #[serde(rename = "apiSecret")]
    #[schema(value_type = String)]
    api_secret: Zeroizing<String>,
}

/// Two activated API keys: the new one takes over what the old one owns.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyRotation {
    /// Value of the old key.
    #[serde(default)]
    #[schema(value_type = String)]
    old_key_id: Text,
    /// Secret of the old key.
    #[serde(default)]
    #[schema(value_type = String)]
    old_key_secret: Text,
    /// Value of the new key.
    #[serde(default)]
    #[schema(value_type = String)]
    new_key_id: Text,
    /// Secret of the new key.
    #[serde(default)]
    #[schema(value_type = String)]
    new_key_secret: Text,
}

/// What a rotation has moved. All of it moves at once, so nothing is ever incomplete.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// TOTP secrets that belong to the new key now.
    totp_complete: i64,
    /// Always 0.
    totp_incomplete: i64,
    /// Users with U2F or `WebAuthn` credentials that belong to the new key now.
    webauthn_complete: i64,
    /// Always 0.
    webauthn_incomplete: i64,
}

/// Ask for an API key
///
/// Its value is mailed to the address, and the answer comes when the mail server has taken it; otherwise there is no API key.
/// Without mail the oracle's operator reads the value from `quorate-oracle api-keys list`.
#[utoipa::path(post, path = "/api-key", tag = "api keys", params(("x-api-key" = String, Header, description = "The gateway key")),
    request_body = NewApiKey,
    responses((status = 204, description = "made"), (status = "default", body = ErrorBody)))]
pub async fn create(
    _: Gateway,
    State(api_keys): State<ApiKeys>,
    ClientAddr(source): ClientAddr,
    LenientJson(NewApiKey { email }): LenientJson<NewApiKey>,
) -> ApiResult<StatusCode> {
    api_keys.create(&required(email, "email")?, source).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Activate an API key, once
#[utoipa::path(post, path = "/api-key/activate", tag = "api keys", params(("x-api-key" = String, Header, description = "The gateway key")),
    request_body = Activation,
    responses((status = 200, body = Activated), (status = "default", body = ErrorBody)))]
pub async fn activate(
    _: Gateway,
    State(api_keys): State<ApiKeys>,
    State(apps): State<Apps>,
    ClientAddr(source): ClientAddr,
    LenientJson(Activation { email, api_key, api_key_value }): LenientJson<Activation>,
) -> ApiResult<Json<Activated>> {
    let email = required(email, "email")?;
    let value = api_key.given().or(api_key_value.given()).ok_or(ApiKeyError::Missing("apiKey"))?;
    let secret = api_keys.activate(&value, &email, source).await?;
    apps.welcome(&value, secret.clone(), source).await;
    Ok(Json(Activated { api_secret: secret.into_text() }))
}

/// Have a new API key take over everything of an old one
///
/// Takes the same time however much that is, but for apps, each of which is sealed anew. The old key stays in use, and owns nothing.
#[utoipa::path(post, path = "/api-key/rotate", tag = "api keys", request_body = KeyRotation,
    responses((status = 200, body = Rotated), (status = "default", body = ErrorBody)))]
pub async fn rotate(
    State(apps): State<Apps>,
    ClientAddr(source): ClientAddr,
    LenientJson(request): LenientJson<KeyRotation>,
) -> ApiResult<Json<Rotated>> {
    let new_value = required(request.new_key_id, "newKeyId")?;
    let new_secret = required(request.new_key_secret, "newKeySecret")?;
    let old_value = required(request.old_key_id, "oldKeyId")?;
    let old_secret = required(request.old_key_secret, "oldKeySecret")?;
    let rotation = Rotation {
        old_value: &old_value,
        old_secret: ApiSecret::presented(&old_secret),
        new_value: &new_value,
        new_secret: ApiSecret::presented(&new_secret),
    };
    let moved = apps.rotate_api_key(rotation, source).await?;
    Ok(Json(Rotated {
        totp_complete: moved.totp,
        totp_incomplete: 0,
        webauthn_complete: moved.webauthn,
        webauthn_incomplete: 0,
    }))
}

fn required(field: Text, name: &'static str) -> Result<Zeroizing<String>, ApiKeyError> {
    field.given().ok_or(ApiKeyError::Missing(name))
}
