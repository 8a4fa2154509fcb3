//! Notices: who is told of what happens to sessions and keys, by webhook or by mail (see `docs/notices.md`).
//!
//! A notice is sealed when it is written, in the transaction of the act that it tells of, once for each target that wants it. One
//! node at a time takes it, tries to deliver it, and removes it or puts it off; if that node dies, it is due again when its
//! time is up. So every notice is delivered at least once, unless a target takes none for a day.

mod delivery;
mod facts;
mod records;
mod shapes;
mod target;

pub use self::facts::Facts;
pub use self::target::NoticeError;

use self::facts::Text;
use self::target::Target;
use crate::clock::Clock;
use crate::config::{Config, NoticeKind};
use crate::keys::Keys;
use crate::mail::Mailer;
use crate::outbound::{Outbound, Reach};
use crate::service::at_rest::{AtRest, Place};
use crate::state::StateRng;
use crate::store::{Digest, NOTICE_ID, NewNotice, Store, StoreError};
use rand::Rng as _;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Milliseconds after which a notice is given up.
const KEEP: i64 = 24 * 60 * 60 * 1000;
/// Notices that wait for one target, beyond which no new ones are written to it; of those that strangers can cause, half as many.
const MAX_WAITING: i64 = 10_000;
/// Notices that a round of sweeping gives up at most.
const SWEEP_BATCH: i64 = 500;

/// The service. Clones share it.
#[derive(Clone)]
pub struct Notices {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    clock: Arc<dyn Clock>,
    rng: StateRng,
    at_rest: AtRest,
    targets: Vec<Target>,
    outbound: Outbound,
    mailer: Option<Mailer>,
    name: String,
    url: String,
    webhook: Duration,
    /// Milliseconds for which whoever takes a notice has it.
    lease: i64,
    /// By target, as it was counted last. What is about to be written is not counted: it need not come to that.
    waiting: Mutex<HashMap<Digest, i64>>,
}

/// What the service is made of.
pub struct Parts {
    /// The store.
    pub store: Store,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The randomness.
    pub rng: StateRng,
    /// The oracle's keys.
    pub keys: Arc<Keys>,
    /// Hands mails over; there is one when a target is a mail address.
    pub mailer: Option<Mailer>,
    /// The oracle's public address.
    pub url: String,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

impl fmt::Debug for Notices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notices").field("targets", &self.inner.targets.len()).finish_non_exhaustive()
    }
}

impl Notices {
    /// To the targets of `config`, whose secrets are read now. Connects to nobody yet.
    pub fn open(config: &Config, parts: Parts) -> Result<Self, NoticeError> {
        let Parts { store, clock, rng, keys, mailer, url } = parts;
        let places = keys.root_secret().subkey("notice targets");
        let targets = config.notices.0.iter().enumerate();
        let targets =
            targets.map(|(place, target)| Target::open(place + 1, target, &places)).collect::<Result<Vec<_>, _>>()?;
        for (place, target) in targets.iter().enumerate() {
            if let Some(other) = targets[..place].iter().find(|other| other.id() == target.id()) {
                let reason = format!("it leads to the same place as target {}: make one of them", other.number());
                return Err(NoticeError::Target { number: target.number(), reason });
            }
        }
        let outbound =
            Outbound::new(config.webhooks_ca.as_deref(), Reach::Public { besides: config.webhooks_allow.clone() })?;
        let longest = i64::from(config.webhooks_seconds.max(config.mail_seconds));
        let inner = Inner {
            store,
            clock,
            rng,
            at_rest: AtRest::new(keys.root_secret().subkey("at rest")),
            targets,
            outbound,
            mailer,
            name: config.name.clone(),
            url,
            webhook: Duration::from_secs(config.webhooks_seconds.into()),
            lease: (2 * longest + 5) * 1000,
            waiting: Mutex::default(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// What is to be written with an act of that kind: nothing, when nobody wants to hear of it.
    pub fn about(&self, kind: NoticeKind, facts: &Facts) -> Vec<NewNotice> {
        let wanted = self.inner.targets.iter().filter(|target| target.wants(kind) && self.has_room(target, kind));
        let (mut id, mut rng) = ([0; NOTICE_ID], self.inner.rng.clone());
        rng.fill_bytes(&mut id);
        let at = self.inner.clock.now_ms();
        let sealed = |target: &Target, rng: &mut StateRng| {
            let text = Text { kind, facts: facts.for_target(target.names()) };
            let json = serde_json::to_vec(&text).expect("plain data always serialises");
            self.inner.at_rest.seal(place(&[target.id(), &id]), &json, rng)
        };
        wanted.map(|target| NewNotice { id, target: *target.id(), at, sealed: sealed(target, &mut rng) }).collect()
    }

    /// Whether one more may wait for a target.
    fn has_room(&self, target: &Target, kind: NoticeKind) -> bool {
        let most = if kind.is_anybodys() { MAX_WAITING / 2 } else { MAX_WAITING };
        let waiting = self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let room = waiting.get(target.id()).is_none_or(|waiting| *waiting < most);
        if !room {
            metrics::counter!("quorate_notices_total", "outcome" => "dropped").increment(1);
        }
        room
    }

    /// Gives up what nobody has taken for a day, and counts what waits, at `now` (Unix milliseconds).
    pub async fn sweep(&self, now: i64) -> Result<bool, StoreError> {
        let given_up = self.inner.store.give_up_notices(now - KEEP - self.inner.lease, SWEEP_BATCH).await?;
        if given_up > 0 {
            metrics::counter!("quorate_notices_total", "outcome" => "given_up").increment(given_up);
            tracing::error!(given_up, "notices were given up that nobody takes any more");
        }
        let counted = self.inner.store.waiting_notices().await?;
        let waiting = counted.values().sum::<i64>();
        *self.inner.waiting.lock().unwrap_or_else(PoisonError::into_inner) = counted;
        metrics::gauge!("quorate_notices_waiting").set(f64::from(i32::try_from(waiting).unwrap_or(i32::MAX)));
        Ok(i64::try_from(given_up).is_ok_and(|given_up| given_up >= SWEEP_BATCH))
    }
}

/// Where the text of a notice belongs: to its target and its name. One that was kept for a session's expiry moves.
fn place<'a>(row: &'a [&'a [u8]]) -> Place<'a> {
    Place { table: "notices", row, column: "sealed" }
}
