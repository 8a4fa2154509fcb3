//! Keys as base32 text (RFC 4648 §6), read as generously as authenticator apps do. No names, no parameters.

use std::sync::LazyLock;

use data_encoding::{BASE32_NOPAD, Encoding, Specification};
use zeroize::Zeroizing;

use super::{MAX_KEY_BYTES, OtpError};

/// Letters of either case. Left-over bits are ignored: some accounts issue random characters, not encoded bytes,
/// and every authenticator app drops those bits.
static TOLERANT: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567");
    specification.translate.from.push_str("abcdefghijklmnopqrstuvwxyz");
    specification.translate.to.push_str("ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    specification.check_trailing_bits = false;
    specification.encoding().expect("32 symbols and their lower case make an encoding")
});

/// Decodes `text`, tolerating spaces, dashes, lower case and missing padding.
pub(super) fn decode(text: &str) -> Result<Zeroizing<Vec<u8>>, OtpError> {
    // Grouping can at most double a sensible key; longer text is refused before it is copied.
    if text.len() > 4 * MAX_KEY_BYTES {
        return Err(OtpError::TooLong);
    }
    let mut symbols = Zeroizing::new(Vec::with_capacity(text.len()));
    symbols.extend(text.bytes().filter(|byte| !byte.is_ascii_whitespace() && *byte != b'-'));
    let padding = symbols.iter().rev().take_while(|byte| **byte == b'=').count();
    if padding > 6 {
        return Err(OtpError::NotBase32);
    }
    let symbols = &symbols[..symbols.len() - padding];
    if !symbols.iter().all(|byte| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(byte)) {
        return Err(OtpError::NotBase32);
    }
    let length = TOLERANT.decode_len(symbols.len()).map_err(|_| OtpError::Base32Length)?;
    let mut key = Zeroizing::new(vec![0; length]);
    TOLERANT.decode_mut(symbols, &mut key).map_err(|_| OtpError::NotBase32)?;
    Ok(key)
}

/// Encodes `key` in upper case without padding, without leaving a copy behind.
pub(super) fn encode(key: &[u8]) -> Zeroizing<String> {
    let mut text = Zeroizing::new(String::with_capacity(BASE32_NOPAD.encode_len(key.len())));
    BASE32_NOPAD.encode_append(key, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_vectors_of_rfc_4648() {
        for (bytes, text) in [
            ("f", "MY======"),
            ("fo", "MZXQ===="),
            ("foo", "MZXW6==="),
            ("foob", "MZXW6YQ="),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI======"),
        ] {
            assert_eq!(decode(text).unwrap().as_slice(), bytes.as_bytes());
            assert_eq!(*encode(bytes.as_bytes()), text.trim_end_matches('='));
        }
    }

    #[test]
    fn left_over_bits_are_dropped() {
        assert_eq!(decode("MZ").unwrap(), decode("MY").unwrap());
    }

    #[test]
    fn lengths_that_no_bytes_have_are_refused() {
        for text in ["A", "AAA", "AAAAAA", "AAAAAAAAA"] {
            assert_eq!(decode(text).unwrap_err(), OtpError::Base32Length, "{text}");
        }
    }

    #[test]
    fn foreign_characters_are_refused() {
        for text in ["MZXW6YT0", "MZXW6YT1", "MZXW6YT8", "MZXW=6YT", "MZXW6YT+", "MZXWÄYT", "MZXW6YTB========"] {
            assert_eq!(decode(text).unwrap_err(), OtpError::NotBase32, "{text}");
        }
    }

    #[test]
    fn a_book_is_refused() {
        assert_eq!(decode(&"A".repeat(100_000)).unwrap_err(), OtpError::TooLong);
    }

    proptest! {
        #[test]
        fn grouped_lower_case_reads_back(key in proptest::collection::vec(any::<u8>(), 0..100), group in 1usize..6) {
            let text = encode(&key);
            let grouped: Vec<&str> = text.as_bytes().chunks(group).map(|c| std::str::from_utf8(c).unwrap()).collect();
            prop_assert_eq!(&*decode(&grouped.join(" ").to_lowercase()).unwrap(), &key);
            prop_assert_eq!(&*decode(&grouped.join("-")).unwrap(), &key);
        }
    }
}
