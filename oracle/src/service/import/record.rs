//! Records of serverless-mfa-api and serverless-mfa-api-go as `DynamoDB` exports them: one item a line, every attribute with
//! its type. What a record is, its attributes say; the name of its file does not. Knows nothing of the store.

use crate::service::legacy::{BcryptHash, Ciphertext};
use crate::service::legacy_users::{LegacyU2f, LegacyUser};
use crate::service::security_keys::MAX_UUID;
use quorate_protocol::encoding::from_base64;
use serde::Deserialize;
use serde_json::value::RawValue;
use uuid::Uuid;

/// Bytes of an API key's value at most.
const MAX_VALUE: usize = 256;
/// Bytes of an email at most (RFC 5321 §4.5.3.1).
const MAX_EMAIL: usize = 320;
/// The end of the year 9999, Unix milliseconds.
const MAX_TIME: i64 = 253_402_300_799_999;

/// Why a line is no record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Cut off, or something else altogether.
    #[error("is not JSON, or not all of it")]
    Json,
    /// Another table's, or another kind of export.
    #[error("is no record of serverless-mfa-api")]
    Foreign,
    /// An attribute that the record cannot do without.
    #[error("has no {0}")]
    Missing(&'static str),
    /// An attribute that is not what the service writes.
    #[error("has a wrong {0}")]
    Wrong(&'static str),
}

impl RecordError {
    /// Whether the line is a record for all that: a file with such a line is no other service's, and was not cut off there.
    pub fn is_of_a_record(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Wrong(_))
    }
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Record {
    /// An API key.
    ApiKey(ApiKeyRecord),
    /// A TOTP secret.
    Totp(TotpRecord),
    /// A user's security keys.
    User(UserRecord),
    /// A user who never finished registering anything.
    Unfinished,
}

/// An API key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiKeyRecord {
    pub value: String,
    pub email: String,
    pub created_at: i64,
    /// When its secret was given out, and the secret's hash.
    pub active: Option<(i64, BcryptHash)>,
}

/// A TOTP secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TotpRecord {
    pub uuid: Uuid,
    pub api_key: String,
    pub encrypted: Ciphertext,
}

/// A user's security keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserRecord {
    pub uuid: String,
    pub api_key: String,
    pub user: LegacyUser,
}

/// A line of a full export. Items that were taken by a scan stand there bare.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow, rename = "Item")]
    item: Option<&'a RawValue>,
}

/// A value with its type, of the types that occur.
#[derive(Deserialize, Default)]
struct Typed {
    #[serde(rename = "S")]
    text: Option<String>,
    #[serde(rename = "N")]
    number: Option<String>,
    #[serde(rename = "B")]
    bytes: Option<String>,
    #[serde(rename = "NULL")]
    null: Option<bool>,
}

/// All attributes that any of the records has; others, such as those of replication, are nothing to us.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Attributes {
    value: Option<Typed>,
    email: Option<Typed>,
    created_at: Option<Typed>,
    activated_at: Option<Typed>,
    hashed_api_secret: Option<Typed>,
    uuid: Option<Typed>,
    api_key: Option<Typed>,
    encrypted_totp_key: Option<Typed>,
    encrypted_app_id: Option<Typed>,
    encrypted_key_handle: Option<Typed>,
    encrypted_public_key: Option<Typed>,
    encrypted_registration_request: Option<Typed>,
    #[serde(rename = "EncryptedSessionData")]
    encrypted_session_data: Option<Typed>,
    #[serde(rename = "EncryptedCredentials")]
    encrypted_credentials: Option<Typed>,
}

impl Record {
    /// Reads a line.
    pub fn parse(line: &[u8]) -> Result<Self, RecordError> {
        let text = std::str::from_utf8(line).map_err(|_| RecordError::Json)?;
        // A first look at all of it, so that what was cut off is not taken for something foreign.
        let whole: &RawValue = serde_json::from_str(text).map_err(|_| RecordError::Json)?;
        let foreign = |_| RecordError::Foreign;
        let item = serde_json::from_str::<Line<'_>>(whole.get()).map_err(foreign)?.item.unwrap_or(whole);
        let attributes: Attributes = serde_json::from_str(item.get()).map_err(foreign)?;
        match (&attributes.value, &attributes.uuid, &attributes.encrypted_totp_key) {
            (Some(_), None, None) => attributes.api_key_record().map(Self::ApiKey),
            (None, Some(_), Some(_)) => attributes.totp_record().map(Self::Totp),
            (None, Some(_), None) if attributes.is_user() => attributes.user_record(),
            _ => Err(RecordError::Foreign),
        }
    }
}

impl Attributes {
    fn is_user(&self) -> bool {
        let one = [
            &self.encrypted_app_id,
            &self.encrypted_key_handle,
            &self.encrypted_public_key,
            &self.encrypted_registration_request,
            &self.encrypted_session_data,
            &self.encrypted_credentials,
        ];
        one.into_iter().any(Option::is_some)
    }

    fn api_key_record(self) -> Result<ApiKeyRecord, RecordError> {
        let value = required(self.value, "value", MAX_VALUE)?;
        let email = required(self.email, "email", MAX_EMAIL)?;
        let created_at = time(self.created_at, "createdAt")?.ok_or(RecordError::Missing("createdAt"))?;
        let active = match time(self.activated_at, "activatedAt")? {
            None | Some(0) => None,
            Some(at) => {
                let hash = text(self.hashed_api_secret, "hashedApiSecret")?;
                let hash = hash.ok_or(RecordError::Missing("hashedApiSecret"))?;
                Some((at, BcryptHash::parse(&hash).ok_or(RecordError::Wrong("hashedApiSecret"))?))
            }
        };
        Ok(ApiKeyRecord { value, email, created_at, active })
    }

    fn totp_record(self) -> Result<TotpRecord, RecordError> {
        let uuid = required(self.uuid, "uuid", MAX_UUID)?;
        let hyphenated = uuid.len() == uuid::fmt::Hyphenated::LENGTH;
        let uuid = Uuid::try_parse(&uuid).ok().filter(|_| hyphenated).ok_or(RecordError::Wrong("uuid"))?;
        let encrypted = encrypted(self.encrypted_totp_key, "encryptedTotpKey")?;
        let encrypted = encrypted.ok_or(RecordError::Missing("encryptedTotpKey"))?;
        Ok(TotpRecord { uuid, api_key: required(self.api_key, "apiKey", MAX_VALUE)?, encrypted })
    }

    fn user_record(self) -> Result<Record, RecordError> {
        let uuid = required(self.uuid, "uuid", MAX_UUID)?;
        let api_key = required(self.api_key, "apiKey", MAX_VALUE)?;
        let app_id = encrypted(self.encrypted_app_id, "encryptedAppId")?;
        let key_handle = encrypted(self.encrypted_key_handle, "encryptedKeyHandle")?;
        let public_key = encrypted(self.encrypted_public_key, "encryptedPublicKey")?;
        let u2f = match (app_id, key_handle, public_key) {
            (Some(app_id), Some(key_handle), Some(public_key)) => Some(LegacyU2f { app_id, key_handle, public_key }),
            // Asked to register, and never did.
            (_, None, None) => None,
            (None, ..) => return Err(RecordError::Missing("encryptedAppId")),
            (_, None, _) => return Err(RecordError::Missing("encryptedKeyHandle")),
            (.., None) => return Err(RecordError::Missing("encryptedPublicKey")),
        };
        let webauthn = match self.encrypted_credentials {
            None | Some(Typed { null: Some(true), .. }) => None,
            Some(Typed { bytes: Some(bytes), .. }) if bytes.is_empty() => None,
            Some(Typed { bytes: Some(bytes), .. }) => {
                let bytes = from_base64(&bytes).and_then(|bytes| Ciphertext::from_bytes(bytes.to_vec()));
                Some(bytes.ok_or(RecordError::Wrong("EncryptedCredentials"))?)
            }
            Some(_) => return Err(RecordError::Wrong("EncryptedCredentials")),
        };
        if u2f.is_none() && webauthn.is_none() {
            return Ok(Record::Unfinished);
        }
        Ok(Record::User(UserRecord { uuid, api_key, user: LegacyUser { u2f, webauthn } }))
    }
}

/// Text that is there, of at most so many bytes and without control characters.
fn required(typed: Option<Typed>, name: &'static str, max: usize) -> Result<String, RecordError> {
    let text = text(typed, name)?.ok_or(RecordError::Missing(name))?;
    if text.len() > max || text.chars().any(char::is_control) { Err(RecordError::Wrong(name)) } else { Ok(text) }
}

/// Text; none when it is empty, which in one of the versions means the same.
fn text(typed: Option<Typed>, name: &'static str) -> Result<Option<String>, RecordError> {
    match typed {
        None | Some(Typed { null: Some(true), .. }) => Ok(None),
        Some(Typed { text: Some(text), .. }) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Some(_) => Err(RecordError::Wrong(name)),
    }
}

fn encrypted(typed: Option<Typed>, name: &'static str) -> Result<Option<Ciphertext>, RecordError> {
    let text = text(typed, name)?;
    text.map(|text| Ciphertext::parse(&text).ok_or(RecordError::Wrong(name))).transpose()
}

/// Unix milliseconds.
fn time(typed: Option<Typed>, name: &'static str) -> Result<Option<i64>, RecordError> {
    match typed {
        None | Some(Typed { null: Some(true), .. }) => Ok(None),
        Some(Typed { number: Some(number), .. }) => {
            let time = number.parse().ok().filter(|time| (0..=MAX_TIME).contains(time));
            time.map(Some).ok_or(RecordError::Wrong(name))
        }
        Some(_) => Err(RecordError::Wrong(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const HASH: &str = "$2a$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy";
    const TEXT: &str = "AAAAAAAAAAAAAAAAAAAAAA==:QUFBQUFBQUFBQUFBQUFBQQ==";

    fn parse(item: &Value) -> Result<Record, RecordError> {
        let bare = Record::parse(item.to_string().as_bytes());
        assert_eq!(Record::parse(json!({ "Item": item }).to_string().as_bytes()), bare, "{item}");
        bare
    }

    fn api_key() -> Value {
        json!({ "value": { "S": "00ff" }, "email": { "S": "a@example.com" }, "createdAt": { "N": "1500000000000" },
            "activatedAt": { "N": "1500000000001" }, "hashedApiSecret": { "S": HASH },
            "aws:rep:updatetime": { "N": "1500000000.5" } })
    }

    fn totp() -> Value {
        json!({ "uuid": { "S": "7d1aa2b0-0e5b-4dc6-9c40-24d5a1c64f6e" }, "apiKey": { "S": "00ff" },
            "encryptedTotpKey": { "S": TEXT } })
    }

    fn user() -> Value {
        json!({ "uuid": { "S": "a user" }, "apiKey": { "S": "00ff" }, "encryptedAppId": { "S": TEXT },
            "encryptedKeyHandle": { "S": TEXT }, "encryptedPublicKey": { "S": TEXT },
            "EncryptedCredentials": { "B": "AAAAAAAAAAAAAAAAAAAAAEE=" }, "EncryptedSessionData": { "NULL": true } })
    }

    fn with(mut item: Value, name: &str, value: Value) -> Value {
        item[name] = value;
        item
    }

    fn without(mut item: Value, name: &str) -> Value {
        item.as_object_mut().unwrap().remove(name);
        item
    }

    #[test]
    fn each_kind_is_told_by_what_is_in_it() {
        let Ok(Record::ApiKey(key)) = parse(&api_key()) else { panic!("an API key") };
        assert_eq!((key.value.as_str(), key.email.as_str()), ("00ff", "a@example.com"));
        assert_eq!((key.created_at, key.active.unwrap().0), (1_500_000_000_000, 1_500_000_000_001));
        let Ok(Record::Totp(totp)) = parse(&totp()) else { panic!("a TOTP secret") };
        assert_eq!((totp.encrypted.plain_len(), totp.api_key.as_str()), (16, "00ff"));
        let Ok(Record::User(both)) = parse(&user()) else { panic!("a user") };
        assert!(both.user.u2f.is_some() && both.user.webauthn.is_some());
    }

    #[test]
    fn both_versions_have_ways_to_say_nothing() {
        for nothing in [Value::Null, json!({ "NULL": true }), json!({ "N": "0" })] {
            let Ok(Record::ApiKey(key)) = parse(&with(api_key(), "activatedAt", nothing.clone())) else { panic!() };
            assert_eq!(key.active, None, "{nothing}");
        }
        for nothing in [Value::Null, json!({ "NULL": true }), json!({ "B": "" })] {
            let Ok(Record::User(user)) = parse(&with(user(), "EncryptedCredentials", nothing)) else { panic!() };
            assert!(user.user.u2f.is_some() && user.user.webauthn.is_none());
        }
        let mut none = user();
        for name in ["encryptedAppId", "encryptedKeyHandle", "encryptedPublicKey"] {
            none[name] = json!({ "S": "" });
        }
        let Ok(Record::User(user)) = parse(&none) else { panic!() };
        assert!(user.user.u2f.is_none() && user.user.webauthn.is_some());
        assert_eq!(parse(&with(none, "EncryptedCredentials", json!({ "NULL": true }))), Ok(Record::Unfinished));
        let asked = json!({ "uuid": { "S": "u" }, "apiKey": { "S": "k" }, "encryptedAppId": { "S": TEXT },
            "encryptedRegistrationRequest": { "S": TEXT } });
        assert_eq!(parse(&asked), Ok(Record::Unfinished));
    }

    #[test]
    fn what_is_cut_off_is_told_from_what_is_foreign() {
        let whole = json!({ "Item": totp() }).to_string();
        for end in 1..whole.len() {
            assert_eq!(Record::parse(&whole.as_bytes()[..end]), Err(RecordError::Json), "{}", &whole[..end]);
        }
        assert_eq!(Record::parse(b"\xff"), Err(RecordError::Json));
        let foreign = [
            json!({}),
            json!([]),
            json!("text"),
            json!({ "Item": { "id": { "S": "1" } } }),
            json!({ "Items": [totp()] }),
            json!({ "uuid": "7d1aa2b0-0e5b-4dc6-9c40-24d5a1c64f6e", "apiKey": "00ff", "encryptedTotpKey": TEXT }),
            with(totp(), "value", json!({ "S": "both" })),
            json!({ "uuid": { "S": "u" }, "apiKey": { "S": "k" } }),
            json!({ "Keys": { "uuid": { "S": "u" } }, "NewImage": totp() }),
        ];
        for line in foreign {
            assert_eq!(Record::parse(line.to_string().as_bytes()), Err(RecordError::Foreign), "{line}");
        }
        let twice = format!("{{\"uuid\":{{\"S\":\"u\"}},{}", &totp().to_string()[1..]);
        assert_eq!(Record::parse(twice.as_bytes()), Err(RecordError::Foreign), "a name that comes twice");
    }

    #[test]
    fn a_wrong_attribute_is_named() {
        let text = |value: &str| json!({ "S": value });
        let long = "a".repeat(MAX_EMAIL + 1);
        let wrong = [
            (with(api_key(), "value", text("\u{7}")), RecordError::Wrong("value")),
            (with(api_key(), "value", text("")), RecordError::Missing("value")),
            (with(api_key(), "email", text(&long)), RecordError::Wrong("email")),
            (without(api_key(), "email"), RecordError::Missing("email")),
            (without(api_key(), "createdAt"), RecordError::Missing("createdAt")),
            (with(api_key(), "createdAt", text("1")), RecordError::Wrong("createdAt")),
            (with(api_key(), "activatedAt", json!({ "N": "-1" })), RecordError::Wrong("activatedAt")),
            (with(api_key(), "hashedApiSecret", text("$1$x")), RecordError::Wrong("hashedApiSecret")),
            (without(api_key(), "hashedApiSecret"), RecordError::Missing("hashedApiSecret")),
            (with(totp(), "uuid", text("7d1aa2b00e5b4dc69c4024d5a1c64f6e")), RecordError::Wrong("uuid")),
            (without(totp(), "apiKey"), RecordError::Missing("apiKey")),
            (with(totp(), "encryptedTotpKey", text("abc")), RecordError::Wrong("encryptedTotpKey")),
            (with(totp(), "encryptedTotpKey", json!({ "B": "QQ==" })), RecordError::Wrong("encryptedTotpKey")),
            (with(user(), "uuid", text(&"u".repeat(MAX_UUID + 1))), RecordError::Wrong("uuid")),
            (without(user(), "encryptedKeyHandle"), RecordError::Missing("encryptedKeyHandle")),
            (without(user(), "encryptedPublicKey"), RecordError::Missing("encryptedPublicKey")),
            (without(user(), "encryptedAppId"), RecordError::Missing("encryptedAppId")),
            (with(user(), "EncryptedCredentials", text("x")), RecordError::Wrong("EncryptedCredentials")),
            (with(user(), "EncryptedCredentials", json!({ "B": "AA==" })), RecordError::Wrong("EncryptedCredentials")),
        ];
        for (item, error) in wrong {
            assert_eq!(parse(&item), Err(error), "{item}");
        }
    }
}
