//! Where a password comes from: a file, stdin when it is no terminal, or what is typed unseen; never an argument. It must not
//! know what it opens.

use super::error::PeopleError;
use super::{CliError, files};
use crate::ui::{Ui, UiError};
use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Bytes of a file with a password, or of stdin, that are read at most.
const MAX_FILE: usize = 4096;
/// How often a new password is asked for whose two entries differ.
const TRIES: u32 = 3;

/// How the password is given.
#[derive(Debug, clap::Args)]
pub(crate) struct PasswordArgs {
    /// File with the password; without it stdin is read, or you are asked on a terminal
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordArgs {
    /// The password; `what` names it where somebody is asked.
    pub(crate) fn read(&self, ui: Ui, what: &str) -> Result<Zeroizing<String>, CliError> {
        match self.given()? {
            Some(given) => Ok(given),
            None => not_empty(ui.ask_hidden(what)?),
        }
    }

    /// A new password; typed twice where somebody types it.
    pub(crate) fn read_new(&self, ui: Ui, what: &str) -> Result<Zeroizing<String>, CliError> {
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        for _ in 1..TRIES {
            match typed_twice(ui, what) {
                Err(CliError::Ui(error @ UiError::Different(_))) => ui.warn(format_args!("{error}: type both anew")),
                settled => return settled,
            }
        }
        typed_twice(ui, what)
    }

    /// Whether it comes from a file.
    pub(crate) fn is_in_file(&self) -> bool {
        self.password_file.is_some()
    }

    /// Whether somebody sits at the terminal to type it, and can be asked for more.
    pub(crate) fn is_typed(&self) -> bool {
        self.password_file.is_none() && io::stdin().is_terminal()
    }

    fn given(&self) -> Result<Option<Zeroizing<String>>, CliError> {
        if self.is_typed() {
            return Ok(None);
        }
        let bytes = match &self.password_file {
            Some(file) => files::read(file, MAX_FILE as u64)?,
            None => from_stdin()?,
        };
        let name = self.password_file.as_deref().unwrap_or(Path::new("stdin"));
        // The reason could repeat what was read.
        let not_text = || CliError::read(name, io::ErrorKind::InvalidData.into());
        let password = one_line(std::str::from_utf8(&bytes).map_err(|_| not_text())?);
        if password.contains(['\n', '\r']) {
            return Err(PeopleError::PasswordLines(name.to_owned()).into());
        }
        not_empty(Zeroizing::new(password.to_owned())).map(Some)
    }
}

fn typed_twice(ui: Ui, what: &str) -> Result<Zeroizing<String>, CliError> {
    let first = not_empty(ui.ask_hidden(what)?)?;
    if *ui.ask_hidden(&format!("{what}, again"))? == *first {
        Ok(first)
    } else {
        Err(UiError::Different(what.to_owned()).into())
    }
}

fn from_stdin() -> Result<Zeroizing<Vec<u8>>, CliError> {
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_FILE + 1));
    let read = io::stdin().lock().take(MAX_FILE as u64 + 1).read_to_end(&mut bytes);
    read.map_err(|error| CliError::read("stdin", error.kind().into()))?;
    if bytes.len() > MAX_FILE { Err(CliError::read("stdin", io::ErrorKind::FileTooLarge.into())) } else { Ok(bytes) }
}

/// Without the line feed that editors and `echo` put at the end. Blanks may belong to a password.
fn one_line(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn not_empty(password: Zeroizing<String>) -> Result<Zeroizing<String>, CliError> {
    if password.is_empty() { Err(PeopleError::NoPassword.into()) } else { Ok(password) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_file(content: &[u8]) -> Result<Option<Zeroizing<String>>, CliError> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), content).expect("written");
        PasswordArgs { password_file: Some(file.path().to_owned()) }.given()
    }

    #[test]
    fn a_file_holds_one_line_with_its_blanks() {
        for (content, password) in [("a b \n", "a b "), ("a", "a"), ("ä\r\n", "ä")] {
            let read = from_file(content.as_bytes()).expect("readable").expect("a password");
            assert_eq!(*read, password);
        }
    }

    #[test]
    fn what_is_no_password_is_not_sent_or_repeated() {
        for content in ["", "\n", "\r\n"] {
            assert!(matches!(from_file(content.as_bytes()), Err(CliError::People(PeopleError::NoPassword))));
        }
        for content in ["hunter2\n\n", "hunter2\nmore", "\nhunter2\n", "hunter2\rmore"] {
            let error = from_file(content.as_bytes()).expect_err("more than a line");
            assert!(matches!(error, CliError::People(PeopleError::PasswordLines(_))), "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let error = from_file(b"hunter2\xff").expect_err("no text");
        assert!(!error.to_string().contains("hunter2"), "{error}");
        assert!(from_file(&[b'a'; MAX_FILE + 1]).is_err());
    }
}
