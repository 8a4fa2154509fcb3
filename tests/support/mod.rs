//! What whole-system tests stand on: a real oracle on a port of its own, people with homes of their own, and programs that
//! are waited for by what they say, with a limit. Nothing here knows what a test is about.

mod built;
mod oracle;
pub mod peers;
mod person;
mod program;
mod table;
mod terminal;

pub use built::built;
pub use oracle::Oracle;
pub use peers::oathtool;
pub use person::{Key, PIN, Person};
pub use program::{Ended, Program};
pub use table::{Table, session_of};
pub use terminal::Terminal;

use std::time::Duration;

/// How long anything may take before a test fails: far more than it ever should on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(60);

/// A published example secret (base32), used for tests everywhere.
pub const SECRET: &str = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP";

/// The otpauth URI of [`SECRET`].
pub fn otpauth() -> String {
    format!("otpauth://totp/AWS:root?secret={SECRET}&issuer=AWS")
}
