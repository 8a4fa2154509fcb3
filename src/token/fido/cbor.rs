//! The part of CBOR that CTAP2 speaks (CTAP 2.1 §8): integers, strings, arrays, maps, booleans, null, all of definite length. What
//! comes from a key is read strictly and within bounds; what goes to one is written with the keys of maps in the order given, which
//! the callers keep canonical. It must not know messages.

/// Maps and arrays inside one another at most (CTAP 2.1 §8: four levels).
const MAX_DEPTH: usize = 6;
/// Items of a map or an array at most: far more than any message has.
const MAX_ITEMS: u64 = 1024;

/// An item.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Value {
    /// In the order of the message.
    Array(Vec<Self>),
    /// True or false.
    Bool(bool),
    /// A byte string.
    Bytes(Vec<u8>),
    /// A whole number, of either sign.
    Int(i64),
    /// In the order of the message; no key twice.
    Map(Vec<(Self, Self)>),
    /// Nothing.
    Null,
    /// UTF-8.
    Text(String),
}

impl Value {
    /// Reads exactly one item.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let (value, rest) = item(bytes, MAX_DEPTH)?;
        rest.is_empty().then_some(value)
    }

    /// Reads items that stand one behind another (RFC 8742), as many as there are.
    pub fn sequence(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut items = Vec::new();
        while !bytes.is_empty() {
            let (value, rest) = item(bytes, MAX_DEPTH)?;
            items.push(value);
            bytes = rest;
        }
        Some(items)
    }

    /// The item as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }

    /// What a map has under a number.
    pub fn at(&self, key: i64) -> Option<&Self> {
        self.under(&Self::Int(key))
    }

    /// What a map has under a text.
    pub fn named(&self, key: &str) -> Option<&Self> {
        self.entries()?
            .iter()
            .find(|(known, _)| matches!(known, Self::Text(text) if text == key))
            .map(|(_, value)| value)
    }

    /// The entries of a map.
    pub fn entries(&self) -> Option<&[(Self, Self)]> {
        if let Self::Map(entries) = self { Some(entries) } else { None }
    }

    /// The items of an array.
    pub fn items(&self) -> Option<&[Self]> {
        if let Self::Array(items) = self { Some(items) } else { None }
    }

    /// A byte string.
    pub fn bytes(&self) -> Option<&[u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// A text.
    pub fn text(&self) -> Option<&str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// A number.
    pub fn int(&self) -> Option<i64> {
        if let Self::Int(number) = self { Some(*number) } else { None }
    }

    /// True or false.
    pub fn bool(&self) -> Option<bool> {
        if let Self::Bool(truth) = self { Some(*truth) } else { None }
    }

    fn under(&self, key: &Self) -> Option<&Self> {
        self.entries()?.iter().find(|(known, _)| known == key).map(|(_, value)| value)
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Int(number @ 0..) => head(out, 0, number.unsigned_abs()),
            Self::Int(number) => head(out, 1, number.unsigned_abs() - 1),
            Self::Bytes(bytes) => {
                head(out, 2, bytes.len() as u64);
                out.extend_from_slice(bytes);
            }
            Self::Text(text) => {
                head(out, 3, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
            Self::Array(items) => {
                head(out, 4, items.len() as u64);
                for item in items {
                    item.write(out);
                }
            }
            Self::Map(entries) => {
                head(out, 5, entries.len() as u64);
                for (key, value) in entries {
                    key.write(out);
                    value.write(out);
                }
            }
            Self::Bool(false) => out.push(0xf4),
            Self::Bool(true) => out.push(0xf5),
            Self::Null => out.push(0xf6),
        }
    }
}

/// Major type and argument (RFC 8949 §3), in the shortest form.
fn head(out: &mut Vec<u8>, major: u8, argument: u64) {
    let major = major << 5;
    let [.., a, b, c, d] = argument.to_be_bytes();
    match argument {
        0..24 => out.push(major | d),
        24..0x100 => out.extend_from_slice(&[major | 0x18, d]),
        0x100..0x1_0000 => out.extend_from_slice(&[major | 0x19, c, d]),
        0x1_0000..0x1_0000_0000 => out.extend_from_slice(&[major | 0x1a, a, b, c, d]),
        _ => {
            out.push(major | 0x1b);
            out.extend_from_slice(&argument.to_be_bytes());
        }
    }
}

/// The first item, and what is behind it.
fn item(bytes: &[u8], depth: usize) -> Option<(Value, &[u8])> {
    let depth = depth.checked_sub(1)?;
    let (first, rest) = bytes.split_first()?;
    let (major, low) = (first >> 5, first & 0x1f);
    if major == 7 {
        let value = match low {
            20 => Value::Bool(false),
            21 => Value::Bool(true),
            22 => Value::Null,
            _ => return None,
        };
        return Some((value, rest));
    }
    let (argument, rest) = argument(low, rest)?;
    match major {
        0 => Some((Value::Int(i64::try_from(argument).ok()?), rest)),
        1 => Some((Value::Int(-1 - i64::try_from(argument).ok()?), rest)),
        2 | 3 => {
            let (content, rest) = rest.split_at_checked(usize::try_from(argument).ok()?)?;
            let value = match major {
                2 => Value::Bytes(content.to_vec()),
                _ => Value::Text(std::str::from_utf8(content).ok()?.to_owned()),
            };
            Some((value, rest))
        }
        4 if argument <= MAX_ITEMS => {
            let (mut items, mut rest) = (Vec::new(), rest);
            for _ in 0..argument {
                let (value, behind) = item(rest, depth)?;
                items.push(value);
                rest = behind;
            }
            Some((Value::Array(items), rest))
        }
        5 if argument <= MAX_ITEMS => {
            let (mut entries, mut rest) = (Vec::<(Value, Value)>::new(), rest);
            for _ in 0..argument {
                let (key, behind) = item(rest, depth)?;
                let (value, behind) = item(behind, depth)?;
                if entries.iter().any(|(known, _)| *known == key) {
                    return None;
                }
                entries.push((key, value));
                rest = behind;
            }
            Some((Value::Map(entries), rest))
        }
        _ => None,
    }
}

fn argument(low: u8, rest: &[u8]) -> Option<(u64, &[u8])> {
    let length = match low {
        0..24 => return Some((u64::from(low), rest)),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        _ => return None,
    };
    let (bytes, rest) = rest.split_at_checked(length)?;
    Some((bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)), rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// RFC 8949, appendix A.
    #[test]
    fn items_are_those_of_the_standard() {
        for (hex, value) in [
            ("00", Value::Int(0)),
            ("1818", Value::Int(24)),
            ("1903e8", Value::Int(1000)),
            ("1a000f4240", Value::Int(1_000_000)),
            ("1b000000e8d4a51000", Value::Int(1_000_000_000_000)),
            ("20", Value::Int(-1)),
            ("3903e7", Value::Int(-1000)),
            ("f4", Value::Bool(false)),
            ("f6", Value::Null),
            ("4401020304", Value::Bytes(vec![1, 2, 3, 4])),
            ("62c3bc", Value::Text("ü".to_owned())),
            ("83010203", Value::Array(vec![Value::Int(1), Value::Int(2), Value::Int(3)])),
            ("a201020304", Value::Map(vec![(Value::Int(1), Value::Int(2)), (Value::Int(3), Value::Int(4))])),
        ] {
            let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
            assert_eq!(Value::parse(&bytes), Some(value.clone()), "{hex}");
            assert_eq!(value.encode(), bytes, "{hex}");
        }
    }

    #[test]
    fn what_no_key_may_send_is_refused() {
        for hex in [
            "",
            "18",
            "5f4101ff",
            "9f01ff",
            "c000",
            "f93c00",
            "1bffffffffffffffff",
            "4401",
            "62c328",
            "a2010101",
            "a201020102",
            "0000",
            "81818181818101",
            "9b00000000ffffffff",
            "5affffffff00",
            "ff",
        ] {
            let bytes = data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap();
            assert_eq!(Value::parse(&bytes), None, "{hex}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic_and_what_it_reads_it_writes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(value) = Value::parse(&bytes) {
                prop_assert_eq!(Value::parse(&value.encode()), Some(value));
            }
        }
    }
}
