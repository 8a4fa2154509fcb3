//! The plan of a redeal: who plays next. Its exact bytes are what the constituents approve.

use crate::encoding::sha256;
use crate::header::{GroupName, HeaderError, MAX_NOTE, check_name, check_threshold};
use crate::recipient::{NativeRecipient, RecipientError, check_kinds};
use crate::strict_json::{self, JsonError};
use serde::{Deserialize, Serialize};
use std::collections::HashSet;

/// A plan larger than this is not read.
pub const MAX_PLAN: usize = 36 * 1024;
/// Recipients of one player: a key and its spares.
pub const MAX_RECIPIENTS: usize = 8;

/// What a plan says. Unknown fields are refused: these bytes are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlanFields {
    /// Always 1.
    pub version: u32,
    /// The group whose Tocs authorise this: G of a quorate deal, or farMFA's group id.
    pub replaces: Replaced,
    /// Number of Tocs that will make a session quorate.
    pub threshold: u8,
    /// What the secret opens, for people.
    pub note: String,
    /// The next players, in the order of their shares.
    pub players: Vec<PlannedPlayer>,
}

/// The group that a plan replaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Replaced {
    /// A group dealt by quorate.
    Group(GroupName),
    /// A group dealt by farMFA, by its id.
    Farmfa(String),
}

/// One of the next players.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedPlayer {
    /// Name of the holder, unique in the plan.
    pub holder: String,
    /// Age recipients that the oracle can encrypt to by itself (no plugins): a key and its spares.
    pub recipients: Vec<String>,
}

/// Why a plan is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// Names, note or threshold out of range.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The JSON is not acceptable.
    #[error("the plan is unreadable: {0}")]
    Json(#[from] JsonError),
    /// A recipient that cannot be used.
    #[error("the recipient of {holder} is refused: {reason}")]
    Recipient {
        /// Whose.
        holder: String,
        /// Why.
        reason: RecipientError,
    },
    /// A player without recipients, or with too many.
    #[error("{0} needs between 1 and {MAX_RECIPIENTS} recipients")]
    Recipients(String),
    /// One key for two players, or twice for one.
    #[error("{0} and another player have the same key, or a player stands twice")]
    Repeated(String),
    /// More bytes than any plan has.
    #[error("the plan is larger than {MAX_PLAN} bytes")]
    TooLarge,
    /// A version that this program does not know.
    #[error("plan version {0} is not known to this program: install a newer quorate")]
    Version(u32),
}

/// A checked plan: its exact bytes and what they say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    bytes: Vec<u8>,
    fields: PlanFields,
}

impl Plan {
    /// Reads and checks the applicant's bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, PlanError> {
        if bytes.len() > MAX_PLAN {
            return Err(PlanError::TooLarge);
        }
        let fields: PlanFields = strict_json::from_slice(bytes)?;
        fields.check()?;
        Ok(Self { bytes: bytes.to_vec(), fields })
    }

    /// Checks `fields` and fixes them to bytes.
    pub fn new(fields: PlanFields) -> Result<Self, PlanError> {
        fields.check()?;
        let bytes = serde_json::to_vec(&fields).expect("plain data always serialises");
        Ok(Self { bytes, fields })
    }

    /// The bytes that travel.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// SHA-256("quorate/1 plan\0" ‖ plan).
    pub fn digest(&self) -> [u8; 32] {
        sha256(&[b"quorate/1 plan\0", &self.bytes])
    }

    /// What the plan says.
    pub fn fields(&self) -> &PlanFields {
        &self.fields
    }
}

impl PlanFields {
    fn check(&self) -> Result<(), PlanError> {
        if self.version != 1 {
            return Err(PlanError::Version(self.version));
        }
        check_threshold(usize::from(self.threshold), self.players.len())?;
        if self.note.len() > MAX_NOTE {
            return Err(HeaderError::Note.into());
        }
        let (mut holders, mut keys) = (HashSet::new(), HashSet::new());
        for player in &self.players {
            check_name(&player.holder)?;
            if !holders.insert(&player.holder) {
                return Err(PlanError::Repeated(player.holder.clone()));
            }
            for recipient in player.natives()? {
                if !keys.insert(recipient.key_id()) {
                    return Err(PlanError::Repeated(player.holder.clone()));
                }
            }
        }
        Ok(())
    }
}

impl PlannedPlayer {
    /// The recipients, read; all of one kind.
    pub fn natives(&self) -> Result<Vec<NativeRecipient>, PlanError> {
        let refused = |reason| PlanError::Recipient { holder: self.holder.clone(), reason };
        if !(1..=MAX_RECIPIENTS).contains(&self.recipients.len()) {
            return Err(PlanError::Recipients(self.holder.clone()));
        }
        let natives: Vec<NativeRecipient> =
            self.recipients.iter().map(|text| text.parse().map_err(refused)).collect::<Result<_, _>>()?;
        check_kinds(&natives).map_err(refused)?;
        Ok(natives)
    }
}
