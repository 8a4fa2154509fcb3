//! Routes of apps. HTTP only; the rules are in `service::apps`.

mod caller;
mod refusal;
mod sharedmfa;

pub use self::caller::{FUNCTION_KEY_HEADER, FunctionKey};
pub use self::sharedmfa::{
    __path_add_secret, __path_list_available, __path_mfa_code, __path_post_mfa_code, add_secret, list_available,
    mfa_code, post_mfa_code,
};

use crate::error::ApiResult;
use crate::extract::{ClientAddr, Json, Path, Query, RightTime, SensitiveJson};
use crate::handlers::people::Still;
use crate::service::apps::{AppCaller, AppError, Apps, Grantee, New, Page};
use crate::service::sessions::Sessions;
use crate::service::sessions::error::SessionError;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use quorate_protocol::api::{
    App, AppCode, AppGrant, AppSession, ChangedApp, ErrorBody, ExportApps, ExportedApps, KnownApp, NewApp, NewAppGrant,
    ReadCode, WantedApps,
};
use serde::Deserialize;

/// Which part of the list is wanted.
#[derive(Debug, Default, Deserialize)]
pub struct InList {
    after: Option<String>,
    limit: Option<usize>,
}

/// List the apps that one may read
///
/// In the order in which they were added, all of them unless a part is wanted.
#[utoipa::path(get, path = "/api/apps", tag = "apps",
    params(("authorization" = Option<String>, Header), ("x-functions-key" = Option<String>, Header),
        ("after" = Option<String>, Query, description = "UUID of the last app that was listed before"),
        ("limit" = Option<usize>, Query, description = "Apps at most")),
    responses((status = 200, body = Vec<App>), (status = "default", body = ErrorBody)))]
pub async fn list(
    caller: AppCaller,
    State(apps): State<Apps>,
    Query(InList { after, limit }): Query<InList>,
) -> ApiResult<Json<Vec<App>>> {
    Ok(Json(apps.list(&caller, &Page { after, limit }).await?))
}

/// Add an app
///
/// With its secret, or by quorum: then the oracle holds no secret of it. It is the caller's.
#[utoipa::path(post, path = "/api/apps", tag = "apps",
    params(("authorization" = Option<String>, Header), ("x-functions-key" = Option<String>, Header)),
    request_body = NewApp, responses((status = 201, body = App), (status = "default", body = ErrorBody)))]
pub async fn add(
    caller: AppCaller,
    State(apps): State<Apps>,
    Still(SensitiveJson(NewApp { otpauth, group, name, uuid })): Still<SensitiveJson<NewApp>>,
) -> ApiResult<(StatusCode, Json<App>)> {
    let app = apps.add(&caller, New { otpauth, group, name, uuid }).await?;
    Ok((StatusCode::CREATED, Json(app)))
}

/// Compare what one is about to add with what there is
///
/// Which of the caller's own apps make the same codes, and which UUIDs are taken. Nothing is changed.
#[utoipa::path(post, path = "/api/apps/known", tag = "apps",
    params(("authorization" = Option<String>, Header), ("x-functions-key" = Option<String>, Header)),
    request_body = WantedApps, responses((status = 200, body = Vec<KnownApp>), (status = "default", body = ErrorBody)))]
pub async fn known(
    caller: AppCaller,
    State(apps): State<Apps>,
    Still(SensitiveJson(WantedApps { apps: wanted })): Still<SensitiveJson<WantedApps>>,
) -> ApiResult<Json<Vec<KnownApp>>> {
    Ok(Json(apps.known(&caller, wanted).await?))
}

/// Look at an app
#[utoipa::path(get, path = "/api/apps/{uuid}", tag = "apps",
    params(("uuid" = String, Path), ("authorization" = Option<String>, Header),
        ("x-functions-key" = Option<String>, Header)),
    responses((status = 200, body = App), (status = "default", body = ErrorBody)))]
pub async fn show(caller: AppCaller, State(apps): State<Apps>, Path(uuid): Path<String>) -> ApiResult<Json<App>> {
    Ok(Json(apps.show(&caller, &uuid).await?))
}

/// Change an app
///
/// Its names, for whoever may manage it; its secret, for its owner. Its UUID and everybody's rights stay.
#[utoipa::path(patch, path = "/api/apps/{uuid}", tag = "apps",
    params(("uuid" = String, Path), ("authorization" = Option<String>, Header),
        ("x-functions-key" = Option<String>, Header)),
    request_body = ChangedApp, responses((status = 200, body = App), (status = "default", body = ErrorBody)))]
pub async fn change(
    caller: AppCaller,
    State(apps): State<Apps>,
    Path(uuid): Path<String>,
    Still(SensitiveJson(changed)): Still<SensitiveJson<ChangedApp>>,
) -> ApiResult<Json<App>> {
    Ok(Json(apps.amend(&caller, &uuid, changed).await?))
}

/// Remove an app
///
/// For whoever may manage it. Nobody reads codes of it any more.
#[utoipa::path(delete, path = "/api/apps/{uuid}", tag = "apps",
    params(("uuid" = String, Path), ("authorization" = Option<String>, Header),
        ("x-functions-key" = Option<String>, Header)),
    responses((status = 204, description = "removed"), (status = "default", body = ErrorBody)))]
pub async fn remove(caller: AppCaller, State(apps): State<Apps>, Path(uuid): Path<String>) -> ApiResult<StatusCode> {
    apps.remove(&caller, &uuid).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Read a code
///
/// The audit log is told who reads it, and why. For an app by quorum whoever shows a ticket, says why, and may ask for codes of its
/// group is given a session: the one of theirs that is open, without its KEK, or a new one. Everybody else is answered 409 `by_quorum`.
#[utoipa::path(post, path = "/api/apps/{uuid}/code", tag = "apps",
    params(("uuid" = String, Path), ("authorization" = Option<String>, Header),
        ("x-functions-key" = Option<String>, Header)),
    request_body = ReadCode,
    responses((status = 200, body = AppCode), (status = 202, body = AppSession),
        (status = "default", body = ErrorBody)))]
pub async fn code(
    caller: AppCaller,
    _: RightTime,
    State(apps): State<Apps>,
    State(sessions): State<Sessions>,
    ClientAddr(peer): ClientAddr,
    Path(uuid): Path<String>,
    Still(Json(ReadCode { why, again })): Still<Json<ReadCode>>,
) -> ApiResult<Response> {
    let by_quorum = match apps.code(&caller, &uuid, why.as_deref()).await {
        Ok(code) => return Ok(Json(code).into_response()),
        Err(AppError::ByQuorum(group)) => group,
        Err(error) => return Err(error.into()),
    };
    let (AppCaller::Principal(principal), Some(why)) = (&caller, why) else {
        return Err(AppError::ByQuorum(by_quorum).into());
    };
    match sessions.ask_by_login(by_quorum.group, why, again, principal, peer).await {
        Ok(session) => Ok((StatusCode::ACCEPTED, Json(session)).into_response()),
        // Whoever may not ask by a login asks with a Toc.
        Err(SessionError::MayNotAsk) => Err(AppError::ByQuorum(by_quorum).into()),
        Err(error) => Err(error.into()),
    }
}

/// See who may read an app
#[utoipa::path(get, path = "/api/apps/{uuid}/grants", tag = "apps",
    params(("uuid" = String, Path), ("authorization" = Option<String>, Header),
        ("x-functions-key" = Option<String>, Header)),
    responses((status = 200, body = Vec<AppGrant>), (status = "default", body = ErrorBody)))]
pub async fn grants(
    caller: AppCaller,
    State(apps): State<Apps>,
    Path(uuid): Path<String>,
) -> ApiResult<Json<Vec<AppGrant>>> {
    Ok(Json(apps.grants(&caller, &uuid).await?))
}

/// Let somebody read an app, or manage it
///
/// In place of what they might before. The name of a principal or a team, short, percent-encoded or as it stands, or
/// `api-key/` and the value of an API key.
#[utoipa::path(put, path = "/api/apps/{uuid}/grants/{name}", tag = "apps",
    params(("uuid" = String, Path), ("name" = String, Path), ("authorization" = Option<String>, Header),
        ("x-functions-key" = Option<String>, Header)),
    request_body = NewAppGrant,
    responses((status = 204, description = "granted"), (status = "default", body = ErrorBody)))]
pub async fn grant(
    caller: AppCaller,
    State(apps): State<Apps>,
    Path(granted): Path<Granted>,
    Still(Json(NewAppGrant { right })): Still<Json<NewAppGrant>>,
) -> ApiResult<StatusCode> {
    apps.grant(&caller, &granted.uuid, &granted.grantee()?, right).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take somebody's right away
///
/// At once; and what was sealed for them is sealed under another key. Their own everybody may give up.
#[utoipa::path(delete, path = "/api/apps/{uuid}/grants/{name}", tag = "apps",
    params(("uuid" = String, Path), ("name" = String, Path), ("authorization" = Option<String>, Header),
        ("x-functions-key" = Option<String>, Header)),
    responses((status = 204, description = "revoked"), (status = "default", body = ErrorBody)))]
pub async fn revoke(
    caller: AppCaller,
    State(apps): State<Apps>,
    Path(granted): Path<Granted>,
) -> ApiResult<StatusCode> {
    apps.revoke(&caller, &granted.uuid, &granted.grantee()?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Take secrets out
///
/// For their owner, encrypted with age to the recipients that the request names.
#[utoipa::path(post, path = "/api/apps/export", tag = "apps",
    params(("authorization" = Option<String>, Header), ("x-functions-key" = Option<String>, Header)),
    request_body = ExportApps, responses((status = 200, body = ExportedApps), (status = "default", body = ErrorBody)))]
pub async fn export(
    caller: AppCaller,
    State(apps): State<Apps>,
    Still(Json(wanted)): Still<Json<ExportApps>>,
) -> ApiResult<Json<ExportedApps>> {
    Ok(Json(apps.export(&caller, &wanted).await?))
}

/// An app, and whom a grant of it is for.
#[derive(Debug, Deserialize)]
pub struct Granted {
    uuid: String,
    /// Of a full name that stands as it is.
    kind: Option<String>,
    /// Of an API key.
    value: Option<String>,
    name: Option<String>,
}

impl Granted {
    fn grantee(&self) -> ApiResult<Grantee> {
        let Self { kind, value, name, .. } = self;
        let text = match (kind, value, name) {
            (_, Some(value), _) => format!("api-key/{value}"),
            (Some(kind), None, Some(name)) => format!("principal/internal/{kind}/{name}"),
            (_, None, name) => name.clone().unwrap_or_default(),
        };
        Ok(text.parse()?)
    }
}
