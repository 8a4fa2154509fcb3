//! X25519 public keys that are safe to encrypt to. Knows nothing of age's encodings.

/// Why a key was refused, as `RecipientError::Key` says it.
type Cause = &'static str;

/// p − 1 of Curve25519 (p = 2^255 − 19), little-endian: the largest canonical coordinate.
const LARGEST: [u8; 32] = {
    let mut bytes = [0xff; 32];
    bytes[0] = 0xec;
    bytes[31] = 0x7f;
    bytes
};

/// The coordinates of small order besides 0, 1 and p − 1, little-endian: both of order 8. A key agreement with
/// any of the five yields zero whatever the other side's secret.
const ORDER_8: [[u8; 32]; 2] = [
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
];

/// A u-coordinate of RFC 7748 that is canonical and of large order.
///
/// RFC 7748 would accept the 19 values from p up and a set top bit: each is a second spelling of another key. The
/// `age` crate takes the zero of a small-order key for a broken random generator and panics, so such keys must
/// never reach it.
pub(super) fn usable(bytes: &[u8]) -> Result<[u8; 32], Cause> {
    let u: [u8; 32] = bytes.try_into().map_err(|_| "an X25519 key has 32 bytes")?;
    if u.iter().rev().gt(LARGEST.iter().rev()) {
        return Err("its encoding is not the canonical one");
    }
    let zero_or_one = u[0] <= 1 && u[1..].iter().all(|byte| *byte == 0);
    if zero_or_one || u == LARGEST || ORDER_8.contains(&u) {
        return Err("it is a point of small order");
    }
    Ok(u)
}

#[cfg(test)]
mod tests {
    use age_core::primitives::bech32_encode;

    use super::*;

    #[test]
    fn ordinary_keys_are_usable() {
        assert_eq!(usable(&[9; 32]), Ok([9; 32]));
        let mut base = [0; 32];
        base[0] = 9;
        assert_eq!(usable(&base), Ok(base));
    }

    #[test]
    fn every_key_of_small_order_is_refused_and_would_have_crashed_age() {
        let mut one = [0; 32];
        one[0] = 1;
        for key in [[0; 32], one, LARGEST, ORDER_8[0], ORDER_8[1]] {
            assert_eq!(usable(&key), Err("it is a point of small order"));
            let text = bech32_encode(bech32::Hrp::parse_unchecked("age"), &key);
            let recipient: age::x25519::Recipient = text.parse().unwrap();
            let file_key = age_core::format::FileKey::new(Box::new([7; 16]));
            let wrapped = std::panic::catch_unwind(|| age::Recipient::wrap_file_key(&recipient, &file_key).is_ok());
            assert!(wrapped.is_err(), "age no longer panics: the reason for this check has changed");
        }
    }

    #[test]
    fn second_spellings_are_refused() {
        let mut p = LARGEST;
        p[0] = 0xed;
        let mut top_bit = [9; 32];
        top_bit[31] |= 0x80;
        for key in [p, [0xff; 32], top_bit] {
            assert_eq!(usable(&key), Err("its encoding is not the canonical one"));
        }
        assert!(usable(&[9; 31]).is_err());
    }
}
