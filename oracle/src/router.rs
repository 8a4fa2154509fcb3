//! The whole table of routes. It must not know what any of them does.

use crate::approving::open_to_pages;
use crate::config::BODY_LIMIT;
use crate::error::ApiError;
use crate::handlers::{api_keys, apps, audit, docs, drills, pages, people, sessions, system, totps, u2f, webauthn};
use crate::observe;
use crate::state::AppState;
use crate::unread;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode};
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, post, put};
use utoipa::OpenApi;

/// The routes that [`Router`] serves, as an `OpenAPI` document. A handler with `#[utoipa::path]` is named here too.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "quorate oracle",
        description = "Codes and redeals by quorum, and second factors for the users of applications."
    ),
    paths(
        api_keys::create,
        api_keys::activate,
        api_keys::rotate,
        apps::list,
        apps::add,
        apps::known,
        apps::show,
        apps::change,
        apps::remove,
        apps::code,
        apps::grants,
        apps::grant,
        apps::revoke,
        apps::export,
        apps::add_secret,
        apps::list_available,
        apps::mfa_code,
        apps::post_mfa_code,
        audit::export,
        audit::checkpoint,
        drills::begin,
        drills::list,
        drills::show,
        drills::close,
        drills::answer,
        people::invitation,
        people::enrol,
        people::log_in,
        people::log_out,
        people::whoami,
        people::list,
        people::create,
        people::show,
        people::remove,
        people::disable,
        people::enable,
        people::link,
        people::members,
        people::change_members,
        people::assign,
        people::unassign,
        people::providers,
        people::create_provider,
        people::update_provider,
        people::remove_provider,
        people::groups,
        people::add_group,
        people::group,
        people::remove_group,
        people::set_group_members,
        people::change_group_members,
        people::change_group_applicants,
        people::own_groups,
        sessions::create,
        sessions::show,
        sessions::cancel,
        sessions::approve,
        sessions::deny,
        sessions::code,
        sessions::redeal,
        sessions::fetch,
        sessions::receive,
        sessions::events,
        sessions::invite_picture,
        totps::create,
        totps::validate,
        totps::remove,
        u2f::begin_registration,
        u2f::finish_registration,
        u2f::begin_authentication,
        u2f::finish_authentication,
        u2f::remove,
        webauthn::begin_registration,
        webauthn::finish_registration,
        webauthn::begin_login,
        webauthn::finish_login,
        webauthn::remove_user,
        webauthn::remove_credential,
        system::health,
        system::ready,
        system::description,
    ),
    components(schemas(quorate_protocol::api::ErrorBody, people::SecondFactorRequired)),
    tags(
        (name = "api keys", description = "How an application becomes known"),
        (name = "apps", description = "Authenticator entries whose codes several share"),
        (name = "audit", description = "The audit log"),
        (name = "drills", description = "Whether the Tocs of a group still open"),
        (name = "people", description = "Principals, providers of second factors, logins, groups"),
        (name = "sessions", description = "Codes and redeals by quorum"),
        (name = "totp", description = "One-time codes of applications' users"),
        (name = "u2f", description = "Security keys of applications' users, by U2F's raw messages"),
        (name = "webauthn", description = "Security keys and passkeys of applications' users"),
        (name = "system", description = "The oracle itself"),
    )
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
        .route("/", get(pages::home))
        .route("/.well-known/quorate", open_to_pages(get(system::description), Method::GET, &state))
        .route("/account", get(pages::account))
        .route("/account/keys", post(pages::change_keys))
        .route("/account/logout", post(pages::log_out))
        .route("/admin", get(pages::admin))
        .route("/admin/audit", get(pages::audit))
        .route("/admin/audit/export", get(pages::audit_export))
        .route("/admin/principal", get(pages::principal).post(pages::act_on_principal))
        .route("/admin/principals", get(pages::principals).post(pages::add_principal))
        .route("/admin/provider", get(pages::provider).post(pages::act_on_provider))
        .route("/admin/providers", get(pages::providers).post(pages::add_provider))
        .route("/admin/sessions", get(pages::sessions).post(pages::end_session))
        .route("/api/add-totp-secret", post(apps::add_secret))
        .route("/api/apps", get(apps::list).post(apps::add))
        .route("/api/apps/export", post(apps::export))
        .route("/api/apps/known", post(apps::known))
        .route("/api/apps/{uuid}", get(apps::show).patch(apps::change).delete(apps::remove))
        .route("/api/apps/{uuid}/code", post(apps::code))
        .route("/api/apps/{uuid}/grants", get(apps::grants))
        .route("/api/apps/{uuid}/grants/api-key/{value}", put(apps::grant).delete(apps::revoke))
        .route("/api/apps/{uuid}/grants/principal/internal/{kind}/{name}", put(apps::grant).delete(apps::revoke))
        .route("/api/apps/{uuid}/grants/{name}", put(apps::grant).delete(apps::revoke))
        .route("/api/get-mfa-code", get(apps::mfa_code).post(apps::post_mfa_code))
        .route("/api/list-available-apps", get(apps::list_available))
        .route("/api-key", post(api_keys::create))
        .route("/api-key/activate", post(api_keys::activate))
        .route("/api-key/rotate", post(api_keys::rotate))
        .route("/apps", get(pages::apps).post(pages::add_app))
        .route("/apps/{uuid}", get(pages::app).post(pages::act_on_app))
        .route("/assets/{name}", get(pages::asset))
        .route("/audit", get(audit::export))
        .route("/audit/checkpoint", get(audit::checkpoint))
        .route("/docs", get(docs::page))
        .route("/drill/{id}", get(pages::drill))
        .route("/drills", get(drills::list).post(drills::begin))
        .route("/drills/{id}", get(drills::show).delete(drills::close))
        .route("/drills/{id}/answers", post(drills::answer))
        .route("/enroll/{link}", get(pages::open_link).post(people::enrol))
        .route("/enroll/{link}/begin", post(people::invitation))
        .route("/enroll/{link}/finish", post(pages::enrol))
        .route("/enroll/{link}/form", post(pages::invitation))
        .route("/groups", get(people::groups).post(people::add_group))
        .route("/groups/{id}", get(people::group).delete(people::remove_group))
        .route("/groups/{id}/applicants", post(people::change_group_applicants))
        .route("/groups/{id}/members", put(people::set_group_members).post(people::change_group_members))
        .route("/groups/mine", get(people::own_groups))
        .route("/healthz", get(system::health))
        .route("/login", get(pages::login).post(people::log_in))
        .route("/login/factor", post(pages::second_factor))
        .route("/login/password", post(pages::password))
        .route("/logout", post(people::log_out))
        .route("/openapi.json", get(docs::openapi))
        .route("/principals", get(people::list).post(people::create))
        .route("/principals/{name}", get(people::show).delete(people::remove))
        .route("/principals/{name}/disable", post(people::disable))
        .route("/principals/{name}/enable", post(people::enable))
        .route("/principals/{name}/link", post(people::link))
        .route("/principals/{name}/members", get(people::members).post(people::change_members))
        .route("/principals/{name}/multi_factor", put(people::assign).delete(people::unassign))
        // The same by full names, whose slashes need not be percent-encoded.
        .route("/principals/principal/internal/{kind}/{name}", get(people::show).delete(people::remove))
        .route("/principals/principal/internal/{kind}/{name}/disable", post(people::disable))
        .route("/principals/principal/internal/{kind}/{name}/enable", post(people::enable))
        .route("/principals/principal/internal/{kind}/{name}/link", post(people::link))
        .route(
            "/principals/principal/internal/{kind}/{name}/members",
            get(people::members).post(people::change_members),
        )
        .route(
            "/principals/principal/internal/{kind}/{name}/multi_factor",
            put(people::assign).delete(people::unassign),
        )
        .route("/readyz", get(system::ready))
        .route("/s/{id}", get(pages::session))
        .route("/sessions", post(sessions::create))
        .route("/sessions/{id}", open_to_pages(get(sessions::show), Method::GET, &state).delete(sessions::cancel))
        .route("/sessions/{id}/denials", open_to_pages(post(sessions::deny), Method::POST, &state))
        .route("/sessions/{id}/events", get(sessions::events))
        .route("/sessions/{id}/invite.svg", get(sessions::invite_picture))
        .route("/sessions/{id}/receipts", post(sessions::receive))
        .route("/sessions/{id}/redeal", get(sessions::fetch).post(sessions::redeal))
        .route("/sessions/{id}/tocs", open_to_pages(post(sessions::approve), Method::POST, &state))
        .route("/sessions/{id}/totp", post(sessions::code))
        .route("/system/multi_factor", get(people::providers).post(people::create_provider))
        .route("/system/multi_factor/{name}", put(people::update_provider).delete(people::remove_provider))
        .route("/totp", post(totps::create))
        .route("/totp/{uuid}", delete(totps::remove))
        .route("/totp/{uuid}/validate", post(totps::validate))
        .route("/u2f", post(u2f::begin_registration))
        .route("/u2f/{uuid}", put(u2f::finish_registration).delete(u2f::remove))
        .route("/u2f/{uuid}/auth", post(u2f::begin_authentication).put(u2f::finish_authentication))
        .route("/webauthn/credential/{id}", delete(webauthn::remove_credential))
        .route("/webauthn/login", post(webauthn::begin_login).put(webauthn::finish_login))
        .route("/webauthn/register", post(webauthn::begin_registration).put(webauthn::finish_registration))
        .route("/webauthn/user", delete(webauthn::remove_user))
        .route("/whoami", get(people::whoami));
    finish(routes, state)
}

/// What surrounds every set of routes: base path, unknown routes and methods, body limit, observation, unread bodies.
pub(crate) fn finish(routes: Router<AppState>, state: AppState) -> Router {
    let routes = routes.method_not_allowed_fallback(async || not_allowed());
    let routes = match state.config.base_path.as_str() {
        "" => routes,
        base => {
            let root = format!("{base}/");
            Router::new().nest(base, routes.clone()).route(&root, get(pages::home)).merge(routes)
        }
    };
    routes
        .fallback(async || ApiError::new(StatusCode::NOT_FOUND, "unknown_route", "there is no such route"))
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(state.clone(), observe::request))
        .layer(from_fn_with_state(state.clone(), unread::bodies))
        .with_state(state)
}

fn not_allowed() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this route has other methods")
}
