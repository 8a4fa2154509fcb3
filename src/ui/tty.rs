//! Questions on the controlling terminal, and what only it understands, whatever stdin and stdout are connected to. It must not
//! know what is asked.

use super::UiError;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use zeroize::Zeroizing;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 8 * 1024;

/// Writes `question` and reads a line. `what` names the thing asked for when there is no terminal.
pub(super) fn ask(question: &str, what: &str) -> Result<String, UiError> {
    let mut terminal = open(what)?;
    write!(terminal, "{question}").and_then(|()| terminal.flush()).map_err(UiError::Terminal)?;
    let mut answer = String::new();
    let mut line = BufReader::new(io::Read::take(terminal, MAX_ANSWER as u64));
    match line.read_line(&mut answer) {
        Ok(0) => Err(UiError::Interrupted),
        Ok(_) => Ok(answer.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => Err(UiError::Terminal(error)),
    }
}

/// Asks for `what` and reads a line that is not shown.
pub(super) fn ask_hidden(what: &str) -> Result<Zeroizing<String>, UiError> {
    drop(open(what)?);
    match rpassword::prompt_password(format!("{what}: ")) {
        Ok(answer) => Ok(Zeroizing::new(answer)),
        Err(error) if matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof) => {
            Err(UiError::Interrupted)
        }
        Err(error) => Err(UiError::Terminal(error)),
    }
}

/// Writes `text` as it is. `what` names what it is for when there is no terminal.
pub(super) fn write(text: &str, what: &str) -> Result<(), UiError> {
    let mut terminal = open(what)?;
    terminal.write_all(text.as_bytes()).and_then(|()| terminal.flush()).map_err(UiError::Terminal)
}

fn open(what: &str) -> Result<File, UiError> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/tty");
    opened.map_err(|_| UiError::NoTerminal(what.to_owned()))
}
