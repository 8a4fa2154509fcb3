//! What has been found true of public bytes and need not be found again: that a header is sound, that a deal is honest. It
//! holds digests alone, and is gone with the process: another one finds out for itself.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Digests remembered at most; then it begins anew.
const BOUND: usize = 16 * 1024;

/// A bounded set of digests.
#[derive(Default)]
pub(super) struct Known(Mutex<HashSet<[u8; 32]>>);

impl Known {
    pub fn has(&self, digest: &[u8; 32]) -> bool {
        self.set().contains(digest)
    }

    pub fn add(&self, digest: [u8; 32]) {
        let mut set = self.set();
        if set.len() >= BOUND {
            set.clear();
        }
        set.insert(digest);
    }

    fn set(&self) -> MutexGuard<'_, HashSet<[u8; 32]>> {
        // Nothing that can panic runs under the lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_bounded() {
        let known = Known::default();
        let digest = |number: usize| {
            let mut digest = [0; 32];
            digest[..8].copy_from_slice(&number.to_be_bytes());
            digest
        };
        for number in 0..=BOUND {
            known.add(digest(number));
            assert!(known.has(&digest(number)));
        }
        assert!(!known.has(&digest(0)) && known.set().len() == 1);
    }
}
