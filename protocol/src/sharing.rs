//! Shares of a group key: dealt and combined by `blahaj` over GF(2^8), and the keys that only their holders can sign with.
//!
//! `sharks`, which many would look for here, carries RUSTSEC-2024-0398 (coefficients are never 0, so repeated sharing
//! leaks the secret) and has no fixed release; `blahaj` is its maintained fork with the same share layout.

use crate::encoding::{hkdf, length_prefixed};
use crate::gf256::{self, Lagrange};
use crate::header::{Header, HeaderError, check_threshold};
use blahaj::Sharks;
use ed25519_dalek::SigningKey;
use rand::CryptoRng;
use std::fmt;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroizing;

/// Length of a share in bytes: x, then 32 of y.
pub const SHARE_LENGTH: usize = 33;

/// One share of a group key.
#[derive(Clone)]
pub struct Share(Zeroizing<[u8; SHARE_LENGTH]>);

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Share(x = {}, [redacted])", self.x())
    }
}

/// Why shares do not combine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SharingError {
    /// All shares are as their holders' keys say, but the other players' keys do not lie on the same polynomial.
    #[error("the deal is dishonest: its shares do not belong to one secret")]
    DishonestDeal,
    /// A header, or a threshold, that cannot be.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// A share of the wrong length.
    #[error("a share is {SHARE_LENGTH} bytes, not {0}")]
    Length(usize),
    /// A share that is not the one the header names.
    #[error("the share of player {x} is not the one that was dealt")]
    NotDealt {
        /// Coordinate of the share.
        x: u8,
    },
    /// Not exactly the threshold.
    #[error("{given} shares were given where {threshold} are needed")]
    Count {
        /// How many came.
        given: usize,
        /// How many it takes.
        threshold: usize,
    },
    /// x = 0, or above the size of the group.
    #[error("a share with x = {x} cannot belong to a group of {size}")]
    X {
        /// Coordinate of the share.
        x: u8,
        /// Number of players.
        size: u8,
    },
    /// Two shares with one x.
    #[error("two shares have x = {0}")]
    RepeatedX(u8),
}

impl Share {
    /// Reads x ‖ y. Any x but 0 passes here; the header decides the rest.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SharingError> {
        if bytes.len() != SHARE_LENGTH {
            return Err(SharingError::Length(bytes.len()));
        }
        if bytes[0] == 0 {
            return Err(SharingError::X { x: 0, size: u8::MAX });
        }
        let mut share = Zeroizing::new([0; SHARE_LENGTH]);
        share.copy_from_slice(bytes);
        Ok(Self(share))
    }

    /// x ‖ y.
    pub fn as_bytes(&self) -> &[u8; SHARE_LENGTH] {
        &self.0
    }

    /// The coordinate, 1 to 255.
    pub fn x(&self) -> u8 {
        self.0[0]
    }

    /// The key that the holder of this share signs with: the Ed25519 key of the seed
    /// HKDF-SHA256(share, "quorate/1 share-key\0" ‖ `group_id` ‖ `toc_id`), both length-prefixed.
    pub fn signing_key(&self, group_id: &str, toc_id: &str) -> SigningKey {
        let mut info = b"quorate/1 share-key\0".to_vec();
        info.extend(length_prefixed(&[group_id.as_bytes(), toc_id.as_bytes()]));
        SigningKey::from_bytes(&hkdf(None, self.as_bytes(), &info))
    }

    /// Checks that this share is the one that `header` names for its x, and gives its signing key.
    pub fn check(&self, header: &Header) -> Result<SigningKey, SharingError> {
        let x = self.x();
        let fields = header.fields();
        let player = header.player(x).ok_or(SharingError::X { x, size: fields.size })?;
        let key = self.signing_key(&fields.group_id, &player.toc_id);
        let genuine = key.verifying_key().as_bytes().ct_eq(player.share_key.0.as_slice());
        if bool::from(genuine) { Ok(key) } else { Err(SharingError::NotDealt { x }) }
    }
}

/// Splits `group_key` into `size` shares with x = 1 … `size`, any `threshold` of which give it back.
pub fn split(
    group_key: &[u8; 32],
    threshold: u8,
    size: u8,
    rng: &mut impl CryptoRng,
) -> Result<Vec<Share>, SharingError> {
    check_threshold(usize::from(threshold), usize::from(size))?;
    Sharks(threshold)
        .dealer_rng(group_key, rng)
        .take(usize::from(size))
        .map(|share| Share::from_bytes(&Zeroizing::new(Vec::from(&share))))
        .collect()
}

/// A share that is the one which a header names for its x: checked once, which costs a multiplication on the curve.
#[derive(Debug, Clone)]
pub struct GenuineShare {
    share: Share,
    header: [u8; 32],
}

impl GenuineShare {
    /// Checks `share` as [`Share::check`] does.
    pub fn check(share: Share, header: &Header) -> Result<Self, SharingError> {
        share.check(header)?;
        Ok(Self { share, header: header.digest() })
    }

    /// The coordinate, 1 to 255.
    pub fn x(&self) -> u8 {
        self.share.x()
    }
}

/// Rebuilds the group key from exactly the threshold of shares, and checks the whole deal: every share against the key
/// that the header names for it, and every other player's key against the polynomial that these shares lie on.
pub fn combine(shares: &[Share], header: &Header) -> Result<Zeroizing<[u8; 32]>, SharingError> {
    check_count(shares.len(), header)?;
    let genuine: Vec<GenuineShare> =
        shares.iter().map(|share| GenuineShare::check(share.clone(), header)).collect::<Result<_, _>>()?;
    combine_genuine(&genuine, header, OtherShares::Check)
}

/// The shares of a deal that are not among those combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherShares {
    /// Compare them with the header.
    Check,
    /// Some quorum of this very header was checked before: whatever genuine shares come, they lie on one polynomial.
    CheckedBefore,
}

/// The same with shares that have been checked against this header.
pub fn combine_genuine(
    shares: &[GenuineShare],
    header: &Header,
    others: OtherShares,
) -> Result<Zeroizing<[u8; 32]>, SharingError> {
    check_count(shares.len(), header)?;
    let digest = header.digest();
    let mut present = [false; 256];
    for share in shares {
        if share.header != digest {
            return Err(SharingError::NotDealt { x: share.x() });
        }
        if std::mem::replace(&mut present[usize::from(share.x())], true) {
            return Err(SharingError::RepeatedX(share.x()));
        }
    }
    let shares: Vec<&Share> = shares.iter().map(|genuine| &genuine.share).collect();
    let polynomial = Polynomial::through(&shares);
    let fields = header.fields();
    if others == OtherShares::Check {
        for x in (1..=fields.size).filter(|&x| !present[usize::from(x)]) {
            polynomial.share_at(x).check(header).map_err(|_| SharingError::DishonestDeal)?;
        }
    }
    Ok(polynomial.value_at(0))
}

fn check_count(given: usize, header: &Header) -> Result<(), SharingError> {
    let threshold = usize::from(header.fields().threshold);
    if given == threshold { Ok(()) } else { Err(SharingError::Count { given, threshold }) }
}

/// The polynomials that some shares lie on. `blahaj` only knows their value at 0, through tables that a neighbour's cache
/// could watch; this is the same field in constant time, checked against it below.
struct Polynomial<'a> {
    shares: &'a [&'a Share],
    lagrange: Lagrange<{ gf256::BLAHAJ }>,
}

impl<'a> Polynomial<'a> {
    /// Through `shares`, whose x are distinct.
    fn through(shares: &'a [&'a Share]) -> Self {
        let xs: Vec<u8> = shares.iter().map(|share| share.x()).collect();
        Self { shares, lagrange: Lagrange::new(&xs).expect("the caller has checked that the x are distinct") }
    }

    /// The share with coordinate `x`.
    fn share_at(&self, x: u8) -> Share {
        let mut bytes = Zeroizing::new([0; SHARE_LENGTH]);
        bytes[0] = x;
        bytes[1..].copy_from_slice(self.value_at(x).as_slice());
        Share(bytes)
    }

    fn value_at(&self, at: u8) -> Zeroizing<[u8; 32]> {
        let mut value = Zeroizing::new([0u8; 32]);
        for (share, coefficient) in self.shares.iter().zip(self.lagrange.at(at)) {
            for (sum, &y) in value.iter_mut().zip(&share.as_bytes()[1..]) {
                *sum ^= gf256::mul::<{ gf256::BLAHAJ }>(coefficient, y);
            }
        }
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn blahaj_shares(shares: &[Share]) -> Vec<blahaj::Share> {
        shares.iter().map(|s| blahaj::Share::try_from(s.as_bytes().as_slice()).expect("long enough")).collect()
    }

    proptest! {
        #[test]
        fn any_threshold_of_shares_rebuilds_the_key(key: [u8; 32], seed: u64, threshold in 2u8..8, more in 0u8..6, skip in 0usize..6) {
            let shares = split(&key, threshold, threshold + more, &mut StdRng::seed_from_u64(seed)).expect("in range");
            let some: Vec<Share> = shares.iter().cycle().skip(skip).take(usize::from(threshold)).cloned().collect();
            let lent: Vec<&Share> = some.iter().collect();
            let polynomial = Polynomial::through(&lent);
            prop_assert_eq!(*polynomial.value_at(0), key);
            prop_assert_eq!(Sharks(threshold).recover(&blahaj_shares(&some)).expect("enough"), key.to_vec());
            for share in &shares {
                let continued = polynomial.share_at(share.x());
                prop_assert_eq!(continued.as_bytes(), share.as_bytes());
            }
        }

        /// One share fewer than the threshold says nothing: for every other key there is a last share that leads to it.
        #[test]
        fn one_share_short_fits_every_key(key: [u8; 32], other: [u8; 32], seed: u64) {
            let shares = split(&key, 2, 2, &mut StdRng::seed_from_u64(seed)).expect("in range");
            let mut zero = [0; SHARE_LENGTH];
            zero[1..].copy_from_slice(&other);
            let forged = Polynomial::through(&[&shares[0], &Share(Zeroizing::new(zero))]).share_at(2);
            prop_assert_eq!(*Polynomial::through(&[&shares[0], &forged]).value_at(0), other);
        }
    }

    #[test]
    fn shares_cross_between_blahaj_and_sharks() {
        let key = [7u8; 32];
        let ours = split(&key, 3, 5, &mut StdRng::seed_from_u64(1)).expect("in range");
        let theirs: Vec<sharks::Share> =
            ours[1..4].iter().map(|s| sharks::Share::try_from(s.as_bytes().as_slice()).expect("long enough")).collect();
        assert_eq!(sharks::Sharks(3).recover(&theirs).expect("enough"), key);

        let dealt: Vec<Share> = sharks::Sharks(3)
            .dealer(&key)
            .take(5)
            .map(|s| Share::from_bytes(&Vec::from(&s)).expect("same layout"))
            .collect();
        let lent: Vec<&Share> = dealt[2..].iter().collect();
        assert_eq!(*Polynomial::through(&lent).value_at(0), key);
    }

    #[test]
    fn what_cannot_be_a_share_is_refused() {
        assert_eq!(Share::from_bytes(&[1; 32]).expect_err("short"), SharingError::Length(32));
        assert_eq!(Share::from_bytes(&[0; 33]).expect_err("x = 0"), SharingError::X { x: 0, size: 255 });
        for (threshold, size) in [(0, 3), (1, 3), (4, 3), (2, 1)] {
            assert!(split(&[0; 32], threshold, size, &mut StdRng::seed_from_u64(0)).is_err(), "{threshold} of {size}");
        }
    }

    #[test]
    fn a_share_does_not_print_itself() {
        let share = Share::from_bytes(&[9; 33]).expect("a share");
        assert_eq!(format!("{share:?}"), "Share(x = 9, [redacted])");
    }
}
