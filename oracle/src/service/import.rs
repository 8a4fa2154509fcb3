//! Import from serverless-mfa-api: its tables become API keys and records here, as they are. Nothing in them can be read
//! before their API keys are used; what happens then is said in `legacy.rs`, `legacy_users.rs` and `api_keys/first_use.rs`.
//!
//! Every line of every file is read and checked, and compared with what is here, before the first write. Then batches
//! are written, each in one transaction that remembers its records by name and content: an import that was interrupted
//! is run again, and does what is left.

mod lines;
mod record;

use self::lines::{LineError, Lines};
use self::record::{ApiKeyRecord, Record, RecordError, TotpRecord, UserRecord};
use crate::clock::Clock;
use crate::keys::{KeyedHasher, RootSecret};
use crate::memory::pool::{CryptoPool, PoolError};
use crate::service::api_keys::ApiKeys;
use crate::service::at_rest::AtRest;
use crate::service::legacy_users;
use crate::service::security_keys::SecurityKeys;
use crate::service::totps::{Totps, seal_legacy};
use crate::state::{AppState, StateRng};
use crate::store::{
    Digest, ImportMark, ImportOutcome, ImportTarget, ImportedApiKey, ImportedRecord, ImportedRow, Known, MAX_DATA_KEYS,
    NewLegacyUser, NewTotp, Store, StoreError,
};
use quorate_protocol::encoding::length_prefixed;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// Records of a batch.
const BATCH: usize = 500;
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// API keys.
    pub api_keys: Tally,
    /// TOTP secrets.
    pub totp: Tally,
    /// Users with U2F or `WebAuthn` keys.
    pub webauthn: Tally,
    /// Users who never finished registering: nothing is imported of them.
    pub unfinished: u64,
}

/// Why nothing, or not everything, is imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A line is wrong; nothing was written.
    #[error("{place}: {fault}: nothing was imported")]
    Line {
        /// Where.
        place: LinePlace,
        /// What is wrong.
        fault: Fault,
    },
    /// A file is not what it was when it was checked.
    #[error(
        "{place}: {fault}: this file, or what is here, has changed since it was checked; what came before it is imported"
    )]
    Changed {
        /// Where.
        place: LinePlace,
        /// What is wrong.
        fault: Fault,
    },
    /// The threads that handle secrets are gone.
    #[error(transparent)]
    Pool(#[from] PoolError),
    /// The store failed. What was written before stays, and the same import does the rest.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinePlace {
    /// The file.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: u64,
}

impl fmt::Display for LinePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = quorate_protocol::display::escape_controls(&self.file.display().to_string());
        write!(f, "{file} line {}", self.line)
    }
}

/// What is wrong with a line.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// It cannot be read.
    #[error(transparent)]
    Line(#[from] LineError),
    /// It is no record.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Its name stands in another line.
    #[error("has the name of {0}")]
    Twice(LinePlace),
    /// Something of its name is here, and differs.
    #[error("is here already, and not the same")]
    Conflict,
    /// Its API key is in none of the files and was not imported before, or has no secret.
    #[error("belongs to an API key that is not among the activated ones: give the files of all tables at once")]
    Owner,
    /// Its API key owns as many data keys as one may, and each import makes one more.
    #[error("belongs to an API key that has taken over, or imported, too often")]
    Full,
}

/// An import under way.
pub struct Import {
    store: Store,
    api_keys: ApiKeys,
    security_keys: SecurityKeys,
    totps: Totps,
    crypto: Arc<CryptoPool>,
    rng: StateRng,
    marks: KeyedHasher,
    now: i64,
    files: Vec<PathBuf>,
}

/// What the check found, which the writing goes by.
#[derive(Default)]
struct Checked {
    summary: Summary,
    api_keys: Vec<(Place, ApiKeyRecord)>,
    /// Values of API keys that own something new.
    owners: HashSet<String>,
}

/// Number of a file, and of a line in it.
type Place = (usize, u64);

/// What seals the records of an API key.
type DataKeys = Arc<HashMap<String, (i64, AtRest)>>;

/// A record that is about to be looked up or written.
struct Item {
    place: Place,
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

impl fmt::Debug for Import {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Import").field("files", &self.files).finish_non_exhaustive()
    }
}

impl Import {
    /// Of these files, in any order.
    pub fn new(state: &AppState, files: Vec<PathBuf>) -> Self {
        let root: &RootSecret = state.keys.root_secret();
        Self {
            store: state.store.clone(),
            api_keys: state.api_keys.clone(),
            security_keys: state.security_keys.clone(),
            totps: state.totps.clone(),
            crypto: Arc::clone(&state.crypto),
            rng: state.rng(),
            marks: root.hasher("imports"),
            now: Clock::now_ms(state.clock()),
            files,
        }
    }

    /// Checks everything and writes nothing.
    pub async fn check(&self) -> Result<Summary, ImportError> {
        Ok(self.checked().await?.summary)
    }

    /// Checks everything, and imports it.
    pub async fn run(&self) -> Result<Summary, ImportError> {
        let checked = self.checked().await?;
        let data_keys = Arc::new(self.write_api_keys(&checked).await?);
        let mut batch = Vec::with_capacity(BATCH);
        for (number, file) in self.files.iter().enumerate() {
            let changed = |line, fault: Fault| ImportError::Changed { place: self.place((number, line)), fault };
            let mut lines = Lines::open(file).map_err(|error| changed(0, error.into()))?;
            loop {
                let next = next(&mut lines).map_err(|(line, fault)| changed(line, fault))?;
                let Some((line, record)) = next else { break };
                let Some(item) = self.item((number, line), record) else { continue };
                if checked.owners.contains(item.record.api_key()) {
                    batch.push(item);
                }
                if batch.len() == BATCH {
                    self.write(&mut batch, &data_keys).await?;
                }
            }
        }
        self.write(&mut batch, &data_keys).await?;
        Ok(checked.summary)
    }

    async fn checked(&self) -> Result<Checked, ImportError> {
        let (mut checked, mut seen) = (Checked::default(), HashMap::<Digest, Place>::new());
        let mut owners = HashMap::<String, Place>::new();
        let mut batch = Vec::with_capacity(BATCH);
        for (number, file) in self.files.iter().enumerate() {
            let wrong = |line, fault: Fault| self.wrong((number, line), fault);
            let mut lines = Lines::open(file).map_err(|error| wrong(0, error.into()))?;
            while let Some((line, record)) = next(&mut lines).map_err(|(line, fault)| wrong(line, fault))? {
                let place = (number, line);
                let mark = self.mark(&record);
                if let Some(first) = mark.and_then(|mark| seen.insert(mark.id, place)) {
                    return Err(wrong(line, Fault::Twice(self.place(first))));
                }
                match record {
                    Record::Unfinished => checked.summary.unfinished += 1,
                    Record::ApiKey(api_key) => checked.api_keys.push((place, api_key)),
                    record => {
                        let item = self.item(place, record).expect("what is no API key belongs to one");
                        owners.entry(item.record.api_key().to_owned()).or_insert(place);
                        batch.push(item);
                    }
                }
                if batch.len() == BATCH {
                    self.look_up(&mut batch, &mut checked).await?;
                }
            }
        }
        self.look_up(&mut batch, &mut checked).await?;
        self.check_api_keys(&mut checked, &owners).await?;
        Ok(checked)
    }

    /// Compares records with what is here.
    async fn look_up(&self, batch: &mut Vec<Item>, checked: &mut Checked) -> Result<(), ImportError> {
        let records = batch.iter().map(|item| (item.mark, item.target)).collect();
        for (item, known) in batch.drain(..).zip(self.store.known_imports(records).await?) {
            let tally = match item.record {
                Owned::Totp(_) => &mut checked.summary.totp,
                Owned::User(_) => &mut checked.summary.webauthn,
            };
            self.count(tally, item.place, known)?;
            if known == Known::New {
                checked.owners.insert(item.record.api_key().to_owned());
            }
        }
        Ok(())
    }

    /// The same for API keys, and whether every record belongs to one that has a secret.
    async fn check_api_keys(&self, checked: &mut Checked, owners: &HashMap<String, Place>) -> Result<(), ImportError> {
        let (places, marked): (Vec<_>, Vec<_>) = checked
            .api_keys
            .iter()
            .map(|(place, record)| {
                let target = ImportTarget::ApiKey(self.api_keys.id(&record.value));
                (*place, (self.api_key_mark(record), target))
            })
            .unzip();
        for (place, known) in places.into_iter().zip(self.store.known_imports(marked).await?) {
            self.count(&mut checked.summary.api_keys, place, known)?;
        }
        let active = checked.api_keys.iter().filter(|(_, record)| record.active.is_some());
        let active: HashSet<&str> = active.map(|(_, record)| record.value.as_str()).collect();
        let elsewhere = owners.iter().filter(|(value, _)| !active.contains(value.as_str()));
        let mut unknown = Vec::new();
        for (value, place) in elsewhere {
            let here = self.store.api_key(&self.api_keys.id(value)).await?;
            if here.is_none_or(|(row, _)| row.activated_at.is_none()) {
                unknown.push(*place);
            }
        }
        unknown.into_iter().min().map_or(Ok(()), |place| Err(self.wrong(place, Fault::Owner)))?;
        let mut full = Vec::new();
        for value in &checked.owners {
            let here = self.store.api_key(&self.api_keys.id(value)).await?;
            if here.is_some_and(|(_, data_keys)| data_keys.len() >= MAX_DATA_KEYS) {
                full.push(owners[value]);
            }
        }
        full.into_iter().min().map_or(Ok(()), |place| Err(self.wrong(place, Fault::Full)))
    }

    fn count(&self, tally: &mut Tally, place: Place, known: Known) -> Result<(), ImportError> {
        match known {
            Known::New => tally.new += 1,
            Known::Same => tally.known += 1,
            Known::Other => return Err(self.wrong(place, Fault::Conflict)),
        }
        Ok(())
    }

    /// Imports the API keys, and makes a data key for each that owns something new.
    async fn write_api_keys(&self, checked: &Checked) -> Result<HashMap<String, (i64, AtRest)>, ImportError> {
        let mut data_keys = HashMap::new();
        for (place, record) in &checked.api_keys {
            let ApiKeyRecord { value, email, created_at, active } = record;
            let (activated_at, bcrypt) = active.clone().unzip();
            let (data_key, key) = activated_at.map(|_| self.api_keys.data_key_without_secret(value)).unzip();
            let imported = ImportedApiKey {
                mark: self.api_key_mark(record),
                key: self.api_keys.seal_imported(value, email, *created_at, bcrypt),
                activated_at,
                imported_at: self.now,
                data_key,
            };
            match (self.store.import_api_key(imported).await?, key) {
                ((Known::Other, _), _) => {
                    return Err(ImportError::Changed { place: self.place(*place), fault: Fault::Conflict });
                }
                ((_, Some(number)), Some(key)) => drop(data_keys.insert(value.clone(), (number, key))),
                _ => {}
            }
        }
        for value in &checked.owners {
            if data_keys.contains_key(value) {
                continue;
            }
            let (data_key, key) = self.api_keys.data_key_without_secret(value);
            // An API key is never removed once it is activated.
            if let Some(number) = self.store.add_data_key(&self.api_keys.id(value), data_key, self.now).await? {
                data_keys.insert(value.clone(), (number, key));
            }
        }
        Ok(data_keys)
    }

    /// Seals a batch, and writes it.
    async fn write(&self, batch: &mut Vec<Item>, data_keys: &DataKeys) -> Result<(), ImportError> {
        if batch.is_empty() {
            return Ok(());
        }
        let items = std::mem::take(batch);
        let places: Vec<_> = items.iter().map(|item| item.place).collect();
        let (data_keys, mut rng, now) = (Arc::clone(data_keys), self.rng.clone(), self.now);
        let job = move || items.into_iter().map(|item| sealed(item, &data_keys, now, &mut rng)).collect::<Vec<_>>();
        let mut records = Vec::with_capacity(places.len());
        for (place, sealed) in places.iter().zip(self.crypto.run(job).await?) {
            let changed = |fault| ImportError::Changed { place: self.place(*place), fault };
            records.push(sealed.map_err(changed)?);
        }
        match self.store.import_records(records).await? {
            ImportOutcome::Imported(_) => Ok(()),
            ImportOutcome::Conflict(item) => {
                Err(ImportError::Changed { place: self.place(places[item]), fault: Fault::Conflict })
            }
        }
    }

    fn item(&self, place: Place, record: Record) -> Option<Item> {
        let mark = self.mark(&record)?;
        let (target, record) = match record {
            Record::ApiKey(_) | Record::Unfinished => return None,
            Record::Totp(totp) => (ImportTarget::Totp(self.totps.id(totp.uuid)), Owned::Totp(totp)),
            Record::User(user) => {
                let owner = self.security_keys.owner(&user.uuid);
                (ImportTarget::User { owner, api_key: self.api_keys.id(&user.api_key) }, Owned::User(user))
            }
        };
        Some(Item { place, mark, target, record })
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

    fn wrong(&self, place: Place, fault: Fault) -> ImportError {
        ImportError::Line { place: self.place(place), fault }
    }

    fn place(&self, (file, line): Place) -> LinePlace {
        LinePlace { file: self.files[file].clone(), line }
    }
}

/// The next record of a file with its line, or the line that is wrong and why.
fn next(lines: &mut Lines) -> Result<Option<(u64, Record)>, (u64, Fault)> {
    let read = match lines.next() {
        Ok(None) => return Ok(None),
        Ok(Some(line)) => Record::parse(line).map_err(Fault::from),
        Err(error) => Err(error.into()),
    };
    let number = lines.number();
    read.map(|record| Some((number, record))).map_err(|fault| (number, fault))
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
            let ImportTarget::Totp(id) = item.target else { return Err(Fault::Conflict) };
            let sealed = seal_legacy(&id, &totp.encrypted, key, rng);
            let sealed = sealed.ok_or(RecordError::Wrong("encryptedTotpKey"))?;
            // The other service may have taken a code of the present step, and would take it again.
            ImportedRow::Totp(NewTotp { id, data_key: *number, created_at: now, sealed }, now.div_euclid(STEP_MS))
        }
        Owned::User(user) => {
            let ImportTarget::User { owner, .. } = item.target else { return Err(Fault::Conflict) };
            let sealed = legacy_users::seal(&user.user, &owner, key, rng);
            ImportedRow::User(NewLegacyUser { owner, data_key: *number, created_at: now, sealed })
        }
    };
    Ok(ImportedRecord { mark: item.mark, target: item.target, row })
}
