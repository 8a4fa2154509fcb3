//! Import from serverless-mfa-api: its tables become API keys and records here, as they are. Nothing in them can be read
//! before their API keys are used; what happens then is said in `legacy.rs`, `legacy_users.rs` and `api_keys/first_use.rs`.
//!
//! Every line of every file is read and checked, and compared with what is here, before the first write. Then batches
//! are written, each in one transaction that remembers its records by name and content: an import that was interrupted
//! is run again, and does what is left.

mod check;
mod lines;
mod record;
mod refused;

pub use self::refused::{Fault, LinePlace, Refused};

use self::check::{Checked, Owns, next};
use self::lines::Lines;
use self::record::{ApiKeyRecord, Record, RecordError, TotpRecord, UserRecord};
use crate::keys::KeyedHasher;
use crate::memory::pool::PoolError;
use crate::service::at_rest::AtRest;
use crate::service::legacy_users;
use crate::service::totps::seal_legacy;
use crate::state::{AppState, StateRng};
use crate::store::{
    ImportMark, ImportOutcome, ImportTarget, ImportedApiKey, ImportedRecord, ImportedRow, Known, NewLegacyUser,
    NewTotp, StoreError,
};
use quorate_protocol::encoding::length_prefixed;
use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Records of a batch, and the bytes of their lines with which it is full as well: all of it is in memory, and in one
/// transaction.
const BATCH: (usize, usize) = (500, 4 * 1024 * 1024);
/// Milliseconds of a time step of the other service's TOTP secrets.
const STEP_MS: i64 = 30_000;

/// How many records of a kind there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Not here before.
    pub new: u64,
    /// Imported before, as they are.
    pub known: u64,
}

/// What files hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// API keys.
    pub api_keys: Tally,
    /// TOTP secrets.
    pub totp: Tally,
    /// Users with U2F or `WebAuthn` keys.
    pub webauthn: Tally,
    /// Users who never finished registering: nothing is imported of them.
    pub unfinished: u64,
    /// What was left out, and why.
    pub refused: Refused,
}

/// Why nothing, or not everything, is imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A file is not what it was when it was checked, or what is here is not.
    #[error(
        "{place}: {fault}: this file, or what is here, has changed since it was checked; what came before it is imported"
    )]
    Changed {
        /// Where.
        place: LinePlace,
        /// What is wrong.
        fault: Fault,
    },
    /// This machine's clock and the store's differ, so nobody knows which codes the other service may have taken.
    #[error("the database's clock is {} s {} this machine's: set the clocks first; nothing was imported",
        .ahead.abs() / 1000, if *.ahead > 0 { "ahead of" } else { "behind" })]
    Clocks {
        /// Milliseconds by which the store's is ahead.
        ahead: i64,
    },
    /// A line is wrong; nothing was written.
    #[error("{place}: {fault}: nothing was imported")]
    Line {
        /// Where.
        place: LinePlace,
        /// What is wrong.
        fault: Fault,
    },
    /// The threads that handle secrets are gone.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// Records that cannot be imported; nothing was written.
    #[error("{0}: nothing was imported")]
    Refused(Refused),
    /// The store failed. What was written before stays, and the same import does the rest.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An import under way.
pub struct Import {
    state: AppState,
    marks: KeyedHasher,
    files: Vec<PathBuf>,
    /// Whether records that cannot be imported are left out, and not everything.
    leaves_out: bool,
}

/// Number of a file, and of a line in it.
type Place = (usize, u64);

/// What seals the records of an API key.
type DataKeys = Arc<HashMap<String, (i64, AtRest)>>;

/// A record that is about to be looked up or written.
struct Item {
    place: Place,
    /// Bytes of its line.
    bytes: usize,
    mark: ImportMark,
    target: ImportTarget,
    record: Owned,
}

/// A record that belongs to an API key.
enum Owned {
    Totp(TotpRecord),
    User(UserRecord),
}

impl Owned {
    fn api_key(&self) -> &str {
        match self {
            Self::Totp(totp) => &totp.api_key,
            Self::User(user) => &user.api_key,
        }
    }
}

/// Records that are looked up, or written, together.
#[derive(Default)]
struct Batch {
    items: Vec<Item>,
    bytes: usize,
}

impl Batch {
    fn push(&mut self, item: Item) {
        self.bytes += item.bytes;
        self.items.push(item);
    }

    fn is_full(&self) -> bool {
        self.items.len() >= BATCH.0 || self.bytes >= BATCH.1
    }

    fn take(&mut self) -> Vec<Item> {
        std::mem::take(self).items
    }
}

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Import {
    /// Of these files, in any order.
    pub fn new(state: &AppState, files: Vec<PathBuf>) -> Self {
        let marks = state.keys.root_secret().hasher("imports");
        Self { state: state.clone(), marks, files, leaves_out: false }
    }

    /// Leaves out records that cannot be imported, and imports the others.
    #[must_use]
    pub fn leaving_out(mut self, leaves_out: bool) -> Self {
        self.leaves_out = leaves_out;
        self
    }

    /// Refuses when the clocks of this machine and of the store differ: codes that the other service may have taken are told
    /// by their time.
    pub async fn check_clocks(&self) -> Result<(), ImportError> {
        self.state.look().await?.skew().map_or(Ok(()), |ahead| Err(ImportError::Clocks { ahead }))
    }

    /// Checks everything and writes nothing.
    pub async fn check(&self) -> Result<Summary, ImportError> {
        Ok(self.checked().await?.summary)
    }

    /// Checks everything, and imports it.
    pub async fn run(&self) -> Result<Summary, ImportError> {
        let mut checked = self.checked().await?;
        let data_keys = Arc::new(self.write_api_keys(&mut checked).await?);
        let mut batch = Batch::default();
        for (number, file) in self.files.iter().enumerate() {
            let changed = |line, fault: Fault| ImportError::Changed { place: self.place((number, line)), fault };
            let mut lines = Lines::open(file).map_err(|error| changed(0, error.into()))?;
            while let Some(line) = next(&mut lines).map_err(|(line, error)| changed(line, error.into()))? {
                let place = (number, line.number);
                if checked.refused.contains_key(&place) {
                    continue;
                }
                let record = line.record.map_err(|error| changed(line.number, error.into()))?;
                let Some(item) = self.item(place, line.bytes, record) else { continue };
                if checked.owners.get(item.record.api_key()).is_some_and(Owns::is_written) {
                    batch.push(item);
                }
                if batch.is_full() {
                    self.write(batch.take(), &data_keys, &mut checked.summary).await?;
                }
            }
        }
        self.write(batch.take(), &data_keys, &mut checked.summary).await?;
        Ok(checked.summary)
    }

    /// Imports the API keys, and makes a data key for each that owns something new.
    async fn write_api_keys(&self, checked: &mut Checked) -> Result<HashMap<String, (i64, AtRest)>, ImportError> {
        let (state, now, mut data_keys) = (&self.state, self.state.clock().now_ms(), HashMap::new());
        for (place, record) in &checked.api_keys {
            let ApiKeyRecord { value, email, created_at, active } = record;
            let (activated_at, bcrypt) = active.clone().unzip();
            let (data_key, key) = activated_at.map(|_| state.api_keys.data_key_without_secret(value)).unzip();
            let imported = ImportedApiKey {
                mark: self.api_key_mark(record),
                key: state.api_keys.seal_imported(value, email, *created_at, bcrypt),
                activated_at,
                imported_at: now,
                data_key,
            };
            match (state.store.import_api_key(imported).await?, key) {
                ((Known::Other, _), _) => {
                    return Err(ImportError::Changed { place: self.place(*place), fault: Fault::Conflict });
                }
                ((_, Some(number)), Some(key)) => drop(data_keys.insert(value.clone(), (number, key))),
                _ => {}
            }
        }
        for (value, owns) in &checked.owners {
            if !owns.is_written() || data_keys.contains_key(value) {
                continue;
            }
            let (data_key, key) = state.api_keys.data_key_without_secret(value);
            let number = state.store.add_data_key(&state.api_keys.id(value), data_key, now).await?;
            // An API key is never removed once it is activated.
            let full = || ImportError::Changed { place: self.place(owns.first), fault: Fault::Full };
            data_keys.insert(value.clone(), (number.ok_or_else(full)?, key));
        }
        Ok(data_keys)
    }

    /// Seals a batch, and writes it.
    async fn write(&self, items: Vec<Item>, data_keys: &DataKeys, summary: &mut Summary) -> Result<(), ImportError> {
        if items.is_empty() {
            return Ok(());
        }
        let mut places: Vec<_> = items.iter().map(|item| item.place).collect();
        let (data_keys, mut rng, now) = (Arc::clone(data_keys), self.state.rng(), self.state.clock().now_ms());
        let job = move || items.into_iter().map(|item| sealed(item, &data_keys, now, &mut rng)).collect::<Vec<_>>();
        let changed = |place, fault| ImportError::Changed { place: self.place(place), fault };
        let mut records = Vec::with_capacity(places.len());
        for (place, sealed) in places.iter().zip(self.state.crypto.run(job).await?) {
            records.push(sealed.map_err(|fault| changed(*place, fault))?);
        }
        loop {
            let (at, fault) = match self.state.store.import_records(records.clone()).await? {
                ImportOutcome::Closed(at) => (at, Fault::Closed),
                ImportOutcome::Conflict(at) => (at, Fault::Conflict),
                ImportOutcome::Imported(_) => return Ok(()),
            };
            let (place, record) = (places.remove(at), records.remove(at));
            if !self.leaves_out {
                return Err(changed(place, fault));
            }
            summary.refused.add(&self.place(place), &fault, 1);
            let tally = match record.row {
                ImportedRow::Totp(..) => &mut summary.totp,
                ImportedRow::User(_) => &mut summary.webauthn,
            };
            tally.new -= 1;
        }
    }

    fn item(&self, place: Place, bytes: usize, record: Record) -> Option<Item> {
        let mark = self.mark(&record)?;
        let api_keys = &self.state.api_keys;
        let (target, record) = match record {
            Record::ApiKey(_) | Record::Unfinished => return None,
            Record::Totp(totp) => {
                let (id, api_key) = (self.state.totps.id(totp.uuid), api_keys.id(&totp.api_key));
                (ImportTarget::Totp { id, api_key }, Owned::Totp(totp))
            }
            Record::User(user) => {
                let (owner, api_key) = (self.state.security_keys.owner(&user.uuid), api_keys.id(&user.api_key));
                (ImportTarget::User { owner, api_key }, Owned::User(user))
            }
        };
        Some(Item { place, bytes, mark, target, record })
    }

    /// What remembers a record: keyed hashes of its name and of all of it.
    fn mark(&self, record: &Record) -> Option<ImportMark> {
        match record {
            Record::ApiKey(api_key) => Some(self.api_key_mark(api_key)),
            Record::Totp(TotpRecord { uuid, api_key, encrypted }) => {
                let parts = [api_key.as_bytes(), encrypted.as_bytes()];
                Some(self.marked(b"totp", uuid.as_bytes(), &parts))
            }
            Record::User(UserRecord { uuid, api_key, user }) => {
                let user = crate::service::security_keys::json(user);
                Some(self.marked(b"user", uuid.as_bytes(), &[api_key.as_bytes(), &user]))
            }
            Record::Unfinished => None,
        }
    }

    fn api_key_mark(&self, record: &ApiKeyRecord) -> ImportMark {
        let ApiKeyRecord { value, email, created_at, active } = record;
        let (activated_at, hash) = active.as_ref().map_or((0, ""), |(at, hash)| (*at, hash.as_str()));
        let parts = [email.as_bytes(), &created_at.to_be_bytes(), &activated_at.to_be_bytes(), hash.as_bytes()];
        self.marked(b"api key", value.as_bytes(), &parts)
    }

    fn marked(&self, kind: &[u8], name: &[u8], parts: &[&[u8]]) -> ImportMark {
        let hash = |parts: &[&[u8]]| self.marks.hash(&[&length_prefixed(parts)]);
        ImportMark { id: hash(&[b"name", kind, name]), digest: hash(&[b"record", kind, name, &length_prefixed(parts)]) }
    }

    fn place(&self, (file, line): Place) -> LinePlace {
        LinePlace { file: self.files[file].clone(), line }
    }
}

/// A record as the store takes it.
fn sealed(
    item: Item,
    data_keys: &HashMap<String, (i64, AtRest)>,
    now: i64,
    rng: &mut StateRng,
) -> Result<ImportedRecord, Fault> {
    let (number, key) = data_keys.get(item.record.api_key()).ok_or(Fault::Owner)?;
    let row = match item.record {
        Owned::Totp(totp) => {
            let ImportTarget::Totp { id, .. } = item.target else { return Err(Fault::Conflict) };
            let sealed = seal_legacy(&id, &totp.encrypted, key, rng);
            let sealed = sealed.ok_or(RecordError::Wrong("encryptedTotpKey"))?;
            // The other service takes codes of the present step and, for clocks that are fast, of the next one.
            let taken = now.div_euclid(STEP_MS) + 1;
            ImportedRow::Totp(NewTotp { id, data_key: *number, created_at: now, sealed }, taken)
        }
        Owned::User(user) => {
            let ImportTarget::User { owner, .. } = item.target else { return Err(Fault::Conflict) };
            let sealed = legacy_users::seal(&user.user, &owner, key, rng);
            ImportedRow::User(NewLegacyUser { owner, data_key: *number, created_at: now, sealed })
        }
    };
    Ok(ImportedRecord { mark: item.mark, target: item.target, row })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::legacy::Ciphertext;

    #[test]
    fn a_batch_is_bounded_in_records_and_in_bytes() {
        let item = |bytes| Item {
            place: (0, 1),
            bytes,
            mark: ImportMark { id: [0; 32], digest: [0; 32] },
            target: ImportTarget::Totp { id: [0; 32], api_key: [0; 32] },
            record: Owned::Totp(TotpRecord {
                uuid: uuid::Uuid::nil(),
                api_key: String::new(),
                encrypted: Ciphertext::from_bytes(vec![0; 17]).unwrap(),
            }),
        };
        for (bytes, records) in [(1, 500), (lines::MAX_LINE, 4), (400 * 1024, 11)] {
            let mut batch = Batch::default();
            while !batch.is_full() {
                batch.push(item(bytes));
            }
            assert_eq!(batch.take().len(), records);
            assert!(!batch.is_full() && batch.bytes == 0, "it begins anew");
        }
    }
}
