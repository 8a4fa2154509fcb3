//! How a TOTP secret is kept: its parameters and its key in a few bytes, sealed under the tenant's data key.

use super::TotpError;
use crate::service::api_keys::{NotOwned, Sealed, Tenant};
use crate::service::at_rest::Place;
use crate::store::TotpId;
use quorate_protocol::otp::{Algorithm, OtpSecret, Parameters};
use rand::CryptoRng;
use zeroize::Zeroizing;

/// The layout: this byte, algorithm, digits, period as four bytes big-endian, key.
const LAYOUT: u8 = 1;

pub(super) fn seal(
    secret: &OtpSecret,
    id: &TotpId,
    tenant: &Tenant,
    rng: &mut impl CryptoRng,
) -> Result<Sealed, NotOwned> {
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
    tenant.seal(place(&[id]), &bytes, rng)
}

pub(super) fn open(data_key: i64, sealed: &[u8], id: &TotpId, tenant: &Tenant) -> Result<OtpSecret, TotpError> {
    let bytes = tenant.open(data_key, place(&[id]), sealed)?;
    let [LAYOUT, algorithm, digits, p0, p1, p2, p3, key @ ..] = bytes.as_slice() else {
        return Err(TotpError::Damaged);
    };
    let algorithm = match algorithm {
        1 => Algorithm::Sha1,
        2 => Algorithm::Sha256,
        3 => Algorithm::Sha512,
        _ => return Err(TotpError::Damaged),
    };
    let parameters = Parameters { algorithm, digits: *digits, period: u32::from_be_bytes([*p0, *p1, *p2, *p3]) };
    OtpSecret::new(key, parameters).map_err(|_| TotpError::Damaged)
}

fn place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "totps", row, column: "sealed" }
}
