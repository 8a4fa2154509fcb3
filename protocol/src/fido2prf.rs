//! The age stanza `age-encryption.org/fido2prf`, whose file key a passkey or a FIDO2 key wraps and unwraps by itself: the format of
//! typage's `WebAuthn` recipients and of age-plugin-fido2prf.
//!
//! The secret sits in the key, which only computes a keyed hash (`WebAuthn` `prf`, CTAP2 `hmac-secret`), so opening is split:
//! [`Fido2PrfStanza::parse`], then the key's answer to [`Fido2PrfStanza::salts`], then [`Fido2PrfStanza::open`]. It is symmetric:
//! sealing asks the key as well. Nothing here knows keys, PINs or files.

use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Stanza type, start of both `prf` inputs, and salt of the wrapping key.
pub const FIDO2PRF: &str = "age-encryption.org/fido2prf";
/// What browsers hash before a `prf` input, to make of it the salt that a key gets (`WebAuthn` Level 3 §10.1.4).
const WEBAUTHN_PRF: &[u8] = b"WebAuthn PRF\0";

/// Bytes of a stanza's nonce.
pub const NONCE_BYTES: usize = 16;
/// A wrapped file key: the key and the Poly1305 tag.
const BODY_BYTES: usize = FILE_KEY_BYTES + 16;

/// Why a stanza cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum Fido2PrfError {
    /// It was sealed with another credential, or altered.
    #[error("the {FIDO2PRF} stanza does not open with this credential")]
    Key,
    /// Argument or body are not of the form that the type prescribes.
    #[error("malformed {FIDO2PRF} stanza")]
    Malformed,
}

/// What a key makes of both salts, the first one's first. Of one credential, with its user verified.
pub type PrfOutputs = [[u8; 32]; 2];

/// A well-formed stanza.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Fido2PrfStanza {
    nonce: [u8; NONCE_BYTES],
    body: [u8; BODY_BYTES],
}

impl Fido2PrfStanza {
    /// `None` when the stanza is of another type.
    pub fn parse(stanza: &Stanza) -> Option<Result<Self, Fido2PrfError>> {
        (stanza.tag == FIDO2PRF).then(|| Self::parse_fields(stanza).ok_or(Fido2PrfError::Malformed))
    }

    fn parse_fields(stanza: &Stanza) -> Option<Self> {
        let [nonce] = &stanza.args[..] else { return None };
        let nonce = BASE64_STANDARD_NO_PAD.decode(nonce).ok()?.try_into().ok()?;
        Some(Self { nonce, body: stanza.body.as_slice().try_into().ok()? })
    }

    /// Wraps a file key under what the key made of [`salts`] of `nonce`, which must be new each time.
    pub fn seal(file_key: &FileKey, nonce: [u8; NONCE_BYTES], outputs: &PrfOutputs) -> Self {
        let sealed = cipher(outputs).encrypt(&zero_nonce(), file_key.expose_secret().as_slice());
        let body = sealed.expect("sixteen bytes are within the cipher's limit");
        Self { nonce, body: body.try_into().expect("key and tag are 32 bytes") }
    }

    /// The stanza as age writes it.
    pub fn to_stanza(&self) -> Stanza {
        let args = vec![BASE64_STANDARD_NO_PAD.encode(self.nonce)];
        Stanza { tag: FIDO2PRF.to_owned(), args, body: self.body.to_vec() }
    }

    /// What the key is to be asked: see [`salts`].
    pub fn salts(&self) -> [[u8; 32]; 2] {
        salts(&self.nonce)
    }

    /// Opens the stanza with what the key made of its salts.
    pub fn open(&self, outputs: &PrfOutputs) -> Result<FileKey, Fido2PrfError> {
        let opened = cipher(outputs).decrypt(&zero_nonce(), self.body.as_slice()).map_err(|_| Fido2PrfError::Key)?;
        let opened = Zeroizing::new(opened);
        Ok(FileKey::init_with_mut(|file_key| file_key.copy_from_slice(&opened)))
    }
}

/// The two inputs of `WebAuthn`'s `prf` extension. Both are used, so that nobody gets two files opened with one touch.
pub fn prf_inputs(nonce: &[u8; NONCE_BYTES]) -> [Vec<u8>; 2] {
    [1, 2].map(|number| [FIDO2PRF.as_bytes(), &[number], nonce].concat())
}

/// The two salts of CTAP2's `hmac-secret` extension (CTAP 2.1 §12.5): what a browser makes of [`prf_inputs`].
pub fn salts(nonce: &[u8; NONCE_BYTES]) -> [[u8; 32]; 2] {
    prf_inputs(nonce).map(|input| Sha256::new().chain_update(WEBAUTHN_PRF).chain_update(input).finalize().into())
}

/// HKDF-Extract of both outputs, salted with the label.
fn cipher([first, second]: &PrfOutputs) -> ChaCha20Poly1305 {
    let mut outputs = Zeroizing::new([0; 64]);
    outputs[..32].copy_from_slice(first);
    outputs[32..].copy_from_slice(second);
    let (mut key, _) = Hkdf::<Sha256>::extract(Some(FIDO2PRF.as_bytes()), &*outputs);
    let cipher = ChaCha20Poly1305::new(&Key::from(<[u8; 32]>::from(key)));
    key.as_mut_slice().zeroize();
    cipher
}

/// Every wrapping key is used once: it hangs on the nonce.
fn zero_nonce() -> Nonce {
    Nonce::from([0; 12])
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: [u8; NONCE_BYTES] = [7; NONCE_BYTES];

    fn sealed() -> Stanza {
        Fido2PrfStanza::seal(&FileKey::new(Box::new([42; 16])), NONCE, &[[1; 32], [2; 32]]).to_stanza()
    }

    fn opened(stanza: &Stanza, outputs: &PrfOutputs) -> Result<[u8; 16], Fido2PrfError> {
        let file_key = Fido2PrfStanza::parse(stanza).expect("of this type")?.open(outputs)?;
        Ok(*file_key.expose_secret())
    }

    #[test]
    fn what_is_sealed_opens_with_the_same_outputs_in_the_same_order() {
        assert_eq!(opened(&sealed(), &[[1; 32], [2; 32]]), Ok([42; 16]));
        for wrong in [[[2; 32], [1; 32]], [[1; 32], [1; 32]], [[3; 32], [2; 32]]] {
            assert_eq!(opened(&sealed(), &wrong), Err(Fido2PrfError::Key));
        }
        let mut altered = sealed();
        altered.body[31] ^= 1;
        assert_eq!(opened(&altered, &[[1; 32], [2; 32]]), Err(Fido2PrfError::Key));
    }

    #[test]
    fn each_nonce_asks_for_two_salts_that_no_other_asks_for() {
        let stanza = Fido2PrfStanza::parse(&sealed()).expect("of this type").expect("well-formed");
        let [first, second] = stanza.salts();
        assert_ne!(first, second);
        let other = salts(&[8; NONCE_BYTES]);
        assert!(!other.contains(&first) && !other.contains(&second));
    }

    #[test]
    fn malformed_stanzas_are_refused_and_others_are_none_of_ours() {
        let nonce = &sealed().args[0];
        let short = BASE64_STANDARD_NO_PAD.encode([7; 15]);
        let args = [vec![], vec![nonce.clone(), nonce.clone()], vec![short], vec![format!("{nonce}=")]];
        let with_args = args.map(|args| Stanza { args, ..sealed() });
        let with_body = [31, 33].map(|length| Stanza { body: vec![0; length], ..sealed() });
        for bad in with_args.into_iter().chain(with_body) {
            assert_eq!(Fido2PrfStanza::parse(&bad), Some(Err(Fido2PrfError::Malformed)), "{bad:?}");
        }
        assert_eq!(Fido2PrfStanza::parse(&Stanza { tag: "X25519".to_owned(), ..sealed() }), None);
    }
}
