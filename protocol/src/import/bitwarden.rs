//! Bitwarden's exports as JSON: the items of a vault, of which those count whose login has a one-time password: an otpauth
//! URI, `steam://` and a key, or a bare key. Exports under a password or an account's key are refused.

use serde::Deserialize;
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use super::row::{Entries, Found, Place, Row, Told};
use super::uris::{self, is_uri};
use super::{Format, ImportError, LeftOut, shown_name};

#[derive(Deserialize)]
struct Export<'a> {
    encrypted: bool,
    #[serde(borrow, default)]
    items: Option<Entries<'a>>,
}

#[derive(Deserialize)]
struct Item {
    name: Option<String>,
    login: Option<Login>,
}

#[derive(Deserialize)]
struct Login {
    username: Option<String>,
    totp: Option<Zeroizing<String>>,
}

pub(super) fn rows(input: usize, text: &str) -> Result<Vec<Row>, ImportError> {
    let damaged = ImportError::NotThisFormat(Format::Bitwarden);
    let export: Export<'_> = serde_json::from_str(text).map_err(|_| damaged.clone())?;
    if export.encrypted {
        return Err(ImportError::Encrypted(Format::Bitwarden));
    }
    export.items.ok_or(damaged)?.rows(input, row)
}

/// The row of an item; `None` for one without a one-time password.
fn row(place: Place, item: &RawValue) -> Option<Row> {
    let Ok(item) = serde_json::from_str::<Item>(item.get()) else {
        return Some(Row::unnamed(place, LeftOut::Unreadable));
    };
    let login = item.login?;
    let totp = login.totp.filter(|text| !text.trim().is_empty())?;
    let (issuer, account) = (item.name.unwrap_or_default(), login.username.unwrap_or_default());
    let name = shown_name(&issuer, &account);
    let found = if is_uri(&totp) {
        uris::found(&totp).and_then(|found| named(found, &issuer, &account))
    } else if totp.trim().to_ascii_lowercase().starts_with("steam:") {
        Err(LeftOut::Steam)
    } else {
        let account = Told { issuer: Some(&issuer), account: &account, key: &totp, ..Told::default() };
        account.secret().map(Found::from).map_err(LeftOut::from)
    };
    Some(Row::new(place, &name, found))
}

/// A URI that names nothing is named as its item is.
fn named(mut found: Found, issuer: &str, account: &str) -> Result<Found, LeftOut> {
    if found.secret.issuer().is_none() && found.secret.account().is_empty() {
        found.secret = found.secret.with_names(Some(issuer), account)?;
    }
    Ok(found)
}
