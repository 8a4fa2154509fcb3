//! A session's events as they happen, as server-sent events. Resumes behind `Last-Event-ID`.

use super::view_token;
use crate::error::{ApiError, ApiResult};
use crate::extract::{ClientAddr, Path};
use crate::service::sessions::error::SessionError;
use crate::service::sessions::{Place, Sessions};
use crate::state::AppState;
use crate::store::{EVERYTHING, StoreError};
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

/// How long to wait before looking again, more or less: an end by time sends no notice of its own until it is swept.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Within what time those look who were all told at once that anything may have changed.
const HERD: Duration = Duration::from_secs(2);
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
    let place = sessions.watch(peer).ok_or_else(ApiError::overloaded)?;
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
            let (events, over) = match self.sessions.look_again(&self.id, self.seq, self.token.as_deref()).await {
                Ok(seen) => seen,
                // Everybody would come back at once, to the same store.
                Err(SessionError::Store(StoreError::Busy)) => continue,
                // The session may be gone, or the store out of reach: the client comes back behind its last event.
                Err(_) => return None,
            };
            self.seq = events.last().map_or(self.seq, |event| event.seq);
            self.waiting = events.into();
            self.over = over;
        }
    }

    /// Until something has happened in this session, or enough time has passed; `None` when nothing ever will.
    async fn wait(&mut self) -> Option<()> {
        let mut alarm = Alarm::set();
        loop {
            tokio::select! {
                () = tokio::time::sleep_until(alarm.0) => return Some(()),
                _stopping = self.stop.wait_for(|stopping| *stopping) => return None,
                notice = self.notices.recv() => match notice {
                    Ok(id) if *id == *self.id => return Some(()),
                    Ok(id) if *id == *EVERYTHING => alarm.bring_forward(),
                    Ok(_) => {}
                    Err(RecvError::Lagged(_)) => alarm.bring_forward(),
                    Err(RecvError::Closed) => return None,
                },
            }
        }
    }
}

/// When to look again, never at the same instant as everybody else.
struct Alarm(Instant);

impl Alarm {
    fn set() -> Self {
        Self(Instant::now() + LOOK_AGAIN.mul_f64(0.75 + rand::random::<f64>() / 2.0))
    }

    fn bring_forward(&mut self) {
        self.0 = self.0.min(Instant::now() + HERD.mul_f64(rand::random()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seconds from `start` to each of many alarms.
    fn spread(start: Instant, alarms: impl Iterator<Item = Alarm>) -> (f64, f64) {
        let mut waits: Vec<f64> = alarms.map(|alarm| (alarm.0 - start).as_secs_f64()).collect();
        waits.sort_unstable_by(f64::total_cmp);
        (waits[0], waits[waits.len() - 1])
    }

    #[test]
    fn those_who_are_woken_together_do_not_look_together() {
        let start = Instant::now();
        let (first, last) = spread(start, (0..200).map(|_| Alarm::set()));
        assert!(first >= 3.75 && last < 6.5 && last - first > 1.0, "{first} {last}");
        let woken = (0..200).map(|_| {
            let mut alarm = Alarm::set();
            alarm.bring_forward();
            alarm
        });
        let (first, last) = spread(start, woken);
        assert!(last < 2.5 && last - first > 1.0, "{first} {last}");
    }

    #[test]
    fn being_woken_again_never_puts_off() {
        let mut alarm = Alarm(Instant::now());
        let before = alarm.0;
        alarm.bring_forward();
        assert_eq!(alarm.0, before);
    }
}
