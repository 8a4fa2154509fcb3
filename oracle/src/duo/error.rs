//! Every way in which Duo says no, or says nothing that can be believed. None holds a key, a code or somebody's name.

use crate::outbound::OutboundError;

/// A no. Whoever gets one of these does not pass.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DuoError {
    /// Duo has more to do than it can, or than this application may ask for.
    #[error("Duo takes no more requests now (429)")]
    Busy {
        /// Seconds after which it says that it will.
        retry_after: Option<u32>,
    },
    /// The clocks differ by so much that no signature counts.
    #[error("the oracle's clock and Duo's differ too much: an operator has to set it")]
    ClockSkew {
        /// Seconds by which Duo's is ahead, when it says its time.
        ahead: Option<i64>,
    },
    /// Duo does not know the integration key, or the signature is another's.
    #[error("Duo does not take the keys of the integration (error {code})")]
    Credentials {
        /// Duo's number for it; 0 when it gives none.
        code: i64,
    },
    /// The person was asked, and refused.
    #[error("the person refused")]
    Denied,
    /// The person was asked, refused, and says that somebody else is at work.
    #[error("the person says that it was not them who asked")]
    Fraud,
    /// Duo has locked the person out.
    #[error("Duo has locked this user out")]
    LockedOut,
    /// Nothing that the person has can be asked in that way.
    #[error("this user has nothing at Duo that can be asked in that way")]
    NoDevice,
    /// A rule at Duo says no, without asking the person.
    #[error("a rule at Duo does not let this user in")]
    NotAllowed,
    /// The person was asked, and did nothing.
    #[error("the person did not answer")]
    NotAnswered,
    /// Duo would let somebody pass who was given by name: that may be nobody whom it knows.
    #[error("Duo asks nothing of this user, who is given by name: only by the user's id (DU…) does that count")]
    NameBypassed,
    /// What came back is no answer of Duo's.
    #[error("what answered is not Duo: {0}")]
    NotDuo(&'static str),
    /// Duo knows the person, who has not set anything up yet.
    #[error("this user has to enrol at Duo first")]
    NotEnrolled,
    /// No answer came back: out of reach, too slow, too long, or not proved to be Duo's.
    #[error("Duo: {0}")]
    Outbound(#[from] OutboundError),
    /// The person is being asked already.
    #[error("this user is being asked already")]
    PushUnderWay {
        /// Seconds after which that is over at the latest.
        retry_after: u32,
    },
    /// A question that cannot be put, such as one about nobody.
    #[error("the user at Duo is no id and no name")]
    Question,
    /// The person refused a short while ago, and is left in peace.
    #[error("this user refused a short while ago")]
    RecentlyDenied {
        /// Seconds after which they can be asked again.
        retry_after: u32,
    },
    /// The server sent us elsewhere; nobody goes there.
    #[error("the server redirects ({status}), as Duo does not")]
    Redirected {
        /// The status.
        status: u16,
    },
    /// Duo finds something wrong with the request, such as a user that it does not know.
    #[error("Duo refuses the request (error {code})")]
    Rejected {
        /// Duo's number for it; 0 when it gives none.
        code: i64,
    },
    /// Duo made a mistake.
    #[error("Duo failed ({status})")]
    ServerFailed {
        /// The status.
        status: u16,
    },
    /// Duo says something that nobody here knows the meaning of.
    #[error("Duo answers with a {0} that is not known here")]
    Unexpected(&'static str),
    /// The passcode does not count.
    #[error("the passcode is wrong, or was used before")]
    WrongPasscode,
}

impl DuoError {
    /// Whether the person, or whoever administers Duo, said no. Otherwise nobody was heard, and somebody has to look after it.
    pub fn refuses(&self) -> bool {
        match self {
            Self::Denied
            | Self::Fraud
            | Self::LockedOut
            | Self::NameBypassed
            | Self::NoDevice
            | Self::NotAllowed
            | Self::NotAnswered
            | Self::NotEnrolled
            | Self::PushUnderWay { .. }
            | Self::RecentlyDenied { .. }
            | Self::WrongPasscode => true,
            Self::Busy { .. }
            | Self::ClockSkew { .. }
            | Self::Credentials { .. }
            | Self::NotDuo(_)
            | Self::Outbound(_)
            | Self::Question
            | Self::Redirected { .. }
            | Self::Rejected { .. }
            | Self::ServerFailed { .. }
            | Self::Unexpected(_) => false,
        }
    }

    /// Whether somebody has to hear of it who was not there: a person refused what was asked in their name.
    pub fn alarms(&self) -> bool {
        matches!(self, Self::Denied | Self::Fraud)
    }

    /// A word for it, for counters and the audit trail.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Busy { .. } => "busy",
            Self::ClockSkew { .. } => "clock_skew",
            Self::Credentials { .. } => "credentials",
            Self::Denied => "denied",
            Self::Fraud => "fraud",
            Self::LockedOut => "locked_out",
            Self::NameBypassed => "name_bypassed",
            Self::NoDevice => "no_device",
            Self::NotAllowed => "not_allowed",
            Self::NotAnswered => "not_answered",
            Self::NotDuo(_) => "not_duo",
            Self::NotEnrolled => "not_enrolled",
            Self::Outbound(OutboundError::Slow) => "slow",
            Self::Outbound(OutboundError::Tls(_)) => "tls",
            Self::Outbound(OutboundError::TooLarge(_)) => "too_large",
            Self::Outbound(_) => "unreachable",
            Self::PushUnderWay { .. } => "under_way",
            Self::Question => "question",
            Self::RecentlyDenied { .. } => "recently_denied",
            Self::Redirected { .. } => "redirected",
            Self::Rejected { .. } => "rejected",
            Self::ServerFailed { .. } => "server_failed",
            Self::Unexpected(_) => "unexpected",
            Self::WrongPasscode => "wrong_passcode",
        }
    }
}
