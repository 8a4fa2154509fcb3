//! Bytes to and from a card: command APDUs (ISO 7816-4), BER-TLV objects, status words. It must not know readers, nor what the
//! commands mean.

use zeroize::Zeroizing;

/// Most data bytes in one short command; longer ones are chained.
const CHUNK: usize = 255;
/// Set in the class byte of every command of a chain but the last.
const CHAINED: u8 = 0x10;

/// A command, its data complete however long.
pub(super) struct Command {
    /// For errors.
    pub(super) name: &'static str,
    pub(super) ins: u8,
    pub(super) p1: u8,
    pub(super) p2: u8,
    /// May hold a PIN.
    pub(super) data: Zeroizing<Vec<u8>>,
}

impl Command {
    pub(super) fn new(name: &'static str, ins: u8, p1: u8, p2: u8) -> Self {
        Self { name, ins, p1, p2, data: Zeroizing::default() }
    }

    pub(super) fn with(mut self, data: &[u8]) -> Self {
        self.data = Zeroizing::new(data.to_vec());
        self
    }

    /// The command as the card gets it: several APDUs when the data is long.
    pub(super) fn apdus(&self) -> Vec<Zeroizing<Vec<u8>>> {
        let chunks: Vec<&[u8]> = if self.data.is_empty() { vec![&[]] } else { self.data.chunks(CHUNK).collect() };
        let last = chunks.len() - 1;
        let apdu = |(at, chunk): (usize, &&[u8])| {
            let class = if at < last { CHAINED } else { 0 };
            let length = u8::try_from(chunk.len()).expect("a chunk has 255 bytes at most");
            let mut apdu = Zeroizing::new(Vec::with_capacity(5 + chunk.len()));
            apdu.extend([class, self.ins, self.p1, self.p2, length]);
            apdu.extend(*chunk);
            apdu
        };
        chunks.iter().enumerate().map(apdu).collect()
    }
}

/// How a card ends its answer (SP 800-73-4 part 2, table 6).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Status(pub(super) u16);

impl Status {
    pub(super) const OK: Self = Self(0x9000);
    pub(super) const SECURITY: Self = Self(0x6982);
    pub(super) const BLOCKED: Self = Self(0x6983);
    pub(super) const NOT_FOUND: Self = Self(0x6a82);
    pub(super) const NO_REFERENCE: Self = Self(0x6a88);
    pub(super) const UNKNOWN_COMMAND: Self = Self(0x6d00);

    /// Whether more of the answer waits to be fetched.
    pub(super) fn has_more(self) -> bool {
        self.0 >> 8 == 0x61
    }

    /// Tries left after a wrong code; 0 is blocked.
    pub(super) fn tries_left(self) -> Option<u8> {
        match self.0 {
            0x63c0..=0x63cf => Some((self.0 & 0xf) as u8),
            _ if self == Self::BLOCKED => Some(0),
            _ => None,
        }
    }
}

/// One after the other, in memory that is wiped: any of them may be a secret. Reserved at once, because a vector that grows
/// leaves copies behind.
pub(super) fn joined(parts: &[&[u8]]) -> Zeroizing<Vec<u8>> {
    let mut whole = Zeroizing::new(Vec::with_capacity(parts.iter().map(|part| part.len()).sum()));
    for part in parts {
        whole.extend_from_slice(part);
    }
    whole
}

/// `tag`, the length, `value`, in memory that is wiped.
pub(super) fn tlv(tag: &[u8], value: &[u8]) -> Zeroizing<Vec<u8>> {
    let mut object = Zeroizing::new(Vec::with_capacity(tag.len() + 4 + value.len()));
    object.extend(tag);
    match value.len() {
        length @ 0..=0x7f => object.push(u8::try_from(length).expect("below 128")),
        length @ 0x80..=0xff => object.extend([0x81, u8::try_from(length).expect("below 256")]),
        length => {
            object.push(0x82);
            object.extend(u16::try_from(length).expect("no object of a card is longer").to_be_bytes());
        }
    }
    object.extend(value);
    object
}

/// The objects in `bytes`, whose tags have one byte each. `None` when they do not fill it exactly.
pub(super) fn objects(mut bytes: &[u8]) -> Option<Vec<(u8, &[u8])>> {
    let mut found = Vec::new();
    while let [tag, rest @ ..] = bytes {
        let (length, rest) = match rest {
            [length @ 0..=0x7f, rest @ ..] | [0x81, length, rest @ ..] => (usize::from(*length), rest),
            [0x82, high, low, rest @ ..] => (usize::from(u16::from_be_bytes([*high, *low])), rest),
            _ => return None,
        };
        let (value, rest) = rest.split_at_checked(length)?;
        found.push((*tag, value));
        bytes = rest;
    }
    Some(found)
}

/// The first object with this tag.
pub(super) fn object(bytes: &[u8], tag: u8) -> Option<&[u8]> {
    objects(bytes)?.into_iter().find(|(found, _)| *found == tag).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn long_data_is_chained_and_none_has_a_length_of_zero() {
        let short = Command::new("short", 0xfd, 1, 2);
        assert_eq!(short.apdus().iter().map(|apdu| apdu.to_vec()).collect::<Vec<_>>(), [[0, 0xfd, 1, 2, 0]]);
        let long = Command::new("long", 0xdb, 0x3f, 0xff).with(&[7; 511]);
        let apdus = long.apdus();
        let heads: Vec<&[u8]> = apdus.iter().map(|apdu| &apdu[..5]).collect();
        assert_eq!(heads, [[0x10, 0xdb, 0x3f, 0xff, 255], [0x10, 0xdb, 0x3f, 0xff, 255], [0, 0xdb, 0x3f, 0xff, 1]]);
        assert_eq!(apdus.iter().map(|apdu| apdu.len() - 5).sum::<usize>(), 511);
    }

    #[test]
    fn tries_left_are_read_from_the_status() {
        assert_eq!(Status(0x63c2).tries_left(), Some(2));
        assert_eq!(Status(0x63c0).tries_left(), Some(0));
        assert_eq!(Status(0x6983).tries_left(), Some(0));
        assert_eq!(Status(0x6982).tries_left(), None);
    }

    #[test]
    fn objects_that_promise_more_than_there_is_are_refused() {
        assert_eq!(objects(&[0x70, 1, 9, 0x71, 0]), Some(vec![(0x70, &[9][..]), (0x71, &[][..])]));
        for bad in [&[0x70][..], &[0x70, 2, 9], &[0x70, 0x81], &[0x70, 0x82, 1], &[0x70, 0x80], &[0x70, 0x83, 0, 0, 0]]
        {
            assert_eq!(objects(bad), None, "{bad:x?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(value in prop::collection::vec(any::<u8>(), 0..600), tag in any::<u8>()) {
            let written = tlv(&[tag], &value);
            prop_assert_eq!(objects(&written), Some(vec![(tag, value.as_slice())]));
        }

        #[test]
        fn nothing_that_a_card_says_makes_the_parser_fail(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = objects(&bytes);
        }
    }
}
