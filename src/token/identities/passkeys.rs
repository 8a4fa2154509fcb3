//! Passkeys among the identities: files that one opens first, and lines that name one. Which security key has it, its PIN and its
//! touch are somebody else's: [`SecurityKeys`]. Knows no terminal and no key.

use std::cell::{Cell, OnceCell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use age::{Identity as _, x25519};
use age_core::format::{FileKey, Stanza};
use quorate_protocol::fido2prf::Fido2PrfStanza;

use super::IdentityError;
use crate::token::fido::{FidoError, HmacSecrets};
use crate::token::passkey::Passkey;
use crate::token::sealed_identity::{Label, MOST_STANZAS, SealedIdentity, SealedIdentityError};

/// Asks the security keys of a person. Calls block until the key or the person has answered.
pub trait SecurityKeys: Send + Sync {
    /// What the key that has the passkey makes of the salts, its user verified, after a touch. No other key is asked for more than
    /// whether it has it. [`FidoError::WrongKey`] when none of those that are there has.
    fn secrets(&self, asked: &Asked<'_>) -> Result<HmacSecrets, FidoError>;
}

/// What a security key is asked.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// Which credential.
    pub passkey: &'a Passkey,
    /// Of what.
    pub salts: &'a [[u8; 32]; 2],
    /// The file that is opened, for people.
    pub file: &'a str,
    /// The keys that were named among the identities: files of soft ones, and devices.
    pub named: &'a [PathBuf],
}

/// Why a passkey did not open what it should.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PasskeyError {
    /// It is in none of the keys that are there. Holds the relying party that it is bound to.
    #[error("none of the security keys that are connected has its passkey, which is bound to {0}")]
    Absent(String),
    /// The security key did not do what it was asked.
    #[error(transparent)]
    Fido(#[from] FidoError),
    /// The PIN was wrong or missing before, and is not tried again.
    #[error("the security key did not get its PIN before, and is not asked again")]
    GivenUp,
    /// What was opened, or should have been, is no sealed identity.
    #[error(transparent)]
    Sealed(#[from] SealedIdentityError),
    /// No passkey is named.
    #[error("it does not say which passkey opens it")]
    Unnamed,
}

/// What the identities of one command know of passkeys, all of them together.
#[derive(Default)]
pub(super) struct Passkeys {
    keys: OnceCell<Arc<dyn SecurityKeys>>,
    /// Keys that were named among the identities.
    named: RefCell<Vec<PathBuf>>,
    /// Passkeys of lines, which may open files that name none.
    lines: RefCell<Vec<Passkey>>,
    /// Whether a key did not get its PIN: a program would give the same wrong one for the next file, at the price of a try.
    given_up: Cell<bool>,
}

impl Passkeys {
    /// From now on `keys` are asked.
    pub(super) fn ask_of(&self, keys: Arc<dyn SecurityKeys>) {
        // Whoever is asked is said once, where the identities are loaded.
        let _ = self.keys.set(keys);
    }

    /// Remembers a security key that was named.
    pub(super) fn name(&self, key: &Path) {
        self.named.borrow_mut().push(key.to_owned());
    }

    /// Whether any was named.
    pub(super) fn names_some(&self) -> bool {
        !self.named.borrow().is_empty()
    }

    fn secrets(&self, passkey: &Passkey, salts: &[[u8; 32]; 2], file: &str) -> Result<HmacSecrets, PasskeyError> {
        if self.given_up.get() {
            return Err(PasskeyError::GivenUp);
        }
        let keys = self.keys.get().ok_or(FidoError::NoKey)?;
        let named = self.named.borrow();
        keys.secrets(&Asked { passkey, salts, file, named: &named }).map_err(|error| match error {
            FidoError::WrongKey => PasskeyError::Absent(passkey.rp_id.clone()),
            error => {
                self.given_up.set(self.given_up.get() || is_about_the_pin(&error));
                error.into()
            }
        })
    }
}

fn is_about_the_pin(error: &FidoError) -> bool {
    matches!(
        error,
        FidoError::LastTry
            | FidoError::PinBarred
            | FidoError::PinBlocked
            | FidoError::PinDeclined
            | FidoError::PinFormat
            | FidoError::WrongPin { .. }
    )
}

/// An X25519 identity in a file that a passkey opens; opened once, at the first try.
pub(super) struct Sealed {
    origin: String,
    file: SealedIdentity,
    passkeys: Rc<Passkeys>,
    identity: RefCell<Option<x25519::Identity>>,
}

impl Sealed {
    pub(super) fn new(origin: String, file: SealedIdentity, passkeys: Rc<Passkeys>) -> Self {
        Self { origin, file, passkeys, identity: RefCell::default() }
    }

    /// What the file says of itself.
    pub(super) fn label(&self) -> Option<&Label> {
        self.file.label()
    }

    /// Whether opening both would be asking for one twice.
    pub(super) fn is_the_same_as(&self, other: &Self) -> bool {
        self.file == other.file
    }

    /// What Tocs are encrypted to, as far as that is known.
    pub(super) fn recipient(&self) -> Option<String> {
        let opened = self.identity.borrow().as_ref().map(|identity| identity.to_public().to_string());
        opened.or_else(|| self.label().map(|label| label.recipient.clone()))
    }

    /// `None` when the file is not for this identity, which only shows when it is open.
    pub(super) fn open(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, IdentityError>> {
        let mut identity = self.identity.borrow_mut();
        if identity.is_none() {
            match self.unseal() {
                Ok(unsealed) => *identity = Some(unsealed),
                Err(source) => return Some(Err(IdentityError::Passkey { file: self.origin.clone(), source })),
            }
        }
        let opened = identity.as_ref()?.unwrap_stanzas(stanzas)?;
        Some(opened.map_err(|error| IdentityError::Damaged(error.to_string())))
    }

    /// With the passkey that it names; without a name, with each that is known.
    fn unseal(&self) -> Result<x25519::Identity, PasskeyError> {
        let with = |passkey: &Passkey| self.file.open(|salts| self.passkeys.secrets(passkey, salts, &self.origin));
        if let Some(label) = self.label() {
            return with(&label.passkey);
        }
        let mut failure = PasskeyError::Unnamed;
        for passkey in &*self.passkeys.lines.borrow() {
            match with(passkey) {
                Ok(identity) => return Ok(identity),
                // A key that is not there says less than one that is.
                Err(error) if matches!(failure, PasskeyError::Unnamed | PasskeyError::Absent(_)) => failure = error,
                Err(_) => {}
            }
        }
        Err(failure)
    }
}

/// A passkey that a line names. It opens whatever is sealed to it, which no dealer can do.
pub(super) struct Named {
    origin: String,
    pub(super) passkey: Passkey,
    passkeys: Rc<Passkeys>,
}

impl Named {
    pub(super) fn new(origin: String, passkey: Passkey, passkeys: Rc<Passkeys>) -> Self {
        let mut lines = passkeys.lines.borrow_mut();
        if !lines.contains(&passkey) {
            lines.push(passkey.clone());
        }
        drop(lines);
        Self { origin, passkey, passkeys }
    }

    /// `None` when the file is for no passkey.
    pub(super) fn open(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, IdentityError>> {
        let mut failure = None;
        for stanza in stanzas.iter().filter_map(Fido2PrfStanza::parse).take(MOST_STANZAS) {
            match stanza.map_err(|error| SealedIdentityError::Damaged(error.to_string()).into()).and_then(|stanza| {
                let outputs = self.passkeys.secrets(&self.passkey, &stanza.salts(), &self.origin)?;
                stanza.open(outputs.expose()).map_err(|_| SealedIdentityError::Key.into())
            }) {
                Ok(file_key) => return Some(Ok(file_key)),
                Err(error @ PasskeyError::Sealed(_)) => failure = Some(error),
                Err(error) => return Some(Err(self.failed(error))),
            }
        }
        failure.map(|error| Err(self.failed(error)))
    }

    fn failed(&self, source: PasskeyError) -> IdentityError {
        IdentityError::Passkey { file: self.origin.clone(), source }
    }
}
