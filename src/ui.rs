//! The only place that prints or prompts. stdout carries data, stderr messages, and questions go to the terminal
//! itself, so that a pipe never swallows one. It must not know commands, tokens' insides or the oracle.

mod clipboard;
mod countdown;
mod interrupt;
mod prompts;
mod time;
mod tty;

pub use clipboard::Copied;
pub use countdown::Countdown;
pub use interrupt::{OnInterrupt, on_interrupt};
pub use prompts::PinCommandError;
pub(crate) use prompts::tries;
pub(crate) use time::{time, time_of};

use crate::stdout;
use quorate_protocol::display::escape_json;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Why nobody could be told or asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UiError {
    /// What was typed twice was not the same. Holds what was asked for.
    #[error("the two entries for {0} differ")]
    Different(String),
    /// Ctrl-C or Ctrl-D at a prompt.
    #[error("interrupted")]
    Interrupted,
    /// Nobody to ask: there is no terminal. Holds what would have been asked for.
    #[error("there is no terminal to ask for {0}")]
    NoTerminal(String),
    /// stdout could not be written.
    #[error("cannot write the output: {0}")]
    Output(io::Error),
    /// The program that should print a PIN or PUK failed.
    #[error(transparent)]
    PinCommand(#[from] PinCommandError),
    /// The terminal failed.
    #[error("cannot use the terminal: {0}")]
    Terminal(io::Error),
}

/// How this run of the program speaks to people. Cheap to copy: it holds switches, no handles.
#[derive(Debug, Clone, Copy)]
pub struct Ui {
    json: bool,
    quiet: bool,
}

impl Ui {
    /// `json`: data is printed as JSON. `quiet`: only errors, warnings and questions are shown beside the data.
    pub fn new(json: bool, quiet: bool) -> Self {
        Self { json, quiet }
    }

    /// Whether data is wanted as JSON.
    pub fn json(&self) -> bool {
        self.json
    }

    /// Whether somebody watches stderr, so that a line may be redrawn.
    pub fn watched(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Prints one piece of data and a line feed to stdout.
    pub fn data(&self, text: impl Display) -> Result<(), UiError> {
        let mut out = stdout::data();
        writeln!(out, "{text}").and_then(|()| out.flush()).map_err(UiError::Output)
    }

    /// Prints bytes to stdout as they are.
    pub fn raw_data(&self, bytes: &[u8]) -> Result<(), UiError> {
        let mut out = stdout::data();
        out.write_all(bytes).and_then(|()| out.flush()).map_err(UiError::Output)
    }

    /// Prints `value` to stdout as one line of JSON, in which nothing acts on a terminal.
    pub fn json_data(&self, value: &impl Serialize) -> Result<(), UiError> {
        self.data(escape_json(&serde_json::to_string(value).expect("what commands print is plain data")))
    }

    /// With `--json` prints `value`, else the text that `lines` makes.
    pub fn print<D: Display>(&self, value: &impl Serialize, lines: impl FnOnce() -> D) -> Result<(), UiError> {
        if self.json { self.json_data(value) } else { self.data(lines()) }
    }

    /// Says something on stderr that can be left out with `--quiet`. May hold line feeds of ours; foreign text in it must
    /// have gone through [`shown`].
    pub fn say(&self, message: impl Display) {
        if !self.quiet {
            to_stderr(&message);
        }
    }

    /// Warns on stderr, `--quiet` or not.
    pub fn warn(&self, message: impl Display) {
        to_stderr(&format_args!("warning: {message}"));
    }

    /// Reports a failure on stderr: one sentence, and what to do.
    pub(crate) fn failure(error: &impl Display, hint: Option<&str>) {
        to_stderr(&format_args!("error: {}", shown(&error.to_string())));
        if let Some(hint) = hint {
            to_stderr(&format_args!("hint: {}", shown(hint)));
        }
    }

    /// Asks for `what` on the terminal without showing what is typed.
    pub fn ask_hidden(&self, what: &str) -> Result<Zeroizing<String>, UiError> {
        tty::ask_hidden(what)
    }

    /// Asks a question on the terminal; everything but `y` or `yes` is no.
    pub fn confirm(&self, question: &str) -> Result<bool, UiError> {
        let answer = tty::ask(&format!("{question} [y/N] "), "a confirmation")?;
        Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// A line on stderr that counts down the `seconds` that something lives; returns at its end, or at once when nobody
    /// watches.
    pub fn count_down(&self, label: &str, seconds: u64) {
        if self.watched() {
            self.countdown(label, seconds).run();
        }
    }

    /// A line on stderr that counts down to the end of a code; nothing when nobody watches.
    pub fn countdown(&self, label: &str, seconds: u64) -> Countdown {
        Countdown::new(self.watched(), label, seconds)
    }
}

/// Foreign text made safe to show: see [`quorate_protocol::display`].
pub fn shown(text: &str) -> String {
    quorate_protocol::display::escape_controls(text)
}

/// The name of a file, likewise: whoever made the file chose it.
pub fn shown_path(path: &Path) -> String {
    shown(&path.to_string_lossy())
}

/// Says something on stderr that a person has to act upon, `--quiet` or not.
fn urge(message: impl Display) {
    to_stderr(&message);
}

/// Messages are best effort: who closed stderr does not want them.
fn to_stderr(message: &dyn Display) {
    let _ = writeln!(io::stderr().lock(), "{message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_and_does_nothing_to_a_terminal() {
        let value = "a\u{9b}31m b\u{202e}c\u{7f}\u{e0041}\u{1b}\n  é \"日本\" \\";
        let json = escape_json(&serde_json::to_string(value).expect("a string"));
        assert_eq!(serde_json::from_str::<String>(&json).expect("JSON"), value);
        for c in ['\u{9b}', '\u{202e}', '\u{7f}', '\u{e0041}', '\u{1b}', '\n'] {
            assert!(!json.contains(c), "{json:?}");
        }
        assert!(json.contains("\\u009b31m b\\u202ec") && json.contains("  é") && json.contains("日本"), "{json}");
    }
}
