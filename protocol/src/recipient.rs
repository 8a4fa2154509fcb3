//! Whom a Toc is encrypted to: every age recipient that needs no plugin.
//!
//! A recipient is parsed once and then known good: its point is on the curve, its string is the only spelling of
//! its key, and [`NativeRecipient::key_id`] tells whether two recipients are one key in different clothes. Nothing
//! here knows players, tokens or files; the unwrapping half of P-256 recipients is in [`crate::p256_stanza`].

mod x25519;

use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

use age::{EncryptError, Recipient};
use age_core::format::{FileKey, Stanza};
use age_core::primitives::{bech32_decode, bech32_encode};
use bech32::Hrp;
use p256::PublicKey;
use p256::elliptic_curve::sec1::ToSec1Point;

use crate::p256_stanza::{self, compressed};

const X25519_HRP: &str = "age";
const TAG_HRP: &str = "age1tag";
const TAG_PQ_HRP: &str = "age1tagpq";
const YUBIKEY_HRP: &str = "age1yubikey";
/// Start of the human-readable part of every plugin's recipients.
const PLUGIN_HRP_START: &str = "age1";
/// Length of an uncompressed SEC 1 point, which ends an `age1tagpq1…` recipient.
const UNCOMPRESSED_POINT_BYTES: usize = 65;
/// How much of a refused recipient an error repeats: a post-quantum one has two thousand characters.
const SHOWN_CHARS: usize = 32;

/// Why a recipient, or a set of them, was refused.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum RecipientError {
    /// The text is not Bech32: a character was lost, swapped or mistyped, or cases are mixed.
    #[error("`{shown}` is not a recipient: {cause}")]
    Bech32 {
        /// The start of what was given.
        shown: String,
        /// What the checksum or alphabet said.
        cause: String,
    },
    /// A private key or an identity was given where its public half belongs. Its text is not repeated.
    #[error("this is an identity, not a recipient: never hand it to anyone")]
    Identity,
    /// The encoding is right, but the key inside cannot be used.
    #[error("`{shown}` is no usable key: {cause}")]
    Key {
        /// The start of what was given.
        shown: String,
        /// What is wrong with the key.
        cause: &'static str,
    },
    /// Post-quantum and classic recipients cannot share one age file.
    #[error("post-quantum recipient `{post_quantum}` and classic recipient `{classic}` cannot be mixed in one file")]
    Mixed {
        /// The start of the first classic recipient.
        classic: String,
        /// The start of the first post-quantum recipient.
        post_quantum: String,
    },
    /// No recipient at all.
    #[error("no recipient was given")]
    None,
    /// Well-formed, but belongs to the age plugin of this name, which must be asked.
    #[error("this recipient belongs to the plugin age-plugin-{0}")]
    Plugin(String),
    /// Bech32 of something that age does not know.
    #[error("`{0}…` does not begin an age recipient")]
    Unknown(String),
}

/// Which recipients may stand together in one age file: all of one kind.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RecipientKind {
    /// X25519 and P-256.
    Classic,
    /// ML-KEM-768 with P-256.
    PostQuantum,
}

/// The kind of all the recipients of one player: age seals to one kind only, so a spare key must be of the same.
/// [`RecipientError::Mixed`] when there are two, [`RecipientError::None`] when there is no recipient.
pub fn check_kinds(recipients: &[NativeRecipient]) -> Result<RecipientKind, RecipientError> {
    let first = |kind| recipients.iter().find(|recipient| recipient.kind() == kind);
    match (first(RecipientKind::Classic), first(RecipientKind::PostQuantum)) {
        (Some(_), None) => Ok(RecipientKind::Classic),
        (None, Some(_)) => Ok(RecipientKind::PostQuantum),
        (Some(classic), Some(post_quantum)) => Err(RecipientError::Mixed {
            classic: shown(&classic.to_string()),
            post_quantum: shown(&post_quantum.to_string()),
        }),
        (None, None) => Err(RecipientError::None),
    }
}

/// The key behind a recipient, whatever the recipient's form: equal for `age1yubikey1…`, `age1tag1…` and
/// `age1tagpq1…` of one P-256 point, since whoever opens one of them holds the same token.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum KeyId {
    /// Compressed SEC 1 encoding of the point.
    P256([u8; 33]),
    /// The u-coordinate (RFC 7748), canonical.
    X25519([u8; 32]),
}

impl KeyId {
    /// The key of a P-256 point.
    pub fn of_point(point: &PublicKey) -> Self {
        Self::P256(compressed(point))
    }
}

/// An age recipient that needs no plugin. Its `Display` is canonical; it wraps file keys as [`age::Recipient`].
#[derive(Clone)]
pub struct NativeRecipient {
    form: Form,
    key_id: KeyId,
}

#[derive(Clone)]
enum Form {
    Tag(Box<age::tag::Recipient>),
    TagPq(Box<age::tagpq::Recipient>),
    X25519(age::x25519::Recipient),
    YubiKey(PublicKey),
}

impl NativeRecipient {
    /// The `age1tag1…` recipient of a P-256 key.
    pub fn tag(point: &PublicKey) -> Self {
        let text = bech32_encode(Hrp::parse_unchecked(TAG_HRP), &compressed(point));
        let recipient = text.parse().expect("a compressed P-256 point is an age1tag recipient");
        Self { form: Form::Tag(Box::new(recipient)), key_id: KeyId::of_point(point) }
    }

    /// The `age1yubikey1…` recipient of a P-256 key.
    pub fn yubikey(point: &PublicKey) -> Self {
        Self { form: Form::YubiKey(*point), key_id: KeyId::of_point(point) }
    }

    /// The key that opens what is encrypted to this recipient. Two players must never have the same.
    pub fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Which other recipients it can stand beside.
    pub fn kind(&self) -> RecipientKind {
        match self.form {
            Form::Tag(_) | Form::X25519(_) | Form::YubiKey(_) => RecipientKind::Classic,
            Form::TagPq(_) => RecipientKind::PostQuantum,
        }
    }
}

impl FromStr for NativeRecipient {
    type Err = RecipientError;

    fn from_str(text: &str) -> Result<Self, RecipientError> {
        let refused = |cause| RecipientError::Key { shown: shown(text), cause };
        let (hrp, bytes) = bech32_decode(
            text,
            |error| not_bech32(text, &error),
            |_| Ok(()),
            |hrp, bytes| Ok((hrp.to_lowercase(), bytes.collect::<Vec<u8>>())),
        )?;
        let recipient = match hrp.as_str() {
            X25519_HRP => {
                let key_id = KeyId::X25519(x25519::usable(&bytes).map_err(refused)?);
                Self { form: Form::X25519(text.parse().map_err(refused)?), key_id }
            }
            TAG_HRP => Self::tag(&compressed_point(&bytes).map_err(refused)?),
            YUBIKEY_HRP => Self::yubikey(&compressed_point(&bytes).map_err(refused)?),
            TAG_PQ_HRP => {
                let recipient = text.parse().map_err(refused)?;
                let point = bytes.len().checked_sub(UNCOMPRESSED_POINT_BYTES).and_then(|at| bytes.get(at..));
                let point = point.and_then(|point| PublicKey::from_sec1_bytes(point).ok());
                let point = point.ok_or_else(|| refused("its last part is not a point on P-256"))?;
                Self { form: Form::TagPq(Box::new(recipient)), key_id: KeyId::of_point(&point) }
            }
            other => return Err(foreign(other)),
        };
        // Bech32 padding and unreduced ML-KEM coefficients would give one key several spellings.
        if recipient.to_string() != text.to_ascii_lowercase() {
            return Err(refused("its encoding is not the canonical one"));
        }
        Ok(recipient)
    }
}

impl fmt::Display for NativeRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.form {
            Form::Tag(recipient) => recipient.fmt(f),
            Form::TagPq(recipient) => recipient.fmt(f),
            Form::X25519(recipient) => recipient.fmt(f),
            Form::YubiKey(point) => f.write_str(&bech32_encode(Hrp::parse_unchecked(YUBIKEY_HRP), &compressed(point))),
        }
    }
}

impl fmt::Debug for NativeRecipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NativeRecipient({self})")
    }
}

impl PartialEq for NativeRecipient {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl Eq for NativeRecipient {}

impl Recipient for NativeRecipient {
    fn wrap_file_key(&self, file_key: &FileKey) -> Result<(Vec<Stanza>, HashSet<String>), EncryptError> {
        match &self.form {
            Form::Tag(recipient) => recipient.wrap_file_key(file_key),
            Form::TagPq(recipient) => recipient.wrap_file_key(file_key),
            Form::X25519(recipient) => recipient.wrap_file_key(file_key),
            Form::YubiKey(point) => Ok((vec![p256_stanza::wrap_piv_p256(file_key, point)?], HashSet::new())),
        }
    }
}

fn compressed_point(bytes: &[u8]) -> Result<PublicKey, &'static str> {
    let point = PublicKey::from_sec1_bytes(bytes).map_err(|_| "it is not a point on P-256")?;
    if point.to_sec1_point(true).as_bytes() == bytes { Ok(point) } else { Err("its point is not in compressed form") }
}

/// What to say of Bech32 that is well-formed but none of ours. `hrp` is in lower case.
fn foreign(hrp: &str) -> RecipientError {
    if hrp.starts_with("age-") {
        return RecipientError::Identity;
    }
    match hrp.strip_prefix(PLUGIN_HRP_START) {
        Some(name) if is_plugin_name(name) => RecipientError::Plugin(name.to_owned()),
        _ => RecipientError::Unknown(shown(hrp)),
    }
}

/// Plugin names become program names: nothing that could name another folder.
fn is_plugin_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-._".contains(&byte))
}

fn not_bech32(text: &str, error: &dyn fmt::Display) -> RecipientError {
    if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("age-")) {
        return RecipientError::Identity;
    }
    RecipientError::Bech32 { shown: shown(text), cause: error.to_string() }
}

/// The start of what a person typed, fit for one line of an error.
fn shown(text: &str) -> String {
    let mut start: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_default).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        start.push('…');
    }
    start
}

#[cfg(test)]
mod tests;
