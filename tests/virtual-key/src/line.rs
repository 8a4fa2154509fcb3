//! CTAPHID at the key's end (CTAP 2.1 §11.2): reports become messages, and answers reports. It must not know what messages mean.

/// Bytes of a report.
pub const REPORT: usize = 64;
/// A report, without a number.
pub type Report = [u8; REPORT];

const PING: u8 = 0x01;
/// A message of U2F.
pub const MSG: u8 = 0x03;
const INIT: u8 = 0x06;
/// A message of CTAP2.
pub const CBOR: u8 = 0x10;
const CANCEL: u8 = 0x11;
const KEEPALIVE: u8 = 0x3b;
const ERROR: u8 = 0x3f;

const INVALID_COMMAND: u8 = 0x01;
const INVALID_LENGTH: u8 = 0x03;
const INVALID_SEQUENCE: u8 = 0x04;
const BUSY: u8 = 0x06;
const INVALID_CHANNEL: u8 = 0x0b;

/// In a keepalive: at work, and waiting for a touch.
const WORKING: u8 = 1;
const TOUCH_NEEDED: u8 = 2;
/// Marks the first report of a message.
const FIRST: u8 = 0x80;
const FIRST_HOLDS: usize = REPORT - 7;
const NEXT_HOLDS: usize = REPORT - 5;
const MAX_MESSAGE: usize = FIRST_HOLDS + 128 * NEXT_HOLDS;
const BROADCAST: [u8; 4] = [0xff; 4];
/// Capability: knows CTAP2 (§11.2.9.1.3).
const SPEAKS_CBOR: u8 = 0x04;
/// Of the protocol.
const VERSION: u8 = 2;
/// Of the key.
const FIRMWARE: [u8; 3] = [1, 0, 0];

/// What a report leads to.
#[derive(Debug, Eq, PartialEq)]
pub enum Heard {
    /// Nothing, or not yet.
    Nothing,
    /// Reports to send.
    Answer(Vec<Report>),
    /// A message for the firmware, with its command.
    Message(u8, Vec<u8>),
    /// Nobody wants the touch any more that the key waits for.
    Cancel,
    /// The same, and reports to send: whoever had the key at work begins anew (§11.2.9.1.3).
    Afresh(Vec<Report>),
}

/// The key's end of the line.
#[derive(Debug)]
pub struct Line {
    speaks_ctap2: bool,
    channels: u32,
    incoming: Option<Incoming>,
    /// Whose message the firmware has.
    at_work: Option<([u8; 4], u8)>,
    /// Answers that the firmware still has to give, and nobody waits for.
    unwanted: usize,
    blinks: bool,
}

#[derive(Debug)]
struct Incoming {
    channel: [u8; 4],
    command: u8,
    length: usize,
    message: Vec<u8>,
    next: u8,
}

impl Line {
    /// A key that was just put in.
    #[must_use]
    pub fn new(speaks_ctap2: bool) -> Self {
        Self { speaks_ctap2, channels: 0, incoming: None, at_work: None, unwanted: 0, blinks: false }
    }

    /// Whether the host wants to be told that the key is still there: it has a message of CTAP2.
    #[must_use]
    pub fn keeps_alive(&self) -> bool {
        self.at_work.is_some_and(|(_, command)| command == CBOR)
    }

    /// Says so.
    #[must_use]
    pub fn keepalive(&self) -> Vec<Report> {
        let status = if self.blinks { TOUCH_NEEDED } else { WORKING };
        self.at_work.map_or_else(Vec::new, |(channel, _)| reports(channel, KEEPALIVE, &[status]))
    }

    /// The key waits for a touch.
    pub fn blink(&mut self) {
        self.blinks = true;
    }

    /// The firmware's answer to the message that it has.
    pub fn answer(&mut self, answer: &[u8]) -> Vec<Report> {
        self.blinks = false;
        if let Some(fewer) = self.unwanted.checked_sub(1) {
            self.unwanted = fewer;
            return Vec::new();
        }
        self.at_work.take().map_or_else(Vec::new, |(channel, command)| reports(channel, command, answer))
    }

    /// Takes a report.
    pub fn hear(&mut self, report: &Report) -> Heard {
        let channel = [report[0], report[1], report[2], report[3]];
        let Some(command) = report[4].checked_sub(FIRST) else { return self.further(channel, report) };
        let length = usize::from(u16::from_be_bytes([report[5], report[6]]));
        match (self.at_work, command) {
            (Some((busy, _)), CANCEL) if busy == channel => return Heard::Cancel,
            (_, CANCEL) => return Heard::Nothing,
            (Some((busy, _)), INIT) if busy == channel => {
                (self.at_work, self.incoming, self.unwanted) = (None, None, self.unwanted + 1);
                return match self.init(channel, &report[7..REPORT.min(7 + length)]) {
                    Heard::Answer(reports) => Heard::Afresh(reports),
                    heard => heard,
                };
            }
            (Some(_), _) => return refuse(channel, BUSY),
            (None, INIT) => self.incoming = None,
            (None, _) if !self.is_open(channel) => return refuse(channel, INVALID_CHANNEL),
            (None, _) if self.incoming.as_ref().is_some_and(|other| other.channel != channel) => {
                return refuse(channel, BUSY);
            }
            (None, _) => {}
        }
        if length > MAX_MESSAGE {
            return refuse(channel, INVALID_LENGTH);
        }
        let message = report[7..REPORT.min(7 + length)].to_vec();
        self.take(Incoming { channel, command, length, message, next: 0 })
    }

    fn further(&mut self, channel: [u8; 4], report: &Report) -> Heard {
        // What nobody began is left alone (§11.2.4).
        let Some(mut incoming) = self.incoming.take_if(|incoming| incoming.channel == channel) else {
            return Heard::Nothing;
        };
        if report[4] != incoming.next {
            return refuse(channel, INVALID_SEQUENCE);
        }
        incoming.next += 1;
        let left = (incoming.length - incoming.message.len()).min(NEXT_HOLDS);
        incoming.message.extend_from_slice(&report[5..5 + left]);
        self.take(incoming)
    }

    fn take(&mut self, incoming: Incoming) -> Heard {
        if incoming.message.len() < incoming.length {
            self.incoming = Some(incoming);
            return Heard::Nothing;
        }
        let Incoming { channel, command, message, .. } = incoming;
        match command {
            INIT => self.init(channel, &message),
            PING => Heard::Answer(reports(channel, PING, &message)),
            CBOR if !self.speaks_ctap2 => refuse(channel, INVALID_COMMAND),
            MSG | CBOR => {
                self.at_work = Some((channel, command));
                Heard::Message(command, message)
            }
            _ => refuse(channel, INVALID_COMMAND),
        }
    }

    /// A new channel; or, on one that is open, a fresh start.
    fn init(&mut self, channel: [u8; 4], nonce: &[u8]) -> Heard {
        if nonce.len() != 8 {
            return refuse(channel, INVALID_LENGTH);
        }
        let given = if channel == BROADCAST {
            self.channels += 1;
            self.channels.to_be_bytes()
        } else if self.is_open(channel) {
            channel
        } else {
            return refuse(channel, INVALID_CHANNEL);
        };
        let capabilities = if self.speaks_ctap2 { SPEAKS_CBOR } else { 0 };
        let answer = [nonce, &given, &[VERSION], &FIRMWARE, &[capabilities]].concat();
        Heard::Answer(reports(channel, INIT, &answer))
    }

    fn is_open(&self, channel: [u8; 4]) -> bool {
        (1..=self.channels).contains(&u32::from_be_bytes(channel))
    }
}

fn refuse(channel: [u8; 4], cause: u8) -> Heard {
    Heard::Answer(reports(channel, ERROR, &[cause]))
}

/// A message, cut into reports.
fn reports(channel: [u8; 4], command: u8, message: &[u8]) -> Vec<Report> {
    let length = u16::try_from(message.len()).expect("the firmware's longest message is shorter").to_be_bytes();
    let (first, rest) = message.split_at(message.len().min(FIRST_HOLDS));
    let first = [&[FIRST | command][..], &length, first].concat();
    let further = rest.chunks(NEXT_HOLDS).zip(0_u8..).map(|(part, sequence)| [&[sequence], part].concat());
    let filled = |content: Vec<u8>| {
        let mut report = [0; REPORT];
        report[..4].copy_from_slice(&channel);
        report[4..4 + content.len()].copy_from_slice(&content);
        report
    };
    std::iter::once(first).chain(further).map(filled).collect()
}
