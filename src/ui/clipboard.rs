//! The clipboard, by way of the terminal: the control sequence OSC 52. It works wherever the terminal is, also at the other end
//! of SSH, and without a connection to X11 or Wayland. It must not know what is copied.

use super::interrupt::{OnInterrupt, on_interrupt};
use super::{Ui, UiError, tty};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

/// What takes the place of what was copied: terminals differ in what they make of nothing at all.
const BLANK: &str = " ";

/// What a terminal is missed for.
const WHAT: &str = "the clipboard";

/// Something in the clipboard, until the program ends.
#[derive(Debug)]
#[must_use = "what was copied stays in the clipboard unless it is cleared"]
pub struct Copied {
    _on_interrupt: OnInterrupt,
}

impl Copied {
    /// Puts a blank in its place. Best effort: who closed the terminal has no clipboard of it any more.
    pub fn clear(self) {
        clear();
    }

    /// Leaves it there.
    pub fn leave(self) {
        drop(self);
    }
}

impl Ui {
    /// Fails where no terminal is that could be asked to copy.
    pub fn check_copy(&self) -> Result<(), UiError> {
        tty::write("", WHAT)
    }

    /// Asks the terminal to put `text` into the clipboard. Whether it does is not told: some terminals have to be allowed to.
    /// Whoever is interrupted before it is cleared or left finds it cleared.
    pub fn copy(&self, text: &str) -> Result<Copied, UiError> {
        put(text)?;
        Ok(Copied { _on_interrupt: on_interrupt(clear) })
    }
}

fn clear() {
    let _ = put(BLANK);
}

fn put(text: &str) -> Result<(), UiError> {
    let mut sequence = Zeroizing::new(String::with_capacity(16 + 2 * text.len()));
    sequence.push_str("\x1b]52;c;");
    STANDARD.encode_string(text, &mut sequence);
    sequence.push('\x07');
    tty::write(&sequence, WHAT)
}
