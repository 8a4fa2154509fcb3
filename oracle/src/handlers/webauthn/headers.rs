//! The headers that say for which relying party and which user a ceremony is: bodies go to and come from browsers as they
//! are. It must not know what is done with them.

use crate::error::ApiError;
use crate::service::relying_party::{Origin, RpId};
use crate::service::webauthn::{Names, Party};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue};
use utoipa::IntoParams;

/// Bytes of a name at most.
const MAX_NAME: usize = 1024;

/// For whom, and whose.
#[derive(Debug, Clone)]
pub struct Meta {
    /// The relying party.
    pub party: Party,
    /// The user's names.
    pub names: Names,
    /// The user, unless a new one.
    pub uuid: Option<String>,
}

/// The same as the document describes it.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "describes headers, which are read by name")]
pub struct MetaHeaders {
    /// The API key's value.
    #[param(rename = "x-mfa-apikey")]
    api_key: String,
    /// The API key's secret.
    #[param(rename = "x-mfa-apisecret")]
    api_secret: String,
    /// What people call the relying party.
    #[param(rename = "x-mfa-RPDisplayName", example = "ACME Inc")]
    rp_display_name: String,
    /// The domain that credentials are bound to.
    #[param(rename = "x-mfa-RPID", example = "example.com")]
    rp_id: String,
    /// The page's origin: equal to or under the RP ID. The RP ID's own when left out.
    #[param(rename = "x-mfa-RPOrigin", example = "https://login.example.com")]
    rp_origin: Option<String>,
    /// The user's name.
    #[param(rename = "x-mfa-Username", example = "john_smith")]
    username: String,
    /// The user's full name.
    #[param(rename = "x-mfa-UserDisplayName", example = "John Smith")]
    user_display_name: String,
    /// The user; left out for a new one. At most 64 bytes.
    #[param(rename = "x-mfa-UserUUID", example = "7c9e6679-7425-40de-944b-e07fc1f90ae7")]
    user_uuid: Option<String>,
}

impl<S: Sync> FromRequestParts<S> for Meta {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let headers = &parts.headers;
        let name = shown(headers, "x-mfa-RPDisplayName")?;
        let rp_id = required(optional(headers, "x-mfa-RPID")?, "x-mfa-RPID")?;
        let names =
            Names { name: shown(headers, "x-mfa-Username")?, display_name: shown(headers, "x-mfa-UserDisplayName")? };
        let uuid = optional(headers, "x-mfa-UserUUID")?;
        let id = RpId::parse(&rp_id)?;
        let origin = match optional(headers, "x-mfa-RPOrigin")? {
            Some(origin) => Origin::parse(&origin)?,
            None => id.own_origin(),
        };
        Ok(Self { party: Party { id, name, origin }, names, uuid })
    }
}

/// A name that is only shown: UTF-8, or else Latin-1, as clients send that know of nothing but HTTP's old charset.
fn shown(headers: &HeaderMap, name: &'static str) -> Result<String, ApiError> {
    let bytes = single(headers, name)?;
    let text = bytes.map(|bytes| match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    });
    required(text, name)
}

fn required(value: Option<String>, name: &'static str) -> Result<String, ApiError> {
    value.ok_or_else(|| ApiError::unauthorized("header_required", format!("missing required header: {name}")))
}

fn optional(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, ApiError> {
    let text = single(headers, name)?.map(|bytes| std::str::from_utf8(bytes).map(str::to_owned)).transpose();
    text.map_err(|_| invalid(name))
}

/// An empty header counts as missing. Of one that comes twice, somebody on the way may have looked at the other.
fn single<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a [u8]>, ApiError> {
    let mut values = headers.get_all(name).into_iter();
    let value = values.next().map(HeaderValue::as_bytes);
    if values.next().is_some() || value.is_some_and(|value| value.len() > MAX_NAME) {
        return Err(invalid(name));
    }
    Ok(value.filter(|value| !value.is_empty()))
}

fn invalid(name: &'static str) -> ApiError {
    ApiError::bad_request(
        "invalid_header",
        format!("{name} is not UTF-8, longer than {MAX_NAME} bytes, or there twice"),
    )
}
