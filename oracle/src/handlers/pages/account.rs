//! Who is logged in on pages, and logging out. HTTP only.

use super::site::Site;
use super::visitor::{Door, Sent, Visitor};
use crate::handlers::people::OwnTicket;
use crate::web;
use crate::web::account::Account;
use axum::http::{StatusCode, header};
use axum::response::Response;

/// `GET /account`: who one is.
pub async fn account(site: Site, Visitor { caller, .. }: Visitor<OwnTicket>) -> Response {
    let people = &site.state.people;
    let shown = match people.principal(&caller.name).await {
        Ok(shown) => shown,
        Err(error) => return site.refused(error, Some(&caller)),
    };
    let token = people.form_token(&caller);
    let content = web::account::content(&Account {
        root: &site.root,
        token: &token,
        name: caller.name.to_string(),
        role: caller.role.word(),
        expires_at: caller.expires_at,
        provider: shown.provider.as_ref().map(|(name, kind)| (name.as_str(), kind.word())),
    });
    site.page(StatusCode::OK, "Your account", Some(&caller), "account", &content)
}

/// `POST /account/logout`: ends the ticket of this browser, or all that the caller has.
pub async fn log_out(site: Site, Sent { by, form, .. }: Sent<OwnTicket>) -> Response {
    if let Err(error) = site.state.people.log_out(&by, form.text("everywhere") == "yes").await {
        return site.refused(error, Some(&by));
    }
    let mut response = site.see_other("login");
    if let Some(door) = Door::of(&site.state.url) {
        response.headers_mut().insert(header::SET_COOKIE, door.forget());
    }
    response
}
