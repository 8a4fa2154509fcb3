//! Aegis' vaults (its `docs/vault.md`): JSON, where the contents are plain, or under a random master key in AES-256-GCM that
//! each credential's slot wraps. Only passwords are credentials that leave the phone.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::locked::{self, Scrypt};
use super::row::{Entries, Place, Row, Told};
use super::{Format, ImportError, LeftOut};

/// The newest version of the file, and of what is in it.
const NEWEST: (u64, u64) = (1, 3);
/// The slot of a password.
const PASSWORD: u64 = 1;

#[derive(Deserialize)]
struct Vault<'a> {
    version: u64,
    header: Header,
    #[serde(borrow)]
    db: &'a RawValue,
}

/// Without slots the vault is plain.
#[derive(Deserialize)]
struct Header {
    slots: Option<Vec<Slot>>,
    params: Option<Params>,
}

/// A wrapped master key; what derives the wrapping key stands in slots of passwords only. Byte strings are hexadecimal.
#[derive(Deserialize)]
struct Slot {
    #[serde(rename = "type")]
    kind: u64,
    key: String,
    key_params: Params,
    n: Option<u64>,
    r: Option<u64>,
    p: Option<u64>,
    salt: Option<String>,
}

#[derive(Deserialize)]
struct Params {
    nonce: String,
    tag: String,
}

#[derive(Deserialize)]
struct Contents<'a> {
    version: u64,
    #[serde(borrow)]
    entries: Entries<'a>,
}

#[derive(Deserialize)]
struct Entry {
    #[serde(rename = "type")]
    kind: String,
    name: Option<String>,
    issuer: Option<String>,
    info: Info,
}

#[derive(Deserialize)]
struct Info {
    secret: Zeroizing<String>,
    algo: Option<String>,
    digits: Option<u64>,
    period: Option<u64>,
}

pub(super) fn rows(input: usize, text: &str, password: Option<&str>) -> Result<Vec<Row>, ImportError> {
    let vault: Vault<'_> = serde_json::from_str(text).map_err(|_| damaged())?;
    known(vault.version, NEWEST.0)?;
    let Some(slots) = vault.header.slots else { return contents(input, vault.db.get()) };
    let params = vault.header.params.ok_or_else(damaged)?;
    let sealed: String = serde_json::from_str(vault.db.get()).map_err(|_| damaged())?;
    let sealed = STANDARD.decode(sealed).map_err(|_| damaged())?;
    let master = master_key(&slots, password)?;
    let opened = params.open(&master, sealed)?.ok_or_else(damaged)?;
    contents(input, std::str::from_utf8(&opened).map_err(|_| damaged())?)
}

fn contents(input: usize, text: &str) -> Result<Vec<Row>, ImportError> {
    let contents: Contents<'_> = serde_json::from_str(text).map_err(|_| damaged())?;
    known(contents.version, NEWEST.1)?;
    contents.entries.rows(input, |place, entry| Some(row(place, entry)))
}

fn row(place: Place, entry: &RawValue) -> Row {
    let Ok(entry) = serde_json::from_str::<Entry>(entry.get()) else {
        return Row::unnamed(place, LeftOut::Unreadable);
    };
    let account = Told {
        issuer: entry.issuer.as_deref(),
        account: entry.name.as_deref().unwrap_or_default(),
        key: &entry.info.secret,
        algorithm: entry.info.algo.as_deref(),
        digits: entry.info.digits,
        period: entry.info.period,
    };
    account.row(place, &entry.kind)
}

/// The master key, from the first slot that the password opens. What all slots cost is known before the first is tried.
fn master_key(slots: &[Slot], password: Option<&str>) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let slots = slots.iter().filter(|slot| slot.kind == PASSWORD);
    let slots = slots.map(|slot| Ok((slot, slot.scrypt()?))).collect::<Result<Vec<_>, ImportError>>()?;
    if slots.is_empty() {
        return Err(ImportError::NoPasswordSlot);
    }
    locked::affordable(slots.iter().map(|(_, scrypt)| scrypt))?;
    let password = password.ok_or(ImportError::PasswordNeeded(Format::Aegis))?;
    for (slot, scrypt) in slots {
        let key = scrypt.key(password);
        if let Some(master) = slot.key_params.open(&*key, unhex(&slot.key)?)? {
            return Ok(master);
        }
    }
    Err(ImportError::WrongPassword(Format::Aegis))
}

impl Slot {
    fn scrypt(&self) -> Result<Scrypt, ImportError> {
        let (Some(n), Some(r), Some(p), Some(salt)) = (self.n, self.r, self.p, &self.salt) else {
            return Err(damaged());
        };
        Scrypt::new(n, r, p, unhex(salt)?)
    }
}

impl Params {
    /// What `key` opens; `None` when it does not.
    fn open(&self, key: &[u8], sealed: Vec<u8>) -> Result<Option<Zeroizing<Vec<u8>>>, ImportError> {
        let nonce = unhex(&self.nonce)?.try_into().map_err(|_| damaged())?;
        let tag = unhex(&self.tag)?.try_into().map_err(|_| damaged())?;
        let key = key.try_into().map_err(|_| damaged())?;
        Ok(locked::open(key, nonce, tag, sealed))
    }
}

fn unhex(text: &str) -> Result<Vec<u8>, ImportError> {
    data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).map_err(|_| damaged())
}

fn known(found: u64, newest: u64) -> Result<(), ImportError> {
    if (1..=newest).contains(&found) { Ok(()) } else { Err(ImportError::Version { format: Format::Aegis, found }) }
}

fn damaged() -> ImportError {
    ImportError::NotThisFormat(Format::Aegis)
}
