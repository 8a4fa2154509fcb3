//! The pages of providers of second factors. Secrets go in and never come out.

use super::{Asked, is_confirmed};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Form, Query};
use crate::handlers::pages::site::{Site, Told};
use crate::handlers::pages::visitor::{Sent, Visitor};
use crate::handlers::people::{ChangeProviders, ReadProviders};
use crate::service::people::rights::Act;
use crate::service::people::{Caller, Options, PeopleError, Provider, ProviderKind, ProviderName};
use crate::web::admin::providers::{self as look, Typed};
use crate::web::form::encoded;
use axum::http::StatusCode;
use axum::response::Response;

const TITLE: &str = "Providers";
const HERE: &str = "admin/providers";

/// `GET /admin/providers`: all of them.
pub async fn providers(
    site: Site,
    Visitor { caller, .. }: Visitor<ReadProviders>,
    query: ApiResult<Query<Asked>>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    list(&site, &caller, &asked.done, &Typed::default(), None).await
}

/// `POST /admin/providers`: makes one.
pub async fn add_provider(site: Site, Sent { by, form, .. }: Sent<ChangeProviders>) -> Response {
    let made = async {
        let provider = read(&form, form.text("name").trim())?;
        ApiResult::Ok(site.state.people.make_provider(provider, &by).await?)
    };
    match made.await {
        Ok(_) => site.see_other(&format!("{HERE}?done=made")),
        Err(error) => {
            let told = Told::of(error);
            let typed = Typed { name: form.text("name"), kind: form.text("kind"), options: options(&form) };
            told.mark(list(&site, &by, "", &typed, Some(&told)).await)
        }
    }
}

/// `GET /admin/provider?name=…`: one of them.
pub async fn provider(
    site: Site,
    Visitor { caller, .. }: Visitor<ReadProviders>,
    query: ApiResult<Query<Asked>>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    one(&site, &caller, &asked.name, &asked.done, None).await
}

/// `POST /admin/provider`: changes or removes one, as the pressed button says.
pub async fn act_on_provider(site: Site, Sent { by, form, .. }: Sent<ChangeProviders>) -> Response {
    let name = form.text("name");
    let done = async {
        let people = &site.state.people;
        match form.text("act") {
            "update" => {
                people.update_provider(name, read(&form, name)?, &by).await?;
                ApiResult::Ok(format!("admin/provider?name={}&done=changed", encoded(name)))
            }
            "remove" if is_confirmed(&form) => {
                people.remove_provider(name, &by).await?;
                Ok(format!("{HERE}?done=removed"))
            }
            "remove" => Err(ApiError::bad_request("not_confirmed", "nothing was done: tick the box if you mean it")),
            _ => Err(ApiError::bad_request("invalid_act", "there is no such button")),
        }
    };
    match done.await {
        Ok(place) => site.see_other(&place),
        Err(error) => {
            let told = Told::of(error);
            told.mark(one(&site, &by, name, "", Some(&told)).await)
        }
    }
}

fn read(form: &Form, name: &str) -> ApiResult<Provider> {
    let kind = ProviderKind::parse(form.text("kind"))
        .ok_or_else(|| ApiError::bad_request("invalid_type", "a provider is of the type totp, webauthn or duo"))?;
    let name = ProviderName::parse(name).map_err(PeopleError::from)?;
    Ok(Provider { name, kind, options: options(form) })
}

fn options(form: &Form) -> Options {
    let text = |name: &str| form.given(name).map(|text| text.trim().to_owned());
    Options {
        host: text("host"),
        integration_key: text("integration_key"),
        secret_key: form.given("secret_key"),
        issuer: text("issuer"),
        rp_id: text("rp_id"),
        origin: text("origin"),
    }
}

async fn list(site: &Site, caller: &Caller, done: &str, typed: &Typed<'_>, told: Option<&Told>) -> Response {
    let providers = match site.state.people.providers().await {
        Ok(providers) => providers,
        Err(error) => return site.refused(error, Some(caller)),
    };
    let (token, refusal) = (acts(site, caller), told.map(|told| (told.code, told.sentence.as_str())));
    let content = look::list(&site.root, token.as_deref(), &providers, done, typed, refusal);
    site.page(told.map_or(StatusCode::OK, |told| told.status), TITLE, Some(caller), HERE, &content)
}

async fn one(site: &Site, caller: &Caller, name: &str, done: &str, told: Option<&Told>) -> Response {
    let providers = match site.state.people.providers().await {
        Ok(providers) => providers,
        Err(error) => return site.refused(error, Some(caller)),
    };
    let Some(provider) = providers.iter().find(|provider| provider.name.as_str() == name) else {
        return site.refused(PeopleError::UnknownProvider, Some(caller));
    };
    let (token, refusal) = (acts(site, caller), told.map(|told| (told.code, told.sentence.as_str())));
    let content = look::one(&site.root, token.as_deref(), provider, done, refusal);
    site.page(told.map_or(StatusCode::OK, |told| told.status), TITLE, Some(caller), HERE, &content)
}

/// What the forms carry of whoever may change providers; auditors see none.
fn acts(site: &Site, caller: &Caller) -> Option<String> {
    caller.may(Act::ChangeProviders).ok().map(|()| site.state.people.form_token(caller))
}
