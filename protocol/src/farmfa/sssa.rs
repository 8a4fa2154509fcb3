//! Shares as the SSSA library lays them out, which farMFA used first: for each 32 bytes of the secret one point
//! (x, y) modulo the prime 2^256 − 189, both numbers big-endian in padded base64url. No text, no thresholds.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE;
use crypto_bigint::{Limb, U256};
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

use super::FarmfaError;

/// The prime is 2^256 − C. Arithmetic modulo such a number is constant-time in crypto-bigint.
const C: Limb = Limb::from_u8(189);
const PRIME: U256 = U256::ZERO.wrapping_sub(&U256::from_u8(189));
/// Characters of one number: 32 bytes and a padding sign.
const NUMBER_CHARS: usize = 44;

/// One point for each 32 bytes of the secret.
#[derive(Clone)]
pub(super) struct Share {
    points: Zeroizing<Vec<Point>>,
}

#[derive(Clone, Copy, Default)]
struct Point {
    x: U256,
    y: U256,
}

impl zeroize::DefaultIsZeroes for Point {}

/// Whether `text` is a row of pairs of padded numbers. Standard base64 never is: it has padding at its end only.
pub(super) fn has_shape(text: &str) -> bool {
    let numbers = text.as_bytes().chunks(NUMBER_CHARS);
    numbers.len() > 0
        && numbers.len().is_multiple_of(2)
        && numbers.into_iter().all(|number| number.len() == NUMBER_CHARS && number.ends_with(b"="))
}

impl Share {
    /// Reads text that [`has_shape`].
    pub(super) fn parse(text: &str) -> Result<Self, FarmfaError> {
        let pairs = text.as_bytes().chunks_exact(2 * NUMBER_CHARS);
        let mut points = Zeroizing::new(Vec::with_capacity(pairs.len()));
        for pair in pairs {
            let (x, y) = pair.split_at(NUMBER_CHARS);
            let point = Zeroizing::new(Point { x: number(x)?, y: number(y)? });
            if point.x == U256::ZERO {
                return Err(FarmfaError::ZeroX);
            }
            points.push(*point);
        }
        Ok(Self { points })
    }

    pub(super) fn chunks(&self) -> usize {
        self.points.len()
    }

    /// Whether both shares have a point at the same x, in any one chunk.
    pub(super) fn meets(&self, other: &Self) -> bool {
        self.points.iter().zip(other.points.iter()).any(|(own, other)| own.x == other.x)
    }
}

fn number(text: &[u8]) -> Result<U256, FarmfaError> {
    // The decoder wants room for whole groups of three bytes.
    let mut bytes = Zeroizing::new([0; 33]);
    match URL_SAFE.decode_slice(text, bytes.as_mut_slice()) {
        Ok(32) => {}
        _ => return Err(FarmfaError::Malformed),
    }
    let number = U256::from_be_slice(&bytes[..32]);
    if number < PRIME { Ok(number) } else { Err(FarmfaError::OutOfRange) }
}

/// The bytes that `shares`, equally long and nowhere at the same x, were dealt from. The library pads the last
/// chunk with zero bytes and cannot tell them from the secret's own: all of them are stripped.
pub(super) fn rebuild(shares: &[&Share]) -> Zeroizing<Vec<u8>> {
    let mut secret = Zeroizing::new(Vec::with_capacity(32 * shares[0].chunks()));
    for chunk in 0..shares[0].chunks() {
        let value = value(shares, chunk, &U256::ZERO);
        let bytes = Zeroizing::new(value.to_be_bytes());
        secret.extend_from_slice(bytes.as_ref());
    }
    let length = secret.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    secret.truncate(length);
    secret
}

/// Whether `other` lies on the polynomials through `shares`.
pub(super) fn agrees(shares: &[&Share], other: &Share) -> bool {
    let value_at = |chunk: usize, point: &Point| value(shares, chunk, &point.x);
    other.points.iter().enumerate().all(|(chunk, point)| {
        let (expected, found) = (Zeroizing::new(value_at(chunk, point).to_be_bytes()), point.y.to_be_bytes());
        expected.as_ref().ct_eq(found.as_ref()).into()
    })
}

/// The value at `at` of the polynomial through the points that `shares` have for `chunk`.
fn value(shares: &[&Share], chunk: usize, at: &U256) -> Zeroizing<U256> {
    let points: Vec<&Point> = shares.iter().map(|share| &share.points[chunk]).collect();
    let mut sum = Zeroizing::new(U256::ZERO);
    for (i, own) in points.iter().enumerate() {
        let (mut top, mut bottom) = (U256::ONE, U256::ONE);
        for (_, other) in points.iter().enumerate().filter(|(j, _)| *j != i) {
            top = top.mul_mod_special(&at.sub_mod_special(&other.x, C), C);
            bottom = bottom.mul_mod_special(&own.x.sub_mod_special(&other.x, C), C);
        }
        let term = Zeroizing::new(own.y.mul_mod_special(&top.mul_mod_special(&inverse(&bottom), C), C));
        *sum = sum.add_mod_special(&term, C);
    }
    sum
}

/// 1 / `a` as a^(p − 2) (Fermat); the exponent is public.
fn inverse(a: &U256) -> U256 {
    let exponent = PRIME.wrapping_sub(&U256::from_u8(2));
    (0..U256::BITS).rev().fold(U256::ONE, |power, bit| {
        let squared = power.mul_mod_special(&power, C);
        if exponent.bit_vartime(bit) { squared.mul_mod_special(a, C) } else { squared }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_field_is_that_of_the_prime() {
        assert_eq!(PRIME.wrapping_add(&U256::from_u8(189)), U256::ZERO);
        let last = PRIME.wrapping_sub(&U256::ONE);
        assert_eq!(last.mul_mod_special(&last, C), U256::ONE, "(-1)² = 1");
        assert_eq!(last.add_mod_special(&U256::ONE, C), U256::ZERO);
        for number in [U256::ONE, U256::from_u8(189), last, U256::from_u128(u128::MAX)] {
            assert_eq!(number.mul_mod_special(&inverse(&number), C), U256::ONE);
        }
        assert_eq!(inverse(&U256::ZERO), U256::ZERO);
    }
}
