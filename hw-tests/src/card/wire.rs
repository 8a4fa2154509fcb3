//! The virtual card's line to the reader: frames of two length bytes over TCP. It must not know what is in them beyond
//! power and reset.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use socket2::SockRef;

use super::{Exchange, Finger, Place, Shared, State};

/// One-byte frames that are no commands: power off, power on, reset, "what are you".
const POWER_OFF: u8 = 0;
const RESET: u8 = 2;
const WHO: u8 = 4;
/// Answer to reset of a YubiKey: T=1 only, historical bytes "YubiKey".
const ANSWER_TO_RESET: [u8; 23] = [
    0x3b, 0xfd, 0x13, 0x00, 0x00, 0x81, 0x31, 0xfe, 0x15, 0x80, 0x73, 0xc0, 0x21, 0xc0, 0x57, 0x59, 0x75, 0x62, 0x69,
    0x4b, 0x65, 0x79, 0x40,
];
/// How often the reader is called while nobody listens there.
const REDIAL: Duration = Duration::from_millis(10);

/// Is a card in the reader on `port` whenever it is put in, until it is gone.
pub(super) fn serve(shared: &Shared, port: u16) {
    loop {
        let state = shared.lock();
        let mut state = shared
            .changed
            .wait_while(state, |state| state.place == Place::PulledOut)
            .unwrap_or_else(PoisonError::into_inner);
        if state.place == Place::Gone {
            return;
        }
        let connected = TcpStream::connect(("127.0.0.1", port)).and_then(|stream| Ok((stream.try_clone()?, stream)));
        if let Ok((to_be_cut, stream)) = connected {
            state.connection = Some(to_be_cut);
            state.applet.power_off();
            // The state is given back first: whoever holds the card needs it while the line is up.
            drop(state);
            // The end of the line is how a card is taken out, by either side.
            let _ = talk(shared, stream);
            state = shared.lock();
            state.applet.power_off();
            state.connection = None;
        }
        drop(shared.changed.wait_timeout_while(state, REDIAL, |state| state.place != Place::Gone));
    }
}

fn talk(shared: &Shared, mut stream: TcpStream) -> io::Result<()> {
    stream.set_nodelay(true)?;
    loop {
        // Delayed acknowledgements would cost 40 ms a command; the system forgets that they are unwanted.
        SockRef::from(&stream).set_tcp_quickack(true)?;
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        SockRef::from(&stream).set_tcp_quickack(true)?;
        let mut frame = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut frame)?;
        let answer = match frame.as_slice() {
            [WHO] => ANSWER_TO_RESET.to_vec(),
            [POWER_OFF..=RESET] => {
                shared.lock().applet.power_off();
                continue;
            }
            command => answer(shared, command)?,
        };
        let length = u16::try_from(answer.len()).expect("short answers only");
        stream.write_all(&[&length.to_be_bytes()[..], &answer].concat())?;
    }
}

fn answer(shared: &Shared, command: &[u8]) -> io::Result<Vec<u8>> {
    let mut state = shared.lock();
    loop {
        state = wait_while(shared, state, |state| state.frozen);
        let touched = match state.finger {
            Finger::Touches => Some(true),
            Finger::StaysAway => Some(false),
            Finger::Hesitates | Finger::PullsOut => None,
        };
        // A card that was pulled out does nothing, though it may be back by now.
        let answer = if state.connection.is_some() { state.applet.command(command, touched) } else { None };
        if let Some(answer) = answer {
            if let (&[_, ins, p1, p2, ..], [.., high, low]) = (command, answer.as_slice()) {
                let status = u16::from_be_bytes([*high, *low]);
                state.log.push(Exchange { ins, parameters: [p1, p2], status });
            }
            return Ok(answer);
        }
        if state.connection.is_some() && state.finger == Finger::PullsOut {
            state.pull_out();
        }
        if state.connection.is_none() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        state.blinking = true;
        shared.changed.notify_all();
        state = wait_while(shared, state, |state| state.finger == Finger::Hesitates);
        state.blinking = false;
    }
}

/// Waits while something holds of a card, unless it is pulled out.
fn wait_while<'a>(
    shared: &'a Shared,
    state: MutexGuard<'a, State>,
    holds: impl Fn(&State) -> bool,
) -> MutexGuard<'a, State> {
    let waited = shared.changed.wait_while(state, |state| state.connection.is_some() && holds(state));
    waited.unwrap_or_else(PoisonError::into_inner)
}
