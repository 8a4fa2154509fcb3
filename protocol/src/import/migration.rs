//! Exports of Google Authenticator: `otpauth-migration://offline?data=…`, where the data is base64 of a protobuf
//! message, possibly one part of several. The structs are written by hand from the app's observed format, which is
//! published nowhere. It knows nothing of pictures.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry::Vacant;
use std::fmt;

use crate::otp::{Algorithm, OtpError, OtpSecret, Parameters};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use percent_encoding::percent_decode_str;
use prost::Message as _;
use zeroize::{Zeroize as _, Zeroizing};

use super::row::{Found, Place, Row, bounded};
use super::{ImportError, LeftOut, shown_name};

/// Most parts that an export may claim. The app puts ten accounts into each.
const MAX_PARTS: u32 = 100;

/// Padding is often lost when a URI is copied.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Longest part, in bytes. The app's have some hundreds.
const MAX_PART_BYTES: usize = 256 * 1024;

/// The parts seen so far, by export and place.
#[derive(Default)]
pub(super) struct Parts {
    exports: BTreeMap<i32, Export>,
    entries: usize,
}

struct Export {
    size: u32,
    parts: BTreeMap<u32, (Place, Vec<Entry>)>,
}

impl Parts {
    pub(super) fn is_empty(&self) -> bool {
        self.exports.is_empty()
    }

    /// Adds the part in the query of an `otpauth-migration` URI. A part that is there already is ignored.
    pub(super) fn add(&mut self, place: Place, query: &str) -> Result<(), ImportError> {
        let payload = Payload::parse(query)?;
        // Old versions of the app leave the fields of the batch away: 0 parts are one.
        let size = u32::try_from(payload.batch_size).map_err(|_| ImportError::DamagedExport)?.max(1);
        let index = u32::try_from(payload.batch_index).map_err(|_| ImportError::DamagedExport)?;
        // Before anything is kept of it: what it claims of itself would be counted out to the end.
        if size > MAX_PARTS || index >= size {
            return Err(ImportError::DamagedExport);
        }
        let export = self.exports.entry(payload.batch_id).or_insert(Export { size, parts: BTreeMap::new() });
        if export.size != size {
            return Err(ImportError::DamagedExport);
        }
        if let Vacant(free) = export.parts.entry(index) {
            self.entries += payload.entries.len();
            bounded(self.entries)?;
            free.insert((place, payload.entries));
        }
        Ok(())
    }

    /// The entries of all exports, in the app's order. All parts have to be there.
    pub(super) fn finish(self) -> Result<Vec<Row>, ImportError> {
        let incomplete = self.exports.values().find_map(|export| Some((export.missing()?, export.size)));
        match incomplete {
            Some((missing, of)) => Err(ImportError::PartsMissing { missing, of }),
            None => Ok(self.rows()),
        }
    }

    /// The entries of all parts that are there, in the app's order. What is missing of an export is one row more, where its
    /// first part stands.
    pub(super) fn rows(self) -> Vec<Row> {
        let mut rows = Vec::new();
        for export in self.exports.into_values() {
            for (place, entries) in export.parts.values() {
                rows.extend(entries.iter().map(|entry| entry.row(*place)));
            }
            if let (Some(missing), Some((place, _))) = (export.missing(), export.parts.values().next()) {
                rows.push(Row::unnamed(*place, LeftOut::PartsMissing { missing, of: export.size }));
            }
        }
        rows
    }
}

impl Export {
    /// The parts that are not there, counted from 1; `None` when all are.
    fn missing(&self) -> Option<Vec<u32>> {
        let missing = (0..self.size).filter(|index| !self.parts.contains_key(index)).map(|index| index + 1);
        Some(missing.collect::<Vec<u32>>()).filter(|missing| !missing.is_empty())
    }
}

/// `MigrationPayload`: one part of an export.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct Payload {
    #[prost(message, repeated, tag = "1")]
    entries: Vec<Entry>,
    #[prost(int32, tag = "3")]
    batch_size: i32,
    #[prost(int32, tag = "4")]
    batch_index: i32,
    #[prost(int32, tag = "5")]
    batch_id: i32,
}

/// `OtpParameters`: one account. The numbers of the enumerations are kept, so that an unknown one can be named.
#[derive(Clone, PartialEq, prost::Message)]
#[prost(skip_debug)]
struct Entry {
    #[prost(bytes = "vec", tag = "1")]
    secret: Vec<u8>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(string, tag = "3")]
    issuer: String,
    #[prost(int32, tag = "4")]
    algorithm: i32,
    #[prost(int32, tag = "5")]
    digits: i32,
    #[prost(int32, tag = "6")]
    kind: i32,
}

impl Payload {
    fn parse(query: &str) -> Result<Self, ImportError> {
        let mut values = query.split('&').filter_map(|pair| pair.strip_prefix("data="));
        let (Some(data), None) = (values.next(), values.next()) else { return Err(ImportError::DamagedExport) };
        if data.len() / 4 * 3 > MAX_PART_BYTES {
            return Err(ImportError::DamagedExport);
        }
        let mut text = Zeroizing::new(Vec::with_capacity(data.len()));
        // In this URI a plus is itself, not a space; base64url occurs too.
        text.extend(percent_decode_str(data).map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            other => other,
        }));
        let mut bytes = Zeroizing::new(Vec::with_capacity(text.len()));
        BASE64.decode_vec(&*text, &mut bytes).map_err(|_| ImportError::DamagedExport)?;
        let payload = Self::decode(bytes.as_slice()).map_err(|_| ImportError::DamagedExport)?;
        // No data decodes as an empty message; the app never exports nothing.
        if payload.entries.is_empty() { Err(ImportError::DamagedExport) } else { Ok(payload) }
    }
}

impl Entry {
    fn row(&self, place: Place) -> Row {
        let account = self.name.strip_prefix(&self.issuer).and_then(|rest| rest.strip_prefix(':'));
        let account = account.filter(|_| !self.issuer.is_empty()).unwrap_or(&self.name);
        let found = self.secret(account).map(Found::from);
        Row::new(place, &shown_name(&self.issuer, account), found)
    }

    /// 0 is "unspecified" in all enumerations: the app means its defaults by it.
    fn secret(&self, account: &str) -> Result<OtpSecret, LeftOut> {
        match self.kind {
            1 => return Err(LeftOut::Counter),
            0 | 2 => {}
            _ => return Err(LeftOut::Kind { name: None }),
        }
        let algorithm = match self.algorithm {
            0 | 1 => Algorithm::Sha1,
            2 => Algorithm::Sha256,
            3 => Algorithm::Sha512,
            _ => return Err(OtpError::UnknownAlgorithm { name: None }.into()),
        };
        let digits = match self.digits {
            0 | 1 => 6,
            2 => 8,
            _ => return Err(LeftOut::Digits),
        };
        let secret = OtpSecret::new(&self.secret, Parameters { algorithm, digits, period: 30 })?;
        Ok(secret.with_names(Some(&self.issuer), account)?)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Payload").field("entries", &self.entries.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64URL_NOPAD;

    use super::super::row::{At, MAX_ROWS};
    use super::*;

    fn entry() -> Entry {
        let mut entry = Entry::default();
        entry.secret = vec![7; 20];
        entry.name = "bob".into();
        entry
    }

    fn import(payloads: &[Payload]) -> Result<Vec<Row>, ImportError> {
        let mut parts = Parts::default();
        for (input, payload) in payloads.iter().enumerate() {
            let place = Place { input, at: At::Code(1) };
            parts.add(place, &format!("data={}", BASE64URL_NOPAD.encode(&payload.encode_to_vec())))?;
        }
        parts.finish()
    }

    fn import_one(change: impl FnOnce(&mut Entry)) -> Row {
        let mut entry = entry();
        change(&mut entry);
        import(&[part(entry, 1, 0)]).unwrap().remove(0)
    }

    fn part(entry: Entry, batch_size: i32, batch_index: i32) -> Payload {
        Payload { entries: vec![entry], batch_size, batch_index, batch_id: 5 }
    }

    fn parameters(row: &Row) -> (Algorithm, u8) {
        let parameters = row.found.as_ref().unwrap().secret.parameters();
        (parameters.algorithm, parameters.digits)
    }

    #[test]
    fn every_known_number_means_what_the_app_means() {
        for (number, algorithm) in
            [(0, Algorithm::Sha1), (1, Algorithm::Sha1), (2, Algorithm::Sha256), (3, Algorithm::Sha512)]
        {
            assert_eq!(parameters(&import_one(|entry| entry.algorithm = number)), (algorithm, 6));
        }
        for (number, digits) in [(0, 6), (1, 6), (2, 8)] {
            assert_eq!(parameters(&import_one(|entry| entry.digits = number)), (Algorithm::Sha1, digits));
        }
    }

    #[test]
    fn entries_with_unknown_numbers_are_left_out_and_named() {
        let left_out = |change: fn(&mut Entry)| {
            let row = import_one(|entry| {
                change(entry);
                entry.name = "b\u{202e}ob".into();
            });
            assert_eq!(row.name, "b\\u{202e}ob");
            row.found.unwrap_err()
        };
        let algorithm = LeftOut::Unusable(OtpError::UnknownAlgorithm { name: None });
        assert_eq!(left_out(|entry| entry.algorithm = 4), algorithm);
        assert_eq!(left_out(|entry| entry.algorithm = -1), algorithm);
        assert_eq!(left_out(|entry| entry.digits = 3), LeftOut::Digits);
        assert_eq!(left_out(|entry| entry.kind = 3), LeftOut::Kind { name: None });
    }

    #[test]
    fn an_unusable_entry_is_left_out_and_named() {
        let short = import_one(|entry| entry.secret.truncate(5));
        let reason = LeftOut::Unusable(OtpError::TooShort { bits: 40 });
        assert_eq!((short.name.as_str(), short.found.unwrap_err()), ("bob", reason));
    }

    #[test]
    fn only_the_issuer_itself_is_cut_off_the_name() {
        for (issuer, name, expected) in [
            ("AWS", "AWS:bob", (Some("AWS"), "bob")),
            ("AWS", "AWSbob", (Some("AWS"), "AWSbob")),
            ("AWS", "x:bob", (Some("AWS"), "x:bob")),
            ("", ":bob", (None, ":bob")),
            ("", "x:bob", (None, "x:bob")),
        ] {
            let row = import_one(|entry| (entry.issuer, entry.name) = (issuer.into(), name.into()));
            let secret = row.found.unwrap().secret;
            assert_eq!((secret.issuer(), secret.account()), expected);
        }
    }

    #[test]
    fn impossible_batches_are_damaged() {
        for (size, index) in [(1, 1), (2, 2), (-1, 0), (2, -1), (101, 0), (i32::MAX, 0), (0, 1)] {
            assert_eq!(import(&[part(entry(), size, index)]), Err(ImportError::DamagedExport), "{size} {index}");
        }
        assert_eq!(import(&[part(entry(), 2, 0), part(entry(), 3, 1)]), Err(ImportError::DamagedExport));
        assert_eq!(import(&[Payload::default()]), Err(ImportError::DamagedExport));
        let mut long = entry();
        long.name = "x".repeat(MAX_PART_BYTES);
        assert_eq!(import(&[part(long, 1, 0)]), Err(ImportError::DamagedExport));
    }

    #[test]
    fn what_a_damaged_part_claims_is_neither_kept_nor_counted_out() {
        let uri = |payload: &Payload| {
            format!("otpauth-migration://offline?data={}", BASE64URL_NOPAD.encode(&payload.encode_to_vec()))
        };
        let (huge, good) = (uri(&part(entry(), i32::MAX, 0)), uri(&part(entry(), 1, 0)));
        for (lines, left_out) in [(vec![&huge], 1), (vec![&huge, &good], 1), (vec![&good, &huge], 1)] {
            let text = lines.iter().map(|line| line.as_str()).collect::<Vec<_>>().join("\n");
            let rows = crate::import::read(&[text], None, None).unwrap().rows;
            let damaged = rows.iter().filter(|row| row.found == Err(LeftOut::Damaged)).count();
            assert_eq!((damaged, rows.len()), (left_out, lines.len()), "a good part of the same export stays good");
        }
    }

    #[test]
    fn more_entries_than_an_import_has_are_refused_before_they_are_rows() {
        let mut parts = Parts::default();
        let mut add = |batch_id, entries| {
            let payload = Payload { entries: vec![Entry::default(); entries], batch_size: 1, batch_index: 0, batch_id };
            let data = BASE64URL_NOPAD.encode(&payload.encode_to_vec());
            parts.add(Place { input: 0, at: At::Line(1) }, &format!("data={data}"))
        };
        assert_eq!(add(1, MAX_ROWS), Ok(()));
        assert_eq!(add(1, MAX_ROWS), Ok(()), "the same part once more is ignored");
        assert_eq!(add(2, 1), Err(ImportError::TooManyRows));
        let line =
            format!("otpauth-migration://offline?data={}", BASE64URL_NOPAD.encode(&[0x0a, 0x00].repeat(MAX_ROWS + 1)));
        assert_eq!(crate::import::read(&[line], None, None), Err(ImportError::TooManyRows));
    }

    #[test]
    fn every_missing_part_is_reported() {
        let error = import(&[part(entry(), 5, 3), part(entry(), 5, 0)]).unwrap_err();
        assert_eq!(error, ImportError::PartsMissing { missing: vec![2, 3, 5], of: 5 });
    }

    #[test]
    fn a_missing_part_leaves_out_its_own_rows_and_no_others() {
        let uri = |payload: &Payload| {
            format!("otpauth-migration://offline?data={}", BASE64URL_NOPAD.encode(&payload.encode_to_vec()))
        };
        let named = |name: &str, batch_size, batch_index, batch_id| {
            let mut entry = entry();
            entry.name = name.into();
            entry.secret = vec![name.as_bytes()[0]; 20];
            uri(&Payload { entries: vec![entry], batch_size, batch_index, batch_id })
        };
        let list = [
            named("fourth", 5, 3, 5),
            "otpauth://totp/alone?secret=JBSWY3DPEHPK3PXP".to_owned(),
            named("whole", 1, 0, 6),
            named("second", 5, 1, 5),
        ];
        let read = crate::import::read(&[list.join("\n"), list[2].clone()], None, None).unwrap();
        let missing = LeftOut::PartsMissing { missing: vec![1, 3, 5], of: 5 };
        let rows: Vec<_> = read.rows.iter().map(|row| (row.place.to_string(), row.found.as_ref().err())).collect();
        let expected =
            [("line 2", None), ("line 4", None), ("line 1", None), ("line 4", Some(&missing)), ("line 3", None)];
        assert_eq!(rows, expected.map(|(place, left_out)| (place.to_owned(), left_out)));
        let said = "this export has 5 parts and parts 1, 3, 5 are missing; import all of them";
        assert_eq!(missing.to_string(), said);
        // Whoever wants one secret is still told to give all.
        assert!(matches!(crate::import::parse_any(&list[0]), Err(ImportError::PartsMissing { of: 5, .. })));
    }

    #[test]
    fn debug_output_keeps_the_secret() {
        let shown = format!("{:?} {:?}", part(entry(), 1, 0), entry());
        assert_eq!(shown, "Payload { entries: 1, .. } Entry { name: \"bob\", .. }");
    }
}
