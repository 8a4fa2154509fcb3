//! Posting: the newest checkpoint goes to a server outside the database, too, where whoever changes the log cannot change what
//! was said of it. What is posted is signed, so it is the same to everybody. The answer is not read.

use super::number::NOT_OURS;
use super::{Audit, AuditError};
use crate::config::{Config, webhook};
use crate::outbound::{Bounds, Outbound, OutboundError, Reach};
use crate::tls::TlsError;
use bytes::Bytes;
use http_body_util::Full;
use hyper::Request;
use hyper::header::CONTENT_TYPE;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;
use url::{Position, Url};

/// Bytes of an answer at most; nobody reads them.
const MAX_ANSWER: usize = 64 * 1024;
/// A busy log has a new checkpoint each second; one of them is posted in this time. As long waits what was not taken, at most.
const POST: Duration = Duration::from_secs(60);
/// How often a new checkpoint is looked for.
const LOOK: Duration = Duration::from_secs(1);

/// Where checkpoints are posted.
#[derive(Debug)]
pub struct Webhook {
    url: Url,
    outbound: Outbound,
    bounds: Bounds,
    /// Size of the last one that was taken from this node.
    posted: AtomicI64,
}

impl Webhook {
    /// As `config` says, if it does. Connects to nobody yet.
    pub fn open(config: &Config) -> Result<Option<Self>, TlsError> {
        let Some(url) = config.audit_webhook.as_deref().and_then(|url| webhook(url).ok()) else { return Ok(None) };
        let reach = Reach::Public { besides: config.webhooks_allow.clone() };
        let outbound = Outbound::new(config.webhooks_ca.as_deref(), reach)?;
        let seconds = Duration::from_secs(config.webhooks_seconds.into());
        let bounds = Bounds { connect: seconds, whole: seconds, answer: MAX_ANSWER };
        Ok(Some(Self { url, outbound, bounds, posted: AtomicI64::new(0) }))
    }
}

impl Audit {
    /// Posts the newest checkpoint, if the server has not taken it from this node yet. True when it was taken.
    pub async fn post(&self) -> Result<bool, AuditError> {
        let Some(webhook) = &self.inner.webhook else { return Ok(false) };
        let Some(head) = self.inner.store.audit_head().await? else { return Ok(false) };
        if head.size <= webhook.posted.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let newest = self.checkpoint(&head).ok_or(NOT_OURS)?;
        if !self.vouches(newest.size) {
            return Ok(false);
        }
        let target = &webhook.url[Position::BeforePath..Position::AfterQuery];
        let request = Request::post(target).header(CONTENT_TYPE, "text/plain; charset=utf-8");
        let request = request.body(Full::new(Bytes::from(head.note))).map_err(|_| Arc::new(OutboundError::Url))?;
        let answer = webhook.outbound.send(&webhook.url, request, webhook.bounds).await.map_err(Arc::new)?;
        if !answer.status.is_success() {
            return Err(AuditError::NotTaken(answer.status.as_u16()));
        }
        webhook.posted.fetch_max(head.size, Ordering::Relaxed);
        Ok(true)
    }

    /// How long to wait after an attempt, the `failures`-th in a row that failed if it did: 1 s, 4 s, 16 s, and then a minute.
    pub fn pause_after(posted: &Result<bool, AuditError>, failures: u32) -> Duration {
        match posted {
            Ok(true) => POST,
            Ok(false) => LOOK,
            Err(_) => Duration::from_secs(4_u64.saturating_pow(failures.saturating_sub(1))).min(POST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_taken_comes_again_soon_and_then_each_minute() {
        let refused = Err(AuditError::NotTaken(503));
        let pauses: Vec<u64> = (1..=6).map(|failures| Audit::pause_after(&refused, failures).as_secs()).collect();
        assert_eq!(pauses, [1, 4, 16, 60, 60, 60]);
        assert_eq!(Audit::pause_after(&refused, u32::MAX), POST);
        assert_eq!((Audit::pause_after(&Ok(true), 0), Audit::pause_after(&Ok(false), 0)), (POST, LOOK));
    }
}
