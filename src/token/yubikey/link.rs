//! A connection to one card: finding out what it is, transactions, commands and their answers. It must not know what commands
//! mean beyond what it takes to say whether this is a YubiKey.

use std::ffi::{CStr, CString};
use std::fmt;

use pcsc::{Card, Context, Disposition, Protocols, ShareMode, Transaction};
use zeroize::Zeroizing;

use super::apdu::{Command, Status};
use super::service;
use super::worker::{Abandoned, Turn};
use crate::token::TokenError;

/// Application identifiers, as short as they are unique.
const PIV: [u8; 5] = [0xa0, 0x00, 0x00, 0x03, 0x08];
const OTP: [u8; 8] = [0xa0, 0x00, 0x00, 0x05, 0x27, 0x20, 0x01, 0x01];
/// The longest answer to a sane command: no object of a card is larger.
const LONGEST_ANSWER: usize = 8 * 1024;

/// Firmware version of a YubiKey.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Version(pub(super) [u8; 3]);

impl Version {
    /// The first with touch policies and 32-bit serial numbers everywhere.
    const OLDEST: Self = Self([4, 0, 0]);
    /// The first that says, as a certificate, which key it made in a slot.
    pub(super) const ATTESTATION: Self = Self([4, 3, 0]);
    /// The first that says what a slot holds, and how many tries a code has.
    pub(super) const METADATA: Self = Self([5, 3, 0]);
    /// The first that can delete a key.
    pub(super) const DELETE: Self = Self([5, 7, 0]);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self([major, minor, patch]) = self;
        write!(f, "{major}.{minor}.{patch}")
    }
}

/// Why a card did not do what it was asked.
#[derive(Debug)]
pub(super) enum Fault {
    /// Nobody waits for it any more, so it was not done.
    Abandoned,
    /// The answer makes no sense.
    Malformed(&'static str),
    /// The card is none of ours.
    NotOurs,
    /// The reader, or the service, says no.
    Reader(pcsc::Error),
    /// The card says no.
    Status(&'static str, Status),
    /// What it means for a person is known already.
    Token(TokenError),
}

impl From<Abandoned> for Fault {
    fn from(_: Abandoned) -> Self {
        Self::Abandoned
    }
}

impl From<pcsc::Error> for Fault {
    fn from(error: pcsc::Error) -> Self {
        Self::Reader(error)
    }
}

impl From<TokenError> for Fault {
    fn from(error: TokenError) -> Self {
        Self::Token(error)
    }
}

impl From<Fault> for TokenError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Abandoned => Self::Busy(None),
            Fault::Malformed(command) => Self::Unexpected { command, answer: "the answer makes no sense".to_owned() },
            Fault::NotOurs => Self::Removed,
            Fault::Reader(error) => service::explain(error),
            Fault::Status(command, Status(status)) => Self::Unexpected { command, answer: format!("{status:04x}") },
            Fault::Token(error) => error,
        }
    }
}

/// An open connection to a YubiKey.
pub(super) struct Link {
    card: Card,
    pub(super) reader: CString,
    pub(super) version: Version,
    pub(super) serial: u32,
}

impl Link {
    /// Connects to the card in `reader`. [`Fault::NotOurs`] when it is no YubiKey with PIV.
    pub(super) fn open(context: &Context, reader: &CStr, turn: &Turn) -> Result<Self, Fault> {
        let mut card = context.connect(reader, ShareMode::Shared, Protocols::T1)?;
        match meet(&mut card, turn) {
            Ok((version, serial)) => Ok(Self { card, reader: reader.to_owned(), version, serial }),
            Err(fault) => {
                // Whatever the card was doing for others, it goes on doing.
                let _ = card.disconnect(Disposition::LeaveCard);
                Err(fault)
            }
        }
    }

    /// Ends the connection and leaves the card as it is, with its verified PIN and its touch.
    pub(super) fn close(self) {
        // Nothing is left to be done about a card that is gone.
        let _ = self.card.disconnect(Disposition::LeaveCard);
    }

    /// Does something that no other program may interrupt, with the PIV application selected.
    pub(super) fn transact<T>(
        &mut self,
        turn: &Turn,
        work: impl FnOnce(&Channel<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.hold(turn, Disposition::LeaveCard, work)
    }

    /// The same, and resets the card in the end, whatever came of it: nothing that was proved to it holds any longer, for no
    /// program.
    pub(super) fn transact_and_reset<T>(
        &mut self,
        turn: &Turn,
        work: impl FnOnce(&Channel<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.hold(turn, Disposition::ResetCard, work)
    }

    fn hold<T>(
        &mut self,
        turn: &Turn,
        end: Disposition,
        work: impl FnOnce(&Channel<'_>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let (transaction, was_reset) = match self.card.transaction2() {
            Ok(transaction) => (transaction, false),
            // Somebody has reset the card: the connection is good again once that was taken note of.
            Err((card, pcsc::Error::ResetCard)) => {
                card.reconnect(ShareMode::Shared, Protocols::T1, Disposition::LeaveCard)?;
                turn.note_reset();
                (card.transaction()?, true)
            }
            Err((_, error)) => return Err(error.into()),
        };
        let channel = Channel { transaction, turn };
        let ours = (self.version, self.serial);
        let result = turn.begin().map_err(Fault::from).and_then(|()| {
            if was_reset {
                // The reader is the same; the card need not be.
                if identify(&channel)? != ours {
                    return Err(pcsc::Error::RemovedCard.into());
                }
            } else if channel.version().is_err() {
                // Selecting costs the PIN on firmware 4, so only when another program has selected something else.
                channel.select(&PIV)?;
            }
            work(&channel)
        });
        let ended = channel.transaction.end(end).map_err(|(_, error)| Fault::from(error));
        turn.end();
        // A card that was pulled out after its last answer has lost nothing but what a reset takes as well.
        drop(ended);
        result
    }
}

/// What the card is, asked on a new connection.
fn meet(card: &mut Card, turn: &Turn) -> Result<(Version, u32), Fault> {
    let channel = Channel { transaction: card.transaction()?, turn };
    turn.begin()?;
    let identified = identify(&channel);
    turn.end();
    identified
}

/// What the card is. On firmware 4 the serial number is known to another application, and looking it up there costs the PIN.
fn identify(channel: &Channel<'_>) -> Result<(Version, u32), Fault> {
    channel.select(&PIV).map_err(not_ours)?;
    let version = channel.version().map_err(not_ours)?;
    if version < Version::OLDEST {
        return Err(TokenError::Firmware(version.to_string()).into());
    }
    let serial = if version.0[0] == 4 {
        channel.select(&OTP)?;
        let serial = channel.send(&Command::new("serial number", 0x01, 0x10, 0))?;
        channel.select(&PIV)?;
        serial
    } else {
        channel.send(&Command::new("serial number", 0xf8, 0, 0))?
    };
    let serial: [u8; 4] = serial[..].try_into().map_err(|_| Fault::Malformed("serial number"))?;
    Ok((version, u32::from_be_bytes(serial)))
}

/// Any refusal means that the application is not there.
fn not_ours(fault: Fault) -> Fault {
    match fault {
        Fault::Status(..) | Fault::Malformed(_) => Fault::NotOurs,
        other => other,
    }
}

/// A card while nobody else may use it.
pub(super) struct Channel<'a> {
    transaction: Transaction<'a>,
    turn: &'a Turn,
}

impl Channel<'_> {
    /// Tells the person that the next command may wait for their finger.
    pub(super) fn announce_touch(&self) {
        self.turn.announce_touch();
    }

    /// Sends a command that must succeed, and gives the answer.
    pub(super) fn send(&self, command: &Command) -> Result<Zeroizing<Vec<u8>>, Fault> {
        match self.try_send(command)? {
            (Status::OK, answer) => Ok(answer),
            (status, _) => Err(Fault::Status(command.name, status)),
        }
    }

    /// Sends a command, and gives its status and answer.
    pub(super) fn try_send(&self, command: &Command) -> Result<(Status, Zeroizing<Vec<u8>>), Fault> {
        // Reserved at once: a buffer that grows leaves copies behind.
        let mut answer = Zeroizing::new(Vec::with_capacity(LONGEST_ANSWER));
        let mut status = Status::OK;
        for apdu in command.apdus() {
            status = self.transmit(command, &apdu, &mut answer)?;
            if status != Status::OK && !status.has_more() {
                return Ok((status, Zeroizing::default()));
            }
        }
        let more = Command::new(command.name, 0xc0, 0, 0);
        while status.has_more() {
            let before = answer.len();
            for apdu in more.apdus() {
                status = self.transmit(command, &apdu, &mut answer)?;
            }
            if answer.len() == before && status.has_more() {
                return Err(Fault::Malformed(command.name));
            }
        }
        Ok((status, answer))
    }

    fn transmit(&self, command: &Command, apdu: &[u8], answer: &mut Vec<u8>) -> Result<Status, Fault> {
        let mut buffer = Zeroizing::new([0; pcsc::MAX_BUFFER_SIZE]);
        let received = self.transaction.transmit(apdu, &mut buffer[..])?;
        // A card that is being pulled out leaves some readers with nothing to say.
        let (data, status) = received.split_last_chunk::<2>().ok_or(pcsc::Error::CommDataLost)?;
        if answer.len() + data.len() > LONGEST_ANSWER {
            return Err(Fault::Malformed(command.name));
        }
        answer.extend(data);
        Ok(Status(u16::from_be_bytes(*status)))
    }

    fn select(&self, application: &[u8]) -> Result<(), Fault> {
        self.send(&Command::new("select", 0xa4, 4, 0).with(application)).map(drop)
    }

    /// Succeeds only while the PIV application of a YubiKey is selected.
    fn version(&self) -> Result<Version, Fault> {
        let answer = self.send(&Command::new("version", 0xfd, 0, 0))?;
        let version: [u8; 3] = answer[..].try_into().map_err(|_| Fault::Malformed("version"))?;
        Ok(Version(version))
    }
}
