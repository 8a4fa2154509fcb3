//! Why nothing could be imported, or one row could not. No message holds a secret.

use std::fmt;

use super::MAX_TEXT_BYTES;
use super::format::Format;
use super::row::{MAX_EXPORT_BYTES, MAX_ROWS, Place};
use crate::otp::OtpError;

/// Why an entry of an export is left out, while the others are not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LeftOut {
    /// Counter-based (HOTP): a counter cannot be shared.
    #[error("it is counter-based (HOTP), and a counter cannot be shared")]
    Counter,
    /// A part of Google Authenticator's export that cannot be decoded.
    #[error("the otpauth-migration URI is damaged")]
    Damaged,
    /// A number of digits that does not exist.
    #[error("it asks for an unknown number of digits")]
    Digits,
    /// The same key and parameters once more.
    #[error("it makes the same codes as {of}")]
    Duplicate {
        /// Where it stands for the first time.
        of: Place,
    },
    /// Neither time-based, counter-based nor Steam's; the name is absent when it could be a misplaced key.
    #[error("its codes are of a kind that is not supported{}", Named(.name))]
    Kind {
        /// What the export calls it.
        name: Option<String>,
    },
    /// Parts of an export that are in none of the inputs; the rows of its other parts are kept.
    #[error("this export has {of} parts and {} missing; import all of them", Numbers(.missing))]
    PartsMissing {
        /// The absent parts, counted from 1.
        missing: Vec<u32>,
        /// Parts of the export.
        of: u32,
    },
    /// The UUID of another row.
    #[error("its UUID is that of {of}")]
    SameUuid {
        /// Where that stands.
        of: Place,
    },
    /// What stands for the rest of a list that came in parts.
    #[error("this is not all: the rest is fetched with `--marker`, and imported together with this")]
    MorePages,
    /// A secret of a key vault of which only the name is there.
    #[error(
        "its value is not there: `az keyvault secret list` prints names alone, `az keyvault secret show` prints one"
    )]
    NameAlone,
    /// A row of sharedmfa's table whose secret is in none of the files.
    #[error("its secret is in none of the files: add what `az keyvault secret show` prints for it")]
    SecretAbsent,
    /// Different secrets for one UUID.
    #[error("several secrets are given for its UUID: keep the file with the one that counts")]
    SecretsDiffer,
    /// Steam Guard, whose codes are letters.
    #[error("it is Steam's, whose letter codes are not supported")]
    Steam,
    /// A line among URIs that is none.
    #[error("it is neither an otpauth:// nor an otpauth-migration:// URI")]
    Strange,
    /// Fields are missing, or hold something else.
    #[error("it cannot be read: fields are missing, or hold something else")]
    Unreadable,
    /// Key, parameters or names out of bounds.
    #[error("{0}")]
    Unusable(OtpError),
    /// What should be a UUID is none.
    #[error("what should be its UUID is none")]
    Uuid,
}

impl From<OtpError> for LeftOut {
    fn from(error: OtpError) -> Self {
        match error {
            OtpError::Hotp => Self::Counter,
            OtpError::Steam => Self::Steam,
            error => Self::Unusable(error),
        }
    }
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
    /// Over [`MAX_EXPORT_BYTES`].
    #[error("a file is larger than {} MiB, which no export of an authenticator app is", MAX_EXPORT_BYTES >> 20)]
    FileTooLarge,
    /// Over [`MAX_ROWS`].
    #[error("there are more than {MAX_ROWS} entries; import them in parts")]
    TooManyRows,
    /// A file of age.
    #[error("this is encrypted with age: open it first")]
    Age,
    /// It begins as JSON does, and does not end so.
    #[error("this begins as an export does, and is not whole: it was cut off, or damaged")]
    CutOff,
    /// Not one of the formats.
    #[error("this is no export that is known: {}", Formats)]
    UnknownFormat,
    /// Not what it was said to be, or cut off.
    #[error("this is no export of {0}, or it is damaged")]
    NotThisFormat(Format),
    /// A version that did not exist when this was written.
    #[error("version {found} of exports of {format} is not known")]
    Version {
        /// Whose.
        format: Format,
        /// The version.
        found: u64,
    },
    /// Encrypted in a way that is not read.
    #[error("this export of {0} is encrypted, and such are not read; export it again without encryption")]
    Encrypted(Format),
    /// Encrypted under a password that was not given.
    #[error("this export of {0} is encrypted under a password")]
    PasswordNeeded(Format),
    /// The password opens nothing.
    #[error("the password does not open this export of {0}, or the file is damaged")]
    WrongPassword(Format),
    /// An Aegis vault that only a fingerprint or face opens.
    #[error("this vault opens with a phone's biometrics only; export it again with a password")]
    NoPasswordSlot,
    /// Parameters of scrypt that would take the memory or the time of the machine.
    #[error("opening this vault takes far more memory or time than the app's own do, so it was left closed")]
    TooCostly,
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

struct Named<'a>(&'a Option<String>);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |name| write!(f, " ({name})"))
    }
}

struct Formats;

impl fmt::Display for Formats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Format::ALL.map(|format| format.to_string());
        write!(f, "{}", names.join(", "))
    }
}
