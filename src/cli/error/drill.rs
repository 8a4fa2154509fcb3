//! What can go wrong when a player answers a drill, with the cures: the part of `error` for drills.

use quorate_protocol::drill::DrillError;

/// Why a drill is not answered. Foreign text in it is escaped when it is reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum AnswerError {
    /// Two filed Tocs of one group. Holds its id for people.
    #[error("more than one Toc of group {0} is filed here")]
    Ambiguous(String),
    /// A Toc without a share key.
    #[error("a Toc dealt by farMFA cannot answer a drill")]
    Farmfa,
    /// Names and link of the drill are for others than this principal.
    #[error("the oracle does not show you the link of drill {0}")]
    NoLink(String),
    /// Neither a link nor an id.
    #[error("this is neither the link of a drill nor its id")]
    Neither,
    /// No Toc of the drill's group. Holds its id for people.
    #[error("no Toc of the group {0} is filed here")]
    NotFiled(String),
    /// The drill takes no answer any more.
    #[error("the drill is over ({0}): nothing was sent")]
    Over(String),
    /// Something that the call says is not what one's own Toc says.
    #[error("the drill is refused: its {0} is not that of your Toc")]
    Wrong(&'static str),
}

impl AnswerError {
    pub(super) fn hint(&self) -> String {
        let hint = match self {
            Self::Ambiguous(_) => "name the file: `quorate drill answer LINK FILE`",
            Self::Farmfa => "open it with `quorate toc verify FILE`, and tell the operator",
            Self::NoLink(_) => "ask whoever began the drill for its whole link",
            Self::Neither => "copy it whole, in quotes: https://ORACLE/drill/ID#… with the part behind #",
            Self::NotFiled(_) => {
                "name the file: `quorate drill answer LINK FILE`, or file it first: `quorate toc add FILE`"
            }
            Self::Over(_) => "`quorate toc verify` shows you yourself whether your Toc opens",
            Self::Wrong(_) => "nothing was sent; tell the one who sent you this link, and the operator of your oracle",
        };
        hint.to_owned()
    }
}

/// What to do about the link of a drill that is refused.
pub(super) fn drill_hint(error: &DrillError) -> Option<String> {
    let hint = match error {
        DrillError::CertificateExpired { .. } => {
            "check this machine's clock (`quorate doctor`); if it is right, the oracle's operator must renew the certificate"
        }
        DrillError::Expired => "it was open for a limited time; `quorate toc verify` shows you whether your Toc opens",
        DrillError::Malformed(_) => "copy the whole link, in quotes: the part behind # belongs to it",
        DrillError::OtherOracle => {
            "nothing was sent; if the oracle has a new root key, compare it: `quorate oracle trust URL`"
        }
        DrillError::Signature => {
            "nothing was sent; it was changed on the way or comes from somebody else: tell the one who sent it to you"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
