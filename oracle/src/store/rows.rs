//! What goes into the store and what comes out: rows, new rows, and the outcome of every conditional write.
//!
//! Knows no SQL, no HTTP and no plain secret: every `sealed` field is an opaque blob that the service sealed. Times are
//! Unix milliseconds given by the caller.

use super::audit::NewAudit;
use super::notices::NewNotice;
use super::rights::{Acting, Asking, Basis};

/// A SHA-256 or HMAC-SHA-256 value: digests of Tocs, group fingerprints, hashes of tokens and of sources.
pub type Digest = [u8; 32];

/// Times that a player may replace the proved Toc in their slot: each leaves an event that stays.
pub const MAX_REPLACEMENTS: i64 = 8;

/// What a session is for; never both (DESIGN of quorate, "session").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The session yields codes.
    Code,
    /// The session deals the secret anew.
    Redeal,
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClosedAs {
    /// Someone with the authority to do so cancelled it.
    Cancelled,
    /// Its codes, or the failures it may have, are used up.
    Exhausted,
    /// Its time ran out.
    Expired,
    /// It was a redeal and it has been done.
    Redealt,
}

impl ClosedAs {
    /// The word in the database and in answers to clients.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Cancelled => "cancelled",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::Redealt => "redealt",
        }
    }
}

/// An event to be appended to a session in the same transaction as the act it tells of.
#[derive(Clone, Debug)]
pub struct NewEvent {
    /// The stable word for what happened.
    pub kind: String,
    /// The rest, sealed.
    pub sealed: Vec<u8>,
    /// The same for the audit log, if it is recorded there.
    pub audit: Option<NewAudit>,
    /// Who is told of it besides.
    pub notices: Vec<NewNotice>,
    /// Who is told when the Toc that it tells of completes the quorum.
    pub quorate: Option<Quorate>,
}

/// Who is told when a session has as many Tocs as it needs.
#[derive(Clone, Debug)]
pub struct Quorate {
    /// How many it needs.
    pub threshold: i64,
    /// Whether only those with a proof count.
    pub proved: bool,
    /// Who is told.
    pub notices: Vec<NewNotice>,
}

impl NewEvent {
    /// An event that nobody is told of but those who watch the session.
    pub fn new(kind: impl Into<String>, sealed: Vec<u8>) -> Self {
        Self { kind: kind.into(), sealed, audit: None, notices: Vec::new(), quorate: None }
    }

    /// The same, told to the audit log as well.
    #[must_use]
    pub fn recorded(self, audit: impl Into<Option<NewAudit>>) -> Self {
        Self { audit: audit.into(), ..self }
    }

    /// The same, with notices.
    #[must_use]
    pub fn told(self, notices: Vec<NewNotice>) -> Self {
        Self { notices, ..self }
    }
}

/// A value that may be used once, such as the proof with which a session was created.
#[derive(Clone, Debug)]
pub struct Once {
    /// Names the value.
    pub digest: Digest,
    /// From when on it need not be remembered, because it would be refused as too old.
    pub expires_at: i64,
}

/// A session to be made.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// Unguessable name, at least 128 bits of randomness.
    pub id: String,
    /// What it is for.
    pub purpose: Purpose,
    /// When it was asked for; also the time of its first event.
    pub created_at: i64,
    /// When it ends unless a first code was taken before.
    pub expires_at: i64,
    /// Seconds for which codes flow after the first.
    pub ttl: i64,
    /// Keyed hash of the peer that asked, or of the principal that asked with its login alone.
    pub source: Digest,
    /// Fingerprint G of the group; `None` for Tocs dealt by farMFA.
    pub group_fp: Option<Digest>,
    /// Hash of the bearer that may cancel it.
    pub cancel_hash: Digest,
    /// Hash of the token that may see its names.
    pub view_hash: Digest,
    /// How many codes, of distinct steps, it may give; `None` for no bound but time.
    pub max_codes: Option<i64>,
    /// Everything else, sealed.
    pub sealed: Vec<u8>,
    /// The applicant's own Toc, when it comes with the request.
    pub first_toc: Option<NewToc>,
    /// Says that the session was made.
    pub event: NewEvent,
    /// Who is told if it expires before anything comes of it.
    pub on_expiry: Vec<NewNotice>,
    /// The proof of creation, so that it serves once.
    pub once: Option<Once>,
    /// The principal that asks, where who asks has logged in.
    pub applicant: Option<Asking>,
    /// How many sessions one source may have open.
    pub source_cap: i64,
    /// When it is not made, because its source has another one for the same group.
    pub unless: Option<UnlessOpen>,
}

/// Which other session keeps one from being made: an open one for codes of the same group and source.
#[derive(Clone, Copy, Debug)]
pub struct UnlessOpen {
    /// Of a greater number than this.
    pub after: i64,
    /// That ends later than that.
    pub ends_after: i64,
}

/// What became of a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// It exists now.
    Inserted,
    /// Its source has another one open for the group, and wants but one; nothing was written.
    Open,
    /// Its source has as many open as it may; nothing was written.
    SourceFull,
    /// Its proof of creation was used before; nothing was written.
    Replayed,
    /// Its group was replaced by a redeal and is refused; nothing was written.
    GroupRefused,
    /// The principal that asks may not, or no more; nothing was written.
    NotApplicant,
    /// The principal that asks stands for the player no more; nothing was written.
    NotHolder,
}

/// A session as stored. When it is closed, `sealed` is empty and its Tocs are gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRow {
    /// Its name.
    pub id: String,
    /// What it is for.
    pub purpose: Purpose,
    /// When it was made.
    pub created_at: i64,
    /// When it ends if no code is taken.
    pub expires_at: i64,
    /// When it ends as things are: `expires_at`, or `ttl` seconds after the first code.
    pub ends_at: i64,
    /// Seconds for which codes flow after the first.
    pub ttl: i64,
    /// Keyed hash of the peer that asked, or of the principal that asked with its login alone.
    pub source: Digest,
    /// Fingerprint of its group, if it has one.
    pub group_fp: Option<Digest>,
    /// Hash of the bearer that may cancel it.
    pub cancel_hash: Digest,
    /// Hash of the token that may see its names.
    pub view_hash: Digest,
    /// How many codes it may give; `None` for no bound but time.
    pub max_codes: Option<i64>,
    /// Everything else, sealed; empty once closed.
    pub sealed: Vec<u8>,
    /// When the first code was taken.
    pub first_code_at: Option<i64>,
    /// Time step of the last code taken.
    pub last_step: Option<i64>,
    /// Codes taken, each of another step.
    pub codes: i64,
    /// Attempts to open Tocs that failed.
    pub failures: i64,
    /// When it was closed.
    pub closed_at: Option<i64>,
    /// Why it was closed.
    pub closed_as: Option<ClosedAs>,
}

impl SessionRow {
    /// Whether it can still do anything at `now`: neither closed nor past its time, swept or not.
    pub fn is_open(&self, now: i64) -> bool {
        self.closed_at.is_none() && now < self.ends_at
    }
}

/// A session with the number of its Tocs and denials, without the Tocs themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionOverview {
    /// The session.
    pub row: SessionRow,
    /// Players whose proved Toc is in.
    pub proved: i64,
    /// Tocs without proof.
    pub provisional: i64,
    /// Players who said no.
    pub denials: i64,
}

/// A principal's approval, which comes with its Toc.
#[derive(Clone, Debug)]
pub struct NewApproval {
    /// Who acts, and for whom.
    pub acting: Acting,
    /// Keyed hash of session and principal: it is in a session once.
    pub approver: Digest,
    /// Whose it is and what stands for that, sealed.
    pub sealed: Vec<u8>,
}

/// An encrypted Toc to be put into a session.
#[derive(Clone, Debug)]
pub struct NewToc {
    /// SHA-256 of the encrypted Toc as it came.
    pub digest: Digest,
    /// The player's number, 1 to 255; required when proved.
    pub x: Option<u8>,
    /// Whether a signature of the share key covers it.
    pub proved: bool,
    /// When it came.
    pub at: i64,
    /// The encrypted Toc with its proof, sealed.
    pub sealed: Vec<u8>,
    /// Whose approval it is, where who approves must have logged in.
    pub approval: Option<NewApproval>,
}

/// An encrypted Toc as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TocRow {
    /// SHA-256 of the encrypted Toc as it came.
    pub digest: Digest,
    /// The player's number.
    pub x: Option<u8>,
    /// Whether a signature of the share key covers it.
    pub proved: bool,
    /// When it came.
    pub at: i64,
    /// The encrypted Toc with its proof, sealed.
    pub sealed: Vec<u8>,
    /// Whose approval it is, sealed.
    pub approval: Option<Vec<u8>>,
}

/// A Toc that is in, without the Toc itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedRow {
    /// SHA-256 of the encrypted Toc as it came.
    pub digest: Digest,
    /// The player's number; `None` without a proof.
    pub x: Option<u8>,
    /// When it came.
    pub at: i64,
    /// Whose approval it is, sealed.
    pub approval: Option<Vec<u8>>,
}

/// What became of a Toc that was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TocOutcome {
    /// It is in.
    Stored,
    /// It is in, and an earlier one of the same player is out.
    Replaced,
    /// It was in already; nothing was written.
    Repeated,
    /// There are as many Tocs without proof as there may be, or the player has replaced theirs as often as they may;
    /// nothing was written.
    PoolFull,
    /// Its principal has approved the session for another player; nothing was written.
    Approved,
    /// Its principal stands for the player no more; nothing was written.
    NotHolder,
    /// The session is closed or past its time; nothing was written.
    Closed,
    /// There is no such session.
    Unknown,
}

/// What became of a player's no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DenyOutcome {
    /// It is recorded.
    Denied,
    /// This player had said no before; nothing was written.
    Already,
    /// The session is closed or past its time; nothing was written.
    Closed,
    /// There is no such session.
    Unknown,
}

/// Whether a code of a step may be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeOutcome {
    /// Yes, and the allowance is consumed, durably.
    Taken {
        /// When the first code was taken: the end is `ttl` seconds later.
        first_code_at: i64,
        /// Codes taken so far, this one included.
        codes: i64,
    },
    /// Yes: it is the code that was taken last, read again. Nothing was written.
    Again {
        /// When the first code was taken.
        first_code_at: i64,
        /// Codes taken so far.
        codes: i64,
    },
    /// No: a code of a later step was taken already.
    Stale,
    /// No: it has given as many codes, or seen as many failures, as it may. The session is closed by this.
    Exhausted,
    /// No: closed for another reason, or past its time.
    Closed,
    /// No: the principal that asks may not any more, or is logged out. Nothing was written.
    Dismissed,
    /// No: the group was replaced by a redeal.
    GroupRefused,
    /// No: there is no such session for codes. A session for a redeal is answered so, too.
    Unknown,
    /// No: an approval that was counted counts no more. Nothing was written; without it there may be enough others.
    Withdrawn,
}

/// A redeal that has been done, to be stored.
#[derive(Clone, Debug)]
pub struct NewRedeal {
    /// The group that it replaces; `None` when that was dealt by farMFA and has no fingerprint to refuse.
    pub old_group: Option<Digest>,
    /// The group that it made.
    pub new_group: Digest,
    /// How many receipts make it complete: the threshold of the new group.
    pub threshold: u8,
    /// When it was done.
    pub at: i64,
    /// The new group's public file and the like, sealed.
    pub sealed: Vec<u8>,
    /// What it rests on where who asks has logged in.
    pub basis: Option<Basis>,
}

/// What became of a redeal that has been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RedealOutcome {
    /// It is stored, and its session closed.
    Stored,
    /// The session is unknown, closed, past its time, for codes, or of a refused group; nothing was written.
    Refused,
    /// The principal that asks may not any more, or is logged out; nothing was written.
    Dismissed,
    /// An approval that was counted counts no more; nothing was written.
    Withdrawn,
}

/// A redeal as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedealRow {
    /// The group that it replaces.
    pub old_group: Option<Digest>,
    /// The group that it made.
    pub new_group: Digest,
    /// How many receipts make it complete.
    pub threshold: u8,
    /// When it was done.
    pub at: i64,
    /// The new group's public file and the like, sealed.
    pub sealed: Vec<u8>,
    /// When a threshold of receipts was in and the old group was refused.
    pub completed_at: Option<i64>,
}

/// A new player's Toc of a redeal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedealTocRow {
    /// The player's number in the new group.
    pub x: u8,
    /// The encrypted Toc, sealed; empty once received.
    pub sealed: Vec<u8>,
    /// When its player signed receipt.
    pub received_at: Option<i64>,
}

/// What became of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveOutcome {
    /// It is recorded, and the Toc is dropped.
    Recorded {
        /// Receipts so far, this one included.
        received: i64,
        /// Whether a threshold of receipts is in, so that the old group is refused.
        completed: bool,
    },
    /// This player had signed receipt before; nothing was written.
    Already,
    /// There is no such redeal, or no such player in it.
    Unknown,
}

/// An event as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventRow {
    /// Its number in its session: 1, 2, 3 without gaps.
    pub seq: i64,
    /// When it happened.
    pub at: i64,
    /// The stable word for what happened.
    pub kind: String,
    /// The rest, sealed.
    pub sealed: Vec<u8>,
}

/// What one round of sweeping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Sessions closed because their time was up.
    pub expired: u64,
    /// Closed sessions removed for good.
    pub deleted: u64,
    /// Whether a bound of this round was reached, so that another round has work.
    pub more: bool,
}
