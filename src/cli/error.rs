//! Errors as people meet them: one sentence, a hint with something to do, an exit code. Hints live only here. It must not
//! know how anything is done, only what can go wrong.

mod apps;
mod drill;
mod fido;
mod hints;
mod people;
mod session;

pub(crate) use apps::AppError;
pub(crate) use drill::AnswerError;
pub(crate) use hints::token as token_hint;
pub(crate) use people::PeopleError;
pub(crate) use session::SessionError;

use super::drawer::DrawerError;
use super::players::PlayersError;
use super::trust::TrustError;
use crate::client::ClientError;
use crate::token::TokenError;
use crate::token::fido::FidoError;
use crate::token::identities::IdentityError;
use crate::ui::{Ui, UiError};
use crate::webauthn::SiteError;
use quorate_protocol::audit::checkpoint::CheckpointError;
use quorate_protocol::deal::DealError;
use quorate_protocol::drill::DrillError;
use quorate_protocol::header::HeaderError;
use quorate_protocol::import::ImportError;
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
    /// An answer to a drill that is not given.
    #[error(transparent)]
    Answer(#[from] AnswerError),
    /// An app that is not found, or not read like this.
    #[error(transparent)]
    App(#[from] AppError),
    /// A file that should hold an API key and its secret, and does not.
    #[error("{} holds no API key with its secret", .0.display())]
    ApiKeyFile(PathBuf),
    /// An export of an audit log with something wrong in it, which was printed.
    #[error("the audit log is not as the oracle wrote it")]
    AuditAltered,
    /// A text that is no log's key.
    #[error(transparent)]
    AuditKey(CheckpointError),
    /// A checkpoint of an audit log that cannot be used.
    #[error("{}: {source}", .path.display())]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// Why.
        source: CheckpointError,
    },
    /// A request to an oracle that failed, or that it refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// A deal that cannot be made.
    #[error(transparent)]
    Deal(#[from] DealError),
    /// The link of a drill that is refused.
    #[error(transparent)]
    Drill(#[from] DrillError),
    /// A Toc that is not where it was looked for.
    #[error(transparent)]
    Drawer(#[from] DrawerError),
    /// A Toc that cannot be encrypted to a player.
    #[error("the Toc of {holder} cannot be encrypted: {source}")]
    Encrypt {
        /// The player.
        holder: String,
        /// Why; boxed, because it is larger than everything else here.
        source: Box<SealingError>,
    },
    /// A file that is there already, and stays as it is.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// Some of several things failed, each of which was reported.
    #[error("{failed} of {of} {what} failed")]
    Failed {
        /// How many.
        failed: usize,
        /// Of how many.
        of: usize,
        /// What they are.
        what: &'static str,
    },
    /// A security key that did not do what it was asked.
    #[error(transparent)]
    Fido(#[from] FidoError),
    /// Names, note or threshold out of range.
    #[error(transparent)]
    Header(#[from] HeaderError),
    /// Identities that cannot be used.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// No secret in what was given.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// A file among those to be imported that holds nothing that could be.
    #[error("{}: {source}", .path.display())]
    ImportFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: ImportError,
    },
    /// An invite that is refused.
    #[error(transparent)]
    Invite(#[from] InviteError),
    /// Nobody gave the gateway key.
    #[error("the oracle's gateway key is needed to make and activate API keys")]
    NoGatewayKey,
    /// No folder of one's own.
    #[error("there is no home folder to keep files in")]
    NoHome,
    /// A key was wanted in hardware, and there is none.
    #[error("no hardware token is connected that a key could be made in")]
    NoHardware,
    /// A plugin that is not installed.
    #[error("the recipient of {holder} needs age-plugin-{name}, which is not installed")]
    NoPlugin {
        /// The plugin's name.
        name: String,
        /// The player.
        holder: String,
    },
    /// None of the accounts given has the name that was asked for.
    #[error("no account of that name was given; there are: {}", names.join(", "))]
    NoSuchAccount {
        /// The names, safe to show.
        names: Vec<String>,
    },
    /// No connected token has the serial number that was asked for.
    #[error("no key with serial number {0} is connected")]
    NoSuchToken(u32),
    /// Several tokens, or none, when one was meant.
    #[error("{}", if *.0 == 0 { "no token was named" } else { "several tokens were named, and one is wanted" })]
    NotOneToken(usize),
    /// A Toc that does not open.
    #[error("{}: {source}", .path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        source: IdentityError,
    },
    /// A secret that cannot be used.
    #[error(transparent)]
    Otp(#[from] OtpError),
    /// Somebody who is not let in, or may not do what they want.
    #[error(transparent)]
    People(#[from] PeopleError),
    /// A plan that is refused.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Players that are refused.
    #[error(transparent)]
    Players(#[from] PlayersError),
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
    /// A site that gets no answer of any security key.
    #[error(transparent)]
    Site(#[from] SiteError),
    /// A Toc that is refused.
    #[error("{}: {source}", .path.display())]
    Toc {
        /// The file.
        path: PathBuf,
        /// Why.
        source: TocError,
    },
    /// One token answers and one does not, when one was meant.
    #[error("{found} is here, and another that does not answer, in the reader {reader}: {source}")]
    TokenInDoubt {
        /// The one that answers, safe to show.
        found: String,
        /// Where the other is, safe to show.
        reader: String,
        /// Why it does not answer.
        source: TokenError,
    },
    /// A token that did not do what it was asked.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// An oracle that is not trusted.
    #[error(transparent)]
    Trust(#[from] TrustError),
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
            Self::Players(PlayersError::None | PlayersError::Player(_))
            | Self::AuditKey(_)
            | Self::NoGatewayKey
            | Self::SecretInArgument
            | Self::Usage(_) => 2,
            Self::People(error) => error.exit_code(),
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
        // And whoever pressed Ctrl-C knows.
        if !closed && !matches!(self, Self::Ui(UiError::Interrupted)) {
            Ui::failure(self, self.hint().as_deref());
        }
    }

    /// A cause that a person can check, or a command to run.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Answer(error) => Some(error.hint()),
            Self::App(error) => Some(error.hint()),
            Self::Client(error) => session::client_hint(error),
            Self::Drill(error) => drill::drill_hint(error),
            Self::Fido(error) => fido::hint(error),
            Self::Invite(error) => session::invite_hint(error),
            Self::People(error) => Some(error.hint()),
            Self::Session(error) => error.hint(),
            Self::Site(error) => Some(fido::site_hint(error)),
            _ => hints::hint(self),
        }
    }
}
