//! The check before the first write: every line of every file is read, and compared with what is here. Writes nothing.

use super::lines::{LineError, Lines};
use super::record::{ApiKeyRecord, Record, RecordError};
use super::refused::Fault;
use super::{Batch, Import, ImportError, Item, Owned, Place, Summary};
use crate::store::{Digest, ImportTarget, Known, MAX_IMPORTED_DATA_KEYS};
use std::collections::{BTreeMap, HashMap, HashSet};

/// What the check found, which the writing goes by.
#[derive(Default)]
pub(super) struct Checked {
    pub summary: Summary,
    /// Those that are new or were imported as they are.
    pub api_keys: Vec<(Place, ApiKeyRecord)>,
    /// By the API key's value.
    pub owners: HashMap<String, Owns>,
    /// What cannot be imported, and of how many records that is so because of this line.
    pub refused: BTreeMap<Place, (Fault, u64)>,
}

/// What files hold of an API key.
pub(super) struct Owns {
    /// The first record that is new, or of all when none is.
    pub first: Place,
    totp: u64,
    webauthn: u64,
    refused: bool,
}

impl Owns {
    /// Whether anything of it is to be written.
    pub fn is_written(&self) -> bool {
        self.new_records() > 0 && !self.refused
    }

    fn new_records(&self) -> u64 {
        self.totp + self.webauthn
    }
}

/// A line that is no blank one.
pub(super) struct Line {
    pub number: u64,
    pub bytes: usize,
    pub record: Result<Record, RecordError>,
}

/// The next line of a file, or the number of the one that cannot be read, and why.
pub(super) fn next(lines: &mut Lines) -> Result<Option<Line>, (u64, LineError)> {
    let read = match lines.next() {
        Ok(None) => return Ok(None),
        Ok(Some(line)) => Ok((line.len(), Record::parse(line))),
        Err(error) => Err(error),
    };
    let number = lines.number();
    read.map(|(bytes, record)| Some(Line { number, bytes, record })).map_err(|error| (number, error))
}

impl Import {
    pub(super) async fn checked(&self) -> Result<Checked, ImportError> {
        let (mut checked, mut seen) = (Checked::default(), HashMap::<Digest, Place>::new());
        let mut batch = Batch::default();
        for (number, file) in self.files.iter().enumerate() {
            let wrong = |line, fault| ImportError::Line { place: self.place((number, line)), fault };
            let mut lines = Lines::open(file).map_err(|error| wrong(0, error.into()))?;
            while let Some(line) = next(&mut lines).map_err(|(line, error)| wrong(line, error.into()))? {
                let place = (number, line.number);
                let record = match line.record {
                    Ok(record) => record,
                    Err(error) if error.is_of_a_record() => {
                        checked.refused.insert(place, (error.into(), 1));
                        continue;
                    }
                    Err(error) => return Err(wrong(line.number, error.into())),
                };
                if let Some(first) = self.mark(&record).and_then(|mark| seen.insert(mark.id, place)) {
                    return Err(wrong(line.number, Fault::Twice(self.place(first))));
                }
                match record {
                    Record::Unfinished => checked.summary.unfinished += 1,
                    Record::ApiKey(api_key) => checked.api_keys.push((place, api_key)),
                    record => {
                        let item = self.item(place, line.bytes, record);
                        batch.push(item.expect("what is no API key belongs to one"));
                    }
                }
                if batch.is_full() {
                    self.look_up(batch.take(), &mut checked).await?;
                }
            }
        }
        self.look_up(batch.take(), &mut checked).await?;
        let with_secret = self.check_api_keys(&mut checked).await?;
        self.check_owners(&mut checked, &with_secret).await?;
        self.summed_up(checked)
    }

    /// Compares records with what is here.
    async fn look_up(&self, items: Vec<Item>, checked: &mut Checked) -> Result<(), ImportError> {
        let records = items.iter().map(|item| (item.mark, item.target)).collect();
        for (item, known) in items.into_iter().zip(self.state.store.known_imports(records).await?) {
            let (first, value) = (item.place, item.record.api_key().to_owned());
            let owns = checked.owners.entry(value).or_insert(Owns { first, totp: 0, webauthn: 0, refused: false });
            if known == Known::New && owns.new_records() == 0 {
                owns.first = first;
            }
            let (new, tally) = match item.record {
                Owned::Totp(_) => (&mut owns.totp, &mut checked.summary.totp),
                Owned::User(_) => (&mut owns.webauthn, &mut checked.summary.webauthn),
            };
            match known {
                Known::New => *new += 1,
                Known::Other => drop(checked.refused.insert(item.place, (Fault::Conflict, 1))),
                Known::Same => tally.known += 1,
            }
        }
        Ok(())
    }

    /// The same for API keys. Gives those that have a secret, and those that are at odds with what is here.
    async fn check_api_keys(&self, checked: &mut Checked) -> Result<[HashSet<String>; 2], ImportError> {
        let target = |record: &ApiKeyRecord| ImportTarget::ApiKey(self.state.api_keys.id(&record.value));
        let marked = checked.api_keys.iter().map(|(_, record)| (self.api_key_mark(record), target(record))).collect();
        let known = self.state.store.known_imports(marked).await?;
        let [mut with_secret, mut at_odds] = [HashSet::new(), HashSet::new()];
        for ((place, record), known) in std::mem::take(&mut checked.api_keys).into_iter().zip(known) {
            match known {
                Known::New => checked.summary.api_keys.new += 1,
                Known::Other => {
                    checked.refused.insert(place, (Fault::Conflict, 1));
                    at_odds.insert(record.value);
                    continue;
                }
                Known::Same => checked.summary.api_keys.known += 1,
            }
            if record.active.is_some() {
                with_secret.insert(record.value.clone());
            }
            checked.api_keys.push((place, record));
        }
        Ok([with_secret, at_odds])
    }

    /// Whether every record belongs to an API key that has the secret which reads it, and can take more.
    async fn check_owners(
        &self,
        checked: &mut Checked,
        [with_secret, at_odds]: &[HashSet<String>; 2],
    ) -> Result<(), ImportError> {
        for (value, owns) in &mut checked.owners {
            let (is_listed, new) = (with_secret.contains(value), owns.new_records());
            let fault = if at_odds.contains(value) {
                (new > 0).then_some(Fault::OwnerConflict)
            } else {
                let here = self.state.store.api_key(&self.state.api_keys.id(value)).await?;
                match here {
                    Some((_, data_keys)) if new > 0 && data_keys.len() >= MAX_IMPORTED_DATA_KEYS => Some(Fault::Full),
                    Some((row, _)) if row.activated_at.is_some() => None,
                    _ => (!is_listed).then_some(Fault::Owner),
                }
            };
            if let Some(fault) = fault {
                owns.refused = true;
                checked.refused.insert(owns.first, (fault, new.max(1)));
            }
        }
        Ok(())
    }

    fn summed_up(&self, mut checked: Checked) -> Result<Checked, ImportError> {
        for owns in checked.owners.values().filter(|owns| !owns.refused) {
            checked.summary.totp.new += owns.totp;
            checked.summary.webauthn.new += owns.webauthn;
        }
        for (place, (fault, records)) in &checked.refused {
            checked.summary.refused.add(&self.place(*place), fault, *records);
        }
        if checked.refused.is_empty() || self.leaves_out {
            Ok(checked)
        } else {
            Err(ImportError::Refused(checked.summary.refused))
        }
    }
}
