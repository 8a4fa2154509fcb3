//! Requests that tell something of others when they are refused: a UUID that is taken, a name that nobody has. They are told to
//! the audit log, and whoever makes many of them has to wait.

use super::error::AppError;
use super::{AppCaller, Apps};
use crate::service::audit::{Entry, Outcome};
use crate::service::failures::{Failures, TooMany};
use crate::store::Digest;

/// What somebody tried.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tried {
    /// To grant something to whoever has a name.
    Name,
    /// To keep a UUID.
    Uuid,
}

impl Apps {
    /// Refuses a caller who has to wait before they may try that again.
    pub(super) fn admit(&self, caller: &AppCaller, tried: Tried) -> Result<(), TooMany> {
        self.failures(tried).admit(&caller.whose().id, self.now())
    }

    /// Counts a refusal, and tells the audit log of it within the bounds of what anybody can do.
    pub(super) async fn refused(&self, caller: &AppCaller, tried: Tried, told: Entry, error: AppError) -> AppError {
        let id = caller.whose().id;
        self.failures(tried).record(id, self.now());
        let told = told.ended(Outcome::Refused).with("because", error.to_string());
        let Some(told) = self.inner.audit.seal_bounded(told, &id) else { return error };
        match self.inner.store.append_audit(vec![told]).await {
            Ok(()) => error,
            // What cannot be told is not answered either.
            Err(failed) => failed.into(),
        }
    }

    fn failures(&self, tried: Tried) -> &Failures<Digest> {
        match tried {
            Tried::Name => &self.inner.tried_names,
            Tried::Uuid => &self.inner.tried_uuids,
        }
    }
}
