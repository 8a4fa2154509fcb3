//! The tokens that are connected while a command runs: looked for once, when a file may need one of them; and asking for the
//! one that is missing. Knows no terminal and no card.

use std::cell::{Cell, OnceCell, RefCell};
use std::sync::Arc;
use std::time::Duration;

use age_core::format::{FileKey, Stanza};

use super::IdentityError;
use super::source::Source;
use crate::token::identity::{PinKeeper, PivIdentity};
use crate::token::readers::{Content, Readers};
use crate::token::stub::Stub;
use crate::token::{PivToken, TokenError};

/// How long a token may take to be seen after its owner has said that it is in.
const SEEN: Duration = Duration::from_secs(5);

/// The readers of this machine, and what is known to be in them.
pub(super) struct Connected {
    readers: Arc<dyn Readers>,
    pins: Arc<PinKeeper>,
    found: OnceCell<Found>,
    /// Whether the owner has said already that no other token will come.
    given_up: Cell<bool>,
}

/// What was in the readers.
#[derive(Default)]
pub(super) struct Found {
    pub(super) tokens: Vec<Source>,
    /// What could not be asked, and why.
    pub(super) faults: Vec<IdentityError>,
}

impl Connected {
    pub(super) fn new(readers: Arc<dyn Readers>, pins: Arc<PinKeeper>) -> Self {
        Self { readers, pins, found: OnceCell::new(), given_up: Cell::new(false) }
    }

    /// What is connected, as it was when first asked for.
    pub(super) fn found(&self) -> &Found {
        self.found.get_or_init(|| self.look())
    }

    /// The same, without looking.
    pub(super) fn known(&self) -> &[Source] {
        self.found.get().map_or(&[], |found| &found.tokens)
    }

    fn look(&self) -> Found {
        let mut found = Found::default();
        let fault = |token: String, source| IdentityError::Token { token, source };
        let readers = match self.readers.look() {
            Ok(readers) => readers,
            Err(error) => return Found { faults: vec![fault("connected tokens".to_owned(), error)], ..found },
        };
        for reader in readers {
            match reader.content {
                Content::Token(token) => match self.identity(token) {
                    Ok((name, identity)) => found.tokens.push(Source::piv(name, identity)),
                    Err(error) => found.faults.push(error),
                },
                Content::Unusable(error) => found.faults.push(fault(reader.name, error)),
                Content::Empty | Content::Stranger => {}
            }
        }
        found
    }

    fn identity(&self, token: Box<dyn PivToken>) -> Result<(String, PivIdentity), IdentityError> {
        let name = token.info().to_string();
        let identity = PivIdentity::sharing(token, Arc::clone(&self.pins));
        identity.map(|it| (name.clone(), it)).map_err(|source| IdentityError::Token { token: name, source })
    }

    /// Whether a token that is put in would be seen.
    pub(super) fn sees(&self) -> bool {
        self.readers.look().is_ok()
    }

    /// Asks for a token that opens the file, though none that is there does, until one does or the owner gives up. Only where
    /// somebody can answer, and where a token that was put in would be seen.
    pub(super) fn ask_for_another(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, IdentityError>> {
        let sees = self.sees();
        while sees && !self.given_up.get() {
            let question = "no connected key opens this; put in the one that does";
            if self.pins.prompts().confirm(question, "it is in", Some("there is none")) != Some(true) {
                self.given_up.set(true);
                return None;
            }
            let opened = self.look().tokens.iter().find_map(|token| token.open(stanzas));
            if opened.is_some() {
                return opened;
            }
        }
        None
    }
}

/// A key on a token that may have to be put in first.
pub(super) struct Awaited {
    pub(super) stub: Stub,
    readers: Arc<dyn Readers>,
    pins: Arc<PinKeeper>,
    /// Kept while the command runs: it knows the PIN.
    identity: RefCell<Option<PivIdentity>>,
}

impl Awaited {
    pub(super) fn new(stub: Stub, readers: Arc<dyn Readers>, pins: Arc<PinKeeper>) -> Self {
        Self { stub, readers, pins, identity: RefCell::default() }
    }

    /// Opens with the token; asks for it to be put in when it is not. `None` when its owner skips it.
    pub(super) fn open(&self, stanzas: &[Stanza]) -> Option<Result<FileKey, IdentityError>> {
        let mut identity = self.identity.borrow_mut();
        if identity.is_none() {
            match self.await_token() {
                Ok(token) => *identity = Some(token?),
                Err(error) => return Some(Err(self.failed(error))),
            }
        }
        let identity = identity.as_ref()?;
        // The slot was erased, or has another key since.
        let Some(opened) = identity.open(stanzas) else {
            return Some(Err(self.failed(TokenError::NoKey(self.stub.slot))));
        };
        Some(opened.map_err(|error| self.failed(error)))
    }

    fn await_token(&self) -> Result<Option<PivIdentity>, TokenError> {
        let mut token = self.readers.open(self.stub.serial)?;
        while token.is_none() {
            let question = format!("put in the YubiKey with serial number {}", self.stub.serial);
            if self.pins.prompts().confirm(&question, "it is in", Some("skip it")) != Some(true) {
                return Ok(None);
            }
            token = self.readers.wait_for(self.stub.serial, SEEN)?;
        }
        token.map(|token| PivIdentity::sharing(token, Arc::clone(&self.pins))).transpose()
    }

    fn failed(&self, source: TokenError) -> IdentityError {
        IdentityError::Token { token: format!("YubiKey (serial {})", self.stub.serial), source }
    }
}
