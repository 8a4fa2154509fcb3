//! Pages for people. HTTP only: what they look like is in `web`, what they show comes from the services.
//!
//! Whoever is logged in on pages shows it by a cookie, which opens pages alone; the routes for programs take the ticket in
//! the header `Authorization`, which opens no page.

mod account;
mod admin;
mod apps;
mod drill;
mod enroll;
mod login;
mod site;
mod visitor;

pub use self::account::{account, change_keys, log_out};
pub use self::admin::{
    act_on_principal, act_on_provider, add_principal, add_provider, admin, audit, audit_export, end_session, principal,
    principals, provider, providers, sessions,
};
pub use self::apps::{act_on_app, add_app, app, apps};
pub use self::drill::drill;
pub use self::enroll::{enrol, invitation, open_link};
pub use self::login::{login, password, second_factor};

use crate::config::Origin;
use crate::error::{ApiError, ApiResult};
use crate::extract::Path;
use crate::state::AppState;
use crate::web::{self, Asset, Frame, Kind};
use axum::extract::{MatchedPath, RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use quorate_protocol::api::Session;

/// From a session's page to the oracle's root.
const ABOVE: &str = "../";

/// `GET /`: what this oracle is.
pub async fn home(State(state): State<AppState>, path: MatchedPath) -> Response {
    let root = root_of(path.as_str());
    let frame = Frame { title: &state.config.name, oracle: &state.config.name, root: &root, ..Frame::default() };
    let content = web::home::content(&state.config.name, &state.url, &state.keys.fingerprint(), &root);
    frame.page(StatusCode::OK, &content)
}

/// `GET /s/{id}`: a session. Counts alone: who has the whole link sees names, which its script asks for.
pub async fn session(State(state): State<AppState>, id: ApiResult<Path<String>>) -> Response {
    // An id that is no text is unknown as any other.
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    match state.sessions.show(&id, None).await {
        Ok(session) => open_session(&state, &session),
        Err(error) => no_session(&state, &id, error.into()),
    }
}

/// `GET /assets/{name}`: style, script, icon.
pub async fn asset(Path(name): Path<String>, RawQuery(version): RawQuery, headers: HeaderMap) -> ApiResult<Response> {
    let asset = Asset::named(&name)
        .ok_or_else(|| ApiError::new(StatusCode::NOT_FOUND, "unknown_route", "there is no such route"))?;
    Ok(asset.answer(version.as_deref(), &headers))
}

fn open_session(state: &AppState, session: &Session) -> Response {
    let title = format!("{} of {} joined", session.tocs_provided, session.tocs_threshold);
    let frame = Frame { title: &title, oracle: &state.config.name, root: ABOVE, kind: Kind::Live, ..Frame::default() };
    let approving = state.config.approve_origins.first().map(Origin::as_str);
    frame.page(StatusCode::OK, &web::session::open(session, state.clock().now_ms(), approving))
}

/// The page of a session that is over, unknown, or out of reach, with the status of the same refusal elsewhere.
fn no_session(state: &AppState, id: &str, error: ApiError) -> Response {
    let ending = web::session::Ending::named(error.code());
    // Logged there, as every refusal.
    let refusal = error.into_response();
    let kind = if ending.is_over() { Kind::Live } else { Kind::Still };
    let frame = Frame { title: ending.title(), oracle: &state.config.name, root: ABOVE, kind, ..Frame::default() };
    let mut response = frame.page(refusal.status(), &web::session::ended(ending, id));
    if let Some(seconds) = refusal.headers().get(header::RETRY_AFTER) {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.clone());
    }
    response
}

/// From the page at `path` to its root: `/prod` without a slash at the end lies beside `prod/`, not in it.
fn root_of(path: &str) -> String {
    match path.rsplit('/').next() {
        None | Some("") => String::new(),
        Some(last) => format!("{last}/"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_found_from_both_spellings_of_a_base_path() {
        assert_eq!([root_of("/"), root_of("/prod"), root_of("/a/prod"), root_of("/prod/")], ["", "prod/", "prod/", ""]);
    }
}
