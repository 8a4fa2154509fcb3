//! Bodies of the routes of drills, the same for the oracle and its client. Times are RFC 3339.

use crate::encoding::Base64;
use serde::{Deserialize, Serialize};

/// `POST /drills`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewDrill {
    /// G of a group that the oracle knows, 64 hexadecimal digits.
    pub group: String,
    /// When the drill ends, RFC 3339; left out: after as many days as the oracle's settings say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<String>,
    /// Why, for the players. At most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// `POST /drills/{id}/answers`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrillAnswer {
    /// The player's x.
    pub x: u8,
    /// The share key's signature: see `drill::Question::message`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub signature: Base64,
}

/// A drill as anybody with its id sees it; names only for those who may see them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Drill {
    /// The drill's id.
    pub id: String,
    /// `open`, `complete` (everybody has answered), `expired` or `closed`.
    pub state: String,
    /// G.
    pub group: String,
    /// The group's id for people.
    pub group_id: String,
    /// Number of players.
    pub size: u32,
    /// Number of players who have answered.
    pub answered: u32,
    /// When it began, RFC 3339.
    pub created_at: String,
    /// When it ends, RFC 3339.
    pub expires_at: String,
    /// When it ended, RFC 3339.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_at: Option<String>,
    /// Names, for whoever has the call or may read the reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<DrillDetails>,
}

/// What only holders of the call, operators and auditors see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrillDetails {
    /// What the secret opens.
    pub note: String,
    /// Who asks: the full name of a principal.
    pub asker: String,
    /// Why.
    pub reason: String,
    /// The call: the link that players answer.
    pub call: String,
    /// Number of Tocs that make a session quorate.
    pub threshold: u32,
    /// What the answers say of the group, so far or in the end.
    pub standing: Standing,
    /// All players, in the order of their shares.
    pub players: Vec<DrillPlayer>,
}

/// A player in a drill.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DrillPlayer {
    /// The player's x.
    pub x: u8,
    /// The holder's name in the header.
    pub holder: String,
    /// When they answered, RFC 3339; absent as long as they have not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<String>,
    /// Full name of the principal that stands for them; for operators and auditors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// When this Toc last proved that it opens, here or before; for operators and auditors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_proof: Option<LastProof>,
}

/// When a Toc last proved that it opens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LastProof {
    /// When, RFC 3339.
    pub at: String,
    /// In what: `drill ID` or `session ID`.
    pub by: String,
}

/// What it means for a group that so many of its Tocs open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Fewer than the threshold: nobody could make a code with them.
    LockedOut,
    /// Exactly the threshold: with one loss more nobody could make a code.
    OneLossAway,
    /// More than the threshold.
    Spare,
}

impl Standing {
    /// Of a group with `living` Tocs that are known to open, when it takes `threshold`.
    pub fn of(living: u32, threshold: u32) -> Self {
        match living.cmp(&threshold) {
            std::cmp::Ordering::Less => Self::LockedOut,
            std::cmp::Ordering::Equal => Self::OneLossAway,
            std::cmp::Ordering::Greater => Self::Spare,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_threshold_is_one_loss_away() {
        let standings = [1, 2, 3].map(|living| Standing::of(living, 2));
        assert_eq!(standings, [Standing::LockedOut, Standing::OneLossAway, Standing::Spare]);
    }
}
