//! Shares dealt by farMFA: reading and combining them. quorate never deals any, so nothing here splits a secret.
//!
//! farMFA shared the base32 text of a TOTP key, first in the layout of the SSSA library, later in that of HashiCorp
//! Vault's `shamir` package. Neither carries a checksum. This module knows both layouts and nothing of Tocs, sessions
//! or time.

mod sssa;
mod vault;

use std::fmt;

use zeroize::Zeroizing;

use crate::otp::{OtpError, OtpSecret};

/// Longest share read, in characters: six chunks of the older layout, for a text of up to 192 characters; real keys are
/// a third of that. What is longer only costs whoever combines it.
pub const MAX_SHARE_CHARS: usize = 528;
/// Most shares combined or compared at once.
pub const MAX_SHARES: usize = 255;

/// Why shares cannot be read or combined. Indices count the shares as they were given, from 0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FarmfaError {
    /// Neither layout fits.
    #[error("this is no farMFA share: it is neither standard base64 nor a row of 44-character base64url numbers")]
    Malformed,
    /// Over [`MAX_SHARE_CHARS`].
    #[error("the share is longer than {MAX_SHARE_CHARS} characters")]
    TooLong,
    /// A number of the older layout is not below its prime.
    #[error("the share holds a number out of range; it was altered, or is no share")]
    OutOfRange,
    /// The share claims to sit where the secret itself is.
    #[error("the share has x = 0, which no dealer gives out; it was altered, or is forged")]
    ZeroX,
    /// Under 2 or over [`MAX_SHARES`].
    #[error("a threshold of {threshold} is impossible; it is 2 to {MAX_SHARES}")]
    Threshold {
        /// What was asked for.
        threshold: usize,
    },
    /// Fewer shares than the threshold.
    #[error("{have} shares are too few; {need} are needed")]
    TooFew {
        /// Shares given.
        have: usize,
        /// The threshold.
        need: usize,
    },
    /// More shares than [`MAX_SHARES`].
    #[error("more than {MAX_SHARES} shares were given")]
    TooMany,
    /// One share is of another layout than the first.
    #[error("share {index} is of another layout than the first; they come from different deals")]
    MixedLayouts {
        /// Which one.
        index: usize,
    },
    /// One share is of another length than the first.
    #[error("share {index} differs in length from the first; they come from different deals")]
    UnequalLengths {
        /// Which one.
        index: usize,
    },
    /// Two shares sit at the same x.
    #[error("shares {first} and {second} have the same x; one repeats or imitates the other")]
    RepeatedX {
        /// The earlier one.
        first: usize,
        /// The later one.
        second: usize,
    },
    /// More shares than the threshold, but not of one polynomial.
    #[error("the shares do not belong together; at least one was altered or is of another deal")]
    Disagree,
    /// What was rebuilt is not the text of a key.
    #[error("the rebuilt text is not base32; a share was altered, is of another deal, or the threshold is wrong")]
    NotBase32,
    /// The rebuilt key is too short or too long to be used.
    #[error("the rebuilt secret cannot be used: {0}")]
    Unusable(OtpError),
}

/// How a share is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// HashiCorp Vault's: standard base64 of the y bytes and one x byte, GF(2^8) modulo 0x11b.
    Vault,
    /// SSSA's: pairs x ‖ y of 32 bytes big-endian, each number in padded base64url, modulo 2^256 − 189.
    Sssa,
}

/// One share of a base32 text. Wiped on drop; `Debug` shows the layout only.
#[derive(Clone)]
pub struct Share(Body);

#[derive(Clone)]
enum Body {
    Vault(vault::Share),
    Sssa(sssa::Share),
}

impl Share {
    /// Reads a share, telling the layouts apart by their shape: only SSSA's has padding inside.
    pub fn parse(text: &str) -> Result<Self, FarmfaError> {
        let text = text.trim();
        if text.len() > MAX_SHARE_CHARS {
            return Err(FarmfaError::TooLong);
        }
        if sssa::has_shape(text) {
            sssa::Share::parse(text).map(|share| Self(Body::Sssa(share)))
        } else {
            vault::Share::parse(text).map(|share| Self(Body::Vault(share)))
        }
    }

    /// The layout it was read from.
    pub fn layout(&self) -> Layout {
        match self.0 {
            Body::Vault(_) => Layout::Vault,
            Body::Sssa(_) => Layout::Sssa,
        }
    }
}

impl fmt::Debug for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Share").field("layout", &self.layout()).finish_non_exhaustive()
    }
}

/// Rebuilds the secret: SHA1, 6 digits, 30 seconds, unnamed, as farMFA used it.
///
/// The first `threshold` shares are combined. Any further ones must agree with them, else
/// [`FarmfaError::Disagree`]: [`consistent`] may say which is odd. With exactly `threshold` shares, an altered one is
/// noticed only if the result is no base32 text, and a wrong key is possible.
pub fn combine(shares: &[Share], threshold: usize) -> Result<OtpSecret, FarmfaError> {
    let shares = Group::of(shares, threshold)?;
    if shares.odd_extras().next().is_some() {
        return Err(FarmfaError::Disagree);
    }
    secret_of(&shares.rebuild(&shares.base()))
}

/// What more shares than the threshold say about each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consistency {
    /// All lie on one polynomial.
    Agree,
    /// All but this one (by its index) do.
    Odd(usize),
    /// They do not, and it cannot be told who is odd: several are, or there is one share more than the threshold
    /// and more than one way of leaving one out gives a base32 text.
    Disagree,
    /// There are exactly `threshold` shares: any values agree.
    NothingToCompare,
}

/// Compares more than `threshold` shares with each other, to find an altered one.
///
/// With two shares or more beyond the threshold a single odd one is always found. With one beyond, it is found
/// if leaving it out is the only way to a base32 text.
pub fn consistent(shares: &[Share], threshold: usize) -> Result<Consistency, FarmfaError> {
    let shares = Group::of(shares, threshold)?;
    let extras = shares.count() - threshold;
    let odd: Vec<usize> = shares.odd_extras().take(2).collect();
    Ok(match (extras, odd.as_slice()) {
        (0, _) => Consistency::NothingToCompare,
        (_, []) => Consistency::Agree,
        (1, _) => shares.odd_by_text(),
        (_, [odd]) => Consistency::Odd(*odd),
        // Two of the extras or more disagree with the first shares: if a single share is odd, it is among the first.
        _ => shares.odd_in_base(),
    })
}

/// Turns rebuilt bytes into a secret. White space inside, which a typed key may have, is refused here: farMFA could
/// not have made codes of such a text, and every character that is refused makes an altered share likelier to show.
fn secret_of(text: &[u8]) -> Result<OtpSecret, FarmfaError> {
    let text = text.trim_ascii();
    let base32 = |byte: &u8| byte.is_ascii_alphabetic() || (b'2'..=b'7').contains(byte) || *byte == b'=';
    let text = std::str::from_utf8(text).ok().filter(|text| text.bytes().all(|byte| base32(&byte)));
    OtpSecret::from_base32(text.ok_or(FarmfaError::NotBase32)?).map_err(|error| match error {
        OtpError::NotBase32 | OtpError::Base32Length => FarmfaError::NotBase32,
        other => FarmfaError::Unusable(other),
    })
}

/// Shares of one layout and length at distinct x, at least a threshold of them.
struct Group<'a> {
    bodies: Bodies<'a>,
    threshold: usize,
}

enum Bodies<'a> {
    Vault(Vec<&'a vault::Share>),
    Sssa(Vec<&'a sssa::Share>),
}

impl<'a> Group<'a> {
    fn of(shares: &'a [Share], threshold: usize) -> Result<Self, FarmfaError> {
        if !(2..=MAX_SHARES).contains(&threshold) {
            return Err(FarmfaError::Threshold { threshold });
        }
        if shares.len() < threshold {
            return Err(FarmfaError::TooFew { have: shares.len(), need: threshold });
        }
        if shares.len() > MAX_SHARES {
            return Err(FarmfaError::TooMany);
        }
        let bodies = match shares[0].0 {
            Body::Vault(_) => {
                let bodies = all_of(shares, |body| if let Body::Vault(share) = body { Some(share) } else { None })?;
                distinct(&bodies, |one, other| one.len() == other.len(), |one, other| one.x() == other.x())?;
                Bodies::Vault(bodies)
            }
            Body::Sssa(_) => {
                let bodies = all_of(shares, |body| if let Body::Sssa(share) = body { Some(share) } else { None })?;
                distinct(&bodies, |one, other| one.chunks() == other.chunks(), sssa::Share::meets)?;
                Bodies::Sssa(bodies)
            }
        };
        Ok(Self { bodies, threshold })
    }

    fn count(&self) -> usize {
        match &self.bodies {
            Bodies::Vault(shares) => shares.len(),
            Bodies::Sssa(shares) => shares.len(),
        }
    }

    /// The indices of the first `threshold` shares.
    fn base(&self) -> Vec<usize> {
        (0..self.threshold).collect()
    }

    /// The bytes that the shares at the indices `base` were dealt from.
    fn rebuild(&self, base: &[usize]) -> Zeroizing<Vec<u8>> {
        match &self.bodies {
            Bodies::Vault(shares) => vault::rebuild(&pick(shares, base)),
            Bodies::Sssa(shares) => sssa::rebuild(&pick(shares, base)),
        }
    }

    /// Whether the share at `index` lies on the polynomial of those at the indices `base`.
    fn agrees(&self, base: &[usize], index: usize) -> bool {
        match &self.bodies {
            Bodies::Vault(shares) => vault::agrees(&pick(shares, base), shares[index]),
            Bodies::Sssa(shares) => sssa::agrees(&pick(shares, base), shares[index]),
        }
    }

    /// The shares beyond the first `threshold` that disagree with those.
    fn odd_extras(&self) -> impl Iterator<Item = usize> {
        let base = self.base();
        (self.threshold..self.count()).filter(move |index| !self.agrees(&base, *index))
    }

    /// One share more than the threshold, and they disagree: every share could be the odd one, but only leaving out
    /// the right one surely leads to a base32 text.
    fn odd_by_text(&self) -> Consistency {
        let mut candidates = (0..self.count()).filter(|out| {
            let rest: Vec<usize> = (0..self.count()).filter(|index| index != out).collect();
            secret_of(&self.rebuild(&rest)).is_ok()
        });
        match (candidates.next(), candidates.next()) {
            (Some(odd), None) => Consistency::Odd(odd),
            _ => Consistency::Disagree,
        }
    }

    /// Looks for the one of the first shares without which all others agree.
    fn odd_in_base(&self) -> Consistency {
        let others = self.threshold + 1..self.count();
        let odd = (0..self.threshold).find(|out| {
            let base: Vec<usize> = (0..=self.threshold).filter(|index| index != out).collect();
            others.clone().all(|index| self.agrees(&base, index))
        });
        odd.map_or(Consistency::Disagree, Consistency::Odd)
    }
}

fn all_of<'a, T>(shares: &'a [Share], body: impl Fn(&'a Body) -> Option<&'a T>) -> Result<Vec<&'a T>, FarmfaError> {
    let of_layout = |(index, share): (usize, &'a Share)| body(&share.0).ok_or(FarmfaError::MixedLayouts { index });
    shares.iter().enumerate().map(of_layout).collect()
}

/// Checks that all shares are as long as the first and that no two sit at the same x.
fn distinct<T>(
    shares: &[&T],
    as_long: impl Fn(&T, &T) -> bool,
    same_x: impl Fn(&T, &T) -> bool,
) -> Result<(), FarmfaError> {
    if let Some(index) = shares.iter().position(|share| !as_long(shares[0], share)) {
        return Err(FarmfaError::UnequalLengths { index });
    }
    for (second, share) in shares.iter().enumerate() {
        if let Some(first) = shares[..second].iter().position(|earlier| same_x(earlier, share)) {
            return Err(FarmfaError::RepeatedX { first, second });
        }
    }
    Ok(())
}

fn pick<'a, T>(shares: &[&'a T], indices: &[usize]) -> Vec<&'a T> {
    indices.iter().map(|index| shares[*index]).collect()
}
