//! The line that counts down while a code lives. Drawn only where somebody watches. It must not know codes.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::time::Duration;

/// A countdown on stderr; cleared when dropped.
#[derive(Debug)]
pub struct Countdown {
    bar: ProgressBar,
    seconds: u64,
}

impl Countdown {
    pub(super) fn new(watched: bool, label: &str, seconds: u64) -> Self {
        let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(seconds), target);
        let style = ProgressStyle::with_template("{msg} {bar:20} {pos} s").expect("the template is constant");
        bar.set_style(style.progress_chars("━╸ "));
        bar.set_message(super::shown(label));
        bar.set_position(seconds);
        Self { bar, seconds }
    }

    /// Counts down to the end.
    pub fn run(self) {
        for left in (0..=self.seconds).rev() {
            self.left(left);
            if left > 0 {
                std::thread::sleep(Duration::from_secs(1));
            }
        }
    }

    /// Shows that `left` seconds are left.
    pub fn left(&self, left: u64) {
        self.bar.set_position(left.min(self.seconds));
    }
}

impl Drop for Countdown {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
