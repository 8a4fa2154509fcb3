//! What can be wrong with a one-time-password secret. No message ever holds the secret, whatever was typed where.

use std::fmt;

/// Why text or bytes are no usable TOTP secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtpError {
    /// Not an otpauth URI at all, or one with a fragment.
    #[error("this is not an otpauth URI: it must look like otpauth://totp/NAME?secret=KEY, with # written %23")]
    NotOtpauth,
    /// The URI exceeds [`MAX_URI_BYTES`](super::MAX_URI_BYTES).
    #[error("the otpauth URI is longer than {} bytes; check what was pasted", super::MAX_URI_BYTES)]
    UriTooLong,
    /// A counter-based secret.
    #[error(
        "this is a counter-based secret (HOTP); only time-based ones (TOTP) can be shared, because a counter cannot be"
    )]
    Hotp,
    /// A Steam Guard secret.
    #[error("this is a Steam secret; its letter codes are not supported, keep it in Steam's own app")]
    Steam,
    /// Another type after `otpauth://`; the name is absent when it is long enough to be a misplaced key.
    #[error("unknown kind of one-time password{}; only otpauth://totp/… works", Named(.name))]
    UnknownKind {
        /// What stood where `totp` belongs.
        name: Option<String>,
    },
    /// A parameter occurs twice.
    #[error("the otpauth URI gives {parameter} twice; remove the wrong one")]
    Repeated {
        /// Which one.
        parameter: Parameter,
    },
    /// No `secret` parameter, or an empty one.
    #[error("the otpauth URI has no secret; add secret=KEY with the account's base32 key")]
    MissingSecret,
    /// A character outside base32, or padding inside.
    #[error(
        "the secret is not base32: it may hold only the letters A to Z and the digits 2 to 7; check for 0, 1 and 8 typed for O, I and B"
    )]
    NotBase32,
    /// A number of base32 characters that no bytes encode to.
    #[error("the secret has a length that base32 cannot have; a character is missing or too many")]
    Base32Length,
    /// Key under [`MIN_KEY_BYTES`](super::MIN_KEY_BYTES).
    #[error(
        "the secret {}; at least 80 bits (16 base32 characters) are needed, ask the account for a new one", Short(.bits)
    )]
    TooShort {
        /// Its length in bits.
        bits: usize,
    },
    /// Key over [`MAX_KEY_BYTES`](super::MAX_KEY_BYTES).
    #[error("the secret is longer than {} bytes; check what was pasted", super::MAX_KEY_BYTES)]
    TooLong,
    /// Digits other than 6, 7 or 8.
    #[error("codes of {found} digits are not supported; digits must be 6, 7 or 8")]
    Digits {
        /// What was asked for.
        found: u64,
    },
    /// A step of no length.
    #[error("the period is 0 seconds; it must be at least 1, and is usually 30")]
    PeriodZero,
    /// A step beyond [`MAX_PERIOD`](super::MAX_PERIOD).
    #[error("the period of {found} seconds is too long; it is usually 30")]
    PeriodTooLong {
        /// What was asked for, in seconds.
        found: u64,
    },
    /// `digits` or `period` is not a decimal number.
    #[error("{parameter} is not a number; write it in decimal digits")]
    NotANumber {
        /// Which one.
        parameter: Parameter,
    },
    /// Not SHA1, SHA256 or SHA512; the name is absent when it is long enough to be a misplaced key.
    #[error("unknown algorithm{}; it must be SHA1, SHA256 or SHA512", Named(.name))]
    UnknownAlgorithm {
        /// What was asked for.
        name: Option<String>,
    },
    /// A percent-encoded name or value is not UTF-8.
    #[error("a name in the otpauth URI is not UTF-8; encode it again as UTF-8")]
    NotUtf8,
    /// Issuer or account over [`MAX_NAME_BYTES`](super::MAX_NAME_BYTES).
    #[error("the issuer or account is longer than {} bytes; shorten it", super::MAX_NAME_BYTES)]
    NameTooLong,
}

/// The parameters of an otpauth URI that mean something here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    /// `algorithm`
    Algorithm,
    /// `digits`
    Digits,
    /// `encoder`, which marks Steam secrets
    Encoder,
    /// `issuer`
    Issuer,
    /// `period`
    Period,
    /// `secret`
    Secret,
    /// Any other.
    Unknown,
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Algorithm => "algorithm",
            Self::Digits => "digits",
            Self::Encoder => "encoder",
            Self::Issuer => "issuer",
            Self::Period => "period",
            Self::Secret => "secret",
            Self::Unknown => "an unknown parameter",
        })
    }
}

/// Names are quoted only while shorter than the shortest key in base32 (16 characters): a key typed into the wrong
/// place must not come back in a message.
const LONGEST_QUOTED: usize = 12;

/// `text` made safe to quote in an error, unless it could be a key.
pub(super) fn short_name(text: &str) -> Option<String> {
    (text.len() <= LONGEST_QUOTED).then(|| crate::display::escape_controls(text))
}

/// How short a secret is.
struct Short<'a>(&'a usize);

impl fmt::Display for Short<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str("is empty"),
            bits => write!(f, "has only {bits} bits"),
        }
    }
}

struct Named<'a>(&'a Option<String>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |name| write!(f, " \"{name}\""))
    }
}
