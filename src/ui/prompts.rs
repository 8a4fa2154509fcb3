//! PINs, PUKs, passphrases and touches, never from an argument. The program in `QUORATE_PIN_COMMAND` answers for PINs of tokens that
//! open Tocs, that in `QUORATE_PUK_COMMAND` for their PUKs, that in `QUORATE_FIDO_PIN_COMMAND` for PINs of security keys, and none for
//! anything else: all other secrets are typed on the terminal, whoever wants them. It must not know what a PIN opens.

use super::{Ui, UiError, shown, tty, urge};
use crate::token::{PinRequest, TokenError, TokenInfo, TokenPrompts, Touch, TouchRequest};
use secrecy::SecretString;
use std::ffi::OsString;
use std::io::Read as _;
use std::process::{Command, Stdio};
use zeroize::Zeroizing;

/// The variable that names a program which prints a PIN, for machines without people and for password managers.
const PIN_COMMAND: &str = "QUORATE_PIN_COMMAND";
/// The same for PUKs. Apart, so that no PIN is offered as a PUK and spends one of its tries.
const PUK_COMMAND: &str = "QUORATE_PUK_COMMAND";
/// The same for PINs of security keys. Apart, since an oracle or a site can have one asked for: a PIN that opens Tocs neither spends
/// its tries nor gets into a device that only says that it is such a key.
const FIDO_PIN_COMMAND: &str = "QUORATE_FIDO_PIN_COMMAND";
/// Longest PIN or passphrase that is read, in bytes.
const MAX_PIN: u64 = 4096;

/// Why the program that a variable names gave no PIN or PUK. Never repeats what it printed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PinCommandError {
    /// It ended with a failure.
    #[error("the program in {0} failed: {1}")]
    Failed(&'static str, std::process::ExitStatus),
    /// It printed nothing, too much, or no text.
    #[error("the program in {0} did not print one line of text")]
    Output(&'static str),
    /// The shell could not be started.
    #[error("cannot run the program in {0}: {1}")]
    Run(&'static str, std::io::Error),
}

impl Ui {
    /// A PIN for `what`: the first line that the program in `QUORATE_PIN_COMMAND` prints (run by `sh`, with
    /// `QUORATE_PIN_PROMPT` saying what is asked), or what is typed on the terminal.
    pub fn pin(&self, what: &str) -> Result<Zeroizing<String>, UiError> {
        self.code(PIN_COMMAND, what)
    }

    /// A new PIN; typed twice when a person types it.
    pub fn new_pin(&self, what: &str) -> Result<Zeroizing<String>, UiError> {
        self.new_code(PIN_COMMAND, what)
    }

    /// A PUK, likewise from the program in `QUORATE_PUK_COMMAND`.
    pub fn puk(&self, what: &str) -> Result<Zeroizing<String>, UiError> {
        self.code(PUK_COMMAND, what)
    }

    /// A new PUK; typed twice when a person types it.
    pub fn new_puk(&self, what: &str) -> Result<Zeroizing<String>, UiError> {
        self.new_code(PUK_COMMAND, what)
    }

    /// The PIN of a security key, likewise from the program in `QUORATE_FIDO_PIN_COMMAND` and no other. `None` when nobody answers.
    pub fn security_key_pin(&self, request: &PinRequest<'_>) -> Option<SecretString> {
        self.answer(self.code(FIDO_PIN_COMMAND, &question(request)))
    }

    /// A new PIN for a security key; typed twice when a person types it.
    pub fn new_security_key_pin(&self, what: &str) -> Result<Zeroizing<String>, UiError> {
        self.new_code(FIDO_PIN_COMMAND, what)
    }

    /// Whether a person types the PINs of security keys.
    pub fn security_key_pin_is_typed(&self) -> bool {
        command(FIDO_PIN_COMMAND).is_none()
    }

    /// Whether a person types PUKs.
    pub fn puk_is_typed(&self) -> bool {
        command(PUK_COMMAND).is_none()
    }

    fn code(self, variable: &'static str, what: &str) -> Result<Zeroizing<String>, UiError> {
        match command(variable) {
            Some(command) => Ok(printed_by(&command, variable, what)?),
            None => self.ask_hidden(what),
        }
    }

    fn new_code(self, variable: &'static str, what: &str) -> Result<Zeroizing<String>, UiError> {
        let first = self.code(variable, what)?;
        if command(variable).is_none() && *self.ask_hidden(&format!("{what}, again"))? != *first {
            return Err(UiError::Different(what.to_owned()));
        }
        Ok(first)
    }

    /// What was typed or printed, for those who only want to know whether there is something. Says why there is not.
    fn answer(self, asked: Result<Zeroizing<String>, UiError>) -> Option<SecretString> {
        match asked {
            Ok(answer) => Some(SecretString::from(answer.as_str())),
            Err(error) => {
                self.warn(shown(&error.to_string()));
                None
            }
        }
    }
}

impl TokenPrompts for Ui {
    fn pin(&self, request: &PinRequest<'_>) -> Option<SecretString> {
        self.answer(Ui::pin(self, &question(request)))
    }

    fn may_ask_again(&self) -> bool {
        command(PIN_COMMAND).is_none()
    }

    fn refused(&self, token: &TokenInfo, why: &TokenError) {
        self.warn(format_args!("{}: {}", shown(&token.to_string()), shown(&why.to_string())));
    }

    fn touch(&self, request: &TouchRequest<'_>) {
        urge(format_args!("touch your key now: {}", shown(&request.token.to_string())));
    }

    fn confirm_touch(&self, request: &TouchRequest<'_>) -> Touch {
        let question = format!(
            "touch your key now: {}, key {}. Enter is a touch, n a refusal: ",
            shown(&request.token.to_string()),
            shown(request.key)
        );
        match tty::ask(&question, "a touch") {
            Ok(answer) if answer.trim().is_empty() => Touch::Given,
            Ok(_) | Err(UiError::Interrupted) => Touch::Refused,
            Err(_) => Touch::TimedOut,
        }
    }

    fn message(&self, text: &str) {
        urge(shown(text));
    }

    fn confirm(&self, question: &str, yes: &str, no: Option<&str>) -> Option<bool> {
        let choice = format!("{} [y: {}, n: {}] ", shown(question), shown(yes), shown(no.unwrap_or("no")));
        let answer = tty::ask(&choice, "a confirmation").ok()?;
        Some(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    fn text(&self, question: &str) -> Option<String> {
        tty::ask(&format!("{}: ", shown(question)), "an answer").ok()
    }

    fn passphrase(&self, question: &str) -> Option<SecretString> {
        self.answer(self.ask_hidden(&shown(question)))
    }
}

fn question(request: &PinRequest<'_>) -> String {
    let again = if request.again { "wrong PIN. " } else { "" };
    format!("{again}PIN of {} ({})", shown(&request.token.to_string()), tries(request.tries_left))
}

/// What a person should know before they guess.
pub(crate) fn tries(left: u8) -> String {
    match left {
        1 => "the last try".to_owned(),
        left => format!("{left} tries left"),
    }
}

fn command(variable: &str) -> Option<OsString> {
    std::env::var_os(variable).filter(|command| !command.is_empty())
}

fn printed_by(
    command: &std::ffi::OsStr,
    variable: &'static str,
    what: &str,
) -> Result<Zeroizing<String>, PinCommandError> {
    let run = |error| PinCommandError::Run(variable, error);
    let output = || PinCommandError::Output(variable);
    let mut child = Command::new("sh")
        .arg("-c")
        .arg(command)
        .env("QUORATE_PIN_PROMPT", what)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(run)?;
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut printed = Zeroizing::new(Vec::with_capacity(8 * 1024));
    let stdout = child.stdout.take().expect("stdout was asked for");
    let read = stdout.take(MAX_PIN + 1).read_to_end(&mut printed);
    let status = child.wait().map_err(run)?;
    if !status.success() {
        return Err(PinCommandError::Failed(variable, status));
    }
    let text = std::str::from_utf8(&printed).map_err(|_| output())?;
    let line = text.lines().next().unwrap_or_default();
    if read.is_err() || line.is_empty() || printed.len() as u64 > MAX_PIN {
        return Err(output());
    }
    Ok(Zeroizing::new(line.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_pin_and_failures_are_told_apart() {
        let pin = |command: &str| printed_by(command.as_ref(), PIN_COMMAND, "PIN");
        assert_eq!(*pin("printf '493027\\nmore'").expect("a PIN"), "493027");
        assert_eq!(*pin("printf \"$QUORATE_PIN_PROMPT\"").expect("a PIN"), "PIN");
        assert!(matches!(pin("exit 3"), Err(PinCommandError::Failed(PIN_COMMAND, _))));
        assert!(matches!(pin("true"), Err(PinCommandError::Output(_))));
        assert!(matches!(pin("printf '\\377'"), Err(PinCommandError::Output(_))));
        assert!(matches!(
            pin("head -c 9000 /dev/zero | tr '\\0' a"),
            Err(PinCommandError::Output(_) | PinCommandError::Failed(..))
        ));
    }
}
