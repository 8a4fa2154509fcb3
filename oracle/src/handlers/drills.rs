//! Routes of drills. HTTP only; the rules are in `service::drills`.

mod refusal;

use super::people::{Allowed, OwnTicket, ReadDrills, RunDrills, Still};
use super::sessions::INVITE_HEADER;
use crate::error::{ApiError, ApiResult};
use crate::extract::{ClientAddr, Json, Path, RightTime};
use crate::service::drills::{Drills, Viewer};
use crate::service::people::rights::Act;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use quorate_protocol::api::{Drill, DrillAnswer, ErrorBody, NewDrill};

/// Ask the players of a group to prove that their Tocs still open
///
/// No code is made and no share is sent. One drill of a group at a time.
#[utoipa::path(post, path = "/drills", tag = "drills", params(("authorization" = String, Header)), request_body = NewDrill,
    responses((status = 201, body = Drill), (status = "default", body = ErrorBody)))]
pub async fn begin(
    _: RightTime,
    by: Allowed<RunDrills>,
    State(drills): State<Drills>,
    Still(Json(request)): Still<Json<NewDrill>>,
) -> ApiResult<(StatusCode, Json<Drill>)> {
    Ok((StatusCode::CREATED, Json(drills.begin(&request, &by.0).await?)))
}

/// List drills
///
/// The newest first, counts alone.
#[utoipa::path(get, path = "/drills", tag = "drills", params(("authorization" = String, Header)),
    responses((status = 200, body = Vec<Drill>), (status = "default", body = ErrorBody)))]
pub async fn list(_: Allowed<ReadDrills>, State(drills): State<Drills>) -> ApiResult<Json<Vec<Drill>>> {
    Ok(Json(drills.list().await?))
}

/// Look at a drill
///
/// Counts for whoever has the id; names for whoever sends the call's token in `Quorate-Invite`, or the ticket of a principal
/// who stands for a holder; the whole report for the ticket of an auditor or operator.
#[utoipa::path(get, path = "/drills/{id}", tag = "drills",
    params(("id" = String, Path), ("quorate-invite" = Option<String>, Header), ("authorization" = Option<String>, Header)),
    responses((status = 200, body = Drill), (status = "default", body = ErrorBody)))]
pub async fn show(
    State(drills): State<Drills>,
    Path(id): Path<String>,
    headers: HeaderMap,
    caller: Result<Allowed<OwnTicket>, ApiError>,
) -> ApiResult<Json<Drill>> {
    let token = headers.get(INVITE_HEADER).and_then(|token| token.to_str().ok());
    let viewer = match (&caller, token) {
        (Ok(caller), _) if caller.0.may(Act::ReadDrills).is_ok() => Viewer::Reader,
        (_, Some(token)) => Viewer::Holder(token),
        (Ok(caller), None) => Viewer::Principal(&caller.0),
        (Err(_), None) => Viewer::Stranger,
    };
    Ok(Json(drills.show(&id, viewer).await?))
}

/// End a drill before its time
#[utoipa::path(delete, path = "/drills/{id}", tag = "drills", params(("id" = String, Path), ("authorization" = String, Header)),
    responses((status = 204, description = "ended"), (status = "default", body = ErrorBody)))]
pub async fn close(
    by: Allowed<RunDrills>,
    State(drills): State<Drills>,
    Path(id): Path<String>,
) -> ApiResult<StatusCode> {
    drills.close(&id, &by.0).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Answer a drill
///
/// With a signature of the player's share key, which stands for them: no ticket is needed.
#[utoipa::path(post, path = "/drills/{id}/answers", tag = "drills", params(("id" = String, Path)), request_body = DrillAnswer,
    responses((status = 204, description = "recorded"), (status = "default", body = ErrorBody)))]
pub async fn answer(
    _: RightTime,
    State(drills): State<Drills>,
    ClientAddr(peer): ClientAddr,
    Path(id): Path<String>,
    Json(request): Json<DrillAnswer>,
) -> ApiResult<StatusCode> {
    drills.answer(&id, &request, peer).await?;
    Ok(StatusCode::NO_CONTENT)
}
