//! Delivering: one target after the other has its notices taken, sent, and removed or put off. It must not know who wrote them.

use super::facts::Text;
use super::shapes::Envelope;
use super::target::{Target, Way};
use super::{KEEP, Notices, place};
use crate::mail::MailError;
use crate::outbound::{Bounds, OutboundError};
use crate::pulse::Pulse;
use crate::store::{StoreError, TakenNotice};
use futures_util::future::join_all;
use hyper::StatusCode;
use hyper::header::RETRY_AFTER;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// Notices to one target that are under way at once.
const AT_ONCE: i64 = 4;
/// How often a target's notices are looked for, more or less; others may have written some.
const LOOK: Duration = Duration::from_secs(1);
/// Milliseconds after the first failure; four times as many after each further one.
const FIRST_RETRY: i64 = 1_000;
/// Milliseconds between two attempts at most.
const LAST_RETRY: i64 = 60 * 60 * 1000;
/// Bytes of a webhook's answer; nobody reads them.
const MAX_ANSWER: usize = 64 * 1024;

/// Why a notice was not delivered.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the notice does not open")]
    Damaged,
    #[error("the target wants no more notices (410)")]
    Gone,
    #[error(transparent)]
    Mail(#[from] MailError),
    #[error("there is no mail server")]
    NoMailer,
    #[error("the webhook: {0}")]
    Outbound(#[from] OutboundError),
    #[error("the webhook answered {status}")]
    Status { status: StatusCode, retry_after: Option<i64> },
}

impl Failure {
    /// Whether another attempt could help.
    fn lasts(&self) -> bool {
        matches!(self, Self::Damaged | Self::Gone)
    }
}

impl Notices {
    /// Delivers until `stopping`, to each target by itself: who is slow holds up nobody else. Does nothing while the clocks of
    /// this node and of the store differ.
    pub async fn deliver<S: Future<Output = ()>>(&self, pulse: Arc<Pulse>, stopping: impl Fn() -> S) {
        let targets = self.inner.targets.iter();
        join_all(targets.map(|target| self.deliver_to(target, &pulse, &stopping))).await;
    }

    async fn deliver_to<S: Future<Output = ()>>(&self, target: &Target, pulse: &Arc<Pulse>, stopping: &impl Fn() -> S) {
        loop {
            let handled = tokio::select! {
                () = stopping() => return,
                handled = self.round_in_time(target, pulse) => handled,
            };
            if handled == Ok(0) || handled.is_err() {
                // Not in step with the other nodes, which look for the same.
                let pause = LOOK.mul_f64(0.75 + rand::random::<f64>() / 2.0);
                tokio::select! {
                    () = stopping() => return,
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }

    async fn round_in_time(&self, target: &Target, pulse: &Arc<Pulse>) -> Result<usize, ()> {
        let told = |error: StoreError| tracing::error!(%error, "cannot deliver notices");
        if pulse.look(LOOK).await.map_err(told)?.skew().is_some() {
            return Ok(0);
        }
        self.round(target).await.map_err(told)
    }

    /// Delivers what is due to every target, once; how many notices were taken.
    pub async fn deliver_due(&self) -> Result<usize, StoreError> {
        let rounds = join_all(self.inner.targets.iter().map(|target| self.round(target))).await;
        rounds.into_iter().sum()
    }

    /// Takes and sends a few notices to one target; how many.
    async fn round(&self, target: &Target) -> Result<usize, StoreError> {
        let due = self.inner.store.due_notices(target.id(), self.inner.clock.now_ms(), AT_ONCE).await?;
        let sent = join_all(due.into_iter().map(|number| self.take_and_send(target, number))).await;
        sent.into_iter().map(|sent| sent.map(usize::from)).sum()
    }

    async fn take_and_send(&self, target: &Target, number: i64) -> Result<bool, StoreError> {
        let (store, now) = (&self.inner.store, self.inner.clock.now_ms());
        let Some(notice) = store.take_notice(number, target.id(), now, now + self.inner.lease).await? else {
            return Ok(false);
        };
        let (attempts, age) = (notice.attempts, now.saturating_sub(notice.at));
        let outcome = match self.send(target, &notice).await {
            Ok(()) => {
                store.remove_notice(notice).await?;
                "delivered"
            }
            Err(error) if error.lasts() || age > KEEP => {
                tracing::error!(target = target.number(), attempts, %error, "a notice was given up");
                store.remove_notice(notice).await?;
                "given_up"
            }
            Err(error) => {
                tracing::warn!(target = target.number(), attempts, %error, "a notice was not delivered");
                let pause = pause(attempts, &error);
                store.put_off_notice(notice, self.inner.clock.now_ms() + pause).await?;
                "put_off"
            }
        };
        metrics::counter!("quorate_notices_total", "outcome" => outcome).increment(1);
        Ok(true)
    }

    async fn send(&self, target: &Target, notice: &TakenNotice) -> Result<(), Failure> {
        let text = self.inner.at_rest.open(place(&[target.id(), &notice.id]), &notice.sealed);
        let text: Text = text.ok().and_then(|text| serde_json::from_slice(&text).ok()).ok_or(Failure::Damaged)?;
        let envelope = Envelope {
            text,
            id: Uuid::from_bytes(notice.id),
            at: notice.at,
            now: self.inner.clock.now(),
            name: &self.inner.name,
            oracle: &self.inner.url,
        };
        let (url, request) = match &target.way {
            Way::Mail(address) => {
                let mailer = self.inner.mailer.as_ref().ok_or(Failure::NoMailer)?;
                return Ok(mailer.send(envelope.letter(address.clone())).await?);
            }
            Way::Ntfy { url, token } => envelope.ntfy(url, token.as_ref()),
            Way::Quorate { url, key } => envelope.quorate(url, key),
            Way::Slack { url } => envelope.slack(url),
        };
        let bounds = Bounds { connect: self.inner.webhook, whole: self.inner.webhook, answer: MAX_ANSWER };
        let answer = self.inner.outbound.send(&url, request, bounds).await?;
        let retry_after = answer.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
        match answer.status {
            status if status.is_success() => Ok(()),
            StatusCode::GONE => Err(Failure::Gone),
            // Redirects too: nobody goes there.
            status => Err(Failure::Status { status, retry_after }),
        }
    }
}

/// Milliseconds until the next attempt.
fn pause(attempts: i64, failure: &Failure) -> i64 {
    let times = u32::try_from(attempts - 1).unwrap_or(0).min(16);
    let pause = FIRST_RETRY.saturating_mul(4_i64.saturating_pow(times)).min(LAST_RETRY);
    match failure {
        Failure::Status { retry_after: Some(seconds), .. } => {
            seconds.saturating_mul(1000).clamp(pause, LAST_RETRY.max(pause))
        }
        _ => pause,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_waits_longer_up_to_an_hour() {
        let failure = Failure::NoMailer;
        let pauses: Vec<i64> = (1..=9).map(|attempts| pause(attempts, &failure) / 1000).collect();
        assert_eq!(pauses, [1, 4, 16, 64, 256, 1_024, 3_600, 3_600, 3_600]);
        let told = |seconds| Failure::Status { status: StatusCode::TOO_MANY_REQUESTS, retry_after: Some(seconds) };
        for (seconds, waits) in [(30, 30), (0, 4), (-5, 4), (i64::MAX, 3_600)] {
            assert_eq!(pause(2, &told(seconds)) / 1000, waits);
        }
    }
}
