//! Security keys behind USB, found and reached through `hidapi`, which talks to hidraw on Linux. Of quorate nothing else knows that
//! crate. It must not know what reports mean.

use super::ports::{Found, Patience, REPORT, Reports};
use super::{CtapKey, FidoError, FidoToken};
use crate::token::{TokenInfo, TokenKind};
use hidapi::{DeviceInfo, HidApi, HidDevice, HidError};
use std::fs::OpenOptions;
use std::io;
use std::rc::Rc;
use std::time::Duration;

/// The page and the usage that security keys are found by (CTAP 2.1 §11.2.8.1).
const USAGE: (u16, u16) = (0xf1d0, 0x01);
/// Longest name that is taken over from a key, in characters.
const MAX_NAME: usize = 64;

struct Device(HidDevice);

/// Every connected key, by device.
pub(super) fn connected() -> Result<Vec<Found>, FidoError> {
    let api = Rc::new(HidApi::new().map_err(|error| fault(&error))?);
    let mut keys: Vec<&DeviceInfo> =
        api.device_list().filter(|device| (device.usage_page(), device.usage()) == USAGE).collect();
    keys.sort_by_key(|device| device.path().to_owned());
    Ok(keys.into_iter().map(|device| find(&api, device)).collect())
}

fn find(api: &Rc<HidApi>, device: &DeviceInfo) -> Found {
    let place = device.path().to_string_lossy().into_owned();
    let words = [device.manufacturer_string(), device.product_string()].into_iter().flatten();
    let words: Vec<&str> = words.map(str::trim).filter(|word| !word.is_empty()).collect();
    let name = if words.is_empty() { "security key".to_owned() } else { words.join(" ") };
    let name: String = name.chars().take(MAX_NAME).collect();
    let (api, device) = (Rc::clone(api), device.clone());
    let token = TokenInfo { kind: TokenKind::SecurityKey, name: name.clone(), serial: 0, firmware: None };
    Found::waited_for(place.clone(), name, move |patience| open(&api, &device, token, place, patience))
}

fn open(
    api: &HidApi,
    device: &DeviceInfo,
    token: TokenInfo,
    place: String,
    patience: Patience,
) -> Result<Box<dyn FidoToken>, FidoError> {
    let opened = device
        .open_device(api)
        .map_err(|error| if is_refused(&place) { FidoError::Access(place.clone()) } else { fault(&error) })?;
    // The system gives a place to whatever is plugged in next: that which was found is gone then.
    if !opened.get_device_info().is_ok_and(|now| is_the_same(&now, device)) {
        return Err(FidoError::Removed);
    }
    Ok(Box::new(CtapKey::open_with(Box::new(Device(opened)), token, place, patience)?))
}

/// Whether both say the same of themselves.
fn is_the_same(one: &DeviceInfo, other: &DeviceInfo) -> bool {
    let says = |device: &DeviceInfo| {
        let words = [device.manufacturer_string(), device.product_string(), device.serial_number()];
        (device.vendor_id(), device.product_id(), words.map(|word| word.map(str::to_owned)))
    };
    says(one) == says(other)
}

impl Reports for Device {
    fn write(&mut self, report: &[u8; REPORT]) -> Result<(), FidoError> {
        // Number 0: the report has none.
        let numbered = [&[0][..], report].concat();
        self.0.write(&numbered).map(drop).map_err(|error| gone(&error))
    }

    fn read(&mut self, limit: Duration) -> Result<Option<[u8; REPORT]>, FidoError> {
        let mut report = [0; REPORT];
        let limit = i32::try_from(limit.as_millis()).unwrap_or(i32::MAX);
        match self.0.read_timeout(&mut report, limit).map_err(|error| gone(&error))? {
            0 => Ok(None),
            REPORT => Ok(Some(report)),
            _ => Err(FidoError::Unexpected { command: "report", answer: "a short one".to_owned() }),
        }
    }
}

/// An open device fails when it has gone, and hardly for another reason.
fn gone(error: &HidError) -> FidoError {
    match error {
        HidError::IncompleteSendError { .. } | HidError::InvalidZeroSizeData => fault(error),
        _ => FidoError::Removed,
    }
}

fn fault(error: &HidError) -> FidoError {
    FidoError::Transport(error.to_string())
}

/// Whether the system keeps the device from us, which the crate tells in words alone.
fn is_refused(place: &str) -> bool {
    let opened = OpenOptions::new().read(true).write(true).open(place);
    opened.is_err_and(|error| error.kind() == io::ErrorKind::PermissionDenied)
}
