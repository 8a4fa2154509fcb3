//! The other end of the line to a security key, in the place of USB: reports in, reports out, with whatever firmware is behind it.
//! It must not know what messages mean.

use quorate::token::fido::channel::{BROADCAST, CANCEL, ERROR, INIT, KEEPALIVE, TOUCH_NEEDED};
use quorate::token::fido::ports::{REPORT, Reports};
use quorate::token::fido::{CtapKey, FidoError};
use quorate::token::{TokenInfo, TokenKind};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The channel that it gives out.
const CHANNEL: [u8; 4] = [0, 0, 0, 7];
const FIRST: u8 = 0x80;

/// What a key does with a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Reaction {
    /// Answers.
    Answer(Vec<u8>),
    /// Waits for a touch, gets it, and answers.
    Touched(Vec<u8>),
    /// Waits for a touch that does not come.
    Waits,
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
    cancelled: Arc<Mutex<usize>>,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum State {
    Ready,
    Waiting,
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
        Self { firmware, incoming: None, outgoing, state: State::Ready, cancelled: Arc::default() }
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
            let answer = [message, &CHANNEL, &[2, 1, 2, 3, self.firmware.capabilities()]].concat();
            return self.send(channel, INIT, &answer);
        }
        match self.firmware.message(command, message) {
            Reaction::Answer(answer) => self.send(channel, command, &answer),
            Reaction::Touched(answer) => {
                self.send(channel, KEEPALIVE, &[TOUCH_NEEDED]);
                self.send(channel, command, &answer);
            }
            Reaction::Refuses(cause) => self.send(channel, ERROR, &[cause]),
            Reaction::Waits => self.state = State::Waiting,
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
                self.state = State::Ready;
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
        if let Some(report) = self.outgoing.pop_front() {
            return Ok(Some(report));
        }
        match self.state {
            State::Waiting => {
                self.send(CHANNEL, KEEPALIVE, &[TOUCH_NEEDED]);
                Ok(self.outgoing.pop_front())
            }
            State::GoingAway | State::Gone => {
                self.state = State::Gone;
                Err(FidoError::Removed)
            }
            State::Ready => Ok(None),
        }
    }
}
