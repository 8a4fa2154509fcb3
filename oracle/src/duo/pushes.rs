//! Who is being asked now, and who refused a short while ago: whoever has somebody's password cannot wear them down until
//! they give in. This node's alone; what locks a person out everywhere is the login.

use super::{DuoError, Verdict};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Milliseconds after which Duo itself gives a push or a call up.
const RINGS: i64 = 60_000;
/// Milliseconds without a question after a refusal.
const PEACE: i64 = 60_000;
/// Milliseconds without a question after somebody said that it was fraud.
const ALARM: i64 = 15 * 60_000;

/// Whom Duo was asked about, by the integration's key and the user's id.
type Person = (String, String);

/// The list.
#[derive(Default)]
pub(super) struct Pushes(Mutex<HashMap<Person, Known>>);

#[derive(Clone, Copy)]
enum Known {
    /// Being asked; a push may still ring until then, Unix milliseconds, though nobody waits for the answer.
    Asked { until: i64 },
    /// Refused, and left in peace until then.
    Refused { until: i64 },
}

/// The place of one push or call. When it is dropped without [`Place::leave`], nobody knows what became of it.
pub(super) struct Place {
    pushes: Arc<Pushes>,
    person: Person,
    rings: bool,
}

impl Pushes {
    /// Takes the one place of that person at the Unix millisecond `now`.
    pub(super) fn enter(self: &Arc<Self>, key: &str, user: &str, now: i64) -> Result<Place, DuoError> {
        let person = (key.to_owned(), user.to_owned());
        let mut known = self.lock();
        known.retain(|_, known| known.until() > now);
        let seconds = |until: i64| u32::try_from((until - now + 999) / 1_000).unwrap_or(u32::MAX);
        match known.get(&person) {
            Some(&Known::Asked { until }) => Err(DuoError::PushUnderWay { retry_after: seconds(until) }),
            Some(&Known::Refused { until }) => Err(DuoError::RecentlyDenied { retry_after: seconds(until) }),
            None => {
                known.insert(person.clone(), Known::Asked { until: now + RINGS });
                drop(known);
                Ok(Place { pushes: Arc::clone(self), person, rings: false })
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Person, Known>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn until(self) -> i64 {
        match self {
            Self::Asked { until } | Self::Refused { until } => until,
        }
    }
}

impl Place {
    /// From here on a telephone may ring.
    pub(super) fn rings(&mut self, now: i64) {
        self.rings = true;
        self.pushes.lock().insert(self.person.clone(), Known::Asked { until: now + RINGS });
    }

    /// Gives the place back, when it is known what became of the question.
    pub(super) fn leave(mut self, verdict: &Result<Verdict, DuoError>, now: i64) {
        let peace = match verdict {
            Err(DuoError::Denied) => PEACE,
            Err(DuoError::Fraud) => ALARM,
            // Whether it rings there, and for how long, nobody knows.
            Err(DuoError::Outbound(error)) if !error.unsent() => return,
            _ => 0,
        };
        self.rings = false;
        if peace > 0 {
            self.pushes.lock().insert(self.person.clone(), Known::Refused { until: now + peace });
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut known = self.pushes.lock();
        if !self.rings && matches!(known.get(&self.person), Some(Known::Asked { .. })) {
            known.remove(&self.person);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbound::OutboundError;

    fn wait(pushes: &Arc<Pushes>, now: i64) -> Option<(&'static str, u32)> {
        match pushes.enter("DI", "bob", now) {
            Ok(_place) => None,
            Err(DuoError::PushUnderWay { retry_after }) => Some(("under way", retry_after)),
            Err(DuoError::RecentlyDenied { retry_after }) => Some(("denied", retry_after)),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_person_is_asked_once_at_a_time() {
        let pushes = Arc::new(Pushes::default());
        let mut place = pushes.enter("DI", "bob", 0).unwrap();
        assert_eq!(wait(&pushes, 1), Some(("under way", 60)));
        assert!(pushes.enter("DI", "eve", 1).is_ok() && pushes.enter("DJ", "bob", 1).is_ok(), "others are others");
        place.rings(10);
        place.leave(&Ok(Verdict::Allowed), 20);
        assert_eq!(wait(&pushes, 21), None);
        assert!(pushes.lock().is_empty(), "nothing is kept");
    }

    #[test]
    fn a_push_that_nobody_waits_for_is_still_on_the_telephone() {
        let pushes = Arc::new(Pushes::default());
        drop(pushes.enter("DI", "bob", 0).unwrap());
        assert_eq!(wait(&pushes, 1), None, "it had not rung yet");
        let mut place = pushes.enter("DI", "bob", 10).unwrap();
        place.rings(1_000);
        drop(place);
        assert_eq!(wait(&pushes, 2_000), Some(("under way", 59)));
        assert_eq!(wait(&pushes, 61_000), None);
        let mut slow = pushes.enter("DI", "bob", 70_000).unwrap();
        slow.rings(70_000);
        slow.leave(&Err(OutboundError::Slow.into()), 80_000);
        assert_eq!(wait(&pushes, 80_000), Some(("under way", 50)));
        let mut unsent = pushes.enter("DI", "bob", 200_000).unwrap();
        unsent.rings(200_000);
        unsent.leave(&Err(OutboundError::Forbidden.into()), 200_001);
        assert_eq!(wait(&pushes, 200_002), None);
    }

    #[test]
    fn who_refused_is_left_in_peace() {
        for (refusal, seconds) in [(DuoError::Denied, 60), (DuoError::Fraud, 900)] {
            let pushes = Arc::new(Pushes::default());
            let mut place = pushes.enter("DI", "bob", 0).unwrap();
            place.rings(0);
            place.leave(&Err(refusal), 0);
            assert_eq!(wait(&pushes, 0), Some(("denied", seconds)));
            assert_eq!(wait(&pushes, i64::from(seconds) * 1_000 - 1), Some(("denied", 1)));
            assert_eq!(wait(&pushes, i64::from(seconds) * 1_000), None);
        }
    }
}
