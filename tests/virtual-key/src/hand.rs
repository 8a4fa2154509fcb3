//! Whoever holds the key, and what they do when it blinks. It must not know messages.

use crate::device::Event;
use fido_authenticator::{Error, TrussedRequirements, UserPresence};
use std::sync::mpsc::Sender;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long it takes to see the key blink and to do something: longer than a key of U2F waits, so that it has to be asked again.
const REACTION: Duration = Duration::from_millis(400);
/// A key that nobody has asked for so long does not blink any more.
const FORGOTTEN: Duration = Duration::from_secs(2);

/// What somebody does when the key blinks.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Habit {
    /// Touches it.
    Touches,
    /// Looks on.
    LooksOn,
    /// Pulls it out.
    PullsOut,
}

/// Somebody's hand.
#[derive(Debug)]
pub struct Hand {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug)]
struct State {
    habit: Habit,
    /// Since when the key blinks, and when it was last asked to.
    blinks: Option<(Instant, Instant)>,
    cancelled: bool,
}

/// What came of blinking.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Outcome {
    Touched,
    NotTouched,
    Cancelled,
    PulledOut,
}

impl Hand {
    /// The hand of somebody with a habit.
    #[must_use]
    pub fn new(habit: Habit) -> Self {
        Self { state: Mutex::new(State { habit, blinks: None, cancelled: false }), changed: Condvar::new() }
    }

    /// Takes up another habit, for the next time that the key blinks.
    pub fn change(&self, habit: Habit) {
        let mut state = self.lock();
        (state.habit, state.blinks) = (habit, None);
        self.changed.notify_all();
    }

    /// The key shall not blink any longer, if it does.
    pub fn cancel(&self) {
        let mut state = self.lock();
        state.cancelled = state.blinks.is_some();
        self.changed.notify_all();
    }

    /// The key has been put in: nothing of before counts.
    pub fn begin(&self) {
        let mut state = self.lock();
        (state.blinks, state.cancelled) = (None, false);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Blinks for `patience`. A key that waits for no more than a glance goes on blinking until it is asked again.
    fn see(&self, patience: Duration) -> Outcome {
        let mut state = self.lock();
        let asked = Instant::now();
        let since = match state.blinks {
            Some((since, last)) if asked.duration_since(last) < FORGOTTEN => since,
            _ => asked,
        };
        state.blinks = Some((since, asked));
        loop {
            let now = Instant::now();
            let reacts = now >= since + REACTION;
            let outcome = match state.habit {
                _ if state.cancelled => Outcome::Cancelled,
                Habit::Touches if reacts => Outcome::Touched,
                Habit::PullsOut if reacts => Outcome::PulledOut,
                _ if now >= asked + patience => Outcome::NotTouched,
                _ => {
                    let until = if reacts { asked + patience } else { (asked + patience).min(since + REACTION) };
                    let waited = self.changed.wait_timeout(state, until.saturating_duration_since(now));
                    state = waited.unwrap_or_else(PoisonError::into_inner).0;
                    continue;
                }
            };
            if outcome != Outcome::NotTouched || patience > REACTION {
                state.blinks = None;
            }
            state.cancelled = false;
            return outcome;
        }
    }
}

/// The hand on a key that is in, which tells of its blinking.
#[derive(Clone, Copy)]
pub struct Holder<'a> {
    /// Whose.
    pub hand: &'a Hand,
    /// Where it tells.
    pub tell: &'a Sender<Event>,
}

impl UserPresence for Holder<'_> {
    fn user_present<T: TrussedRequirements>(self, _: &mut T, patience: u32) -> Result<(), Error> {
        // Nobody listens any more where the key is out.
        let _ = self.tell.send(Event::Blinks);
        match self.hand.see(Duration::from_millis(patience.into())) {
            Outcome::Touched => Ok(()),
            Outcome::NotTouched => Err(Error::UserActionTimeout),
            Outcome::Cancelled => Err(Error::KeepaliveCancel),
            Outcome::PulledOut => {
                let _ = self.tell.send(Event::Out);
                Err(Error::KeepaliveCancel)
            }
        }
    }
}
