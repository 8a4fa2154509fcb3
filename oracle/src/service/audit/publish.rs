//! Publishing: the newest checkpoint leaves for a folder that is not the database's, so that whoever changes the log cannot
//! change what was said of it. What is there already is read first: a database that was set back is noticed.

use super::{Audit, AuditError};
use crate::keys::files;
use quorate_protocol::audit::checkpoint::Checkpoint;
use std::path::Path;
use std::sync::atomic::Ordering;

/// Name of the newest checkpoint in the folder.
pub const CHECKPOINT: &str = "checkpoint";

impl Audit {
    /// Puts the newest checkpoint into the folder, if it is newer than the one there. True when it was.
    pub async fn publish(&self) -> Result<bool, AuditError> {
        let Some(folder) = self.inner.folder.clone() else { return Ok(false) };
        let Some(head) = self.inner.store.audit_head().await? else { return Ok(false) };
        if head.size <= self.inner.published.load(Ordering::Relaxed) {
            return Ok(false);
        }
        let newest = self.checkpoint(&head).ok_or(AuditError::Altered("its newest checkpoint is not this oracle's"))?;
        let (note, verifier) = (head.note, self.inner.verifier.clone());
        let put = move || {
            let there = read(&folder)?;
            let there = there.and_then(|note| Checkpoint::open(&note, &verifier).ok());
            if let Some(there) = there {
                if there.size > newest.size || (there.size == newest.size && there.root != newest.root) {
                    return Err(AuditError::Behind { published: there.size, kept: newest.size });
                }
                if there.size == newest.size {
                    return Ok(false);
                }
            }
            files::replace(&folder.join(CHECKPOINT), &note)?;
            Ok(true)
        };
        let put = tokio::task::spawn_blocking(put).await.unwrap_or(Err(AuditError::Altered("publishing it failed")))?;
        self.inner.published.fetch_max(head.size, Ordering::Relaxed);
        Ok(put)
    }
}

fn read(folder: &Path) -> Result<Option<String>, AuditError> {
    Ok(files::read(&folder.join(CHECKPOINT))?.map(|text| text.to_string()))
}
