//! Which app wrote an export, told by what is in it and never by its name. It must not know how any of them is read.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::value::RawValue;

use super::ImportError;
use super::row::{Entries, MAX_ENTRIES};
use super::uris::is_uri;

/// Whose export it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// Aegis' vault, plain or under a password.
    Aegis,
    /// andOTP's plain JSON.
    AndOtp,
    /// Bitwarden's plain JSON.
    Bitwarden,
    /// Lines of otpauth and `otpauth-migration` URIs, or one base32 key.
    Otpauth,
    /// A PNG or JPEG picture of QR codes.
    Picture,
    /// What an oracle of quorate exports, decrypted.
    Quorate,
    /// sharedmfa's table of apps and its key vault's secrets, as JSON.
    SharedMfa,
    /// 2FAS' backup, plain or under a password.
    TwoFas,
}

/// How files of age begin, armored or not.
const AGE: [&[u8]; 2] = [b"-----BEGIN AGE ENCRYPTED FILE-----", b"age-encryption.org/v1"];

impl Format {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Aegis,
        Self::AndOtp,
        Self::Bitwarden,
        Self::Otpauth,
        Self::Picture,
        Self::Quorate,
        Self::SharedMfa,
        Self::TwoFas,
    ];

    /// The word that a command line takes.
    pub fn word(self) -> &'static str {
        match self {
            Self::Aegis => "aegis",
            Self::AndOtp => "andotp",
            Self::Bitwarden => "bitwarden",
            Self::Otpauth => "otpauth",
            Self::Picture => "picture",
            Self::Quorate => "quorate",
            Self::SharedMfa => "sharedmfa",
            Self::TwoFas => "2fas",
        }
    }

    /// The format that `word` names.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.word() == word)
    }

    /// Tells whose export `bytes` are.
    pub fn of(bytes: &[u8]) -> Result<Self, ImportError> {
        if bytes.starts_with(b"\x89PNG\r\n") || bytes.starts_with(b"\xff\xd8\xff") {
            return Ok(Self::Picture);
        }
        if AGE.iter().any(|start| bytes.trim_ascii_start().starts_with(start)) {
            return Err(ImportError::Age);
        }
        let Some(text) = text(bytes) else {
            return Err(if like_encrypted_andotp(bytes) {
                ImportError::Encrypted(Self::AndOtp)
            } else {
                ImportError::UnknownFormat
            });
        };
        if text.trim().is_empty() {
            return Err(ImportError::Empty);
        }
        if text.trim_start().starts_with(['{', '[']) {
            return of_json(text);
        }
        // A key alone has no mark of its own, and no white space in its line but what groups its letters.
        let one_line = text.trim().lines().count() == 1;
        let like_a_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '-' | '=');
        if text.lines().any(is_uri) || (one_line && text.trim().chars().all(like_a_key)) {
            Ok(Self::Otpauth)
        } else {
            Err(ImportError::UnknownFormat)
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Aegis => "Aegis",
            Self::AndOtp => "andOTP",
            Self::Bitwarden => "Bitwarden",
            Self::Otpauth => "otpauth URIs",
            Self::Picture => "QR codes",
            Self::Quorate => "quorate",
            Self::SharedMfa => "sharedmfa",
            Self::TwoFas => "2FAS",
        })
    }
}

/// The text of an export, without the mark that some editors put before UTF-8.
pub(super) fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)).ok()
}

/// The JSON values that stand one after another in `text`, up to one more than an import has entries; `None` when one of them
/// is none.
pub(super) fn documents(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::Deserializer::from_str(text).into_iter().take(MAX_ENTRIES + 1).collect::<Result<_, _>>().ok()
}

/// The fields of an object, undecoded.
pub(super) fn fields(object: &RawValue) -> Option<BTreeMap<String, &RawValue>> {
    serde_json::from_str(object.get()).ok()
}

/// The elements of a list, undecoded, up to one more than an import has entries.
pub(super) fn elements(list: &RawValue) -> Option<Vec<&RawValue>> {
    serde_json::from_str::<Entries<'_>>(list.get()).ok().map(Entries::kept)
}

fn of_json(text: &str) -> Result<Format, ImportError> {
    let documents = documents(text).ok_or(ImportError::CutOff)?;
    of_documents(&documents).ok_or(ImportError::UnknownFormat)
}

fn of_documents(documents: &[&RawValue]) -> Option<Format> {
    let first = documents.first()?;
    if let Some(fields) = fields(first) {
        return of_object(|name| fields.contains_key(name));
    }
    // Of lists there is one.
    let row = fields(elements(first)?.first().filter(|_| documents.len() == 1)?)?;
    of_row(|name| row.contains_key(name))
}

fn of_object(has: impl Fn(&str) -> bool) -> Option<Format> {
    if has("header") && has("db") {
        Some(Format::Aegis)
    } else if has("services") || has("servicesEncrypted") {
        Some(Format::TwoFas)
    } else if has("encrypted") {
        Some(Format::Bitwarden)
    } else if has("otpauth") && has("uuid") {
        Some(Format::Quorate)
    } else {
        // Rows as the table's interface and its command line wrap them, one secret, or both parts in one.
        ["apps", "items", "value", "RowKey"].into_iter().any(has).then_some(Format::SharedMfa)
    }
}

fn of_row(has: impl Fn(&str) -> bool) -> Option<Format> {
    // Of a key vault's list of names, too, so that it can be said what it lacks.
    if has("RowKey") || (has("id") && (has("value") || has("attributes"))) {
        Some(Format::SharedMfa)
    } else {
        (has("secret") && has("type")).then_some(Format::AndOtp)
    }
}

/// andOTP's encrypted files have no mark: they begin with a number of iterations, a salt and a nonce of 12 bytes each, and
/// end with a tag of 16. Its numbers are between 140,000 and 160,000; the margin is for builds with others.
fn like_encrypted_andotp(bytes: &[u8]) -> bool {
    bytes.len() > 4 + 12 + 12 + 16
        && bytes.first_chunk().is_some_and(|head| (1_000..1 << 24).contains(&u32::from_be_bytes(*head)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exports_are_told_by_what_is_in_them() {
        for (text, format) in [
            (r#"{"version":1,"header":{},"db":""}"#, Format::Aegis),
            (r#"[{"secret":"","type":"TOTP"}]"#, Format::AndOtp),
            (r#" {"encrypted":false,"items":[]}"#, Format::Bitwarden),
            (r#"{"encrypted":true,"passwordProtected":true,"data":""}"#, Format::Bitwarden),
            ("otpauth://totp/x?secret=A", Format::Otpauth),
            ("# mine\n\notpauth://totp/x?secret=A\n", Format::Otpauth),
            ("OTPAUTH-migration://offline?data=A", Format::Otpauth),
            (" jbsw y3dp EHPK-3PXP ==\n", Format::Otpauth),
            ("{\"uuid\":\"\",\"otpauth\":\"\"}\n{\"uuid\":\"\",\"otpauth\":\"\"}\n", Format::Quorate),
            (r#"[{"PartitionKey":"mfaseed","RowKey":""}]"#, Format::SharedMfa),
            (r#"{"items":[{"RowKey":""}],"nextMarker":{}}"#, Format::SharedMfa),
            (r#"{"value":[{"RowKey":""}]}"#, Format::SharedMfa),
            ("{\"id\":\"\",\"value\":\"\"}\n{\"id\":\"\",\"value\":\"\"}", Format::SharedMfa),
            (r#"{"apps":[],"secrets":[]}"#, Format::SharedMfa),
            (r#"[{"attributes":{},"id":"https://v/secrets/x","name":"x"}]"#, Format::SharedMfa),
            (r#"{"schemaVersion":4,"services":[]}"#, Format::TwoFas),
            ("\u{feff}{\"servicesEncrypted\":\"\"}", Format::TwoFas),
        ] {
            assert_eq!(Format::of(text.as_bytes()), Ok(format), "{text}");
        }
        assert_eq!(Format::of(b"\x89PNG\r\n\x1a\n"), Ok(Format::Picture));
        assert_eq!(Format::of(b"\xff\xd8\xff\xe0"), Ok(Format::Picture));
    }

    #[test]
    fn what_is_none_of_them_is_not_guessed() {
        for text in ["{}", "[]", "[{}]", "[1]", "hello, world", "a\nb", "\"x\""] {
            assert_eq!(Format::of(text.as_bytes()), Err(ImportError::UnknownFormat), "{text}");
        }
        for text in ["{", "[{\"secret\":1}", "{} {} x", r#"{"version":1,"header":{},"db":{"entries":[{"#] {
            assert_eq!(Format::of(text.as_bytes()), Err(ImportError::CutOff), "{text}");
        }
        for text in ["-----BEGIN AGE ENCRYPTED FILE-----\nYWdl", "age-encryption.org/v1\n-> X25519"] {
            assert_eq!(Format::of(text.as_bytes()), Err(ImportError::Age), "{text}");
        }
        assert_eq!(Format::of(b" \n"), Err(ImportError::Empty));
        assert_eq!(Format::of(&[0xff; 100]), Err(ImportError::UnknownFormat));
        let mut encrypted = 150_000u32.to_be_bytes().to_vec();
        encrypted.extend([0xff; 100]);
        assert_eq!(Format::of(&encrypted), Err(ImportError::Encrypted(Format::AndOtp)));
    }

    #[test]
    fn every_format_is_found_by_its_word() {
        for format in Format::ALL {
            assert_eq!(Format::named(format.word()), Some(format));
        }
        assert_eq!(Format::named("Aegis"), None);
    }
}
