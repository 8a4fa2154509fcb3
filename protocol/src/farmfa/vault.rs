//! Shares as HashiCorp Vault's `shamir` package lays them out: y bytes, then one x byte, in standard base64. The
//! field is GF(2^8) modulo 0x11b, not the 0x11d of blahaj, so blahaj cannot combine them. No text, no thresholds.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::FarmfaError;
use crate::gf256;

/// x^8 + x^4 + x^3 + x + 1.
const POLYNOMIAL: u16 = 0x11b;

/// A point: x and the values there of as many polynomials as the secret has bytes.
#[derive(Clone)]
pub(super) struct Share {
    x: u8,
    y: Zeroizing<Vec<u8>>,
}

impl Share {
    pub(super) fn parse(text: &str) -> Result<Self, FarmfaError> {
        // The decoder asks for whole groups of three bytes; a buffer that grew would leave a copy behind.
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        STANDARD.decode_vec(text, &mut bytes).map_err(|_| FarmfaError::Malformed)?;
        match (bytes.pop(), bytes.is_empty()) {
            (None, _) | (_, true) => Err(FarmfaError::Malformed),
            (Some(0), _) => Err(FarmfaError::ZeroX),
            (Some(x), _) => Ok(Self { x, y: bytes }),
        }
    }

    pub(super) fn x(&self) -> u8 {
        self.x
    }

    pub(super) fn len(&self) -> usize {
        self.y.len()
    }
}

/// The values at x = 0 of the polynomials through `shares`, which are equally long and at distinct x.
pub(super) fn rebuild(shares: &[&Share]) -> Zeroizing<Vec<u8>> {
    values(shares, 0)
}

/// Whether `other` lies on the polynomials through `shares`.
pub(super) fn agrees(shares: &[&Share], other: &Share) -> bool {
    values(shares, other.x).ct_eq(&other.y).into()
}

fn values(shares: &[&Share], at: u8) -> Zeroizing<Vec<u8>> {
    let xs: Vec<u8> = shares.iter().map(|share| share.x).collect();
    let coefficients = gf256::lagrange::<POLYNOMIAL>(&xs, at).expect("the caller has refused a repeated x");
    let mut sum = Zeroizing::new(vec![0; shares[0].y.len()]);
    for (share, coefficient) in shares.iter().zip(coefficients) {
        for (sum, y) in sum.iter_mut().zip(share.y.iter()) {
            *sum ^= gf256::mul::<POLYNOMIAL>(*y, coefficient);
        }
    }
    sum
}
