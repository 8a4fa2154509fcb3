//! Who may call: holders of the gateway key, and applications with an API key and its secret. Authentication stands in a
//! handler's signature, and what is not there is not authenticated.

use crate::error::ApiError;
use crate::extract::ClientAddr;
use crate::service::api_keys::{ApiSecret, Tenant};
use crate::state::AppState;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::net::IpAddr;

/// Carries the gateway key.
pub const GATEWAY_HEADER: &str = "x-api-key";
/// Carries the value of an API key.
pub const API_KEY_HEADER: &str = "x-mfa-apikey";
/// Carries the secret of an API key.
pub const API_SECRET_HEADER: &str = "x-mfa-apisecret";

/// The gateway key was presented.
#[derive(Debug, Clone, Copy)]
pub struct Gateway;

impl FromRequestParts<AppState> for Gateway {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let source = source(parts, state).await;
        let presented = parts.headers.get(GATEWAY_HEADER).map(axum::http::HeaderValue::as_bytes);
        state.api_keys.check_gateway(presented, source)?;
        Ok(Self)
    }
}

impl FromRequestParts<AppState> for Tenant {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        let source = source(parts, state).await;
        // What is not visible ASCII was never given out as a value or a secret.
        let text = |name| parts.headers.get(name)?.to_str().ok();
        let secret = text(API_SECRET_HEADER).and_then(ApiSecret::presented);
        Ok(state.api_keys.authenticate(text(API_KEY_HEADER), secret, source).await?)
    }
}

async fn source(parts: &mut Parts, state: &AppState) -> IpAddr {
    let Ok(ClientAddr(source)) = ClientAddr::from_request_parts(parts, state).await;
    source
}
