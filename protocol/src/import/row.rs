//! Exports row by row: what can be used, what is left out, where it stands. Duplicates are found here, so that no reader has
//! to. It must not know formats.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

use super::{ImportError, Imported, LeftOut, shown_name};
use crate::otp::{Algorithm, OtpError, OtpSecret, Parameters};

/// Largest file read, in bytes: Aegis and Bitwarden keep icons and notes beside the secrets.
pub const MAX_EXPORT_BYTES: usize = 16 * 1024 * 1024;
/// Most rows of one import.
pub const MAX_ROWS: usize = 10_000;
/// Most entries of one list: a vault's items, of which few have a one-time password, among them.
pub(super) const MAX_ENTRIES: usize = 100_000;

/// Where a row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Which of the inputs, from 0.
    pub input: usize,
    /// Where in it.
    pub at: At,
}

/// Where in an input a row stands, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// A QR code of a picture.
    Code(usize),
    /// An entry of a list.
    Entry(usize),
    /// A line of a text.
    Line(usize),
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.at {
            At::Code(number) => write!(f, "QR code {number}"),
            At::Entry(number) => write!(f, "entry {number}"),
            At::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// One row of an export.
#[derive(Debug, PartialEq, Eq)]
pub struct Row {
    /// Where it stands.
    pub place: Place,
    /// What it is called, safe to show.
    pub name: String,
    /// What it holds, or why it is left out.
    pub found: Result<Found, LeftOut>,
}

/// A usable row.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// The secret with its names.
    pub secret: OtpSecret,
    /// What it was called besides. Text from a stranger, like the names.
    pub label: Option<String>,
    /// The UUID to keep, hyphenated and in lower case, where clients know the account by one.
    pub uuid: Option<String>,
}

impl From<OtpSecret> for Found {
    fn from(secret: OtpSecret) -> Self {
        Self { secret, label: None, uuid: None }
    }
}

impl Row {
    /// A row that is called what its secret is called, or `name` without one.
    pub(super) fn new(place: Place, name: &str, found: Result<Found, LeftOut>) -> Self {
        let name = found.as_ref().map_or_else(|_| name.to_owned(), |found| found.secret.display_name());
        Self { place, name, found }
    }

    /// A row without a name, of which nothing can be told.
    pub(super) fn unnamed(place: Place, reason: LeftOut) -> Self {
        Self { place, name: shown_name("", ""), found: Err(reason) }
    }
}

impl From<Row> for Imported {
    fn from(row: Row) -> Self {
        match row.found {
            Ok(found) => Self::Secret(found.secret),
            Err(reason) => Self::LeftOut { name: row.name, reason },
        }
    }
}

/// What a row says of an account, in the app's own words.
#[derive(Default)]
pub(super) struct Told<'a> {
    pub(super) issuer: Option<&'a str>,
    pub(super) account: &'a str,
    /// In base32.
    pub(super) key: &'a str,
    pub(super) algorithm: Option<&'a str>,
    pub(super) digits: Option<u64>,
    pub(super) period: Option<u64>,
}

impl Told<'_> {
    /// The row for an account whose codes are of `kind`, which the app calls `totp` when they are by time.
    pub(super) fn row(&self, place: Place, kind: &str) -> Row {
        let name = shown_name(self.issuer.unwrap_or_default(), self.account);
        let found = timed(kind).and_then(|()| Ok(self.secret()?.into()));
        Row::new(place, &name, found)
    }

    pub(super) fn secret(&self) -> Result<OtpSecret, OtpError> {
        let defaults = Parameters::default();
        let algorithm = self.algorithm.map_or(Ok(Algorithm::default()), str::parse)?;
        let digits = self.digits.unwrap_or(defaults.digits.into());
        let period = self.period.unwrap_or(defaults.period.into());
        let parameters = Parameters {
            algorithm,
            digits: u8::try_from(digits).map_err(|_| OtpError::Digits { found: digits })?,
            period: u32::try_from(period).map_err(|_| OtpError::PeriodTooLong { found: period })?,
        };
        let bare = OtpSecret::from_base32(self.key)?;
        OtpSecret::new(bare.key(), parameters)?.with_names(self.issuer, self.account)
    }
}

/// Whether codes of `kind` are by time.
fn timed(kind: &str) -> Result<(), LeftOut> {
    /// Longer words could be misplaced keys.
    const LONGEST_QUOTED: usize = 12;
    match kind.to_ascii_lowercase().as_str() {
        "totp" => Ok(()),
        "hotp" => Err(LeftOut::Counter),
        "steam" => Err(LeftOut::Steam),
        other => {
            let name = (other.len() <= LONGEST_QUOTED).then(|| crate::display::escape_controls(other));
            Err(LeftOut::Kind { name })
        }
    }
}

/// `text` as a UUID is written, in lower case; `None` when it is none.
pub(super) fn uuid(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split('-').collect();
    let hexadecimal = groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_hexdigit()));
    let shape = groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
    (hexadecimal && shape).then(|| text.to_ascii_lowercase())
}

/// The entries of a list in JSON, not looked into. However many it has, no more are kept than show that they are too many.
#[derive(Default)]
pub(super) struct Entries<'a>(Vec<&'a RawValue>);

impl<'a> Entries<'a> {
    /// The entries; one more than [`MAX_ENTRIES`] when there are more.
    pub(super) fn kept(self) -> Vec<&'a RawValue> {
        self.0
    }

    /// The rows of the entries that have one.
    pub(super) fn rows(
        &self,
        input: usize,
        row: impl Fn(Place, &RawValue) -> Option<Row>,
    ) -> Result<Vec<Row>, ImportError> {
        if self.0.len() > MAX_ENTRIES {
            return Err(ImportError::TooManyRows);
        }
        let entries = self.0.iter().enumerate();
        few(entries.filter_map(|(index, entry)| row(Place { input, at: At::Entry(index + 1) }, entry)))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Vec<&'de RawValue>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while entries.len() <= MAX_ENTRIES {
                    let Some(entry) = list.next_element()? else { return Ok(entries) };
                    entries.push(entry);
                }
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(entries)
            }
        }

        deserializer.deserialize_seq(List).map(Self)
    }
}

/// The rows, as long as there are no more than there may be: what comes after those is not made.
pub(super) fn few(rows: impl Iterator<Item = Row>) -> Result<Vec<Row>, ImportError> {
    let rows: Vec<Row> = rows.take(MAX_ROWS + 1).collect();
    bounded(rows.len())?;
    Ok(rows)
}

/// Refuses more rows than there may be.
pub(super) fn bounded(rows: usize) -> Result<(), ImportError> {
    if rows > MAX_ROWS { Err(ImportError::TooManyRows) } else { Ok(()) }
}

/// Leaves out rows that say the same as one before. Rows with a UUID of their own are the same only when it is the same one,
/// because clients may know the account by each of them.
pub(super) fn leave_out_duplicates(rows: &mut [Row]) -> Result<(), ImportError> {
    bounded(rows.len())?;
    let mut uuids: HashMap<String, Place> = HashMap::new();
    let mut codes: HashMap<[u8; 32], Place> = HashMap::new();
    for row in rows {
        let Ok(found) = &row.found else { continue };
        let digest = digest(&found.secret);
        let reason = match &found.uuid {
            Some(uuid) => uuids.get(uuid).map(|of| LeftOut::SameUuid { of: *of }),
            None => codes.get(&digest).map(|of| LeftOut::Duplicate { of: *of }),
        };
        if let Some(reason) = reason {
            row.found = Err(reason);
            continue;
        }
        codes.entry(digest).or_insert(row.place);
        uuids.extend(found.uuid.clone().map(|uuid| (uuid, row.place)));
    }
    Ok(())
}

/// What makes the codes, and nothing else, so that it can be compared quickly and shown to nobody.
fn digest(secret: &OtpSecret) -> [u8; 32] {
    let Parameters { algorithm, digits, period } = secret.parameters();
    let mut hash = Sha256::new();
    hash.update(algorithm.name());
    hash.update([0, digits]);
    hash.update(period.to_be_bytes());
    hash.update(secret.key());
    hash.finalize().into()
}
