//! Bodies of the routes of sessions, drills and apps, the same for the oracle and its client. farMFA's fields keep their names;
//! times are RFC 3339 in what farMFA reads and Unix seconds in what is signed.

mod apps;
mod drills;

pub use self::apps::{
    App, AppCode, AppGrant, AppQuorum, AppRecord, AppRight, AppSession, ChangedApp, ExportApps, ExportedApps, KnownApp,
    MAX_WANTED, NewApp, NewAppGrant, ReadCode, WantedApp, WantedApps,
};
pub use self::drills::{Drill, DrillAnswer, DrillDetails, DrillPlayer, LastProof, NewDrill, Standing};

use crate::encoding::Base64;
use crate::header::GroupName;
use crate::invite::{Certificate, Purpose};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Characters of a user's password at least: what NIST SP 800-63B asks for is 8, with a second factor.
pub const MIN_PASSWORD: usize = 12;

/// Every error of the oracle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ErrorBody {
    /// The HTTP status.
    pub status: u16,
    /// A stable word for machines.
    pub code: String,
    /// A sentence for people.
    pub message: String,
    /// The sentence again, for clients of serverless-mfa-api-go.
    pub error: String,
    /// How far a session that is not quorate has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tocs_provided: Option<u32>,
    /// How many Tocs it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tocs_threshold: Option<u32>,
}

/// `POST /sessions`: farMFA's `toc_zero`; or header, sealed part and an applicant's proof; or, with a ticket, a group that the
/// oracle knows.
#[derive(Deserialize, Serialize, Default)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct NewSession {
    /// A clear Toc, as farMFA's clients send it. Encrypted to the TEK at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub toc_zero: Option<Box<serde_json::value::RawValue>>,
    /// The dealer's header bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Byte))]
    pub header: Option<Base64>,
    /// The sealed secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Byte))]
    pub sealed: Option<Base64>,
    /// G of a group that the oracle knows, instead of all that: its ticket says who asks. For codes alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub group: Option<GroupName>,
    /// Proof that the applicant holds a Toc of this group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applicant: Option<ApplicantProof>,
    /// What for; a code when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Purpose>,
    /// The exact bytes of the plan, of a redeal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Byte))]
    pub plan: Option<Base64>,
    /// Why, for the people who are asked. At most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Seconds that codes flow after the first, 60 to 86,400.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<i64>,
    /// Distinct time steps for which a code is shown; unlimited when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_codes: Option<i64>,
}

/// An applicant's proof: see `proof::create_message`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ApplicantProof {
    /// The player's x.
    pub x: u8,
    /// When it was signed, Unix seconds.
    pub time: i64,
    /// The share key's signature.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub signature: Base64,
}

/// A session as anybody with its id sees it; names only for whoever has the invite.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Session {
    /// Session id.
    pub id: String,
    /// The group's id for people, or farMFA's.
    pub toc_group_id: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it ends: without a quorum, or `ttl` after the first code. RFC 3339.
    pub expires_at: String,
    /// Seconds that codes flow after the first.
    pub ttl: i64,
    /// Whether enough Tocs are in.
    pub complete: bool,
    /// Number of players.
    pub tocs_in_group: u32,
    /// Number of Tocs that it takes.
    pub tocs_threshold: u32,
    /// Number of Tocs that are in.
    pub tocs_provided: u32,
    /// Number of players who said no.
    #[serde(default)]
    pub denials: u32,
    /// What for.
    pub purpose: Purpose,
    /// `open`, `cancelled`, `expired`, `exhausted` or `redealt`.
    pub state: String,
    /// G, of a group dealt by quorate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub group: Option<GroupName>,
    /// Names and reason, for whoever has the invite.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<SessionDetails>,
}

/// What only holders of the invite see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionDetails {
    /// Why.
    pub reason: String,
    /// What the secret opens.
    pub note: String,
    /// Who asks: a holder's name, of a login alone the principal's, or `unverified`.
    pub applicant: String,
    /// How that is known: the invite's word, `proved`, `named`, `login` or `unverified`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applicant_status: Option<String>,
    /// Full name of the principal that asks, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applicant_principal: Option<String>,
    /// Who has joined, in order. Holders by name, Tocs without proof as `unproved`.
    pub joined: Vec<String>,
    /// The same with the principals that approved and when, perhaps none yet; absent where approving takes no login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub approvals: Option<Vec<Approval>>,
    /// Who said no.
    pub denied: Vec<String>,
    /// All players of the group, in the order of their shares; empty for a group dealt by farMFA.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub players: Vec<String>,
    /// The invite link.
    pub invite: String,
}

/// Whose approval a Toc is, at an oracle that asks for a login.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Approval {
    /// The player's x.
    pub x: u8,
    /// The holder's name in the header.
    pub holder: String,
    /// Full name of the principal that approved.
    pub principal: String,
    /// What stood for it: `login`, or `webauthn` for a security key as well.
    pub with: String,
    /// When, RFC 3339.
    pub at: String,
}

/// Answer to `POST /sessions`: the session and what only the applicant gets.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionCredentials {
    /// The session.
    #[serde(flatten)]
    pub session: Session,
    /// The session's age recipient.
    pub tek: String,
    /// Key encryption key, base64. Only here, only now.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub kek: Zeroizing<String>,
    /// The invite link.
    pub invite: String,
}

/// `POST /sessions/{id}/tocs`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AddToc {
    /// The Toc, encrypted to the TEK and armored.
    pub encrypted_toc: String,
    /// The player's x, with a proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<u8>,
    /// The share key's signature: see `proof::approve_message`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = Byte))]
    pub proof: Option<Base64>,
}

/// `POST /sessions/{id}/denials`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Denial {
    /// The player's x.
    pub x: u8,
    /// The share key's signature: see `proof::deny_message`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub proof: Base64,
    /// Why not, for people.
    #[serde(default)]
    pub reason: String,
}

/// `POST /sessions/{id}/totp` and `…/redeal`.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct SessionKey {
    /// Key encryption key, base64.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub kek: Zeroizing<String>,
}

/// One code.
#[derive(Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct TotpCode {
    /// The digits.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub totp: Zeroizing<String>,
    /// When this code ends, RFC 3339.
    pub totp_expires_at: String,
    /// When the session ends, RFC 3339.
    pub session_expires_at: String,
    /// Tocs that were dropped as false on the way: holders by name, Tocs without proof as `unproved`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
}

/// Result of a redeal: `POST` and `GET /sessions/{id}/redeal`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Redeal {
    /// The new group's public file.
    #[cfg_attr(feature = "openapi", schema(value_type = Object))]
    pub group: Box<JsonText>,
    /// The new Tocs, encrypted to the new players.
    pub tocs: Vec<RedealToc>,
    /// Receipts that it takes until the old group is refused.
    pub receipts_needed: u32,
    /// Whether the old group is refused.
    pub complete: bool,
}

/// A JSON value kept as text, so that what was hashed stays as it was.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JsonText(pub Box<serde_json::value::RawValue>);

impl PartialEq for JsonText {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Eq for JsonText {}

/// One new Toc.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RedealToc {
    /// The player's x in the new group.
    pub x: u8,
    /// The holder's name.
    pub holder: String,
    /// The Toc, until its holder has signed receipt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted_toc: Option<String>,
    /// Whether its holder has signed receipt.
    pub received: bool,
}

/// `POST /sessions/{id}/receipts`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Receipt {
    /// The player's x in the new group.
    pub x: u8,
    /// The new share key's signature: see `proof::receipt_message`.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub proof: Base64,
}

/// One line of `GET /sessions/{id}/events`. Without the invite's token, `who`, `principal` and `reason` are left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// 1, 2, 3… in a session.
    pub seq: i64,
    /// When, RFC 3339.
    pub at: String,
    /// `created`, `joined`, `denied`, `dropped`, `code`, `redealt`, `received`, `cancelled`, `expired` or `exhausted`.
    pub kind: String,
    /// Whose act it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Full name of the principal whose act it was, where the oracle asks for a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub principal: Option<String>,
    /// In their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The session as it is now; left out once it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<Session>,
}

/// `GET /.well-known/quorate`: what `quorate oracle trust` reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OracleDescription {
    /// Protocol version, 1.
    pub version: u32,
    /// Base URL that invites name.
    pub url: String,
    /// Ed25519 root key.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = Byte))]
    pub root_key: Base64,
    /// The key's fingerprint, for comparing by eye or voice.
    pub fingerprint: String,
    /// From the root key to the invite key.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<Object>))]
    pub certificates: Vec<Certificate>,
    /// The oracle's clock, Unix seconds.
    pub time: i64,
}

/// An Ed25519 key's fingerprint: the first 20 bytes of SHA-256("quorate/1 root\0" ‖ key) as base32 in groups of four.
pub fn fingerprint(key: &[u8]) -> String {
    let digest = crate::encoding::sha256(&[b"quorate/1 root\0", key]);
    let text = data_encoding::BASE32_NOPAD.encode(&digest[..20]);
    text.as_bytes()
        .chunks(4)
        .map(|four| std::str::from_utf8(four).expect("base32 is ASCII"))
        .collect::<Vec<_>>()
        .join("-")
}
