//! Errors as people meet them: one sentence, a hint with something to do, an exit code. Hints live only here. It must not
//! know how anything is done, only what can go wrong.

mod session;

pub(crate) use session::SessionError;

use crate::client::ClientError;
use crate::ui::{Ui, UiError};
use quorate_protocol::deal::DealError;
use quorate_protocol::header::HeaderError;
use quorate_protocol::invite::InviteError;
use quorate_protocol::otp::OtpError;
use quorate_protocol::plan::PlanError;
use quorate_protocol::recipient::RecipientError;
use quorate_protocol::sealing::SealingError;
use quorate_protocol::toc::TocError;
use std::io;
use std::path::{Path, PathBuf};

/// Why a command failed. Sentences are in lower case and without a full stop; none of them holds a secret.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum CliError {
    /// A request to an oracle that failed, or that it refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A deal that cannot be made.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// A file that is there already, and stays as it is.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// Names, note or threshold out of range.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// An invite that is refused.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// No folder of one's own.
    #[error("there is no home folder to keep files in")]
    NoHome,
    /// A secret that cannot be used.
    #[error(transparent)]
    Otp(#[from] OtpError),
    /// A plan that is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A file that cannot be read.
    #[error("cannot read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody's recipient that is refused.
    #[error("the recipient of {holder} is refused: {reason}")]
    Recipient {
        /// The player.
        holder: String,
        /// Why.
        reason: RecipientError,
    },
    /// Something that cannot be sealed or opened.
    #[error(transparent)]
    Sealing(#[from] SealingError),
    /// A secret on the command line, where other programs and the shell's history see it.
    #[error("a secret in an argument can be read by other programs and stays in the shell's history")]
    SecretInArgument,
    /// A session without result, or an invite that is refused.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// A Toc that is refused.
    #[error("{}: {source}", .path.display())]
    Toc {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TocError,
    },
    /// Nobody could be told or asked.
    #[error(transparent)]
    Ui(#[from] UiError),
    /// Arguments that do not go together.
    #[error("{0}")]
    Usage(String),
    /// A file that cannot be written.
    #[error("cannot write {}: {source}", .path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl CliError {
    /// `path` could not be read.
    pub(crate) fn read(path: impl AsRef<Path>, source: io::Error) -> Self {
        Self::Read { path: path.as_ref().to_owned(), source }
    }

    /// `path` could not be written.
    pub(crate) fn write(path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_owned();
        if source.kind() == io::ErrorKind::AlreadyExists { Self::Exists(path) } else { Self::Write { path, source } }
    }

    /// 1 failed, 2 wrong usage, 3 not quorate, 130 interrupted.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::SecretInArgument | Self::Usage(_) => 2,
            Self::Session(error) => error.exit_code(),
            Self::Client(error) if error.code() == Some("not_quorate") => 3,
            Self::Ui(UiError::Interrupted) => 130,
            _ => 1,
        }
    }

    /// Prints the error, and its hint where there is one.
    pub(crate) fn report(&self) {
        // Whoever closed the pipe has what they wanted.
        let closed = matches!(self, Self::Ui(UiError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe);
        if !closed {
            Ui::failure(self, self.hint().as_deref());
        }
    }

    /// A cause that a person can check, or a command to run.
    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Client(error) => return session::client_hint(error),
            Self::Session(error) => return error.hint(),
            Self::Exists(_) => "nothing is ever overwritten: name another place, or move the old file away first",
            Self::NoHome => "set HOME, or XDG_CONFIG_HOME and XDG_DATA_HOME",
            Self::Recipient { reason: RecipientError::Mixed { .. }, .. } => {
                "age cannot mix them in one file: a player's spare key must be of the same kind as the first"
            }
            Self::SecretInArgument => {
                "pipe it: `quorate deal … --otpauth - < FILE`, or leave it out and be asked; and get a new \
                 secret from the account, this one has been seen"
            }
            Self::Ui(UiError::NoTerminal(_)) => {
                "run this from a terminal; a PIN can also come from QUORATE_PIN_COMMAND"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
