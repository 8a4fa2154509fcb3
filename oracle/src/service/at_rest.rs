//! Sealing of rows: every secret column is AEAD under the oracle's root secret, with table, row and column as associated
//! data, so that whoever can write to the database cannot move a value from one row to another.

use quorate_protocol::encoding::length_prefixed;
use quorate_protocol::sealing::{SealingError, aead_open, aead_seal};
use rand::CryptoRng;
use std::fmt;
use zeroize::Zeroizing;

/// Where a sealed value belongs.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Table.
    pub table: &'a str,
    /// Primary key of the row, part by part.
    pub row: &'a [&'a [u8]],
    /// Column.
    pub column: &'a str,
}

/// The key that rows are sealed under.
pub struct AtRest(Zeroizing<[u8; 32]>);

impl fmt::Debug for AtRest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AtRest([redacted])")
    }
}

impl AtRest {
    /// Takes the key, derived from the root secret under a label of its own.
    pub fn new(key: Zeroizing<[u8; 32]>) -> Self {
        Self(key)
    }

    /// Seals `value` for `place`.
    pub fn seal(&self, place: Place<'_>, value: &[u8], rng: &mut impl CryptoRng) -> Vec<u8> {
        aead_seal(&self.0, &place.context(), value, rng)
    }

    /// Opens what was sealed for `place`, and for no other.
    pub fn open(&self, place: Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealingError> {
        aead_open(&self.0, &place.context(), sealed)
    }
}

impl Place<'_> {
    fn context(&self) -> Vec<u8> {
        let row = length_prefixed(self.row);
        length_prefixed(&[b"quorate/1 at rest", self.table.as_bytes(), &row, self.column.as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn a_value_opens_in_its_place_only() {
        let at_rest = AtRest::new(Zeroizing::new([7; 32]));
        let place = Place { table: "tocs", row: &[b"S1", b"d1"], column: "sealed" };
        let sealed = at_rest.seal(place, b"a Toc", &mut StdRng::seed_from_u64(0));
        assert_eq!(at_rest.open(place, &sealed).expect("its place").as_slice(), b"a Toc");
        let others = [
            Place { table: "events", ..place },
            Place { row: &[b"S2", b"d1"], ..place },
            Place { row: &[b"S1d1"], ..place },
            Place { column: "sealed2", ..place },
        ];
        for other in others {
            assert!(at_rest.open(other, &sealed).is_err(), "{other:?}");
        }
    }
}
