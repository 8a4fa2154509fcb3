//! CTAPHID: messages to a key and back, cut into reports (CTAP 2.1 §11.2). It knows who may wait how long, and must not know what
//! messages mean.

use super::FidoError;
use super::ports::{Patience, REPORT, Reports};
use std::time::{Duration, Instant};

/// A message of U2F, an APDU.
pub const MSG: u8 = 0x03;
/// Opens a channel.
pub const INIT: u8 = 0x06;
/// A message of CTAP2. Those that we send go by `ctap-hid-fido2`.
pub const CBOR: u8 = 0x10;
/// Ends what waits for a touch.
pub const CANCEL: u8 = 0x11;
/// The key is still at it.
pub const KEEPALIVE: u8 = 0x3b;
/// The key refuses.
pub const ERROR: u8 = 0x3f;
/// In a [`KEEPALIVE`]: the key waits for a touch.
pub const TOUCH_NEEDED: u8 = 2;

/// The channel on which channels are given out.
pub const BROADCAST: [u8; 4] = [0xff; 4];
/// Marks the first report of a message.
const FIRST: u8 = 0x80;
/// What a first and a further report hold.
const FIRST_HOLDS: usize = REPORT - 7;
const NEXT_HOLDS: usize = REPORT - 5;
/// Bytes of a message at most: a first report, and 128 further ones.
pub const MAX_MESSAGE: usize = FIRST_HOLDS + 128 * NEXT_HOLDS;
/// Capabilities of a key (§11.2.9.1.3).
const SPEAKS_CBOR: u8 = 0x04;
const NO_U2F: u8 = 0x08;
/// Another channel has the key's attention.
const CHANNEL_BUSY: u8 = 0x06;

/// A report that came to everybody.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Heard {
    /// A channel is given out to somebody; or a late answer to us.
    OfNoConcern,
    /// Something for another channel.
    On {
        id: [u8; 4],
        /// Whether it says that the key waits for a touch.
        waits_for_touch: bool,
    },
}

/// A channel of our own on a key.
pub(super) struct Channel {
    reports: Box<dyn Reports>,
    id: [u8; 4],
    capabilities: u8,
    /// The key's own version, as it says.
    pub(super) version: [u8; 3],
    pub(super) patience: Patience,
}

impl Channel {
    /// Has the key give out a channel.
    pub(super) fn open(reports: Box<dyn Reports>, patience: Patience) -> Result<Self, FidoError> {
        let mut channel = Self { reports, id: BROADCAST, capabilities: 0, version: [0; 3], patience };
        let nonce: [u8; 8] = rand::random();
        channel.send(INIT, &nonce)?;
        let deadline = Instant::now() + patience.answer;
        loop {
            let (command, answer) = channel.receive(INIT, deadline, &mut || ())?;
            // On this channel other programs' answers arrive as well.
            let ours = command == INIT && answer.get(..8) == Some(&nonce[..]);
            if let (true, Some([a, b, c, d, _, major, minor, build, capabilities, ..])) = (ours, answer.get(8..)) {
                channel.id = [*a, *b, *c, *d];
                channel.version = [*major, *minor, *build];
                channel.capabilities = *capabilities;
                return Ok(channel);
            }
            channel.in_time(deadline, false)?;
        }
    }

    pub(super) fn speaks_ctap2(&self) -> bool {
        self.capabilities & SPEAKS_CBOR != 0
    }

    pub(super) fn speaks_u2f(&self) -> bool {
        self.capabilities & NO_U2F == 0
    }

    /// Sends a message and gives the answer, within `limit`. `touch` is called once, as soon as the key waits for one.
    pub(super) fn call_within(
        &mut self,
        limit: Duration,
        command: u8,
        message: &[u8],
        touch: &mut dyn FnMut(),
    ) -> Result<Vec<u8>, FidoError> {
        self.send(command, message)?;
        let deadline = Instant::now() + limit;
        let (answered, answer) = self.receive(command, deadline, touch)?;
        match answered {
            ERROR if answer.first() == Some(&CHANNEL_BUSY) => Err(FidoError::Busy),
            ERROR => Err(strange(format!("{answer:02x?}"))),
            _ => Ok(answer),
        }
    }

    fn send(&mut self, command: u8, message: &[u8]) -> Result<(), FidoError> {
        let length = u16::try_from(message.len()).ok().filter(|_| message.len() <= MAX_MESSAGE);
        let length = length.ok_or(FidoError::NotSupported("so long a message"))?.to_be_bytes();
        let (first, rest) = message.split_at(message.len().min(FIRST_HOLDS));
        self.write(self.id, &[&[FIRST | command][..], &length, first].concat())?;
        for (sequence, part) in (0_u8..).zip(rest.chunks(NEXT_HOLDS)) {
            self.write(self.id, &[&[sequence][..], part].concat())?;
        }
        Ok(())
    }

    fn write(&mut self, id: [u8; 4], content: &[u8]) -> Result<(), FidoError> {
        let mut report = [0; REPORT];
        report[..4].copy_from_slice(&id);
        report[4..4 + content.len()].copy_from_slice(content);
        self.reports.write(&report)
    }

    /// What is there already, for whichever channel: nobody waits for it here.
    pub(super) fn overhear(&mut self) -> Result<Option<Heard>, FidoError> {
        let report = self.reports.read(Duration::ZERO)?;
        Ok(report.map(|report| {
            let id = [report[0], report[1], report[2], report[3]];
            let waits_for_touch = report[4] == FIRST | KEEPALIVE && report[7] == TOUCH_NEEDED;
            if [BROADCAST, self.id].contains(&id) { Heard::OfNoConcern } else { Heard::On { id, waits_for_touch } }
        }))
    }

    /// Ends what waits for a touch on a channel, which need not be this one.
    pub(super) fn cancel(&mut self, id: [u8; 4]) -> Result<(), FidoError> {
        self.write(id, &[FIRST | CANCEL, 0, 0])
    }

    /// The answer to `asked`: its command, which may be [`ERROR`], and its message.
    fn receive(&mut self, asked: u8, deadline: Instant, touch: &mut dyn FnMut()) -> Result<(u8, Vec<u8>), FidoError> {
        let mut waits_for_touch = false;
        loop {
            let report = self.next(deadline, waits_for_touch)?;
            let (command, length) = (report[4], usize::from(u16::from_be_bytes([report[5], report[6]])));
            match command.checked_sub(FIRST) {
                Some(KEEPALIVE) if report[7] == TOUCH_NEEDED && !waits_for_touch => {
                    waits_for_touch = true;
                    touch();
                }
                Some(command) if command == asked || command == ERROR => {
                    return Ok((command, self.rest(&report, length)?));
                }
                // What is left of an answer that nobody waited for, or a key that only keeps us busy.
                _ => {}
            }
            self.in_time(deadline, waits_for_touch)?;
        }
    }

    /// The whole message of `length` bytes that begins with `first`.
    fn rest(&mut self, first: &[u8; REPORT], length: usize) -> Result<Vec<u8>, FidoError> {
        if length > MAX_MESSAGE {
            return Err(strange("an impossible length".to_owned()));
        }
        let deadline = Instant::now() + self.patience.answer;
        let mut message = first[7..REPORT.min(7 + length)].to_vec();
        for sequence in 0_u8.. {
            if message.len() >= length {
                break;
            }
            let report = self.next(deadline, false)?;
            if report[4] != sequence {
                return Err(strange("reports out of order".to_owned()));
            }
            let left = (length - message.len()).min(NEXT_HOLDS);
            message.extend_from_slice(&report[5..5 + left]);
            if message.len() < length {
                self.in_time(deadline, false)?;
            }
        }
        Ok(message)
    }

    /// The next report on our channel: what is there already comes even when it is late.
    fn next(&mut self, deadline: Instant, waits_for_touch: bool) -> Result<[u8; REPORT], FidoError> {
        let silent_from = Instant::now() + self.patience.answer;
        loop {
            let until = silent_from.min(deadline);
            match self.reports.read(until.saturating_duration_since(Instant::now()))? {
                Some(report) if report[..4] == self.id => return Ok(report),
                Some(_) | None => {}
            }
            self.in_time(deadline, waits_for_touch)?;
            if Instant::now() >= silent_from {
                return Err(FidoError::Silent);
            }
        }
    }

    /// Gives a key up for which the time is over, whatever it goes on sending.
    fn in_time(&mut self, deadline: Instant, waits_for_touch: bool) -> Result<(), FidoError> {
        if Instant::now() < deadline {
            return Ok(());
        }
        if waits_for_touch {
            // The key would go on blinking, and take a touch that is meant for something else.
            self.cancel(self.id)?;
            return Err(FidoError::Timeout);
        }
        Err(FidoError::Silent)
    }
}

fn strange(answer: String) -> FidoError {
    FidoError::Unexpected { command: "CTAPHID", answer }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Line(Arc<Mutex<Both>>);

    /// A line on which one report comes again and again, never any other.
    struct Babble([u8; REPORT], u32);

    impl Reports for Babble {
        fn write(&mut self, _: &[u8; REPORT]) -> Result<(), FidoError> {
            Ok(())
        }

        fn read(&mut self, _: Duration) -> Result<Option<[u8; REPORT]>, FidoError> {
            // Far more than are read in the time that the tests give: whoever has no end fails here.
            self.1 = self.1.checked_sub(1).ok_or(FidoError::NoKey)?;
            std::thread::yield_now();
            Ok(Some(self.0))
        }
    }

    /// What was written, and what will be read; a `None` there is a key that is gone.
    #[derive(Default)]
    struct Both(Vec<[u8; REPORT]>, VecDeque<Option<[u8; REPORT]>>);

    impl Line {
        fn says(&self, channel: [u8; 4], content: &[u8]) {
            let mut report = [0; REPORT];
            report[..4].copy_from_slice(&channel);
            report[4..4 + content.len()].copy_from_slice(content);
            self.0.lock().unwrap().1.push_back(Some(report));
        }

        fn written(&self) -> Vec<[u8; REPORT]> {
            std::mem::take(&mut self.0.lock().unwrap().0)
        }
    }

    impl Reports for Line {
        fn write(&mut self, report: &[u8; REPORT]) -> Result<(), FidoError> {
            let mut line = self.0.lock().unwrap();
            line.0.push(*report);
            if report[4] == FIRST | INIT {
                let mut answer = *report;
                // Somebody else's answer first, then ours.
                let mut other = answer;
                other[7] ^= 1;
                answer[6] = 17;
                answer[15..24].copy_from_slice(&[1, 2, 3, 4, 2, 5, 7, 1, SPEAKS_CBOR]);
                line.1.extend([Some(other), Some(answer)]);
            }
            Ok(())
        }

        fn read(&mut self, _: Duration) -> Result<Option<[u8; REPORT]>, FidoError> {
            match self.0.lock().unwrap().1.pop_front() {
                Some(Some(report)) => Ok(Some(report)),
                Some(None) => Err(FidoError::Removed),
                None => Ok(None),
            }
        }
    }

    impl Channel {
        fn call(&mut self, command: u8, message: &[u8], touch: &mut dyn FnMut()) -> Result<Vec<u8>, FidoError> {
            self.call_within(self.patience.touch, command, message, touch)
        }
    }

    const OURS: [u8; 4] = [1, 2, 3, 4];

    fn open(patience: Patience) -> (Line, Channel) {
        let line = Line::default();
        let channel = Channel::open(Box::new(line.clone()), patience).unwrap();
        line.written();
        (line, channel)
    }

    #[test]
    fn a_channel_is_ours_and_says_what_the_key_speaks() {
        let (_, channel) = open(Patience::default());
        assert_eq!((channel.id, channel.version), (OURS, [5, 7, 1]));
        assert!(channel.speaks_ctap2() && channel.speaks_u2f());
    }

    #[test]
    fn long_messages_travel_in_parts_both_ways() {
        let (line, mut channel) = open(Patience::default());
        let message: Vec<u8> = (0..200).collect();
        line.says(OURS, &[&[FIRST | CBOR, 0, 200][..], &message[..57]].concat());
        line.says([9; 4], &[0, 1, 2, 3]);
        line.says(OURS, &[&[0][..], &message[57..116]].concat());
        line.says(OURS, &[&[1][..], &message[116..175]].concat());
        line.says(OURS, &[&[2][..], &message[175..]].concat());
        assert_eq!(channel.call(CBOR, &message, &mut || ()).unwrap(), message);
        let written = line.written();
        assert_eq!(written.len(), 4);
        assert_eq!((&written[0][4..7], written[3][4]), (&[FIRST | CBOR, 0, 200][..], 2));
        assert_eq!(written[3][5..30], message[175..]);
    }

    #[test]
    fn a_touch_is_asked_for_once() {
        let (line, mut channel) = open(Patience::default());
        line.says(OURS, &[FIRST | KEEPALIVE, 0, 1, 1]);
        line.says(OURS, &[FIRST | KEEPALIVE, 0, 1, TOUCH_NEEDED]);
        line.says(OURS, &[FIRST | KEEPALIVE, 0, 1, TOUCH_NEEDED]);
        line.says(OURS, &[FIRST | MSG, 0, 2, 0x90, 0]);
        let mut asked = 0;
        assert_eq!(channel.call(MSG, &[], &mut || asked += 1).unwrap(), [0x90, 0]);
        assert_eq!(asked, 1);
    }

    #[test]
    fn no_touch_no_answer_no_key_and_no_order_are_told_apart() {
        let (line, mut channel) = open(Patience::default());
        channel.patience = Patience { touch: Duration::ZERO, ..Patience::default() };
        line.says(OURS, &[FIRST | KEEPALIVE, 0, 1, TOUCH_NEEDED]);
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Timeout)));
        // Or the key would go on blinking.
        assert_eq!(line.written().last().unwrap()[4], FIRST | CANCEL);
        line.says(OURS, &[FIRST | KEEPALIVE, 0, 1, 1]);
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Silent)), "at it for ever");
        channel.patience = Patience { answer: Duration::ZERO, touch: Duration::from_secs(60), ..Patience::default() };
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Silent)));
        channel.patience = Patience::default();

        let busy = [FIRST | ERROR, 0, 1, CHANNEL_BUSY];
        line.says(OURS, &busy);
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Busy)));
        line.says(OURS, &[FIRST | ERROR, 0, 1, 0x7f]);
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Unexpected { .. })));
        line.says(OURS, &[FIRST | CBOR, 0xff, 0xff]);
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Unexpected { .. })));
        line.says(OURS, &[FIRST | CBOR, 0, 200]);
        line.says(OURS, &[1]);
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Unexpected { .. })));
        line.0.lock().unwrap().1.push_back(None);
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Removed)));
        assert!(matches!(channel.call(CBOR, &[0; MAX_MESSAGE + 1], &mut || ()), Err(FidoError::NotSupported(_))));
    }

    /// Each of these reports is a sign of life, and none is an answer.
    #[test]
    fn a_key_that_keeps_talking_is_given_up_whatever_it_says() {
        const MANY: u32 = 100_000_000;
        let short = Duration::from_millis(20);
        let patience = Patience { answer: short, quiet: short, touch: short };
        let report = |channel: [u8; 4], content: &[u8]| {
            let mut report = [0; REPORT];
            report[..4].copy_from_slice(&channel);
            report[4..4 + content.len()].copy_from_slice(content);
            report
        };
        for (what, said) in [
            ("continuations", report(OURS, &[0, 1, 2, 3])),
            ("answers to nothing", report(OURS, &[FIRST | MSG, 0, 1, 1])),
            ("signs of life", report(OURS, &[FIRST | KEEPALIVE, 0, 1, 1])),
            ("words to others", report([9; 4], &[FIRST | CBOR, 0, 1, 1])),
        ] {
            let reports = Box::new(Babble(said, MANY));
            let mut channel = Channel { reports, id: OURS, capabilities: 0, version: [0; 3], patience };
            let called = channel.call(CBOR, &[], &mut || ());
            assert!(matches!(called, Err(FidoError::Silent)), "{what}: {called:?}");
        }
        let blinking = Box::new(Babble(report(OURS, &[FIRST | KEEPALIVE, 0, 1, TOUCH_NEEDED]), MANY));
        let mut channel = Channel { reports: blinking, id: OURS, capabilities: 0, version: [0; 3], patience };
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Timeout)));
        let foreign = report(BROADCAST, &[FIRST | INIT, 0, 17]);
        let opened = Channel::open(Box::new(Babble(foreign, MANY)), patience);
        assert!(matches!(opened, Err(FidoError::Silent)), "an answer to somebody else, for ever");
    }

    /// A report comes before each silence is over, and the message never ends.
    #[test]
    fn a_message_has_an_end_however_slowly_it_comes() {
        let (line, mut channel) = open(Patience::default());
        channel.patience = Patience { answer: Duration::ZERO, touch: Duration::from_secs(60), ..Patience::default() };
        line.says(OURS, &[FIRST | CBOR, 0, 200]);
        for sequence in 0..3 {
            line.says(OURS, &[sequence]);
        }
        assert!(matches!(channel.call(CBOR, &[], &mut || ()), Err(FidoError::Silent)));
        assert_eq!(line.0.lock().unwrap().1.len(), 2, "given up after the first part that came too late");
    }
}
