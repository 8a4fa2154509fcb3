//! What can go wrong with a token. Knows causes; what to do about them is said by the command line.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use quorate_protocol::p256_stanza::StanzaError;

use super::Slot;

/// Why a token did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// The token's own proof of where a key was made does not hold.
    #[error("the token's attestation does not hold: {0}")]
    Attestation(&'static str),
    /// Another program holds the token; its name where it could be found.
    #[error("another program holds the token{}", .0.as_ref().map(|name| format!(": {name}")).unwrap_or_default())]
    Busy(Option<String>),
    /// The person at the token has still to replace the PIN that it came with.
    #[error("the PIN is still the factory default")]
    FactoryPin,
    /// A factory default (123456, 12345678) was offered as a new PIN or PUK.
    #[error("the factory default is no {0}")]
    DefaultCode(&'static str),
    /// The file of a soft token would replace another file.
    #[error("{} exists already", .0.display())]
    Exists(PathBuf),
    /// The firmware lacks what quorate needs.
    #[error("firmware {0} is too old")]
    Firmware(String),
    /// The token does not answer.
    #[error("the token has not answered for {} seconds", .0.as_secs())]
    Frozen(Duration),
    /// The label cannot be written into a certificate.
    #[error("a label has 1 to 64 bytes and no control characters")]
    Label,
    /// The file of a soft token cannot be read or written.
    #[error("{}: {source}", .path.display())]
    Io {
        /// The token's file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no soft token, is damaged, or asks for more memory than any token needs.
    #[error("{}: {cause}", .path.display())]
    Malformed {
        /// The token's file.
        path: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// A program would have spent the last try. Holds which code has no other.
    #[error("only one try is left for the {0}, and a program does not get it")]
    LastTry(&'static str),
    /// Writing to the token needs a management key that nobody gave.
    #[error(
        "the token's management key is neither the factory default nor kept under the PIN, and none that fits was given"
    )]
    ManagementKey,
    /// Every retired slot has a key.
    #[error("no retired slot is free")]
    NoFreeSlot,
    /// There is no key where one was named.
    #[error("slot {0} has no key")]
    NoKey(Slot),
    /// No such slot, or none that quorate uses.
    #[error("`{0}` is no key slot")]
    NoSuchSlot(String),
    /// The token gave a point that is not on the curve, or another's.
    #[error("the token gave an invalid point")]
    Point,
    /// The PIN is blocked; the PUK unblocks it.
    #[error("the PIN is blocked")]
    PinBlocked,
    /// Nobody entered a PIN.
    #[error("no PIN was entered")]
    PinDeclined,
    /// A PIN or PUK that no token could have.
    #[error("a {0} has 6 to 8 printable ASCII characters")]
    CodeFormat(&'static str),
    /// The operation needs the PIN first.
    #[error("the PIN must be verified first")]
    PinRequired,
    /// The PUK is blocked too: nothing opens the token's keys again.
    #[error("the PUK is blocked")]
    PukBlocked,
    /// The token is gone.
    #[error("the token was removed")]
    Removed,
    /// One code was chosen as PIN and as PUK.
    #[error("the PUK must not be the PIN")]
    SameCode,
    /// The smart-card service cannot be used.
    #[error("{0}")]
    Service(ServiceFault),
    /// The slot has a key already.
    #[error("slot {0} has a key already")]
    SlotOccupied(Slot),
    /// A stanza of the file cannot be opened.
    #[error(transparent)]
    Stanza(#[from] StanzaError),
    /// The person refused.
    #[error("the touch was refused")]
    TouchRefused,
    /// The person did not answer in time.
    #[error("nobody touched the token in time")]
    TouchTimeout,
    /// The token answered something that the standard does not have, in hexadecimal where it is a status word.
    #[error("the token did not do as it was told ({command}): {answer}")]
    Unexpected {
        /// What it was asked.
        command: &'static str,
        /// What came back.
        answer: String,
    },
    /// The PIN was wrong.
    #[error("wrong PIN, tries left: {tries_left}")]
    WrongPin {
        /// At least 1.
        tries_left: u8,
    },
    /// The PUK was wrong.
    #[error("wrong PUK, tries left: {tries_left}")]
    WrongPuk {
        /// At least 1.
        tries_left: u8,
    },
}

/// What is wrong with the service that reaches cards (pcscd on Linux).
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServiceFault {
    /// It runs, and refuses this person.
    #[error("the smart-card service does not let you use cards")]
    NoPermission,
    /// It is not there.
    #[error("the smart-card service (pcscd) is not installed")]
    NotInstalled,
    /// It ended without cleaning up: its socket is there, and nobody listens.
    #[error("the smart-card service (pcscd) has died and left its socket behind")]
    StaleSocket,
    /// It is installed and does not run.
    #[error("the smart-card service (pcscd) does not run")]
    Stopped,
    /// It runs, and fails.
    #[error("the smart-card service (pcscd) fails")]
    Unwell,
}
