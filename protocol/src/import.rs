//! How a secret enters: an otpauth URI, a bare base32 key, an export of Google Authenticator, or a picture of QR codes
//! holding any of them.
//!
//! Text and bytes are arguments: nothing here opens a file, prompts or prints. What was read is wiped after use, as far
//! as the picture libraries' own buffers allow.

mod migration;
mod picture;

use std::fmt;

use crate::display::escape_controls;
use crate::otp::{OtpError, OtpSecret};
use zeroize::Zeroizing;

use migration::Parts;

/// Longest text read, in bytes. A full QR code holds under 3 KB, so this is some twenty of them.
pub const MAX_TEXT_BYTES: usize = 64 * 1024;

/// One entry of what was given.
#[derive(Debug, PartialEq, Eq)]
pub enum Imported {
    /// A usable secret.
    Secret(OtpSecret),
    /// An entry of an export that cannot be used; the others can.
    LeftOut {
        /// Its name, safe to show.
        name: String,
        /// Why.
        reason: LeftOut,
    },
}

/// Why an entry of an export is left out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// Counter-based (HOTP): a counter cannot be shared.
    #[error("it is counter-based (HOTP), and a counter cannot be shared")]
    Counter,
    /// Key or names out of bounds.
    #[error("{0}")]
    Unusable(OtpError),
}

/// Why nothing could be imported. No message holds a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// Nothing but white space.
    #[error("nothing was given; paste an otpauth:// URI or the account's base32 key")]
    Empty,
    /// Over [`MAX_TEXT_BYTES`].
    #[error("the text is longer than {MAX_TEXT_BYTES} bytes; check what was pasted")]
    TooLong,
    /// A URI or key that is not usable.
    #[error(transparent)]
    Otp(#[from] OtpError),
    /// A line among URIs that is none.
    #[error("line {line} is neither an otpauth:// nor an otpauth-migration:// URI; remove it")]
    StrangeLine {
        /// Counted from 1, empty lines included.
        line: usize,
    },
    /// An `otpauth-migration` URI whose data cannot be decoded.
    #[error("the otpauth-migration URI is damaged; export the accounts again")]
    DamagedExport,
    /// An export spread over several QR codes, not all of which are there.
    #[error("the export has {of} parts and {} missing; give the QR codes of all parts together", Numbers(.missing))]
    PartsMissing {
        /// The absent parts, counted from 1.
        missing: Vec<u32>,
        /// Parts of the export.
        of: u32,
    },
    /// An entry of an export asks for a hash that is not supported (MD5) or does not exist.
    #[error("the export's entry \"{name}\" uses an algorithm that is not supported; leave it out of the export")]
    UnknownAlgorithm {
        /// Its name, safe to show.
        name: String,
    },
    /// An entry of an export asks for a number of digits that does not exist.
    #[error("the export's entry \"{name}\" asks for an unknown number of digits; leave it out of the export")]
    UnknownDigits {
        /// Its name, safe to show.
        name: String,
    },
    /// An entry of an export is neither time-based nor counter-based.
    #[error("the export's entry \"{name}\" is of an unknown kind; leave it out of the export")]
    UnknownKind {
        /// Its name, safe to show.
        name: String,
    },
    /// Every entry was left out.
    #[error("no entry can be used: {}", names.join(", "))]
    NoneUsable {
        /// The entries' names, safe to show.
        names: Vec<String>,
    },
    /// One secret was wanted, and several came.
    #[error("{} secrets were given and one is wanted: {}", names.len(), names.join(", "))]
    Several {
        /// Their names, safe to show.
        names: Vec<String>,
    },
    /// Neither PNG nor JPEG.
    #[error("this is not a PNG or JPEG picture")]
    NotAPicture,
    /// Beyond what a photograph or a screenshot needs.
    #[error("the picture is too large; cut it down to the QR code")]
    PictureTooLarge,
    /// So many marks like those of QR codes that the search for codes does not end.
    #[error("the picture shows too much that looks like QR codes; cut it down to the one that is wanted")]
    TooIntricate,
    /// PNG or JPEG, but broken.
    #[error("the picture is damaged and cannot be decoded")]
    DamagedPicture,
    /// No QR code in the picture.
    #[error(
        "no QR code was found in the picture; take a sharper one, straight on, with a white margin around the code"
    )]
    NoCode,
    /// QR codes were found, but none could be read.
    #[error("a QR code was found but cannot be read; take a sharper picture, straight on")]
    UnreadableCode,
    /// The QR codes hold something else.
    #[error("the picture's QR code holds no one-time-password secret; it is for something else")]
    StrangeCode,
}

/// Reads secrets from text: one or more lines of otpauth and `otpauth-migration` URIs, or one bare base32 key.
///
/// The parts of a split export must all be there.
pub fn parse_any(text: &str) -> Result<Vec<Imported>, ImportError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ImportError::TooLong);
    }
    if text.trim().is_empty() {
        return Err(ImportError::Empty);
    }
    if !text.lines().any(is_uri) {
        return Ok(vec![Imported::Secret(OtpSecret::from_base32(text)?)]);
    }
    let mut entries = Entries::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        if !is_uri(line) {
            return Err(ImportError::StrangeLine { line: index + 1 });
        }
        entries.add(line)?;
    }
    entries.finish()
}

/// Reads the secrets of all QR codes in one PNG or JPEG picture.
pub fn from_image(bytes: &[u8]) -> Result<Vec<Imported>, ImportError> {
    from_images(&[bytes])
}

/// The same for several pictures, as an export of many accounts needs them.
pub fn from_images<B: AsRef<[u8]>>(pictures: &[B]) -> Result<Vec<Imported>, ImportError> {
    let mut texts: Vec<Zeroizing<String>> = Vec::new();
    for picture in pictures {
        for text in picture::codes(picture.as_ref())? {
            // The same code twice is one photograph too many, not two accounts.
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
    }
    let mut entries = Entries::default();
    for uri in texts.iter().filter(|text| is_uri(text)) {
        entries.add(uri)?;
    }
    match texts.as_slice() {
        _ if !entries.is_empty() => entries.finish(),
        [text] => OtpSecret::from_base32(text).map(|key| vec![Imported::Secret(key)]).or(Err(ImportError::StrangeCode)),
        _ => Err(ImportError::StrangeCode),
    }
}

/// The single secret among `imported`, for those who want exactly one.
pub fn only_one(imported: Vec<Imported>) -> Result<OtpSecret, ImportError> {
    let (mut secrets, mut left_out) = (Vec::new(), Vec::new());
    for entry in imported {
        match entry {
            Imported::Secret(secret) => secrets.push(secret),
            Imported::LeftOut { name, reason } => left_out.push(format!("{name} ({reason})")),
        }
    }
    match secrets.pop() {
        None => Err(ImportError::NoneUsable { names: left_out }),
        Some(secret) if secrets.is_empty() => Ok(secret),
        Some(last) => {
            secrets.push(last);
            Err(ImportError::Several { names: secrets.iter().map(OtpSecret::display_name).collect() })
        }
    }
}

/// Collects entries in the order they come; exports last, as their parts may come in any order.
#[derive(Default)]
struct Entries {
    uris: Vec<Imported>,
    parts: Parts,
}

impl Entries {
    fn add(&mut self, uri: &str) -> Result<(), ImportError> {
        if let Some(data) = strip_prefix_ignoring_case(uri.trim(), "otpauth-migration://offline?") {
            return self.parts.add(data);
        }
        if strip_prefix_ignoring_case(uri.trim(), "otpauth-migration:").is_some() {
            return Err(ImportError::DamagedExport);
        }
        self.uris.push(Imported::Secret(OtpSecret::from_uri(uri)?));
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.uris.is_empty() && self.parts.is_empty()
    }

    fn finish(self) -> Result<Vec<Imported>, ImportError> {
        let mut entries = self.uris;
        entries.extend(self.parts.finish()?);
        Ok(entries)
    }
}

fn is_uri(line: &str) -> bool {
    ["otpauth:", "otpauth-migration:"].iter().any(|scheme| strip_prefix_ignoring_case(line.trim(), scheme).is_some())
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (head, tail) = text.split_at_checked(prefix.len())?;
    head.eq_ignore_ascii_case(prefix).then_some(tail)
}

/// The name under which an entry is spoken of.
fn shown_name(issuer: &str, account: &str) -> String {
    match (issuer.trim(), account.trim()) {
        ("", "") => "unnamed".to_owned(),
        ("", name) | (name, "") => escape_controls(name),
        (issuer, account) => escape_controls(&format!("{issuer}: {account}")),
    }
}

/// `part 2 is`, `parts 1, 3 are`.
struct Numbers<'a>(&'a [u32]);

impl fmt::Display for Numbers<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers: Vec<String> = self.0.iter().map(u32::to_string).collect();
        match numbers.as_slice() {
            [one] => write!(f, "part {one} is"),
            many => write!(f, "parts {} are", many.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests;
