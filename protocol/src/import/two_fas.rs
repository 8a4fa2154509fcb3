//! 2FAS' backups: JSON, in which the list of services is plain, or three base64 strings with colons between them: the list
//! under AES-256-GCM with its tag, the salt, the nonce. The key is 10,000 rounds of PBKDF2 with HMAC-SHA-256.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::locked;
use super::row::{Entries, Place, Row, Told};
use super::{Format, ImportError, LeftOut};

const NEWEST_SCHEMA: u64 = 4;
const ROUNDS: u32 = 10_000;
const TAG_BYTES: usize = 16;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Backup<'a> {
    schema_version: Option<u64>,
    #[serde(borrow)]
    services: Option<Entries<'a>>,
    services_encrypted: Option<String>,
}

#[derive(Deserialize)]
struct Service {
    name: Option<String>,
    secret: Zeroizing<String>,
    otp: Otp,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Otp {
    account: Option<String>,
    label: Option<String>,
    issuer: Option<String>,
    algorithm: Option<String>,
    digits: Option<u64>,
    period: Option<u64>,
    counter: Option<u64>,
    token_type: Option<String>,
}

pub(super) fn rows(input: usize, text: &str, password: Option<&str>) -> Result<Vec<Row>, ImportError> {
    let backup: Backup<'_> = serde_json::from_str(text).map_err(|_| damaged())?;
    if let Some(found) = backup.schema_version.filter(|version| !(1..=NEWEST_SCHEMA).contains(version)) {
        return Err(ImportError::Version { format: Format::TwoFas, found });
    }
    let Some(encrypted) = backup.services_encrypted.filter(|text| !text.is_empty()) else {
        return services(input, &backup.services.ok_or_else(damaged)?);
    };
    let opened = open(&encrypted, password)?;
    let inner: Entries<'_> = serde_json::from_slice(&opened).map_err(|_| damaged())?;
    services(input, &inner)
}

fn open(encrypted: &str, password: Option<&str>) -> Result<Zeroizing<Vec<u8>>, ImportError> {
    let parts = encrypted.split(':').map(|part| STANDARD.decode(part));
    let parts: Vec<Vec<u8>> = parts.collect::<Result<_, _>>().map_err(|_| damaged())?;
    let [mut sealed, salt, nonce] = <[Vec<u8>; 3]>::try_from(parts).map_err(|_| damaged())?;
    let nonce = nonce.try_into().map_err(|_| damaged())?;
    let end = sealed.len().checked_sub(TAG_BYTES).ok_or_else(damaged)?;
    let tag = sealed.split_off(end).try_into().map_err(|_| damaged())?;
    let password = password.ok_or(ImportError::PasswordNeeded(Format::TwoFas))?;
    let key = locked::pbkdf2(password, &salt, ROUNDS)?;
    locked::open(&key, nonce, tag, sealed).ok_or(ImportError::WrongPassword(Format::TwoFas))
}

fn services(input: usize, services: &Entries<'_>) -> Result<Vec<Row>, ImportError> {
    services.rows(input, |place, service| Some(row(place, service)))
}

fn row(place: Place, service: &RawValue) -> Row {
    let Ok(Service { name, secret, otp }) = serde_json::from_str::<Service>(service.get()) else {
        return Row::unnamed(place, LeftOut::Unreadable);
    };
    let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
    let issuer = given(otp.issuer).or(given(name));
    let account = Told {
        issuer: issuer.as_deref(),
        account: &given(otp.account).or(given(otp.label)).unwrap_or_default(),
        key: &secret,
        algorithm: otp.algorithm.as_deref(),
        digits: otp.digits,
        period: otp.period,
    };
    // The first schemas knew codes by time alone, and did not say so.
    let unsaid = if otp.counter.is_some() { "hotp" } else { "totp" };
    account.row(place, otp.token_type.as_deref().unwrap_or(unsaid))
}

fn damaged() -> ImportError {
    ImportError::NotThisFormat(Format::TwoFas)
}
