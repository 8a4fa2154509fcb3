//! The PINs of one command: asked for when a key wants one, kept while they are right, and never spent on a token that has
//! refused one from the same program. Knows tokens; knows no files and no terminal.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::token::{Pin, PinRequest, PivToken, TokenError, TokenInfo, TokenKind, TokenPrompts};

/// Asks for PINs, and remembers by token what became of them, whichever file or identity needs it next.
pub(crate) struct PinKeeper {
    prompts: Arc<dyn TokenPrompts>,
    known: Mutex<HashMap<(TokenKind, u32), Known>>,
}

/// What is known of a token's PIN. Wiped when dropped.
#[derive(Clone)]
enum Known {
    /// The token refused what a program gave, which would give the same again.
    Refused,
    /// The token took it.
    Right(Pin),
}

impl PinKeeper {
    /// Knows nothing yet.
    pub(crate) fn new(prompts: Arc<dyn TokenPrompts>) -> Self {
        Self { prompts, known: Mutex::default() }
    }

    /// Who is asked.
    pub(crate) fn prompts(&self) -> &Arc<dyn TokenPrompts> {
        &self.prompts
    }

    /// Has the token verify its PIN: the one that it took before, else one that is asked for. Who types is asked until the
    /// token is blocked; a program once for each token, and never for the last try ([`TokenError::LastTry`]).
    pub(super) fn verify(&self, token: &mut dyn PivToken) -> Result<(), TokenError> {
        let mut again = false;
        match self.recall(token.info()) {
            Some(Known::Refused) => {
                let tries_left = tries(token)?;
                return Err(TokenError::WrongPin { tries_left });
            }
            Some(Known::Right(pin)) => match self.offer(token, &pin) {
                // Changed since, by another program.
                Err(TokenError::WrongPin { .. }) if self.prompts.may_ask_again() => again = true,
                done => return done,
            },
            None => {}
        }
        loop {
            let pin = self.ask(token, again)?;
            match self.offer(token, &pin) {
                Err(TokenError::WrongPin { .. }) if self.prompts.may_ask_again() => again = true,
                done => return done,
            }
        }
    }

    fn ask(&self, token: &mut dyn PivToken, again: bool) -> Result<Pin, TokenError> {
        let tries_left = tries(token)?;
        if tries_left == 1 && !self.prompts.may_ask_again() {
            return Err(TokenError::LastTry("PIN"));
        }
        let entered = self.prompts.pin(&PinRequest { token: token.info(), tries_left, again });
        Pin::parse(entered.ok_or(TokenError::PinDeclined)?)
    }

    /// Remembers what became of it. A refusal is said at once where nobody is asked again: another identity may open the file,
    /// and the try is gone all the same.
    fn offer(&self, token: &mut dyn PivToken, pin: &Pin) -> Result<(), TokenError> {
        let offered = token.verify_pin(pin);
        let whose = whose(token.info());
        match &offered {
            Ok(()) => drop(self.known().insert(whose, Known::Right(pin.clone()))),
            Err(error @ (TokenError::WrongPin { .. } | TokenError::PinBlocked)) => {
                let is_typed = self.prompts.may_ask_again();
                if is_typed {
                    self.known().remove(&whose);
                } else {
                    self.known().insert(whose, Known::Refused);
                }
                if !is_typed || matches!(error, TokenError::PinBlocked) {
                    self.prompts.refused(token.info(), error);
                }
            }
            Err(_) => {}
        }
        offered
    }

    fn recall(&self, info: &TokenInfo) -> Option<Known> {
        self.known().get(&whose(info)).cloned()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<(TokenKind, u32), Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn whose(info: &TokenInfo) -> (TokenKind, u32) {
    (info.kind, info.serial)
}

/// At least 1.
fn tries(token: &mut dyn PivToken) -> Result<u8, TokenError> {
    match token.pin_tries()? {
        0 => Err(TokenError::PinBlocked),
        left => Ok(left),
    }
}
