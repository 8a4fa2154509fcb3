//! Where connected security keys are found: the seam between those who look for a key and whatever it is plugged into. It must not
//! know USB or what reports mean.

use super::{FidoError, FidoToken};
use std::time::Duration;

/// Bytes of a report, without its number.
pub const REPORT: usize = 64;
/// Set, to whatever, no connected key is looked for: tests must not make the key of whoever runs them blink.
pub const NO_KEYS_VARIABLE: &str = "QUORATE_NO_SECURITY_KEYS";

/// The line to a key: reports of 64 bytes in either direction, without a number (CTAP 2.1 §11.2).
pub trait Reports: Send {
    /// Sends a report. [`FidoError::Removed`] when the key is gone.
    fn write(&mut self, report: &[u8; REPORT]) -> Result<(), FidoError>;

    /// The next report, if there is one within `limit`. [`FidoError::Removed`] when the key is gone.
    fn read(&mut self, limit: Duration) -> Result<Option<[u8; REPORT]>, FidoError>;
}

/// How long a key may take.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Patience {
    /// Until the next sign of life; and from the beginning of an answer to its end.
    pub answer: Duration,
    /// For all that a key is asked without a touch, from one touch to the next: what it is, what it has, tries. A key that only keeps us
    /// waiting is given up then, whatever it says.
    pub quiet: Duration,
    /// Until an answer begins, the touch included. A key itself gives up after about 30 seconds, and `ctap-hid-fido2` takes a
    /// key's 500th word that it waits for an answer, which is not said before 50.
    pub touch: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { answer: Duration::from_secs(5), quiet: Duration::from_secs(15), touch: Duration::from_secs(45) }
    }
}

/// Something that says it is a security key, and was not asked anything yet.
pub struct Found {
    /// Where: its device.
    pub place: String,
    /// What it calls itself.
    pub name: String,
    opener: Opener,
}

type Opener = Box<dyn FnOnce(Patience) -> Result<Box<dyn FidoToken>, FidoError>>;

impl Found {
    /// A key that `opener` opens.
    pub fn new(
        place: String,
        name: String,
        opener: impl FnOnce() -> Result<Box<dyn FidoToken>, FidoError> + 'static,
    ) -> Self {
        Self::waited_for(place, name, |_| opener())
    }

    /// A key that `opener` opens and waits for as patiently as it is told.
    pub fn waited_for(
        place: String,
        name: String,
        opener: impl FnOnce(Patience) -> Result<Box<dyn FidoToken>, FidoError> + 'static,
    ) -> Self {
        Self { place, name, opener: Box::new(opener) }
    }

    /// The key, unless it cannot be used.
    pub fn open(self) -> Result<Box<dyn FidoToken>, FidoError> {
        self.open_with(Patience::default())
    }

    /// The same, with a patience of one's own.
    pub fn open_with(self, patience: Patience) -> Result<Box<dyn FidoToken>, FidoError> {
        (self.opener)(patience)
    }
}

/// The keys that are connected to this machine, none of them opened; none where this build reaches none.
pub fn connected() -> Result<Vec<Found>, FidoError> {
    if std::env::var_os(NO_KEYS_VARIABLE).is_some() {
        return Ok(Vec::new());
    }
    #[cfg(feature = "fido")]
    let found = super::hid::connected();
    #[cfg(not(feature = "fido"))]
    let found = Ok(Vec::new());
    found
}
