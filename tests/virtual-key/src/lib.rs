//! The firmware of keys that are sold, for tests: its messages line by line (`quorate-virtual-key`), and a whole key that the kernel
//! takes for a device (`quorate-uhid-key`). Shares no code with quorate.

pub mod device;
pub mod firmware;
pub mod hand;
pub mod line;
pub mod uhid;

use std::error::Error;

/// What went wrong, for whoever runs a test.
pub type Failure = Box<dyn Error + Send + Sync>;
