//! The firmware of keys that are sold, as a ground: `fido-authenticator`, which shares no code with quorate and runs in a program of
//! its own, `tests/virtual-key`. `$QUORATE_VIRTUAL_KEY` names that, which `make test` builds. Whoever holds it touches it at once.

use super::double::{Firmware, Reaction};
use crate::isolation::leave_out;
use data_encoding::HEXLOWER;
use quorate::token::fido::channel::CBOR;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The key, running; ended when dropped.
pub struct VirtualKey {
    process: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

/// The program, where there is one; a missing one fails `test` where nothing may be missing.
pub fn program(test: &str) -> Option<OsString> {
    let program = std::env::var_os("QUORATE_VIRTUAL_KEY");
    if program.is_none() {
        leave_out(test, "QUORATE_VIRTUAL_KEY names no build of tests/virtual-key");
    }
    program
}

impl VirtualKey {
    /// A fresh key.
    pub fn start(program: &OsString) -> Self {
        let mut command = Command::new(program);
        let mut process = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the key runs");
        let requests = process.stdin.take().expect("it was piped");
        let answers = BufReader::new(process.stdout.take().expect("it was piped"));
        Self { process, requests, answers }
    }
}

impl Firmware for VirtualKey {
    fn capabilities(&self) -> u8 {
        0x05
    }

    fn message(&mut self, command: u8, message: &[u8]) -> Reaction {
        let hex = HEXLOWER.encode(message);
        let word = if command == CBOR { "cbor " } else { "" };
        writeln!(self.requests, "{word}{hex}").expect("it reads");
        let mut line = String::new();
        self.answers.read_line(&mut line).expect("it answers");
        Reaction::Touched(HEXLOWER.decode(line.trim().as_bytes()).expect("hexadecimal digits"))
    }
}

impl Drop for VirtualKey {
    fn drop(&mut self) {
        // Already ended, or nobody waits for it any more.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
