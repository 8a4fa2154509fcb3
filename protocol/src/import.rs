//! How secrets enter: an otpauth URI, a bare base32 key, the export of an authenticator app or a password manager, or a
//! picture of QR codes.
//!
//! [`parse_any`] and [`from_images`] are for whoever wants one secret, and refuse what they do not understand. [`read`] is for
//! moving house: it keeps what is good and says of every other row where it stands and what is wrong with it.
//!
//! Text and bytes are arguments: nothing here opens a file, prompts or prints. What was read is wiped after use, as far
//! as the picture libraries' own buffers allow.

mod aegis;
mod and_otp;
mod bitwarden;
mod error;
mod format;
mod locked;
mod migration;
mod own;
mod picture;
mod row;
mod shared_mfa;
mod two_fas;
mod uris;

use crate::display::escape_controls;
use crate::otp::{MAX_NAME_BYTES, OtpSecret};
use zeroize::Zeroizing;

pub use error::{ImportError, LeftOut};
pub use format::Format;
pub use row::{At, Found, MAX_EXPORT_BYTES, MAX_ROWS, Place, Row};

use migration::Parts;
use uris::{Line, is_uri};

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

/// What [`read`] found.
#[derive(Debug, PartialEq, Eq)]
pub struct Import {
    /// Whose exports the inputs are, in their order.
    pub formats: Vec<Format>,
    /// Their rows; those of exports in several parts come last.
    pub rows: Vec<Row>,
}

/// Reads exports, each told by what is in it unless `format` says what all are. Of rows that say the same the first counts.
///
/// Where `password` is wanted and absent, [`ImportError::PasswordNeeded`] says so before anything costly is done.
pub fn read<B: AsRef<[u8]>>(
    inputs: &[B],
    format: Option<Format>,
    password: Option<&str>,
) -> Result<Import, ImportError> {
    let (mut formats, mut rows) = (Vec::new(), Vec::new());
    let (mut parts, mut shared) = (Parts::default(), shared_mfa::Parts::default());
    for (input, bytes) in inputs.iter().map(AsRef::as_ref).enumerate() {
        let format = format.map_or_else(|| Format::of(bytes), Ok)?;
        formats.push(format);
        let text = || text_of(bytes, format);
        match format {
            Format::Aegis => rows.extend(aegis::rows(input, text()?, password)?),
            Format::AndOtp => rows.extend(and_otp::rows(input, text()?)?),
            Format::Bitwarden => rows.extend(bitwarden::rows(input, text()?)?),
            Format::Otpauth => rows.extend(uris::rows(input, text()?, &mut parts)?),
            Format::Picture => rows.extend(codes(input, bytes, &mut parts)?),
            Format::Quorate => rows.extend(own::rows(input, text()?)?),
            Format::SharedMfa => shared.add(input, text()?)?,
            Format::TwoFas => rows.extend(two_fas::rows(input, text()?, password)?),
        }
        row::bounded(rows.len())?;
    }
    rows.extend(parts.rows());
    rows.extend(shared.finish());
    row::leave_out_duplicates(&mut rows)?;
    Ok(Import { formats, rows })
}

fn text_of(bytes: &[u8], format: Format) -> Result<&str, ImportError> {
    if bytes.len() > MAX_EXPORT_BYTES {
        return Err(ImportError::FileTooLarge);
    }
    format::text(bytes).ok_or(ImportError::NotThisFormat(format))
}

/// The rows of a picture. A code with a part of an export has none yet.
fn codes(input: usize, picture: &[u8], parts: &mut Parts) -> Result<Vec<Row>, ImportError> {
    let codes = picture::codes(picture)?;
    let places = (1..).map(|number| Place { input, at: At::Code(number) });
    uris::rows_of(places.zip(codes.iter().map(|text| text.as_str())), parts)
}

/// Reads secrets from text: one or more lines of otpauth and `otpauth-migration` URIs, one bare base32 key, or the JSON of
/// an export that is not encrypted.
///
/// The parts of a split export must all be there.
pub fn parse_any(text: &str) -> Result<Vec<Imported>, ImportError> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(ImportError::TooLong);
    }
    if text.trim().is_empty() {
        return Err(ImportError::Empty);
    }
    if text.trim_start().starts_with(['{', '[']) {
        return Ok(read(&[text], None, None)?.rows.into_iter().map(Imported::from).collect());
    }
    // An address of something else is no key either.
    if !text.lines().any(is_uri) && !text.contains("://") {
        return Ok(vec![Imported::Secret(OtpSecret::from_base32(text)?)]);
    }
    let mut entries = Entries::default();
    for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        entries.add(index + 1, line)?;
    }
    entries.finish()
}

/// Reads the secrets of all QR codes in one PNG or JPEG picture.
pub fn from_image(bytes: &[u8]) -> Result<Vec<Imported>, ImportError> {
    from_images(&[bytes])
}

/// The texts of the QR codes in one PNG or JPEG picture of at most `pixels`, whatever they say; at least one.
///
/// The search is not given up: it takes the longer, and the more memory, the more corner marks a picture shows, some for hours
/// and gigabytes. A stranger's picture is for a process with limits.
pub fn codes_of_image(bytes: &[u8], pixels: u64) -> Result<Vec<Zeroizing<String>>, ImportError> {
    picture::codes_of(bytes, pixels)
}

/// Reads the secrets that QR codes say, as [`codes_of_image`] gives them.
pub fn from_code_texts(texts: Vec<Zeroizing<String>>) -> Result<Vec<Imported>, ImportError> {
    from_codes([texts])
}

/// As [`from_image`] for several pictures, as an export of many accounts needs them.
pub fn from_images<B: AsRef<[u8]>>(pictures: &[B]) -> Result<Vec<Imported>, ImportError> {
    from_codes(pictures.iter().map(|picture| picture::codes(picture.as_ref())).collect::<Result<Vec<_>, _>>()?)
}

fn from_codes(pictures: impl IntoIterator<Item = Vec<Zeroizing<String>>>) -> Result<Vec<Imported>, ImportError> {
    let mut texts: Vec<Zeroizing<String>> = Vec::new();
    for text in pictures.into_iter().flatten() {
        // The same code twice is one photograph too many, not two accounts.
        if !texts.contains(&text) {
            texts.push(text);
        }
    }
    let mut entries = Entries::default();
    for (index, uri) in texts.iter().enumerate().filter(|(_, text)| is_uri(text)) {
        entries.add(index + 1, uri)?;
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
    /// Adds the URI that stands in a line, which is counted from 1.
    fn add(&mut self, number: usize, line: &str) -> Result<(), ImportError> {
        match uris::line(line) {
            Line::Uri(uri) => self.uris.push(Imported::Secret(OtpSecret::from_uri(uri)?)),
            Line::Part(query) => self.parts.add(Place { input: 0, at: At::Line(number) }, query)?,
            Line::Damaged => return Err(ImportError::DamagedExport),
            Line::Strange => return Err(ImportError::StrangeLine { line: number }),
        }
        Ok(())
    }

    fn is_empty(&self) -> bool {
        self.uris.is_empty() && self.parts.is_empty()
    }

    fn finish(self) -> Result<Vec<Imported>, ImportError> {
        let mut entries = self.uris;
        entries.extend(self.parts.finish()?.into_iter().map(Imported::from));
        Ok(entries)
    }
}

/// The name under which an entry is spoken of.
fn shown_name(issuer: &str, account: &str) -> String {
    let name = match (issuer.trim(), account.trim()) {
        ("", "") => "unnamed".to_owned(),
        ("", name) | (name, "") => name.to_owned(),
        (issuer, account) => format!("{issuer}: {account}"),
    };
    // A name that is out of bounds is one reason to speak of an entry.
    escape_controls(&name.chars().take(MAX_NAME_BYTES).collect::<String>())
}

#[cfg(test)]
mod tests;
