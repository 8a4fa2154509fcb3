//! A strict look at CBOR from outside, before any library builds a tree of it: one well-formed item of definite lengths
//! (CTAP2's canonical form, but for the order of keys), of bounded depth, without tags and without a key twice, and nothing behind it.
//! The libraries ignore what follows an item inside authenticator data; a token never puts anything there.

use std::collections::HashSet;

/// Maps and arrays inside one another at most. An attestation with a chain of certificates needs three.
const MAX_DEPTH: usize = 8;

/// Authenticator data up to the flags, and up to the counter's end (`WebAuthn` §6.1).
pub(super) const FLAGS_AT: usize = 32;
const HEAD: usize = 37;
const ATTESTED: u8 = 0x40;
const EXTENDED: u8 = 0x80;
/// AAGUID, then the length of the credential id.
const AAGUID: usize = 16;
/// Bytes of a credential id at most (`WebAuthn` §7.1).
const MAX_ID: u16 = 1023;

/// A map with text for keys, as bytes.
#[derive(Debug, Clone)]
pub struct Map<'a>(Vec<(&'a [u8], &'a [u8])>);

impl<'a> Map<'a> {
    /// Takes exactly one item, a map, apart into keys and values.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        if !is_one_item(bytes) {
            return None;
        }
        let (first, rest) = bytes.split_first()?;
        let (value, mut rest) = argument(first & 0x1f, rest)?;
        if first >> 5 != 5 {
            return None;
        }
        let mut next = || {
            let behind = item(rest, MAX_DEPTH)?;
            let found = &rest[..rest.len() - behind.len()];
            rest = behind;
            Some(found)
        };
        (0..value).map(|_| Some((next()?, next()?))).collect::<Option<_>>().map(Self)
    }

    /// The item under a key.
    pub fn item(&self, key: &str) -> Option<&'a [u8]> {
        let found = self.0.iter().find(|(encoded, _)| content(3, encoded) == Some(key.as_bytes()));
        found.map(|(_, item)| *item)
    }

    /// The text under a key.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        std::str::from_utf8(content(3, self.item(key)?)?).ok()
    }

    /// The bytes under a key.
    pub fn bytes(&self, key: &str) -> Option<&'a [u8]> {
        content(2, self.item(key)?)
    }
}

/// What is in a string of that major type.
fn content(major: u8, item: &[u8]) -> Option<&[u8]> {
    let (first, rest) = item.split_first()?;
    let (_, content) = argument(first & 0x1f, rest)?;
    (first >> 5 == major).then_some(content)
}

/// Whether `bytes` are exactly one item.
pub fn is_one_item(bytes: &[u8]) -> bool {
    item(bytes, MAX_DEPTH).is_some_and(<[u8]>::is_empty)
}

/// Whether `bytes` are authenticator data and nothing else: the head, and exactly the parts that its flags announce.
pub fn is_authenticator_data(bytes: &[u8]) -> bool {
    parts(bytes).is_some_and(<[u8]>::is_empty)
}

/// What follows the announced parts.
fn parts(bytes: &[u8]) -> Option<&[u8]> {
    let (head, mut rest) = bytes.split_at_checked(HEAD)?;
    let flags = head[FLAGS_AT];
    if flags & ATTESTED != 0 {
        let (_, behind) = rest.split_at_checked(AAGUID)?;
        let (length, behind) = behind.split_first_chunk::<2>()?;
        let length = Some(u16::from_be_bytes(*length)).filter(|length| *length <= MAX_ID)?;
        let (_, key) = behind.split_at_checked(length.into())?;
        rest = item(key, MAX_DEPTH)?;
    }
    if flags & EXTENDED != 0 {
        rest = item(rest, MAX_DEPTH)?;
    }
    Some(rest)
}

/// What follows the first item of `bytes`; `None` when there is no well-formed one.
fn item(bytes: &[u8], depth: usize) -> Option<&[u8]> {
    let (first, rest) = bytes.split_first()?;
    let (major, info) = (first >> 5, first & 0x1f);
    let (value, rest) = argument(info, rest)?;
    match major {
        // Integers; and of the simple values only true, false and null.
        0 | 1 => Some(rest),
        7 => (20..=22).contains(&info).then_some(rest),
        2 => Some(rest.split_at_checked(usize::try_from(value).ok()?)?.1),
        3 => {
            let (text, rest) = rest.split_at_checked(usize::try_from(value).ok()?)?;
            std::str::from_utf8(text).ok()?;
            Some(rest)
        }
        4 => (0..value).try_fold(rest, |rest, _| item(rest, depth.checked_sub(1)?)),
        5 => {
            let mut keys = HashSet::new();
            (0..value).try_fold(rest, |rest, _| {
                let behind = item(rest, depth.checked_sub(1)?)?;
                let key = &rest[..rest.len() - behind.len()];
                keys.insert(key).then_some(())?;
                item(behind, depth.checked_sub(1)?)
            })
        }
        // Tags.
        _ => None,
    }
}

/// The number in an item's head, in its shortest form.
fn argument(info: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    let (value, floor, rest) = match info {
        0..24 => (info.into(), 0, rest),
        24 => rest.split_first().map(|(value, rest)| (u64::from(*value), 24, rest))?,
        25 => rest.split_first_chunk().map(|(value, rest)| (u16::from_be_bytes(*value).into(), 0x100, rest))?,
        26 => rest.split_first_chunk().map(|(value, rest)| (u32::from_be_bytes(*value).into(), 0x1_0000, rest))?,
        27 => rest.split_first_chunk().map(|(value, rest)| (u64::from_be_bytes(*value), 0x1_0000_0000, rest))?,
        // Indefinite lengths, and what is not defined.
        _ => return None,
    };
    (value >= floor).then_some((value, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `{1: [2, -7, h'0102', "a", true]}`
    const GOOD: &[u8] = &[0xa1, 0x01, 0x85, 0x02, 0x26, 0x42, 1, 2, 0x61, b'a', 0xf5];

    #[test]
    fn one_item_and_nothing_else() {
        assert!(is_one_item(GOOD));
        assert!(!is_one_item(&[GOOD, &[0]].concat()), "trailing junk");
        for cut in 0..GOOD.len() {
            assert!(!is_one_item(&GOOD[..cut]), "{cut}");
        }
    }

    #[test]
    fn odd_forms_are_refused() {
        let odd: [(&str, &[u8]); 9] = [
            ("an indefinite array", &[0x9f, 0x01, 0xff]),
            ("an indefinite string", &[0x5f, 0x41, 0x00, 0xff]),
            ("a tag", &[0xc1, 0x01]),
            ("a key twice", &[0xa2, 0x01, 0x02, 0x01, 0x03]),
            ("a long form of a short number", &[0x18, 0x17]),
            ("a float", &[0xfb, 0, 0, 0, 0, 0, 0, 0, 0]),
            ("text that is not UTF-8", &[0x61, 0xff]),
            ("a length beyond the end", &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            ("an array beyond the end", &[0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ];
        for (what, bytes) in odd {
            assert!(!is_one_item(bytes), "{what}");
        }
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| [vec![0x81; depth], vec![0x01]].concat();
        assert!(is_one_item(&nested(MAX_DEPTH)));
        assert!(!is_one_item(&nested(MAX_DEPTH + 1)));
        assert!(!is_one_item(&nested(100_000)));
    }

    #[test]
    fn authenticator_data_ends_where_its_flags_say() {
        let head = |flags: u8| [&[7; FLAGS_AT][..], &[flags], &[0; 4]].concat();
        assert!(is_authenticator_data(&head(1)));
        assert!(!is_authenticator_data(&[head(1), vec![0]].concat()));
        assert!(!is_authenticator_data(&head(1 | EXTENDED)), "no extensions where they are announced");
        let attested = [head(1 | ATTESTED), vec![0; AAGUID], vec![0, 2, 9, 9], GOOD.to_vec()].concat();
        assert!(is_authenticator_data(&attested));
        assert!(!is_authenticator_data(&[attested.clone(), vec![0xa0]].concat()));
        assert!(!is_authenticator_data(&attested[..attested.len() - 1]));
        let with_id = |length: u16| {
            let (head, id) = (head(1 | ATTESTED), vec![9; length.into()]);
            [head, vec![0; AAGUID], length.to_be_bytes().to_vec(), id, GOOD.to_vec()].concat()
        };
        assert!(is_authenticator_data(&with_id(MAX_ID)));
        assert!(!is_authenticator_data(&with_id(MAX_ID + 1)));
        let extended = [head(1 | EXTENDED), GOOD.to_vec()].concat();
        assert!(is_authenticator_data(&extended));
    }

    #[test]
    fn a_map_gives_what_is_under_its_keys() {
        let bytes = [&[0xa2, 0x61, b'a', 0x42, 1, 2, 0x61, b'b', 0x62, b'h', b'i'][..]].concat();
        let map = Map::parse(&bytes).unwrap();
        assert_eq!((map.bytes("a"), map.text("b")), (Some(&[1, 2][..]), Some("hi")));
        assert_eq!((map.text("a"), map.item("c")), (None, None));
        assert!(Map::parse(&[0x81, 0x01]).is_none(), "an array");
        assert!(Map::parse(&[0xa0, 0x00]).is_none(), "junk behind it");
    }

    proptest! {
        #[test]
        fn nothing_that_comes_from_outside_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _judged = (Map::parse(&bytes), is_authenticator_data(&bytes));
        }
    }
}
