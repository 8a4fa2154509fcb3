//! Drills: an oracle asks the players of a group to prove that their Tocs still open. Each signs with the key that only an
//! opened Toc gives; no share leaves its player, nothing is rebuilt, and no code is made (SPEC §20).

use crate::encoding::{Base64, base64url, sha256};
use crate::header::{GroupName, MAX_NOTE, check_url};
use crate::invite::{Certificate, InviteError, follow_chain};
use crate::proof;
use crate::session::is_session_id;
use crate::signed_link::{self, times_can_be};
use crate::strict_json;
use crate::toc::WholeToc;
use ed25519_dalek::{SigningKey, VerifyingKey};
use serde::{Deserialize, Serialize};

/// Bytes of UTF-8 in the reason of a drill.
pub const MAX_REASON: usize = MAX_NOTE;
/// Bytes of UTF-8 in the name of who asks.
const MAX_ASKER: usize = 256;

/// Why a drill's call or an answer to it is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DrillError {
    /// Not a signature of this player for this drill.
    #[error("the answer is not a signature of this player for this drill")]
    Answer,
    /// A certificate outside its time.
    #[error("the oracle's invite certificate is not valid now (valid from {not_before} to {expires}, Unix time)")]
    CertificateExpired {
        /// First second of validity.
        not_before: i64,
        /// First second after it.
        expires: i64,
    },
    /// The drill's time is over.
    #[error("the drill is over")]
    Expired,
    /// Not the link of a drill.
    #[error("this is not the link of a drill: {0}")]
    Malformed(&'static str),
    /// The Toc belongs to another group.
    #[error("the drill asks for Tocs of another group")]
    OtherGroup,
    /// Answers would be bound to another oracle than the one that is trusted.
    #[error("the drill asks for answers that are bound to another root key than the one that is trusted")]
    OtherOracle,
    /// Signed by a key that the certificates do not lead to.
    #[error("the drill is not signed by the oracle that this Toc trusts")]
    Signature,
}

impl From<InviteError> for DrillError {
    fn from(error: InviteError) -> Self {
        match error {
            InviteError::CertificateExpired { not_before, expires } => Self::CertificateExpired { not_before, expires },
            InviteError::Expired => Self::Expired,
            InviteError::Malformed(what) => Self::Malformed(what),
            InviteError::Plan(_) => Self::Malformed("it holds a plan"),
            InviteError::Signature => Self::Signature,
        }
    }
}

/// What every answer to one drill is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Question {
    /// The root key of the oracle that asks: another one cannot pass the question on as its own.
    pub root_key: [u8; 32],
    /// The group whose Tocs are to open.
    pub group: GroupName,
    /// Random, of this drill alone.
    pub challenge: [u8; 32],
    /// First second at which no answer counts any more, Unix time.
    pub expires: i64,
}

impl Question {
    /// "quorate/1 drill\0" ‖ oracle key ‖ G ‖ x ‖ challenge ‖ expiry (seconds, 8 bytes big-endian).
    pub fn message(&self, x: u8) -> Vec<u8> {
        let label = b"quorate/1 drill\0".as_slice();
        [label, &self.root_key, &self.group.0, &[x], &self.challenge, &self.expires.to_be_bytes()].concat()
    }

    /// The answer of whoever has opened `toc`, at `now` (Unix seconds): 64 bytes.
    pub fn answer(&self, toc: &WholeToc, now: i64) -> Result<Vec<u8>, DrillError> {
        if toc.group() != self.group {
            return Err(DrillError::OtherGroup);
        }
        self.still_asked(now)?;
        Ok(proof::sign(&toc.signing_key(), &self.message(toc.share().x())))
    }

    /// Checks the answer of player `x`, whose share key is `key`, when it arrives at `now` (Unix seconds). The key is the
    /// one in the header whose G is asked for, never one that came with the answer.
    pub fn verify(&self, key: &VerifyingKey, x: u8, signature: &[u8], now: i64) -> Result<(), DrillError> {
        self.still_asked(now)?;
        proof::verify(key, &self.message(x), signature).map_err(|_| DrillError::Answer)
    }

    fn still_asked(&self, now: i64) -> Result<(), DrillError> {
        if now < self.expires { Ok(()) } else { Err(DrillError::Expired) }
    }
}

/// What a call says. Unknown fields are refused: these bytes are signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallPayload {
    /// Always 1.
    pub version: u32,
    /// The drill's id.
    pub drill: String,
    /// The oracle's base URL.
    pub oracle: String,
    /// The oracle's root key, which answers are bound to.
    pub root_key: Base64,
    /// G.
    pub group: GroupName,
    /// The group id for people.
    pub group_id: String,
    /// Number of players.
    pub size: u8,
    /// Number of Tocs that make a session quorate.
    pub threshold: u8,
    /// What the secret opens.
    pub note: String,
    /// The principal who asks.
    pub asker: String,
    /// Why, in their words.
    pub reason: String,
    /// 32 random bytes.
    pub challenge: Base64,
    /// When the drill began, Unix seconds.
    pub created: i64,
    /// When it ends, Unix seconds.
    pub expires: i64,
    /// From the root key to the invite key.
    pub certificates: Vec<Certificate>,
}

/// The link that tells players of a drill, `https://oracle/drill/ID#PAYLOAD.SIGNATURE`: exact bytes, signature, and what
/// the bytes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    payload: Vec<u8>,
    signature: Vec<u8>,
    fields: CallPayload,
    question: Question,
}

impl Call {
    /// Signs `fields` under "quorate/1 drill-call\0". What cannot be is refused, as a reader would.
    pub fn issue(fields: &CallPayload, key: &SigningKey) -> Result<Self, DrillError> {
        let payload = serde_json::to_vec(fields).expect("plain data always serialises");
        let signature = proof::sign(key, &call_message(&payload));
        Self::from_parts(payload, signature)
    }

    /// Reads a whole link, or only its fragment. Nothing is verified yet.
    pub fn parse(text: &str) -> Result<Self, DrillError> {
        let parts = signed_link::split(text).map_err(DrillError::Malformed)?;
        let call = Self::from_parts(parts.payload, parts.signature)?;
        if parts.address.is_some_and(|address| address != call.page_url()) {
            return Err(DrillError::Malformed("the address before # is not the one inside"));
        }
        Ok(call)
    }

    /// Puts stored bytes back together.
    pub fn from_parts(payload: Vec<u8>, signature: Vec<u8>) -> Result<Self, DrillError> {
        let fields: CallPayload =
            strict_json::from_slice(&payload).map_err(|_| DrillError::Malformed("what it says is unreadable"))?;
        let sound = fields.version == 1
            && is_session_id(&fields.drill)
            && check_url(&fields.oracle).is_ok()
            && (2..=fields.size).contains(&fields.threshold)
            && fields.note.len() <= MAX_NOTE
            && fields.asker.len() <= MAX_ASKER
            && fields.reason.len() <= MAX_REASON
            && times_can_be(fields.created, fields.expires);
        let bytes = |field: &Base64| <[u8; 32]>::try_from(field.0.as_slice()).ok();
        let (true, Some(root_key), Some(challenge)) = (sound, bytes(&fields.root_key), bytes(&fields.challenge)) else {
            return Err(DrillError::Malformed("what it says cannot be"));
        };
        let question = Question { root_key, group: fields.group, challenge, expires: fields.expires };
        Ok(Self { payload, signature, fields, question })
    }

    /// Checks that a key certified by `root` signed this, that answers are bound to `root`, and that the drill is not over
    /// at `now` (Unix seconds).
    pub fn verify(&self, root: &VerifyingKey, now: i64) -> Result<&CallPayload, DrillError> {
        let key = follow_chain(root, &self.fields.certificates, now)?;
        proof::verify(&key, &call_message(&self.payload), &self.signature).map_err(|_| DrillError::Signature)?;
        if self.question.root_key != root.to_bytes() {
            return Err(DrillError::OtherOracle);
        }
        self.question.still_asked(now)?;
        Ok(&self.fields)
    }

    /// What answers are bound to, unverified.
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// The token that shows names to whoever has the call: base64url of SHA-256("quorate/1 drill-view\0" ‖ payload).
    pub fn view_token(&self) -> String {
        base64url(&sha256(&[b"quorate/1 drill-view\0", &self.payload]))
    }

    /// The drill's page, without the fragment.
    pub fn page_url(&self) -> String {
        format!("{}/drill/{}", self.fields.oracle, self.fields.drill)
    }

    /// The whole link.
    pub fn to_url(&self) -> String {
        signed_link::join(&self.page_url(), &self.payload, &self.signature)
    }

    /// What it says, unverified.
    pub fn fields(&self) -> &CallPayload {
        &self.fields
    }

    /// The exact bytes that are signed.
    pub fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// The signature, 64 bytes.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }
}

fn call_message(payload: &[u8]) -> Vec<u8> {
    [b"quorate/1 drill-call\0".as_slice(), payload].concat()
}

#[cfg(test)]
mod tests;
