//! Routes of quorum sessions: farMFA's four, and ours beside them. HTTP only; the rules are in `service::sessions`.

mod events;
mod refusal;

pub use self::events::{__path_events, events};

use crate::error::{ApiError, ApiResult};
use crate::extract::{ClientAddr, Json, Path, RightTime, SensitiveJson};
use crate::handlers::people::{Actor, Allowed, CancelSessions, OwnTicket, Still, second_factor_required};
use crate::handlers::webauthn::Assertion;
use crate::service::sessions::Sessions;
use crate::service::sessions::approve::Progress;
use crate::service::sessions::named::KeyAnswer;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use quorate_protocol::api::{
    AddToc, Denial, ErrorBody, NewSession, Receipt, Redeal, Session, SessionCredentials, SessionKey, TotpCode,
};
use quorate_protocol::encoding::Base64;
use serde::Deserialize;
use utoipa::ToSchema;

/// The header with which a holder of the invite shows that they have it: the token derived from its payload.
pub const INVITE_HEADER: &str = "quorate-invite";

/// What is said with the challenge of an approval.
const KEY_NEEDED: &str = "have the security key answer, and send the same again with its answer and this state";

/// A Toc for a session, and what stands for it.
#[derive(Debug, Deserialize, ToSchema)]
pub struct Joining {
    /// The Toc, encrypted to the TEK and armored.
    encrypted_toc: String,
    /// The player's x, with a proof.
    #[serde(default)]
    x: Option<u8>,
    /// The share key's signature over SPEC's "approve" message.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Byte)]
    proof: Option<Base64>,
    /// Of an answer `second_factor_required`.
    #[serde(default)]
    state: Option<String>,
    /// What the security key answers to it. Together with `state`.
    #[serde(default)]
    credential: Option<Assertion>,
}

/// Start a session
///
/// With `toc_zero` as farMFA's clients do, or with `header`, `sealed` and an applicant's proof. An oracle with
/// `sessions.require_login` takes a ticket as well, and a group that it knows. With `group` alone and a ticket, codes are asked for
/// without a Toc, by whoever may (`GET /groups/mine`); all Tocs then come from others.
#[utoipa::path(post, path = "/sessions", tag = "sessions", request_body = NewSession,
    responses((status = 200, body = SessionCredentials), (status = "default", body = ErrorBody)))]
pub async fn create(
    _: RightTime,
    Actor(caller): Actor,
    State(sessions): State<Sessions>,
    ClientAddr(peer): ClientAddr,
    Still(SensitiveJson(request)): Still<SensitiveJson<NewSession>>,
) -> ApiResult<Json<SessionCredentials>> {
    Ok(Json(sessions.create(request, caller.as_ref(), peer).await?))
}

/// Look at a session
///
/// Counts for whoever has the id; names too for whoever sends the invite's token in `Quorate-Invite`.
#[utoipa::path(get, path = "/sessions/{id}", tag = "sessions", params(("id" = String, Path), ("quorate-invite" = Option<String>, Header)),
    responses((status = 200, body = Session), (status = "default", body = ErrorBody)))]
pub async fn show(
    State(sessions): State<Sessions>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Json<Session>> {
    Ok(Json(sessions.show(&id, view_token(&headers)).await?))
}

/// Join a session with an encrypted Toc
///
/// An oracle with `sessions.require_login` takes it with the ticket of the principal that stands for the player. With
/// `sessions.approve_with = "webauthn"` it answers 401 with a challenge, see `SecondFactorRequired`; the same again with `state`
/// and `credential` joins.
#[utoipa::path(post, path = "/sessions/{id}/tocs", tag = "sessions", params(("id" = String, Path)), request_body = Joining,
    responses((status = 200, description = "taken; empty body"), (status = "default", body = ErrorBody)))]
pub async fn approve(
    _: RightTime,
    State(sessions): State<Sessions>,
    Actor(caller): Actor,
    ClientAddr(peer): ClientAddr,
    Path(id): Path<String>,
    Still(Json(Joining { encrypted_toc, x, proof, state, credential })): Still<Json<Joining>>,
) -> ApiResult<Response> {
    let credential = credential.map(Assertion::into_answer).transpose()?;
    let answer = state.zip(credential).map(|(state, credential)| KeyAnswer { state, credential });
    let request = AddToc { encrypted_toc, x, proof };
    Ok(match sessions.approve(&id, request, answer, caller.as_ref(), peer).await? {
        Progress::Challenge(challenge) => second_factor_required(*challenge, KEY_NEEDED),
        Progress::Taken => StatusCode::OK.into_response(),
    })
}

/// Say no to a session
#[utoipa::path(post, path = "/sessions/{id}/denials", tag = "sessions", params(("id" = String, Path)), request_body = Denial,
    responses((status = 204, description = "recorded"), (status = "default", body = ErrorBody)))]
pub async fn deny(
    _: RightTime,
    State(sessions): State<Sessions>,
    Actor(caller): Actor,
    ClientAddr(peer): ClientAddr,
    Path(id): Path<String>,
    Still(Json(request)): Still<Json<Denial>>,
) -> ApiResult<StatusCode> {
    sessions.deny(&id, request, caller.as_ref(), peer).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get one code
#[utoipa::path(post, path = "/sessions/{id}/totp", tag = "sessions", params(("id" = String, Path)), request_body = SessionKey,
    responses((status = 200, body = TotpCode), (status = "default", body = ErrorBody)))]
pub async fn code(
    _: RightTime,
    State(sessions): State<Sessions>,
    Actor(caller): Actor,
    ClientAddr(peer): ClientAddr,
    Path(id): Path<String>,
    Still(SensitiveJson(SessionKey { kek })): Still<SensitiveJson<SessionKey>>,
) -> ApiResult<Json<TotpCode>> {
    Ok(Json(sessions.code(&id, kek, caller.as_ref(), peer).await?))
}

/// Run the approved redeal, once
#[utoipa::path(post, path = "/sessions/{id}/redeal", tag = "sessions", params(("id" = String, Path)), request_body = SessionKey,
    responses((status = 200, body = Redeal), (status = "default", body = ErrorBody)))]
pub async fn redeal(
    _: RightTime,
    State(sessions): State<Sessions>,
    Actor(caller): Actor,
    ClientAddr(peer): ClientAddr,
    Path(id): Path<String>,
    Still(SensitiveJson(SessionKey { kek })): Still<SensitiveJson<SessionKey>>,
) -> ApiResult<Json<Redeal>> {
    Ok(Json(sessions.redeal(&id, kek, caller.as_ref(), peer).await?))
}

/// Fetch what a redeal made
///
/// The new Tocs are encrypted to their players. Needs the invite's token in `Quorate-Invite`.
#[utoipa::path(get, path = "/sessions/{id}/redeal", tag = "sessions", params(("id" = String, Path), ("quorate-invite" = String, Header)),
    responses((status = 200, body = Redeal), (status = "default", body = ErrorBody)))]
pub async fn fetch(
    State(sessions): State<Sessions>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Json<Redeal>> {
    Ok(Json(sessions.fetch(&id, view_token(&headers)).await?))
}

/// Sign receipt of a new Toc
#[utoipa::path(post, path = "/sessions/{id}/receipts", tag = "sessions", params(("id" = String, Path)), request_body = Receipt,
    responses((status = 204, description = "recorded"), (status = "default", body = ErrorBody)))]
pub async fn receive(
    _: RightTime,
    State(sessions): State<Sessions>,
    ClientAddr(peer): ClientAddr,
    Path(id): Path<String>,
    Json(request): Json<Receipt>,
) -> ApiResult<StatusCode> {
    sessions.receive(&id, request, peer).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Cancel a session
///
/// With the token derived from its KEK as bearer, with an operator's ticket, or with one of the principal that asks for it.
#[utoipa::path(delete, path = "/sessions/{id}", tag = "sessions", params(("id" = String, Path), ("authorization" = String, Header)),
    responses((status = 204, description = "cancelled"), (status = "default", body = ErrorBody)))]
pub async fn cancel(
    State(sessions): State<Sessions>,
    ClientAddr(peer): ClientAddr,
    Path(id): Path<String>,
    headers: HeaderMap,
    operator: Result<Allowed<CancelSessions>, ApiError>,
    own: Result<Allowed<OwnTicket>, ApiError>,
) -> ApiResult<StatusCode> {
    let (token, own) = (bearer(&headers).unwrap_or_default(), own.ok());
    match operator {
        Ok(operator) => sessions.cancel_by_operator(&id, operator.0.name.to_string(), peer).await?,
        Err(_) => sessions.cancel(&id, token, own.as_ref().map(|own| &own.0), peer).await?,
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The invite as a QR code
///
/// For holders of the invite who want to show it to somebody's camera.
#[utoipa::path(get, path = "/sessions/{id}/invite.svg", tag = "sessions", params(("id" = String, Path), ("quorate-invite" = String, Header)),
    responses((status = 200, content_type = "image/svg+xml"), (status = "default", body = ErrorBody)))]
pub async fn invite_picture(
    State(sessions): State<Sessions>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Response> {
    let invite = sessions.invite(&id, view_token(&headers)).await?;
    // Level L: an invite is long, and a screen is not scratched.
    let code = qrcode::QrCode::with_error_correction_level(invite.url.as_bytes(), qrcode::EcLevel::L)
        .map_err(|_| ApiError::conflict("invite_too_long", "this invite is too long for a QR code: send the link"))?;
    let picture = code.render::<qrcode::render::svg::Color<'_>>().min_dimensions(240, 240).quiet_zone(true).build();
    Ok(([(header::CONTENT_TYPE, "image/svg+xml"), (header::CACHE_CONTROL, "no-store")], picture).into_response())
}

fn view_token(headers: &HeaderMap) -> Option<&str> {
    headers.get(INVITE_HEADER)?.to_str().ok()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}
