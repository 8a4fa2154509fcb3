//! The claim on an embedded database: one oracle serves with it at a time. Limits, queues and notices to pages are within one
//! process, so a second one beside it would keep half of them. Backups and operators' commands need no claim.

use std::fs::{File, OpenOptions, TryLockError};
use std::os::unix::fs::OpenOptionsExt as _;

use super::{DatabaseUrl, StoreError, error::EngineError, sqlite::beside};

/// Held for as long as an oracle serves; the system lets go of it when the process ends, however it ends.
#[derive(Debug)]
pub struct Claim {
    /// Locked (`flock`), and never removed: who removed it could not know who else has opened it.
    _file: File,
}

impl Claim {
    /// Of the file that `url` names; `None` for a server's database, and for one in memory, which nobody else can have.
    pub fn take(url: &DatabaseUrl) -> Result<Option<Self>, StoreError> {
        let Some(path) = url.file() else { return Ok(None) };
        let place = beside(path, "-lock");
        let open = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&place);
        let file = open.map_err(|cause| StoreError::Open { path: place.clone(), source: EngineError::new(cause) })?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Err(StoreError::Claimed { path: path.to_owned() }),
            Err(TryLockError::Error(cause)) => Err(StoreError::Open { path: place, source: EngineError::new(cause) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_claim_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let url = DatabaseUrl::of_file(&folder.path().join("quorate.db"));
        let other = DatabaseUrl::of_file(&folder.path().join("other.db"));
        let first = Claim::take(&url).unwrap();
        let refused = Claim::take(&url).unwrap_err().to_string();
        assert!(first.is_some() && refused.contains("quorate.db") && refused.contains("stop it first"), "{refused}");
        assert!(Claim::take(&other).unwrap().is_some());
        drop(first);
        assert!(Claim::take(&url).unwrap().is_some());
        for shared in ["sqlite::memory:", "postgres://oracle@db/quorate"] {
            assert!(Claim::take(&DatabaseUrl::parse(shared).unwrap()).unwrap().is_none(), "{shared}");
        }
    }
}
