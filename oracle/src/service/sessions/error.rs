//! Why a session does not do what is asked. Knows no HTTP status; never carries what was sent.

use crate::memory::pool::PoolError;
use crate::service::people::PeopleError;
use crate::store::ClosedAs;
use crate::store::StoreError;
use quorate_protocol::deal::DealError;
use quorate_protocol::header::HeaderError;
use quorate_protocol::plan::PlanError;
use quorate_protocol::sealing::SealingError;
use quorate_protocol::toc::TocError;

/// A refused request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// A principal that has approved, or asks, as another player.
    #[error("you take part in this session as another player: one principal approves once")]
    AlreadyApproved,
    /// A group that no operator has added, where only known ones are served.
    #[error(
        "this oracle serves only groups that an operator has added (`quorate group add`), and this is none of them"
    )]
    GroupNotAdded,
    /// No ticket, or one that is over, where one is asked for.
    #[error(
        "this oracle asks for a login: log in (`quorate login`) and send the ticket as Authorization: Bearer TICKET"
    )]
    LoginRequired,
    /// A principal that may not ask for this group's codes.
    #[error("you may not ask for this group's codes: an operator says who may (`quorate group applicants`)")]
    MayNotAsk,
    /// Somebody else than the principal that started the session.
    #[error("only the principal that started the session gets its codes")]
    NotApplicant,
    /// A principal that does not stand for the player.
    #[error("you do not stand for this player: an operator says who does (`quorate group members`)")]
    NotHolder,
    /// Who takes part could not be found out, or their key was refused.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// A session from before logins were asked for.
    #[error("this session was started without a login: start it anew")]
    Unnamed,
    /// A farMFA Toc in a redeal that does not carry the approval of it, or a redeal with something missing.
    #[error("{0}")]
    Request(&'static str),
    /// The create proof is too old, or the applicant's clock is wrong.
    #[error("the applicant's proof was made more than two minutes from now: check the clock")]
    ProofTime,
    /// A proof that does not verify.
    #[error("the proof is not a signature of this player for this act")]
    BadProof,
    /// A create proof that was used before.
    #[error("this proof has been used: sign a new one")]
    Replayed,
    /// The KEK does not open the session; nothing more is said.
    #[error("this KEK does not open the session")]
    CannotOpen,
    /// The header is refused.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// The plan is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// `toc_zero` is refused.
    #[error(transparent)]
    Toc(#[from] TocError),
    /// What was sent as a Toc is not an armored age file.
    #[error("a Toc must be encrypted with age to the session's TEK and armored")]
    NotEncrypted,
    /// All shares are genuine and yet do not give a usable secret.
    #[error("the Tocs are genuine but their deal is not: {0}")]
    BadDeal(DealError),
    /// A group that names another oracle.
    #[error("this group names another oracle: ask that one")]
    WrongOracle,
    /// A group that was replaced by a redeal.
    #[error("this group was replaced by a redeal: use the new Tocs")]
    GroupRefused,
    /// A code asked of a redeal, or the other way round.
    #[error("the session was approved for something else")]
    PurposeMismatch,
    /// Not enough genuine Tocs.
    #[error("{provided} of {threshold} Tocs are in")]
    NotQuorate {
        /// Tocs that are in.
        provided: u32,
        /// Tocs that it takes.
        threshold: u32,
        /// Tocs that were dropped as false just now.
        dropped: Vec<String>,
    },
    /// As many sessions in an hour as the audit log tells of one by one.
    #[error("you have started as many sessions in the last hour as you may: wait a little")]
    TooOften,
    /// The code of a later time step was shown already.
    #[error("a later code was shown already: ask again in the next time step")]
    Stale,
    /// Too many Tocs without proof, or too many of one player.
    #[error("too many Tocs without proof are waiting, or this player has replaced theirs too often")]
    PoolFull,
    /// Too many sessions.
    #[error("too many sessions are open: let some end or cancel them")]
    TooMany,
    /// The session is over.
    #[error("the session is over: {}", .0.as_str())]
    Over(ClosedAs),
    /// No such session.
    #[error("there is no such session")]
    Unknown,
    /// Names and Tocs are for holders of the invite.
    #[error("this needs the invite: send its token")]
    InviteNeeded,
    /// Cancelling takes the token that only the applicant can derive.
    #[error("only the applicant can cancel: send the token derived from the KEK")]
    CancelRefused,
    /// No invites can be signed.
    #[error("the oracle's invite certificate has expired: its operator must renew it")]
    NoCertificate,
    /// What is stored does not open: another root secret, or a database that was altered.
    #[error("a stored session cannot be read")]
    Damaged,
    /// The threads that handle secrets are overloaded or gone.
    #[error("the oracle is busy")]
    Pool(#[from] PoolError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<SealingError> for SessionError {
    /// Whatever does not open says only that.
    fn from(_: SealingError) -> Self {
        Self::CannotOpen
    }
}
