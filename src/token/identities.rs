//! Everything a person can open age files with: the identities of every command.
//!
//! A file is opened with what can open it, in the order of what it costs a person: X25519 keys, then tokens that one of the
//! file's stanzas names, soft ones first and absent ones last, then identities that are sealed to passkeys, then plugins, then
//! identity files under a passphrase. Whoever cannot help is never asked for a PIN. Knows age files; knows neither Tocs nor terminals.

mod callbacks;
mod connected;
mod passkeys;
mod source;

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use age::armor::ArmoredReader;
use age::{DecryptError, Decryptor};
use age_core::format::{FileKey, Stanza};
use quorate_protocol::fido2prf::FIDO2PRF;
use quorate_protocol::p256_stanza::P256Stanza;
use zeroize::Zeroizing;

pub(crate) use self::callbacks::Person;
use self::connected::Connected;
use self::passkeys::Passkeys;
pub use self::passkeys::{Asked, PasskeyError, SecurityKeys};
use self::source::{Cost, Source, Surroundings};
use super::identity::{PinKeeper, PivIdentity};
use super::readers::Readers;
use super::sealed_identity::Label;
use super::{ServiceFault, TokenError, TokenPrompts};

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
    /// A passkey did not open what is sealed to it.
    #[error("{file}: {source}")]
    Passkey {
        /// The file that it is named in.
        file: String,
        /// Why.
        source: PasskeyError,
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

/// An identity that is sealed to a passkey, as far as it can be seen without the passkey.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OwnSealed {
    /// Its file.
    pub source: String,
    /// What it says of itself, which is not proved; `None` of a file that says nothing.
    pub label: Option<Label>,
}

/// What one person can open files with.
pub struct Identities {
    sources: Vec<Source>,
    looked_in: PathBuf,
    /// What is wrong with files that nobody named, and that lie among the others.
    damaged: RefCell<Vec<IdentityError>>,
    /// Shared by all of them: no token is offered a wrong PIN twice because two files or identities lead to it.
    pins: Arc<PinKeeper>,
    readers: Option<Arc<dyn Readers>>,
    passkeys: Rc<Passkeys>,
    /// `None` when identities were named: then no token is tried that none of them names.
    connected: Option<Connected>,
    /// The sealed identity that opened the last file.
    opener: RefCell<Option<OwnSealed>>,
}

impl Identities {
    /// Reads the identities in `files`; when there are none, in `default`, which may be missing, and looks for connected tokens
    /// in `readers` when a file may need one. Each may be a file or a folder of files: age identity files, also under a
    /// passphrase, identities that are sealed to a passkey, and soft tokens; or a security key, by the file of a soft one or by its
    /// device, which leaves `default` in its place when nothing else is named. A file in a folder that cannot be used keeps the others from nothing: [`Self::damaged`]. Nobody is asked for anything.
    pub fn load(
        files: &[PathBuf],
        default: &Path,
        prompts: Arc<dyn TokenPrompts>,
        readers: Option<Arc<dyn Readers>>,
    ) -> Result<Self, IdentityError> {
        let pins = Arc::new(PinKeeper::new(prompts));
        let tries_all = readers.clone().filter(|_| files.is_empty());
        let connected = tries_all.map(|readers| Connected::new(readers, Arc::clone(&pins)));
        let (sources, looked_in, passkeys) = (Vec::new(), default.to_owned(), Rc::default());
        let (damaged, opener) = (RefCell::default(), RefCell::default());
        let mut identities = Self { sources, looked_in, damaged, pins, readers, passkeys, connected, opener };
        for path in files {
            identities.add(path)?;
        }
        // A security key opens nothing by itself: it is named for what is sealed to it, which lies with the others.
        if identities.sources.is_empty() && (files.is_empty() || identities.passkeys.names_some()) {
            match identities.add(default) {
                Err(IdentityError::Read { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                done => done?,
            }
        }
        Ok(identities)
    }

    /// The same, with security keys to ask for what opens sealed identities. Without, those do not open.
    #[must_use]
    pub fn asking(self, keys: Arc<dyn SecurityKeys>) -> Self {
        self.passkeys.ask_of(keys);
        self
    }

    /// What each file in a folder of identities that cannot be used says of it.
    pub fn damaged(&self) -> Vec<String> {
        self.damaged.borrow().iter().map(ToString::to_string).collect()
    }

    /// Looks for connected tokens, unless identities were named; gives those that cannot be used, and why.
    pub fn look_for_tokens(&self) -> &[IdentityError] {
        self.connected.as_ref().map_or(&[], |connected| &connected.found().faults)
    }

    /// The tokens among them, soft and connected. Looks for those.
    pub fn tokens(&self) -> impl Iterator<Item = &PivIdentity> {
        self.look_for_tokens();
        self.all().filter_map(Source::token)
    }

    /// What can be encrypted to these identities: for a P-256 key both of its recipients. Those of plugins, of absent tokens
    /// and of files that are still locked cannot be known. Looks for connected tokens.
    pub fn recipients(&self) -> Vec<OwnRecipient> {
        self.look_for_tokens();
        self.all().flat_map(Source::recipients).collect()
    }

    /// The identities that are sealed to passkeys.
    pub fn sealed(&self) -> impl Iterator<Item = OwnSealed> {
        self.sources.iter().filter_map(Source::sealed)
    }

    /// The sealed identity that opened the last file, if one did.
    pub fn opener(&self) -> Option<OwnSealed> {
        self.opener.borrow().clone()
    }

    /// All that is known so far.
    fn all(&self) -> impl Iterator<Item = &Source> {
        self.sources.iter().chain(self.connected.iter().flat_map(Connected::known))
    }

    /// The plaintext of an age file, armored or not, of at most [`MAX_SEALED_BYTES`].
    pub fn decrypt(&self, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, IdentityError> {
        self.opener.take();
        let attempt = Attempt { identities: self, wanted: RefCell::default(), failure: RefCell::default() };
        let mut reader = unseal(sealed, &attempt)?.map_err(|error| match (attempt.failure.take(), error) {
            (Some(failure), _) => failure,
            (None, DecryptError::NoMatchingKeys) => self.none_matches(attempt.wanted.take()),
            (None, error) => damaged(&error),
        })?;
        // A plaintext is shorter than its file, so the buffer never moves and leaves no copy behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(sealed.len()));
        reader.read_to_end(&mut plain).map_err(|error| IdentityError::Damaged(error.to_string()))?;
        Ok(plain)
    }

    /// Fails when it is clear beforehand that [`Identities::decrypt`] would: the file is damaged, or none of the identities can
    /// help. Asks nobody for anything; looks for connected tokens when the file may need one.
    pub fn could_open(&self, sealed: &[u8]) -> Result<(), IdentityError> {
        let prospect = Prospect { identities: self, wanted: RefCell::default(), hopeful: Cell::new(false) };
        match unseal(sealed, &prospect)? {
            Ok(_) => Ok(()),
            Err(DecryptError::NoMatchingKeys) if prospect.hopeful.get() => Ok(()),
            Err(DecryptError::NoMatchingKeys) => Err(self.none_matches(prospect.wanted.take())),
            Err(error) => Err(damaged(&error)),
        }
    }

    fn none_matches(&self, wanted: Vec<String>) -> IdentityError {
        if self.all().next().is_some() {
            return IdentityError::NoneMatches(wanted);
        }
        // What lies there says more than that there is nothing else.
        let damaged = self.damaged.borrow_mut().pop();
        damaged.unwrap_or_else(|| IdentityError::Nothing(self.looked_in.clone()))
    }

    /// Whether trying may help: an identity fits, or a token may be put in, or one that is there cannot be asked.
    fn may_open(&self, stanzas: &[Stanza]) -> bool {
        let by_token = |connected: &Connected| {
            let found = connected.found();
            let unusable = found.faults.iter().any(|fault| fault.of_unusable_token().is_some());
            !by_cost(&found.tokens, stanzas).is_empty() || unusable || connected.sees()
        };
        !by_cost(&self.sources, stanzas).is_empty()
            || self.connected.as_ref().is_some_and(|connected| may_be_on_a_token(stanzas) && by_token(connected))
    }

    fn add(&mut self, path: &Path) -> Result<(), IdentityError> {
        let failed = |source| IdentityError::Read { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.file_type().is_char_device() {
            self.passkeys.name(path);
            return Ok(());
        }
        if !metadata.is_dir() {
            return self.add_file(path);
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(path).map_err(failed)? {
            let file = entry.map_err(failed)?;
            let hidden = file.file_name().as_encoded_bytes().starts_with(b".");
            // One that leads nowhere is found out when it is read.
            if !hidden && fs::metadata(file.path()).map_or(true, |metadata| metadata.is_file()) {
                files.push(file.path());
            }
        }
        files.sort();
        for file in files {
            if let Err(fault) = self.add_file(&file) {
                self.damaged.get_mut().push(fault);
            }
        }
        Ok(())
    }

    fn surroundings(&self) -> Surroundings<'_> {
        Surroundings { pins: &self.pins, readers: self.readers.as_ref(), passkeys: &self.passkeys }
    }

    fn add_file(&mut self, path: &Path) -> Result<(), IdentityError> {
        let bytes = read_bounded(path)?;
        for source in source::parse(path, &bytes, &self.surroundings())? {
            // Named twice is one: what failed once would only fail again, at the price of another try.
            if !self.sources.iter().any(|known| known.is_the_same_as(&source)) {
                self.sources.push(source);
            }
        }
        Ok(())
    }
}

/// The reader of what is in an age file, armored or not, with `identity`.
fn unseal<'a>(
    sealed: &'a [u8],
    identity: &dyn age::Identity,
) -> Result<Result<impl Read + use<'a>, DecryptError>, IdentityError> {
    if sealed.len() > MAX_SEALED_BYTES {
        return Err(IdentityError::Damaged(format!("it has more than {MAX_SEALED_BYTES} bytes")));
    }
    let decryptor = Decryptor::new(ArmoredReader::new(sealed)).map_err(|error| damaged(&error))?;
    if decryptor.is_scrypt() {
        return Err(IdentityError::Passphrase);
    }
    Ok(decryptor.decrypt(std::iter::once(identity)))
}

fn damaged(error: &DecryptError) -> IdentityError {
    IdentityError::Damaged(error.to_string())
}

/// Looks at what a file wants, and opens nothing.
struct Prospect<'a> {
    identities: &'a Identities,
    wanted: RefCell<Vec<String>>,
    hopeful: Cell<bool>,
}

impl age::Identity for Prospect<'_> {
    fn unwrap_stanza(&self, stanza: &Stanza) -> Option<Result<FileKey, DecryptError>> {
        self.unwrap_stanzas(std::slice::from_ref(stanza))
    }

    fn unwrap_stanzas(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        self.wanted.replace(stanza_types(stanzas));
        self.hopeful.set(self.identities.may_open(stanzas));
        None
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
        let opened = self.open(stanzas);
        opened.or_else(|| self.failure.borrow().is_some().then_some(Err(DecryptError::KeyDecryptionFailed)))
    }
}

impl Attempt<'_> {
    fn open(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        let (cheap, dear): (Vec<_>, Vec<_>) =
            by_cost(&self.identities.sources, stanzas).into_iter().partition(|(cost, _)| *cost <= Cost::Token);
        if let Some(opened) = self.first(cheap.into_iter().map(|(_, source)| source), stanzas) {
            return Some(opened);
        }
        let connected = self.identities.connected.as_ref().filter(|_| may_be_on_a_token(stanzas));
        let mut tried = Vec::new();
        if let Some(found) = connected.map(Connected::found) {
            let helpful = by_cost(&found.tokens, stanzas);
            if let Some(opened) = self.first(helpful.into_iter().map(|(_, source)| source), stanzas) {
                return Some(opened);
            }
            tried.extend(found.tokens.iter().filter_map(Source::token).map(|token| token.info().serial));
        }
        // A token that is there was tried just now, and is not asked for the same again.
        let rest = dear.into_iter().filter(|(_, source)| source.awaits().is_none_or(|serial| !tried.contains(&serial)));
        if let Some(opened) = self.first(rest.map(|(_, source)| source), stanzas) {
            return Some(opened);
        }
        self.last_resort(connected?, stanzas)
    }

    /// Opens with the first that can. The failure that is told, if none can, is that of the likeliest.
    fn first<'a>(
        &self,
        sources: impl Iterator<Item = &'a Source>,
        stanzas: &[Stanza],
    ) -> Option<Result<FileKey, DecryptError>> {
        for source in sources {
            match source.open(stanzas) {
                Some(Ok(file_key)) => {
                    self.identities.opener.replace(source.sealed());
                    return Some(Ok(file_key));
                }
                Some(Err(error)) => drop(self.failure.borrow_mut().get_or_insert(error)),
                None => {}
            }
        }
        None
    }

    /// Where no identity could help: the token that could not be asked may be the one, or one that is not there yet.
    fn last_resort(&self, connected: &Connected, stanzas: &[Stanza]) -> Option<Result<FileKey, DecryptError>> {
        if self.failure.borrow().is_some() {
            return None;
        }
        let unusable = connected.found().faults.iter().find_map(IdentityError::of_unusable_token);
        if let Some(error) = unusable {
            self.failure.replace(Some(error));
            return None;
        }
        match connected.ask_for_another(stanzas)? {
            Ok(file_key) => Some(Ok(file_key)),
            Err(error) => {
                self.failure.replace(Some(error));
                None
            }
        }
    }
}

impl IdentityError {
    /// The same error, when it is about a token that is there and cannot be used. That there is no smart-card service says
    /// nothing of the sort: most people have no need of one.
    fn of_unusable_token(&self) -> Option<Self> {
        let Self::Token { token, source } = self else { return None };
        let source = match source {
            TokenError::Busy(holder) => TokenError::Busy(holder.clone()),
            TokenError::Firmware(found) => TokenError::Firmware(found.clone()),
            TokenError::Frozen(limit) => TokenError::Frozen(*limit),
            TokenError::Service(fault @ ServiceFault::NoPermission) => TokenError::Service(*fault),
            _ => return None,
        };
        Some(Self::Token { token: token.clone(), source })
    }
}

/// Those that may open a file with these stanzas, cheapest first.
fn by_cost<'a>(sources: &'a [Source], stanzas: &[Stanza]) -> Vec<(Cost, &'a Source)> {
    let mut helpful: Vec<_> =
        sources.iter().filter_map(|source| source.cost(stanzas).map(|cost| (cost, source))).collect();
    helpful.sort_by_key(|(cost, _)| *cost);
    helpful
}

/// Whether looking for tokens may help at all.
fn may_be_on_a_token(stanzas: &[Stanza]) -> bool {
    stanzas.iter().any(|stanza| P256Stanza::parse(stanza).is_some())
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
        FIDO2PRF => format!("a passkey ({FIDO2PRF})"),
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
