//! Why nothing is done for or about a principal. Knows no HTTP status; never carries what was sent.

use super::name::NameError;
use super::remote::Unavailable;
use crate::memory::pool::PoolError;
use crate::service::api_keys::ApiKeyError;
use crate::service::failures::TooMany;
use crate::service::relying_party::PartyError;
use crate::service::webauthn::WebauthnError;
use crate::store::StoreError;
use quorate_protocol::otp::OtpError;
use quorate_protocol::toc::TocError;

/// A refused request.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PeopleError {
    /// A security key's answer that does not fit the approval.
    #[error("the security key did not answer to this approval: ask for a new challenge")]
    Assertion,
    /// A provider that somebody has been assigned.
    #[error("this provider is assigned: remove it from its principals first")]
    Assigned,
    /// Somebody else changed the same thing at the same time.
    #[error("it was changed by somebody else just now: try again")]
    Changed,
    /// What is stored does not open: another root secret, or a database that was altered.
    #[error("a stored principal cannot be read")]
    Damaged,
    /// A login that is too old to change what logins rest on.
    #[error("this takes a login of the last five minutes: log in again, and do it then")]
    Stale,
    /// The confirmation of a factor is missing or wrong.
    #[error(
        "the second factor is not confirmed: send the code that the authenticator shows, or what the security key answers"
    )]
    Factor,
    /// A role that may not do this.
    #[error("your role may not do this")]
    Forbidden,
    /// A file that is no group's.
    #[error("this is no group file: {0}")]
    Group(TocError),
    /// A group that was added before.
    #[error("this group was added before")]
    GroupKnown,
    /// No such group.
    #[error("the oracle knows no group of that name")]
    GroupUnknown,
    /// A name that is no holder's.
    #[error("the group has no holder of that name")]
    HolderUnknown,
    /// A TOTP key that cannot be one.
    #[error("key is not a TOTP key: {0}")]
    Key(OtpError),
    /// Nobody would be left who can let others in.
    #[error("this is the last operator who can log in: let another one enrol first")]
    LastOperator,
    /// A login by steps whose second step came after its time.
    #[error("this login took too long: begin again")]
    Late,
    /// A security key's answer, to a challenge that was given out for it, which has counted before or came too late; answered as
    /// what is refused.
    #[error("this answer of a security key has counted before")]
    Replayed,
    /// A link that is unknown, used, replaced or too old.
    #[error("this link is unknown, used, or its time is up: ask an operator for a new one")]
    Link,
    /// Too many failed logins of one name.
    #[error("too many failed logins")]
    Locked {
        /// How long to wait.
        milliseconds: i64,
    },
    /// A member that is a team.
    #[error("a team has users and applications as members, no teams")]
    Member,
    /// Not a name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A provider's name or type that an update would change.
    #[error("name and type of a provider are fixed: make another one")]
    NameFixed,
    /// A principal without a security key.
    #[error(
        "this oracle asks for a security key at each approval, and you have registered none: ask an operator for a provider of \
         type webauthn and a link"
    )]
    NoSecurityKey,
    /// A principal without a provider.
    #[error("this principal has no provider")]
    NotAssigned,
    /// An act that is for teams.
    #[error("only a team has members")]
    NotATeam,
    /// An act that is for users.
    #[error("only a user enrols with a link")]
    NotAUser,
    /// An option of a provider or an assignment that is missing or cannot be.
    #[error("{0}")]
    Option(&'static str),
    /// A relying party that cannot be.
    #[error(transparent)]
    Party(#[from] PartyError),
    /// A password that is too weak.
    #[error("{0}")]
    Password(&'static str),
    /// The threads that handle secrets are overloaded or gone.
    #[error("the oracle is busy")]
    Pool(#[from] PoolError),
    /// Any of what a login rests on is missing or wrong; nothing more is said.
    #[error("principal, password or second factor is wrong")]
    Refused,
    /// One principal for two holders.
    #[error("a principal stands for one holder of a group: whoever held two Tocs would be two players")]
    RepeatedMember,
    /// Who decides about the second factor says no, for a reason that the audit log is told.
    #[error("principal, password or second factor is wrong")]
    RefusedBy(&'static str),
    /// Who decides about the second factor cannot be asked.
    #[error("the second factor cannot be checked now")]
    Remote(#[from] Unavailable),
    /// A state of a login that nobody was given; answered as what is refused.
    #[error("there is no such login")]
    State,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A name that is taken.
    #[error("there is one of that name already")]
    Taken,
    /// A team that was to have a provider or a role.
    #[error("a team does not log in: it has no provider and no role")]
    Team,
    /// A team that was to stand for a holder.
    #[error("a team holds no Toc: a user or an application stands for a holder")]
    TeamHolds,
    /// A ticket that is missing, wrong or over.
    #[error("log in first: a ticket is needed, and this is none, or it is over")]
    Ticket,
    /// More providers, members or groups than there may be.
    #[error("there are as many as there may be")]
    TooMany,
    /// No key of the caller's.
    #[error("you have no such key")]
    KeyUnknown,
    /// The only key of whoever could not log in without.
    #[error("this is your last key: register another one first")]
    LastKey,
    /// No such principal.
    #[error("there is no such principal")]
    Unknown,
    /// No such provider.
    #[error("there is no such provider")]
    UnknownProvider,
    /// Too many failures from one address.
    #[error(transparent)]
    Wait(#[from] TooMany),
    /// A ceremony with a security key.
    #[error(transparent)]
    Webauthn(#[from] WebauthnError),
}

/// The oracle's own API key holds its principals' security keys.
impl From<ApiKeyError> for PeopleError {
    fn from(error: ApiKeyError) -> Self {
        match error {
            ApiKeyError::Pool(cause) => Self::Pool(cause),
            ApiKeyError::Store(cause) => Self::Store(cause),
            _ => Self::Damaged,
        }
    }
}
