//! Publishing: the newest checkpoint leaves for a folder that is not the database's, so that whoever changes the log cannot
//! change what was said of it. What is there already is read first: a database that was set back is noticed.

use super::number::NOT_OURS;
use super::{Audit, AuditError};
use crate::keys::files;
use quorate_protocol::audit::checkpoint::Checkpoint;
use std::cmp::Ordering::{Equal, Less};
use std::sync::atomic::Ordering;

/// Name of the newest checkpoint in the folder.
pub const CHECKPOINT: &str = "checkpoint";

impl Audit {
    /// Puts the newest checkpoint into the folder, if it is newer than the one there. True when it was.
    pub async fn publish(&self) -> Result<bool, AuditError> {
        let Some(folder) = self.inner.folder.clone() else { return Ok(false) };
        let published = self.inner.published.load(Ordering::Relaxed);
        let size = self.inner.store.audit_head().await?.map_or(0, |head| head.size);
        if size == published {
            return Ok(false);
        }
        // First the file, then the log: another node may have published what the first look did not see.
        let there = self.published().await?;
        let Some(head) = self.inner.store.audit_head().await? else {
            let met = there.map_or(u64::try_from(published).unwrap_or(0), |there| there.size);
            return Err(AuditError::Behind { met, kept: 0 });
        };
        let newest = self.checkpoint(&head).ok_or(NOT_OURS)?;
        let kept = newest.size;
        if head.size < published {
            return Err(AuditError::Behind { met: u64::try_from(published).unwrap_or(0), kept });
        }
        match there.map(|there| (kept.cmp(&there.size), there)) {
            Some((Less, there)) => return Err(AuditError::Behind { met: there.size, kept }),
            Some((Equal, there)) if there.root != newest.root => {
                return Err(AuditError::Behind { met: there.size, kept });
            }
            Some((Equal, _)) => {
                self.inner.published.fetch_max(head.size, Ordering::Relaxed);
                return Ok(false);
            }
            _ => {}
        }
        if !self.vouches(kept) {
            return Ok(false);
        }
        let note = head.note;
        blocking(move || Ok(files::replace(&folder.join(CHECKPOINT), &note)?)).await?;
        self.inner.published.fetch_max(head.size, Ordering::Relaxed);
        Ok(true)
    }

    /// The checkpoint in the folder, if there is one and this oracle has signed it.
    pub(super) async fn published(&self) -> Result<Option<Checkpoint>, AuditError> {
        let Some(folder) = self.inner.folder.clone() else { return Ok(None) };
        let note = blocking(move || Ok(files::read(&folder.join(CHECKPOINT))?)).await?;
        Ok(note.and_then(|note| Checkpoint::open(&note, &self.inner.verifier).ok()))
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AuditError> + Send + 'static,
) -> Result<T, AuditError> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.unwrap_or(Err(AuditError::Altered("its folder of checkpoints could not be read")))
}
