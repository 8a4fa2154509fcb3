//! What handlers take from a request: JSON bodies, forms, path and query values, the client's address. Each refusal has the
//! oracle's error shape. It must not know what the values mean.

mod form;
mod lenient;
mod upload;

pub use self::form::Form;
pub use self::lenient::{CodeText, LenientJson, Text};
pub use self::upload::Upload;

use crate::config::BODY_LIMIT;
use crate::error::ApiError;
use crate::memory::connection::Held;
use crate::pulse::Standing;
use crate::state::AppState;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::net::{IpAddr, Ipv4Addr};
use zeroize::Zeroizing;

/// A JSON body, in or out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Json<T>(pub T);

/// A JSON body that holds a secret: its bytes are overwritten when it is parsed, and its connection's buffer as soon as
/// the request is answered. `T` should keep secrets on the heap (`Zeroizing<String>`).
pub struct SensitiveJson<T>(pub T);

/// Values of the path's parameters.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// Values of the query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// The client's address: of its socket, or as the trusted proxy reported it. Of an IPv6 address only the /64, which one
/// client has to itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

/// This oracle's clock and the store's agree, as far as is known: what goes by the time may be done.
#[derive(Debug, Clone, Copy)]
pub struct RightTime;

impl FromRequestParts<AppState> for RightTime {
    type Rejection = ApiError;

    async fn from_request_parts(_: &mut Parts, state: &AppState) -> Result<Self, ApiError> {
        match state.time() {
            // Nobody listens before the first comparison.
            Standing::Right | Standing::Unknown => Ok(Self),
            Standing::Wrong(ahead) => Err(ApiError::clock_skew(ahead)),
            Standing::Forgotten => Err(ApiError::unavailable("the clocks have not been compared for too long")),
        }
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        json_body(request, None).await.map(Self)
    }
}

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for SensitiveJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let held = request.extensions().get::<Held>().cloned();
        json_body(request, held.as_ref()).await.map(Self)
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        match serde_json::to_vec(&self.0) {
            Ok(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
            Err(error) => ApiError::internal(error).into_response(),
        }
    }
}

async fn json_body<T: DeserializeOwned>(request: Request, held: Option<&Held>) -> Result<T, ApiError> {
    check_content_type(request.headers())?;
    let body = read_body(request.into_body(), held, BODY_LIMIT).await?;
    serde_json::from_slice(&body).map_err(|error| json_error(&error))
}

/// A body without a content type is read as JSON; one with another type is refused.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let essence = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let json = essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"));
    if json {
        return Ok(());
    }
    let message = "send JSON with the header Content-Type: application/json";
    Err(ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message))
}

/// The whole body, of at most `limit` bytes, in a buffer that is overwritten when dropped.
async fn read_body(mut body: Body, held: Option<&Held>, limit: usize) -> Result<Zeroizing<Vec<u8>>, ApiError> {
    use http_body::Body as _;
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(limit));
    }
    let mut collected = Zeroizing::new(Vec::with_capacity(usize::try_from(announced).unwrap_or(0).max(1024)));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| ApiError::bad_request("incomplete_body", "the body broke off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if collected.len() + data.len() > limit {
            hold(held, data);
            return Err(too_large(limit));
        }
        append(&mut collected, &data);
        hold(held, data);
    }
    Ok(collected)
}

fn hold(held: Option<&Held>, data: Bytes) {
    if let Some(held) = held {
        held.hold(data);
    }
}

fn append(collected: &mut Zeroizing<Vec<u8>>, data: &[u8]) {
    let needed = collected.len() + data.len();
    if needed > collected.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two()));
        larger.extend_from_slice(collected);
        *collected = larger;
    }
    collected.extend_from_slice(data);
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", format!("the body is larger than {limit} bytes"))
}

/// Says where and which field, never what was in it: serde's other words can repeat a value.
fn json_error(error: &serde_json::Error) -> ApiError {
    let place = format!("line {} column {}", error.line(), error.column());
    match error.classify() {
        serde_json::error::Category::Data => {
            let words = error.to_string();
            let names_a_field = words.starts_with("missing field `") || words.starts_with("duplicate field `");
            let message = if names_a_field { words } else { format!("a field is not of its kind, {place}") };
            ApiError::bad_request("invalid_body", message)
        }
        _ => ApiError::bad_request("invalid_json", format!("the body is not JSON, {place}")),
    }
}

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(_) => Err(ApiError::bad_request("invalid_path", "a part of the path is not of its kind")),
        }
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Query::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(value)) => Ok(Self(value)),
            Err(_) => Err(ApiError::bad_request("invalid_query", "a value of the query is missing or not of its kind")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for ClientAddr {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        // Always there when a socket served the request; tests may call the router itself.
        Ok(parts.extensions.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::LOCALHOST))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    struct Fields {
        kek: Zeroizing<String>,
    }

    async fn refused(content_type: Option<&str>, body: impl Into<Body>) -> (u16, &'static str, String) {
        let mut request = Request::builder().method("POST").uri("/");
        if let Some(content_type) = content_type {
            request = request.header(header::CONTENT_TYPE, content_type);
        }
        let request = request.body(body.into()).unwrap();
        let error = Json::<Fields>::from_request(request, &()).await.map(|json| json.0.kek).unwrap_err();
        (error.status().as_u16(), error.code(), error.to_string())
    }

    #[tokio::test]
    async fn each_refusal_has_its_status_and_word() {
        let json = Some("application/json");
        assert_eq!(refused(json, "{").await.1, "invalid_json");
        assert_eq!(refused(json, "").await.0, 400);
        assert_eq!(refused(json, "{}").await.1, "invalid_body");
        assert_eq!(refused(json, r#"{"kek":"a","kek":"b"}"#).await.1, "invalid_body");
        assert_eq!(refused(Some("text/plain"), "{}").await.0, 415);
        assert_eq!(refused(Some("application/x-www-form-urlencoded"), "kek=1").await.0, 415);
        assert_eq!(refused(json, vec![b' '; BODY_LIMIT + 1]).await.0, 413);
    }

    #[tokio::test]
    async fn a_chunked_body_is_counted_as_it_comes() {
        let chunks = futures_util::stream::iter((0..200).map(|_| Ok::<_, std::io::Error>(vec![b' '; 1024])));
        assert_eq!(refused(None, Body::from_stream(chunks)).await.0, 413);
        let broken = futures_util::stream::iter([Ok(vec![b'{']), Err(std::io::Error::other("gone"))]);
        assert_eq!(refused(None, Body::from_stream(broken)).await.1, "incomplete_body");
    }

    #[tokio::test]
    async fn a_refusal_never_repeats_a_value() {
        let (_, _, text) = refused(None, r#"{"kek": 424242}"#).await;
        assert!(!text.contains("424242"), "{text}");
    }

    #[tokio::test]
    async fn json_is_read_with_parameters_suffixes_or_no_type() {
        for content_type in [Some("application/json; charset=utf-8"), Some("application/problem+json"), None] {
            let mut request = Request::builder().method("POST");
            if let Some(content_type) = content_type {
                request = request.header(header::CONTENT_TYPE, content_type);
            }
            let request = request.body(Body::from(r#"{"kek":"k","more":1}"#)).unwrap();
            let Json(fields) = Json::<Fields>::from_request(request, &()).await.unwrap();
            assert_eq!(*fields.kek, "k");
        }
    }
}
