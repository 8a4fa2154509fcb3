//! A session's events as they happen, as server-sent events. Resumes behind `Last-Event-ID`.

use super::view_token;
use crate::error::{ApiError, ApiResult};
use crate::extract::{ClientAddr, Path};
use crate::service::sessions::{Place, Sessions};
use crate::state::AppState;
use crate::store::EVERYTHING;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use quorate_protocol::api::{ErrorBody, Event};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;
use tokio::time::Instant;

/// How long to wait at most before looking again: an end by time sends no notice of its own until it is swept.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// How long one stream lasts at most.
const LIFE: Duration = Duration::from_secs(15 * 60);

/// Follow a session
///
/// Server-sent events, each with its number as `id` and an `Event` as data. Names only with `Quorate-Invite`.
#[utoipa::path(get, path = "/sessions/{id}/events", tag = "sessions",
    params(("id" = String, Path), ("quorate-invite" = Option<String>, Header), ("last-event-id" = Option<i64>, Header)),
    responses((status = 200, content_type = "text/event-stream", body = Event), (status = "default", body = ErrorBody)))]
pub async fn events(
    State(state): State<AppState>,
    ClientAddr(peer): ClientAddr,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> ApiResult<Sse<impl Stream<Item = Result<Sent, Infallible>>>> {
    let sessions = state.sessions.clone();
    let place = sessions.watch(&peer.to_string()).ok_or_else(ApiError::overloaded)?;
    let after = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0);
    // Subscribed before the first look, so that nothing falls in between.
    let notices = sessions.notices();
    let token = view_token(&headers).map(str::to_owned);
    let (first, over) = sessions.events(&id, after, token.as_deref()).await?;
    let seq = first.last().map_or(after, |event| event.seq);
    let watch = Watch {
        sessions,
        id,
        token,
        seq,
        waiting: first.into(),
        over,
        notices,
        ends: Instant::now() + LIFE,
        stop: state.shutdown(),
        _place: place,
    };
    Ok(Sse::new(stream::unfold(watch, Watch::next)).keep_alive(KeepAlive::new().interval(Duration::from_secs(15))))
}

struct Watch {
    sessions: Sessions,
    id: String,
    token: Option<String>,
    seq: i64,
    waiting: VecDeque<Event>,
    over: bool,
    notices: broadcast::Receiver<Arc<str>>,
    ends: Instant,
    stop: watch::Receiver<bool>,
    _place: Place,
}

impl Watch {
    async fn next(mut self) -> Option<(Result<Sent, Infallible>, Self)> {
        loop {
            if let Some(event) = self.waiting.pop_front() {
                let data = serde_json::to_string(&event).expect("plain data always serialises");
                return Some((Ok(Sent::default().id(event.seq.to_string()).event(event.kind).data(data)), self));
            }
            // Whoever still follows comes back behind their last event.
            if self.over || Instant::now() >= self.ends {
                return None;
            }
            self.wait().await?;
            // The session may be gone, or the store out of reach: the client comes back behind its last event.
            let (events, over) = self.sessions.events(&self.id, self.seq, self.token.as_deref()).await.ok()?;
            self.seq = events.last().map_or(self.seq, |event| event.seq);
            self.waiting = events.into();
            self.over = over;
        }
    }

    /// Until something has happened in this session, or enough time has passed; `None` when nothing ever will.
    async fn wait(&mut self) -> Option<()> {
        let deadline = tokio::time::sleep(LOOK_AGAIN);
        tokio::pin!(deadline);
        loop {
            tokio::select! {
                () = &mut deadline => return Some(()),
                _stopping = self.stop.wait_for(|stopping| *stopping) => return None,
                notice = self.notices.recv() => match notice {
                    Ok(id) if *id == *self.id || *id == *EVERYTHING => return Some(()),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => return Some(()),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}
