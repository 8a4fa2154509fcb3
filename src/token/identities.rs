//! Everything a person can open age files with: the identities of every command.
//!
//! A file is opened with what can open it, in the order of what it costs a person: X25519 keys, then tokens and
//! YubiKey plugin identities that one of the file's stanzas names, then other plugins, then identity files under a
//! passphrase. Whoever cannot help is never asked for a PIN. Knows age files; knows neither Tocs nor terminals.

mod callbacks;
mod source;

use std::cell::RefCell;
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor};
use age_core::format::{FileKey, Stanza};
use zeroize::Zeroizing;

use self::source::Source;
use super::identity::PivIdentity;
use super::{PivToken, TokenError, TokenPrompts};

/// Largest age file that is opened, in bytes: twenty times the largest Toc.
pub const MAX_SEALED_BYTES: usize = 1 << 20;
/// Largest identity file.
const MAX_IDENTITY_BYTES: u64 = 1 << 20;

/// Why nothing could be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// The age file is damaged, or is none.
    #[error("not an age file, or a damaged one: {0}")]
    Damaged(String),
    /// There is neither a token nor an identity file.
    #[error("there is no identity: none was named, no token is connected, and {} is empty or missing", .0.display())]
    Nothing(PathBuf),
    /// The file is encrypted to other keys.
    #[error("none of the identities opens it: it wants {}", wanted(.0))]
    NoneMatches(Vec<String>),
    /// A line of an identity file is no identity. The line itself may be a secret and is not repeated.
    #[error("{}, line {line}: not an identity", .path.display())]
    NotAnIdentity {
        /// The identity file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
    },
    /// The age file wants a passphrase, not a key.
    #[error("the file is encrypted with a passphrase, not to keys")]
    Passphrase,
    /// An identity file's passphrase was wrong, missing, or would take too long to check.
    #[error("{} was not unlocked: {cause}", .path.display())]
    Locked {
        /// The encrypted identity file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// A plugin failed, or is not installed.
    #[error("age-plugin-{name}: {cause}")]
    Plugin {
        /// Its name.
        name: String,
        /// What it or the system said.
        cause: String,
    },
    /// An identity file cannot be read.
    #[error("{}: {source}", .path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A token was named by the file, and failed.
    #[error("{token}: {source}")]
    Token {
        /// Which.
        token: String,
        /// Why.
        source: TokenError,
    },
    /// More bytes than any file of this kind has.
    #[error("{} has more than {limit} bytes", .path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// In bytes.
        limit: u64,
    },
}

/// One of a person's own recipients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnRecipient {
    /// The file or token that opens it.
    pub source: String,
    /// `age1…`.
    pub recipient: String,
}

/// What one person can open files with.
pub struct Identities {
    sources: Vec<Source>,
    looked_in: PathBuf,
    prompts: Arc<dyn TokenPrompts>,
}

impl Identities {
    /// Reads the identities in `files`; when there are none, in `default`, which may be missing. Each may be a file or
    /// a folder of files: age identity files, also under a passphrase, and soft tokens. Nobody is asked for anything.
    pub fn load(files: &[PathBuf], default: &Path, prompts: Arc<dyn TokenPrompts>) -> Result<Self, IdentityError> {
        let mut identities = Self { sources: Vec::new(), looked_in: default.to_owned(), prompts };
        for path in files {
            identities.add(path)?;
        }
        if files.is_empty() {
            match identities.add(default) {
                Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(identities)
    }

    /// Adds a connected token.
    pub fn add_token(&mut self, token: Box<dyn PivToken>) -> Result<(), IdentityError> {
        let name = token.info().to_string();
        let identity = PivIdentity::new(token, Arc::clone(&self.prompts))
            .map_err(|source| IdentityError::Token { token: name.clone(), source })?;
        self.sources.push(Source::piv(name, identity));
        Ok(())
    }

    /// The tokens among them, soft and connected.
    pub fn tokens(&self) -> impl Iterator<Item = &PivIdentity> {
        self.sources.iter().filter_map(Source::token)
    }

    /// What can be encrypted to these identities: for a P-256 key both of its recipients. Those of plugins and of
    /// files that are still locked cannot be known.
    pub fn recipients(&self) -> Vec<OwnRecipient> {
        self.sources.iter().flat_map(Source::recipients).collect()
    }

    /// The plaintext of an age file, armored or not, of at most [`MAX_SEALED_BYTES`].
    pub fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        if sealed.len() > MAX_SEALED_BYTES {
            return Err(IdentityError::Damaged(format!("it has more than {MAX_SEALED_BYTES} bytes")));
        }
        let damaged = |error: DecryptError| IdentityError::Damaged(error.to_string());
        let decryptor = Decryptor::new(ArmoredReader::new(sealed)).map_err(damaged)?;
        if decryptor.is_scrypt() {
            return Err(IdentityError::Passphrase);
        }
        if self.sources.is_empty() {
            return Err(IdentityError::Nothing(self.looked_in.clone()));
        }
        let attempt = Attempt { identities: self, wanted: RefCell::default(), failure: RefCell::default() };
        let reader = decryptor.decrypt(std::iter::once(&attempt as &dyn age::Identity));
        let mut reader = reader.map_err(|error| match (attempt.failure.take(), error) {
            (Some(failure), _) => failure,
            (None, DecryptError::NoMatchingKeys) => IdentityError::NoneMatches(attempt.wanted.take()),
            (None, error) => damaged(error),
        })?;
        // A plaintext is shorter than its file, so the buffer never moves and leaves no copy behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
        reader.read_to_end(&mut plain).map_err(|error| IdentityError::Damaged(error.to_string()))?;
        Ok(plain)
    }

    fn add(&mut self, path: &Path) -> Result<(), IdentityError> {
        let failed = |source| IdentityError::Read { path: path.to_owned(), source };
        if !fs::metadata(path).map_err(failed)?.is_dir() {
            return self.add_file(path);
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?;
            let hidden = file.file_name().as_encoded_bytes().starts_with(b".");
            if !hidden && fs::metadata(file.path()).map_err(failed)?.is_file() {
                files.push(file.path());
            }
        }
        files.sort();
        files.iter().try_for_each(|file| self.add_file(file))
    }

    fn add_file(&mut self, path: &Path) -> Result<(), IdentityError> {
        let bytes = read_bounded(path)?;
        self.sources.extend(source::parse(path, &bytes, &self.prompts)?);
        Ok(())
    }
}

/// One attempt to open one file: stands before age as a single identity, so that the order is ours.
struct Attempt<'a> {
    identities: &'a Identities,
    wanted: RefCell<Vec<String>>,
    failure: RefCell<Option<IdentityError>>,
}

impl age::Identity for Attempt<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        self.wanted.replace(stanza_types(stanzas));
        let mut helpful: Vec<_> = self
            .identities
            .sources
            .iter()
            .filter_map(|source| source.cost(stanzas).map(|cost| (cost, source)))
            .collect();
        helpful.sort_by_key(|(cost, _)| *cost);
        for (_, source) in helpful {
            match source.open(stanzas) {
                Some(Ok(file_key)) => return Some(Ok(file_key)),
                // The first failure is that of the likeliest identity: it is told, if no other one helps.
                Some(Err(error)) => drop(self.failure.borrow_mut().get_or_insert(error)),
                None => {}
            }
        }
        self.failure.borrow().is_some().then_some(Err(DecryptError::KeyDecryptionFailed))
    }
}

/// The types of the stanzas, each once, in order, without the random ones that age adds to keep parsers honest.
fn stanza_types(stanzas: &[Stanza]) -> Vec<String> {
    let mut types: Vec<String> = Vec::new();
    for stanza in stanzas.iter().filter(|stanza| !stanza.tag.ends_with("-grease")) {
        if !types.contains(&stanza.tag) {
            types.push(stanza.tag.clone());
        }
    }
    types
}

/// Stanza types in words that a person can act on.
fn wanted(types: &[String]) -> String {
    let words = types.iter().map(|name| match name.as_str() {
        "X25519" => "an age key (X25519)".to_owned(),
        "piv-p256" | "p256tag" => format!("a YubiKey or soft token ({name})"),
        "mlkem768p256tag" => "a post-quantum token (mlkem768p256tag)".to_owned(),
        "ssh-ed25519" | "ssh-rsa" => format!("an SSH key ({name}), which quorate does not read"),
        // age allows any visible character; the length is a stranger's choice.
        _ => format!("a plugin's key ({})", name.chars().take(40).collect::<String>()),
    });
    let words: Vec<String> = words.take(6).collect();
    if words.is_empty() { "no key at all".to_owned() } else { words.join(", or ") }
}

fn read_bounded(path: &Path) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
    let failed = |source| IdentityError::Read { path: path.to_owned(), source };
    let file = fs::File::open(path).map_err(failed)?;
    let expected = file.metadata().map_err(failed)?.len().min(MAX_IDENTITY_BYTES);
    let capacity = usize::try_from(expected).expect("a megabyte is addressable") + 64;
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    file.take(MAX_IDENTITY_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_IDENTITY_BYTES {
        return Err(IdentityError::TooLarge { path: path.to_owned(), limit: MAX_IDENTITY_BYTES });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
