//! What the holder of a share signs: that they ask, approve, deny, or have received. Every message has its own label,
//! so that no signature can serve for another purpose, session or group.

use crate::encoding::{length_prefixed, sha256};
use crate::header::{GroupName, Header};
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};

/// Seconds by which the clocks of an applicant and an oracle may differ.
pub const MAX_SKEW: i64 = 120;

/// A signature that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the proof is not a signature of this player for this act")]
pub struct ProofError;

/// The terms on which a session is created, as the applicant signs them.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// URL of the oracle that is asked, as its invites name it: another one cannot pass the request on as its own.
    pub oracle: &'a str,
    /// `code` or `redeal`.
    pub purpose: &'a str,
    /// The exact bytes of the plan; empty for a code.
    pub plan: &'a [u8],
    /// Why, for people.
    pub reason: &'a str,
    /// Seconds that codes flow after the first; 0 when left to the oracle.
    pub ttl: u32,
    /// Distinct time steps; 0 when left to the oracle.
    pub max_codes: u32,
}

/// "quorate/1 create\0" ‖ G ‖ x ‖ time (seconds, 8 bytes big-endian) ‖ SHA-256(terms, each length-prefixed).
pub fn create_message(group: GroupName, x: u8, time: i64, terms: &Terms<'_>) -> Vec<u8> {
    let terms = length_prefixed(&[
        terms.oracle.as_bytes(),
        terms.purpose.as_bytes(),
        terms.plan,
        terms.reason.as_bytes(),
        &terms.ttl.to_be_bytes(),
        &terms.max_codes.to_be_bytes(),
    ]);
    [b"quorate/1 create\0".as_slice(), &group.0, &[x], &time.to_be_bytes(), &sha256(&[&terms])].concat()
}

/// "quorate/1 approve\0" ‖ SHA-256(invite payload) ‖ G ‖ x ‖ SHA-256(encrypted Toc).
pub fn approve_message(invite_digest: &[u8; 32], group: GroupName, x: u8, encrypted_toc: &str) -> Vec<u8> {
    bound_message(b"quorate/1 approve\0", invite_digest, group, x, encrypted_toc.as_bytes())
}

/// "quorate/1 deny\0" ‖ SHA-256(invite payload) ‖ G ‖ x ‖ SHA-256(reason).
pub fn deny_message(invite_digest: &[u8; 32], group: GroupName, x: u8, reason: &str) -> Vec<u8> {
    bound_message(b"quorate/1 deny\0", invite_digest, group, x, reason.as_bytes())
}

/// "quorate/1 receipt\0" ‖ SHA-256(invite payload) ‖ G of the new group ‖ x in it ‖ SHA-256(its header).
pub fn receipt_message(invite_digest: &[u8; 32], group: GroupName, x: u8, header: &Header) -> Vec<u8> {
    bound_message(b"quorate/1 receipt\0", invite_digest, group, x, header.bytes())
}

fn bound_message(label: &[u8], invite_digest: &[u8; 32], group: GroupName, x: u8, what: &[u8]) -> Vec<u8> {
    [label, invite_digest, &group.0, &[x], &sha256(&[what])].concat()
}

/// Signs `message`, 64 bytes.
pub fn sign(key: &SigningKey, message: &[u8]) -> Vec<u8> {
    key.sign(message).to_bytes().to_vec()
}

/// Checks `signature` strictly: no weak keys, no malleable forms.
pub fn verify(key: &VerifyingKey, message: &[u8], signature: &[u8]) -> Result<(), ProofError> {
    let signature = Signature::from_slice(signature).map_err(|_| ProofError)?;
    key.verify_strict(message, &signature).map_err(|_| ProofError)
}

/// Checks `signature` against the share key of player `x` of `header`.
pub fn verify_player(header: &Header, x: u8, message: &[u8], signature: &[u8]) -> Result<(), ProofError> {
    let key = header.player(x).and_then(|player| player.key().ok()).ok_or(ProofError)?;
    verify(&key, message, signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    const G: GroupName = GroupName([1; 32]);

    #[test]
    fn no_message_serves_for_another() {
        let oracle = "https://oracle.test";
        let terms = Terms { oracle, purpose: "code", plan: b"", reason: "r", ttl: 60, max_codes: 1 };
        let changed = [
            Terms { oracle: "https://elsewhere.test", ..terms },
            Terms { purpose: "redeal", ..terms },
            Terms { plan: b"p", ..terms },
            Terms { reason: "s", ..terms },
            Terms { ttl: 61, ..terms },
            Terms { max_codes: 2, ..terms },
        ];
        let mut messages: Vec<Vec<u8>> = changed.iter().map(|t| create_message(G, 1, 9, t)).collect();
        messages.push(create_message(G, 1, 9, &terms));
        messages.push(create_message(G, 2, 9, &terms));
        messages.push(create_message(G, 1, 8, &terms));
        messages.push(create_message(GroupName([2; 32]), 1, 9, &terms));
        messages.push(approve_message(&[0; 32], G, 1, "t"));
        messages.push(approve_message(&[1; 32], G, 1, "t"));
        messages.push(approve_message(&[0; 32], G, 1, "u"));
        messages.push(approve_message(&[0; 32], G, 2, "t"));
        messages.push(deny_message(&[0; 32], G, 1, "t"));
        let count = messages.len();
        messages.sort();
        messages.dedup();
        assert_eq!(messages.len(), count);
    }

    #[test]
    fn a_signature_holds_for_its_key_and_message() {
        let (key, other) = (SigningKey::from_bytes(&[1; 32]), SigningKey::from_bytes(&[2; 32]));
        let signature = sign(&key, b"message");
        assert_eq!(verify(&key.verifying_key(), b"message", &signature), Ok(()));
        assert_eq!(verify(&other.verifying_key(), b"message", &signature), Err(ProofError));
        assert_eq!(verify(&key.verifying_key(), b"massage", &signature), Err(ProofError));
        assert_eq!(verify(&key.verifying_key(), b"message", &signature[..63]), Err(ProofError));
    }
}
