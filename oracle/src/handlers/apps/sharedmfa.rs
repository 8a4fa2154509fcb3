//! The three routes of sharedmfa, so that its clients work unchanged.

use super::caller::FunctionKey;
use crate::error::ApiResult;
use crate::extract::{Json, LenientJson, Query, RightTime, Text};
use crate::service::apps::{AppError, Apps, New, Page};
use axum::extract::State;
use quorate_protocol::api::{App, AppCode, ErrorBody};
use quorate_protocol::display::escape_controls;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use zeroize::Zeroizing;

/// A secret to be shared.
#[derive(Debug, Deserialize, ToSchema)]
pub struct NewSecret {
    /// The secret as an otpauth URI.
    #[serde(default)]
    #[schema(value_type = String)]
    data: Text,
    /// What the app is called besides; in the address it counts first.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    appname: Text,
}

/// What was added.
#[derive(Debug, Serialize, ToSchema)]
pub struct AddedSecret {
    /// Whose account it is for; the account where that was not said.
    name: String,
    /// Names it in the other requests.
    uuid: String,
}

/// An app in the list.
#[derive(Debug, Serialize, ToSchema)]
pub struct AvailableApp {
    /// Names it in the other requests.
    uuid: String,
    /// Whose account it is for; the account where that was not said.
    appname: String,
    /// What it is called besides.
    custom: Option<String>,
}

/// A code.
#[derive(Serialize, ToSchema)]
pub struct MfaCode {
    /// The digits.
    #[schema(value_type = String)]
    otp: Zeroizing<String>,
    /// Milliseconds until the next code holds.
    expires: u64,
}

/// What the address says.
#[derive(Debug, Default, Deserialize)]
pub struct InAddress {
    #[serde(default)]
    appname: Option<String>,
    #[serde(default)]
    uuid: Option<String>,
}

/// Which app.
#[derive(Debug, Default, Deserialize, ToSchema)]
pub struct WhichApp {
    /// Its UUID; in the address it counts first.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    uuid: Text,
}

/// Share a secret, as clients of sharedmfa do
#[utoipa::path(post, path = "/api/add-totp-secret", tag = "apps",
    params(("x-functions-key" = Option<String>, Header), ("code" = Option<String>, Header, description = "The same"),
        ("code" = Option<String>, Query, description = "The same, as clients of sharedmfa send it; can be switched off"), ("appname" = Option<String>, Query)),
    request_body = NewSecret, responses((status = 200, body = AddedSecret), (status = "default", body = ErrorBody)))]
pub async fn add_secret(
    FunctionKey(caller): FunctionKey,
    State(apps): State<Apps>,
    Query(InAddress { appname: named, .. }): Query<InAddress>,
    LenientJson(NewSecret { data, appname }): LenientJson<NewSecret>,
) -> ApiResult<Json<AddedSecret>> {
    let otpauth = data.given().ok_or(AppError::Missing("data"))?;
    let name = named.filter(|name| !name.is_empty()).or_else(|| appname.given().map(|name| name.to_string()));
    let app = apps.add(&caller, New { otpauth: Some(otpauth), name, ..New::default() }).await?;
    Ok(Json(AddedSecret { name: account(&app), uuid: app.uuid }))
}

/// List the apps that one may read, as clients of sharedmfa do
#[utoipa::path(get, path = "/api/list-available-apps", tag = "apps",
    params(("x-functions-key" = Option<String>, Header), ("code" = Option<String>, Header, description = "The same"),
        ("code" = Option<String>, Query, description = "The same, as clients of sharedmfa send it; can be switched off")),
    responses((status = 200, body = Vec<AvailableApp>), (status = "default", body = ErrorBody)))]
pub async fn list_available(
    FunctionKey(caller): FunctionKey,
    State(apps): State<Apps>,
) -> ApiResult<Json<Vec<AvailableApp>>> {
    let available = apps.list(&caller, &Page::default()).await?.into_iter().map(|app| {
        let (appname, custom) = (account(&app), app.name.as_deref().map(escape_controls));
        AvailableApp { uuid: app.uuid, appname, custom }
    });
    Ok(Json(available.collect()))
}

/// Read a code, as clients of sharedmfa do
#[utoipa::path(get, path = "/api/get-mfa-code", tag = "apps",
    params(("x-functions-key" = Option<String>, Header), ("code" = Option<String>, Header, description = "The same"),
        ("code" = Option<String>, Query, description = "The same, as clients of sharedmfa send it; can be switched off"), ("uuid" = String, Query)),
    responses((status = 200, body = MfaCode), (status = "default", body = ErrorBody)))]
pub async fn mfa_code(
    FunctionKey(caller): FunctionKey,
    _: RightTime,
    State(apps): State<Apps>,
    Query(InAddress { uuid: named, .. }): Query<InAddress>,
    LenientJson(WhichApp { uuid }): LenientJson<WhichApp>,
) -> ApiResult<Json<MfaCode>> {
    let uuid = named.filter(|uuid| !uuid.is_empty()).or_else(|| uuid.given().map(|uuid| uuid.to_string()));
    let uuid = uuid.ok_or(AppError::Missing("uuid"))?;
    let AppCode { otp, expires, .. } = apps.code(&caller, &uuid, None).await?;
    Ok(Json(MfaCode { otp, expires }))
}

/// The same with the UUID in the body
#[utoipa::path(post, path = "/api/get-mfa-code", tag = "apps",
    params(("x-functions-key" = Option<String>, Header), ("code" = Option<String>, Header, description = "The same"),
        ("code" = Option<String>, Query, description = "The same, as clients of sharedmfa send it; can be switched off"), ("uuid" = Option<String>, Query)),
    request_body = WhichApp, responses((status = 200, body = MfaCode), (status = "default", body = ErrorBody)))]
pub async fn post_mfa_code(
    key: FunctionKey,
    time: RightTime,
    apps: State<Apps>,
    address: Query<InAddress>,
    body: LenientJson<WhichApp>,
) -> ApiResult<Json<MfaCode>> {
    mfa_code(key, time, apps, address, body).await
}

/// The account, safe to show: clients of sharedmfa print what they get.
fn account(app: &App) -> String {
    escape_controls(if app.issuer.is_empty() { &app.label } else { &app.issuer })
}
