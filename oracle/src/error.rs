//! What goes wrong, as clients see it: one body shape, stable words, and a cause that is logged once and never shown.
//! It must not know any rule of a service.
//!
//! Services make errors with the constructors below or implement `From<TheirError> for ApiError` beside their own enum.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use quorate_protocol::api::ErrorBody;
use std::borrow::Cow;
use std::error::Error;
use std::fmt;

/// Result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

/// An error on its way to a client.
pub struct ApiError(Box<Parts>);

struct Parts {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
    retry_after: Option<u32>,
    progress: Option<(u32, u32)>,
    cause: Option<Box<dyn Error + Send + Sync>>,
}

impl ApiError {
    /// An error with a stable `code` word and a sentence for people. Neither may hold a secret.
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        let message = message.into();
        Self(Box::new(Parts { status, code, message, retry_after: None, progress: None, cause: None }))
    }

    /// 400: the request is readable but cannot be.
    pub fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// 401: a key, secret, proof or code is missing or wrong.
    pub fn unauthorized(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, code, message)
    }

    /// 403: known, and not allowed.
    pub fn forbidden(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::FORBIDDEN, code, message)
    }

    /// 404: unknown, or somebody else's.
    pub fn not_found(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    /// 409: not in this state.
    pub fn conflict(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, code, message)
    }

    /// 429: later. `retry_after` in seconds.
    pub fn too_many(code: &'static str, message: impl Into<Cow<'static, str>>, retry_after: u32) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, code, message).retry_after(retry_after)
    }

    /// 503: this oracle has more to do than it can.
    pub fn overloaded() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded", "the oracle is overloaded").retry_after(1)
    }

    /// 503: the store's clock is `ahead` of this oracle's by so many milliseconds, or behind when negative.
    pub fn clock_skew(ahead: i64) -> Self {
        let (seconds, tenths) = (ahead.abs() / 1_000, ahead.abs() % 1_000 / 100);
        let which = if ahead < 0 { "ahead of" } else { "behind" };
        let message =
            format!("the oracle's clock is {seconds}.{tenths} s {which} the store's: an operator has to set it");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "clock_skew", message).retry_after(30)
    }

    /// 503: the database was migrated by a release that this oracle is too old to share it with.
    pub fn newer_schema() -> Self {
        let message = "the database was migrated by a newer release: an operator has to exchange this oracle";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "newer_schema", message).retry_after(30)
    }

    /// 503: something that the oracle needs is out of reach.
    pub fn unavailable(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "the oracle cannot do this now")
            .retry_after(5)
            .because(cause)
    }

    /// 500: a defect of the oracle.
    pub fn internal(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the oracle made a mistake").because(cause)
    }

    /// With a `Retry-After` in seconds.
    #[must_use]
    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.0.retry_after = Some(seconds);
        self
    }

    /// With how far a session has come: Tocs provided and the threshold.
    #[must_use]
    pub fn progress(mut self, provided: u32, threshold: u32) -> Self {
        self.0.progress = Some((provided, threshold));
        self
    }

    /// With the cause, for the log. It may not hold a secret.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable word.
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Seconds until it is worth another try, if that is known.
    pub fn wait(&self) -> Option<u32> {
        self.0.retry_after
    }

    fn log(&self) {
        let Parts { status, code, .. } = &*self.0;
        let cause = self.0.cause.as_deref().map(chain).unwrap_or_default();
        if status.is_server_error() {
            tracing::error!(status = status.as_u16(), code, cause, "request failed");
        } else {
            tracing::debug!(status = status.as_u16(), code, cause, "request refused");
        }
    }
}

/// An error and what lies behind it, in one line.
fn chain(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

/// The stable word of an answer that is an error, for the log.
#[derive(Debug, Clone, Copy)]
pub struct RefusalCode(pub &'static str);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let parts = *self.0;
        let body = ErrorBody {
            status: parts.status.as_u16(),
            code: parts.code.to_owned(),
            message: parts.message.clone().into_owned(),
            error: parts.message.into_owned(),
            tocs_provided: parts.progress.map(|(provided, _)| provided),
            tocs_threshold: parts.progress.map(|(_, threshold)| threshold),
        };
        let body = serde_json::to_vec(&body).expect("plain data always serialises");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = parts.status;
        response.extensions_mut().insert(RefusalCode(parts.code));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = parts.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<crate::memory::pool::PoolError> for ApiError {
    fn from(error: crate::memory::pool::PoolError) -> Self {
        match error {
            crate::memory::pool::PoolError::Overloaded => Self::overloaded().because(error),
            crate::memory::pool::PoolError::Panicked => Self::internal(error),
        }
    }
}

impl fmt::Debug for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiError")
            .field("status", &self.0.status)
            .field("code", &self.0.code)
            .field("message", &self.0.message)
            .field("cause", &self.0.cause)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.0.code, self.0.message)
    }
}

impl Error for ApiError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.cause.as_deref().map(|cause| cause as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn body(error: ApiError) -> serde_json::Value {
        let bytes = error.into_response().into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[tokio::test]
    async fn the_body_has_four_fields_and_progress_only_when_there_is_some() {
        let plain = body(ApiError::not_found("no such session")).await;
        let expected = serde_json::json!({
            "status": 404, "code": "not_found", "message": "no such session", "error": "no such session",
        });
        assert_eq!(plain, expected);
        let counted = body(ApiError::conflict("not_quorate", "more Tocs are needed").progress(1, 2)).await;
        assert_eq!((counted["tocs_provided"].as_u64(), counted["tocs_threshold"].as_u64()), (Some(1), Some(2)));
    }

    #[tokio::test]
    async fn a_cause_stays_inside() {
        let error = ApiError::internal(std::io::Error::other("/var/lib/secret path"));
        assert!(format!("{error:?}").contains("secret path"));
        assert!(!body(error).await.to_string().contains("secret path"));
    }

    #[test]
    fn busy_answers_say_when_to_come_back() {
        for error in [ApiError::overloaded(), ApiError::too_many("locked", "too many failures", 30)] {
            assert!(error.into_response().headers().contains_key(header::RETRY_AFTER));
        }
    }
}
