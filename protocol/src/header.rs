//! The header of a deal: the dealer's exact bytes, what they say, and the names that follow from them.
//!
//! A header is read once, checked whole, and then only used by its bytes (SPEC §3).

use crate::encoding::{Base64, sha256};
use crate::strict_json::{self, JsonError};
use ed25519_dalek::VerifyingKey;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;
use url::Url;

/// The largest number of players: x is one byte and never 0.
pub const MAX_PLAYERS: usize = 255;
/// Headers larger than this are not read: 255 players with the longest names fit, and header, sealed part and plan
/// together in one request of 128 KiB.
pub const MAX_HEADER: usize = 48 * 1024;
/// Bytes of UTF-8 in a holder's name.
pub const MAX_HOLDER: usize = 64;
/// Bytes of UTF-8 in a note.
pub const MAX_NOTE: usize = 1024;

/// The name of a group, everywhere: G = SHA-256("quorate/1 group\0" ‖ H ‖ SHA-256(sealed)). Written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(pub [u8; 32]);

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GroupName({self})")
    }
}

impl FromStr for GroupName {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        data_encoding::HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or(HeaderError::GroupName)
    }
}

impl Serialize for GroupName {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GroupName {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What a header says. Unknown fields are refused: these bytes are signed and hashed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderFields {
    /// Always 1.
    pub version: u32,
    /// For people: eight letters and digits.
    pub group_id: String,
    /// Number of players, 2 to 255.
    pub size: u8,
    /// Number of Tocs that make a session quorate, 2 to `size`.
    pub threshold: u8,
    /// What the secret opens, for people.
    pub note: String,
    /// When the deal was made, in seconds since the Unix epoch.
    pub dealt_at: i64,
    /// The group that this deal replaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaces: Option<GroupName>,
    /// The oracle that may rebuild this secret, when the dealer named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oracle: Option<OraclePin>,
    /// `players[x - 1]` holds share x.
    pub players: Vec<PlayerEntry>,
}

/// An oracle and the key that every invite must lead back to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OraclePin {
    /// Base URL, without a trailing slash.
    pub url: String,
    /// Ed25519 public root key, 32 bytes.
    pub root_key: Base64,
}

impl OraclePin {
    /// The root key, checked to be a point that `verify_strict` can accept.
    pub fn key(&self) -> Result<VerifyingKey, HeaderError> {
        verifying_key(&self.root_key).ok_or(HeaderError::OracleKey)
    }
}

/// One player as everybody in the group sees them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlayerEntry {
    /// Name of the holder, unique in the group.
    pub holder: String,
    /// Identifier of the Toc, unique in the group, base64.
    pub toc_id: String,
    /// Ed25519 public key that only the holder of the share can sign for, 32 bytes.
    pub share_key: Base64,
}

impl PlayerEntry {
    /// The share key. Headers are only made through [`Header::parse`], which has checked it.
    pub fn key(&self) -> Result<VerifyingKey, HeaderError> {
        verifying_key(&self.share_key).ok_or(HeaderError::ShareKey)
    }
}

fn verifying_key(bytes: &Base64) -> Option<VerifyingKey> {
    let key = VerifyingKey::from_bytes(bytes.0.as_slice().try_into().ok()?).ok()?;
    (!key.is_weak()).then_some(key)
}

/// Why a header is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A group name that is not 64 hexadecimal digits.
    #[error("a group name is 64 lower-case hexadecimal digits")]
    GroupName,
    /// The JSON is not acceptable.
    #[error("the header is unreadable: {0}")]
    Json(#[from] JsonError),
    /// The note is too long.
    #[error("the note is longer than {MAX_NOTE} bytes")]
    Note,
    /// The oracle's root key is no Ed25519 key.
    #[error("the oracle's root key is not an Ed25519 public key")]
    OracleKey,
    /// The oracle's URL cannot be used.
    #[error("the oracle's URL must be http or https, without credentials, query or fragment")]
    OracleUrl,
    /// A name, group id or Toc id that is empty or too long.
    #[error(
        "a name is empty, longer than {MAX_HOLDER} bytes, holds control characters, or says unproved or unverified"
    )]
    Name,
    /// A holder, a Toc id or a share key that stands twice.
    #[error("a player stands twice in the header")]
    RepeatedPlayer,
    /// A share key is no Ed25519 key.
    #[error("a share key in the header is not an Ed25519 public key")]
    ShareKey,
    /// `size` does not count the players.
    #[error("the header counts {size} players and names {players}")]
    Size {
        /// The count.
        size: usize,
        /// The names.
        players: usize,
    },
    /// Threshold out of range.
    #[error("the threshold must be between 2 and the number of players ({size}), not {threshold}")]
    Threshold {
        /// The threshold found.
        threshold: usize,
        /// The number of players.
        size: usize,
    },
    /// More bytes than any header has.
    #[error("the header is larger than {MAX_HEADER} bytes")]
    TooLarge,
    /// A version that this program does not know.
    #[error("header version {0} is not known to this program: install a newer quorate")]
    Version(u32),
}

/// A checked header: its exact bytes and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    bytes: Vec<u8>,
    fields: HeaderFields,
}

impl Header {
    /// Reads and checks the dealer's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        if bytes.len() > MAX_HEADER {
            return Err(HeaderError::TooLarge);
        }
        let fields: HeaderFields = strict_json::from_slice(bytes)?;
        fields.check()?;
        Ok(Self { bytes: bytes.to_vec(), fields })
    }

    /// Reads bytes that were checked when they came, and have been kept where nobody else can write: names and keys are
    /// not looked at once more.
    pub fn reread(bytes: &[u8]) -> Result<Self, HeaderError> {
        Ok(Self { fields: strict_json::from_slice(bytes)?, bytes: bytes.to_vec() })
    }

    /// Checks `fields` and fixes them to bytes, which from here on are the header.
    pub fn new(fields: HeaderFields) -> Result<Self, HeaderError> {
        fields.check()?;
        let bytes = serde_json::to_vec(&fields).expect("plain data always serialises");
        Ok(Self { bytes, fields })
    }

    /// The bytes that travel.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// H = SHA-256("quorate/1 header\0" ‖ header).
    pub fn digest(&self) -> [u8; 32] {
        sha256(&[b"quorate/1 header\0", &self.bytes])
    }

    /// G, the name of the group that this header and `sealed` make.
    pub fn group_name(&self, sealed: &[u8]) -> GroupName {
        GroupName(sha256(&[b"quorate/1 group\0", &self.digest(), &sha256(&[sealed])]))
    }

    /// The player with share x; `None` when x is 0 or above the size.
    pub fn player(&self, x: u8) -> Option<&PlayerEntry> {
        self.fields.players.get(usize::from(x).checked_sub(1)?)
    }

    /// What the header says.
    pub fn fields(&self) -> &HeaderFields {
        &self.fields
    }
}

impl HeaderFields {
    fn check(&self) -> Result<(), HeaderError> {
        if self.version != 1 {
            return Err(HeaderError::Version(self.version));
        }
        let (size, threshold) = (usize::from(self.size), usize::from(self.threshold));
        if size != self.players.len() {
            return Err(HeaderError::Size { size, players: self.players.len() });
        }
        check_threshold(threshold, size)?;
        if self.note.len() > MAX_NOTE {
            return Err(HeaderError::Note);
        }
        check_name(&self.group_id)?;
        if let Some(oracle) = &self.oracle {
            check_url(&oracle.url)?;
            oracle.key()?;
        }
        let (mut holders, mut ids, mut keys) = (HashSet::new(), HashSet::new(), HashSet::new());
        for player in &self.players {
            check_name(&player.holder)?;
            check_name(&player.toc_id)?;
            player.key()?;
            let new = holders.insert(&player.holder) & ids.insert(&player.toc_id) & keys.insert(&player.share_key);
            if !new {
                return Err(HeaderError::RepeatedPlayer);
            }
        }
        Ok(())
    }
}

/// Refuses a threshold outside 2…n and a group of more than 255.
pub(crate) fn check_threshold(threshold: usize, size: usize) -> Result<(), HeaderError> {
    if threshold < 2 || threshold > size || size > MAX_PLAYERS {
        return Err(HeaderError::Threshold { threshold, size });
    }
    Ok(())
}

/// What an oracle shows in place of a name that was not proved; nobody may be called so.
const NO_NAMES: [&str; 2] = ["unproved", "unverified"];

/// Names are shown to people and sorted by machines: not empty, bounded, no control characters.
pub(crate) fn check_name(name: &str) -> Result<(), HeaderError> {
    let taken = NO_NAMES.iter().any(|word| name.trim().eq_ignore_ascii_case(word));
    let fits = !name.trim().is_empty() && name.len() <= MAX_HOLDER && !name.chars().any(char::is_control) && !taken;
    if fits { Ok(()) } else { Err(HeaderError::Name) }
}

/// An oracle's URL, as it may stand in a header or an invite: no trailing slash, nothing but scheme, host, port and path.
pub fn check_url(text: &str) -> Result<Url, HeaderError> {
    let url = Url::parse(text).map_err(|_| HeaderError::OracleUrl)?;
    let plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none()
        && !text.ends_with('/')
        && text.len() <= 1024;
    if plain { Ok(url) } else { Err(HeaderError::OracleUrl) }
}
