//! Whether a token's answer is genuine: signatures, presence, the challenge and the origin that were signed. Fed with bytes
//! and nothing else.

use super::error::AnswerError;
use super::message::{Act, ClientData, POINT, RegistrationData, SignatureData};
use crate::service::relying_party::{AllowList, AppId};
use quorate_protocol::encoding::sha256;
use ring::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::der::oid::db::rfc5912::{ID_EC_PUBLIC_KEY, SECP_256_R_1};

/// A key that a token made and attested.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registered {
    /// The token's name for it.
    pub key_handle: Vec<u8>,
    /// The key, an uncompressed point of P-256.
    pub public_key: [u8; POINT],
}

/// What is expected of an answer.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// What the key is bound to.
    pub app_id: &'a AppId,
    /// The challenge that was given out.
    pub challenge: &'a [u8],
    /// Origins that the operator allows.
    pub allowed: &'a AllowList,
}

/// Checks the answer to a registration.
pub fn registration(message: &[u8], client_data: &[u8], expected: Expected<'_>) -> Result<Registered, AnswerError> {
    check_client_data(client_data, Act::Register, expected)?;
    let message = RegistrationData::parse(message)?;
    let attestation_key = attestation_key(message.certificate)?;
    let signed = message.signed(&sha256(&[expected.app_id.as_str().as_bytes()]), &sha256(&[client_data]));
    check_signature(&attestation_key, &signed, message.signature)?;
    // The attestation vouches for the point's bytes, not for its being one.
    point(message.public_key)?;
    Ok(Registered { key_handle: message.key_handle.to_vec(), public_key: *message.public_key })
}

/// Checks the answer to an authentication. Gives the token's counter, which the caller compares with the last one.
pub fn authentication(
    message: &[u8],
    client_data: &[u8],
    public_key: &[u8; POINT],
    expected: Expected<'_>,
) -> Result<u32, AnswerError> {
    check_client_data(client_data, Act::Authenticate, expected)?;
    let message = SignatureData::parse(message)?;
    let signed = message.signed(&sha256(&[expected.app_id.as_str().as_bytes()]), &sha256(&[client_data]));
    check_signature(public_key, &signed, message.signature)?;
    if message.user_present { Ok(message.counter) } else { Err(AnswerError::NotPresent) }
}

fn check_client_data(bytes: &[u8], act: Act, expected: Expected<'_>) -> Result<(), AnswerError> {
    let client_data = ClientData::parse(bytes)?;
    if client_data.act != act {
        return Err(AnswerError::WrongType);
    }
    if client_data.challenge != expected.challenge {
        return Err(AnswerError::Challenge);
    }
    Ok(expected.app_id.admit(&client_data.origin, expected.allowed)?)
}

/// The key of an attestation certificate, which must be of P-256. Who issued it is not asked: U2F's makers publish no
/// list that would hold for the tokens in use.
fn attestation_key(certificate: &[u8]) -> Result<[u8; POINT], AnswerError> {
    let certificate = Certificate::from_der(certificate).map_err(|_| AnswerError::Certificate)?;
    let key = certificate.tbs_certificate().subject_public_key_info();
    let curve = key.algorithm.parameters.as_ref().and_then(|curve| curve.decode_as().ok());
    if key.algorithm.oid != ID_EC_PUBLIC_KEY || curve != Some(SECP_256_R_1) {
        return Err(AnswerError::Certificate);
    }
    let bytes = key.subject_public_key.as_bytes().ok_or(AnswerError::Certificate)?;
    bytes.try_into().map_err(|_| AnswerError::Certificate)
}

fn check_signature(public_key: &[u8; POINT], signed: &[u8], signature: &[u8]) -> Result<(), AnswerError> {
    UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, public_key)
        .verify(signed, signature)
        .map_err(|_| AnswerError::Signature)
}

/// Refuses what is not a point of the curve.
pub(super) fn point(bytes: &[u8; POINT]) -> Result<(), AnswerError> {
    p256::PublicKey::from_sec1_bytes(bytes).map(drop).map_err(|_| AnswerError::Key)
}
