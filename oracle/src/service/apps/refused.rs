//! Requests that tell something of others when they are refused: a UUID that is taken, a name that nobody has. They are told to
//! the audit log, and whoever makes many of them has to wait.

use super::error::AppError;
use super::{AppCaller, Apps};
use crate::service::audit::{Entry, Outcome};
use crate::service::failures::{Failures, Places, TooMany};
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
    /// Lets a caller try that so many times at once, or refuses one who has to wait before. What comes to nothing or is never answered
    /// costs nothing.
    pub(super) fn admit(&self, caller: &AppCaller, tried: Tried, times: usize) -> Result<Places<'_, Digest>, TooMany> {
        let times = u32::try_from(times).unwrap_or(u32::MAX);
        self.failures(tried).take(caller.whose().id, times, self.now())
    }

    /// Counts a refusal, and tells the audit log of it.
    pub(super) async fn refused(
        &self,
        caller: &AppCaller,
        place: Places<'_, Digest>,
        told: Entry,
        error: AppError,
    ) -> AppError {
        place.keep(1);
        let told = told.ended(Outcome::Refused).with("because", error.to_string());
        match self.tell_bounded(caller, told).await {
            Ok(()) => error,
            // What cannot be told is not answered either.
            Err(failed) => failed,
        }
    }

    /// Tells the audit log of something within the bounds of what anybody can do.
    pub(super) async fn tell_bounded(&self, caller: &AppCaller, told: Entry) -> Result<(), AppError> {
        let told = self.inner.audit.seal_bounded(told, &caller.whose().id);
        Ok(self.inner.store.append_audit(told.into_iter().collect()).await?)
    }

    fn failures(&self, tried: Tried) -> &Failures<Digest> {
        match tried {
            Tried::Name => &self.inner.tried_names,
            Tried::Uuid => &self.inner.tried_uuids,
        }
    }
}
