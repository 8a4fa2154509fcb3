//! Drills: the players of a known group are asked to prove that their Tocs still open (SPEC §20, `docs/drills.md`). Nothing is
//! rebuilt and no code is made; what is learnt is who could take part in a session, before one is needed.

mod answer;
mod begin;
mod error;
pub(in crate::service) mod record;
mod show;
mod sweep;
mod told;

pub use self::error::DrillError;
pub use self::show::Viewer;

use self::record::Sealer;
use crate::clock::Clock;
use crate::config::Config;
use crate::keys::Keys;
use crate::memory::pool::CryptoPool;
use crate::service::at_rest::AtRest;
use crate::service::audit::{Audit, Entry, Kind, Who};
use crate::service::failures::{Failures, PER_SOURCE};
use crate::service::notices::Notices;
use crate::service::people::{KnownGroup, People, PeopleError};
use crate::service::signer::Signers;
use crate::state::StateRng;
use crate::store::{DrillRow, Store};
use quorate_protocol::drill::Call;
use quorate_protocol::session::is_session_id;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// The service. Clones share it.
#[derive(Clone)]
pub struct Drills {
    inner: Arc<Inner>,
}

struct Inner {
    audit: Audit,
    store: Store,
    clock: Arc<dyn Clock>,
    rng: StateRng,
    crypto: Arc<CryptoPool>,
    sealer: Sealer,
    keys: Arc<Keys>,
    url: String,
    signers: Signers,
    people: People,
    notices: Notices,
    limits: Limits,
    /// Wrong answers by address.
    sources: Failures<IpAddr>,
}

/// What the service is made of.
pub struct Parts {
    /// The audit log.
    pub audit: Audit,
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub rng: StateRng,
    /// The threads that handle secrets.
    pub crypto: Arc<CryptoPool>,
    /// The oracle's keys.
    pub keys: Arc<Keys>,
    /// The oracle's public base URL, which calls name.
    pub url: String,
    /// Knows the groups, and who stands for their holders.
    pub people: People,
    /// Tells those who want to hear of drills.
    pub notices: Notices,
    /// Limits.
    pub limits: Limits,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl fmt::Debug for Drills {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Drills").field("limits", &self.inner.limits).finish_non_exhaustive()
    }
}

/// What operators set.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Seconds that a drill lasts when nobody says how long.
    pub lasts: i64,
    /// Milliseconds before the end at which those are told who wait for answers, the longest first.
    pub remind: Vec<i64>,
    /// Milliseconds for which a drill is kept that is over.
    pub keep: i64,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        const DAY: i64 = 24 * 60 * 60;
        let mut remind: Vec<i64> =
            config.drill_remind_hours.iter().map(|hours| i64::from(*hours) * 60 * 60 * 1000).collect();
        remind.sort_unstable_by(|one, other| other.cmp(one));
        Self { lasts: i64::from(config.drill_days) * DAY, remind, keep: i64::from(config.drill_keep_days) * DAY * 1000 }
    }
}

impl Limits {
    /// When those are told next, after `now`, who wait for answers to a drill that ends at `expires_at` (Unix milliseconds).
    fn reminder(&self, expires_at: i64, now: i64) -> Option<i64> {
        self.remind.iter().map(|before| expires_at.saturating_sub(*before)).find(|at| *at > now)
    }
}

impl Drills {
    /// Puts the service together.
    pub fn new(parts: Parts) -> Self {
        let Parts { audit, store, clock, rng, crypto, keys, url, people, notices, limits } = parts;
        let sealer = Sealer::new(AtRest::new(keys.root_secret().subkey("at rest")));
        let (signers, sources) = (Signers::default(), Failures::new(PER_SOURCE));
        let inner =
            Inner { audit, store, clock, rng, crypto, sealer, keys, url, signers, people, notices, limits, sources };
        Self { inner: Arc::new(inner) }
    }

    /// The drill of that id, with its call.
    async fn drill(&self, id: &str) -> Result<(DrillRow, Call), DrillError> {
        let row = self.inner.store.drill(known_shape(id)?).await?.ok_or(DrillError::Unknown)?;
        let call = self.inner.sealer.open_call(&row)?;
        Ok((row, call))
    }

    /// The group of a drill. A drill goes with its group, so that one whose group is gone is unknown.
    async fn group(&self, call: &Call) -> Result<KnownGroup, DrillError> {
        self.inner.people.group(call.fields().group).await.map_err(|error| match error {
            PeopleError::GroupUnknown => DrillError::Unknown,
            error => error.into(),
        })
    }

    fn now(&self) -> i64 {
        self.inner.clock.now_ms()
    }

    fn rng(&self) -> StateRng {
        self.inner.rng.clone()
    }
}

/// What has not the shape of an id is unknown, without asking the store.
fn known_shape(id: &str) -> Result<&str, DrillError> {
    if is_session_id(id) { Ok(id) } else { Err(DrillError::Unknown) }
}

/// What the audit log says of a drill.
fn about(call: &Call, kind: Kind, who: Who) -> Entry {
    let fields = call.fields();
    Entry::new(kind, who)
        .to(format!("drill {}", fields.drill))
        .with("group_id", fields.group_id.as_str())
        .with("group", fields.group.to_string())
}

/// RFC 3339, of Unix milliseconds.
fn rfc3339(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reminders_come_in_their_order_and_end() {
        let limits = Limits { lasts: 0, remind: vec![100, 50], keep: 0 };
        assert_eq!(limits.reminder(1_000, 0), Some(900));
        assert_eq!(limits.reminder(1_000, 900), Some(950));
        assert_eq!(limits.reminder(1_000, 949), Some(950));
        assert_eq!(limits.reminder(1_000, 950), None);
        assert_eq!(Limits { remind: Vec::new(), ..limits }.reminder(1_000, 0), None);
    }

    #[test]
    fn the_longest_reminder_comes_first_however_they_are_set() {
        let config = Config { drill_remind_hours: vec![1, 72, 24], ..Config::default() };
        assert_eq!(Limits::from(&config).remind, [72, 24, 1].map(|hours| hours * 3_600_000));
    }
}
