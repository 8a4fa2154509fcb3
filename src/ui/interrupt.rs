//! What still has to be done when a person presses Ctrl-C (or the program is told to end): remove half-written files,
//! say how to go on. Without such a wish the system's own way of ending a program is left alone.

use std::sync::{Mutex, MutexGuard, Once, PoisonError};

type Action = Box<dyn FnOnce() + Send>;

static ACTIONS: Mutex<Vec<(u64, Action)>> = Mutex::new(Vec::new());
static HANDLER: Once = Once::new();

/// The exit code of a program that was interrupted.
const INTERRUPTED: i32 = 130;

/// Keeps an action registered; dropping it forgets the action.
#[derive(Debug)]
#[must_use = "dropping it forgets the action"]
pub struct OnInterrupt(u64);

/// Runs `action` on SIGINT, SIGTERM or SIGHUP, latest first, on a thread of its own; the program then ends with 130.
pub fn on_interrupt(action: impl FnOnce() + Send + 'static) -> OnInterrupt {
    HANDLER.call_once(|| {
        // A second handler cannot be there: this is the only place that sets one. Should the system refuse, an interrupt
        // ends the program without the action, as it would have before.
        let _ = ctrlc::set_handler(|| {
            let mut actions = std::mem::take(&mut *actions());
            while let Some((_, action)) = actions.pop() {
                action();
            }
            std::process::exit(INTERRUPTED);
        });
    });
    let mut actions = actions();
    let id = actions.last().map_or(0, |(last, _)| last + 1);
    actions.push((id, Box::new(action)));
    OnInterrupt(id)
}

impl Drop for OnInterrupt {
    fn drop(&mut self) {
        actions().retain(|(id, _)| *id != self.0);
    }
}

fn actions() -> MutexGuard<'static, Vec<(u64, Action)>> {
    ACTIONS.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_lives_as_long_as_its_guard() {
        let first = on_interrupt(|| {});
        let second = on_interrupt(|| {});
        assert_ne!(first.0, second.0);
        drop(first);
        assert!(actions().iter().any(|(id, _)| *id == second.0));
        let id = second.0;
        drop(second);
        assert!(!actions().iter().any(|(other, _)| *other == id));
    }
}
