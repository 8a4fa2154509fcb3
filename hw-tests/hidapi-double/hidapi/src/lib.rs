//! A double of the crate `hidapi`: what `ctap-hid-fido2` and quorate use of it, on devices that a test plugs in with [`plug`].
//!
//! It does as hidraw does on Linux: whoever has a device open gets every report from it, whoever asked; of more than 64 that nobody
//! has read, the latest are lost; reading waits; and a device that was pulled out fails for all who have it open. It must not
//! know what reports mean.

use std::collections::{BTreeMap, VecDeque};
use std::ffi::{CStr, CString};
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes of a report, without its number.
const REPORT: usize = 64;
/// Reports that wait for whoever has a device open, at most.
const WAITING: usize = 64;
/// How often a device is asked whether it has something to say by itself, while somebody reads.
const PACE: Duration = Duration::from_millis(50);
/// Usage page and usage of security keys.
const USAGE: (u16, u16) = (0xf1d0, 1);

/// A report.
pub type Report = [u8; REPORT];

/// The device is gone.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Gone;

/// What is plugged in.
pub trait Device: Send {
    /// Takes a report, and gives what it has to say at once.
    fn write(&mut self, report: &Report) -> Result<Vec<Report>, Gone>;

    /// What it says without being asked, every now and then.
    fn idle(&mut self) -> Result<Option<Report>, Gone>;
}

/// What went wrong. As much as those who use it tell apart.
#[derive(Debug)]
#[non_exhaustive]
pub enum HidError {
    /// In the words of the library.
    HidApiError {
        /// Those words.
        message: String,
    },
    /// Not all was sent.
    IncompleteSendError {
        /// Bytes that were.
        sent: usize,
        /// Bytes that there are.
        all: usize,
    },
    /// Nothing was to be sent.
    InvalidZeroSizeData,
}

/// What came of it, or what went wrong.
pub type HidResult<T> = Result<T, HidError>;

/// The places that there are.
static PORTS: Mutex<BTreeMap<CString, Arc<Port>>> = Mutex::new(BTreeMap::new());

struct Port {
    product: String,
    line: Mutex<Line>,
    said: Condvar,
}

struct Line {
    /// Nothing when it was pulled out.
    device: Option<Box<dyn Device>>,
    /// What waits for each who has it open.
    readers: BTreeMap<u64, VecDeque<Report>>,
    opened: u64,
    idle_from: Instant,
}

/// A device that is there until this is dropped.
pub struct Plugged(CString);

/// Puts a device in. `place` is its path.
pub fn plug(place: &str, product: &str, device: Box<dyn Device>) -> Plugged {
    let place = CString::new(place).expect("a path has no zero in it");
    let line = Line { device: Some(device), readers: BTreeMap::new(), opened: 0, idle_from: Instant::now() };
    let port = Port { product: product.to_owned(), line: Mutex::new(line), said: Condvar::new() };
    let before = ports().insert(place.clone(), Arc::new(port));
    assert!(before.is_none(), "another device is at {}", place.to_string_lossy());
    Plugged(place)
}

fn ports() -> MutexGuard<'static, BTreeMap<CString, Arc<Port>>> {
    PORTS.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Plugged {
    fn drop(&mut self) {
        if let Some(port) = ports().remove(&self.0) {
            port.line().pull();
            port.said.notify_all();
        }
    }
}

impl Port {
    fn line(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn pull(&mut self) {
        self.device = None;
    }

    fn say(&mut self, reports: &[Report]) {
        for waiting in self.readers.values_mut() {
            let room = WAITING.saturating_sub(waiting.len());
            waiting.extend(reports.iter().take(room));
        }
    }
}

impl fmt::Display for HidError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HidApiError { message } => f.write_str(message),
            Self::IncompleteSendError { sent, all } => write!(f, "{sent} of {all} bytes were sent"),
            Self::InvalidZeroSizeData => f.write_str("nothing to send"),
        }
    }
}

impl std::error::Error for HidError {}

fn fault(message: &str) -> HidError {
    HidError::HidApiError { message: message.to_owned() }
}

/// The devices that were there when it was made.
pub struct HidApi(Vec<DeviceInfo>);

impl HidApi {
    /// Looks what is there.
    pub fn new() -> HidResult<Self> {
        let info = |(path, port): (&CString, &Arc<Port>)| DeviceInfo { path: path.clone(), port: Arc::clone(port) };
        Ok(Self(ports().iter().map(info).collect()))
    }

    /// What was there.
    pub fn device_list(&self) -> impl Iterator<Item = &DeviceInfo> {
        self.0.iter()
    }

    /// Opens what is at a path now.
    pub fn open_path(&self, path: &CStr) -> HidResult<HidDevice> {
        let port = ports().get(path).cloned().ok_or_else(|| fault("no such device"))?;
        Ok(HidDevice::open(path, port))
    }
}

/// What is known of a device that was not opened.
#[derive(Clone)]
pub struct DeviceInfo {
    path: CString,
    port: Arc<Port>,
}

impl DeviceInfo {
    /// Where it is.
    pub fn path(&self) -> &CStr {
        &self.path
    }

    /// Nobody's.
    pub fn vendor_id(&self) -> u16 {
        0x1209
    }

    /// See [`Self::vendor_id`].
    pub fn product_id(&self) -> u16 {
        USAGE.0
    }

    /// That of security keys.
    pub fn usage_page(&self) -> u16 {
        USAGE.0
    }

    /// That of security keys.
    pub fn usage(&self) -> u16 {
        USAGE.1
    }

    /// Who made it.
    pub fn manufacturer_string(&self) -> Option<&str> {
        Some("Double")
    }

    /// What it calls itself.
    pub fn product_string(&self) -> Option<&str> {
        Some(&self.port.product)
    }

    /// It has none.
    pub fn serial_number(&self) -> Option<&str> {
        None
    }

    /// Opens it, if it is still there.
    pub fn open_device(&self, api: &HidApi) -> HidResult<HidDevice> {
        api.open_path(&self.path)
    }
}

/// An open device.
pub struct HidDevice {
    path: CString,
    port: Arc<Port>,
    reader: u64,
}

impl HidDevice {
    fn open(path: &CStr, port: Arc<Port>) -> Self {
        let mut line = port.line();
        line.opened += 1;
        let reader = line.opened;
        line.readers.insert(reader, VecDeque::new());
        drop(line);
        Self { path: path.to_owned(), port, reader }
    }

    /// What it says of itself.
    pub fn get_device_info(&self) -> HidResult<DeviceInfo> {
        Ok(DeviceInfo { path: self.path.clone(), port: Arc::clone(&self.port) })
    }

    /// Sends a report, behind its number.
    pub fn write(&self, numbered: &[u8]) -> HidResult<usize> {
        let (_, report) = numbered.split_first().ok_or(HidError::InvalidZeroSizeData)?;
        let report = report.try_into().map_err(|_| fault("a report of another length"))?;
        let mut line = self.port.line();
        let said = line.device.as_mut().ok_or(Gone).and_then(|device| device.write(report));
        match &said {
            Ok(reports) => line.say(reports),
            Err(Gone) => line.pull(),
        }
        drop(line);
        self.port.said.notify_all();
        said_or_gone(said.map(|_| numbered.len()))
    }

    /// Waits for a report.
    pub fn read(&self, report: &mut [u8]) -> HidResult<usize> {
        self.read_timeout(report, -1)
    }

    /// Waits for a report, for some milliseconds, or for ever when they are less than none; 0 when none came.
    pub fn read_timeout(&self, report: &mut [u8], limit: i32) -> HidResult<usize> {
        let deadline = u64::try_from(limit).ok().map(|limit| Instant::now() + Duration::from_millis(limit));
        let mut line = self.port.line();
        loop {
            if let Some(next) = line.readers.get_mut(&self.reader).and_then(VecDeque::pop_front) {
                report[..REPORT].copy_from_slice(&next);
                return Ok(REPORT);
            }
            if line.idle_from.elapsed() >= PACE {
                line.idle_from = Instant::now();
                match line.device.as_mut().map(|device| device.idle()) {
                    Some(Ok(Some(next))) => {
                        line.say(&[next]);
                        self.port.said.notify_all();
                        continue;
                    }
                    Some(Err(Gone)) => line.pull(),
                    Some(Ok(None)) | None => {}
                }
            }
            if line.device.is_none() {
                self.port.said.notify_all();
                return said_or_gone(Err(Gone));
            }
            let left = deadline.map_or(PACE, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(0);
            }
            let waited = self.port.said.wait_timeout(line, left.min(PACE));
            line = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl Drop for HidDevice {
    fn drop(&mut self) {
        self.port.line().readers.remove(&self.reader);
    }
}

fn said_or_gone<T>(said: Result<T, Gone>) -> HidResult<T> {
    said.map_err(|Gone| fault("the device was pulled out"))
}
