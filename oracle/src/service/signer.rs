//! What invites and calls are signed with. That the certificates lead from the root key to the invite key is checked when they
//! change, and not for each invite: a verification costs as much as all else in an invite together.

use crate::keys::{Keys, Standing};
use ed25519_dalek::{SigningKey, VerifyingKey};
use quorate_protocol::header::{HeaderError, OraclePin};
use quorate_protocol::invite::{Certificate, follow_chain};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// The key and the chain that an invite is made with, as they are at the moment.
pub(in crate::service) struct InviteSigner {
    /// The oracle's address, as invites name it.
    pub url: String,
    /// Signs.
    pub key: SigningKey,
    /// From the root key to the invite key.
    pub certificates: Vec<Certificate>,
    /// The oracle's own root key.
    pub root: VerifyingKey,
    /// Unix seconds in which every one of the certificates is valid.
    valid: Range<i64>,
}

/// The signer that was checked last.
#[derive(Default)]
pub(in crate::service) struct Signers(Mutex<Option<Arc<InviteSigner>>>);

impl Signers {
    /// The signer of the oracle at `url`, at `now` (Unix seconds); `None` when no certificate is valid then.
    pub fn at(&self, keys: &Keys, url: &str, now: i64) -> Option<Arc<InviteSigner>> {
        let certificates = keys.certificates();
        // Nothing that can panic runs under the lock.
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(signer) = &*last
            && signer.certificates == certificates
            && signer.valid.contains(&now)
        {
            return Some(Arc::clone(signer));
        }
        if keys.standing(now) == Standing::Invalid {
            return None;
        }
        let times = certificates.iter().filter_map(|certificate| certificate.read().ok());
        let valid = times.fold(i64::MIN..i64::MAX, |valid, certified| {
            valid.start.max(certified.not_before)..valid.end.min(certified.expires)
        });
        let (key, root) = (keys.invite_key().clone(), *keys.root());
        Some(Arc::clone(last.insert(Arc::new(InviteSigner { url: url.to_owned(), key, certificates, root, valid }))))
    }
}

impl InviteSigner {
    /// First second at which what is signed now would not verify any more, Unix time.
    pub fn ends(&self) -> i64 {
        self.valid.end
    }

    /// Whether who trusts `pin` would trust what is signed now.
    pub fn satisfies(&self, pin: &OraclePin, now: i64) -> Result<bool, HeaderError> {
        // The own root was followed when this signer was made.
        Ok(pin.root_key.0 == self.root.as_bytes() || follow_chain(&pin.key()?, &self.certificates, now).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::TestClock;
    use crate::keys::Sources;
    use crate::state::SeededEntropy;

    const DAY: i64 = 24 * 60 * 60;
    const NOW: i64 = 1_800_000_000;
    const URL: &str = "https://oracle.test";

    #[test]
    fn a_signer_is_checked_again_when_its_time_is_over_or_its_certificates_change() {
        let folder = tempfile::tempdir().expect("a folder");
        let (clock, sources) = (TestClock::at(NOW * 1000), Sources::default());
        let keys = Keys::open(folder.path(), &sources, &clock, &SeededEntropy::new(1), 90).expect("keys");
        let signers = Signers::default();
        let first = signers.at(&keys, URL, NOW).expect("a valid certificate");
        assert!(Arc::ptr_eq(&first, &signers.at(&keys, URL, NOW + DAY).expect("still valid")));
        assert!(signers.at(&keys, URL, first.ends()).is_none());
        assert!(signers.at(&keys, URL, NOW + 91 * DAY).is_none());

        clock.set((NOW + 91 * DAY) * 1000);
        keys.renew_if_due(&sources, &clock, 90).expect("renewed");
        let renewed = signers.at(&keys, URL, NOW + 91 * DAY).expect("valid again");
        assert_ne!(renewed.certificates, first.certificates);
        let pin = |key: &VerifyingKey| OraclePin { url: String::new(), root_key: key.to_bytes().to_vec().into() };
        assert!(renewed.satisfies(&pin(keys.root()), NOW + 91 * DAY).is_ok_and(|satisfied| satisfied));
        let other = SigningKey::from_bytes(&[1; 32]).verifying_key();
        assert!(renewed.satisfies(&pin(&other), NOW + 91 * DAY).is_ok_and(|satisfied| !satisfied));
    }
}
