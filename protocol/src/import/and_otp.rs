//! andOTP's plain backups: a JSON list. Its encrypted ones are recognised by [`Format::of`](super::Format::of), and refused: the app
//! is no longer kept, and whoever still has it can export without a password.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::row::{Entries, Place, Row, Told};
use super::{Format, ImportError, LeftOut};

#[derive(Deserialize)]
struct Entry {
    secret: Zeroizing<String>,
    issuer: Option<String>,
    label: Option<String>,
    #[serde(rename = "type")]
    kind: String,
    algorithm: Option<String>,
    digits: Option<u64>,
    period: Option<u64>,
}

pub(super) fn rows(input: usize, text: &str) -> Result<Vec<Row>, ImportError> {
    let entries: Entries<'_> = serde_json::from_str(text).map_err(|_| ImportError::NotThisFormat(Format::AndOtp))?;
    entries.rows(input, |place, entry| Some(row(place, entry)))
}

fn row(place: Place, entry: &RawValue) -> Row {
    let Ok(entry) = serde_json::from_str::<Entry>(entry.get()) else {
        return Row::unnamed(place, LeftOut::Unreadable);
    };
    let account = Told {
        issuer: entry.issuer.as_deref(),
        account: entry.label.as_deref().unwrap_or_default(),
        key: &entry.secret,
        algorithm: entry.algorithm.as_deref(),
        digits: entry.digits,
        period: entry.period,
    };
    account.row(place, &entry.kind)
}
