//! The page of a drill. HTTP only.

use super::site::Site;
use super::visitor::Visitor;
use crate::error::ApiResult;
use crate::extract::Path;
use crate::handlers::people::OwnTicket;
use crate::service::drills::Viewer;
use crate::service::people::rights::Act;
use crate::web;
use axum::http::StatusCode;
use axum::response::Response;

/// `GET /drill/{id}`: counts for everybody, names for whoever is logged in on pages and may see them.
pub async fn drill(site: Site, visitor: Result<Visitor<OwnTicket>, Response>, id: ApiResult<Path<String>>) -> Response {
    let caller = visitor.ok().map(|visitor| visitor.caller);
    let reports = caller.as_ref().is_some_and(|caller| caller.may(Act::ReadDrills).is_ok());
    let viewer = match &caller {
        Some(_) if reports => Viewer::Reader,
        Some(caller) => Viewer::Principal(caller),
        None => Viewer::Stranger,
    };
    // An id that is no text is unknown as any other.
    let id = id.map_or_else(|_| String::new(), |Path(id)| id);
    match site.state.drills.show(&id, viewer).await {
        Ok(drill) => {
            let content = web::drill::content(&site.root, &drill, reports);
            site.page(StatusCode::OK, web::drill::title(&drill), caller.as_ref(), "", &content)
        }
        Err(error) => site.refused(error, caller.as_ref()),
    }
}
