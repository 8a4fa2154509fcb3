//! What can go wrong between the people of a session and their oracle, with the cures: the part of `error` for asking,
//! joining and redealing.

use crate::client::ClientError;
use quorate_protocol::invite::InviteError;
use std::path::PathBuf;

/// Why a session gave no code, or why an invite was refused. Foreign text in it is escaped when it is reported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum SessionError {
    /// The person said no to what was shown.
    #[error("you did not agree, so nothing was sent")]
    Declined,
    /// A denial is signed with a share key, which farMFA's Tocs have not.
    #[error("a Toc dealt by farMFA cannot sign a denial")]
    DenyFarmfa,
    /// An invite whose session was over long ago.
    #[error("the invite expired more than 30 days ago")]
    LongOver,
    /// The plan of a redeal keeps the player's name and gives it other keys, and nobody is asked.
    #[error("the plan keeps the name {0}, but none of its keys is known here as yours")]
    LostPlace(String),
    /// A farMFA Toc says too little to choose an oracle.
    #[error("this Toc does not say which oracle may rebuild its secret")]
    NoOracle,
    /// No Toc of the invite's group.
    #[error("no Toc of the group {group_id} is filed here")]
    NotFiled {
        /// The group's id for people, from the invite.
        group_id: String,
    },
    /// The KEK of this session is not here.
    #[error("the key of session {0} is not kept here: only who asked has it")]
    NotKept(String),
    /// A redeal without a Toc for any of our keys.
    #[error("none of the new Tocs that are still to be fetched opens with your keys")]
    NothingToFetch,
    /// Only an id, of a session that was not started here.
    #[error("an id alone does not say which oracle to ask")]
    OnlyId,
    /// The invite's group is not that of the Toc.
    #[error("the invite is for another group ({invite}) than your Toc ({toc})")]
    OtherGroup {
        /// What the invite says.
        invite: String,
        /// What the Toc is of.
        toc: String,
    },
    /// The oracle of an invite or a drill is not the pinned one.
    #[error("the link is from {link}, but your Toc is for the oracle at {pinned}")]
    OtherOracle {
        /// What the link says.
        link: String,
        /// What the Toc says.
        pinned: String,
    },
    /// The session takes no answer any more.
    #[error("{0}: nothing was sent")]
    Over(&'static str),
    /// A plan file that cannot be read as one.
    #[error("{} is no plan: {cause}", path.display())]
    PlanFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// The oracle did not do what the plan says.
    #[error("the oracle's new deal is not the approved plan: its {0} differs")]
    RedealMismatch(&'static str),
    /// The wrong kind of session for this command.
    #[error("session {0}")]
    Purpose(&'static str),
    /// The session ended, or the waiting did, before enough Tocs came.
    #[error("{how}: {provided} of {threshold} Tocs came")]
    NotQuorate {
        /// What happened.
        how: &'static str,
        /// Tocs that came.
        provided: u32,
        /// Tocs that it takes.
        threshold: u32,
        /// The session, when it is still open and its key is here.
        open: Option<String>,
    },
    /// The file with the session's key cannot be used.
    #[error("{} does not hold a session", .0.display())]
    StateFile(PathBuf),
    /// Neither a Toc nor the trust store vouches for the oracle of an invite or a drill.
    #[error("nothing here vouches for the oracle at {url}")]
    Untrusted {
        /// The oracle that the link names, unverified.
        url: String,
    },
    /// Something the invite says is not what it must say.
    #[error("the invite is refused: its {0} is not what it must be")]
    Wrong(&'static str),
    /// Two filed Tocs of one group.
    #[error("more than one Toc of group {0} is filed here")]
    Ambiguous(String),
}

impl SessionError {
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::NotQuorate { .. } => 3,
            Self::NoOracle | Self::OnlyId => 2,
            _ => 1,
        }
    }

    pub(super) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Ambiguous(_) => "name the file: `quorate join INVITE FILE`",
            Self::DenyFarmfa => "tell the one who asks, and do not send your Toc",
            Self::LongOver => {
                "check this machine's clock (`quorate doctor`); a new Toc that nobody fetched takes a new redeal"
            }
            Self::LostPlace(_) => {
                "nothing was sent; compare the key, and if you gave it to the one who asks, join without --yes"
            }
            Self::NoOracle => "name it with --oracle URL, after `quorate oracle trust URL`",
            Self::NotFiled { .. } => {
                "name the file: `quorate join INVITE FILE`, or file it first: `quorate toc add FILE`"
            }
            Self::NotKept(_) => "run this where `quorate ask` ran, as the same user",
            Self::NothingToFetch => {
                "check with `quorate key list` that your key is connected; a Toc that was received cannot be fetched again"
            }
            Self::NotQuorate { open: Some(id), .. } => {
                return Some(format!(
                    "the session is still open: `quorate session code --wait {id}` goes on, `quorate session cancel {id}` ends it"
                ));
            }
            Self::NotQuorate { .. } => "ask again; the players need `quorate join INVITE` with the invite's whole link",
            Self::OnlyId => "give the whole invite, or name a trusted oracle with --oracle URL",
            Self::OtherGroup { .. } | Self::OtherOracle { .. } | Self::Wrong(_) => {
                "nothing was sent; tell the one who sent you this link, and the operator of your oracle"
            }
            Self::Over(_) => "ask the one who sent the invite for a new one, if it is still wanted",
            Self::Purpose(_) => {
                "`quorate session show` says what it is for; `session redeal` runs the plan of a redeal"
            }
            Self::PlanFile { .. } => {
                "it takes threshold, note if you like, and per player [[player]] with name and recipients"
            }
            Self::RedealMismatch(_) => "do not use the new Tocs; ask the oracle's operator",
            Self::StateFile(_) => "remove it; the session ends by itself",
            Self::Untrusted { url } => {
                return Some(format!(
                    "file the Toc that you got (`quorate toc add FILE`), or compare fingerprints with the operator: `quorate oracle trust {url}`"
                ));
            }
            Self::Declined => return None,
        };
        Some(hint.to_owned())
    }
}

/// What to do about an invite that is refused.
pub(super) fn invite_hint(error: &InviteError) -> Option<String> {
    let hint = match error {
        InviteError::CertificateExpired { .. } => {
            "check this machine's clock (`quorate doctor`); if it is right, the oracle's operator must renew the certificate"
        }
        InviteError::Expired => "ask for a new one: the session was open for a limited time",
        InviteError::Malformed(_) => "copy the whole link, in quotes: the part behind # belongs to it",
        InviteError::Signature => {
            "nothing was sent; it was changed on the way or comes from somebody else: tell the one who sent it to you"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

/// What to do about a request that failed.
pub(super) fn client_hint(error: &ClientError) -> Option<String> {
    let hint = match error {
        ClientError::CaFile { .. } => "name a PEM file of certificate authorities",
        ClientError::Insecure { .. } => "use https://, or --insecure-http inside a closed network",
        ClientError::NoRoots => "install ca-certificates, or name a PEM file with --ca",
        ClientError::Unreachable { .. } => {
            "check the address and the connection; a private certificate authority is named with --ca FILE"
        }
        ClientError::Url { .. } => {
            "write it with its scheme: https://oracle.example, or http://127.0.0.1:8080 on one machine"
        }
        ClientError::Refused(refusal) => match refusal.code.as_str() {
            "already_activated" => {
                "its secret was shown once: if it is lost, make a new API key; without it nobody can take over what this one owns"
            }
            "certificate_ends" => "a sooner end will do, too: --until; or its operator renews the certificate",
            "bad_proof" => "check that the Toc is of this group",
            "proof_time" => "set this machine's clock: `quorate doctor` compares it with the oracle's",
            "cannot_open" => "the key of this session does not fit: ask again",
            "drill_running" => "`quorate drill list` shows it, `quorate drill end ID` ends it",
            "drill_unknown" => "check that the whole link was copied, and that the drill is not of long ago",
            "gateway_key" => "the gateway key is another oracle's, or an old one: ask the operator",
            "group_refused" => {
                "the group was redealt: fetch your new Toc with `quorate session fetch INVITE`, and use it"
            }
            "group_unknown" => {
                "`quorate group list` shows the groups that the oracle knows, `quorate group add FILE` adds one"
            }
            "invalid_email" => "give one plain address, as in app@example.com",
            "key_not_valid" => "both must be activated, and neither revoked: check the two files",
            "mail_failed" => "try again; if it stays so, the oracle's log says what its mail server complains of",
            "not_found" if refusal.message.starts_with("No matching API Key") => {
                "compare value and address letter by letter, in the same case; a revoked API key is unknown, too"
            }
            "not_quorate" => "wait for more players: `quorate session watch` shows who has joined",
            // Of an API key with its secret: who logs in is answered otherwise.
            "unauthorized" => {
                "the API key, or its secret, is wrong for this oracle, or was revoked: check the file, and --oracle"
            }
            "pool_full" => "too many Tocs without proof were sent: the one who asks should start again",
            "purpose_mismatch" => {
                "a session for a code cannot redeal, nor the other way round: ask again for the right one"
            }
            "same_key" => "name two files: the key that hands over, and a second one that was made and activated",
            "stale_step" => "wait until the code on the screen has ended, then ask again: `quorate session code ID`",
            "session_unknown" => "check that the whole invite was copied, and that it is not of long ago",
            "too_many_failures" => {
                let seconds = refusal.retry_after.unwrap_or(60);
                return Some(format!("wait {seconds} s before you try again"));
            }
            "too_many_sessions" => "end one of your sessions (`quorate session cancel`), or wait until one expires",
            "unknown_route" => "check the path in the oracle's address: it answers, and has nothing there",
            _ => return super::apps::refusal_hint(refusal).or_else(|| super::people::refusal_hint(refusal)),
        },
        _ => return None,
    };
    Some(hint.to_owned())
}
