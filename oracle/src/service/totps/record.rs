//! How a TOTP secret is kept: its parameters and its key in a few bytes, sealed under the tenant's data key. One that was
//! imported is kept as it came until it is used.

use super::TotpError;
use crate::service::api_keys::{NotOwned, Sealed, Tenant};
use crate::service::at_rest::{AtRest, Place};
use crate::service::legacy::Ciphertext;
use crate::store::Digest;
use quorate_protocol::otp::{Algorithm, OtpSecret, Parameters};
use rand::CryptoRng;
use zeroize::Zeroizing;

/// The layout: this byte, algorithm, digits, period as four bytes big-endian, key.
const LAYOUT: u8 = 1;
/// The layout of an imported secret: this byte, and what the base32 text of its key was encrypted to.
const LEGACY: u8 = 2;
/// Characters of an imported secret: from 80 bits, which is what the other service has given out, to 512.
const LEGACY_CHARACTERS: std::ops::RangeInclusive<usize> = 16..=104;

/// A secret, open.
#[derive(Debug)]
pub(super) struct Opened {
    pub secret: OtpSecret,
    /// What is to be kept in place of an imported one.
    pub upgraded: Option<Sealed>,
}

pub(super) fn seal(
    secret: &OtpSecret,
    id: &Digest,
    tenant: &Tenant,
    rng: &mut impl CryptoRng,
) -> Result<Sealed, NotOwned> {
    tenant.seal(place(&[id]), &encode(secret), rng)
}

/// Seals a secret as it came from another service, if it can be one.
pub(in crate::service) fn seal_legacy(
    id: &Digest,
    encrypted: &Ciphertext,
    data_key: &AtRest,
    rng: &mut impl CryptoRng,
) -> Option<Vec<u8>> {
    let bytes = [&[LEGACY], encrypted.as_bytes()].concat();
    LEGACY_CHARACTERS.contains(&encrypted.plain_len()).then(|| data_key.seal(place(&[id]), &bytes, rng))
}

pub(super) fn open(
    data_key: i64,
    sealed: &[u8],
    id: &Digest,
    tenant: &Tenant,
    rng: &mut impl CryptoRng,
) -> Result<Opened, TotpError> {
    let bytes = tenant.open(data_key, place(&[id]), sealed)?;
    match bytes.as_slice() {
        [LAYOUT, rest @ ..] => Ok(Opened { secret: decode(rest).ok_or(TotpError::Damaged)?, upgraded: None }),
        [LEGACY, rest @ ..] => {
            let encrypted = Ciphertext::from_bytes(rest.to_vec()).ok_or(TotpError::Damaged)?;
            let text = tenant.legacy_key(data_key)?.decrypt(&encrypted);
            let secret = from_text(&text).ok_or(TotpError::Damaged)?;
            let upgraded = tenant.reseal(data_key, place(&[id]), &encode(&secret), rng)?;
            Ok(Opened { secret, upgraded: Some(upgraded) })
        }
        _ => Err(TotpError::Damaged),
    }
}

fn encode(secret: &OtpSecret) -> Zeroizing<Vec<u8>> {
    let Parameters { algorithm, digits, period } = secret.parameters();
    let algorithm = match algorithm {
        Algorithm::Sha1 => 1,
        Algorithm::Sha256 => 2,
        Algorithm::Sha512 => 3,
    };
    let mut bytes = Zeroizing::new(Vec::with_capacity(7 + secret.key().len()));
    bytes.extend_from_slice(&[LAYOUT, algorithm, digits]);
    bytes.extend_from_slice(&period.to_be_bytes());
    bytes.extend_from_slice(secret.key());
    bytes
}

fn decode(bytes: &[u8]) -> Option<OtpSecret> {
    let [algorithm, digits, p0, p1, p2, p3, key @ ..] = bytes else { return None };
    let algorithm = match algorithm {
        1 => Algorithm::Sha1,
        2 => Algorithm::Sha256,
        3 => Algorithm::Sha512,
        _ => return None,
    };
    let parameters = Parameters { algorithm, digits: *digits, period: u32::from_be_bytes([*p0, *p1, *p2, *p3]) };
    OtpSecret::new(key, parameters).ok()
}

/// The secret of a base32 text, exactly as the other service writes it: what was altered on the way is something else.
fn from_text(text: &[u8]) -> Option<OtpSecret> {
    let base32 = text.iter().all(|byte| matches!(byte, b'A'..=b'Z' | b'2'..=b'7'));
    let text = std::str::from_utf8(text).ok().filter(|_| base32)?;
    OtpSecret::from_base32(text).ok()
}

fn place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "totps", row, column: "sealed" }
}
