//! Identities of age-plugin-yubikey (`AGE-PLUGIN-YUBIKEY-1…`): no secrets, only where a key is. Read, so that its key is found
//! without the plugin, and written, so that age finds ours. It must not know tokens.

use std::fmt;

use age_core::format::Stanza;
use age_core::primitives::{bech32_decode, bech32_encode};
use bech32::Hrp;
use quorate_protocol::p256_stanza::{P256Stanza, key_tag};

use super::{PivKey, Slot};

const HRP: &str = "age-plugin-yubikey-";
/// Serial number (little-endian), slot, tag.
const BYTES: usize = 9;

/// Where a key is: on which token, in which slot, and how files name it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Stub {
    /// The token's serial number.
    pub serial: u32,
    /// A retired slot: the plugin uses no other.
    pub slot: Slot,
    /// The first four bytes of the SHA-256 of the compressed public key.
    pub tag: [u8; 4],
}

impl Stub {
    /// The identity of a key. `None` for a key in a slot that the plugin does not use.
    pub fn of(serial: u32, key: &PivKey) -> Option<Self> {
        let slot = Some(key.slot).filter(|slot| *slot != Slot::KEY_MANAGEMENT)?;
        Some(Self { serial, slot, tag: key_tag(&key.public) })
    }

    /// `None` when the line is no identity of this plugin, or names a slot that it cannot mean.
    pub fn parse(line: &str) -> Option<Self> {
        let wanted = |hrp: Hrp| hrp.as_str().eq_ignore_ascii_case(HRP).then_some(()).ok_or(());
        let bytes: Vec<u8> = bech32_decode(line, |_| (), wanted, |_, bytes| Ok(bytes.collect())).ok()?;
        // Later versions may append; the plugin itself reads no further either.
        let [s0, s1, s2, s3, slot, tag @ ..] = *bytes.first_chunk::<BYTES>()?;
        let slot = Slot::try_from(slot).ok().filter(|slot| *slot != Slot::KEY_MANAGEMENT)?;
        Some(Self { serial: u32::from_le_bytes([s0, s1, s2, s3]), slot, tag })
    }

    /// Whether a stanza, of either type, names the key.
    pub fn is_named_in(&self, stanzas: &[Stanza]) -> bool {
        stanzas.iter().filter_map(P256Stanza::parse).flatten().any(|stanza| stanza.is_for_tag(self.tag))
    }
}

impl fmt::Display for Stub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bytes = [&self.serial.to_le_bytes()[..], &[self.slot.number()], &self.tag].concat();
        f.write_str(&bech32_encode(Hrp::parse_unchecked(HRP), &bytes).to_uppercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_in_either_case() {
        let stub = Stub { serial: 0x0102_0304, slot: "95".parse().unwrap(), tag: [9, 8, 7, 6] };
        let line = stub.to_string();
        assert!(line.starts_with("AGE-PLUGIN-YUBIKEY-1"), "{line}");
        assert_eq!(Stub::parse(&line), Some(stub));
        assert_eq!(Stub::parse(&line.to_lowercase()), Some(stub));
    }

    #[test]
    fn other_plugins_short_ones_and_other_slots_are_no_stubs() {
        let line = |hrp: &str, bytes: &[u8]| bech32_encode(Hrp::parse_unchecked(hrp), bytes).to_uppercase();
        assert!(Stub::parse(&line(HRP, &[1, 0, 0, 0, 0x82, 1, 2, 3, 4])).is_some());
        assert!(Stub::parse(&line(HRP, &[1, 0, 0, 0, 0x82, 1, 2, 3, 4, 5])).is_some(), "later versions may append");
        for (hrp, bytes) in [
            ("age-plugin-other-", &[1, 0, 0, 0, 0x82, 1, 2, 3, 4][..]),
            (HRP, &[1, 0, 0, 0, 0x82, 1, 2, 3]),
            (HRP, &[1, 0, 0, 0, 0x9d, 1, 2, 3, 4]),
            (HRP, &[1, 0, 0, 0, 0x9a, 1, 2, 3, 4]),
        ] {
            assert_eq!(Stub::parse(&line(hrp, bytes)), None, "{hrp} {bytes:x?}");
        }
    }
}
