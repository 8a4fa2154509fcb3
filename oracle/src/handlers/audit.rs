//! Routes of the audit log, for auditors and operators. HTTP only; the log is in `service::audit`.

use super::people::{Allowed, ReadAudit};
use crate::error::{ApiError, ApiResult};
use crate::extract::Query;
use crate::service::audit::{Audit, AuditError, MAX_PAGE};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use quorate_protocol::api::ErrorBody;
use serde::Deserialize;

/// Which part of the log.
#[derive(Debug, Clone, Copy, Deserialize)]
pub struct Page {
    after: Option<i64>,
    limit: Option<i64>,
}

/// Read the audit log
///
/// Lines of JSON: rows in the order of their numbers, and after them the checkpoint that is over them. An empty answer is the end
/// of the log; otherwise ask again after the last number. All pages together are what `quorate audit verify` checks.
#[utoipa::path(get, path = "/audit", tag = "audit",
    params(
        ("authorization" = String, Header, description = "Bearer and the ticket of an auditor or operator"),
        ("after" = Option<i64>, Query, description = "Number of the row to go on after"),
        ("limit" = Option<i64>, Query, description = "Rows at most, 1000 or fewer"),
    ),
    responses(
        (status = 200, content_type = "application/x-ndjson", body = String),
        (status = "default", body = ErrorBody),
    ))]
pub async fn export(
    _: Allowed<ReadAudit>,
    State(audit): State<Audit>,
    Query(page): Query<Page>,
) -> ApiResult<Response> {
    let lines = audit.export(page.after.unwrap_or(0), page.limit.unwrap_or(MAX_PAGE)).await?;
    let lines = lines.iter().map(|line| serde_json::to_string(line).map(|line| line + "\n"));
    let body: String = lines.collect::<Result<_, _>>().map_err(ApiError::internal)?;
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson"), (header::CACHE_CONTROL, "no-store")], body).into_response())
}

/// Read the audit log's newest checkpoint
///
/// A signed note in the form of C2SP tlog-checkpoint. Keep it: a log that was cut off shows only against an older checkpoint.
#[utoipa::path(get, path = "/audit/checkpoint", tag = "audit",
    params(("authorization" = String, Header, description = "Bearer and the ticket of an auditor or operator")),
    responses((status = 200, content_type = "text/plain", body = String), (status = "default", body = ErrorBody)))]
pub async fn checkpoint(_: Allowed<ReadAudit>, State(audit): State<Audit>) -> ApiResult<Response> {
    let Some(note) = audit.newest().await? else {
        return Err(ApiError::new(StatusCode::NOT_FOUND, "no_checkpoint", "the audit log has no checkpoint yet"));
    };
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    Ok((headers, note).into_response())
}

impl From<AuditError> for ApiError {
    fn from(error: AuditError) -> Self {
        match error {
            AuditError::Store(cause) => cause.into(),
            error => Self::internal(error),
        }
    }
}
