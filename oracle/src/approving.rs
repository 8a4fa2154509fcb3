//! Which pages of other origins may call the oracle: the approving pages that its operator names, on the few routes that they
//! call, and never with cookies (Fetch §3.3). Nobody is named unless an operator does, and then nothing here is in the way.

use crate::state::AppState;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::routing::MethodRouter;
use std::time::Duration;
use tower_http::cors::CorsLayer;

/// How long a browser may remember that it may ask.
const REMEMBERED: Duration = Duration::from_secs(600);
/// The header with the token that an invite gives.
const INVITE: HeaderName = HeaderName::from_static("quorate-invite");

/// `routes`, all of them of `method`, opened to the pages that the settings name.
pub(crate) fn open_to_pages(
    routes: MethodRouter<AppState>,
    method: Method,
    state: &AppState,
) -> MethodRouter<AppState> {
    let origins = &state.config.approve_origins;
    if origins.is_empty() {
        return routes;
    }
    let origin = |text: &str| HeaderValue::from_str(text).expect("an origin is printable ASCII");
    let origins: Vec<HeaderValue> = origins.iter().map(|named| origin(named.as_str())).collect();
    let pages = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([method])
        .allow_headers([header::CONTENT_TYPE, INVITE])
        .max_age(REMEMBERED);
    // The layer answers in its place; without a handler the router would say that there is no such method.
    routes.options(async || StatusCode::NO_CONTENT).layer(pages)
}
