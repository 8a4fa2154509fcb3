//! BER-TLV for the virtual card; written apart from quorate's, so that a mistake there is not repeated here.

/// `tag`, a length, `value`.
pub(super) fn wrap(tag: &[u8], value: &[u8]) -> Vec<u8> {
    let length = value.len();
    let mut out = tag.to_vec();
    if length > 0xff {
        out.push(0x82);
        out.push(u8::try_from(length >> 8).expect("a card's objects are short"));
    } else if length > 0x7f {
        out.push(0x81);
    }
    out.push(u8::try_from(length & 0xff).expect("masked"));
    out.extend_from_slice(value);
    out
}

/// The value of the first object with this one-byte tag, or nothing when there is none or the bytes are no objects.
pub(super) fn find(mut bytes: &[u8], wanted: u8) -> Option<&[u8]> {
    while bytes.len() >= 2 {
        let (length, head) = match bytes[1] {
            short @ 0..=0x7f => (usize::from(short), 2),
            0x81 => (usize::from(*bytes.get(2)?), 3),
            0x82 => (usize::from(*bytes.get(2)?) << 8 | usize::from(*bytes.get(3)?), 4),
            _ => return None,
        };
        let value = bytes.get(head..head + length)?;
        if bytes[0] == wanted {
            return Some(value);
        }
        bytes = &bytes[head + length..];
    }
    None
}
