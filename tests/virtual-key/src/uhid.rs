//! A device of the kernel's, by `/dev/uhid`: what it reads and writes are the bytes of `struct uhid_event` (`linux/uhid.h`), laid out
//! here by hand, since that is five events, and every crate for them brings a generator of C bindings. It must not know
//! what reports mean.

use crate::line::{REPORT, Report};
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};

const DESTROY: u32 = 1;
const STOP: u32 = 3;
const OUTPUT: u32 = 6;
const CREATE: u32 = 11;
const INPUT: u32 = 12;

/// Bytes of the longest event: the one that creates.
const EVENT: usize = 4 + 128 + 64 + 64 + 2 + 2 + 4 * 4 + DATA;
const DATA: usize = 4096;
/// Bytes of a report, as an event says them.
const LENGTH: u16 = 64;
const NAME: usize = 128;
const BUS_USB: u16 = 3;
/// A vendor and product set apart for tests.
const VENDOR: u32 = 0x1209;
const PRODUCT: u32 = 0x0001;

const DESCRIBED: u16 = 34;
/// Usage page and usage of security keys, a report of 64 bytes in, one of 64 bytes out (CTAP 2.1 §11.2.8.1).
const DESCRIPTOR: [u8; DESCRIBED as usize] = [
    0x06, 0xd0, 0xf1, 0x09, 0x01, 0xa1, 0x01, 0x09, 0x20, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x81,
    0x02, 0x09, 0x21, 0x15, 0x00, 0x26, 0xff, 0x00, 0x75, 0x08, 0x95, 0x40, 0x91, 0x02, 0xc0,
];

/// A device that is there until it is dropped.
#[derive(Debug)]
pub struct Device(File);

/// What the kernel says to it.
#[derive(Debug)]
pub struct Events(File);

impl Device {
    /// Puts a security key in.
    ///
    /// # Errors
    /// Those of `/dev/uhid`.
    pub fn insert(name: &str) -> io::Result<(Self, Events)> {
        let mut file = OpenOptions::new().read(true).write(true).open("/dev/uhid")?;
        let mut event = CREATE.to_le_bytes().to_vec();
        event.extend_from_slice(name.as_bytes());
        event.resize(4 + NAME + 64 + 64, 0);
        event.extend([DESCRIBED, BUS_USB].map(u16::to_le_bytes).concat());
        event.extend([VENDOR, PRODUCT, 0, 0].map(u32::to_le_bytes).concat());
        event.extend(DESCRIPTOR);
        // The kernel fills up what is missing with zeros.
        file.write_all(&event)?;
        Ok((Self(file.try_clone()?), Events(file)))
    }

    /// Sends reports to the host.
    ///
    /// # Errors
    /// Those of the device.
    pub fn send(&mut self, reports: &[Report]) -> io::Result<()> {
        for report in reports {
            self.0.write_all(&[&INPUT.to_le_bytes()[..], &LENGTH.to_le_bytes(), report].concat())?;
        }
        Ok(())
    }

    /// Pulls it out.
    ///
    /// # Errors
    /// Those of the device.
    pub fn remove(&mut self) -> io::Result<()> {
        self.0.write_all(&DESTROY.to_le_bytes())
    }
}

impl Events {
    /// The next report of the host; nothing when the device is gone.
    ///
    /// # Errors
    /// Those of the device.
    pub fn next_report(&mut self) -> io::Result<Option<Report>> {
        let mut event = [0; EVENT];
        loop {
            let read = self.0.read(&mut event)?;
            match u32::from_le_bytes([event[0], event[1], event[2], event[3]]) {
                STOP => return Ok(None),
                _ if read < 4 => return Ok(None),
                OUTPUT => {
                    let length = usize::from(u16::from_le_bytes([event[4 + DATA], event[5 + DATA]]));
                    // Before the report stands its number, which is 0 where there is one kind.
                    let report = event[4..4 + DATA].get(length.saturating_sub(REPORT)..length);
                    if let Some(Ok(report)) = report.map(Report::try_from) {
                        return Ok(Some(report));
                    }
                }
                // Started, opened, closed.
                _ => {}
            }
        }
    }
}
