//! Who asks for apps: a principal with a ticket, or an application with a function key, which is `APIKEY:APISECRET`.

use crate::error::ApiError;
use crate::extract::{ClientAddr, Query};
use crate::handlers::people::{Allowed, OwnTicket};
use crate::service::api_keys::{ApiKeyError, ApiSecret};
use crate::service::apps::AppCaller;
use crate::state::AppState;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::Deserialize;
use std::fmt;
use zeroize::Zeroizing;

/// Carries a function key.
pub const FUNCTION_KEY_HEADER: &str = "x-functions-key";
/// The same, as some clients of sharedmfa call it.
const CODE_HEADER: &str = "code";

impl FromRequestParts<AppState> for AppCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        match from_headers(&parts.headers) {
            Some(key) if !parts.headers.contains_key(header::AUTHORIZATION) => {
                authenticated(Some(key), parts, state).await
            }
            None if !parts.headers.contains_key(header::AUTHORIZATION) && has_key_in_query(parts) => {
                let message = "a function key in the address counts in sharedmfa's routes alone: send it in the header x-functions-key";
                Err(ApiError::unauthorized("unauthorized", message))
            }
            // Without either a ticket is asked for.
            _ => Ok(Self::Principal(Allowed::<OwnTicket>::from_request_parts(parts, state).await?.0)),
        }
    }
}

/// An application with its function key, in a header or in the address: what sharedmfa's clients send.
#[derive(Debug)]
pub struct FunctionKey(pub AppCaller);

#[derive(Deserialize)]
struct InQuery {
    #[serde(default)]
    code: Option<Zeroizing<String>>,
}

impl FromRequestParts<AppState> for FunctionKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let mut key = from_headers(&parts.headers);
        if key.is_none() && state.config.apps_key_in_query {
            let Query(InQuery { code }) = Query::from_request_parts(parts, state).await?;
            key = code.map(|code| pasted(&code));
        }
        authenticated(key, parts, state).await.map(Self)
    }
}

/// What somebody presents as a function key.
struct Presented(Zeroizing<String>);

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Presented([redacted])")
    }
}

/// A function key from an address. Clients of sharedmfa put it there as it is: its base64 has no space, but may have a `+`, which
/// is read as one where nobody has percent-encoded it.
fn pasted(code: &str) -> Presented {
    Presented(Zeroizing::new(code.trim().replace(' ', "+")))
}

/// Whether a request has a function key where sharedmfa's clients put it.
fn has_key_in_query(parts: &Parts) -> bool {
    parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("code=")))
}

fn from_headers(headers: &HeaderMap) -> Option<Presented> {
    let value = headers.get(FUNCTION_KEY_HEADER).or_else(|| headers.get(CODE_HEADER))?;
    // What is not visible ASCII was never given out.
    Some(Presented(Zeroizing::new(value.to_str().unwrap_or_default().to_owned())))
}

async fn authenticated(key: Option<Presented>, parts: &mut Parts, state: &AppState) -> Result<AppCaller, ApiError> {
    let Ok(ClientAddr(source)) = ClientAddr::from_request_parts(parts, state).await;
    let key = key.ok_or(ApiKeyError::Unauthorized)?;
    // What has no colon, or behind it nothing or more than any secret has, is a wrong key like any other, and counted as one.
    let (value, secret) = key.0.trim().split_once(':').unwrap_or((key.0.trim(), "-"));
    let secret = ApiSecret::presented(secret).or_else(|| ApiSecret::presented("-"));
    let tenant = state.api_keys.authenticate(Some(value), secret, source).await?;
    Ok(AppCaller::ApiKey { tenant, value: value.to_owned(), source })
}
