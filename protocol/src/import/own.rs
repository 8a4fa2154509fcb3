//! What an oracle of quorate exports, decrypted: an [`AppRecord`] as JSON on each line.

use super::row::{At, Found, Place, Row, few, uuid};
use super::{ImportError, LeftOut, shown_name, uris};
use crate::api::AppRecord;

pub(super) fn rows(input: usize, text: &str) -> Result<Vec<Row>, ImportError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    few(lines.map(|(index, line)| row(Place { input, at: At::Line(index + 1) }, line)))
}

fn row(place: Place, line: &str) -> Row {
    let Ok(record) = serde_json::from_str::<AppRecord>(line) else {
        return Row::unnamed(place, LeftOut::Unreadable);
    };
    let found = uuid(&record.uuid).ok_or(LeftOut::Uuid).and_then(|uuid| {
        let secret = uris::found(&record.otpauth)?.secret;
        Ok(Found { secret, label: record.name, uuid: Some(uuid) })
    });
    Row::new(place, &shown_name("", &record.uuid), found)
}
