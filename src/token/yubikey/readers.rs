//! The readers of the smart-card service, and the YubiKeys in them. It must not know keys or PINs.

use std::ffi::{CStr, CString};
use std::time::{Duration, Instant};

use pcsc::{Context, ReaderState, State};

use super::link::{Fault, Link};
use super::worker::{Worker, bounded};
use super::{Patience, YubiKeyToken, service, unanswered};
use crate::token::readers::{Content, Reader, Readers};
use crate::token::{PivToken, ServiceFault, TokenError};

/// How much longer than the service was told to wait one waits for the service.
const GRACE: Duration = Duration::from_secs(2);

/// After this long a key is looked for whatever the service says: it may have been there, and not yet ready.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// The YubiKeys that are connected to this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct YubiKeys {
    patience: Patience,
}

impl YubiKeys {
    /// Waits for cards as long as it is told.
    pub fn with_patience(patience: Patience) -> Self {
        Self { patience }
    }
}

impl Readers for YubiKeys {
    fn look(&self) -> Result<Vec<Reader>, TokenError> {
        let readers = list(self.patience)?;
        Ok(readers.into_iter().map(|name| self.look_into(&name)).collect())
    }

    fn open(&self, serial: u32) -> Result<Option<Box<dyn PivToken>>, TokenError> {
        let Some(worker) = find(serial, self.patience)? else { return Ok(None) };
        Ok(Some(Box::new(YubiKeyToken::new(worker, self.patience)?)))
    }

    fn wait_for(&self, serial: u32, limit: Duration) -> Result<Option<Box<dyn PivToken>>, TokenError> {
        let deadline = Instant::now() + limit;
        // What is there is looked at after the state of the readers was taken, so that no change is missed in between.
        let mut states = changed(Vec::new(), Duration::ZERO)?;
        loop {
            if let Some(token) = self.open(serial)? {
                return Ok(Some(token));
            }
            let remaining = deadline.saturating_duration_since(Instant::now());
            if remaining.is_zero() {
                return Ok(None);
            }
            states = changed(states, remaining.min(LONGEST_WAIT))?;
        }
    }
}

impl YubiKeys {
    fn look_into(&self, reader: &CStr) -> Reader {
        let content = match connect(reader, self.patience) {
            Ok(worker) => match YubiKeyToken::new(worker, self.patience) {
                Ok(token) => Content::Token(Box::new(token)),
                Err(error) => Content::Unusable(error),
            },
            Err(Fault::Reader(pcsc::Error::NoSmartcard | pcsc::Error::RemovedCard)) => Content::Empty,
            Err(Fault::NotOurs | Fault::Reader(pcsc::Error::ProtoMismatch)) => Content::Stranger,
            Err(fault) => Content::Unusable(fault.into()),
        };
        Reader { name: reader.to_string_lossy().into_owned(), content }
    }
}

/// The connected YubiKey with this serial number. When it is not found, but one could not be asked, that one's error.
pub(super) fn find(serial: u32, patience: Patience) -> Result<Option<Worker<Link>>, TokenError> {
    let mut unusable = None;
    for reader in list(patience)? {
        match connect(&reader, patience) {
            Ok(mut worker) => {
                if worker.run(patience.answer, move |link, _| link.serial == serial) == Ok(true) {
                    return Ok(Some(worker));
                }
            }
            Err(fault) => {
                let error = TokenError::from(fault);
                if matches!(error, TokenError::Busy(_) | TokenError::Frozen(_) | TokenError::Service(_)) {
                    unusable = Some(error);
                }
            }
        }
    }
    unusable.map_or(Ok(None), Err)
}

/// A connection to the card in a reader, with a thread of its own.
fn connect(reader: &CStr, patience: Patience) -> Result<Worker<Link>, Fault> {
    let reader = reader.to_owned();
    let opened =
        Worker::start(patience.answer, move |turn| Link::open(&service::connect()?, &reader, turn), Link::close);
    opened.map_err(|failed| match failed {
        Ok(fault) => fault,
        Err(cause) => Fault::Token(unanswered(cause, patience.answer)),
    })
}

/// The names of all readers.
fn list(patience: Patience) -> Result<Vec<CString>, TokenError> {
    let listed = bounded(patience.answer, || names(&service::connect()?));
    match listed.map_err(|_| TokenError::Service(ServiceFault::Unwell))? {
        Ok(names) => Ok(names),
        Err(error) => Err(service::explain(error)),
    }
}

fn names(context: &Context) -> Result<Vec<CString>, pcsc::Error> {
    match context.list_readers_owned() {
        Err(pcsc::Error::NoReadersAvailable) => Ok(Vec::new()),
        listed => listed,
    }
}

/// Waits until something was put in or taken out since `states` were taken, and gives the new ones; also when nothing was.
fn changed(mut states: Vec<ReaderState>, limit: Duration) -> Result<Vec<ReaderState>, TokenError> {
    let waited = bounded(limit + GRACE, move || {
        let context = service::connect()?;
        let names = names(&context)?;
        let plugging = pcsc::PNP_NOTIFICATION();
        states.retain(|state| state.name() == plugging || names.iter().any(|name| name.as_c_str() == state.name()));
        // Kept with their counters: a key that went and came back has the same state as before.
        states.iter_mut().for_each(ReaderState::sync_current_state);
        for name in names.iter().map(CString::as_c_str).chain([plugging]) {
            if !states.iter().any(|state| state.name() == name) {
                states.push(ReaderState::new(name, State::UNAWARE));
            }
        }
        match context.get_status_change(limit, &mut states) {
            Ok(()) | Err(pcsc::Error::Timeout) => Ok(states),
            Err(error) => Err(error),
        }
    });
    match waited.map_err(|_| TokenError::Service(ServiceFault::Unwell))? {
        Ok(states) => Ok(states),
        Err(error) => Err(service::explain(error)),
    }
}
