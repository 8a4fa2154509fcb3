//! A program on a terminal of its own, and what a person reads and types there, with a limit on the waiting.

use super::LIMIT;
use rexpect::session::{PtySession, spawn_command};
use std::process::Command;

/// A program under way. Ended when dropped.
pub struct Terminal(PtySession);

impl Terminal {
    /// Starts `command`.
    pub fn start(command: Command) -> Self {
        let limit = u64::try_from(LIMIT.as_millis()).expect("it is short");
        Self(spawn_command(command, Some(limit)).expect("the program starts"))
    }

    /// Waits until `text` stands there, and gives what came before it.
    #[track_caller]
    pub fn reads(&mut self, text: &str) -> String {
        self.0.exp_string(text).unwrap_or_else(|error| panic!("never read {text:?}: {error}"))
    }

    /// Types a line.
    pub fn types(&mut self, line: &str) {
        self.0.send_line(line).expect("the terminal takes it");
    }

    /// Presses Ctrl-C, and waits for the end.
    #[track_caller]
    pub fn interrupts(mut self) {
        self.0.send_control('c').expect("the terminal takes it");
        self.0.exp_eof().unwrap_or_else(|error| panic!("it does not end: {error}"));
    }

    /// Waits for the program to end with `code`, and gives the rest of what stood there.
    #[track_caller]
    pub fn ends(mut self, code: i32) -> String {
        let rest = self.0.exp_eof().unwrap_or_else(|error| panic!("it does not end: {error}"));
        // The type of a status cannot be named.
        let status = format!("{:?}", self.0.process().wait().expect("a child of ours"));
        assert!(status.starts_with("Exited") && status.ends_with(&format!(", {code})")), "{status}: {rest}");
        rest
    }
}
