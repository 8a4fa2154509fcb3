//! The page of open quorum sessions: counts, and for operators a button that ends one.

use super::is_confirmed;
use crate::error::{ApiError, ApiResult};
use crate::extract::Query;
use crate::handlers::pages::site::{Site, Told};
use crate::handlers::pages::visitor::{Sent, Visitor};
use crate::handlers::people::{CancelSessions, ReadAudit};
use crate::service::people::Caller;
use crate::service::people::rights::Act;
use crate::web::admin::sessions::{self as look, List};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;

const HERE: &str = "admin/sessions";

/// Which part of the list.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Part {
    before: Option<i64>,
    done: String,
}

/// `GET /admin/sessions`: those that are open.
pub async fn sessions(
    site: Site,
    Visitor { caller, .. }: Visitor<ReadAudit>,
    query: ApiResult<Query<Part>>,
) -> Response {
    let part = query.map(|Query(part)| part).unwrap_or_default();
    list(&site, &caller, &part, None).await
}

/// `POST /admin/sessions`: ends one.
pub async fn end_session(site: Site, Sent { by, form, .. }: Sent<CancelSessions>) -> Response {
    let ended = async {
        if !is_confirmed(&form) {
            return Err(ApiError::bad_request("not_confirmed", "nothing was done: tick the box if you mean it"));
        }
        Ok(site.state.sessions.cancel_by_operator(form.text("name"), by.name.to_string(), by.source).await?)
    };
    match ended.await {
        Ok(()) => site.see_other(&format!("{HERE}?done=ended")),
        Err(error) => {
            let told = Told::of(error);
            told.mark(list(&site, &by, &Part::default(), Some(&told)).await)
        }
    }
}

async fn list(site: &Site, caller: &Caller, part: &Part, told: Option<&Told>) -> Response {
    let open = match site.state.sessions.open_sessions(part.before).await {
        Ok(open) => open,
        Err(error) => return site.refused(error, Some(caller)),
    };
    let token = caller.may(Act::CancelSessions).ok().map(|()| site.state.people.form_token(caller));
    let content = look::list(&List {
        root: &site.root,
        token: token.as_deref(),
        sessions: &open.sessions,
        older: open.older,
        done: &part.done,
        refusal: told.map(|told| (told.code, told.sentence.as_str())),
    });
    site.page(told.map_or(StatusCode::OK, |told| told.status), "Sessions", Some(caller), HERE, &content)
}
