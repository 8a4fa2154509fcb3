//! sharedmfa's apps, which lie in two places: a table has a row for each (`RowKey`, `AccountName`, `CustomName`), and a key vault
//! the secret under the row's key, as a base32 key. The seed has always made SHA1 codes of 6 digits and 30 seconds of them,
//! whatever the URI had said. Both come as the cloud's command line or interfaces print them, in any number of files.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::format::{documents, elements, fields};
use super::row::{At, Found, MAX_ENTRIES, Place, Row, Told, bounded, uuid};
use super::{Format, ImportError, LeftOut, shown_name};

/// The partition of the rows that count.
const PARTITION: &str = "mfaseed";

/// A row of the table.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct App {
    partition_key: Option<String>,
    row_key: String,
    account_name: Option<String>,
    custom_name: Option<String>,
}

/// A secret of the key vault, which is named in its address at least: `https://VAULT/secrets/NAME/VERSION`.
#[derive(Deserialize)]
struct Secret {
    id: Option<String>,
    name: Option<String>,
    value: Zeroizing<String>,
}

/// The secret of one name.
struct Kept {
    place: Place,
    value: Zeroizing<String>,
    /// Whether another value was given as well.
    differs: bool,
}

/// Everything that was found, by the name of the secret.
#[derive(Default)]
pub(super) struct Parts {
    apps: Vec<(Place, App)>,
    secrets: BTreeMap<String, Kept>,
    unreadable: Vec<Row>,
}

impl Parts {
    /// Adds the rows and secrets of one file.
    pub(super) fn add(&mut self, input: usize, text: &str) -> Result<(), ImportError> {
        let damaged = || ImportError::NotThisFormat(Format::SharedMfa);
        let (mut records, mut more) = (Vec::new(), false);
        for document in documents(text).ok_or_else(damaged)? {
            collect(document, &mut records).ok_or_else(damaged)?;
            more |= has_more(document);
            if records.len() > MAX_ENTRIES {
                return Err(ImportError::TooManyRows);
            }
        }
        let entries = records.len();
        for (index, record) in records.into_iter().enumerate() {
            self.take(Place { input, at: At::Entry(index + 1) }, record);
            bounded(self.apps.len().max(self.secrets.len()) + self.unreadable.len())?;
        }
        if more {
            let place = Place { input, at: At::Entry(entries + 1) };
            self.unreadable.push(Row::unnamed(place, LeftOut::MorePages));
        }
        Ok(())
    }

    fn take(&mut self, place: Place, record: &RawValue) {
        if let Ok(app) = serde_json::from_str::<App>(record.get()) {
            if app.partition_key.as_deref().is_none_or(|partition| partition == PARTITION) {
                self.apps.push((place, app));
            }
        } else if let Some((name, value)) = secret(record) {
            // A key vault holds other secrets too.
            if let Some(name) = uuid(&name) {
                let kept = self.secrets.entry(name).or_insert(Kept { place, value: value.clone(), differs: false });
                kept.differs |= kept.value != value;
            }
        } else {
            let name_alone = fields(record).is_some_and(|has| has.contains_key("id") && has.contains_key("attributes"));
            let reason = if name_alone { LeftOut::NameAlone } else { LeftOut::Unreadable };
            self.unreadable.push(Row::unnamed(place, reason));
        }
    }

    /// The apps, each with its secret; then secrets that the table does not have, since clients may still know their UUIDs.
    pub(super) fn finish(mut self) -> Vec<Row> {
        let (mut rows, mut taken) = (self.unreadable, BTreeMap::new());
        for (place, app) in self.apps {
            let issuer = app.account_name.unwrap_or_default();
            let label = app.custom_name.filter(|label| !label.trim().is_empty());
            let name = shown_name(&issuer, label.as_deref().unwrap_or_default());
            let found = match uuid(&app.row_key) {
                None => Err(LeftOut::Uuid),
                Some(uuid) => match self.secrets.remove(&uuid) {
                    None => Err(taken.get(&uuid).map_or(LeftOut::SecretAbsent, |of| LeftOut::SameUuid { of: *of })),
                    Some(kept) => {
                        taken.insert(uuid.clone(), place);
                        kept.found(&issuer, label, uuid)
                    }
                },
            };
            rows.push(Row::new(place, &name, found));
        }
        for (uuid, kept) in self.secrets {
            let name = uuid.clone();
            rows.push(Row::new(kept.place, &name, kept.found("", None, uuid)));
        }
        rows
    }
}

impl Kept {
    fn found(&self, issuer: &str, label: Option<String>, uuid: String) -> Result<Found, LeftOut> {
        if self.differs {
            return Err(LeftOut::SecretsDiffer);
        }
        let secret = Told { issuer: Some(issuer), key: &self.value, ..Told::default() }.secret()?;
        Ok(Found { secret, label, uuid: Some(uuid) })
    }
}

/// Whether a query's answer says that it is one page of several: `nextMarker` holds something.
fn has_more(document: &RawValue) -> bool {
    let marker = fields(document).and_then(|fields| fields.get("nextMarker").map(|marker| marker.get().to_owned()));
    marker.is_some_and(|marker| !matches!(marker.as_str(), "null" | "{}" | "\"\""))
}

/// The records in `document`: itself, a list of them, or lists under the names that the interfaces give them.
fn collect<'a>(document: &'a RawValue, records: &mut Vec<&'a RawValue>) -> Option<()> {
    if let Some(list) = elements(document) {
        records.extend(list);
        return Some(());
    }
    let lists: Vec<Vec<&RawValue>> = {
        let fields = fields(document)?;
        let named = ["apps", "items", "secrets", "value"].into_iter().filter_map(|name| fields.get(name).copied());
        named.filter_map(elements).collect()
    };
    if lists.is_empty() {
        records.push(document);
    }
    records.extend(lists.into_iter().flatten());
    Some(())
}

/// The name of a secret and its value.
fn secret(record: &RawValue) -> Option<(String, Zeroizing<String>)> {
    let Secret { id, name, value } = serde_json::from_str(record.get()).ok()?;
    let in_address = |id: String| Some(id.split_once("/secrets/")?.1.split('/').next()?.to_owned());
    Some((name.or_else(|| in_address(id?))?, value))
}
