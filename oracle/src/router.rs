//! The whole table of routes. It must not know what any of them does.

use crate::config::BODY_LIMIT;
use crate::error::ApiError;
use crate::handlers::{docs, system};
use crate::observe;
use crate::state::AppState;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use utoipa::OpenApi;

/// The routes that [`Router`] serves, as an OpenAPI document. A handler with `#[utoipa::path]` is named here too.
#[derive(OpenApi)]
#[openapi(
    info(title = "quorate oracle", description = "Codes by quorum, and the multi-factor back end of an organisation."),
    paths(system::health, system::ready, system::description),
    components(schemas(quorate_protocol::api::ErrorBody)),
    tags((name = "system", description = "The oracle itself"))
)]
struct Document;

/// The document, with the server's address when it is known.
pub fn document(url: Option<&str>) -> utoipa::openapi::OpenApi {
    let mut document = Document::openapi();
    document.servers = url.map(|url| vec![utoipa::openapi::Server::new(url)]);
    document
}

/// Every route, at the root and under the base path.
pub fn router(state: AppState) -> Router {
    let routes = Router::new()
        .route("/", get(system::index))
        .route("/.well-known/quorate", get(system::description))
        .route("/docs", get(docs::page))
        .route("/healthz", get(system::health))
        .route("/openapi.json", get(docs::openapi))
        .route("/readyz", get(system::ready))
        .route("/system.css", get(system::style))
        .method_not_allowed_fallback(async || not_allowed());
    finish(routes, state)
}

/// What surrounds every set of routes: base path, unknown routes, body limit, observation.
pub(crate) fn finish(routes: Router<AppState>, state: AppState) -> Router {
    let routes = match state.config.base_path.as_str() {
        "" => routes,
        base => Router::new().nest(base, routes.clone()).merge(routes),
    };
    routes
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "unknown_route", "there is no such route"))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(state.clone(), observe::request))
        .with_state(state)
}

fn not_allowed() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route has other methods")
}
