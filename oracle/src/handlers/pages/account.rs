//! Who is logged in on pages, their security keys, and logging out. HTTP only.

use super::admin::{Asked, is_confirmed};
use super::enroll::is_passkey;
use super::site::{Site, Told};
use super::visitor::{Door, Sent, Visitor};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Form, Query, RightTime};
use crate::handlers::people::OwnTicket;
use crate::handlers::webauthn::CreatedCredential;
use crate::service::people::{Caller, PeopleError, Token};
use crate::web;
use crate::web::account::{Account, Adding};
use axum::http::{StatusCode, header};
use axum::response::Response;

/// `GET /account`: who one is.
pub async fn account(
    site: Site,
    Visitor { caller, .. }: Visitor<OwnTicket>,
    query: ApiResult<Query<Asked>>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    show(&site, &caller, &asked.done, None, None).await
}

/// `POST /account/keys`: asks for one more security key, registers it, or removes one, as the pressed button says.
pub async fn change_keys(site: Site, time: ApiResult<RightTime>, Sent { by, form, .. }: Sent<OwnTicket>) -> Response {
    let done = match time {
        Ok(_) => changed(&site, &by, &form).await,
        Err(error) => Err(error),
    };
    match done {
        Ok(Done::Leads(word)) => site.see_other(&format!("account?done={word}")),
        Ok(Done::Removed(ticket)) => {
            let mut response = site.see_other("account?done=removed");
            if let Some(door) = Door::of(&site.state.url) {
                response.headers_mut().insert(header::SET_COOKIE, door.keep(ticket));
            }
            response
        }
        Ok(Done::Asks(options)) => {
            let adding = Adding { options: &options, name: form.text("name") };
            show(&site, &by, "", Some(&adding), None).await
        }
        Err(error) => {
            let told = Told::of(error);
            told.mark(show(&site, &by, "", None, Some(&told)).await)
        }
    }
}

/// What comes of a change.
enum Done {
    Leads(&'static str),
    Asks(String),
    /// With the ticket that the browser goes on with.
    Removed(Token),
}

async fn changed(site: &Site, by: &Caller, form: &Form) -> ApiResult<Done> {
    let people = &site.state.people;
    match form.text("act") {
        "begin" => {
            let options = people.begin_own_key(by).await?.public_key;
            Ok(Done::Asks(serde_json::to_string(&options).expect("plain data always serialises")))
        }
        "remove" if !is_confirmed(form) => {
            Err(ApiError::bad_request("not_confirmed", "nothing was done: tick the box if you mean it"))
        }
        "remove" => Ok(Done::Removed(people.remove_own_key(by, form.text("key")).await?)),
        "add" => {
            let read = serde_json::from_str::<CreatedCredential>(form.text("credential"));
            let answer = read.map_err(|_| ApiError::from(PeopleError::Factor))?.into_answer()?;
            people.add_own_key(by, form.text("name").trim(), answer, is_passkey(form)).await?;
            Ok(Done::Leads("added"))
        }
        _ => Err(ApiError::bad_request("invalid_act", "there is no such button")),
    }
}

async fn show(site: &Site, caller: &Caller, done: &str, adding: Option<&Adding<'_>>, told: Option<&Told>) -> Response {
    let people = &site.state.people;
    let found = async { Ok::<_, PeopleError>((people.principal(&caller.name).await?, people.own_keys(caller).await?)) };
    let (shown, keys) = match found.await {
        Ok(found) => found,
        Err(error) => return site.refused(error, Some(caller)),
    };
    let token = people.form_token(caller);
    let content = web::account::content(&Account {
        root: &site.root,
        token: &token,
        name: caller.name.to_string(),
        own: caller.name.own(),
        role: caller.role.word(),
        expires_at: caller.expires_at,
        provider: shown.provider.as_ref().map(|(name, kind)| (name.as_str(), kind.word())),
        keys: keys.as_deref(),
        fresh: people.is_fresh(caller),
        adding,
        done,
        refusal: told.map(|told| (told.code, told.sentence.as_str())),
    });
    let status = told.map_or(StatusCode::OK, |told| told.status);
    site.page(status, "Your account", Some(caller), "account", &content)
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
