//! Where the secret to deal comes from: a hidden prompt, stdin, or a picture; never an argument. It must not know players or
//! Tocs.

use super::CliError;
use crate::ui::Ui;
use quorate_protocol::import::{self, ImportError, Imported, MAX_TEXT_BYTES};
use quorate_protocol::otp::OtpSecret;
use std::io::{self, IsTerminal as _, Read as _};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// Bytes of a picture that are read at most.
const MAX_PICTURE: u64 = 32 * 1024 * 1024;

/// How the secret is given.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The secret")]
pub(crate) struct SecretArgs {
    /// `-` reads an otpauth URI, a base32 key or an otpauth-migration URI from stdin
    #[arg(long, value_name = "-", alias = "secret")]
    otpauth: Option<String>,
    /// Picture (PNG or JPEG) of the account's QR code; again for each part of an export
    #[arg(long, value_name = "IMAGE")]
    qr: Vec<PathBuf>,
    /// Which account, when several are given
    #[arg(long, value_name = "NAME")]
    account: Option<String>,
    /// `-` reads the secret from stdin, as does a stdin that is no terminal; otherwise you are asked
    #[arg(value_name = "-")]
    stdin: Vec<String>,
}

impl SecretArgs {
    /// Refuses a secret that was put into an argument, without repeating it.
    pub(crate) fn check(&self) -> Result<(), CliError> {
        let mut words = self.otpauth.iter().chain(&self.stdin).filter(|word| *word != "-");
        if let Some(word) = words.next() {
            if words.chain([word]).any(|word| may_be_secret(word)) {
                return Err(CliError::SecretInArgument);
            }
            let message = "only - can stand there, for a secret on stdin; names have options of their own: see --help";
            return Err(CliError::Usage(message.to_owned()));
        }
        if !self.qr.is_empty() && (self.otpauth.is_some() || !self.stdin.is_empty()) {
            return Err(CliError::Usage("the secret can come from --qr or from stdin, not from both".to_owned()));
        }
        Ok(())
    }

    /// Whether it was said where the secret comes from.
    pub(crate) fn is_given(&self) -> bool {
        self.otpauth.is_some() || !self.qr.is_empty() || !self.stdin.is_empty()
    }

    /// Reads the secret; asks for it when nothing else was said.
    pub(crate) fn read(&self, ui: Ui) -> Result<OtpSecret, CliError> {
        let imported = if !self.qr.is_empty() {
            let pictures =
                self.qr.iter().map(|path| super::files::read(path, MAX_PICTURE)).collect::<Result<Vec<_>, _>>()?;
            import::from_images(&pictures)?
        } else if io::stdin().is_terminal() {
            import::parse_any(&ui.ask_hidden("secret (an otpauth URI or the account's base32 key; not shown)")?)?
        } else {
            import::parse_any(&from_stdin()?)?
        };
        for entry in &imported {
            if let Imported::LeftOut { name, reason } = entry {
                ui.warn(format_args!("{name} is left out: {reason}"));
            }
        }
        Ok(import::only_one(self.chosen(imported)?)?)
    }

    /// The entries that `--account` means; all of them without it.
    fn chosen(&self, imported: Vec<Imported>) -> Result<Vec<Imported>, CliError> {
        let Some(account) = &self.account else { return Ok(imported) };
        let names: Vec<String> = imported.iter().filter_map(name_of).collect();
        let meant = |entry: &Imported| match entry {
            Imported::Secret(secret) => secret.account() == account || secret.display_name() == *account,
            Imported::LeftOut { .. } => false,
        };
        let chosen: Vec<Imported> = imported.into_iter().filter(meant).collect();
        if chosen.is_empty() { Err(CliError::NoSuchAccount { names }) } else { Ok(chosen) }
    }
}

/// Whether a word in an argument could be a secret, or a part of one: an address, or as long as the shortest key.
fn may_be_secret(word: &str) -> bool {
    const SHORTEST: usize = 16;
    let like_a_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '=' | '-' | ' ');
    word.contains(':') || (word.len() >= SHORTEST && word.chars().all(like_a_key))
}

fn name_of(entry: &Imported) -> Option<String> {
    match entry {
        Imported::Secret(secret) => Some(secret.display_name()),
        Imported::LeftOut { .. } => None,
    }
}

fn from_stdin() -> Result<Zeroizing<String>, CliError> {
    // Reserved at once: a buffer that grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(MAX_TEXT_BYTES + 1));
    let read = io::stdin().lock().take(MAX_TEXT_BYTES as u64 + 1).read_to_string(&mut text);
    // The reason could repeat what was read.
    read.map_err(|error| CliError::read("stdin", error.kind().into()))?;
    if text.is_empty() {
        return Err(ImportError::Empty.into());
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_an_argument_is_not_taken_for_a_secret_and_a_secret_is() {
        for name in ["GitHub", "AWS production", "a@b.example, the mail of the team"] {
            assert!(!may_be_secret(name), "{name}");
        }
        for secret in
            ["JBSWY3DPEHPK3PXP", "jbsw y3dp ehpk 3pxp", "otpauth://totp/x?secret=A", "steam://x", "GEZDGNBVGY3TQOJQ=="]
        {
            assert!(may_be_secret(secret), "{secret}");
        }
    }
}
