//! A virtual YubiKey: the PIV application of firmware 4 and 5, at the other end of the smart-card service's line for virtual
//! readers. Programs meet it through the real pcscd and cannot tell. It must not know quorate.
//!
//! What is behind this handle is what a hand can do to a key: put it in, pull it out, touch it or not, look at its label.

mod applet;
mod attestation;
mod management;
mod tlv;
mod wire;

use std::net::TcpStream;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use p256::SecretKey;

use self::applet::Applet;
pub use self::management::ManagementAlgorithm;

/// What a finger does when the key blinks.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Finger {
    /// Touches it.
    #[default]
    Touches,
    /// Is on its way: the key blinks until it is told what the finger does.
    Hesitates,
    /// Pulls the key out instead.
    PullsOut,
    /// Is elsewhere, until the key gives up; here at once.
    StaysAway,
}

/// A command and how the card answered, as they went over the line.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exchange {
    /// Instruction byte.
    pub ins: u8,
    /// Parameters.
    pub parameters: [u8; 2],
    /// Status word.
    pub status: u16,
}

/// A virtual YubiKey. Gone when dropped.
pub struct VirtualCard {
    shared: Arc<Shared>,
    line: Option<JoinHandle<()>>,
}

/// What the line and the hand both get at.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

/// Where the key is.
#[derive(Clone, Copy, Eq, PartialEq)]
enum Place {
    /// Nowhere any more.
    Gone,
    Inserted,
    PulledOut,
}

struct State {
    applet: Applet,
    finger: Finger,
    place: Place,
    frozen: bool,
    /// Waits for a finger that hesitates.
    blinking: bool,
    /// To be cut when the card is pulled out.
    connection: Option<TcpStream>,
    log: Vec<Exchange>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // A test that failed leaves the lock poisoned; the card works on.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VirtualCard {
    /// A new key in the virtual reader that listens on `port` of this machine. It waits for the reader if need be.
    pub fn new(port: u16, firmware: [u8; 3], serial: u32) -> Self {
        let state = State {
            applet: Applet::new(firmware, serial),
            finger: Finger::default(),
            place: Place::Inserted,
            frozen: false,
            blinking: false,
            connection: None,
            log: Vec::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new() });
        let for_line = Arc::clone(&shared);
        let line = std::thread::spawn(move || wire::serve(&for_line, port));
        Self { shared, line: Some(line) }
    }

    /// Its serial number.
    pub fn serial(&self) -> u32 {
        self.shared.lock().applet.serial()
    }

    /// Puts it in.
    pub fn insert(&self) {
        self.shared.lock().place = Place::Inserted;
        self.shared.changed.notify_all();
    }

    /// Pulls it out: it forgets its verified PIN and its touches.
    pub fn remove(&self) {
        let mut state = self.shared.lock();
        state.pull_out();
        self.shared.changed.notify_all();
    }

    /// What the finger does from now on.
    pub fn set_touch(&self, finger: Finger) {
        self.shared.lock().finger = finger;
        self.shared.changed.notify_all();
    }

    /// Waits until it blinks for a finger that hesitates; panics when it has not within `limit`.
    pub fn wait_for_blinking(&self, limit: Duration) {
        let waited = self.shared.changed.wait_timeout_while(self.shared.lock(), limit, |state| !state.blinking);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        assert!(state.blinking, "nothing asks for a touch");
    }

    /// Stops answering, or goes on.
    pub fn set_frozen(&self, frozen: bool) {
        self.shared.lock().frozen = frozen;
        self.shared.changed.notify_all();
    }

    /// Makes it as it came from the factory, without taking it out.
    pub fn wipe(&self) {
        let mut state = self.shared.lock();
        state.applet = Applet::new(state.applet.firmware(), state.applet.serial());
        state.log.clear();
    }

    /// Tries left for PIN and PUK.
    pub fn tries_left(&self) -> (u8, u8) {
        self.shared.lock().applet.tries_left()
    }

    /// What was said since the last time.
    pub fn take_log(&self) -> Vec<Exchange> {
        std::mem::take(&mut self.shared.lock().log)
    }

    /// Content of a data object, as a program of another maker might have written it; `None` when there is none.
    pub fn object(&self, id: u32) -> Option<Vec<u8>> {
        self.shared.lock().applet.object(id).map(<[u8]>::to_vec)
    }

    /// Writes a data object as another program might.
    pub fn set_object(&self, id: u32, content: &[u8]) {
        self.shared.lock().applet.set_object(id, content);
    }

    /// Puts in a key made elsewhere, with PIN policy "once" and touch policy "never".
    pub fn import_key(&self, slot: u8, key: &SecretKey) {
        self.shared.lock().applet.import_key(slot, key);
    }

    /// Sets a management key as its owner might.
    pub fn set_management_key(&self, algorithm: ManagementAlgorithm, key: &[u8]) {
        self.shared.lock().applet.set_management_key(algorithm, key);
    }

    /// Whether whoever speaks to it now may write to it, as the management key was proved.
    pub fn is_open_to_writing(&self) -> bool {
        self.shared.lock().applet.is_managed()
    }

    /// Is another key from now on, without having been taken out: what a hub that loses power for a moment may do.
    pub fn become_another(&self, serial: u32) {
        self.shared.lock().applet.set_serial(serial);
    }

    /// Whether the management key is one of the factory's.
    pub fn has_factory_management_key(&self) -> bool {
        self.shared.lock().applet.has_factory_management_key()
    }

    /// Makes attestations lie: signed with a key that the card's attestation certificate does not know.
    pub fn forge_attestations(&self) {
        self.shared.lock().applet.forge_attestations();
    }
}

impl State {
    fn pull_out(&mut self) {
        self.place = Place::PulledOut;
        self.applet.power_off();
        if let Some(connection) = self.connection.take() {
            // It may be gone already.
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }
}

impl Drop for VirtualCard {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.pull_out();
            state.place = Place::Gone;
        }
        self.shared.changed.notify_all();
        if let Some(line) = self.line.take() {
            // What it had to say, it has said on stderr.
            let _ = line.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_card_calls_until_a_reader_answers_and_can_be_dropped_while_none_does() {
        let reader = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = reader.local_addr().expect("it has one");
        let card = VirtualCard::new(address.port(), [5, 4, 3], 1);
        // The reader hangs up and is gone for a while; the card is not held up by that.
        drop(reader.accept().expect("the card calls"));
        drop(reader);
        let calls_in_vain = Instant::now() + Duration::from_millis(50);
        while Instant::now() < calls_in_vain {
            assert_eq!(card.tries_left(), (3, 3));
        }
        let again = TcpListener::bind(address).expect("the port is free again");
        again.accept().expect("the card calls again");
        drop(again);
        drop(card);
    }
}
