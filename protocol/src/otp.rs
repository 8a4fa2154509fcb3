//! One-time passwords: the key of an account, its otpauth URI, and the codes it yields (RFC 4226, RFC 6238).
//!
//! It knows nothing of shares, sessions or clocks: time is an argument, in seconds since the Unix epoch.

mod base32;
mod error;
mod uri;

use std::fmt::{self, Write as _};
use std::str::FromStr;

use subtle::{Choice, ConditionallySelectable as _, ConstantTimeEq as _};
use totp_rs::{Secret, Totp};
use zeroize::Zeroizing;

pub use error::{OtpError, Parameter};

/// Shortest key accepted, in bytes: 80 bits, what accounts issued before RFC 4226 asked for 128.
pub const MIN_KEY_BYTES: usize = 10;
/// Longest key accepted, in bytes. The longest hash has a block of 128 bytes; a longer key adds no strength.
pub const MAX_KEY_BYTES: usize = 1024;
/// Longest time step accepted, in seconds: one year.
pub const MAX_PERIOD: u32 = 365 * 24 * 60 * 60;
/// Longest issuer or account accepted, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 255;
/// Longest otpauth URI read, in bytes.
pub const MAX_URI_BYTES: usize = 8 * 1024;

/// The hash under the HMAC of a code (RFC 6238 §1.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC-SHA-1, what nearly every account uses.
    #[default]
    Sha1,
    /// HMAC-SHA-256.
    Sha256,
    /// HMAC-SHA-512.
    Sha512,
}

impl Algorithm {
    /// The name as otpauth URIs write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
            Self::Sha512 => "SHA512",
        }
    }

    fn engine(self) -> totp_rs::Algorithm {
        match self {
            Self::Sha1 => totp_rs::Algorithm::SHA1,
            Self::Sha256 => totp_rs::Algorithm::SHA256,
            Self::Sha512 => totp_rs::Algorithm::SHA512,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Algorithm {
    type Err = OtpError;

    /// Reads `SHA1`, and the spellings that occur beside it: `sha-1`, `HmacSHA1`.
    fn from_str(text: &str) -> Result<Self, OtpError> {
        let bare: String = text.chars().filter(|c| *c != '-').map(|c| c.to_ascii_uppercase()).collect();
        match bare.strip_prefix("HMAC").unwrap_or(&bare) {
            "SHA1" => Ok(Self::Sha1),
            "SHA256" => Ok(Self::Sha256),
            "SHA512" => Ok(Self::Sha512),
            _ => Err(OtpError::UnknownAlgorithm { name: error::short_name(text) }),
        }
    }
}

/// How codes are made from a key: algorithm, number of digits, length of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The hash.
    pub algorithm: Algorithm,
    /// Digits of a code, 6 to 8.
    pub digits: u8,
    /// Length of a time step in seconds, 1 to [`MAX_PERIOD`].
    pub period: u32,
}

impl Default for Parameters {
    /// What an otpauth URI means when it says nothing: SHA1, 6 digits, 30 seconds.
    fn default() -> Self {
        Self { algorithm: Algorithm::Sha1, digits: 6, period: 30 }
    }
}

/// The TOTP key of an account with its parameters and names.
///
/// The key is wiped on drop; `Debug` shows everything but the key; equality compares keys in constant time.
#[derive(PartialEq, Eq)]
pub struct OtpSecret {
    /// Holds the key, so that it exists once.
    engine: Totp,
    parameters: Parameters,
    issuer: Option<String>,
    account: String,
}

impl OtpSecret {
    /// Makes a secret of raw key bytes, without names.
    pub fn new(key: &[u8], parameters: Parameters) -> Result<Self, OtpError> {
        if key.len() < MIN_KEY_BYTES {
            return Err(OtpError::TooShort { bits: key.len() * 8 });
        }
        if key.len() > MAX_KEY_BYTES {
            return Err(OtpError::TooLong);
        }
        if !(6..=8).contains(&parameters.digits) {
            return Err(OtpError::Digits { found: parameters.digits.into() });
        }
        if parameters.period == 0 {
            return Err(OtpError::PeriodZero);
        }
        if parameters.period > MAX_PERIOD {
            return Err(OtpError::PeriodTooLong { found: parameters.period.into() });
        }
        // The strict builder wants 128 bits; accounts with 80-bit keys exist and must stay usable. Everything else
        // it checks (digits, a step of 0) is checked above.
        let engine = totp_rs::Builder::new()
            .with_algorithm(parameters.algorithm.engine())
            .with_digits(parameters.digits)
            .with_step_duration(parameters.period.into())
            .with_secret(Secret::from(key))
            .build_noncompliant();
        Ok(Self { engine, parameters, issuer: None, account: String::new() })
    }

    /// Reads a bare key as accounts print it: base32 (RFC 4648), where spaces, dashes and lower case are tolerated
    /// and padding is optional. Parameters are the defaults.
    pub fn from_base32(text: &str) -> Result<Self, OtpError> {
        Self::new(&base32::decode(text)?, Parameters::default())
    }

    /// Reads `otpauth://totp/LABEL?secret=…` (Google's "Key Uri Format").
    ///
    /// Of two issuers, the parameter wins over the label's prefix, and the prefix never stays in the account.
    /// Unknown parameters are ignored; a repeated one is refused.
    pub fn from_uri(text: &str) -> Result<Self, OtpError> {
        uri::parse(text)
    }

    /// The canonical otpauth URI: every parameter written, in the order secret, issuer, algorithm, digits, period.
    /// [`from_uri`](Self::from_uri) reads it back to an equal secret.
    pub fn to_uri(&self) -> Zeroizing<String> {
        uri::write(self)
    }

    /// Names the secret. Surrounding white space is cut off; an empty issuer is none.
    pub fn with_names(mut self, issuer: Option<&str>, account: &str) -> Result<Self, OtpError> {
        self.issuer = issuer.map(str::trim).filter(|name| !name.is_empty()).map(String::from);
        account.trim().clone_into(&mut self.account);
        let longest = self.issuer.as_deref().unwrap_or_default().len().max(self.account.len());
        if longest > MAX_NAME_BYTES { Err(OtpError::NameTooLong) } else { Ok(self) }
    }

    /// The raw key. Do not let a copy outlive its use.
    pub fn key(&self) -> &[u8] {
        self.engine.secret().as_bytes()
    }

    /// The key in base32: upper case, no padding.
    pub fn to_base32(&self) -> Zeroizing<String> {
        base32::encode(self.key())
    }

    /// Whether both make the same codes, whatever they are called. Keys are compared in constant time.
    pub fn makes_codes_of(&self, other: &Self) -> bool {
        let same_key: bool = self.key().ct_eq(other.key()).into();
        same_key && self.parameters == other.parameters
    }

    /// How codes are made.
    pub fn parameters(&self) -> Parameters {
        self.parameters
    }

    /// Who issued the account. Text from a stranger: show it through
    /// [`escape_controls`](crate::display::escape_controls).
    pub fn issuer(&self) -> Option<&str> {
        self.issuer.as_deref()
    }

    /// The account's name, possibly empty. Text from a stranger, like the issuer.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// Issuer and account on one line, safe to show: `AWS: root`, or `unnamed`.
    pub fn display_name(&self) -> String {
        let name = match (self.issuer(), self.account()) {
            (None, "") => "unnamed".to_owned(),
            (None, account) => account.to_owned(),
            (Some(issuer), "") => issuer.to_owned(),
            (Some(issuer), account) => format!("{issuer}: {account}"),
        };
        crate::display::escape_controls(&name)
    }

    /// The step that holds `unix_seconds` (RFC 6238 §4.2, T0 = 0).
    pub fn step_at(&self, unix_seconds: u64) -> u64 {
        unix_seconds / u64::from(self.parameters.period)
    }

    /// The code for `unix_seconds`.
    pub fn code_at(&self, unix_seconds: u64) -> Code {
        let step = self.step_at(unix_seconds);
        let digits = self.digits_of(step).expect("the step of an existing time is in range");
        let expires_at = step.saturating_add(1).saturating_mul(self.parameters.period.into());
        Code { digits, step, expires_at }
    }

    /// The step within `window` steps of `unix_seconds` whose code is `typed`: the latest one, should two agree.
    ///
    /// `typed` must be the digits alone. The work does not depend on which step matches. Accepting a step only
    /// once is the caller's duty (RFC 6238 §5.2).
    pub fn verify(&self, typed: &str, unix_seconds: u64, window: u8) -> Option<u64> {
        let now = self.step_at(unix_seconds);
        let (mut matched, mut found) = (0, Choice::from(0));
        for step in now.saturating_sub(window.into())..=now.saturating_add(window.into()) {
            let Some(digits) = self.digits_of(step) else { break };
            let equal = digits.as_bytes().ct_eq(typed.as_bytes());
            matched.conditional_assign(&step, equal);
            found |= equal;
        }
        bool::from(found).then_some(matched)
    }

    /// The digits of `step`, unless the step begins after the last second that a `u64` can name.
    fn digits_of(&self, step: u64) -> Option<Zeroizing<String>> {
        let begins = step.checked_mul(self.parameters.period.into())?;
        let mut digits = Zeroizing::new(String::with_capacity(self.parameters.digits.into()));
        write!(digits, "{}", self.engine.generate(begins)).expect("writing to a string cannot fail");
        Some(digits)
    }
}

impl fmt::Debug for OtpSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OtpSecret")
            .field("parameters", &self.parameters)
            .field("issuer", &self.issuer)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

/// One code and how long it lives.
#[derive(Clone, PartialEq, Eq)]
pub struct Code {
    /// The digits, leading zeros included.
    pub digits: Zeroizing<String>,
    /// The time step it belongs to.
    pub step: u64,
    /// The first second, since the Unix epoch, at which the next step's code holds.
    pub expires_at: u64,
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Code")
            .field("digits", &"redacted")
            .field("step", &self.step)
            .field("expires_at", &self.expires_at)
            .finish()
    }
}
