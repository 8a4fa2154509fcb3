//! Logging in on pages: the password, then the second factor. HTTP only; what is right is decided where programs log in.

use super::site::{Next, Site, Told};
use super::visitor::{Door, OwnForm, insecure};
use crate::error::{ApiError, ApiResult};
use crate::extract::{ClientAddr, Form, Query, RightTime};
use crate::handlers::webauthn::Assertion;
use crate::service::people::rights::{Act, may};
use crate::service::people::{Attempt, LoggedIn, PeopleError, Progress, ProviderKind};
use crate::service::webauthn::LoginAnswer;
use crate::web;
use crate::web::login::{Factor, Step};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use serde::Deserialize;
use std::net::IpAddr;

const TITLE: &str = "Log in";
/// What a wrong second factor is told by, where the password was right.
const WRONG_PROOF: &str = "That was not accepted: it is wrong, was used already, or comes too late.";

/// Where to go on to.
#[derive(Debug, Default, Deserialize)]
pub struct Onwards {
    #[serde(default)]
    next: String,
}

/// `GET /login`: name and password.
pub async fn login(site: Site, query: ApiResult<Query<Onwards>>) -> Response {
    let next = Next::parse(&query.map(|Query(query)| query.next).unwrap_or_default());
    if Door::of(&site.state.url).is_none() {
        return site.refused(insecure(), None);
    }
    let step = Step { root: &site.root, principal: "", next: next.or("") };
    site.page(StatusCode::OK, TITLE, None, "login", &web::login::password(&step, None))
}

/// `POST /login/password`: the first step.
pub async fn password(
    site: Site,
    time: ApiResult<RightTime>,
    ClientAddr(source): ClientAddr,
    headers: HeaderMap,
    OwnForm(form): OwnForm,
) -> Response {
    let (principal, next) = (form.text("principal").trim(), Next::parse(form.text("next")));
    let step = Step { root: &site.root, principal, next: next.or("") };
    let attempt = Attempt { password: form.given("password"), ..attempt(principal, source) };
    match tried(&site, time, attempt).await {
        Ok(Progress::LoggedIn(done)) => let_in(&site, &headers, done, &next, source).await,
        Ok(Progress::Asked(asked)) => {
            let factor = Factor::Passcode { duo: asked.kind == ProviderKind::Duo };
            site.page(StatusCode::OK, TITLE, None, "login", &web::login::factor(&step, &asked.state, &factor, None))
        }
        Ok(Progress::Challenge(challenge)) => {
            let options = Factor::key(&challenge.options.public_key);
            site.page(
                StatusCode::OK,
                TITLE,
                None,
                "login",
                &web::login::factor(&step, &challenge.state, &options, None),
            )
        }
        Err(error) => {
            let told = Told::of(error);
            let page = web::login::password(&step, Some((told.code, &told.sentence)));
            told.mark(site.page(told.status, TITLE, None, "login", &page))
        }
    }
}

/// `POST /login/factor`: the second step, after which somebody is logged in. Asking somebody's telephone takes as long as they
/// do.
pub async fn second_factor(
    site: Site,
    time: ApiResult<RightTime>,
    ClientAddr(source): ClientAddr,
    headers: HeaderMap,
    OwnForm(form): OwnForm,
) -> Response {
    let (principal, next) = (form.text("principal"), Next::parse(form.text("next")));
    let by_key = !form.text("credential").is_empty();
    let answered = async {
        let credential = credential(&form)?;
        let (state, passcode) = (Some(form.text("state").to_owned()), form.code("passcode"));
        tried(&site, time, Attempt { passcode, state, credential, ..attempt(principal, source) }).await
    };
    match answered.await {
        Ok(Progress::LoggedIn(done)) => let_in(&site, &headers, done, &next, source).await,
        // The state alone proves nothing: the password is asked for again.
        Ok(Progress::Asked(_) | Progress::Challenge(_)) => site.see_other("login"),
        Err(error) => {
            let told = Told::of(error);
            let step = Step { root: &site.root, principal, next: next.or("") };
            let alert = Some((told.code, told.sentence.as_str()));
            let again = Factor::named(form.text("factor")).filter(|_| told.code != "login_late" && !by_key);
            let page = match again {
                // The password was right, and this page says so.
                Some(factor) if told.code == "login_refused" => {
                    web::login::factor(&step, form.text("state"), &factor, Some((told.code, WRONG_PROOF)))
                }
                Some(factor) => web::login::factor(&step, form.text("state"), &factor, alert),
                // A challenge is answered once, and a state lasts for minutes.
                None => web::login::password(&step, alert),
            };
            told.mark(site.page(told.status, TITLE, None, "login", &page))
        }
    }
}

fn attempt(principal: &str, source: IpAddr) -> Attempt {
    Attempt {
        principal: principal.to_owned(),
        password: None,
        passcode: None,
        state: None,
        credential: None,
        by_steps: true,
        source,
    }
}

async fn tried(site: &Site, time: ApiResult<RightTime>, attempt: Attempt) -> ApiResult<Progress> {
    time?;
    Ok(site.state.people.log_in(attempt).await?)
}

/// What a security key answered, as the page's script puts it into the form.
fn credential(form: &Form) -> ApiResult<Option<LoginAnswer>> {
    let Some(text) = form.given("credential") else { return Ok(None) };
    let read = serde_json::from_str::<Assertion>(&text).map_err(|_| ApiError::from(PeopleError::Refused))?;
    read.into_answer().map(Some)
}

/// Gives the browser its ticket. What it was logged in with before ends: nobody goes on under a ticket from before a login.
async fn let_in(site: &Site, headers: &HeaderMap, done: LoggedIn, next: &Next, source: IpAddr) -> Response {
    let Some(door) = Door::of(&site.state.url) else { return site.refused(insecure(), None) };
    let people = &site.state.people;
    if let Some(before) = door.ticket(headers)
        && let Ok(caller) = people.authenticate(Some(before), source).await
        && let Err(error) = people.log_out(&caller, false).await
    {
        return site.refused(error, None);
    }
    let usual = if may(done.role, Act::ReadPrincipals) { "admin/principals" } else { "account" };
    let mut response = site.see_other(next.or(usual));
    response.headers_mut().insert(header::SET_COOKIE, door.keep(done.ticket));
    response
}
