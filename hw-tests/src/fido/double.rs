//! The other end of the line to a security key, in the place of USB: reports in, reports out, with whatever firmware is behind it.
//! It must not know what messages mean, but that a key which was told to stop says so.

use quorate::token::fido::channel::{BROADCAST, CANCEL, CBOR, ERROR, INIT, KEEPALIVE, TOUCH_NEEDED};
use quorate::token::fido::ports::{REPORT, Reports};
use quorate::token::fido::{CtapKey, FidoError};
use quorate::token::{TokenInfo, TokenKind};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A channel that it has given to somebody else.
const OTHERS: [u8; 4] = [0, 0, 0, 7];
const FIRST: u8 = 0x80;
/// In a [`KEEPALIVE`]: the key is at it.
const WORKING: u8 = 1;
/// The status of CTAP2 for a command that was cancelled.
const CANCELLED: u8 = 0x2d;

/// What a key does with a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reaction {
    /// Answers.
    Answer(Vec<u8>),
    /// Waits for a touch, gets it, and answers.
    Touched(Vec<u8>),
    /// Waits for a touch that does not come.
    Waits,
    /// The same, and goes on when it is told to stop; until it is given its [last word](Double::last_word).
    WaitsForEver,
    /// Says that it is at it, for ever.
    Works,
    /// Says nothing.
    Nothing,
    /// Says this instead of an answer, in reports that begin with its channel.
    Says(Vec<Vec<u8>>),
    /// Answers, after a word to somebody else.
    AmongOthers(Vec<u8>),
    /// Refuses, for this cause.
    Refuses(u8),
    /// Is pulled out while it waits for a touch.
    Pulled,
}

/// What is behind the line.
pub trait Firmware: Send {
    /// Which protocols it says that it speaks (CTAP 2.1 §11.2.9.1.3).
    fn capabilities(&self) -> u8;

    /// Does something with a message to a command.
    fn message(&mut self, command: u8, message: &[u8]) -> Reaction;
}

/// The other end.
pub struct Double<F> {
    firmware: F,
    incoming: Option<(u8, usize, Vec<u8>)>,
    outgoing: VecDeque<[u8; REPORT]>,
    state: State,
    /// The last channel that was given out.
    channels: u32,
    cancelled: Arc<Mutex<usize>>,
    last_word: Arc<Mutex<Option<Vec<u8>>>>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Ready,
    /// On this channel.
    Waiting([u8; 4]),
    WaitingForEver([u8; 4]),
    Working([u8; 4]),
    GoingAway,
    Gone,
}

/// A key with `firmware` behind a line of its own.
pub fn key<F: Firmware + 'static>(firmware: F) -> Result<CtapKey, FidoError> {
    let info = TokenInfo { kind: TokenKind::SecurityKey, name: "double".to_owned(), serial: 0, firmware: None };
    CtapKey::open(Box::new(Double::new(firmware)), info, "double".to_owned())
}

impl<F: Firmware> Double<F> {
    /// Puts `firmware` behind a line.
    pub fn new(firmware: F) -> Self {
        let outgoing = VecDeque::new();
        let channels = u32::from_be_bytes(OTHERS);
        let (state, cancelled, last_word) = (State::Ready, Arc::default(), Arc::default());
        Self { firmware, incoming: None, outgoing, state, channels, cancelled, last_word }
    }

    /// What it answers at last, where it would wait for ever.
    pub fn last_word(&self) -> Arc<Mutex<Option<Vec<u8>>>> {
        Arc::clone(&self.last_word)
    }

    /// Counts how often it was told to stop waiting.
    pub fn cancelled(&self) -> Arc<Mutex<usize>> {
        Arc::clone(&self.cancelled)
    }

    fn send(&mut self, channel: [u8; 4], command: u8, message: &[u8]) {
        let length = u16::try_from(message.len()).expect("messages are short").to_be_bytes();
        let (first, rest) = message.split_at(message.len().min(REPORT - 7));
        let parts = rest.chunks(REPORT - 5).zip(0_u8..).map(|(part, sequence)| [&[sequence], part].concat());
        let first = [&[FIRST | command][..], &length, first].concat();
        for content in std::iter::once(first).chain(parts) {
            let mut report = [0; REPORT];
            report[..4].copy_from_slice(&channel);
            report[4..4 + content.len()].copy_from_slice(&content);
            self.outgoing.push_back(report);
        }
    }

    fn receive(&mut self, channel: [u8; 4], command: u8, message: &[u8]) {
        if command == INIT && channel == BROADCAST {
            self.channels += 1;
            let answer = [message, &self.channels.to_be_bytes(), &[2, 1, 2, 3, self.firmware.capabilities()]].concat();
            return self.send(channel, INIT, &answer);
        }
        match self.firmware.message(command, message) {
            Reaction::Answer(answer) => self.send(channel, command, &answer),
            Reaction::Touched(answer) => {
                self.send(channel, KEEPALIVE, &[TOUCH_NEEDED]);
                self.send(channel, command, &answer);
            }
            Reaction::Refuses(cause) => self.send(channel, ERROR, &[cause]),
            Reaction::Waits => self.state = State::Waiting(channel),
            Reaction::WaitsForEver => self.state = State::WaitingForEver(channel),
            Reaction::Works => self.state = State::Working(channel),
            Reaction::Nothing => {}
            Reaction::Says(reports) => {
                for said in reports {
                    let mut report = [0; REPORT];
                    report[..4].copy_from_slice(&channel);
                    report[4..4 + said.len()].copy_from_slice(&said);
                    self.outgoing.push_back(report);
                }
            }
            Reaction::AmongOthers(answer) => {
                self.send(OTHERS, KEEPALIVE, &[WORKING]);
                self.send(channel, command, &answer);
            }
            Reaction::Pulled => {
                self.send(channel, KEEPALIVE, &[TOUCH_NEEDED]);
                self.state = State::GoingAway;
            }
        }
    }
}

impl<F: Firmware> Reports for Double<F> {
    fn write(&mut self, report: &[u8; REPORT]) -> Result<(), FidoError> {
        if self.state == State::Gone {
            return Err(FidoError::Removed);
        }
        let channel = [report[0], report[1], report[2], report[3]];
        let (command, length, mut message) = match (report[4].checked_sub(FIRST), self.incoming.take()) {
            (Some(CANCEL), _) => {
                *self.cancelled.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                if self.state == State::Waiting(channel) {
                    self.state = State::Ready;
                    self.send(channel, CBOR, &[CANCELLED]);
                }
                return Ok(());
            }
            (Some(command), _) => {
                let length = usize::from(u16::from_be_bytes([report[5], report[6]]));
                (command, length, report[7..].to_vec())
            }
            (None, Some((command, length, begun))) => (command, length, [&begun[..], &report[5..]].concat()),
            (None, None) => return Ok(()),
        };
        if message.len() < length {
            self.incoming = Some((command, length, message));
            return Ok(());
        }
        message.truncate(length);
        self.receive(channel, command, &message);
        Ok(())
    }

    fn read(&mut self, _: Duration) -> Result<Option<[u8; REPORT]>, FidoError> {
        match self.said() {
            Some(report) => Ok(Some(report)),
            None => self.idle(),
        }
    }
}

impl<F: Firmware> Double<F> {
    /// What it has to say and did not say yet.
    pub fn said(&mut self) -> Option<[u8; REPORT]> {
        self.outgoing.pop_front()
    }

    /// What it says every now and then while it is at something.
    pub fn idle(&mut self) -> Result<Option<[u8; REPORT]>, FidoError> {
        let last_word = self.last_word.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (self.state, last_word) {
            (State::WaitingForEver(channel), Some(answer)) => {
                self.state = State::Ready;
                self.send(channel, CBOR, &answer);
            }
            (state, _) => return self.goes_on(state),
        }
        Ok(self.said())
    }

    fn goes_on(&mut self, state: State) -> Result<Option<[u8; REPORT]>, FidoError> {
        match state {
            State::Waiting(channel) | State::WaitingForEver(channel) => self.send(channel, KEEPALIVE, &[TOUCH_NEEDED]),
            State::Working(channel) => self.send(channel, KEEPALIVE, &[WORKING]),
            State::GoingAway | State::Gone => {
                self.state = State::Gone;
                return Err(FidoError::Removed);
            }
            State::Ready => {}
        }
        Ok(self.said())
    }
}
