//! Wrong credentials by the address that they come from: the more, the longer it has to wait. Kept in memory and bounded;
//! a secret of 256 bits is not guessed within one process or several, so this only keeps the noise down, and protects a
//! gateway key that an operator chose too short.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Wrong credentials that cost nothing: a deployment with an old secret makes some before anybody notices.
const FREE: u32 = 32;
/// The first wait; each further failure doubles it.
const FIRST_WAIT: i64 = 1_000;
/// The longest wait.
const LONGEST_WAIT: i64 = 64_000;
/// Failures are forgotten when none came for so long.
const FORGET: i64 = 15 * 60 * 1000;
/// Addresses remembered. When there are more, those that need not wait now are forgotten.
const ADDRESSES: usize = 16 * 1024;

#[derive(Default)]
pub(super) struct Failures(Mutex<HashMap<IpAddr, Failed>>);

#[derive(Clone, Copy)]
struct Failed {
    times: u32,
    last: i64,
    wait_until: i64,
}

impl Failures {
    /// Milliseconds that `source` still has to wait at `now`; 0 when it need not.
    pub(super) fn wait(&self, source: IpAddr, now: i64) -> i64 {
        self.lock().get(&source).map_or(0, |failed| failed.wait_until.saturating_sub(now).clamp(0, LONGEST_WAIT))
    }

    /// Counts a failure of `source`.
    pub(super) fn record(&self, source: IpAddr, now: i64) {
        let mut failures = self.lock();
        if failures.len() >= ADDRESSES && !failures.contains_key(&source) {
            failures.retain(|_, failed| failed.wait_until > now);
            if failures.len() >= ADDRESSES {
                return;
            }
        }
        let failed = failures.entry(source).or_insert(Failed { times: 0, last: now, wait_until: 0 });
        if now.saturating_sub(failed.last) > FORGET {
            failed.times = 0;
        }
        failed.times = failed.times.saturating_add(1);
        failed.last = now;
        if let Some(over) = failed.times.checked_sub(FREE + 1) {
            let wait = FIRST_WAIT.saturating_mul(1 << over.min(16)).min(LONGEST_WAIT);
            failed.wait_until = now.saturating_add(wait);
        }
    }

    /// Forgets the failures of `source`: it has shown right credentials.
    pub(super) fn forget(&self, source: IpAddr) {
        self.lock().remove(&source);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Failed>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn waits_grow_to_their_bound_and_end() {
        let failures = Failures::default();
        for _ in 0..FREE {
            failures.record(address(1), 0);
        }
        assert_eq!(failures.wait(address(1), 0), 0);
        let waits: Vec<i64> = (0..9)
            .map(|_| {
                failures.record(address(1), 0);
                failures.wait(address(1), 0)
            })
            .collect();
        assert_eq!(waits, [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 64_000, 64_000]);
        assert_eq!(failures.wait(address(1), 63_999), 1);
        assert_eq!(failures.wait(address(1), 64_000), 0);
        assert_eq!(failures.wait(address(2), 0), 0, "another address");
    }

    #[test]
    fn a_success_or_a_quiet_time_forgets() {
        let failures = Failures::default();
        for _ in 0..=FREE {
            failures.record(address(1), 0);
            failures.record(address(2), 0);
        }
        failures.forget(address(1));
        assert_eq!(failures.wait(address(1), 0), 0);
        failures.record(address(2), FORGET + 1);
        assert_eq!(failures.wait(address(2), FORGET + 1), 0);
    }

    #[test]
    fn addresses_are_bounded() {
        let failures = Failures::default();
        for number in 0..40_000 {
            failures.record(address(number), 0);
        }
        assert!(failures.lock().len() <= ADDRESSES);
    }
}
