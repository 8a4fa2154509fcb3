//! One call of `ctap-hid-fido2`, watched over. The crate reads without a deadline, holds its lock meanwhile, takes whatever report
//! comes for its own, and panics at some: so each call has a thread and an open device of its own, and we listen.
//!
//! Whoever has a hidraw device open gets every report from the key, for whichever channel. So our own open device tells when
//! the key waits for a touch, whether it is alive and whether other programs talk to it; and on it the call is cancelled.
//! It stays open for as long as the key is known, so the system gives its place to no other key. It must not know what is asked.
//!
//! A call that nobody waits for any more goes on: what it prints is kept out of the data until it ends, and the PIN and the salts
//! that it was given stay in memory until then, which may be when the program ends.

use super::super::FidoError;
use super::super::channel::{Channel, Heard};
use super::super::ports::Patience;
use super::Answer;
use super::panics::{NAME, hush_panics};
use super::status;
use crate::stdout::StdoutAside;
use ctap_hid_fido2::{FidoKeyHid, HidParam, LibCfg};
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

/// How often we listen.
const GLANCE: Duration = Duration::from_millis(5);
/// Reports that are listened to at once: a key that goes on for ever is looked at in between.
const AT_ONCE: usize = 256;

/// Places where a call goes on that nobody waits for any more.
static ABANDONED: Mutex<BTreeMap<String, Weak<()>>> = Mutex::new(BTreeMap::new());

/// A key to call.
pub(in super::super) struct Line<'a> {
    /// Our own channel, on which we listen.
    pub(in super::super) channel: &'a mut Channel,
    /// Where the device is.
    pub(in super::super) place: &'a str,
    /// PIN protocol 1 or 2.
    pub(in super::super) protocol: u8,
    /// In which time all must be over, of what needs nobody's touch: however often the key says that it is at it.
    pub(in super::super) quiet: Option<Duration>,
    /// Whether what is asked for stays in the key.
    pub(in super::super) lasting: bool,
}

type Outcome<T> = Result<T, String>;

/// What was heard during a call.
struct Watch<'a> {
    /// The call's channel, once it has one.
    id: Arc<OnceLock<[u8; 4]>>,
    touch: &'a mut dyn FnMut(),
    quiet: Option<Duration>,
    began: Instant,
    last: Instant,
    asked_to_touch: Option<Instant>,
    /// Channels of others.
    others: Vec<[u8; 4]>,
}

/// Whether a call at this place goes on that nobody waits for any more.
pub(in super::super) fn is_abandoned(place: &str) -> bool {
    let abandoned = ABANDONED.lock().unwrap_or_else(PoisonError::into_inner);
    abandoned.get(place).is_some_and(|running| running.strong_count() > 0)
}

impl Line<'_> {
    /// The same line, for what stays in the key: where another program's words came between, it may have been done.
    pub(super) fn lasting(self) -> Self {
        Self { lasting: true, ..self }
    }

    /// Has `work` done with the key, within the patience of the channel. `touch` is called once, as soon as the key waits for one.
    pub(super) fn call<T, E>(
        self,
        command: &'static str,
        touch: &mut dyn FnMut(),
        work: impl FnOnce(&FidoKeyHid) -> Result<T, E> + Send + 'static,
    ) -> Answer<T>
    where
        T: Send + 'static,
        E: Display,
    {
        // What came before is of no concern, but that the key is gone.
        for _ in 0..AT_ONCE {
            if self.channel.overhear()?.is_none() {
                break;
            }
        }
        if is_abandoned(self.place) {
            return Err(FidoError::Silent);
        }
        hush_panics();
        // The worker's, which may print long after nobody waits for it.
        let aside = StdoutAside::put();
        let (running, id) = (Arc::new(()), Arc::new(OnceLock::new()));
        let now = Instant::now();
        let (quiet, others) = (self.quiet, Vec::new());
        let mut watch =
            Watch { id: Arc::clone(&id), touch, quiet, began: now, last: now, asked_to_touch: None, others };
        let (finish, finished) = mpsc::channel();
        let (place, protocol, held) = (self.place.to_owned(), self.protocol, Arc::clone(&running));
        let worker = thread::Builder::new().name(NAME.to_owned()).spawn(move || {
            let outcome = done(place, protocol, &id, work);
            // Whoever has the outcome prints where stdout is what it was.
            drop(aside);
            // Dropped when the device is closed, also by a panic.
            drop(held);
            // Maybe nobody waits any more.
            let _ = finish.send(outcome);
        });
        worker.map_err(|error| FidoError::Transport(error.to_string()))?;
        let outcome = watch.over(self.channel, &finished);
        if outcome.is_err() && Arc::strong_count(&running) > 1 {
            let mut abandoned = ABANDONED.lock().unwrap_or_else(PoisonError::into_inner);
            abandoned.insert(self.place.to_owned(), Arc::downgrade(&running));
        }
        if !watch.others.is_empty() {
            // The crate may have taken for its own what was for them.
            return Err(if self.lasting { FidoError::InDoubt } else { FidoError::Busy });
        }
        match outcome? {
            Some(Ok(value)) => Ok(Ok(value)),
            Some(Err(words)) => status::read(command, &words).map(Err),
            None => Err(FidoError::unreadable(command)),
        }
    }
}

/// The call itself. The device is opened for it alone: on one that was open before, reports would wait that are not for it.
fn done<T, E: Display>(
    place: String,
    protocol: u8,
    id: &OnceLock<[u8; 4]>,
    work: impl FnOnce(&FidoKeyHid) -> Result<T, E>,
) -> Outcome<T> {
    let config =
        LibCfg { enable_log: false, enable_keep_alive_msg: false, keep_alive_msg: String::new(), ..LibCfg::init() };
    let words = |error: &dyn Display| error.to_string();
    let key = FidoKeyHid::new(&[HidParam::Path(place)], &config).map_err(|error| words(&error))?;
    let key = key.with_pin_protocol_version(protocol);
    let channel = key.get_cid().map_err(|error| words(&error))?;
    // Known before anything is answered on it.
    id.get_or_init(|| channel);
    work(&key).map_err(|error| words(&error))
}

impl Watch<'_> {
    /// Waits for the outcome: nothing of a call that panicked.
    fn over<T>(
        &mut self,
        channel: &mut Channel,
        finished: &Receiver<Outcome<T>>,
    ) -> Result<Option<Outcome<T>>, FidoError> {
        loop {
            let outcome = match finished.recv_timeout(GLANCE) {
                Ok(outcome) => Some(Some(outcome)),
                Err(RecvTimeoutError::Disconnected) => Some(None),
                Err(RecvTimeoutError::Timeout) => None,
            };
            let heard = self.listen(channel);
            if let Some(outcome) = outcome {
                // A key that is gone explains whatever came of the call.
                return if matches!(outcome, Some(Ok(_))) { Ok(outcome) } else { heard.map(|()| outcome) };
            }
            heard?;
            match self.too_late(channel.patience) {
                Some(FidoError::Timeout) => return self.give_up(channel, finished),
                Some(error) => return Err(error),
                None => {}
            }
        }
    }

    /// Hears what is there.
    fn listen(&mut self, channel: &mut Channel) -> Result<(), FidoError> {
        for _ in 0..AT_ONCE {
            let Some(heard) = channel.overhear()? else { break };
            self.last = Instant::now();
            match heard {
                Heard::OfNoConcern => {}
                Heard::On { id, waits_for_touch } if self.id.get() == Some(&id) => {
                    if waits_for_touch && self.asked_to_touch.is_none() {
                        self.asked_to_touch = Some(self.last);
                        (self.touch)();
                    }
                }
                Heard::On { id, .. } => self.others.push(id),
            }
        }
        Ok(())
    }

    fn too_late(&self, patience: Patience) -> Option<FidoError> {
        let is_over = |from: Instant, limit: Duration| from.elapsed() >= limit;
        match self.asked_to_touch {
            // A key that blinks all the same is told to stop, too.
            Some(_) if self.quiet.is_some_and(|limit| is_over(self.began, limit)) => Some(FidoError::Timeout),
            None if self.quiet.is_some_and(|limit| is_over(self.began, limit)) => Some(FidoError::Silent),
            Some(from) if is_over(from, patience.touch) => Some(FidoError::Timeout),
            None if is_over(self.began, patience.answer + patience.touch) => Some(FidoError::Silent),
            _ => is_over(self.last, patience.answer).then_some(FidoError::Silent),
        }
    }

    /// Nobody touched it: or the key would go on blinking, and take a touch that is meant for something else.
    fn give_up<T>(
        &mut self,
        channel: &mut Channel,
        finished: &Receiver<Outcome<T>>,
    ) -> Result<Option<Outcome<T>>, FidoError> {
        if let Some(id) = self.id.get() {
            channel.cancel(*id)?;
        }
        match finished.recv_timeout(channel.patience.answer) {
            // It was touched in the last moment.
            Ok(Ok(value)) => Ok(Some(Ok(value))),
            _ => Err(FidoError::Timeout),
        }
    }
}
