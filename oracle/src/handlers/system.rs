//! The oracle itself: who it is and whether it is well. It must not know sessions.

use crate::error::{ApiError, ApiResult};
use crate::extract::Json;
use crate::keys::Standing;
use crate::state::AppState;
use axum::extract::State;
use axum::http::StatusCode;
use quorate_protocol::api::{ErrorBody, OracleDescription};
use serde::Serialize;
use utoipa::ToSchema;

/// Whether the oracle can serve.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Always `ready`.
    status: &'static str,
    /// `valid`, or `expiring` in the last third of its time.
    certificate: &'static str,
    /// When the invite certificate ends, Unix seconds.
    certificate_expires: i64,
}

/// Answers as long as the process runs, without looking at anything.
#[utoipa::path(get, path = "/healthz", tag = "system", responses((status = 200, description = "The process runs", body = String)))]
pub async fn health() -> &'static str {
    "ok\n"
}

/// Answers 200 when the store takes commits and has a schema that this oracle knows, its clock and this oracle's agree and
/// invites can be signed, 503 otherwise. The store is asked once a second at most, for all who ask.
#[utoipa::path(get, path = "/readyz", tag = "system", responses(
    (status = 200, description = "Requests can be served", body = Readiness),
    (status = 503, description = "The store is out of reach, takes no commits or was migrated by a newer release, its clock differs by more than two seconds, or there is no valid invite certificate", body = ErrorBody),
))]
pub async fn ready(State(state): State<AppState>) -> ApiResult<Json<Readiness>> {
    if let Some(ahead) = state.look().await?.skew() {
        return Err(ApiError::clock_skew(ahead));
    }
    let (certificate, certificate_expires) = match state.keys.standing(state.clock().now()) {
        Standing::Valid(until) => ("valid", until),
        Standing::Expiring(until) => ("expiring", until),
        Standing::Invalid => return Err(no_certificate()),
    };
    Ok(Json(Readiness { status: "ready", certificate, certificate_expires }))
}

fn no_certificate() -> ApiError {
    let message = "the invite certificate is not valid: an operator has to run quorate-oracle certify";
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "no_certificate", message).retry_after(60)
}

/// Who this oracle is: what `quorate oracle trust` reads, and what a person compares by fingerprint.
#[utoipa::path(get, path = "/.well-known/quorate", tag = "system", responses(
    (status = 200, description = "Address, root key and certificates", body = OracleDescription),
))]
pub async fn description(State(state): State<AppState>) -> Json<OracleDescription> {
    Json(OracleDescription {
        version: 1,
        url: state.url.clone(),
        root_key: state.keys.root().to_bytes().to_vec().into(),
        fingerprint: state.keys.fingerprint(),
        certificates: state.keys.certificates(),
        time: state.clock().now(),
    })
}
