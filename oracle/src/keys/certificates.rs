//! Certificates of the invite key and of successor root keys: issued, kept in order, judged. It must not know files.

use super::Standing;
use ed25519_dalek::{SigningKey, VerifyingKey};
use quorate_protocol::invite::{Certificate, CertifiedKind, InviteError, MAX_CHAIN, follow_chain};

/// Seconds of one day.
const DAY: i64 = 24 * 60 * 60;
/// Seconds that a certificate is valid before it is issued, for clocks that are behind.
const SKEW: i64 = 300;

/// Why certificates are refused.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not a list of certificates.
    #[error("the certificates are not the JSON that `quorate-oracle certify` writes")]
    Malformed,
    /// They do not lead from this oracle's root key.
    #[error("the certificates do not lead from this oracle's root key to a valid invite key")]
    Astray(#[source] InviteError),
    /// They certify another invite key.
    #[error("the certificate is for another oracle's invite key")]
    OtherKey,
    /// More successors than invites may carry.
    #[error("too many root keys have succeeded each other: deal anew with the present one")]
    TooMany,
}

impl From<InviteError> for CertificateError {
    fn from(error: InviteError) -> Self {
        Self::Astray(error)
    }
}

/// Certifies `invite` by `root` from `now` (Unix seconds) for `days`.
pub fn for_invites(root: &SigningKey, invite: &VerifyingKey, now: i64, days: u32) -> Certificate {
    Certificate::issue(root, CertifiedKind::InviteKey, invite, now - SKEW, now + i64::from(days) * DAY)
}

/// Certifies the root key `successor` by `root` from `now` (Unix seconds) for `days`.
pub fn for_successor(root: &SigningKey, successor: &VerifyingKey, now: i64, days: u32) -> Certificate {
    Certificate::issue(root, CertifiedKind::RootKey, successor, now - SKEW, now + i64::from(days) * DAY)
}

/// Certificates in order: those of successor root keys, oldest first, then that of the invite key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Chain(Vec<Certificate>);

impl Chain {
    /// Reads the JSON list.
    pub fn parse(text: &str) -> Result<Self, CertificateError> {
        serde_json::from_str(text).map(Self).map_err(|_| CertificateError::Malformed)
    }

    /// The JSON list, for a file.
    pub fn to_text(&self) -> String {
        to_text(&self.0)
    }

    /// The certificates.
    pub fn certificates(&self) -> &[Certificate] {
        &self.0
    }

    /// This chain with `new` in place of the invite certificate, and the root key then in force.
    ///
    /// `new` must lead from `root`, possibly through successors, to `invite`, at `now` (Unix seconds).
    pub(super) fn extended(
        &self,
        new: &[Certificate],
        root: &VerifyingKey,
        invite: &VerifyingKey,
        now: i64,
    ) -> Result<(Self, VerifyingKey), CertificateError> {
        if follow_chain(root, new, now)? != *invite {
            return Err(CertificateError::OtherKey);
        }
        let mut root = *root;
        let mut chain = Vec::with_capacity(self.0.len() + new.len());
        for certificate in &self.0 {
            if certificate.read()?.kind == CertifiedKind::RootKey {
                chain.push(certificate.clone());
            }
        }
        for certificate in new {
            let certified = certificate.read()?;
            if certified.kind == CertifiedKind::RootKey {
                root = certified.verifying_key()?;
            }
            if !chain.contains(certificate) {
                chain.push(certificate.clone());
            }
        }
        if chain.len() > MAX_CHAIN { Err(CertificateError::TooMany) } else { Ok((Self(chain), root)) }
    }

    /// Whether it leads from `root` to `invite` while its last certificate is valid.
    pub(super) fn led_from(&self, root: &VerifyingKey, invite: &VerifyingKey) -> bool {
        let Some(Ok(last)) = self.0.last().map(Certificate::read) else { return false };
        follow_chain(root, &self.0, last.expires - 1).ok() == Some(*invite)
    }

    pub(super) fn standing(&self, root: &VerifyingKey, invite: &VerifyingKey, now: i64) -> Standing {
        if follow_chain(root, &self.0, now).ok() != Some(*invite) {
            return Standing::Invalid;
        }
        let Some(Ok(last)) = self.0.last().map(Certificate::read) else { return Standing::Invalid };
        if last.expires - now < (last.expires - last.not_before) / 3 {
            Standing::Expiring(last.expires)
        } else {
            Standing::Valid(last.expires)
        }
    }
}

/// Certificates as the JSON list of a file.
pub fn to_text(certificates: &[Certificate]) -> String {
    let mut text = serde_json::to_string_pretty(certificates).expect("plain data always serialises");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> SigningKey {
        SigningKey::from_bytes(&[seed; 32])
    }

    const NOW: i64 = 1_800_000_000;

    #[test]
    fn a_certificate_is_valid_then_expiring_then_invalid() {
        let (root, invite) = (key(1), key(2).verifying_key());
        let chain = Chain(vec![for_invites(&root, &invite, NOW, 90)]);
        let standing = |days: i64| chain.standing(&root.verifying_key(), &invite, NOW + days * DAY);
        let end = NOW + 90 * DAY;
        assert_eq!(standing(0), Standing::Valid(end));
        assert_eq!(standing(61), Standing::Expiring(end));
        assert_eq!(standing(90), Standing::Invalid);
        assert_eq!(chain.standing(&key(3).verifying_key(), &invite, NOW), Standing::Invalid);
        assert_eq!(chain.standing(&root.verifying_key(), &key(3).verifying_key(), NOW), Standing::Invalid);
        assert_eq!(Chain::default().standing(&root.verifying_key(), &invite, NOW), Standing::Invalid);
    }

    #[test]
    fn a_successor_takes_over_and_old_pins_still_lead_to_the_invite_key() {
        let (old, new, invite) = (key(1), key(2), key(3).verifying_key());
        let chain = Chain(vec![for_invites(&old, &invite, NOW, 90)]);
        let ceremony = [for_successor(&old, &new.verifying_key(), NOW, 3650), for_invites(&new, &invite, NOW, 90)];
        let (chain, root) = chain.extended(&ceremony, &old.verifying_key(), &invite, NOW).unwrap();
        assert_eq!(root, new.verifying_key());
        assert_eq!(chain.certificates().len(), 2);
        for pin in [&old, &new] {
            assert_eq!(follow_chain(&pin.verifying_key(), chain.certificates(), NOW).unwrap(), invite);
        }
        let renewed = [for_invites(&new, &invite, NOW + 80 * DAY, 90)];
        let (chain, root) = chain.extended(&renewed, &root, &invite, NOW + 80 * DAY).unwrap();
        assert_eq!((chain.certificates().len(), root), (2, new.verifying_key()));
        assert!(follow_chain(&old.verifying_key(), chain.certificates(), NOW + 120 * DAY).is_ok());
        for (key, led) in [(&old, true), (&new, true), (&key(9), false)] {
            assert_eq!(chain.led_from(&key.verifying_key(), &invite), led);
        }
        assert!(!Chain::default().led_from(&old.verifying_key(), &invite));
    }

    #[test]
    fn strangers_certificates_are_refused() {
        let (root, invite) = (key(1), key(3).verifying_key());
        let extend = |new: &[Certificate]| Chain::default().extended(new, &root.verifying_key(), &invite, NOW);
        assert!(matches!(extend(&[for_invites(&key(9), &invite, NOW, 90)]), Err(CertificateError::Astray(_))));
        assert!(matches!(
            extend(&[for_invites(&root, &key(9).verifying_key(), NOW, 90)]),
            Err(CertificateError::OtherKey)
        ));
        assert!(matches!(
            extend(&[for_invites(&root, &invite, NOW - 100 * DAY, 90)]),
            Err(CertificateError::Astray(_))
        ));
        assert!(matches!(
            extend(&[for_successor(&root, &key(2).verifying_key(), NOW, 9)]),
            Err(CertificateError::Astray(_))
        ));
        assert!(extend(&[]).is_err());
        assert!(Chain::parse("{}").is_err() && Chain::parse("").is_err());
    }
}
