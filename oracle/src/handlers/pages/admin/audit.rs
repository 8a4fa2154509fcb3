//! The page of the audit log: the newest events, a filter, the checkpoint, and the whole log to be kept.

use crate::error::{ApiError, ApiResult};
use crate::extract::Query;
use crate::handlers::pages::site::Site;
use crate::handlers::pages::visitor::Visitor;
use crate::handlers::people::ReadAudit;
use crate::service::audit::{Audit, Filter, MAX_PAGE};
use crate::web::admin::audit as look;
use axum::body::Body;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream::{self, Stream};
use quorate_protocol::audit::export::Line;
use serde::Deserialize;

/// What is looked for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Looked {
    kind: String,
    text: String,
    before: Option<i64>,
}

/// `GET /admin/audit`: the newest events that fit.
pub async fn audit(
    site: Site,
    Visitor { caller, .. }: Visitor<ReadAudit>,
    query: ApiResult<Query<Looked>>,
) -> Response {
    let looked = query.map(|Query(looked)| looked).unwrap_or_default();
    let filter = Filter { kind: &looked.kind, text: looked.text.trim(), before: looked.before };
    match site.state.audit.recent(filter).await {
        Ok(recent) => {
            let content = look::content(&site.root, &filter, &recent);
            site.page(StatusCode::OK, "Audit", Some(&caller), "admin/audit", &content)
        }
        Err(error) => site.refused(error, Some(&caller)),
    }
}

/// `GET /admin/audit/export`: the whole log in lines of JSON, as `quorate audit verify` checks it.
pub async fn audit_export(site: Site, _: Visitor<ReadAudit>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/x-ndjson"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"audit.jsonl\""),
    ];
    (headers, Body::from_stream(lines(site.state.audit.clone()))).into_response()
}

/// The lines of the log, a page at a time. An error breaks the answer off, so that nobody takes a part for the whole.
fn lines(audit: Audit) -> impl Stream<Item = Result<String, ApiError>> {
    stream::try_unfold((audit, Some(0)), async |(audit, after)| {
        let Some(after) = after else { return Ok(None) };
        let page = audit.export(after, MAX_PAGE).await?;
        let last = page.iter().rev().find_map(|line| match line {
            Line::Row(row) => Some(row.number),
            Line::Head(_) => None,
        });
        let mut text = String::new();
        for line in &page {
            text.push_str(&serde_json::to_string(line).map_err(ApiError::internal)?);
            text.push('\n');
        }
        Ok(Some((text, (audit, last))))
    })
}
