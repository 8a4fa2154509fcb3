//! Messages of U2F (FIDO U2F Raw Message Formats 1.2) as bytes, and what keys answer to them; and the same answers in the words of
//! `WebAuthn`. It must not know the line or people.

use super::cbor::Value;
use super::{Assertion, Attestation, FidoError, Hash, Wanted, attested_data};

const REGISTER: u8 = 0x01;
const AUTHENTICATE: u8 = 0x02;
const VERSION: u8 = 0x03;
/// Of [`AUTHENTICATE`]: say whether the handle is yours; sign if somebody is there.
const CHECK_ONLY: u8 = 0x07;
const ENFORCE_PRESENCE: u8 = 0x03;
/// A registration message begins with this (§4.3), and a point without compression with 4.
const RESERVED: u8 = 0x05;
const POINT: usize = 65;

/// What came of an APDU.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Outcome {
    Done(Vec<u8>),
    /// The key wants to be touched first, or, when it was only asked, has the handle.
    NotTouched,
    /// The handle is another key's.
    NotHere,
}

pub(super) fn version() -> Vec<u8> {
    apdu(VERSION, 0, &[])
}

pub(super) fn register(challenge: &Hash, application: &Hash) -> Vec<u8> {
    apdu(REGISTER, 0, &[&challenge[..], application].concat())
}

/// `only_ask` whether the handle is the key's.
pub(super) fn authenticate(
    challenge: &Hash,
    application: &Hash,
    handle: &[u8],
    only_ask: bool,
) -> Result<Vec<u8>, FidoError> {
    // No U2F key has made a longer one.
    let length = u8::try_from(handle.len()).map_err(|_| FidoError::WrongKey)?;
    let control = if only_ask { CHECK_ONLY } else { ENFORCE_PRESENCE };
    Ok(apdu(AUTHENTICATE, control, &[&challenge[..], application, &[length], handle].concat()))
}

pub(super) fn outcome(command: &'static str, answer: &[u8]) -> Result<Outcome, FidoError> {
    let (data, word) = answer.split_last_chunk::<2>().ok_or_else(|| strange(command))?;
    match u16::from_be_bytes(*word) {
        0x9000 => Ok(Outcome::Done(data.to_vec())),
        0x6985 => Ok(Outcome::NotTouched),
        // A wrong length is how some keys say that no handle of theirs is so long.
        0x6a80 | 0x6700 => Ok(Outcome::NotHere),
        0x6d00 | 0x6e00 => Err(FidoError::NotSupported("U2F")),
        word => Err(FidoError::Unexpected { command, answer: format!("{word:04x}") }),
    }
}

/// A registration message as `WebAuthn`'s attestation of format `fido-u2f` (CTAP 2.1 §10.1.1 and `WebAuthn` §8.6).
pub(super) fn attestation(application: &Hash, message: &[u8]) -> Result<Attestation, FidoError> {
    let parts = || {
        let rest = message.strip_prefix(&[RESERVED])?;
        let (point, rest) = rest.split_first_chunk::<POINT>()?;
        let (length, rest) = rest.split_first()?;
        let (handle, rest) = rest.split_at_checked(usize::from(*length))?;
        let (certificate, signature) = rest.split_at_checked(der_length(rest)?)?;
        (point[0] == 4).then_some((point, handle, certificate, signature))
    };
    let (point, handle, certificate, signature) = parts().ok_or_else(|| strange("register"))?;
    let bytes = |bytes: &[u8]| Value::Bytes(bytes.to_vec());
    let text = |text: &str| Value::Text(text.to_owned());
    let statement =
        Value::Map(vec![(text("sig"), bytes(signature)), (text("x5c"), Value::Array(vec![bytes(certificate)]))]);
    let authenticator_data = attested_data(application, super::PRESENT, 0, &[0; 16], handle, point);
    Ok(Attestation { format: "fido-u2f".to_owned(), authenticator_data, statement })
}

/// A signature message as `WebAuthn`'s assertion (CTAP 2.1 §10.1.2).
pub(super) fn assertion(application: &Hash, wanted: &Wanted<'_>, message: &[u8]) -> Result<Assertion, FidoError> {
    let (head, signature) = message.split_first_chunk::<5>().ok_or_else(|| strange("sign"))?;
    Ok(Assertion {
        credential: wanted.credential.to_vec(),
        authenticator_data: [&application[..], head].concat(),
        signature: signature.to_vec(),
        user_handle: None,
    })
}

/// Bytes of the first item of DER, its head included.
fn der_length(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0x30, short @ 0..=0x7f, ..] => Some(2 + usize::from(*short)),
        [0x30, 0x81, length, ..] => Some(3 + usize::from(*length)),
        [0x30, 0x82, high, low, ..] => Some(4 + usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

/// An APDU of extended length (§3.1.3), which is how CTAPHID wants them.
fn apdu(instruction: u8, control: u8, data: &[u8]) -> Vec<u8> {
    let [high, low] = u16::try_from(data.len()).expect("these messages are short").to_be_bytes();
    [&[0, instruction, control, 0, 0, high, low], data, &[0, 0]].concat()
}

fn strange(command: &'static str) -> FidoError {
    FidoError::unreadable(command)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_registration_is_taken_apart_strictly() {
        let certificate = [&[0x30, 0x03][..], &[1, 2, 3]].concat();
        let message = [&[RESERVED][..], &[4; POINT], &[2], b"kh", &certificate, b"sig"].concat();
        let made = attestation(&[9; 32], &message).unwrap();
        assert_eq!((made.format.as_str(), made.credential_id()), ("fido-u2f", Some(&b"kh"[..])));
        assert_eq!(made.statement.named("sig").and_then(Value::bytes), Some(&b"sig"[..]));
        assert_eq!(made.statement.named("x5c").unwrap().items().unwrap()[0].bytes(), Some(&certificate[..]));
        for length in 0..message.len() - 3 {
            assert!(attestation(&[9; 32], &message[..length]).is_err(), "{length}");
        }
        assert!(attestation(&[9; 32], &[&[4], &message[1..]].concat()).is_err());
    }

    #[test]
    fn status_words_are_told_apart() {
        assert_eq!(outcome("x", &[7, 0x90, 0]).unwrap(), Outcome::Done(vec![7]));
        assert_eq!(outcome("x", &[0x69, 0x85]).unwrap(), Outcome::NotTouched);
        assert_eq!(outcome("x", &[0x6a, 0x80]).unwrap(), Outcome::NotHere);
        assert!(matches!(outcome("x", &[0x6d, 0]), Err(FidoError::NotSupported(_))));
        assert!(matches!(outcome("x", &[0x6f, 1]), Err(FidoError::Unexpected { answer, .. }) if answer == "6f01"));
        assert!(outcome("x", &[0x90]).is_err());
        assert!(authenticate(&[0; 32], &[0; 32], &[0; 256], true).is_err());
    }
}
