//! The oracle itself: who it is and whether it is well. It must not know sessions.

use crate::error::{ApiError, ApiResult};
use crate::extract::Json;
use crate::keys::Standing;
use crate::state::AppState;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use maud::{DOCTYPE, Markup, html};
use quorate_protocol::api::{ErrorBody, OracleDescription};
use quorate_protocol::display::escape_controls;
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

/// Answers 200 when the store answers and invites can be signed, 503 otherwise.
#[utoipa::path(get, path = "/readyz", tag = "system", responses(
    (status = 200, description = "Requests can be served", body = Readiness),
    (status = 503, description = "The store is out of reach, or there is no valid invite certificate", body = ErrorBody),
))]
pub async fn ready(State(state): State<AppState>) -> ApiResult<Json<Readiness>> {
    state.store.ping().await.map_err(ApiError::unavailable)?;
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

/// What this oracle is, for people.
pub async fn index(State(state): State<AppState>) -> Response {
    let name = escape_controls(&state.config.name);
    page(
        &name,
        &html! {
            h1 { (name) }
            p { "An oracle of " strong { "quorate" } ": with enough members present it shows one code, never the secret." }
            dl {
                dt { "Address" }
                dd { code { (state.url) } }
                dt { "Fingerprint of its root key" }
                dd { code { (state.keys.fingerprint()) } }
            }
            p { "Compare the fingerprint with what the operator tells you, then:" }
            pre { code { "quorate oracle trust " (state.url) } }
            p { a href="docs" { "Interface" } }
        },
    )
}

/// The style of the pages above.
pub async fn style() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "max-age=3600")];
    (headers, include_str!("system.css"))
}

/// A page without scripts, and with no style but ours.
pub(crate) fn page(title: &str, content: &Markup) -> Response {
    let policy = "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                link rel="stylesheet" href="system.css";
            }
            body { main { (content) } }
        }
    };
    let headers = [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CONTENT_SECURITY_POLICY, policy)];
    (headers, markup.into_string()).into_response()
}
