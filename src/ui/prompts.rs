//! PINs and passphrases: from the program in `QUORATE_PIN_COMMAND`, or from the terminal. Never from an argument.

use super::{Ui, UiError};
use std::io::Read as _;
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// The variable that names a program which prints a PIN, for machines without people and for password managers.
const PIN_COMMAND: &str = "QUORATE_PIN_COMMAND";
/// Longest PIN or passphrase that is read, in bytes.
const MAX_PIN: u64 = 4096;

/// Why the program in `QUORATE_PIN_COMMAND` gave no PIN. Never repeats what it printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinCommandError {
    /// It ended with a failure.
    #[error("the program in QUORATE_PIN_COMMAND failed: {0}")]
    Failed(std::process::ExitStatus),
    /// It printed nothing, too much, or no text.
    #[error("the program in QUORATE_PIN_COMMAND did not print one line of text")]
    Output,
    /// The shell could not be started.
    #[error("cannot run the program in QUORATE_PIN_COMMAND: {0}")]
    Run(std::io::Error),
}

impl Ui {
    /// A PIN or passphrase for `what`: the first line that the program in `QUORATE_PIN_COMMAND` prints (run by `sh`,
    /// with `QUORATE_PIN_PROMPT` saying what is asked), or what is typed on the terminal.
    pub fn pin(&self, what: &str) -> Result<Zeroizing<String>, UiError> {
        match std::env::var_os(PIN_COMMAND).filter(|command| !command.is_empty()) {
            Some(command) => Ok(pin_from(&command, what)?),
            None => self.ask_hidden(what),
        }
    }
}

fn pin_from(command: &std::ffi::OsStr, what: &str) -> Result<Zeroizing<String>, PinCommandError> {
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .env("QUORATE_PIN_PROMPT", what)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(PinCommandError::Run)?;
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut printed = Zeroizing::new(Vec::with_capacity(8 * 1024));
    let stdout = child.stdout.take().expect("stdout was asked for");
    let read = stdout.take(MAX_PIN + 1).read_to_end(&mut printed);
    let status = child.wait().map_err(PinCommandError::Run)?;
    if !status.success() {
        return Err(PinCommandError::Failed(status));
    }
    let text = std::str::from_utf8(&printed).map_err(|_| PinCommandError::Output)?;
    let line = text.lines().next().unwrap_or_default();
    if read.is_err() || line.is_empty() || printed.len() as u64 > MAX_PIN {
        return Err(PinCommandError::Output);
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_pin_and_failures_are_told_apart() {
        let pin = |command: &str| pin_from(command.as_ref(), "PIN");
        assert_eq!(*pin("printf '493027\\nmore'").expect("a PIN"), "493027");
        assert_eq!(*pin("printf \"$QUORATE_PIN_PROMPT\"").expect("a PIN"), "PIN");
        assert!(matches!(pin("exit 3"), Err(PinCommandError::Failed(_))));
        assert!(matches!(pin("true"), Err(PinCommandError::Output)));
        assert!(matches!(pin("printf '\\377'"), Err(PinCommandError::Output)));
        assert!(matches!(pin("head -c 9000 /dev/zero | tr '\\0' a"), Err(PinCommandError::Output | PinCommandError::Failed(_))));
    }
}
