//! Plugs a firmware into the double of `hidapi`, where quorate finds it as it finds a key behind USB.

use hidapi::{Device, Gone, Plugged, Report};
use quorate::token::fido::ports::{Found, Patience, Reports as _, connected};
use quorate::token::fido::{FidoError, FidoToken};
use quorate_hw_tests::fido::double::{Double, Firmware};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// A firmware behind the double.
struct Behind<F>(Double<F>);

/// A key that is plugged in until this is dropped.
pub struct Port {
    place: String,
    cancelled: Arc<Mutex<usize>>,
    last_word: Arc<Mutex<Option<Vec<u8>>>>,
    _plugged: Plugged,
}

impl<F: Firmware> Device for Behind<F> {
    fn write(&mut self, report: &Report) -> Result<Vec<Report>, Gone> {
        self.0.write(report).map_err(|_| Gone)?;
        Ok(std::iter::from_fn(|| self.0.said()).collect())
    }

    fn idle(&mut self) -> Result<Option<Report>, Gone> {
        self.0.idle().map_err(|_| Gone)
    }
}

/// Plugs `firmware` in, at a place of its own.
pub fn plug(firmware: impl Firmware + 'static) -> Port {
    static PLACES: AtomicU32 = AtomicU32::new(0);
    plug_at(&format!("/dev/hidraw{}", PLACES.fetch_add(1, Ordering::Relaxed)), "Key", firmware)
}

/// The same at this place, by this name.
pub fn plug_at(place: &str, product: &str, firmware: impl Firmware + 'static) -> Port {
    let double = Double::new(firmware);
    let (cancelled, last_word) = (double.cancelled(), double.last_word());
    let plugged = hidapi::plug(place, product, Box::new(Behind(double)));
    Port { place: place.to_owned(), cancelled, last_word, _plugged: plugged }
}

impl Port {
    /// What quorate finds there.
    pub fn found(&self) -> Found {
        let found = connected().expect("the double always looks");
        found.into_iter().find(|found| found.place == self.place).expect("it was plugged in")
    }

    /// Opens it as quorate does.
    pub fn open(&self) -> Result<Box<dyn FidoToken>, FidoError> {
        self.found().open()
    }

    /// The same, with a patience of the test's own.
    pub fn open_with(&self, patience: Patience) -> Result<Box<dyn FidoToken>, FidoError> {
        self.found().open_with(patience)
    }

    /// Where it is.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Has it end what it waits for, with this answer.
    pub fn ends_with(&self, answer: &[u8]) {
        *self.last_word.lock().expect("nobody panics while it is said") = Some(answer.to_vec());
    }

    /// How often it was told to stop waiting for a touch.
    pub fn cancelled(&self) -> usize {
        *self.cancelled.lock().expect("nobody panics while it is counted")
    }
}
