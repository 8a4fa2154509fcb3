//! U2F's raw messages (FIDO U2F Raw Message Formats 1.2) and the client data under their signatures, as bytes. Nothing
//! here checks a signature; nothing here knows a request or the store.

use super::error::AnswerError;
use crate::service::either_base64;
use crate::service::relying_party::Origin;
use serde::Deserialize;
use x509_cert::der::{Reader as _, SliceReader};

/// Bytes of an uncompressed point of P-256.
pub const POINT: usize = 65;

/// What the token signed was a registration, and by the browser's account for which origin.
const REGISTERED: &str = "navigator.id.finishEnrollment";
const AUTHENTICATED: &str = "navigator.id.getAssertion";

/// The answer to a registration (§4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistrationData<'a> {
    /// The key, an uncompressed point of P-256.
    pub public_key: &'a [u8; POINT],
    /// The name by which the token finds the key.
    pub key_handle: &'a [u8],
    /// The attestation certificate, DER.
    pub certificate: &'a [u8],
    /// ECDSA signature of the attestation key, DER.
    pub signature: &'a [u8],
}

impl<'a> RegistrationData<'a> {
    /// Takes the message apart. Whatever follows the signature fails with the signature, which is the rest.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AnswerError> {
        let (reserved, rest) = bytes.split_first().ok_or(AnswerError::Message)?;
        if *reserved != 5 {
            return Err(AnswerError::Message);
        }
        let (public_key, rest) = rest.split_first_chunk().ok_or(AnswerError::Message)?;
        let (length, rest) = rest.split_first().ok_or(AnswerError::Message)?;
        let (key_handle, rest) = rest.split_at_checked((*length).into()).ok_or(AnswerError::Message)?;
        let mut reader = SliceReader::new(rest).map_err(|_| AnswerError::Message)?;
        let certificate = reader.tlv_bytes().map_err(|_| AnswerError::Message)?;
        let signature = &rest[certificate.len()..];
        if key_handle.is_empty() || signature.is_empty() {
            return Err(AnswerError::Message);
        }
        Ok(Self { public_key, key_handle, certificate, signature })
    }

    /// What the attestation key signed.
    pub fn signed(&self, application: &[u8; 32], challenge: &[u8; 32]) -> Vec<u8> {
        [&[0][..], application, challenge, self.key_handle, self.public_key].concat()
    }
}

/// The answer to an authentication (§5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignatureData<'a> {
    /// Whether somebody touched the token.
    pub user_present: bool,
    /// Signatures that the token has made.
    pub counter: u32,
    /// ECDSA signature of the registered key, DER.
    pub signature: &'a [u8],
    /// The presence byte and the counter, as they are signed.
    head: &'a [u8; 5],
}

impl<'a> SignatureData<'a> {
    /// Takes the message apart. Bits of the presence byte beside the lowest mean nothing, but are signed: tokens of the first
    /// version may set them.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, AnswerError> {
        let (head, signature) = bytes.split_first_chunk::<5>().ok_or(AnswerError::Message)?;
        let [presence, counter @ ..] = *head;
        if signature.is_empty() {
            return Err(AnswerError::Message);
        }
        Ok(Self { user_present: presence & 1 == 1, counter: u32::from_be_bytes(counter), signature, head })
    }

    /// What the registered key signed.
    pub fn signed(&self, application: &[u8; 32], challenge: &[u8; 32]) -> Vec<u8> {
        [application, self.head.as_slice(), challenge].concat()
    }
}

/// What the client says it asked the token for. The token signs the hash of its exact bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientData {
    /// Registration or authentication.
    pub act: Act,
    /// The challenge that was answered.
    pub challenge: Vec<u8>,
    /// The page that asked.
    pub origin: Origin,
}

/// What a client asked a token for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// A new key.
    Register,
    /// A signature of a known one.
    Authenticate,
}

impl ClientData {
    /// Reads the JSON. Fields that nobody here needs (`cid_pubkey`) are ignored; a field that comes twice is not.
    pub fn parse(bytes: &[u8]) -> Result<Self, AnswerError> {
        #[derive(Deserialize)]
        struct Fields {
            typ: String,
            challenge: String,
            origin: String,
        }
        let fields: Fields = serde_json::from_slice(bytes).map_err(|_| AnswerError::ClientData)?;
        let act = match fields.typ.as_str() {
            REGISTERED => Act::Register,
            AUTHENTICATED => Act::Authenticate,
            _ => return Err(AnswerError::WrongType),
        };
        let challenge = either_base64::decode(&fields.challenge).ok_or(AnswerError::ClientData)?;
        Ok(Self { act, challenge, origin: Origin::parse(&fields.origin)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A DER sequence of `length` zero bytes in place of a certificate.
    fn certificate(length: u16) -> Vec<u8> {
        let [high, low] = length.to_be_bytes();
        let head = match length {
            0..128 => vec![0x30, low],
            128..256 => vec![0x30, 0x81, low],
            _ => vec![0x30, 0x82, high, low],
        };
        [head, vec![0; length.into()]].concat()
    }

    fn registration(key_handle: &[u8], certificate: &[u8], signature: &[u8]) -> Vec<u8> {
        let length = u8::try_from(key_handle.len()).unwrap();
        [&[5][..], &[4; POINT], &[length], key_handle, certificate, signature].concat()
    }

    proptest! {
        #[test]
        fn a_registration_comes_apart_where_it_was_put_together(
            key_handle in proptest::collection::vec(any::<u8>(), 1..=255),
            length in 0_u16..2000,
            signature in proptest::collection::vec(any::<u8>(), 1..80),
        ) {
            let certificate = certificate(length);
            let message = registration(&key_handle, &certificate, &signature);
            let parsed = RegistrationData::parse(&message).unwrap();
            prop_assert_eq!(parsed.public_key, &[4; POINT]);
            prop_assert_eq!((parsed.key_handle, parsed.certificate), (&key_handle[..], &certificate[..]));
            prop_assert_eq!(parsed.signature, &signature[..]);
            for cut in 0..message.len() - signature.len() {
                prop_assert!(RegistrationData::parse(&message[..cut]).is_err());
            }
        }

        #[test]
        fn a_signature_comes_apart_where_it_was_put_together(
            present: bool, counter: u32, signature in proptest::collection::vec(any::<u8>(), 1..80),
        ) {
            let message = [&[u8::from(present)][..], &counter.to_be_bytes(), &signature].concat();
            let parsed = SignatureData::parse(&message).unwrap();
            prop_assert_eq!((parsed.user_present, parsed.counter), (present, counter));
            prop_assert_eq!(parsed.signature, &signature[..]);
            prop_assert_eq!(parsed.signed(&[1; 32], &[2; 32]).len(), 32 + 5 + 32);
        }

        #[test]
        fn nothing_that_comes_from_outside_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _parsed = RegistrationData::parse(&bytes);
            let _parsed = RegistrationData::parse(&[&[5][..], &bytes].concat());
            let _parsed = SignatureData::parse(&bytes);
            let _parsed = ClientData::parse(&bytes);
        }
    }

    #[test]
    fn other_messages_are_refused() {
        let good = registration(b"handle", &certificate(300), b"signature");
        assert!(RegistrationData::parse(&good).is_ok());
        let other_version = [&[4][..], &good[1..]].concat();
        assert_eq!(RegistrationData::parse(&other_version), Err(AnswerError::Message));
        assert_eq!(RegistrationData::parse(&registration(b"", &certificate(9), b"s")), Err(AnswerError::Message));
        assert_eq!(RegistrationData::parse(&registration(b"h", &certificate(9), b"")), Err(AnswerError::Message));
        // A length without end, which DER does not know.
        assert_eq!(RegistrationData::parse(&registration(b"h", &[0x30, 0x80, 0, 0], b"s")), Err(AnswerError::Message));
        assert_eq!(SignatureData::parse(&[1, 0, 0, 0, 1]), Err(AnswerError::Message));
    }

    #[test]
    fn one_bit_says_that_somebody_was_there() {
        for (presence, user_present) in [(0, false), (1, true), (2, false), (0x81, true), (0xfe, false), (0xff, true)] {
            let message = [presence, 0, 0, 0, 1, 9];
            let parsed = SignatureData::parse(&message).unwrap();
            assert_eq!(parsed.user_present, user_present, "{presence}");
            assert_eq!(parsed.signed(&[1; 32], &[2; 32])[32], presence, "as it was signed");
        }
    }

    #[test]
    fn client_data_says_what_was_asked_and_where() {
        let text =
            r#"{"typ":"navigator.id.getAssertion","challenge":"AQI","origin":"https://a.example","cid_pubkey":""}"#;
        let parsed = ClientData::parse(text.as_bytes()).unwrap();
        assert_eq!((parsed.act, parsed.challenge.as_slice()), (Act::Authenticate, &[1, 2][..]));
        assert_eq!(parsed.origin.to_string(), "https://a.example");
        let parse = |text: &str| ClientData::parse(text.as_bytes());
        assert_eq!(parse(&text.replace("getAssertion", "other")), Err(AnswerError::WrongType));
        assert_eq!(parse(&text.replace("AQI", "*")), Err(AnswerError::ClientData));
        assert_eq!(parse(&text.replace("cid_pubkey", "typ")), Err(AnswerError::ClientData));
        assert_eq!(parse(&text.replace("\"challenge\"", "\"other\"")), Err(AnswerError::ClientData));
        assert!(matches!(parse(&text.replace("https://", "http://")), Err(AnswerError::Party(_))));
    }
}
