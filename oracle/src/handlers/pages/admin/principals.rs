//! The pages of principals: a list with a search, one principal, and what operators do to it.

use super::{Asked, is_confirmed};
use crate::error::{ApiError, ApiResult};
use crate::extract::{Form, Query};
use crate::handlers::pages::site::{Site, Told};
use crate::handlers::pages::visitor::{Sent, Visitor};
use crate::handlers::people::{ChangePrincipals, ReadPrincipals};
use crate::service::people::rights::Act;
use crate::service::people::{Assignment, Caller, NewcomerOutcome, PeopleError, PrincipalName};
use crate::store::{PrincipalKind, Role};
use crate::web::admin::Listed;
use crate::web::admin::principals::{self as look, Adding, Given, One};
use crate::web::form::encoded;
use axum::http::StatusCode;
use axum::response::Response;

const TITLE: &str = "Principals";
const HERE: &str = "admin/principals";

/// `GET /admin/principals`: the list.
pub async fn principals(
    site: Site,
    Visitor { caller, .. }: Visitor<ReadPrincipals>,
    query: ApiResult<Query<Asked>>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    list(&site, &caller, &asked, &Adding::default(), None).await
}

/// `POST /admin/principals`: makes one. Its link or its secret is shown this once.
pub async fn add_principal(site: Site, Sent { by, form, .. }: Sent<ChangePrincipals>) -> Response {
    let (own, kind, role) = (form.text("name").trim(), form.text("kind"), form.text("role"));
    let name = if own.contains('/') { own.to_owned() } else { format!("principal/internal/{kind}/{own}") };
    let made = async {
        let name = PrincipalName::parse(&name).map_err(PeopleError::from)?;
        let role = Role::ALL.into_iter().find(|known| known.word() == role).unwrap_or(Role::Member);
        // A team has none, whatever the form was left at.
        let role = if name.kind() == PrincipalKind::Team { Role::Member } else { role };
        Ok::<_, PeopleError>((name.clone(), site.state.people.make_principal(&name, role, &by).await?))
    };
    match made.await {
        Ok((name, outcome)) => {
            let given = match outcome {
                NewcomerOutcome::Link(link) => Given::Link(link),
                NewcomerOutcome::Secret(secret) => Given::Secret(secret.into_text()),
                NewcomerOutcome::Team => return site.see_other(&one_at(&name, "made")),
            };
            once(&site, &by, &name, &given)
        }
        Err(error) => {
            let told = Told::of(error.into());
            let adding = Adding { name: own, kind, role, error: &told.sentence };
            told.mark(list(&site, &by, &Asked::default(), &adding, Some(&told)).await)
        }
    }
}

/// `GET /admin/principal?name=…`: one of them.
pub async fn principal(
    site: Site,
    Visitor { caller, .. }: Visitor<ReadPrincipals>,
    query: ApiResult<Query<Asked>>,
) -> Response {
    let asked = query.map(|Query(asked)| asked).unwrap_or_default();
    match named(&asked.name) {
        Ok(name) => one(&site, &caller, &name, &asked.done, None).await,
        Err(error) => site.refused(error, Some(&caller)),
    }
}

/// `POST /admin/principal`: what an operator does to one of them, as the pressed button says.
pub async fn act_on_principal(site: Site, Sent { by, form, .. }: Sent<ChangePrincipals>) -> Response {
    let name = match named(form.text("name")) {
        Ok(name) => name,
        Err(error) => return site.refused(error, Some(&by)),
    };
    match done(&site, &by, &name, &form).await {
        Ok(Done::Leads(place)) => site.see_other(&place),
        Ok(Done::Shows(given)) => once(&site, &by, &name, &given),
        Err(error) => {
            let told = Told::of(error);
            told.mark(one(&site, &by, &name, "", Some(&told)).await)
        }
    }
}

/// What comes of an act.
enum Done {
    Leads(String),
    Shows(Given),
}

async fn done(site: &Site, by: &Caller, name: &PrincipalName, form: &Form) -> ApiResult<Done> {
    let people = &site.state.people;
    let stays = |word: &str| Ok(Done::Leads(one_at(name, word)));
    match form.text("act") {
        "disable" => {
            people.set_disabled(name, true, by).await?;
            stays("disabled")
        }
        "enable" => {
            people.set_disabled(name, false, by).await?;
            stays("enabled")
        }
        "link" => Ok(Done::Shows(Given::Link(people.renew_link(name, by).await?))),
        "members" => {
            let read = |field| -> Result<Vec<PrincipalName>, PeopleError> {
                let names = form.text(field).split([' ', ',']).filter(|name| !name.is_empty());
                Ok(names.map(PrincipalName::parse).collect::<Result<_, _>>()?)
            };
            people.change_members(name, &read("add")?, &read("drop")?, by).await?;
            stays("members")
        }
        "assign" => {
            let (provider, user) = (form.text("provider").to_owned(), form.given("user"));
            let user = user.map(|user| user.to_string());
            let assigned = people.assign(name, Assignment { provider, key: form.code("key"), user }, by).await?;
            Ok(Done::Shows(Given::Factor(Box::new(assigned))))
        }
        "unassign" | "remove" if !is_confirmed(form) => {
            Err(ApiError::bad_request("not_confirmed", "nothing was done: tick the box if you mean it"))
        }
        "unassign" => {
            people.unassign(name, by).await?;
            stays("unassigned")
        }
        "remove" => {
            people.remove_principal(name, by).await?;
            Ok(Done::Leads(format!("{HERE}?done=removed")))
        }
        _ => Err(ApiError::bad_request("invalid_act", "there is no such button")),
    }
}

async fn list(site: &Site, caller: &Caller, asked: &Asked, adding: &Adding<'_>, told: Option<&Told>) -> Response {
    let all = match site.state.people.principals().await {
        Ok(all) => all,
        Err(error) => return site.refused(error, Some(caller)),
    };
    let search = asked.search.trim().to_lowercase();
    let found = all.into_iter().filter(|shown| shown.name.to_string().to_lowercase().contains(&search)).collect();
    let token = acts(site, caller);
    let content = look::list(&look::List {
        root: &site.root,
        token: token.as_deref(),
        search: asked.search.trim(),
        done: &asked.done,
        listed: &Listed::page(found, asked.page),
        adding,
    });
    site.page(told.map_or(StatusCode::OK, |told| told.status), TITLE, Some(caller), HERE, &content)
}

async fn one(site: &Site, caller: &Caller, name: &PrincipalName, done: &str, told: Option<&Told>) -> Response {
    let people = &site.state.people;
    let found = async {
        let shown = people.principal(name).await?;
        let members = if name.kind() == PrincipalKind::Team { Some(people.members(name).await?) } else { None };
        let (providers, apps) = (people.providers().await?, people.apps_left_by(name).await?);
        Ok::<_, PeopleError>((shown, members, providers, apps, people.keys_of(name).await?))
    };
    let (shown, members, providers, apps, keys) = match found.await {
        Ok(found) => found,
        Err(error) => return site.refused(error, Some(caller)),
    };
    let token = acts(site, caller);
    let content = look::one(&One {
        root: &site.root,
        token: token.as_deref(),
        shown: &shown,
        members: members.as_deref(),
        providers: &providers,
        apps: &apps,
        keys: keys.as_deref(),
        done,
        refusal: told.map(|told| (told.code, told.sentence.as_str())),
    });
    let status = told.map_or(StatusCode::OK, |told| told.status);
    site.page(status, name.own(), Some(caller), HERE, &content)
}

/// What is shown this once.
fn once(site: &Site, by: &Caller, name: &PrincipalName, given: &Given) -> Response {
    let content = look::given(&site.root, name, given);
    site.page(StatusCode::OK, name.own(), Some(by), HERE, &content)
}

/// What the forms carry of whoever may change principals; auditors see none.
fn acts(site: &Site, caller: &Caller) -> Option<String> {
    caller.may(Act::ChangePrincipals).ok().map(|()| site.state.people.form_token(caller))
}

fn named(text: &str) -> ApiResult<PrincipalName> {
    // What is no name names nobody.
    PrincipalName::parse(text).map_err(|_| PeopleError::Unknown.into())
}

fn one_at(name: &PrincipalName, done: &str) -> String {
    format!("admin/principal?name={}&done={done}", encoded(&name.to_string()))
}
