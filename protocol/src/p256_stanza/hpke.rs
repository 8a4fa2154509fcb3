//! The receiving half of HPKE (RFC 9180) in base mode with DHKEM(P-256, HKDF-SHA256), HKDF-SHA256 and
//! `ChaCha20Poly1305`, starting from a raw ECDH result, since that is all a PIV token gives.
//!
//! The `hpke` crate wants the private key itself, which never leaves a token. Knows nothing of age.

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

/// "KEM" and the id of DHKEM(P-256, HKDF-SHA256), RFC 9180 §7.1.
const KEM_SUITE: &[u8] = b"KEM\x00\x10";
/// "HPKE" and the ids of the KEM, of HKDF-SHA256 and of ChaCha20-Poly1305, RFC 9180 §5.1.
const HPKE_SUITE: &[u8] = b"HPKE\x00\x10\x00\x01\x00\x03";
const MODE_BASE: u8 = 0;

/// Key and base nonce of a context (RFC 9180 §5.1).
pub(super) struct Context {
    key: Zeroizing<[u8; 32]>,
    base_nonce: [u8; 12],
}

impl Context {
    /// `SetupBaseR`, from the x-coordinate `dh` of the ECDH, both uncompressed points and the application's info.
    pub(super) fn receiver(dh: &[u8; 32], enc: &[u8], own: &[u8], info: &[u8]) -> Self {
        Self::schedule(&decapsulated(dh, enc, own), info)
    }

    /// `Open` of the first message of the context. `None` when the ciphertext is not of this key.
    pub(super) fn open_first(&self, aad: &[u8], ciphertext: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        let cipher = ChaCha20Poly1305::new(&Key::from(*self.key));
        // The sequence number 0 leaves the base nonce as it is.
        let nonce = Nonce::from(self.base_nonce);
        cipher.decrypt(&nonce, Payload { msg: ciphertext, aad }).ok().map(Zeroizing::new)
    }

    /// `KeySchedule` with empty psk and `psk_id`.
    fn schedule(shared_secret: &[u8; 32], info: &[u8]) -> Self {
        let (psk_id_hash, _) = labeled_extract(HPKE_SUITE, &[], b"psk_id_hash", &[]);
        let (info_hash, _) = labeled_extract(HPKE_SUITE, &[], b"info_hash", info);
        let context = [&[MODE_BASE], psk_id_hash.as_slice(), info_hash.as_slice()].concat();
        let (_, secret) = labeled_extract(HPKE_SUITE, shared_secret, b"secret", &[]);
        Self {
            key: Zeroizing::new(labeled_expand(HPKE_SUITE, &secret, b"key", &context)),
            base_nonce: labeled_expand(HPKE_SUITE, &secret, b"base_nonce", &context),
        }
    }
}

/// `ExtractAndExpand` of RFC 9180 §4.1.
fn decapsulated(dh: &[u8; 32], enc: &[u8], own: &[u8]) -> Zeroizing<[u8; 32]> {
    let (_, prk) = labeled_extract(KEM_SUITE, &[], b"eae_prk", dh);
    Zeroizing::new(labeled_expand(KEM_SUITE, &prk, b"shared_secret", &[enc, own].concat()))
}

/// `LabeledExtract` of RFC 9180 §4: the pseudorandom key, as bytes and ready for expansion.
fn labeled_extract(suite: &[u8], salt: &[u8], label: &[u8], ikm: &[u8]) -> (Zeroizing<[u8; 32]>, Hkdf<Sha256>) {
    let labeled = Zeroizing::new([b"HPKE-v1", suite, label, ikm].concat());
    let (prk, hkdf) = Hkdf::<Sha256>::extract(Some(salt), &labeled);
    (Zeroizing::new(prk.into()), hkdf)
}

/// `LabeledExpand` of RFC 9180 §4, to `N` bytes.
fn labeled_expand<const N: usize>(suite: &[u8], prk: &Hkdf<Sha256>, label: &[u8], info: &[u8]) -> [u8; N] {
    let length = u16::try_from(N).expect("keys and nonces are short");
    let labeled = [&length.to_be_bytes(), b"HPKE-v1".as_slice(), suite, label, info].concat();
    let mut out = [0; N];
    prk.expand(&labeled, &mut out).expect("keys and nonces are shorter than HKDF's limit");
    out
}

#[cfg(test)]
mod tests {
    use p256::SecretKey;
    use p256::elliptic_curve::sec1::ToSec1Point;

    use super::*;

    /// RFC 9180, appendix A.5.1 (base mode).
    #[test]
    fn vector_of_rfc_9180() {
        let hex = |text: &str| hex::decode(text).unwrap();
        let own =
            SecretKey::from_slice(&hex("a4d1c55836aa30f9b3fbb6ac98d338c877c2867dd3a77396d13f68d3ab150d3b")).unwrap();
        let enc = hex(
            "04c07836a0206e04e31d8ae99bfd549380b072a1b1b82e563c935c095827824fc1559eac6fb9e3c70cd3193968994e7fe9781aa103f5b5\
             0e934b5b2f387e381291",
        );
        let dh = own.diffie_hellman(&p256::PublicKey::from_sec1_bytes(&enc).unwrap());
        let dh: [u8; 32] = (*dh.raw_secret_bytes()).into();
        let own = own.public_key().to_sec1_point(false);

        let shared = decapsulated(&dh, &enc, own.as_bytes());
        assert_eq!(shared.as_slice(), hex("806520f82ef0b03c823b7fc524b6b55a088f566b9751b89551c170f4113bd850"));

        let context = Context::receiver(&dh, &enc, own.as_bytes(), b"Ode on a Grecian Urn");
        assert_eq!(context.key.as_slice(), hex("a8f45490a92a3b04d1dbf6cf2c3939ad8bfc9bfcb97c04bffe116730c9dfe3fc"));
        assert_eq!(context.base_nonce.as_slice(), hex("726b4390ed2209809f58c693"));

        let sealed = hex("6469c41c5c81d3aa85432531ecf6460ec945bde1eb428cb2fedf7a29f5a685b4ccb0d057f03ea2952a27bb458b");
        let opened = context.open_first(b"Count-0", &sealed).unwrap();
        assert_eq!(opened.as_slice(), b"Beauty is truth, truth beauty");
        assert!(context.open_first(b"Count-1", &sealed).is_none());
    }
}
