//! Bodies that a request was refused without: read and thrown away, so that the connection serves the next request; where
//! that would take too much, the answer says that the connection ends with it. It must not know any route.
//!
//! Without it, HTTP would end the connection and say nothing: the client's next request on it would break, and what it has
//! not sent yet could cost it the answer as well.

use crate::memory::connection::Held;
use crate::state::AppState;
use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// What is thrown away of one body at most: several times what any route takes.
const THROWN_AWAY: usize = 1024 * 1024;

/// Around every route: sees to it that each answer comes at the end of its request, or says that nothing comes after it.
pub async fn bodies(State(state): State<AppState>, request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    let end = Instant::now() + Duration::from_secs(state.config.request_seconds.into());
    // Whoever asks whether to send a body need not do so for nothing.
    let asks = request.headers().contains_key(header::EXPECT);
    let held = request.extensions().get::<Held>().cloned().unwrap_or_default();
    let left = Left::default();
    let request = request.map(|body| Body::new(Lent { body, ended: false, left: left.clone() }));
    let mut response = next.run(request).await;
    if let Some(body) = left.take()
        && (asks || !matches!(timeout_at(end, throw_away(body, &held)).await, Ok(true)))
    {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the body came to its end. Nobody has looked at it, so it may hold a secret.
async fn throw_away(mut body: Body, held: &Held) -> bool {
    let mut read = 0;
    while read <= THROWN_AWAY {
        match body.frame().await {
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                read += data.len();
                held.hold(data);
            }
            Some(Err(_broken_off)) => return false,
            None => return true,
        }
    }
    false
}

/// What was left of a body by whoever it was lent to.
#[derive(Clone, Default)]
struct Left(Arc<Mutex<Option<Body>>>);

impl Left {
    fn take(&self) -> Option<Body> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A body that comes back when it is dropped before its end.
struct Lent {
    body: Body,
    ended: bool,
    left: Left,
}

impl HttpBody for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        self.ended = !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if !self.ended && !self.body.is_end_stream() {
            let body = std::mem::take(&mut self.body);
            *self.left.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;

    fn chunks(number: usize) -> Body {
        Body::from_stream(stream::iter((0..number).map(|_| Ok::<_, std::io::Error>(vec![b' '; 64 * 1024]))))
    }

    fn lent(body: Body) -> (Body, Left) {
        let left = Left::default();
        (Body::new(Lent { body, ended: false, left: left.clone() }), left)
    }

    #[tokio::test]
    async fn what_was_not_read_comes_back() {
        let (body, left) = lent(chunks(3));
        drop(body);
        assert!(throw_away(left.take().unwrap(), &Held::default()).await);

        let (mut body, left) = lent(chunks(3));
        body.frame().await.unwrap().unwrap();
        drop(body);
        let rest = left.take().unwrap().collect().await.unwrap().to_bytes();
        assert_eq!(rest.len(), 2 * 64 * 1024);
    }

    #[tokio::test]
    async fn what_was_read_does_not() {
        let (body, left) = lent(chunks(3));
        body.collect().await.unwrap();
        assert!(left.take().is_none());
        let (body, left) = lent(Body::empty());
        drop(body);
        assert!(left.take().is_none());
        let broken = stream::iter([Ok(vec![b'{']), Err(std::io::Error::other("gone"))]);
        let (body, left) = lent(Body::from_stream(broken));
        assert!(body.collect().await.is_err());
        assert!(left.take().is_none(), "HTTP knows that the connection is at its end");
    }

    #[tokio::test]
    async fn no_more_is_thrown_away_than_is_bounded() {
        assert!(throw_away(chunks(16), &Held::default()).await);
        let held = Held::default();
        assert!(!throw_away(chunks(18), &held).await);
        assert!(!held.is_empty(), "its buffer is not used again");
        let broken = stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("gone"))]);
        assert!(!throw_away(Body::from_stream(broken), &Held::default()).await);
    }
}
