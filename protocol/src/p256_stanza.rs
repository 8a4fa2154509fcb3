//! age stanzas that a P-256 key opens: `piv-p256` (recipients `age1yubikey1…`, the format of age-plugin-yubikey)
//! and `p256tag` (recipients `age1tag1…`, <https://c2sp.org/age>).
//!
//! The private key sits in a token that only multiplies points, so opening is split: [`P256Stanza::parse`], then the
//! token's ECDH with [`P256Stanza::ephemeral`], then [`P256Stanza::finish`]. Nothing here knows tokens or PINs.

mod hpke;

use age::EncryptError;
use age_core::format::{FILE_KEY_BYTES, FileKey, Stanza};
use age_core::secrecy::ExposeSecret;
use base64::Engine;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead, KeyInit};
use chacha20poly1305::{ChaCha20Poly1305, Key, Nonce};
use hkdf::Hkdf;
use p256::PublicKey;
use p256::ecdh::EphemeralSecret;
use p256::elliptic_curve::Generate;
use p256::elliptic_curve::sec1::ToSec1Point;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// Stanza type of `age1yubikey1…` recipients, and the HKDF info of their wrapping key.
pub const PIV_P256: &str = "piv-p256";
/// Stanza type of `age1tag1…` recipients.
pub const P256_TAG: &str = "p256tag";
/// HPKE info and tag salt of `p256tag`.
const P256_TAG_LABEL: &[u8] = b"age-encryption.org/p256tag";

const TAG_BYTES: usize = 4;
const COMPRESSED_BYTES: usize = 33;
const UNCOMPRESSED_BYTES: usize = 65;
/// A wrapped file key: the key and the Poly1305 tag.
const BODY_BYTES: usize = FILE_KEY_BYTES + 16;

/// Why a stanza of one of the two types cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum StanzaError {
    /// Arguments or body are not of the form that the type prescribes.
    #[error("malformed {0} stanza")]
    Malformed(&'static str),
    /// The ephemeral share is not a point on P-256. Such a point must never reach a token.
    #[error("the share in the {0} stanza is not a point on P-256")]
    Point(&'static str),
    /// The key agreement was with another key, or the stanza was altered.
    #[error("the {0} stanza does not open with this key")]
    Key(&'static str),
}

/// A well-formed `piv-p256` or `p256tag` stanza, its ephemeral point validated.
#[derive(Clone, Debug)]
pub struct P256Stanza {
    kind: Kind,
    tag: [u8; TAG_BYTES],
    ephemeral: PublicKey,
    body: [u8; BODY_BYTES],
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    PivP256,
    P256Tag,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::PivP256 => PIV_P256,
            Self::P256Tag => P256_TAG,
        }
    }
}

impl P256Stanza {
    /// `None` when the stanza is of another type.
    pub fn parse(stanza: &Stanza) -> Option<Result<Self, StanzaError>> {
        let kind = match stanza.tag.as_str() {
            PIV_P256 => Kind::PivP256,
            P256_TAG => Kind::P256Tag,
            _ => return None,
        };
        Some(Self::parse_as(kind, stanza))
    }

    fn parse_as(kind: Kind, stanza: &Stanza) -> Result<Self, StanzaError> {
        let malformed = StanzaError::Malformed(kind.name());
        let [tag, share] = &stanza.args[..] else { return Err(malformed) };
        let decoded = |text: &str| BASE64_STANDARD_NO_PAD.decode(text).map_err(|_| malformed);
        let share = decoded(share)?;
        let share_bytes = match kind {
            Kind::PivP256 => COMPRESSED_BYTES,
            Kind::P256Tag => UNCOMPRESSED_BYTES,
        };
        if share.len() != share_bytes {
            return Err(malformed);
        }
        Ok(Self {
            kind,
            tag: decoded(tag)?.try_into().map_err(|_| malformed)?,
            ephemeral: PublicKey::from_sec1_bytes(&share).map_err(|_| StanzaError::Point(kind.name()))?,
            body: stanza.body.as_slice().try_into().map_err(|_| malformed)?,
        })
    }

    /// The type, as it stands in the age header: [`PIV_P256`] or [`P256_TAG`].
    pub fn type_name(&self) -> &'static str {
        self.kind.name()
    }

    /// Whether the stanza's tag names this key. Four bytes: a stranger's key matches one time in 2^32.
    pub fn is_for(&self, own: &PublicKey) -> bool {
        self.is_for_tag(key_tag(own))
    }

    /// The same for a key of which only the tag is known, as in an identity of age-plugin-yubikey.
    pub fn is_for_tag(&self, key_tag: [u8; TAG_BYTES]) -> bool {
        let expected = match self.kind {
            Kind::PivP256 => key_tag,
            Kind::P256Tag => {
                let ikm = [uncompressed(&self.ephemeral).as_slice(), &key_tag].concat();
                let (prk, _) = Hkdf::<Sha256>::extract(Some(P256_TAG_LABEL), &ikm);
                first_four(&prk)
            }
        };
        self.tag == expected
    }

    /// The point that the token multiplies with its private key.
    pub fn ephemeral(&self) -> &PublicKey {
        &self.ephemeral
    }

    /// Opens the stanza with the x-coordinate of `ephemeral` times the private key of `own`.
    pub fn finish(&self, shared_x: &[u8; 32], own: &PublicKey) -> Result<FileKey, StanzaError> {
        let opened = match self.kind {
            Kind::PivP256 => {
                let key = piv_p256_key(shared_x, &self.ephemeral, own);
                let opened = ChaCha20Poly1305::new(&Key::from(*key)).decrypt(&zero_nonce(), self.body.as_slice());
                opened.ok().map(Zeroizing::new)
            }
            Kind::P256Tag => {
                let (enc, own) = (uncompressed(&self.ephemeral), uncompressed(own));
                hpke::Context::receiver(shared_x, &enc, &own, P256_TAG_LABEL).open_first(&[], &self.body)
            }
        };
        let opened = opened.ok_or(StanzaError::Key(self.kind.name()))?;
        Ok(FileKey::init_with_mut(|file_key| file_key.copy_from_slice(&opened)))
    }
}

/// The first four bytes of SHA-256 over the compressed point: the tag of `piv-p256` stanzas and of
/// age-plugin-yubikey's identities.
pub fn key_tag(point: &PublicKey) -> [u8; TAG_BYTES] {
    first_four(&Sha256::digest(compressed(point)))
}

/// Wraps a file key as age-plugin-yubikey does. The ephemeral key comes from the operating system.
pub(crate) fn wrap_piv_p256(file_key: &FileKey, recipient: &PublicKey) -> Result<Stanza, EncryptError> {
    let secret = EphemeralSecret::try_generate().map_err(|error| EncryptError::Io(std::io::Error::other(error)))?;
    let ephemeral = secret.public_key();
    let shared_x = Zeroizing::new((*secret.diffie_hellman(recipient).raw_secret_bytes()).into());
    let key = piv_p256_key(&shared_x, &ephemeral, recipient);
    let body = ChaCha20Poly1305::new(&Key::from(*key)).encrypt(&zero_nonce(), file_key.expose_secret().as_slice());
    Ok(Stanza {
        tag: PIV_P256.to_owned(),
        args: vec![
            BASE64_STANDARD_NO_PAD.encode(key_tag(recipient)),
            BASE64_STANDARD_NO_PAD.encode(compressed(&ephemeral)),
        ],
        body: body.expect("sixteen bytes are within the cipher's limit"),
    })
}

/// HKDF-SHA256 of the x-coordinate, salted with both compressed points.
fn piv_p256_key(shared_x: &[u8; 32], ephemeral: &PublicKey, recipient: &PublicKey) -> Zeroizing<[u8; 32]> {
    let salt = [compressed(ephemeral), compressed(recipient)].concat();
    let mut key = Zeroizing::new([0; 32]);
    let hkdf = Hkdf::<Sha256>::new(Some(&salt), shared_x);
    hkdf.expand(PIV_P256.as_bytes(), &mut *key).expect("32 bytes are within HKDF's limit");
    key
}

/// Every wrapping key is used once.
fn zero_nonce() -> Nonce {
    Nonce::from([0; 12])
}

/// Compressed SEC 1 encoding.
pub fn compressed(point: &PublicKey) -> [u8; COMPRESSED_BYTES] {
    point.to_sec1_point(true).as_bytes().try_into().expect("a point that is not at infinity has 33 bytes")
}

fn uncompressed(point: &PublicKey) -> [u8; UNCOMPRESSED_BYTES] {
    point.to_sec1_point(false).as_bytes().try_into().expect("a point that is not at infinity has 65 bytes")
}

fn first_four(bytes: &[u8]) -> [u8; TAG_BYTES] {
    *bytes.first_chunk().expect("a SHA-256 output has more than four bytes")
}

#[cfg(test)]
mod tests {
    use age::Recipient;
    use p256::SecretKey;

    use super::*;
    use crate::recipient::NativeRecipient;

    fn opened(stanza: &Stanza, secret: &SecretKey) -> Result<[u8; 16], StanzaError> {
        let parsed = P256Stanza::parse(stanza).unwrap()?;
        let shared = secret.diffie_hellman(parsed.ephemeral());
        let file_key = parsed.finish(&(*shared.raw_secret_bytes()).into(), &secret.public_key())?;
        Ok(*file_key.expose_secret())
    }

    fn wrapped(recipient: &NativeRecipient) -> Stanza {
        let (mut stanzas, labels) = recipient.wrap_file_key(&FileKey::new(Box::new([42; 16]))).unwrap();
        assert!(labels.is_empty());
        stanzas.pop().unwrap()
    }

    fn both(point: &PublicKey) -> [Stanza; 2] {
        [wrapped(&NativeRecipient::yubikey(point)), wrapped(&NativeRecipient::tag(point))]
    }

    #[test]
    fn what_either_recipient_seals_opens() {
        let secret = SecretKey::generate();
        let [piv, tag] = both(&secret.public_key());
        assert_eq!((piv.tag.as_str(), tag.tag.as_str()), (PIV_P256, P256_TAG));
        assert_eq!(opened(&piv, &secret), Ok([42; 16]));
        assert_eq!(opened(&tag, &secret), Ok([42; 16]));
    }

    /// The unwrapping of age-plugin-yubikey, in the words of another library.
    #[test]
    fn piv_p256_is_what_its_specification_says() {
        use age_core::primitives::{aead_decrypt, hkdf};
        let secret = SecretKey::generate();
        let stanza = wrapped(&NativeRecipient::yubikey(&secret.public_key()));
        let share = BASE64_STANDARD_NO_PAD.decode(&stanza.args[1]).unwrap();
        let shared = secret.diffie_hellman(&PublicKey::from_sec1_bytes(&share).unwrap());
        let salt = [share.as_slice(), &compressed(&secret.public_key())].concat();
        let key = hkdf(&salt, b"piv-p256", shared.raw_secret_bytes());
        assert_eq!(aead_decrypt(&key, FILE_KEY_BYTES, &stanza.body).unwrap(), [42; 16]);
        let tag = &Sha256::digest(compressed(&secret.public_key()))[..4];
        assert_eq!(stanza.args[0], BASE64_STANDARD_NO_PAD.encode(tag));
    }

    #[test]
    fn the_tag_names_the_key_and_no_other() {
        let (own, other) = (SecretKey::generate().public_key(), SecretKey::generate().public_key());
        for stanza in both(&own) {
            let parsed = P256Stanza::parse(&stanza).unwrap().unwrap();
            assert!(parsed.is_for(&own));
            assert!(parsed.is_for_tag(key_tag(&own)));
            assert!(!parsed.is_for(&other));
        }
    }

    #[test]
    fn another_key_and_altered_stanzas_do_not_open() {
        let (own, other) = (SecretKey::generate(), SecretKey::generate());
        for stanza in both(&own.public_key()) {
            assert!(matches!(opened(&stanza, &other), Err(StanzaError::Key(_))));
            let mut altered = Stanza { tag: stanza.tag.clone(), args: stanza.args.clone(), body: stanza.body.clone() };
            altered.body[0] ^= 1;
            assert!(matches!(opened(&altered, &own), Err(StanzaError::Key(_))));
        }
    }

    #[test]
    fn malformed_stanzas_are_refused() {
        for stanza in both(&SecretKey::generate().public_key()) {
            let [tag, share] = &stanza.args[..] else { panic!("two arguments") };
            let short = BASE64_STANDARD_NO_PAD.encode([7; 3]);
            let wrong_form = BASE64_STANDARD_NO_PAD.encode([4; 40]);
            let args: [Vec<String>; 6] = [
                vec![],
                vec![tag.clone()],
                vec![tag.clone(), share.clone(), share.clone()],
                vec![short, share.clone()],
                vec![tag.clone(), wrong_form],
                vec![tag.clone(), format!("{share}=")],
            ];
            for args in args {
                let bad = Stanza { tag: stanza.tag.clone(), args, body: stanza.body.clone() };
                assert!(matches!(P256Stanza::parse(&bad), Some(Err(StanzaError::Malformed(_)))), "{bad:?}");
            }
            let long = Stanza { body: vec![0; 33], tag: stanza.tag.clone(), args: stanza.args.clone() };
            assert!(matches!(P256Stanza::parse(&long), Some(Err(StanzaError::Malformed(_)))));
        }
    }

    #[test]
    fn a_share_off_the_curve_is_refused_before_any_token_sees_it() {
        let mut off_curve = [0; 65];
        off_curve[0] = 4;
        off_curve[64] = 1;
        // x = 0xff…ff is not a field element.
        let mut no_field_element = [0xff; 33];
        no_field_element[0] = 2;
        for (name, share) in [(P256_TAG, off_curve.as_slice()), (PIV_P256, no_field_element.as_slice())] {
            let args = vec![BASE64_STANDARD_NO_PAD.encode([0; 4]), BASE64_STANDARD_NO_PAD.encode(share)];
            let stanza = Stanza { tag: name.to_owned(), args, body: vec![0; 32] };
            assert_eq!(P256Stanza::parse(&stanza).unwrap().unwrap_err(), StanzaError::Point(name));
        }
    }

    #[test]
    fn other_stanzas_are_none_of_ours() {
        let stanza = Stanza { tag: "X25519".to_owned(), args: vec![], body: vec![] };
        assert!(P256Stanza::parse(&stanza).is_none());
    }
}
