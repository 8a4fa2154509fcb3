//! A key from when it is put in until it is pulled out: firmware, line and device, and the hand that holds it.

use crate::hand::{Hand, Holder};
use crate::line::{CBOR, Heard, Line, Report};
use crate::uhid::{Device, Events};
use crate::{Failure, firmware};
use ctaphid_app::Command;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;
use trussed::virt::{StorageConfig, StoreConfig};

/// How often a key at work says so.
const KEEPALIVE: Duration = Duration::from_millis(100);

/// `authenticatorGetInfo`, and how its answer says that the key is strict (CTAP 2.1 §6.4).
const GET_INFO: [u8; 1] = [0x04];
const IS_STRICT: &[u8] = b"\x68alwaysUv\xf5";
/// `authenticatorConfig` with `toggleAlwaysUv` (CTAP 2.1 §6.11.2), which a key without a PIN takes from anybody.
const ALWAYS_VERIFY: [u8; 4] = [0x0d, 0xa1, 0x01, 0x02];

/// Something happens to a key that is in.
#[derive(Debug)]
pub enum Event {
    /// The host sends a report.
    Report(Report),
    /// The firmware has an answer.
    Answer(Vec<u8>),
    /// It waits for a touch.
    Blinks,
    /// It is pulled out.
    Out,
}

/// What a key is able to do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// U2F alone.
    U2f,
    /// U2F and CTAP2.
    Ctap2,
    /// CTAP2, and nothing without its PIN.
    Strict,
}

impl Kind {
    /// What it calls itself.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::U2f => "quorate virtual U2F key",
            Self::Ctap2 => "quorate virtual key",
            Self::Strict => "quorate virtual strict key",
        }
    }
}

/// Which key.
#[derive(Clone, Copy, Debug)]
pub struct Model<'a> {
    /// What it is able to do.
    pub kind: Kind,
    /// The file with what is on it, made when it is not there: as long as that stays, the key is the same.
    pub store: &'a Path,
}

/// Puts a key in, and returns when it is out. `tell` leads to `events`.
///
/// # Errors
/// Those of the device and of the firmware.
pub fn run(model: Model<'_>, hand: &Hand, tell: &Sender<Event>, events: &Receiver<Event>) -> Result<(), Failure> {
    hand.begin();
    let (mut device, reports) = Device::insert(model.kind.name())?;
    let (messages, asked) = channel();
    thread::scope(|scope| {
        scope.spawn(|| listen(reports, tell));
        let key = thread::Builder::new().stack_size(firmware::STACK);
        let key = key.spawn_scoped(scope, || {
            let worked = work(model, Holder { hand, tell }, asked);
            // Without its firmware nothing is left of a key.
            let _ = tell.send(Event::Out);
            worked
        })?;
        let line = Line::new(model.kind != Kind::U2f);
        let conversed = converse(&mut device, line, hand, events, &messages);
        // Ends the others: the device's last event, nobody's hand, and no more messages.
        device.remove()?;
        hand.cancel();
        drop(messages);
        conversed.and(key.join().map_err(|_| "the firmware panicked")?)
    })
}

fn listen(mut reports: Events, tell: &Sender<Event>) {
    while let Ok(Some(report)) = reports.next_report() {
        if tell.send(Event::Report(report)).is_err() {
            break;
        }
    }
}

fn work(model: Model<'_>, holder: Holder<'_>, asked: Receiver<(u8, Vec<u8>)>) -> Result<(), Failure> {
    let internal = StorageConfig::filesystem(model.store.to_owned());
    let store = StoreConfig { internal, external: StorageConfig::ram(), volatile: StorageConfig::ram() };
    firmware::run(store, holder, |call| {
        // Asked of the key, which may have been pulled out before it became strict.
        let is_strict = call(Command::Cbor, &GET_INFO)?.windows(IS_STRICT.len()).any(|part| part == IS_STRICT);
        if model.kind == Kind::Strict && !is_strict && call(Command::Cbor, &ALWAYS_VERIFY)? != [0] {
            return Err("the firmware does not become strict".into());
        }
        for (command, message) in asked {
            let command = if command == CBOR { Command::Cbor } else { Command::Msg };
            holder.tell.send(Event::Answer(call(command, &message)?))?;
        }
        Ok(())
    })
}

fn converse(
    device: &mut Device,
    mut line: Line,
    hand: &Hand,
    events: &Receiver<Event>,
    messages: &Sender<(u8, Vec<u8>)>,
) -> Result<(), Failure> {
    loop {
        let limit = if line.keeps_alive() { KEEPALIVE } else { Duration::MAX };
        match events.recv_timeout(limit) {
            Ok(Event::Report(report)) => match line.hear(&report) {
                Heard::Nothing => {}
                Heard::Answer(reports) => device.send(&reports)?,
                Heard::Message(command, message) => messages.send((command, message))?,
                Heard::Cancel => hand.cancel(),
                Heard::Afresh(reports) => {
                    hand.cancel();
                    device.send(&reports)?;
                }
            },
            Ok(Event::Answer(answer)) => device.send(&line.answer(&answer))?,
            Ok(Event::Blinks) => {
                line.blink();
                if line.keeps_alive() {
                    device.send(&line.keepalive())?;
                }
            }
            Err(RecvTimeoutError::Timeout) => device.send(&line.keepalive())?,
            Ok(Event::Out) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
    }
}
