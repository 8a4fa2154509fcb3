//! What tokens in files share, whether PIV or FIDO: how they are kept and sealed, how tries are counted, and who touches them. It
//! must not know what either kind can do.

pub(super) mod seal;
pub(super) mod store;
pub(super) mod tries;

use super::Touch;
use std::time::Duration;

/// Answers the touches of soft tokens in place of a person: `yes`, `no` or `timeout`. Any other value is a refusal.
pub const TOUCH_VARIABLE: &str = "QUORATE_SOFT_TOUCH";

/// How long other processes may keep a token: each needs it for less than a second, and a stopped one for ever.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

/// What [`TOUCH_VARIABLE`] says.
pub(super) fn touch_from_environment() -> Option<Touch> {
    std::env::var_os(TOUCH_VARIABLE).map(|value| match value.to_str() {
        Some("yes") => Touch::Given,
        Some("timeout") => Touch::TimedOut,
        _ => Touch::Refused,
    })
}
